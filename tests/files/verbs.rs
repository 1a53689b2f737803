use std::fs;

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
