//! kill -9 of daemon and keeper at random moments: no acknowledged change lost, no orphan, no gap.

mod common;

use std::{
    collections::BTreeMap,
    path::Path,
    sync::atomic::{AtomicU64, Ordering},
};

use common::{House, free_pool, installed, processes_of};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// A game that forks a helper into a session of its own, and counts aloud.
const FORKING: &str = r#"
title = "Forking"
description = "Counts, beside a child in a session of its own"
versions = ["1"]

[install]
method = "debian"
packages = ["python3"]
requires = ["/usr/bin/python3"]

[run]
argv = ["/usr/bin/python3", "-u", "-c", """
import os, subprocess, time
subprocess.Popen(["sleep", "1000000"], start_new_session=True)
print("ready", os.getpid())
n = 0
while True:
    n += 1
    print("tick", n)
    time.sleep(0.02)
"""]

[ready]
line = "ready"

[stop]
signal = "SIGTERM"
"#;

/// A small generator (an LCG), so that a failing run can be had again with the same choices.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

fn keeper_of(state: &Path, id: u64) -> i32 {
    let status =
        std::fs::read(state.join(format!("servers/{id}/run/status.json"))).expect("a status");
    let status: Value = serde_json::from_slice(&status).expect("a status as JSON");
    i32::try_from(status["keeper"].as_i64().expect("a pid")).expect("a pid")
}

fn shoot(pid: i32) {
    kill(Pid::from_raw(pid), Signal::SIGKILL).ok();
}

/// Changes the title again and again, until the daemon dies under it; counts what was sent and acknowledged.
async fn rename(house: &House, id: u64, sent: &AtomicU64, acknowledged: &AtomicU64) {
    let path = format!("/api/v1/servers/{id}");
    loop {
        let n = sent.fetch_add(1, Ordering::SeqCst) + 1;
        let wish = json!({"title": format!("title {n}")});
        match house
            .try_call(&house.token, "PATCH", &path, Some(wish))
            .await
        {
            Ok((status, answer)) => assert_eq!(status, 200, "{answer}"),
            Err(_) => return,
        }
        acknowledged.store(n, Ordering::SeqCst);
    }
}

/// Reads the console from `since` on; every number must follow the one before. Returns the next.
async fn follow(house: &House, id: u64, since: u64) -> u64 {
    let mut next = since;
    loop {
        let path = format!("/api/v1/servers/{id}/console?since={next}&count=1000");
        let batch = house.ok("GET", &path, None).await;
        assert_eq!(batch["dropped"], 0, "{batch}");
        let entries = batch["entries"].as_array().expect("entries");
        for entry in entries {
            assert_eq!(entry["seq"], next, "a gap or a repeat: {entry}");
            next += 1;
        }
        if entries.is_empty() {
            return next;
        }
    }
}

/// What must be running: the daemon, and for each server its keeper and everything that its game started.
fn expected(house: &House, servers: &[(u64, usize)]) -> usize {
    1 + servers
        .iter()
        .map(|(id, game)| {
            let keeper = keeper_of(&house.state(), *id);
            assert!(
                Path::new(&format!("/proc/{keeper}")).exists(),
                "server {id} has no keeper"
            );
            1 + game
        })
        .sum::<usize>()
}

async fn besiege(house: &mut House, servers: &[(u64, usize)], rounds: u64, mut dice: Dice) {
    let id = servers[0].0;
    let (sent, acknowledged) = (AtomicU64::new(0), AtomicU64::new(0));
    let mut next = 1;
    for round in 0..rounds {
        let mut before = BTreeMap::new();
        for (id, _) in servers {
            before.insert(*id, house.until_state(*id, "running").await["pid"].clone());
        }
        let (daemon_dies, keeper_dies) = match dice.roll(10) {
            0..5 => (true, false),
            5..9 => (false, true),
            _ => (true, true),
        };
        let victim = servers[usize::try_from(dice.roll(servers.len() as u64)).expect("small")].0;
        let keeper = keeper_of(&house.state(), victim);
        let daemon = i32::try_from(house.pid()).expect("a pid");
        let goal = acknowledged.load(Ordering::SeqCst) + 1 + dice.roll(5);
        let strike = async {
            while acknowledged.load(Ordering::SeqCst) < goal {
                tokio::task::yield_now().await;
            }
            if keeper_dies {
                shoot(keeper);
            }
            if daemon_dies {
                shoot(daemon);
            }
        };
        if daemon_dies {
            tokio::join!(rename(house, id, &sent, &acknowledged), strike);
            house.kill();
            house.start();
        } else {
            tokio::select! {
                () = rename(house, id, &sent, &acknowledged) => panic!("the daemon died of its keeper"),
                () = strike => {}
            }
        }
        for (id, _) in servers {
            let now = house
                .until(*id, "running again", |server| {
                    server["state"] == "running"
                        && (!keeper_dies || *id != victim || server["pid"] != before[id])
                })
                .await;
            if !keeper_dies || *id != victim {
                assert_eq!(
                    now["pid"],
                    before[id],
                    "round {round}: server {id} lost its process; daemon {daemon_dies}, keeper of {victim} {keeper_dies}: {now:#}\n{}",
                    house.verb(&["server", "log", &id.to_string()]).1
                );
            }
        }
        let title = house
            .ok("GET", &format!("/api/v1/servers/{id}"), None)
            .await["title"]
            .clone();
        let n: u64 = title
            .as_str()
            .and_then(|title| title.strip_prefix("title "))
            .and_then(|n| n.parse().ok())
            .expect("a number");
        let (least, most) = (
            acknowledged.load(Ordering::SeqCst),
            sent.load(Ordering::SeqCst),
        );
        assert!(
            (least..=most).contains(&n),
            "round {round}: title {n}, acknowledged {least}, sent {most}"
        );
        next = follow(house, id, next).await;
        let here = processes_of(&house.state());
        assert_eq!(
            here.len(),
            expected(house, servers),
            "round {round}: orphans or losses: {}",
            describe(&here)
        );
    }
}

fn describe(pids: &[i32]) -> String {
    pids.iter()
        .map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!(
                "{pid} {}\n",
                String::from_utf8_lossy(&line).replace('\0', " ")
            )
        })
        .collect()
}

async fn started(house: &House, game: &str) -> u64 {
    let server = house
        .ok(
            "POST",
            "/api/v1/servers",
            Some(json!({"game": game, "title": "title 0"})),
        )
        .await;
    let id = server["id"].as_u64().expect("an id");
    house
        .ok("POST", &format!("/api/v1/servers/{id}/start"), None)
        .await;
    house.until_state(id, "running").await;
    id
}

#[tokio::test]
async fn ninety_rounds_of_kill_9_lose_nothing_and_leave_nothing() {
    let data = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(data.path().join("games")).expect("a folder");
    std::fs::write(data.path().join("games/forking.toml"), FORKING).expect("a definition");
    let mut house =
        House::open_with(&[free_pool(), format!("data={}", data.path().display())]).await;
    let servers = [
        (started(&house, "forking").await, 2),
        (started(&house, "forking").await, 2),
    ];
    besiege(&mut house, &servers, 90, Dice(7)).await;
}

#[tokio::test]
async fn ten_rounds_of_kill_9_with_openttd_lose_nothing_and_leave_nothing() {
    if !installed("/usr/games/openttd") {
        return;
    }
    let mut house = House::open_with(&[free_pool()]).await;
    let servers = [(started(&house, "openttd").await, 1)];
    besiege(&mut house, &servers, 10, Dice(11)).await;
}
