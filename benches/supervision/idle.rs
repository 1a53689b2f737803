//! A thousand idle servers under one real daemon: memory, idle processor time, re-adoption.

use std::{
    fs,
    io::{self, Read, Write},
    os::unix::net::{UnixDatagram, UnixStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};

use crate::{restart::private_bytes, table::Row};

const SERVERS: usize = 1_000;
const MIB: f64 = 1024.0 * 1024.0;
/// For how long the daemon's idle processor time is watched.
const WATCH: Duration = Duration::from_secs(10);

const GAME: &str = r#"
title = "Idle"
description = "Waits"
versions = ["1"]

[install]
method = "debian"
packages = ["coreutils"]
requires = ["/bin/sleep"]

[run]
argv = ["/bin/sleep", "1000000"]

[ready]

[stop]
signal = "SIGTERM"
"#;

struct House {
    folder: PathBuf,
    daemon: Child,
}

impl House {
    fn start(folder: &Path) -> io::Result<Self> {
        let notify = folder.join("notify");
        fs::remove_file(&notify).ok();
        let socket = UnixDatagram::bind(&notify)?;
        socket.set_read_timeout(Some(Duration::from_secs(60)))?;
        let log = fs::File::create(folder.join("daemon.log"))?;
        let daemon = Command::new(env!("CARGO_BIN_EXE_longhouse"))
            .arg("--state")
            .arg(folder.join("state"))
            .arg("serve")
            .args(["--set", "http.listen=127.0.0.1:0"])
            .args(["--set", "admin.listen=127.0.0.1:0"])
            .args(["--set", "voice.listen=127.0.0.1:0"])
            .args(["--set", "lobby.listen=127.0.0.1:0"])
            .args(["--set", "lobby.meta_listen="])
            .args(["--set", "lobby.announce=false"])
            .args(["--set", &format!("data={}", folder.display())])
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut message = [0; 256];
        loop {
            let n = socket.recv(&mut message)?;
            if message[..n].windows(7).any(|part| part == b"READY=1") {
                break;
            }
        }
        Ok(Self {
            folder: folder.into(),
            daemon,
        })
    }

    /// One request over the control socket, where root needs no token.
    fn call(&self, method: &str, path: &str, body: Option<&Value>) -> io::Result<Value> {
        let body = body.map(Value::to_string).unwrap_or_default();
        let mut stream = UnixStream::connect(self.folder.join("state/control.sock"))?;
        write!(
            stream,
            "{method} /api/v1/{path} HTTP/1.1\r\nhost: box\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        let start = answer.windows(4).position(|part| part == b"\r\n\r\n");
        let start = start.map_or(answer.len(), |at| at + 4);
        if !answer.starts_with(b"HTTP/1.1 2") {
            return Err(io::Error::other(String::from_utf8_lossy(&answer)));
        }
        // Chunked answers do not occur: the API says its lengths.
        serde_json::from_slice(&answer[start..]).map_err(io::Error::other)
    }

    fn running(&self) -> io::Result<usize> {
        let servers = self.call("GET", "servers", None)?;
        let servers = servers.as_array().map_or(&[][..], Vec::as_slice);
        Ok(servers
            .iter()
            .filter(|server| server["state"] == "running" && !server["pid"].is_null())
            .count())
    }

    fn wait_for_all(&self) -> io::Result<()> {
        let started = Instant::now();
        while self.running()? < SERVERS {
            if started.elapsed() > Duration::from_secs(300) {
                return Err(io::Error::other("not all servers came up in 300 s"));
            }
            thread::sleep(Duration::from_millis(20));
        }
        Ok(())
    }

    fn keepers(&self) -> io::Result<Vec<u32>> {
        let mut pids = Vec::new();
        for entry in fs::read_dir(self.folder.join("state/servers"))? {
            let status = fs::read(entry?.path().join("run/status.json"))?;
            let status: Value = serde_json::from_slice(&status).map_err(io::Error::other)?;
            pids.extend(
                status["keeper"]
                    .as_u64()
                    .and_then(|pid| u32::try_from(pid).ok()),
            );
        }
        Ok(pids)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

fn resident(pid: u32) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .and_then(|rest| rest.split_whitespace().next()?.parse::<f64>().ok());
    Ok(kib.unwrap_or(f64::NAN) * 1024.0)
}

/// Clock ticks of processor time, 100 in a second.
fn processor_ticks(pid: u32) -> io::Result<f64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |at: usize| fields.get(at).and_then(|text| text.parse::<f64>().ok());
    Ok(ticks(11).unwrap_or(f64::NAN) + ticks(12).unwrap_or(f64::NAN))
}

fn row(what: &str, ours: f64, unit: &'static str, most: f64) -> Row {
    Row {
        what: what.into(),
        ours,
        unit,
        peer: format!("{most} {unit}"),
        theirs: None,
        ratio: ours / most,
        target: "at most 1 x".into(),
        met: Some(ours <= most),
    }
}

/// Starts a box, fills it, measures it, restarts its daemon, and ends it all.
pub(crate) fn rows() -> io::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    fs::create_dir(folder.path().join("games"))?;
    fs::write(folder.path().join("games/idle.toml"), GAME)?;
    let house = House::start(folder.path())?;
    let alone = resident(house.daemon.id())?;

    for _ in 0..SERVERS {
        let server = house.call("POST", "servers", Some(&json!({"game": "idle"})))?;
        house.call("POST", &format!("servers/{}/start", server["id"]), None)?;
    }
    house.wait_for_all()?;

    let before = processor_ticks(house.daemon.id())?;
    thread::sleep(WATCH);
    let idle = (processor_ticks(house.daemon.id())? - before) / WATCH.as_secs_f64();
    let full = resident(house.daemon.id())?;

    let keepers = house.keepers()?;
    let mut largest = 0.0_f64;
    for pid in &keepers {
        largest = largest.max(private_bytes(*pid)? as f64);
    }

    drop(house); // kill -9
    let started = Instant::now();
    let house = House::start(folder.path())?;
    house.wait_for_all()?;
    let adopted = started.elapsed().as_secs_f64();
    let same = house.keepers()? == keepers;

    for id in 1..=SERVERS {
        house.call("POST", &format!("servers/{id}/kill"), None)?;
    }
    while house.running()? > 0 {
        thread::sleep(Duration::from_millis(20));
    }
    if !same {
        return Err(io::Error::other("keepers were replaced, not adopted"));
    }
    Ok(vec![
        row("daemon alone, resident", alone / MIB, "MiB", 25.0),
        row(
            "keeper's private memory, largest of 1,000",
            largest / MIB,
            "MiB",
            1.5,
        ),
        row(
            "daemon's processor time with 1,000 idle servers",
            idle,
            "%",
            1.0,
        ),
        row("1,000 servers re-adopted after kill -9", adopted, "s", 2.0),
        row(
            "daemon with 1,000 servers, resident",
            full / MIB,
            "MiB",
            100.0,
        ),
    ])
}
