//! Copies within a server's folder. A copy is made elsewhere and appears as a whole; where the file system can share the
//! bytes of the original, it does.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use nix::{
    fcntl::{OFlag, ResolveFlag},
    sys::stat::{Mode, fchmod},
    unistd::syncfs,
};

use super::{
    about::{About, Kind},
    error::{FilesError, at, io_at},
    passing::{Making, below},
    path::FilePath,
    room::Growing,
    root::{Inside, Replace, beneath},
    site::Site,
    view::CopyView,
    walk::Go,
};

/// Bytes that are copied before room is asked for again.
const STEP: u64 = 8 << 20;

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

impl Site {
    /// Copies `from` to `to`.
    pub(crate) fn copy(
        &self,
        from: &FilePath,
        to: &FilePath,
        replace: Replace,
    ) -> Result<CopyView, FilesError> {
        let (size, about) = {
            let inside = self.enter()?;
            (inside.room(from)?, inside.look(from)?)
        };
        let mut growing = Growing::begin(self, size)?;
        let copied = match about.kind {
            Kind::File => self.copy_file(from, to, replace, &mut growing),
            Kind::Link => self.copy_link(from, to),
            Kind::Folder => self.copy_folder(from, &about, to, &mut growing),
            kind => {
                let (path, kind) = (from.clone(), kind.name());
                Err(FilesError::Special { path, kind })
            }
        };
        let copied = copied.map_err(|error| error.about(to))?;
        growing.keep(copied.bytes, 0);
        Ok(copied.into())
    }

    fn copy_file(
        &self,
        from: &FilePath,
        to: &FilePath,
        replace: Replace,
        growing: &mut Growing<'_>,
    ) -> Result<Copied, FilesError> {
        let inside = self.enter()?;
        let (source, about) = inside.file(from)?;
        let fresh = inside.fresh(to)?;
        let bytes = pour(&inside, &source, fresh.file(), (from, to), growing)?;
        fresh.publish(&inside, replace, Some(about.mode))?;
        Ok(Copied {
            files: 1,
            bytes,
            ..Copied::default()
        })
    }

    fn copy_link(&self, from: &FilePath, to: &FilePath) -> Result<Copied, FilesError> {
        let inside = self.enter()?;
        inside.link_anyhow(to, &inside.read_link(from)?)?;
        Ok(Copied {
            links: 1,
            ..Copied::default()
        })
    }

    fn copy_folder(
        &self,
        from: &FilePath,
        about: &About,
        to: &FilePath,
        growing: &mut Growing<'_>,
    ) -> Result<Copied, FilesError> {
        if to.is_within(from) {
            let (from, to) = (from.clone(), to.clone());
            return Err(FilesError::IntoItself { from, to });
        }
        let making = Making::begin(self)?;
        let inside = self.enter()?;
        let aside = inside.beside(making.root());
        if inside.look_if_any(to)?.is_some() {
            return Err(FilesError::Exists(to.clone()));
        }
        inside.place(to)?; // its folder is there
        let copied = fill(&inside, from, &aside, making.name(), growing)?;
        // Its own mode comes last: a folder that lets nobody write cannot be moved.
        let top = aside.folder(making.name())?;
        making.publish(&inside, to)?;
        let mode = Mode::from_bits_truncate(about.mode);
        fchmod(&top, mode).map_err(|error| at(to, error))?;
        Ok(copied)
    }
}

/// Copies all that is in the folder `from` to the folder `name`, which is another's.
fn fill(
    inside: &Inside<'_>,
    from: &FilePath,
    aside: &Inside<'_>,
    name: &FilePath,
    growing: &mut Growing<'_>,
) -> Result<Copied, FilesError> {
    let mut copied = Copied {
        folders: 1,
        ..Copied::default()
    };
    // Folders that let nobody write are filled first.
    let mut modes = Vec::new();
    let passed = inside.walk(from, |path, about| {
        let inner = &path.as_bytes()[from.as_bytes().len()..];
        let inner = inner.strip_prefix(b"/").unwrap_or(inner);
        let target = below(name, &FilePath::parse(inner)?)?;
        match about.kind {
            Kind::Folder => {
                aside.make(&target)?;
                modes.push((target, about.mode));
                copied.folders += 1;
            }
            Kind::File => match inside.file(path) {
                Ok((source, about)) => {
                    let file = aside.make_file(&target)?;
                    copied.bytes += pour(inside, &source, &file, (path, &target), growing)?;
                    drop(file);
                    aside.set_mode(&target, about.mode)?;
                    copied.files += 1;
                }
                Err(FilesError::NoSuchFile(_)) => {}
                Err(FilesError::NotPermitted(_) | FilesError::LeadsOut(_)) => {
                    copied.skipped += 1;
                }
                Err(error) => return Err(error),
            },
            Kind::Link => match inside.read_link(path) {
                Ok(leads) => {
                    aside.link_anyhow(&target, &leads)?;
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
        aside.set_mode(path, *mode)?;
    }
    // One sync for all of it, rather than one for each file.
    let folder = aside.folder(name)?;
    syncfs(&folder).map_err(|error| at(name, error))?;
    Ok(copied)
}

impl Inside<'_> {
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
    inside: &Inside<'_>,
    mut source: &File,
    mut target: &File,
    (from, to): (&FilePath, &FilePath),
    growing: &mut Growing<'_>,
) -> Result<u64, FilesError> {
    let (mut bytes, mut promised) = (0_u64, 0);
    loop {
        let whole = source.metadata().map_err(|error| io_at(from, error))?.len();
        let step = whole.saturating_sub(bytes).min(STEP);
        if step == 0 {
            return Ok(bytes);
        }
        if bytes + step > promised {
            growing.more(inside, bytes + step - promised)?;
            promised = bytes + step;
        }
        match io::copy(&mut source.take(step), &mut target) {
            Ok(0) => return Ok(bytes),
            Ok(done) => bytes += done,
            Err(error) => {
                let error = io_at(to, error);
                if !matches!(error, FilesError::DiskFull(_)) || !growing.give_way(inside)? {
                    return Err(error);
                }
                // What fitted stays.
                bytes = target.stream_position().map_err(|error| io_at(to, error))?;
                let again = source.seek(SeekFrom::Start(bytes));
                again.map_err(|error| io_at(from, error))?;
            }
        }
    }
}
