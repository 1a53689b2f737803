//! A server's console: lines with sequence numbers, kept in segment files. The files *are* the console:
//! one writer appends (the keeper, or the worker while no keeper runs), any number of readers follow at their own pace.
//!
//! ```text
//!  game ─ pipe ─► Writer ─ one pwritev per read ─► 00000000000000000001.seg   oldest, next to be deleted
//!                   │                              00000000000000024811.seg
//!                   │ head: N                      00000000000000049703.seg ◄─ appended
//!                   ▼                                   │ pread
//!                 watch ───────────► Tail ◄── Reader ◄──┘
//! ```
//!
//! What it promises:
//!
//! - The bytes of one kind come back exactly: the texts of its entries, with a newline after each that is not marked
//!   `more`, are the stream.
//! - Sequence numbers have no gap and no repeat, also when the writer is killed at any moment: what was never wholly
//!   written was never announced. (A power cut may take back the newest lines: nothing here waits for the disk.)
//! - Times never go back, even if the clock does.
//! - A full disk neither blocks nor ends anything: recent blocks wait in a bounded ring, and when the disk takes them
//!   again a `log` line says how many lines were lost.
//! - A reader costs the writer nothing; what was deleted or damaged before it came by is counted in `dropped`.
//!
//! It refuses to interpret: no encoding, no colours, no patterns. Ready and join patterns belong to the keeper.
//!
//! | file | |
//! |---|---|
//! | `wire.rs` | the bytes of a block, and where its entries begin and end |
//! | `segments.rs` | the files: names, appending, deleting the oldest |
//! | `scan.rs` | walking over the blocks of a file, damage included |
//! | `ring.rs` | recent blocks in memory |
//! | `writer.rs` | `Writer` |
//! | `reader.rs` | `Reader` |
//! | `follow.rs` | `Tail`, for the daemon's viewers |
//! | `line.rs` | `Line`, an entry as JSON |
//! | `stream.rs` | the bytes of MyOTTD's console stream |

mod follow;
mod line;
mod reader;
mod ring;
mod scan;
mod segments;
pub mod stream;
mod wire;
mod writer;

use serde::{Deserialize, Serialize};

pub use self::{follow::Tail, line::Line, reader::Reader, writer::Writer};
use crate::clock::UnixMillis;

/// Where a line came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, utoipa::ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// The game's standard output.
    Stdout,
    /// The game's standard error.
    Stderr,
    /// What people typed.
    Stdin,
    /// What the box did: start, stop, exits, installs.
    Log,
}

/// One line, or a marked piece of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Counts from 1 without a gap, for the server's whole life.
    pub seq: u64,
    /// When its bytes were read; never less than the entry's before.
    pub time: UnixMillis,
    /// Where it came from.
    pub kind: Kind,
    /// The bytes, without the newline, otherwise as they came.
    pub text: Vec<u8>,
    /// The line goes on in the next entry of this kind (it was too long, or unfinished for 200 ms).
    pub more: bool,
}

/// What a reader got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Batch {
    /// Entries in order, without a gap between them.
    pub entries: Vec<Entry>,
    /// How many entries between the wanted one and the first delivered were no longer kept.
    pub dropped: u64,
    /// The sequence number to ask for next.
    pub next: u64,
}
