//! What the tests of this room stand on: a lobby with the shipped rooms, and people from wherever a test wants them.

use std::net::IpAddr;

use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;
use crate::{
    accounts::{AccountId, NewAccount, Principal, Role, Secret},
    lobby::wire::request::{Login, LoginKind, Request},
};

/// A box of its own.
pub(super) struct Fixture {
    pub(super) lobby: Lobby,
    _stop: DropGuard,
    _state: tempfile::TempDir,
}

impl Fixture {
    /// With room for two sessions from each network.
    pub(super) async fn open() -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        let accounts = Accounts::open(store.clone(), audit.clone()).unwrap();
        let settings = Settings {
            state: state.path().into(),
            data: None,
            name: "Test".into(),
            tls: None,
            uids: 0..=0,
            tables: 1,
            sessions: 100,
            sessions_per_network: 2,
            lag: [1, 2, 3, 4].map(Duration::from_secs),
            ping: Duration::from_secs(60),
            room_update: Duration::from_secs(60),
            announce: false,
            publish: None,
        };
        let doors = Doors {
            lobby: TcpListener::bind("127.0.0.1:0").await.unwrap(),
            meta: None,
        };
        let stop = CancellationToken::new();
        let opened = open(settings, doors, store, accounts, audit, stop.clone());
        let (lobby, run) = opened.await.unwrap();
        tokio::spawn(run);
        lobby.reload().await.unwrap(); // before anybody asks for a room
        Self {
            lobby,
            _stop: stop.drop_guard(),
            _state: state,
        }
    }

    /// An account whose password is `battery staple`.
    pub(super) async fn account(&self, name: &str, role: Role) -> AccountId {
        let wish = NewAccount {
            name: name.into(),
            role: Some(role),
            password: Some(Secret::new("battery staple")),
            mail: None,
        };
        let root = Accounts::local(0, "root".into());
        self.lobby.accounts.create(&root, wish).await.unwrap().id
    }

    /// Somebody who came in as that account.
    pub(super) fn principal(&self, account: AccountId) -> Principal {
        let caller = crate::accounts::Caller {
            door: crate::audit::Door::Web,
            from: None,
        };
        self.lobby.accounts.vouched(&caller, account).unwrap()
    }

    /// Somebody at that address, who has been greeted.
    pub(super) async fn visit(&self, from: &str) -> Visit {
        let mut visit = self.lobby.visit(address(from));
        assert_eq!(words(&mut visit).await[0]["push"], "hello");
        visit
    }
}

pub(super) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

pub(super) fn login(kind: LoginKind, name: &str) -> Request {
    Request::Login(Login {
        kind,
        name: name.into(),
        password: Some(Secret::new("battery staple")),
        email: None,
    })
}

/// What comes next.
pub(super) async fn words(visit: &mut Visit) -> Vec<Value> {
    match visit.next().await {
        Word::Said(batch) => {
            let read = |push: &bytes::Bytes| serde_json::from_slice(push).unwrap();
            batch.iter().map(read).collect()
        }
        other => panic!("{other:?}"),
    }
}

/// How a request ends, `over` when the session does.
pub(super) async fn result(visit: &mut Visit, request: Request) -> String {
    assert!(visit.hear(request).await.is_none());
    loop {
        let Word::Said(batch) = visit.next().await else {
            return "over".into();
        };
        for push in batch {
            let push: Value = serde_json::from_slice(&push).unwrap();
            if push["push"] == "result" {
                return push["code"].as_str().unwrap().into();
            }
        }
    }
}
