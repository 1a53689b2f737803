//! What the server's user may not do, root's power does not do for it.

use std::{fs, os::unix::fs::PermissionsExt};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
};

use super::*;

#[test]
fn a_file_of_roots_is_refused_however_it_came_there() {
    if !root("acting as another user") {
        return;
    }
    let house = House::of(Some(user()), None);
    let secret = house.home.path().join("secret");
    fs::write(&secret, "s").unwrap();
    fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    fs::hard_link(&secret, house.files().join("hard")).unwrap();
    for refused in [
        house.read("hard").map(drop),
        house.site.append(&at("hard"), b"x").map(drop),
        house.site.set_mode(&at("hard"), 0o777).map(drop),
        house
            .site
            .copy(&at("hard"), &at("copy"), Replace::No)
            .map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, FilesError::NotPermitted(_)), "{refused}");
    }
    assert_eq!(fs::read(&secret).unwrap(), b"s");
    let folder = house.files().join("roots");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("file"), "s").unwrap();
    fs::set_permissions(&folder, PermissionsExt::from_mode(0o755)).unwrap();
    for refused in [
        house.write("roots/file", b"x").map(drop),
        house.write("roots/new", b"x").map(drop),
        house.site.make(&at("roots/new"), false).map(drop),
        house.site.delete(&at("roots/file")).map(drop),
        house
            .site
            .rename(&at("roots/file"), &at("mine"), Replace::No)
            .map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(matches!(refused, FilesError::NotPermitted(_)), "{refused}");
    }
    assert_eq!(fs::read(folder.join("file")).unwrap(), b"s");
    // A failed deletion leaves nothing in the bin.
    assert_eq!(super::super::bin::list(&house.site).unwrap(), []);
}

#[test]
fn what_is_written_belongs_to_the_servers_user() {
    if !root("acting as another user") {
        return;
    }
    use std::os::unix::fs::MetadataExt as _;
    let house = House::of(Some(user()), None);
    house.write("file", b"x").unwrap();
    house.site.make(&at("a/b"), true).unwrap();
    house
        .site
        .copy(&at("file"), &at("a/copy"), Replace::No)
        .unwrap();
    house.site.copy(&at("a"), &at("c"), Replace::No).unwrap();
    for path in ["file", "a", "a/b", "a/copy", "c", "c/copy"] {
        let about = fs::metadata(house.files().join(path)).unwrap();
        assert_eq!((about.uid(), about.gid()), (user(), user()), "{path}");
    }
    // What lies in the bin is the game's, behind a door that is not.
    house.site.delete(&at("file")).unwrap();
    let door = fs::metadata(house.home.path().join("7/bin")).unwrap();
    assert_eq!((door.uid(), door.mode() & 0o777), (0, 0o700));
}

#[test]
fn another_disk_that_is_mounted_inside_is_not_entered() {
    if !root("mounting") {
        return;
    }
    // The mount is seen by this thread alone.
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, "/", none, private, none).unwrap();
        let house = House::new();
        fs::create_dir(house.files().join("mounted")).unwrap();
        let mounted = house.files().join("mounted");
        let tmpfs = Some("tmpfs");
        mount(tmpfs, &mounted, tmpfs, MsFlags::empty(), none).unwrap();
        fs::write(mounted.join("secret"), "s").unwrap();
        let refused = house.read("mounted/secret").unwrap_err();
        assert!(matches!(refused, FilesError::LeadsOut(_)), "{refused}");
        let refused = house.write("mounted/secret", b"x").unwrap_err();
        assert!(matches!(refused, FilesError::LeadsOut(_)), "{refused}");
        assert_eq!(fs::read(mounted.join("secret")).unwrap(), b"s");
        nix::mount::umount(&mounted).unwrap();
    })
    .join()
    .unwrap();
}

#[test]
fn a_full_disk_leaves_nothing_half() {
    if !root("mounting") {
        return;
    }
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, "/", none, private, none).unwrap();
        let home = tempfile::tempdir().unwrap();
        let (tmpfs, size) = (Some("tmpfs"), Some("size=4m"));
        mount(tmpfs, home.path(), tmpfs, MsFlags::empty(), size).unwrap();
        let open = || {
            let folder = home.path().join("7/files");
            Site::open(&folder, None, None, Arc::new(Lasting::default())).unwrap()
        };
        let site = Arc::new(open());
        let house = House {
            home: tempfile::tempdir().unwrap(),
            site,
        };
        house.write("old", b"as it was").unwrap();
        let big = vec![7; 6 << 20];
        for refused in [
            house.write("new", &big).map(drop),
            house.write("old", &big).map(drop),
            house.site.append(&at("old"), &big).map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert!(matches!(refused, FilesError::DiskFull(_)), "{refused}");
        }
        assert_eq!(house.names(""), ["old"]);
        assert_eq!(house.read("old").unwrap(), b"as it was");
        house.site.make(&at("d"), false).unwrap();
        house.write("d/half", &vec![7; 5 << 19]).unwrap();
        for (from, to) in [("d", "e"), ("d/half", "whole")] {
            let refused = house
                .site
                .copy(&at(from), &at(to), Replace::No)
                .unwrap_err();
            assert!(matches!(refused, FilesError::DiskFull(_)), "{refused}");
        }
        assert_eq!(house.names(""), ["d", "old"]);
        // What was deleted gives way.
        house.site.delete(&at("d")).unwrap();
        house.write("new", &vec![7; 3 << 20]).unwrap();
        assert_eq!(super::super::bin::list(&house.site).unwrap(), []);
        drop(house);
        nix::mount::umount2(home.path(), nix::mount::MntFlags::MNT_DETACH).unwrap();
    })
    .join()
    .unwrap();
}
