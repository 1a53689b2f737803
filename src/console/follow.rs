//! One viewer of the daemon: a cursor over the files that wakes when the head grows. Slow viewers lose, nobody waits.

use std::sync::{Arc, Mutex};

use tokio::{sync::watch, task};

use super::{Batch, Reader};

/// What one batch has at most.
const BATCH: (usize, usize) = (1_000, 256 * 1024);
/// How far a viewer that had caught up may fall behind,
const LAG: u64 = 20_000;
/// and how far before the head it goes on then.
const RESUME: u64 = 1_000;

/// Follows a console: all that is kept from `since` on, then what comes.
///
/// History is delivered whole, however much there is. A viewer that had caught up once and then falls more than
/// 20,000 entries behind is moved ahead to the newest 1,000, and the batch says in `dropped` what it missed.
pub struct Tail {
    /// Locked only for one read at a time: `next` may be cancelled while its read goes on in the blocking pool.
    reader: Arc<Mutex<Reader>>,
    head: watch::Receiver<u64>,
    next: u64,
    live: bool,
}

impl Tail {
    /// Follows with `reader` from `since` on; `head` says when there is more to read.
    pub fn new(reader: Reader, head: watch::Receiver<u64>, since: u64) -> Self {
        Self {
            reader: Arc::new(Mutex::new(reader)),
            head,
            next: since.max(1),
            live: false,
        }
    }

    /// The next entries, as soon as there are any; `None` when the head's sender is gone and all is read, or when
    /// reading fails, which is logged. Cancelling it loses nothing.
    ///
    /// Reads happen in the blocking pool: history may have to come from a slow disk.
    pub async fn next(&mut self) -> Option<Batch> {
        let mut ended = false;
        loop {
            let head = *self.head.borrow_and_update();
            let skipped = self.skip(head);
            let (reader, since) = (Arc::clone(&self.reader), self.next + skipped);
            let read = task::spawn_blocking(move || {
                let mut reader = reader.lock().expect("no read panics");
                reader.read(since, BATCH.0, BATCH.1)
            });
            let mut batch = match read.await.expect("no read panics") {
                Ok(batch) => batch,
                Err(error) => {
                    tracing::warn!(%error, "a console cannot be read");
                    return None;
                }
            };
            self.next = batch.next;
            if !batch.entries.is_empty() {
                batch.dropped += skipped;
                return Some(batch);
            }
            self.live = true;
            if ended {
                return None;
            }
            // News of what has been read already is no news.
            ended = loop {
                match self.head.changed().await {
                    Err(_) => break true,
                    Ok(()) if *self.head.borrow_and_update() + 1 == self.next => {}
                    Ok(()) => break false,
                }
            };
        }
    }

    /// How many entries to pass over.
    fn skip(&self, head: u64) -> u64 {
        match head.saturating_sub(self.next) {
            lag if self.live && lag > LAG => lag - RESUME,
            _ => 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        clock::UnixMillis,
        console::{Kind, Writer},
    };
    use std::path::Path;

    const NOW: UnixMillis = UnixMillis(1);

    fn console(dir: &Path, lines: usize) -> (Writer, watch::Sender<u64>) {
        let mut writer = Writer::open(dir, 1 << 24).unwrap();
        writer
            .output(Kind::Stdout, NOW, &b"x\n".repeat(lines))
            .unwrap();
        let head = watch::Sender::new(writer.head());
        (writer, head)
    }

    fn tail(dir: &Path, head: &watch::Sender<u64>, since: u64) -> Tail {
        Tail::new(Reader::new(dir.to_owned()), head.subscribe(), since)
    }

    #[tokio::test]
    async fn history_comes_whole_and_then_what_is_written() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, head) = console(dir.path(), 30_000);
        let mut tail = tail(dir.path(), &head, 0);
        let mut next = 1;
        while next <= 30_000 {
            let batch = tail.next().await.unwrap();
            assert_eq!((batch.entries[0].seq, batch.dropped), (next, 0));
            next = batch.next;
        }
        let (batch, ()) = tokio::join!(tail.next(), async {
            writer.line(Kind::Log, NOW, b"news").unwrap();
            head.send_replace(writer.head());
        });
        assert_eq!(batch.unwrap().entries[0].text, b"news");
        drop(head);
        assert_eq!(tail.next().await, None);
    }

    #[tokio::test]
    async fn what_was_written_before_the_sender_went_is_delivered_before_the_end() {
        let dir = tempfile::tempdir().unwrap();
        let (_writer, head) = console(dir.path(), 3);
        let mut tail = tail(dir.path(), &head, 2);
        drop(head);
        assert_eq!(tail.next().await.unwrap().entries.len(), 2);
        assert_eq!(tail.next().await, None);
    }

    #[tokio::test]
    async fn a_viewer_that_falls_behind_is_moved_ahead_and_told() {
        let dir = tempfile::tempdir().unwrap();
        let (mut writer, head) = console(dir.path(), 1);
        let mut tail = tail(dir.path(), &head, 1);
        assert_eq!(tail.next().await.unwrap().next, 2);
        // As it is once it has waited for news.
        tail.live = true;
        writer
            .output(Kind::Stdout, NOW, &b"y\n".repeat(50_000))
            .unwrap();
        head.send_replace(writer.head());
        let batch = tail.next().await.unwrap();
        assert_eq!(batch.entries[0].seq, 2 + batch.dropped);
        assert_eq!(writer.head() - batch.entries[0].seq, RESUME);
    }

    #[tokio::test]
    async fn a_cancelled_wait_loses_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let (_writer, head) = console(dir.path(), 5_000);
        let mut tail = tail(dir.path(), &head, 1);
        let mut next = 1;
        while next <= 5_000 {
            let waiting = tokio::time::timeout(std::time::Duration::ZERO, tail.next());
            let batch = match waiting.await {
                Ok(batch) => batch,
                Err(_) => tail.next().await,
            }
            .unwrap();
            assert_eq!(batch.next, next + batch.entries.len() as u64);
            next = batch.next;
        }
    }
}
