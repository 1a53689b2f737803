//! A folder that comes from a server as a tar archive, and is unpacked as it comes.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read},
    os::unix::fs::OpenOptionsExt as _,
    path::{Component, Path, PathBuf},
    time::{Duration, UNIX_EPOCH},
};

use bytes::{Buf as _, Bytes};
use tar::{Archive, EntryType};
use tokio::{sync::mpsc, task::spawn_blocking};

use super::{Session, fault::Fault, print::note, text, transfer::at_file};

/// Pieces of the archive that wait to be unpacked.
const WAITING: usize = 8;

/// Fetches the archive at `path`. `folder`, which must not be there yet, is there once it is whole.
pub(crate) async fn fetch(session: &Session, path: &str, folder: &Path) -> Result<(), Fault> {
    let failed = |source| at_file(folder, source);
    if folder.symlink_metadata().is_ok() {
        return Err(failed(io::ErrorKind::AlreadyExists.into()));
    }
    let mut pieces = session.control.stream(path).await?;
    let part = Part::create(folder).map_err(failed)?;
    let (sender, taken) = mpsc::channel(WAITING);
    let into = part.0.clone();
    let unpacking = spawn_blocking(move || unpack(Intake::new(taken), &into));
    let fetched = async {
        while let Some(piece) = pieces.next().await? {
            // Who takes no more of them says why.
            if sender.send(piece).await.is_err() {
                break;
            }
        }
        Ok::<_, Fault>(())
    };
    let fetched = fetched.await;
    drop(sender);
    let unpacked = unpacking.await.expect("unpacking does not panic");
    fetched?;
    let (files, bytes) = unpacked.map_err(failed)?;
    fs::rename(&part.0, folder).map_err(failed)?;
    let shown = folder.display();
    note(&format!(
        "fetched {bytes} bytes in {files} files to {shown}"
    ));
    Ok(())
}

/// A folder in the making, beside where it will be; gone again unless it was moved there.
struct Part(PathBuf);

impl Part {
    fn create(folder: &Path) -> io::Result<Self> {
        let name = folder.file_name().unwrap_or_default().to_string_lossy();
        let path = folder.with_file_name(format!(".{name}.{}.part", std::process::id()));
        fs::create_dir(&path).map(|()| Self(path))
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok(); // nothing else can be done about it
    }
}

/// Unpacks plain files and folders into `folder`, which is new: as no link is made in it, none leads out of it. Answers
/// how many files these were, and their bytes.
fn unpack(tar: impl Read, folder: &Path) -> io::Result<(u64, u64)> {
    let (mut files, mut bytes) = (0, 0);
    for entry in Archive::new(tar).entries()? {
        let mut entry = entry?;
        let name = entry.path()?.into_owned();
        let path = within(folder, &name)?;
        match entry.header().entry_type() {
            EntryType::Directory => fs::create_dir_all(path)?,
            EntryType::Regular => {
                if let Some(parent) = path.parent() {
                    fs::create_dir_all(parent)?;
                }
                let mode = entry.header().mode()? & 0o777;
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .mode(mode)
                    .open(path)?;
                bytes += io::copy(&mut entry, &mut file)?;
                files += 1;
                touch(&file, entry.header().mtime()?)?;
            }
            _ => note(&format!(
                "left out: {} is no plain file",
                text::plain(&name.to_string_lossy())
            )),
        }
    }
    Ok((files, bytes))
}

fn touch(file: &File, seconds: u64) -> io::Result<()> {
    match UNIX_EPOCH.checked_add(Duration::from_secs(seconds)) {
        Some(time) => file.set_modified(time),
        None => Ok(()),
    }
}

/// Where `name` is in `folder`, if it is.
fn within(folder: &Path, name: &Path) -> io::Result<PathBuf> {
    let stays = |part| matches!(part, Component::Normal(_) | Component::CurDir);
    match name.components().all(stays) {
        true => Ok(folder.join(name)),
        false => {
            let name = text::plain(&name.to_string_lossy());
            Err(io::Error::other(format!("`{name}` leads out of it")))
        }
    }
}

/// The archive as it comes.
struct Intake {
    taken: mpsc::Receiver<Bytes>,
    piece: Bytes,
}

impl Intake {
    fn new(taken: mpsc::Receiver<Bytes>) -> Self {
        let piece = Bytes::new();
        Self { taken, piece }
    }
}

impl Read for Intake {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.piece.is_empty() {
            match self.taken.blocking_recv() {
                Some(piece) => self.piece = piece,
                None => return Ok(0),
            }
        }
        let size = buffer.len().min(self.piece.len());
        self.piece.copy_to_slice(&mut buffer[..size]);
        Ok(size)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    /// An archive of entries by kind, name and content.
    fn archive(entries: &[(EntryType, &str, &str)]) -> Vec<u8> {
        let mut archive = tar::Builder::new(Vec::new());
        for (kind, name, content) in entries {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            // As no honest program writes it.
            header.as_mut_bytes()[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(0);
            match kind {
                EntryType::Regular => header.set_size(content.len() as u64),
                EntryType::Symlink | EntryType::Link => header.set_link_name(content).unwrap(),
                _ => {}
            }
            header.set_mode(0o4640);
            header.set_mtime(1_000_000_000);
            header.set_cksum();
            let bytes = match kind {
                EntryType::Regular => content.as_bytes(),
                _ => b"",
            };
            archive.append(&header, bytes).unwrap();
        }
        archive.into_inner().unwrap()
    }

    #[test]
    fn files_and_folders_are_unpacked_and_links_left_out() {
        let folder = tempfile::tempdir().unwrap();
        let bytes = archive(&[
            (EntryType::Directory, "a/", ""),
            (EntryType::Symlink, "a/out", "/etc"),
            (EntryType::Link, "a/hard", "/etc/passwd"),
            (EntryType::Fifo, "a/pipe", ""),
            (EntryType::Regular, "a/b/file", "hello"),
        ]);
        assert_eq!(unpack(&bytes[..], folder.path()).unwrap(), (1, 5));
        let file = folder.path().join("a/b/file");
        assert_eq!(fs::read(&file).unwrap(), b"hello");
        let about = file.metadata().unwrap();
        assert_eq!(about.permissions().mode() & 0o7777 & !0o022, 0o640 & !0o022);
        let since = about.modified().unwrap().duration_since(UNIX_EPOCH);
        assert_eq!(since.unwrap().as_secs(), 1_000_000_000);
        let names = fs::read_dir(folder.path().join("a")).unwrap();
        assert_eq!(names.count(), 1);
    }

    #[test]
    fn nothing_is_written_elsewhere_or_twice() {
        for entries in [
            &[(EntryType::Regular, "../out", "x")][..],
            &[(EntryType::Regular, "/tmp/out", "x")],
            &[(EntryType::Directory, "a/../../out", "")],
            &[
                (EntryType::Regular, "twice", "x"),
                (EntryType::Regular, "twice", "y"),
            ],
        ] {
            let outer = tempfile::tempdir().unwrap();
            let folder = outer.path().join("folder");
            fs::create_dir(&folder).unwrap();
            assert!(
                unpack(&archive(entries)[..], &folder).is_err(),
                "{entries:?}"
            );
            assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
        }
        let cut = archive(&[(EntryType::Regular, "file", "whole")]);
        let folder = tempfile::tempdir().unwrap();
        assert!(unpack(&cut[..514], folder.path()).is_err());
    }
}
