//! What can be typed about people, and about what they did.

use std::time::Duration;

use clap::{ArgGroup, Subcommand};

use super::{Named, values::verbs};
use crate::{
    accounts::{Role, Verb},
    cli::permissions::Allowed,
};

#[derive(Debug, Subcommand)]
pub(crate) enum User {
    /// Add somebody. Asks for their password on a terminal.
    Add {
        /// 1 to 32 of a-z, 0-9 and single inner hyphens, starting with a letter.
        name: String,
        /// What they are on this box.
        #[arg(long, default_value = "player")]
        role: Role,
        /// Their mail address.
        #[arg(long)]
        mail: Option<String>,
        /// Read the password from standard input.
        #[arg(long, conflicts_with = "no_password")]
        password_stdin: bool,
        /// Let nobody in until `user passwd` sets a password.
        #[arg(long)]
        no_password: bool,
    },
    /// List everybody.
    List,
    /// Show all of one account.
    Show {
        /// Who.
        name: String,
    },
    /// Change several things of an account at once.
    #[command(group = ArgGroup::new("change").required(true).multiple(true))]
    Edit {
        /// Who.
        name: String,
        /// Their mail address; empty takes it away.
        #[arg(long, group = "change")]
        mail: Option<String>,
        /// What they are on this box.
        #[arg(long, group = "change")]
        role: Option<Role>,
        /// Whether they are let in no more.
        #[arg(long, value_name = "BOOL", group = "change")]
        disabled: Option<bool>,
        /// Whether they, who registered by themselves, are let in.
        #[arg(long, value_name = "BOOL", group = "change")]
        confirmed: Option<bool>,
    },
    /// Let somebody in who registered by themselves (`accounts.registration` is `confirm`).
    Confirm {
        /// Who.
        name: String,
    },
    /// Show or set what somebody may do in the lobby.
    Permissions {
        /// Who.
        name: String,
        /// `default` (as their role says), a mask like 7 or 0x1f, or words with commas between them: admin, host, registered, guest, chatbot, join_table and so on.
        #[arg(value_name = "PERMISSIONS")]
        permissions: Option<Allowed>,
    },
    /// Change what somebody is on this box.
    Role {
        /// Who.
        name: String,
        /// What.
        role: Role,
    },
    /// Set somebody's password. Asks for it on a terminal.
    Passwd {
        /// Who.
        name: String,
        /// Read the password from standard input.
        #[arg(long)]
        password_stdin: bool,
    },
    /// Let somebody in no more; ends their sessions at once.
    Disable {
        /// Who.
        name: String,
    },
    /// Let somebody in again.
    Enable {
        /// Who.
        name: String,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Make a token for somebody. Its secret is printed this once.
    Create {
        /// Whose it is.
        user: String,
        /// What it is for.
        label: String,
        /// A verb that it can do, like console.read; several may be named. Without any: all that its owner may.
        #[arg(long = "scope", value_name = "VERB", value_parser = verbs())]
        scopes: Vec<Verb>,
        /// When it ends, like 12h or 30d; never when absent.
        #[arg(long, value_name = "AFTER", value_parser = humantime::parse_duration)]
        expires: Option<Duration>,
    },
    /// List the tokens, without their secrets.
    List,
    /// Revoke a token.
    Revoke {
        /// Its id.
        id: u64,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Grant {
    /// List the grants.
    List,
    /// Say what somebody may do with a server; no verbs: nothing more than everybody.
    Set {
        /// Who.
        user: String,
        #[command(flatten)]
        named: Named,
        /// What.
        #[arg(value_name = "VERB", value_parser = verbs())]
        verbs: Vec<Verb>,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum Audit {
    /// List records, oldest first.
    List {
        /// Begin with this record instead of the newest ones.
        #[arg(long, value_name = "SEQ")]
        since: Option<u64>,
        /// How many.
        #[arg(short = 'n', long, value_name = "COUNT", default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=10_000))]
        count: u64,
    },
    /// Check that no record was removed or changed.
    Verify,
}
