//! What was packed comes back.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt, symlink},
    },
};

use super::*;

#[test]
fn what_was_packed_comes_back_with_modes_times_and_links() {
    for format in PACKED {
        let site = Site::new();
        site.put("save/a/game.sav", b"a game");
        site.put("save/run.sh", b"#!/bin/sh");
        site.put(&format!("save/{}", "n".repeat(255)), b"a long name");
        fs::create_dir_all(site.at("save/empty")).unwrap();
        fs::set_permissions(site.at("save/run.sh"), PermissionsExt::from_mode(0o755)).unwrap();
        symlink("a/game.sav", site.at("save/latest")).unwrap();
        nix::unistd::mkfifo(&site.at("save/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
        let (bytes, packed) = site.pack("save", &["save"], format).unwrap();
        assert_eq!(
            (packed.files, packed.folders, packed.links, packed.skipped),
            (3, 2, 1, 1),
            "{format:?}"
        );
        assert_eq!(
            Format::of_content(&bytes[..bytes.len().min(512)]),
            Some(format)
        );
        let unpacked = site.unpack(&bytes, format, "again", Replace::No).unwrap();
        assert_eq!(
            (unpacked.files, unpacked.links, unpacked.bytes),
            (3, 1, packed.bytes)
        );
        assert_eq!(fs::read(site.at("again/latest")).unwrap(), b"a game");
        assert!(site.at("again/empty").is_dir());
        let [before, after] =
            ["save/run.sh", "again/run.sh"].map(|name| fs::metadata(site.at(name)).unwrap());
        assert_eq!(after.mode() & 0o777, 0o755);
        assert!((before.mtime() - after.mtime()).abs() <= 2, "{format:?}");
        // It is there already: nothing is replaced, unless that is asked for.
        let refused = site
            .unpack(&bytes, format, "again", Replace::No)
            .unwrap_err();
        assert!(matches!(refused, FilesError::Exists(_)), "{refused}");
        site.put("again/a/game.sav", b"another");
        site.put("again/a/mine", b"mine");
        site.unpack(&bytes, format, "again", Replace::Yes).unwrap();
        assert_eq!(fs::read(site.at("again/a/game.sav")).unwrap(), b"a game");
        assert_eq!(fs::read(site.at("again/a/mine")).unwrap(), b"mine");
        site.names();
    }
}

#[test]
fn chosen_paths_keep_their_names_below_the_base() {
    let site = Site::new();
    site.put("a/b/c", b"c");
    site.put("a/d", b"d");
    site.put("e", b"e");
    let (bytes, _) = site.pack("a", &["a/b", "a/d"], Format::TarGz).unwrap();
    site.unpack(&bytes, Format::TarGz, "out", Replace::No)
        .unwrap();
    let names = site.names();
    let out: Vec<_> = names
        .iter()
        .filter(|name| name.starts_with("out/"))
        .collect();
    assert_eq!(out, ["out/b", "out/b/c", "out/d"]);
    let error = site.pack("a", &["e"], Format::Tar).unwrap_err().to_string();
    assert!(error.contains("must be in `a`"), "{error}");
}

#[test]
fn what_is_chosen_twice_comes_once() {
    for format in PACKED {
        let site = Site::new();
        site.put("pub/a/b", b"b");
        site.put("pub-b", b"c");
        let all = ["pub", "pub/a", "pub/a/b", "pub-b"];
        for (chosen, count) in [(&["", ""][..], 4), (&["pub/a/b", "pub/a", "pub", "pub"], 3)] {
            let (bytes, packed) = site.pack("", chosen, format).unwrap();
            assert_eq!(packed.files + packed.folders, count as u64, "{format:?}");
            site.unpack(&bytes, format, "out", Replace::No).unwrap();
            let names = site.names();
            let out = names.iter().filter_map(|name| name.strip_prefix("out/"));
            let mut expected: Vec<_> = all.into();
            expected.truncate(count);
            assert_eq!(out.collect::<BTreeSet<_>>(), expected.into_iter().collect());
            fs::remove_dir_all(site.at("out")).unwrap();
        }
        // What is not there is missed all the same.
        let error = site.pack("", &["pub", "pub/none"], format).unwrap_err();
        assert!(matches!(error, FilesError::NoSuchFile(_)), "{error}");
    }
}

#[test]
fn names_that_are_no_text_go_through_tar_and_are_refused_by_zip() {
    let site = Site::new();
    let odd = site.at("x").join(std::ffi::OsStr::from_bytes(b"a\xff\n"));
    fs::create_dir(site.at("x")).unwrap();
    fs::write(&odd, b"odd").unwrap();
    let (bytes, _) = site.pack("x", &["x"], Format::TarZst).unwrap();
    site.unpack(&bytes, Format::TarZst, "y", Replace::No)
        .unwrap();
    let again = site.at("y").join(std::ffi::OsStr::from_bytes(b"a\xff\n"));
    assert_eq!(fs::read(again).unwrap(), b"odd");
    let error = site.pack("x", &["x"], Format::Zip).unwrap_err().to_string();
    assert!(error.contains("take tar"), "{error}");
}

#[test]
fn bzip2_is_read_too() {
    let site = Site::new();
    let bytes = bz2(&tar(&[(b"a", EntryType::Regular, b"", b"content")]));
    assert_eq!(Format::of_content(&bytes), Some(Format::TarBz2));
    site.unpack(&bytes, Format::TarBz2, "x", Replace::No)
        .unwrap();
    assert_eq!(fs::read(site.at("x/a")).unwrap(), b"content");
}

#[test]
fn a_format_is_known_by_name() {
    for (name, format) in [
        ("A.ZIP", Some(Format::Zip)),
        ("a.tar", Some(Format::Tar)),
        ("a.tgz", Some(Format::TarGz)),
        ("a.tar.zst", Some(Format::TarZst)),
        ("a.tar.bz2", Some(Format::TarBz2)),
        ("a.rar", None),
    ] {
        assert_eq!(Format::of_name(name.as_bytes()), format, "{name}");
        if let Some(format) = format {
            assert_eq!(format.name().parse::<Format>().unwrap(), format);
        }
    }
    assert!("rar".parse::<Format>().is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_files_come_back_as_they_were(
        files in prop::collection::btree_map("[a-z]{1,3}(/[a-zé ]{1,3}){0,2}", prop::collection::vec(any::<u8>(), 0..3000), 0..6),
        format in prop::sample::select(&PACKED[..]),
    ) {
        let site = Site::new();
        fs::create_dir(site.at("save")).unwrap();
        let mut kept = Vec::new();
        for (name, content) in &files {
            let file = site.at("save").join(name);
            // What is a file cannot be a folder, too.
            if fs::create_dir_all(file.parent().unwrap()).is_ok() && !file.exists() && fs::write(&file, content).is_ok() {
                kept.push((name, content));
            }
        }
        let (bytes, _) = site.pack("save", &["save"], format).unwrap();
        site.unpack(&bytes, format, "again", Replace::No).unwrap();
        for (name, content) in kept {
            prop_assert_eq!(&fs::read(site.at("again").join(name)).unwrap(), content);
        }
    }
}
