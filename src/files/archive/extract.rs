//! Unpacks: into a new folder elsewhere, and from there into place once all of it is there and sound.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use nix::unistd::syncfs;

use super::{
    super::{
        FilePath, FilesError, Kind,
        copy::Copied,
        error::{at, io_at},
        passing::{Making, below},
        room::Growing,
        root::{Inside, Replace, stays},
        site::Site,
    },
    ArchiveError, Format,
    entry::{ENTRIES, Entry, What, damaged, place},
    read::{self, Source, Tally},
};

/// Bytes that are written before room is asked for again.
const STEP: usize = 1 << 20;

/// Unpacks an archive into the folder `to`, which is made when it is not there. When anything is refused or fails, nothing
/// is there that was not there before.
pub(crate) fn unpack(
    site: &Site,
    source: Source<'_>,
    format: Format,
    to: &FilePath,
    replace: Replace,
) -> Result<Copied, FilesError> {
    let growing = Growing::begin(site, 0)?;
    let unpacked = Making::begin(site)
        .and_then(|making| unpack_by_way_of(&making, growing, source, format, to, replace));
    unpacked.map_err(|error| error.about(to))
}

fn unpack_by_way_of(
    making: &Making<'_>,
    growing: Growing<'_>,
    source: Source<'_>,
    format: Format,
    to: &FilePath,
    replace: Replace,
) -> Result<Copied, FilesError> {
    let site = making.site;
    let inside = site.enter()?;
    let parent = match to.split() {
        Some((parent, _)) => parent,
        None => FilePath::default(),
    };
    let there = match inside.look_if_any(to)? {
        None => false,
        Some(about) if about.kind == Kind::Folder => true,
        Some(_) => return Err(FilesError::NotFolder(to.clone())),
    };
    inside.folder(&parent)?;
    let aside = inside.beside(making.root());
    let tally = Tally::default();
    let mut extraction = Extraction {
        inside: &inside,
        aside: &aside,
        format,
        to,
        name: making.name(),
        made: BTreeMap::new(),
        modes: Vec::new(),
        copied: Copied::default(),
        tally: tally.clone(),
        growing,
    };
    read::entries(source, format, &tally, &mut |entry| extraction.take(entry))?;
    extraction.settle()?;
    let Extraction {
        made,
        copied,
        growing,
        ..
    } = extraction;
    let replaced = match there {
        true => making.merge(&inside, to, &made, replace)?,
        false => making.publish(&inside, to).map(|()| 0)?,
    };
    growing.keep(copied.bytes, replaced);
    Ok(copied)
}

struct Extraction<'a> {
    /// The server's files.
    inside: &'a Inside<'a>,
    /// Where the folder is made, and what it is called there.
    aside: &'a Inside<'a>,
    name: &'a FilePath,
    format: Format,
    to: &'a FilePath,
    /// Everything that was made, below that folder.
    made: BTreeMap<FilePath, Kind>,
    /// Of folders, set at the end: those that let nobody write are filled first.
    modes: Vec<(FilePath, u32)>,
    copied: Copied,
    /// Of the archive: what is copied here counts as well.
    tally: Tally,
    growing: Growing<'a>,
}

impl Extraction<'_> {
    fn take(&mut self, entry: Entry<'_>) -> Result<(), FilesError> {
        let path = place(&entry.name, self.format == Format::Zip)?;
        if path.is_root() {
            return match entry.what {
                What::Folder => Ok(()),
                _ => Err(super::super::PathError::Whole.into()),
            };
        }
        self.ancestors(&path)?;
        match (self.made.get(&path), &entry.what) {
            (None, _) => {}
            // A folder may be told of after what is in it.
            (Some(Kind::Folder), What::Folder) => {
                let mode = entry.mode.unwrap_or(0o755);
                self.modes.push((path, mode));
                return Ok(());
            }
            (Some(_), _) => return Err(ArchiveError::Twice(path).into()),
        }
        let target = below(self.name, &path)?;
        let kind = match &entry.what {
            What::Folder => {
                self.aside.make(&target)?;
                self.modes.push((path.clone(), entry.mode.unwrap_or(0o755)));
                self.copied.folders += 1;
                Kind::Folder
            }
            What::File => {
                self.file(&path, &target, entry)?;
                Kind::File
            }
            What::Link(leads) => {
                self.link(&path, &target, leads)?;
                Kind::Link
            }
            What::Same(original) => {
                self.same(&path, &target, original)?;
                Kind::File
            }
        };
        self.note(path, kind)
    }

    fn note(&mut self, path: FilePath, kind: Kind) -> Result<(), FilesError> {
        self.made.insert(path, kind);
        match self.made.len() as u64 > ENTRIES {
            true => Err(ArchiveError::TooMuch {
                what: "entries",
                most: ENTRIES,
            }
            .into()),
            false => Ok(()),
        }
    }

    /// The folders that `path` lies in are folders of ours, or made now.
    fn ancestors(&mut self, path: &FilePath) -> Result<(), FilesError> {
        let mut missing = Vec::new();
        let mut folder = path.clone();
        while let Some((parent, _)) = folder.split() {
            match self.made.get(&parent) {
                _ if parent.is_root() => break,
                Some(Kind::Folder) => break,
                Some(_) => {
                    return Err(ArchiveError::NotWithin {
                        name: path.clone(),
                        within: parent,
                    }
                    .into());
                }
                None => missing.push(parent.clone()),
            }
            folder = parent;
        }
        for folder in missing.into_iter().rev() {
            self.aside.make(&below(self.name, &folder)?)?;
            self.copied.folders += 1;
            self.note(folder, Kind::Folder)?;
        }
        Ok(())
    }

    fn file(
        &mut self,
        path: &FilePath,
        target: &FilePath,
        entry: Entry<'_>,
    ) -> Result<(), FilesError> {
        let fail = |error| io_at(target, error);
        let file = self.aside.make_file(target)?;
        let mut buffer = vec![0; STEP.min(64 << 10)];
        let (mut written, mut promised) = (0_u64, 0_u64);
        let size = || ArchiveError::Size {
            name: path.clone(),
            declared: entry.size,
        };
        loop {
            let read = entry.body.read(&mut buffer);
            let read = read.map_err(|error| damaged(self.format.name(), error))?;
            if read == 0 {
                break;
            }
            written += read as u64;
            if written > entry.size {
                return Err(size().into());
            }
            if written > promised {
                let more = (entry.size - promised).min(STEP as u64);
                self.growing.more(self.inside, more)?;
                promised += more;
            }
            self.growing
                .store(self.inside, &file, target, &buffer[..read])?;
        }
        if written != entry.size {
            return Err(size().into());
        }
        let now = SystemTime::now();
        let modified = entry
            .modified
            .and_then(|at| UNIX_EPOCH.checked_add(Duration::from_secs(at)));
        if let Some(modified) = modified {
            file.set_modified(modified.min(now)).map_err(fail)?;
        }
        // The nine bits, without what lets others write; its owner may always read and write it.
        let mode = (entry.mode.unwrap_or(0o644) & 0o755) | 0o600;
        let permissions = std::fs::Permissions::from_mode(mode);
        file.set_permissions(permissions).map_err(fail)?;
        self.copied.files += 1;
        self.copied.bytes += written;
        Ok(())
    }

    fn link(&mut self, path: &FilePath, target: &FilePath, leads: &[u8]) -> Result<(), FilesError> {
        // It is judged by where it will be, not by where it is made.
        let whole = below(self.to, path)?;
        let depth = whole.as_bytes().split(|&byte| byte == b'/').count() - 1;
        if !stays(leads, depth) {
            return Err(ArchiveError::LinkLeadsOut(path.clone()).into());
        }
        self.aside.link_anyhow(target, leads)?;
        self.copied.links += 1;
        Ok(())
    }

    /// A second name becomes a second file: what one is written to later is not the other's business.
    fn same(
        &mut self,
        path: &FilePath,
        target: &FilePath,
        original: &[u8],
    ) -> Result<(), FilesError> {
        let missing = || FilesError::from(ArchiveError::NoSuchOriginal(path.clone()));
        let original = place(original, false).map_err(|_| missing())?;
        if self.made.get(&original) != Some(&Kind::File) {
            return Err(missing());
        }
        let (source, about) = self.aside.file(&below(self.name, &original)?)?;
        let mode = Some(about.mode);
        let entry = Entry {
            name: Vec::new(),
            what: What::File,
            mode,
            modified: Some(about.modified.0 / 1000),
            size: about.size,
            body: &mut self.tally.gauge(source),
        };
        self.file(path, target, entry)
    }

    /// All is there: folders get their modes, and everything goes to the disk, by one sync rather than one for each file.
    fn settle(&mut self) -> Result<(), FilesError> {
        for (path, mode) in self.modes.iter().rev() {
            let mode = (mode & 0o755) | 0o700;
            self.aside.set_mode(&below(self.name, path)?, mode)?;
        }
        let folder = self.aside.folder(self.name)?;
        syncfs(&folder).map_err(|error| at(self.to, error))
    }
}
