//! The lobby: rooms, tables, seats, chat and statistics of seed 002, for unmodified GGZ programs.

pub mod definition;
pub mod dmod;
mod hall;
pub(crate) mod ledger;
pub use ledger::Term;
pub mod meta;
pub mod motd;
mod past;
mod view;
pub mod wire;
mod error;
mod lag;
mod outbox;
mod pace;
pub use error::LobbyError;
pub use view::*;
pub use past::*;
