//! What servers do by the clock, through the real daemon and a game of a few lines.

#[path = "../common/mod.rs"]
mod common;
mod rights;
mod runs;

use std::time::Instant;

use common::{House, PATIENCE, PLAIN, game};
use serde_json::{Value, json};

/// Says what is typed; refuses to become ready while there is a file `broken`.
const ECHO: &str = r"
import os, sys
if os.path.exists('broken'): sys.exit(3)
print('ready')
for line in sys.stdin: print('heard ' + line.strip())
";

/// A box with that game, and a server of it.
async fn open() -> (House, u64) {
    let echo = game(ECHO, &format!("{PLAIN}\n[restart]\nlimit = 1"));
    let house = House::with_games(&[("echo", &echo)], &["schedules.zone=Europe/Berlin"]).await;
    let id = house.create(json!({ "game": "echo" })).await;
    (house, id)
}

/// The path of a server's schedules, or below them.
fn at(server: u64, below: &str) -> String {
    House::at(server, &format!("/schedules{below}"))
}

/// A schedule that never comes by itself while a test runs; its id.
async fn add(house: &House, server: u64, steps: &[&str]) -> u64 {
    let wish = json!({ "cron": "0 0 29 2 *", "steps": steps });
    let made = house.ok("POST", &at(server, ""), Some(wish)).await;
    made["id"].as_u64().expect("an id")
}

/// Runs a schedule and waits for its end.
async fn run(house: &House, server: u64, schedule: u64) -> Value {
    house
        .ok("POST", &at(server, &format!("/{schedule}/run")), None)
        .await;
    ended(house, server, schedule).await
}

/// Waits until the last run of a schedule has ended.
async fn ended(house: &House, server: u64, schedule: u64) -> Value {
    let started = Instant::now();
    loop {
        let path = at(server, &format!("/{schedule}"));
        let seen = house.ok("GET", &path, None).await;
        let last = &seen["last"];
        if !last.is_null() && last["outcome"] != "running" {
            return last.clone();
        }
        assert!(
            started.elapsed() < PATIENCE,
            "it goes on: {seen}\n{}",
            house.log()
        );
        tokio::task::yield_now().await;
    }
}
