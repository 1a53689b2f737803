//! What the store keeps of a server: what should be, never what is.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::classes::Idle;
use super::settings::Value;
use super::{Desired, Limits, Port, Restart};
use crate::accounts::{AccountId, ServerId};
use crate::clock::UnixMillis;
use crate::store::{Record, Table, from_bytes};

/// The servers, by id.
pub(crate) const SERVERS: Table<Server> = Table::new();

/// A server as it should be. It stays until its folder is purged from the recycle bin, and holds its user id so long.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Server {
    pub(crate) id: ServerId,
    /// 0: the box itself.
    pub(crate) owner: AccountId,
    /// `{owner}_{id}`; an owner of one letter is followed by a hyphen.
    pub(crate) name: String,
    pub(crate) title: String,
    pub(crate) game: String,
    pub(crate) version: String,
    pub(crate) class: u8,
    pub(crate) ports: Vec<Port>,
    /// Ports that something else held when these were chosen.
    pub(crate) skipped: Vec<u16>,
    /// The user that it runs as, when the daemon is root.
    pub(crate) uid: u32,
    /// For the game's own consoles and passwords.
    pub(crate) secret: String,
    pub(crate) desired: Desired,
    pub(crate) restart: Restart,
    /// What was wished for; the class caps it, unless `exceeds`.
    pub(crate) limits: Limits,
    /// Only those that differ from the definition's defaults.
    pub(crate) settings: BTreeMap<String, Value>,
    /// When it was deleted; also the name of its folder in the recycle bin.
    pub(crate) deleted: Option<UnixMillis>,
    pub(crate) created: UnixMillis,
    /// An administrator gave it limits above its class.
    pub(crate) exceeds: bool,
    pub(crate) idle: Idle,
    /// That somebody wants it destroyed, which its file must say too.
    pub(crate) mark: Option<Mark>,
    /// What anybody may download: paths from its folder.
    pub(crate) public: Vec<String>,
}

/// The first half of a wish to destroy a server; the other half lies among its files.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Mark {
    pub(crate) nonce: String,
    pub(crate) at: UnixMillis,
}

/// A server as it was before its owner could make files public.
#[derive(Serialize, Deserialize)]
struct ServerV2 {
    id: ServerId,
    owner: AccountId,
    name: String,
    title: String,
    game: String,
    version: String,
    class: u8,
    ports: Vec<Port>,
    skipped: Vec<u16>,
    uid: u32,
    secret: String,
    desired: Desired,
    restart: Restart,
    limits: Limits,
    settings: BTreeMap<String, Value>,
    deleted: Option<UnixMillis>,
    created: UnixMillis,
    exceeds: bool,
    idle: Idle,
    mark: Option<Mark>,
}

/// A server as it was before there were limits of disk and players, idle rules and marks.
#[derive(Serialize, Deserialize)]
struct ServerV1 {
    id: ServerId,
    owner: AccountId,
    name: String,
    title: String,
    game: String,
    version: String,
    class: u8,
    ports: Vec<Port>,
    skipped: Vec<u16>,
    uid: u32,
    secret: String,
    desired: Desired,
    restart: Restart,
    limits: LimitsV1,
    settings: BTreeMap<String, Value>,
    deleted: Option<UnixMillis>,
    created: UnixMillis,
}

#[derive(Serialize, Deserialize)]
struct LimitsV1 {
    memory: Option<u64>,
    cpu_percent: Option<u32>,
    pids: Option<u32>,
}

impl From<ServerV2> for Server {
    fn from(old: ServerV2) -> Self {
        Self {
            id: old.id,
            owner: old.owner,
            name: old.name,
            title: old.title,
            game: old.game,
            version: old.version,
            class: old.class,
            ports: old.ports,
            skipped: old.skipped,
            uid: old.uid,
            secret: old.secret,
            desired: old.desired,
            restart: old.restart,
            limits: old.limits,
            settings: old.settings,
            deleted: old.deleted,
            created: old.created,
            exceeds: old.exceeds,
            idle: old.idle,
            mark: old.mark,
            public: Vec::new(),
        }
    }
}

impl From<ServerV1> for ServerV2 {
    fn from(old: ServerV1) -> Self {
        Self {
            id: old.id,
            owner: old.owner,
            name: old.name,
            title: old.title,
            game: old.game,
            version: old.version,
            class: old.class,
            ports: old.ports,
            skipped: old.skipped,
            uid: old.uid,
            secret: old.secret,
            desired: old.desired,
            restart: old.restart,
            limits: Limits {
                memory: old.limits.memory,
                cpu_percent: old.limits.cpu_percent,
                pids: old.limits.pids,
                disk: None,
                players: None,
            },
            settings: old.settings,
            deleted: old.deleted,
            created: old.created,
            exceeds: true, // nobody capped it, and an update takes nothing away
            idle: Idle::default(),
            mark: None,
        }
    }
}

impl Record for Server {
    const TABLE: &'static str = "server";
    const FORMAT: u8 = 3;
    fn upgrade(format: u8, body: &[u8]) -> Option<Self> {
        let old = match format {
            1 => from_bytes::<ServerV1>(body)?.into(),
            2 => from_bytes::<ServerV2>(body)?,
            _ => return None,
        };
        Some(old.into())
    }
    fn upgrade_json(format: u8, value: serde_json::Value) -> Option<Self> {
        let old = match format {
            1 => serde_json::from_value::<ServerV1>(value).ok()?.into(),
            2 => serde_json::from_value::<ServerV2>(value).ok()?,
            _ => return None,
        };
        Some(old.into())
    }
}

/// The key of a server.
pub(crate) fn key(id: ServerId) -> [u8; 8] {
    id.0.to_be_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Store;

    /// What an older release wrote in a server's place, and what the one after it did.
    #[derive(Serialize, Deserialize)]
    struct First(ServerV1);
    impl Record for First {
        const TABLE: &'static str = Server::TABLE;
        const FORMAT: u8 = 1;
    }

    #[derive(Serialize, Deserialize)]
    struct Second(ServerV2);
    impl Record for Second {
        const TABLE: &'static str = Server::TABLE;
        const FORMAT: u8 = 2;
    }

    fn old() -> ServerV1 {
        ServerV1 {
            id: ServerId(3),
            owner: AccountId(7),
            name: "ada_3".into(),
            title: "Trains".into(),
            game: "openttd".into(),
            version: "13.0".into(),
            class: 0,
            ports: Vec::new(),
            skipped: vec![7000],
            uid: 30_000,
            secret: "cafe".into(),
            desired: Desired::Up,
            restart: Restart::OnFailure,
            limits: LimitsV1 {
                memory: Some(1 << 40),
                cpu_percent: None,
                pids: Some(64),
            },
            settings: BTreeMap::from([("max_clients".into(), Value::Integer(9))]),
            deleted: None,
            created: UnixMillis(1),
        }
    }

    #[tokio::test]
    async fn a_server_of_an_older_release_is_read_and_keeps_what_it_had() {
        let home = tempfile::tempdir().unwrap();
        let store = Store::open(home.path()).unwrap();
        let put = |tx: &mut crate::store::Tx<'_>| {
            tx.put(Table::new(), key(ServerId(3)), &First(old()))?;
            tx.put(Table::new(), key(ServerId(4)), &Second(old().into()))
        };
        store.write(put).await.unwrap();
        for id in [3, 4] {
            let read = store.get(SERVERS, key(ServerId(id))).unwrap().unwrap();
            assert_eq!(
                (read.limits.memory, read.limits.pids),
                (Some(1 << 40), Some(64))
            );
            assert!(read.exceeds && read.mark.is_none() && read.public.is_empty());
            assert_eq!(read.settings["max_clients"], Value::Integer(9));
            let first = serde_json::to_value(old()).unwrap();
            assert_eq!(Server::upgrade_json(1, first.clone()), Some(read.clone()));
            let second = serde_json::to_value(ServerV2::from(old())).unwrap();
            assert_eq!(Server::upgrade_json(2, second), Some(read));
            assert_eq!(Server::upgrade_json(4, first), None);
        }
    }
}
