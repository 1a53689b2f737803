//! One table's conversation: what the game says goes to the lobby, what it is told goes to the game, and why it ended.

use std::{
    future, io,
    os::{
        fd::{AsFd, AsRawFd, OwnedFd},
        unix::net::UnixStream as Pair,
    },
    pin::pin,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, Interest},
    net::{UnixStream, unix::pipe},
    sync::{mpsc, watch},
    time::{Instant, sleep, timeout},
};

use super::{
    bucket::Bucket,
    framer::cut,
    process::Process,
    stage::{End, Event, Patience, Start, Wish},
    wire::{DecodeError, Framer, FromGame, GameState, ToGame},
};
use crate::sandbox::passing;

/// Messages that a game may send at once, and per second.
const BURST: f64 = 200.0;
const RATE: f64 = 100.0;
/// Of these, how many may be more than a line for the log: they are work for the box, are told to a room or written down.
const WEIGHTY: f64 = 100.0;
const WEIGHTY_RATE: f64 = 4.0;
/// Lines of its output that are logged at once, and per second; bytes of each.
const LINES: f64 = 50.0;
const LINE_RATE: f64 = 10.0;
const LINE: usize = 500;
/// Bytes of output that are read at once, and how long is waited after that: who prints more, waits.
const OUTPUT: usize = 16 << 10;
const PAUSE: Duration = Duration::from_millis(10);
/// So often within its patience it is looked whether a game reads.
const LOOKS: u32 = 4;
/// Read at once.
const CHUNK: usize = 4096;

pub(super) type Order = (ToGame, Option<OwnedFd>);

/// The lobby's end.
pub(super) struct Line {
    /// For the log.
    pub(super) game: String,
    /// Into `queue`.
    pub(super) answers: mpsc::Sender<Order>,
    /// What the game is to be told.
    pub(super) queue: mpsc::Receiver<Order>,
    /// What is wanted of it.
    pub(super) wished: watch::Receiver<Wish>,
    pub(super) patience: Patience,
}

/// Why a conversation does not go on.
enum Cause {
    Ended,
    Eof,
    Nonsense(DecodeError),
    Flooded,
    Deaf,
    NotReady,
    Done,
    Killed,
}

/// The whole of it, until nothing of the game is left.
pub(super) async fn run<K: Clone>(
    line: Line,
    mut process: Process,
    ours: Pair,
    key: &K,
    events: &mpsc::Sender<(K, Event)>,
) -> End {
    let Line {
        game,
        answers,
        mut queue,
        mut wished,
        patience,
    } = line;
    let socket = match UnixStream::from_std(ours) {
        Ok(socket) => socket,
        Err(error) => {
            process.bury().await;
            return End::CannotStart(Start::System(error));
        }
    };
    let outputs = process.outputs.take().into_iter().flatten();
    let outputs: Vec<_> = outputs
        .map(|pipe| tokio::spawn(overhear(game.clone(), pipe)))
        .collect();
    let (state, mut states) = watch::channel(None);

    let cause = {
        let mut ear = pin!(listen(&socket, &game, &answers, &state, key, events));
        let mut heard = false; // all that the ear hears
        let late = async {
            let spoke = states.wait_for(Option::is_some);
            if timeout(patience.ready, spoke).await.is_err() {
                return Cause::NotReady;
            }
            states.wait_for(|&s| s == Some(GameState::Done)).await.ok();
            sleep(patience.ending).await;
            Cause::Done
        };
        let cause = tokio::select! {
            cause = &mut ear => {
                heard = true;
                cause
            }
            () = process.ended() => Cause::Ended,
            cause = speak(&socket, &mut queue, patience.reading, &state) => cause,
            cause = wish(&mut wished) => cause,
            cause = late => cause,
        };
        match cause {
            Cause::Ended => {
                hear_no_more(&socket);
                tokio::select! {
                    cause = &mut ear => match cause {
                        Cause::Nonsense(_) | Cause::Flooded => cause,
                        _ => Cause::Ended,
                    },
                    _ = wish(&mut wished) => Cause::Ended,
                }
            }
            Cause::Eof => timeout(patience.ending, process.ended())
                .await
                .map_or(Cause::Eof, |()| Cause::Ended),
            Cause::Killed => {
                process.interrupt();
                let mut over = pin!(sleep(patience.ending));
                loop {
                    tokio::select! {
                        () = process.ended() => break,
                        () = &mut over => break,
                        _ = &mut ear, if !heard => heard = true,
                    }
                }
                if !heard {
                    // Its last words may be a report.
                    hear_no_more(&socket);
                    timeout(patience.ending, &mut ear).await.ok();
                }
                Cause::Killed
            }
            other => other,
        }
    };
    let done = *state.borrow() == Some(GameState::Done);
    let how = process.bury().await;
    for output in outputs {
        output.abort();
    }
    match (cause, how) {
        (Cause::Nonsense(error), _) => End::Nonsense(error),
        (Cause::Flooded, _) => End::Flooded,
        (Cause::NotReady, _) => End::NotReady,
        (Cause::Done, _) => End::Done,
        _ if done => End::Done,
        (Cause::Deaf, _) => End::Deaf,
        (Cause::Killed, _) => End::Killed,
        (Cause::Ended, Some(how)) => End::Crashed(how),
        (Cause::Ended | Cause::Eof, _) => End::HungUp,
    }
}

/// Only what is there already is read: something that the game forked may hold its end open.
fn hear_no_more(socket: &UnixStream) {
    nix::sys::socket::shutdown(socket.as_raw_fd(), nix::sys::socket::Shutdown::Read).ok();
}

/// What the lobby wants, once it is not that the game goes on.
async fn wish(wished: &mut watch::Receiver<Wish>) -> Cause {
    match wished.wait_for(|&wish| wish != Wish::Play).await.as_deref() {
        Ok(Wish::GiveUp) => Cause::Deaf,
        _ => Cause::Killed,
    }
}

/// Passes on what the game says, at the pace of whoever hears it.
async fn listen<K: Clone>(
    socket: &UnixStream,
    game: &str,
    answers: &mpsc::Sender<Order>,
    states: &watch::Sender<Option<GameState>>,
    key: &K,
    events: &mpsc::Sender<(K, Event)>,
) -> Cause {
    let mut framer = Framer::<FromGame>::default();
    let mut bucket = Bucket::new(BURST, RATE);
    let mut weighty = Bucket::new(WEIGHTY, WEIGHTY_RATE);
    let mut buffer = [0; CHUNK];
    loop {
        if socket.readable().await.is_err() {
            return Cause::Eof;
        }
        match socket.try_read(&mut buffer) {
            Ok(0) => return Cause::Eof,
            Ok(count) => framer.push(&buffer[..count]),
            Err(error) if again(&error) => continue,
            Err(_) => return Cause::Eof,
        }
        loop {
            let said = match framer.next() {
                Ok(Some(said)) => said,
                Ok(None) => break,
                Err(error) => return Cause::Nonsense(error),
            };
            let now = Instant::now();
            let is_weighty = !matches!(said, FromGame::Log(_));
            if !bucket.take(now) || is_weighty && !weighty.take(now) {
                return Cause::Flooded;
            }
            match &said {
                FromGame::State(state) => {
                    // It does not come back from its end, whatever it says after it.
                    states.send_if_modified(|known| {
                        let goes_on = *known != Some(GameState::Done);
                        if goes_on {
                            *known = Some(*state);
                        }
                        goes_on
                    });
                    if let Err(mpsc::error::TrySendError::Full(_)) =
                        answers.try_send((ToGame::State, None))
                    {
                        return Cause::Deaf;
                    }
                }
                FromGame::Log(text) => tracing::debug!(game, "{}", cut(text, LINE).escape_debug()),
                _ => {}
            }
            if events.send((key.clone(), Event::Said(said))).await.is_err() {
                return Cause::Killed; // nobody hears it any more
            }
        }
    }
}

fn again(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// Tells the game what is in the queue; returns when it reads nothing for `patience`.
async fn speak(
    socket: &UnixStream,
    queue: &mut mpsc::Receiver<Order>,
    patience: Duration,
    state: &watch::Sender<Option<GameState>>,
) -> Cause {
    let mut bytes = Vec::new();
    let mut unread = Unread::new(patience);
    loop {
        let next = tokio::select! {
            order = queue.recv() => match order {
                Some(order) => Some(order),
                None => return future::pending().await, // nobody has anything to tell it any more
            },
            () = unread.due() => None,
        };
        // Before more is sent: only so it is seen that it reads.
        let deaf = unread.look(socket, Instant::now());
        if deaf && state.borrow().is_some() {
            return Cause::Deaf;
        } else if deaf {
            unread.since = Instant::now(); // it is still starting, which has a patience of its own
        }
        let Some((message, passed)) = next else {
            continue;
        };
        bytes.clear();
        message.encode(&mut bytes);
        let mut rest = &bytes[..];
        while !rest.is_empty() {
            match written(socket, patience, || socket.try_write(rest)).await {
                Some(Ok(count)) => rest = &rest[count..],
                Some(Err(_)) => return deaf_ear(patience).await,
                None => return Cause::Deaf,
            }
        }
        // On a byte of its own, in a message of its own: see `passing`.
        if let Some(passed) = passed {
            let send = || {
                socket.try_io(Interest::WRITABLE, || {
                    passing::send(socket.as_fd(), 0, passed.as_fd())
                })
            };
            match written(socket, patience, send).await {
                Some(Ok(())) => {}
                Some(Err(_)) => return deaf_ear(patience).await,
                None => return Cause::Deaf,
            }
        }
        unread.wrote(socket, Instant::now());
    }
}

/// It cannot be told anything any more. Whoever listens to it knows why, unless it goes on talking.
async fn deaf_ear(patience: Duration) -> Cause {
    sleep(patience).await;
    Cause::Deaf
}

/// What a game was sent and has not read, as the kernel counts it. A socket's buffer holds many messages, so that a game
/// which hangs would not be noticed by a full one for a whole evening.
struct Unread {
    patience: Duration,
    left: usize,
    /// Since when it has read none of that.
    since: Instant,
}

impl Unread {
    fn new(patience: Duration) -> Self {
        Self {
            patience,
            left: 0,
            since: Instant::now(),
        }
    }

    /// When to look again; never, while it has read all.
    async fn due(&self) {
        match self.left {
            0 => future::pending().await,
            _ => sleep(self.patience / LOOKS).await,
        }
    }

    /// True: it has read nothing for too long.
    fn look(&mut self, socket: &UnixStream, now: Instant) -> bool {
        let left = passing::unread(socket.as_fd()).unwrap_or(0);
        if left < self.left {
            self.since = now;
        }
        self.left = left;
        left > 0 && now.saturating_duration_since(self.since) >= self.patience
    }

    /// Something was sent.
    fn wrote(&mut self, socket: &UnixStream, now: Instant) {
        if self.left == 0 {
            self.since = now;
        }
        self.left = passing::unread(socket.as_fd()).unwrap_or(0);
    }
}

/// What became of a write; none: there was no room for it in time.
async fn written<T>(
    socket: &UnixStream,
    patience: Duration,
    mut write: impl FnMut() -> io::Result<T>,
) -> Option<io::Result<T>> {
    let writing = async {
        loop {
            socket.writable().await?;
            match write() {
                Err(error) if again(&error) => {}
                done => return done,
            }
        }
    };
    timeout(patience, writing).await.ok()
}

/// What a game prints goes to the log, as far as there is room for it.
async fn overhear(game: String, pipe: OwnedFd) {
    let Ok(mut pipe) = pipe::Receiver::from_owned_fd(pipe) else {
        return;
    };
    let mut bucket = Bucket::new(LINES, LINE_RATE);
    let (mut line, mut buffer) = (Vec::new(), vec![0; OUTPUT]);
    loop {
        let count = pipe.read(&mut buffer).await.unwrap_or(0);
        for &byte in &buffer[..count] {
            if byte != b'\n' && line.len() < LINE {
                line.push(byte);
            } else if byte == b'\n' {
                if bucket.take(Instant::now()) {
                    tracing::debug!(game, "{}", String::from_utf8_lossy(&line).escape_debug());
                }
                line.clear();
            }
        }
        if count == 0 {
            return;
        }
        if count == OUTPUT {
            sleep(PAUSE).await;
        }
    }
}
