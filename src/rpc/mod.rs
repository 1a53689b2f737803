//! MyOTTD's XML-RPC (seed 000): its daemons' methods, over the same services as every other door.
//!
//! ```text
//!  POST /xmlrpc            all daemons, `server_stop` and `mottdd.server_stop`     http: bounded bodies
//!  POST /xmlrpc/{daemon}   one daemon                                               │
//!  a port of its own       the same at its /xmlrpc (`rpc.mauthd` and so on)         ▼
//!                                                     wire: bytes ─► name, params ─► desk
//!    function not found 8001 ◄─ look up ─► [auth, …], [args, …] ─► who asks ─► arguments fit ─► the method
//!                                             1011          1021 1022 1091 1092     1000        └─ (-1) [name] text
//! ```
//!
//! It owns the calling convention and the faults; rights and the audit log are the services' own. What proves who asks
//! stands in each call's body: no cookie and no header counts here, so a page of another site can do nothing with what
//! a browser sends by itself.
//!
//! | file | |
//! |---|---|
//! | `wire/` | values and documents, as bytes |
//! | `fault.rs` | codes, and errors as faults |
//! | `method.rs` | what a method is: names, types, help, and what does it |
//! | `desk.rs` | from a document to a method and back |
//! | `system.rs` | introspection |
//! | `http.rs` | the routes |
//! | `stream.rs`, `target.rs` | consoles streamed elsewhere, and where that may be |
//! | `mauthd.rs`, `mfiled.rs`, `mottdd.rs`, `mlogd.rs` | the daemons' methods |
//! | `mvsrvd.rs` | those of mvsrvd, and mfiled's two that it asks |

mod desk;
mod fault;
mod http;
mod mauthd;
mod method;
mod mfiled;
mod mlogd;
mod mottdd;
mod mvsrvd;
mod stream;
mod system;
mod target;
pub mod wire;

use std::{fmt, str::FromStr, sync::Arc};

pub use fault::Code;
pub(crate) use http::routes;
pub(crate) use stream::Streams;
pub use target::Block;

use self::method::Method;
use crate::{
    accounts::Accounts,
    audit::Audit,
    files::Files,
    hosting::Hosting,
    http::{Bulk, redirect::Redirects},
    telemetry::Metrics,
};

/// One of MyOTTD's daemons. Where two have a method of one name, the first here has it when nobody says which.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Daemon {
    /// Accounts.
    Mauthd,
    /// Servers.
    Mvsrvd,
    /// Their files.
    Mfiled,
    /// The games in them.
    Mottdd,
    /// The audit log.
    Mlogd,
}

impl Daemon {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::Mauthd,
        Self::Mvsrvd,
        Self::Mfiled,
        Self::Mottdd,
        Self::Mlogd,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mauthd => "mauthd",
            Self::Mvsrvd => "mvsrvd",
            Self::Mfiled => "mfiled",
            Self::Mottdd => "mottdd",
            Self::Mlogd => "mlogd",
        }
    }
}

impl fmt::Display for Daemon {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// No such daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoSuchDaemon;

impl FromStr for Daemon {
    type Err = NoSuchDaemon;
    fn from_str(name: &str) -> Result<Self, NoSuchDaemon> {
        let known = Self::ALL.into_iter().find(|daemon| daemon.name() == name);
        known.ok_or(NoSuchDaemon)
    }
}

/// What the methods work with: a table of contents, no more.
#[derive(Clone)]
pub(crate) struct Services {
    /// People.
    pub(crate) accounts: Accounts,
    /// The log of who did what.
    pub(crate) audit: Audit,
    /// Servers.
    pub(crate) hosting: Hosting,
    /// Where browsers may be sent.
    pub(crate) redirects: Redirects,
    /// Their files.
    pub(crate) files: Files,
    /// Consoles that are streamed elsewhere.
    pub(crate) streams: Streams,
    /// What is counted.
    pub(crate) metrics: Metrics,
    /// The game that create_server makes.
    pub(crate) game: Arc<str>,
}

/// All methods and what they work with. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Rpc(Arc<Desk>);

struct Desk {
    services: Services,
    methods: Vec<Method>,
    bulk: Bulk,
}

impl Rpc {
    /// Every daemon's methods over `services`.
    pub(crate) fn new(services: Services) -> Self {
        Self(Arc::new(Desk {
            services,
            methods: methods(),
            bulk: http::bulk(),
        }))
    }
}

/// In the order of [`Daemon`], which decides between equal names.
fn methods() -> Vec<Method> {
    let mut methods = Vec::new();
    methods.extend(mauthd::methods());
    methods.extend(mvsrvd::methods());
    methods.extend(mfiled::methods());
    methods.extend(mottdd::methods());
    methods.extend(mlogd::methods());
    methods.sort_by_key(|method| method.daemon);
    methods
}
