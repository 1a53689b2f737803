//! Rooms and table games as they are defined: by the API, from files, and put into effect.

use std::sync::{Arc, PoisonError};

use serde_json::Value;

use super::{
    Lobby, ask::Ask, definition, error::LobbyError, ledger::DefinitionKind, rights::the_box,
};
use crate::accounts::{Principal, Verb};

impl Lobby {
    /// Adds or replaces a room or table game (`lobby.manage`). It stands before a file of the same name.
    pub(crate) async fn define(
        &self,
        by: &Principal,
        kind: DefinitionKind,
        name: &str,
        toml: String,
    ) -> Result<(), LobbyError> {
        self.need(by, Verb::LobbyManage)?;
        definition::check(kind.into(), name, &toml, &self.definitions())
            .map_err(|faults| LobbyError::BadDefinition(faults.join("; ")))?;
        let (lobby, own) = (self.clone(), name.to_owned());
        let work = async move {
            lobby.ledger.put_definition(kind, &own, toml).await?;
            lobby.reload().await
        };
        self.audited(
            &by.actor,
            "lobby.define",
            subject(kind, name),
            Value::Null,
            work,
        )
        .await
    }

    /// Removes a room or table game, wherever its definition comes from (`lobby.manage`).
    pub(crate) async fn undefine(
        &self,
        by: &Principal,
        kind: DefinitionKind,
        name: &str,
    ) -> Result<(), LobbyError> {
        self.need(by, Verb::LobbyManage)?;
        let definitions = self.definitions();
        let in_effect = match kind {
            DefinitionKind::Game => definitions.games.iter().any(|game| game.name == name),
            DefinitionKind::Room => definitions.rooms.iter().any(|room| room.name == name),
        };
        let is_idle = definitions.idle.contains(&(kind.into(), name.to_owned()));
        if !in_effect && !is_idle {
            let kind = word(kind);
            let name = name.into();
            return Err(LobbyError::NoSuchDefinition { kind, name });
        }
        let (lobby, own) = (self.clone(), name.to_owned());
        let work = async move {
            lobby.ledger.remove_definition(kind, &own).await?;
            lobby.reload().await
        };
        self.audited(
            &by.actor,
            "lobby.remove",
            subject(kind, name),
            Value::Null,
            work,
        )
        .await
    }

    /// Forgets what the API said of a room or table game: files and what ships count again (`lobby.manage`).
    pub(crate) async fn forget(
        &self,
        by: &Principal,
        kind: DefinitionKind,
        name: &str,
    ) -> Result<(), LobbyError> {
        self.need(by, Verb::LobbyManage)?;
        let (lobby, own) = (self.clone(), name.to_owned());
        let work = async move {
            match lobby.ledger.forget_definition(kind, &own).await? {
                true => lobby.reload().await,
                false => Err(LobbyError::NoSuchOverride {
                    kind: word(kind),
                    name: own,
                }),
            }
        };
        self.audited(
            &by.actor,
            "lobby.forget",
            subject(kind, name),
            Value::Null,
            work,
        )
        .await
    }

    /// What is wrong with the definitions, a sentence each (`lobby.manage`).
    pub fn faults(&self, by: &Principal) -> Result<Vec<String>, LobbyError> {
        self.need(by, Verb::LobbyManage)?;
        Ok(self.definitions().faults.clone())
    }

    /// The same because a file has changed: recorded, for it changes what people find as the API does.
    pub(super) async fn reread(&self) -> Result<(), LobbyError> {
        let (lobby, subject) = (self.clone(), "definitions".into());
        let work = async move { lobby.reload().await };
        self.audited(&the_box(), "lobby.reload", subject, Value::Null, work)
            .await
    }

    /// Reads all definitions anew, and puts them into effect.
    pub(super) async fn reload(&self) -> Result<(), LobbyError> {
        let _one = self.house.reading.lock().await;
        let stored: Vec<_> = self
            .ledger
            .definitions()?
            .into_iter()
            .map(|one| (one.kind.into(), one.name, one.text))
            .collect();
        let data = self.house.data.clone();
        let former = self.definitions();
        let before = former.clone();
        let read = move || definition::reload(&before, data.as_deref(), &stored);
        let read = tokio::task::spawn_blocking(read).await;
        let now = Arc::new(read.map_err(|_| LobbyError::Closed)?); // the runtime is going down
        for fault in now
            .faults
            .iter()
            .filter(|fault| !former.faults.contains(*fault))
        {
            tracing::warn!("{fault}");
        }
        let bots = now.games.iter().flat_map(|game| &game.named_bots);
        self.accounts.reserve(bots.map(|(bot, _)| bot));
        *self
            .house
            .definitions
            .write()
            .unwrap_or_else(PoisonError::into_inner) = now.clone();
        self.house.defined.send_replace(());
        self.ask(|reply| Ask::Define(now, reply)).await
    }
}

fn word(kind: DefinitionKind) -> &'static str {
    match kind {
        DefinitionKind::Game => "table game",
        DefinitionKind::Room => "room",
    }
}

fn subject(kind: DefinitionKind, name: &str) -> String {
    format!("{} {name}", word(kind))
}

impl From<DefinitionKind> for definition::Kind {
    fn from(kind: DefinitionKind) -> Self {
        match kind {
            DefinitionKind::Game => Self::Game,
            DefinitionKind::Room => Self::Room,
        }
    }
}
