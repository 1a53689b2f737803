//! Copies within a server's folder. A copy is made aside and appears as a whole; where the file system can share the
//! bytes of the original, it does.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
    time::{Duration, Instant},
};

use nix::{
    fcntl::{OFlag, ResolveFlag},
    sys::stat::Mode,
    unistd::syncfs,
};

use super::{
    about::{About, Kind},
    error::{FilesError, at, io_at},
    fresh::passing_name,
    path::FilePath,
    root::{Inside, Replace, beneath},
    walk::Go,
};

/// Bytes that are copied before room is asked for again.
const STEP: u64 = 8 << 20;
/// For tidying up after a copy that failed.
const TIDY: Duration = Duration::from_secs(60);

/// What a copy came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Copied {
    pub(crate) files: u64,
    pub(crate) folders: u64,
    pub(crate) links: u64,
    pub(crate) bytes: u64,
    /// Pipes, sockets, devices, and what could not be read for its depth or its mode: these are not in the copy.
    pub(crate) skipped: u64,
}

impl Inside<'_> {
    /// Copies `from` to `to`. `room` is asked before each step whether so many more bytes may be written.
    pub(crate) fn copy(
        &self,
        from: &FilePath,
        to: &FilePath,
        replace: Replace,
        room: &mut dyn FnMut(u64) -> Result<(), FilesError>,
    ) -> Result<Copied, FilesError> {
        let about = self.look(from)?;
        let mut copied = Copied::default();
        match about.kind {
            Kind::File => {
                let (source, about) = self.file(from)?;
                let fresh = self.fresh(to)?;
                copied.bytes = pour(&source, fresh.file(), from, to, room)?;
                fresh.publish(self, replace, Some(about.mode))?;
                copied.files = 1;
            }
            Kind::Link => {
                self.link_anyhow(to, &self.read_link(from)?)?;
                copied.links = 1;
            }
            Kind::Folder => {
                if to.is_within(from) {
                    let (from, to) = (from.clone(), to.clone());
                    return Err(FilesError::IntoItself { from, to });
                }
                if self.look_if_any(to)?.is_some() {
                    return Err(FilesError::Exists(to.clone()));
                }
                let (parent, _) = to.split().ok_or(super::PathError::Whole)?;
                let aside = parent.join(passing_name().as_encoded_bytes())?;
                self.make(&aside)?;
                let done = self
                    .copy_folder(from, &about, &aside, room, &mut copied)
                    .and_then(|()| self.rename(&aside, to, Replace::No).map(drop));
                if let Err(error) = done {
                    // What stays behind has a name that says what it is.
                    self.remove_all(&aside, Instant::now() + TIDY).ok();
                    return Err(error);
                }
            }
            kind => {
                let (path, kind) = (from.clone(), kind.name());
                return Err(FilesError::Special { path, kind });
            }
        }
        Ok(copied)
    }

    fn copy_folder(
        &self,
        from: &FilePath,
        about: &About,
        aside: &FilePath,
        room: &mut dyn FnMut(u64) -> Result<(), FilesError>,
        copied: &mut Copied,
    ) -> Result<(), FilesError> {
        let made = self.look(aside)?.identity;
        // Folders that let nobody write are filled first.
        let mut modes = vec![(aside.clone(), about.mode)];
        copied.folders = 1;
        let passed = self.walk(from, |path, about| {
            let below = &path.as_bytes()[from.as_bytes().len()..];
            let below = below.strip_prefix(b"/").unwrap_or(below);
            let mut target = aside.as_bytes().to_vec();
            target.push(b'/');
            target.extend_from_slice(below);
            let target = FilePath::parse(&target)?;
            match about.kind {
                // By way of a link, a folder can be copied into itself after all.
                Kind::Folder if about.identity == made => return Ok(Go::Past),
                Kind::Folder => {
                    self.make(&target)?;
                    modes.push((target, about.mode));
                    copied.folders += 1;
                }
                Kind::File => match self.file(path) {
                    Ok((source, about)) => {
                        let file = self.make_file(&target)?;
                        copied.bytes += pour(&source, &file, path, &target, room)?;
                        drop(file);
                        self.set_mode(&target, about.mode)?;
                        copied.files += 1;
                    }
                    Err(FilesError::NoSuchFile(_)) => {}
                    Err(FilesError::NotPermitted(_) | FilesError::LeadsOut(_)) => {
                        copied.skipped += 1;
                    }
                    Err(error) => return Err(error),
                },
                Kind::Link => match self.read_link(path) {
                    Ok(leads) => {
                        self.link_anyhow(&target, &leads)?;
                        copied.links += 1;
                    }
                    Err(_) => copied.skipped += 1,
                },
                Kind::Pipe | Kind::Socket | Kind::Device => copied.skipped += 1,
            }
            Ok(Go::On)
        })?;
        copied.skipped += passed;
        for (path, mode) in modes.iter().rev() {
            self.set_mode(path, *mode)?;
        }
        // One sync for all of it, rather than one for each file.
        let folder = self.folder(&FilePath::default())?;
        syncfs(&folder).map_err(|error| at(aside, error))
    }

    /// A file of our own, in a folder of our own.
    pub(super) fn make_file(&self, path: &FilePath) -> Result<File, FilesError> {
        let place = self.place(path)?;
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW;
        let mode = Mode::from_bits_truncate(0o600);
        let name = Path::new(&place.name);
        beneath(&place.folder, name, flags, mode, ResolveFlag::empty())
            .map(Into::into)
            .map_err(|error| at(path, error))
    }
}

/// Copies all of `source`; the standard library has the kernel do it where that can be.
fn pour(
    source: &File,
    mut target: &File,
    from: &FilePath,
    to: &FilePath,
    room: &mut dyn FnMut(u64) -> Result<(), FilesError>,
) -> Result<u64, FilesError> {
    let mut bytes = 0;
    loop {
        let whole = source.metadata().map_err(|error| io_at(from, error))?.len();
        let step = whole.saturating_sub(bytes).min(STEP);
        if step == 0 {
            return Ok(bytes);
        }
        room(step)?;
        match io::copy(&mut source.take(step), &mut target) {
            Ok(0) => return Ok(bytes),
            Ok(done) => bytes += done,
            Err(error) => return Err(io_at(to, error)),
        }
    }
}
