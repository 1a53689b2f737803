//! Who somebody says they are, and whether they may come in.

use std::time::Instant;

use super::{Known, Talk};
use crate::{
    accounts::{AccountId, AccountsError, Policy, Principal, Secret},
    clock::UnixMillis,
    lobby::{
        hall::{Newcomer, Who},
        lag::Lag,
        wire::{
            request::{Login, LoginKind},
            terms::{Action, Code, Permissions},
        },
    },
};

/// Bytes of a name.
const NAME: usize = 16;

impl Talk {
    pub(super) async fn login(&mut self, login: Login) {
        if self.is_known() {
            self.catch_up().await;
            return self.answer(Action::Login, Code::AlreadyLoggedIn);
        }
        if let Err(code) = self.try_login(login).await {
            self.answer(Action::Login, code);
        }
    }

    /// In the order in which the original looks.
    async fn try_login(&mut self, login: Login) -> Result<(), Code> {
        let Login {
            kind,
            name,
            password,
            email,
        } = login;
        let accounts = &self.lobby.accounts;
        if accounts.registration() == Policy::Closed && kind != LoginKind::Normal {
            return Err(Code::WrongLoginType);
        }
        if name.len() > NAME {
            return Err(Code::TooLong);
        }
        if !is_name(&name) {
            return Err(Code::BadUsername);
        }
        let lower = name.to_ascii_lowercase();
        let account = accounts.id_of(&lower);
        if kind == LoginKind::Guest && (account.is_some() || self.lobby.is_a_bots(&lower)) {
            return Err(Code::WrongLoginType);
        }
        // An account's own older session gives way when it is silent, once the account is proved.
        let theirs = account.filter(|_| kind == LoginKind::Normal);
        if self.lobby.is_taken(&name, theirs).await {
            return Err(Code::AlreadyLoggedIn);
        }
        let mut fresh = None;
        let by = match kind {
            LoginKind::Guest => None,
            LoginKind::Normal => {
                let password = password.ok_or(Code::BadOptions)?;
                account.ok_or(Code::UserNotFound)?;
                let proved = accounts.by_password(&self.caller, &lower, &password).await;
                Some(proved.map_err(|error| refused(&lower, &error))?)
            }
            LoginKind::First => {
                let password = password.ok_or(Code::BadPassword)?;
                let now = UnixMillis::now();
                let ledger = &self.lobby.ledger;
                if ledger
                    .banned(&name, None, Some(self.address), now)
                    .is_some()
                {
                    return Err(Code::NoPermission);
                }
                let email = email.as_deref().filter(|email| !email.is_empty());
                let made = accounts
                    .register(&self.caller, &lower, &password, email)
                    .await;
                let made = made.map_err(|error| refused(&lower, &error))?;
                fresh = Some(password);
                // Under the policy `confirm` an administrator has to let them in first.
                Some(made.by.ok_or(Code::UsrLookup)?)
            }
        };
        self.come_in(name, by, fresh).await
    }

    /// Somebody whom the carrier knows already, under the name of their account.
    pub(in crate::lobby) async fn come_as(&mut self, by: Principal) -> Result<(), Code> {
        let name = by.actor.name.clone();
        self.come_in(name, Some(by), None).await
    }

    async fn come_in(
        &mut self,
        name: String,
        by: Option<Principal>,
        fresh: Option<Secret>,
    ) -> Result<(), Code> {
        let account = by.as_ref().and_then(|by| by.actor.account).map(AccountId);
        let permissions = match account {
            None => Permissions::GUEST,
            Some(account) => self.lobby.rights(account).ok_or(Code::UsrLookup)?,
        };
        let who = Who {
            name,
            account,
            address: self.address,
        };
        // They count among those who are here in what they are told first.
        let session = match self.lobby.session(self.address) {
            Ok(session) => session,
            Err(_) if self.lobby.has_vanished(&who).await => self.lobby.successor(self.address),
            Err(why) => {
                tracing::info!(name = who.name, %why, "a login was refused");
                return Err(Code::RoomFull);
            }
        };
        let newcomer = Newcomer {
            who: who.clone(),
            permissions,
            language: self.language.clone(),
            token: crate::lobby::secret(),
            motd: self.lobby.motd().await,
            fresh,
        };
        let id = session.id();
        // Before they are let in: whoever drops us meanwhile lets them out again.
        self.known = Some(Known {
            session,
            lag: Lag::new(Instant::now()),
            by,
            who,
        });
        let come = self.lobby.come(id, newcomer, self.outbox.clone()).await;
        match come {
            Ok(()) => tracing::debug!("came in"),
            Err(_) => self.known = None,
        }
        come
    }
}

/// As the original has it: ASCII without blanks, `%`, `&` and `\`.
fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"%&\\".contains(&byte);
    !name.is_empty() && name.bytes().all(fits) && name != "<none>"
}

/// What the client is told of a login that failed. The protocol has one code for what is not the client's fault, so the
/// log says which it was. `name` is no longer than a name.
fn refused(name: &str, error: &AccountsError) -> Code {
    match error {
        AccountsError::Busy
        | AccountsError::LockedOut { .. }
        | AccountsError::TooManyRegistrations { .. } => {
            tracing::info!(name, %error, "a login was refused");
            Code::UsrLookup
        }
        AccountsError::RegistrationClosed => Code::WrongLoginType,
        AccountsError::BadName(_) => Code::BadUsername,
        AccountsError::NameTaken(_) => Code::UsernameTaken,
        AccountsError::BadPassword(_) => Code::BadPassword,
        AccountsError::Invalid { .. } => Code::BadOptions,
        _ => Code::UsrLookup,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::{
        accounts::Role,
        lobby::{
            fixture::{Fixture, address, login, result, words},
            ledger::{Sentence, Term},
            outbox::{Encoding, Outbox},
            wire::request::Request,
        },
    };

    #[tokio::test]
    async fn one_network_has_its_share_of_the_sessions() {
        let house = Fixture::open().await;
        let mut came = Vec::new();
        for (name, from, code) in [
            ("one", "192.0.2.1", "ok"),
            ("two", "192.0.2.1", "ok"),
            ("three", "192.0.2.1", "room-full"),
            ("four", "::ffff:192.0.2.1", "room-full"),
            ("five", "192.0.2.2", "ok"),
            ("six", "2001:db8::6", "ok"),
            ("seven", "2001:db8::7", "ok"),
            ("eight", "2001:db8::8", "room-full"),
            ("nine", "127.0.0.1", "ok"),
            ("ten", "127.0.0.1", "ok"),
            ("eleven", "127.0.0.1", "ok"),
        ] {
            let mut visit = house.visit(from).await;
            let answer = result(&mut visit, login(LoginKind::Guest, name)).await;
            assert_eq!(answer, code, "{name}");
            came.push(visit);
        }
        drop(came.remove(0));
        let mut visit = house.visit("192.0.2.1").await;
        let answer = result(&mut visit, login(LoginKind::Guest, "twelve")).await;
        assert_eq!(answer, "ok");
    }

    fn long_ago() -> Instant {
        Instant::now() - std::time::Duration::from_secs(11)
    }

    #[tokio::test]
    async fn an_account_takes_the_place_of_its_own_session_when_that_is_silent() {
        let house = Fixture::open().await;
        let bea = house.account("bea", Role::Player).await;
        let mut old = house.visit("192.0.2.1").await;
        assert_eq!(
            result(&mut old, login(LoginKind::Normal, "Bea")).await,
            "ok"
        );
        let mut new = house.visit("192.0.2.2").await;
        // The older one is lively.
        let again = || login(LoginKind::Normal, "bea");
        assert_eq!(result(&mut new, again()).await, "already-logged-in");
        old.outbox().ping(long_ago());
        old.hear(Request::Pong).await;
        assert_eq!(result(&mut new, again()).await, "already-logged-in");
        // It is silent, but nobody proves to be her.
        old.outbox().ping(long_ago());
        let mut wrong = again();
        if let Request::Login(login) = &mut wrong {
            login.password = Some(Secret::new("something else"));
        }
        assert_eq!(result(&mut new, wrong).await, "usr-lookup");
        assert!(house.lobby.is_taken("bea", None).await);
        let first = login(LoginKind::First, "bea");
        assert_eq!(result(&mut new, first).await, "already-logged-in");
        assert_eq!(result(&mut new, again()).await, "ok");
        while words(&mut old).await.last().expect("a word")["push"] != "end" {}
        drop(old);
        assert!(house.lobby.is_taken("bea", Some(bea)).await);
        // The same for who is known by the carrier.
        new.outbox().ping(long_ago());
        let mut web = house.visit("192.0.2.3").await;
        web.come_as(house.principal(bea)).await;
        assert_eq!(words(&mut web).await[0]["code"], "ok");
    }

    #[tokio::test]
    async fn a_guests_name_is_theirs_while_the_connection_lasts() {
        let house = Fixture::open().await;
        let mut old = house.visit("192.0.2.1").await;
        let guest = || login(LoginKind::Guest, "eve");
        assert_eq!(result(&mut old, guest()).await, "ok");
        old.outbox().ping(long_ago());
        let mut new = house.visit("192.0.2.1").await;
        assert_eq!(result(&mut new, guest()).await, "already-logged-in");
    }

    #[tokio::test]
    async fn a_ban_that_comes_after_the_proof_still_holds() {
        let house = Fixture::open().await;
        let bea = house.account("bea", Role::Player).await;
        let who = Who {
            name: "bea".into(),
            account: Some(bea),
            address: address("192.0.2.1"),
        };
        let session = house.lobby.session(who.address).unwrap();
        let newcomer = Newcomer {
            who: who.clone(),
            permissions: Permissions::REGISTERED,
            language: String::new(),
            token: String::new(),
            motd: house.lobby.motd().await,
            fresh: None,
        };
        // She has proved who she is, and is on her way in.
        let sentence = Sentence {
            name: who.name,
            account: who.account,
            address: Some(who.address),
            reason: String::new(),
            by: "ada".into(),
            term: Term::Usual,
        };
        let now = UnixMillis::now();
        house.lobby.ledger.ban(sentence, now).await.unwrap();
        let outbox = Arc::new(Outbox::new(Encoding::Xml));
        let come = house.lobby.come(session.id(), newcomer, outbox).await;
        assert_eq!(come, Err(Code::NoPermission));
        assert!(!house.lobby.is_taken("bea", None).await);
    }

    #[test]
    fn what_is_not_the_clients_fault_has_one_code() {
        let retry_after = std::time::Duration::from_secs(1);
        for error in [
            AccountsError::Busy,
            AccountsError::LockedOut { retry_after },
            AccountsError::TooManyRegistrations { retry_after },
        ] {
            assert_eq!(refused("bea", &error), Code::UsrLookup);
        }
    }

    #[test]
    fn names_are_what_the_original_lets_through() {
        for good in ["ada", "Ada_77", "!", "x<y>", "none", &"a".repeat(16)] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a b", "a%", "a&b", "a\\b", "<none>", "\u{e4}", "a\n"] {
            assert!(!is_name(bad), "{bad:?}");
        }
    }
}
