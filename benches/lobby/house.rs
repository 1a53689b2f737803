//! A real daemon in a temporary folder.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::{UnixDatagram, UnixStream},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::words::{Heard, hear};

/// The program, as this run has built it.
pub(crate) const LONGHOUSE: &str = env!("CARGO_BIN_EXE_longhouse");
/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct House {
    folder: TempDir,
    daemon: Child,
    pub(crate) lobby: SocketAddr,
    metrics: SocketAddr,
}

impl House {
    /// With that many rooms of 200 for `game`, titled `Load 0` and so on.
    pub(crate) fn open(rooms: usize, game: Option<&str>) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let data = folder.path().join("data");
        fs::create_dir_all(data.join("rooms"))?;
        for n in 0..rooms {
            let mut room = format!(
                "title = \"Load {n}\"\ndescription = \"A busy room\"\nmax_players = 200\nmax_tables = 50\n"
            );
            if let Some(game) = game {
                room.push_str(&format!("game = \"{game}\"\n"));
            }
            fs::write(data.join(format!("rooms/load-{n}.toml")), room)?;
        }
        let notify = folder.path().join("notify");
        let socket = UnixDatagram::bind(&notify)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let log = fs::File::create(folder.path().join("daemon.log"))?;
        let state = folder.path().join("state");
        // Users that no other box on this machine has: what is left of a user's processes is killed.
        let first = 400_000_000 + std::process::id() % 1_000_000 * 1_000;
        let mut command = Command::new(LONGHOUSE);
        command.arg("--state").arg(&state).arg("serve");
        for set in [
            "http.listen=127.0.0.1:0",
            "admin.listen=127.0.0.1:0",
            "voice.listen=127.0.0.1:0",
            "lobby.listen=127.0.0.1:0",
            "lobby.meta_listen=",
            "lobby.announce=false",
            &format!("lobby.uids={first}-{}", first + 605),
            &format!("data={}", data.display()),
        ] {
            command.args(["--set", set]);
        }
        let daemon = command
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut house = Self {
            folder,
            daemon,
            lobby: SocketAddr::from(([127, 0, 0, 1], 0)),
            metrics: SocketAddr::from(([127, 0, 0, 1], 0)),
        };
        let mut message = [0; 512];
        loop {
            let Ok(count) = socket.recv(&mut message) else {
                return Err(io::Error::other(house.last_words()));
            };
            if message[..count].windows(7).any(|part| part == b"READY=1") {
                break;
            }
        }
        let endpoints: Value = serde_json::from_slice(&fs::read(state.join("endpoints.json"))?)?;
        let address = |key: &str| {
            let address = endpoints[key].as_str().unwrap_or_default();
            address.parse().map_err(io::Error::other)
        };
        (house.lobby, house.metrics) = (address("lobby.listen")?, address("admin.listen")?);
        Ok(house)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.id()
    }

    fn last_words(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default();
        let lines: Vec<_> = log.lines().rev().take(10).collect();
        let lines: Vec<_> = lines.into_iter().rev().collect();
        format!("the daemon:\n{}", lines.join("\n"))
    }

    /// What it warned of.
    pub(crate) fn warnings(&self) -> String {
        let log = fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default();
        let bad = |line: &&str| {
            ["WARN", "ERROR", "warn", "error"]
                .iter()
                .any(|word| line.contains(word))
        };
        log.lines()
            .filter(bad)
            .take(20)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The numbers of the rooms that it was opened with.
    pub(crate) fn rooms(&self, count: usize) -> io::Result<Vec<u32>> {
        let rooms = self.look_at_rooms()?;
        match rooms.len() == count {
            true => Ok(rooms),
            false => Err(io::Error::other(format!(
                "{} rooms of {count}; {}",
                rooms.len(),
                self.last_words()
            ))),
        }
    }

    fn look_at_rooms(&self) -> io::Result<Vec<u32>> {
        let mut stream = TcpStream::connect(self.lobby)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let login = "<LOGIN TYPE='guest'><NAME>scout</NAME></LOGIN>";
        writeln!(
            stream,
            "<SESSION>\n{login}\n<LIST TYPE='room' FULL='false'/>"
        )?;
        let mut rooms = Vec::new();
        for line in BufReader::new(stream).lines() {
            let line = line?;
            match hear(line.as_bytes()) {
                Heard::Room(id, name) if name.starts_with("Load ") => {
                    rooms.push(id.parse().map_err(io::Error::other)?);
                }
                Heard::Other if line == "</LIST>" => break,
                Heard::Result("login", code) if code != "ok" => {
                    return Err(io::Error::other(format!("scouting: {code}")));
                }
                _ => {}
            }
        }
        Ok(rooms)
    }

    /// A request over the control socket, where root needs no token.
    pub(crate) fn post(state: &std::path::Path, path: &str, body: &Value) -> io::Result<()> {
        let body = body.to_string();
        let mut stream = UnixStream::connect(state.join("control.sock"))?;
        write!(
            stream,
            "POST /api/v1/{path} HTTP/1.1\r\nhost: box\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer)?;
        match answer.starts_with(b"HTTP/1.1 2") {
            true => Ok(()),
            false => Err(io::Error::other(String::from_utf8_lossy(&answer))),
        }
    }

    /// That many accounts, `p0` and so on. Four ask at once, so that neither turn to compute is ever idle.
    pub(crate) fn accounts(&self, count: usize, role: &str) -> io::Result<()> {
        let state = self.folder.path().join("state");
        thread::scope(|scope| {
            let makers: Vec<_> = (0..4)
                .map(|maker| {
                    let state = &state;
                    scope.spawn(move || {
                        (maker..count).step_by(4).try_for_each(|n| {
                            let name = format!("p{n}");
                            let wish = json!({"name": name, "role": role, "password": PASSWORD});
                            Self::post(state, "accounts", &wish)
                        })
                    })
                })
                .collect();
            let ended = makers.into_iter().map(|maker| maker.join());
            ended.flat_map(Result::ok).collect()
        })
    }

    /// A figure of the metrics page.
    pub(crate) fn metric(&self, name: &str) -> io::Result<f64> {
        let mut stream = TcpStream::connect(self.metrics)?;
        write!(
            stream,
            "GET /metrics HTTP/1.1\r\nhost: box\r\nconnection: close\r\n\r\n"
        )?;
        let mut page = String::new();
        stream.read_to_string(&mut page)?;
        let mut lines = page.lines();
        let value = lines.find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok());
        value.ok_or_else(|| io::Error::other(format!("no {name} on the metrics page")))
    }

    pub(crate) fn resident(&self) -> io::Result<f64> {
        status(self.pid(), "VmRSS:")
    }

    /// The most that it ever was.
    pub(crate) fn peak(&self) -> io::Result<f64> {
        status(self.pid(), "VmHWM:")
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// A line of a process's status, in KiB.
fn status(pid: u32, line: &str) -> io::Result<f64> {
    let status = fs::read_to_string(format!("/proc/{pid}/status"))?;
    let mut lines = status.lines();
    let kib = lines.find_map(|text| {
        text.strip_prefix(line)?
            .split_whitespace()
            .next()?
            .parse()
            .ok()
    });
    kib.ok_or_else(|| io::Error::other(format!("no {line} of process {pid}")))
}

/// Of all threads of a process, and of the kernel for it.
pub(crate) fn processor_time(pid: u32) -> io::Result<Duration> {
    let clock = clock_getcpuclockid(Pid::from_raw(pid as i32))?;
    Ok(clock_gettime(clock)?.into())
}

/// How busy the machine has been for a minute.
pub(crate) fn busy() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").into()
}
