//! The handle that every door holds, and how a change is made.

use std::{
    fmt,
    net::IpAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard},
    time::Duration,
};

use serde_json::Value;
use tokio::{sync::watch, time::Instant};

use super::{
    AccountId, AccountsError, Principal, Role, ServerId, Subject, Verb, Via,
    credentials::Vault,
    people::{People, Touched},
    records::{
        ACCOUNTS, Account, GRANTS, GrantRecord, MAIL_TOKENS, MailToken, NAMES, NameRecord, Purpose,
        SESSIONS, SETUP, SETUPS, Session, Setup, TOKENS, Token, grant_key, mail_token_key,
        session_key,
    },
    register::Desk,
    secret::{Digest, fresh},
    throttle::{Throttle, network},
};
use crate::{
    audit::{self, Actor, Audit, Door},
    clock::UnixMillis,
    mail::{self, Post},
    store::{Store, StoreError, Tx},
};

/// How long a session lasts, from its login. It is not prolonged, so that none lives for ever.
pub(super) const SESSION: Duration = Duration::from_secs(30 * 24 * 3600);
/// How many sessions an account can have at once.
const SESSIONS_EACH: usize = 32;
/// How many networks an account is remembered to have come from.
const NETWORKS_EACH: usize = 8;

/// Cheap to clone.
#[derive(Clone)]
pub struct Accounts {
    pub(super) house: Arc<House>,
}

/// What all handles share.
pub(super) struct House {
    pub(super) store: Store,
    pub(super) audit: Audit,
    pub(super) vault: Vault,
    /// New at each start, and of no use once there is an administrator.
    pub(super) setup: String,
    /// Locked for a look, or for taking over what the store acknowledged; never across an await.
    people: RwLock<People>,
    /// That an account was made, or is another than before.
    changed: watch::Sender<()>,
    /// Locked for one step of the throttle; never across an await.
    throttle: Mutex<Throttle>,
    /// Locked for one question or one change; never across an await.
    pub(super) desk: Mutex<Desk>,
}

impl Accounts {
    /// Opens the accounts. Only reads; what does not decode is left out, and said in the log.
    pub fn open(store: Store, audit: Audit) -> Result<Self, AccountsError> {
        let people = RwLock::new(People::load(&store)?);
        let now = Instant::now().into_std();
        let post = Post::quiet(store.clone(), None, mail::Settings::silent());
        Ok(Self {
            house: Arc::new(House {
                store,
                audit,
                vault: Vault::new(),
                setup: fresh(""),
                people,
                changed: watch::Sender::new(()),
                throttle: Mutex::new(Throttle::new(now)),
                desk: Mutex::new(Desk::new(now, post)),
            }),
        })
    }

    /// The administrator on the control socket: root, or who runs the daemon.
    pub fn local(uid: u32, name: String) -> Principal {
        let name = match name.is_empty() {
            true => format!("uid {uid}"),
            false => name,
        };
        Principal {
            actor: Actor {
                account: None,
                name,
                from: None,
                door: Door::Control,
            },
            role: Role::Admin,
            scopes: None,
            via: Via::Local,
        }
    }

    /// Whether `by` may do `verb` to `subject`: role, ownership, grants, token scopes. In memory;
    /// costs next to nothing. Everything counts as it is now: a principal whose session ended, whose
    /// token was revoked or whose account was disabled or demoted may no longer do what they could.
    pub fn allows(&self, by: &Principal, verb: Verb, subject: Subject) -> bool {
        self.people().allows(by, verb, subject, UnixMillis::now())
    }

    /// What an account is, and whether it may come in. In memory.
    pub fn role_of(&self, id: AccountId) -> Option<(Role, bool)> {
        let people = self.people();
        let account = people.account(id)?;
        Some((account.role, account.may_enter()))
    }

    /// Told when an account was made, or is another than before.
    pub fn changes(&self) -> watch::Receiver<()> {
        self.house.changed.subscribe()
    }

    /// The name of an account.
    pub fn name_of(&self, id: AccountId) -> Option<String> {
        Some(self.people().account(id)?.name.clone())
    }

    /// The name and mail address of the first administrator there is.
    pub fn administrator(&self) -> Option<(String, Option<String>)> {
        let people = self.people();
        let first = people
            .accounts()
            .find(|account| account.is_active_admin())?;
        Some((first.name.clone(), first.mail.clone()))
    }

    /// The id of a name.
    pub fn id_of(&self, name: &str) -> Option<AccountId> {
        Some(self.people().named(&name.to_ascii_lowercase())?.id)
    }

    /// Gives people's letters to `post` from now on.
    pub fn set_post(&self, post: Post) {
        self.house.desk().post = post;
    }

    pub(super) fn people(&self) -> RwLockReadGuard<'_, People> {
        let people = &self.house.people;
        people.read().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn throttle(&self) -> MutexGuard<'_, Throttle> {
        let throttle = &self.house.throttle;
        throttle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Power over people. Scoped tokens have it over everybody but administrators: who makes one, or
    /// sets one's password, becomes one, and is wider than their token.
    pub(super) fn may_manage(&self, by: &Principal, roles: &[Role]) -> Result<(), AccountsError> {
        if !self.allows(by, Verb::AccountsManage, Subject::Box) {
            return Err(AccountsError::Forbidden("accounts.manage"));
        }
        if by.scopes.is_some() && roles.contains(&Role::Admin) {
            return Err(AccountsError::Forbidden("an administrator without scopes"));
        }
        Ok(())
    }

    /// Records the intent, makes the change durable, takes it over into memory, records the outcome.
    /// Once begun it goes to its end, whether or not anybody still waits for it.
    pub(super) async fn change<T: Send + 'static>(
        &self,
        by: Actor,
        action: &'static str,
        subject: String,
        detail: Value,
        work: impl FnOnce(&mut Change<'_, '_>) -> Result<T, AccountsError> + Send + 'static,
    ) -> Result<T, AccountsError> {
        let house = Arc::clone(&self.house);
        let changing = async move {
            let change = house.commit(work);
            house.audit.run(&by, action, subject, detail, change).await
        };
        let task = tokio::spawn(audit::carried(changing));
        match task.await {
            Ok(result) => result,
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_) => Err(StoreError::Closed.into()), // the runtime is going down
        }
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Accounts(..)")
    }
}

impl House {
    pub(super) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn commit<T: Send>(
        &self,
        work: impl FnOnce(&mut Change<'_, '_>) -> Result<T, AccountsError> + Send,
    ) -> Result<T, AccountsError> {
        let mut touched = Touched::default();
        let post = self.desk().post.clone();
        let written = self
            .store
            .write(|tx| {
                work(&mut Change {
                    tx,
                    store: &self.store,
                    post: &post,
                    touched: &mut touched,
                })
            })
            .await;
        // After a failure too: the store may know more than it could promise.
        let mut people = self.people.write().unwrap_or_else(PoisonError::into_inner);
        people.refresh(&self.store, &touched);
        drop(people);
        if !touched.accounts.is_empty() {
            self.changed.send_replace(());
        }
        if touched.letters {
            post.ring();
        }
        written
    }
}

/// A transaction over people that notes what it touches.
pub(super) struct Change<'t, 'a> {
    tx: &'t mut Tx<'a>,
    /// As it was before this transaction: nobody else writes meanwhile. Unlike the transaction's own
    /// scan, its goes on past records that do not decode.
    store: &'t Store,
    post: &'t Post,
    touched: &'t mut Touched,
}

impl Change<'_, '_> {
    /// The link of that purpose that was mailed last.
    pub(super) fn link(
        &self,
        account: AccountId,
        purpose: Purpose,
    ) -> Result<Option<MailToken>, AccountsError> {
        Ok(self.tx.get(MAIL_TOKENS, mail_token_key(account, purpose))?)
    }

    /// Mails a link to the account's address, in place of an older one.
    pub(super) fn mail_link(
        &mut self,
        account: &Account,
        purpose: Purpose,
        success: Option<String>,
    ) -> Result<(), AccountsError> {
        let address = account.mail.clone().ok_or(AccountsError::Invalid {
            what: "account",
            why: "has no mail address",
        })?;
        self.end_link(account.id, purpose)?;
        let (now, secret) = (UnixMillis::now(), fresh(""));
        let link = format!("{}?uid={}&token={secret}", purpose.page(), account.id.0);
        let expires = now.after(purpose.life());
        let wish = mail::Wish {
            kind: purpose.letter(),
            to: &address,
            account: Some(account.id.0),
            name: &account.name,
            link: Some(&link),
            until: expires,
        };
        let letter = self.post.put(self.tx, wish, now)?;
        self.touched.letters = true;
        let token = MailToken {
            account: account.id,
            purpose,
            hash: Digest::of(&secret),
            expires,
            letter,
            success,
            address,
        };
        let key = mail_token_key(account.id, purpose);
        Ok(self.tx.put(MAIL_TOKENS, key, &token)?)
    }

    /// Ends a link, and takes back the letter with it if that still waits.
    pub(super) fn end_link(
        &mut self,
        account: AccountId,
        purpose: Purpose,
    ) -> Result<(), AccountsError> {
        if let Some(token) = self.link(account, purpose)? {
            self.post.withdraw(self.tx, token.letter)?;
            self.tx
                .delete(MAIL_TOKENS, mail_token_key(account, purpose))?;
        }
        Ok(())
    }

    /// Tells an account's old address that it has another one now.
    pub(super) fn mail_notice(&mut self, account: &Account, to: &str) -> Result<(), AccountsError> {
        if !self.post.delivers() {
            return Ok(()); // nobody could pass that on by hand
        }
        let now = UnixMillis::now();
        let wish = mail::Wish {
            kind: mail::LetterKind::Notice,
            to,
            account: Some(account.id.0),
            name: &account.name,
            link: None,
            until: now.after(Purpose::Verify.life()),
        };
        self.post.put(self.tx, wish, now)?;
        self.touched.letters = true;
        Ok(())
    }

    /// Deletes an account with all that is its own.
    pub(super) fn remove_account(&mut self, account: &Account) -> Result<(), AccountsError> {
        let id = account.id;
        self.end_sessions(id, None)?;
        for purpose in [Purpose::Verify, Purpose::Reset] {
            self.end_link(id, purpose)?;
        }
        let tokens = self.store.scan(TOKENS, &[]).filter_map(Result::ok);
        let tokens = tokens.filter(|(_, token)| token.account == id);
        for (_, token) in tokens.collect::<Vec<_>>() {
            self.delete_token(token.id)?;
        }
        let grants = self.store.scan(GRANTS, &id.key()).filter_map(Result::ok);
        for (_, grant) in grants.collect::<Vec<_>>() {
            let none = GrantRecord {
                verbs: Vec::new(),
                ..grant
            };
            self.put_grant(&none)?;
        }
        self.tx.delete(NAMES, &account.name)?;
        self.tx.delete(ACCOUNTS, id.key())?;
        self.touched.accounts.push(id);
        Ok(())
    }

    pub(super) fn account(&self, id: AccountId) -> Result<Account, AccountsError> {
        let account = self.tx.get(ACCOUNTS, id.key())?;
        account.ok_or_else(|| AccountsError::NoSuchAccount(id.0.to_string()))
    }

    pub(super) fn put_account(&mut self, account: &Account) -> Result<(), AccountsError> {
        if account.role == Role::Admin && !self.is_settled()? {
            let closed = UnixMillis::now();
            self.tx.put(SETUPS, SETUP, &Setup { closed })?;
        }
        self.touched.accounts.push(account.id);
        Ok(self.tx.put(ACCOUNTS, account.id.key(), account)?)
    }

    /// A new account under a name that nobody has.
    pub(super) fn add_account(&mut self, wish: Account) -> Result<Account, AccountsError> {
        if self.tx.get(NAMES, &wish.name)?.is_some() {
            return Err(AccountsError::NameTaken(wish.name));
        }
        let id = AccountId(self.tx.next_id("account")?);
        let account = Account { id, ..wish };
        self.tx.put(NAMES, &account.name, &NameRecord(id))?;
        self.put_account(&account)?;
        Ok(account)
    }

    /// Whether there has been an administrator.
    pub(super) fn is_settled(&self) -> Result<bool, AccountsError> {
        let marked = self.tx.get(SETUPS, SETUP)?.is_some();
        Ok(marked || self.accounts().any(|account| account.role == Role::Admin))
    }

    /// Whether anybody but `id` is an administrator who may come in.
    pub(super) fn has_other_admin(&self, id: AccountId) -> bool {
        self.accounts()
            .any(|other| other.id != id && other.is_active_admin())
    }

    fn accounts(&self) -> impl Iterator<Item = Account> {
        let readable = self.store.scan(ACCOUNTS, &[]).filter_map(Result::ok);
        readable.map(|(_, account)| account)
    }

    fn sessions(&self, account: AccountId) -> Vec<Session> {
        let readable = self.store.scan(SESSIONS, &account.key());
        readable
            .filter_map(Result::ok)
            .map(|(_, session)| session)
            .collect()
    }

    /// Opens a session, and drops those of the account that have expired or are too many.
    pub(super) fn open_session(
        &mut self,
        account: &mut Account,
        hash: Digest,
        from: Option<IpAddr>,
    ) -> Result<Session, AccountsError> {
        let now = UnixMillis::now();
        let mut sessions = self.sessions(account.id);
        sessions.sort_by_key(|session| std::cmp::Reverse(session.created));
        for (index, session) in sessions.iter().enumerate() {
            if now >= session.expires || index + 1 >= SESSIONS_EACH {
                self.end_session(session.account, session.hash)?;
            }
        }
        if let Some(network) = from.map(network) {
            account.networks.retain(|known| *known != network);
            account.networks.insert(0, network);
            account.networks.truncate(NETWORKS_EACH);
        }
        account.last_login = Some(now);
        self.put_account(account)?;
        let session = Session {
            account: account.id,
            hash,
            created: now,
            expires: now.after(SESSION),
        };
        self.touched.sessions.push((account.id, hash));
        self.tx
            .put(SESSIONS, session_key(account.id, hash), &session)?;
        Ok(session)
    }

    /// True when there was one.
    pub(super) fn end_session(
        &mut self,
        account: AccountId,
        hash: Digest,
    ) -> Result<bool, AccountsError> {
        self.touched.sessions.push((account, hash));
        Ok(self.tx.delete(SESSIONS, session_key(account, hash))?)
    }

    /// Ends all sessions of an account, but for one.
    pub(super) fn end_sessions(
        &mut self,
        account: AccountId,
        keep: Option<Digest>,
    ) -> Result<(), AccountsError> {
        for session in self.sessions(account) {
            if Some(session.hash) != keep {
                self.end_session(account, session.hash)?;
            }
        }
        Ok(())
    }

    pub(super) fn add_token(&mut self, wish: Token) -> Result<Token, AccountsError> {
        let id = self.tx.next_id("token")?;
        let token = Token { id, ..wish };
        self.touched.tokens.push(id);
        self.tx.put(TOKENS, id.to_be_bytes(), &token)?;
        Ok(token)
    }

    /// True when there was one.
    pub(super) fn delete_token(&mut self, id: u64) -> Result<bool, AccountsError> {
        self.touched.tokens.push(id);
        Ok(self.tx.delete(TOKENS, id.to_be_bytes())?)
    }

    /// Replaces a grant; true when there is, or was, one.
    pub(super) fn put_grant(&mut self, grant: &GrantRecord) -> Result<bool, AccountsError> {
        let key = grant_key(grant.account, grant.server);
        self.touched.grants.push((grant.account, grant.server));
        if grant.verbs.is_empty() {
            return Ok(self.tx.delete(GRANTS, key)?);
        }
        self.tx.put(GRANTS, key, grant)?;
        Ok(true)
    }
}

/// The id of a server, as people read it.
pub(super) fn server_text(server: ServerId) -> String {
    format!("server {}", server.0)
}
