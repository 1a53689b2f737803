//! Coming in: set-up, name and password, sessions, tokens; and going out.

use serde_json::Value;

use super::{
    AccountId, Accounts, AccountsError, Caller, Login, Principal, Role, Secret, Via,
    proof::{acting, stranger},
    records::Account,
    secret::{Digest, fresh},
    service::Change,
    throttle::{Key, network},
};
use crate::clock::UnixMillis;

impl Accounts {
    /// The one-time set-up token while no administrator exists; new at each start.
    pub fn setup_token(&self) -> Option<String> {
        (!self.people().is_settled()).then(|| self.house.setup.clone())
    }

    /// Creates the first administrator and logs them in. The token is accepted once: of two who come
    /// at the same time, one is refused. A name or password that cannot be one does not use it up.
    pub async fn setup(
        &self,
        caller: &Caller,
        token: &str,
        name: &str,
        password: &Secret,
    ) -> Result<Login, AccountsError> {
        let trial = self.begin(caller, self.network_keys(caller))?;
        let fits = Digest::of(token).is(&Digest::of(&self.house.setup));
        if !fits || self.people().is_settled() {
            trial.end(false);
            return Err(AccountsError::SetupRefused);
        }
        trial.end(true);
        let name = self.free_name(name)?;
        let (credential, md5) = self.credential(caller.door, password).await?;
        let actor = stranger(caller, &name);
        let from = caller.from;
        let secret = fresh("");
        let hash = Digest::of(&secret);
        let subject = format!("account {name}");
        let work = move |change: &mut Change<'_, '_>| {
            if change.is_settled()? {
                return Err(AccountsError::SetupRefused);
            }
            let mut account = change.add_account(Account {
                md5,
                ..Account::new(name, Role::Admin, Some(credential))
            })?;
            let session = change.open_session(&mut account, hash, from)?;
            Ok((account, session))
        };
        let made = self.change(actor, "setup", subject, Value::Null, work);
        let (account, session) = made.await?;
        Ok(Login {
            account: account.view(),
            token: secret,
            expires: session.expires,
        })
    }

    /// Checks a password and opens a session.
    pub async fn login(
        &self,
        caller: &Caller,
        name: &str,
        password: &Secret,
    ) -> Result<Login, AccountsError> {
        let proven = self.prove(caller, name, password).await?;
        let actor = acting(caller, &proven);
        let from = caller.from;
        let secret = fresh("");
        let hash = Digest::of(&secret);
        let subject = format!("account {}", proven.name);
        let work = move |change: &mut Change<'_, '_>| {
            let mut account = change.account(proven.id)?;
            if !account.may_log_in() || account.credential != proven.credential {
                return Err(AccountsError::WrongCredentials); // changed since it was checked
            }
            let session = change.open_session(&mut account, hash, from)?;
            Ok((account, session))
        };
        let opened = self.change(actor, "login", subject, Value::Null, work);
        let (account, session) = opened.await?;
        Ok(Login {
            account: account.view(),
            token: secret,
            expires: session.expires,
        })
    }

    /// Ends the session with that secret, which must be the caller's own.
    pub async fn logout(&self, by: &Principal, token: &str) -> Result<(), AccountsError> {
        let hash = Digest::of(token);
        let session = self.people().sessions().find(|s| s.hash == hash).copied();
        let own = session.filter(|session| by.actor.account == Some(session.account.0));
        let account = own.ok_or(AccountsError::WrongToken)?.account;
        let subject = format!("account {}", by.actor.name);
        let work = move |change: &mut Change<'_, '_>| match change.end_session(account, hash)? {
            true => Ok(()),
            false => Err(AccountsError::WrongToken),
        };
        self.change(by.actor.clone(), "logout", subject, Value::Null, work)
            .await
    }

    /// Who holds this session or bearer token. Failures count towards the address's lockout; a
    /// secret that is right passes in spite of it.
    pub async fn by_token(&self, caller: &Caller, token: &str) -> Result<Principal, AccountsError> {
        let people = self.people();
        let hash = Digest::of(token);
        if let Some((account, via, scopes)) = people.bearer(hash, UnixMillis::now()) {
            return Ok(Principal {
                actor: acting(caller, account),
                role: account.role,
                scopes: scopes.map(<[_]>::to_vec),
                via,
            });
        }
        drop(people);
        let keys = caller.from.map(network).map(Key::Secrets);
        self.begin(caller, keys.into_iter().collect())?.end(false);
        Err(AccountsError::WrongToken)
    }

    /// Somebody whom another protocol of the box knows by a number of its own: the enabled account that it belongs to.
    pub fn vouched(&self, caller: &Caller, account: AccountId) -> Option<Principal> {
        let people = self.people();
        let account = people
            .account(account)
            .filter(|account| account.may_enter())?;
        Some(entered(caller, account))
    }

    /// Who has this name and password (HTTP Basic, and later doors); remembered briefly, so that
    /// repeats cost no Argon2.
    pub async fn by_password(
        &self,
        caller: &Caller,
        name: &str,
        password: &Secret,
    ) -> Result<Principal, AccountsError> {
        let account = self.prove(caller, name, password).await?;
        Ok(entered(caller, &account))
    }

    /// The same at a door whose clients send the password or its SHA-1 hex, and do not say which.
    pub async fn by_secret(
        &self,
        caller: &Caller,
        name: &str,
        secret: &Secret,
    ) -> Result<Principal, AccountsError> {
        let given = |md5| secret.readings(md5);
        let allowed = Account::may_log_in;
        let account = self.prove_as(caller, name, given, allowed).await?;
        Ok(entered(caller, &account))
    }
}

/// Somebody who came in without a session or a token.
pub(super) fn entered(caller: &Caller, account: &Account) -> Principal {
    Principal {
        actor: acting(caller, account),
        role: account.role,
        scopes: None,
        via: Via::Password,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::{
        AccountsError::*,
        Subject, Verb,
        fixture::{Fixture, PASSWORD, right, root, web},
    };

    #[tokio::test]
    async fn set_up_makes_one_administrator_and_is_over() {
        let f = Fixture::new();
        let token = f.accounts.setup_token().unwrap();
        assert_ne!(token, f.reopened().setup_token().unwrap());
        let try_with = |token: String, name: &'static str, password: Secret| {
            let accounts = f.accounts.clone();
            async move { accounts.setup(&web(1), &token, name, &password).await }
        };
        assert!(matches!(
            try_with("x".into(), "ada", right()).await,
            Err(SetupRefused)
        ));
        assert!(matches!(
            try_with(token.clone(), "A_", right()).await,
            Err(BadName(_))
        ));
        let short = try_with(token.clone(), "ada", Secret::new("short")).await;
        assert!(matches!(short, Err(BadPassword("short"))));
        let (one, other) = tokio::join!(
            try_with(token.clone(), "ada", right()),
            try_with(token.clone(), "bob", right())
        );
        assert_eq!(usize::from(one.is_ok()) + usize::from(other.is_ok()), 1);
        assert!(matches!(
            one.as_ref().or(other.as_ref()).map(|l| l.account.role),
            Ok(Role::Admin)
        ));
        assert!(matches!(
            [&one, &other].map(|r| r.as_ref().err()),
            [None, Some(SetupRefused)] | [Some(SetupRefused), None]
        ));
        assert_eq!(f.accounts.setup_token(), None);
        assert_eq!(f.reopened().setup_token(), None);
        assert!(matches!(
            try_with(token, "eve", right()).await,
            Err(SetupRefused)
        ));
        assert_eq!(f.accounts.list(&root()).await.unwrap().len(), 1);
        let login = one.or(other).unwrap();
        let by = f.accounts.by_token(&web(1), &login.token).await.unwrap();
        assert!(f.accounts.allows(&by, Verb::BoxManage, Subject::Box));
    }

    #[tokio::test]
    async fn an_administrator_by_any_way_ends_set_up() {
        let f = Fixture::new();
        f.person("bob", Role::Host).await;
        assert!(f.accounts.setup_token().is_some());
        f.person("ada", Role::Admin).await;
        assert_eq!(f.accounts.setup_token(), None);
    }

    #[tokio::test]
    async fn a_session_is_a_login_until_logout_and_survives_a_restart() {
        let f = Fixture::new();
        let ada = f.member("ada", Role::Host).await;
        let login = f.accounts.login(&web(1), "ADA", &right()).await.unwrap();
        assert!(login.account.last_login.is_some());
        assert!(!format!("{login:?}").contains(&login.token));
        for accounts in [&f.accounts, &f.reopened()] {
            let by = accounts.by_token(&web(2), &login.token).await.unwrap();
            assert_eq!(
                (by.actor.account, by.actor.from),
                (Some(ada.0), web(2).from)
            );
            assert!(accounts.allows(&by, Verb::ServerCreate, Subject::Box));
        }
        let by = f.accounts.by_token(&web(1), &login.token).await.unwrap();
        let second = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
        assert_ne!(second.token, login.token);
        f.accounts.logout(&by, &login.token).await.unwrap();
        assert!(matches!(
            f.accounts.by_token(&web(1), &login.token).await,
            Err(WrongToken)
        ));
        assert!(matches!(
            f.accounts.logout(&by, &login.token).await,
            Err(WrongToken)
        ));
        // What came in with the ended session, and still runs, may no longer do anything.
        assert!(!f.accounts.allows(&by, Verb::ServerCreate, Subject::Box));
        assert!(f.accounts.by_token(&web(1), &second.token).await.is_ok());
        assert_eq!(f.actions(), ["account.create", "login", "login", "logout"]);
        let log = serde_json::to_string(&f.log()).unwrap();
        assert!(!log.contains(&login.token) && !log.contains(PASSWORD) && !log.contains("argon2"));
    }

    #[tokio::test]
    async fn a_secret_may_be_the_password_or_its_sha_1() {
        let f = Fixture::new();
        f.member("ada", Role::Player).await;
        let hash = right().hashed().0;
        for secret in [hash.clone(), hash.to_uppercase(), PASSWORD.into()] {
            let secret = Secret::new(secret);
            let by = f.accounts.by_secret(&web(1), "ada", &secret).await.unwrap();
            assert_eq!(by.actor.name, "ada");
        }
        // What only takes passwords does not take the hash for one.
        let hash = Secret::new(hash);
        let shown = f.accounts.by_password(&web(1), "ada", &hash).await;
        assert!(matches!(shown, Err(WrongCredentials)));
        // A password may look like a hash.
        let odd = Secret::new("0123456789abcdef0123456789abcdef01234567");
        let wish = crate::accounts::NewAccount {
            password: Some(odd.clone()),
            ..crate::accounts::fixture::wish("bob", Role::Player)
        };
        f.accounts.create(&root(), wish).await.unwrap();
        assert!(f.accounts.by_secret(&web(1), "bob", &odd).await.is_ok());
    }

    #[tokio::test]
    async fn an_account_has_at_most_32_sessions_and_the_oldest_gives_way() {
        let f = Fixture::new();
        f.member("ada", Role::Player).await;
        let mut tokens = Vec::new();
        for _ in 0..34 {
            tokens.push(
                f.accounts
                    .login(&web(1), "ada", &right())
                    .await
                    .unwrap()
                    .token,
            );
        }
        assert_eq!(f.accounts.people().sessions().count(), 32);
        assert!(f.accounts.by_token(&web(1), &tokens[33]).await.is_ok());
        assert_eq!(f.reopened().people().sessions().count(), 32);
    }

    #[tokio::test]
    async fn a_login_that_nobody_waits_for_any_more_is_whole_or_not_there() {
        let f = Fixture::new();
        f.member("ada", Role::Player).await;
        f.accounts
            .by_password(&web(1), "ada", &right())
            .await
            .unwrap();
        let accounts = f.accounts.clone();
        let task =
            tokio::spawn(async move { accounts.login(&web(1), "ada", &right()).await.map(drop) });
        tokio::task::yield_now().await;
        task.abort();
        task.await.ok();
        while f.log().last().unwrap().of.is_none() {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            f.accounts.people().sessions().count(),
            f.reopened().people().sessions().count()
        );
        assert_eq!(f.audit.verify().unwrap().fault, None);
    }
}
