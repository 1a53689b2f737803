//! Links in letters: an address is verified, a password is set anew.
//!
//! ```text
//!  enrol, change of address ─► verify link, 4 days ─► GET /verify ─► verified, and on to where they wanted to go
//!  forgot ─► the same answer in the same time, whoever asks for whatever
//!     └─ a verified address ─► reset link, 1 hour ─► GET /reset ─► POST ─► a new password, all sessions end
//! ```
//!
//! Opening the link verifies: that is what MyOTTD's clients expect, and so a scanner that opens links in mail before
//! its reader does verifies too. It can do no harm with it: whoever reads the mailbox could as well.

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    AccountId, Accounts, AccountsError, Caller, MailState, Principal, Secret, Verified, names,
    proof::{acting, fits, is_throttled, stranger},
    records::{Account, MAIL_TOKENS, MailToken, Purpose, mail_token_key},
    secret::Digest,
    service::Change,
    throttle::{Key, network},
};
use crate::{clock::UnixMillis, mail::LetterKind};

/// Accounts of one address that one wish is about, at most.
const ACCOUNTS_EACH: usize = 5;

impl Purpose {
    /// The page that it opens.
    pub(super) fn page(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::Reset => "reset",
        }
    }

    /// How long it is good.
    pub(super) fn life(self) -> Duration {
        match self {
            Self::Verify => Duration::from_secs(4 * 24 * 3600),
            Self::Reset => Duration::from_secs(3600),
        }
    }

    pub(super) fn letter(self) -> LetterKind {
        match self {
            Self::Verify => LetterKind::Verify,
            Self::Reset => LetterKind::Reset,
        }
    }
}

impl MailToken {
    /// Whether this secret opens it now, for this account. In constant time.
    fn opens(&self, account: &Account, hash: Digest, now: UnixMillis) -> bool {
        let here = account.mail.as_ref() == Some(&self.address);
        self.hash.is(&hash) && here && now < self.expires
    }
}

/// `template` with `%(uid)s` and `%(username)s` filled, percent-encoded, and `%%` as `%`: as Python does it.
pub fn success_url(template: &str, id: AccountId, name: &str) -> String {
    let name = utf8_percent_encode(name, NON_ALPHANUMERIC).to_string();
    let parts = template.split("%%").map(|part| {
        part.replace("%(uid)s", &id.0.to_string())
            .replace("%(username)s", &name)
    });
    parts.collect::<Vec<_>>().join("%")
}

impl Accounts {
    /// Somebody opens the link that was mailed to their address: it is theirs.
    pub async fn verify(
        &self,
        caller: &Caller,
        id: AccountId,
        token: &str,
    ) -> Result<Verified, AccountsError> {
        let hash = Digest::of(token);
        let account = self.opened(caller, id, Purpose::Verify, hash)?;
        let subject = format!("account {}", account.name);
        let actor = acting(caller, &account);
        let work = move |change: &mut Change<'_, '_>| {
            let (mut account, token) = change.open(id, Purpose::Verify, hash)?;
            account.mail_state = MailState::Verified;
            change.end_link(id, Purpose::Verify)?;
            change.put_account(&account)?;
            Ok((account, token))
        };
        let done = self.change(actor, "account.verify", subject, Value::Null, work);
        let (account, token) = done.await?;
        let fill = |template: String| success_url(&template, id, &account.name);
        Ok(Verified {
            account: account.view(),
            success: token.success.map(fill),
        })
    }

    /// Whether a link for a new password would be taken.
    pub fn may_reset(
        &self,
        caller: &Caller,
        id: AccountId,
        token: &str,
    ) -> Result<(), AccountsError> {
        self.opened(caller, id, Purpose::Reset, Digest::of(token))
            .map(drop)
    }

    /// Somebody sets a new password by the link that was mailed to them; all sessions end.
    pub async fn reset(
        &self,
        caller: &Caller,
        id: AccountId,
        token: &str,
        new: &Secret,
    ) -> Result<(), AccountsError> {
        fits(new)?;
        let hash = Digest::of(token);
        let account = self.opened(caller, id, Purpose::Reset, hash)?;
        let (credential, md5) = self.credential(caller.door, new).await?;
        let subject = format!("account {}", account.name);
        let actor = acting(caller, &account);
        let work = move |change: &mut Change<'_, '_>| {
            let (mut account, _) = change.open(id, Purpose::Reset, hash)?;
            account.credential = Some(credential);
            account.md5 = md5;
            change.end_link(id, Purpose::Reset)?;
            change.end_sessions(id, None)?;
            change.put_account(&account)
        };
        let detail = json!({ "by": "mail" });
        self.change(actor, "account.password", subject, detail, work)
            .await
    }

    /// Mails a link for a new password to whoever has that verified address. The answer is the same, and takes as
    /// long, whether or not anybody has; too many wishes are dropped without a word. `by` is whoever asks for somebody
    /// else, as a site does for its people.
    pub async fn forgot_password(
        &self,
        caller: &Caller,
        by: Option<&Principal>,
        mail: &str,
    ) -> Result<(), AccountsError> {
        let fits =
            |account: &Account| account.mail_state == MailState::Verified && account.may_log_in();
        self.mail_out(caller, by, mail, Purpose::Reset, fits).await
    }

    /// Mails the link anew that verifies an address. The same holds as for [`forgot_password`](Self::forgot_password).
    pub async fn verify_again(&self, caller: &Caller, mail: &str) -> Result<(), AccountsError> {
        let fits =
            |account: &Account| account.mail_state != MailState::Verified && !account.disabled;
        self.mail_out(caller, None, mail, Purpose::Verify, fits)
            .await
    }

    async fn mail_out(
        &self,
        caller: &Caller,
        by: Option<&Principal>,
        mail: &str,
        purpose: Purpose,
        fits: fn(&Account) -> bool,
    ) -> Result<(), AccountsError> {
        let mail = names::mail(mail)?.ok_or(AccountsError::Invalid {
            what: "mail address",
            why: "is missing",
        })?;
        // Both are counted for whoever asks for whatever, so that this tells nothing.
        let trusted = by.is_some_and(|by| self.trusts(by));
        if self.may_write(caller, trusted, &mail).is_err() {
            return Ok(());
        }
        let theirs = move |account: &Account| {
            let here = account.mail.as_ref();
            fits(account) && here.is_some_and(|own| own.eq_ignore_ascii_case(&mail))
        };
        let ids: Vec<_> = {
            let people = self.people();
            let accounts = people.accounts().filter(|account| theirs(account));
            let ids = accounts.map(|account| account.id);
            ids.take(ACCOUNTS_EACH).collect()
        };
        // Nobody's wish is recorded, made durable and answered like everybody's: each takes the same three syncs.
        let work = move |change: &mut Change<'_, '_>| {
            for id in ids {
                let account = change.account(id)?;
                if theirs(&account) {
                    let old = change.link(id, purpose)?;
                    let success = old.and_then(|old| old.success);
                    change.mail_link(&account, purpose, success)?;
                }
            }
            Ok(())
        };
        let action = match purpose {
            Purpose::Verify => "account.verify_again",
            Purpose::Reset => "account.forgot",
        };
        let actor = by.map_or_else(|| stranger(caller, ""), |by| by.actor.clone());
        let done = self.change(actor, action, "mail".into(), Value::Null, work);
        match done.await {
            // A queue that is full must not tell what an empty one does not.
            Err(AccountsError::Mail(error)) => {
                tracing::warn!(%error, "a link was not mailed");
                Ok(())
            }
            done => done,
        }
    }

    /// Counts a letter that somebody wants sent to an address. Those of whom the box trusts are counted by where they
    /// go alone.
    pub(super) fn may_write(
        &self,
        caller: &Caller,
        trusted: bool,
        to: &str,
    ) -> Result<(), AccountsError> {
        if !is_throttled(caller) {
            return Ok(());
        }
        let now = Instant::now().into_std();
        let mut desk = self.house.desk();
        let from = match trusted {
            true => Ok(()),
            false => desk.letters_from.take(now, caller.from.map(network)),
        };
        let to = to.to_ascii_lowercase();
        let to = desk.letters_to.take(now, Some(to));
        from.and(to)
            .map_err(|retry_after| AccountsError::TooManyLetters { retry_after })
    }

    /// The account that this secret is a link of. Failures count towards the address's lockout, as those of tokens do;
    /// a secret that is right passes in spite of it.
    fn opened(
        &self,
        caller: &Caller,
        id: AccountId,
        purpose: Purpose,
        hash: Digest,
    ) -> Result<Account, AccountsError> {
        let account = self.people().account(id).cloned();
        let token = self
            .house
            .store
            .get(MAIL_TOKENS, mail_token_key(id, purpose))?;
        let error = match (account, token) {
            (Some(account), Some(token)) if token.opens(&account, hash, UnixMillis::now()) => {
                return Ok(account);
            }
            (Some(account), None)
                if purpose == Purpose::Verify && account.mail_state == MailState::Verified =>
            {
                AccountsError::AlreadyVerified(account.name)
            }
            // Which ids there are is told only where MyOTTD's clients ask for it.
            (None, _) if purpose == Purpose::Verify => {
                AccountsError::NoSuchAccount(id.0.to_string())
            }
            _ => AccountsError::LinkGone,
        };
        let keys = caller.from.map(network).map(Key::Secrets);
        self.begin(caller, keys.into_iter().collect())?.end(false);
        Err(error)
    }
}

impl Change<'_, '_> {
    /// The account and the link, if this secret still opens it: of two who come at once, one does.
    fn open(
        &self,
        id: AccountId,
        purpose: Purpose,
        hash: Digest,
    ) -> Result<(Account, MailToken), AccountsError> {
        let account = self.account(id)?;
        let token = self.link(id, purpose)?;
        let token = token.filter(|token| token.opens(&account, hash, UnixMillis::now()));
        Ok((account, token.ok_or(AccountsError::LinkGone)?))
    }
}

#[cfg(test)]
mod tests;
