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
        "notices": [], "idle": {}, "mounted": true, "players": null, "folder": "/x", "created": "2026-01-01T00:00:00.000Z"
    })
}

pub(crate) fn account(id: u64, name: &str) -> Value {
    json!({
        "id": id, "name": name, "role": "host", "mail": null, "disabled": false, "confirmed": id != 2,
        "mail_state": "verified",
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

/// A lobby with one room, a guest in it, and a table.
fn lobby(method: &str, path: &str) -> Reply {
    let player = json!({"name": "eve", "kind": "guest", "table": 1, "permissions": 67, "lag": 1,
                        "stats": {"records": null, "rating": null, "highscore": null}});
    let seats = json!([{"kind": "player", "name": "eve"}, {"kind": "bot"}]);
    let table = json!({"id": 1, "game": 0, "status": "waiting", "description": "a & b", "seats": seats,
                       "spectators": [null, "bob"]});
    let room = json!({"id": 2, "name": "chess", "title": "Chess Room", "description": "", "game": "chess", "open": true,
                      "entry": "open", "people": 1, "max_players": 9, "max_tables": 5, "players": [player], "tables": [table]});
    let within = |mut thing: Value| {
        thing["room"] = json!(2);
        thing
    };
    let at = "2026-01-01T00:00:00.000Z";
    match (method, path) {
        ("GET", "/rooms") => ok(json!([room])),
        ("GET", "/rooms/2") => ok(room),
        ("GET", "/players") => ok(json!([within(player)])),
        ("GET", "/tables") => ok(json!([within(table)])),
        ("POST", "/tables" | "/savegames/resume") => {
            Reply::Say(201, json!({"room": 2, "table": 3}).to_string())
        }
        ("GET", "/games") => ok(json!([{
            "id": 0, "name": "Chess", "version": "1", "engine": "Longhouse Chess", "engine_version": "1",
            "players": {"singles": 4, "range": null}, "bots": {"singles": 2, "range": null}, "spectators": true,
            "peers": false, "named_bots": [["chess-easy", "easy"]], "about": null
        }])),
        ("GET", "/chat") => ok(json!([{"at": at, "room": 2, "from": "eve", "text": "hi\u{1b}"}])),
        ("GET", "/bans") => ok(json!([{
            "name": "mallory", "account": null, "network": "192.0.2.0", "reason": "rude", "by": "ada", "at": at, "until": at
        }])),
        ("GET", "/rankings") => ok(json!([{"position": 1, "player": "bob", "score": 1515.4}])),
        ("GET", "/matches") => ok(json!([{
            "id": 9, "game": "chess", "room": "chess", "at": at, "winner": "bob", "savegame": null,
            "players": [{"name": "bob", "account": 2, "kind": "player", "team": null, "outcome": "win", "score": 0, "rating": [1500.0, 1515.4]},
                        {"name": "eve", "account": null, "kind": "player", "team": null, "outcome": "loss", "score": 0, "rating": null}]
        }])),
        ("GET", "/savegames") => ok(json!([{
            "room": "chess", "table": 1, "since": at, "file": "match-1", "game": "chess", "owner": "eve", "seats": seats, "at": at,
            "playing": false
        }])),
        ("GET", "/definitions") => ok(json!({
            "tables": ["chess"], "rooms": ["entry", "chess"], "faults": ["den: no title"],
            "overrides": [{"kind": "rooms", "name": "den", "toml": null}]
        })),
        ("GET", "/live") => Reply::News(vec![
            json!({"room": 2, "heard": {"push": "chat", "kind": "normal", "from": "eve", "text": "hi"}}),
            json!({"event": "lagged", "missed": 3}),
            json!({"room": 2, "heard": {"push": "update", "update": "player_delete", "room": 2, "name": "eve", "to_room": null}}),
        ]),
        ("POST" | "PUT", _) => Reply::Say(204, String::new()),
        _ => Reply::Say(404, json!({"detail": "Nothing is here."}).to_string()),
    }
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
        (method, path) if path.starts_with("/lobby/") && !path.contains("permissions") => {
            lobby(method, &path["/lobby".len()..])
        }
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
