//! The tables' peer: the same games started by a loop that speaks ggzdmod and does nothing else.

use std::{
    io::{self, Read as _, Write as _},
    os::{fd::AsRawFd as _, unix::net::UnixStream},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use nix::{
    fcntl::{FcntlArg, FdFlag, fcntl},
    sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
};

use crate::house::LONGHOUSE;

/// What became of them.
pub(crate) struct Bare {
    /// Until all have spoken.
    pub(crate) spoken: Duration,
    /// Until all matches were reported.
    pub(crate) reported: Duration,
    /// At once, at most.
    pub(crate) most: usize,
}

struct Game {
    child: Child,
    link: UnixStream,
    /// Of a message that is not complete.
    bytes: Vec<u8>,
    has_spoken: bool,
    has_reported: bool,
    over: bool,
}

/// Starts that many games between two bots, and hears them to their end.
pub(crate) fn run(count: usize) -> io::Result<Bare> {
    let folder = tempfile::tempdir()?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let mut games = Vec::new();
    let started = Instant::now();
    let mut bare = Bare {
        spoken: Duration::ZERO,
        reported: Duration::ZERO,
        most: 0,
    };
    let mut over = 0;
    while over < count {
        let patience = match games.len() < count {
            true => {
                let game = Game::start(folder.path())?;
                let event = EpollEvent::new(EpollFlags::EPOLLIN, games.len() as u64);
                epoll.add(&game.link, event)?;
                games.push(game);
                EpollTimeout::ZERO
            }
            false => EpollTimeout::from(1000_u16),
        };
        let mut events = [EpollEvent::empty(); 64];
        let ready = epoll.wait(&mut events, patience)?;
        for event in &events[..ready] {
            let game = &mut games[event.data() as usize];
            let (spoken, reported) = (game.has_spoken, game.has_reported);
            game.hear()?;
            if game.has_spoken && !spoken {
                bare.spoken = started.elapsed();
            }
            if game.has_reported && !reported {
                bare.reported = started.elapsed();
            }
            if game.over {
                epoll.delete(&game.link)?;
                game.child.wait()?;
                over += 1;
            }
        }
        bare.most = bare.most.max(games.len() - over);
    }
    match games.iter().all(|game| game.has_reported) {
        true => Ok(bare),
        false => Err(io::Error::other("a bare game did not report")),
    }
}

impl Game {
    fn start(folder: &std::path::Path) -> io::Result<Self> {
        let (mut link, theirs) = UnixStream::pair()?;
        fcntl(&theirs, FcntlArg::F_SETFD(FdFlag::empty()))?; // until it is closed below
        let child = Command::new(LONGHOUSE)
            .args(["game", "tictactoe"])
            .env_clear()
            .env("GGZMODE", "true")
            .env("GGZSOCKET", theirs.as_raw_fd().to_string())
            .current_dir(folder)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        drop(theirs);
        let bytes = launch();
        link.write_all(&bytes)?;
        Ok(Self {
            child,
            link,
            bytes: Vec::new(),
            has_spoken: false,
            has_reported: false,
            over: false,
        })
    }

    fn hear(&mut self) -> io::Result<()> {
        let mut bytes = [0; 1024];
        let count = match self.link.read(&mut bytes) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            count => count?,
        };
        self.over = count == 0;
        self.bytes.extend(&bytes[..count]);
        while let Some((opcode, length)) = message(&self.bytes) {
            self.bytes.drain(..length);
            match opcode {
                STATE => {
                    self.has_spoken = true;
                    self.link.write_all(&int(4)).ok(); // it may have ended
                }
                REPORT => self.has_reported = true,
                _ => {}
            }
        }
        Ok(())
    }
}

const LOG: u32 = 0;
const STATE: u32 = 1;
const REPORT: u32 = 6;
const SAVED: u32 = 7;

fn int(n: u32) -> [u8; 4] {
    n.to_be_bytes()
}

/// Two seats, and a bot without a name on each.
fn launch() -> Vec<u8> {
    let text = |text: &str| [&int(text.len() as u32 + 1), text.as_bytes(), b"\0"].concat();
    let seat = [&int(2)[..], &text("")].concat();
    [
        &int(0)[..],
        &text("tictactoe"),
        &text(""),
        &int(2),
        &int(0),
        &seat,
        &seat,
    ]
    .concat()
}

/// What the first message is, and how many bytes it has; none: it is not complete.
fn message(bytes: &[u8]) -> Option<(u32, usize)> {
    let int = |at: usize| Some(u32::from_be_bytes(*bytes.get(at..)?.first_chunk()?));
    let text = |at: usize| Some(at + 4 + int(at)? as usize);
    let opcode = int(0)?;
    let length = match opcode {
        LOG | SAVED => text(4)?,
        STATE => 5,
        REPORT => {
            let mut at = 8;
            for _ in 0..int(4)? {
                at = text(at)? + 16;
            }
            at
        }
        _ => 8, // numbers of seats
    };
    (bytes.len() >= length).then_some((opcode, length))
}
