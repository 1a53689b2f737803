//! What the lobby remembers: standings, matches, saved games, bans, permissions, definitions. Answers seed 002.
//!
//! Owns the store's tables `lobby_*`, and how a match changes a rating ([`elo`], `docs/ratings.md`). Refuses to know who
//! is here or who sits where: the lobby's service says who played, and as whom they count.
//!
//! ```text
//!  report ─► standings ─► counters, ELO, highscores ─► one transaction, if they are still so: standings, match, index
//!                                                                                   │
//!  standing, rankings, bans, saved games ◄── image in memory ◄── read anew from the store, what was touched
//! ```
//!
//! - **The store is the truth, memory its image.** A change reads what it builds upon in its own transaction, so two
//!   reports at once lose nothing; afterwards, and also if whoever waited is gone, what it touched is read anew.
//! - **Rankings, bans and permissions come from the image.** With 10,000 people in a game, a scan of the store takes
//!   nine times as long (199 ms against 22, unoptimised, on a busy machine), and any client may ask at any time. A person
//!   in the image costs some 200 bytes.
//! - **Guests** are reckoned as newcomers in every match, and nothing is kept of them but their name in it.
//! - **A record that does not decode** is named in the log and left as it is. Its owner counts as a newcomer whose
//!   standing is not written, until it is mended; nobody else notices.
//! - **Bounds**: players in a match, files of a table, saved games, bans, definitions; of matches the newest are kept.

mod bans;
mod checks;
mod elo;
mod error;
mod handle;
mod matches;
mod office;
mod records;
mod report;
mod saves;
#[cfg(test)]
mod tests;

pub use self::bans::Term;
pub(crate) use self::{
    bans::Sentence,
    error::LedgerError,
    handle::{Ledger, Ranked},
    matches::Which,
    office::Mask,
    records::{
        Ban, Counts, DefinitionKind, Match, MatchId, Person, Played, SavedSeat, Savegame, Sitting,
    },
    report::{Entrant, Report},
};

use crate::store::Catalog;

/// The catalog, with the records of this room.
#[must_use]
pub(crate) fn tables(catalog: Catalog) -> Catalog {
    records::tables(catalog)
}
