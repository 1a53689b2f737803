//! The lobby: rooms, tables, seats, chat and statistics of seed 002, for unmodified GGZ programs.
//!
//! Owns who is here, who sits where, and what became of each match. Refuses to play: games are separate programs that
//! speak ggzdmod ([`dmod`]), and a player's connection is handed to them. Wire formats are in `docs/ggz.md`.
//!
//! ```text
//!  TCP 5688: XML ─► wire ─┐                                  ┌─► outbox per session ─► wire ─► TCP
//!  WebSocket: JSON ───────┼─► service (one task) ─► hall ────┤
//!  web API, CLI ──────────┘     │      ▲        pure state   ├─► ledger (store): ratings, matches, bans
//!                               ▼      │                     └─► dmod: one link per table
//!              definitions (files, store)    ▲                         │ socketpair, fds by SCM_RIGHTS
//!                                            └──── reports, states ────┴─► the game, in the sandbox
//! ```

mod ask;
mod define;
pub mod definition;
mod desk;
pub mod dmod;
mod error;
#[cfg(test)]
mod fixture;
mod hall;
mod handle;
pub(crate) mod history;
mod lag;
pub(crate) mod ledger;
pub mod meta;
pub mod motd;
mod outbox;
mod pace;
pub(crate) mod past;
mod places;
mod ranks;
mod rights;
mod scribe;
mod service;
mod stranger;
mod talk;
mod tcp;
mod upkeep;
mod view;
mod visit;
mod warden;
mod web;
pub mod wire;

use std::{
    net::SocketAddr,
    ops::RangeInclusive,
    path::PathBuf,
    sync::{Arc, RwLock, atomic::AtomicU64},
    time::{Duration, Instant},
};

use tokio::{
    net::TcpListener,
    sync::{broadcast, mpsc, watch},
};
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;

use self::{
    dmod::stage::{self, Stage},
    hall::Hall,
    handle::House,
    lag::Rhythm,
    ledger::Ledger,
    places::Places,
    scribe::Scribe,
    service::{Ground, Service},
    warden::{Departed, Warden},
};
use crate::{
    accounts::Accounts,
    audit::Audit,
    store::{Catalog, Store},
};

pub use error::LobbyError;
pub use handle::{Figures, Lobby};
pub use ledger::Term;
pub use meta::Target;
pub use past::{BanView, MatchOutcome, MatchPlayer, MatchView, SavedGame, SavedKey};
pub use view::{
    Defined, DefinitionsView, Launched, NewTable, News, Override, RoomPlayer, RoomTable, RoomView,
    Spoken,
};
pub use visit::{Visit, Word};

/// Questions that may wait for the service; more wait at their doors.
const QUEUE: usize = 1024;
/// Reports that may wait for the disk.
const ENTRIES: usize = 4096;
/// News that a listener may be behind.
const NEWS: usize = 1024;
/// A game that was saved longer ago is not taken up again by itself.
const RECENT: Duration = Duration::from_secs(24 * 3600);

/// The catalog, with the records of this room.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    ledger::tables(catalog)
}

/// What is wrong with the definitions of rooms and table games, shipped and in `data`: a sentence each.
pub fn faults(data: Option<&std::path::Path>) -> Vec<String> {
    definition::load(data, &[]).faults
}

/// How the lobby is set up.
pub struct Settings {
    /// The state folder; games' files lie in `tables/` there.
    pub state: PathBuf,
    /// Where `tables/`, `rooms/` and `motd.txt` are, besides what ships.
    pub data: Option<PathBuf>,
    /// What the box calls itself.
    pub name: String,
    /// Encryption for those who ask for it.
    pub tls: Option<TlsAcceptor>,
    /// User ids of games, one per table, when the daemon is root.
    pub uids: RangeInclusive<u32>,
    /// Tables at once.
    pub tables: usize,
    /// Sessions at once.
    pub sessions: usize,
    /// How many of them from one network; loopback is not counted.
    pub sessions_per_network: usize,
    /// From these answer times on, somebody lags by one class more.
    pub lag: [Duration; 4],
    /// From an answer to the next ping.
    pub ping: Duration,
    /// How often rooms are told how many people are in each.
    pub room_update: Duration,
    /// Whether the local network is told where the lobby is.
    pub announce: bool,
    /// A meta server to be listed at.
    pub publish: Option<Target>,
}

/// The lobby's doors, bound.
pub struct Doors {
    /// GGZ's port.
    pub lobby: TcpListener,
    /// The meta server's port.
    pub meta: Option<TcpListener>,
}

/// Opens the lobby. The future is all of it; it ends when `stop` says so.
///
/// # Panics
/// Outside of a tokio runtime.
pub async fn open(
    settings: Settings,
    doors: Doors,
    store: Store,
    accounts: Accounts,
    audit: Audit,
    stop: CancellationToken,
) -> Result<(Lobby, impl Future<Output = ()> + Send + use<>), LobbyError> {
    let ledger = Ledger::open(store, accounts.clone())?;
    let address = doors.lobby.local_addr().map_err(LobbyError::Socket)?;
    let house = Arc::new(House {
        name: settings.name.clone(),
        data: settings.data.clone(),
        port: address.port(),
        places: Places::new(settings.sessions, settings.sessions_per_network),
        started: Instant::now(),
        definitions: RwLock::default(),
        defined: watch::Sender::new(()),
        reading: tokio::sync::Mutex::default(),
        next_session: AtomicU64::new(1),
        counts: handle::Counts::default(),
        history: history::History::default(),
        paces: pace::Paces::default(),
    });
    // As root each game has a user of its own, so that there are no more of them than users.
    let users = match nix::unistd::geteuid().is_root() {
        true => settings.uids.clone().count(),
        false => usize::MAX,
    };
    let tables = settings.tables.min(users);
    let stage = Stage::new(stage::Settings {
        state: settings.state.clone(),
        uids: settings.uids.clone(),
        most: tables,
        patience: stage::Patience::default(),
    })
    .map_err(LobbyError::Stage)?;
    let (asks, asked) = mpsc::channel(QUEUE);
    let (entries, entered) = mpsc::channel(ENTRIES);
    let lobby = Lobby {
        accounts: accounts.clone(),
        audit,
        ledger: ledger.clone(),
        rhythm: Rhythm {
            frequency: settings.ping,
            thresholds: settings.lag,
        },
        departed: Departed::default(),
        asks: asks.clone(),
        news: broadcast::Sender::new(NEWS),
        house: house.clone(),
    };
    let (service, events) = Service::new(Ground {
        hall: Hall::new(hall::Limits { tables }),
        ledger: ledger.clone(),
        stage,
        entries,
        news: lobby.news.clone(),
        house: house.clone(),
        room_update: settings.room_update,
        accounts,
    });
    let scribe = Scribe {
        ledger,
        house,
        asks,
    };
    let guest = lobby.clone();
    let run = async move {
        // Tasks of their own: none waits while another computes.
        let serving = tokio::spawn(service.run(asked, events, stop.clone()));
        let writing = tokio::spawn(scribe.run(entered));
        open_up(guest, settings, tables, doors, address, stop).await;
        for task in [serving, writing] {
            task.await.ok(); // a panic has ended the whole box already
        }
    };
    Ok((lobby, run))
}

/// First the rooms, then the doors.
async fn open_up(
    lobby: Lobby,
    settings: Settings,
    tables: usize,
    doors: Doors,
    address: SocketAddr,
    stop: CancellationToken,
) {
    if let Err(error) = lobby.reload().await {
        tracing::error!(%error, "the lobby has no rooms");
    }
    lobby.take_up(tables).await;
    let announcing = async {
        if settings.announce {
            lobby.announce(address.port(), stop.clone()).await;
        }
    };
    let limits = tcp::Limits::default();
    tokio::join!(
        tcp::serve(
            doors.lobby,
            lobby.clone(),
            settings.tls,
            limits,
            stop.clone()
        ),
        lobby.follow_rights(stop.clone()),
        lobby.keep_up(settings.data, stop.clone()),
        lobby.be_found(doors.meta, settings.publish, address, stop.clone()),
        announcing,
    );
}

/// A secret of 128 bits.
fn secret() -> String {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).expect("the system has randomness");
    data_encoding::HEXLOWER.encode(&bytes)
}
