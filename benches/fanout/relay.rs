//! One relay, in a process and on a core of its own.

use std::{
    env, fs,
    io::{self, BufRead as _, BufReader},
    net::{Ipv4Addr, SocketAddr},
    os::unix::net::UnixDatagram,
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::Duration,
};

use nix::{
    sched::{CpuSet, sched_setaffinity},
    time::{clock_getcpuclockid, clock_gettime},
    unistd::Pid,
};
use serde::Serialize;
use serde_json::Value;
use tempfile::TempDir;

/// Names the role in which this program starts itself.
pub(crate) const ROLE: &str = "LONGHOUSE_FANOUT_ROLE";
/// The members' ports, for relays without a protocol.
pub(crate) const MEMBERS: &str = "LONGHOUSE_FANOUT_MEMBERS";
/// Bytes that are asked for a socket's queue.
pub(crate) const QUEUE: usize = 4 << 20;

/// Who relays.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Contender {
    Bare,
    Sendto,
    Tokio,
    Daemon,
}

impl Contender {
    pub(crate) const ALL: [Self; 4] = [Self::Bare, Self::Sendto, Self::Tokio, Self::Daemon];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Bare => "bare epoll+GSO loop",
            Self::Sendto => "blocking sendto loop",
            Self::Tokio => "tokio send_to loop",
            Self::Daemon => "longhouse",
        }
    }

    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Bare => "bare",
            Self::Sendto => "sendto",
            Self::Tokio => "tokio",
            Self::Daemon => "daemon",
        }
    }
}

/// A relay that runs; killed when dropped.
pub(crate) struct Relay {
    pub(crate) contender: Contender,
    /// Where it relays, or where the daemon's control port is.
    pub(crate) address: SocketAddr,
    process: Child,
    folder: Option<TempDir>,
}

impl Relay {
    /// One without a protocol, among members on those ports.
    pub(crate) fn peer(contender: Contender, members: &[u16], cores: &[usize]) -> io::Result<Self> {
        let members: Vec<_> = members.iter().map(ToString::to_string).collect();
        let mut command = Command::new(env::current_exe()?);
        command
            .env(ROLE, contender.role())
            .env(MEMBERS, members.join(","))
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut process = spawn_on(cores, &mut command)?;
        let mut port = String::new();
        let output = process.stdout.take().expect("it is piped");
        BufReader::new(output).read_line(&mut port)?;
        let port: u16 = port.trim().parse().map_err(io::Error::other)?;
        Ok(Self {
            contender,
            address: (Ipv4Addr::LOCALHOST, port).into(),
            process,
            folder: None,
        })
    }

    /// The real daemon, new, with that many sockets per channel at most.
    pub(crate) fn daemon(shards: usize, cores: &[usize]) -> io::Result<Self> {
        let folder = tempfile::tempdir()?;
        let (process, address) = serve(&folder, shards, cores)?;
        Ok(Self {
            contender: Contender::Daemon,
            address,
            process,
            folder: Some(folder),
        })
    }

    /// The daemon killed and started again with what it has stored.
    pub(crate) fn again(&mut self, shards: usize, cores: &[usize]) -> io::Result<()> {
        let folder = self.folder.as_ref();
        let folder = folder.ok_or_else(|| io::Error::other("not a daemon"))?;
        self.process.kill()?;
        self.process.wait()?;
        (self.process, self.address) = serve(folder, shards, cores)?;
        Ok(())
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Processor time that it has used, all of its threads and the kernel's work for it.
    pub(crate) fn processor_time(&self) -> io::Result<Duration> {
        let clock = clock_getcpuclockid(Pid::from_raw(self.pid() as i32))?;
        Ok(clock_gettime(clock)?.into())
    }

    /// An error when it has ended.
    pub(crate) fn must_live(&mut self) -> io::Result<()> {
        match self.process.try_wait()? {
            None => Ok(()),
            Some(status) => Err(io::Error::other(format!(
                "{} ended: {status}{}",
                self.contender.name(),
                self.folder.as_ref().map(last_words).unwrap_or_default(),
            ))),
        }
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn last_words(folder: &TempDir) -> String {
    let log = fs::read_to_string(folder.path().join("daemon.log")).unwrap_or_default();
    let lines: Vec<_> = log.lines().rev().take(10).collect();
    format!(
        "\n{}",
        lines.into_iter().rev().collect::<Vec<_>>().join("\n")
    )
}

/// Starts the daemon and waits until it says that it is ready.
fn serve(folder: &TempDir, shards: usize, cores: &[usize]) -> io::Result<(Child, SocketAddr)> {
    let notify = folder.path().join("notify");
    fs::remove_file(&notify).ok(); // a former start's
    let socket = UnixDatagram::bind(&notify)?;
    socket.set_read_timeout(Some(Duration::from_millis(100)))?;
    let log = fs::File::create(folder.path().join("daemon.log"))?;
    let state: PathBuf = folder.path().join("state");
    let mut command = Command::new(env::current_exe()?);
    command
        .env(ROLE, Contender::Daemon.role())
        .arg("--state")
        .arg(&state)
        .arg("serve")
        .args(["--set", "http.listen=127.0.0.1:0"])
        .args(["--set", "admin.listen=127.0.0.1:0"])
        .args(["--set", "voice.listen=127.0.0.1:0"])
        .args(["--set", "voice.ports=20000-29999"])
        .args(["--set", "voice.legacy_admin=true"])
        .args(["--set", "voice.rate=4000000000"])
        .args(["--set", &format!("voice.shards={shards}")])
        .args(["--set", &format!("data={}", folder.path().display())])
        .env("NOTIFY_SOCKET", &notify)
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    let mut process = spawn_on(cores, &mut command)?;
    let mut message = [0; 512];
    for _ in 0..600 {
        match socket.recv(&mut message) {
            Ok(n) if message[..n].windows(7).any(|part| part == b"READY=1") => {
                let endpoints = fs::read(state.join("endpoints.json"))?;
                let endpoints: Value = serde_json::from_slice(&endpoints)?;
                let address = endpoints["voice.listen"].as_str().unwrap_or_default();
                let address = address.parse().map_err(io::Error::other)?;
                return Ok((process, address));
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
        if process.try_wait()?.is_some() {
            break;
        }
    }
    process.kill().ok();
    process.wait()?;
    Err(io::Error::other(format!(
        "the daemon did not start:{}",
        last_words(folder)
    )))
}

/// Starts it where this thread is for that moment: who is born on a core stays there.
fn spawn_on(cores: &[usize], command: &mut Command) -> io::Result<Child> {
    let before = nix::sched::sched_getaffinity(Pid::from_raw(0))?;
    pin(cores)?;
    let child = command.spawn();
    sched_setaffinity(Pid::from_raw(0), &before)?;
    child
}

/// Keeps this thread on these cores.
pub(crate) fn pin(cores: &[usize]) -> io::Result<()> {
    let mut set = CpuSet::new();
    for core in cores {
        set.set(*core)?;
    }
    Ok(sched_setaffinity(Pid::from_raw(0), &set)?)
}
