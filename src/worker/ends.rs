//! What becomes of a server that has ended: leftovers are killed, folders go to the recycle bin and out of it.

use std::{fs, io};

use super::{Worker, WorkerError, aside, at, remove};
use crate::accounts::ServerId;
use crate::clock::UnixMillis;
use crate::hosting::records::Server;
use crate::keeper::{self, Spec};
use crate::sandbox::cgroup;

impl Worker {
    /// Ends whatever a dead keeper left.
    pub(crate) async fn sweep(&self, server: &Server) -> Result<(), WorkerError> {
        let (id, user) = (server.id, self.user(server));
        let run = self.run(id);
        let swept = move || {
            // What cannot be read must not keep a server from being started, stopped or deleted.
            let spec = fs::read(run.join("spec.json")).ok();
            let spec = spec.and_then(|bytes| serde_json::from_slice::<Spec>(&bytes).ok());
            keeper::clear(&run, id.0, user, spec.and_then(|spec| spec.cgroup))
        };
        let killed = aside(swept).await.map_err(at(&self.run(id)))?;
        if killed > 0 {
            tracing::warn!(server = id.0, killed, "ended what its dead keeper had left");
        }
        Ok(())
    }

    /// Kills a keeper that does not answer.
    pub(crate) async fn fell(&self, id: ServerId) {
        let run = self.run(id);
        match aside(move || keeper::fell(&run)).await {
            Ok(true) => {
                tracing::warn!(server = id.0, "its keeper did not answer, and was killed");
            }
            Ok(false) => {}
            Err(error) => tracing::error!(server = id.0, %error, "its keeper cannot be killed"),
        }
    }

    /// From now on nothing on disk says that its last keeper gave up. Blocking.
    pub(crate) fn excuse(&self, id: ServerId) -> io::Result<()> {
        keeper::excuse(&self.run(id))
    }

    /// Moves a server's folder to the recycle bin. Nothing of it runs any more.
    pub(crate) async fn recycle(
        &self,
        id: ServerId,
        deleted: UnixMillis,
    ) -> Result<(), WorkerError> {
        let (from, run, bin) = (self.home(id), self.run(id), self.recycled());
        let moved = move || {
            let spec = fs::read(run.join("spec.json")).ok();
            let spec = spec.and_then(|bytes| serde_json::from_slice::<Spec>(&bytes).ok());
            if let Some(folder) = spec.and_then(|spec| spec.cgroup) {
                cgroup::remove(&folder).ok(); // an empty folder of the kernel's harms nobody
            }
            // A folder that somebody put back after it was deleted has its place in the bin taken.
            let mut to = (deleted.0..)
                .map(|at| bin.join(format!("{}-{at}", id.0)))
                .skip_while(|to| to.exists());
            let to = to.next().expect("not every millisecond has a folder");
            match fs::rename(&from, &to) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
                done => done?,
            }
            fs::File::open(bin)?.sync_all()
        };
        aside(moved).await.map_err(at(&self.home(id)))
    }

    /// Removes what lies in the recycle bin since before `until`; returns the servers whose folders are not there (any more).
    pub(crate) async fn purge(&self, until: UnixMillis, deleted: Vec<ServerId>) -> Vec<ServerId> {
        let bin = self.recycled();
        aside(move || {
            let mut kept = Vec::new();
            for entry in fs::read_dir(&bin).into_iter().flatten().flatten() {
                let name = entry.file_name();
                let parts = name.to_str().and_then(|name| name.split_once('-'));
                let Some((Ok(id), Ok(at))) = parts.map(|(id, at)| (id.parse(), at.parse())) else {
                    continue; // not ours
                };
                let gone = UnixMillis(at) <= until && {
                    let removed = remove::remove(&entry.path());
                    if let Err(error) = &removed {
                        tracing::warn!(%error, path = %entry.path().display(), "cannot be purged");
                    }
                    removed.is_ok()
                };
                if !gone {
                    kept.push(ServerId(id));
                }
            }
            deleted
                .into_iter()
                .filter(|id| !kept.contains(id))
                .collect()
        })
        .await
    }
}
