//! Roles, verbs, and the one function that says who may do what.
//!
//! | role   | may                                                                    |
//! |--------|------------------------------------------------------------------------|
//! | guest  | nothing but be logged in; grants wait until the role is raised         |
//! | player | `server.view`, `voice.join`, `lobby.join`, and what was granted per server |
//! | host   | the same, `server.create`, `voice.create`, `lobby.moderate`, and everything with servers and channels of their own |
//! | admin  | everything                                                             |
//!
//! Ownership counts from `host` upwards: who is demoted keeps their servers, and the power over
//! them sleeps. A token's scopes are intersected with all of this and never add to it.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// An account's id; never reused.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
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
    ToSchema,
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
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
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
    /// See voice channels and talk in them.
    #[serde(rename = "voice.join")]
    VoiceJoin,
    /// Create voice channels.
    #[serde(rename = "voice.create")]
    VoiceCreate,
    /// Delete voice channels and remove people from them.
    #[serde(rename = "voice.manage")]
    VoiceManage,
    /// See the lobby, play and talk in it.
    #[serde(rename = "lobby.join")]
    LobbyJoin,
    /// Gag, remove and ban people of the lobby.
    #[serde(rename = "lobby.moderate")]
    LobbyModerate,
    /// The lobby's rooms, games and permissions.
    #[serde(rename = "lobby.manage")]
    LobbyManage,
    /// List and read a server's files.
    #[serde(rename = "files.read")]
    FilesRead,
    /// Write, move and delete a server's files.
    #[serde(rename = "files.write")]
    FilesWrite,
    /// Take a server's snapshots, restore and delete them.
    #[serde(rename = "server.snapshot")]
    ServerSnapshot,
}

/// A server's id; never reused. Here, because grants name servers and hosting builds upon accounts.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema,
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
    /// A voice channel.
    Channel {
        /// The account that created it, if one did.
        owner: Option<AccountId>,
    },
}

impl Verb {
    /// As scopes, grants and messages call it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::ServerView => "server.view",
            Self::ServerCreate => "server.create",
            Self::ServerPower => "server.power",
            Self::ServerConfigure => "server.configure",
            Self::ServerDelete => "server.delete",
            Self::ConsoleRead => "console.read",
            Self::ConsoleWrite => "console.write",
            Self::AccountsManage => "accounts.manage",
            Self::AuditRead => "audit.read",
            Self::BoxManage => "box.manage",
            Self::VoiceJoin => "voice.join",
            Self::VoiceCreate => "voice.create",
            Self::VoiceManage => "voice.manage",
            Self::LobbyJoin => "lobby.join",
            Self::LobbyModerate => "lobby.moderate",
            Self::LobbyManage => "lobby.manage",
            Self::FilesRead => "files.read",
            Self::FilesWrite => "files.write",
            Self::ServerSnapshot => "server.snapshot",
        }
    }

    /// Whether it is about one server, and so can be granted for one.
    pub(super) fn is_per_server(self) -> bool {
        match self {
            Self::ServerView
            | Self::ServerPower
            | Self::ServerConfigure
            | Self::ServerDelete
            | Self::ConsoleRead
            | Self::ConsoleWrite
            | Self::FilesRead
            | Self::FilesWrite
            | Self::ServerSnapshot => true,
            Self::ServerCreate
            | Self::AccountsManage
            | Self::AuditRead
            | Self::BoxManage
            | Self::VoiceJoin
            | Self::VoiceCreate
            | Self::VoiceManage
            | Self::LobbyJoin
            | Self::LobbyModerate
            | Self::LobbyManage => false,
        }
    }

    /// Whether a server's owner may give it to others.
    pub(super) fn is_owners_to_give(self) -> bool {
        matches!(
            self,
            Self::ServerView
                | Self::ServerPower
                | Self::ConsoleRead
                | Self::ConsoleWrite
                | Self::FilesRead
                | Self::FilesWrite
                | Self::ServerSnapshot
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
    let own = match subject {
        Subject::Server { owner, .. } => by.account == Some(owner) && verb.is_per_server(),
        Subject::Channel { owner } => {
            owner.is_some() && by.account == owner && verb == Verb::VoiceManage
        }
        Subject::Box => false,
    };
    let granted = verb.is_per_server() && by.granted.contains(&verb);
    match by.role {
        Role::Guest => false,
        Role::Player => {
            matches!(verb, Verb::ServerView | Verb::VoiceJoin | Verb::LobbyJoin) || granted
        }
        Role::Host => {
            matches!(
                verb,
                Verb::ServerView
                    | Verb::ServerCreate
                    | Verb::VoiceJoin
                    | Verb::VoiceCreate
                    | Verb::LobbyJoin
                    | Verb::LobbyModerate
            ) || granted
                || own
        }
        Role::Admin => true,
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::{prelude::*, sample::select};

    use super::*;

    pub(in crate::accounts) const VERBS: [Verb; 16] = [
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
        Verb::VoiceJoin,
        Verb::VoiceCreate,
        Verb::VoiceManage,
        Verb::LobbyJoin,
        Verb::LobbyModerate,
        Verb::LobbyManage,
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
        let players = [ServerView, VoiceJoin, LobbyJoin];
        assert_eq!(can(Role::Player, &[], mine), players);
        assert_eq!(
            can(Role::Player, &[ConsoleRead], theirs),
            [ServerView, ConsoleRead, VoiceJoin, LobbyJoin]
        );
        let lobby = [LobbyJoin, LobbyModerate];
        let talk = [ServerView, ServerCreate, VoiceJoin, VoiceCreate];
        let hosts = [&talk[..], &lobby].concat();
        assert_eq!(can(Role::Host, &[], Subject::Box), hosts);
        assert_eq!(can(Role::Host, &[], theirs), hosts);
        assert_eq!(
            can(Role::Host, &[], mine),
            [&VERBS[..7], &[VoiceJoin, VoiceCreate], &lobby].concat()
        );
        let [channel, foreign] = [1, 2].map(|owner| Subject::Channel {
            owner: Some(AccountId(owner)),
        });
        let nobodys = Subject::Channel { owner: None };
        assert_eq!(
            can(Role::Host, &[], channel),
            [&talk[..], &[VoiceManage], &lobby].concat()
        );
        assert_eq!(can(Role::Host, &[], foreign), hosts);
        assert_eq!(can(Role::Host, &[], nobodys), hosts);
        assert_eq!(can(Role::Player, &[], channel), players);
        assert_eq!(can(Role::Admin, &[], theirs), VERBS);
        // A grant of what is not about one server gives nothing.
        assert_eq!(
            can(
                Role::Player,
                &[BoxManage, ServerCreate, LobbyManage],
                theirs
            ),
            players
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
            let box_only = matches!(
                verb,
                Verb::AccountsManage | Verb::AuditRead | Verb::BoxManage | Verb::LobbyManage
            );
            prop_assert!(!box_only || role == Role::Admin || !allowed(whole, verb, subject));
        }
    }
}
