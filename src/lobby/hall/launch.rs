//! How tables begin: what may be launched, and what follows when its game speaks.

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
    time::{Duration, Instant},
};

use super::{At, Chair, Effect, Hall, RoomState, SessionId, Table, TableKey, Who};
use crate::{
    accounts::AccountId,
    lobby::{
        definition::TableGame,
        dmod::wire::ToGame,
        wire::{
            push::Update,
            terms::{
                Action, Code, GameId, Permission, PlayerKind, RoomId, Seat, SeatKind, TableId,
                TableStatus,
            },
        },
    },
    net::network,
};

/// Bytes of what a table is called.
pub(super) const DESCRIPTION: usize = 512;
/// Bytes of a name that a seat is kept for.
const NAME: usize = 64;
/// Tables that somebody may launch at once, and how long it is until they may launch one more: each is a process.
pub(super) const LAUNCHES: u32 = 10;
pub(super) const EACH: Duration = Duration::from_secs(5);

/// Whose launches count together, however often they come and go.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Launcher {
    Account(AccountId),
    /// A guest's.
    Network(IpAddr),
    /// A guest of this machine, where a proxy may speak for many.
    Session(SessionId),
}

/// How many tables were launched lately, and by whom.
#[derive(Debug, Default)]
pub(super) struct Launches(HashMap<Launcher, Instant>); // when they may launch as many as at the start again

impl Launches {
    /// One more. False: that is too many.
    fn step(&mut self, by: Launcher, now: Instant) -> bool {
        let next = self.0.get(&by).map_or(now, |full| *full.max(&now)) + EACH;
        let may = next <= now + EACH * LAUNCHES;
        if may {
            self.0.insert(by, next);
        }
        may
    }

    /// Forgets those who have been slow since.
    pub(super) fn expire(&mut self, now: Instant) {
        self.0.retain(|_, full| *full > now);
    }
}

impl Hall {
    pub(super) fn launch(
        &mut self,
        by: SessionId,
        game: GameId,
        description: String,
        seats: &[Option<Seat>],
        now: Instant,
    ) {
        let mut may = self.may_launch(by, game, &description, seats);
        if may == Err(Code::RoomFull) && self.make_room(by) {
            may = self.may_launch(by, game, &description, seats);
        }
        let launcher = self.launcher(by);
        match may {
            Err(code) => self.answer(by, Action::Launch, code),
            Ok(_) if !self.launches.step(launcher, now) => {
                self.answer(by, Action::Launch, Code::LaunchFail);
            }
            Ok((room, chairs)) => {
                let owner = self.person(by).who.clone();
                let key = self.set_up(room, Some(owner), description, chairs, String::new());
                self.table_mut(key).launcher = Some(by);
                self.person_mut(by).at = At::Launching(key);
            }
        }
    }

    fn launcher(&self, by: SessionId) -> Launcher {
        let who = &self.person(by).who;
        match (who.account, network(who.address)) {
            (Some(account), _) => Launcher::Account(account),
            (None, network) if network.is_loopback() => Launcher::Session(by),
            (None, network) => Launcher::Network(network),
        }
    }

    /// Somebody wants a table, and there are too many: the one that waits longest for people who have gone is ended, in
    /// their room if it is that which is full. False: none waits. Where the whole box is full, there is room once its
    /// process has ended.
    fn make_room(&mut self, by: SessionId) -> bool {
        let Some(id) = self.person(by).room else {
            return false;
        };
        let room = self.room_mut(id);
        let within = room.tables.len() >= room.definition.max_tables as usize;
        let waits = |(key, table): (&TableKey, &Table)| {
            let since = table.deserted?;
            (!within || table.room == id).then_some((since, *key))
        };
        let longest = self.tables.iter().filter_map(waits).min();
        longest.map(|(_, key)| self.end_table(key)).is_some()
    }

    fn may_launch(
        &self,
        by: SessionId,
        game: GameId,
        description: &str,
        seats: &[Option<Seat>],
    ) -> Result<(RoomId, Vec<Chair>), Code> {
        let person = self.person(by);
        if !person.permissions.has(Permission::LaunchTable) {
            return Err(Code::NoPermission);
        }
        let id = person.room.ok_or(Code::NotInRoom)?;
        let room = self.room_of(id).filter(|room| room.game == Some(game));
        room.ok_or(Code::NotInRoom)?;
        if person.at != At::Nowhere {
            return Err(Code::LaunchFail);
        }
        if person.channel.is_none() && person.kind() != PlayerKind::Admin {
            return Err(Code::NoChannel);
        }
        let chairs = self.chairs(id, description, seats)?;
        let takes = |chair: &Chair| match chair {
            Chair::Open => true,
            Chair::Reserved(name) => person.who.is_called(name),
            _ => false,
        };
        // Tables that play without whoever launched them are for those who answer for the box.
        if !chairs.iter().any(takes) && !person.permissions.has(Permission::EditTables) {
            return Err(Code::BadOptions);
        }
        self.has_room_for_a_table(id)?;
        Ok((id, chairs))
    }

    /// What was asked for, if the room's game can be played so.
    fn chairs(
        &self,
        room: RoomId,
        description: &str,
        seats: &[Option<Seat>],
    ) -> Result<Vec<Chair>, Code> {
        let game = self.playable(room)?;
        let chairs: Option<Vec<Chair>> = seats
            .iter()
            .map(|seat| chair(&game, seat.as_ref()?))
            .collect();
        let chairs = chairs.ok_or(Code::BadOptions)?;
        let bots = chairs.iter().filter(|one| matches!(one, Chair::Bot(_)));
        let named: Vec<&String> = bots
            .clone()
            .filter_map(|one| match one {
                Chair::Bot(name) => name.as_ref(),
                _ => None,
            })
            .collect();
        let twice = (1..named.len()).any(|at| named[..at].contains(&named[at]));
        let bots = bots.count() as u32;
        let fits = game.players.has(chairs.len() as u32) && (bots == 0 || game.bots.has(bots));
        match fits && !twice && description.len() <= DESCRIPTION {
            true => Ok(chairs),
            false => Err(Code::BadOptions),
        }
    }

    /// What is played in a room, if new tables may be made.
    fn playable(&self, room: RoomId) -> Result<Arc<TableGame>, Code> {
        let id = self.room_of(room).and_then(|room| room.game);
        let game = &self.games[id.ok_or(Code::NotInRoom)?.0 as usize];
        match game.gone {
            false => Ok(game.definition.clone()),
            true => Err(Code::BadOptions),
        }
    }

    fn has_room_for_a_table(&self, room: RoomId) -> Result<(), Code> {
        let room = self.room_of(room).ok_or(Code::BadOptions)?;
        let fits = room.tables.len() < room.definition.max_tables as usize
            && self.running.len() < self.limits.tables;
        if fits { Ok(()) } else { Err(Code::RoomFull) }
    }

    fn is_open(&self, room: RoomId) -> Result<(), Code> {
        let room = self.room_of(room).map(|room| room.state);
        let open = room == Some(RoomState::Open);
        if open { Ok(()) } else { Err(Code::BadOptions) }
    }

    /// A table that nobody here launches: by the API. Its game must still speak before it is told of.
    pub(in crate::lobby) fn launch_for(
        &mut self,
        room: RoomId,
        description: String,
        seats: &[Option<Seat>],
    ) -> Result<TableKey, Code> {
        self.is_open(room)?;
        let chairs = self.chairs(room, &description, seats)?;
        self.has_room_for_a_table(room)?;
        Ok(self.set_up(room, None, description, chairs, String::new()))
    }

    /// A saved game goes on: its players' seats are kept for them, for a while.
    pub(in crate::lobby) fn resume(
        &mut self,
        room: RoomId,
        savegame: String,
        owner: Option<(String, AccountId)>,
        seats: Vec<Seat>,
        now: Instant,
    ) -> Result<TableKey, Code> {
        self.is_open(room)?;
        let game = self.playable(room)?;
        let chairs: Vec<Chair> = seats
            .into_iter()
            .map(|Seat { kind, name }| match (kind, name) {
                (SeatKind::Bot, name) => Chair::Bot(name),
                (SeatKind::Player | SeatKind::Abandoned | SeatKind::Reserved, Some(name)) => {
                    Chair::Reserved(name)
                }
                _ => Chair::Open,
            })
            .collect();
        if !game.restore || !game.players.has(chairs.len() as u32) {
            return Err(Code::BadOptions);
        }
        self.has_room_for_a_table(room)?;
        let description = "a saved game".into();
        // Known by their account, wherever they come from. A guest could be anybody.
        let owner = owner.map(|(name, account)| Who {
            name,
            account: Some(account),
            address: Ipv4Addr::UNSPECIFIED.into(),
        });
        let key = self.set_up(room, owner, description, chairs, savegame);
        if game.kill_when_empty {
            self.table_mut(key).deserted = Some(now);
        }
        Ok(key)
    }

    fn set_up(
        &mut self,
        id: RoomId,
        owner: Option<Who>,
        description: String,
        chairs: Vec<Chair>,
        savegame: String,
    ) -> TableKey {
        let key = TableKey(self.next_table);
        self.next_table += 1;
        let room = self.room_mut(id);
        room.last += 1;
        let number = TableId(room.last);
        room.tables.insert(number, key);
        let game_id = room.game.expect("checked: something is played here");
        let args = room.definition.args.clone();
        let place = (room.definition.name.clone(), number);
        let game = self.games[game_id.0 as usize].definition.clone();
        let first = ToGame::Launch {
            game: game.name.clone(),
            savegame: savegame.clone(),
            seats: chairs.iter().map(Chair::seat).collect(),
            spectators: 0,
        };
        self.tables.insert(
            key,
            Table {
                id: number,
                room: id,
                game: game.clone(),
                game_id,
                owner,
                description,
                chairs,
                spectators: Vec::new(),
                status: TableStatus::Created,
                launcher: None,
                met: Default::default(),
                deserted: None,
                reported: false,
                savegame: Some(savegame).filter(|file| !file.is_empty()),
            },
        );
        self.running.insert(key);
        self.effects.push(Effect::Launch {
            key,
            table: place,
            game,
            args,
            first,
        });
        key
    }

    /// Its game has spoken: the room is told, and whoever launched it sits down.
    pub(super) fn announce(&mut self, key: TableKey) {
        let table = self.table_mut(key);
        let (room, view, launcher) = (table.room, table.view(), table.launcher.take());
        self.tell_room(room, Update::TableAdd { room, table: view });
        let Some(by) = launcher else {
            return; // by the API, or they have left meanwhile
        };
        self.answer(by, Action::Launch, Code::Ok);
        self.person_mut(by).at = At::Nowhere;
        let Err(code) = self.seat_player(by, key, None) else {
            return;
        };
        // Their program waits for a seat since it was told that the launch went well.
        self.answer(by, Action::Join, code);
        self.take_channel(by);
        let may_stand_alone = self.person(by).permissions.has(Permission::EditTables);
        if self.table(key).game.kill_when_empty && !may_stand_alone {
            self.end_table(key);
        }
    }
}

/// What a seat may be at the start, or be made by its owner: open, a bot's, or kept for somebody.
pub(super) fn chair(game: &TableGame, seat: &Seat) -> Option<Chair> {
    let name = seat.name.as_deref().filter(|name| !name.is_empty());
    match (seat.kind, name) {
        (SeatKind::Open, _) => Some(Chair::Open),
        (SeatKind::Bot, None) => Some(Chair::Bot(None)),
        // A bot that is called like a person could be taken for one.
        (SeatKind::Bot, Some(name)) => game
            .named_bots
            .iter()
            .find(|(bot, _)| bot.eq_ignore_ascii_case(name))
            .map(|(bot, _)| Chair::Bot(Some(bot.clone()))),
        (SeatKind::Reserved, Some(name)) if name.len() <= NAME => {
            Some(Chair::Reserved(name.into()))
        }
        _ => None,
    }
}
