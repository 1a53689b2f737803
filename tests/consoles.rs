//! Consoles and their viewers at their worst: floods, endless lines, bytes that are no text, viewers that do not read.

mod common;

use common::{House, PLAIN, game};
use data_encoding::BASE64;
use serde_json::{Value, json};

fn seq(entry: &Value) -> u64 {
    entry["seq"].as_u64().expect("a number")
}

/// The bytes of the entries of `kind`, as the game wrote them.
fn bytes(entries: &[Value], kind: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries.iter().filter(|entry| entry["kind"] == kind) {
        match entry["bytes"].as_str() {
            Some(exact) => out.extend(BASE64.decode(exact.as_bytes()).expect("base64")),
            None => out.extend(entry["text"].as_str().expect("text").bytes()),
        }
        if entry["more"] == false {
            out.push(b'\n');
        }
    }
    out
}

#[tokio::test]
async fn a_flood_leaves_the_api_open_the_history_bounded_and_the_stop_working() {
    const FLOOD: &str = "
import os
print('ready')
block = b''.join(b'%079d\\n' % n for n in range(800))
while True: os.write(1, block)
";
    const BOUND: u64 = 1 << 20;
    let house = House::with_games(&[("flood", &game(FLOOD, PLAIN))], &["hosting.console=1M"]).await;
    let id = house.launch("flood").await;
    house.until_state(id, "running").await;
    // Long after the first lines were forgotten it is all the same.
    let mut last = 0;
    while last < 200_000 {
        let page = house
            .ok("GET", &House::at(id, "/console?count=1"), None)
            .await;
        let newest = seq(&page["entries"][0]);
        assert!(newest >= last);
        last = newest;
        house
            .ok(
                "PATCH",
                &House::at(id, ""),
                Some(json!({"title": format!("after {last}")})),
            )
            .await;
        let kept = size(&house.state().join(format!("servers/{id}/console")));
        assert!(kept < BOUND + BOUND / 2, "{kept} bytes of history");
    }
    let early = house
        .ok("GET", &House::at(id, "/console?since=1&count=1"), None)
        .await;
    assert!(early["dropped"].as_u64().expect("a number") > 0, "{early}");
    house.power(id, "stop").await;
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(stopped["exit"]["signal"], 15, "{stopped:#}");
}

/// Segments come and go while one looks.
fn size(folder: &std::path::Path) -> u64 {
    let files = std::fs::read_dir(folder).expect("a console");
    files
        .filter_map(|file| Some(file.ok()?.metadata().ok()?.len()))
        .sum()
}

#[tokio::test]
async fn an_unfinished_line_is_shown_while_it_stays_unfinished() {
    const PROMPT: &str = "
import sys
print('ready')
sys.stdout.write('name? ')
sys.stdout.flush()
sys.stdout.write('hello ' + input() + chr(10))
sys.stdout.flush()
input()
";
    let house = House::with_games(&[("prompt", &game(PROMPT, PLAIN))], &[]).await;
    let id = house.launch("prompt").await;
    let seen = house.hears(id, "name? ").await;
    let prompt = seen.iter().find(|entry| entry["text"] == "name? ");
    assert_eq!(prompt.expect("the prompt")["more"], true);
    let typed = Some(json!({"line": "émile"}));
    house.ok("POST", &House::at(id, "/console"), typed).await;
    let seen = house.hears(id, "hello émile").await;
    assert_eq!(
        bytes(&seen, "stdout"),
        "ready\nname? hello émile\n".as_bytes()
    );
    assert_eq!(bytes(&seen, "stdin"), "émile\n".as_bytes());
}

#[tokio::test]
async fn bytes_that_are_no_text_and_lines_without_end_come_back_exactly() {
    const ODD: &str = "
import os, time
print('ready')
os.write(1, bytes(range(256)) * 3)
os.write(1, b'x' * 100_000)
os.write(1, b'\\nlast\\n')
input()
";
    let house = House::with_games(&[("odd", &game(ODD, PLAIN))], &[]).await;
    let id = house.launch("odd").await;
    let seen = house.hears(id, "last").await;
    let mut written = b"ready\n".to_vec();
    for _ in 0..3 {
        written.extend(0..=255);
    }
    written.extend(vec![b'x'; 100_000]);
    written.extend(b"\nlast\n");
    let read = bytes(&seen, "stdout");
    assert!(read == written, "{} bytes of {}", read.len(), written.len());
    assert!(seen.iter().any(|entry| entry["bytes"].is_string()));
    assert!(
        seen.iter()
            .all(|entry| entry["text"].as_str().expect("text").len() <= 3 * 8192)
    );
    // What people typed is refused where it is no line.
    for bad in ["a\nb", "a\0b", "a\rb", &"x".repeat(60_000)] {
        let (status, answer) = house
            .call(
                "POST",
                &House::at(id, "/console"),
                Some(json!({"line": bad})),
            )
            .await;
        assert_eq!(
            (status, answer["code"].as_str()),
            (422, Some("bad-field")),
            "{answer}"
        );
    }
}

#[tokio::test]
async fn viewers_that_never_read_cost_little_and_nobody_else_notices() {
    // Enough that no socket buffer holds it, on one word from its console.
    const BURST: &str = "
import os
print('ready')
input()
for n in range(1500): os.write(1, b''.join(b'%079d\\n' % (n * 800 + k) for k in range(800)))
print('over')
input()
";
    let house = House::with_games(&[("burst", &game(BURST, PLAIN))], &["hosting.console=8M"]).await;
    let id = house.launch("burst").await;
    let running = house.until_state(id, "running").await;
    let live = House::at(id, "/console/live?since=1");
    let mut idle = Vec::new();
    for _ in 0..20 {
        idle.push(house.socket(&live).await);
    }
    let mut reader = house.socket(&live).await;
    let before = memory(house.pid());
    let go = Some(json!({"line": "go"}));
    house.ok("POST", &House::at(id, "/console"), go).await;
    let (mut next, mut over) = (1, false);
    while !over {
        let batch = tokio::time::timeout(common::PATIENCE, reader.next()).await;
        let batch = batch.expect("news in time").expect("an open socket");
        next += batch["dropped"].as_u64().expect("a number");
        for entry in batch["entries"].as_array().expect("entries") {
            assert_eq!(seq(entry), next, "a gap that nobody told of");
            next += 1;
            over |= entry["text"] == "over";
        }
        assert_eq!(batch["next"], next);
    }
    // 96 MB went by; each of those who do not read may hold a batch and what is queued for its socket.
    let grown = memory(house.pid()).saturating_sub(before);
    assert!(
        grown < 64 << 20,
        "{grown} bytes for 20 viewers that do not read"
    );
    let after = house.ok("GET", &House::at(id, ""), None).await;
    assert_eq!(after["pid"], running["pid"]);
    assert_eq!(after["starts"], 1);
    house.power(id, "stop").await;
    house.until_state(id, "stopped").await;
}

/// Resident memory.
fn memory(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it lives");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.parse::<u64>().ok()).expect("a size") << 10
}

#[tokio::test]
async fn a_peer_that_died_without_a_word_is_let_go() {
    const FLOOD: &str = "print('ready')\nwhile True: print('x' * 1000)";
    let house = House::with_games(&[("flood", &game(FLOOD, PLAIN))], &["hosting.console=1M"]).await;
    let id = house.launch("flood").await;
    house.until_state(id, "running").await;
    // To the daemon, one who never reads and one whose cable was cut are the same: bytes that nobody takes.
    let dead = house.socket(&House::at(id, "/console/live?since=1")).await;
    let mut events = house.socket("/api/v1/events").await;
    house.until_viewers(&mut events, 2).await;
    house.until_viewers(&mut events, 1).await;
    drop(dead);
}
