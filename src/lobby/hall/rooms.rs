//! Rooms: who may come in, and how they change while people are in them.
//!
//! A room's number is never used again. A room that changes is another room: the old one is closed, which means that
//! nobody comes in any more, and goes with the last who is in it. Room 0 stays as long as the box runs.

use std::{collections::BTreeSet, sync::Arc};

use super::{At, Effect, Game, Hall, Room, RoomState, SessionId, World};
use crate::lobby::{
    definition::{Definitions, RoomDefinition, TableGame},
    wire::{
        push::{Push, RoomView, Stats, Update},
        terms::{Action, Code, GameId, RoomId},
    },
};

impl Hall {
    pub(super) fn enter(&mut self, by: SessionId, room: RoomId, world: World<'_>) {
        let code = match self.may_enter(by, room) {
            Ok(()) => {
                if self.person(by).room != Some(room) {
                    self.move_to(by, room, world);
                }
                Code::Ok
            }
            Err(code) => code,
        };
        self.answer(by, Action::Enter, code);
    }

    fn may_enter(&self, by: SessionId, id: RoomId) -> Result<(), Code> {
        let person = self.person(by);
        let room = self.room_of(id).ok_or(Code::BadOptions)?;
        if person.room == Some(id) {
            return Ok(());
        }
        if room.state != RoomState::Open {
            return Err(Code::BadOptions);
        }
        match person.at {
            At::Table(..) => return Err(Code::AtTable),
            At::Launching(_) => return Err(Code::InTransit),
            At::Nowhere => {}
        }
        if !self.may_look_into(by, room) {
            return Err(Code::NoPermission);
        }
        match room.people.len() < room.definition.max_players as usize {
            true => Ok(()),
            false => Err(Code::RoomFull),
        }
    }

    pub(super) fn may_look_into(&self, by: SessionId, room: &Room) -> bool {
        room.definition.entry.lets_in(self.person(by).permissions)
    }

    fn move_to(&mut self, by: SessionId, room: RoomId, world: World<'_>) {
        let from_room = self.person(by).room;
        self.leave_room(by, Some(room));
        let stats = match (self.game_of(room), self.person(by).who.account) {
            (Some(game), Some(account)) if !self.hides_stats(by) => {
                (world.standings)(&game, account)
            }
            _ => Stats::default(),
        };
        let person = self.person_mut(by);
        person.room = Some(room);
        person.stats = stats;
        let entered = self.room_mut(room);
        entered.people.insert(by);
        entered.changed = true;
        let player = self.player_view(by);
        let update = Update::PlayerAdd {
            room,
            player,
            from_room,
        };
        self.effects
            .push(Effect::Room(room, Some(by), Push::Update(update)));
    }

    /// What is played in a room.
    pub(super) fn game_of(&self, room: RoomId) -> Option<Arc<TableGame>> {
        let GameId(game) = self.room_of(room)?.game?;
        Some(self.games[game as usize].definition.clone())
    }

    pub(super) fn room_view(&self, id: RoomId, language: &str, full: bool) -> RoomView {
        let room = &self.rooms[id.0 as usize];
        let definition = &room.definition;
        RoomView {
            id,
            name: definition.title.of(language).into(),
            ref_name: definition.title.text.clone(),
            game: room.game,
            players: room.people.len() as u32,
            description: full.then(|| definition.description.of(language).into()),
        }
    }

    /// Tells everybody how many people are in the rooms where that has changed: in one room at least, and in more as
    /// long as no more than `most` messages come of it. True: that was not all.
    pub(in crate::lobby) fn count(&mut self, most: usize) -> bool {
        let mut rooms = (most / self.people.len().max(1)).max(1);
        for (number, room) in (0..).zip(&mut self.rooms) {
            if room.changed && rooms == 0 {
                return true;
            }
            if std::mem::take(&mut room.changed) && room.state != RoomState::Gone {
                rooms -= 1;
                let (room, players) = (RoomId(number), room.people.len() as u32);
                self.effects
                    .push(Effect::Everybody(Push::Update(Update::RoomPlayers {
                        room,
                        players,
                    })));
            }
        }
        false
    }

    /// What is defined is this now.
    pub(in crate::lobby) fn define(&mut self, definitions: &Definitions) {
        for game in &definitions.games {
            self.put_game(game);
        }
        let names: BTreeSet<&str> = definitions.games.iter().map(|game| &*game.name).collect();
        for game in &mut self.games {
            game.gone = !names.contains(&*game.definition.name);
        }
        let names: BTreeSet<&str> = definitions.rooms.iter().map(|room| &*room.name).collect();
        for room in self.open_rooms() {
            if !names.contains(&*self.rooms[room.0 as usize].definition.name) {
                self.close(room);
            }
        }
        for room in &definitions.rooms {
            self.put_room(room);
        }
    }

    fn put_game(&mut self, definition: &Arc<TableGame>) {
        let definition = definition.clone();
        let known = self
            .games
            .iter_mut()
            .find(|game| game.definition.name == definition.name);
        match known {
            Some(game) => game.definition = definition,
            None => self.games.push(Game {
                definition,
                gone: false,
            }),
        }
    }

    fn game_named(&self, name: &str) -> Option<GameId> {
        let found = self
            .games
            .iter()
            .position(|game| game.definition.name == name);
        found.map(|number| GameId(number as u32))
    }

    fn open_rooms(&self) -> Vec<RoomId> {
        let open = |(number, room): (u32, &Room)| {
            (room.state == RoomState::Open).then_some(RoomId(number))
        };
        (0..).zip(&self.rooms).filter_map(open).collect()
    }

    pub(in crate::lobby) fn room_named(&self, name: &str) -> Option<RoomId> {
        self.open_rooms()
            .into_iter()
            .find(|room| self.rooms[room.0 as usize].definition.name == name)
    }

    fn put_room(&mut self, definition: &Arc<RoomDefinition>) {
        let game = match &definition.game {
            Some(name) => match self.game_named(name) {
                None => return, // its definition is at fault, which was said where it was read
                known => known,
            },
            None => None,
        };
        if let Some(id) = self.room_named(&definition.name) {
            let room = self.room_mut(id);
            if room.definition == *definition && room.game == game {
                return;
            }
            if id == RoomId(0) && room.game == game {
                room.definition = definition.clone();
                return;
            }
            if !self.close(id) {
                return;
            }
        }
        let id = RoomId(self.rooms.len() as u32);
        self.rooms.push(Room {
            definition: definition.clone(),
            game,
            people: BTreeSet::new(),
            tables: Default::default(),
            last: 0,
            state: RoomState::Open,
            changed: false,
        });
        let room = self.room_view(id, "", true);
        self.effects
            .push(Effect::Everybody(Push::Update(Update::RoomAdd { room })));
    }

    /// Lets nobody in any more. False: that room stays.
    fn close(&mut self, id: RoomId) -> bool {
        if id == RoomId(0) {
            return false;
        }
        self.room_mut(id).state = RoomState::Closed;
        self.drop_if_over(id);
        if self.rooms[id.0 as usize].state == RoomState::Closed {
            let update = Update::RoomClose { room: id };
            self.effects.push(Effect::Everybody(Push::Update(update)));
        }
        true
    }

    /// A closed room goes with the last who is in it, and what still plays there with it.
    pub(super) fn drop_if_over(&mut self, id: RoomId) {
        let room = self.room_mut(id);
        if room.state != RoomState::Closed || !room.people.is_empty() {
            return;
        }
        room.state = RoomState::Gone;
        for key in self.rooms[id.0 as usize].tables.clone().into_values() {
            self.end_table(key);
        }
        let update = Update::RoomDelete { room: id };
        self.effects.push(Effect::Everybody(Push::Update(update)));
    }

    pub(super) fn is_listed(&self, id: RoomId, by: SessionId) -> bool {
        match self.rooms[id.0 as usize].state {
            RoomState::Open => true,
            RoomState::Closed => self.person(by).room == Some(id),
            RoomState::Gone => false,
        }
    }
}
