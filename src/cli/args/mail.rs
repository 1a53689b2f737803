//! What can be typed about letters.

use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub(crate) enum Mail {
    /// List the letters that have not left, with their links while no mail server is configured.
    List,
    /// Try a letter again at once.
    Retry {
        /// Its id.
        id: u64,
    },
    /// Take a letter out for good.
    Drop {
        /// Its id.
        id: u64,
    },
    /// Write a letter that shows whether mail leaves the box.
    Test {
        /// The address that it goes to.
        to: String,
    },
}
