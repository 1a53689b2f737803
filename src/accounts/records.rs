//! What is stored of people. Enumerations are stored by position: new roles and verbs go last.

use std::{fmt, net::IpAddr};

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountId, Role, ServerId, Verb, secret::Digest};
use crate::{
    clock::UnixMillis,
    store::{Record, Table, from_bytes},
};

pub(super) const ACCOUNTS: Table<Account> = Table::new();
pub(super) const NAMES: Table<NameRecord> = Table::new();
pub(super) const SESSIONS: Table<Session> = Table::new();
pub(super) const TOKENS: Table<Token> = Table::new();
pub(super) const GRANTS: Table<GrantRecord> = Table::new();
pub(super) const MAIL_TOKENS: Table<MailToken> = Table::new();
pub(super) const SETUPS: Table<Setup> = Table::new();
/// The only key of [`SETUPS`].
pub(super) const SETUP: &[u8] = b"administrator";

/// One person, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Account {
    pub(super) id: AccountId,
    pub(super) name: String,
    pub(super) credential: Option<Credential>,
    pub(super) mail: Option<String>,
    pub(super) role: Role,
    pub(super) disabled: bool,
    pub(super) created: UnixMillis,
    pub(super) last_login: Option<UnixMillis>,
    /// The networks of the last logins, newest first: strangers cannot lock the name there.
    pub(super) networks: Vec<IpAddr>,
    /// May come in: false for who registered by themselves and waits for an administrator's word.
    pub(super) confirmed: bool,
    /// Whose the mail address is known to be.
    pub(super) mail_state: MailState,
    /// The password was set as its MD5 in hex (by a MyOTTD client): that is what the credential is of.
    pub(super) md5: bool,
}

/// What is known of an account's mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub enum MailState {
    /// It is theirs, or an administrator says so; or there is none.
    Verified,
    /// Nobody has shown that it is theirs. They may come in all the same.
    Unverified,
    /// It is a new one, and they come in again once they have shown that it is theirs.
    Changed,
    /// The account is new, and so is its address: it begins when they have shown that it is theirs.
    New,
}

/// An account as it was before mail addresses were verified.
#[derive(Serialize, Deserialize)]
struct AccountV2 {
    id: AccountId,
    name: String,
    credential: Option<Credential>,
    mail: Option<String>,
    role: Role,
    disabled: bool,
    created: UnixMillis,
    last_login: Option<UnixMillis>,
    networks: Vec<IpAddr>,
    confirmed: bool,
}

impl From<AccountV2> for Account {
    fn from(old: AccountV2) -> Self {
        Self {
            id: old.id,
            name: old.name,
            credential: old.credential,
            mail: old.mail,
            role: old.role,
            disabled: old.disabled,
            created: old.created,
            last_login: old.last_login,
            networks: old.networks,
            confirmed: old.confirmed,
            mail_state: MailState::Verified, // nobody was asked to show it
            md5: false,
        }
    }
}

/// An account as it was before people could register by themselves.
#[derive(Serialize, Deserialize)]
struct AccountV1 {
    id: AccountId,
    name: String,
    credential: Option<Credential>,
    mail: Option<String>,
    role: Role,
    disabled: bool,
    created: UnixMillis,
    last_login: Option<UnixMillis>,
    networks: Vec<IpAddr>,
}

impl From<AccountV1> for AccountV2 {
    fn from(old: AccountV1) -> Self {
        Self {
            id: old.id,
            name: old.name,
            credential: old.credential,
            mail: old.mail,
            role: old.role,
            disabled: old.disabled,
            created: old.created,
            last_login: old.last_login,
            networks: old.networks,
            confirmed: true, // an administrator has made it
        }
    }
}

impl Account {
    /// One that has no id yet.
    pub(super) fn new(name: String, role: Role, credential: Option<Credential>) -> Self {
        Self {
            id: AccountId(0),
            name,
            credential,
            mail: None,
            role,
            disabled: false,
            created: UnixMillis::now(),
            last_login: None,
            networks: Vec::new(),
            confirmed: true,
            mail_state: MailState::Verified,
            md5: false,
        }
    }
}

impl Record for Account {
    const TABLE: &'static str = "account";
    const FORMAT: u8 = 3;
    fn upgrade(format: u8, body: &[u8]) -> Option<Self> {
        let old = match format {
            1 => from_bytes::<AccountV1>(body)?.into(),
            2 => from_bytes::<AccountV2>(body)?,
            _ => return None,
        };
        Some(old.into())
    }
    fn upgrade_json(format: u8, value: serde_json::Value) -> Option<Self> {
        let old = match format {
            1 => serde_json::from_value::<AccountV1>(value).ok()?.into(),
            2 => serde_json::from_value::<AccountV2>(value).ok()?,
            _ => return None,
        };
        Some(old.into())
    }
}

/// An Argon2id hash in PHC form. Not printed: what leaks can be attacked at leisure.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Credential(pub(super) String);

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credential(..)")
    }
}

/// Whose a name is, by name: what makes names unique within a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct NameRecord(pub(super) AccountId);

impl Record for NameRecord {
    const TABLE: &'static str = "account_name";
    const FORMAT: u8 = 1;
}

/// One session, by account and hash of its secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    pub(super) account: AccountId,
    pub(super) hash: Digest,
    pub(super) created: UnixMillis,
    pub(super) expires: UnixMillis,
}

impl Record for Session {
    const TABLE: &'static str = "session";
    const FORMAT: u8 = 1;
}

/// One bearer token, by id.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    pub(super) id: u64,
    pub(super) account: AccountId,
    pub(super) hash: Digest,
    pub(super) label: String,
    pub(super) scopes: Option<Vec<Verb>>,
    pub(super) expires: Option<UnixMillis>,
    pub(super) created: UnixMillis,
}

impl Record for Token {
    const TABLE: &'static str = "token";
    const FORMAT: u8 = 1;
}

/// What a link in a letter can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub(super) enum Purpose {
    /// Show that an address is theirs.
    Verify,
    /// Set a password.
    Reset,
}

/// A link that was mailed, by account and purpose: a new one takes the older one's place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MailToken {
    pub(super) account: AccountId,
    pub(super) purpose: Purpose,
    /// Where it was sent: good while that is the account's address.
    pub(super) address: String,
    pub(super) hash: Digest,
    pub(super) expires: UnixMillis,
    /// The letter with the link, which is taken back when the link ends.
    pub(super) letter: u64,
    /// Where the browser goes once it has done.
    pub(super) success: Option<String>,
}

impl Record for MailToken {
    const TABLE: &'static str = "mail_token";
    const FORMAT: u8 = 1;
}

/// What an account may do with a server, by account and server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GrantRecord {
    pub(super) account: AccountId,
    pub(super) server: ServerId,
    /// Who owned the server when it was given: they see it too.
    pub(super) owner: AccountId,
    pub(super) verbs: Vec<Verb>,
}

impl Record for GrantRecord {
    const TABLE: &'static str = "grant";
    const FORMAT: u8 = 1;
}

/// That there has been an administrator, and since when: set-up is over for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Setup {
    pub(super) closed: UnixMillis,
}

impl Record for Setup {
    const TABLE: &'static str = "setup";
    const FORMAT: u8 = 1;
}

impl AccountId {
    pub(super) fn key(self) -> [u8; 8] {
        self.0.to_be_bytes()
    }
}

pub(super) fn session_key(account: AccountId, hash: Digest) -> [u8; 40] {
    let mut key = [0; 40];
    key[..8].copy_from_slice(&account.key());
    key[8..].copy_from_slice(&hash.0);
    key
}

pub(super) fn mail_token_key(account: AccountId, purpose: Purpose) -> [u8; 9] {
    let mut key = [purpose as u8; 9];
    key[..8].copy_from_slice(&account.key());
    key
}

pub(super) fn grant_key(account: AccountId, server: ServerId) -> [u8; 16] {
    let mut key = [0; 16];
    key[..8].copy_from_slice(&account.key());
    key[8..].copy_from_slice(&server.0.to_be_bytes());
    key
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        accounts::{
            Accounts, Grant, NewToken,
            fixture::{Fixture, id, right, root, web},
            tables,
        },
        audit::{self, Audit},
        store::{Catalog, Store, restore},
    };

    /// What an older release wrote in an account's place.
    #[derive(Serialize, Deserialize)]
    struct Old(AccountV1);
    impl Record for Old {
        const TABLE: &'static str = Account::TABLE;
        const FORMAT: u8 = 1;
    }

    fn old() -> AccountV1 {
        AccountV1 {
            id: AccountId(7),
            name: "ada".into(),
            credential: None,
            mail: Some("ada@example.org".into()),
            role: Role::Admin,
            disabled: false,
            created: UnixMillis(1),
            last_login: None,
            networks: vec![IpAddr::from([192, 0, 2, 1])],
        }
    }

    #[tokio::test]
    async fn an_account_of_an_older_release_is_read_and_counts_as_confirmed() {
        let f = Fixture::new();
        let put =
            |tx: &mut crate::store::Tx<'_>| tx.put(Table::new(), AccountId(7).key(), &Old(old()));
        f.store.write(put).await.unwrap();
        let read = f.store.get(ACCOUNTS, AccountId(7).key()).unwrap().unwrap();
        assert!(read.confirmed && read.is_active_admin());
        assert_eq!((read.name.as_str(), read.networks.len()), ("ada", 1));
        let json = serde_json::to_value(old()).unwrap();
        assert_eq!(Account::upgrade_json(1, json.clone()), Some(read));
        assert_eq!(Account::upgrade_json(3, json), None);
        assert!(f.reopened().list(&root()).await.unwrap()[0].confirmed);
    }

    #[tokio::test]
    async fn everything_is_in_the_catalog_and_comes_back_from_a_backup() {
        let f = Fixture::new();
        let (ada, bob) = (
            f.person("ada", Role::Admin).await,
            f.member("bob", Role::Host).await,
        );
        let login = f.accounts.login(&web(1), "bob", &right()).await.unwrap();
        let wish = NewToken {
            label: "a script".into(),
            account: Some(bob),
            scopes: Some(vec![Verb::ServerView]),
            expires_in_s: Some(3600),
        };
        let (_, secret) = f.accounts.create_token(&root(), wish).await.unwrap();
        let grant = Grant {
            account: bob,
            server: ServerId(3),
            verbs: vec![Verb::ServerPower],
        };
        f.accounts.grant(&ada, id(&ada), grant).await.unwrap();

        let catalog = tables(audit::tables(Catalog::new()));
        assert_eq!(f.store.check(&catalog), []);
        let other = tempfile::tempdir().unwrap();
        let (store, state) = (f.store.clone(), other.path().to_owned());
        let copied = tokio::task::spawn_blocking(move || {
            let mut file = Vec::new();
            store.backup(&catalog, "now", &mut file).unwrap();
            restore(&state, &catalog, &file[..]).unwrap()
        });
        assert_eq!(copied.await.unwrap().faults, []);
        let store = Store::open(other.path()).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        let accounts = Accounts::open(store, audit.clone()).unwrap();
        assert_eq!(audit.verify().unwrap(), f.audit.verify().unwrap());
        assert_eq!(accounts.setup_token(), None);
        for secret in [&login.token, &secret] {
            assert!(accounts.by_token(&web(1), secret).await.is_ok());
        }
        assert!(accounts.by_password(&web(1), "bob", &right()).await.is_ok());
        let grants = f.accounts.grants(&root()).await.unwrap();
        assert_eq!(accounts.grants(&root()).await.unwrap(), grants);
    }
}
