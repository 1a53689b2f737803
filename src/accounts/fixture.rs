//! What the tests of this room stand on: a store of their own and some people.

use std::net::IpAddr;

use super::{
    AccountId, Accounts, Caller, NewAccount, Principal, Role, Secret, ServerId, Subject, Verb, Via,
};
use crate::{
    audit::{Actor, Audit, Door, Line},
    store::Store,
};

/// A password that is long enough.
pub(super) const PASSWORD: &str = "correct horse";

/// [`PASSWORD`].
pub(super) fn right() -> Secret {
    Secret::new(PASSWORD)
}

/// Another.
pub(super) fn wrong() -> Secret {
    Secret::new("battery staple")
}

/// A box without people.
pub(super) struct Fixture {
    pub(super) accounts: Accounts,
    pub(super) audit: Audit,
    pub(super) store: Store,
    _state: tempfile::TempDir,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        let accounts = Accounts::open(store.clone(), audit.clone()).unwrap();
        Self {
            accounts,
            audit,
            store,
            _state: state,
        }
    }

    /// As after a restart of the daemon.
    pub(super) fn reopened(&self) -> Accounts {
        Accounts::open(self.store.clone(), self.audit.clone()).unwrap()
    }

    /// A new account without a password, and somebody who came in with it.
    pub(super) async fn person(&self, name: &str, role: Role) -> Principal {
        let made = self
            .accounts
            .create(&root(), wish(name, role))
            .await
            .unwrap();
        Principal {
            actor: Actor {
                account: Some(made.id.0),
                name: made.name,
                from: web(1).from,
                door: Door::Web,
            },
            role,
            scopes: None,
            via: Via::Password,
        }
    }

    /// The same, with [`PASSWORD`].
    pub(super) async fn member(&self, name: &str, role: Role) -> AccountId {
        let password = Some(right());
        let wish = NewAccount {
            password,
            ..wish(name, role)
        };
        self.accounts.create(&root(), wish).await.unwrap().id
    }

    pub(super) fn log(&self) -> Vec<Line> {
        self.audit.list(0, 1000).unwrap()
    }

    /// The intents of the log.
    pub(super) fn actions(&self) -> Vec<String> {
        let intents = self.log().into_iter().filter(|line| line.of.is_none());
        intents.map(|line| line.action).collect()
    }
}

pub(super) fn root() -> Principal {
    Accounts::local(0, "root".into())
}

pub(super) fn wish(name: &str, role: Role) -> NewAccount {
    NewAccount {
        name: name.into(),
        role: Some(role),
        password: None,
        mail: None,
    }
}

/// Somebody at another address for each number.
pub(super) fn web(n: u8) -> Caller {
    Caller {
        door: Door::Web,
        from: Some(IpAddr::from([192, 0, 2, n])),
    }
}

/// The same person with a token of these scopes.
pub(super) fn scoped(by: &Principal, scopes: &[Verb]) -> Principal {
    Principal {
        scopes: Some(scopes.to_vec()),
        ..by.clone()
    }
}

pub(super) fn id(by: &Principal) -> AccountId {
    AccountId(by.actor.account.unwrap())
}

pub(super) fn server(id: u64, owner: AccountId) -> Subject {
    let id = ServerId(id);
    Subject::Server { id, owner }
}

/// A web site that makes and checks accounts for its visitors, at MyOTTD's door.
pub(super) async fn site(f: &Fixture) -> Principal {
    let site = match f.accounts.id_of("site") {
        Some(id) => id,
        None => {
            f.accounts
                .create(&root(), wish("site", Role::Admin))
                .await
                .unwrap()
                .id
        }
    };
    let mut by = member(f, site);
    by.actor.door = Door::Rpc;
    by
}

/// Somebody who came in with that account's password.
pub(super) fn member(f: &Fixture, id: AccountId) -> Principal {
    f.accounts.vouched(&web(7), id).unwrap()
}

/// The account and the secret of the newest link that waits to be mailed there.
pub(super) fn link_of(f: &Fixture, to: &str) -> Option<(AccountId, String)> {
    let letters = f.accounts.desk().post.queue(true).letters;
    let letter = letters
        .into_iter()
        .rev()
        .find(|letter| letter.to == to && letter.link.is_some())?;
    let link = letter.link?;
    let (_, query) = link.split_once("?uid=").unwrap();
    let (id, token) = query.split_once("&token=").unwrap();
    Some((AccountId(id.parse().unwrap()), token.into()))
}
