//! Who is in which room, who sits where, and what follows from what they say. Pure state, owned by the service.
//!
//! What happens goes in by methods; what has to be done about it comes out by [`Hall::effects`], in order. Time comes in
//! as a parameter, and statistics are asked of a function.
//!
//! ```text
//!  table:   launch ──► created ──WAITING──► waiting ◄──► playing ──DONE──► (gone)
//!                        │  announced to nobody yet              │ its game ends, however: gone
//!                        └─ its game ends: launch fail
//!
//!  seat:    open ◄──────────► bot, reserved          (owner, game)
//!            │ ▲                  │ its name
//!       join │ │ leave            ▼
//!            └─┴──────────────► player ──leaves while it is played──► abandoned ──same person joins──► player
//!
//!  person:  no table ──launch──► launching ──WAITING──► seated ◄──► watching ──leave──► no table
//! ```

mod chat;
mod effect;
mod games;
mod launch;
mod list;
mod people;
mod rooms;
mod seats;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    net::IpAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use self::chat::Gagged;
pub(super) use self::chat::{BOX, LENGTH};
pub(super) use self::effect::{Effect, Report, Saved};
use self::{
    launch::Launches,
    table::{Chair, Table},
};
use super::{
    definition::{RoomDefinition, TableGame},
    dmod::wire::ToGame,
    wire::{
        push::{Body, Place, Push, Stats, Update},
        request::Request,
        terms::{Action, Code, GameId, Permissions, PlayerKind, RoomId, TableId},
    },
};
use crate::accounts::{AccountId, Secret};

/// One logged-in connection; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct SessionId(pub(super) u64);

/// One table, whatever its room; never used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct TableKey(pub(super) u64);

/// One game data connection that waits to be handed to a game.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct ChannelKey(pub(super) u64);

/// How long a table whose last player lost the connection is kept for them.
pub(super) const KEPT: Duration = Duration::from_secs(600);

/// Who somebody is, also after they have gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Who {
    pub(super) name: String,
    /// None: a guest.
    pub(super) account: Option<AccountId>,
    pub(super) address: IpAddr,
}

impl Who {
    /// Whether this is the same person: by account, and guests by name and address.
    fn is(&self, other: &Self) -> bool {
        match (self.account, other.account) {
            (Some(one), Some(other)) => one == other,
            (None, None) => self.is_called(&other.name) && self.address == other.address,
            _ => false,
        }
    }

    fn is_called(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// Somebody who comes in.
#[derive(Debug, Clone)]
pub(super) struct Newcomer {
    pub(super) who: Who,
    pub(super) permissions: Permissions,
    pub(super) language: String,
    /// What a game data connection from another address proves itself with.
    pub(super) token: String,
    /// The message of the day.
    pub(super) motd: Push,
    /// The password of an account that has just been made.
    pub(super) fresh: Option<Secret>,
}

/// How somebody does in a game.
pub(super) type Standings<'a> = &'a dyn Fn(&TableGame, AccountId) -> Stats;

/// What cannot be read from the hall itself.
#[derive(Clone, Copy)]
pub(super) struct World<'a> {
    pub(super) now: Instant,
    pub(super) standings: Standings<'a>,
}

/// What the hall grants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Tables at once, those included whose game has not gone yet.
    pub(super) tables: usize,
}

/// Where somebody is besides their room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum At {
    Nowhere,
    /// Waiting for the game that they launched.
    Launching(TableKey),
    Table(TableKey, Place),
}

#[derive(Debug)]
struct Person {
    who: Who,
    permissions: Permissions,
    language: String,
    token: String,
    room: Option<RoomId>,
    at: At,
    lag: u8,
    channel: Option<ChannelKey>,
    /// In the game of their room.
    stats: Stats,
}

impl Person {
    fn kind(&self) -> PlayerKind {
        match self.who.account {
            Some(_) => self.permissions.kind(),
            None => PlayerKind::Guest,
        }
    }

    fn table(&self) -> Option<(TableKey, Place)> {
        match self.at {
            At::Table(key, place) => Some((key, place)),
            At::Nowhere | At::Launching(_) => None,
        }
    }
}

#[derive(Debug)]
struct Room {
    definition: Arc<RoomDefinition>,
    game: Option<GameId>,
    people: BTreeSet<SessionId>,
    tables: BTreeMap<TableId, TableKey>,
    /// The last table's number.
    last: u32,
    state: RoomState,
    /// Whether the number of people has changed since it was last told.
    changed: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum RoomState {
    Open,
    /// Who is in it may stay.
    Closed,
    Gone,
}

#[derive(Debug)]
struct Game {
    definition: Arc<TableGame>,
    /// No new tables of it.
    gone: bool,
}

/// The state of the lobby.
#[derive(Debug)]
pub(super) struct Hall {
    limits: Limits,
    games: Vec<Game>,
    rooms: Vec<Room>,
    people: HashMap<SessionId, Person>,
    /// By lower-case name.
    names: HashMap<String, SessionId>,
    /// Those of them who have an account; each comes in under its name, and so but once.
    members: HashMap<AccountId, SessionId>,
    /// Also those who have left; until the box stops.
    gagged: HashSet<Gagged>,
    tables: BTreeMap<TableKey, Table>,
    /// Tables whose game may still run: those that stand, and those that are being ended.
    running: HashSet<TableKey>,
    launches: Launches,
    next_table: u64,
    effects: Vec<Effect>,
}

impl Hall {
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            games: Vec::new(),
            rooms: Vec::new(),
            people: HashMap::new(),
            names: HashMap::new(),
            members: HashMap::new(),
            gagged: HashSet::new(),
            tables: BTreeMap::new(),
            running: HashSet::new(),
            launches: Launches::default(),
            next_table: 1,
            effects: Vec::new(),
        }
    }

    /// What has to be done since this was last asked.
    pub(super) fn effects(&mut self) -> Vec<Effect> {
        std::mem::take(&mut self.effects)
    }

    /// What a logged-in person says. What the rim answers itself (logins, pings, the message of the day, keeping order)
    /// does not come here.
    pub(super) fn apply(&mut self, by: SessionId, request: Request, world: World<'_>) {
        if !self.people.contains_key(&by) {
            return; // they were removed while this was on its way
        }
        match request {
            Request::List { what, full, room } => self.list(by, what, full, room),
            Request::Enter { room } => self.enter(by, room, world),
            Request::Chat { kind, to, text } => self.chat(by, kind, to.as_deref(), text),
            Request::Launch {
                game,
                description,
                seats,
            } => self.launch(by, game, description, &seats, world.now),
            Request::Join {
                table,
                spectator,
                seat,
            } => self.join(by, table, spectator, seat),
            Request::Leave { force, .. } => self.leave(by, force),
            Request::Reseat { action, seat } => self.reseat(by, action, seat, world),
            Request::Update {
                room,
                table,
                change,
            } => self.update(by, room, table, change),
            Request::Info { seat } => self.info(by, seat),
            Request::Rankings => self.rankings(by),
            Request::Token => {
                let token = self.person(by).token.clone();
                self.tell(by, Push::Token { token });
            }
            Request::Language { language } => {
                let person = self.people.get_mut(&by).expect("looked up above");
                person.language = language;
            }
            // They are the rim's, or mean nothing.
            Request::Login(_)
            | Request::Channel { .. }
            | Request::TlsStart
            | Request::End
            | Request::Motd
            | Request::Ping { .. }
            | Request::Pong
            | Request::Admin { .. }
            | Request::AdminPerm { .. }
            | Request::Unknown => {}
        }
    }

    fn person(&self, id: SessionId) -> &Person {
        &self.people[&id]
    }

    fn person_mut(&mut self, id: SessionId) -> &mut Person {
        self.people
            .get_mut(&id)
            .expect("only people who are here are asked for")
    }

    fn room_of(&self, id: RoomId) -> Option<&Room> {
        self.rooms.get(id.0 as usize)
    }

    fn room_mut(&mut self, id: RoomId) -> &mut Room {
        &mut self.rooms[id.0 as usize]
    }

    fn table(&self, key: TableKey) -> &Table {
        &self.tables[&key]
    }

    fn table_mut(&mut self, key: TableKey) -> &mut Table {
        self.tables
            .get_mut(&key)
            .expect("only tables that stand are asked for")
    }

    fn tell(&mut self, to: SessionId, push: Push) {
        self.effects.push(Effect::Tell(to, push));
    }

    fn answer(&mut self, to: SessionId, action: Action, code: Code) {
        let body = Body::None {};
        self.tell(to, Push::Result { action, code, body });
    }

    fn tell_room(&mut self, room: RoomId, update: Update) {
        self.effects
            .push(Effect::Room(room, None, Push::Update(update)));
    }

    fn order(&mut self, key: TableKey, order: ToGame) {
        self.effects.push(Effect::Order(key, order, None));
    }

    fn odd(&mut self, key: TableKey, what: impl Into<String>) {
        self.effects.push(Effect::Odd(key, what.into()));
    }
}
