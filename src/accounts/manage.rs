//! Accounts as administrators and their owners change them.

use serde_json::json;

use super::{
    AccountId, AccountPatch, AccountView, Accounts, AccountsError, Caller, MailState, NewAccount,
    Principal, Role, Secret, Subject, Verb, Via, names,
    records::{Account, Purpose},
    secret::SessionId,
    service::Change,
};

impl Principal {
    /// Whether this is the account itself.
    pub(super) fn is(&self, id: AccountId) -> bool {
        self.actor.account == Some(id.0)
    }
}

impl Accounts {
    /// The caller's own account; none on the control socket.
    pub fn me(&self, by: &Principal) -> Result<Option<AccountView>, AccountsError> {
        let Some(id) = by.actor.account else {
            return Ok(None);
        };
        self.known(AccountId(id))
            .map(|account| Some(account.view()))
    }

    /// All accounts. Needs `accounts.manage`.
    pub async fn list(&self, by: &Principal) -> Result<Vec<AccountView>, AccountsError> {
        self.may_manage(by, &[])?;
        Ok(self.people().accounts().map(Account::view).collect())
    }

    /// One account; one's own always, others' with `accounts.manage`.
    pub async fn get(&self, by: &Principal, id: AccountId) -> Result<AccountView, AccountsError> {
        if !by.is(id) {
            self.may_manage(by, &[])?;
        }
        self.known(id).map(|account| account.view())
    }

    /// Creates one. Needs `accounts.manage`.
    pub async fn create(
        &self,
        by: &Principal,
        wish: NewAccount,
    ) -> Result<AccountView, AccountsError> {
        let role = wish.role.unwrap_or(Role::Player);
        self.may_manage(by, &[role])?;
        let name = self.free_name(&wish.name)?; // before the work of hashing
        let mail = names::mail(wish.mail.as_deref().unwrap_or_default())?;
        let (credential, md5) = match &wish.password {
            Some(password) => {
                let (credential, md5) = self.credential(by.actor.door, password).await?;
                (Some(credential), md5)
            }
            None => (None, false),
        };
        let subject = format!("account {name}");
        let detail = json!({"role": role, "mail": mail, "password": credential.is_some()});
        let account = Account {
            mail,
            md5,
            ..Account::new(name, role, credential)
        };
        let work = move |change: &mut Change<'_, '_>| change.add_account(account);
        let made = self.change(by.actor.clone(), "account.create", subject, detail, work);
        made.await.map(|account| account.view())
    }

    /// Changes one. Needs `accounts.manage`, but for one's own mail address: that has to be verified anew before it
    /// counts as theirs, other than what an administrator says of it.
    pub async fn update(
        &self,
        by: &Principal,
        id: AccountId,
        patch: AccountPatch,
    ) -> Result<AccountView, AccountsError> {
        let more = patch.role.is_some() || patch.disabled.is_some() || patch.confirmed.is_some();
        let own_mail = by.is(id) && by.scopes.is_none() && !more;
        if !own_mail {
            self.may_manage(by, &[])?;
        }
        let before = self.known(id)?;
        if !own_mail {
            self.may_manage(by, &[before.role, patch.role.unwrap_or(before.role)])?;
        }
        let mail = patch.mail.as_deref().map(names::mail).transpose()?;
        let link = match &mail {
            Some(Some(new)) if own_mail && before.mail.as_ref() != Some(new) => {
                let caller = Caller {
                    door: by.actor.door,
                    from: by.actor.from,
                };
                self.may_write(&caller, new)?;
                before.must_verify() || self.desk().post.delivers()
            }
            _ => false,
        };
        let subject = format!("account {}", before.name);
        let detail = json!(patch);
        let scoped = by.scopes.is_some();
        let work = move |change: &mut Change<'_, '_>| {
            let was = change.account(id)?;
            if scoped && was.role == Role::Admin {
                return Err(AccountsError::Forbidden("an administrator without scopes"));
            }
            let mut account = Account {
                role: patch.role.unwrap_or(was.role),
                disabled: patch.disabled.unwrap_or(was.disabled),
                confirmed: patch.confirmed.unwrap_or(was.confirmed),
                ..was.clone()
            };
            if let Some(mail) = mail {
                let state = match &mail {
                    // An administrator's word is as good as a letter's.
                    None => MailState::Verified,
                    Some(_) if !own_mail => MailState::Verified,
                    Some(_) if mail == was.mail || was.must_verify() => was.mail_state,
                    Some(_) => MailState::Unverified,
                };
                change.move_mail(&mut account, mail, state)?;
            }
            if link {
                change.mail_link(&account, Purpose::Verify, None)?;
            }
            if was.is_active_admin() && !account.is_active_admin() && !change.has_other_admin(id) {
                return Err(AccountsError::LastAdmin(account.name));
            }
            if !account.may_enter() {
                change.end_sessions(id, None)?;
            }
            change.put_account(&account)?;
            Ok(account)
        };
        let changed = self.change(by.actor.clone(), "account.update", subject, detail, work);
        changed.await.map(|account| account.view())
    }

    /// Sets a password. One's own needs the current one (not on the control socket); ends the
    /// account's other sessions. Another's, and any by a scoped token, needs `accounts.manage`.
    pub async fn set_password(
        &self,
        by: &Principal,
        id: AccountId,
        current: Option<&Secret>,
        new: &Secret,
    ) -> Result<(), AccountsError> {
        let own = by.is(id);
        if !own || by.scopes.is_some() {
            self.may_manage(by, &[])?;
        }
        let before = self.known(id)?;
        if !own || by.scopes.is_some() {
            self.may_manage(by, &[before.role])?;
        }
        let proven = if own {
            let current = current.ok_or(AccountsError::WrongCredentials)?;
            let caller = Caller {
                door: by.actor.door,
                from: by.actor.from,
            };
            Some(self.prove(&caller, &before.name, current).await?)
        } else {
            None
        };
        let (credential, md5) = self.credential(by.actor.door, new).await?;
        let keep = match by.via {
            Via::Session(SessionId(hash)) if own => Some(hash),
            _ => None,
        };
        let scoped = by.scopes.is_some();
        let subject = format!("account {}", before.name);
        let work = move |change: &mut Change<'_, '_>| {
            let mut account = change.account(id)?;
            if proven.is_some_and(|proven| proven.credential != account.credential) {
                return Err(AccountsError::WrongCredentials); // changed since it was checked
            }
            if scoped && account.role == Role::Admin {
                return Err(AccountsError::Forbidden("an administrator without scopes"));
            }
            account.credential = Some(credential);
            account.md5 = md5;
            change.end_link(id, Purpose::Reset)?;
            change.end_sessions(id, keep)?;
            change.put_account(&account)
        };
        let (actor, detail) = (by.actor.clone(), json!({"own": own}));
        self.change(actor, "account.password", subject, detail, work)
            .await
    }

    /// The account with that id. Whether the caller may know of it was decided before.
    pub(super) fn known(&self, id: AccountId) -> Result<Account, AccountsError> {
        let people = self.people();
        let account = people.account(id).cloned();
        account.ok_or_else(|| AccountsError::NoSuchAccount(id.0.to_string()))
    }

    /// Whether `by` sees other people's things.
    pub(super) fn sees_all(&self, by: &Principal) -> bool {
        self.allows(by, Verb::AccountsManage, Subject::Box)
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;
    use crate::{
        accounts::{
            AccountsError::*,
            fixture::{Fixture, PASSWORD, id, root, scoped, web, wish},
            records::NameRecord,
        },
        store::{Record, Table},
    };

    fn role(role: Role) -> AccountPatch {
        AccountPatch {
            role: Some(role),
            ..AccountPatch::default()
        }
    }

    fn off(disabled: bool) -> AccountPatch {
        AccountPatch {
            disabled: Some(disabled),
            ..AccountPatch::default()
        }
    }

    #[tokio::test]
    async fn only_who_manages_accounts_sees_and_changes_others() {
        let f = Fixture::new();
        let [ada, bob] = [
            f.person("ada", Role::Admin).await,
            f.person("bob", Role::Host).await,
        ];
        for by in [&bob, &scoped(&ada, &[Verb::AuditRead])] {
            assert!(matches!(f.accounts.list(by).await, Err(Forbidden(_))));
            let create = f.accounts.create(by, wish("eve", Role::Guest)).await;
            assert!(matches!(create, Err(Forbidden(_))));
            let update = f.accounts.update(by, AccountId(99), off(true)).await;
            assert!(matches!(update, Err(Forbidden(_))));
        }
        assert!(matches!(
            f.accounts.get(&bob, id(&ada)).await,
            Err(Forbidden(_))
        ));
        assert_eq!(f.accounts.get(&bob, id(&bob)).await.unwrap().name, "bob");
        assert_eq!(f.accounts.me(&bob).unwrap().unwrap().name, "bob");
        assert_eq!(f.accounts.me(&root()).unwrap(), None);
        assert!(matches!(
            f.accounts.update(&bob, id(&bob), role(Role::Admin)).await,
            Err(Forbidden(_))
        ));
        let mail = AccountPatch {
            mail: Some("bob@example.org".into()),
            ..AccountPatch::default()
        };
        let bob_now = f.accounts.update(&bob, id(&bob), mail).await.unwrap();
        assert_eq!(bob_now.mail.as_deref(), Some("bob@example.org"));
        assert_eq!(f.accounts.list(&ada).await.unwrap().len(), 2);
    }

    #[tokio::test]
    async fn names_are_taken_once_even_by_two_at_the_same_time() {
        let f = Fixture::new();
        let root = root();
        let (one, other) = tokio::join!(
            f.accounts.create(&root, wish("ada", Role::Player)),
            f.accounts.create(&root, wish("Ada", Role::Player))
        );
        assert!(matches!(
            (&one, &other),
            (Ok(_), Err(NameTaken(_))) | (Err(NameTaken(_)), Ok(_))
        ));
        let ada = one.or(other).unwrap();
        assert_eq!(f.accounts.id_of("ADA"), Some(ada.id));
        assert_eq!(f.accounts.name_of(ada.id).as_deref(), Some("ada"));
        assert_eq!(f.reopened().id_of("ada"), Some(ada.id));
    }

    #[tokio::test]
    async fn the_last_administrator_stays_one_even_when_two_fall_at_once() {
        let f = Fixture::new();
        let [ada, bob] = [
            f.person("ada", Role::Admin).await,
            f.person("bob", Role::Admin).await,
        ];
        let root = root();
        let (one, other) = tokio::join!(
            f.accounts.update(&root, id(&ada), role(Role::Player)),
            f.accounts.update(&root, id(&bob), off(true))
        );
        assert!(matches!(
            (&one, &other),
            (Ok(_), Err(LastAdmin(_))) | (Err(LastAdmin(_)), Ok(_))
        ));
        let left = f
            .accounts
            .people()
            .accounts()
            .filter(|a| a.is_active_admin())
            .count();
        assert_eq!(left, 1);
        let failed = f.log().into_iter().filter(|line| {
            line.outcome
                .as_deref()
                .is_some_and(|said| said.contains("last administrator"))
        });
        assert_eq!(failed.count(), 1);
    }

    #[tokio::test]
    async fn power_ends_with_the_role_and_with_disabling() {
        let f = Fixture::new();
        let ada = f.person("ada", Role::Admin).await;
        let bob = f.person("bob", Role::Admin).await;
        f.accounts
            .update(&ada, id(&bob), role(Role::Player))
            .await
            .unwrap();
        assert!(!f.accounts.allows(&bob, Verb::AuditRead, Subject::Box));
        assert!(f.accounts.allows(&bob, Verb::ServerView, Subject::Box));
        f.accounts.update(&ada, id(&bob), off(true)).await.unwrap();
        assert!(!f.accounts.allows(&bob, Verb::ServerView, Subject::Box));
        f.accounts.update(&ada, id(&bob), off(false)).await.unwrap();
        assert!(f.accounts.allows(&bob, Verb::ServerView, Subject::Box));
    }

    #[tokio::test]
    async fn a_scoped_token_cannot_reach_for_administrators() {
        let f = Fixture::new();
        let ada = f.person("ada", Role::Admin).await;
        let bob = f.person("bob", Role::Player).await;
        let by = scoped(&ada, &[Verb::AccountsManage]);
        let new = Secret::new(PASSWORD);
        assert!(matches!(
            f.accounts.create(&by, wish("eve", Role::Admin)).await,
            Err(Forbidden(_))
        ));
        assert!(matches!(
            f.accounts.update(&by, id(&bob), role(Role::Admin)).await,
            Err(Forbidden(_))
        ));
        assert!(matches!(
            f.accounts.update(&by, id(&ada), off(true)).await,
            Err(Forbidden(_))
        ));
        assert!(matches!(
            f.accounts.set_password(&by, id(&ada), None, &new).await,
            Err(Forbidden(_))
        ));
        f.accounts
            .update(&by, id(&bob), role(Role::Host))
            .await
            .unwrap();
        f.accounts
            .set_password(&by, id(&bob), None, &new)
            .await
            .unwrap();
        let narrow = scoped(&bob, &[Verb::ServerView]);
        let own = f
            .accounts
            .set_password(&narrow, id(&bob), Some(&new), &new)
            .await;
        assert!(matches!(own, Err(Forbidden(_))));
    }

    #[tokio::test]
    async fn a_new_password_needs_the_old_one_and_ends_the_other_sessions() {
        let f = Fixture::new();
        let ada = f.member("ada", Role::Player).await;
        let old = Secret::new(PASSWORD);
        let here = f.accounts.login(&web(1), "ada", &old).await.unwrap();
        let there = f.accounts.login(&web(2), "ada", &old).await.unwrap();
        let by = f.accounts.by_token(&web(1), &here.token).await.unwrap();
        let new = Secret::new("a new password");
        for current in [None, Some(&new)] {
            let refused = f.accounts.set_password(&by, ada, current, &new).await;
            assert!(matches!(refused, Err(WrongCredentials)));
        }
        let long = Secret::new("x".repeat(1025));
        let refused = f.accounts.set_password(&by, ada, Some(&old), &long).await;
        assert!(matches!(refused, Err(BadPassword("long"))));
        f.accounts
            .set_password(&by, ada, Some(&old), &new)
            .await
            .unwrap();
        assert!(f.accounts.by_token(&web(1), &here.token).await.is_ok());
        assert!(matches!(
            f.accounts.by_token(&web(2), &there.token).await,
            Err(WrongToken)
        ));
        f.accounts
            .set_password(&root(), ada, None, &old)
            .await
            .unwrap();
        assert!(matches!(
            f.accounts.by_token(&web(1), &here.token).await,
            Err(WrongToken)
        ));
    }

    /// What an account's place may hold after a fault of the disk.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Junk(bool);
    impl Record for Junk {
        const TABLE: &'static str = Account::TABLE;
        const FORMAT: u8 = 1;
    }

    #[tokio::test]
    async fn an_account_that_does_not_decode_leaves_the_others_alone() {
        let f = Fixture::new();
        let [ada, bob] = [
            f.person("ada", Role::Admin).await,
            f.person("bob", Role::Admin).await,
        ];
        let key = id(&ada).key();
        let junk = |tx: &mut crate::store::Tx<'_>| tx.put(Table::new(), key, &Junk(true));
        f.store.write(junk).await.unwrap();
        let accounts = f.reopened();
        assert_eq!(accounts.list(&bob).await.unwrap().len(), 1);
        assert_eq!(accounts.setup_token(), None);
        accounts
            .create(&bob, wish("eve", Role::Player))
            .await
            .unwrap();
        // Its name is not given away: the account may be mended.
        let ada_again = accounts.create(&bob, wish("ada", Role::Player)).await;
        assert!(matches!(ada_again, Err(NameTaken(_))));
        let last = accounts.update(&bob, id(&bob), off(true)).await;
        assert!(matches!(last, Err(LastAdmin(_))));
        assert_eq!(
            f.store
                .get(Table::<NameRecord>::new(), "ada")
                .unwrap()
                .unwrap()
                .0,
            id(&ada)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(12))]

        /// Whatever administrators do to one another, one is left, and memory says what a restart
        /// would read.
        #[test]
        fn memory_is_what_a_restart_reads(steps in prop::collection::vec(
            (0usize..4, prop::option::of(select(&[Role::Guest, Role::Player, Role::Host, Role::Admin][..])), prop::option::of(any::<bool>())), 1..12)) {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let f = Fixture::new();
                let mut ids = Vec::new();
                for name in ["a", "b", "c", "d"] {
                    ids.push(id(&f.person(name, Role::Admin).await));
                }
                for (who, role, disabled) in steps {
                    let patch = AccountPatch { role, disabled, ..AccountPatch::default() };
                    match f.accounts.update(&root(), ids[who], patch).await {
                        Ok(_) | Err(LastAdmin(_)) => {}
                        Err(error) => panic!("{error}"),
                    }
                    assert!(f.accounts.people().accounts().any(Account::is_active_admin));
                }
                let again = f.reopened();
                assert!(f.accounts.people().accounts().eq(again.people().accounts()));
            });
        }
    }
}
