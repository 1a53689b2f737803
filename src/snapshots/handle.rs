//! What every door holds: rights are checked here, and each change is recorded before it is made.

use std::{io, sync::Arc};

use bytes::Bytes;
use futures_util::Stream;
use nix::fcntl::OFlag;
use tokio::{io::AsyncReadExt as _, net::unix::pipe, sync::oneshot};
use tokio_util::sync::CancellationToken;

use super::{
    Check, Folder, Overview, Patch, Restore, RestoredView, Rules, Settings, SnapshotsError, Take,
    View,
    job::Runner,
    places::Places,
    restoring::asked,
    service::{Service, riddle},
    upkeep,
    wire::{Job, Outcome, PAGE},
};
use crate::{
    accounts::{Principal, ServerId, Verb},
    audit::Audit,
    hosting::{Home, Hosting},
    store::Store,
};

/// Bytes of a file that are sent at once.
const PIECE: usize = 64 << 10;

/// Cheap to clone; all that a door holds.
#[derive(Clone)]
pub struct Snapshots {
    service: Arc<Service>,
    audit: Audit,
}

/// A file out of a snapshot, as it is read.
pub type Reading = std::pin::Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>>;

/// The handle to share and the task to run.
pub fn open(
    settings: Settings,
    hosting: Hosting,
    store: Store,
    audit: Audit,
    stop: CancellationToken,
) -> Result<(Snapshots, impl Future<Output = ()> + use<>), SnapshotsError> {
    let places = Places::open(&settings.state)?;
    let runner = Runner {
        program: settings.program.clone(),
        stop: stop.clone(),
    };
    let service = Arc::new(Service::new(settings, places, hosting, store, runner));
    let run = upkeep::run(service.clone(), stop);
    Ok((Snapshots { service, audit }, run))
}

impl Snapshots {
    async fn home(&self, by: &Principal, verb: Verb, id: ServerId) -> Result<Home, SnapshotsError> {
        Ok(self.service.hosting.home(by, verb, id).await?)
    }

    /// Records the action, does it, records how it went: to the end, even when whoever asked does not wait for it.
    async fn act<T: Send + 'static>(
        &self,
        by: &Principal,
        action: &'static str,
        id: ServerId,
        detail: serde_json::Value,
        work: impl Future<Output = Result<T, SnapshotsError>> + Send + 'static,
    ) -> Result<T, SnapshotsError> {
        let (audit, actor) = (self.audit.clone(), by.actor.clone());
        let subject = format!("server {}", id.0);
        let acting = async move { audit.run(&actor, action, subject, detail, work).await };
        match tokio::spawn(acting).await {
            Ok(done) => done,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(SnapshotsError::Closed),
            },
        }
    }

    /// All of a server's snapshots, and what goes on with them.
    pub async fn list(&self, by: &Principal, id: ServerId) -> Result<Overview, SnapshotsError> {
        self.home(by, Verb::ServerView, id).await?;
        let service = self.service.clone();
        blocking(move || service.overview(id)).await
    }

    /// One snapshot.
    pub async fn get(
        &self,
        by: &Principal,
        id: ServerId,
        snapshot: u64,
    ) -> Result<View, SnapshotsError> {
        self.home(by, Verb::ServerView, id).await?;
        Ok(self.service.one(id, snapshot)?.into())
    }

    /// Takes one. Returns when it is durable.
    pub async fn take(
        &self,
        by: &Principal,
        id: ServerId,
        wish: Take,
    ) -> Result<View, SnapshotsError> {
        let home = self.home(by, Verb::ServerSnapshot, id).await?;
        let (service, name) = (self.service.clone(), by.actor.name.clone());
        let detail = serde_json::json!({ "strict": wish.strict, "pinned": wish.pinned });
        let work = async move { service.take(home, wish, name).await };
        self.act(by, "snapshot.take", id, detail, work).await
    }

    /// Changes what people say of one.
    pub async fn change(
        &self,
        by: &Principal,
        id: ServerId,
        snapshot: u64,
        patch: Patch,
    ) -> Result<View, SnapshotsError> {
        self.home(by, Verb::ServerSnapshot, id).await?;
        let service = self.service.clone();
        let detail = serde_json::json!({ "snapshot": snapshot, "pinned": patch.pinned });
        let work = async move { service.change(id, snapshot, patch).await };
        self.act(by, "snapshot.change", id, detail, work).await
    }

    /// Deletes one, and gives its room back.
    pub async fn delete(
        &self,
        by: &Principal,
        id: ServerId,
        snapshot: u64,
    ) -> Result<(), SnapshotsError> {
        let home = self.home(by, Verb::ServerSnapshot, id).await?;
        let service = self.service.clone();
        let detail = serde_json::json!({ "snapshot": snapshot });
        let work = async move { service.delete(home, snapshot).await };
        self.act(by, "snapshot.delete", id, detail, work).await
    }

    /// Changes how many stay.
    pub async fn keep(
        &self,
        by: &Principal,
        id: ServerId,
        rules: Rules,
    ) -> Result<Rules, SnapshotsError> {
        let home = self.home(by, Verb::ServerSnapshot, id).await?;
        let service = self.service.clone();
        let detail = serde_json::json!(rules);
        let work = async move { service.keep(home, rules).await };
        self.act(by, "snapshot.keep", id, detail, work).await
    }

    /// Reads all that is stored of a server, and says what is damaged.
    pub async fn verify(&self, by: &Principal, id: ServerId) -> Result<Check, SnapshotsError> {
        let home = self.home(by, Verb::ServerSnapshot, id).await?;
        let service = self.service.clone();
        let work = async move { service.verify(home).await };
        self.act(by, "snapshot.verify", id, serde_json::json!({}), work)
            .await
    }

    /// Restores all, or one file or folder.
    pub async fn restore(
        &self,
        by: &Principal,
        id: ServerId,
        snapshot: u64,
        wish: Restore,
    ) -> Result<RestoredView, SnapshotsError> {
        let home = self.home(by, Verb::ServerSnapshot, id).await?;
        let (service, own) = (self.service.clone(), by.clone());
        let detail = serde_json::json!({
            "snapshot": snapshot,
            "path": wish.path.as_ref().map(|path| path.chars().take(200).collect::<String>()),
            "stop": wish.stop,
        });
        let work = async move { service.restore(home, snapshot, wish, &own).await };
        self.act(by, "snapshot.restore", id, detail, work).await
    }

    /// Undoes the last restore; `stop`: stops the server first and starts it again, if it runs and all was restored.
    pub async fn undo(
        &self,
        by: &Principal,
        id: ServerId,
        stop: bool,
    ) -> Result<RestoredView, SnapshotsError> {
        let home = self.home(by, Verb::ServerSnapshot, id).await?;
        let (service, own) = (self.service.clone(), by.clone());
        let detail = serde_json::json!({ "stop": stop });
        let work = async move { service.undo(home, stop, &own).await };
        self.act(by, "snapshot.undo", id, detail, work).await
    }

    /// A page of a folder in a snapshot, beginning after a name. Paths and names are text, or bytes in base64.
    pub async fn files(
        &self,
        by: &Principal,
        id: ServerId,
        snapshot: u64,
        path: (Option<&str>, Option<&str>),
        after: (Option<&str>, Option<&str>),
    ) -> Result<Folder, SnapshotsError> {
        let home = self.home(by, Verb::FilesRead, id).await?;
        let stored = self.service.one(id, snapshot)?.stored;
        let job = Job::List {
            snapshot: stored,
            path: asked(path.0, path.1)?,
            after: Some(asked(after.0, after.1)?).filter(|after| !after.0.is_empty()),
            count: PAGE,
        };
        let turn = self.service.turn(id).await?;
        match self.service.job(&turn, &home, job, None, None).await? {
            Outcome::Listed { entries, more } => Ok(Folder {
                entries: entries.into_iter().map(Into::into).collect(),
                more,
            }),
            other => Err(riddle(&other)),
        }
    }

    /// One file out of a snapshot. What is wrong at once is an error; what is wrong later ends the stream with one.
    pub async fn read(
        &self,
        by: &Principal,
        id: ServerId,
        snapshot: u64,
        path: (Option<&str>, Option<&str>),
    ) -> Result<Reading, SnapshotsError> {
        let home = self.home(by, Verb::FilesRead, id).await?;
        let job = Job::Read {
            snapshot: self.service.one(id, snapshot)?.stored,
            path: asked(path.0, path.1)?,
        };
        let failed = |source: io::Error| SnapshotsError::Io {
            path: "a pipe".into(),
            source,
        };
        let (output, input) =
            nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(|error| failed(error.into()))?;
        nix::fcntl::fcntl(&output, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|error| failed(error.into()))?;
        let mut output = pipe::Receiver::from_owned_fd(output).map_err(failed)?;
        let (service, actor, audit) = (self.service.clone(), by.actor.clone(), self.audit.clone());
        let (ended, end) = oneshot::channel();
        tokio::spawn(async move {
            let work = async {
                let turn = service.turn(id).await?;
                service.job(&turn, &home, job, Some(input), None).await
            };
            let detail = serde_json::json!({ "snapshot": snapshot });
            let subject = format!("server {}", id.0);
            let done = audit
                .run(&actor, "snapshot.read", subject, detail, work)
                .await;
            ended.send(done).ok(); // nobody reads it any more
        });
        let mut first = vec![0; PIECE];
        let count = output.read(&mut first).await.map_err(failed)?;
        if count == 0 {
            end.await.map_err(|_| SnapshotsError::Closed)??;
            return Ok(Box::pin(futures_util::stream::empty()));
        }
        first.truncate(count);
        let rest = (Some(Bytes::from(first)), output, Some(end));
        Ok(Box::pin(futures_util::stream::unfold(
            rest,
            |(first, mut output, mut end)| async move {
                if let Some(first) = first {
                    return Some((Ok(first), (None, output, end)));
                }
                let mut piece = vec![0; PIECE];
                match output.read(&mut piece).await {
                    Ok(0) => {
                        // Only a job that came to its end has written all of it.
                        let broken = match end.take()?.await {
                            Ok(Ok(_)) => return None,
                            Ok(Err(error)) => io::Error::other(error.to_string()),
                            Err(_) => io::ErrorKind::UnexpectedEof.into(),
                        };
                        Some((Err(broken), (None, output, None)))
                    }
                    Ok(count) => {
                        piece.truncate(count);
                        Some((Ok(Bytes::from(piece)), (None, output, end)))
                    }
                    Err(error) => Some((Err(error), (None, output, None))),
                }
            },
        )))
    }
}

/// Runs what may block where it may.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, SnapshotsError> + Send + 'static,
) -> Result<T, SnapshotsError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.map_err(|_| SnapshotsError::Closed)?
}
