//! Somebody makes their own account.

use std::{collections::HashSet, str::FromStr, sync::MutexGuard};

use serde_json::json;
use tokio::time::Instant;

use super::{
    Accounts, AccountsError, Caller, MailState, Registered, Role, Secret,
    doors::entered,
    names,
    proof::{fits, is_throttled, stranger},
    quota::Quota,
    records::{Account, Purpose},
    service::Change,
    throttle::network,
};
use crate::mail::Post;

/// Who may make an account for themselves: `accounts.registration`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Policy {
    /// Everybody, and they are in at once.
    #[default]
    Open,
    /// Everybody, and an administrator lets them in.
    Confirm,
    /// Nobody: administrators make accounts.
    Closed,
}

impl FromStr for Policy {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "open" => Ok(Self::Open),
            "confirm" => Ok(Self::Confirm),
            "closed" => Ok(Self::Closed),
            _ => Err(format!("`{text}` is none of open, confirm, closed")),
        }
    }
}

/// Where people register.
#[derive(Debug)]
pub(super) struct Desk {
    policy: Policy,
    /// Lowercase names that are nobody's to have.
    reserved: HashSet<String>,
    quota: Quota,
    /// Letters that strangers want sent, by where they are and by where it goes.
    pub(super) letters_from: Quota,
    pub(super) letters_to: Quota<String>,
    pub(super) post: Post,
}

impl Desk {
    pub(super) fn new(now: std::time::Instant, post: Post) -> Self {
        Self {
            policy: Policy::default(),
            reserved: HashSet::new(),
            quota: Quota::new(now),
            letters_from: Quota::letters_from(now),
            letters_to: Quota::letters_to(now),
            post,
        }
    }
}

impl Accounts {
    /// Says who may make an account for themselves from now on; [`Policy::Open`] until then. Who
    /// waits for an administrator's word still waits after a change.
    pub fn set_registration(&self, policy: Policy) {
        self.desk().policy = policy;
    }

    /// Who may make an account for themselves.
    pub fn registration(&self) -> Policy {
        self.desk().policy
    }

    /// The names that no new account may have (those of computer players), in place of the ones before.
    /// Accounts that have one already keep it.
    pub fn reserve(&self, names: impl IntoIterator<Item = impl AsRef<str>>) {
        let names = names.into_iter();
        let reserved = names.map(|name| name.as_ref().to_ascii_lowercase());
        self.desk().reserved = reserved.collect();
    }

    /// Somebody makes their own account, a player's, under the [`Policy`]. Counted per network;
    /// recorded once let through. They are in before they have verified their address, for which a link is mailed
    /// where mail leaves the box.
    pub async fn register(
        &self,
        caller: &Caller,
        name: &str,
        password: &Secret,
        mail: Option<&str>,
    ) -> Result<Registered, AccountsError> {
        let policy = self.registration();
        if policy == Policy::Closed {
            return Err(AccountsError::RegistrationClosed);
        }
        let name = self.free_name(name)?;
        let mail = names::mail(mail.unwrap_or_default())?;
        fits(password)?;
        self.may_register(caller)?;
        // They are in without it; a letter too many is left out.
        let delivers = self.desk().post.delivers();
        let link = match &mail {
            Some(mail) => delivers && self.may_write(caller, mail).is_ok(),
            None => false,
        };
        let (credential, md5) = self.credential(caller.door, password).await?;
        let actor = stranger(caller, &name);
        let subject = format!("account {name}");
        let confirmed = policy == Policy::Open;
        let detail = json!({"mail": mail, "confirmed": confirmed});
        let account = Account {
            mail_state: match mail {
                Some(_) => MailState::Unverified,
                None => MailState::Verified,
            },
            mail,
            confirmed,
            md5,
            ..Account::new(name, Role::Player, Some(credential))
        };
        let work = move |change: &mut Change<'_, '_>| {
            let account = change.add_account(account)?;
            if link {
                match change.mail_link(&account, Purpose::Verify, None) {
                    Ok(()) => {}
                    Err(AccountsError::Mail(error)) => {
                        tracing::warn!(%error, "a new account's address is not asked for verification");
                    }
                    Err(error) => return Err(error),
                }
            }
            Ok(account)
        };
        let account = self
            .change(actor, "account.register", subject, detail, work)
            .await?;
        if let Some(credential) = &account.credential {
            let (vault, now) = (&self.house.vault, Instant::now().into_std());
            vault.remember(now, account.id, &password.set_at(caller.door).0, credential);
        }
        Ok(Registered {
            by: confirmed.then(|| entered(caller, &account)),
            account: account.view(),
        })
    }

    /// Counts one more new account from there.
    pub(super) fn may_register(&self, caller: &Caller) -> Result<(), AccountsError> {
        if is_throttled(caller) {
            let now = Instant::now().into_std();
            let counted = self.desk().quota.take(now, caller.from.map(network));
            counted.map_err(|retry_after| AccountsError::TooManyRegistrations { retry_after })?;
        }
        Ok(())
    }

    /// A wish as it is stored, if an account can be called that and none is.
    pub(super) fn free_name(&self, wish: &str) -> Result<String, AccountsError> {
        let name = names::name(wish)?;
        let taken = self.desk().reserved.contains(&name) || self.people().named(&name).is_some();
        match taken {
            true => Err(AccountsError::NameTaken(name)),
            false => Ok(name),
        }
    }

    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.house.desk()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::{
            AccountPatch, AccountView,
            AccountsError::*,
            Subject, Verb, Via,
            fixture::{Fixture, PASSWORD, right, root, web, wish, wrong},
        },
        audit::Door,
    };

    async fn register(f: &Fixture, name: &str) -> Result<Registered, AccountsError> {
        f.accounts.register(&web(1), name, &right(), None).await
    }

    async fn confirm(f: &Fixture, account: &AccountView, confirmed: bool) {
        let patch = AccountPatch {
            confirmed: Some(confirmed),
            ..AccountPatch::default()
        };
        let changed = f.accounts.update(&root(), account.id, patch).await.unwrap();
        assert_eq!(changed.confirmed, confirmed);
    }

    #[tokio::test]
    async fn who_registers_is_a_player_and_in_at_once() {
        let f = Fixture::new();
        let lobby = Caller {
            door: Door::Lobby,
            ..web(1)
        };
        let mail = Some("ada@example.org");
        let made = f.accounts.register(&lobby, "Ada", &right(), mail).await;
        let Registered { account, by } = made.unwrap();
        assert_eq!((account.name.as_str(), account.role), ("ada", Role::Player));
        assert_eq!(account.mail.as_deref(), mail);
        let by = by.unwrap();
        assert_eq!((by.actor.door, by.via), (Door::Lobby, Via::Password));
        assert!(f.accounts.allows(&by, Verb::LobbyJoin, Subject::Box));
        assert!(!f.accounts.allows(&by, Verb::LobbyModerate, Subject::Box));
        for accounts in [&f.accounts, &f.reopened()] {
            assert!(accounts.login(&web(1), "ada", &right()).await.is_ok());
        }
        assert_eq!(f.actions(), ["account.register", "login", "login"]);
        let log = serde_json::to_string(&f.log()).unwrap();
        assert!(log.contains(r#""door":"lobby""#) && !log.contains(PASSWORD));
    }

    #[tokio::test]
    async fn what_cannot_be_is_said_leaves_no_record_and_is_not_counted() {
        let f = Fixture::new();
        f.person("bob", Role::Host).await;
        f.accounts.reserve(["RandomBot"]);
        let f = &f;
        for _ in 0..40 {
            assert!(matches!(register(f, "a_").await, Err(BadName(_))));
            assert!(matches!(register(f, "BOB").await, Err(NameTaken(_))));
            assert!(matches!(register(f, "randombot").await, Err(NameTaken(_))));
            let (root, bot) = (root(), wish("randombot", Role::Player));
            let bot = f.accounts.create(&root, bot).await;
            assert!(matches!(bot, Err(NameTaken(_))));
            let ada = async |password: Secret, mail| {
                let here = web(1);
                let made = f.accounts.register(&here, "ada", &password, mail);
                made.await.unwrap_err()
            };
            let short = ada(Secret::new("1234567"), None).await;
            assert!(matches!(short, BadPassword("short")));
            let long = ada(Secret::new("x".repeat(1025)), None).await;
            assert!(matches!(long, BadPassword("long")));
            assert!(matches!(ada(right(), Some("nobody")).await, Invalid { .. }));
        }
        f.accounts.set_registration(Policy::Closed);
        assert!(matches!(register(f, "ada").await, Err(RegistrationClosed)));
        assert_eq!(f.actions(), ["account.create"]);
        f.accounts.set_registration(Policy::Open);
        f.accounts.reserve(["another"]);
        register(f, "randombot").await.unwrap();
    }

    #[tokio::test]
    async fn who_waits_for_an_administrators_word_is_refused_like_a_wrong_password() {
        let f = Fixture::new();
        f.accounts.set_registration(Policy::Confirm);
        let Registered { account, by } = register(&f, "ada").await.unwrap();
        assert!(by.is_none() && !account.confirmed);
        let enter = async || f.accounts.by_password(&web(2), "ada", &right()).await;
        let login = async || f.accounts.login(&web(3), "ada", &right()).await;
        assert!(matches!(enter().await, Err(WrongCredentials)));
        assert!(matches!(login().await, Err(WrongCredentials)));
        assert!(f.accounts.vouched(&web(1), account.id).is_none());
        let listed = f.accounts.list(&root()).await.unwrap();
        assert_eq!(listed, f.reopened().list(&root()).await.unwrap());
        assert!(!listed[0].confirmed);

        confirm(&f, &account, true).await;
        let by = enter().await.unwrap();
        let session = login().await.unwrap();
        assert!(f.accounts.allows(&by, Verb::LobbyJoin, Subject::Box));
        confirm(&f, &account, false).await;
        assert!(!f.accounts.allows(&by, Verb::LobbyJoin, Subject::Box));
        let token = f.accounts.by_token(&web(4), &session.token).await;
        assert!(matches!(token, Err(WrongToken)));
        assert!(matches!(enter().await, Err(WrongCredentials)));
        // Nobody lets themselves in.
        confirm(&f, &account, true).await;
        let own = AccountPatch {
            confirmed: Some(true),
            ..AccountPatch::default()
        };
        let own = f.accounts.update(&by, account.id, own).await;
        assert!(matches!(own, Err(Forbidden(_))));
    }

    #[tokio::test]
    async fn one_network_makes_thirty_at_once_and_the_control_socket_as_many_as_it_likes() {
        let f = Fixture::new();
        {
            let (mut desk, now) = (f.accounts.desk(), Instant::now().into_std());
            for _ in 0..29 {
                desk.quota.take(now, web(1).from).unwrap();
            }
        }
        register(&f, "ada").await.unwrap();
        let before = f.actions();
        let refused = register(&f, "bob").await;
        assert!(matches!(refused, Err(TooManyRegistrations { .. })));
        assert_eq!(f.actions(), before);
        let elsewhere = f.accounts.register(&web(2), "bob", &right(), None).await;
        elsewhere.unwrap();
        let control = Caller {
            door: Door::Control,
            from: web(1).from,
        };
        f.accounts
            .register(&control, "eve", &right(), None)
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn of_two_who_want_one_name_at_once_one_has_it() {
        let f = Fixture::new();
        let (there, other) = (web(2), wrong());
        let (one, other) = tokio::join!(
            register(&f, "ada"),
            f.accounts.register(&there, "ada", &other, None)
        );
        assert!(matches!(
            (one, other),
            (Ok(_), Err(NameTaken(_))) | (Err(NameTaken(_)), Ok(_))
        ));
        assert_eq!(f.accounts.list(&root()).await.unwrap().len(), 1);
    }
}
