//! Roles, verbs, and the one function that says who may do what.
//!
//! | role   | may                                                                    |
//! |--------|------------------------------------------------------------------------|
//! | guest  | nothing but be logged in; grants wait until the role is raised         |
//! | player | `server.view`, and what was granted per server                         |
//! | host   | the same, `server.create`, and everything with servers of their own    |
//! | admin  | everything                                                             |
//!
//! Ownership counts from `host` upwards: who is demoted keeps their servers, and the power over
//! them sleeps. A token's scopes are intersected with all of this and never add to it.

use serde::{Deserialize, Serialize};

/// An account's id; never reused.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct AccountId(pub u64);

/// What a person is on this box, from least to most.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
    clap::ValueEnum,
)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Looks, and plays where guests may.
    Guest,
    /// Plays.
    Player,
    /// Has servers of their own.
    Host,
    /// Everything.
    Admin,
}

/// What may be allowed, per role, per grant, per token scope.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
pub enum Verb {
    /// See that a server exists and how it is.
    #[serde(rename = "server.view")]
    ServerView,
    /// Create servers.
    #[serde(rename = "server.create")]
    ServerCreate,
    /// Start, stop, restart, kill.
    #[serde(rename = "server.power")]
    ServerPower,
    /// Change title, settings, limits.
    #[serde(rename = "server.configure")]
    ServerConfigure,
    /// Delete.
    #[serde(rename = "server.delete")]
    ServerDelete,
    /// Read the console.
    #[serde(rename = "console.read")]
    ConsoleRead,
    /// Type into the console.
    #[serde(rename = "console.write")]
    ConsoleWrite,
    /// Accounts, grants, and other people's tokens.
    #[serde(rename = "accounts.manage")]
    AccountsManage,
    /// The audit log.
    #[serde(rename = "audit.read")]
    AuditRead,
    /// Backup, and what else concerns the whole box.
    #[serde(rename = "box.manage")]
    BoxManage,
}

/// A server's id; never reused. Here, because grants name servers and hosting builds upon accounts.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    utoipa::ToSchema,
)]
#[serde(transparent)]
pub struct ServerId(pub u64);

/// What a verb is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The box as a whole.
    Box,
    /// One server and who owns it.
    Server {
        /// Its id.
        id: ServerId,
        /// Its owner.
        owner: AccountId,
    },
}

impl Verb {
    /// Whether it is about one server, and so can be granted for one.
    pub(super) fn is_per_server(self) -> bool {
        match self {
            Self::ServerView
            | Self::ServerPower
            | Self::ServerConfigure
            | Self::ServerDelete
            | Self::ConsoleRead
            | Self::ConsoleWrite => true,
            Self::ServerCreate | Self::AccountsManage | Self::AuditRead | Self::BoxManage => false,
        }
    }

    /// Whether a server's owner may give it to others.
    pub(super) fn is_owners_to_give(self) -> bool {
        matches!(
            self,
            Self::ServerView | Self::ServerPower | Self::ConsoleRead | Self::ConsoleWrite
        )
    }
}

/// What somebody's power rests on, at one moment.
#[derive(Debug, Clone, Copy)]
pub(super) struct Standing<'a> {
    pub(super) account: Option<AccountId>,
    pub(super) role: Role,
    /// What was granted to them for the server in question.
    pub(super) granted: &'a [Verb],
    pub(super) scopes: Option<&'a [Verb]>,
}

/// Whether somebody who stands so may do `verb` to `subject`.
pub(super) fn allowed(by: Standing<'_>, verb: Verb, subject: Subject) -> bool {
    if by.scopes.is_some_and(|scopes| !scopes.contains(&verb)) {
        return false;
    }
    let owns = match subject {
        Subject::Server { owner, .. } => by.account == Some(owner),
        Subject::Box => false,
    };
    let granted = verb.is_per_server() && by.granted.contains(&verb);
    match by.role {
        Role::Guest => false,
        Role::Player => verb == Verb::ServerView || granted,
        Role::Host => {
            matches!(verb, Verb::ServerView | Verb::ServerCreate)
                || granted
                || (owns && verb.is_per_server())
        }
        Role::Admin => true,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    pub(in crate::accounts) const VERBS: [Verb; 10] = [
        Verb::ServerView,
        Verb::ServerCreate,
        Verb::ServerPower,
        Verb::ServerConfigure,
        Verb::ServerDelete,
        Verb::ConsoleRead,
        Verb::ConsoleWrite,
        Verb::AccountsManage,
        Verb::AuditRead,
        Verb::BoxManage,
    ];
    const ME: AccountId = AccountId(1);

    fn server(owner: u64) -> Subject {
        Subject::Server {
            id: ServerId(1),
            owner: AccountId(owner),
        }
    }

    fn can(role: Role, granted: &[Verb], subject: Subject) -> Vec<Verb> {
        let by = Standing {
            account: Some(ME),
            role,
            granted,
            scopes: None,
        };
        VERBS
            .into_iter()
            .filter(|verb| allowed(by, *verb, subject))
            .collect()
    }

    #[test]
    fn each_role_may_what_the_table_says() {
        use Verb::*;
        let [mine, theirs] = [1, 2].map(server);
        assert_eq!(can(Role::Guest, &VERBS, mine), []);
        assert_eq!(can(Role::Player, &[], mine), [ServerView]);
        assert_eq!(
            can(Role::Player, &[ConsoleRead], theirs),
            [ServerView, ConsoleRead]
        );
        assert_eq!(
            can(Role::Host, &[], Subject::Box),
            [ServerView, ServerCreate]
        );
        assert_eq!(can(Role::Host, &[], theirs), [ServerView, ServerCreate]);
        assert_eq!(can(Role::Host, &[], mine), VERBS[..7]);
        assert_eq!(can(Role::Admin, &[], theirs), VERBS);
        // A grant of what is not about one server gives nothing.
        assert_eq!(
            can(Role::Player, &[BoxManage, ServerCreate], theirs),
            [ServerView]
        );
    }

    fn verbs() -> impl Strategy<Value = Vec<Verb>> {
        prop::collection::vec(select(&VERBS[..]), 0..6)
    }

    proptest! {
        #[test]
        fn scopes_never_widen_and_guests_never_gain(
            role in select(&[Role::Guest, Role::Player, Role::Host, Role::Admin][..]),
            granted in verbs(), scopes in verbs(), verb in select(&VERBS[..]), owner in 1u64..3, on_box: bool,
        ) {
            let subject = if on_box { Subject::Box } else { server(owner) };
            let whole = Standing { account: Some(ME), role, granted: &granted, scopes: None };
            let scoped = Standing { scopes: Some(&scopes), ..whole };
            prop_assert_eq!(allowed(scoped, verb, subject), allowed(whole, verb, subject) && scopes.contains(&verb));
            prop_assert!(role != Role::Guest || !allowed(whole, verb, subject));
            // More role is never less power, and power over the box is an administrator's alone.
            let admin = Standing { role: Role::Admin, ..whole };
            prop_assert!(allowed(admin, verb, subject));
            let box_only = matches!(verb, Verb::AccountsManage | Verb::AuditRead | Verb::BoxManage);
            prop_assert!(!box_only || role == Role::Admin || !allowed(whole, verb, subject));
        }
    }
}
