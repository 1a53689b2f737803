//! Which cores relays have, and which the members.

use std::{fs, io};

use nix::{
    sched::{CpuSet, sched_getaffinity},
    unistd::Pid,
};
use serde::Serialize;

/// Cores that this program may use, and for what.
#[derive(Debug, Serialize)]
pub(crate) struct Cores {
    /// The relay's.
    pub(crate) relay: Vec<usize>,
    /// The members', and the strangers'.
    pub(crate) load: Vec<usize>,
}

impl Cores {
    /// One for the relay; the others for the load, first those that are not its twin.
    pub(crate) fn find() -> io::Result<Self> {
        let allowed = sched_getaffinity(Pid::from_raw(0))?;
        let mut cores: Vec<_> = (0..CpuSet::count())
            .filter(|core| allowed.is_set(*core).unwrap_or(false))
            .collect();
        let relay = cores.remove(0);
        let twins = twins(relay);
        cores.sort_by_key(|core| twins.contains(core));
        if cores.is_empty() {
            cores.push(relay);
        }
        Ok(Self {
            relay: vec![relay],
            load: cores,
        })
    }

    /// So many for the relay, and for the load as many or, where there are, twice as many.
    pub(crate) fn for_shards(&self, shards: usize) -> Option<(Vec<usize>, Vec<usize>)> {
        let mut all = self.relay.clone();
        all.extend(&self.load);
        let mut load = all.split_off(shards.min(all.len()));
        load.truncate(2 * shards);
        (load.len() >= shards).then_some((all, load))
    }
}

/// The threads of a core's own core.
fn twins(core: usize) -> Vec<usize> {
    let path = format!("/sys/devices/system/cpu/cpu{core}/topology/thread_siblings_list");
    let list = fs::read_to_string(path).unwrap_or_default();
    list.trim()
        .split(',')
        .filter_map(|part| {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            Some(first.parse().ok()?..=last.parse().ok()?)
        })
        .flatten()
        .collect()
}
