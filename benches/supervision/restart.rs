//! From a game's death to its replacement's main, and what an idle keeper weighs.
//!
//! All three supervisors run at once and their games are killed in turn, so that the machine's mood is the same for all.
//! The game is the smallest program that can tell the time at its main, so that the supervisors' own part shows; where
//! no C compiler makes it, this very program plays it, and the loading of that is most of what is measured.

use std::{
    env, fs, io,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use longhouse::{
    hosting::Restart,
    keeper::{self, Client, Ready, Request, Spec, Stop},
    sandbox::pidfd::PidFd,
};
use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::table::{Row, median};

const GAME: &str = "LONGHOUSE_BENCH_GAME";
const BARE: &str = "LONGHOUSE_BENCH_BARE";
const SMALLEST: &str = r#"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>
int main(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    strncpy(to.sun_path, getenv("LONGHOUSE_BENCH_GAME"), sizeof to.sun_path - 1);
    char word[64];
    int n = sprintf(word, "%d %lld", getpid(), t.tv_sec * 1000000000LL + t.tv_nsec);
    sendto(socket(AF_UNIX, SOCK_DGRAM, 0), word, n, 0, (struct sockaddr *)&to, sizeof to);
    for (;;) pause();
}
"#;
const ROUNDS: usize = 40;
/// Kills of ours and of the bare loop per kill of runit's.
const BURST: usize = 5;
/// runsv waits a second before it starts again what ran for less.
const RUNIT_UPTIME: Duration = Duration::from_millis(1100);

/// What this process was started for, when not to measure; then it never returns.
pub(crate) fn role() {
    if let Some(socket) = env::var_os(GAME) {
        let born = unix_nanos();
        let word = format!("{} {born}", std::process::id());
        let sender = UnixDatagram::unbound().expect("a socket");
        sender.send_to(word.as_bytes(), socket).ok();
        loop {
            thread::park();
        }
    }
    if let Some(program) = env::var_os(BARE) {
        let socket = env::args_os().nth(1).expect("the socket is named");
        bare(Path::new(&program), Path::new(&socket)).expect("the bare loop runs");
    }
}

/// The game's program, made in `folder`.
fn game(folder: &Path) -> io::Result<PathBuf> {
    let (source, program) = (folder.join("game.c"), folder.join("game"));
    fs::write(&source, SMALLEST)?;
    let made = Command::new("cc")
        .args(["-O2", "-static", "-o"])
        .args([&program, &source])
        .status();
    if made.is_ok_and(|status| status.success()) {
        return Ok(program);
    }
    eprintln!("cc -static does not work: the games are copies of this program");
    env::current_exe()
}

/// The limit: nothing but a pidfd in an epoll, and the next spawn.
fn bare(program: &Path, socket: &Path) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    loop {
        let mut child = Command::new(program)
            .env(GAME, socket)
            .env_remove(BARE)
            .spawn()?;
        let pidfd = PidFd::open(child.id())?;
        epoll.add(&pidfd, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
        epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
        child.wait()?;
    }
}

fn unix_nanos() -> u128 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_nanos()
}

/// Where one supervisor's games report.
struct Reports {
    socket: UnixDatagram,
    path: PathBuf,
    game: u32,
}

impl Reports {
    fn new(path: PathBuf) -> io::Result<Self> {
        let socket = UnixDatagram::bind(&path)?;
        socket.set_read_timeout(Some(Duration::from_secs(30)))?;
        Ok(Self {
            socket,
            path,
            game: 0,
        })
    }

    /// Waits for the next game; when it reached its main.
    fn born(&mut self) -> io::Result<u128> {
        let mut word = [0; 64];
        let n = self.socket.recv(&mut word)?;
        let word = String::from_utf8_lossy(&word[..n]).into_owned();
        let (pid, born) = word.split_once(' ').ok_or(io::ErrorKind::InvalidData)?;
        self.game = pid.parse().map_err(io::Error::other)?;
        born.parse().map_err(io::Error::other)
    }

    /// Kills the game; milliseconds until its replacement's main.
    fn kill(&mut self) -> io::Result<f64> {
        let game = PidFd::open(self.game)?;
        let killed = unix_nanos();
        game.signal(libc::SIGKILL)?;
        Ok(self.born()?.saturating_sub(killed) as f64 / 1e6)
    }
}

/// Ended with the benchmark, and what it started with it.
struct Peer(Child, u32);

impl Drop for Peer {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
        if let Ok(game) = PidFd::open(self.1) {
            game.signal(libc::SIGKILL).ok();
        }
    }
}

fn spec(folder: &Path, argv: Vec<String>, env: Vec<(String, String)>) -> io::Result<PathBuf> {
    let run = folder.join("run");
    fs::create_dir_all(&run)?;
    let spec = Spec {
        server: 1,
        argv,
        env,
        cwd: folder.into(),
        console: folder.join("console"),
        history: 16 << 20,
        user: None,
        cgroup: None,
        rlimits: vec![],
        ready: Ready::Running,
        ready_timeout: Duration::from_secs(30),
        stop: Stop::Signal(libc::SIGKILL),
        stop_timeout: Duration::from_secs(30),
        term_timeout: Duration::from_secs(30),
        restart: Restart::Always,
        limit: 0,
        // Every end is the first within its window, as it is for a game that dies once an hour.
        window: Duration::ZERO,
    };
    fs::write(run.join("spec.json"), serde_json::to_vec(&spec)?)?;
    Ok(run)
}

async fn launch(run: &Path) -> io::Result<Client> {
    let program = Path::new(env!("CARGO_BIN_EXE_longhouse"));
    keeper::launch(program, run).await.map_err(io::Error::other)
}

/// Death to the replacement's main, and the private memory of an idle keeper.
pub(crate) fn rows() -> io::Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?;
    let mut rows = restarts(&runtime)?;
    rows.push(memory(&runtime)?);
    Ok(rows)
}

fn restarts(runtime: &tokio::runtime::Runtime) -> io::Result<Vec<Row>> {
    let folder = tempfile::tempdir()?;
    let game = game(folder.path())?;
    let at = |name: &str| folder.path().join(name);

    let mut ours = Reports::new(at("ours.sock"))?;
    let env = vec![(GAME.into(), ours.path.display().to_string())];
    let run = spec(&at("keeper"), vec![game.display().to_string()], env)?;
    let client = runtime.block_on(launch(&run))?;
    ours.born()?;

    let mut bare = Reports::new(at("bare.sock"))?;
    let mut bare_peer = Peer(
        Command::new(env::current_exe()?)
            .env(BARE, &game)
            .arg(&bare.path)
            .spawn()?,
        0,
    );
    bare.born()?;

    let service = at("runit");
    fs::create_dir(&service)?;
    fs::copy(&game, service.join("run"))?;
    let mut runit = Reports::new(at("runit.sock"))?;
    let runsv = Command::new("runsv")
        .arg(&service)
        .env(GAME, &runit.path)
        .stderr(Stdio::null())
        .spawn();
    let mut runit_peer = match runsv {
        Ok(child) => Some(Peer(child, 0)),
        Err(missing) => {
            eprintln!("runit is not compared with: runsv: {missing}");
            None
        }
    };
    if runit_peer.is_some() {
        runit.born()?;
    }

    let (mut our_ms, mut bare_ms, mut runit_ms) = (vec![], vec![], vec![]);
    let mut status = client.status();
    for _ in 0..ROUNDS {
        thread::sleep(RUNIT_UPTIME);
        for _ in 0..BURST {
            let starts = status.borrow_and_update().starts;
            our_ms.push(ours.kill()?);
            // The keeper has synced and told it: games do not die while their last death is being written down.
            let told = runtime.block_on(status.wait_for(|now| now.starts > starts));
            told.map_err(io::Error::other)?;
            bare_ms.push(bare.kill()?);
        }
        if let Some(peer) = &mut runit_peer {
            runit_ms.push(runit.kill()?);
            peer.1 = runit.game;
        }
        bare_peer.1 = bare.game;
    }
    runtime
        .block_on(client.ask(Request::Kill))
        .map_err(io::Error::other)?;

    let ours = median(&mut our_ms);
    let row = |peer: &str, theirs: f64, most: f64| Row {
        what: "death to the replacement's main, p50".into(),
        ours,
        unit: "ms",
        peer: peer.into(),
        theirs: Some(theirs),
        ratio: ours / theirs,
        target: format!("at most {most} x"),
        met: Some(ours <= most * theirs),
    };
    let mut rows = vec![row("bare pidfd+epoll loop", median(&mut bare_ms), 1.3)];
    if runit_peer.is_some() {
        rows.push(row("runit, run is a binary", median(&mut runit_ms), 0.3));
    }
    Ok(rows)
}

fn memory(runtime: &tokio::runtime::Runtime) -> io::Result<Row> {
    const MOST: f64 = 1.5;
    let folder = tempfile::tempdir()?;
    // Two, so that what all keepers share counts as shared.
    let mut clients = Vec::new();
    for name in ["a", "b"] {
        let argv = ["sleep", "100000"].map(String::from).to_vec();
        let env = vec![("PATH".into(), "/usr/bin:/bin".into())];
        let run = spec(&folder.path().join(name), argv, env)?;
        clients.push(runtime.block_on(launch(&run))?);
    }
    thread::sleep(Duration::from_secs(1)); // until it is idle indeed
    let keeper = clients[0].status().borrow().keeper;
    let ours = private_bytes(keeper)? as f64 / f64::from(1 << 20);
    for client in clients {
        runtime
            .block_on(client.ask(Request::Kill))
            .map_err(io::Error::other)?;
    }
    Ok(Row {
        what: "private memory of a keeper with an idle game".into(),
        ours,
        unit: "MiB",
        peer: "absolute".into(),
        theirs: None,
        ratio: ours / MOST,
        target: format!("at most {MOST} MiB"),
        met: Some(ours <= MOST),
    })
}

/// What a process holds for itself alone.
pub(crate) fn private_bytes(pid: u32) -> io::Result<u64> {
    let text = fs::read_to_string(format!("/proc/{pid}/smaps_rollup"))?;
    let field = |line: &str| {
        let kib = line.strip_prefix("Private_")?.split_ascii_whitespace();
        kib.clone().nth(1)?.parse::<u64>().ok()
    };
    Ok(text.lines().filter_map(field).sum::<u64>() << 10)
}
