//! Lists, as people ask for them.

use super::{Chair, Effect, Hall, RoomState, SessionId};
use crate::lobby::{
    definition::Entry,
    view,
    wire::{
        push::{About, Body, GameView, PlayerView, Push, RoomView, SeatInfo, TableView},
        request::ListOf,
        terms::{Action, Code, GameId, Permission, RoomId},
    },
};

impl Hall {
    pub(super) fn list(&mut self, by: SessionId, what: ListOf, full: bool, room: Option<RoomId>) {
        let body = match what {
            ListOf::Game => Ok(Body::Games(
                self.game_views(&self.person(by).language, full),
            )),
            ListOf::Room => Ok(Body::Rooms(self.room_views(by, full))),
            ListOf::Player => self
                .room_to_list(by, room)
                .map(|room| Body::Players(room, self.players_in(room))),
            ListOf::Table => self
                .room_to_list(by, room)
                .map(|room| Body::Tables(room, self.tables_in(room))),
        };
        let (action, code) = (
            Action::List,
            body.as_ref().err().copied().unwrap_or(Code::Ok),
        );
        let body = body.unwrap_or(Body::None {});
        self.tell(by, Push::Result { action, code, body });
    }

    /// One's own room, or another that one may enter.
    fn room_to_list(&self, by: SessionId, asked: Option<RoomId>) -> Result<RoomId, Code> {
        let own = self.person(by).room;
        let Some(id) = asked.or(own) else {
            return Err(Code::NotInRoom);
        };
        let room = self.room_of(id).ok_or(Code::BadOptions)?;
        if own == Some(id) {
            return Ok(id);
        }
        match (room.state, self.may_look_into(by, room)) {
            (RoomState::Open, true) => Ok(id),
            (RoomState::Open, false) => Err(Code::NoPermission),
            _ => Err(Code::BadOptions),
        }
    }

    pub(in crate::lobby) fn game_views(&self, language: &str, full: bool) -> Vec<GameView> {
        let known = (0..).zip(&self.games).filter(|(_, game)| !game.gone);
        let view = |(id, game): (u32, &super::Game)| {
            let game = &game.definition;
            GameView {
                id: GameId(id),
                name: game.title.of(language).into(),
                version: game.version.clone(),
                engine: game.engine.clone(),
                engine_version: game.engine_version.clone(),
                players: game.players.clone(),
                bots: game.bots.clone(),
                spectators: game.spectators,
                peers: game.peers,
                named_bots: game.named_bots.clone(),
                about: full.then(|| About {
                    author: game.author.clone(),
                    url: game.homepage.clone(),
                    description: game.description.of(language).into(),
                }),
            }
        };
        known.map(view).collect()
    }

    fn room_views(&self, by: SessionId, full: bool) -> Vec<RoomView> {
        let language = &self.person(by).language;
        (0..self.rooms.len() as u32)
            .map(RoomId)
            .filter(|room| self.is_listed(*room, by))
            .map(|room| self.room_view(room, language, full))
            .collect()
    }

    fn players_in(&self, room: RoomId) -> Vec<PlayerView> {
        self.people_in(room)
            .map(|id| self.player_view(id))
            .collect()
    }

    fn tables_in(&self, room: RoomId) -> Vec<TableView> {
        let tables = self.room_of(room).map(|room| room.tables.values());
        let tables = tables.into_iter().flatten().map(|key| self.table(*key));
        tables
            .filter(|table| table.is_announced())
            .map(super::Table::view)
            .collect()
    }

    /// All rooms that are not gone, with all that is in them.
    pub(in crate::lobby) fn survey(&self) -> Vec<view::RoomView> {
        let rooms = (0..self.rooms.len() as u32).map(RoomId);
        rooms.filter_map(|id| self.survey_of(id)).collect()
    }

    /// Who may come into that room, if it is there.
    pub(in crate::lobby) fn entry_of(&self, id: RoomId) -> Option<Entry> {
        let there = self.room_of(id);
        let there = there.filter(|room| room.state != RoomState::Gone)?;
        Some(there.definition.entry)
    }

    /// The same of a room that may be gone: what is still told of it is for the same people.
    pub(in crate::lobby) fn entry_ever(&self, id: RoomId) -> Entry {
        let room = self.room_of(id);
        room.map_or_else(Entry::default, |room| room.definition.entry)
    }

    /// One of them.
    pub(in crate::lobby) fn survey_of(&self, id: RoomId) -> Option<view::RoomView> {
        let room = self
            .room_of(id)
            .filter(|room| room.state != RoomState::Gone)?;
        Some(view::RoomView {
            id,
            name: room.definition.name.clone(),
            title: room.definition.title.text.clone(),
            description: room.definition.description.text.clone(),
            game: self.game_of(id).map(|game| game.name.clone()),
            open: room.state == RoomState::Open,
            entry: room.definition.entry,
            people: room.people.len() as u32,
            max_players: room.definition.max_players,
            max_tables: room.definition.max_tables,
            players: self.players_in(id),
            tables: self.tables_in(id),
        })
    }

    /// About the people at one's table. Where they come from is for those who keep order.
    pub(super) fn info(&mut self, by: SessionId, only: Option<u32>) {
        let person = self.person(by);
        let shows_hosts = person.permissions.has(Permission::EditTables);
        let Some((key, _)) = person.table() else {
            return; // as the original: silence
        };
        let chairs = (0..).zip(&self.table(key).chairs);
        let seats = chairs
            .filter(|(number, _)| only.is_none_or(|only| only == *number))
            .filter_map(|(seat, chair)| match chair {
                Chair::Player(_, who) => Some(SeatInfo {
                    seat,
                    real_name: who.name.clone(),
                    photo: String::new(),
                    host: match shows_hosts {
                        true => who.address.to_string(),
                        false => String::new(),
                    },
                }),
                _ => None,
            })
            .collect();
        self.tell(by, Push::Info { seats });
    }

    pub(super) fn rankings(&mut self, by: SessionId) {
        if let Some((key, _)) = self.person(by).table() {
            let game = self.table(key).game.clone();
            self.effects.push(Effect::Rankings(by, game));
        }
    }
}
