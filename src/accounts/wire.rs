//! What the API says and hears about people. Types only.

use std::fmt;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use super::{AccountId, MailState, Principal, Role, Secret, ServerId, Verb};
use crate::clock::UnixMillis;

/// An account as the API reads it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct AccountView {
    /// Its id.
    pub id: AccountId,
    /// Its name: 1 to 32 of a-z, 0-9 and single inner hyphens, starting with a letter.
    pub name: String,
    /// Its role.
    pub role: Role,
    /// Its mail address.
    pub mail: Option<String>,
    /// May not come in.
    pub disabled: bool,
    /// May come in: false while somebody who registered by themselves waits for an administrator's word.
    pub confirmed: bool,
    /// What is known of its mail address; `changed` and `new` keep them from coming in until it is verified.
    pub mail_state: MailState,
    /// When it was created.
    #[schema(value_type = String)]
    pub created: UnixMillis,
    /// When somebody last came in with it.
    #[schema(value_type = Option<String>)]
    pub last_login: Option<UnixMillis>,
}

/// A wish for a new account.
#[derive(Debug, Clone, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewAccount {
    /// Its name.
    pub name: String,
    /// Its role; `player` when absent.
    pub role: Option<Role>,
    /// Its password; without one nobody can come in until one is set.
    pub password: Option<Secret>,
    /// Its mail address.
    pub mail: Option<String>,
}

/// A change to an account; absent fields stay.
#[derive(Debug, Clone, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct AccountPatch {
    /// New role. The last enabled administrator keeps theirs.
    pub role: Option<Role>,
    /// Disable or enable; disabling ends all sessions at once.
    pub disabled: Option<bool>,
    /// New mail address; empty takes it away.
    pub mail: Option<String>,
    /// Let somebody in who registered by themselves, or take that back, which ends all sessions at once.
    pub confirmed: Option<bool>,
}

/// Somebody wants an account that begins once its mail address is verified.
#[derive(Debug, Clone)]
pub struct Enrolment<'a> {
    /// The name.
    pub name: &'a str,
    /// The password, or what the client sends in its place.
    pub password: &'a Secret,
    /// Where the link goes.
    pub mail: &'a str,
    /// Where the browser goes after the verification, with `%(uid)s` and `%(username)s` to be filled; checked by the
    /// caller.
    pub success: Option<String>,
}

/// Somebody has shown that a mail address is theirs.
#[derive(Debug, Clone)]
pub struct Verified {
    /// Their account.
    pub account: AccountView,
    /// Where their browser wants to go; to be checked before it is sent there.
    pub success: Option<String>,
}

/// Somebody who has just made their own account.
#[derive(Debug, Clone)]
pub struct Registered {
    /// Their account.
    pub account: AccountView,
    /// Who has come in with it; none while an administrator has to let them in first.
    pub by: Option<Principal>,
}

/// A fresh session.
#[derive(Clone)]
pub struct Login {
    /// Who.
    pub account: AccountView,
    /// The session's secret, for the cookie or as a bearer token.
    pub token: String,
    /// When it ends.
    pub expires: UnixMillis,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("account", &self.account)
            .field("expires", &self.expires)
            .finish_non_exhaustive()
    }
}

/// A bearer token as the API lists it, without its secret.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct TokenView {
    /// Its id.
    pub id: u64,
    /// Whose it is.
    pub account: AccountId,
    /// What it is for.
    pub label: String,
    /// The only verbs it can do; absent: all of its owner's.
    pub scopes: Option<Vec<Verb>>,
    /// When it ends; absent: never.
    #[schema(value_type = Option<String>)]
    pub expires: Option<UnixMillis>,
    /// When it was made.
    #[schema(value_type = String)]
    pub created: UnixMillis,
}

/// A wish for a token.
#[derive(Debug, Clone, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    /// What it is for.
    pub label: String,
    /// Whose; the caller's when absent. Somebody else's needs `accounts.manage`.
    pub account: Option<AccountId>,
    /// The only verbs it can do; all of its owner's when absent.
    pub scopes: Option<Vec<Verb>>,
    /// Seconds until it ends; never when absent.
    pub expires_in_s: Option<u64>,
}

/// What one account may do with one server that is not its own.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Grant {
    /// Who may.
    pub account: AccountId,
    /// With which server.
    pub server: ServerId,
    /// What.
    pub verbs: Vec<Verb>,
}
