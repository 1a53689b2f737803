//! The handle that every door holds.

use std::{
    net::IpAddr,
    path::PathBuf,
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use serde_json::Value;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

use super::{
    ask::Ask,
    definition::Definitions,
    error::LobbyError,
    hall::{Newcomer, SessionId, Who},
    history::History,
    lag::Rhythm,
    ledger::Ledger,
    motd,
    outbox::Outbox,
    pace::Paces,
    places::{NoPlace, Place, Places},
    view::News,
    warden::Departed,
    wire::{push::Push, terms::Code},
};
use crate::{
    accounts::{AccountId, Accounts, Principal, Subject, Verb},
    audit::{Actor, Audit},
    net,
};

/// Bytes of a message of the day.
const MOTD: usize = 8 << 10;

/// Cheap to clone.
#[derive(Clone)]
pub struct Lobby {
    pub(super) accounts: Accounts,
    pub(super) audit: Audit,
    pub(super) ledger: Ledger,
    pub(super) rhythm: Rhythm,
    pub(super) departed: Departed,
    pub(super) asks: mpsc::Sender<Ask>,
    pub(super) news: broadcast::Sender<News>,
    pub(super) house: Arc<House>,
}

/// What all handles share.
pub(super) struct House {
    pub(super) name: String,
    pub(super) data: Option<PathBuf>,
    pub(super) port: u16,
    /// How many sessions there are, and from where.
    pub(super) places: Arc<Places>,
    pub(super) started: std::time::Instant,
    /// Locked for a look or an exchange, never across an await.
    pub(super) definitions: RwLock<Arc<Definitions>>,
    /// That they were exchanged.
    pub(super) defined: watch::Sender<()>,
    /// One reads the definitions at a time.
    pub(super) reading: tokio::sync::Mutex<()>,
    pub(super) next_session: AtomicU64,
    pub(super) counts: Counts,
    pub(super) history: History,
    /// Of those who speak without a session.
    pub(super) paces: Paces,
}

/// What the lobby counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Tables whose games run.
    pub(super) tables: AtomicUsize,
    /// Sessions dropped because they did not read.
    pub(super) overrun: AtomicU64,
    /// Matches written down.
    pub(super) matches: AtomicU64,
    /// Games that failed.
    pub(super) failed: AtomicU64,
}

/// The lobby in figures.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Figures {
    /// Sessions logged in.
    pub sessions: usize,
    /// Tables whose games run.
    pub tables: usize,
    /// Sessions dropped because they did not read.
    pub overrun: u64,
    /// Matches written down since the start.
    pub matches: u64,
    /// Games that failed since the start.
    pub failed: u64,
}

/// Somebody's session, from before they are let in until it is dropped.
pub(super) struct Session {
    lobby: Lobby,
    id: SessionId,
    _place: Place,
}

impl Session {
    pub(super) fn id(&self) -> SessionId {
        self.id
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let gone = Ask::Gone(self.id);
        if let Err(mpsc::error::TrySendError::Full(gone)) = self.lobby.asks.try_send(gone)
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            let asks = self.lobby.asks.clone();
            runtime.spawn(async move { asks.send(gone).await.ok() });
        }
    }
}

impl Lobby {
    // What conversations need.

    pub(super) fn name(&self) -> String {
        self.house.name.clone()
    }

    pub(super) fn is_full(&self) -> bool {
        self.house.places.is_full()
    }

    /// A place for one more from there.
    pub(super) fn session(&self, from: IpAddr) -> Result<Session, NoPlace> {
        let place = self.house.places.take(from)?;
        Ok(self.session_at(place))
    }

    /// Beyond what there may be, for who takes the place of a session of their own: that one ends at once.
    pub(super) fn successor(&self, from: IpAddr) -> Session {
        self.session_at(self.house.places.add(from))
    }

    fn session_at(&self, place: Place) -> Session {
        Session {
            lobby: self.clone(),
            id: SessionId(self.house.next_session.fetch_add(1, Relaxed)),
            _place: place,
        }
    }

    /// Whether a session of this account is here, and perhaps is not any more.
    pub(super) async fn has_vanished(&self, who: &Who) -> bool {
        self.is_taken(&who.name, None).await && !self.is_taken(&who.name, who.account).await
    }

    pub(super) async fn come(
        &self,
        id: SessionId,
        newcomer: Newcomer,
        outbox: Arc<Outbox>,
    ) -> Result<(), Code> {
        let come = self.ask(|reply| Ask::Come(id, Box::new(newcomer), outbox, reply));
        come.await.unwrap_or(Err(Code::NotLoggedIn))
    }

    /// Whether somebody of this name is here to whom somebody of this account has to give way.
    pub(super) async fn is_taken(&self, name: &str, account: Option<AccountId>) -> bool {
        let taken = self.ask(|reply| Ask::IsTaken(name.into(), account, reply));
        taken.await.unwrap_or(false)
    }

    /// Whether a computer player of some game is called so.
    pub(super) fn is_a_bots(&self, lower: &str) -> bool {
        let games = &self.definitions().games;
        let mut bots = games.iter().flat_map(|game| &game.named_bots);
        bots.any(|(bot, _)| bot.eq_ignore_ascii_case(lower))
    }

    /// The message of the day as it is now.
    pub(super) async fn motd(&self) -> Push {
        let house = self.house.clone();
        let read = move || motd::read(house.data.as_deref());
        let read = tokio::task::spawn_blocking(read).await;
        let text = match read {
            Ok(Ok(text)) => text,
            Ok(Err(error)) => {
                tracing::warn!(%error, "the shipped message of the day serves instead");
                motd::DEFAULT.into()
            }
            Err(_) => String::new(), // the runtime is going down
        };
        let (admin, mail) = self.accounts.administrator().unwrap_or_default();
        let counts = &self.house.counts;
        let facts = motd::Facts {
            admin,
            mail: mail.unwrap_or_default(),
            machine: net::machine(),
            host: net::host_name(),
            system: "Linux".into(),
            port: self.house.port,
            uptime: self.house.started.elapsed(),
            now: jiff::Zoned::now(),
            tables: counts.tables.load(Relaxed),
            players: self.house.places.count(),
            version: env!("CARGO_PKG_VERSION").into(),
        };
        Push::Motd {
            text: motd::render(&text, &facts, MOTD),
            url: None,
        }
    }

    pub(super) async fn ask<T>(
        &self,
        ask: impl FnOnce(oneshot::Sender<T>) -> Ask,
    ) -> Result<T, LobbyError> {
        let (reply, answer) = oneshot::channel();
        let sent = self.asks.send(ask(reply)).await;
        sent.map_err(|_| LobbyError::Closed)?;
        answer.await.map_err(|_| LobbyError::Closed)
    }

    pub(super) async fn tell(&self, ask: Ask) {
        self.asks.send(ask).await.ok(); // the service has ended
    }

    pub(super) fn definitions(&self) -> Arc<Definitions> {
        let definitions = self.house.definitions.read();
        definitions.unwrap_or_else(PoisonError::into_inner).clone()
    }

    // What the API needs.

    pub(super) fn need(&self, by: &Principal, verb: Verb) -> Result<(), LobbyError> {
        match self.accounts.allows(by, verb, Subject::Box) {
            true => Ok(()),
            false => Err(LobbyError::Forbidden(verb.name())),
        }
    }

    /// Whether they may know what happens (`lobby.join`). In memory.
    pub fn may_listen(&self, by: &Principal) -> bool {
        self.need(by, Verb::LobbyJoin).is_ok()
    }

    /// Whether they may know of this: it happened where they may come in. In memory.
    pub fn may_hear(&self, by: &Principal, news: &News) -> bool {
        self.lets_in(by, news.entry)
    }

    /// What happens from now on.
    pub fn news(&self) -> broadcast::Receiver<News> {
        self.news.subscribe()
    }

    /// The figures for the metrics page.
    pub fn figures(&self) -> Figures {
        let counts = &self.house.counts;
        Figures {
            sessions: self.house.places.count(),
            tables: counts.tables.load(Relaxed),
            overrun: counts.overrun.load(Relaxed),
            matches: counts.matches.load(Relaxed),
            failed: counts.failed.load(Relaxed),
        }
    }

    /// Records the intent, works, records the outcome; to its end, whether or not anybody still waits for it.
    pub(super) async fn audited<T: Send + 'static>(
        &self,
        actor: &Actor,
        action: &'static str,
        subject: String,
        detail: Value,
        work: impl Future<Output = Result<T, LobbyError>> + Send + 'static,
    ) -> Result<T, LobbyError> {
        let (audit, actor) = (self.audit.clone(), actor.clone());
        let run = async move { audit.run(&actor, action, subject, detail, work).await };
        match tokio::spawn(run).await {
            Ok(done) => done,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(LobbyError::Closed), // the runtime is going down
        }
    }
}
