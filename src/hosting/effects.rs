//! What the owning task sets in motion: each runs on its own and reports back as an input, so that none delays another.

use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::lifecycle::{Effect, Life};
use super::service::{Input, Service};
use crate::accounts::ServerId;
use crate::clock::UnixMillis;
use crate::keeper::{KeeperError, Request};
use crate::worker::WorkerError;

/// How long a launch, a look or a move that failed waits before it is tried again.
const LATER: Duration = Duration::from_secs(1);
/// How long a keeper may take to hear that it shall kill its game, before it is killed itself.
const HEED: Duration = Duration::from_secs(5);

fn gone(game: &str) -> WorkerError {
    WorkerError::Missing(format!("there is no game `{game}` any more"))
}

impl Service {
    pub(super) fn act(&mut self, id: ServerId, effect: Effect) {
        let order = self.servers.get(&id).map(|entry| self.order(entry));
        let (Some(entry), Some(order)) = (self.servers.get_mut(&id), order) else {
            return;
        };
        let (worker, inputs) = (self.worker.clone(), self.inputs.clone());
        match effect {
            Effect::Look => {
                let looks = self.looks.clone();
                tokio::spawn(async move {
                    let _turn = looks.acquire_owned().await;
                    let head = worker.head(id).await;
                    let mounted = worker.mounted(id).await;
                    let found = worker.look(id).await;
                    let input = Input::Found(id, found, head, mounted);
                    inputs.send(input).await.ok();
                });
            }
            Effect::Launch => {
                entry.cancel = CancellationToken::new();
                entry.trouble = None;
                entry.stale = false;
                entry.mounted.get_or_insert(UnixMillis::now());
                let (head, cancel) = (entry.head.clone(), entry.cancel.clone());
                let game = entry.server.game.clone();
                tokio::spawn(async move {
                    let launched = match order {
                        None => Err(gone(&game)),
                        Some(order) => {
                            let installing =
                                async || drop(inputs.send(Input::Installing(id)).await);
                            worker.launch(&order, head, &cancel, installing).await
                        }
                    };
                    let mounted = worker.mounted(id).await;
                    let input = Input::Launched(id, launched, mounted);
                    inputs.send(input).await.ok();
                });
            }
            Effect::Mount => {
                entry.cancel = CancellationToken::new();
                entry.trouble = None;
                let (head, cancel) = (entry.head.clone(), entry.cancel.clone());
                let game = entry.server.game.clone();
                tokio::spawn(async move {
                    let done = match order {
                        None => Err(gone(&game)),
                        Some(order) => {
                            let installing =
                                async || drop(inputs.send(Input::Installing(id)).await);
                            worker.mount(&order, head, &cancel, installing).await
                        }
                    };
                    let mounted = worker.mounted(id).await;
                    inputs.send(Input::Mounted(id, done, mounted)).await.ok();
                });
            }
            Effect::Unmount => {
                let (head, because) = (entry.head.clone(), std::mem::take(&mut entry.because));
                tokio::spawn(async move {
                    let unmounted = worker.unmount(id, head, &because).await;
                    inputs.send(Input::Unmounted(id, unmounted)).await.ok();
                });
            }
            Effect::Cancel => entry.cancel.cancel(),
            Effect::Stop => {
                let Some(client) = entry.client.clone() else {
                    return;
                };
                tokio::spawn(async move {
                    // A keeper that is lost is noticed elsewhere; one that sleeps hears of it when it wakes.
                    if let Err(error) = client.ask(Request::Stop).await {
                        tracing::warn!(server = id.0, %error, "its keeper cannot be told");
                    }
                });
            }
            Effect::Kill => {
                let client = entry.client.clone();
                tokio::spawn(async move {
                    let heard = match &client {
                        Some(client) => tokio::time::timeout(HEED, client.ask(Request::Kill)).await,
                        None => Ok(Err(KeeperError::Absent(worker.files(id)))),
                    };
                    if !matches!(heard, Ok(Ok(()))) {
                        worker.fell(id).await;
                    }
                });
            }
            Effect::Sweep => {
                let server = entry.server.clone();
                tokio::spawn(async move {
                    let swept = worker.sweep(&server).await;
                    inputs.send(Input::Swept(id, swept)).await.ok();
                });
            }
            Effect::Move => {
                let deleted = entry.server.deleted.unwrap_or_else(UnixMillis::now);
                tokio::spawn(async move {
                    let moved = worker.recycle(id, deleted).await;
                    inputs.send(Input::Moved(id, moved)).await.ok();
                });
            }
            Effect::Later => {
                let turn = entry.turn;
                let pause = LATER * 2_u32.pow(entry.misses.saturating_sub(1).min(6));
                tokio::spawn(async move {
                    tokio::time::sleep(pause).await;
                    inputs.send(Input::Tick(id, turn)).await.ok();
                });
            }
        }
    }

    /// A running server's keeper takes what was changed at its next start of the game. Another version does not come
    /// without an install, which only a new keeper has. One write at a time, so that the last change is the last written.
    pub(super) fn rewrite(&mut self, id: ServerId) {
        let order = self
            .servers
            .get(&id)
            .filter(|entry| entry.stale && !entry.writing && entry.course.life == Life::Kept)
            .and_then(|entry| self.order(entry));
        let (Some(order), Some(entry)) = (order, self.servers.get_mut(&id)) else {
            return;
        };
        (entry.stale, entry.writing) = (false, true);
        let (worker, inputs) = (self.worker.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let written = worker.rewrite(order).await;
            inputs.send(Input::Rewritten(id, written)).await.ok();
        });
    }

    pub(super) fn purge(&self, now: UnixMillis) {
        let until =
            UnixMillis(now.0.saturating_sub(
                u64::try_from(self.settings.recycle.as_millis()).unwrap_or(u64::MAX),
            ));
        let due = self
            .bin
            .values()
            .filter(|server| server.deleted.is_some_and(|at| at <= until));
        let due = due.map(|server| server.id).collect();
        let (worker, inputs) = (self.worker.clone(), self.inputs.clone());
        tokio::spawn(async move {
            let purged = worker.purge(until, due).await;
            inputs.send(Input::Purged(purged)).await.ok();
        });
    }
}
