//! Writes records in the order in which they were changed, all that wait in one transaction.

use tokio::sync::{mpsc, oneshot};

use super::classes::{CLASSES, Class};
use super::lifecycle::Event;
use super::records::{Mark, SERVERS, Server, key};
use super::service::Input;
use super::{HostingError, View};
use crate::accounts::ServerId;
use crate::store::{Store, StoreError};
use crate::worker::Worker;

/// Who waits for a server's view.
pub(super) type Reply = oneshot::Sender<Result<View, HostingError>>;

/// What is to be written.
#[derive(Debug, Clone)]
pub(super) enum Change {
    /// A new server of this owner's name, which is given its id.
    Create(Server, String),
    Put(Server),
    /// Its folder is gone from the recycle bin, or never came to be.
    Forget(ServerId),
    Class(Class),
}

/// What happens once it is durable.
pub(super) enum Then {
    /// The server becomes one of ours, and its reservation number ends.
    Created(u64, Reply),
    /// Its life takes a step.
    Step(Event, Reply),
    /// It was deleted; the answer comes when it is gone.
    Deleted(oneshot::Sender<Result<(), HostingError>>),
    /// It was changed.
    Updated(Reply),
    /// It bears a new mark.
    Marked(Mark, oneshot::Sender<Result<(Server, Mark), HostingError>>),
    Classed(Class, oneshot::Sender<Result<Class, HostingError>>),
    /// Its creation failed for this reason, and has left nothing.
    Undone(u64, Box<Server>, Reply, HostingError),
    Forgotten,
}

pub(super) struct Job {
    pub(super) change: Change,
    pub(super) then: Then,
}

/// Most jobs in one transaction.
const TOGETHER: usize = 128;

pub(super) async fn run(
    store: Store,
    worker: Worker,
    mut jobs: mpsc::Receiver<Job>,
    done: mpsc::Sender<Input>,
) {
    let mut batch = Vec::new();
    while jobs.recv_many(&mut batch, TOGETHER).await > 0 {
        let changes: Vec<Change> = batch.iter().map(|job| job.change.clone()).collect();
        let written = match write(&store, changes.clone()).await {
            Ok(servers) => servers.into_iter().map(Ok).collect(),
            // Each gets its own error, and none fails for another's.
            Err(_) => {
                let mut each = Vec::new();
                for change in changes {
                    let one = write(&store, vec![change]).await;
                    each.push(one.map(|mut servers| servers.remove(0)));
                }
                each
            }
        };
        for (job, result) in batch.drain(..).zip(written) {
            let result = match (result, &job.change) {
                (Ok(server), Change::Forget(_) | Change::Class(_)) => Ok(server),
                (Ok(server), _) => manifest(&worker, server, started(&job.then)).await,
                (Err(error), _) => Err(error),
            };
            let id = match &job.change {
                Change::Create(..) | Change::Class(_) => None,
                Change::Put(server) => Some(server.id),
                Change::Forget(id) => Some(*id),
            };
            let input = Input::Durable {
                id,
                result: Box::new(result),
                then: job.then,
            };
            if done.send(input).await.is_err() {
                return;
            }
        }
    }
}

fn started(then: &Then) -> bool {
    matches!(then, Then::Step(Event::Start | Event::Restart, _))
}

/// The manifest is a convenience: that it could not be written is said, and harms nothing. That somebody wants it up
/// (`started`) is said to its run folder before anybody is told so: else a restart of the daemon would leave it failed.
async fn manifest(
    worker: &Worker,
    server: Option<Server>,
    started: bool,
) -> Result<Option<Server>, StoreError> {
    let Some(server) = server else {
        return Ok(None);
    };
    let worker = worker.clone();
    let written = tokio::task::spawn_blocking(move || {
        // A deleted server's folder may be in the recycle bin already.
        let written = match server.deleted.is_some() && !worker.has(server.id) {
            true => Ok(()),
            false => worker.manifest(&server),
        };
        if let Err(error) = written {
            tracing::warn!(server = server.id.0, %error, "its server.json cannot be written");
        }
        if started && let Err(error) = worker.excuse(server.id) {
            tracing::warn!(server = server.id.0, %error, "its status.json cannot be written");
        }
        server
    });
    match written.await {
        Ok(server) => Ok(Some(server)),
        Err(_) => Err(StoreError::Closed), // the runtime is shutting down
    }
}

/// `{owner}_{id}`, as MyOTTD's pattern has it: `^[a-z][a-z0-9-]+_[0-9]+$`. An owner of one letter is given a hyphen, with
/// which no other's name ends.
fn named(owner: &str, id: ServerId) -> String {
    let filler = if owner.len() == 1 { "-" } else { "" };
    format!("{owner}{filler}_{}", id.0)
}

async fn write(store: &Store, changes: Vec<Change>) -> Result<Vec<Option<Server>>, StoreError> {
    store
        .write(move |tx| {
            let mut written = Vec::new();
            for change in changes {
                written.push(match change {
                    Change::Create(mut server, owner) => {
                        server.id = ServerId(tx.next_id("server")?);
                        server.name = named(&owner, server.id);
                        tx.put(SERVERS, key(server.id), &server)?;
                        Some(server)
                    }
                    Change::Put(server) => {
                        tx.put(SERVERS, key(server.id), &server)?;
                        Some(server)
                    }
                    Change::Class(class) => {
                        tx.put(CLASSES, [class.number], &class)?;
                        None
                    }
                    Change::Forget(id) => {
                        tx.delete(SERVERS, key(id))?;
                        None
                    }
                });
            }
            Ok(written)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::accounts::account_name;
    use proptest::prelude::*;

    #[test]
    fn an_owner_of_one_letter_has_servers_too() {
        assert_eq!(named("a", ServerId(3)), "a-_3");
        assert_eq!(named("ada", ServerId(3)), "ada_3");
    }

    proptest! {
        #[test]
        fn every_servers_name_fits_the_pattern_and_is_no_others(
            wish in prop_oneof!["[a-zA-Z](-?[a-z0-9]){0,31}", "[a-z0-9-]{1,4}"],
            other in "[a-z](-?[a-z0-9]){0,3}",
            id in any::<u64>(),
        ) {
            let Ok(owner) = account_name(&wish) else { return Ok(()) };
            let pattern = regex::Regex::new("^[a-z][a-z0-9-]+_[0-9]+$").unwrap();
            let name = named(&owner, ServerId(id));
            prop_assert!(pattern.is_match(&name), "{}", name);
            prop_assert_eq!(name == named(&other, ServerId(id)), owner == other);
        }
    }
}
