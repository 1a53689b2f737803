//! What people may here, and that it comes into effect for those who are here already.
//!
//! ```text
//!  role ──► usual ──┐
//!  mask, if set ────┴─► rights       the mask's role is still the account's: the mask
//!                                    it is another:  what the new role usually may, less what the mask took away
//!
//!  accounts, bans, masks ──changed──► look at everybody: new permissions, or out with those who may not be here
//! ```

use std::time::Duration;

use serde_json::json;
use tokio::{select, time::sleep};
use tokio_util::sync::CancellationToken;

use super::{
    Lobby,
    ask::Ask,
    hall::{BOX, SessionId, Who},
    ledger::Ledger,
    wire::terms::{Code, Permissions},
};
use crate::{
    accounts::{AccountId, Accounts, Role},
    audit::{Actor, Door},
    clock::UnixMillis,
};

/// From a change until everybody is looked at: however many follow each other, one look is enough. Whoever made the
/// change has time to put it into effect themselves, and to say why.
const SETTLE: Duration = Duration::from_millis(500);

/// What everybody of a role may, unless somebody has set it.
fn usual(role: Role) -> Permissions {
    match role {
        Role::Guest => Permissions::GUEST,
        Role::Player => Permissions::REGISTERED,
        Role::Host => Permissions::HOST,
        Role::Admin => Permissions::ADMIN,
    }
}

/// What an account may here; none: it may not come in. In memory.
pub(super) fn rights(
    accounts: &Accounts,
    ledger: &Ledger,
    account: AccountId,
) -> Option<Permissions> {
    let (role, may_enter) = accounts.role_of(account)?;
    may_enter.then(|| match ledger.mask(account) {
        Ok(None) => usual(role),
        Ok(Some(mask)) if mask.role == role => mask.permissions,
        // What was given went with the role that it was given to; what was taken stays taken.
        Ok(Some(mask)) => usual(role).without(usual(mask.role).without(mask.permissions)),
        Err(error) => {
            tracing::error!(%error, account = account.0, "taken for one who may nothing");
            Permissions::default()
        }
    })
}

/// As whom the box does what nobody asked it for.
pub(super) fn the_box() -> Actor {
    Actor {
        account: None,
        name: "box".into(),
        from: None,
        door: Door::Box,
    }
}

/// Why somebody may not be here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Out {
    /// They are banned: by whom, and why.
    Banned(String, String),
    /// They came with an account that is closed.
    Closed,
    /// They are a guest, and an account has their name.
    Taken,
}

impl Out {
    /// As a GGZ client is told at its login.
    pub(super) fn code(&self) -> Code {
        match self {
            Self::Banned(..) => Code::NoPermission,
            Self::Closed => Code::UsrLookup,
            Self::Taken => Code::WrongLoginType,
        }
    }

    /// As who is in the house reads it: by whom, and why.
    fn words(self) -> (String, String) {
        match self {
            Self::Banned(by, why) => (by, why),
            Self::Closed => (BOX.into(), "your account was closed".into()),
            Self::Taken => {
                let why = "this is the name of an account now: come back with its password, or under another name";
                (BOX.into(), why.into())
            }
        }
    }
}

/// What somebody may, here and now. In memory.
pub(super) fn verdict(accounts: &Accounts, ledger: &Ledger, who: &Who) -> Result<Permissions, Out> {
    let (account, address) = (who.account, Some(who.address));
    if let Some(ban) = ledger.banned(&who.name, account, address, UnixMillis::now()) {
        return Err(Out::Banned(ban.by, ban.reason));
    }
    match account {
        None if accounts.id_of(&who.name.to_ascii_lowercase()).is_some() => Err(Out::Taken),
        None => Ok(Permissions::GUEST),
        Some(account) => rights(accounts, ledger, account).ok_or(Out::Closed),
    }
}

impl Lobby {
    /// What an account may here; none: it may not come in.
    pub(super) fn rights(&self, account: AccountId) -> Option<Permissions> {
        rights(&self.accounts, &self.ledger, account)
    }

    /// Puts into effect what changes of accounts, permissions and bans, until `stop`.
    pub(super) async fn follow_rights(&self, stop: CancellationToken) {
        let (mut accounts, mut ledger) = (self.accounts.changes(), self.ledger.changes());
        let mut change = async || {
            select! {
                changed = accounts.changed() => changed,
                changed = ledger.changed() => changed,
            }
        };
        while let Some(Ok(())) = stop.run_until_cancelled(change()).await {
            if stop.run_until_cancelled(sleep(SETTLE)).await.is_none() {
                return;
            }
            self.look().await;
        }
    }

    /// Looks at everybody who is here.
    async fn look(&self) {
        let Ok(people) = self.ask(Ask::People).await else {
            return; // the box is shutting down
        };
        for (id, who, permissions) in people {
            match verdict(&self.accounts, &self.ledger, &who) {
                Ok(now) if now != permissions => self.tell(Ask::PermitSession(id, now)).await,
                Ok(_) => {}
                Err(out) => self.put_out(id, who, out).await,
            }
        }
    }

    async fn put_out(&self, id: SessionId, who: Who, out: Out) {
        let subject = format!("player {}", who.name);
        let (by, why) = out.words();
        let detail = json!({ "reason": why, "by": by });
        let lobby = self.clone();
        let work = async move {
            let put_out = |reply| Ask::PutOut(id, by, why, reply);
            lobby.ask(put_out).await.map(drop)
        };
        let actor = the_box();
        let done = self.audited(&actor, "lobby.kick", subject, detail, work);
        if let Err(error) = done.await {
            tracing::error!(%error, name = who.name, "somebody who may not be here is here");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::{AccountPatch, NewAccount, Principal},
        audit::Audit,
        lobby::{
            ledger::{Mask, Sentence, Term},
            wire::terms::Permission,
        },
        store::Store,
    };

    /// A box with an administrator, and an account that is a host.
    struct Desk {
        accounts: Accounts,
        ledger: Ledger,
        id: AccountId,
        _state: tempfile::TempDir,
    }

    fn root() -> Principal {
        Accounts::local(0, "root".into())
    }

    impl Desk {
        async fn new() -> Self {
            let state = tempfile::tempdir().unwrap();
            let store = Store::open(state.path()).unwrap();
            let audit = Audit::open(store.clone()).unwrap();
            let accounts = Accounts::open(store.clone(), audit).unwrap();
            let mut id = AccountId(0);
            for (name, role) in [("otto", Role::Admin), ("ada", Role::Host)] {
                let wish = NewAccount {
                    name: name.into(),
                    role: Some(role),
                    password: None,
                    mail: None,
                };
                id = accounts.create(&root(), wish).await.unwrap().id;
            }
            Self {
                ledger: Ledger::open(store, accounts.clone()).unwrap(),
                accounts,
                id,
                _state: state,
            }
        }

        async fn becomes(&self, patch: AccountPatch) {
            self.accounts.update(&root(), self.id, patch).await.unwrap();
        }

        async fn is(&self, role: Role) {
            let role = Some(role);
            self.becomes(AccountPatch {
                role,
                ..AccountPatch::default()
            })
            .await;
        }

        fn rights(&self) -> Option<Permissions> {
            rights(&self.accounts, &self.ledger, self.id)
        }
    }

    #[tokio::test]
    async fn an_account_may_what_its_role_may_and_nothing_once_it_is_closed() {
        let desk = Desk::new().await;
        for role in [Role::Player, Role::Host, Role::Admin, Role::Guest] {
            desk.is(role).await;
            assert_eq!(desk.rights(), Some(usual(role)));
        }
        let changes = desk.accounts.changes();
        let disabled = Some(true);
        desk.becomes(AccountPatch {
            disabled,
            ..AccountPatch::default()
        })
        .await;
        assert!(changes.has_changed().unwrap());
        assert_eq!(desk.rights(), None);
        assert_eq!(rights(&desk.accounts, &desk.ledger, AccountId(99)), None);
    }

    #[tokio::test]
    async fn what_was_given_ends_with_the_role_and_what_was_taken_stays_taken() {
        let desk = Desk::new().await;
        let mask = Permissions::HOST
            .with(Permission::ChatAnnounce, true)
            .with(Permission::RoomsAdmin, true)
            .with(Permission::JoinTable, false);
        let role = Role::Host;
        let set = Mask {
            permissions: mask,
            role,
        };
        desk.ledger.set_mask(desk.id, set).await.unwrap();
        assert_eq!(desk.rights(), Some(mask));
        for role in [Role::Player, Role::Admin] {
            desk.is(role).await;
            let now = usual(role).with(Permission::JoinTable, false);
            assert_eq!(desk.rights(), Some(now), "{role:?}");
        }
        // Back in the role for which it was set, it holds as it was set.
        desk.is(Role::Host).await;
        assert_eq!(desk.rights(), Some(mask));
    }
    #[tokio::test]
    async fn who_is_banned_may_not_be_here_whenever_that_is_asked() {
        let desk = Desk::new().await;
        let asked = |name: &str, account, last| {
            let who = Who {
                name: name.into(),
                account,
                address: [192, 0, 2, last].into(),
            };
            verdict(&desk.accounts, &desk.ledger, &who)
        };
        let ada = Some(desk.id);
        let ban = |name: &str, account| {
            let sentence = Sentence {
                name: name.into(),
                account,
                address: Some([192, 0, 2, 1].into()),
                reason: "noise".into(),
                by: "otto".into(),
                term: Term::Usual,
            };
            desk.ledger.ban(sentence, UnixMillis::now())
        };
        assert_eq!(asked("gus", None, 1), Ok(Permissions::GUEST));
        assert_eq!(asked("Otto", None, 1), Err(Out::Taken));
        assert_eq!(asked("ada", ada, 1), Ok(Permissions::HOST));
        let banned = Out::Banned("otto".into(), "noise".into());
        assert_eq!(banned.code(), Code::NoPermission);
        ban("gus", None).await.unwrap();
        for (name, last) in [("GUS", 9), ("eve", 1)] {
            assert_eq!(asked(name, None, last), Err(banned.clone()));
        }
        assert_eq!(asked("eve", None, 9), Ok(Permissions::GUEST));
        assert_eq!(asked("ada", ada, 1), Ok(Permissions::HOST));
        ban("ada", ada).await.unwrap();
        assert_eq!(asked("ada", ada, 9), Err(banned));
        desk.ledger.lift("ada").await.unwrap();
        let disabled = Some(true);
        desk.becomes(AccountPatch {
            disabled,
            ..AccountPatch::default()
        })
        .await;
        assert_eq!(asked("ada", ada, 9), Err(Out::Closed));
    }
}
