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
    AccountId, Accounts, AccountsError, Caller, MailState, Secret, Verified, names,
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
    /// long, whether or not anybody has; too many wishes are dropped without a word.
    pub async fn forgot_password(&self, caller: &Caller, mail: &str) -> Result<(), AccountsError> {
        let fits =
            |account: &Account| account.mail_state == MailState::Verified && account.may_log_in();
        self.mail_out(caller, mail, Purpose::Reset, fits).await
    }

    /// Mails the link anew that verifies an address. The same holds as for [`forgot_password`](Self::forgot_password).
    pub async fn verify_again(&self, caller: &Caller, mail: &str) -> Result<(), AccountsError> {
        let fits =
            |account: &Account| account.mail_state != MailState::Verified && !account.disabled;
        self.mail_out(caller, mail, Purpose::Verify, fits).await
    }

    async fn mail_out(
        &self,
        caller: &Caller,
        mail: &str,
        purpose: Purpose,
        fits: fn(&Account) -> bool,
    ) -> Result<(), AccountsError> {
        let mail = names::mail(mail)?.ok_or(AccountsError::Invalid {
            what: "mail address",
            why: "is missing",
        })?;
        // Both are counted for whoever asks for whatever, so that this tells nothing.
        if self.may_write(caller, &mail).is_err() {
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
        let actor = stranger(caller, "");
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

    /// Counts a letter that somebody wants sent to an address.
    pub(super) fn may_write(&self, caller: &Caller, to: &str) -> Result<(), AccountsError> {
        if !is_throttled(caller) {
            return Ok(());
        }
        let now = Instant::now().into_std();
        let mut desk = self.house.desk();
        let from = desk.letters_from.take(now, caller.from.map(network));
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
mod tests {
    use super::*;
    use crate::accounts::{
        AccountPatch,
        AccountsError::*,
        NewAccount, Role,
        fixture::{Fixture, link_of, member, right, root, scoped, web, wish, wrong},
    };

    const ADA: &str = "ada@example.org";

    async fn with_mail(f: &Fixture, name: &str, mail: &str) -> AccountId {
        let wish = NewAccount {
            password: Some(right()),
            mail: Some(mail.into()),
            ..wish(name, Role::Player)
        };
        f.accounts.create(&root(), wish).await.unwrap().id
    }

    /// Makes every link as old as it may become.
    async fn age(f: &Fixture) {
        let tokens: Vec<_> = f.store.scan(MAIL_TOKENS, &[]).map(Result::unwrap).collect();
        for (key, mut token) in tokens {
            token.expires = UnixMillis::now();
            f.store
                .write(|tx| tx.put(MAIL_TOKENS, &key, &token))
                .await
                .unwrap();
        }
    }

    #[test]
    fn a_place_to_go_to_is_filled_as_python_does_it() {
        let id = AccountId(7);
        for (template, is) in [
            ("/x?u=%(uid)s&n=%(username)s", "/x?u=7&n=a%2Dda"),
            ("/100%%?%%(uid)s", "/100%?%(uid)s"),
            ("/plain%20", "/plain%20"),
        ] {
            assert_eq!(success_url(template, id, "a-da"), is);
        }
    }

    #[tokio::test]
    async fn a_forgotten_password_is_set_anew_once_and_ends_all_sessions() {
        let f = Fixture::new();
        let ada = with_mail(&f, "ada", ADA).await;
        let login = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
        f.accounts
            .forgot_password(&web(2), "ADA@example.org")
            .await
            .unwrap();
        let (id, token) = link_of(&f, ADA).unwrap();
        assert_eq!(id, ada);
        assert_eq!(token.len(), 43);
        f.accounts.may_reset(&web(2), id, &token).unwrap();
        let short = f
            .accounts
            .reset(&web(2), id, &token, &Secret::new("short"))
            .await;
        assert!(matches!(short, Err(BadPassword(_))));
        f.accounts
            .reset(&web(2), id, &token, &wrong())
            .await
            .unwrap();
        assert!(f.accounts.by_token(&web(1), &login.token).await.is_err());
        f.accounts.login(&web(1), "ada", &wrong()).await.unwrap();
        let again = f.accounts.reset(&web(2), id, &token, &right()).await;
        assert!(matches!(again, Err(LinkGone)));
        assert!(link_of(&f, ADA).is_none());
        let log = serde_json::to_string(&f.log()).unwrap();
        assert!(!log.contains(&token));
    }

    #[tokio::test]
    async fn only_who_has_shown_that_an_address_is_theirs_is_sent_a_link_there() {
        let f = Fixture::new();
        let bob = with_mail(&f, "bob", "bob@example.org").await;
        let off = AccountPatch {
            disabled: Some(true),
            ..AccountPatch::default()
        };
        f.accounts.update(&root(), bob, off).await.unwrap();
        let made = f
            .accounts
            .register(&web(1), "eve", &right(), Some("eve@example.org"))
            .await;
        assert_eq!(made.unwrap().account.mail_state, MailState::Unverified);
        f.accounts.login(&web(1), "eve", &right()).await.unwrap();
        for to in ["bob@example.org", "eve@example.org", "nobody@example.org"] {
            f.accounts.forgot_password(&web(2), to).await.unwrap();
        }
        assert!(f.accounts.desk().post.queue(true).letters.is_empty());
        // Nobody's wish is recorded like everybody's.
        let wishes = f
            .actions()
            .into_iter()
            .filter(|action| action == "account.forgot");
        assert_eq!(wishes.count(), 3);
        // The link that verifies is sent to her alone.
        f.accounts
            .verify_again(&web(3), "eve@example.org")
            .await
            .unwrap();
        f.accounts
            .verify_again(&web(3), "bob@example.org")
            .await
            .unwrap();
        let (id, token) = link_of(&f, "eve@example.org").unwrap();
        f.accounts.verify(&web(3), id, &token).await.unwrap();
        assert_eq!(f.accounts.desk().post.queue(true).letters.len(), 0);
        f.accounts
            .forgot_password(&web(4), "eve@example.org")
            .await
            .unwrap();
        assert!(link_of(&f, "eve@example.org").is_some());
    }

    #[tokio::test]
    async fn a_stranger_fills_no_mailbox() {
        let f = Fixture::new();
        with_mail(&f, "ada", ADA).await;
        let mut tokens = std::collections::BTreeSet::new();
        for n in 0..20 {
            f.accounts.forgot_password(&web(n), ADA).await.unwrap();
            tokens.insert(link_of(&f, ADA).unwrap().1);
        }
        assert_eq!(tokens.len(), 3);
        // Nor many.
        for n in 0..40 {
            f.accounts
                .forgot_password(&web(100), &format!("n{n}@example.org"))
                .await
                .unwrap();
        }
        let wishes = f
            .actions()
            .into_iter()
            .filter(|action| action == "account.forgot");
        assert_eq!(wishes.count(), 3 + 10);
    }

    #[tokio::test]
    async fn a_link_is_good_for_its_own_account_purpose_address_and_time() {
        let f = Fixture::new();
        let ada = with_mail(&f, "ada", ADA).await;
        let bob = with_mail(&f, "bob", "bob@example.org").await;
        let forgot = async || f.accounts.forgot_password(&web(2), ADA).await.unwrap();
        forgot().await;
        let (id, first) = link_of(&f, ADA).unwrap();
        let verified = f.accounts.verify(&web(3), id, &first).await;
        assert!(matches!(verified, Err(AlreadyVerified(_))));
        assert!(f.accounts.may_reset(&web(3), bob, &first).is_err());
        let other = AccountId(99);
        let nobody = f.accounts.may_reset(&web(3), other, &first);
        assert!(matches!(nobody, Err(LinkGone)));
        let nobody = f.accounts.verify(&web(3), other, &first).await;
        assert!(matches!(nobody, Err(NoSuchAccount(_))));
        // A newer one ends it.
        forgot().await;
        let (_, second) = link_of(&f, ADA).unwrap();
        assert!(matches!(
            f.accounts.may_reset(&web(3), id, &first),
            Err(LinkGone)
        ));
        f.accounts.may_reset(&web(3), id, &second).unwrap();
        assert_eq!(f.accounts.desk().post.queue(true).letters.len(), 1);
        // So does another address, and time.
        let moved = AccountPatch {
            mail: Some("new@example.org".into()),
            ..AccountPatch::default()
        };
        f.accounts.update(&root(), ada, moved).await.unwrap();
        assert!(f.accounts.may_reset(&web(3), id, &second).is_err());
        f.accounts
            .forgot_password(&web(2), "new@example.org")
            .await
            .unwrap();
        let (_, third) = link_of(&f, "new@example.org").unwrap();
        age(&f).await;
        assert!(matches!(
            f.accounts.may_reset(&web(3), id, &third),
            Err(LinkGone)
        ));
        let late = f.accounts.reset(&web(3), id, &third, &wrong()).await;
        assert!(matches!(late, Err(LinkGone)));
    }

    #[tokio::test]
    async fn guesses_at_a_link_are_slowed_down_and_the_right_one_passes() {
        let f = Fixture::new();
        with_mail(&f, "ada", ADA).await;
        f.accounts.forgot_password(&web(2), ADA).await.unwrap();
        let (id, token) = link_of(&f, ADA).unwrap();
        let guess = || f.accounts.may_reset(&web(3), id, "guess");
        for _ in 0..60 {
            assert!(matches!(guess(), Err(LinkGone)));
        }
        while !matches!(guess(), Err(LockedOut { .. })) {}
        f.accounts
            .reset(&web(3), id, &token, &wrong())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn of_two_who_open_one_link_at_once_one_does() {
        let f = Fixture::new();
        with_mail(&f, "ada", ADA).await;
        f.accounts.forgot_password(&web(2), ADA).await.unwrap();
        let (id, token) = link_of(&f, ADA).unwrap();
        let (here, there, new, other) = (web(3), web(4), wrong(), Secret::new("another one"));
        let (one, two) = tokio::join!(
            f.accounts.reset(&here, id, &token, &new),
            f.accounts.reset(&there, id, &token, &other)
        );
        assert!(one.is_ok() != two.is_ok(), "{one:?} {two:?}");
    }

    #[tokio::test]
    async fn a_changed_address_is_verified_before_the_next_login() {
        let f = Fixture::new();
        let ada = with_mail(&f, "ada", ADA).await;
        let login = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
        let by = f.accounts.by_token(&web(1), &login.token).await.unwrap();
        let new = "new@example.org";
        let view = f.accounts.change_mail(&by, ada, new).await.unwrap();
        assert_eq!(
            (view.mail.as_deref(), view.mail_state),
            (Some(new), MailState::Changed)
        );
        // Who is in stays in; nobody comes in.
        f.accounts.by_token(&web(1), &login.token).await.unwrap();
        let enter = async || f.accounts.login(&web(2), "ada", &right()).await;
        assert!(matches!(enter().await, Err(WrongCredentials)));
        // To take it back by another way does not help.
        let own = AccountPatch {
            mail: Some("third@example.org".into()),
            ..AccountPatch::default()
        };
        let moved = f.accounts.update(&by, ada, own).await.unwrap();
        assert_eq!(moved.mail_state, MailState::Changed);
        assert!(link_of(&f, new).is_none());
        let (id, token) = link_of(&f, "third@example.org").unwrap();
        f.accounts.verify(&web(5), id, &token).await.unwrap();
        enter().await.unwrap();
        // Others need the right, and a scoped token is not oneself.
        let bob = with_mail(&f, "bob", "bob@example.org").await;
        let bob = member(&f, bob);
        for by in [&bob, &scoped(&by, &[crate::accounts::Verb::ServerView])] {
            let refused = f.accounts.change_mail(by, ada, new).await;
            assert!(matches!(refused, Err(Forbidden(_))));
        }
        let bad = f.accounts.change_mail(&root(), ada, "a@b@c").await;
        assert!(matches!(bad, Err(Invalid { .. })));
    }

    #[tokio::test]
    async fn a_password_is_changed_by_who_has_just_shown_it_or_may_manage_accounts() {
        let f = Fixture::new();
        let ada = with_mail(&f, "ada", ADA).await;
        let login = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
        let by = f.accounts.by_token(&web(1), &login.token).await.unwrap();
        let session = f.accounts.change_password(&by, ada, &wrong()).await;
        assert!(matches!(session, Err(Forbidden(_))));
        let shown = f
            .accounts
            .by_password(&web(1), "ada", &right())
            .await
            .unwrap();
        f.accounts
            .change_password(&shown, ada, &wrong())
            .await
            .unwrap();
        assert!(f.accounts.by_token(&web(1), &login.token).await.is_err());
        f.accounts
            .change_password(&root(), ada, &right())
            .await
            .unwrap();
        f.accounts.login(&web(1), "ada", &right()).await.unwrap();
        let bob = with_mail(&f, "bob", "bob@example.org").await;
        let refused = f
            .accounts
            .change_password(&member(&f, bob), ada, &wrong())
            .await;
        assert!(matches!(refused, Err(Forbidden(_))));
    }
}
