//! People: credentials, roles, grants, tokens, sessions, at every door.
//!
//! Owns who somebody is and what they may do. Refuses to know what a server is (grants name them by
//! id, and hosting says who owns one) and how a door speaks. Answers MyOTTD's mauthd (seed 000) and
//! the accounts of Eternity's master server (seed 001), whose clients only ever send the SHA-1 of a
//! password: what is kept is Argon2id over that.
//!
//! ```text
//!  door: name + password ─► throttle ─► remembered? ─► Argon2id ─► account ─┬─► principal (Basic)
//!                              │ too many: LockedOut     (2 at once)        └─► session ─► secret
//!  stranger: name + password ─► policy ─► quota ─► Argon2id ─► new account ─► principal, or a wait
//!  door: secret ──────────► SHA-256 ─► session or token in memory ─► principal
//!                              │ unknown: throttle           allows(principal, verb, subject)
//!
//!  change: audit intent ─► transaction, durable ─► memory read anew from the store ─► outcome
//! ```
//!
//! - **Memory** holds every account, session, token and grant, so that a request asks no disk. It is
//!   changed only after the store acknowledged, by reading what was touched from the store again; a
//!   change runs in a task of its own, so that a caller who hangs up cannot leave it half done.
//! - **Sessions** last 30 days from login, used or not. An account has at
//!   most 32; the oldest gives way. Disabling ends them all, a new password all but the one that set
//!   it. Of every secret only the SHA-256 is stored.
//! - **Tokens** start with `lh_` and sleep while their account is disabled. A new password leaves
//!   them alone; they are revoked one by one.
//! - **Registration** is open, asks for an administrator's word, or is closed ([`Policy`]). Who waits for
//!   that word is refused like a wrong password. New accounts are counted per network, in memory, and
//!   only those that are let through are recorded: a stranger cannot fill the record.
//! - **Mail addresses**: who enrols comes in once they have opened the mailed link; who changes their address, before
//!   the next login. A link is good once, for one account, purpose and address, for 4 days or (for a new password) an
//!   hour; only the SHA-256 of its secret is stored, and a new one ends the older.
//! - **Set-up** is open until the first administrator exists, however they were made, and never
//!   again: the last one cannot be demoted or disabled.
//! - **Audit**: every change; of logins those that open a session, and an account's lockout when it
//!   begins. Name and password per request (HTTP Basic) leave no record of their own, only what they
//!   then do.
//! - **Backup** takes everything. A restored box stands as it stood: passwords, tokens and sessions
//!   of that moment are good again, for as long as they last.

mod credentials;
mod doors;
mod enrol;
#[cfg(test)]
mod fixture;
mod grants;
mod links;
mod mailbox;
mod manage;
mod names;
mod people;
mod proof;
mod quota;
mod records;
mod register;
mod roles;
mod secret;
mod service;
mod throttle;
mod tokens;
mod turns;
mod wire;

use std::{net::IpAddr, time::Duration};

use crate::audit::{Actor, AuditError, Door};
use crate::mail::MailError;
use crate::store::{Catalog, StoreError};

pub use links::success_url;
#[cfg(test)]
pub(crate) use names::name as account_name;
pub use records::{Account, GrantRecord, MailState, MailToken, NameRecord, Session, Setup, Token};
pub use register::Policy;
pub use roles::{AccountId, Role, ServerId, Subject, Verb};
pub use secret::{Secret, SessionId};
pub use service::Accounts;
pub use wire::{
    AccountPatch, AccountView, Enrolment, Grant, Login, NewAccount, NewToken, Registered,
    TokenView, Verified,
};

/// The catalog, with the records of this room.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    catalog
        .with::<Account>()
        .with::<NameRecord>()
        .with::<Session>()
        .with::<Token>()
        .with::<GrantRecord>()
        .with::<MailToken>()
        .with::<Setup>()
}

/// Who asks, once they have proved it.
#[derive(Debug, Clone)]
pub struct Principal {
    /// For the audit log.
    pub actor: Actor,
    /// Their role.
    pub role: Role,
    /// With a scoped token: only these verbs. `None`: all that the role and the grants give.
    pub scopes: Option<Vec<Verb>>,
    /// What they proved it with.
    pub via: Via,
}

/// What somebody came in with. When a session or token ends, so does the power of every
/// [`Principal`] that it made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Via {
    /// The box itself, or the control socket.
    Local,
    /// Name and password, for one request.
    Password,
    /// A session.
    Session(SessionId),
    /// The bearer token with this id.
    Token(u64),
}

/// Where a request comes in, before anybody has proved anything.
#[derive(Debug, Clone, Copy)]
pub struct Caller {
    /// The door.
    pub door: Door,
    /// The peer's address.
    pub from: Option<IpAddr>,
}

/// What accounts refuse. Each variant is a fact with its subject.
#[derive(Debug, thiserror::Error)]
pub enum AccountsError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The audit record could not be written.
    #[error(transparent)]
    Audit(#[from] AuditError),
    /// The name or the password is wrong, or the account is disabled: a stranger learns no more.
    #[error("wrong name or password")]
    WrongCredentials,
    /// The token is unknown, ended or revoked.
    #[error("this token is not valid")]
    WrongToken,
    /// Too many failures; come back later.
    #[error("too many failed attempts: try again in {} s", .retry_after.as_secs())]
    LockedOut {
        /// When trying again makes sense.
        retry_after: Duration,
    },
    /// The letter cannot be written.
    #[error(transparent)]
    Mail(#[from] MailError),
    /// The mail address has to be verified first.
    #[error("the mail address of `{0}` has not been verified: open the link that was mailed there")]
    Unverified(String),
    /// The mail address has been verified before.
    #[error("the mail address of `{0}` has been verified already")]
    AlreadyVerified(String),
    /// The link was used, has expired, gave way to a newer one, or never was.
    #[error("this link has been used or has expired")]
    LinkGone,
    /// Too many letters to one address, or wanted from one place.
    #[error("too many letters: try again in {} s", .retry_after.as_secs().max(1))]
    TooManyLetters {
        /// When trying again makes sense.
        retry_after: Duration,
    },
    /// The set-up is done, or the token is not the printed one.
    #[error("the set-up token is wrong or has been used")]
    SetupRefused,
    /// The principal may not do that.
    #[error("you may not do that: it needs {0}")]
    Forbidden(&'static str),
    /// No such account.
    #[error("no account `{0}`")]
    NoSuchAccount(String),
    /// The name is taken.
    #[error("the name `{0}` is taken")]
    NameTaken(String),
    /// The name cannot be one.
    #[error(
        "`{0}` cannot be a name: 1 to 32 of a-z, 0-9 and single inner hyphens, starting with a letter"
    )]
    BadName(String),
    /// The password cannot be one.
    #[error("the password is too {0}: 8 to 1024 bytes")]
    BadPassword(&'static str),
    /// No such token or grant.
    #[error("no {what} {id}")]
    NoSuch {
        /// `token` or `grant`.
        what: &'static str,
        /// Its id.
        id: String,
    },
    /// A field that cannot be what it was asked to be.
    #[error("the {what} {why}")]
    Invalid {
        /// The field, as people call it.
        what: &'static str,
        /// What is wrong with it.
        why: &'static str,
    },
    /// Too many passwords are being checked at this moment.
    #[error("too many people are coming in at once: try again in a moment")]
    Busy,
    /// Nobody makes their own account here.
    #[error("this box takes no registrations: an administrator makes accounts")]
    RegistrationClosed,
    /// Too many new accounts from one place; come back later.
    #[error("too many new accounts: try again in {} s", .retry_after.as_secs().max(1))]
    TooManyRegistrations {
        /// When trying again makes sense.
        retry_after: Duration,
    },
    /// The last enabled administrator cannot be disabled or demoted.
    #[error("`{0}` is the last administrator and stays one")]
    LastAdmin(String),
}
