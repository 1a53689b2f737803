//! A real daemon in a folder of the bench's, as this run has built it.

use std::{
    fs, io,
    net::SocketAddr,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use serde_json::Value;

/// The program.
pub(crate) const LONGHOUSE: &str = env!("CARGO_BIN_EXE_longhouse");
const PATIENCE: Duration = Duration::from_secs(60);

/// It is killed when this is dropped.
pub(crate) struct Daemon {
    child: Child,
    folder: PathBuf,
    endpoints: Value,
}

impl Daemon {
    /// With its state in `folder/state` and the data of `folder/data`, with every door on a free port, and with these
    /// settings (`key=value`) beside; waits until it is open.
    pub(crate) fn open(folder: &Path, settings: &[String]) -> io::Result<Self> {
        let notify = folder.join("notify");
        let socket = UnixDatagram::bind(&notify)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let log = fs::File::create(folder.join("daemon.log"))?;
        let state = folder.join("state");
        let mut command = Command::new(LONGHOUSE);
        command.arg("--state").arg(&state).arg("serve");
        let doors = [
            "http.listen=127.0.0.1:0",
            "admin.listen=127.0.0.1:0",
            "voice.listen=127.0.0.1:0",
            "lobby.listen=127.0.0.1:0",
            "lobby.meta_listen=",
            "lobby.announce=false",
        ];
        let data = format!("data={}", folder.join("data").display());
        let settings = settings.iter().map(String::as_str);
        for set in doors.into_iter().chain([&*data]).chain(settings) {
            command.args(["--set", set]);
        }
        let child = command
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .spawn()?;
        let mut daemon = Self {
            child,
            folder: folder.into(),
            endpoints: Value::Null,
        };
        let mut message = [0; 512];
        loop {
            let Ok(count) = socket.recv(&mut message) else {
                return Err(io::Error::other(daemon.last_words()));
            };
            if message[..count].windows(7).any(|part| part == b"READY=1") {
                break;
            }
        }
        daemon.endpoints = serde_json::from_slice(&fs::read(state.join("endpoints.json"))?)?;
        Ok(daemon)
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    pub(crate) fn state(&self) -> PathBuf {
        self.folder.join("state")
    }

    /// Where it listens for what a key of the configuration names.
    pub(crate) fn address(&self, key: &str) -> io::Result<SocketAddr> {
        let address = self.endpoints[key].as_str().unwrap_or_default();
        address.parse().map_err(io::Error::other)
    }

    /// All that it has said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.folder.join("daemon.log")).unwrap_or_default()
    }

    pub(crate) fn last_words(&self) -> String {
        let log = self.log();
        let lines: Vec<_> = log.lines().collect();
        let last = &lines[lines.len().saturating_sub(10)..];
        format!("the daemon:\n{}", last.join("\n"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// User ids that no other box on this machine has, because what is left of a user's processes is killed: so many, as
/// the configuration says them. Each bench has a million of its own, from `base` on.
pub(crate) fn users(base: u32, count: u32) -> String {
    let first = base + std::process::id() % 1_000_000 * 1_000;
    format!("{first}-{}", first + count - 1)
}

/// How busy the machine has been for a minute.
pub(crate) fn busy() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split_whitespace().next().unwrap_or("?").into()
}
