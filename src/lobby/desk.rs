//! What people ask and do over the web: who is here, how they rank, tables, and a word to a room.

use std::sync::Arc;

use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    Lobby,
    ask::Ask,
    definition::{Entry, TableGame},
    error::LobbyError,
    ledger::{Match, MatchId, Savegame, Sitting, Which},
    past::SavedGame,
    ranks::rankings,
    view::{Launched, NewTable, RoomView},
    wire::{
        push::{GameView, Ranking},
        terms::{Permissions, RoomId, TableId},
    },
};
use crate::{
    accounts::{AccountId, Principal, Verb},
    clock::UnixMillis,
};

/// Bytes that may be said over the API at once.
const TEXT: usize = 512;

impl Lobby {
    /// Every room with all that is in it (`lobby.join`); who may not come in sees what a list of rooms says.
    pub async fn rooms(&self, by: &Principal) -> Result<Vec<RoomView>, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        let mut rooms = self.ask(Ask::Rooms).await?;
        for room in rooms
            .iter_mut()
            .filter(|room| !self.lets_in(by, room.entry))
        {
            room.players.clear();
            room.tables.clear();
        }
        Ok(rooms)
    }

    /// Whether they may know what happens behind such a door: who may come in, and who keeps order. In memory.
    pub(super) fn lets_in(&self, by: &Principal, entry: Entry) -> bool {
        let rights = || {
            by.actor
                .account
                .map(AccountId)
                .and_then(|id| self.rights(id))
        };
        entry.lets_in(Permissions::default())
            || entry.lets_in(rights().unwrap_or_default())
            || self.need(by, Verb::LobbyModerate).is_ok()
    }

    /// The same of a room (`lobby.join`).
    pub async fn room_inside(&self, by: &Principal, id: RoomId) -> Result<RoomView, LobbyError> {
        let room = self.room(by, id).await?;
        match self.lets_in(by, room.entry) {
            true => Ok(room),
            false => Err(LobbyError::MayNotEnter(id)),
        }
    }

    /// Refuses who is banned. The box itself never is.
    pub(super) fn not_banned(&self, by: &Principal) -> Result<(), LobbyError> {
        let Some(account) = by.actor.account.map(AccountId) else {
            return Ok(());
        };
        let (name, now) = (&by.actor.name, UnixMillis::now());
        match self.ledger.banned(name, Some(account), by.actor.from, now) {
            Some(_) => Err(LobbyError::Banned),
            None => Ok(()),
        }
    }

    /// One room (`lobby.join`).
    pub async fn room(&self, by: &Principal, id: RoomId) -> Result<RoomView, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        let found = self.ask(|reply| Ask::Room(id, reply)).await?;
        found.ok_or(LobbyError::NoSuchRoom(id))
    }

    /// Who may come into a room that is there. Costs next to nothing, unlike a look at it.
    async fn entry_of(&self, room: RoomId) -> Result<Entry, LobbyError> {
        let found = self.ask(|reply| Ask::EntryOf(room, reply)).await?;
        found.ok_or(LobbyError::NoSuchRoom(room))
    }

    /// What can be played (`lobby.join`).
    pub async fn games(&self, by: &Principal) -> Result<Vec<GameView>, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        self.ask(Ask::Games).await
    }

    fn game(&self, name: &str) -> Result<Arc<TableGame>, LobbyError> {
        let definitions = self.definitions();
        let found = definitions.games.iter().find(|game| game.name == name);
        found
            .cloned()
            .ok_or_else(|| LobbyError::NoSuchGame(name.into()))
    }

    /// Who leads in a game, best first (`lobby.join`).
    pub fn rankings(
        &self,
        by: &Principal,
        game: &str,
        most: usize,
    ) -> Result<Vec<Ranking>, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        let game = self.game(game)?;
        Ok(rankings(&self.accounts, &self.ledger, &game, most))
    }

    /// Matches, newest first, of those before `before` (`lobby.join`).
    pub(crate) fn matches(
        &self,
        by: &Principal,
        which: Which<'_>,
        before: Option<MatchId>,
        most: usize,
    ) -> Result<Vec<Match>, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        Ok(self.ledger.matches(which, before, most)?)
    }

    /// Games that were saved and can go on (`lobby.join`).
    pub(crate) fn savegames(&self, by: &Principal) -> Result<Vec<SavedGame>, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        let saved = self.ledger.savegames(None).into_iter();
        let shown = saved.map(|saved| {
            let playing = self.ledger.is_held(&saved.sitting);
            SavedGame::new(saved, playing)
        });
        Ok(shown.collect())
    }

    /// Lets a saved game go on at a table of its own (`lobby.moderate`; whose table it was, `lobby.join`).
    pub(crate) async fn resume(
        &self,
        by: &Principal,
        sitting: Sitting,
        file: String,
    ) -> Result<Launched, LobbyError> {
        self.need(by, Verb::LobbyJoin)?;
        self.not_banned(by)?;
        let owns = |saved: &Savegame| {
            let owner = saved.owner.as_deref().unwrap_or_default();
            saved.sitting == sitting && owner.eq_ignore_ascii_case(&by.actor.name)
        };
        let by_account = by.actor.account.is_some();
        if !by_account || !self.ledger.savegames(Some(&sitting.room)).iter().any(owns) {
            self.need(by, Verb::LobbyModerate)?;
        }
        let detail = json!({ "room": sitting.room, "file": file });
        let lobby = self.clone();
        let work = async move { lobby.go_on(sitting, file).await };
        let subject = "saved game".into();
        self.audited(&by.actor, "lobby.resume", subject, detail, work)
            .await
    }

    /// A saved game goes on.
    pub(super) async fn go_on(
        &self,
        sitting: Sitting,
        file: String,
    ) -> Result<Launched, LobbyError> {
        let savegame = self.ledger.resume(&sitting, &file);
        let savegame = savegame.ok_or_else(|| LobbyError::NoSuchSavegame(file.clone()))?;
        let resumed = self.ask(|reply| Ask::Resume(Box::new(savegame), reply));
        match resumed.await? {
            Ok((room, table)) => Ok(Launched { room, table }),
            Err(code) => {
                self.ledger.release(&sitting);
                Err(LobbyError::Refused(code))
            }
        }
    }

    /// Says something in a room that one may come into, or in all of them (`lobby.join`; to all: `lobby.moderate`); not
    /// faster than a session may speak.
    pub async fn say(
        &self,
        by: &Principal,
        room: Option<RoomId>,
        text: String,
    ) -> Result<(), LobbyError> {
        let verb = match room {
            Some(_) => Verb::LobbyJoin,
            None => Verb::LobbyModerate,
        };
        self.need(by, verb)?;
        let text = text.trim().to_owned();
        if text.is_empty() || text.len() > TEXT {
            return Err(LobbyError::BadText(TEXT));
        }
        self.not_banned(by)?;
        let (paces, account) = (&self.house.paces, by.actor.account.map(AccountId));
        paces
            .step(account, Instant::now())
            .map_err(|retry_after| LobbyError::TooFast { retry_after })?;
        if let Some(room) = room {
            let entry = self.entry_of(room).await?;
            if !self.lets_in(by, entry) {
                return Err(LobbyError::MayNotEnter(room));
            }
        }
        let from = by.actor.name.clone();
        let (lobby, detail) = (self.clone(), json!({ "text": text }));
        let work = async move {
            let call = |reply| Ask::Call(room, from, account, text, reply);
            match lobby.ask(call).await? {
                true => Ok(()),
                false => Err(LobbyError::Gagged),
            }
        };
        match room {
            Some(_) => work.await,
            // What everybody is told is something that is done to them.
            None => {
                let subject = "everybody".into();
                self.audited(&by.actor, "lobby.announce", subject, detail, work)
                    .await
            }
        }
    }

    /// Launches a table that nobody has to sit at, like one between bots (`lobby.moderate`).
    pub async fn launch(&self, by: &Principal, wish: NewTable) -> Result<Launched, LobbyError> {
        self.need(by, Verb::LobbyModerate)?;
        self.not_banned(by)?;
        let room = wish.room;
        self.entry_of(room).await?;
        let detail = json!({ "room": room, "seats": wish.seats.len() });
        let lobby = self.clone();
        let work = async move {
            let NewTable {
                room,
                description,
                seats,
            } = wish;
            let launch = lobby.ask(|reply| Ask::Launch(room, description, seats, reply));
            let table = launch.await?.map_err(LobbyError::Refused)?;
            Ok(Launched { room, table })
        };
        let subject = format!("room {}", room.0);
        self.audited(&by.actor, "lobby.launch", subject, detail, work)
            .await
    }

    /// Ends a table (`lobby.moderate`).
    pub async fn end(
        &self,
        by: &Principal,
        room: RoomId,
        table: TableId,
    ) -> Result<(), LobbyError> {
        self.need(by, Verb::LobbyModerate)?;
        let lobby = self.clone();
        let work = async move {
            let ended = lobby.ask(|reply| Ask::End(room, table, reply)).await?;
            match ended {
                true => Ok(()),
                false => Err(LobbyError::NoSuchTable(room, table)),
            }
        };
        let subject = format!("table {} in room {}", table.0, room.0);
        self.audited(&by.actor, "lobby.end", subject, Value::Null, work)
            .await
    }
}
