//! After a start of the daemon: what was up and is not is started again, as far as the box's memory goes.
//!
//! Whoever went on meanwhile has its share of `hosting.memory` already, and so does what is mounted and stopped. So
//! nothing is started before every keeper has been looked for, and then those with the lowest ids come first.

use super::lifecycle::{Event as Happened, Want};
use super::service::Service;
use super::{Exit, HostingError};
use crate::accounts::ServerId;
use crate::clock::UnixMillis;

impl Service {
    /// Starts those that wait for it. Without a budget none has to wait for another.
    pub(super) fn resume(&mut self) {
        if self.settings.memory.is_some() && !self.unseen.is_empty() {
            return;
        }
        let held = std::mem::take(&mut self.held);
        // What they had before the daemon was away may be more than there is now.
        for id in held.keys() {
            if let Some(entry) = self.servers.get_mut(id) {
                entry.mounted = None;
            }
        }
        for (id, found) in held {
            let wanted = self
                .servers
                .get(&id)
                .is_some_and(|entry| entry.course.want == Want::Up);
            match self.afford(id) {
                Err(error) if wanted => self.stays_down(id, found, &error),
                _ => {
                    if wanted {
                        self.reserve(id);
                    }
                    self.step(id, found);
                }
            }
        }
    }

    /// It has no room, and only somebody's word starts it again.
    fn stays_down(&mut self, id: ServerId, found: Happened, error: &HostingError) {
        tracing::warn!(server = id.0, %error, "was up, and is not started again");
        let Some(entry) = self.servers.get_mut(&id) else {
            return;
        };
        entry.trouble = Some(Exit {
            at: UnixMillis::now(),
            code: None,
            signal: None,
            reason: format!("could not be started: {error}"),
        });
        // A start would end what a dead keeper left; there is none.
        if found == Happened::FoundDead {
            let (worker, server) = (self.worker.clone(), entry.server.clone());
            tokio::spawn(async move {
                if let Err(error) = worker.sweep(&server).await {
                    tracing::error!(server = id.0, %error, "what it left cannot be ended");
                }
            });
        }
        self.step(id, Happened::FoundFailed);
    }
}
