//! What the API reads and sends: wishes, views, news. Shapes only.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::classes::Idle;
use crate::accounts::{AccountId, ServerId};
use crate::clock::UnixMillis;

/// What a server is doing, as people read it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// Not running, and not meant to.
    Stopped,
    /// Being installed.
    Installing,
    /// Launched, not ready yet.
    Starting,
    /// Ready for players.
    Running,
    /// Told to stop, not gone yet.
    Stopping,
    /// Ended by itself; waits for its next start.
    Backoff,
    /// Ended by itself, and policy or limit says to leave it.
    Failed,
}

/// When a server that ended by itself is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Never.
    Never,
    /// When it did not end with exit code 0.
    OnFailure,
    /// Whenever it was not stopped by somebody.
    #[default]
    Always,
}

/// What a server may use. Absent: not limited.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Bytes of memory.
    pub memory: Option<u64>,
    /// Hundredths of one processor: 150 is one and a half.
    pub cpu_percent: Option<u32>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// Bytes that its files may take.
    pub disk: Option<u64>,
    /// Players at once.
    pub players: Option<u32>,
}

/// Who plays on a running server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Online {
    /// How many.
    pub online: u32,
    /// How many there may be, where the game or a limit says.
    pub max: Option<u32>,
    /// Those whose names the game told; one who vanished without a word may stay among them for a while.
    pub names: Vec<String>,
}

/// How the game last ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Exit {
    /// When.
    #[schema(value_type = String)]
    pub at: UnixMillis,
    /// The exit code, when it exited.
    pub code: Option<i32>,
    /// The signal's number, when one ended it.
    pub signal: Option<i32>,
    /// In words: `exit code 1`, `signal 11 (SIGSEGV)`, `killed for memory`, `never became ready`.
    pub reason: String,
}

/// One of a server's ports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Port {
    /// The definition's name for it: `game`, `query`.
    pub name: String,
    /// Its number, the same for each protocol.
    pub number: u16,
    /// Used with TCP.
    pub tcp: bool,
    /// Used with UDP.
    pub udp: bool,
}

/// A server as the API reads it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct View {
    /// Its id.
    pub id: ServerId,
    /// `{owner}_{id}`.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// The definition's name.
    pub game: String,
    /// The game's version.
    pub version: String,
    /// The owner's account name.
    pub owner: String,
    /// The owner's id.
    pub owner_id: AccountId,
    /// MyOTTD's class number, 0 to 9.
    pub class: u8,
    /// Its ports.
    pub ports: Vec<Port>,
    /// Whether it should run.
    pub desired: Desired,
    /// What it does.
    pub state: State,
    /// The game's process.
    pub pid: Option<u32>,
    /// Seconds since the game was started.
    pub uptime_s: Option<u64>,
    /// How often the game was started since somebody last started the server.
    pub starts: u32,
    /// The last exit.
    pub exit: Option<Exit>,
    /// When it is next started, in `backoff`.
    #[schema(value_type = Option<String>)]
    pub retry_at: Option<UnixMillis>,
    /// The restart policy.
    pub restart: Restart,
    /// Its settings, by the definition's names; none for who may not change them, since they may be passwords.
    #[schema(value_type = Object)]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// Its limits: what it wished for, capped by its class.
    pub limits: Limits,
    /// When it is left to rest, as said for this server itself.
    pub idle: Idle,
    /// Files, and folders with the files in them, that anybody may download.
    #[serde(default)]
    pub public: Vec<String>,
    /// Whether it is prepared, with its class's share of the box reserved for it.
    pub mounted: bool,
    /// The version that is prepared, and that runs while anything does; null until it is.
    pub mounted_version: Option<String>,
    /// Who plays; null when it does not run, and when nobody can know.
    pub players: Option<Online>,
    /// What an owner should know: isolation or limits that this box cannot give, ports that were skipped.
    pub notices: Vec<String>,
    /// The folder with its files.
    #[schema(value_type = String)]
    pub folder: PathBuf,
    /// When it was created.
    #[schema(value_type = String)]
    pub created: UnixMillis,
}

/// Where a server's files are, and whose: for the rooms that work on them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Home {
    /// Its id.
    pub(crate) id: ServerId,
    /// `{owner}_{id}`.
    pub(crate) name: String,
    /// Who owns it.
    pub(crate) owner: AccountId,
    /// The game's own folder, an absolute path; absent until it is first used.
    pub(crate) folder: PathBuf,
    /// The user that the files belong to; none when the daemon is not root.
    pub(crate) user: Option<u32>,
    /// Bytes that the files may take.
    pub(crate) disk: Option<u64>,
    /// What in there anybody may download.
    pub(crate) public: Vec<String>,
}

/// What should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Desired {
    /// Running.
    Up,
    /// Stopped.
    Down,
}

/// A wish for a new server.
#[derive(Debug, Clone, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Create {
    /// The definition's name.
    pub game: String,
    /// What people call it; the game's title when absent.
    pub title: Option<String>,
    /// The definition's default when absent.
    pub version: Option<String>,
    /// By the definition's names.
    #[serde(default)]
    #[schema(value_type = Object)]
    pub settings: BTreeMap<String, serde_json::Value>,
    /// The definition's when absent.
    pub limits: Option<Limits>,
    /// The definition's when absent.
    pub restart: Option<Restart>,
    /// 2 (production) when absent.
    pub class: Option<u8>,
    /// As the class and the game say when absent.
    pub idle: Option<Idle>,
}

/// What a creation did, step by step.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Creation {
    /// What was created.
    pub(crate) server: View,
    /// In order, as sentences to be shown.
    pub(crate) steps: Vec<String>,
}

/// What a change of version did.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Switch {
    /// Whether it ran, and was stopped for it.
    pub stopped: bool,
    /// The version before.
    pub from: String,
    /// As it is now.
    pub server: View,
}

/// A change; absent fields stay. Settings take effect at the next start.
#[derive(Debug, Clone, Default, PartialEq, Deserialize, Serialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Patch {
    /// New title.
    pub title: Option<String>,
    /// New version.
    pub version: Option<String>,
    /// Settings to change; null resets one to its default.
    #[schema(value_type = Option<Object>)]
    pub settings: Option<BTreeMap<String, serde_json::Value>>,
    /// New limits, as a whole.
    pub limits: Option<Limits>,
    /// New restart policy.
    pub restart: Option<Restart>,
    /// New idle rules, as a whole.
    pub idle: Option<Idle>,
    /// What anybody may download from now on, as a whole; from the server's folder, at most 32.
    pub public: Option<Vec<String>>,
}

/// A game that can be hosted, as the API lists it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Game {
    /// The definition's name: `openttd`.
    pub name: String,
    /// `OpenTTD`.
    pub title: String,
    /// One sentence.
    pub description: String,
    /// `debian`, `archive`, `steamcmd:730`, `dir`.
    pub install: String,
    /// Versions, the default first.
    pub versions: Vec<String>,
    /// Settings with type, default and meaning.
    #[schema(value_type = Object)]
    pub settings: serde_json::Value,
    /// Why it cannot be hosted just now: `openttd is not installed; apt install openttd`.
    pub unavailable: Option<String>,
    /// The same for single versions, by version: only those that cannot be had.
    #[serde(default)]
    pub missing: BTreeMap<String, String>,
}

/// News, in the past tense.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// A server was created.
    Created {
        /// The server.
        server: Box<View>,
    },
    /// Its state, or anything else that one reads of it, changed.
    Changed {
        /// The server.
        server: Box<View>,
    },
    /// It was moved to the recycle bin.
    Deleted {
        /// Its id.
        id: ServerId,
    },
}

/// An event with its number, which counts from 1 at each start of the daemon.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct News {
    /// The number.
    pub seq: u64,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}
