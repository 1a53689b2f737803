//! Which snapshots stay, what room they take, and whether they are whole.

use std::{fs, path::Path};

use serde_json::json;

use super::{at, common::code, files, folder::give, house, ids, names, noise, number, take, until};

/// Bytes of all files below.
fn weight(top: &Path) -> u64 {
    let mut all = 0;
    for entry in fs::read_dir(top).unwrap().map(|entry| entry.unwrap()) {
        let about = entry.metadata().unwrap();
        all += if about.is_dir() {
            weight(&entry.path())
        } else {
            about.len()
        };
    }
    all
}

#[tokio::test]
async fn what_is_the_same_is_stored_once_and_what_is_deleted_gives_its_room_back() {
    let (house, id) = house(&[]).await;
    let (top, stored) = (
        files(&house, id),
        house.state().join(format!("snapshots/{id}/repository")),
    );
    fs::write(top.join("one"), noise(1, 6 << 20)).unwrap();
    fs::write(top.join("copy of one"), noise(1, 6 << 20)).unwrap();
    fs::write(top.join("text"), "what compresses well ".repeat(200_000)).unwrap();
    give(&top);
    let first = take(&house, id, json!({})).await;
    let after_first = weight(&stored);
    assert!(after_first < 8 << 20, "{after_first}");
    assert!(first["bytes"].as_u64() > Some(15 << 20) && first["added"].as_u64() < Some(8 << 20));
    fs::write(top.join("two"), noise(2, 6 << 20)).unwrap();
    give(&top);
    let second = take(&house, id, json!({})).await;
    let added = second["added"].as_u64().unwrap();
    assert!((6 << 20..7 << 20).contains(&added), "{added}");
    house
        .ok("DELETE", &at(id, &format!("/{}", number(&second))), None)
        .await;
    let left = weight(&stored);
    assert!(left < after_first + (1 << 20), "{left} of {after_first}");
    assert_eq!(names(&house, id, number(&first), "").await.len(), 3);
}

#[tokio::test]
async fn the_rules_say_what_stays_and_what_is_pinned_stays_anyway() {
    let (house, id) = house(&[]).await;
    let rules = |last: u32| json!({"last": last, "hourly": 0, "daily": 0, "weekly": 0});
    house.ok("PUT", &at(id, "/rules"), Some(rules(3))).await;
    let mut taken = Vec::new();
    for n in 0..5 {
        fs::write(files(&house, id).join("turn"), n.to_string()).unwrap();
        taken.push(number(&take(&house, id, json!({"pinned": n == 0})).await));
    }
    assert_eq!(
        ids(&house, id).await,
        [taken[0], taken[2], taken[3], taken[4]]
    );
    house.ok("PUT", &at(id, "/rules"), Some(rules(1))).await;
    assert_eq!(ids(&house, id).await, [taken[0], taken[4]]);
    let patch = json!({"pinned": false, "label": "the first"});
    let changed = house
        .ok("PATCH", &at(id, &format!("/{}", taken[0])), Some(patch))
        .await;
    assert_eq!(
        (&changed["pinned"], &changed["label"]),
        (&json!(false), &json!("the first"))
    );
    take(&house, id, json!({})).await;
    assert_eq!(ids(&house, id).await.len(), 1);
    let gone = house
        .call("GET", &at(id, &format!("/{}", taken[0])), None)
        .await;
    assert_eq!(code(&gone), (404, "no-such-snapshot"));
}

#[tokio::test]
async fn a_byte_that_flipped_is_found_and_the_snapshots_that_it_touches_are_named() {
    let (house, id) = house(&[]).await;
    let (top, stored) = (
        files(&house, id),
        house
            .state()
            .join(format!("snapshots/{id}/repository/data")),
    );
    let packs = || {
        let mut packs = Vec::new();
        for folder in fs::read_dir(&stored).unwrap() {
            let inner = fs::read_dir(folder.unwrap().path()).unwrap();
            packs.extend(inner.map(|entry| entry.unwrap().path()));
        }
        packs
    };
    fs::write(top.join("whole"), noise(1, 1 << 20)).unwrap();
    give(&top);
    let first = number(&take(&house, id, json!({})).await);
    let before = packs();
    fs::write(top.join("broken"), noise(2, 1 << 20)).unwrap();
    give(&top);
    let second = number(&take(&house, id, json!({})).await);
    let check = house.ok("POST", &at(id, "/verify"), None).await;
    assert_eq!(
        (&check["faults"], &check["damaged"]),
        (&json!([]), &json!([]))
    );

    let largest = packs()
        .into_iter()
        .filter(|pack| !before.contains(pack))
        .max_by_key(|pack| fs::metadata(pack).unwrap().len());
    let pack = largest.unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    bytes[1000] ^= 1;
    fs::write(&pack, bytes).unwrap();
    let check = house.ok("POST", &at(id, "/verify"), None).await;
    assert_eq!(check["damaged"], json!([second]), "{check}");
    let all = house.ok("GET", &at(id, ""), None).await;
    assert_eq!(all["checked"], check);
    assert_eq!(all["snapshots"][0]["damaged"], json!([]));
    assert_eq!(all["snapshots"][1]["damaged"], json!(["broken"]));
    // What is whole can still be had, and what is not is refused rather than made up.
    let restore = |snapshot: u64, path: &str| {
        (
            at(id, &format!("/{snapshot}/restore")),
            Some(json!({"path": path, "to": "back"})),
        )
    };
    let (place, wish) = restore(first, "whole");
    house.ok("POST", &place, wish).await;
    assert_eq!(fs::read(top.join("back")).unwrap(), noise(1, 1 << 20));
    let (place, wish) = restore(second, "broken");
    let (status, answer) = house.call("POST", &place, wish).await;
    assert_eq!(status, 500, "{answer}");
    assert_eq!(fs::read(top.join("back")).unwrap(), noise(1, 1 << 20));
    let (exit, out, _) = house.verb(&["snapshot", "verify", &id.to_string()]);
    assert!(
        exit == 1 && out.contains(&format!("snapshot {second} is damaged")),
        "{out}"
    );
}

#[tokio::test]
async fn the_snapshots_of_a_server_go_when_its_folder_is_purged() {
    let (mut house, id) = house(&["hosting.recycle=1s"]).await;
    take(&house, id, json!({})).await;
    let kept = house.state().join(format!("snapshots/{id}"));
    let name = house
        .ok("GET", &super::common::House::at(id, ""), None)
        .await["name"]
        .clone();
    let path = format!("/api/v1/servers/{id}?confirm={}", name.as_str().unwrap());
    house.ok("DELETE", &path, None).await;
    assert!(
        kept.exists(),
        "as long as the folder can be had back, they can"
    );
    let deleted = std::time::Instant::now();
    until(&house, "old enough", async || {
        deleted.elapsed().as_millis() > 1100
    })
    .await;
    assert!(house.stop());
    house.start();
    until(&house, "gone", async || !kept.exists()).await;
}
