//! What is counted: plainly within a batch, then added once to the shard's own figures.

use std::{
    ops::{Index, IndexMut},
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

/// What is counted; what it means is said at [`Tally`](super::Tally).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Count {
    Packets,
    Deliveries,
    Coalesced,
    Words,
    Malformed,
    Strangers,
    Misplaced,
    Unsound,
    Unproven,
    Limited,
    Unsent,
    GsoRefused,
    /// Nanoseconds spent on batches.
    Busy,
}

const COUNTS: usize = Count::Busy as usize + 1;

/// One number each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts([u64; COUNTS]);

impl Counts {
    /// What was sent in vain: nobody who belongs here would have sent it, or not so much.
    pub(super) fn vain(&self) -> u64 {
        use Count::{Limited, Malformed, Misplaced, Strangers, Unproven, Unsound};
        let vain = [Malformed, Strangers, Misplaced, Unsound, Unproven, Limited];
        vain.map(|count| self[count]).iter().sum()
    }

    pub(super) fn add(&mut self, more: &Self) {
        for (sum, more) in self.0.iter_mut().zip(more.0) {
            *sum += more;
        }
    }
}

impl Index<Count> for Counts {
    type Output = u64;

    fn index(&self, count: Count) -> &u64 {
        &self.0[count as usize]
    }
}

impl IndexMut<Count> for Counts {
    fn index_mut(&mut self, count: Count) -> &mut u64 {
        &mut self.0[count as usize]
    }
}

/// What one shard counted. One task adds, anybody reads.
#[derive(Debug, Default)]
#[repr(align(64))]
pub(super) struct Counters([AtomicU64; COUNTS]);

impl Counters {
    /// Adds up a batch; by the shard's task only, and so without a locked instruction.
    pub(super) fn add(&self, batch: &Counts) {
        for (sum, more) in self.0.iter().zip(batch.0) {
            if more > 0 {
                sum.store(sum.load(Relaxed) + more, Relaxed);
            }
        }
    }

    pub(super) fn read(&self) -> Counts {
        let mut counts = Counts::default();
        for (count, sum) in counts.0.iter_mut().zip(&self.0) {
            *count = sum.load(Relaxed);
        }
        counts
    }
}
