//! Lists that only the web API shows. What can be asked and done besides is in `desk.rs`, `define.rs` and `warden.rs`.

use std::sync::atomic::Ordering::Relaxed;

use super::{
    Defined, DefinitionsView, Lobby, LobbyError, Override, RoomPlayer, RoomTable, Spoken,
    ledger::{DefinitionKind, Person, Which},
    past::{MatchView, MatchesOf},
    wire::terms::RoomId,
};
use crate::accounts::{Principal, Verb};

/// Matches that are looked at to find as many as are wanted.
const LOOKED_AT: usize = 1000;

impl Lobby {
    /// Who is in the rooms (`lobby.join`).
    pub async fn players(&self, by: &Principal) -> Result<Vec<RoomPlayer>, LobbyError> {
        let rooms = self.rooms(by).await?.into_iter();
        let players = rooms.flat_map(|room| {
            let here = room.players.into_iter();
            here.map(move |player| RoomPlayer {
                room: room.id,
                player,
            })
        });
        Ok(players.collect())
    }

    /// The tables of a room, or of all (`lobby.join`).
    pub async fn tables(
        &self,
        by: &Principal,
        only: Option<RoomId>,
    ) -> Result<Vec<RoomTable>, LobbyError> {
        let rooms = match only {
            Some(room) => vec![self.room_inside(by, room).await?],
            None => self.rooms(by).await?,
        };
        let tables = rooms.into_iter().flat_map(|room| {
            let here = room.tables.into_iter();
            here.map(move |table| RoomTable {
                room: room.id,
                table,
            })
        });
        Ok(tables.collect())
    }

    /// What was said lately for all to hear, oldest first (`lobby.join`), in rooms that they may come into.
    pub async fn chat(
        &self,
        by: &Principal,
        room: Option<RoomId>,
        most: usize,
    ) -> Result<Vec<Spoken>, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        if let Some(room) = room {
            self.room_inside(by, room).await?;
        }
        let history = &self.house.history;
        Ok(history.last(room, most, |entry| self.lets_in(by, entry)))
    }

    /// Matches of a game, of somebody, or of somebody in a game; newest first (`lobby.join`).
    pub(crate) fn played(
        &self,
        by: &Principal,
        of: &MatchesOf<'_>,
        most: usize,
    ) -> Result<Vec<MatchView>, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        let person = of.account.map(|name| self.person(name)).transpose()?;
        let which = match (&person, of.game) {
            (Some(person), _) => Which::Person(person),
            (None, Some(game)) => Which::Game(game),
            (None, None) => Which::All,
        };
        let (mut found, mut before, mut looked_at) = (Vec::new(), of.before, 0);
        while found.len() < most && looked_at < LOOKED_AT {
            let page = self.matches(by, which, before, most)?;
            let Some(last) = page.last() else {
                break;
            };
            before = Some(last.id);
            looked_at += page.len();
            let wanted = page
                .into_iter()
                .filter(|one| of.game.is_none_or(|game| game == one.game));
            found.extend(wanted.map(MatchView::from));
        }
        found.truncate(most);
        Ok(found)
    }

    fn person(&self, name: &str) -> Result<Person, LobbyError> {
        let account = self.accounts.id_of(name).map(Person::Account);
        let bot = || self.is_a_bots(name).then(|| Person::Bot(name.into()));
        let found = account.or_else(bot);
        found.ok_or_else(|| LobbyError::NobodyHere(name.into()))
    }

    /// What is in effect, and what the API said of it (`lobby.manage`).
    pub fn defined(&self, by: &Principal) -> Result<DefinitionsView, LobbyError> {
        self.need(by, Verb::LobbyManage)?;
        let stored = self.ledger.definitions()?.into_iter();
        let definitions = self.definitions();
        let games = definitions.games.iter().map(|game| game.name.clone());
        let rooms = definitions.rooms.iter().map(|room| room.name.clone());
        Ok(DefinitionsView {
            tables: games.collect(),
            rooms: rooms.collect(),
            overrides: stored
                .map(|one| Override {
                    kind: one.kind.into(),
                    name: one.name,
                    toml: one.text,
                })
                .collect(),
            faults: definitions.faults.clone(),
        })
    }

    /// Counts a session that did not read what it was told.
    pub(super) fn overran(&self) {
        self.house.counts.overrun.fetch_add(1, Relaxed);
        tracing::info!("dropped: they did not read what was told them");
    }
}

impl From<Defined> for DefinitionKind {
    fn from(kind: Defined) -> Self {
        match kind {
            Defined::Rooms => Self::Room,
            Defined::Tables => Self::Game,
        }
    }
}

impl From<DefinitionKind> for Defined {
    fn from(kind: DefinitionKind) -> Self {
        match kind {
            DefinitionKind::Room => Self::Rooms,
            DefinitionKind::Game => Self::Tables,
        }
    }
}
