//! The rim of a game: threads that wait, one loop that decides, and everything that a table wants done.
//!
//! ```text
//!  fd 3: lobby ─► orders ──┐                         ┌─► lobby: states, reports, logs
//!  player n ─► lines ──────┼─► loop: table.apply ────┼─► players: state, at once or not at all
//!  thinker ─► moves ───────┘         │               └─► the saved game's file
//!      ▲                             │
//!      └──────── positions ──────────┘
//! ```
//!
//! The lobby's end of the link closing, or a word from it that means nothing, ends the program.

use std::{
    io::{self, Read as _, Write as _},
    os::{
        fd::{AsFd as _, OwnedFd},
        unix::net::UnixStream,
    },
    path::{Path, PathBuf},
    sync::mpsc::{self, Receiver, Sender, SyncSender},
    thread,
    time::Instant,
};

use super::{
    dice::Dice,
    peers::Peers,
    save::{self, SaveError},
    search::{Judge, Strength, choose},
    table::{Effect, Input, Link, Place, Refused, Table},
    wire::{self, Complaint, Say},
};
use crate::{
    lobby::{
        dmod::wire::{DecodeError, Decoder, FromGame, ToGame},
        wire::terms::{Seat, SeatKind},
    },
    sandbox::passing,
};

/// Events that may wait; who sends more waits, too.
const BACKLOG: usize = 256;

/// What a thread has to say, but for moves, which know their game.
#[derive(Debug)]
pub(super) enum Event {
    /// The lobby's order, and the connection that came with it.
    Order(ToGame, Option<OwnedFd>),
    /// Nothing more comes from the lobby.
    Over(Result<(), ServeError>),
    /// A client's line.
    Said(Link, Result<Say, Complaint>),
    /// A connection has ended.
    Hung(Link),
    /// There is a move to be fetched.
    Thought,
}

/// Why a game ends, other than well.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ServeError {
    /// The link cannot be read or written.
    #[error("the link to the lobby: {0}")]
    Link(#[from] io::Error),
    /// The lobby said what nobody says.
    #[error("the lobby: {0}")]
    Order(#[from] DecodeError),
    /// It did not begin with the launch, or launched twice.
    #[error("the lobby did not launch the game once, and first")]
    Launch,
    /// The table cannot be.
    #[error(transparent)]
    Table(#[from] Refused),
    /// The saved game cannot be gone on with.
    #[error(transparent)]
    Saved(#[from] SaveError),
}

/// Serves one table until the lobby or the table ends it. Saved games lie in `folder`.
pub(super) fn run<R: Judge>(
    link: OwnedFd,
    strength: Strength,
    folder: &Path,
) -> Result<(), ServeError> {
    let link = UnixStream::from(link);
    link.set_nonblocking(false)?;
    let mut lobby = Lobby(link.try_clone()?);
    let served = serve::<R>(link, &mut lobby, strength, folder);
    if let Err(error) = &served
        && !matches!(error, ServeError::Link(_))
    {
        lobby.say(&FromGame::Log(format!("error: {error}"))).ok(); // it is told on the way out, too
    }
    served
}

fn serve<R: Judge>(
    link: UnixStream,
    lobby: &mut Lobby,
    strength: Strength,
    folder: &Path,
) -> Result<(), ServeError> {
    let (sender, events) = mpsc::sync_channel(BACKLOG);
    let orders = sender.clone();
    thread::Builder::new()
        .name("lobby".into())
        .spawn(move || obey(link, &orders))?;
    let (seats, savegame) = match events.recv() {
        Ok(Event::Order(
            ToGame::Launch {
                seats, savegame, ..
            },
            _,
        )) => (seats, savegame),
        Ok(Event::Over(ended)) => return ended,
        _ => return Err(ServeError::Launch),
    };
    let (name, saved) = match savegame.as_str() {
        "" => (save::Name::fresh(R::NAME, chance()), None),
        name => {
            let name = save::Name::parse(name)?;
            let saved = save::load(folder, &name, R::NAME)?;
            (name, Some(saved))
        }
    };
    let table = Table::<R>::new(seats, strength, saved.as_ref())?;
    let (jobs, found) = thinker::<R>(sender.clone())?;
    let mut rim = Rim {
        table,
        peers: Peers::new(sender),
        jobs,
        folder: folder.into(),
        name,
        // The lobby knows the file that it named.
        told: saved.is_some(),
    };
    let effects = rim.table.open();
    rim.carry_out(lobby, effects)?;
    rim.run(lobby, &events, &found)
}

/// A random number from the kernel.
fn chance() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("a running kernel has random bytes");
    u64::from_ne_bytes(bytes)
}

/// The lobby's end.
struct Lobby(UnixStream);

impl Lobby {
    fn say(&mut self, word: &FromGame) -> io::Result<()> {
        let mut bytes = Vec::new();
        word.encode(&mut bytes);
        self.0.write_all(&bytes)
    }
}

/// Reads orders for ever. Never more bytes than belong to an order: the next one may bring a descriptor.
fn obey(mut link: UnixStream, events: &SyncSender<Event>) {
    let mut order = Decoder::default();
    let mut bytes = [0; 256];
    let mut next = || loop {
        if let Some(message) = order.next()? {
            let passed = match message.carries() {
                true => Some(passing::receive(link.as_fd())?.1),
                false => None,
            };
            return Ok(Some((message, passed)));
        }
        let wants = order.wants().min(bytes.len());
        match link.read(&mut bytes[..wants]) {
            Ok(0) if order.is_midway() => {
                return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
            }
            Ok(0) => return Ok(None),
            Ok(count) => order.push(&bytes[..count]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(ServeError::from(error)),
        }
    };
    loop {
        let event = match next() {
            Ok(Some((order, passed))) => Event::Order(order, passed),
            Ok(None) => Event::Over(Ok(())),
            Err(error) => Event::Over(Err(error)),
        };
        let over = matches!(event, Event::Over(_));
        if events.send(event).is_err() || over {
            return;
        }
    }
}

struct Job<R> {
    serial: u64,
    position: R,
    strength: Strength,
}

type Moves<R> = Receiver<(u64, <R as super::rules::Rules>::Move)>;

/// A thread that finds moves, one position at a time, and only for the latest one asked.
fn thinker<R: Judge>(events: SyncSender<Event>) -> io::Result<(Sender<Job<R>>, Moves<R>)> {
    let (jobs, asked) = mpsc::channel::<Job<R>>();
    let (moves, found) = mpsc::channel();
    thread::Builder::new()
        .name("thinker".into())
        .spawn(move || {
            let mut dice = Dice::new(chance());
            while let Ok(mut job) = asked.recv() {
                while let Ok(newer) = asked.try_recv() {
                    job = newer;
                }
                let effort = R::effort(job.strength);
                let Some(best) = choose(&job.position, effort, None, &mut dice) else {
                    continue;
                };
                if moves.send((job.serial, best.mv)).is_err()
                    || events.send(Event::Thought).is_err()
                {
                    return;
                }
            }
        })?;
    Ok((jobs, found))
}

struct Rim<R: Judge> {
    table: Table<R>,
    peers: Peers,
    jobs: Sender<Job<R>>,
    folder: PathBuf,
    name: save::Name,
    /// Whether the lobby knows about the file.
    told: bool,
}

impl<R: Judge> Rim<R> {
    fn run(
        &mut self,
        lobby: &mut Lobby,
        events: &Receiver<Event>,
        found: &Moves<R>,
    ) -> Result<(), ServeError> {
        // Its senders live as long as `peers` does.
        while let Ok(event) = events.recv() {
            let input = match event {
                Event::Over(ended) => return ended,
                Event::Order(order, passed) => match self.order(lobby, order, passed)? {
                    Some(input) => input,
                    None => continue,
                },
                Event::Said(link, say) => Input::Said { link, say },
                Event::Hung(link) => {
                    self.peers.close(link);
                    Input::Hung(link)
                }
                Event::Thought => match found.try_recv() {
                    Ok((serial, mv)) => Input::Thought { serial, mv },
                    Err(_) => continue,
                },
            };
            let effects = self.table.apply(Instant::now(), input);
            if self.carry_out(lobby, effects)? {
                return Ok(());
            }
        }
        Ok(())
    }

    fn order(
        &mut self,
        lobby: &mut Lobby,
        order: ToGame,
        passed: Option<OwnedFd>,
    ) -> Result<Option<Input<R::Move>>, ServeError> {
        let link = match passed.map(|socket| self.peers.add(socket)).transpose() {
            Ok(link) => link,
            Err(error) => {
                lobby.say(&FromGame::Log(format!(
                    "a connection cannot be used: {error}"
                )))?;
                // Without it nobody sits down. The lobby has them at the table: it is to tell them, so that they try again.
                let name = match order {
                    ToGame::Seat { seat, .. } => seat.name,
                    ToGame::Spectator { name, .. } => name,
                    _ => None,
                };
                if let Some(name) = name {
                    lobby.say(&FromGame::Boot(name))?;
                }
                return Ok(None);
            }
        };
        let place = |number: u32, watching: bool| match watching {
            true => Place::Spectator(number),
            false => Place::Seat(number as usize),
        };
        Ok(match order {
            ToGame::Launch { .. } => return Err(ServeError::Launch),
            ToGame::State => None,
            ToGame::Seat { number, seat } => Some(Input::Seat {
                number: number as usize,
                seat: known(seat),
                link,
            }),
            ToGame::Spectator { number, name } => Some(Input::Spectator {
                number,
                who: name.zip(link),
            }),
            ToGame::Reseat {
                from,
                was_spectator,
                to,
                is_spectator,
            } => Some(Input::Reseat {
                from: place(from, was_spectator),
                to: place(to, is_spectator),
            }),
        })
    }

    /// True: it was the last.
    fn carry_out(
        &mut self,
        lobby: &mut Lobby,
        effects: Vec<Effect<R>>,
    ) -> Result<bool, ServeError> {
        let mut effects = std::collections::VecDeque::from(effects);
        while let Some(effect) = effects.pop_front() {
            match effect {
                Effect::State(state) => lobby.say(&FromGame::State(state))?,
                Effect::Report(scores) => lobby.say(&FromGame::Report(scores))?,
                Effect::Boot(name) => lobby.say(&FromGame::Boot(name))?,
                Effect::Log(line) => lobby.say(&FromGame::Log(line))?,
                Effect::Close(link) => self.peers.close(link),
                Effect::Tell(link, told) => {
                    if !self.peers.tell(link, &wire::encode(&told)) {
                        effects.extend(self.table.apply(Instant::now(), Input::Hung(link)));
                    }
                }
                Effect::Think {
                    serial,
                    position,
                    strength,
                } => {
                    let job = Job {
                        serial,
                        position,
                        strength,
                    };
                    self.jobs.send(job).ok(); // its thread ends only with the program
                }
                Effect::Save(saved) => match save::store(&self.folder, &self.name, &saved) {
                    Ok(()) if self.told => {}
                    Ok(()) => {
                        lobby.say(&FromGame::Savegame(self.name.text().into()))?;
                        self.told = true;
                    }
                    // The match is worth more than its record.
                    Err(error) => lobby.say(&FromGame::Log(error.to_string()))?,
                },
                Effect::Forget => {
                    if let Err(error) = save::remove(&self.folder, &self.name) {
                        lobby.say(&FromGame::Log(error.to_string()))?;
                    }
                    // The next match gets a file, and a name, of its own.
                    self.name = save::Name::fresh(R::NAME, chance());
                    self.told = false;
                }
                Effect::End => return Ok(true),
            }
        }
        Ok(false)
    }
}

/// A seat that the lobby calls nothing is one that nobody has.
fn known(seat: Seat) -> Seat {
    match seat.kind {
        SeatKind::None => Seat {
            kind: SeatKind::Open,
            name: None,
        },
        _ => seat,
    }
}
