//! A change of mail address, and of a password by who has just shown it.

use serde_json::json;

use super::{
    AccountId, AccountView, Accounts, AccountsError, Caller, MailState, Principal, Role, Secret,
    Via, names,
    records::{Account, Purpose},
    service::Change,
};

impl Accounts {
    /// Gives an account another mail address: one's own, or with `accounts.manage` anybody's. It must be verified
    /// before they come in again; whoever is in stays in. The old address is told.
    pub async fn change_mail(
        &self,
        by: &Principal,
        id: AccountId,
        new: &str,
    ) -> Result<AccountView, AccountsError> {
        let before = self.may_change(by, id)?;
        let new = names::mail(new)?.ok_or(AccountsError::Invalid {
            what: "mail address",
            why: "is missing",
        })?;
        if before.mail.as_ref() == Some(&new) && before.mail_state == MailState::Verified {
            return Ok(before.view());
        }
        let caller = Caller {
            door: by.actor.door,
            from: by.actor.from,
        };
        self.may_write(&caller, &new)?;
        let subject = format!("account {}", before.name);
        let detail = json!({ "mail": new });
        let scoped = by.scopes.is_some();
        let work = move |change: &mut Change<'_, '_>| {
            let mut account = change.account(id)?;
            if scoped && account.role == Role::Admin {
                return Err(AccountsError::Forbidden("an administrator without scopes"));
            }
            let state = match account.mail_state {
                MailState::New => MailState::New, // it has not begun
                _ => MailState::Changed,
            };
            change.move_mail(&mut account, Some(new), state)?;
            change.mail_link(&account, Purpose::Verify, None)?;
            change.put_account(&account)?;
            Ok(account)
        };
        let changed = self.change(by.actor.clone(), "account.mail", subject, detail, work);
        changed.await.map(|account| account.view())
    }

    /// Sets a password: one's own, by who has shown the current one with this very request; with `accounts.manage`
    /// anybody's. Ends the account's sessions.
    pub async fn change_password(
        &self,
        by: &Principal,
        id: AccountId,
        new: &Secret,
    ) -> Result<(), AccountsError> {
        let before = self.may_change(by, id)?;
        if by.is(id) && by.via != Via::Password {
            self.may_manage(by, &[before.role])?;
        }
        let (credential, md5) = self.credential(by.actor.door, new).await?;
        let scoped = by.scopes.is_some();
        let subject = format!("account {}", before.name);
        let detail = json!({ "own": by.is(id) });
        let work = move |change: &mut Change<'_, '_>| {
            let mut account = change.account(id)?;
            if scoped && account.role == Role::Admin {
                return Err(AccountsError::Forbidden("an administrator without scopes"));
            }
            account.credential = Some(credential);
            account.md5 = md5;
            change.end_link(id, Purpose::Reset)?;
            change.end_sessions(id, None)?;
            change.put_account(&account)
        };
        self.change(by.actor.clone(), "account.password", subject, detail, work)
            .await
    }

    /// The account, if it is one's own or one may manage it. Whether there is one is told only to who may.
    fn may_change(&self, by: &Principal, id: AccountId) -> Result<Account, AccountsError> {
        let own = by.is(id) && by.scopes.is_none();
        if !own {
            self.may_manage(by, &[])?;
        }
        let before = self.known(id)?;
        if !own {
            self.may_manage(by, &[before.role])?;
        }
        Ok(before)
    }
}

impl Change<'_, '_> {
    /// Another address: links to the old one end, and who has shown that it is theirs is told there.
    pub(super) fn move_mail(
        &mut self,
        account: &mut Account,
        new: Option<String>,
        state: MailState,
    ) -> Result<(), AccountsError> {
        let old = std::mem::replace(&mut account.mail, new);
        let shown = account.mail_state == MailState::Verified;
        account.mail_state = state;
        if old != account.mail || state == MailState::Verified {
            self.end_link(account.id, Purpose::Verify)?;
        }
        if old != account.mail {
            self.end_link(account.id, Purpose::Reset)?;
            if let Some(old) = old.filter(|old| shown && crate::mail::is_address(old)) {
                self.mail_notice(account, &old)?;
            }
        }
        Ok(())
    }
}
