//! One job at a time per server, few in all; and how a snapshot is taken.

use std::{
    collections::BTreeMap,
    os::fd::OwnedFd,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedMutexGuard, Semaphore};

use super::{
    Overview, Patch, Rules, Running, Settings, SnapshotsError, Take, View,
    job::{Failure, JobError, Runner, Work},
    places::{self, Places},
    records::{KeptRules, REPOSITORIES, RULES, Repository, SNAPSHOTS, Snapshot, UNDOS, key, of},
    saving::{self, Before},
    wire::{Job, Order, Outcome, Passed, Why},
};
use crate::{
    accounts::{Accounts, Principal, ServerId},
    clock::UnixMillis,
    hosting::{Home, Hosting},
    store::{Store, StoreError},
};

/// Jobs at the same time, in all.
const FEW: usize = 2;
/// How long a job waits for another of its server to end.
const PATIENCE: Duration = Duration::from_secs(30);
/// Snapshots of one server, at most, those that are pinned included.
const MOST: usize = 2000;
const LABEL: usize = 64;

/// What all of it shares.
pub(super) struct Service {
    pub(super) settings: Settings,
    pub(super) places: Places,
    pub(super) hosting: Hosting,
    pub(super) store: Store,
    pub(super) runner: Runner,
    /// The box itself.
    pub(super) own: Principal,
    few: Semaphore,
    /// Each server's turn. Locked for one look-up.
    turns: Mutex<BTreeMap<ServerId, Arc<tokio::sync::Mutex<()>>>>,
    /// What is under way. Locked for one look-up or change.
    running: Mutex<BTreeMap<ServerId, Under>>,
}

struct Under {
    what: &'static str,
    since: UnixMillis,
    done: Arc<AtomicU64>,
    of: Option<u64>,
}

/// The right to work on a server's snapshots.
pub(super) struct Turn {
    _own: OwnedMutexGuard<()>,
}

impl Service {
    pub(super) fn new(
        settings: Settings,
        places: Places,
        hosting: Hosting,
        store: Store,
        runner: Runner,
    ) -> Self {
        Self {
            settings,
            places,
            hosting,
            store,
            runner,
            own: Accounts::local(0, "box".into()),
            few: Semaphore::new(FEW),
            turns: Mutex::default(),
            running: Mutex::default(),
        }
    }

    /// Waits for the server's turn, for a while.
    pub(super) async fn turn(&self, id: ServerId) -> Result<Turn, SnapshotsError> {
        let turn = {
            let mut turns = self.turns.lock().unwrap_or_else(PoisonError::into_inner);
            turns.entry(id).or_default().clone()
        };
        match tokio::time::timeout(PATIENCE, turn.lock_owned()).await {
            Ok(own) => Ok(Turn { _own: own }),
            Err(_) => Err(SnapshotsError::Busy(id.0)),
        }
    }

    /// Runs a job of a server whose turn it is.
    pub(super) async fn job(
        &self,
        _turn: &Turn,
        home: &Home,
        job: Job,
        output: Option<OwnedFd>,
        of: Option<u64>,
    ) -> Result<Outcome, SnapshotsError> {
        let repository = self.unlock(home.id).await?;
        let _permit = self
            .few
            .acquire()
            .await
            .map_err(|_| SnapshotsError::Closed)?;
        let what = match &job {
            Job::Take { .. } => "take",
            Job::List { .. } | Job::Read { .. } => "read",
            Job::Restore { .. } | Job::RestoreOne { .. } | Job::PutBack { .. } => "restore",
            Job::Forget { .. } => "delete",
            Job::Check { .. } => "verify",
        };
        let done = Arc::new(AtomicU64::new(0));
        let under = Under {
            what,
            since: UnixMillis::now(),
            done: done.clone(),
            of,
        };
        self.running().insert(home.id, under);
        let (places, runner) = (self.places.clone(), self.runner.clone());
        let (rate, home_of) = (self.settings.rate, home.clone());
        let worked = tokio::task::spawn_blocking(move || {
            let work = gather(&places, &home_of, job, &repository, rate, output)?;
            Ok::<_, SnapshotsError>(runner.run(work, &done))
        });
        let ended = worked.await;
        self.running().remove(&home.id);
        match ended {
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                Err(_) => Err(SnapshotsError::Closed),
            },
            Ok(ran) => ran?.map_err(|failure| match failure {
                Failure::Said(Why::DiskFull, text) => SnapshotsError::DiskFull(text),
                Failure::Said(Why::NoSuchPath | Why::WrongKind, text) => {
                    SnapshotsError::NoSuchPath(text)
                }
                Failure::Said(Why::Damaged, text) => SnapshotsError::Damaged(text),
                Failure::Said(Why::Failed, text) => JobError::Failed(text).into(),
                Failure::Job(JobError::Stopped) => SnapshotsError::Closed,
                Failure::Job(error) => error.into(),
            }),
        }
    }

    fn running(&self) -> std::sync::MutexGuard<'_, BTreeMap<ServerId, Under>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The key of a server's repository, made at its first use and durable before it is used.
    async fn unlock(&self, id: ServerId) -> Result<Repository, SnapshotsError> {
        if let Some(repository) = self.store.get(REPOSITORIES, of(id))? {
            return Ok(repository);
        }
        let key =
            serde_json::to_string(&rustic_core::repofile::MasterKey::new()).expect("a key is text");
        let repository = Repository {
            key,
            checked: None,
            pruned: UnixMillis::now(),
            gone: 0,
        };
        let fresh = repository.clone();
        self.store
            .write(move |tx| tx.put(REPOSITORIES, of(id), &fresh))
            .await?;
        Ok(repository)
    }

    /// A server's snapshots, the oldest first.
    pub(super) fn all(&self, id: ServerId) -> Result<Vec<Snapshot>, StoreError> {
        let found = self.store.scan(SNAPSHOTS, &of(id));
        found.map(|record| Ok(record?.1)).collect()
    }

    pub(super) fn one(&self, server: ServerId, id: u64) -> Result<Snapshot, SnapshotsError> {
        let found = self.store.get(SNAPSHOTS, key(server, id))?;
        found.ok_or(SnapshotsError::NoSuchSnapshot {
            server: server.0,
            id,
        })
    }

    pub(super) fn rules(&self, id: ServerId) -> Result<Rules, StoreError> {
        let kept = self.store.get(RULES, of(id))?;
        Ok(kept.map(|KeptRules(rules)| rules).unwrap_or_default())
    }

    /// All that there is to see.
    pub(super) fn overview(&self, id: ServerId) -> Result<Overview, SnapshotsError> {
        let running = self.running().get(&id).map(|under| Running {
            what: under.what.into(),
            since: under.since,
            bytes: under.done.load(Ordering::Relaxed),
            of: under.of,
        });
        Ok(Overview {
            snapshots: self.all(id)?.into_iter().map(View::from).collect(),
            rules: self.rules(id)?,
            running,
            undo: self.store.get(UNDOS, of(id))?.map(Into::into),
            checked: self
                .store
                .get(REPOSITORIES, of(id))?
                .and_then(|kept| kept.checked),
        })
    }

    /// Takes one, and lets go of those that the rules no longer keep.
    pub(super) async fn take(
        &self,
        home: Home,
        wish: Take,
        by: String,
    ) -> Result<View, SnapshotsError> {
        label(&wish.label)?;
        let (id, turn) = (home.id, self.turn(home.id).await?);
        let before = self.all(id)?;
        if before.len() >= MOST {
            return Err(SnapshotsError::Bad {
                field: "pinned",
                why: format!(
                    "there are {MOST} snapshots of this server, the most that there can be: delete some"
                ),
            });
        }
        let created = UnixMillis::now();
        let saved = saving::save(&self.hosting, &self.own, id).await?;
        if let (Before::Torn(why), true) = (&saved, wish.strict) {
            return Err(SnapshotsError::Inconsistent(why.clone()));
        }
        let last = before.last();
        let job = Job::Take {
            parent: last.map(|last| last.stored.clone()),
        };
        let of = last.map(|last| last.bytes);
        let taken = match self.job(&turn, &home, job, None, of).await? {
            Outcome::Taken(taken) => taken,
            other => return Err(riddle(&other)),
        };
        let mut torn = saving::held(&self.hosting, &self.own, id, saved).await?;
        if torn.is_none() && !taken.changed.is_empty() {
            let changed = format!("changed while it was read: {}", taken.changed.join(", "));
            torn = shortened(vec![changed]).pop();
        }
        if let (Some(why), true) = (&torn, wish.strict) {
            let forget = Job::Forget {
                snapshots: vec![taken.snapshot],
                prune: None,
            };
            self.job(&turn, &home, forget, None, None).await?;
            return Err(SnapshotsError::Inconsistent(why.clone()));
        }
        let took = UnixMillis::now().since(created);
        let mut record = Snapshot {
            id: 0,
            server: id,
            label: wish.label,
            created,
            by,
            bytes: taken.bytes,
            files: taken.files,
            added: taken.added,
            took_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
            torn,
            notes: shortened(taken.notes),
            pinned: wish.pinned,
            damaged: Vec::new(),
            stored: taken.snapshot,
        };
        let record = self
            .store
            .write(move |tx| {
                record.id = tx.next_id("snapshot")?;
                tx.put(SNAPSHOTS, key(id, record.id), &record)?;
                Ok::<_, StoreError>(record)
            })
            .await?;
        tracing::info!(
            server = id.0,
            snapshot = record.id,
            added = record.added,
            "snapshot taken"
        );
        // That they could not go is no reason to say that there is no new one.
        if let Err(error) = self.expire(&turn, &home).await {
            tracing::error!(server = id.0, %error, "old snapshots could not go");
        }
        Ok(record.into())
    }

    /// Changes what people say of one.
    pub(super) async fn change(
        &self,
        server: ServerId,
        id: u64,
        patch: Patch,
    ) -> Result<View, SnapshotsError> {
        if let Some(text) = &patch.label {
            label(text)?;
        }
        let changed = self
            .store
            .write(move |tx| {
                let Some(mut record) = tx.get(SNAPSHOTS, key(server, id))? else {
                    return Ok(None);
                };
                record.label = patch.label.unwrap_or(record.label);
                record.pinned = patch.pinned.unwrap_or(record.pinned);
                tx.put(SNAPSHOTS, key(server, id), &record)?;
                Ok::<_, StoreError>(Some(record))
            })
            .await?;
        changed
            .map(View::from)
            .ok_or(SnapshotsError::NoSuchSnapshot {
                server: server.0,
                id,
            })
    }
}

/// Opens what a job needs. Blocking.
fn gather(
    places: &Places,
    home: &Home,
    job: Job,
    repository: &Repository,
    rate: u64,
    output: Option<OwnedFd>,
) -> Result<Work, SnapshotsError> {
    places.prepare(home.id, home.user)?;
    let open = |path: &std::path::Path| places::folder(path).map_err(places::at(path));
    let mut output = output;
    let mut passed = Vec::new();
    for wanted in job.descriptors() {
        passed.push(match wanted {
            Passed::Folder => match places::folder(&home.folder) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(SnapshotsError::Empty(home.id.0));
                }
                folder => folder.map_err(places::at(&home.folder))?,
            },
            Passed::Aside => {
                let path = match &job {
                    Job::Restore { into, .. } => places.aside(home.id).join(into),
                    _ => places.aside(home.id),
                };
                open(&path)?
            }
            Passed::Output => output.take().expect("who wants to read brings where to"),
        });
    }
    Ok(Work {
        order: Order {
            job,
            key: places::unlocked(repository)?,
            rate,
        },
        user: home.user,
        repository: open(&places.repository(home.id))?,
        passed,
    })
}

/// A job answered something else than it was asked.
pub(super) fn riddle(outcome: &Outcome) -> SnapshotsError {
    JobError::Riddle(format!("{outcome:?}").chars().take(200).collect()).into()
}

fn label(text: &str) -> Result<(), SnapshotsError> {
    if text.chars().count() > LABEL || text.chars().any(char::is_control) {
        return Err(SnapshotsError::Bad {
            field: "label",
            why: format!("must be at most {LABEL} characters on one line"),
        });
    }
    Ok(())
}

/// So that a record is never too large to be kept.
pub(super) fn shortened(lines: Vec<String>) -> Vec<String> {
    let short = |line: String| match line.char_indices().nth(300) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    };
    lines
        .into_iter()
        .take(super::wire::NOTES)
        .map(short)
        .collect()
}
