use std::{
    fs,
    os::unix::fs::{PermissionsExt, symlink},
};

use crate::{noise, open};

#[tokio::test]
async fn the_command_line_sends_fetches_deletes_and_has_back() {
    let (house, _) = open(&[]).await;
    let server = "ada_1";
    let folder = tempfile::tempdir().unwrap();
    let tree = folder.path().join("maps");
    fs::create_dir_all(tree.join("old")).unwrap();
    let big = noise(9 << 20);
    fs::write(tree.join("big.map"), &big).unwrap();
    fs::write(tree.join("old/empty"), "").unwrap();
    fs::write(tree.join("old/notes"), "one\nFriday night\n").unwrap();
    let ok = |arguments: &[&str]| {
        let (code, out, told) = house.verb(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{told}");
        out
    };
    ok(&["files", "put", server, tree.to_str().unwrap()]);
    let list = ok(&["files", "ls", server, "maps"]);
    assert!(
        list.contains("big.map") && list.contains("folder"),
        "{list}"
    );
    let back = folder.path().join("back");
    ok(&[
        "files",
        "get",
        server,
        "maps/big.map",
        back.to_str().unwrap(),
    ]);
    assert_eq!(fs::read(&back).unwrap(), big);
    let shown = ok(&["files", "get", server, "maps/old/notes", "-"]);
    assert_eq!(shown, "one\nFriday night\n");
    let found = ok(&["files", "find", server, "--text", "Friday"]);
    assert_eq!(found, "maps/old/notes:2: Friday night\n");
    ok(&["files", "mv", server, "maps/old/notes", "notes"]);
    ok(&["files", "cp", server, "maps", "copy"]);
    ok(&["files", "mkdir", server, "a/b"]);
    ok(&["files", "chmod", server, "notes", "600"]);
    ok(&["files", "rm", server, "maps"]);
    assert!(ok(&["files", "bin", server]).contains("maps"));
    ok(&["files", "undo", server]);
    let (code, _, told) = house.verb(&["files", "undo", server]);
    assert_eq!((code, told.as_str()), (1, "error: the bin is empty\n"));
    assert_eq!(
        ok(&["files", "find", server, "--name", "*.map"])
            .lines()
            .count(),
        2
    );
    assert!(ok(&["files", "usage", server]).contains("limit"));
    let (code, _, told) = house.verb(&["files", "get", server, "../../lock", "-"]);
    assert_eq!(code, 1);
    assert!(told.contains("`..`"), "{told}");
}

#[tokio::test]
async fn the_command_line_packs_unpacks_and_fetches_whole_folders() {
    let (house, id) = open(&[]).await;
    let server = "ada_1";
    let here = tempfile::tempdir().unwrap();
    let path = |name: &str| here.path().join(name).to_str().unwrap().to_owned();
    fs::create_dir_all(here.path().join("maps/old")).unwrap();
    let big = noise(3_000_000);
    fs::write(path("maps/big.map"), &big).unwrap();
    fs::write(path("maps/old/run"), "#!/bin/sh").unwrap();
    let mode = |name: &str| fs::metadata(path(name)).unwrap().permissions().mode() & 0o777;
    fs::set_permissions(path("maps/old/run"), PermissionsExt::from_mode(0o700)).unwrap();
    let ok = |arguments: &[&str]| {
        let (code, out, told) = house.verb(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{told}");
        (out, told)
    };
    let no = |arguments: &[&str]| {
        let (code, out, told) = house.verb(arguments);
        assert_eq!(code, 1, "{arguments:?}: {out}{told}");
        told
    };
    ok(&["files", "put", server, &path("maps")]);
    let files = house.state().join(format!("servers/{id}/files"));
    symlink("/etc", files.join("maps/out")).unwrap();

    // In place.
    ok(&["files", "mkdir", server, "box"]);
    let (_, told) = ok(&["files", "pack", server, "box/all.tar.zst", "maps"]);
    assert!(told.contains("packed 3000009 bytes in 2 files"), "{told}");
    let told = no(&["files", "pack", server, "box/all.tar.zst", "maps"]);
    assert!(told.contains("there is a"), "{told}");
    let again = [
        "files",
        "pack",
        server,
        "box/all.tar.zst",
        "maps/old",
        "--base",
    ];
    ok(&[&again[..], &["maps", "--replace"]].concat());
    let told = no(&["files", "pack", server, "all.rar", "maps"]);
    assert!(told.contains("zip"), "{told}");
    let (_, told) = ok(&["files", "unpack", server, "box/all.tar.zst", "--to", "new"]);
    assert!(told.contains("unpacked 9 bytes in 1 files"), "{told}");
    assert_eq!(fs::read(files.join("new/old/run")).unwrap(), b"#!/bin/sh");
    let unpack = ["files", "unpack", server, "box/all.tar.zst"];
    ok(&unpack);
    assert!(no(&unpack).contains("there is a"));
    ok(&[&unpack[..], &["--replace"]].concat());
    assert!(fs::exists(files.join("old/run")).unwrap());

    // A folder comes as a folder, and as a whole.
    let told = no(&["files", "get", server, "maps", &path("maps.file")]);
    assert!(told.contains("hint: -r fetches a folder"), "{told}");
    let (_, told) = ok(&["files", "get", "-r", server, "maps", &path("back")]);
    assert!(told.contains("left out: out"), "{told}");
    assert_eq!(fs::read(path("back/big.map")).unwrap(), big);
    assert_eq!(fs::read(path("back/old/run")).unwrap(), b"#!/bin/sh");
    assert_eq!(mode("back/old/run"), 0o700);
    assert!(!fs::exists(path("back/out")).unwrap());
    fs::write(path("back/mine"), "stays").unwrap();
    let told = no(&["files", "get", "-r", server, "maps", &path("back")]);
    assert!(told.contains("exists"), "{told}");
    assert!(fs::exists(path("back/mine")).unwrap());
    ok(&["files", "get", "-r", server, "", &path("all")]);
    assert_eq!(fs::read(path("all/maps/big.map")).unwrap(), big);

    // Or as an archive.
    ok(&["files", "get", "-r", server, "maps/old", &path("old.zip")]);
    let zipped = fs::File::open(path("old.zip")).unwrap();
    let mut zipped = zip::ZipArchive::new(zipped).unwrap();
    assert_eq!(zipped.by_name("run").unwrap().size(), 9);
    let (out, _) = ok(&["files", "get", "-r", server, "maps/old", "-"]);
    assert!(
        out.contains("ustar") && out.contains("#!/bin/sh"),
        "{out:?}"
    );

    let refused = [
        ("maps/big.map", "is not a folder"),
        ("none", "there is no"),
        ("maps/out", "is not a folder"),
        ("../..", "`..`"),
    ];
    for (what, why) in refused {
        let told = no(&["files", "get", "-r", server, what, &path("none")]);
        assert!(told.contains(why), "{told}");
    }
    let told = no(&["files", "get", "-r", server, "maps", &path("x.tar.bz2")]);
    assert!(told.contains("read only"), "{told}");
    let mut left: Vec<_> = fs::read_dir(here.path()).unwrap().collect();
    left.retain(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        !["maps", "back", "all", "old.zip"].contains(&name.to_str().unwrap())
    });
    assert!(left.is_empty(), "{left:?}");
}
