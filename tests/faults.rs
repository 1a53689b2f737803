//! Games that misbehave: every fault that a game can have ends in words, with no process left, and nobody else notices.

mod common;

use std::collections::BTreeSet;

use common::{House, PLAIN, WAITS, game, lives, processes_of};
use serde_json::{Value, json};

/// Never says that it is ready.
const MUTE: &str = "import signal\nprint('loading')\nwhile True: signal.pause()";

/// Ignores every way to stop it, and so do its children, one of them in a session of its own.
const STUBBORN: &str = "
import os, signal
for s in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP): signal.signal(s, signal.SIG_IGN)
for own in (0, 1):
    if os.fork() == 0:
        if own: os.setsid()
        while True: signal.pause()
print('ready')
while True: signal.pause()
";

fn stop(how: &str) -> String {
    format!("[ready]\nline = \"ready\"\ntimeout = \"60s\"\n[stop]\n{how}")
}

#[tokio::test]
async fn forty_starts_at_once_make_one_process() {
    let house = House::with_games(&[("waits", &game(WAITS, PLAIN))], &[]).await;
    let id = house.create(json!({"game": "waits"})).await;
    let path = House::at(id, "/start");
    let starts = (0..40).map(|_| house.call("POST", &path, None));
    for (status, answer) in futures_util::future::join_all(starts).await {
        assert_eq!(status, 202, "{answer}");
    }
    let server = house.until_state(id, "running").await;
    assert_eq!(server["starts"], 1, "{server:#}");
    // The daemon, the keeper, the game.
    assert_eq!(processes_of(&house.state()).len(), 3);
    house.power(id, "start").await;
    let again = house.until_state(id, "running").await;
    assert_eq!(again["pid"], server["pid"]);
}

#[tokio::test]
async fn a_stop_during_a_start_ends_a_game_that_never_becomes_ready() {
    let house =
        House::with_games(&[("mute", &game(MUTE, &stop("signal = \"SIGTERM\"")))], &[]).await;
    let id = house.launch("mute").await;
    house.hears(id, "loading").await;
    let server = house.until_state(id, "starting").await;
    house.power(id, "stop").await;
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(stopped["exit"]["signal"], 15, "{stopped:#}");
    assert!(!lives(&server["pid"]));
}

#[tokio::test]
async fn a_game_that_never_becomes_ready_is_ended_and_that_is_the_reason() {
    let keys = "[ready]\nline = \"ready\"\ntimeout = \"300ms\"\n[stop]\nsignal = \"SIGTERM\"\n[restart]\nlimit = 1";
    let house = House::with_games(&[("mute", &game(MUTE, keys))], &[]).await;
    let id = house.launch("mute").await;
    let failed = house.until_state(id, "failed").await;
    let reason = failed["exit"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("never became ready"), "{reason}");
    assert_eq!(failed["pid"], Value::Null);
    house.hears(id, "never became ready").await;
}

#[tokio::test]
async fn a_game_that_ignores_its_stop_and_sigterm_is_killed_with_all_its_children() {
    let keys = stop("console = [\"quit\"]\ntimeout = \"200ms\"\nterm = \"200ms\"");
    let house = House::with_games(&[("stubborn", &game(STUBBORN, &keys))], &[]).await;
    let id = house.launch("stubborn").await;
    let server = house.until_state(id, "running").await;
    let pids = processes_of(&house.state());
    assert_eq!(pids.len(), 5, "daemon, keeper, game, two children");
    house.power(id, "stop").await;
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(stopped["exit"]["signal"], 9, "{stopped:#}");
    assert!(!lives(&server["pid"]));
    house.until_left(1).await;
}

#[tokio::test]
async fn a_game_that_forks_and_exits_is_followed_and_stopped() {
    const FORKS: &str = "
import os, signal
if os.fork(): os._exit(0)
print('ready')
while True: signal.pause()
";
    const DAEMON: &str = "
import os, signal
if os.fork(): os._exit(0)
os.setsid()
if os.fork(): os._exit(0)
os.chdir('/')
print('ready')
null = os.open('/dev/null', os.O_RDWR)
for fd in (0, 1, 2): os.dup2(null, fd)
while True: signal.pause()
";
    let games = [
        ("forks", &*game(FORKS, PLAIN)),
        ("daemon", &*game(DAEMON, PLAIN)),
    ];
    let house = House::with_games(&games, &[]).await;
    for (name, _) in games {
        let id = house.launch(name).await;
        let running = house
            .until(id, "running as what is left of it", |server| {
                server["state"] == "running" && !server["pid"].is_null() && lives(&server["pid"])
            })
            .await;
        assert_eq!(running["starts"], 1, "{running:#}");
        house.power(id, "stop").await;
        house.until_state(id, "stopped").await;
        assert!(!lives(&running["pid"]), "{name}");
    }
}

#[tokio::test]
async fn a_game_that_dies_at_once_fails_at_its_limit_and_can_be_started_by_hand() {
    const DIES: &str = "
import os, sys
print('born')
if not os.path.exists('cured'): sys.exit(7)
print('ready')
input()
";
    let keys = format!("{PLAIN}\n[restart]\nlimit = 3");
    let house = House::with_games(&[("dies", &game(DIES, &keys))], &[]).await;
    let id = house.launch("dies").await;
    let failed = house.until_state(id, "failed").await;
    assert_eq!(failed["exit"]["code"], 7, "{failed:#}");
    assert_eq!(failed["starts"], 3, "{failed:#}");
    let reason = failed["exit"]["reason"].as_str().expect("a reason");
    assert!(reason.contains("exit code 7"), "{reason}");
    let folder = std::path::PathBuf::from(failed["folder"].as_str().expect("a path"));
    std::fs::write(folder.join("cured"), "").expect("a file");
    house.power(id, "start").await;
    let running = house.until_state(id, "running").await;
    assert_eq!(running["starts"], 1, "{running:#}");
}

#[tokio::test]
async fn a_daemon_told_to_end_leaves_games_alone_and_finds_them_again() {
    let mut house = House::with_games(&[("waits", &game(WAITS, PLAIN))], &[]).await;
    let id = house.launch("waits").await;
    let running = house.until_state(id, "running").await;
    let mut live = house.socket(&House::at(id, "/console/live")).await;
    assert!(house.stop(), "it ended badly:\n{}", house.log());
    let told = tokio::time::timeout(common::PATIENCE, async {
        while live.next().await.is_some() {}
    });
    told.await.expect("viewers are let go");
    assert!(lives(&running["pid"]));
    assert_eq!(processes_of(&house.state()).len(), 2, "keeper and game");
    house.start();
    let again = house.until_state(id, "running").await;
    assert_eq!(again["pid"], running["pid"]);
}

#[tokio::test]
async fn a_second_daemon_on_a_state_folder_is_refused_and_the_first_does_not_notice() {
    let house = House::with_games(&[("waits", &game(WAITS, PLAIN))], &[]).await;
    let id = house.launch("waits").await;
    let running = house.until_state(id, "running").await;
    let (code, out, err) = house.verb(&[
        "serve",
        "--set",
        "http.listen=127.0.0.1:0",
        "--set",
        "admin.listen=127.0.0.1:0",
    ]);
    assert_ne!(code, 0, "{out}");
    assert!(err.contains(&house.pid().to_string()), "{err}");
    let after = house.until_state(id, "running").await;
    assert_eq!(after["pid"], running["pid"]);
    assert_eq!(house.verb(&["status"]).0, 0);
}

#[tokio::test]
async fn a_deletion_asks_for_the_name_and_goes_on_after_a_kill() {
    let keys = stop("console = [\"quit\"]\ntimeout = \"1s\"\nterm = \"500ms\"");
    let mut house = House::with_games(&[("stubborn", &game(STUBBORN, &keys))], &[]).await;
    let id = house.launch("stubborn").await;
    let running = house.until_state(id, "running").await;
    let path = House::at(id, "");
    for wrong in ["", "ada", "ada_2", "A game of tests"] {
        let asked = format!("{path}?confirm={}", wrong.replace(' ', "%20"));
        let (status, answer) = house.call("DELETE", &asked, None).await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (409, Some("unconfirmed")),
            "{answer}"
        );
    }
    assert!(lives(&running["pid"]));
    std::fs::write(
        house.state().join(format!("servers/{id}/files/save")),
        "precious",
    )
    .expect("a file");

    let asked = format!("{path}?confirm=ada_{id}");
    let token = house.token.clone();
    let marked = async {
        // It is marked before it is stopped, and the stop takes a while: that is the middle.
        house.until_state(id, "stopping").await;
    };
    tokio::select! {
        answer = house.try_call(&token, "DELETE", &asked, None) => panic!("{answer:?} before the game was stopped"),
        () = marked => {}
    }
    house.kill();
    house.start();
    house.gone(id).await;
    let recycled: Vec<_> = std::fs::read_dir(house.state().join("recycled"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    assert_eq!(recycled.len(), 1, "{recycled:?}");
    assert_eq!(
        std::fs::read(recycled[0].join("files/save")).expect("the file"),
        b"precious"
    );
    assert!(!house.state().join(format!("servers/{id}")).exists());
    house.until_left(1).await;
    // Its id is never given again.
    assert!(house.create(json!({"game": "stubborn"})).await > id);
}

#[tokio::test]
async fn a_limit_that_cannot_be_enforced_is_warned_about_and_one_that_can_is() {
    const EATS: &str = "
import sys
print('ready')
input()
eaten = bytearray(256 << 20)
eaten[::4096] = b'x' * len(eaten[::4096])
print('ate')
input()
";
    let keys = format!("{PLAIN}\n[restart]\npolicy = \"never\"");
    let house = House::with_games(&[("eats", &game(EATS, &keys))], &[]).await;
    let limits = json!({"memory": 64 << 20, "cpu_percent": 100, "pids": 50});
    let id = house
        .create(json!({"game": "eats", "limits": limits}))
        .await;
    house.power(id, "start").await;
    let server = house.until_state(id, "running").await;
    let notices: BTreeSet<_> = server["notices"]
        .as_array()
        .expect("notices")
        .iter()
        .map(|notice| notice.as_str().expect("text"))
        .collect();
    let warned = |limit: &str| {
        let start = format!("the {limit} limit is not enforced");
        notices.iter().any(|notice| notice.starts_with(&start))
    };
    let eat = Some(json!({"line": "eat"}));
    house.ok("POST", &House::at(id, "/console"), eat).await;
    if warned("memory") {
        house.hears(id, "the memory limit is not enforced").await;
        house.hears(id, "ate").await;
    } else {
        let failed = house.until_state(id, "failed").await;
        let reason = failed["exit"]["reason"].as_str().expect("a reason");
        assert!(reason.contains("killed for memory"), "{reason}");
    }
    for (field, value) in [
        ("memory", json!(1)),
        ("cpu_percent", json!(0)),
        ("pids", json!(0)),
    ] {
        let wish = json!({"game": "eats", "limits": {field: value}});
        let (status, answer) = house.call("POST", "/api/v1/servers", Some(wish)).await;
        assert_eq!(
            (status, answer["field"].as_str()),
            (422, Some(&*format!("limits.{field}"))),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn two_boxes_that_share_their_users_do_not_end_each_others_games() {
    let games = [("stubborn", &*game(STUBBORN, &stop("signal = \"SIGTERM\"")))];
    let one = House::with_games(&games, &[]).await;
    let other = House::with_games(&games, &[&one.uids]).await;
    let theirs = other.launch("stubborn").await;
    let before = other.until_state(theirs, "running").await;
    let ours = one.launch("stubborn").await;
    one.until_state(ours, "running").await;
    one.power(ours, "kill").await;
    one.until_state(ours, "stopped").await;
    let after = other.until_state(theirs, "running").await;
    assert_eq!(after["pid"], before["pid"], "{after:#}");
    assert_eq!(processes_of(&other.state()).len(), 5);
}
