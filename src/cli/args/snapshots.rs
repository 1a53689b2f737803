//! What can be typed about snapshots.

use clap::{Args, Subcommand};

use super::Named;

/// One snapshot of a server.
#[derive(Debug, Args)]
pub(crate) struct Kept {
    #[command(flatten)]
    pub(crate) named: Named,
    /// The snapshot's id, as `snapshot list` shows it.
    #[arg(value_name = "ID")]
    pub(crate) id: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Snapshot {
    /// Take a snapshot of a server's folder; a running game is made to save first.
    Take {
        #[command(flatten)]
        named: Named,
        /// What people call it.
        #[arg(long, default_value = "")]
        label: String,
        /// Keep it until it is deleted, whatever the rules say.
        #[arg(long)]
        pin: bool,
        /// Take none rather than one that is not consistent.
        #[arg(long)]
        strict: bool,
    },
    /// List a server's snapshots, and say what goes on with them.
    List(Named),
    /// List what a snapshot holds in a folder.
    Files {
        #[command(flatten)]
        kept: Kept,
        /// The folder, below the server's.
        #[arg(default_value = "")]
        path: String,
    },
    /// Print a file out of a snapshot.
    Cat {
        #[command(flatten)]
        kept: Kept,
        /// The file, below the server's folder.
        path: String,
    },
    /// Restore all of a stopped server, or one file or folder.
    Restore {
        #[command(flatten)]
        kept: Kept,
        /// The file or folder, below the server's; all when absent.
        path: Option<String>,
        /// Put it there instead of where it was.
        #[arg(long, value_name = "PATH", requires = "path")]
        to: Option<String>,
        /// Stop the server first, and start it again if it ran.
        #[arg(long, conflicts_with = "path")]
        stop: bool,
    },
    /// Undo the last restore of a server.
    Undo {
        #[command(flatten)]
        named: Named,
        /// Stop the server first, and start it again if it ran.
        #[arg(long)]
        stop: bool,
    },
    /// Delete a snapshot, and give its room back.
    Delete(Kept),
    /// Read all that is stored of a server, and say what is damaged.
    Verify(Named),
    /// Say how many snapshots of a server stay; without an option, show it.
    Keep {
        #[command(flatten)]
        named: Named,
        /// The newest so many.
        #[arg(long, value_name = "COUNT")]
        last: Option<u32>,
        /// The newest of each of so many hours that have one.
        #[arg(long, value_name = "COUNT")]
        hourly: Option<u32>,
        /// The same by days.
        #[arg(long, value_name = "COUNT")]
        daily: Option<u32>,
        /// The same by weeks.
        #[arg(long, value_name = "COUNT")]
        weekly: Option<u32>,
    },
}
