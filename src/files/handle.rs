//! What every door holds: rights are asked of hosting, each change is recorded before it is made, and what blocks runs
//! where it may.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use serde_json::{Value, json};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{
    Deletion, Entry, FilePath, FilesError, Finds, Page, UploadView, Usage, bin,
    find::Search,
    list, passing,
    path::raw,
    read::Reading,
    records::{UPLOADS, Upload, key},
    root::Replace,
    site::{APPEND, Lasting, Site, Wish},
    upload::{self, LIFE},
    view::CopyView,
};
use crate::{
    accounts::{Principal, ServerId, Verb},
    audit::{self, Audit},
    clock::UnixMillis,
    hosting::Hosting,
    store::{Catalog, Store},
};

/// How often the bins are looked through.
const ROUND: Duration = Duration::from_secs(3600);
/// Bytes that are gathered before they are written: two of these are held for each upload at most.
const BATCH: usize = 1 << 20;
/// Bytes that are read and thrown away, so that who sends what is refused is told so rather than cut off.
const COURTESY: usize = 128 << 20;

/// What files are told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state folder.
    pub state: PathBuf,
    /// How long what was deleted can be had back.
    pub bin: Duration,
}

/// The bytes of a request as they come. Whatever fails there means that they broke off.
pub(crate) type Body = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Cheap to clone; all that a door holds.
#[derive(Clone)]
pub struct Files(Arc<Inner>);

struct Inner {
    hosting: Hosting,
    audit: Audit,
    store: Store,
    settings: Settings,
    /// What outlives requests, by server. Locked for single look-ups only.
    sites: Mutex<BTreeMap<ServerId, Arc<Lasting>>>,
    /// The uploads that somebody adds to or finishes at this moment. Locked for single look-ups only.
    busy: Mutex<BTreeSet<u64>>,
}

/// Adds this room's records to the store's catalog.
#[must_use]
pub fn tables(catalog: Catalog) -> Catalog {
    catalog.with::<Upload>()
}

/// The handle to share, and the task that empties bins and gives up uploads when their time has come.
pub fn open(
    settings: Settings,
    hosting: Hosting,
    store: Store,
    audit: Audit,
) -> (Files, impl Future<Output = ()> + use<>) {
    let files = Files(Arc::new(Inner {
        hosting,
        audit,
        store,
        settings,
        sites: Mutex::default(),
        busy: Mutex::default(),
    }));
    let keeper = files.clone();
    let run = async move {
        let mut rounds = tokio::time::interval(ROUND);
        loop {
            rounds.tick().await;
            keeper.round().await;
        }
    };
    (files, run)
}

/// Runs what may block where it may.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, FilesError> + Send + 'static,
) -> Result<T, FilesError> {
    joined(spawn_blocking(work).await)
}

pub(super) fn joined<T>(ended: Result<T, tokio::task::JoinError>) -> T {
    ended.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        Err(_) => unreachable!("nobody aborts it"),
    })
}

fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn subject(id: ServerId) -> String {
    format!("server {}", id.0)
}

/// An upload that nobody else touches meanwhile.
struct Alone(Files, u64);

impl Drop for Alone {
    fn drop(&mut self) {
        lock(&self.0.0.busy).remove(&self.1);
    }
}

impl Files {
    /// The server's files, for who may do `verb` there.
    pub(crate) async fn site(
        &self,
        by: &Principal,
        verb: Verb,
        id: ServerId,
    ) -> Result<Arc<Site>, FilesError> {
        let home = self.0.hosting.home(by, verb, id).await?;
        let lasting = lock(&self.0.sites).entry(id).or_default().clone();
        blocking(move || Site::open(&home.folder, home.user, home.disk, lasting).map(Arc::new))
            .await
    }

    /// Records the change, makes it, records how it went: to the end, even when whoever asked does not wait for it.
    pub(crate) async fn act<T: Send + 'static>(
        &self,
        by: &Principal,
        action: &'static str,
        id: ServerId,
        detail: Value,
        work: impl Future<Output = Result<T, FilesError>> + Send + 'static,
    ) -> Result<T, FilesError> {
        let (audit, actor) = (self.0.audit.clone(), by.actor.clone());
        let acting = async move { audit.run(&actor, action, subject(id), detail, work).await };
        joined(tokio::spawn(audit::carried(acting)).await)
    }

    async fn look<T: Send + 'static>(
        &self,
        by: &Principal,
        id: ServerId,
        work: impl FnOnce(&Site) -> Result<T, FilesError> + Send + 'static,
    ) -> Result<T, FilesError> {
        let site = self.site(by, Verb::FilesRead, id).await?;
        blocking(move || work(&site)).await
    }

    async fn change<T: Send + 'static>(
        &self,
        by: &Principal,
        id: ServerId,
        action: &'static str,
        detail: Value,
        work: impl FnOnce(&Site) -> Result<T, FilesError> + Send + 'static,
    ) -> Result<T, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let work = blocking(move || work(&site));
        self.act(by, action, id, detail, work).await
    }

    /// A page of a folder: the first `count` names after `after`.
    pub(crate) async fn list(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
        after: Option<Vec<u8>>,
        count: Option<usize>,
    ) -> Result<Page, FilesError> {
        let count = count.unwrap_or(list::MOST).min(list::MOST);
        self.look(by, id, move |site| {
            let (entries, next) = site.enter()?.page(&path, after.as_deref(), count)?;
            let next = next.as_deref().map(raw);
            Ok(Page { entries, next })
        })
        .await
    }

    /// One file or folder, links as themselves.
    pub(crate) async fn stat(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
    ) -> Result<Entry, FilesError> {
        self.look(by, id, move |site| site.enter()?.entry(&path))
            .await
    }

    /// A plain file, to be read.
    pub(crate) async fn read(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
    ) -> Result<Reading, FilesError> {
        self.look(by, id, move |site| {
            let (file, about) = site.read(&path)?;
            Ok(Reading::new(file, about, path))
        })
        .await
    }

    /// What fits a search.
    pub(crate) async fn search(
        &self,
        by: &Principal,
        id: ServerId,
        search: Search,
    ) -> Result<Finds, FilesError> {
        self.look(by, id, move |site| site.enter()?.search(&search))
            .await
    }

    /// How much room it takes.
    pub(crate) async fn usage(&self, by: &Principal, id: ServerId) -> Result<Usage, FilesError> {
        self.look(by, id, Site::usage).await
    }

    /// Writes a file as `body` has it: whole or not at all.
    pub(crate) async fn write(
        &self,
        by: &Principal,
        id: ServerId,
        wish: Wish,
        body: Body,
    ) -> Result<Entry, FilesError> {
        let mut body = body;
        let site = match self.site(by, Verb::FilesWrite, id).await {
            Ok(site) => site,
            Err(error) => return refused(error, &mut body).await,
        };
        let detail = json!({ "path": wish.path.to_string(), "bytes": wish.size });
        let work = async move {
            let begun = blocking(move || site.write(wish)).await;
            let writing = match begun {
                Ok(writing) => writing,
                Err(error) => return refused(error, &mut body).await,
            };
            let (writing, poured) = pour(writing, |to, bytes| to.put(bytes), &mut body).await;
            match poured {
                Ok(()) => blocking(move || writing.finish()).await,
                Err(Stopped::Broke) => Err(FilesError::BrokenOff(writing.written())),
                Err(Stopped::Refused(error)) => refused(error, &mut body).await,
            }
        };
        self.act(by, "files.write", id, detail, work).await
    }

    /// Adds `bytes` to the end of a file.
    pub(crate) async fn append(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
        body: Body,
    ) -> Result<Entry, FilesError> {
        let mut body = body;
        let site = match self.site(by, Verb::FilesWrite, id).await {
            Ok(site) => site,
            Err(error) => return refused(error, &mut body).await,
        };
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| FilesError::BrokenOff(bytes.len() as u64))?;
            bytes.extend_from_slice(&piece);
            if bytes.len() > APPEND {
                return refused(FilesError::TooLarge(APPEND), &mut body).await;
            }
        }
        let detail = json!({ "path": path.to_string(), "bytes": bytes.len() });
        let work = blocking(move || site.append(&path, &bytes));
        self.act(by, "files.append", id, detail, work).await
    }

    /// Gives `from` the name `to`.
    pub(crate) async fn rename(
        &self,
        by: &Principal,
        id: ServerId,
        from: FilePath,
        to: FilePath,
        replace: Replace,
    ) -> Result<Entry, FilesError> {
        let detail = json!({ "from": from.to_string(), "to": to.to_string() });
        let work = move |site: &Site| site.rename(&from, &to, replace);
        self.change(by, id, "files.move", detail, work).await
    }

    /// Copies `from` to `to`, with all that is in it.
    pub(crate) async fn copy(
        &self,
        by: &Principal,
        id: ServerId,
        from: FilePath,
        to: FilePath,
        replace: Replace,
    ) -> Result<CopyView, FilesError> {
        let detail = json!({ "from": from.to_string(), "to": to.to_string() });
        let work = move |site: &Site| site.copy(&from, &to, replace);
        self.change(by, id, "files.copy", detail, work).await
    }

    /// Makes a folder, and with `parents` those above it.
    pub(crate) async fn make(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
        parents: bool,
    ) -> Result<Entry, FilesError> {
        let detail = json!({ "path": path.to_string() });
        let work = move |site: &Site| site.make(&path, parents);
        self.change(by, id, "files.make", detail, work).await
    }

    /// Changes who may do what with it.
    pub(crate) async fn set_mode(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
        mode: u32,
    ) -> Result<Entry, FilesError> {
        let detail = json!({ "path": path.to_string(), "mode": format!("{mode:03o}") });
        let work = move |site: &Site| site.set_mode(&path, mode);
        self.change(by, id, "files.mode", detail, work).await
    }

    /// Moves it to the bin.
    pub(crate) async fn delete(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
    ) -> Result<Deletion, FilesError> {
        let detail = json!({ "path": path.to_string() });
        let work = move |site: &Site| site.delete(&path);
        self.change(by, id, "files.delete", detail, work).await
    }

    /// What can be had back, newest first.
    pub(crate) async fn bin(
        &self,
        by: &Principal,
        id: ServerId,
    ) -> Result<Vec<Deletion>, FilesError> {
        self.look(by, id, bin::list).await
    }

    /// Has it back, where it was or at `to`.
    pub(crate) async fn undo(
        &self,
        by: &Principal,
        id: ServerId,
        deletion: u64,
        to: Option<FilePath>,
    ) -> Result<Entry, FilesError> {
        let to_text = to.as_ref().map(ToString::to_string);
        let detail = json!({ "deletion": deletion, "to": to_text });
        let work = move |site: &Site| site.undo(deletion, to.as_ref());
        self.change(by, id, "files.undo", detail, work).await
    }

    /// Removes it from the bin, for good.
    pub(crate) async fn purge(
        &self,
        by: &Principal,
        id: ServerId,
        deletion: u64,
    ) -> Result<(), FilesError> {
        let detail = json!({ "deletion": deletion });
        let work = move |site: &Site| site.purge(deletion);
        self.change(by, id, "files.purge", detail, work).await
    }

    /// Begins an upload in pieces. `wish` has its size.
    pub(crate) async fn begin_upload(
        &self,
        by: &Principal,
        id: ServerId,
        wish: Wish,
        size: u64,
    ) -> Result<UploadView, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let detail = json!({ "path": wish.path.to_string(), "bytes": size });
        let store = self.0.store.clone();
        let work = async move {
            let upload = store.write(|tx| {
                let of_server = tx.scan(UPLOADS, b"")?;
                let mine = of_server.iter().filter(|(_, upload)| upload.server == id);
                if mine.count() >= upload::MOST {
                    return Err(FilesError::TooManyUploads(upload::MOST));
                }
                let upload = Upload {
                    id: tx.next_id("upload")?,
                    server: id,
                    path: wish.path.raw(),
                    size,
                    sha256: wish.sha256,
                    mode: wish.mode,
                    replace: wish.replace == Replace::Yes,
                    created: UnixMillis::now(),
                };
                tx.put(UPLOADS, key(upload.id), &upload)?;
                Ok(upload)
            });
            let upload = upload.await?;
            let number = upload.id;
            let begun = blocking(move || {
                site.begin_upload(&upload)?;
                site.upload(&upload)
            });
            match begun.await {
                Ok(view) => Ok(view),
                Err(error) => {
                    let gone = store.write(|tx| tx.delete(UPLOADS, key(number)));
                    gone.await?;
                    Err(error)
                }
            }
        };
        self.act(by, "files.upload", id, detail, work).await
    }

    fn record(&self, id: ServerId, number: u64) -> Result<Upload, FilesError> {
        let found = self.0.store.get(UPLOADS, key(number))?;
        let ours = found.filter(|upload| upload.server == id);
        ours.ok_or(FilesError::NoSuchUpload(number))
    }

    fn alone(&self, number: u64) -> Result<Alone, FilesError> {
        match lock(&self.0.busy).insert(number) {
            true => Ok(Alone(self.clone(), number)),
            false => Err(FilesError::Busy(format!("upload {number}"))),
        }
    }

    /// The server's unfinished uploads.
    pub(crate) async fn uploads(
        &self,
        by: &Principal,
        id: ServerId,
    ) -> Result<Vec<UploadView>, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let records = self.0.store.scan(UPLOADS, b"").flatten();
        let records: Vec<_> = records
            .map(|(_, upload)| upload)
            .filter(|upload| upload.server == id)
            .collect();
        blocking(move || {
            let views = records.iter().filter_map(|upload| site.upload(upload).ok());
            Ok(views.collect())
        })
        .await
    }

    /// How far an upload is.
    pub(crate) async fn upload(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
    ) -> Result<UploadView, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let upload = self.record(id, number)?;
        blocking(move || site.upload(&upload)).await
    }

    /// Adds a piece that begins at `offset`. What came before it broke off stays.
    pub(crate) async fn add(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
        (offset, size): (u64, Option<u64>),
        body: Body,
    ) -> Result<UploadView, FilesError> {
        let mut body = body;
        let begin = async {
            let site = self.site(by, Verb::FilesWrite, id).await?;
            let upload = self.record(id, number)?;
            let alone = self.alone(number)?;
            let (at, of) = (site.clone(), upload.clone());
            let piece = blocking(move || at.piece(of, offset, size)).await?;
            Ok((site, upload, alone, piece))
        };
        let (site, upload, alone, piece) = match begin.await {
            Ok(begun) => begun,
            Err(error) => return refused(error, &mut body).await,
        };
        // To the end, so that what came is kept also when whoever sent it has gone.
        let work = async move {
            let (piece, poured) = pour(piece, |to, bytes| to.put(bytes), &mut body).await;
            let closed = blocking(move || piece.close()).await;
            drop(alone);
            match (poured, closed) {
                (Ok(()), Ok(_)) => blocking(move || site.upload(&upload)).await,
                (Ok(()), Err(error)) => Err(error),
                (Err(Stopped::Broke), closed) => Err(FilesError::BrokenOff(closed?)),
                (Err(Stopped::Refused(error)), _) => refused(error, &mut body).await,
            }
        };
        joined(tokio::spawn(work).await)
    }

    /// Puts a whole upload in its place.
    pub(crate) async fn finish_upload(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
    ) -> Result<Entry, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let upload = self.record(id, number)?;
        let alone = self.alone(number)?;
        let detail = json!({ "upload": number, "path": upload.wish()?.path.to_string() });
        let store = self.0.store.clone();
        let work = async move {
            let _alone = alone;
            let entry = blocking(move || site.finish_upload(&upload)).await?;
            // It is there: that its record stays a while would be no harm.
            let gone = store.write(|tx| tx.delete(UPLOADS, key(number))).await;
            gone.map(|_| entry).map_err(FilesError::from)
        };
        self.act(by, "files.finish", id, detail, work).await
    }

    /// Gives an upload up.
    pub(crate) async fn drop_upload(
        &self,
        by: &Principal,
        id: ServerId,
        number: u64,
    ) -> Result<(), FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        let upload = self.record(id, number)?;
        let alone = self.alone(number)?;
        let store = self.0.store.clone();
        let work = async move {
            let _alone = alone;
            blocking(move || site.drop_upload(&upload)).await?;
            store.write(|tx| tx.delete(UPLOADS, key(number))).await?;
            Ok(())
        };
        let detail = json!({ "upload": number });
        self.act(by, "files.abandon", id, detail, work).await
    }

    /// Empties the bins of what is due, and gives up old uploads.
    async fn round(&self) {
        let files = self.clone();
        let done = blocking(move || {
            files.sweep();
            Ok(())
        });
        if let Err(error) = done.await {
            tracing::warn!(%error, "the bins could not be looked through");
        }
    }

    fn sweep(&self) {
        let Inner {
            settings, store, ..
        } = &*self.0;
        let before = UnixMillis(
            UnixMillis::now()
                .0
                .saturating_sub(u64::try_from(settings.bin.as_millis()).unwrap_or(u64::MAX)),
        );
        let Ok(homes) = fs::read_dir(settings.state.join("servers")) else {
            return; // there is none before the first server
        };
        let mut known = BTreeSet::new();
        for home in homes.flatten() {
            let name = home.file_name();
            let Some(id) = name.to_str().and_then(|name| name.parse().ok()) else {
                continue;
            };
            let id = ServerId(id);
            let lasting = lock(&self.0.sites).entry(id).or_default().clone();
            lasting.settle(&home.path());
            match passing::sweep(&home.path()) {
                Ok(0) => {}
                Ok(gone) => {
                    tracing::info!(server = id.0, gone, "what was broken off is gone");
                }
                Err(error) => {
                    tracing::warn!(server = id.0, %error, "what was broken off stays");
                }
            }
            match bin::purge(&home.path(), &lasting, before) {
                Ok(0) => {}
                Ok(gone) => {
                    lasting.forget_count();
                    tracing::info!(server = id.0, gone, "the bin was emptied of what is old");
                }
                Err(error) => {
                    tracing::warn!(server = id.0, %error, "the bin cannot be emptied");
                }
            }
            let uploads = upload::kept(&home.path()).unwrap_or_default();
            for (upload, touched) in uploads {
                let age = SystemTime::now()
                    .duration_since(touched)
                    .unwrap_or_default();
                let recorded = store
                    .get(UPLOADS, key(upload))
                    .is_ok_and(|found| found.is_some());
                let Ok(_alone) = self.alone(upload) else {
                    known.insert(upload);
                    continue;
                };
                if recorded && age < LIFE {
                    known.insert(upload);
                } else if age > ROUND
                    && let Err(error) = upload::forget(&home.path(), upload)
                {
                    tracing::warn!(server = id.0, %error, "an old upload stays");
                }
            }
        }
        let young = UnixMillis(UnixMillis::now().0.saturating_sub(LIFE.as_millis() as u64));
        let records = store.scan(UPLOADS, b"").flatten();
        let lost =
            records.filter(|(_, upload)| !known.contains(&upload.id) && upload.created < young);
        let lost: Vec<_> = lost.map(|(key, _)| key).collect();
        if lost.is_empty() {
            return;
        }
        let removed = store.clone();
        tokio::runtime::Handle::current().spawn(async move {
            let gone = removed.write(|tx| {
                for key in &lost {
                    tx.delete(UPLOADS, key)?;
                }
                Ok::<_, crate::store::StoreError>(())
            });
            if let Err(error) = gone.await {
                tracing::warn!(%error, "old uploads stay recorded");
            }
        });
    }
}

/// Why no more of a body was taken.
enum Stopped {
    /// It broke off.
    Broke,
    /// It was not wanted.
    Refused(FilesError),
}

/// Hears out who sends what is refused, for a while, so that the refusal reaches them.
pub(super) async fn refused<T>(error: FilesError, body: &mut Body) -> Result<T, FilesError> {
    let mut left = COURTESY;
    while let Some(Ok(piece)) = body.next().await {
        match left.checked_sub(piece.len()) {
            Some(rest) => left = rest,
            None => break,
        }
    }
    Err(error)
}

/// Brings all of `body` into `to`, which writes one batch while the next is gathered.
async fn pour<W: Send + 'static>(
    to: W,
    put: fn(&mut W, &[u8]) -> Result<(), FilesError>,
    body: &mut Body,
) -> (W, Result<(), Stopped>) {
    type Job<W> = JoinHandle<(W, Result<(), FilesError>)>;
    let mut idle = Some(to);
    let mut job: Option<Job<W>> = None;
    loop {
        let (mut batch, mut size, mut broke, mut ended) = (Vec::new(), 0, false, false);
        while size < BATCH {
            match body.next().await {
                Some(Ok(piece)) => {
                    size += piece.len();
                    batch.push(piece);
                }
                Some(Err(_)) => {
                    broke = true;
                    break;
                }
                None => {
                    ended = true;
                    break;
                }
            }
        }
        if let Some(job) = job.take() {
            let (to, done) = joined(job.await);
            if let Err(error) = done {
                return (to, Err(Stopped::Refused(error)));
            }
            idle = Some(to);
        }
        let mut to = idle.take().expect("it is back from the last batch");
        if batch.is_empty() {
            let stopped = if broke { Err(Stopped::Broke) } else { Ok(()) };
            return (to, stopped);
        }
        let writing = spawn_blocking(move || {
            let done = batch.iter().try_for_each(|piece| put(&mut to, piece));
            (to, done)
        });
        if !broke && !ended {
            job = Some(writing);
            continue;
        }
        let (to, done) = joined(writing.await);
        return match done {
            Err(error) => (to, Err(Stopped::Refused(error))),
            Ok(()) if broke => (to, Err(Stopped::Broke)),
            Ok(()) => (to, Ok(())),
        };
    }
}
