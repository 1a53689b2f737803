//! What the store keeps: a snapshot counts only where both it and the repository say so.

use serde::{Deserialize, Serialize};

use super::{retention::Rules, view::Check, wire::Path};
use crate::{
    accounts::ServerId,
    clock::UnixMillis,
    store::{Catalog, Record, Table},
};

/// The catalog, with the records of this room.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    catalog
        .with::<Snapshot>()
        .with::<Repository>()
        .with::<KeptRules>()
        .with::<Undo>()
}

/// Snapshots, by server and id.
pub(super) const SNAPSHOTS: Table<Snapshot> = Table::new();
/// Repositories, by server.
pub(super) const REPOSITORIES: Table<Repository> = Table::new();
/// Rules that differ from the usual ones, by server.
pub(super) const RULES: Table<KeptRules> = Table::new();
/// The last restore, by server.
pub(super) const UNDOS: Table<Undo> = Table::new();

/// One snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    pub(super) id: u64,
    pub(super) server: ServerId,
    pub(super) label: String,
    pub(super) created: UnixMillis,
    /// Who wanted it.
    pub(super) by: String,
    pub(super) bytes: u64,
    pub(super) files: u64,
    pub(super) added: u64,
    pub(super) took_ms: u64,
    /// Why it is not consistent; none when it is.
    pub(super) torn: Option<String>,
    pub(super) notes: Vec<String>,
    pub(super) pinned: bool,
    /// What the last verification found damaged.
    pub(super) damaged: Vec<String>,
    /// The repository's own id of it.
    pub(super) stored: String,
}

impl Record for Snapshot {
    const TABLE: &'static str = "snapshot";
    const FORMAT: u8 = 1;
}

/// What opens a server's repository, and how it is.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Repository {
    /// The library's key, as JSON text. Without it nobody can read what is stored.
    pub(super) key: String,
    pub(super) checked: Option<Check>,
    /// When room was last given back.
    pub(super) pruned: UnixMillis,
    /// Snapshots that went since.
    pub(super) gone: u64,
}

/// The key is no business of logs.
impl std::fmt::Debug for Repository {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { pruned, gone, .. } = self;
        write!(f, "Repository {{ pruned: {pruned}, gone: {gone}, .. }}")
    }
}

impl Record for Repository {
    const TABLE: &'static str = "snapshot_repository";
    const FORMAT: u8 = 1;
}

/// How many of a server's snapshots stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptRules(pub(super) Rules);

impl Record for KeptRules {
    const TABLE: &'static str = "snapshot_rules";
    const FORMAT: u8 = 1;
}

/// A restore that can be undone. It is written before anything is moved, so that a crash in between can be settled.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Undo {
    /// When; also the name of what was moved aside.
    pub(super) at: UnixMillis,
    /// From which snapshot.
    pub(super) snapshot: u64,
    pub(super) what: Restored,
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Restored {
    /// The whole folder, which has this inode number: by it is known whether the two were exchanged.
    All { inode: u64 },
    /// One file or folder.
    One {
        to: Path,
        was_there: bool,
        /// It is in place.
        done: bool,
    },
}

impl Record for Undo {
    const TABLE: &'static str = "snapshot_undo";
    const FORMAT: u8 = 1;
}

/// The key of what there is one of per server.
pub(super) fn of(server: ServerId) -> [u8; 8] {
    server.0.to_be_bytes()
}

/// The key of a snapshot.
pub(super) fn key(server: ServerId, id: u64) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&of(server));
    key[8..].copy_from_slice(&id.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn snapshots_of_a_server_are_together_and_in_order() {
        let (one, two) = (ServerId(1), ServerId(2));
        assert!(key(one, u64::MAX) < key(two, 1));
        assert!(key(one, 255) < key(one, 256));
        assert!(key(one, 7).starts_with(&of(one)));
    }

    #[test]
    fn the_key_is_not_printed() {
        let repository = Repository {
            key: "hush".into(),
            checked: None,
            pruned: UnixMillis(0),
            gone: 0,
        };
        assert!(!format!("{repository:?}").contains("hush"));
    }
}
