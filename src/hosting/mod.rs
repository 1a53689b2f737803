//! Servers as they should be: game definitions, ports, the lifecycle, and the service that every door asks.
//!
//! Owns the table `server` and all decisions about servers. Refuses to know how anything is done on a box: that is
//! the worker's. Answers seeds 000 (MyOTTD: names, classes, ports, versions) and 003 (manman: games by install method).
//!
//! ```text
//!  doors ──► Hosting (handle: rights, audit) ──► service (one task) ──► scribe: one transaction for all that wait
//!                                                  │  ▲                    │
//!                                   lifecycle::step│  └──── durable ◄──────┘
//!                                                  ▼
//!                               effects: one task each ──► worker ──► keeper, folders
//!                                                  ▲                    │
//!                                                  └── launched, lost, swept, moved, status ◄──
//! ```
//!
//! Only what should be is stored; what is comes from keepers, anew after each start of the daemon. A wish is durable
//! before it is answered and before it is acted upon. One server's slowness delays no other: the owning task never
//! waits for anything but its next input.

mod checks;
pub(crate) mod classes;
mod creating;
mod deeds;
pub(crate) mod definition;
mod effects;
mod error;
mod following;
mod handle;
mod idle;
mod installs;
mod library;
mod lifecycle;
mod limits;
mod mounting;
mod players;
pub(crate) mod ports;
mod reading;
pub(crate) mod records;
mod reports;
mod resuming;
mod scribe;
mod seeing;
mod service;
pub(crate) mod settings;
mod sockets;
mod state;
mod steward;
pub(crate) mod template;
mod view;
mod watcher;
mod wishes;

use std::time::Duration;

pub use classes::{Class, ClassWish, Idle, Wait};
pub use error::HostingError;
pub use handle::{Hosting, Settings, catalog, check, open};
pub use reading::Fault;
pub use view::{
    Create, Desired, Event, Exit, Game, Limits, News, Online, Patch, Port, Restart, State, Switch,
    View,
};
pub(crate) use view::{Creation, Home};

/// How long the recycle bin keeps a deleted server's folder, unless configured.
pub const RECYCLE: Duration = Duration::from_secs(7 * 24 * 3600);
