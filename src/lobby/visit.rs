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
//! is dropped. Nothing here grows without bound: words in the outbox, what waits for a game in [`Visit::is_choked`].

use std::{
    future::pending,
    io,
    net::IpAddr,
    os::unix::net::UnixStream as Pair,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::{Buf, Bytes, BytesMut};
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
        terms::Action,
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
    /// Our end of what the next table gets.
    offered: Option<Pair>,
    game: Option<Game>,
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
                        if batch.iter().any(is_join) {
                            self.sit_down();
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

    /// What they ask for.
    pub async fn hear(&mut self, request: Request) {
        if let Some(until) = self.pace.step(tokio::time::Instant::now()) {
            sleep_until(until).await;
        }
        let sits_down = matches!(request, Request::Launch { .. } | Request::Join { .. });
        if sits_down
            && self.talk.is_known()
            && let Err(error) = self.offer().await
        {
            tracing::warn!(%error, "no connection to a table can be made");
        }
        if self.talk.hear(request).await == Next::Close {
            self.outbox.finish();
        }
    }

    /// A connection for the table that is asked for. Without one the answer will be that there is none.
    async fn offer(&mut self) -> io::Result<()> {
        let (ours, theirs) = Pair::pair()?;
        ours.set_nonblocking(true)?;
        self.talk.hand_own(Stream::Pair(theirs.into())).await;
        self.offered = Some(ours);
        Ok(())
    }

    /// They sit at a table now, and the pair that was offered last is its.
    fn sit_down(&mut self) {
        if let Some(pair) = self.offered.take() {
            self.game = UnixStream::from_std(pair).ok().map(|stream| Game {
                stream,
                waiting: BytesMut::new(),
                choked: None,
            });
        }
    }

    /// What they say to the game. False: there is none.
    pub fn play(&mut self, bytes: &[u8]) -> bool {
        if let Some(game) = &mut self.game {
            game.tell(bytes);
        }
        self.game.is_some()
    }

    /// Whether a game has so much to read that its player is not to be listened to.
    pub fn is_choked(&self) -> bool {
        let game = self.game.as_ref();
        game.is_some_and(|game| game.choked.is_some())
    }

    /// Ends when too much waits to be told, and never otherwise.
    pub async fn overrun(&self) {
        if self.outbox.ended().await != End::Overrun {
            pending().await
        }
    }
}

/// Whether a push in JSON is that one sits at a table now. The tag comes first.
fn is_join(push: &Bytes) -> bool {
    push.starts_with(br#"{"push":"join""#)
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
    use crate::lobby::wire::terms::TableId;

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
        let push = |push: &Push| Bytes::from(serde_json::to_vec(push).unwrap());
        assert!(is_join(&push(&Push::Join {
            table: TableId(3),
            spectator: true
        })));
        assert!(!is_join(&push(&Push::Ping)));
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
