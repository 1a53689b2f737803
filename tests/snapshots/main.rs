//! Snapshots with the real daemon, a small game, and a real one.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

#[path = "../common/mod.rs"]
mod common;

mod crashes;
mod folder;
mod intruders;
mod keeping;
mod restoring;
mod saving;

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use common::{House, PATIENCE, game};
use serde_json::{Value, json};

/// Writes down what it hears, and what it was told to keep in mind only once it is told to save.
pub(crate) const DIARY: &str = "
import sys
kept = []
print('ready')
for line in sys.stdin:
    word = line.strip()
    if word == 'save':
        open('diary', 'w').write(' '.join(kept))
        print('all is saved')
    elif word == 'quit':
        break
    else:
        kept.append(word)
        print('noted', word)
";

pub(crate) const KEYS: &str = "
[ready]
line = \"ready\"
[stop]
console = [\"quit\"]
[save]
before = [\"save\"]
line = \"all is saved\"
timeout = \"20s\"
";

/// A box with one diary that ran once, so that it has a folder, and is stopped.
pub(crate) async fn house(sets: &[&str]) -> (House, u64) {
    let house = House::with_games(&[("diary", &game(DIARY, KEYS))], sets).await;
    let id = house.launch("diary").await;
    house.until_state(id, "running").await;
    house.power(id, "stop").await;
    house.until_state(id, "stopped").await;
    (house, id)
}

/// The server's folder.
pub(crate) fn files(house: &House, id: u64) -> PathBuf {
    house.state().join(format!("servers/{id}/files"))
}

/// Where its snapshots are, or below it.
pub(crate) fn at(id: u64, below: &str) -> String {
    House::at(id, &format!("/snapshots{below}"))
}

/// Takes one, which must succeed.
pub(crate) async fn take(house: &House, id: u64, wish: Value) -> Value {
    house.ok("POST", &at(id, ""), Some(wish)).await
}

pub(crate) fn number(view: &Value) -> u64 {
    view["id"].as_u64().unwrap()
}

/// The ids of all that there are.
pub(crate) async fn ids(house: &House, id: u64) -> Vec<u64> {
    let all = house.ok("GET", &at(id, ""), None).await;
    all["snapshots"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect()
}

/// The names in a folder of a snapshot.
pub(crate) async fn names(house: &House, id: u64, snapshot: u64, path: &str) -> Vec<String> {
    let place = at(id, &format!("/{snapshot}/files?path={path}"));
    let page = house.ok("GET", &place, None).await;
    let entries = page["entries"].as_array().unwrap();
    entries
        .iter()
        .map(|entry| entry["name"].as_str().unwrap().into())
        .collect()
}

/// One file out of a snapshot, by the command line.
pub(crate) fn content(house: &House, id: u64, snapshot: u64, path: &str) -> String {
    let (code, out, err) = house.verb(&[
        "snapshot",
        "cat",
        &id.to_string(),
        &snapshot.to_string(),
        path,
    ]);
    assert_eq!(code, 0, "{err}");
    out
}

/// Waits until something is so, by looking again whenever the box has news, and each 20 ms.
pub(crate) async fn until(house: &House, what: &str, mut so: impl AsyncFnMut() -> bool) {
    let started = Instant::now();
    let mut events = house.socket("/api/v1/events").await;
    while !so().await {
        assert!(
            started.elapsed() < PATIENCE,
            "never {what}:\n{}",
            house.log()
        );
        tokio::time::timeout(Duration::from_millis(20), events.next())
            .await
            .ok();
    }
}

/// Bytes that do not compress.
pub(crate) fn noise(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(bytes + 8);
    while out.len() < bytes {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(bytes);
    out
}

#[tokio::test]
async fn the_command_line_takes_lists_restores_undoes_verifies_and_deletes() {
    let (house, id) = house(&[]).await;
    let (server, folder) = (id.to_string(), files(&house, id));
    std::fs::write(folder.join("plan"), "first").unwrap();
    let verb = |words: &[&str]| {
        let (code, out, err) = house.verb(words);
        assert_eq!(code, 0, "{words:?}: {err}");
        out
    };
    let first = verb(&[
        "snapshot",
        "take",
        &server,
        "--label",
        "before the feast",
        "--pin",
    ]);
    let first = first.trim();
    let listed = verb(&["snapshot", "list", &server]);
    assert!(
        listed.contains("before the feast") && listed.contains("pinned"),
        "{listed}"
    );
    assert!(verb(&["snapshot", "files", &server, first]).contains("plan"));
    std::fs::write(folder.join("plan"), "second").unwrap();
    verb(&["snapshot", "restore", &server, first, "plan"]);
    assert_eq!(
        std::fs::read_to_string(folder.join("plan")).unwrap(),
        "first"
    );
    assert!(verb(&["snapshot", "list", &server]).contains("restored plan"));
    verb(&["snapshot", "undo", &server]);
    assert_eq!(
        std::fs::read_to_string(folder.join("plan")).unwrap(),
        "second"
    );
    let (code, _, err) = house.verb(&["snapshot", "undo", &server]);
    assert_eq!(code, 1);
    assert!(err.contains("no restore that could be undone"), "{err}");
    assert!(verb(&["snapshot", "verify", &server]).contains("whole"));
    assert!(verb(&["snapshot", "keep", &server, "--last", "3"]).contains('3'));
    verb(&["snapshot", "delete", &server, first]);
    assert!(ids(&house, id).await.is_empty());
    let actions = house
        .ok("GET", "/api/v1/audit?count=1000", None)
        .await
        .to_string();
    for action in [
        "take", "restore", "undo", "verify", "keep", "delete", "read",
    ] {
        let wanted = format!("snapshot.{action}");
        assert!(
            action == "read" || actions.contains(&wanted),
            "{wanted} is not in the record"
        );
    }
}

#[tokio::test]
async fn each_right_opens_what_it_is_for() {
    let (house, id) = house(&[]).await;
    std::fs::write(files(&house, id).join("plan"), "x").unwrap();
    let taken = number(&take(&house, id, json!({})).await);
    let (eve, token) = house.person("eve", "player").await;
    let ask = async |method: &str, below: &str| {
        house.call_as(&token, method, &at(id, below), None).await.0
    };
    let (list, read) = (String::new(), format!("/{taken}/file?path=plan"));
    let (_, stranger) = house.person("mallory", "guest").await;
    let unseen = house.call_as(&stranger, "GET", &at(id, ""), None).await;
    assert_eq!(common::code(&unseen), (404, "no-such-server"));
    let grant = async |verbs: &[&str]| {
        let wish = json!({"account": eve, "server": id, "verbs": verbs});
        house.ok("PUT", "/api/v1/grants", Some(wish)).await;
    };
    grant(&["server.view"]).await;
    assert_eq!(ask("GET", &list).await, 200);
    assert_eq!(ask("POST", &list).await, 403);
    assert_eq!(ask("POST", "/verify").await, 403);
    assert_eq!(ask("GET", &read).await, 403);
    grant(&["server.view", "files.read"]).await;
    assert_eq!(ask("GET", &read).await, 200);
    assert_eq!(ask("DELETE", &format!("/{taken}")).await, 403);
    grant(&["server.view", "server.snapshot"]).await;
    assert_eq!(ask("POST", &list).await, 201);
    assert_eq!(ask("GET", &read).await, 403);
    assert_eq!(ask("DELETE", &format!("/{taken}")).await, 204);
}

#[tokio::test]
async fn bad_wishes_are_told_what_is_wrong() {
    let (house, id) = house(&[]).await;
    let plan = files(&house, id).join("plan");
    std::fs::write(plan, "x").unwrap();
    let taken = number(&take(&house, id, json!({})).await);
    let fresh = house.create(json!({"game": "diary"})).await;
    let restore = format!("/{taken}/restore");
    for (server, method, below, body, status, code) in [
        (
            id,
            "POST",
            "",
            json!({"label": "x".repeat(65)}),
            422,
            "bad-field",
        ),
        (id, "POST", "", json!({"label": "a\nb"}), 422, "bad-field"),
        (id, "GET", "/99", Value::Null, 404, "no-such-snapshot"),
        (
            id,
            "POST",
            "/99/restore",
            json!({}),
            404,
            "no-such-snapshot",
        ),
        (
            id,
            "POST",
            &restore,
            json!({"path": "../x"}),
            422,
            "bad-field",
        ),
        (
            id,
            "POST",
            &restore,
            json!({"path": "/etc/passwd"}),
            422,
            "bad-field",
        ),
        (
            id,
            "POST",
            &restore,
            json!({"path": "a//b"}),
            422,
            "bad-field",
        ),
        (
            id,
            "POST",
            &restore,
            json!({"path": "none"}),
            404,
            "no-such-file",
        ),
        (
            id,
            "POST",
            &restore,
            json!({"path": "plan", "to": ".."}),
            422,
            "bad-field",
        ),
        (
            id,
            "POST",
            &restore,
            json!({"path": "plan", "to": "plan/x"}),
            404,
            "no-such-file",
        ),
        (id, "POST", &restore, json!({"to": "x"}), 422, "bad-field"),
        (
            id,
            "POST",
            &restore,
            json!({"path_base64": "!"}),
            422,
            "bad-field",
        ),
        (
            id,
            "GET",
            &format!("/{taken}/file?path=none"),
            Value::Null,
            404,
            "no-such-file",
        ),
        (
            id,
            "GET",
            &format!("/{taken}/file"),
            Value::Null,
            400,
            "bad-query",
        ),
        (
            id,
            "GET",
            &format!("/{taken}/files?path=plan"),
            Value::Null,
            404,
            "no-such-file",
        ),
        (
            id,
            "PUT",
            "/rules",
            json!({"last": 0, "hourly": 0, "daily": 0, "weekly": 0}),
            422,
            "bad-field",
        ),
        (id, "PUT", "/rules", json!({"last": 1}), 400, "bad-json"),
        (id, "POST", "/undo", json!({}), 409, "nothing-to-undo"),
        (fresh, "POST", "/verify", Value::Null, 422, "bad-field"),
        (9999, "GET", "", Value::Null, 404, "no-such-server"),
    ] {
        let body = (!body.is_null()).then_some(body);
        let answer = house.call(method, &at(server, below), body.clone()).await;
        assert_eq!(
            common::code(&answer),
            (status, code),
            "{method} {below} {body:?}: {}",
            answer.1
        );
    }
}
