//! Walking over the blocks of a segment. It serves both recovery and readers, so that they agree on what is there.
//!
//! ```text
//!  | header | bytes | header | bytes | ~~ damage ~~ | header | bytes | header | byt
//!  '---- sound -----'---- sound -----'   searched   '---- sound -----'  torn: the end
//!                                        for a header that fits the numbers before it
//! ```

use std::{fs::File, io, os::unix::fs::FileExt};

use memchr::memmem;

use super::wire::{self, DATA_MAX, HEADER, Header};

/// A walk over the blocks of one segment, which may still be growing. Remembers a position; keeps no more than a
/// block's worth of bytes in memory, and those only until `rest`.
pub(super) struct Scan {
    /// Where the next block is, or will be.
    pub(super) offset: u64,
    /// The sequence number it must have.
    pub(super) seq: u64,
    window: Vec<u8>,
    window_at: u64,
}

impl Scan {
    pub(super) fn new(offset: u64, seq: u64) -> Self {
        Self {
            offset,
            seq,
            window: Vec::new(),
            window_at: 0,
        }
    }

    /// The header of the next block that is wholly there; `None` at the end, after which more may come. Moves over
    /// damage, up to that block, but never to a number that the damaged bytes could not have held entries for.
    pub(super) fn peek(&mut self, file: &File) -> io::Result<Option<Header>> {
        let (from, seq) = (self.offset, self.seq);
        let mut at = from;
        while let Some(bytes) = self.bytes(file, at, HEADER)? {
            let fits = |header: &Header| {
                header
                    .first
                    .checked_sub(seq)
                    .is_some_and(|gap| gap <= at - from)
            };
            match Header::decode(bytes).filter(fits) {
                Some(header)
                    if self
                        .bytes(file, at, HEADER + header.bytes as usize)?
                        .is_none() =>
                {
                    return Ok(None);
                }
                Some(header) => {
                    (self.offset, self.seq) = (at, header.first);
                    return Ok(Some(header));
                }
                None => match self.search(file, at + 1)? {
                    Some(found) => at = found,
                    None => return Ok(None),
                },
            }
        }
        Ok(None)
    }

    /// The bytes of the block just peeked; `None` when they are not what was written.
    pub(super) fn data(&mut self, file: &File, header: &Header) -> io::Result<Option<&[u8]>> {
        let block = self.bytes(file, self.offset, HEADER + header.bytes as usize)?;
        Ok(block
            .map(|block| &block[HEADER..])
            .filter(|data| crc32fast::hash(data) == header.crc))
    }

    /// Moves over the block just peeked.
    pub(super) fn pass(&mut self, header: &Header) {
        self.offset += header.size();
        self.seq = header.end();
    }

    /// Frees the memory, and with it everything that may have changed in the file since.
    pub(super) fn rest(&mut self) {
        self.window = Vec::new();
    }

    /// Where a header may begin, from `at` on.
    fn search(&mut self, file: &File, mut at: u64) -> io::Result<Option<u64>> {
        loop {
            if self.bytes(file, at, HEADER)?.is_none() {
                return Ok(None);
            }
            let skip = usize::try_from(at - self.window_at).expect("within the window");
            let bytes = &self.window[skip..];
            if let Some(found) = memmem::find(bytes, wire::MAGIC) {
                return Ok(Some(at + found as u64));
            }
            at += (bytes.len() - wire::MAGIC.len() + 1) as u64;
        }
    }

    /// `len` bytes at `at`, or `None` when the file has fewer.
    fn bytes(&mut self, file: &File, at: u64, len: usize) -> io::Result<Option<&[u8]>> {
        let end = at + len as u64;
        if at < self.window_at || end > self.window_at + self.window.len() as u64 {
            let there = file.metadata()?.len().saturating_sub(at);
            if there < len as u64 {
                return Ok(None);
            }
            let size = there.min((HEADER + DATA_MAX) as u64);
            self.window
                .resize(usize::try_from(size).expect("a block's worth"), 0);
            self.window_at = at;
            if let Err(error) = file.read_exact_at(&mut self.window, at) {
                self.window.clear();
                return match error.kind() {
                    io::ErrorKind::UnexpectedEof => Ok(None), // cut meanwhile
                    _ => Err(error),
                };
            }
        }
        let from = usize::try_from(at - self.window_at).expect("within the window");
        Ok(Some(&self.window[from..from + len]))
    }
}
