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
