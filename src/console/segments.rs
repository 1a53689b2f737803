//! The files of a console: `FIRST.seg`, where FIRST is the sequence number of its first entry, in 20 digits.
//!
//! Appending writes whole blocks at a known offset with one call; what a failed write left behind is cut off, or
//! overwritten by the next. The newest segment is never deleted, because the numbers go on from it.

use std::{
    collections::VecDeque,
    fs::{self, File, OpenOptions},
    io::{self, IoSlice},
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

use nix::sys::uio::pwritev;

use super::{ring::Block, scan::Scan, wire::Header};
use crate::clock::UnixMillis;

/// A history smaller than this is not worth having.
const HISTORY_MIN: u64 = 512 * 1024;
/// Bounds of a segment's size.
const SEGMENT: (u64, u64) = (160 * 1024, 4 * 1024 * 1024);

/// The first sequence numbers of the segments in `dir`, in order; none when there is no such folder.
pub(super) fn list(dir: &Path) -> io::Result<Vec<u64>> {
    let entries = match fs::read_dir(dir) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut firsts = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let digits = name.to_str().and_then(|name| name.strip_suffix(".seg"));
        firsts.extend(
            digits
                .filter(|d| d.len() == 20)
                .and_then(|d| d.parse::<u64>().ok()),
        );
    }
    firsts.sort_unstable();
    Ok(firsts)
}

/// The file of the segment that begins with `first`.
pub(super) fn path(dir: &Path, first: u64) -> PathBuf {
    dir.join(format!("{first:020}.seg"))
}

/// The appender: the newest segment open, the others known by size.
pub(super) struct Segments {
    dir: PathBuf,
    limit: u64,
    older: VecDeque<(u64, u64)>,
    file: Option<File>,
    first: u64,
    len: u64,
    /// The sequence number of the next entry.
    pub(super) next: u64,
    /// The newest block's time, when opened.
    pub(super) last: UnixMillis,
}

impl Segments {
    /// Finds the last whole block, and cuts off what follows it.
    pub(super) fn open(dir: &Path, limit: u64) -> io::Result<Self> {
        let mut segments = Self {
            dir: dir.to_owned(),
            limit: limit.max(HISTORY_MIN),
            older: VecDeque::new(),
            file: None,
            first: 1,
            len: 0,
            next: 1,
            last: UnixMillis::default(),
        };
        let mut told = false;
        for first in list(dir)?.into_iter().rev() {
            let newest = segments.file.is_none();
            let path = path(dir, first);
            if newest || !told {
                // An empty newest segment does not tell the time: the one before does.
                let file = OpenOptions::new().read(true).write(true).open(&path)?;
                let mut scan = Scan::new(0, first);
                while let Some(header) = scan.peek(&file)? {
                    segments.last = segments.last.max(header.time);
                    scan.pass(&header);
                    told = true;
                }
                if newest {
                    file.set_len(scan.offset)?;
                    (segments.first, segments.len, segments.next) = (first, scan.offset, scan.seq);
                    segments.file = Some(file);
                    continue;
                }
            }
            segments
                .older
                .push_front((first, fs::metadata(&path)?.len()));
        }
        segments.prune();
        Ok(segments)
    }

    /// Writes blocks after the last, in one call, all or none; on failure nothing has changed.
    pub(super) fn append<const N: usize>(&mut self, blocks: [&Block<'_>; N]) -> io::Result<()> {
        let (mut next, mut size) = (self.next, 0);
        let headers = blocks.map(|block| {
            let mut crc = crc32fast::Hasher::new();
            crc.update(block.held);
            crc.update(block.bytes);
            let header = Header {
                first: next,
                time: block.time,
                kind: block.kind,
                lines: block.lines(),
                bytes: u32::try_from(block.held.len() + block.bytes.len())
                    .expect("a block is at most 128 KiB"),
                crc: crc.finalize(),
            };
            next = header.end();
            size += header.size();
            header.encode()
        });
        if self.len > 0 && self.len + size > self.segment() {
            self.rotate()?;
        }
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(create(&path(&self.dir, self.first))?),
        };
        let parts = headers.iter().zip(blocks);
        let mut parts: Vec<_> = parts
            .flat_map(|(header, block)| [&header[..], block.held, block.bytes])
            .map(IoSlice::new)
            .collect();
        if let Err(error) = write_at(file, &mut parts, self.len) {
            file.set_len(self.len).ok(); // else the next block overwrites it
            return Err(error);
        }
        self.len += size;
        self.next = next;
        Ok(())
    }

    fn segment(&self) -> u64 {
        (self.limit / 8).clamp(SEGMENT.0, SEGMENT.1)
    }

    fn rotate(&mut self) -> io::Result<()> {
        self.older.push_back((self.first, self.len));
        self.prune(); // first, because on a full disk it is what makes room
        let created = create(&path(&self.dir, self.next));
        if created.is_err() {
            self.older.pop_back();
        }
        self.file = Some(created?);
        (self.first, self.len) = (self.next, 0);
        Ok(())
    }

    /// Deletes the oldest segments until a whole new one fits the limit.
    fn prune(&mut self) {
        let mut kept: u64 = self.older.iter().map(|(_, len)| len).sum();
        while kept + self.segment() > self.limit
            && let Some(&(first, len)) = self.older.front()
            // The newest never goes: the numbers go on from it.
            && (self.file.is_none() || first != self.first)
        {
            match fs::remove_file(path(&self.dir, first)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return, // tried again next time
                _ => kept -= len,
            }
            self.older.pop_front();
        }
    }
}

fn create(path: &Path) -> io::Result<File> {
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
}

fn write_at(file: &File, mut parts: &mut [IoSlice<'_>], mut offset: u64) -> io::Result<()> {
    while !parts.is_empty() {
        let at = i64::try_from(offset).expect("a segment is a few MiB");
        match pwritev(file, parts, at) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => {
                IoSlice::advance_slices(&mut parts, written);
                offset += written as u64;
            }
            Err(nix::errno::Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Kind, Reader, Writer, wire};
    use proptest::prelude::*;

    const NOW: UnixMillis = UnixMillis(5);
    const LIMIT: u64 = 1 << 20;

    fn size(dir: &Path) -> u64 {
        let lens = list(dir).unwrap().into_iter();
        lens.map(|first| fs::metadata(path(dir, first)).unwrap().len())
            .sum()
    }

    fn texts(dir: &Path) -> Vec<(u64, Vec<u8>)> {
        let batch = Reader::new(dir.to_owned()).read(1, 1000, 1 << 20).unwrap();
        batch.entries.into_iter().map(|e| (e.seq, e.text)).collect()
    }

    /// Three blocks in one segment, and where each begins.
    fn three(dir: &Path) -> Vec<u64> {
        let mut writer = Writer::open(dir, LIMIT).unwrap();
        let file = path(dir, 1);
        let mut begins = vec![0];
        for text in [b"one\ntwo\n".as_slice(), b"three\n", b"four\nfive\n"] {
            writer.output(Kind::Stdout, NOW, text).unwrap();
            begins.push(fs::metadata(&file).unwrap().len());
        }
        begins
    }

    #[test]
    fn a_tail_torn_at_any_byte_leaves_the_whole_blocks_and_the_numbers_go_on() {
        let dir = tempfile::tempdir().unwrap();
        let begins = three(dir.path());
        let file = path(dir.path(), 1);
        let whole = fs::read(&file).unwrap();
        let heads = [0, 2, 3, 5];
        for cut in 0..=whole.len() {
            fs::write(&file, &whole[..cut]).unwrap();
            let blocks = begins.iter().filter(|&&begin| begin <= cut as u64).count() - 1;
            let mut writer = Writer::open(dir.path(), LIMIT).unwrap();
            assert_eq!(writer.head(), heads[blocks]);
            assert_eq!(fs::metadata(&file).unwrap().len(), begins[blocks]);
            writer.line(Kind::Log, NOW, b"again").unwrap();
            let texts = texts(dir.path());
            assert_eq!(texts.len() as u64, heads[blocks] + 1);
            assert_eq!(
                texts.last().unwrap(),
                &(heads[blocks] + 1, b"again".to_vec())
            );
        }
    }

    #[test]
    fn damage_in_the_middle_is_dropped_and_nothing_is_numbered_twice() {
        let dir = tempfile::tempdir().unwrap();
        let begins = three(dir.path());
        let file = path(dir.path(), 1);
        let whole = fs::read(&file).unwrap();
        for at in begins[1]..begins[2] {
            let mut bad = whole.clone();
            bad[at as usize] ^= 0x10;
            fs::write(&file, bad).unwrap();
            assert_eq!(Writer::open(dir.path(), LIMIT).unwrap().head(), 5);
            let mut reader = Reader::new(dir.path().to_owned());
            let batch = reader.read(1, 10, 1000).unwrap();
            assert_eq!((batch.entries.len(), batch.dropped, batch.next), (2, 0, 3));
            let batch = reader.read(3, 10, 1000).unwrap();
            assert_eq!((batch.entries.len(), batch.dropped, batch.next), (2, 1, 6));
            assert_eq!(
                Reader::new(dir.path().to_owned())
                    .last(4)
                    .unwrap()
                    .entries
                    .len(),
                3
            );
        }
    }

    #[test]
    fn a_block_that_a_game_prints_does_not_move_the_numbers() {
        let dir = tempfile::tempdir().unwrap();
        let forged = Header {
            first: 1 << 60,
            time: NOW,
            kind: Kind::Log,
            lines: 1,
            bytes: 2,
            crc: crc32fast::hash(b"x\n"),
        };
        let text = [&forged.encode()[..], b"x\n"].concat();
        Writer::open(dir.path(), LIMIT)
            .unwrap()
            .output(Kind::Stdout, NOW, &text)
            .unwrap();
        let file = path(dir.path(), 1);
        let mut bytes = fs::read(&file).unwrap();
        bytes[0] = b'?'; // so that what it printed is looked at
        fs::write(&file, bytes).unwrap();
        assert_eq!(Writer::open(dir.path(), LIMIT).unwrap().head(), 0);
        assert_eq!(Reader::new(dir.path().to_owned()).head().unwrap(), 0);
    }

    #[test]
    fn history_stays_within_its_limit_and_numbers_outlive_it() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), LIMIT).unwrap();
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        for round in 0..100 {
            writer.output(Kind::Stdout, NOW, &line.repeat(500)).unwrap();
            assert!(size(dir.path()) <= LIMIT);
            if round % 30 == 7 {
                drop(writer);
                writer = Writer::open(dir.path(), LIMIT).unwrap();
            }
        }
        assert_eq!(writer.head(), 50_000);
        assert!(size(dir.path()) > LIMIT / 2);
        drop(writer);
        // A smaller limit holds from the next opening on, and the newest segment is never deleted.
        let writer = Writer::open(dir.path(), 0).unwrap();
        assert_eq!(writer.head(), 50_000);
        assert!(size(dir.path()) <= HISTORY_MIN);
        let batch = Reader::new(dir.path().to_owned()).read(1, 1, 1000).unwrap();
        assert_eq!(batch.entries[0].seq, batch.dropped + 1);
    }

    #[test]
    fn an_empty_newest_segment_still_tells_the_next_number_and_the_time() {
        let dir = tempfile::tempdir().unwrap();
        three(dir.path());
        File::create(path(dir.path(), 6)).unwrap();
        let mut writer = Writer::open(dir.path(), LIMIT).unwrap();
        assert_eq!(writer.head(), 5);
        writer
            .line(Kind::Log, UnixMillis(1), b"clock set back")
            .unwrap();
        let batch = Reader::new(dir.path().to_owned()).last(1).unwrap();
        assert_eq!((batch.entries[0].seq, batch.entries[0].time), (6, NOW));
    }

    /// Bytes that are often nearly blocks.
    fn garbage() -> impl Strategy<Value = Vec<u8>> {
        let header = (0..4u64, 0..4u32, 0..200u32, any::<bool>()).prop_map(
            |(first, lines, bytes, sound)| {
                let crc = if sound {
                    crc32fast::hash(&vec![b'\n'; bytes as usize])
                } else {
                    0
                };
                let header = Header {
                    first,
                    time: NOW,
                    kind: Kind::Stdin,
                    lines,
                    bytes,
                    crc,
                };
                [&header.encode()[..], &b"\n".repeat(bytes as usize)].concat()
            },
        );
        let noise = prop::collection::vec(any::<u8>(), 0..60);
        let piece = prop_oneof![header, noise, Just(wire::MAGIC.to_vec())];
        prop::collection::vec(piece, 0..6).prop_map(|pieces| pieces.concat())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_bytes_as_segments_are_survived(files in prop::collection::vec((1..9u64, garbage()), 1..4)) {
            let dir = tempfile::tempdir().unwrap();
            for (first, bytes) in &files {
                fs::write(path(dir.path(), *first), bytes).unwrap();
            }
            let mut reader = Reader::new(dir.path().to_owned());
            let head = reader.head().unwrap();
            let (mut since, mut delivered, mut dropped) = (1, 0, 0);
            loop {
                let batch = reader.read(since, 3, 100).unwrap();
                let Some(first) = batch.entries.first() else { break };
                prop_assert_eq!(first.seq, since + batch.dropped);
                delivered += batch.entries.len() as u64;
                dropped += batch.dropped;
                prop_assert_eq!(batch.next, since + batch.dropped + batch.entries.len() as u64);
                since = batch.next;
            }
            prop_assert!(delivered + dropped <= head.max(since));
            reader.last(5).unwrap();
            let mut writer = Writer::open(dir.path(), LIMIT).unwrap();
            prop_assert_eq!(writer.head(), head);
            writer.line(Kind::Log, NOW, b"goes on").unwrap();
            let last = Reader::new(dir.path().to_owned()).last(1).unwrap();
            prop_assert_eq!(&last.entries[0].text, b"goes on");
            prop_assert_eq!(last.entries[0].seq, head + 1);
        }
    }
}
