//! A whole session that something else than GGZ's port carries: words in JSON, game data beside them.
//!
//! ```text
//!  carrier ──request──► hear ─► Talk ─► service          launch, join: a new socket pair first,
//!          ◄──Said───── next ◄─ Outbox ◄─┘                its other end is the game's
//!          ──bytes────► play ─► waiting ─► our end ══════ the game's end
//!          ◄──Played─── next ◄──────────── our end
//! ```
//!
//! The game data is of the table of the last `join` that was told: a pair counts only from then on, and the one before
//! is dropped. One `launch` or `join` is asked at a time, so that it is known whose the pair is. Nothing here grows without bound: words in the outbox, what waits for a game in [`Visit::is_choked`].

use std::{
    future::pending,
    io,
    net::IpAddr,
    os::unix::net::UnixStream as Pair,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
use serde::Deserialize;
use tokio::{io::Interest, net::UnixStream, time::sleep_until};

use super::{
    Lobby,
    ask::Stream,
    hall::LENGTH,
    outbox::{Encoding, End, Outbox},
    pace::Pace,
    talk::{Next, Talk},
    wire::{
        push::{Body, Hello, Push},
        request::Request,
        terms::{Action, Code},
    },
};
use crate::{accounts::Principal, audit::Door};

/// Until somebody has logged in.
const STRANGER: Duration = Duration::from_secs(60);
/// Bytes of a game that are passed on at once.
const READ: usize = 16 << 10;
/// Bytes that may wait for a game before its player is listened to no more, and for how long that may be: then the
/// connection is given up, because whoever is not listened to cannot leave the table either.
const WAITING: usize = 64 << 10;
const CHOKED: Duration = Duration::from_secs(5);

/// One session. It ends when this is dropped.
pub struct Visit {
    lobby: Lobby,
    talk: Talk,
    outbox: Arc<Outbox>,
    pace: Pace,
    since: Instant,
    /// What a table that was asked for gets, until that is answered.
    offered: Option<Offered>,
    game: Option<Game>,
}

/// Our end of a pair, whose other end waits for a table.
struct Offered {
    pair: Pair,
    /// Asked for by this.
    by: Action,
}

/// What the carrier is to do.
#[derive(Debug)]
pub enum Word {
    /// Tell these: one push in JSON each.
    Said(Vec<Bytes>),
    /// Pass this on from the game.
    Played(Bytes),
    /// The game has closed its connection. The lobby says whether the seat is lost, too.
    HungUp,
    /// The game has taken what waited, or so much of it that its player can be listened to again.
    Taken,
    /// All was said: end it.
    Over,
    /// They do not read what they are told: end it at once.
    Overrun,
    /// Nobody has logged in for too long: end it.
    Silent,
}

impl Lobby {
    /// A session for somebody at this address, who has not logged in yet.
    pub fn visit(&self, address: IpAddr) -> Visit {
        let outbox = Arc::new(Outbox::new(Encoding::Json));
        let full = self.is_full();
        outbox.tell(&Push::Hello(Hello {
            name: self.name(),
            version: env!("CARGO_PKG_VERSION").into(),
            tls: false,
            chat_length: LENGTH as u32,
            full,
        }));
        if full {
            outbox.finish();
        }
        let now = Instant::now();
        Visit {
            lobby: self.clone(),
            talk: Talk::new(self.clone(), Door::Web, address, outbox.clone()),
            outbox,
            pace: Pace::new(now.into()),
            since: now,
            offered: None,
            game: None,
        }
    }
}

impl Visit {
    /// Lets somebody in whom the carrier knows. Whether that went well is told as the result of a login; if it did
    /// not, that is all.
    pub async fn come_as(&mut self, by: Principal) {
        if let Err(code) = self.talk.come_as(by).await {
            let (action, body) = (Action::Login, Body::None {});
            self.outbox.tell(&Push::Result { action, code, body });
            self.outbox.finish();
        }
    }

    /// The next thing to do. Cancelling it loses nothing.
    pub async fn next(&mut self) -> Word {
        loop {
            let beat = match (self.talk.is_known(), self.talk.due()) {
                (true, None) => None,
                (true, due) => due,
                (false, _) => Some(self.since + STRANGER),
            };
            let beat = async {
                match beat {
                    Some(due) => sleep_until(due.into()).await,
                    None => pending().await,
                }
            };
            tokio::select! {
                batch = self.outbox.take() => return match batch {
                    Ok(batch) => {
                        for push in &batch {
                            self.follow(push);
                        }
                        Word::Said(batch)
                    }
                    Err(End::Said) => Word::Over,
                    Err(End::Overrun) => {
                        self.lobby.overran();
                        Word::Overrun
                    }
                },
                moved = play(&mut self.game) => return match moved {
                    Moved::Read(bytes) => Word::Played(bytes),
                    Moved::Drained => Word::Taken,
                    Moved::Closed => {
                        self.game = None;
                        Word::HungUp
                    }
                },
                () = beat => match self.talk.is_known() {
                    true => self.talk.tick().await,
                    false => return Word::Silent,
                },
            }
        }
    }

    /// What they ask for. What comes back, if anything does, is to be told at once: it was not asked.
    pub async fn hear(&mut self, request: Request) -> Option<Push> {
        if let Some(until) = self.pace.step(tokio::time::Instant::now()) {
            sleep_until(until).await;
        }
        let by = request.action();
        let by = by.filter(|by| matches!(by, Action::Launch | Action::Join));
        if let Some(action) = by.filter(|_| self.talk.is_known()) {
            if self.offered.is_some() {
                let (code, body) = (Code::InTransit, Body::None {});
                return Some(Push::Result { action, code, body });
            }
            if let Err(error) = self.offer(action).await {
                tracing::warn!(%error, "no connection to a table can be made");
            }
        }
        if self.talk.hear(request).await == Next::Close {
            self.outbox.finish();
        }
        None
    }

    /// A connection for the table that is asked for. Without one the answer will be that there is none.
    async fn offer(&mut self, by: Action) -> io::Result<()> {
        let (ours, theirs) = Pair::pair()?;
        ours.set_nonblocking(true)?;
        self.talk.hand_own(Stream::Pair(theirs.into())).await;
        self.offered = Some(Offered { pair: ours, by });
        Ok(())
    }

    /// What they are told of the table that they asked for: whoever sits at one now has the pair that was offered for
    /// it, and who was refused needs none. A launch that went well can still end with a seat that cannot be had, which
    /// is told as the result of a join.
    fn follow(&mut self, push: &Bytes) {
        let refused = |by| match answer(push) {
            Some((Action::Join, Code::Ok)) | None => false,
            Some((Action::Join, _)) => true,
            Some((action, code)) => action == by && code != Code::Ok,
        };
        if is_join(push) {
            let offered = self.offered.take();
            let stream = offered.and_then(|offered| UnixStream::from_std(offered.pair).ok());
            let game = stream.map(|stream| Game {
                stream,
                waiting: BytesMut::new(),
                choked: None,
            });
            self.game = game.or(self.game.take());
        } else if self.offered.as_ref().is_some_and(|one| refused(one.by)) {
            self.offered = None;
        }
    }

    /// What they say to the game. False: there is none.
    pub fn play(&mut self, bytes: &[u8]) -> bool {
        self.outbox.heard(std::time::Instant::now());
        if let Some(game) = &mut self.game {
            game.tell(bytes);
        }
        self.game.is_some()
    }

    /// What waits to be told to them.
    #[cfg(test)]
    pub(super) fn outbox(&self) -> &Outbox {
        &self.outbox
    }

    /// Whether a game has so much to read that its player is not to be listened to.
    pub fn is_choked(&self) -> bool {
        let game = self.game.as_ref();
        game.is_some_and(|game| game.choked.is_some())
    }

    /// Ends when too much waits to be told, and never otherwise.
    pub async fn overrun(&self) {
        match self.outbox.ended().await {
            End::Overrun => self.lobby.overran(),
            End::Said => pending().await,
        }
    }
}

/// Whether a push in JSON is that one sits at a table now. The tag comes first.
fn is_join(push: &Bytes) -> bool {
    push.starts_with(br#"{"push":"join""#)
}

/// How a launch or a join ended, if that is what a push in JSON says. The tag comes first.
fn answer(push: &Bytes) -> Option<(Action, Code)> {
    #[derive(Deserialize)]
    struct Answer {
        action: Action,
        code: Code,
    }
    let starts = |start: &str| push.starts_with(start.as_bytes());
    let is_one = starts(r#"{"push":"result","action":"launch""#)
        || starts(r#"{"push":"result","action":"join""#);
    let read = is_one.then(|| serde_json::from_slice(push));
    let Answer { action, code } = read?.expect("we have written it ourselves");
    Some((action, code))
}

/// The connection to the game of one's table.
struct Game {
    stream: UnixStream,
    waiting: BytesMut,
    /// Since when too much waits.
    choked: Option<tokio::time::Instant>,
}

enum Moved {
    Read(Bytes),
    Drained,
    Closed,
}

async fn play(game: &mut Option<Game>) -> Moved {
    match game {
        Some(game) => game.play().await.unwrap_or(Moved::Closed),
        None => pending().await,
    }
}

impl Game {
    fn tell(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
        if self.waiting.len() > WAITING {
            self.choked.get_or_insert_with(tokio::time::Instant::now);
        }
    }

    async fn play(&mut self) -> io::Result<Moved> {
        loop {
            let choked = self.choked;
            let given_up = async {
                match choked {
                    Some(since) => sleep_until(since + CHOKED).await,
                    None => pending().await,
                }
            };
            let interest = match self.waiting.is_empty() {
                true => Interest::READABLE,
                false => Interest::READABLE | Interest::WRITABLE,
            };
            let ready = tokio::select! {
                ready = self.stream.ready(interest) => ready?,
                () = given_up => return Ok(Moved::Closed),
            };
            if ready.is_writable() && !self.waiting.is_empty() {
                match self.stream.try_write(&self.waiting) {
                    Ok(count) => self.waiting.advance(count),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(_) => self.waiting.clear(), // its last words may still be there
                }
                if self.waiting.is_empty() {
                    self.waiting = BytesMut::new();
                }
                let relieved = self.waiting.len() <= WAITING && self.choked.take().is_some();
                if relieved || self.waiting.is_empty() {
                    return Ok(Moved::Drained);
                }
            }
            if ready.is_readable() {
                let mut bytes = BytesMut::with_capacity(READ);
                match self.stream.try_read_buf(&mut bytes) {
                    Ok(0) => return Ok(Moved::Closed),
                    Ok(_) => return Ok(Moved::Read(bytes.freeze())),
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};

    use super::*;
    use crate::lobby::{
        fixture::{Fixture, login, result},
        wire::{
            request::LoginKind,
            terms::{RoomId, TableId},
        },
    };

    fn game() -> (Option<Game>, Pair) {
        let (ours, theirs) = Pair::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let stream = UnixStream::from_std(ours).unwrap();
        let game = Game {
            stream,
            waiting: BytesMut::new(),
            choked: None,
        };
        (Some(game), theirs)
    }

    #[test]
    fn a_join_is_known_by_its_tag() {
        assert!(is_join(&said(&Push::Join {
            table: TableId(3),
            spectator: true
        })));
        assert!(!is_join(&said(&Push::Ping)));
    }

    fn said(push: &Push) -> Bytes {
        serde_json::to_vec(push).unwrap().into()
    }

    fn told(action: Action, code: Code) -> Bytes {
        let body = Body::None {};
        said(&Push::Result { action, code, body })
    }

    #[test]
    fn how_a_launch_or_a_join_ended_is_read_and_nothing_else() {
        let (launch, join) = (Action::Launch, Action::Join);
        assert_eq!(answer(&told(launch, Code::Ok)), Some((launch, Code::Ok)));
        let full = told(join, Code::TableFull);
        assert_eq!(answer(&full), Some((join, Code::TableFull)));
        assert_eq!(answer(&told(Action::Chat, Code::Ok)), None);
        assert_eq!(answer(&said(&Push::Ping)), None);
    }

    #[tokio::test]
    async fn a_pair_waits_for_the_answer_to_what_it_was_made_for() {
        let house = Fixture::open().await;
        let (ok, fails) = (Code::Ok, Code::LaunchFail);
        let (launch, join) = (Action::Launch, Action::Join);
        let sits = said(&Push::Join {
            table: TableId(1),
            spectator: false,
        });
        for (by, pushes, waits, plays) in [
            (launch, vec![], true, false),
            (launch, vec![told(launch, ok)], true, false),
            (launch, vec![told(launch, ok), sits.clone()], false, true),
            (launch, vec![told(launch, fails)], false, false),
            (
                launch,
                vec![told(launch, ok), told(join, Code::TableFull)],
                false,
                false,
            ),
            (join, vec![told(join, ok)], true, false),
            (join, vec![told(join, ok), sits], false, true),
            (join, vec![told(join, Code::NoTable)], false, false),
        ] {
            let mut visit = house.visit("127.0.0.1").await;
            visit.offer(by).await.unwrap();
            for push in &pushes {
                visit.follow(push);
            }
            let state = (visit.offered.is_some(), visit.game.is_some());
            assert_eq!(state, (waits, plays), "{by:?} {pushes:?}");
        }
    }

    #[tokio::test]
    async fn a_second_join_before_the_first_is_answered_changes_nothing() {
        let house = Fixture::open().await;
        let mut visit = house.visit("127.0.0.1").await;
        let guest = login(LoginKind::Guest, "eve");
        assert_eq!(result(&mut visit, guest).await, "ok");
        let room = RoomId(0);
        assert_eq!(result(&mut visit, Request::Enter { room }).await, "ok");
        let join = || Request::Join {
            table: TableId(1),
            spectator: false,
            seat: None,
        };
        assert!(visit.hear(join()).await.is_none());
        let second = visit.hear(join()).await.expect("it was not asked");
        assert_eq!(said(&second), told(Action::Join, Code::InTransit));
        let Word::Said(batch) = visit.next().await else {
            panic!("an answer comes");
        };
        assert_eq!(batch, [told(Action::Join, Code::NoTable)]);
        // Now it is answered.
        assert_eq!(result(&mut visit, join()).await, "no-table");
    }

    #[tokio::test(start_paused = true)]
    async fn a_game_that_reads_nothing_is_given_up_so_that_its_player_is_listened_to_again() {
        let (mut game, _theirs) = self::game();
        // More than the socket holds.
        game.as_mut().unwrap().tell(&vec![b'x'; 4 << 20]);
        assert!(game.as_ref().unwrap().choked.is_some());
        assert!(matches!(play(&mut game).await, Moved::Closed));

        // What the socket takes at once chokes nobody.
        let (mut game, _theirs) = self::game();
        game.as_mut().unwrap().tell(&vec![b'x'; WAITING + 1]);
        assert!(matches!(play(&mut game).await, Moved::Drained));
        assert!(game.as_ref().unwrap().choked.is_none());
    }

    #[tokio::test]
    async fn game_data_passes_both_ways_and_the_end_comes_last() {
        let (mut game, mut theirs) = game();
        theirs.write_all(b"state").unwrap();
        let Moved::Read(bytes) = play(&mut game).await else {
            panic!("there is something to read");
        };
        assert_eq!(bytes, b"state"[..]);
        game.as_mut().unwrap().waiting.extend_from_slice(b"move");
        assert!(matches!(play(&mut game).await, Moved::Drained));
        let mut moved = [0; 4];
        theirs.read_exact(&mut moved).unwrap();
        assert_eq!(&moved, b"move");
        theirs.write_all(b"bye").unwrap();
        drop(theirs);
        assert!(matches!(play(&mut game).await, Moved::Read(bytes) if bytes == b"bye"[..]));
        assert!(matches!(play(&mut game).await, Moved::Closed));
    }
}
