//! What waits to be told to one session: bounded, so that who never reads is dropped and slows nobody.

use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use bytes::Bytes;
use tokio::sync::Notify;

use super::wire::push::Push;

/// Bytes that may wait. One message alone may be longer: a list of a full house.
const BACKLOG: usize = 256 << 10;
/// Messages that may wait.
const MESSAGES: usize = 4096;
/// Messages that are taken at once.
const BATCH: usize = 64;
/// Who has said nothing for so long since a ping is perhaps not there any more.
const SILENCE: Duration = Duration::from_secs(10);

/// How a session hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    /// As GGZ clients do.
    Xml,
    /// Over the web API.
    Json,
}

/// One message, encoded when somebody needs it, once for all who hear it alike.
pub(super) struct Message<'a> {
    push: &'a Push,
    xml: Option<Bytes>,
    json: Option<Bytes>,
}

impl<'a> Message<'a> {
    pub(super) fn new(push: &'a Push) -> Self {
        Self {
            push,
            xml: None,
            json: None,
        }
    }

    fn bytes(&mut self, encoding: Encoding) -> Bytes {
        let Self { push, xml, json } = self;
        let made = match encoding {
            Encoding::Xml => xml.get_or_insert_with(|| {
                let mut bytes = Vec::new();
                push.encode(&mut bytes);
                bytes.into()
            }),
            Encoding::Json => json.get_or_insert_with(|| {
                let bytes = serde_json::to_vec(push).expect("what we tell is plain data");
                bytes.into()
            }),
        };
        made.clone()
    }
}

/// One session's. Whoever writes never waits.
#[derive(Debug)]
pub(super) struct Outbox {
    encoding: Encoding,
    // Held for a few instructions, never across an await.
    queue: Mutex<Queue>,
    changed: Notify,
    over: Notify,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Bytes>,
    bytes: usize,
    end: Option<End>,
    /// When a ping went out after which they have said nothing.
    pinged: Option<Instant>,
}

/// Why nothing more is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// All has been said; what waits is still to be told.
    Said,
    /// Too much waited.
    Overrun,
}

impl Outbox {
    pub(super) fn new(encoding: Encoding) -> Self {
        Self {
            encoding,
            queue: Mutex::default(),
            changed: Notify::new(),
            over: Notify::new(),
        }
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a message in. When too much waits already, the session is over.
    pub(super) fn put(&self, message: &mut Message<'_>) {
        let bytes = message.bytes(self.encoding);
        let mut queue = self.queue();
        if queue.end.is_some() {
            return;
        }
        let full = queue.waiting.len() >= MESSAGES || queue.bytes >= BACKLOG;
        if full {
            *queue = Queue {
                end: Some(End::Overrun),
                ..Queue::default()
            };
        } else {
            queue.bytes += bytes.len();
            queue.waiting.push_back(bytes);
        }
        drop(queue);
        self.changed.notify_waiters();
        if full {
            self.over.notify_waiters();
        }
    }

    /// Tells one push.
    pub(super) fn tell(&self, push: &Push) {
        self.put(&mut Message::new(push));
    }

    /// Tells them a ping, which they are to answer.
    pub(super) fn ping(&self, now: Instant) {
        self.queue().pinged.get_or_insert(now);
        self.tell(&Push::Ping);
    }

    /// They have said something, and are to be waited for anew. Only an answer ends the wait: no other ping will come.
    pub(super) fn heard(&self, now: Instant) {
        if let Some(since) = &mut self.queue().pinged {
            *since = now;
        }
    }

    /// They have answered a ping.
    pub(super) fn answered(&self) {
        self.queue().pinged = None;
    }

    /// Whether they are perhaps not there any more.
    pub(super) fn is_silent(&self, now: Instant) -> bool {
        let since = self.queue().pinged;
        since.is_some_and(|since| now.saturating_duration_since(since) >= SILENCE)
    }

    /// Nothing comes after what waits now.
    pub(super) fn finish(&self) {
        let mut queue = self.queue();
        queue.end.get_or_insert(End::Said);
        drop(queue);
        self.changed.notify_waiters();
        self.over.notify_waiters();
    }

    /// Some of what waits; an error when nothing does and nothing will; none when nothing does yet.
    pub(super) fn waiting(&self) -> Option<Result<Vec<Bytes>, End>> {
        let mut queue = self.queue();
        if queue.waiting.is_empty() {
            return queue.end.map(Err);
        }
        let count = queue.waiting.len().min(BATCH);
        let batch: Vec<Bytes> = queue.waiting.drain(..count).collect();
        queue.bytes -= batch.iter().map(Bytes::len).sum::<usize>();
        if queue.waiting.is_empty() {
            queue.waiting.shrink_to(8);
        }
        Some(Ok(batch))
    }

    /// The same, once there is something to say.
    pub(super) async fn take(&self) -> Result<Vec<Bytes>, End> {
        loop {
            let changed = self.changed.notified();
            if let Some(some) = self.waiting() {
                return some;
            }
            changed.await;
        }
    }

    /// Ends when nothing more is taken.
    pub(super) async fn ended(&self) -> End {
        loop {
            let over = self.over.notified();
            if let Some(end) = self.queue().end {
                return end;
            }
            over.await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(text: &str) -> Push {
        Push::Chat {
            kind: None,
            from: "ada".into(),
            text: Some(text.into()),
        }
    }

    #[tokio::test]
    async fn what_is_told_comes_in_order_and_then_the_end() {
        let outbox = Outbox::new(Encoding::Json);
        for text in ["one", "two"] {
            outbox.tell(&chat(text));
        }
        outbox.finish();
        outbox.tell(&chat("three"));
        let batch = outbox.take().await.unwrap();
        let text = String::from_utf8(batch.concat()).unwrap();
        assert!(text.contains("one") && text.contains("two") && !text.contains("three"));
        assert_eq!(outbox.take().await, Err(End::Said));
        assert_eq!(outbox.ended().await, End::Said);
    }

    #[tokio::test]
    async fn who_never_reads_is_dropped_after_a_bounded_backlog() {
        let outbox = Outbox::new(Encoding::Json);
        let long = chat(&"x".repeat(1000));
        let mut told = 0;
        while outbox.queue().end.is_none() {
            outbox.tell(&long);
            told += 1;
        }
        assert!(
            (BACKLOG / 1100..=BACKLOG / 1000 + 1).contains(&told),
            "{told}"
        );
        outbox.tell(&long);
        assert_eq!(outbox.take().await, Err(End::Overrun));
        assert_eq!(outbox.queue().bytes, 0);
    }

    #[test]
    fn who_leaves_a_ping_unanswered_is_silent_once_they_say_nothing_more() {
        let outbox = Outbox::new(Encoding::Xml);
        let start = Instant::now();
        assert!(!outbox.is_silent(start + SILENCE));
        outbox.ping(start);
        outbox.ping(start + Duration::from_secs(1));
        assert!(!outbox.is_silent(start + SILENCE - Duration::from_millis(1)));
        assert!(outbox.is_silent(start + SILENCE));
        outbox.heard(start + SILENCE);
        assert!(!outbox.is_silent(start + 2 * SILENCE - Duration::from_millis(1)));
        assert!(outbox.is_silent(start + 2 * SILENCE));
        outbox.answered();
        outbox.heard(start);
        assert!(!outbox.is_silent(start + 3 * SILENCE));
    }

    #[tokio::test]
    async fn one_long_list_passes() {
        let outbox = Outbox::new(Encoding::Json);
        outbox.tell(&chat(&"x".repeat(2 * BACKLOG)));
        assert_eq!(outbox.take().await.unwrap().len(), 1);
        outbox.tell(&chat("more"));
        assert_eq!(outbox.take().await.unwrap().len(), 1);
    }

    #[tokio::test]
    async fn who_waits_is_woken() {
        let outbox = std::sync::Arc::new(Outbox::new(Encoding::Json));
        let (taker, watcher) = (outbox.clone(), outbox.clone());
        let taken = tokio::spawn(async move { taker.take().await });
        let ended = tokio::spawn(async move { watcher.ended().await });
        tokio::task::yield_now().await;
        outbox.tell(&chat("hello"));
        assert_eq!(taken.await.unwrap().unwrap().len(), 1);
        outbox.finish();
        assert_eq!(ended.await.unwrap(), End::Said);
    }
}
