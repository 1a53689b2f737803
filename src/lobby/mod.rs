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

pub mod definition;
pub mod dmod;
pub mod wire;
