//! Follows one keeper's game: reads its console from the present game's start on, and counts its connections.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};

use super::definition::Definition;
use super::players::{Crowd, Seen};
use super::service::Input;
use super::sockets::Counts;
use crate::accounts::ServerId;
use crate::clock::UnixMillis;
use crate::console::{Reader, Tail};
use crate::keeper::Status;

/// What there is to watch.
pub(super) struct Watcher {
    pub(super) id: ServerId,
    /// Which keeper: news of an earlier one are no news.
    pub(super) epoch: u64,
    pub(super) definition: Arc<Definition>,
    /// The TCP port whose connections are players.
    pub(super) port: Option<u16>,
    pub(super) console: Reader,
    pub(super) head: watch::Receiver<u64>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) counts: watch::Receiver<Counts>,
    pub(super) inputs: mpsc::Sender<Input>,
}

impl Watcher {
    /// Until the keeper is gone.
    pub(super) async fn run(mut self) {
        let mut crowd = Crowd::new(&self.definition.players, self.port.is_some());
        let started = self.status.borrow_and_update().started;
        crowd.begin(started);
        let mut told = Seen::default();
        if self.definition.players.join.is_none() && self.port.is_none() {
            return; // there is nothing to see
        }
        let (mut console, from) = (self.console, started.unwrap_or(UnixMillis::now()));
        let located = tokio::task::spawn_blocking(move || {
            let since = console.before(from);
            (console, since)
        });
        let Ok((console, since)) = located.await else {
            return; // the runtime is shutting down
        };
        let since = since.unwrap_or_else(|error| {
            tracing::warn!(server = self.id.0, %error, "its console cannot be read; who plays is not known");
            0
        });
        // Nothing is said before all that was there has been read.
        let present = *self.head.borrow();
        let mut ready = since > present;
        let mut tail = Tail::new(console, self.head, since);
        loop {
            let mut say = None;
            tokio::select! {
                changed = self.status.changed() => match changed {
                    Ok(()) => crowd.begin(self.status.borrow_and_update().started),
                    Err(_) => return,
                },
                batch = tail.next() => match batch {
                    Some(batch) => {
                        for entry in &batch.entries {
                            crowd.read(entry);
                        }
                        ready |= batch.next > present;
                    }
                    None => return,
                },
                Ok(()) = self.counts.changed(), if ready && self.port.is_some() => {
                    let counts = self.counts.borrow_and_update().clone();
                    if let (Some(counts), Some(port)) = (counts, self.port) {
                        let here = counts.get(&port).copied().unwrap_or(0);
                        say = crowd.counted(here, UnixMillis::now());
                    }
                }
            }
            let seen = crowd.seen();
            if ready && (seen != told || say.is_some()) {
                told = seen.clone();
                let news = Input::Players(self.id, self.epoch, seen, say);
                if self.inputs.send(news).await.is_err() {
                    return;
                }
            }
        }
    }
}
