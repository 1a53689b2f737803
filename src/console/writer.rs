//! The one appender: gathers lines, numbers them by the block, and never lets the disk stop it.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt},
    path::Path,
};

use nix::fcntl::{Flock, FlockArg};

use super::{
    Entry, Kind,
    ring::{Block, Ring},
    segments::Segments,
    wire,
};
use crate::clock::UnixMillis;

/// Bytes of one call that go under one header.
const CHUNK: usize = 64 * 1024;
/// What is remembered while the disk refuses writes.
const BACKLOG: usize = 256 * 1024;

/// The one appender. Holds a lock file, so that there is never a second. Blocking, but only for the page cache.
///
/// An error says that the disk refused: the lines wait in memory, newest first to survive, and each later call tries
/// again. So it is there to be reported, not to be handled.
pub struct Writer {
    sink: Sink,
    ring: Ring,
    /// The unfinished line of each kind, at most 8 KiB.
    held: [Vec<u8>; 4],
    last: UnixMillis,
}

enum Sink {
    Disk {
        segments: Segments,
        _lock: Flock<File>,
    },
    Memory {
        head: u64,
    },
}

impl Writer {
    /// Opens the console in `dir` (created when absent), repairs a torn tail, and keeps at most `limit` bytes of
    /// history (but never less than 512 KiB). `ResourceBusy` when another process writes there.
    pub fn open(dir: &Path, limit: u64) -> io::Result<Self> {
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(dir)?;
        let lock = lock(dir)?;
        let segments = Segments::open(dir, limit)?;
        Ok(Self {
            last: segments.last,
            sink: Sink::Disk {
                segments,
                _lock: lock,
            },
            ring: Ring::new(BACKLOG),
            held: Default::default(),
        })
    }

    /// A console without a disk: the newest `limit` bytes are kept in this process, for `recent`.
    pub fn in_memory(limit: usize) -> Self {
        Self {
            sink: Sink::Memory { head: 0 },
            ring: Ring::new(limit),
            held: Default::default(),
            last: UnixMillis::default(),
        }
    }

    /// Bytes as they were read from the game: any chunking, any encoding. Large reads (64 KiB) are what makes it fast.
    pub fn output(&mut self, kind: Kind, now: UnixMillis, bytes: &[u8]) -> io::Result<()> {
        // Chunking does not show in the entries, so it may be done anywhere.
        bytes
            .chunks(CHUNK)
            .map(|chunk| self.chunk(kind, now, chunk))
            .fold(Ok(()), Result::and)
    }

    /// Delivers unfinished lines of `kind` as entries with `more`; the keeper calls it 200 ms after the last output,
    /// and at end of file. Also tries again what the disk refused.
    pub fn flush(&mut self, kind: Kind, now: UnixMillis) -> io::Result<()> {
        if self.unfinished(kind) {
            self.append(kind, now, &[])
        } else {
            self.drain()
        }
    }

    /// Whether an unfinished line waits.
    pub fn unfinished(&self, kind: Kind) -> bool {
        !self.held[kind as usize].is_empty()
    }

    /// Whether lines wait for a disk that refused them; `flush` tries again.
    pub fn behind(&self) -> bool {
        matches!(self.sink, Sink::Disk { .. }) && !self.ring.is_empty()
    }

    /// One whole line of `Stdin` or `Log`.
    pub fn line(&mut self, kind: Kind, now: UnixMillis, text: &[u8]) -> io::Result<()> {
        self.output(kind, now, &[text, b"\n"].concat())
    }

    /// The last sequence number written; 0 when none. Lines that wait for the disk have none yet.
    pub fn head(&self) -> u64 {
        match &self.sink {
            Sink::Disk { segments, .. } => segments.next - 1,
            Sink::Memory { head } => *head,
        }
    }

    /// The entries that are kept in memory, where there is no disk.
    pub fn recent(&self) -> Vec<Entry> {
        let Sink::Memory { head } = self.sink else {
            return Vec::new();
        };
        let entries = self.ring.blocks().flat_map(|block| {
            wire::entries(block.bytes).map(move |(text, more)| (block.time, block.kind, text, more))
        });
        (head - self.ring.lines() + 1..)
            .zip(entries)
            .map(|(seq, (time, kind, text, more))| Entry {
                seq,
                time,
                kind,
                text: text.to_vec(),
                more,
            })
            .collect()
    }

    fn chunk(&mut self, kind: Kind, now: UnixMillis, bytes: &[u8]) -> io::Result<()> {
        let (whole, open) = match wire::whole(self.held[kind as usize].len(), bytes) {
            Some(cut) => bytes.split_at(cut),
            None => {
                self.held[kind as usize].extend_from_slice(bytes);
                return Ok(());
            }
        };
        let outcome = self.append(kind, now, whole);
        self.held[kind as usize].extend_from_slice(open);
        outcome
    }

    /// What is held of `kind`, then `bytes`, as one block.
    fn append(&mut self, kind: Kind, now: UnixMillis, bytes: &[u8]) -> io::Result<()> {
        self.last = self.last.max(now);
        let mut held = std::mem::take(&mut self.held[kind as usize]);
        let block = Block {
            kind,
            time: self.last,
            held: &held,
            bytes,
        };
        let outcome = match &mut self.sink {
            Sink::Memory { head } => {
                *head += u64::from(self.ring.push(&block));
                Ok(())
            }
            Sink::Disk { segments, .. } if self.ring.is_empty() => {
                let written = segments.append([&block]);
                if written.is_err() {
                    self.ring.push(&block);
                }
                written
            }
            Sink::Disk { .. } => {
                self.ring.push(&block);
                self.drain()
            }
        };
        held.clear();
        self.held[kind as usize] = held; // for its allocation
        outcome
    }

    /// Writes what waits in memory, after a line that says what is missing.
    fn drain(&mut self) -> io::Result<()> {
        let Sink::Disk { segments, .. } = &mut self.sink else {
            return Ok(());
        };
        while let Some(block) = self.ring.oldest() {
            match self.ring.lost {
                0 => segments.append([&block])?,
                lost => {
                    let text = format!("{lost} lines were lost: the disk did not take them\n");
                    let note = Block {
                        kind: Kind::Log,
                        time: block.time,
                        held: &[],
                        bytes: text.as_bytes(),
                    };
                    // Together, so that a disk that takes only so much is not filled with notes.
                    segments.append([&note, &block])?;
                }
            }
            self.ring.lost = 0;
            self.ring.pop();
        }
        Ok(())
    }
}

/// Takes the lock of the console in `dir`; it goes with the process.
fn lock(dir: &Path) -> io::Result<Flock<File>> {
    let file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .open(dir.join("lock"))?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(lock) => {
            // Only for the message below; a full disk may refuse it.
            lock.set_len(0).ok();
            lock.write_at(std::process::id().to_string().as_bytes(), 0)
                .ok();
            Ok(lock)
        }
        Err((file, nix::errno::Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            file.take(20).read_to_string(&mut pid).ok();
            Err(io::Error::new(
                io::ErrorKind::ResourceBusy,
                format!(
                    "the console in {} is being written by process {pid}",
                    dir.display()
                ),
            ))
        }
        Err((_, errno)) => Err(errno.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Reader, wire::tests::stream};
    use proptest::prelude::*;

    const NOW: UnixMillis = UnixMillis(1_000);

    fn all(dir: &Path) -> Vec<Entry> {
        let mut reader = Reader::new(dir.to_owned());
        let (mut entries, mut next) = (Vec::new(), 1);
        loop {
            let batch = reader.read(next, 7, 10_000).unwrap();
            if batch.entries.is_empty() {
                return entries;
            }
            assert_eq!(batch.dropped, 0);
            entries.extend(batch.entries);
            next = batch.next;
        }
    }

    fn joined(entries: &[Entry], kind: Kind) -> Vec<u8> {
        let mine = entries.iter().filter(|entry| entry.kind == kind);
        mine.flat_map(|entry| {
            let end = if entry.more { "" } else { "\n" };
            [&entry.text[..], end.as_bytes()].concat()
        })
        .collect()
    }

    fn numbered(entries: &[Entry]) -> bool {
        entries.iter().zip(1..).all(|(entry, seq)| entry.seq == seq)
            && entries.is_sorted_by_key(|entry| entry.time)
    }

    #[test]
    fn bytes_are_kept_as_they_came() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), 1 << 20).unwrap();
        writer
            .output(Kind::Stdout, NOW, b"a\0\xff\r\n\nun")
            .unwrap();
        writer.line(Kind::Log, NOW, b"started").unwrap();
        assert!(writer.unfinished(Kind::Stdout) && writer.head() == 3);
        writer.flush(Kind::Stdout, NOW).unwrap();
        writer.output(Kind::Stdout, NOW, b"\n").unwrap();
        let entries = all(dir.path());
        let texts: Vec<_> = entries
            .iter()
            .map(|e| (&e.text[..], e.kind, e.more))
            .collect();
        assert_eq!(
            texts,
            [
                (&b"a\0\xff\r"[..], Kind::Stdout, false),
                (b"", Kind::Stdout, false),
                (b"started", Kind::Log, false),
                (b"un", Kind::Stdout, true),
                (b"", Kind::Stdout, false),
            ]
        );
    }

    #[test]
    fn a_second_writer_is_refused_and_told_whose_the_first_is() {
        let dir = tempfile::tempdir().unwrap();
        let first = Writer::open(dir.path(), 1 << 20).unwrap();
        let error = Writer::open(dir.path(), 1 << 20).err().unwrap();
        assert_eq!(error.kind(), io::ErrorKind::ResourceBusy);
        assert!(error.to_string().contains(&std::process::id().to_string()));
        drop(first);
        assert!(Writer::open(dir.path(), 1 << 20).is_ok());
    }

    /// Runs `story` in a folder on a file system of 1 MiB, seen by its thread only; false where that takes a root.
    fn on_a_small_disk(story: impl FnOnce(&Path) + Send) -> bool {
        use nix::{
            mount::{MsFlags, mount},
            sched::{CloneFlags, unshare},
        };
        let dir = tempfile::tempdir().unwrap();
        let none = None::<&str>;
        let mounted = || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            mount(
                none,
                dir.path(),
                Some("tmpfs"),
                MsFlags::empty(),
                Some("size=1m"),
            )
        };
        let run = || match mounted() {
            Ok(()) => {
                story(dir.path());
                true
            }
            Err(nix::errno::Errno::EPERM | nix::errno::Errno::EACCES) => false,
            Err(errno) => panic!("no small disk: {errno}"),
        };
        std::thread::scope(|scope| scope.spawn(run).join().unwrap())
    }

    #[test]
    fn a_full_disk_stops_nothing_and_what_it_cost_is_said() {
        let ran = on_a_small_disk(|disk| {
            let dir = disk.join("console");
            let mut writer = Writer::open(&dir, 8 << 20).unwrap();
            let ballast = disk.join("ballast");
            fs::write(&ballast, vec![0; 512 * 1024]).unwrap();
            let mut sent = 0;
            let mut send = |writer: &mut Writer| {
                let lines: String = (sent + 1..=sent + 500)
                    .map(|n| format!("{n:099}\n"))
                    .collect();
                sent += 500;
                writer.output(Kind::Stdout, NOW, lines.as_bytes())
            };
            while send(&mut writer).is_ok() {}
            let head = writer.head();
            for _ in 0..20 {
                assert!(send(&mut writer).is_err() && writer.behind());
            }
            assert_eq!(writer.head(), head);
            assert_eq!(all(&dir).len() as u64, head);

            fs::remove_file(&ballast).unwrap();
            writer.flush(Kind::Stdout, NOW).unwrap();
            assert!(!writer.behind());
            let entries = all(&dir);
            assert!(numbered(&entries));
            let notes: Vec<_> = entries.iter().filter(|e| e.kind == Kind::Log).collect();
            let lost = sent - (entries.len() as u64 - 1);
            assert!(lost > 0);
            assert!(
                notes.len() == 1
                    && notes[0]
                        .lossy()
                        .starts_with(&format!("{lost} lines were lost"))
            );
            assert_eq!(
                entries.last().unwrap().text,
                format!("{sent:099}").as_bytes()
            );
        });
        if !ran {
            eprintln!("SKIPPED: a full disk takes a root to mount a small one");
            assert!(std::env::var_os("CI").is_none(), "in CI nothing is skipped");
        }
    }

    #[derive(Debug, Clone)]
    enum Step {
        Output(Kind, Vec<u8>),
        Flush(Kind),
        Line(Vec<u8>),
        Clock(u64),
        Reopen,
    }

    fn step() -> impl Strategy<Value = Step> {
        let kind = prop::sample::select(vec![Kind::Stdout, Kind::Stderr]);
        prop_oneof![
            6 => (kind.clone(), stream()).prop_map(|(kind, bytes)| Step::Output(kind, bytes)),
            2 => kind.prop_map(Step::Flush),
            1 => prop::collection::vec(any::<u8>(), 0..40).prop_map(Step::Line),
            1 => (0..5_000u64).prop_map(Step::Clock),
            1 => Just(Step::Reopen),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_stream_comes_back_and_numbers_have_no_gap(steps in prop::collection::vec(step(), 0..30)) {
            let dir = tempfile::tempdir().unwrap();
            let mut writer = Some(Writer::open(dir.path(), 8 << 20).unwrap());
            let mut now = NOW;
            let mut sent = [const { Vec::new() }; 4];
            let streams = [Kind::Stdout, Kind::Stderr];
            for step in steps.into_iter().chain([Step::Reopen]) {
                let open = writer.as_mut().unwrap();
                match step {
                    Step::Output(kind, bytes) => {
                        open.output(kind, now, &bytes).unwrap();
                        sent[kind as usize].extend(bytes);
                    }
                    Step::Flush(kind) => open.flush(kind, now).unwrap(),
                    Step::Line(text) => {
                        open.line(Kind::Log, now, &text).unwrap();
                        sent[Kind::Log as usize].extend([&text[..], b"\n"].concat());
                    }
                    Step::Clock(time) => now = UnixMillis(time),
                    Step::Reopen => {
                        for kind in streams {
                            open.flush(kind, now).unwrap();
                            prop_assert!(!open.unfinished(kind));
                        }
                        let head = open.head();
                        drop(writer.take()); // lets go of the lock
                        writer = Some(Writer::open(dir.path(), 8 << 20).unwrap());
                        prop_assert_eq!(writer.as_ref().unwrap().head(), head);
                    }
                }
            }
            let entries = all(dir.path());
            prop_assert!(numbered(&entries));
            prop_assert_eq!(entries.len() as u64, writer.unwrap().head());
            for kind in [Kind::Stdout, Kind::Stderr, Kind::Log] {
                prop_assert!(joined(&entries, kind) == sent[kind as usize]);
            }
        }

        #[test]
        fn how_the_stream_was_cut_does_not_show(bytes in stream(), cuts in prop::collection::vec(1..9_000usize, 1..20)) {
            let mut whole = Writer::in_memory(1 << 20);
            whole.output(Kind::Stdout, NOW, &bytes).unwrap();
            whole.flush(Kind::Stdout, NOW).unwrap();
            let mut cut = Writer::in_memory(1 << 20);
            let mut rest = &bytes[..];
            for len in cuts.into_iter().cycle() {
                let (piece, after) = rest.split_at(len.min(rest.len()));
                cut.output(Kind::Stdout, NOW, piece).unwrap();
                rest = after;
                if rest.is_empty() {
                    break;
                }
            }
            cut.flush(Kind::Stdout, NOW).unwrap();
            prop_assert!(whole.recent() == cut.recent());
            prop_assert_eq!(whole.head(), whole.recent().len() as u64);
        }
    }
}
