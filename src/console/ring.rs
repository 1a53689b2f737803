//! Recent blocks in memory: where output waits while the disk refuses it, or all there is without a disk.

use std::collections::VecDeque;

use super::{Kind, wire};
use crate::clock::UnixMillis;

/// Bytes of one stream that were read at one time, not numbered yet.
#[derive(Debug, Clone, Copy)]
pub(super) struct Block<'a> {
    pub(super) kind: Kind,
    pub(super) time: UnixMillis,
    /// The unfinished line that waited: no newline in it.
    pub(super) held: &'a [u8],
    /// What came after it.
    pub(super) bytes: &'a [u8],
}

impl Block<'_> {
    /// How many entries it has.
    pub(super) fn lines(&self) -> u32 {
        u32::try_from(wire::count(self.held.len(), self.bytes)).expect("a block is at most 128 KiB")
    }
}

struct Kept {
    kind: Kind,
    time: UnixMillis,
    lines: u32,
    bytes: Box<[u8]>,
}

/// At most `limit` bytes of the newest blocks.
pub(super) struct Ring {
    blocks: VecDeque<Kept>,
    size: usize,
    limit: usize,
    /// Lines pushed out since they were last accounted for.
    pub(super) lost: u64,
}

impl Ring {
    /// Allocates nothing yet.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            blocks: VecDeque::new(),
            size: 0,
            limit,
            lost: 0,
        }
    }

    /// Keeps a copy, at the expense of the oldest; returns how many lines it has.
    pub(super) fn push(&mut self, block: &Block<'_>) -> u32 {
        let lines = block.lines();
        let bytes = [block.held, block.bytes].concat().into_boxed_slice();
        self.size += cost(&bytes);
        self.blocks.push_back(Kept {
            kind: block.kind,
            time: block.time,
            lines,
            bytes,
        });
        while self.size > self.limit
            && let Some(oldest) = self.pop()
        {
            self.lost += u64::from(oldest);
        }
        lines
    }

    pub(super) fn oldest(&self) -> Option<Block<'_>> {
        self.blocks().next()
    }

    /// Forgets the oldest; returns how many lines it had.
    pub(super) fn pop(&mut self) -> Option<u32> {
        let oldest = self.blocks.pop_front()?;
        self.size -= cost(&oldest.bytes);
        if self.blocks.is_empty() {
            self.blocks = VecDeque::new();
        }
        Some(oldest.lines)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// Oldest first.
    pub(super) fn blocks(&self) -> impl Iterator<Item = Block<'_>> {
        self.blocks.iter().map(|kept| Block {
            kind: kept.kind,
            time: kept.time,
            held: &[],
            bytes: &kept.bytes,
        })
    }

    /// How many lines are kept.
    pub(super) fn lines(&self) -> u64 {
        self.blocks.iter().map(|kept| u64::from(kept.lines)).sum()
    }
}

/// What a block takes, its bookkeeping included, so that floods of tiny blocks are bounded too.
fn cost(bytes: &[u8]) -> usize {
    bytes.len() + size_of::<Kept>()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_go_first_and_their_lines_are_counted() {
        let mut ring = Ring::new(1000);
        for n in 0..100u64 {
            ring.push(&Block {
                kind: Kind::Stdout,
                time: UnixMillis(n),
                held: b"a",
                bytes: b"b\nc\n",
            });
            assert!(ring.size <= 1000);
        }
        assert_eq!(ring.lost + ring.lines(), 200);
        assert_eq!(ring.blocks().last().unwrap().time, UnixMillis(99));
        while ring.pop().is_some() {}
        assert_eq!(ring.size, 0);
    }
}
