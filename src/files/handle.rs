//! What every door holds: rights are asked of hosting, each change is recorded before it is made, and what blocks runs
//! where it may.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

use super::{
    Deletion, Entry, FilePath, FilesError, Finds, Page, Usage, bin,
    body::{Body, Stopped, heard_out, pour},
    find::Search,
    list,
    path::raw,
    read::Reading,
    records::Upload,
    root::Replace,
    round::ROUND,
    site::{APPEND, Lasting, Site, Wish},
    view::CopyView,
};
use crate::{
    accounts::{Principal, ServerId, Verb},
    audit::{self, Audit},
    clock::UnixMillis,
    hosting::{Home, Hosting},
    store::{Catalog, Store},
};

/// What files are told at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The state folder.
    pub state: PathBuf,
    /// How long what was deleted can be had back.
    pub bin: Duration,
}

/// Cheap to clone; all that a door holds.
#[derive(Clone)]
pub struct Files(pub(super) Arc<Inner>);

pub(super) struct Inner {
    pub(super) hosting: Hosting,
    audit: Audit,
    pub(super) store: Store,
    pub(super) settings: Settings,
    /// What outlives requests, by server. Locked for single look-ups only.
    sites: Mutex<BTreeMap<ServerId, Arc<Lasting>>>,
    /// The uploads that somebody adds to or finishes at this moment. Locked for single look-ups only.
    pub(super) busy: Mutex<BTreeSet<u64>>,
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
            keeper.round(UnixMillis::now()).await;
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

pub(super) fn lock<T>(held: &Mutex<T>) -> MutexGuard<'_, T> {
    held.lock().unwrap_or_else(PoisonError::into_inner)
}

fn subject(id: ServerId) -> String {
    format!("server {}", id.0)
}

impl Files {
    /// The server's files, for who may do `verb` there.
    pub(crate) async fn site(
        &self,
        by: &Principal,
        verb: Verb,
        id: ServerId,
    ) -> Result<Arc<Site>, FilesError> {
        self.at(self.0.hosting.home(by, verb, id).await?).await
    }

    /// The files that are there.
    pub(super) async fn at(&self, home: Home) -> Result<Arc<Site>, FilesError> {
        let lasting = self.lasting(home.id);
        blocking(move || Site::open(&home.folder, home.user, home.disk, lasting).map(Arc::new))
            .await
    }

    /// What outlives requests for a server's files.
    pub(super) fn lasting(&self, id: ServerId) -> Arc<Lasting> {
        lock(&self.0.sites).entry(id).or_default().clone()
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

    /// A file that its server's owner lets anybody download; none when it is not among those.
    pub(crate) async fn read_public(
        &self,
        id: ServerId,
        path: FilePath,
    ) -> Result<Option<Reading>, FilesError> {
        let Ok(home) = self.0.hosting.home_for_all(id).await else {
            return Ok(None);
        };
        let public = home.public.iter();
        let mut public = public.filter_map(|public| FilePath::parse(public.as_bytes()).ok());
        if !public.any(|public| path.is_within(&public)) {
            return Ok(None);
        }
        let site = self.at(home).await?;
        blocking(move || {
            let (file, about) = site.enter()?.plain_file(&path)?;
            Ok(Some(Reading::new(file, about, path)))
        })
        .await
    }

    /// Whether a file that is sent to `path` goes into a folder that is there, also behind a link.
    pub(crate) async fn is_folder(
        &self,
        by: &Principal,
        id: ServerId,
        path: FilePath,
    ) -> Result<bool, FilesError> {
        let site = self.site(by, Verb::FilesWrite, id).await?;
        blocking(move || site.enter()?.is_folder(&path)).await
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
        let site = self.site(by, Verb::FilesWrite, id).await;
        let site = heard_out(site, &mut body).await?;
        let detail = json!({ "path": wish.path.to_string(), "bytes": wish.size });
        let work = async move {
            let begun = blocking(move || site.write(wish)).await;
            let writing = heard_out(begun, &mut body).await?;
            let (writing, poured) = pour(writing, |to, bytes| to.put(bytes), &mut body).await;
            match poured {
                Ok(()) => blocking(move || writing.finish()).await,
                Err(Stopped::Broke) => Err(FilesError::BrokenOff(writing.written())),
                Err(Stopped::Refused(error)) => heard_out(Err(error), &mut body).await,
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
        let site = self.site(by, Verb::FilesWrite, id).await;
        let site = heard_out(site, &mut body).await?;
        let mut bytes = Vec::new();
        while let Some(piece) = body.next().await {
            let piece = piece.map_err(|_| FilesError::BrokenOff(bytes.len() as u64))?;
            bytes.extend_from_slice(&piece);
            if bytes.len() > APPEND {
                return heard_out(Err(FilesError::TooLarge(APPEND)), &mut body).await;
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
}
