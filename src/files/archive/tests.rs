//! Archives as they should be, and hostile ones of every kind, made by hand.

use std::{
    fs::{self, File},
    io::{Cursor, Read, Write},
    os::unix::{
        ffi::OsStrExt as _,
        fs::{MetadataExt as _, PermissionsExt, symlink},
    },
    path::Path,
};

use proptest::prelude::*;
use tar::{EntryType, Header};
use tempfile::TempDir;
use zip::{ZipWriter, write::SimpleFileOptions};

use super::{
    super::{
        FilePath, FilesError,
        copy::Copied,
        root::{Replace, Root},
    },
    extract::unpack,
    pack::{gather, pack},
    read::Source,
    *,
};

const PACKED: [Format; 4] = [Format::Zip, Format::Tar, Format::TarGz, Format::TarZst];

struct Site {
    home: TempDir,
    root: Root,
}

fn path(text: &str) -> FilePath {
    FilePath::parse(text.as_bytes()).unwrap()
}

impl Site {
    fn new() -> Self {
        let home = tempfile::tempdir().unwrap();
        let root = Root::open(home.path(), None).unwrap();
        Self { home, root }
    }

    fn at(&self, name: &str) -> std::path::PathBuf {
        self.home.path().join(name)
    }

    fn put(&self, name: &str, content: &[u8]) {
        let file = self.at(name);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(file, content).unwrap();
    }

    fn pack(
        &self,
        base: &str,
        chosen: &[&str],
        format: Format,
    ) -> Result<(Vec<u8>, Copied), FilesError> {
        let chosen: Vec<_> = chosen.iter().map(|chosen| path(chosen)).collect();
        let packing = gather(&self.root.enter()?, &path(base), &chosen, format)?;
        let mut bytes = Vec::new();
        let copied = pack(&self.root, &packing, format, &mut bytes)?;
        Ok((bytes, copied))
    }

    fn unpack(
        &self,
        bytes: &[u8],
        format: Format,
        to: &str,
        replace: Replace,
    ) -> Result<Copied, FilesError> {
        self.unpack_within(bytes, format, to, replace, u64::MAX)
    }

    fn unpack_within(
        &self,
        bytes: &[u8],
        format: Format,
        to: &str,
        replace: Replace,
        limit: u64,
    ) -> Result<Copied, FilesError> {
        let mut stream = bytes;
        let source = match format {
            Format::Zip => Source::File(file(bytes)),
            _ => Source::Stream(&mut stream),
        };
        let mut used = 0;
        unpack(
            &self.root.enter()?,
            source,
            format,
            &path(to),
            replace,
            &mut |more| {
                used += more;
                match used > limit {
                    true => Err(FilesError::OverLimit {
                        limit,
                        used,
                        wanted: more,
                    }),
                    false => Ok(()),
                }
            },
        )
    }

    /// Refused, and nothing of it is left.
    fn refuses(&self, bytes: &[u8], format: Format, why: &str) {
        let before = self.names();
        for to in ["new", "there", ""] {
            let error = self.unpack(bytes, format, to, Replace::Yes);
            let error = error.map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(why), "{why}: {error}");
            assert_eq!(self.names(), before, "{why}: something is left");
        }
    }

    /// Everything there is, sorted.
    fn names(&self) -> Vec<String> {
        let mut all = Vec::new();
        let mut folders = vec![self.home.path().to_path_buf()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder).unwrap() {
                let entry = entry.unwrap();
                let name = entry.path();
                let name = name.strip_prefix(self.home.path()).unwrap();
                all.push(String::from_utf8_lossy(name.as_os_str().as_bytes()).into_owned());
                if entry.file_type().unwrap().is_dir() {
                    folders.push(entry.path());
                }
            }
        }
        all.sort();
        all
    }
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A name as it stands, a type, where it leads, and content.
type Put<'a> = (&'a [u8], EntryType, &'a [u8], &'a [u8]);

/// A tar archive of these.
fn tar(entries: &[Put<'_>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, kind, target, content) in entries {
        bytes.extend(header(name, *kind, target, content.len() as u64, 0o644));
        bytes.extend_from_slice(content);
        bytes.resize(bytes.len().next_multiple_of(512), 0);
    }
    bytes.extend([0; 1024]);
    bytes
}

fn header(name: &[u8], kind: EntryType, target: &[u8], size: u64, mode: u32) -> Vec<u8> {
    let mut header = Header::new_ustar();
    header.as_old_mut().name[..name.len()].copy_from_slice(name);
    header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(mode);
    header.set_mtime(1_700_000_000);
    header.set_cksum();
    header.as_bytes().to_vec()
}

fn zip(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut writer = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        writer
            .start_file(*name, SimpleFileOptions::default())
            .unwrap();
        writer.write_all(content).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// `bytes` with every `from` made `to`, which is as long.
fn patched(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while let Some(found) = bytes[at..]
        .windows(from.len())
        .position(|part| part == from)
    {
        bytes[at + found..at + found + to.len()].copy_from_slice(to);
        at += found + to.len();
    }
    bytes
}

fn bz2(bytes: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let mut encoder = bzip2::read::BzEncoder::new(bytes, bzip2::Compression::fast());
    encoder.read_to_end(&mut packed).unwrap();
    packed
}

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
        assert!(
            !site
                .names()
                .iter()
                .any(|name| name.contains("longhouse-new")),
            "{:?}",
            site.names()
        );
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
fn whatever_leads_out_of_the_folder_is_refused() {
    use EntryType as T;
    let site = Site::new();
    site.put("there/mine", b"mine");
    let long = [b'n'; 100];
    let deep = b"d/".repeat(65);
    type One<'a> = (&'a [u8], T, &'a [u8], &'a [u8]);
    let cases: [(&[One<'_>], &str); 16] = [
        (&[(b"../x", T::Regular, b"", b"x")], "may not have `..`"),
        (&[(b"/etc/x", T::Regular, b"", b"x")], "without a slash"),
        (
            &[(b"a/../../x", T::Regular, b"", b"x")],
            "may not have `..`",
        ),
        (&[(b"l", T::Symlink, b"/etc/passwd", b"")], "leads out"),
        (&[(b"l", T::Symlink, b"../../x", b"")], "leads out"),
        (&[(b"l", T::Symlink, b"", b"")], "leads out"),
        (
            &[
                (b"l", T::Symlink, b"d", b""),
                (b"l/x", T::Regular, b"", b"x"),
            ],
            "lies in `l`",
        ),
        (
            &[
                (b"f", T::Regular, b"", b"x"),
                (b"f/x", T::Regular, b"", b"x"),
            ],
            "lies in `f`",
        ),
        (
            &[(b"h", T::Link, b"/etc/passwd", b"")],
            "does not come before",
        ),
        (
            &[(b"h", T::Link, b"../there/mine", b"")],
            "does not come before",
        ),
        (
            &[
                (b"h", T::Link, b"later", b""),
                (b"later", T::Regular, b"", b"x"),
            ],
            "does not come before",
        ),
        (&[(b"d", T::Char, b"", b"")], "is a device"),
        (&[(b"p", T::Fifo, b"", b"")], "is a pipe"),
        (&[(b"s", T::GNUSparse, b"", b"")], "sparse"),
        (
            &[
                (b"a", T::Regular, b"", b"1"),
                (b"./a", T::Regular, b"", b"2"),
            ],
            "twice",
        ),
        (
            &[
                (&long[..], T::GNULongName, b"", &deep),
                (b"x", T::Regular, b"", b""),
            ],
            "deeper than 64",
        ),
    ];
    for (entries, why) in cases {
        site.refuses(&tar(entries), Format::Tar, why);
    }
    let name = [b'n'; 256];
    let entries = tar(&[
        (b"././@LongLink", T::GNULongName, b"", &name),
        (b"x", T::Regular, b"", b""),
    ]);
    site.refuses(&entries, Format::Tar, "256 bytes");
    site.refuses(&zip(&[("a\\b", b"x")]), Format::Zip, "backslash");
    site.refuses(
        &zip(&[("../../evil", b"x")]),
        Format::Zip,
        "may not have `..`",
    );
    site.refuses(&zip(&[("/evil", b"x")]), Format::Zip, "without a slash");
    let twice = patched(&zip(&[("aaaa", b"1"), ("bbbb", b"2")]), b"bbbb", b"aaaa");
    site.refuses(&twice, Format::Zip, "twice");
    assert_eq!(fs::read(site.at("there/mine")).unwrap(), b"mine");
}

#[test]
fn a_link_at_the_top_may_not_climb_out_of_the_servers_folder() {
    let site = Site::new();
    let bytes = tar(&[(b"l", EntryType::Symlink, b"../x", b"")]);
    let error = site
        .unpack(&bytes, Format::Tar, "", Replace::No)
        .unwrap_err();
    assert!(error.to_string().contains("leads out"), "{error}");
    site.unpack(&bytes, Format::Tar, "d", Replace::No).unwrap();
    assert_eq!(fs::read_link(site.at("d/l")).unwrap(), Path::new("../x"));
}

#[test]
fn setuid_is_dropped_and_a_second_name_is_a_file_of_its_own() {
    let site = Site::new();
    let mut bytes = header(b"a", EntryType::Regular, b"", 1, 0o6777);
    bytes.extend(*b"x");
    bytes.resize(1024, 0);
    bytes.extend(header(b"b", EntryType::Link, b"a", 0, 0o6777));
    bytes.extend([0; 1024]);
    site.unpack(&bytes, Format::Tar, "x", Replace::No).unwrap();
    let [a, b] = ["x/a", "x/b"].map(|name| fs::metadata(site.at(name)).unwrap());
    assert_eq!((a.mode() & 0o7777, b.mode() & 0o7777), (0o755, 0o755));
    assert_ne!(a.ino(), b.ino());
    assert_eq!(a.mtime(), 1_700_000_000);
    // Nothing is newer than now.
    let mut late = Header::new_ustar();
    late.as_old_mut().name[0] = b'z';
    late.set_size(0);
    late.set_mode(0o600);
    late.set_mtime(0o777_7777_7777);
    late.set_cksum();
    let bytes = [&late.as_bytes()[..], &[0; 1024]].concat();
    site.unpack(&bytes, Format::Tar, "y", Replace::No).unwrap();
    let late = fs::metadata(site.at("y/z")).unwrap().modified().unwrap();
    assert!(late <= std::time::SystemTime::now());
}

#[test]
fn bombs_are_refused_before_they_go_off() {
    let site = Site::new();
    fs::create_dir(site.at("there")).unwrap();
    // 600 MiB of nothing, in some kilobytes.
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder
        .write_all(&header(b"zeros", EntryType::Regular, b"", 600 << 20, 0o644))
        .unwrap();
    std::io::copy(
        &mut std::io::repeat(0).take((600 << 20) + 1024),
        &mut encoder,
    )
    .unwrap();
    let bomb = encoder.finish().unwrap();
    let error = site.unpack(&bomb, Format::TarZst, "new", Replace::No);
    let error = error.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("out of proportion"), "{error}");
    assert_eq!(site.names(), ["there"]);
    // A name of hundreds of megabytes.
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder
        .write_all(&header(
            b"././@LongLink",
            EntryType::GNULongName,
            b"",
            200 << 20,
            0o644,
        ))
        .unwrap();
    std::io::copy(&mut std::io::repeat(b'n').take(200 << 20), &mut encoder).unwrap();
    site.refuses(
        &encoder.finish().unwrap(),
        Format::TarZst,
        "bytes in a header",
    );
    // A window of 2 GiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (31 - 10) << 3];
    frame.extend([0x01, 0, 0]);
    site.refuses(&frame, Format::TarZst, "damaged");
    // More entries than are taken, and a zip archive whose list says so.
    let mut many = Vec::new();
    let one = header(b"a/b/c", EntryType::Symlink, b"x", 0, 0o755);
    for number in 0..100_001 {
        let name = format!("{number}");
        let mut one = one.clone();
        one[..name.len()].copy_from_slice(name.as_bytes());
        let mut header = Header::from_byte_slice(&one).clone();
        header.as_old_mut().name[name.len()..].fill(0);
        header.set_cksum();
        many.extend_from_slice(header.as_bytes());
    }
    many.extend([0; 1024]);
    let error = site
        .unpack(&many, Format::Tar, "new", Replace::No)
        .unwrap_err();
    assert!(error.to_string().contains("100000 entries"), "{error}");
    assert_eq!(site.names(), ["there"]);
    // Both entries of a zip archive in the same bytes.
    let mut bytes = zip(&[("aaaa", b"some content"), ("bbbb", b"some content")]);
    let list = bytes
        .windows(4)
        .position(|part| part == b"PK\x01\x02")
        .unwrap();
    let second = list
        + 4
        + bytes[list + 4..]
            .windows(4)
            .position(|part| part == b"PK\x01\x02")
            .unwrap();
    bytes[second + 42..second + 46].fill(0);
    site.refuses(&bytes, Format::Zip, "overlap");
    // One that declares less than it holds.
    let bytes = zip(&[("a", &[b'x'; 5000])]);
    let small = patched(&bytes, &5000_u32.to_le_bytes(), &9_u32.to_le_bytes());
    let error = site
        .unpack(&small, Format::Zip, "new", Replace::No)
        .unwrap_err();
    assert!(
        error.to_string().contains("another size") || error.to_string().contains("damaged"),
        "{error}"
    );
    assert_eq!(site.names(), ["there"]);
}

#[test]
fn what_does_not_fit_leaves_nothing() {
    let site = Site::new();
    site.put("save/big", &[7; 3 << 20]);
    for format in PACKED {
        let (bytes, _) = site.pack("save", &["save"], format).unwrap();
        let before = site.names();
        let error = site
            .unpack_within(&bytes, format, "x", Replace::No, 2 << 20)
            .unwrap_err();
        assert!(matches!(error, FilesError::OverLimit { .. }), "{error}");
        assert_eq!(site.names(), before);
    }
}

#[test]
fn an_archive_that_is_cut_short_anywhere_is_refused() {
    let site = Site::new();
    site.put("save/a", b"some content");
    site.put("save/b", &[1; 700]);
    for format in PACKED {
        let (bytes, _) = site.pack("save", &["save"], format).unwrap();
        let before = site.names();
        // The last blocks of a tar archive are padding.
        let end = match format {
            Format::Tar => bytes.len() - 1024,
            _ => bytes.len() - 1,
        };
        for cut in (0..=end).step_by(13) {
            let error = site.unpack(&bytes[..cut], format, "x", Replace::No);
            assert!(error.is_err(), "{format:?} cut at {cut} of {}", bytes.len());
            assert_eq!(site.names(), before, "{format:?} cut at {cut}");
        }
    }
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

    #[test]
    fn any_bytes_are_unpacked_or_refused_and_leave_nothing_outside(
        bytes in prop::collection::vec(any::<u8>(), 0..600), format in prop::sample::select(&PACKED[..]),
    ) {
        let site = Site::new();
        site.unpack(&bytes, format, "x", Replace::No).ok();
        prop_assert!(site.names().iter().all(|name| name == "x" || name.starts_with("x/")));
    }
}
