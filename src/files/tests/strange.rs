//! Names, kinds and sizes that nobody expects.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{PermissionsExt as _, symlink},
        net::UnixListener,
    },
    time::{Duration, Instant},
};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};

use super::{
    super::{bin, find::Search},
    *,
};

#[test]
fn names_with_newlines_of_255_bytes_and_without_utf_8_are_names() {
    let house = House::new();
    let long = [b'x'; 255];
    for name in [&b"a\nb"[..], b"\xff\xfe", b"-rf *", &long] {
        let path = FilePath::parse(name).unwrap();
        let mut wish = wish("x");
        wish.path = path.clone();
        house.write_as(wish, b"here").unwrap();
        let real = house.files().join(OsStr::from_bytes(name));
        assert_eq!(fs::read(&real).unwrap(), b"here");
        let entry = house.site.enter().unwrap().entry(&path).unwrap();
        let told = entry.raw.unwrap_or(entry.name);
        assert_eq!(
            FilePath::from_raw(&told)
                .unwrap_or_default()
                .as_bytes()
                .len(),
            name.len()
        );
        let deletion = house.site.delete(&path).unwrap();
        assert!(!real.exists());
        house.site.undo(deletion.id, None).unwrap();
        assert_eq!(fs::read(&real).unwrap(), b"here");
    }
}

#[test]
fn a_page_goes_on_after_any_name_and_misses_none() {
    let house = House::new();
    let mut expected = Vec::new();
    for n in 0..250_u8 {
        if ![b'/', 0].contains(&n) {
            let name = [b'n', n];
            fs::write(house.files().join(OsStr::from_bytes(&name)), "").unwrap();
            expected.push(name.to_vec());
        }
    }
    let inside = house.site.enter().unwrap();
    let (mut after, mut found) = (None, Vec::new());
    loop {
        let (entries, next) = inside.page(&at(""), after.as_deref(), 7).unwrap();
        assert!(entries.len() <= 7);
        for entry in entries {
            let raw = entry
                .raw
                .unwrap_or_else(|| super::super::path::raw(entry.name.as_bytes()));
            found.push(FilePath::from_raw(&raw).unwrap().as_bytes().to_vec());
        }
        match next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    assert_eq!(found, expected);
}

#[test]
fn pipes_sockets_and_devices_are_listed_and_never_opened() {
    let house = House::new();
    nix::unistd::mkfifo(&house.files().join("pipe"), Mode::S_IRWXU).unwrap();
    let _listener = UnixListener::bind(house.files().join("socket")).unwrap();
    let mut special = vec![("pipe", "pipe"), ("socket", "socket")];
    if root("making a device") {
        // The kernel's memory, which nobody should open by chance.
        let device = makedev(1, 1);
        mknod(
            &house.files().join("device"),
            SFlag::S_IFCHR,
            Mode::S_IRWXU,
            device,
        )
        .unwrap();
        special.push(("device", "device"));
    }
    fs::write(house.files().join("plain"), "p").unwrap();
    symlink("pipe", house.files().join("to-pipe")).unwrap();
    for (name, expected) in &special {
        let entry = house.site.enter().unwrap().entry(&at(name)).unwrap();
        assert_eq!(entry.kind.name(), *expected);
        for refused in [
            house.read(name).map(drop),
            house.write(name, b"x").map(drop),
            house.site.append(&at(name), b"x").map(drop),
            house
                .site
                .copy(&at(name), &at("copy"), Replace::No)
                .map(drop),
        ] {
            let refused = refused.unwrap_err();
            assert!(
                matches!(refused, FilesError::Special { kind, .. } if kind == *expected),
                "{name}: {refused}"
            );
        }
    }
    assert!(matches!(
        house.read("to-pipe").unwrap_err(),
        FilesError::Special { .. }
    ));
    house.site.make(&at("d"), false).unwrap();
    for (name, _) in &special {
        let to = at(&format!("d/{name}"));
        house.site.rename(&at(name), &to, Replace::No).unwrap();
    }
    let copied = house.site.copy(&at("d"), &at("e"), Replace::No).unwrap();
    assert_eq!((copied.files, copied.skipped), (0, special.len() as u64));
    let search = Search::new(at(""), None, Some("p"), 9).unwrap();
    let found = house.site.enter().unwrap().search(&search).unwrap().found;
    assert_eq!(found.len(), 1);
    house.site.delete(&at("d")).unwrap();
    assert!(bin::drop_oldest(&house.site).unwrap());
}

#[test]
fn links_that_stay_inside_are_followed_to_read_and_never_to_write() {
    let house = House::new();
    house.site.make(&at("real"), false).unwrap();
    house.write("real/file", b"old").unwrap();
    symlink("real", house.files().join("folder")).unwrap();
    symlink("real/file", house.files().join("link")).unwrap();
    assert_eq!(house.read("folder/file").unwrap(), b"old");
    assert_eq!(house.read("link").unwrap(), b"old");
    assert!(matches!(
        house.site.append(&at("link"), b"x").unwrap_err(),
        FilesError::Link(_)
    ));
    house.write("link", b"new").unwrap();
    assert_eq!(house.read("real/file").unwrap(), b"old");
    assert_eq!(house.read("link").unwrap(), b"new");
    house.site.delete(&at("folder")).unwrap();
    assert_eq!(house.names("real"), ["file"]);
    let inside = house.site.enter().unwrap();
    inside.link(&at("real/up"), b"../link").unwrap();
    for out in [&b"/etc/passwd"[..], b"../../x", b"", b"../real/../../x"] {
        let refused = inside.link(&at("real/out"), out).unwrap_err();
        assert!(matches!(refused, FilesError::LeadsOut(_)), "{refused}");
    }
    symlink("/etc/passwd", house.files().join("out")).unwrap();
    assert!(matches!(
        house.read("out").unwrap_err(),
        FilesError::LeadsOut(_)
    ));
    symlink("circle", house.files().join("circle")).unwrap();
    assert!(matches!(
        house.read("circle").unwrap_err(),
        FilesError::Link(_)
    ));
}

#[test]
fn modes_are_nine_bits_and_a_replaced_file_keeps_its_own() {
    let house = House::new();
    let mode = |name: &str| {
        let about = fs::metadata(house.files().join(name)).unwrap();
        about.permissions().mode() & 0o7777
    };
    house.write("script", b"1").unwrap();
    assert_eq!(mode("script"), 0o644);
    house.site.set_mode(&at("script"), 0o6755).unwrap();
    assert_eq!(mode("script"), 0o755);
    house.write("script", b"2").unwrap();
    assert_eq!(mode("script"), 0o755);
    let mut private = wish("script");
    private.mode = Some(0o7600);
    house.write_as(private, b"3").unwrap();
    assert_eq!(mode("script"), 0o600);
}

#[test]
fn what_has_changed_meanwhile_or_is_not_what_was_announced_is_not_written() {
    let house = House::new();
    let seen = house.write("cfg", b"one").unwrap().tag;
    let tagged = |tag: &str| {
        let mut wish = wish("cfg");
        wish.tag = Some(tag.into());
        house.write_as(wish, b"two")
    };
    let now = tagged(&seen).unwrap().tag;
    assert!(matches!(tagged(&seen).unwrap_err(), FilesError::Changed(_)));
    tagged(&now).unwrap();
    tagged("*").unwrap();
    let mut sum = wish("cfg");
    sum.sha256 = Some([7; 32]);
    let refused = house.write_as(sum, b"three").unwrap_err();
    assert!(matches!(refused, FilesError::Checksum { .. }), "{refused}");
    let mut short = wish("cfg");
    short.size = Some(9);
    let refused = house.write_as(short, b"three").unwrap_err();
    assert!(matches!(
        refused,
        FilesError::Length {
            expected: 9,
            found: 5
        }
    ));
    let mut new = wish("cfg");
    new.replace = Replace::No;
    let refused = house.write_as(new, b"four").unwrap_err();
    assert!(matches!(refused, FilesError::Exists(_)));
    assert_eq!(house.read("cfg").unwrap(), b"two");
    assert_eq!(house.names(""), ["cfg"]);
}

#[test]
fn the_limit_holds_for_writes_and_copies_and_the_bin_gives_way() {
    let house = House::of(None, Some(1 << 20));
    let big = vec![7; 600 << 10];
    house.write("big", &big).unwrap();
    for refused in [
        house.write("more", &big).map(drop),
        house
            .site
            .copy(&at("big"), &at("copy"), Replace::No)
            .map(drop),
        house.site.append(&at("big"), &big).map(drop),
    ] {
        let refused = refused.unwrap_err();
        assert!(
            matches!(
                refused,
                FilesError::OverLimit {
                    limit: 1_048_576,
                    ..
                }
            ),
            "{refused}"
        );
    }
    assert_eq!(house.names(""), ["big"]);
    assert_eq!(house.read("big").unwrap(), big);
    let deletion = house.site.delete(&at("big")).unwrap();
    let usage = house.site.usage().unwrap();
    assert!(
        usage.bin >= 600 << 10 && usage.used >= usage.bin,
        "{usage:?}"
    );
    house.write("more", &big).unwrap();
    let gone = house.site.undo(deletion.id, None).unwrap_err();
    assert!(matches!(gone, FilesError::NoSuchDeletion(_)));
    // What cannot fit anyway costs the bin nothing.
    let kept = house.site.delete(&at("more")).unwrap();
    let mut huge = wish("huge");
    huge.size = Some(2 << 20);
    let huge = house.write_as(huge, b"").unwrap_err();
    assert!(matches!(huge, FilesError::OverLimit { .. }));
    house.site.undo(kept.id, None).unwrap();
    assert_eq!(house.read("more").unwrap(), big);
}

#[test]
fn folders_without_end_and_shut_ones_are_removed() {
    let house = House::of(root("another user").then(user), None);
    let inside = house.site.enter().unwrap();
    inside.make_all(&at("tree/a/b/c")).unwrap();
    for shut in ["tree/a/b", "tree/a"] {
        inside.set_mode(&at(shut), 0o000).unwrap();
    }
    let mut deep: std::os::fd::OwnedFd = inside.folder(&at("tree")).unwrap();
    for _ in 0..5000 {
        nix::sys::stat::mkdirat(&deep, "d", Mode::S_IRWXU).unwrap();
        let flags = nix::fcntl::OFlag::O_DIRECTORY;
        deep = nix::fcntl::openat(&deep, "d", flags, Mode::empty()).unwrap();
    }
    let soon = Instant::now() + Duration::from_secs(60);
    inside.remove_all(&at("tree"), soon).unwrap();
    drop(inside);
    assert!(house.names("").is_empty());
}

#[test]
fn a_search_finds_names_and_lines() {
    let house = House::new();
    house.site.make(&at("maps/old"), true).unwrap();
    house
        .write("server.cfg", b"port = 1\nname = Friday\n")
        .unwrap();
    house.write("maps/old/a.map", b"Friday").unwrap();
    let mut long = vec![b'x'; (64 << 10) - 3];
    long.extend_from_slice(b"\nand a needle here\n");
    house.write("maps/long", &long).unwrap();
    let find = |name, text| {
        let search = Search::new(at(""), name, text, 100).unwrap();
        let finds = house.site.enter().unwrap().search(&search).unwrap();
        assert!(finds.complete);
        let mut found: Vec<_> = finds.found.into_iter().collect();
        found.sort_by(|one, other| one.path.cmp(&other.path));
        found
    };
    let paths = |name, text| {
        let found = find(name, text).into_iter();
        found.map(|find| find.path).collect::<Vec<_>>()
    };
    assert_eq!(paths(Some("*.cfg"), None), ["server.cfg"]);
    assert_eq!(paths(Some("maps/**/*.map"), None), ["maps/old/a.map"]);
    assert_eq!(
        paths(None, Some("Friday")),
        ["maps/old/a.map", "server.cfg"]
    );
    assert_eq!(paths(Some("*.map"), Some("Friday")), ["maps/old/a.map"]);
    let hit = &find(None, Some("Friday"))[1];
    assert_eq!(
        (hit.line, hit.text.as_deref()),
        (Some(2), Some("name = Friday"))
    );
    let hit = &find(None, Some("needle"))[0];
    assert_eq!(
        (hit.line, hit.text.as_deref()),
        (Some(2), Some("and a needle here"))
    );
    assert!(Search::new(at(""), None, None, 1).is_err());
    assert!(Search::new(at(""), Some("[a"), None, 1).is_err());
}
