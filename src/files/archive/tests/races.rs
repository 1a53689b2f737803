//! A game that swaps folders and links while its files are packed and unpacked. Nothing outside is ever read or changed.

use std::sync::Arc;

use super::{
    super::{
        super::{
            Wish,
            tests::{
                at,
                races::{FEW, SECRET, swapped},
            },
        },
        handle::{Intake, inward, outward},
    },
    *,
};

fn has_no_secret(bytes: &[u8]) {
    let found = bytes.windows(SECRET.len()).any(|part| part == SECRET);
    assert!(!found, "the secret is in the archive");
}

#[test]
fn packing_never_leads_out() {
    swapped(FEW, |house, _| {
        let root = &house.site.root;
        for (base, chosen) in [("", ""), ("", "dir"), ("dir", "dir/sub"), ("", "other")] {
            let packing = gather(
                &root.enter().unwrap(),
                &at(base),
                &[at(chosen)],
                Format::Tar,
            );
            let Ok(packing) = packing else { continue };
            let mut bytes = Vec::new();
            pack(root, &packing, Format::Tar, &mut bytes).ok();
            has_no_secret(&bytes);
        }
        // As an archive among the files, as well.
        let inside = root.enter().unwrap();
        if let Ok(packing) = gather(&inside, &at("dir"), &[at("dir")], Format::Tar)
            && let Ok(mut file) = house
                .site
                .clone()
                .write(Wish::new(at("dir/all.tar"), Replace::Yes))
        {
            let mut bytes = Vec::new();
            pack(root, &packing, Format::Tar, &mut bytes).ok();
            file.put(&bytes).unwrap();
            file.finish().ok();
        }
    });
}

#[test]
fn unpacking_never_leads_out() {
    use EntryType::{Directory, Regular, Symlink};
    let bytes = tar(&[
        (b"file", Regular, b"", b"mine"),
        (b"sub/file", Regular, b"", b"mine"),
        (b"new", Directory, b"", b""),
        (b"new/file", Regular, b"", b"mine"),
        (b"link", Symlink, b"file", b""),
    ]);
    swapped(FEW, |house, round| {
        for to in [
            "dir",
            "other",
            "dir/sub",
            &format!("dir/to-{round}"),
            "plain",
        ] {
            let mut stream = &bytes[..];
            let source = Source::Stream(&mut stream);
            unpack(&house.site, source, Format::Tar, &at(to), Replace::Yes).ok();
        }
        // From an archive whose name is swapped, too.
        if let Ok((file, _)) = house.site.read(&at("dir/file")) {
            unpack(
                &house.site,
                Source::File(file),
                Format::Tar,
                &at("x"),
                Replace::Yes,
            )
            .unwrap_err();
        }
    });
}

#[test]
fn folders_as_streams_never_lead_out() {
    let sent = zip(&[
        ("file", b"mine"),
        ("sub/file", b"mine"),
        ("n/file", b"mine"),
    ]);
    swapped(FEW, |house, _| {
        let root = &house.site.root;
        let packing = gather(
            &root.enter().unwrap(),
            &at("dir"),
            &[at("dir")],
            Format::Tar,
        );
        if let Ok(packing) = packing {
            let (pieces, mut taken) = tokio::sync::mpsc::channel(1000);
            outward(&house.site, &packing, Format::Tar, pieces);
            let mut bytes = Vec::new();
            while let Some(Ok(piece)) = taken.blocking_recv() {
                bytes.extend_from_slice(&piece);
            }
            has_no_secret(&bytes);
        }
        for to in ["dir", "other", "dir/sub"] {
            let (pieces, taken) = tokio::sync::mpsc::channel(1);
            pieces.blocking_send(Ok(sent.clone().into())).unwrap();
            drop(pieces);
            let site: &Arc<_> = &house.site;
            inward(site, Intake::new(taken), Format::Zip, &at(to), Replace::Yes).ok();
        }
    });
}
