//! Everybody in memory: what the store holds, ready to be asked.

use std::collections::{BTreeMap, HashMap};

use super::{
    AccountId, AccountView, MailState, Principal, Role, ServerId, Subject, TokenView, Verb, Via,
    records::{
        ACCOUNTS, Account, GRANTS, GrantRecord, SESSIONS, SETUP, SETUPS, Session, TOKENS, Token,
        grant_key, session_key,
    },
    roles::{Standing, allowed},
    secret::{Digest, SessionId},
};
use crate::{
    clock::UnixMillis,
    store::{Record, Store, StoreError},
};

/// What a transaction touched, to be read anew.
#[derive(Debug, Default)]
pub(super) struct Touched {
    pub(super) accounts: Vec<AccountId>,
    pub(super) sessions: Vec<(AccountId, Digest)>,
    pub(super) tokens: Vec<u64>,
    pub(super) grants: Vec<(AccountId, ServerId)>,
    /// A letter was written.
    pub(super) letters: bool,
}

/// All records that decode.
#[derive(Debug, Default)]
pub(super) struct People {
    accounts: BTreeMap<AccountId, Account>,
    names: HashMap<String, AccountId>,
    sessions: HashMap<Digest, Session>,
    tokens: BTreeMap<u64, Token>,
    hashes: HashMap<Digest, u64>,
    grants: BTreeMap<(AccountId, ServerId), GrantRecord>,
    /// There has been an administrator.
    settled: bool,
}

/// What does not decode is said and left alone.
fn readable<R: Record>(item: Result<(Vec<u8>, R), StoreError>) -> Option<Result<R, StoreError>> {
    match item {
        Ok((_, record)) => Some(Ok(record)),
        Err(error @ StoreError::Corrupt { .. }) => {
            tracing::error!(%error, "left out");
            None
        }
        Err(error) => Some(Err(error)),
    }
}

impl People {
    pub(super) fn load(store: &Store) -> Result<Self, StoreError> {
        let mut people = Self::default();
        for account in store.scan(ACCOUNTS, &[]).filter_map(readable) {
            people.put_account(account?);
        }
        for session in store.scan(SESSIONS, &[]).filter_map(readable) {
            let session = session?;
            people.sessions.insert(session.hash, session);
        }
        for token in store.scan(TOKENS, &[]).filter_map(readable) {
            people.put_token(token?);
        }
        for grant in store.scan(GRANTS, &[]).filter_map(readable) {
            let grant = grant?;
            people.grants.insert((grant.account, grant.server), grant);
        }
        people.settle(store);
        Ok(people)
    }

    fn put_account(&mut self, account: Account) {
        self.names.insert(account.name.clone(), account.id);
        self.accounts.insert(account.id, account);
    }

    fn put_token(&mut self, token: Token) {
        self.hashes.insert(token.hash, token.id);
        self.tokens.insert(token.id, token);
    }

    fn settle(&mut self, store: &Store) {
        // A marker that cannot be read is a marker: strangers must not set up a box that has people.
        let marked = !matches!(store.get(SETUPS, SETUP), Ok(None));
        self.settled = marked || self.accounts.values().any(|a| a.role == Role::Admin);
    }

    /// Takes over what the store now says of all that was touched. Reading it under our lock, rather
    /// than being told, makes the last reader right whatever the order of acknowledgements.
    pub(super) fn refresh(&mut self, store: &Store, touched: &Touched) {
        for &id in &touched.accounts {
            match gone_if_unreadable(store.get(ACCOUNTS, id.key())) {
                Some(account) => self.put_account(account),
                None => {
                    let account = self.accounts.remove(&id);
                    account.map(|account| self.names.remove(&account.name));
                }
            }
        }
        for &(account, hash) in &touched.sessions {
            let key = session_key(account, hash);
            match gone_if_unreadable(store.get(SESSIONS, key)) {
                Some(session) => drop(self.sessions.insert(hash, session)),
                None => drop(self.sessions.remove(&hash)),
            }
        }
        for &id in &touched.tokens {
            match gone_if_unreadable(store.get(TOKENS, id.to_be_bytes())) {
                Some(token) => self.put_token(token),
                None => {
                    let token = self.tokens.remove(&id);
                    token.map(|token| self.hashes.remove(&token.hash));
                }
            }
        }
        for &(account, server) in &touched.grants {
            let key = grant_key(account, server);
            match gone_if_unreadable(store.get(GRANTS, key)) {
                Some(grant) => drop(self.grants.insert((account, server), grant)),
                None => drop(self.grants.remove(&(account, server))),
            }
        }
        if !touched.accounts.is_empty() {
            self.settle(store);
        }
    }

    pub(super) fn is_settled(&self) -> bool {
        self.settled
    }

    pub(super) fn account(&self, id: AccountId) -> Option<&Account> {
        self.accounts.get(&id)
    }

    pub(super) fn named(&self, name: &str) -> Option<&Account> {
        self.account(*self.names.get(name)?)
    }

    pub(super) fn accounts(&self) -> impl Iterator<Item = &Account> {
        self.accounts.values()
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = &Session> {
        self.sessions.values()
    }

    pub(super) fn token(&self, id: u64) -> Option<&Token> {
        self.tokens.get(&id)
    }

    pub(super) fn tokens(&self) -> impl Iterator<Item = &Token> {
        self.tokens.values()
    }

    pub(super) fn grants(&self) -> impl Iterator<Item = &GrantRecord> {
        self.grants.values()
    }

    /// Whose this secret is, what it was, and what it is limited to; nobody's once it has ended or
    /// its account may not come in.
    pub(super) fn bearer(
        &self,
        hash: Digest,
        now: UnixMillis,
    ) -> Option<(&Account, Via, Option<&[Verb]>)> {
        let (account, via, scopes) = match self.sessions.get(&hash) {
            Some(session) => (session.account, Via::Session(SessionId(hash)), None),
            None => {
                let token = self.token(*self.hashes.get(&hash)?)?;
                (token.account, Via::Token(token.id), token.scopes.as_deref())
            }
        };
        let account = self.account(account)?;
        (account.may_enter() && self.lasts(via, now)).then_some((account, via, scopes))
    }

    fn lasts(&self, via: Via, now: UnixMillis) -> bool {
        match via {
            Via::Local | Via::Password => true,
            Via::Session(SessionId(hash)) => {
                self.sessions.get(&hash).is_some_and(|s| now < s.expires)
            }
            Via::Token(id) => self.token(id).is_some_and(|t| t.lasts(now)),
        }
    }

    /// Whether `by` may do that now: by the role they have now, not the one they came in with, and
    /// as long as what they came in with lasts.
    pub(super) fn allows(
        &self,
        by: &Principal,
        verb: Verb,
        subject: Subject,
        now: UnixMillis,
    ) -> bool {
        let account = by.actor.account.map(AccountId);
        let role = match account {
            Some(id) => match self.account(id) {
                Some(account) if account.may_enter() => account.role,
                _ => return false,
            },
            None if by.via == Via::Local => by.role,
            None => return false,
        };
        let granted = match (account, subject) {
            (Some(account), Subject::Server { id, .. }) => self.grants.get(&(account, id)),
            _ => None,
        };
        let standing = Standing {
            account,
            role,
            granted: granted.map_or(&[], |grant| &grant.verbs),
            scopes: by.scopes.as_deref(),
        };
        self.lasts(by.via, now) && allowed(standing, verb, subject)
    }
}

fn gone_if_unreadable<R>(read: Result<Option<R>, StoreError>) -> Option<R> {
    read.unwrap_or_else(|error| {
        tracing::error!(%error, "taken for gone");
        None
    })
}

impl Account {
    /// Neither disabled nor waiting for an administrator's word, and begun.
    pub(super) fn may_enter(&self) -> bool {
        self.confirmed && !self.disabled && self.mail_state != MailState::New
    }

    /// May prove who they are anew. Who has changed their address goes on with what they came in with, but comes in
    /// again only once the new one is verified.
    pub(super) fn may_log_in(&self) -> bool {
        self.may_enter() && !self.must_verify()
    }

    /// Has to show first that the mail address is theirs.
    pub(super) fn must_verify(&self) -> bool {
        matches!(self.mail_state, MailState::Changed | MailState::New)
    }

    /// An administrator who may come in.
    pub(super) fn is_active_admin(&self) -> bool {
        self.role == Role::Admin && self.may_enter()
    }

    pub(super) fn view(&self) -> AccountView {
        AccountView {
            id: self.id,
            name: self.name.clone(),
            role: self.role,
            mail: self.mail.clone(),
            disabled: self.disabled,
            confirmed: self.confirmed,
            mail_state: self.mail_state,
            created: self.created,
            last_login: self.last_login,
        }
    }
}

impl Token {
    pub(super) fn lasts(&self, now: UnixMillis) -> bool {
        self.expires.is_none_or(|expires| now < expires)
    }

    pub(super) fn view(&self) -> TokenView {
        TokenView {
            id: self.id,
            account: self.account,
            label: self.label.clone(),
            scopes: self.scopes.clone(),
            expires: self.expires,
            created: self.created,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::fixture::{Fixture, right, web};

    #[tokio::test]
    async fn a_session_is_nobodys_when_its_time_has_come() {
        let f = Fixture::new();
        f.member("ada", Role::Host).await;
        let login = f.accounts.login(&web(1), "ada", &right()).await.unwrap();
        let by = f.accounts.by_token(&web(1), &login.token).await.unwrap();
        let people = f.accounts.people();
        let end = login.expires;
        for (now, good) in [(UnixMillis(end.0 - 1), true), (end, false)] {
            assert_eq!(people.bearer(Digest::of(&login.token), now).is_some(), good);
            assert_eq!(
                people.allows(&by, Verb::ServerCreate, Subject::Box, now),
                good
            );
        }
    }

    #[tokio::test]
    async fn nobody_in_particular_may_nothing_but_the_box_itself() {
        let f = Fixture::new();
        let ada = f.person("ada", Role::Admin).await;
        let mut stranger = ada.clone();
        stranger.actor.account = None;
        let mut gone = ada.clone();
        gone.actor.account = Some(99);
        for by in [stranger, gone] {
            assert!(!f.accounts.allows(&by, Verb::ServerView, Subject::Box));
        }
        assert!(f.accounts.allows(&ada, Verb::BoxManage, Subject::Box));
        let root = crate::accounts::Accounts::local(0, String::new());
        assert_eq!(root.actor.name, "uid 0");
        assert!(f.accounts.allows(&root, Verb::BoxManage, Subject::Box));
    }
}
