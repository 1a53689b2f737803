//! What can be typed about voice.

use clap::{Args, Subcommand};

/// How a voice channel is named on the command line.
#[derive(Debug, Args)]
pub(crate) struct Channel {
    /// The channel's id, or its title when no other channel has it.
    #[arg(value_name = "CHANNEL")]
    pub(crate) channel: String,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Voice {
    /// List the channels.
    List,
    /// Create a channel on a UDP port of its own; prints its id.
    Create {
        /// What people call it; `channel N` when absent.
        #[arg(long)]
        title: Option<String>,
    },
    /// End a channel at once; everybody in it is told.
    Delete(Channel),
    /// Remove somebody from a channel. They may come back.
    Kick {
        #[command(flatten)]
        channel: Channel,
        /// Their uid, as `voice stats CHANNEL` shows it, or the name of their account.
        #[arg(value_name = "UID")]
        who: String,
    },
    /// All of voice in figures, or all of one channel and who is in it.
    Stats {
        /// The channel's id, or its title when no other channel has it.
        channel: Option<String>,
    },
    /// Say what happens in the channels, or in one, until it ends.
    Watch {
        /// The channel's id, or its title when no other channel has it.
        channel: Option<String>,
    },
}
