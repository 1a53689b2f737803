//! A real daemon in a temporary folder.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::unix::net::UnixStream,
    thread,
    time::Duration,
};

use nix::{
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    daemon::{Daemon, users},
    words::{Heard, hear},
};

/// Everybody's password.
pub(crate) const PASSWORD: &str = "correct horse";
const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct House {
    daemon: Daemon,
    pub(crate) lobby: SocketAddr,
    metrics: SocketAddr,
    _folder: TempDir,
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
        let settings = [format!("lobby.uids={}", users(400_000_000, 606))];
        let daemon = Daemon::open(folder.path(), &settings)?;
        Ok(Self {
            lobby: daemon.address("lobby.listen")?,
            metrics: daemon.address("admin.listen")?,
            daemon,
            _folder: folder,
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.daemon.pid()
    }

    /// What it warned of.
    pub(crate) fn warnings(&self) -> String {
        let log = self.daemon.log();
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
                self.daemon.last_words()
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
        let state = self.daemon.state();
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
