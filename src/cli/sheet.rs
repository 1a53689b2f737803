//! How servers look to people: words, one line of news, and the whole sheet.

use serde_json::{Value, json};

use super::{
    print::{Cell, Colour, Table},
    text,
};
use crate::hosting::{Desired, Exit, Limits, Online, Port, State, View};

/// All of one server.
pub(crate) fn sheet(server: &View) -> Table {
    let mut table = Table::fields();
    table.field("id", server.id.0);
    table.field("name", &server.name);
    table.field("title", &server.title);
    table.field("game", format!("{} {}", server.game, server.version));
    table.field("owner", &server.owner);
    table.field("class", server.class);
    table.row([
        Cell::coloured("state", Colour::Quiet),
        Cell::coloured(word(server.state), colour(server.state)),
    ]);
    let desired = match server.desired {
        Desired::Up => "up",
        Desired::Down => "down",
    };
    table.field("desired", desired);
    table.field("ports", ports(&server.ports));
    if let Some(pid) = server.pid {
        table.field("pid", pid);
    }
    if let Some(uptime) = server.uptime_s {
        table.field("up", time(uptime));
    }
    table.field("starts", server.starts);
    if let Some(exit) = &server.exit {
        table.field("last exit", format!("{} at {}", exit.reason, exit.at));
    }
    if let Some(retry) = server.retry_at {
        table.field("next start", retry);
    }
    table.field("restart", value(&json!(server.restart)));
    table.field("limits", limits(&server.limits));
    table.field("idle", super::class::rest(server.idle));
    table.field("mounted", if server.mounted { "yes" } else { "no" });
    if let Some(players) = &server.players {
        table.field("players", online(players));
    }
    for (name, setting) in &server.settings {
        table.field(&format!("setting {}", text::plain(name)), value(setting));
    }
    for path in &server.public {
        table.field("public", path);
    }
    table.field("folder", server.folder.display());
    table.field("created", server.created);
    for notice in &server.notices {
        table.row([Cell::coloured("notice", Colour::Busy), Cell::new(notice)]);
    }
    table
}

/// `ada_3: running, pid 4711, ports 7200`; an exit is told once.
pub(crate) fn news(server: &View, known: Option<&Exit>) -> String {
    let mut line = format!("{}: {}", server.name, word(server.state));
    if let (State::Running, Some(pid)) = (server.state, server.pid) {
        line += &format!(", pid {pid}, ports {}", ports(&server.ports));
    }
    if let Some(exit) = server.exit.as_ref().filter(|exit| Some(*exit) != known) {
        line += &format!(" ({})", text::plain(&exit.reason));
    }
    line
}

pub(crate) fn word(state: State) -> &'static str {
    match state {
        State::Stopped => "stopped",
        State::Installing => "installing",
        State::Starting => "starting",
        State::Running => "running",
        State::Stopping => "stopping",
        State::Backoff => "backoff",
        State::Failed => "failed",
    }
}

pub(crate) fn colour(state: State) -> Colour {
    match state {
        State::Running => Colour::Good,
        State::Failed => Colour::Bad,
        State::Stopped => Colour::Quiet,
        State::Installing | State::Starting | State::Stopping | State::Backoff => Colour::Busy,
    }
}

/// `7200, query 7201/udp`: the name where there is more than one, the protocol where it is not both.
pub(crate) fn ports(ports: &[Port]) -> String {
    let shown = ports.iter().map(|port| {
        let name = if ports.len() > 1 {
            format!("{} ", port.name)
        } else {
            String::new()
        };
        let protocol = match (port.tcp, port.udp) {
            (true, false) => "/tcp",
            (false, true) => "/udp",
            _ => "",
        };
        format!("{name}{}{protocol}", port.number)
    });
    shown.collect::<Vec<_>>().join(", ")
}

/// `2 of 25: ada, bob`.
fn online(players: &Online) -> String {
    let max = players
        .max
        .map_or(String::new(), |max| format!(" of {max}"));
    let names: Vec<_> = players.names.iter().map(|name| text::plain(name)).collect();
    let names = match names.is_empty() {
        true => String::new(),
        false => format!(": {}", names.join(", ")),
    };
    format!("{}{max}{names}", players.online)
}

pub(crate) fn limits(limits: &Limits) -> String {
    let named = [
        limits
            .memory
            .map(|bytes| format!("memory {} MiB", bytes >> 20)),
        limits.cpu_percent.map(|percent| format!("cpu {percent}%")),
        limits.pids.map(|pids| format!("pids {pids}")),
        limits.disk.map(|bytes| format!("disk {} MiB", bytes >> 20)),
        limits.players.map(|players| format!("players {players}")),
    ];
    let named: Vec<_> = named.into_iter().flatten().collect();
    if named.is_empty() {
        "none".into()
    } else {
        named.join(", ")
    }
}

/// Text without its quotes, all else as JSON.
fn value(value: &Value) -> String {
    value
        .as_str()
        .map_or_else(|| value.to_string(), str::to_owned)
}

/// `2d 3h`, `3h 4m`, `4m 5s`, `5s`.
pub(crate) fn time(seconds: u64) -> String {
    let (days, hours, minutes) = (seconds / 86400, seconds / 3600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, _) => format!("{minutes}m {}s", seconds % 60),
        (0, _, _) => format!("{hours}h {minutes}m"),
        _ => format!("{days}d {hours}h"),
    }
}

/// One server, for tests.
#[cfg(test)]
pub(crate) fn sample(id: u64, title: &str, state: &str) -> View {
    serde_json::from_value(json!({
        "id": id, "name": format!("ada_{id}"), "title": title, "game": "openttd", "version": "13.0",
        "owner": "ada", "owner_id": 1, "class": 2, "ports": [{"name": "game", "number": 7200, "tcp": true, "udp": true}],
        "desired": "up", "state": state, "pid": 9, "uptime_s": 75, "starts": 1, "exit": null, "retry_at": null,
        "restart": "always", "settings": {"map": 8}, "limits": {"memory": 1048576}, "idle": {}, "mounted": true,
        "players": {"online": 1, "max": 8, "names": ["bob"]}, "notices": [],
        "folder": "/x", "created": "2026-01-01T00:00:00.000Z"
    }))
    .unwrap()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sheet_shows_what_matters() {
        let shown = sheet(&sample(3, "Tr\x1bains", "running")).render(false);
        for part in [
            "Tr\\x1bains",
            "openttd 13.0",
            "7200",
            "1m 15s",
            "memory 1 MiB",
            "setting map",
        ] {
            assert!(shown.contains(part), "{part} is missing from {shown}");
        }
        assert_eq!((time(5), time(90061)), ("5s".into(), "1d 1h".into()));
    }
}
