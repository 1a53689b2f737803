//! What can be typed about what servers do by the clock.

use clap::{ArgGroup, Args, Subcommand};

use super::Named;

/// One schedule of one server.
#[derive(Debug, Args)]
pub(crate) struct Planned {
    #[command(flatten)]
    pub(crate) named: Named,
    /// The schedule's id, as `schedule list` shows it.
    #[arg(value_name = "SCHEDULE")]
    pub(crate) id: u64,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Schedule {
    /// List a server's schedules, and how each last went.
    List(Named),
    /// Write a schedule; prints its id.
    Add {
        #[command(flatten)]
        named: Named,
        /// Minute, hour, day of month, month, day of week, like "0 4 * * *"; or @hourly, @daily, @weekly, @monthly, @yearly.
        cron: String,
        /// What it does, one word in quotes per step: start, stop, restart, "command LINE", "snapshot LABEL" or just snapshot, "wait TIME".
        #[arg(value_name = "STEP", required = true)]
        steps: Vec<String>,
        /// What people call it; what it does when absent.
        #[arg(long)]
        name: Option<String>,
        /// The time zone, like Europe/Berlin; the box's when absent.
        #[arg(long)]
        zone: Option<String>,
        /// Only write it: it runs when it is told to, or once it is enabled.
        #[arg(long)]
        disabled: bool,
    },
    /// Change a schedule.
    #[command(group = ArgGroup::new("change").required(true).multiple(true))]
    Set {
        #[command(flatten)]
        planned: Planned,
        /// Other steps, as a whole.
        #[arg(value_name = "STEP", group = "change")]
        steps: Vec<String>,
        /// Another cron text.
        #[arg(long, group = "change")]
        cron: Option<String>,
        /// Another name.
        #[arg(long, group = "change")]
        name: Option<String>,
        /// Another time zone; empty: the box's.
        #[arg(long, group = "change")]
        zone: Option<String>,
        /// Let it run by itself.
        #[arg(long, group = "change", conflicts_with = "disable")]
        enable: bool,
        /// Let it run only when it is told to.
        #[arg(long, group = "change")]
        disable: bool,
    },
    /// Delete a schedule; a run of it ends with the step that it is at.
    Delete(Planned),
    /// Run a schedule now, and wait for its end.
    Run {
        #[command(flatten)]
        planned: Planned,
        /// Do not wait for its end.
        #[arg(long)]
        no_wait: bool,
    },
}
