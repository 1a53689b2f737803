//! The main job, on real input: a real OpenTTD server that nothing but a command stops.

mod common;

use std::path::Path;

use common::{House, free_pool, installed};
use serde_json::json;

#[tokio::test]
async fn a_game_outlives_its_daemon_and_its_console_goes_on_without_gap_or_repeat() {
    if !installed("/usr/games/openttd") {
        return;
    }
    let mut house = House::open_with(&[free_pool()]).await;
    let server = house
        .ok(
            "POST",
            "/api/v1/servers",
            Some(json!({"game": "openttd", "title": "Friday night"})),
        )
        .await;
    let id = server["id"].as_u64().expect("an id");
    assert_eq!(server["name"], format!("ada_{id}"));
    house
        .ok("POST", &format!("/api/v1/servers/{id}/start"), None)
        .await;
    let running = house.until_state(id, "running").await;
    let pid = running["pid"].as_u64().expect("a pid");

    let mut live = house
        .socket(&format!("/api/v1/servers/{id}/console/live?since=1"))
        .await;
    let before = live.until_line("Map generated").await;
    live.send(json!({"line": "echo first-words"})).await;
    let mut seen = before;
    seen.extend(live.until_line("first-words").await);
    drop(live);

    house.kill();
    assert!(
        Path::new(&format!("/proc/{pid}")).exists(),
        "the game died with the daemon"
    );
    house.start();
    let again = house.until_state(id, "running").await;
    assert_eq!(again["pid"], pid, "the game was restarted");

    let next = seen.last().expect("entries")["seq"]
        .as_u64()
        .expect("a number")
        + 1;
    let mut live = house
        .socket(&format!("/api/v1/servers/{id}/console/live?since={next}"))
        .await;
    house
        .ok(
            "POST",
            &format!("/api/v1/servers/{id}/console"),
            Some(json!({"line": "echo second-words"})),
        )
        .await;
    seen.extend(live.until_line("second-words").await);
    let numbers: Vec<_> = seen
        .iter()
        .map(|entry| entry["seq"].as_u64().expect("a number"))
        .collect();
    assert_eq!(numbers, (1..=numbers.len() as u64).collect::<Vec<_>>());

    house
        .ok("POST", &format!("/api/v1/servers/{id}/stop"), None)
        .await;
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(stopped["exit"]["code"], 0, "{stopped:#}");
    assert!(!Path::new(&format!("/proc/{pid}")).exists());

    house
        .ok(
            "DELETE",
            &format!("/api/v1/servers/{id}?confirm=ada_{id}"),
            None,
        )
        .await;
    assert_eq!(
        house
            .call("GET", &format!("/api/v1/servers/{id}"), None)
            .await
            .0,
        404
    );
    assert!(house.stop());
    assert_eq!(common::processes_of(&house.state()), Vec::<i32>::new());
}
