//! Creating on a disk that has no room: all of it, or nothing.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use nix::mount::{MsFlags, mount};
use serde_json::json;

use crate::{
    GUESTS, PLAYERS,
    common::{
        House, code,
        disk::{fill, small_disk},
        game, root,
    },
};

fn inside(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).expect("a folder");
    let names = entries.map(|entry| entry.expect("an entry").file_name());
    names
        .map(|name| name.to_string_lossy().into_owned())
        .filter(|name| !name.starts_with("filler"))
        .collect()
}

async fn ids(house: &House) -> BTreeSet<String> {
    let servers = house.ok("GET", "/api/v1/servers", None).await;
    let servers = servers.as_array().expect("servers");
    servers
        .iter()
        .map(|server| server["id"].to_string())
        .collect()
}

#[tokio::test]
async fn a_creation_for_whose_folder_there_is_no_room_leaves_nothing() {
    if !root("a disk of one's own") {
        return;
    }
    let mut house = House::unlocked(&[]);
    small_disk(&house.state());
    let folder = house.state().join("servers");
    fs::create_dir(&folder).expect("a folder");
    let few = Some("nr_inodes=64,mode=711");
    mount(Some("tmpfs"), &folder, Some("tmpfs"), MsFlags::empty(), few).expect("root may");
    house.stock(&[("guests", &game(GUESTS, PLAYERS))]);
    house.settle().await;
    let first = house.create(json!({"game": "guests"})).await;
    let mut fillers: Vec<_> = (0..)
        .map(|n| folder.join(format!("filler{n}")))
        .take_while(|file| fs::write(file, "").is_ok())
        .collect();
    // Its home, its record as a file, its files: each of them fails once.
    for room in 0..3 {
        let failed = house
            .call("POST", "/api/v1/servers", Some(json!({"game": "guests"})))
            .await;
        assert_eq!(
            code(&failed),
            (500, "creation-failed"),
            "{room}: {failed:?}"
        );
        let why = failed.1["detail"].as_str().expect("a text");
        assert!(
            why.contains("nothing of it is left") && why.contains("No space left"),
            "{why}"
        );
        let only = BTreeSet::from([first.to_string()]);
        assert_eq!(inside(&folder), only, "room for {room}");
        assert_eq!(ids(&house).await, only, "room for {room}");
        fs::remove_file(fillers.pop().expect("a filler")).expect("it goes");
    }
    house.create(json!({"game": "guests"})).await;
    assert_eq!(inside(&folder), ids(&house).await);
}

#[tokio::test]
async fn a_creation_that_cannot_be_written_down_is_refused_and_leaves_nothing() {
    if !root("a disk of one's own") {
        return;
    }
    // Users enough: none of these servers ever runs.
    let mut house = House::unlocked(&["hosting.uids=2120000000-2120019999".into()]);
    small_disk(&house.state());
    // Large records, so that few of them take what is set aside for the store.
    let mut keys = PLAYERS.to_owned();
    let names: Vec<_> = (0..60).map(|n| format!("pad{n}")).collect();
    for name in &names {
        keys += &format!(
            "\n[settings.{name}]\ntype = \"text\"\ndescription = \"\"\ndefault = \"\"\nmax = 256"
        );
    }
    house.stock(&[("guests", &game(GUESTS, &keys))]);
    house.settle().await;
    let first = house.create(json!({"game": "guests"})).await;
    let filler = house.state().join("filler");
    let settings: BTreeMap<_, _> = names.iter().map(|name| (name, "x".repeat(250))).collect();
    for change in [json!({ "settings": settings }), json!({"title": "small"})] {
        loop {
            fill(&filler);
            let path = House::at(first, "");
            let answer = house.call("PATCH", &path, Some(change.clone())).await;
            if answer.0 != 200 {
                assert_eq!(code(&answer), (507, "disk-full"), "{answer:?}");
                break;
            }
        }
    }
    // The smallest may still have room; each that is acknowledged is there.
    let mut made = BTreeSet::from([first.to_string()]);
    let refused = loop {
        fill(&filler);
        let wish = Some(json!({"game": "guests"}));
        let (status, answer) = house.call("POST", "/api/v1/servers", wish).await;
        match status {
            201 => made.insert(answer["id"].to_string()),
            _ => break (status, answer),
        };
    };
    assert_eq!(code(&refused), (507, "disk-full"), "{refused:?}");
    assert_eq!(ids(&house).await, made);
    assert_eq!(inside(&house.state().join("servers")), made);
    fs::remove_file(&filler).expect("it goes");
    made.insert(house.create(json!({"game": "guests"})).await.to_string());
    house.kill();
    house.start();
    assert_eq!(ids(&house).await, made);
}
