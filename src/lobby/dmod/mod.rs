//! ggzdmod: what the lobby and a game server say to each other, and the stage on which games run.
//!
//! Owns the processes of table games and the links to them. Refuses to know what a table is: who sits where, and what a
//! report is worth, is the lobby's. Source: seed 002; for authors of games: `docs/ggzdmod.md`.
//!
//! ```text
//!  lobby ── launch ─► stage ─► process     a thread that is parent of all games; users, groups, folders, limits
//!    │ ▲                          │ 3
//!    │ └── events ◄── link ◄──────┤        framer ─► wire: what it says
//!    └──── tell ────► link ───────┘        what it is told, and people's connections on bytes of their own
//! ```

mod bucket;
mod framer;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
mod link;
mod process;
pub mod stage;
pub mod wire;

#[cfg(test)]
mod tests;
