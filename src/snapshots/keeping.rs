//! What goes, and what is found damaged.

use std::time::Duration;

use jiff::tz::TimeZone;

use super::{
    Check, Rules, SnapshotsError,
    job::JobError,
    records::{KeptRules, REPOSITORIES, RULES, Repository, SNAPSHOTS, key, of},
    retention::{self, Kept},
    service::{Service, Turn, riddle, shortened},
    wire::{Job, Outcome},
};
use crate::{accounts::ServerId, clock::UnixMillis, hosting::Home, store::StoreError};

/// Room is given back at most so often, unless somebody deletes a snapshot: it reads and writes a lot.
const PRUNE: Duration = Duration::from_secs(24 * 3600);

impl Service {
    /// Lets go of what the rules no longer keep.
    pub(super) async fn expire(&self, turn: &Turn, home: &Home) -> Result<(), SnapshotsError> {
        let all = self.all(home.id)?;
        let kept: Vec<Kept> = all
            .iter()
            .map(|record| Kept {
                id: record.id,
                created: record.created,
                pinned: record.pinned,
            })
            .collect();
        let going = retention::expired(&kept, self.rules(home.id)?, &TimeZone::system());
        if going.is_empty() {
            return Ok(());
        }
        let last = self.store.get(REPOSITORIES, of(home.id))?;
        let due = last.is_some_and(|last| UnixMillis::now().since(last.pruned) >= PRUNE);
        self.let_go(turn, home, &going, due).await
    }

    /// Lets go of snapshots: first here, then in the repository. One that stays there after a crash is settled later.
    pub(super) async fn let_go(
        &self,
        turn: &Turn,
        home: &Home,
        ids: &[u64],
        prune: bool,
    ) -> Result<(), SnapshotsError> {
        let id = home.id;
        let (going, staying): (Vec<_>, Vec<_>) = self
            .all(id)?
            .into_iter()
            .partition(|record| ids.contains(&record.id));
        let gone: Vec<u64> = going.iter().map(|record| record.id).collect();
        let counted = gone.len() as u64;
        self.store
            .write(move |tx| {
                for snapshot in gone {
                    tx.delete(SNAPSHOTS, key(id, snapshot))?;
                }
                if let Some(mut repository) = tx.get(REPOSITORIES, of(id))? {
                    repository.gone += counted;
                    tx.put(REPOSITORIES, of(id), &repository)?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
        let staying = staying.into_iter().map(|record| record.stored).collect();
        let job = Job::Forget {
            snapshots: going.into_iter().map(|record| record.stored).collect(),
            prune: prune.then_some(staying),
        };
        self.job(turn, home, job, None, None).await?;
        if prune {
            self.change_repository(id, |repository| {
                repository.pruned = UnixMillis::now();
                repository.gone = 0;
            })
            .await?;
        }
        Ok(())
    }

    pub(super) async fn change_repository(
        &self,
        id: ServerId,
        change: impl FnOnce(&mut Repository) + Send,
    ) -> Result<(), StoreError> {
        self.store
            .write(move |tx| {
                if let Some(mut repository) = tx.get(REPOSITORIES, of(id))? {
                    change(&mut repository);
                    tx.put(REPOSITORIES, of(id), &repository)?;
                }
                Ok(())
            })
            .await
    }

    /// Deletes one, and gives its room back.
    pub(super) async fn delete(&self, home: Home, id: u64) -> Result<(), SnapshotsError> {
        let turn = self.turn(home.id).await?;
        self.one(home.id, id)?;
        self.let_go(&turn, &home, &[id], true).await
    }

    /// Changes the rules; they count at once.
    pub(super) async fn keep(&self, home: Home, rules: Rules) -> Result<Rules, SnapshotsError> {
        if let Some((field, why)) = rules.fault() {
            return Err(SnapshotsError::Bad {
                field,
                why: why.into(),
            });
        }
        let (id, turn) = (home.id, self.turn(home.id).await?);
        self.store
            .write(move |tx| tx.put(RULES, of(id), &KeptRules(rules)))
            .await?;
        self.expire(&turn, &home).await?;
        Ok(rules)
    }

    /// Reads everything, and notes what is damaged.
    pub(super) async fn verify(&self, home: Home) -> Result<Check, SnapshotsError> {
        let (id, turn) = (home.id, self.turn(home.id).await?);
        let all = self.all(id)?;
        if all.is_empty() {
            return Err(SnapshotsError::Bad {
                field: "server",
                why: "it has no snapshots to verify".into(),
            });
        }
        let job = Job::Check {
            snapshots: all.iter().map(|record| record.stored.clone()).collect(),
        };
        let (faults, damage) = match self.job(&turn, &home, job, None, None).await {
            Ok(Outcome::Checked { faults, damaged }) => (faults, damaged),
            Ok(other) => return Err(riddle(&other)),
            // It cannot even be opened.
            Err(SnapshotsError::Damaged(why) | SnapshotsError::Job(JobError::Failed(why))) => {
                (vec![why], Vec::new())
            }
            Err(error) => return Err(error),
        };
        let unreadable = !faults.is_empty() && damage.is_empty();
        let mut check = Check {
            at: UnixMillis::now(),
            faults: shortened(faults),
            damaged: Vec::new(),
        };
        let mut records = all;
        for record in &mut records {
            let of_it = damage
                .iter()
                .find(|damage| damage.snapshot == record.stored);
            record.damaged = of_it
                .map(|damage| shortened(damage.what.clone()))
                .unwrap_or_default();
            if !record.damaged.is_empty() {
                check.damaged.push(record.id);
            }
        }
        if !check.damaged.is_empty() || unreadable {
            tracing::error!(server = id.0, damaged = ?check.damaged, faults = ?check.faults, "snapshots are damaged");
        }
        let noted = check.clone();
        self.store
            .write(move |tx| {
                for record in records {
                    // One that was deleted meanwhile stays deleted.
                    if let Some(mut known) = tx.get(SNAPSHOTS, key(id, record.id))? {
                        known.damaged = record.damaged;
                        tx.put(SNAPSHOTS, key(id, record.id), &known)?;
                    }
                }
                if let Some(mut repository) = tx.get(REPOSITORIES, of(id))? {
                    repository.checked = Some(noted);
                    tx.put(REPOSITORIES, of(id), &repository)?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
        Ok(check)
    }
}
