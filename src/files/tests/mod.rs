//! One server's files, without a daemon around them.

mod bin;
mod model;
pub(super) mod races;
mod shut;
mod strange;
mod uploads;

use std::{path::PathBuf, sync::Arc};

use tempfile::TempDir;

use super::{
    FilePath, FilesError,
    root::Replace,
    site::{Lasting, Site, Wish},
    view::Entry,
};

/// A server's files in a folder that goes when this does.
pub(in crate::files) struct House {
    home: TempDir,
    pub(in crate::files) site: Arc<Site>,
}

impl House {
    /// Which are ours, without a limit.
    pub(in crate::files) fn new() -> Self {
        Self::of(None, None)
    }

    pub(in crate::files) fn of(user: Option<u32>, limit: Option<u64>) -> Self {
        let home = tempfile::tempdir().unwrap();
        // Games reach their folders through this one.
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o711);
        std::fs::set_permissions(home.path(), open).unwrap();
        let folder = home.path().join("7/files");
        let site = Site::open(&folder, user, limit, Arc::new(Lasting::default())).unwrap();
        let site = Arc::new(site);
        Self { home, site }
    }

    /// The folder as everybody else sees it.
    pub(in crate::files) fn files(&self) -> PathBuf {
        self.home.path().join("7/files")
    }

    /// A folder beside it, which is nobody's business.
    pub(in crate::files) fn outside(&self) -> PathBuf {
        self.home.path().join("outside")
    }

    /// What is not whole yet, or was broken off.
    pub(in crate::files) fn passing(&self) -> Vec<String> {
        let outer = self.files().parent().unwrap().join("passing");
        let names = |folder: &std::path::Path| std::fs::read_dir(folder).unwrap();
        let names = names(&outer).chain(names(&outer.join("held")));
        let names = names.map(|name| name.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name != "held").collect()
    }

    pub(in crate::files) fn write(&self, path: &str, bytes: &[u8]) -> Result<Entry, FilesError> {
        self.write_as(wish(path), bytes)
    }

    pub(in crate::files) fn write_as(&self, wish: Wish, bytes: &[u8]) -> Result<Entry, FilesError> {
        let mut writing = self.site.clone().write(wish)?;
        for piece in bytes.chunks(1000) {
            writing.put(piece)?;
        }
        writing.finish()
    }

    pub(in crate::files) fn read(&self, path: &str) -> Result<Vec<u8>, FilesError> {
        let (mut file, _) = self.site.read(&at(path))?;
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut file, &mut bytes).unwrap();
        Ok(bytes)
    }

    pub(in crate::files) fn names(&self, path: &str) -> Vec<String> {
        let (entries, _) = self
            .site
            .enter()
            .unwrap()
            .page(&at(path), None, 1000)
            .unwrap();
        entries.into_iter().map(|entry| entry.name).collect()
    }
}

pub(in crate::files) fn at(path: &str) -> FilePath {
    FilePath::parse(path.as_bytes()).unwrap()
}

pub(super) fn wish(path: &str) -> Wish {
    Wish {
        path: at(path),
        mode: None,
        sha256: None,
        replace: Replace::Yes,
        tag: None,
        size: None,
        parents: false,
    }
}

/// True as root. In CI it must be so: nothing is skipped there.
pub(in crate::files) fn root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
        eprintln!("SKIPPED: {what} needs root");
    }
    root
}

/// A user that nobody is.
pub(in crate::files) fn user() -> u32 {
    1_700_000_000 + std::process::id()
}
