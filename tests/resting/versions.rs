//! Versions side by side: each in its own way onto the box, several at once, switched by a word.

use std::{fs, os::unix::fs::PermissionsExt, process::Command};

use serde_json::json;

use crate::common::{House, code};

const DEFINITION: &str = r#"
title = "Versions"
description = "Says which one it is."
versions = ["060", "060-beta1", "r12696"]
[install]
method = "dir"
path = "versions/game-{version}"
[version."060-beta1"]
program = "{shared}/game-beta/run.sh"
[version."060-beta1".install]
method = "archive"
path = "versions/beta.tar.gz"
shared = true
[run]
program = "{dir}/run.sh"
argv = ["{program}"]
[ready]
line = "this is"
[stop]
console = ["quit"]
"#;

fn script(folder: &std::path::Path, name: &str) {
    fs::create_dir_all(folder).expect("a folder");
    let file = folder.join("run.sh");
    let text = format!("#!/bin/sh\necho this is {name} in $0\nread line\n");
    fs::write(&file, text).expect("a script");
    fs::set_permissions(&file, PermissionsExt::from_mode(0o755)).expect("its mode");
}

#[tokio::test]
async fn versions_come_in_different_ways_and_run_side_by_side() {
    let mut house = House::unlocked(&[]);
    house.stock(&[("many", DEFINITION)]);
    let versions = house.data().join("versions");
    script(&versions.join("game-060"), "060");
    script(&versions.join("game-beta"), "the beta");
    let packed = Command::new("tar")
        .args(["-czf", "beta.tar.gz", "game-beta"])
        .current_dir(&versions)
        .status();
    assert!(packed.expect("tar").success());
    house.settle().await;

    let games = house.ok("GET", "/api/v1/games", None).await;
    let games = games.as_array().expect("games");
    let many = games
        .iter()
        .find(|game| game["name"] == "many")
        .expect("it");
    assert_eq!(many["unavailable"], json!(null));
    let missing = many["missing"]["r12696"].as_str().expect("why");
    assert!(
        missing.ends_with("versions/game-r12696 is not there"),
        "{missing}"
    );
    assert_eq!(many["missing"].as_object().expect("missing").len(), 1);
    let wish = |version: &str| json!({"game": "many", "version": version});
    let refused = house
        .call("POST", "/api/v1/servers", Some(wish("r12696")))
        .await;
    assert_eq!(code(&refused), (409, "game-unavailable"));

    let old = house.create(wish("060")).await;
    let (beta, second) = (
        house.create(wish("060-beta1")).await,
        house.create(wish("060-beta1")).await,
    );
    for id in [old, beta, second] {
        house.power(id, "start").await;
    }
    house
        .hears(
            old,
            &format!(
                "this is 060 in {}",
                house
                    .state()
                    .join(format!("servers/{old}/files/run.sh"))
                    .display()
            ),
        )
        .await;
    let shared = format!(
        "this is the beta in {}",
        house.state().join("versions/many/060-beta1-").display()
    );
    house.hears(beta, &shared).await;
    house.hears(second, &shared).await;
    let folder = fs::read_dir(house.state().join("versions/many")).expect("versions");
    assert_eq!(folder.count(), 1, "unpacked once for both");

    // A version that cannot be had stops nothing.
    let to = |version: &str| Some(json!({ "version": version }));
    let path = House::at(old, "/version");
    let refused = house.call("POST", &path, to("r12696")).await;
    assert_eq!(code(&refused), (409, "game-unavailable"));
    let refused = house.call("POST", &path, to("14.1")).await;
    assert_eq!(code(&refused), (422, "no-such-version"));
    house.until_state(old, "running").await;
    let switched = house.ok("POST", &path, to("060-beta1")).await;
    assert_eq!(
        (&switched["stopped"], &switched["from"]),
        (&json!(true), &json!("060"))
    );
    assert_eq!(switched["server"]["version"], "060-beta1");
    assert_eq!(switched["server"]["state"], "stopped");
    house.power(old, "start").await;
    house.hears(old, &shared).await;
    // One that goes on meanwhile has the version that it was started with.
    let (done, _, err) = house.verb(&["server", "switch", &beta.to_string(), "060"]);
    assert_eq!(done, 0, "{err}");
    assert!(
        err.contains("060 instead of 060-beta1, stopped for it"),
        "{err}"
    );
}
