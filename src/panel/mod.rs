//! The web API: every service's methods as routes. Thin: it reads a request, asks a service, and writes the answer.
//!
//! | file | routes |
//! |---|---|
//! | `people.rs` | set-up, login, accounts, tokens, grants |
//! | `mail.rs`, `links.rs` | letters, what people ask for by letter, and the pages that mailed links open |
//! | `servers.rs` | games, servers, their power and consoles |
//! | `classes.rs` | resource classes; mounting, versions and marks of servers |
//! | `schedules.rs` | what servers do by the clock |
//! | `doors.rs` | MyOTTD's `/download` and `/upload` |
//! | `files.rs`, `uploads.rs` | a server's files, its bin, and uploads in pieces |
//! | `archives.rs` | them as archives, and whole folders as streams |
//! | `snapshots.rs` | snapshots of servers: take, look into, restore, verify |
//! | `voice.rs` | voice channels, who is in them, and the right to a seat |
//! | `lobby.rs`, `order.rs` | the lobby: rooms, tables, chat, standings; keeping order, definitions, permissions |
//! | `live.rs` | WebSockets: a console as it grows, events of servers, voice and lobby as they happen |
//! | `session.rs` | the WebSocket that is a whole lobby session |
//! | `house.rs` | the box itself: status, audit, backup, check, doctor, and the API's own document |
//! | `pages.rs` | `/setup`, the first run's page |
//! | `manman.rs` | the routes of seed 003 for servers, over the same service |
//!
//! What may be done, by whom, is decided in the services; here is only what a request must prove (`Doors::by`).
//! Everything is audited there too, so that no door can forget it.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use serde::Serialize;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use warp::{filters::BoxedFilter, http::StatusCode, reply::Response};

use crate::{
    accounts::{Accounts, AccountsError, Principal, Subject, Verb},
    audit::Audit,
    files::Files,
    hosting::Hosting,
    http::{
        problem::{Code, Fault},
        redirect::Redirects,
        routes::{Call, Route, Table},
    },
    lobby::Lobby,
    mail::Post,
    schedules::Schedules,
    snapshots::Snapshots,
    store::{Catalog, Store},
    telemetry::Metrics,
    voice::Voice,
};

mod archives;
mod classes;
mod doors;
mod files;
mod house;
mod links;
mod live;
mod lobby;
mod mail;
mod manman;
mod order;
mod pages;
mod people;
mod schedules;
mod servers;
mod session;
mod snapshots;
mod uploads;
mod voice;

pub use pages::pages;

/// All that HTTP needs of the box: a table of contents, no more.
pub struct Doors {
    /// People.
    pub accounts: Accounts,
    /// The log of who did what.
    pub audit: Audit,
    /// Letters.
    pub post: Post,
    /// Where browsers may be sent.
    pub redirects: Redirects,
    /// Servers.
    pub hosting: Hosting,
    /// What servers do by the clock.
    pub schedules: Schedules,
    /// Their files.
    pub files: Files,
    /// Snapshots of servers.
    pub snapshots: Snapshots,
    /// Voice channels.
    pub voice: Voice,
    /// Rooms, tables and who is at them.
    pub lobby: Lobby,
    /// For backups.
    pub store: Store,
    /// What a backup holds.
    pub catalog: Arc<Catalog>,
    /// What is counted.
    pub metrics: Metrics,
    /// When the daemon started.
    pub started: Instant,
    /// Where it listens, by configuration key.
    pub endpoints: BTreeMap<String, String>,
    /// Every fault of definitions and store, as sentences. May block.
    pub check: Arc<dyn Fn() -> Vec<String> + Send + Sync>,
    /// What this box can do to keep games apart. May block.
    pub doctor: Arc<dyn Fn() -> Vec<Finding> + Send + Sync>,
    /// How often a WebSocket is pinged, and its right to be there checked again. See [`RHYTHM`].
    pub rhythm: Duration,
    /// Ends every WebSocket.
    pub stop: CancellationToken,
}

/// How often a WebSocket is pinged; three pings without a sign of life end it.
pub const RHYTHM: Duration = Duration::from_secs(20);

/// One way to keep games apart, and whether this box has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct Finding {
    /// `own user`, `memory limit`.
    pub name: String,
    /// Whether this box can.
    pub ok: bool,
    /// What it gives, or why it is missing.
    pub why: String,
    /// What to do about it.
    pub hint: Option<String>,
}

type State = Arc<Doors>;
type Outcome = Result<Response, Fault>;

/// The whole API: `/api/v1` and manman's `/server`. Other paths are rejected, so that other trees can follow.
pub fn routes(doors: Doors) -> BoxedFilter<(Response,)> {
    table().filter(Arc::new(doors))
}

fn table() -> Table<State> {
    let all = [
        people::routes(),
        mail::routes(),
        links::routes(),
        servers::routes(),
        classes::routes(),
        schedules::routes(),
        files::routes(),
        doors::routes(),
        uploads::routes(),
        archives::routes(),
        voice::routes(),
        lobby::routes(),
        order::routes(),
        live::routes(),
        session::routes(),
        snapshots::routes(),
        house::routes(),
        manman::routes(),
    ];
    Table::new(all.into_iter().flatten().collect::<Vec<Route<State>>>())
}

/// Where the API is.
macro_rules! api {
    ($path:literal) => {
        concat!("/api/v1/", $path)
    };
}
use api;

impl Doors {
    /// Who asks, as `call` proves.
    async fn by(&self, call: &Call) -> Result<Principal, Fault> {
        let shown = call.proof.principal(&self.accounts, call.peer).await;
        shown.inspect_err(|fault| self.count(fault))
    }

    /// Who asks, if they may do `verb` to the box.
    async fn by_with(&self, call: &Call, verb: Verb) -> Result<Principal, Fault> {
        let by = self.by(call).await?;
        match self.accounts.allows(&by, verb, Subject::Box) {
            true => Ok(by),
            false => Err(AccountsError::Forbidden(verb.name()).into()),
        }
    }

    /// Counts those who could not prove who they are.
    fn count(&self, fault: &Fault) {
        if matches!(
            fault.code,
            Code::WrongCredentials | Code::WrongToken | Code::LockedOut
        ) {
            self.metrics.login_failed();
        }
    }
}

/// Runs what may block where it may.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    let done = tokio::task::spawn_blocking(work).await;
    done.expect("it does not panic, and nobody aborts it")
}

/// Nothing to say beyond that it is done.
const DONE: StatusCode = StatusCode::NO_CONTENT;

#[cfg(test)]
mod tests;
