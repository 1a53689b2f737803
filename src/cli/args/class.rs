//! What can be typed about resource classes.

use clap::Subcommand;

use super::{Change, values::Bound};

#[derive(Debug, Subcommand)]
pub(crate) enum Class {
    /// List the classes, and what their servers may use at most.
    List,
    /// Change a class; its servers follow at their next start.
    Set {
        /// 0 to 9.
        #[arg(value_parser = clap::value_parser!(u8).range(0..=9))]
        number: u8,
        /// What people call it.
        #[arg(long)]
        name: Option<String>,
        /// Whether hosts may put servers into it; else only administrators do.
        #[arg(long, value_name = "YES")]
        hosts: Option<bool>,
        #[command(flatten)]
        ceiling: Ceiling,
    },
}

/// What the servers of a class may use at most, and when they are left to rest.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct Ceiling {
    /// Memory, like 512M or 2G; `none` for no limit.
    #[arg(long, value_name = "BYTES", value_parser = super::memory)]
    memory: Option<Bound<u64>>,
    /// Processor, in percent of one; `none` for no limit.
    #[arg(long, value_name = "PERCENT", value_parser = super::number::<u32>)]
    cpu: Option<Bound<u32>>,
    /// Processes and threads; `none` for no limit.
    #[arg(long, value_name = "COUNT", value_parser = super::number::<u32>)]
    pids: Option<Bound<u32>>,
    /// What the files take, like 20G; `none` for no limit.
    #[arg(long, value_name = "BYTES", value_parser = super::memory)]
    disk: Option<Bound<u64>>,
    /// Players at once; `none` for no limit.
    #[arg(long, value_name = "COUNT", value_parser = super::number::<u32>)]
    players: Option<Bound<u32>>,
    /// Stop a game when nobody has played for so long, like 24h; `never`, or `class` for the usual.
    #[arg(long, value_name = "TIME", value_parser = super::wait)]
    idle_stop: Option<Bound<crate::hosting::Wait>>,
    /// Give back what is reserved so long after it stopped, like 1h; `never`, or `class` for the usual.
    #[arg(long, value_name = "TIME", value_parser = super::wait)]
    idle_release: Option<Bound<crate::hosting::Wait>>,
}

impl From<Ceiling> for Change {
    fn from(ceiling: Ceiling) -> Self {
        Self {
            memory: ceiling.memory,
            cpu: ceiling.cpu,
            pids: ceiling.pids,
            disk: ceiling.disk,
            players: ceiling.players,
            idle_stop: ceiling.idle_stop,
            idle_release: ceiling.idle_release,
            ..Self::default()
        }
    }
}
