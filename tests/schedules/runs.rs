//! Runs: in order, to the first failure, over restarts, until the server is gone.

use serde_json::{Value, json};

use crate::{
    add, at,
    common::{
        House,
        clock::{self, Clock},
        code, installed,
    },
    ended, open, run,
};

fn texts(entries: &[Value], kind: &str) -> Vec<String> {
    let of_kind = entries.iter().filter(|entry| entry["kind"] == kind);
    of_kind
        .map(|entry| entry["text"].as_str().unwrap_or_default().into())
        .collect()
}

/// Starts the box so many seconds after a moment, as its clock shows it; where that is kept.
fn start_at(house: &mut House, moment: &Value, seconds: i64) -> tempfile::TempDir {
    let moment = moment.as_str().expect("a moment");
    let moment: jiff::Timestamp = moment.parse().expect("one");
    let ahead = moment.duration_since(jiff::Timestamp::now()).as_secs() + seconds;
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::new(folder.path().join("clock"));
    clock.set(&format!("{ahead:+}s"));
    house.environment = clock.environment();
    house.start();
    folder
}

#[tokio::test(flavor = "multi_thread")]
async fn every_step_is_done_before_the_next_begins() {
    let (house, server) = open().await;
    let steps = [
        "start",
        "command say one",
        "restart",
        "command say two",
        "wait 1s",
        "stop",
        "start",
    ];
    let schedule = add(&house, server, &steps).await;
    let last = run(&house, server, schedule).await;
    assert_eq!(
        (&last["outcome"], &last["due"]),
        (&json!("done"), &Value::Null),
        "{last}"
    );
    // Had a step not waited, a line would have met no game, or the game would not be ready now.
    let view = house.ok("GET", &House::at(server, ""), None).await;
    assert_eq!(view["state"], "running");
    let typed = texts(&house.console(server).await, "stdin");
    assert_eq!(typed, ["say one", "say two"]);

    let audit = house.ok("GET", "/api/v1/audit?count=100", None).await;
    let audit = audit.to_string();
    for part in [
        "schedule.create",
        "schedule.run",
        "schedule.steps",
        "server.restart",
    ] {
        assert!(audit.contains(part), "{part} is missing: {audit}");
    }
    assert!(audit.contains(r#""door":"box""#), "{audit}");
    assert!(
        !audit.contains("say two"),
        "a line may be a password: {audit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_step_that_fails_is_the_last_and_is_told() {
    let (house, server) = open().await;
    // Nothing runs, so that nothing can be typed.
    let schedule = add(&house, server, &["wait 1s", "command one", "start"]).await;
    let last = run(&house, server, schedule).await;
    assert_eq!(
        (&last["outcome"], &last["step"]),
        (&json!("failed"), &json!(2)),
        "{last}"
    );
    let why = last["why"].as_str().unwrap_or_default();
    assert!(
        why.contains("step 2 (command)") && why.contains("not running"),
        "{why}"
    );
    let view = house.ok("GET", &House::at(server, ""), None).await;
    assert_eq!(view["state"], "stopped");

    let files = house.state().join(format!("servers/{server}/files"));
    std::fs::create_dir_all(&files).expect("its folder");
    std::fs::write(files.join("broken"), "").expect("a file");
    let schedule = add(&house, server, &["start", "command one"]).await;
    let last = run(&house, server, schedule).await;
    let why = last["why"].as_str().unwrap_or_default();
    assert!(why.contains("step 1 (start): the server failed"), "{last}");
    // The command line says so, too.
    let named = schedule.to_string();
    let (exit, _, told) = house.verb(&["schedule", "run", &server.to_string(), &named]);
    assert_eq!(exit, 1);
    assert!(told.contains("failed: step 1 (start)"), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_due_runs_by_itself() {
    if !installed(&clock::library()) {
        return;
    }
    let (mut house, server) = open().await;
    let wish = json!({ "cron": "* * * * *", "steps": ["start"], "name": "up" });
    let made = house.ok("POST", &at(server, ""), Some(wish)).await;
    assert_eq!(
        (&made["zone"], &made["author"]),
        (&json!("Europe/Berlin"), &json!("ada"))
    );
    let schedule = made["id"].as_u64().expect("an id");
    // The full minute is a few seconds away.
    assert!(house.stop());
    let _clock = start_at(&mut house, &made["next"], -3);
    let last = ended(&house, server, schedule).await;
    assert_eq!(last["outcome"], "done", "{last}");
    assert_eq!(last["due"], made["next"]);
    let view = house.ok("GET", &House::at(server, ""), None).await;
    assert_eq!(view["state"], "running");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_the_daemons_end_cuts_short_is_recorded_and_not_gone_on_with() {
    for kill in [true, false] {
        let (mut house, server) = open().await;
        let schedule = add(&house, server, &["start", "wait 1h", "stop"]).await;
        let path = at(server, &format!("/{schedule}"));
        let begun = house.ok("POST", &format!("{path}/run"), None).await;
        assert_eq!(begun["last"]["outcome"], "running");
        house.until_state(server, "running").await;
        let answer = house.call("POST", &format!("{path}/run"), None).await;
        assert_eq!(code(&answer), (409, "busy"));
        match kill {
            true => house.kill(),
            false => assert!(house.stop()),
        }
        house.start();
        let last = ended(&house, server, schedule).await;
        assert_eq!(last["outcome"], "interrupted", "{last}");
        let view = house.until_state(server, "running").await;
        assert_eq!(view["desired"], "up");
        // What is written survives, and can be run again.
        let seen = house.ok("GET", &path, None).await;
        assert_eq!(seen["steps"], json!(["start", "wait 1h", "stop"]));
        house.ok("POST", &format!("{path}/run"), None).await;
        house.ok("DELETE", &path, None).await;
        assert_eq!(
            code(&house.call("GET", &path, None).await),
            (404, "no-such-schedule")
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_came_due_while_the_box_was_off_runs_once_if_it_is_not_too_old() {
    if !installed(&clock::library()) {
        return;
    }
    let (mut house, server) = open().await;
    let wish = json!({ "cron": "* * * * *", "steps": ["wait 1s"], "enabled": true });
    let made = house.ok("POST", &at(server, ""), Some(wish)).await;
    let schedule = made["id"].as_u64().expect("an id");
    assert!(house.stop());
    // The next full minute comes while it is off.
    let _clock = start_at(&mut house, &made["next"], 1);
    let last = ended(&house, server, schedule).await;
    assert_eq!(
        (&last["outcome"], &last["due"]),
        (&json!("done"), &made["next"]),
        "{last}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_server_loses_its_schedules() {
    let (mut house, server) = open().await;
    let schedule = add(&house, server, &["start", "wait 1h", "stop"]).await;
    add(&house, server, &["stop"]).await;
    house
        .ok("POST", &at(server, &format!("/{schedule}/run")), None)
        .await;
    house.until_state(server, "running").await;
    let view = house.ok("GET", &House::at(server, ""), None).await;
    let confirm = view["name"].as_str().expect("a name");
    let path = House::at(server, &format!("?confirm={confirm}"));
    house.ok("DELETE", &path, None).await;
    assert_eq!(
        code(&house.call("GET", &at(server, ""), None).await),
        (404, "no-such-server")
    );
    assert!(house.stop());
    house.start();
    let backup = house.state().join("backup");
    let (exit, ..) = house.verb(&["backup", backup.to_str().expect("a path")]);
    assert_eq!(exit, 0);
    let bytes = std::fs::read(backup).expect("a backup");
    let text = zstd::decode_all(&bytes[..]).expect("zstd");
    let text = String::from_utf8_lossy(&text);
    assert!(
        text.contains(r#""server""#),
        "servers are in a backup: {text}"
    );
    assert!(
        !text.contains(r#""table":"schedule""#),
        "a schedule is left: {text}"
    );
}

#[tokio::test]
async fn a_step_takes_a_snapshot_and_says_when_the_game_went_on_writing() {
    let (house, id) = open().await;
    let schedule = add(&house, id, &["snapshot at rest", "start", "snapshot"]).await;
    let last = run(&house, id, schedule).await;
    assert_eq!(last["outcome"], "done", "{last}");
    let why = last["why"].as_str().expect("something to say");
    assert!(
        why.starts_with("step 3 (snapshot): taken, but not consistent: "),
        "{why}"
    );
    let taken = house.ok("GET", &House::at(id, "/snapshots"), None).await;
    let seen = taken["snapshots"].as_array().expect("a list");
    assert_eq!(seen.len(), 2, "{taken}");
    let rest = seen.iter().find(|one| one["label"] == "at rest");
    assert_eq!(rest.expect("its label")["consistent"], true, "{taken}");
}
