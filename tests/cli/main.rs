//! The real binary against a daemon that answers what each test tells it to.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

mod fake;
mod terminal;
mod verbs;

use std::{
    io::Write as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use fake::{Reply, ok};

/// A state folder, and a home for who types.
pub(crate) struct Box {
    folder: TempDir,
}

impl Box {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("state")).unwrap();
        Self { folder }
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) fn command(&self, line: &str) -> Command {
        self.command_in(&self.state(), line)
    }

    pub(crate) fn command_in(&self, state: &Path, line: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_longhouse"));
        command
            .env_clear()
            .env("HOME", self.folder.path())
            .env("TERM", "xterm")
            .arg("--state")
            .arg(state)
            .args(line.split_whitespace())
            .stdin(Stdio::null());
        command
    }

    /// Runs it to its end: exit code, standard output, standard error.
    pub(crate) fn run(&self, line: &str) -> (i32, String, String) {
        told(self.command(line).output().unwrap())
    }

    pub(crate) fn run_with(&self, line: &str, input: &str) -> (i32, String, String) {
        let mut child = self
            .command(line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        drop(stdin);
        told(child.wait_with_output().unwrap())
    }
}

pub(crate) fn told(output: Output) -> (i32, String, String) {
    (
        output.status.code().unwrap_or(-1),
        String::from_utf8(output.stdout).unwrap(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

pub(crate) fn server(state: &str) -> Value {
    json!({
        "id": 3, "name": "ada_3", "title": "Trains & more", "game": "openttd", "version": "13.0",
        "owner": "ada", "owner_id": 1, "class": 2,
        "ports": [{"name": "game", "number": 7200, "tcp": true, "udp": true}],
        "desired": if state == "stopped" { "down" } else { "up" },
        "state": state, "pid": (state == "running").then_some(4711), "uptime_s": null, "starts": 1,
        "exit": null, "retry_at": null, "restart": "always", "settings": {},
        "limits": {"memory": 1 << 20, "cpu_percent": null, "pids": 5},
        "notices": [], "folder": "/x", "created": "2026-01-01T00:00:00.000Z"
    })
}

pub(crate) fn account(id: u64, name: &str) -> Value {
    json!({
        "id": id, "name": name, "role": "host", "mail": null, "disabled": false, "confirmed": id != 2,
        "created": "2026-01-01T00:00:00.000Z", "last_login": null
    })
}

pub(crate) fn channel() -> Value {
    json!({
        "id": 5, "title": "Lobby & more", "port": 40_000, "owner": 7, "owner_name": "ada",
        "created": "2026-01-01T00:00:00.000Z",
        "members": [
            {"uid": 7, "account": 1, "name": "ada", "address": "192.0.2.7:5000", "present": true,
             "talking": true, "silent_ms": 20, "packets": 900, "limited": 0},
            {"uid": 9, "account": null, "name": null, "address": null, "present": false,
             "talking": false, "silent_ms": 31_000, "packets": 0, "limited": 3},
        ],
        "traffic": traffic(),
        "sockets": {"shards": 1, "receive_buffer": 4 << 20, "send_buffer": 1 << 20,
                    "shield": false, "gso_refused": 0},
    })
}

fn traffic() -> Value {
    json!({"packets": 900, "deliveries": 450, "coalesced": 12, "words": 2, "drops": {
        "malformed": 1, "strangers": 2, "misplaced": 3, "unsound": 4, "unproven": 5, "limited": 6,
        "unsent": 7, "overrun": 8}})
}

/// A box with one server that runs, one voice channel and two people, where everything succeeds.
pub(crate) fn friendly(asked: &str) -> Reply {
    let (method, rest) = asked.split_once(' ').unwrap();
    let path = rest.split([' ', '?']).next().unwrap();
    match (method, path) {
        ("GET", "/servers") => ok(json!([server("running")])),
        ("POST", "/servers") => Reply::Say(201, server("stopped").to_string()),
        ("DELETE", _) => Reply::Say(204, String::new()),
        ("POST", "/servers/3/stop" | "/servers/3/kill") => {
            Reply::Say(202, server("stopping").to_string())
        }
        (_, path) if path.starts_with("/servers/3") => ok(server("running")),
        ("GET", "/voice/channels") => ok(json!([channel()])),
        ("POST", "/voice/channels") => Reply::Say(201, channel().to_string()),
        ("GET", "/voice/channels/5") => ok(channel()),
        ("GET", "/voice/stats") => ok(json!({
            "channels": 1, "members": 2, "talking": 1, "guests": 4, "connections": 0, "crowded_out": 3,
            "commands": 77, "traffic": traffic(), "signer": "c0ffee"
        })),
        ("GET", "/voice/live") => Reply::News(vec![
            json!({"seq": 1, "channel": 5, "event": "talking", "uid": 7}),
            json!({"event": "lagged", "missed": 3}),
            json!({"seq": 5, "channel": 5, "event": "left", "uid": 9, "why": "silent"}),
            json!({"seq": 6, "channel": 5, "event": "deleted"}),
        ]),
        ("GET", "/accounts") => ok(json!([account(1, "ada"), account(2, "bob")])),
        (_, path) if path.starts_with("/accounts") => ok(account(2, "bob")),
        ("PUT", "/lobby/permissions/2") => ok(json!({"mask": 23})),
        ("GET", "/lobby/permissions/2") => ok(json!({"mask": null})),
        ("GET", "/games") => ok(json!([{
            "name": "openttd", "title": "OpenTTD", "description": "Trains", "install": "debian",
            "versions": ["13.0"], "settings": {"password": {"type": "text"}, "size": {"type": "integer"}}, "unavailable": "openttd is not installed"
        }])),
        ("GET", "/tokens") => ok(json!([{
            "id": 4, "account": 2, "label": "bot", "scopes": ["console.read"], "expires": null,
            "created": "2026-01-01T00:00:00.000Z"
        }])),
        ("POST", "/tokens") => ok(json!({"id": 5, "secret": "lh_secret"})),
        ("GET", "/grants") => ok(json!([{"account": 2, "server": 3, "verbs": ["console.read"]}])),
        ("PUT", "/grants") => Reply::Say(204, String::new()),
        ("GET", "/audit") => ok(json!([{
            "seq": 7, "at": "2026-01-01T00:00:00.000Z", "account": 1, "name": "ada", "from": null,
            "door": "control", "action": "server.start", "subject": "server 3", "detail": {},
            "of": null, "outcome": null, "hash": "00"
        }])),
        ("GET", "/audit/verify") => ok(json!({"records": 7, "fault": null, "interrupted": [5]})),
        ("GET", "/status") => ok(json!({"version": "0.1.0", "servers": 1})),
        ("GET", "/doctor") => ok(json!({"missing": []})),
        ("GET", "/check") => ok(json!({"faults": []})),
        _ => Reply::Say(404, json!({"detail": "Nothing is here."}).to_string()),
    }
}
