//! The hall alone: no sockets, no games, and time stands still unless a test moves it.

mod chat;
mod games;
mod joining;
mod leaving;
mod owners;
mod people;
mod properties;
mod reports;
mod rooms;
mod script;
mod seats;
mod tables;

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::*;
use crate::lobby::{
    definition::{Definitions, Entry, Localized},
    dmod::wire::{FromGame, GameState, Outcome, Score},
    wire::{
        request::{Change, ListOf, Reseat},
        terms::{Numbers, Permission, Seat, SeatKind},
    },
};

const ENTRY: RoomId = RoomId(0);
/// Duels for two: people may leave, watch, and play against bots.
const DUELS: RoomId = RoomId(1);
/// Nobody may leave, nobody may watch, and the game stays when all have left.
const STRICT: RoomId = RoomId(2);
const MEMBERS: RoomId = RoomId(3);
const STAFF: RoomId = RoomId(4);
const DUEL: GameId = GameId(0);

/// A hall, and who has been there.
struct Scene {
    hall: Hall,
    now: Instant,
    names: HashMap<SessionId, String>,
    next: u64,
}

impl Scene {
    fn new() -> Self {
        let mut hall = Hall::new(Limits { tables: 3 });
        hall.define(&definitions());
        hall.effects();
        Self {
            hall,
            now: Instant::now(),
            names: HashMap::new(),
            next: 0,
        }
    }

    fn next(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Does something, and says in lines what follows.
    fn does(&mut self, work: impl FnOnce(&mut Hall, World<'_>)) -> Vec<String> {
        let world = World {
            now: self.now,
            standings: &standings,
        };
        work(&mut self.hall, world);
        let effects = self.hall.effects();
        effects.iter().map(|effect| self.line(effect)).collect()
    }

    fn says(&mut self, by: SessionId, request: Request) -> Vec<String> {
        self.does(|hall, world| hall.apply(by, request, world))
    }

    fn said(&mut self, key: TableKey, said: FromGame) -> Vec<String> {
        self.does(|hall, _| hall.said(key, said))
    }

    fn state(&mut self, key: TableKey, state: GameState) -> Vec<String> {
        self.said(key, FromGame::State(state))
    }

    fn gone(&mut self, who: SessionId) -> Vec<String> {
        self.does(|hall, world| hall.gone(who, world))
    }

    /// Somebody comes in, and into a room.
    fn come(&mut self, newcomer: Newcomer, room: Option<RoomId>) -> SessionId {
        let id = SessionId(self.next());
        self.names.insert(id, newcomer.who.name.clone());
        self.hall.come(id, newcomer).unwrap();
        if let Some(room) = room {
            let room = Request::Enter { room };
            assert!(
                self.says(id, room)
                    .contains(&format!("{}: enter Ok", self.names[&id]))
            );
        }
        self.hall.effects();
        id
    }

    fn member(&mut self, name: &str) -> SessionId {
        self.come(newcomer(name, Permissions::REGISTERED), Some(DUELS))
    }

    fn guest(&mut self, name: &str, address: u8) -> SessionId {
        self.come(guest(name, address), Some(DUELS))
    }

    fn host(&mut self, name: &str) -> SessionId {
        self.come(newcomer(name, Permissions::HOST), Some(DUELS))
    }

    fn admin(&mut self, name: &str) -> SessionId {
        self.come(newcomer(name, Permissions::ADMIN), Some(DUELS))
    }

    fn channel(&mut self, who: SessionId) -> ChannelKey {
        let channel = ChannelKey(self.next());
        let Who { name, address, .. } = self.hall.who(who).unwrap().clone();
        assert!(self.hall.channel(&name, address, None, channel));
        channel
    }

    /// A game that has been started and has not spoken.
    fn launched(&mut self, by: SessionId, seats: &[&str]) -> TableKey {
        self.channel(by);
        let lines = self.launch(by, seats);
        let key = TableKey(self.hall.next_table - 1);
        assert!(
            lines[0].starts_with(&format!("launch {}: ", key.0)),
            "{lines:?}"
        );
        key
    }

    fn launch(&mut self, by: SessionId, seats: &[&str]) -> Vec<String> {
        let game = self.hall.people[&by]
            .room
            .and_then(|room| self.hall.rooms[room.0 as usize].game);
        let launch = Request::Launch {
            game: game.unwrap_or(DUEL),
            description: "mine".into(),
            seats: seats.iter().map(|words| seat(words)).collect(),
        };
        self.says(by, launch)
    }

    /// A table at which its launcher sits, waiting for others.
    fn table(&mut self, by: SessionId) -> TableKey {
        let key = self.launched(by, &["open", "open"]);
        self.state(key, GameState::Waiting);
        key
    }

    /// A table where two play.
    fn match_of(&mut self, one: SessionId, other: SessionId) -> TableKey {
        let key = self.table(one);
        assert!(self.joins(other, key)[0].ends_with("join Ok"));
        self.state(key, GameState::Playing);
        key
    }

    fn joins(&mut self, who: SessionId, key: TableKey) -> Vec<String> {
        self.channel(who);
        self.says(who, join(self.hall.table(key).id.0, false, None))
    }

    fn watches(&mut self, who: SessionId, key: TableKey) -> Vec<String> {
        self.channel(who);
        self.says(who, join(self.hall.table(key).id.0, true, None))
    }

    /// The seats of a table, and who watches.
    fn seats(&self, key: TableKey) -> String {
        script::seats(&self.hall.table(key).view())
    }

    fn stands(&self, key: TableKey) -> bool {
        self.hall.tables.contains_key(&key)
    }

    fn passes(&mut self, time: Duration) -> Vec<String> {
        self.now += time;
        let now = self.now;
        self.does(|hall, _| hall.expire(now))
    }
}

fn standings(_: &TableGame, AccountId(account): AccountId) -> Stats {
    Stats {
        records: Some([account as u32, 0, 0, 0]),
        ..Stats::default()
    }
}

/// Somebody with an account, always the same for the same name.
fn newcomer(name: &str, permissions: Permissions) -> Newcomer {
    let account = name.bytes().map(u64::from).sum();
    Newcomer {
        who: Who {
            name: name.into(),
            account: Some(AccountId(account)),
            address: address(1),
        },
        permissions,
        language: "en".into(),
        token: format!("token of {name}"),
        motd: Push::Motd {
            text: "hello".into(),
            url: None,
        },
        fresh: None,
    }
}

fn guest(name: &str, from: u8) -> Newcomer {
    let mut guest = newcomer(name, Permissions::GUEST);
    guest.who.account = None;
    guest.who.address = address(from);
    guest
}

fn address(last: u8) -> IpAddr {
    Ipv4Addr::new(10, 0, 0, last).into()
}

fn join(table: u32, spectator: bool, seat: Option<u32>) -> Request {
    Request::Join {
        table: TableId(table),
        spectator,
        seat,
    }
}

fn leave(force: bool) -> Request {
    Request::Leave {
        force,
        spectator: false,
    }
}

fn reseat(action: Reseat, seat: Option<u32>) -> Request {
    Request::Reseat { action, seat }
}

fn change(table: u32, change: Change) -> Request {
    Request::Update {
        room: None,
        table: TableId(table),
        change,
    }
}

/// A seat in words: `open`, `bot Deep`, `reserved ann`; `?` is one that was not said.
fn seat(words: &str) -> Option<Seat> {
    let (kind, name) = match words.split_once(' ') {
        Some((kind, name)) => (kind, Some(name.to_owned())),
        None => (words, None),
    };
    let kind = match kind {
        "open" => SeatKind::Open,
        "bot" => SeatKind::Bot,
        "reserved" => SeatKind::Reserved,
        "player" => SeatKind::Player,
        "abandoned" => SeatKind::Abandoned,
        _ => return None,
    };
    Some(Seat { kind, name })
}

fn text(text: &str) -> Localized {
    Localized {
        text: text.into(),
        translations: vec![("de".into(), format!("{text} auf Deutsch"))],
    }
}

fn game(name: &str) -> TableGame {
    TableGame {
        name: name.into(),
        title: text(name),
        version: "1".into(),
        description: text("two play"),
        author: "somebody".into(),
        homepage: "http://example.org/".into(),
        argv: vec![name.into()],
        folder: None,
        engine: name.into(),
        engine_version: "1".into(),
        allow_leave: true,
        kill_when_empty: true,
        players: Numbers {
            singles: 1 << 2,
            range: None,
        },
        bots: Numbers {
            singles: 0,
            range: Some((0, 2)),
        },
        spectators: true,
        peers: false,
        restore: true,
        records: true,
        ratings: true,
        highscores: false,
        named_bots: vec![("Deep".into(), "hard".into())],
    }
}

fn room(name: &str, game: Option<&str>, entry: Entry) -> RoomDefinition {
    RoomDefinition {
        name: name.into(),
        title: text(name),
        description: text("a room"),
        game: game.map(Into::into),
        max_players: 6,
        max_tables: 2,
        entry,
        args: vec!["--fast".into()],
    }
}

fn definitions() -> Definitions {
    let strict = TableGame {
        allow_leave: false,
        kill_when_empty: false,
        spectators: false,
        restore: false,
        bots: Numbers::default(),
        ..game("strict")
    };
    Definitions {
        games: vec![Arc::new(game("duel")), Arc::new(strict)],
        rooms: [
            room("entry", None, Entry::Open),
            room("duels", Some("duel"), Entry::Open),
            room("strict", Some("strict"), Entry::Open),
            room("members", None, Entry::Registered),
            room("staff", None, Entry::Admin),
        ]
        .map(Arc::new)
        .into(),
        ..Definitions::default()
    }
}
