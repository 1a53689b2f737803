//! What nobody asks for: settling what a crash left between store and repository, letting undos lapse, and removing
//! what is kept of servers that are gone for good.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use tokio_util::sync::CancellationToken;

use super::{
    SnapshotsError, places,
    records::{REPOSITORIES, RULES, SNAPSHOTS, UNDOS, key, of},
    service::Service,
    wire::Job,
};
use crate::{
    accounts::{ServerId, Verb},
    clock::UnixMillis,
    hosting::records::{self as servers, SERVERS},
    store::StoreError,
};

/// How often it is looked.
const ROUND: Duration = Duration::from_secs(10);

pub(super) async fn run(service: Arc<Service>, stop: CancellationToken) {
    let work = async {
        for id in kept(&service) {
            if let Err(error) = settle(&service, id).await {
                tracing::error!(server = id.0, %error, "its snapshots cannot be settled; it is tried at the next start");
            }
        }
        let mut round = tokio::time::interval(ROUND);
        loop {
            round.tick().await;
            for id in kept(&service) {
                if let Err(error) = look(&service, id).await {
                    tracing::error!(server = id.0, %error, "what is kept of it cannot be looked after");
                }
            }
        }
    };
    stop.run_until_cancelled(work).await;
}

fn kept(service: &Service) -> Vec<ServerId> {
    let servers = service.places.servers();
    let servers = servers
        .inspect_err(|error| tracing::error!(%error, "the snapshots' folder cannot be read"));
    servers.unwrap_or_default()
}

/// Settles what the last run left half-done.
async fn settle(service: &Service, id: ServerId) -> Result<(), SnapshotsError> {
    if service.store.get(SERVERS, servers::key(id))?.is_none() {
        return Ok(()); // `look` removes it
    }
    // A deleted server waits in the bin, and nothing of it can be under way.
    let Ok(home) = service
        .hosting
        .home(&service.own, Verb::ServerSnapshot, id)
        .await
    else {
        return Ok(());
    };
    let turn = service.turn(id).await?;
    let valid = service.settle_undo(&turn, &home).await?;
    service.clear(id, valid).await;

    let stored = service
        .places
        .stored(id)
        .map_err(places::at(&service.places.repository(id)))?;
    let Some(stored) = stored else {
        if !service.all(id)?.is_empty() {
            tracing::error!(
                server = id.0,
                "the repository of its snapshots is gone; their records stay"
            );
        }
        return Ok(());
    };
    let (known, stored): (BTreeSet<_>, BTreeSet<_>) = (
        service
            .all(id)?
            .into_iter()
            .map(|record| record.stored)
            .collect(),
        stored.into_iter().collect(),
    );
    let orphans: Vec<String> = stored.difference(&known).cloned().collect();
    if !orphans.is_empty() {
        tracing::info!(
            server = id.0,
            count = orphans.len(),
            "snapshots that were not taken to the end are removed"
        );
        let job = Job::Forget {
            snapshots: orphans,
            prune: None,
        };
        service.job(&turn, &home, job, None, None).await?;
    }
    let lost: Vec<u64> = service
        .all(id)?
        .into_iter()
        .filter(|record| !stored.contains(&record.stored))
        .map(|record| record.id)
        .collect();
    if !lost.is_empty() {
        tracing::error!(
            server = id.0,
            ?lost,
            "these snapshots are not in the repository any more, and are forgotten"
        );
        service
            .store
            .write(move |tx| {
                for snapshot in lost {
                    tx.delete(SNAPSHOTS, key(id, snapshot))?;
                }
                Ok::<_, StoreError>(())
            })
            .await?;
    }
    Ok(())
}

/// Lets what is over go.
async fn look(service: &Service, id: ServerId) -> Result<(), SnapshotsError> {
    if service.store.get(SERVERS, servers::key(id))?.is_none() {
        return bury(service, id).await;
    }
    let undo = service.store.get(UNDOS, of(id))?;
    if let Some(undo) = undo
        && UnixMillis::now().since(undo.at) >= service.settings.recycle
    {
        let _turn = service.turn(id).await?;
        // It may be another by now.
        if service.store.get(UNDOS, of(id))?.as_ref() == Some(&undo) {
            service.note(id, None).await?;
            service.clear(id, None).await;
        }
    }
    Ok(())
}

/// Removes all that is kept of a server whose folder was purged.
async fn bury(service: &Service, id: ServerId) -> Result<(), SnapshotsError> {
    let _turn = service.turn(id).await?;
    let records: Vec<u64> = service
        .all(id)?
        .into_iter()
        .map(|record| record.id)
        .collect();
    service
        .store
        .write(move |tx| {
            for snapshot in records {
                tx.delete(SNAPSHOTS, key(id, snapshot))?;
            }
            tx.delete(RULES, of(id))?;
            tx.delete(UNDOS, of(id))?;
            tx.delete(REPOSITORIES, of(id))?;
            Ok::<_, StoreError>(())
        })
        .await?;
    let places = service.places.clone();
    let home = places.home(id);
    let removed = tokio::task::spawn_blocking(move || places.remove(id)).await;
    removed
        .map_err(|_| SnapshotsError::Closed)?
        .map_err(places::at(&home))?;
    tracing::info!(server = id.0, "its snapshots went with it");
    Ok(())
}
