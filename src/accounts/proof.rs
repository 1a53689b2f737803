//! Proving who one is: the throttle before, Argon2id or memory behind.

use serde_json::json;
use tokio::time::Instant;

use super::{
    Accounts, AccountsError, Caller, Secret, names,
    records::{Account, Credential},
    secret::Hashed,
    throttle::{Attempt, Key, network},
};
use crate::audit::{Actor, AuditError, Door};

/// An attempt under way. Unless it is said to have passed, it has failed: hanging up early does not
/// make a guess free.
pub(super) struct Trial {
    accounts: Accounts,
    attempt: Option<Attempt>,
}

impl Trial {
    /// True when this failure locked a name.
    pub(super) fn end(mut self, passed: bool) -> bool {
        self.close(passed)
    }

    fn close(&mut self, passed: bool) -> bool {
        let Some(attempt) = self.attempt.take() else {
            return false;
        };
        let now = Instant::now().into_std();
        self.accounts.throttle().end(now, attempt, passed)
    }
}

impl Drop for Trial {
    fn drop(&mut self) {
        self.close(false);
    }
}

/// The control socket answers to root alone, and the box to itself: nobody guesses there.
pub(super) fn is_throttled(caller: &Caller) -> bool {
    !matches!(caller.door, Door::Control | Door::Box)
}

impl Accounts {
    /// The account that this name and password are of. Unknown names, accounts without a password,
    /// disabled ones and those that wait for a verification or an administrator's word answer alike, after the same time.
    pub(super) async fn prove(
        &self,
        caller: &Caller,
        name: &str,
        password: &Secret,
    ) -> Result<Account, AccountsError> {
        let given = |md5| vec![password.shown(md5)];
        self.prove_as(caller, name, given, Account::may_log_in)
            .await
    }

    /// The same, by any of what is `given`, for a password that was set as its MD5 or one that was not; of the accounts
    /// that are `allowed`.
    pub(super) async fn prove_as(
        &self,
        caller: &Caller,
        name: &str,
        given: impl Fn(bool) -> Vec<Hashed>,
        allowed: fn(&Account) -> bool,
    ) -> Result<Account, AccountsError> {
        // What cannot be a name is nobody's: all of it counts as one.
        let name = names::name(name).unwrap_or_default();
        let account = self.people().named(&name).cloned();
        let given = given(account.as_ref().is_some_and(|account| account.md5));
        let keys = self.password_keys(caller, &name, account.as_ref());
        let now = || Instant::now().into_std();
        if let Some(retry_after) = self.throttle().barred(now(), &keys) {
            return Err(AccountsError::LockedOut { retry_after });
        }
        let vault = &self.house.vault;
        let usable = account.filter(allowed);
        let stored = usable
            .as_ref()
            .and_then(|account| account.credential.clone());
        let remembered = || {
            let (account, stored) = (usable.as_ref()?, stored.as_ref()?);
            given
                .iter()
                .any(|given| vault.remembers(now(), account.id, given, stored))
                .then(|| account.clone())
        };
        if let Some(account) = remembered() {
            return Ok(account);
        }
        let turn = vault.turn(caller.door).await?;
        // Others with the same password may have been before us, and their proof is ours too.
        if let Some(account) = remembered() {
            return Ok(account);
        }
        let trial = self.begin(caller, keys)?;
        let (mut turn, mut right) = (Some(turn), None);
        for given in given {
            let turn = match turn.take() {
                Some(turn) => turn,
                None => vault.turn(caller.door).await?,
            };
            if vault.verify(turn, given.clone(), stored.clone()).await {
                right = Some(given);
                break;
            }
        }
        match (right, usable, stored) {
            (Some(given), Some(account), Some(stored)) => {
                vault.remember(now(), account.id, &given, &stored);
                trial.end(true);
                Ok(account)
            }
            (_, usable, _) => {
                if trial.end(false) && usable.is_some() {
                    self.record_lockout(caller, &name).await;
                }
                Err(AccountsError::WrongCredentials)
            }
        }
    }

    /// A password's credential, if it can be a password, and whether it is that of its MD5.
    pub(super) async fn credential(
        &self,
        door: Door,
        password: &Secret,
    ) -> Result<(Credential, bool), AccountsError> {
        fits(password)?;
        let (given, md5) = password.set_at(door);
        Ok((self.house.vault.hash(door, given).await?, md5))
    }

    pub(super) fn begin(&self, caller: &Caller, keys: Vec<Key>) -> Result<Trial, AccountsError> {
        let keys = if is_throttled(caller) {
            keys
        } else {
            Vec::new()
        };
        let now = Instant::now().into_std();
        let begun = self.throttle().begin(now, keys);
        let attempt = begun.map_err(|retry_after| AccountsError::LockedOut { retry_after })?;
        Ok(Trial {
            accounts: self.clone(),
            attempt: Some(attempt),
        })
    }

    pub(super) fn network_keys(&self, caller: &Caller) -> Vec<Key> {
        let network = caller.from.map(network);
        network.map(Key::Network).into_iter().collect()
    }

    fn password_keys(&self, caller: &Caller, name: &str, account: Option<&Account>) -> Vec<Key> {
        if !is_throttled(caller) {
            return Vec::new();
        }
        let network = caller.from.map(network);
        let mut keys = self.network_keys(caller);
        keys.extend(network.map(|network| Key::Pair(network, name.into())));
        let known = network.is_some_and(|network| {
            account.is_some_and(|account| account.networks.contains(&network))
        });
        if !known {
            keys.push(Key::Name(name.into()));
        }
        keys
    }

    /// Best effort: a stranger's failure is refused whether or not it can be recorded.
    async fn record_lockout(&self, caller: &Caller, name: &str) {
        let subject = format!("account {name}");
        let (actor, detail) = (stranger(caller, name), json!({"cause": "failed passwords"}));
        let nothing = async { Ok::<_, AuditError>(()) };
        let audit = &self.house.audit;
        let recorded = audit.run(&actor, "login.lockout", subject, detail, nothing);
        if let Err(error) = recorded.await {
            tracing::warn!(%error, name, "a lockout could not be recorded");
        }
    }
}

/// Whether it can be a password.
pub(super) fn fits(password: &Secret) -> Result<(), AccountsError> {
    match password.len() {
        0..8 => Err(AccountsError::BadPassword("short")),
        8..=1024 => Ok(()),
        _ => Err(AccountsError::BadPassword("long")),
    }
}

pub(super) fn stranger(caller: &Caller, name: &str) -> Actor {
    Actor {
        account: None,
        name: name.into(),
        from: caller.from,
        door: caller.door,
    }
}

pub(super) fn acting(caller: &Caller, account: &Account) -> Actor {
    Actor {
        account: Some(account.id.0),
        ..stranger(caller, &account.name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::accounts::{
        AccountPatch,
        AccountsError::*,
        Role, Via,
        fixture::{Fixture, right, root, web, wrong},
    };

    #[tokio::test]
    async fn unknown_disabled_and_wrong_look_alike() {
        let f = Fixture::new();
        let ada = f.member("ada", Role::Player).await;
        f.person("bob", Role::Player).await;
        let off = AccountPatch {
            disabled: Some(true),
            ..AccountPatch::default()
        };
        let before = f.accounts.login(&web(9), "ada", &right()).await.unwrap();
        f.accounts.update(&root(), ada, off).await.unwrap();
        assert!(matches!(
            f.accounts.by_token(&web(9), &before.token).await,
            Err(WrongToken)
        ));
        for (n, name) in ["ada", "bob", "nobody", "no\0body"].into_iter().enumerate() {
            let answer = f.accounts.by_password(&web(n as u8), name, &right()).await;
            assert!(matches!(answer, Err(WrongCredentials)), "{name:?}");
        }
    }

    #[tokio::test]
    async fn a_right_password_is_remembered_but_not_across_a_change() {
        let f = Fixture::new();
        let ada = f.member("ada", Role::Player).await;
        f.accounts
            .by_password(&web(1), "ada", &right())
            .await
            .unwrap();
        // Without a turn to compute, only memory can answer.
        let turns = (
            f.accounts.house.vault.turn(Door::Web).await.unwrap(),
            f.accounts.house.vault.turn(Door::Web).await.unwrap(),
        );
        let by = f
            .accounts
            .by_password(&web(2), "ada", &right())
            .await
            .unwrap();
        assert_eq!((by.actor.account, by.via), (Some(ada.0), Via::Password));
        drop(turns);
        f.accounts
            .set_password(&root(), ada, None, &wrong())
            .await
            .unwrap();
        let old = f.accounts.by_password(&web(1), "ada", &right()).await;
        assert!(matches!(old, Err(WrongCredentials)));
        f.accounts
            .by_password(&web(1), "ada", &wrong())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn guessing_is_locked_out_where_it_happens_and_recorded_once() {
        let f = Fixture::new();
        f.member("ada", Role::Player).await;
        f.accounts.login(&web(7), "ada", &right()).await.unwrap();
        let guess = async || f.accounts.by_password(&web(1), "ada", &wrong()).await;
        for _ in 0..5 {
            assert!(matches!(guess().await, Err(WrongCredentials)));
        }
        // Waits double, so that one outlasts even the slowest machine.
        while !matches!(guess().await, Err(LockedOut { .. })) {}
        // The owner elsewhere, and the control socket, are not concerned.
        f.accounts
            .by_password(&web(7), "ada", &right())
            .await
            .unwrap();
        let control = Caller {
            door: Door::Control,
            from: None,
        };
        for _ in 0..7 {
            let answer = f.accounts.by_password(&control, "ada", &wrong()).await;
            assert!(matches!(answer, Err(WrongCredentials)));
        }
        let lockouts = f
            .actions()
            .into_iter()
            .filter(|action| action == "login.lockout");
        assert_eq!(lockouts.count(), 1);
    }

    #[tokio::test]
    async fn while_locked_out_even_the_right_and_remembered_password_is_refused() {
        let f = Fixture::new();
        f.member("ada", Role::Player).await;
        f.accounts
            .by_password(&web(1), "ada", &right())
            .await
            .unwrap();
        let later = Instant::now().into_std() + Duration::from_secs(300);
        let here = network(web(1).from.unwrap());
        let keys = vec![Key::Pair(here, "ada".into())];
        for _ in 0..5 {
            let mut throttle = f.accounts.throttle();
            let attempt = throttle.begin(later, keys.clone()).unwrap();
            throttle.end(later, attempt, false);
        }
        let refused = f.accounts.by_password(&web(1), "ada", &right()).await;
        let Err(LockedOut { retry_after }) = refused else {
            panic!("{refused:?}");
        };
        assert!(retry_after > Duration::from_secs(200));
        let refused = f.accounts.login(&web(1), "ada", &right()).await;
        assert!(matches!(refused, Err(LockedOut { .. })));
        f.accounts
            .by_password(&web(2), "ada", &right())
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn wrong_secrets_are_told_to_calm_down_and_right_ones_pass() {
        let f = Fixture::new();
        f.member("ada", Role::Player).await;
        let login = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
        for _ in 0..60 {
            assert!(matches!(
                f.accounts.by_token(&web(1), "guess").await,
                Err(WrongToken)
            ));
        }
        let guess = async || f.accounts.by_token(&web(1), "guess").await;
        while !matches!(guess().await, Err(LockedOut { .. })) {}
        f.accounts.by_token(&web(1), &login.token).await.unwrap();
        f.accounts.login(&web(1), "ada", &right()).await.unwrap();
    }
}
