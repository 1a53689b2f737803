//! What does not fit, and what cannot come into place: nothing of it is kept, and everything else stays as it was.

use std::{
    fs,
    os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown},
    sync::Arc,
};

use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
};

use super::{
    super::super::{
        merge::Merge,
        passing,
        site::Lasting,
        tests::{at, root, user},
    },
    *,
};

#[test]
fn what_does_not_fit_leaves_nothing() {
    let site = Site::new();
    site.put("save/big", &[7; 3 << 20]);
    for format in PACKED {
        let (bytes, _) = site.pack("save", &["save"], format).unwrap();
        let small = Site::within(2 << 20);
        let error = small.unpack(&bytes, format, "x", Replace::No).unwrap_err();
        assert!(matches!(error, FilesError::OverLimit { .. }), "{error}");
        assert_eq!(small.names(), [""; 0]);
    }
}

#[test]
fn what_could_not_be_unpacked_again_is_not_packed() {
    let site = Site::within(4 << 20);
    site.put("small", &[7; 1 << 20]);
    let hole = File::create(site.at("hole")).unwrap();
    hole.set_len(1 << 40).unwrap();
    let root = &site.0.site.root;
    let most = site.0.site.most().unwrap();
    let gathered = || gather(&root.enter().unwrap(), &path(""), &[path("")], Format::Zip).unwrap();
    let refused = gathered().within(most).err().unwrap();
    let vast = |error: &FilesError| {
        matches!(
            error,
            FilesError::Archive(ArchiveError::Vast {
                most: 0x40_0000,
                ..
            })
        )
    };
    assert!(vast(&refused), "{refused}");
    // A file that grows when it was looked at already.
    for format in PACKED {
        hole.set_len(1 << 20).unwrap();
        let packing = gathered().within(most).unwrap();
        let packed = pack(root, &packing, format, std::io::sink()).unwrap();
        assert_eq!(packed.bytes, 2 << 20);
        hole.set_len(1 << 40).unwrap();
        let refused = pack(root, &packing, format, std::io::sink()).unwrap_err();
        assert!(vast(&refused), "{refused}");
    }
    // Without a limit it is the disk that has one.
    let most = Site::new().0.site.most().unwrap();
    assert!(most > 1 << 20);
}

/// A server of another user's where there can be one, with a bin that takes half of what it may have.
fn with_a_full_bin() -> Site {
    let site = Site(House::of(root("another user").then(user), Some(4 << 20)));
    site.0.write("old", &vec![1; 2 << 20]).unwrap();
    site.0.site.delete(&at("old")).unwrap();
    site
}

#[test]
fn the_bin_gives_way_to_what_is_unpacked_and_to_what_is_copied() {
    let packed = Site::new();
    packed.put("save/big", &[7; 3 << 20]);
    for format in PACKED {
        let (bytes, _) = packed.pack("save", &["save"], format).unwrap();
        let site = with_a_full_bin();
        site.unpack(&bytes, format, "x", Replace::No).unwrap();
        let usage = site.0.site.usage().unwrap();
        assert!(usage.bin < 1 << 20, "{format:?}: {usage:?}");
        assert_eq!(fs::metadata(site.at("x/big")).unwrap().size(), 3 << 20);
    }
    let site = with_a_full_bin();
    site.0.site.make(&at("d"), false).unwrap();
    site.0.write("d/half", &vec![7; 3 << 19]).unwrap();
    site.0.site.copy(&at("d"), &at("e"), Replace::No).unwrap();
    assert!(site.0.site.usage().unwrap().bin < 1 << 20);
}

#[test]
fn a_full_disk_leaves_nothing_of_an_archive_and_the_bin_gives_way() {
    if !root("mounting") {
        return;
    }
    // The mount is seen by this thread alone.
    std::thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNS).unwrap();
        let none: Option<&str> = None;
        let private = MsFlags::MS_REC | MsFlags::MS_PRIVATE;
        mount(none, "/", none, private, none).unwrap();
        let site = Site(House::of(Some(user()), None));
        let packed = Site::new();
        packed.put("save/a", b"small");
        packed.put("save/big", &[7; 3 << 20]);
        let home = site.0.files().parent().unwrap().to_path_buf();
        let (tmpfs, size) = (Some("tmpfs"), Some("size=4m,mode=711"));
        mount(tmpfs, &home, tmpfs, MsFlags::empty(), size).unwrap();
        let open = || {
            let (files, lasting) = (home.join("files"), Arc::new(Lasting::default()));
            super::super::super::site::Site::open(&files, Some(user()), None, lasting).unwrap()
        };
        let mut house = site.0;
        house.site = Arc::new(open());
        let site = Site(house);
        site.0.write("old", &vec![1; 2 << 20]).unwrap();
        site.0.site.make(&at("there"), false).unwrap();
        let before = site.names();
        for format in PACKED {
            let (bytes, _) = packed.pack("save", &["save"], format).unwrap();
            for to in ["x", "there"] {
                let error = site.unpack(&bytes, format, to, Replace::No).unwrap_err();
                let full = matches!(&error, FilesError::DiskFull(path) if *path == at(to));
                assert!(full, "{format:?}: {error}");
                assert_eq!(site.names(), before);
            }
        }
        // What was deleted gives way.
        site.0.site.delete(&at("old")).unwrap();
        let (bytes, _) = packed.pack("save", &["save"], Format::TarGz).unwrap();
        site.unpack(&bytes, Format::TarGz, "x", Replace::No)
            .unwrap();
        assert_eq!(super::super::super::bin::list(&site.0.site).unwrap(), []);
        umount2(&home, MntFlags::MNT_DETACH).unwrap();
        drop(site);
    })
    .join()
    .unwrap();
}

/// An archive of three files, the last of which goes into a folder of its own.
fn three() -> Vec<u8> {
    use EntryType::Regular;
    tar(&[
        (b"a", Regular, b"", b"new"),
        (b"b", Regular, b"", b"new"),
        (b"new/x", Regular, b"", b"new"),
        (b"shut/x", Regular, b"", b"new"),
    ])
}

fn contents(site: &Site) -> Vec<(String, Option<Vec<u8>>)> {
    let names = site.names().into_iter();
    names
        .map(|name| {
            let content = fs::read(site.at(&name)).ok();
            (name, content)
        })
        .collect()
}

#[test]
fn what_cannot_come_into_place_as_a_whole_is_put_back() {
    let site = Site(House::of(root("another user").then(user), None));
    site.0.site.make(&at("there/shut"), true).unwrap();
    site.0.write("there/b", b"old").unwrap();
    site.0.write("there/shut/mine", b"mine").unwrap();
    // Found out only when all else is moved already.
    site.0.site.set_mode(&at("there/shut"), 0o555).unwrap();
    let before = contents(&site);
    let error = site
        .unpack(&three(), Format::Tar, "there", Replace::Yes)
        .unwrap_err();
    assert!(matches!(error, FilesError::NotPermitted(_)), "{error}");
    assert_eq!(contents(&site), before);
    site.0.site.set_mode(&at("there/shut"), 0o755).unwrap();
    site.unpack(&three(), Format::Tar, "there", Replace::Yes)
        .unwrap();
    assert_eq!(fs::read(site.at("there/b")).unwrap(), b"new");
    assert_eq!(fs::read(site.at("there/shut/mine")).unwrap(), b"mine");
    assert_eq!(site.names().len(), 8);
}

/// Files as a daemon leaves them that dies after `moved` of three moves: `a` and `new` were not there, `b` was.
fn killed(site: &Site, moved: usize) {
    let home = site.0.files().parent().unwrap().to_path_buf();
    let aside = home.join("passing/held/dead");
    fs::create_dir_all(aside.join("new")).unwrap();
    for name in ["a", "b", "new/x"] {
        fs::write(aside.join(name), "new").unwrap();
    }
    let number = |name: &str| fs::metadata(aside.join(name)).unwrap().ino();
    let moves: Vec<_> = ["a", "b", "new"].map(|name| (name, number(name))).into();
    let note = serde_json::json!({ "to": "there", "moves": moves });
    assert!(serde_json::from_value::<Merge>(note.clone()).is_ok());
    if root("another user") {
        for path in ["", "a", "b", "new", "new/x"] {
            chown(aside.join(path), Some(user()), Some(user())).unwrap();
        }
    }
    fs::write(home.join("passing/dead"), note.to_string()).unwrap();
    let there = site.at("there");
    if moved > 0 {
        fs::rename(aside.join("a"), there.join("a")).unwrap();
    }
    if moved > 1 {
        fs::rename(there.join("b"), aside.join("old")).unwrap();
        fs::rename(aside.join("b"), there.join("b")).unwrap();
        fs::rename(aside.join("old"), aside.join("b")).unwrap();
    }
    if moved > 2 {
        fs::rename(aside.join("new"), there.join("new")).unwrap();
    }
}

#[test]
fn a_crash_while_it_comes_into_place_is_undone_at_the_next_start() {
    for moved in 0..=3 {
        let site = Site(House::of(root("another user").then(user), None));
        site.0.site.make(&at("there"), false).unwrap();
        site.0.write("there/b", b"old").unwrap();
        let before = contents(&site);
        killed(&site, moved);
        let home = site.0.files().parent().unwrap().to_path_buf();
        // While it is not undone, what is to be put back is not swept away.
        assert_eq!(passing::sweep(&home).unwrap(), 0);
        Lasting::default().settle(&home);
        assert_eq!(passing::sweep(&home).unwrap(), 1);
        assert_eq!(contents(&site), before, "after {moved}");
    }
}

#[test]
fn what_the_game_wrote_after_a_crash_stays() {
    let site = Site(House::of(root("another user").then(user), None));
    site.0.site.make(&at("there"), false).unwrap();
    site.0.write("there/b", b"old").unwrap();
    killed(&site, 3);
    site.0.write("there/b", b"newer").unwrap();
    let home = site.0.files().parent().unwrap().to_path_buf();
    passing::recover(&home).unwrap();
    passing::sweep(&home).unwrap();
    assert_eq!(site.names(), ["there", "there/b"]);
    assert_eq!(fs::read(site.at("there/b")).unwrap(), b"newer");
}

#[test]
fn what_another_run_left_goes_and_what_is_at_work_stays() {
    let site = Site::new();
    let home = site.0.files().parent().unwrap().to_path_buf();
    let held = home.join("passing/held");
    fs::create_dir_all(held.join("dead/deep/er")).unwrap();
    fs::write(held.join("dead/deep/file"), "x").unwrap();
    fs::write(held.join("dead-file"), "x").unwrap();
    // Torn when the power went: nothing had been moved.
    fs::write(home.join("passing/dead"), "{\"to\":").unwrap();
    fs::set_permissions(held.join("dead/deep"), fs::Permissions::from_mode(0o000)).unwrap();
    let making = passing::Making::begin(&site.0.site).unwrap();
    passing::recover(&home).unwrap();
    assert_eq!(passing::sweep(&home).unwrap(), 2);
    assert_eq!(site.0.passing(), [making.name().lossy()]);
    drop(making);
    assert_eq!(site.0.passing(), [""; 0]);
}
