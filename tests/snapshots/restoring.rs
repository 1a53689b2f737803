//! What is restored is what was, and can be undone.

use std::{
    ffi::OsStr,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt as _, MetadataExt as _, PermissionsExt, symlink},
        net::UnixListener,
    },
};

use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use serde_json::json;

use super::{
    at,
    common::root,
    files,
    folder::{give, picture},
    house, names, number, take,
};

#[tokio::test]
async fn all_of_a_folder_comes_back_as_it_was_and_the_restore_can_be_undone() {
    let (house, id) = house(&[]).await;
    let top = files(&house, id);
    fs::create_dir_all(top.join("a/b/c")).unwrap();
    fs::create_dir(top.join("empty")).unwrap();
    fs::write(top.join("a/b/large"), super::noise(1, 5 << 20)).unwrap();
    fs::write(top.join("a/none"), "").unwrap();
    fs::write(top.join("new\nline"), "n").unwrap();
    fs::write(top.join(OsStr::from_bytes(b"latin \xe9\xff")), "l").unwrap();
    fs::write(top.join("back\\slash \"quoted\""), "q").unwrap();
    fs::write(top.join("x".repeat(255)), "long").unwrap();
    fs::hard_link(top.join("a/b/large"), top.join("a/again")).unwrap();
    symlink("/etc/passwd", top.join("out")).unwrap();
    symlink("../../..", top.join("a/up")).unwrap();
    symlink("nowhere", top.join("a/dangling")).unwrap();
    for (name, mode) in [
        ("a/none", 0o4755),
        ("new\nline", 0o400),
        ("a/b", 0o750),
        ("empty", 0o500),
    ] {
        fs::set_permissions(top.join(name), PermissionsExt::from_mode(mode)).unwrap();
    }
    give(&top);
    let before = picture(&top);
    // What cannot be kept is left out, and said.
    nix::unistd::mkfifo(&top.join("pipe"), Mode::S_IRWXU).unwrap();
    let _socket = UnixListener::bind(top.join("socket")).unwrap();
    let null = makedev(1, 3);
    let makes = root("a device");
    if makes {
        mknod(&top.join("device"), SFlag::S_IFCHR, Mode::S_IRWXU, null).unwrap();
    }
    give(&top);
    let taken = take(&house, id, json!({"label": "as it was"})).await;
    assert_eq!(
        (&taken["consistent"], &taken["label"]),
        (&json!(true), &json!("as it was"))
    );
    let notes = taken["notes"].to_string();
    assert!(
        notes.contains("pipe: is a pipe") && notes.contains("socket: is a socket"),
        "{notes}"
    );
    assert!(!makes || notes.contains("device: is a device"), "{notes}");
    let shown = names(&house, id, number(&taken), "").await;
    assert!(
        shown.contains(&"new\nline".to_owned())
            && shown.contains(&"latin \u{fffd}\u{fffd}".to_owned())
    );

    fs::remove_file(top.join("pipe")).unwrap();
    fs::remove_file(top.join("device")).ok();
    fs::remove_file(top.join("socket")).unwrap();
    fs::remove_dir_all(top.join("a/b")).unwrap();
    fs::write(top.join("new"), "after").unwrap();
    give(&top);
    let after = picture(&top);
    let restore = at(id, &format!("/{}/restore", number(&taken)));
    house.ok("POST", &restore, Some(json!({}))).await;
    let restored = picture(&top);
    for (name, is) in &before {
        let is = format!("{is:?}").replace("mode: 2541", "mode: 493"); // 04755: rights are not lent again
        let got = format!("{:?}", restored.get(name));
        assert!(
            got.contains(&is) || name == "a/none",
            "{name:?}: {got:.300}"
        );
    }
    assert_eq!(restored.len(), before.len());
    assert_eq!(
        fs::metadata(top.join("a/none"))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o755
    );

    let undo = house.ok("GET", &at(id, ""), None).await["undo"].clone();
    assert_eq!(undo["snapshot"], taken["id"]);
    house.ok("POST", &at(id, "/undo"), None).await;
    assert_eq!(picture(&top), after);
    let again = house.call("POST", &at(id, "/undo"), None).await;
    assert_eq!(super::common::code(&again), (409, "nothing-to-undo"));
    // Nothing is left aside, and the game still starts in its folder.
    let aside = house.state().join(format!("snapshots/{id}/aside"));
    assert_eq!(fs::read_dir(aside).unwrap().count(), 0);
    house.power(id, "start").await;
    house.until_state(id, "running").await;
}

#[tokio::test]
async fn a_file_or_folder_is_restored_where_it_was_or_elsewhere_and_undone() {
    let (house, id) = house(&[]).await;
    let top = files(&house, id);
    fs::create_dir_all(top.join("world/region")).unwrap();
    fs::write(top.join("world/region/r1"), "old").unwrap();
    fs::write(top.join("plan"), "old").unwrap();
    give(&top);
    let taken = number(&take(&house, id, json!({})).await);
    let restore = at(id, &format!("/{taken}/restore"));
    let read = |path: &str| fs::read_to_string(top.join(path)).ok();

    // A file in place, while the game runs.
    house.power(id, "start").await;
    house.until_state(id, "running").await;
    fs::write(top.join("plan"), "new").unwrap();
    let wish = |path: &str| Some(json!({"path": path}));
    house.ok("POST", &restore, wish("plan")).await;
    assert_eq!(read("plan").unwrap(), "old");
    house.ok("POST", &at(id, "/undo"), None).await;
    assert_eq!(read("plan").unwrap(), "new");

    // A folder that is gone, with the one that it was in.
    fs::remove_dir_all(top.join("world")).unwrap();
    house.ok("POST", &restore, wish("world/region")).await;
    assert_eq!(read("world/region/r1").unwrap(), "old");
    house.ok("POST", &at(id, "/undo"), None).await;
    assert_eq!(read("world/region/r1"), None);

    // Elsewhere, over what is there.
    let to = json!({"path": "plan", "to": "copies/of/plan"});
    house.ok("POST", &restore, Some(to.clone())).await;
    assert_eq!(read("copies/of/plan").unwrap(), "old");
    fs::write(top.join("copies/of/plan"), "mine").unwrap();
    house.ok("POST", &restore, Some(to)).await;
    assert_eq!(read("copies/of/plan").unwrap(), "old");
    house.ok("POST", &at(id, "/undo"), None).await;
    assert_eq!(read("copies/of/plan").unwrap(), "mine");
    let owner =
        |path: &str| std::os::unix::fs::MetadataExt::uid(&fs::metadata(top.join(path)).unwrap());
    assert_eq!(owner("copies/of"), owner("."));
}

#[tokio::test]
async fn what_takes_no_room_takes_none_when_it_is_restored() {
    let (house, id) = house(&[]).await;
    let top = files(&house, id);
    let sparse = fs::File::create(top.join("sparse")).unwrap();
    sparse.set_len(64 << 20).unwrap();
    sparse.write_all_at(b"here", 40 << 20).unwrap();
    give(&top);
    let taken = number(&take(&house, id, json!({})).await);
    let restore = at(id, &format!("/{taken}/restore"));
    let wish = json!({"path": "sparse", "to": "again"});
    house.ok("POST", &restore, Some(wish)).await;
    let again = top.join("again");
    assert!(fs::read(top.join("sparse")).unwrap() == fs::read(&again).unwrap());
    let room = fs::metadata(again).unwrap().blocks() * 512;
    assert!(room <= 16 << 20, "{room}");
}

#[tokio::test]
async fn all_of_a_running_server_is_restored_only_when_it_may_be_stopped() {
    let (house, id) = house(&[]).await;
    let top = files(&house, id);
    fs::write(top.join("plan"), "old").unwrap();
    give(&top);
    let taken = number(&take(&house, id, json!({})).await);
    fs::write(top.join("plan"), "new").unwrap();
    house.power(id, "start").await;
    house.until_state(id, "running").await;
    let restore = at(id, &format!("/{taken}/restore"));
    let refused = house.call("POST", &restore, Some(json!({}))).await;
    assert_eq!(super::common::code(&refused), (409, "not-stopped"));
    assert_eq!(fs::read_to_string(top.join("plan")).unwrap(), "new");
    let restored = house
        .ok("POST", &restore, Some(json!({"stop": true})))
        .await;
    assert_eq!(restored["started"], true);
    house.until_state(id, "running").await;
    assert_eq!(fs::read_to_string(top.join("plan")).unwrap(), "old");
    let refused = house.call("POST", &at(id, "/undo"), None).await;
    assert_eq!(super::common::code(&refused), (409, "not-stopped"));
    house
        .ok("POST", &at(id, "/undo"), Some(json!({"stop": true})))
        .await;
    house.until_state(id, "running").await;
    assert_eq!(fs::read_to_string(top.join("plan")).unwrap(), "new");
}

#[tokio::test]
async fn an_undo_lapses_with_the_recycle_bin() {
    let (house, id) = house(&["hosting.recycle=1s"]).await;
    let top = files(&house, id);
    fs::write(top.join("plan"), "old").unwrap();
    give(&top);
    let taken = number(&take(&house, id, json!({})).await);
    house
        .ok(
            "POST",
            &at(id, &format!("/{taken}/restore")),
            Some(json!({})),
        )
        .await;
    let aside = house.state().join(format!("snapshots/{id}/aside"));
    super::until(&house, "lapsed", async || {
        fs::read_dir(&aside).unwrap().count() == 0
    })
    .await;
    assert!(house.ok("GET", &at(id, ""), None).await["undo"].is_null());
}
