//! Uploads in pieces: each piece goes on where the last one ended, wherever that was cut off. How far it is, the file
//! itself says, so that nothing need be written down for each piece.

use std::{
    ffi::OsString,
    fs::{self, File},
    io::{self, Read as _},
    os::unix::ffi::OsStrExt as _,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use nix::{
    fcntl::{OFlag, ResolveFlag},
    sys::stat::Mode,
    unistd::{UnlinkatFlags, unlinkat},
};
use sha2::{Digest as _, Sha256};

use super::{
    error::{FilesError, at, io_at},
    fresh::Fresh,
    path::FilePath,
    records::Upload,
    room::Promise,
    root::{Replace, beneath},
    site::{self, Site, Wish},
    view::{Entry, UploadView, shown},
};
use crate::clock::UnixMillis;

/// An upload that nothing was added to for so long is given up.
pub(crate) const LIFE: Duration = Duration::from_secs(24 * 3600);
/// Unfinished uploads of one server.
pub(crate) const MOST: usize = 200;

/// A piece that is being added.
pub(crate) struct Piece {
    site: Arc<Site>,
    upload: Upload,
    file: File,
    promise: Promise,
    begun: u64,
    /// Bytes that are here.
    at: u64,
}

impl Upload {
    /// What it will be.
    pub(super) fn wish(&self) -> Result<Wish, FilesError> {
        Ok(Wish {
            path: FilePath::from_raw(&self.path)?,
            mode: self.mode,
            sha256: self.sha256,
            replace: match self.replace {
                true => Replace::Yes,
                false => Replace::No,
            },
            tag: None,
            size: Some(self.size),
            parents: true,
        })
    }
}

impl Site {
    /// Makes the file that an upload's pieces go to, if there is room for all of them now.
    pub(crate) fn begin_upload(&self, upload: &Upload) -> Result<(), FilesError> {
        let wish = upload.wish()?;
        self.promise(upload.size)?;
        let (_, held) = self.held("uploads")?;
        let inside = self.enter()?;
        if wish.path.is_root() {
            return Err(super::PathError::Whole.into());
        }
        if upload.replace {
            // What is there may be something that no file can replace.
            inside.may_write(&wish.path)?;
        } else if inside.look_if_any(&wish.path)?.is_some() {
            return Err(FilesError::Exists(wish.path));
        }
        let name = upload.id.to_string();
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL;
        let mode = Mode::from_bits_truncate(0o600);
        beneath(&held, Path::new(&name), flags, mode, ResolveFlag::empty())
            .map(drop)
            .map_err(|error| at(&wish.path, error))
    }

    fn upload_file(&self, upload: &Upload) -> Result<(File, u64, UnixMillis), FilesError> {
        let root = self.held_root("uploads")?;
        let name = FilePath::parse(upload.id.to_string().as_bytes())?;
        match root.enter()?.file_to_append(&name) {
            Ok((file, about)) => Ok((file, about.size, about.modified)),
            Err(FilesError::NoSuchFile(_)) => Err(FilesError::NoSuchUpload(upload.id)),
            Err(error) => Err(error),
        }
    }

    /// How far it is.
    pub(crate) fn upload(&self, upload: &Upload) -> Result<UploadView, FilesError> {
        let (_, offset, modified) = self.upload_file(upload)?;
        let wish = upload.wish()?;
        let (path, raw) = shown(wish.path.as_bytes());
        Ok(UploadView {
            id: upload.id,
            path,
            raw,
            size: upload.size,
            offset,
            expires: UnixMillis(modified.0 + LIFE.as_millis() as u64),
        })
    }

    /// Begins a piece at `offset`, of `size` bytes where that is known.
    pub(crate) fn piece(
        self: Arc<Self>,
        upload: Upload,
        offset: u64,
        size: Option<u64>,
    ) -> Result<Piece, FilesError> {
        let (file, at, _) = self.upload_file(&upload)?;
        if offset != at {
            let (id, got) = (upload.id, offset);
            return Err(FilesError::Offset { id, at, got });
        }
        let promise = self.promise(size.unwrap_or(0))?;
        let piece = Piece {
            site: self,
            upload,
            file,
            promise,
            begun: at,
            at,
        };
        piece.fits(size.unwrap_or(0))?;
        Ok(piece)
    }

    /// Puts the whole in its place, if it is what was announced.
    pub(crate) fn finish_upload(&self, upload: &Upload) -> Result<Entry, FilesError> {
        let (mut file, found, _) = self.upload_file(upload)?;
        let wish = upload.wish()?;
        if found != upload.size {
            let expected = upload.size;
            return Err(FilesError::Length { expected, found });
        }
        if let Some(expected) = &upload.sha256 {
            let mut digest = Sha256::new();
            let mut buffer = vec![0; 1 << 20];
            loop {
                let read = file.read(&mut buffer);
                match read.map_err(|error| io_at(&wish.path, error))? {
                    0 => break,
                    read => digest.update(&buffer[..read]),
                }
            }
            site::matches(expected, digest)?;
        }
        let (_, held) = self.held("uploads")?;
        let name = OsString::from(upload.id.to_string());
        if let Some((parent, _)) = wish.path.split() {
            self.enter()?.make_all(&parent)?;
        }
        let fresh = Fresh::held(file, wish.path.clone(), held, name);
        let (about, before) = site::place(self, fresh, &wish)?;
        let removed = before.map_or(0, |before| before.room);
        self.lasting.room.change(0, removed);
        Ok(Entry::new(&wish.path, &about, None))
    }

    /// Gives it up.
    pub(crate) fn drop_upload(&self, upload: &Upload) -> Result<(), FilesError> {
        let size = self.upload_file(upload).map_or(0, |(_, size, _)| size);
        let (_, held) = self.held("uploads")?;
        let name = upload.id.to_string();
        match unlinkat(&held, &name[..], UnlinkatFlags::NoRemoveDir) {
            Ok(()) | Err(nix::errno::Errno::ENOENT) => {}
            Err(error) => return Err(at(&upload.wish()?.path, error)),
        }
        self.lasting.room.change(0, size);
        Ok(())
    }
}

impl Piece {
    /// Whether `more` bytes are still within what was announced.
    fn fits(&self, more: u64) -> Result<(), FilesError> {
        let found = self.at.saturating_add(more);
        let expected = self.upload.size;
        match found > expected {
            true => Err(FilesError::Length { expected, found }),
            false => Ok(()),
        }
    }

    /// The next bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> Result<(), FilesError> {
        self.fits(bytes.len() as u64)?;
        let after = self.at + bytes.len() as u64;
        self.site.grow(&mut self.promise, after - self.begun)?;
        let path = FilePath::from_raw(&self.upload.path)?;
        let stored = site::store(&self.site, &self.file, &path, bytes);
        // What fitted stays, and the next piece goes on there.
        self.at = self.file.metadata().map_or(after, |about| about.len());
        stored
    }

    /// Brings what came to the disk, also when no more will come. Answers how far the upload is.
    pub(crate) fn close(self) -> Result<u64, FilesError> {
        let path = FilePath::from_raw(&self.upload.path)?;
        let synced = self.file.sync_all().map_err(|error| io_at(&path, error));
        self.promise.keep(self.at - self.begun, 0);
        synced.map(|()| self.at)
    }
}

/// The uploads whose file is in the home of a server, with the time that each was last added to.
pub(super) fn kept(home: &Path) -> io::Result<Vec<(u64, UnixMillis)>> {
    let entries = match fs::read_dir(home.join("uploads/held")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        entries => entries?,
    };
    let mut kept = Vec::new();
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name();
        let id = std::str::from_utf8(name.as_bytes()).ok();
        if let Some(id) = id.and_then(|id| id.parse().ok()) {
            let touched = entry.metadata()?.modified()?;
            let since = touched.duration_since(SystemTime::UNIX_EPOCH);
            kept.push((id, UnixMillis(0).after(since.unwrap_or_default())));
        }
    }
    Ok(kept)
}

/// Removes the file of an upload that was given up.
pub(super) fn forget(home: &Path, id: u64) -> io::Result<()> {
    match fs::remove_file(home.join("uploads/held").join(id.to_string())) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        done => done,
    }
}
