//! Accounts that begin with a verified mail address, and the check of a login that opens nothing: MyOTTD's mauthd.

use std::time::Duration;

use serde_json::{Value, json};

use super::{
    AccountId, AccountView, Accounts, AccountsError, Caller, Enrolment, MailState, Policy,
    Principal, Role, Secret, Subject, Verb, names,
    proof::fits,
    records::{Account, MAIL_TOKENS, Purpose, mail_token_key},
    service::Change,
};
use crate::{
    audit::{Actor, Door},
    clock::UnixMillis,
};

impl Accounts {
    /// Somebody makes an account for themselves or, through a site of their own, for somebody: it begins once its mail
    /// address is verified, and is gone when nobody does that. Account, link and letter are there together or not at
    /// all. The same rules as for [`register`](Self::register) hold.
    pub async fn enrol(
        &self,
        by: &Principal,
        wish: Enrolment<'_>,
    ) -> Result<AccountView, AccountsError> {
        let policy = self.registration();
        if policy == Policy::Closed {
            return Err(AccountsError::RegistrationClosed);
        }
        let caller = Caller {
            door: by.actor.door,
            from: by.actor.from,
        };
        let name = self.free_name(wish.name)?;
        let mail = names::mail(wish.mail)?.ok_or(AccountsError::Invalid {
            what: "mail address",
            why: "is missing",
        })?;
        fits(wish.password)?;
        self.may_register(&caller)?;
        self.may_write(&caller, &mail)?;
        let (credential, md5) = self.credential(caller.door, wish.password).await?;
        let subject = format!("account {name}");
        let confirmed = policy == Policy::Open;
        let detail = json!({"mail": mail, "confirmed": confirmed, "verified": false});
        let account = Account {
            mail: Some(mail),
            confirmed,
            mail_state: MailState::New,
            md5,
            ..Account::new(name, Role::Player, Some(credential))
        };
        let success = wish.success;
        let work = move |change: &mut Change<'_, '_>| {
            let account = change.add_account(account)?;
            change.mail_link(&account, Purpose::Verify, success)?;
            Ok(account)
        };
        let made = self.change(by.actor.clone(), "account.enrol", subject, detail, work);
        made.await.map(|account| account.view())
    }

    /// Whether name and password are somebody's, without letting them in. Other than at the doors, an unknown name and
    /// an address that waits to be verified are told: that is what MyOTTD's clients ask for. Guesses are counted as
    /// everywhere; those of a site that manages accounts not by its own address, because all its people come from it.
    pub async fn check_login(
        &self,
        by: &Principal,
        name: &str,
        password: &Secret,
    ) -> Result<AccountView, AccountsError> {
        let trusted = self.allows(by, Verb::AccountsManage, Subject::Box);
        let caller = Caller {
            door: by.actor.door,
            from: by.actor.from.filter(|_| !trusted),
        };
        let allowed = |account: &Account| account.confirmed && !account.disabled;
        let given = |md5| password.readings(md5);
        let proven = self.prove_as(&caller, name, given, allowed).await;
        let account = self.people().named(&name.to_ascii_lowercase()).cloned();
        let (account, proven) = match (account, proven) {
            (_, Err(error)) if !matches!(error, AccountsError::WrongCredentials) => {
                return Err(error);
            }
            (None, _) => {
                let name = name.escape_debug().take(64).collect();
                return Err(AccountsError::NoSuchAccount(name));
            }
            (Some(account), _) if account.must_verify() => {
                return Err(AccountsError::Unverified(account.name));
            }
            (Some(account), proven) => (account, proven?),
        };
        let subject = format!("account {}", account.name);
        let id = account.id;
        let work = move |change: &mut Change<'_, '_>| {
            let mut account = change.account(id)?;
            if !account.may_log_in() || account.credential != proven.credential {
                return Err(AccountsError::WrongCredentials); // changed since it was checked
            }
            account.last_login = Some(UnixMillis::now());
            change.put_account(&account)?;
            Ok(account)
        };
        let checked = self.change(by.actor.clone(), "login.check", subject, Value::Null, work);
        checked.await.map(|account| account.view())
    }

    /// Deletes new accounts whose address nobody has verified in time; how many. Never those above a player, nor those
    /// of which `owns` says that servers are theirs.
    pub async fn expire(
        &self,
        now: UnixMillis,
        owns: impl Fn(AccountId) -> bool,
    ) -> Result<usize, AccountsError> {
        let late: Vec<_> = {
            let people = self.people();
            let late = people.accounts().filter(|account| is_late(account, now));
            let late = late.filter(|account| !owns(account.id));
            late.map(|account| (account.id, account.name.clone()))
                .collect()
        };
        let mut gone = 0;
        for (id, name) in late {
            // A link that was mailed again gives them more time.
            let link = self
                .house
                .store
                .get(MAIL_TOKENS, mail_token_key(id, Purpose::Verify))?;
            if link.is_some_and(|link| now < link.expires) {
                continue;
            }
            let actor = Actor {
                account: None,
                name: "box".into(),
                from: None,
                door: Door::Box,
            };
            let work = move |change: &mut Change<'_, '_>| {
                let account = change.account(id)?;
                match is_late(&account, now) {
                    true => change.remove_account(&account),
                    false => Ok(()),
                }
            };
            let detail = json!({"why": "the mail address was never verified"});
            self.change(
                actor,
                "account.expire",
                format!("account {name}"),
                detail,
                work,
            )
            .await?;
            gone += 1;
        }
        Ok(gone)
    }
}

fn is_late(account: &Account, now: UnixMillis) -> bool {
    let life: Duration = Purpose::Verify.life();
    account.mail_state == MailState::New
        && account.role <= Role::Player
        && now >= account.created.after(life)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{
        AccountPatch,
        AccountsError::*,
        fixture::{Fixture, PASSWORD, link_of, member, right, root, site, web, wish, wrong},
    };

    /// The MD5 of [`PASSWORD`], as MyOTTD's web site sent it.
    const MD5: &str = "1d5bd8eba6cc0ba2f3c7d4c1f4b0d3e7";

    async fn enrol(f: &Fixture, name: &str, password: &str) -> Result<AccountView, AccountsError> {
        let password = Secret::new(password);
        let mail = format!("{name}@example.org");
        let wish = Enrolment {
            name,
            password: &password,
            mail: &mail,
            success: Some("/hello?u=%(uid)s".into()),
        };
        f.accounts.enrol(&site(f).await, wish).await
    }

    async fn check(
        f: &Fixture,
        name: &str,
        password: &Secret,
    ) -> Result<AccountView, AccountsError> {
        f.accounts.check_login(&site(f).await, name, password).await
    }

    #[tokio::test]
    async fn who_enrols_comes_in_once_the_mailed_link_was_opened() {
        let f = Fixture::new();
        let ada = enrol(&f, "ada", PASSWORD).await.unwrap();
        assert_eq!(ada.mail_state, MailState::New);
        let enter = async || f.accounts.by_password(&web(2), "ada", &right()).await;
        assert!(matches!(enter().await, Err(WrongCredentials)));
        let login = f.accounts.login(&web(3), "ada", &right()).await;
        assert!(matches!(login, Err(WrongCredentials)));
        assert!(f.accounts.vouched(&web(1), ada.id).is_none());
        assert!(matches!(
            check(&f, "ada", &right()).await,
            Err(Unverified(_))
        ));
        assert!(matches!(
            check(&f, "ada", &wrong()).await,
            Err(Unverified(_))
        ));
        let (id, token) = link_of(&f, "ada@example.org").unwrap();
        let done = f.accounts.verify(&web(4), id, &token).await.unwrap();
        assert_eq!(done.success.unwrap(), format!("/hello?u={}", ada.id.0));
        assert_eq!(done.account.mail_state, MailState::Verified);
        assert!(link_of(&f, "ada@example.org").is_none());
        enter().await.unwrap();
        let checked = check(&f, "ada", &right()).await.unwrap();
        assert!(checked.last_login.is_some());
        assert!(f.accounts.tokens(&root()).await.unwrap().is_empty());
        assert!(matches!(
            check(&f, "ada", &wrong()).await,
            Err(WrongCredentials)
        ));
        assert!(matches!(
            check(&f, "nobody", &right()).await,
            Err(NoSuchAccount(_))
        ));
        let again = f.accounts.verify(&web(4), id, &token).await;
        assert!(matches!(again, Err(AlreadyVerified(_))));
        let log = serde_json::to_string(&f.log()).unwrap();
        assert!(log.contains("login.check") && !log.contains(&token));
    }

    #[tokio::test]
    async fn what_cannot_be_enrolled_leaves_nothing() {
        let f = Fixture::new();
        f.person("bob", Role::Host).await;
        f.accounts.reserve(["robot"]);
        let before = f.accounts.list(&root()).await.unwrap();
        assert!(matches!(
            enrol(&f, "bob", PASSWORD).await,
            Err(NameTaken(_))
        ));
        assert!(matches!(
            enrol(&f, "robot", PASSWORD).await,
            Err(NameTaken(_))
        ));
        assert!(matches!(enrol(&f, "a_", PASSWORD).await, Err(BadName(_))));
        assert!(matches!(
            enrol(&f, "ada", "short").await,
            Err(BadPassword(_))
        ));
        f.accounts.set_registration(Policy::Closed);
        assert!(matches!(
            enrol(&f, "ada", PASSWORD).await,
            Err(RegistrationClosed)
        ));
        f.accounts.set_registration(Policy::Open);
        let post = f.accounts.desk().post.clone();
        for n in 0..1000 {
            let to = format!("p{n}@example.org");
            post.test(&f.audit, &root().actor, &to).await.unwrap();
        }
        let full = enrol(&f, "ada", PASSWORD).await;
        assert!(matches!(full, Err(Mail(crate::mail::MailError::Full(_)))));
        for accounts in [&f.accounts, &f.reopened()] {
            let mut left = accounts.list(&root()).await.unwrap();
            left.retain(|account| account.name != "site");
            assert_eq!(left, before);
        }
        assert_eq!(f.store.scan(MAIL_TOKENS, &[]).count(), 0);
    }

    #[tokio::test]
    async fn an_administrators_word_is_needed_beside_the_link_where_the_policy_says_so() {
        let f = Fixture::new();
        f.accounts.set_registration(Policy::Confirm);
        let ada = enrol(&f, "ada", PASSWORD).await.unwrap();
        let (id, token) = link_of(&f, "ada@example.org").unwrap();
        f.accounts.verify(&web(4), id, &token).await.unwrap();
        assert!(matches!(
            check(&f, "ada", &right()).await,
            Err(WrongCredentials)
        ));
        let confirmed = AccountPatch {
            confirmed: Some(true),
            ..AccountPatch::default()
        };
        f.accounts.update(&root(), ada.id, confirmed).await.unwrap();
        check(&f, "ada", &right()).await.unwrap();
    }

    #[tokio::test]
    async fn a_password_that_was_set_as_md5_opens_the_other_doors_in_clear() {
        use md5::Digest as _;
        let f = Fixture::new();
        let md5 = data_encoding::HEXLOWER.encode(&md5::Md5::digest(PASSWORD));
        enrol(&f, "ada", &md5).await.unwrap();
        let (id, token) = link_of(&f, "ada@example.org").unwrap();
        f.accounts.verify(&web(4), id, &token).await.unwrap();
        for accounts in [&f.accounts, &f.reopened()] {
            accounts.login(&web(1), "ada", &right()).await.unwrap();
            accounts
                .by_password(&web(1), "ada", &right())
                .await
                .unwrap();
        }
        check(&f, "ada", &Secret::new(md5.clone())).await.unwrap();
        check(&f, "ada", &right()).await.unwrap();
        let other = check(&f, "ada", &Secret::new(MD5)).await;
        assert!(matches!(other, Err(WrongCredentials)));
        // Set anew at another door it is a password like any.
        f.accounts
            .set_password(&root(), id, None, &wrong())
            .await
            .unwrap();
        f.accounts.login(&web(1), "ada", &wrong()).await.unwrap();
        assert!(check(&f, "ada", &Secret::new(md5)).await.is_err());
    }

    #[tokio::test]
    async fn guesses_are_counted_and_a_trusted_site_is_not_locked_out_by_its_visitors() {
        let f = Fixture::new();
        let bob = f.member("bob", Role::Player).await;
        let by = member(&f, bob);
        while !matches!(
            f.accounts.check_login(&by, "bob", &wrong()).await,
            Err(LockedOut { .. })
        ) {}
        for n in 0..40 {
            let name = format!("n{n}");
            assert!(matches!(
                check(&f, &name, &wrong()).await,
                Err(NoSuchAccount(_))
            ));
        }
        check(&f, "bob", &right()).await.unwrap();
    }

    #[tokio::test]
    async fn accounts_that_nobody_verified_expire_and_no_others() {
        let f = Fixture::new();
        let ada = enrol(&f, "ada", PASSWORD).await.unwrap().id;
        let bob = enrol(&f, "bob", PASSWORD).await.unwrap().id;
        let eve = enrol(&f, "eve", PASSWORD).await.unwrap().id;
        let max = enrol(&f, "max", PASSWORD).await.unwrap().id;
        let raised = AccountPatch {
            role: Some(Role::Host),
            ..AccountPatch::default()
        };
        f.accounts.update(&root(), bob, raised).await.unwrap();
        let (id, token) = link_of(&f, "eve@example.org").unwrap();
        f.accounts.verify(&web(1), id, &token).await.unwrap();
        let changed = f.person("old", Role::Player).await;
        let old = AccountId(changed.actor.account.unwrap());
        f.accounts
            .change_mail(&changed, old, "old@example.org")
            .await
            .unwrap();
        let now = UnixMillis::now();
        let soon = now.after(Purpose::Verify.life() - Duration::from_secs(60));
        let late = now.after(Purpose::Verify.life() + Duration::from_secs(60));
        let owns = |id| id == max;
        assert_eq!(f.accounts.expire(soon, owns).await.unwrap(), 0);
        assert_eq!(f.accounts.expire(late, owns).await.unwrap(), 1);
        for accounts in [&f.accounts, &f.reopened()] {
            assert!(accounts.role_of(ada).is_none() && accounts.id_of("ada").is_none());
            for kept in [bob, eve, max, old] {
                assert!(accounts.role_of(kept).is_some());
            }
        }
        assert!(link_of(&f, "ada@example.org").is_none());
        let line = f
            .log()
            .into_iter()
            .find(|line| line.action == "account.expire")
            .unwrap();
        assert_eq!(
            (line.actor.name.as_str(), line.subject.as_str()),
            ("box", "account ada")
        );
        // The name is free again, for another account.
        let anew = f
            .accounts
            .create(&root(), wish("ada", Role::Player))
            .await
            .unwrap();
        assert_ne!(anew.id, ada);
    }
}
