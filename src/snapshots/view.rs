//! What the API reads and sends. Shapes only.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{
    records::{Restored, Snapshot, Undo},
    retention::Rules,
    wire::{Entry, Kind, Path},
};
use crate::{accounts::ServerId, clock::UnixMillis};

/// A wish for a snapshot.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = SnapshotWish)]
pub struct Take {
    /// What people call it; may be empty.
    pub label: String,
    /// Whether it stays until somebody deletes it, whatever the rules say.
    pub pinned: bool,
    /// Take none rather than one that is not consistent.
    pub strict: bool,
}

/// A change; absent fields stay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = SnapshotPatch)]
pub struct Patch {
    /// What people call it.
    pub label: Option<String>,
    /// Whether it stays.
    pub pinned: Option<bool>,
}

/// What to restore, and where to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = SnapshotRestore)]
pub struct Restore {
    /// A file or folder, below the server's folder; all when absent.
    pub path: Option<String>,
    /// The same in base64, for names that are no text.
    pub path_base64: Option<String>,
    /// Where to; where it was when absent.
    pub to: Option<String>,
    /// To restore all: stop the server first, and start it again if it ran.
    pub stop: bool,
}

/// A snapshot as the API reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Snapshot)]
pub struct View {
    /// Its id.
    pub id: u64,
    /// The server's id.
    pub server: ServerId,
    /// What people call it.
    pub label: String,
    /// When it was begun.
    #[schema(value_type = String)]
    pub created: UnixMillis,
    /// Who wanted it.
    pub by: String,
    /// Bytes of all files.
    pub bytes: u64,
    /// Files and links.
    pub files: u64,
    /// Bytes by which what is stored grew.
    pub added: u64,
    /// How long it took.
    pub took_ms: u64,
    /// Whether the game had saved, and nothing changed meanwhile.
    pub consistent: bool,
    /// Why it is not consistent.
    pub why: Option<String>,
    /// What was left out, and why.
    pub notes: Vec<String>,
    /// Whether it stays until somebody deletes it.
    pub pinned: bool,
    /// What the last verification found damaged in it.
    pub damaged: Vec<String>,
}

impl From<Snapshot> for View {
    fn from(record: Snapshot) -> Self {
        Self {
            id: record.id,
            server: record.server,
            label: record.label,
            created: record.created,
            by: record.by,
            bytes: record.bytes,
            files: record.files,
            added: record.added,
            took_ms: record.took_ms,
            consistent: record.torn.is_none(),
            why: record.torn,
            notes: record.notes,
            pinned: record.pinned,
            damaged: record.damaged,
        }
    }
}

/// All that there is of a server's snapshots.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = Snapshots)]
pub struct Overview {
    /// The oldest first.
    pub snapshots: Vec<View>,
    /// Which of them stay.
    pub rules: Rules,
    /// What is being done just now.
    pub running: Option<Running>,
    /// The restore that can be undone.
    pub undo: Option<Undoable>,
    /// The last verification.
    pub checked: Option<Check>,
}

/// A job that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SnapshotJob)]
pub struct Running {
    /// `take`, `restore`, `verify`, `delete`, `read`.
    pub what: String,
    /// Since when.
    #[schema(value_type = String)]
    pub since: UnixMillis,
    /// Bytes seen or written so far.
    pub bytes: u64,
    /// About how many it will be, where that is known.
    pub of: Option<u64>,
}

/// A restore that can be undone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Undoable {
    /// When it was done.
    #[schema(value_type = String)]
    pub at: UnixMillis,
    /// From which snapshot.
    pub snapshot: u64,
    /// The file or folder; absent when it was all.
    pub path: Option<String>,
}

impl From<Undo> for Undoable {
    fn from(undo: Undo) -> Self {
        Self {
            at: undo.at,
            snapshot: undo.snapshot,
            path: match undo.what {
                Restored::All { .. } => None,
                Restored::One { to, .. } => Some(to.lossy().into_owned()),
            },
        }
    }
}

/// What a verification found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SnapshotCheck)]
pub struct Check {
    /// When it ended.
    #[schema(value_type = String)]
    pub at: UnixMillis,
    /// What is wrong with the repository as a whole.
    pub faults: Vec<String>,
    /// The snapshots of which something is damaged.
    pub damaged: Vec<u64>,
}

/// What came of a restore.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SnapshotRestored)]
pub struct RestoredView {
    /// Bytes written.
    pub bytes: u64,
    /// Whether the server was started again.
    pub started: bool,
}

/// A page of a folder in a snapshot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SnapshotFolder)]
pub struct Folder {
    /// In the order of their names' bytes.
    pub entries: Vec<EntryView>,
    /// Whether there are more: ask with `after`.
    pub more: bool,
}

/// An entry of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[schema(as = SnapshotEntry)]
pub struct EntryView {
    /// The name, with U+FFFD in place of what is not UTF-8.
    pub name: String,
    /// The exact bytes in base64, only where `name` is not exact.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name_base64: Option<String>,
    /// What it is.
    pub kind: Kind,
    /// Bytes of a file.
    pub size: u64,
    /// When it was last written.
    #[schema(value_type = String)]
    pub modified: UnixMillis,
    /// Permission bits.
    pub mode: u32,
    /// Where a link leads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub target: Option<String>,
}

impl From<Entry> for EntryView {
    fn from(entry: Entry) -> Self {
        let exact = str::from_utf8(&entry.name.0).is_ok();
        Self {
            name: entry.name.lossy().into_owned(),
            name_base64: (!exact).then(|| data_encoding::BASE64.encode(&entry.name.0)),
            kind: entry.kind,
            size: entry.size,
            modified: UnixMillis(entry.modified),
            mode: entry.mode,
            target: entry.target.map(|target: Path| target.lossy().into_owned()),
        }
    }
}
