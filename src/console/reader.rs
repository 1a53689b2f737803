//! Reading while the writer appends and deletes: a position in a file, moved forward; nothing else is remembered.

use std::{fs::File, io, path::PathBuf};

use super::{
    Batch, Entry,
    scan::Scan,
    segments,
    wire::{self, Header},
};
use crate::clock::UnixMillis;

/// What `last` returns at most.
const LAST_BYTES: usize = 8 * 1024 * 1024;
/// What one entry is charged beyond its text.
const ENTRY: usize = size_of::<Entry>();

/// Reads while the writer appends; never blocks it. Blocking file reads of bounded size.
///
/// Following costs what is new: as long as each call asks for the `next` of the one before, it goes on where it was.
/// Between calls it holds one open file (perhaps a deleted one) and no buffer.
pub struct Reader {
    dir: PathBuf,
    place: Option<Place>,
}

/// Where in which segment.
struct Place {
    segment: u64,
    file: File,
    scan: Scan,
    /// The number that the next call is expected to ask for.
    wanted: u64,
}

impl Reader {
    /// A reader of the console in `dir`, which need not exist yet.
    pub fn new(dir: PathBuf) -> Self {
        Self { dir, place: None }
    }

    /// Entries from sequence number `since` on (0 and 1 both mean from the beginning), at most `entries` and about
    /// `bytes`, but one at least, when there is one.
    ///
    /// Entries that are no longer kept, or were damaged, are counted in `dropped`; a batch ends before a gap, so they
    /// always precede what it delivers. Where nothing is left to deliver, `next` is `since`; but a `since` from a
    /// future that this console does not know (its files were lost or restored) yields the number after its newest
    /// entry, so that no viewer waits for ever.
    pub fn read(&mut self, since: u64, entries: usize, bytes: usize) -> io::Result<Batch> {
        let since = since.max(1);
        if self
            .place
            .as_ref()
            .is_none_or(|place| place.wanted != since)
        {
            self.place = self.locate(since)?;
        }
        let mut batch = Batch {
            entries: Vec::new(),
            dropped: 0,
            next: since,
        };
        let mut room = bytes;
        while let Some((header, place)) = self.block()? {
            if header.end() > since {
                if header.first > batch.next && !batch.entries.is_empty() {
                    break; // a gap
                }
                if !place.deliver(&header, &mut batch, entries, &mut room)? {
                    break;
                }
            }
            place.scan.pass(&header);
        }
        if let Some(first) = batch.entries.first() {
            batch.dropped = first.seq - since;
        } else {
            let end = self.place.as_ref().map_or(1, |place| place.scan.seq);
            batch.next = since.min(end);
        }
        if let Some(place) = &mut self.place {
            place.wanted = batch.next;
            place.scan.rest();
        }
        Ok(batch)
    }

    /// The newest `count` entries; fewer where they are many MiB.
    pub fn last(&mut self, count: usize) -> io::Result<Batch> {
        let head = self.head()?;
        let since = (head + 1).saturating_sub(count as u64).max(1);
        let mut newest = Batch {
            entries: Vec::new(),
            dropped: 0,
            next: since,
        };
        let mut size = 0;
        while newest.next <= head {
            let left = usize::try_from(head + 1 - newest.next).unwrap_or(usize::MAX);
            let batch = self.read(newest.next, left, LAST_BYTES)?;
            if batch.entries.is_empty() {
                break;
            }
            newest.next = batch.next;
            size += batch.entries.iter().map(cost).sum::<usize>();
            newest.entries.extend(batch.entries);
            let excess = newest.entries.iter().scan(size, |size, entry| {
                (*size > LAST_BYTES).then(|| *size -= cost(entry))
            });
            let excess = excess.count();
            size -= newest
                .entries
                .drain(..excess)
                .map(|entry| cost(&entry))
                .sum::<usize>();
        }
        if let Some(first) = newest.entries.first() {
            newest.dropped = first.seq - since;
        }
        Ok(newest)
    }

    /// A sequence number from which on everything since `time` is read, and little before it: the first of the newest
    /// file that begins before then.
    pub fn before(&mut self, time: UnixMillis) -> io::Result<u64> {
        for segment in segments::list(&self.dir)?.into_iter().rev() {
            if let Some(mut place) = self.open(segment)?
                && let Some(header) = place.scan.peek(&place.file)?
                && header.time < time
            {
                return Ok(segment);
            }
        }
        Ok(0)
    }

    /// The newest sequence number in the files; 0 when there is none.
    pub fn head(&mut self) -> io::Result<u64> {
        let Some(mut place) = self.locate(u64::MAX)? else {
            return Ok(0);
        };
        while let Some(header) = place.scan.peek(&place.file)? {
            place.scan.pass(&header);
        }
        Ok(place.scan.seq.saturating_sub(1))
    }

    /// The beginning of the segment that has `since`, or of the oldest after it.
    fn locate(&self, since: u64) -> io::Result<Option<Place>> {
        loop {
            let segments = segments::list(&self.dir)?;
            let after = segments.partition_point(|&first| first <= since);
            let Some(&segment) = segments.get(after.saturating_sub(1)) else {
                return Ok(None);
            };
            if let Some(place) = self.open(segment)? {
                return Ok(Some(place));
            }
        }
    }

    /// `None` when it has just been deleted.
    fn open(&self, segment: u64) -> io::Result<Option<Place>> {
        match File::open(segments::path(&self.dir, segment)) {
            Ok(file) => Ok(Some(Place {
                segment,
                file,
                scan: Scan::new(0, segment),
                wanted: segment,
            })),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The next block, in this segment or a later one; `None` at the end of the newest.
    fn block(&mut self) -> io::Result<Option<(Header, &mut Place)>> {
        let mut closed = None;
        loop {
            let Some(place) = &mut self.place else {
                return Ok(None);
            };
            if let Some(header) = place.scan.peek(&place.file)? {
                let place = self.place.as_mut().expect("it was there a line ago");
                return Ok(Some((header, place)));
            }
            if let Some(next) = closed.take() {
                // Nothing came while it was found to be closed, so nothing will.
                if let Some(place) = self.open(next)? {
                    self.place = Some(place);
                }
                continue;
            }
            let segments = segments::list(&self.dir)?;
            let after = segments.partition_point(|&first| first <= place.segment);
            closed = segments.get(after).copied();
            place.scan.rest();
            if closed.is_none() {
                if !segments.contains(&place.segment) {
                    // All of this history is gone, and another has begun: the next call finds its place there.
                    self.place = None;
                }
                return Ok(None);
            }
        }
    }
}

impl Place {
    /// Entries of the block that come next; whether it was exhausted.
    fn deliver(
        &mut self,
        header: &Header,
        batch: &mut Batch,
        entries: usize,
        room: &mut usize,
    ) -> io::Result<bool> {
        let Some(data) = self.scan.data(&self.file, header)? else {
            return Ok(true); // damaged: a gap
        };
        let wanted = batch.next;
        let numbered = (header.first..header.end()).zip(wire::entries(data));
        for (seq, (text, more)) in numbered.skip_while(|(seq, _)| *seq < wanted) {
            let size = text.len() + ENTRY;
            if !batch.entries.is_empty() && (batch.entries.len() >= entries || *room < size) {
                return Ok(false);
            }
            *room = room.saturating_sub(size);
            batch.next = seq + 1;
            batch.entries.push(Entry {
                seq,
                time: header.time,
                kind: header.kind,
                text: text.to_vec(),
                more,
            });
        }
        Ok(true)
    }
}

fn cost(entry: &Entry) -> usize {
    entry.text.len() + ENTRY
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Kind, Writer};
    use std::{fs, thread};

    const NOW: UnixMillis = UnixMillis(1);
    const LIMIT: u64 = 512 * 1024;

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.entries.iter().map(|entry| entry.seq).collect()
    }

    /// A console of lines that say their number, and how many.
    fn filled(dir: &std::path::Path, lines: u64) -> Writer {
        let mut writer = Writer::open(dir, LIMIT).unwrap();
        for n in writer.head() + 1..=lines {
            writer
                .output(Kind::Stdout, NOW, format!("{n}\n").as_bytes())
                .unwrap();
        }
        writer
    }

    #[test]
    fn a_console_that_does_not_exist_is_empty() {
        let mut reader = Reader::new("/nonexistent/console".into());
        let nothing = Batch {
            entries: vec![],
            dropped: 0,
            next: 1,
        };
        assert_eq!(reader.read(0, 10, 10).unwrap(), nothing);
        assert_eq!(reader.last(10).unwrap(), nothing);
    }

    #[test]
    fn batches_are_bounded_but_never_empty_while_there_is_more() {
        let dir = tempfile::tempdir().unwrap();
        let _writer = filled(dir.path(), 10);
        let mut reader = Reader::new(dir.path().to_owned());
        assert_eq!(numbers(&reader.read(1, 3, 1000).unwrap()), [1, 2, 3]);
        assert_eq!(numbers(&reader.read(4, 9, 0).unwrap()), [4]);
        assert_eq!(numbers(&reader.read(9, 9, 1000).unwrap()), [9, 10]);
        assert_eq!(numbers(&reader.last(2).unwrap()), [9, 10]);
        assert_eq!(
            numbers(&reader.last(99).unwrap()),
            (1..=10).collect::<Vec<_>>()
        );
        assert_eq!(reader.last(0).unwrap().next, 11);
    }

    #[test]
    fn the_newest_are_found_across_segments() {
        let dir = tempfile::tempdir().unwrap();
        let _writer = filled(dir.path(), 9_000);
        assert!(segments::list(dir.path()).unwrap().len() > 2);
        let batch = Reader::new(dir.path().to_owned()).last(6_000).unwrap();
        assert_eq!(numbers(&batch), (3_001..=9_000).collect::<Vec<_>>());
        assert_eq!((batch.dropped, batch.next), (0, 9_001));
    }

    #[test]
    fn a_reader_left_behind_counts_what_was_deleted_before_it_came() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = filled(dir.path(), 5);
        let mut reader = Reader::new(dir.path().to_owned());
        assert_eq!(reader.read(1, 2, 1000).unwrap().next, 3);
        for n in 6..=40_000 {
            writer
                .output(Kind::Stdout, NOW, format!("{n}\n").as_bytes())
                .unwrap();
        }
        let (mut next, mut seen, mut dropped) = (3, 0, 0);
        while next <= 40_000 {
            let batch = reader.read(next, 1000, 1 << 20).unwrap();
            assert!(
                batch
                    .entries
                    .iter()
                    .all(|e| e.text == e.seq.to_string().as_bytes())
            );
            seen += batch.entries.len() as u64;
            dropped += batch.dropped;
            next = batch.next;
        }
        assert!(dropped > 0);
        assert_eq!(seen + dropped, 40_000 - 2);
    }

    #[test]
    fn a_time_is_found_by_files_and_nothing_after_it_is_passed_over() {
        let dir = tempfile::tempdir().unwrap();
        let mut writer = Writer::open(dir.path(), LIMIT).unwrap();
        for n in 1..=9_000u64 {
            let line = format!("{n}\n");
            writer
                .output(Kind::Stdout, UnixMillis(n * 10), line.as_bytes())
                .unwrap();
        }
        let mut reader = Reader::new(dir.path().to_owned());
        for time in [0, 5, 10, 11, 40_000, 90_000, 1_000_000] {
            let since = reader.before(UnixMillis(time)).unwrap();
            assert!(since * 10 <= time.max(10), "{since} is after {time}");
        }
        assert!(
            reader.before(UnixMillis(1_000_000)).unwrap() > 4_000,
            "most is passed over"
        );
        assert_eq!(Reader::new("/nonexistent".into()).before(NOW).unwrap(), 0);
    }

    #[test]
    fn a_number_from_a_lost_future_leads_back_to_the_newest() {
        let dir = tempfile::tempdir().unwrap();
        let writer = filled(dir.path(), 5);
        let mut reader = Reader::new(dir.path().to_owned());
        assert_eq!(reader.read(6, 9, 1000).unwrap().next, 6);
        assert_eq!(reader.read(900, 9, 1000).unwrap().next, 6);
        drop(writer);
        fs::remove_file(segments::path(dir.path(), 1)).unwrap();
        assert_eq!(reader.read(6, 9, 1000).unwrap().next, 1);
        let _writer = filled(dir.path(), 2);
        assert_eq!(numbers(&reader.read(1, 9, 1000).unwrap()), [1, 2]);
    }

    #[test]
    fn beside_a_running_writer_every_number_comes_once_and_in_order() {
        const LINES: u64 = 30_000;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().to_owned();
        let writing = thread::spawn(move || {
            let mut writer = Writer::open(&path, LIMIT).unwrap();
            let text: String = (1..=LINES).map(|n| format!("{n}\n")).collect();
            for piece in text.as_bytes().chunks(97) {
                writer.output(Kind::Stdout, NOW, piece).unwrap();
            }
        });
        let mut reader = Reader::new(dir.path().to_owned());
        let mut next = 1;
        while next <= LINES {
            let batch = reader.read(next, 500, 1 << 16).unwrap();
            for (entry, seq) in batch.entries.iter().zip(next + batch.dropped..) {
                assert_eq!(entry.seq, seq);
                assert_eq!(entry.text, seq.to_string().as_bytes());
            }
            assert_eq!(
                next + batch.dropped + batch.entries.len() as u64,
                batch.next
            );
            next = batch.next;
        }
        writing.join().unwrap();
    }
}
