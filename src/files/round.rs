//! What time does: bins lose what is old, and uploads that nobody went on with are given up.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use super::{
    Files, bin,
    handle::blocking,
    passing,
    records::{UPLOADS, key},
    site::Lasting,
    upload::{self, LIFE},
};
use crate::{accounts::ServerId, clock::UnixMillis, store::StoreError};

/// How often all is looked through.
pub(super) const ROUND: Duration = Duration::from_secs(3600);

impl Files {
    /// Empties the bins of what is due, and gives up old uploads.
    pub(super) async fn round(&self, now: UnixMillis) {
        let files = self.clone();
        let swept = blocking(move || Ok(files.sweep(now))).await;
        let lost = swept.unwrap_or_default();
        if lost.is_empty() {
            return;
        }
        let gone = self.0.store.write(move |tx| {
            for &upload in &lost {
                tx.delete(UPLOADS, key(upload))?;
            }
            Ok::<_, StoreError>(())
        });
        if let Err(error) = gone.await {
            tracing::warn!(%error, "old uploads stay recorded");
        }
    }

    /// Answers the uploads of which only the record is left.
    fn sweep(&self, now: UnixMillis) -> Vec<u64> {
        let Ok(homes) = fs::read_dir(self.0.settings.state.join("servers")) else {
            return Vec::new(); // there is none before the first server
        };
        let mut known = BTreeSet::new();
        for home in homes.flatten() {
            let name = home.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let (id, home) = (ServerId(id), home.path());
            let lasting = self.lasting(id);
            lasting.settle(&home);
            clear_up(id, &home);
            self.empty_bin(id, &home, &lasting, now);
            self.give_up(id, &home, &lasting, now, &mut known);
        }
        let records = self.0.store.scan(UPLOADS, b"").flatten();
        let lost = records
            .map(|(_, upload)| upload)
            .filter(|upload| !known.contains(&upload.id) && now.since(upload.created) > LIFE);
        lost.map(|upload| upload.id).collect()
    }

    fn empty_bin(&self, id: ServerId, home: &Path, lasting: &Lasting, now: UnixMillis) {
        let kept = u64::try_from(self.0.settings.bin.as_millis()).unwrap_or(u64::MAX);
        let before = UnixMillis(now.0.saturating_sub(kept));
        match bin::purge(home, lasting, before) {
            Ok(0) => {}
            Ok(gone) => {
                lasting.forget_count();
                tracing::info!(server = id.0, gone, "the bin was emptied of what is old");
            }
            Err(error) => {
                tracing::warn!(server = id.0, %error, "the bin cannot be emptied");
            }
        }
    }

    /// Removes what is left of old uploads, and adds those that stay to `known`.
    fn give_up(
        &self,
        id: ServerId,
        home: &Path,
        lasting: &Lasting,
        now: UnixMillis,
        known: &mut BTreeSet<u64>,
    ) {
        for (upload, touched) in upload::kept(home).unwrap_or_default() {
            let age = now.since(touched);
            let recorded = self.0.store.get(UPLOADS, key(upload));
            let recorded = recorded.is_ok_and(|found| found.is_some());
            let alone = self.alone(upload);
            if alone.is_err() || recorded && age < LIFE {
                known.insert(upload);
            } else if age > ROUND {
                // One whose record is not there yet is young.
                match upload::forget(home, upload) {
                    Ok(()) => {
                        lasting.forget_count();
                        tracing::info!(server = id.0, upload, "an old upload was given up");
                    }
                    Err(error) => tracing::warn!(server = id.0, %error, "an old upload stays"),
                }
            }
        }
    }
}

/// Removes what was in the making when the daemon ended.
fn clear_up(id: ServerId, home: &Path) {
    match passing::sweep(home) {
        Ok(0) => {}
        Ok(gone) => tracing::info!(server = id.0, gone, "what was broken off is gone"),
        Err(error) => tracing::warn!(server = id.0, %error, "what was broken off stays"),
    }
}
