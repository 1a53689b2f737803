//! What leads out, goes off or is cut short, made by hand.

use std::{
    fs,
    io::{Read as _, Seek as _, Write as _},
    os::unix::fs::MetadataExt as _,
    path::Path,
};

use super::*;

/// A file of these bytes, from its beginning.
fn reread(bytes: &[u8]) -> File {
    let mut file = file(bytes);
    file.rewind().unwrap();
    file
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
fn second_names_of_a_large_file_are_a_bomb_as_well() {
    let site = Site::new();
    let size = 100 << 20;
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder
        .write_all(&header(b"zeros", EntryType::Regular, b"", size, 0o644))
        .unwrap();
    std::io::copy(&mut std::io::repeat(0).take(size), &mut encoder).unwrap();
    for name in [b"1", b"2", b"3"] {
        encoder
            .write_all(&header(name, EntryType::Link, b"zeros", 0, 0o644))
            .unwrap();
    }
    encoder.write_all(&[0; 1024]).unwrap();
    let bomb = encoder.finish().unwrap();
    let mut stream = &bomb[..];
    for source in [Source::Stream(&mut stream), Source::File(reread(&bomb))] {
        let error = unpack(
            &site.0.site,
            source,
            Format::TarZst,
            &path("new"),
            Replace::No,
        );
        let error = error.map(|_| ()).unwrap_err().to_string();
        assert!(error.contains("out of proportion"), "{error}");
        assert_eq!(site.names(), [""; 0]);
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

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn any_bytes_are_unpacked_or_refused_and_leave_nothing_outside(
        bytes in prop::collection::vec(any::<u8>(), 0..600), format in prop::sample::select(&PACKED[..]),
    ) {
        let site = Site::new();
        site.unpack(&bytes, format, "x", Replace::No).ok();
        prop_assert!(site.names().iter().all(|name| name == "x" || name.starts_with("x/")));
    }
}
