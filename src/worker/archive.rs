//! Unpacks archives and copies folders into a server's folder. Nothing in them can reach outside of it.

use std::{
    fs::{self, File},
    io::{self, BufReader, Read},
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tokio_util::sync::CancellationToken;

use super::folder::Folder;

/// What one install may bring, against archives that unpack without end.
pub(super) const MAX: Bounds = Bounds {
    bytes: 64 << 30,
    entries: 1_000_000,
};

/// What one install may bring.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bounds {
    pub(super) bytes: u64,
    pub(super) entries: u64,
}

/// Counts down while an install goes on.
struct Budget<'a> {
    left: Bounds,
    cancel: &'a CancellationToken,
}

impl Budget<'_> {
    fn entry(&mut self) -> io::Result<()> {
        if self.cancel.is_cancelled() {
            return Err(io::Error::other("told to stop"));
        }
        self.left.entries = self.left.entries.checked_sub(1).ok_or_else(too_much)?;
        Ok(())
    }

    fn write(
        &mut self,
        to: &Folder,
        path: &Path,
        content: &mut dyn Read,
        mode: u32,
    ) -> io::Result<()> {
        let cancel = self.cancel;
        let mut bounded = Bounded {
            inner: content,
            left: self.left.bytes,
            cancel,
        };
        self.left.bytes -= to.write(path, &mut bounded, mode)?;
        Ok(())
    }
}

fn too_much() -> io::Error {
    io::Error::new(
        io::ErrorKind::FileTooLarge,
        "it holds more than an install may bring",
    )
}

/// Fails, rather than ends, where the budget does; and as soon as it is told to stop.
struct Bounded<'a> {
    inner: &'a mut dyn Read,
    left: u64,
    cancel: &'a CancellationToken,
}

impl Read for Bounded<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.cancel.is_cancelled() {
            // Not `Interrupted`: that would be tried again.
            return Err(io::Error::other("told to stop"));
        }
        let read = self.inner.read(buffer)?;
        self.left = self.left.checked_sub(read as u64).ok_or_else(too_much)?;
        Ok(read)
    }
}

/// Unpacks a tar, tar.gz or tar.zst, told apart by their first bytes.
pub(super) fn unpack(
    archive: &Path,
    to: &Folder,
    bounds: Bounds,
    cancel: &CancellationToken,
) -> io::Result<()> {
    let mut file = BufReader::new(File::open(archive)?);
    let magic = io::BufRead::fill_buf(&mut file)?;
    let content: Box<dyn Read> = match magic {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(file)),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Box::new(zstd::Decoder::with_buffer(file)?),
        _ => Box::new(file),
    };
    let mut budget = Budget {
        left: bounds,
        cancel,
    };
    let mut archive = tar::Archive::new(content);
    for entry in archive.entries()? {
        let mut entry = entry?;
        budget.entry()?;
        let path = plain(&entry.path()?)?;
        let mode = entry.header().mode().unwrap_or(0o644);
        let target = || -> io::Result<PathBuf> {
            let none = || io::Error::new(io::ErrorKind::InvalidData, "a link without a target");
            Ok(entry.link_name()?.ok_or_else(none)?.into_owned())
        };
        match entry.header().entry_type() {
            _ if path.as_os_str().is_empty() => {}
            tar::EntryType::Directory => drop(to.make(&path)?),
            tar::EntryType::Symlink => to.link(&path, &target()?)?,
            tar::EntryType::Link => {
                let from = plain(&target()?)?;
                let mut file = to
                    .file(&from, budget.left.bytes)?
                    .ok_or(io::ErrorKind::NotFound)?;
                budget.write(to, &path, &mut file, mode)?;
            }
            kind if kind.is_file() || kind.is_gnu_sparse() => {
                budget.write(to, &path, &mut entry, mode)?
            }
            kind if kind.is_pax_global_extensions() => {}
            kind => {
                let what = format!(
                    "`{}` is a {kind:?}: only files, folders and links",
                    path.display()
                );
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
    }
    Ok(())
}

/// `path` without leading `./`; whatever else leads elsewhere is refused by [`Folder`].
fn plain(path: &Path) -> io::Result<PathBuf> {
    let plain: PathBuf = path
        .components()
        .filter(|part| *part != std::path::Component::CurDir)
        .collect();
    if plain.as_os_str().len() > 4096 || plain.components().count() > 64 {
        return Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "a path that is too long",
        ));
    }
    Ok(plain)
}

/// Copies the folder `from` of this box.
pub(super) fn copy(
    from: &Path,
    to: &Folder,
    bounds: Bounds,
    cancel: &CancellationToken,
) -> io::Result<()> {
    let mut budget = Budget {
        left: bounds,
        cancel,
    };
    let mut waiting = vec![PathBuf::new()];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(from.join(&folder))? {
            let entry = entry?;
            budget.entry()?;
            let (path, about) = (folder.join(entry.file_name()), entry.metadata()?);
            if about.is_dir() {
                to.make(&path)?;
                waiting.push(path);
            } else if about.is_symlink() {
                to.link(&path, &fs::read_link(entry.path())?)?;
            } else if about.is_file() {
                budget.write(
                    to,
                    &path,
                    &mut File::open(entry.path())?,
                    about.permissions().mode(),
                )?;
            } else {
                let what = format!("`{}` is no file, folder or link", entry.path().display());
                return Err(io::Error::new(io::ErrorKind::InvalidData, what));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn try_unpack(bytes: &[u8], bounds: Bounds) -> (tempfile::TempDir, io::Result<()>) {
        let home = tempfile::tempdir().unwrap();
        let archive = home.path().join("archive");
        fs::write(&archive, bytes).unwrap();
        let folder = Folder::open(&home.path().join("files"), None).unwrap();
        let done = unpack(&archive, &folder, bounds, &CancellationToken::new());
        (home, done)
    }

    /// Name, kind, what it links to, content.
    type Entry<'a> = (&'a str, tar::EntryType, &'a str, &'a [u8]);

    /// A tar whose names are written as they are, which the tar crate would refuse to do.
    fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (name, kind, link, content) in entries {
            let mut header = tar::Header::new_ustar();
            let ustar = header.as_ustar_mut().unwrap();
            ustar.name[..name.len()].copy_from_slice(name.as_bytes());
            ustar.linkname[..link.len()].copy_from_slice(link.as_bytes());
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.set_size(content.len() as u64);
            header.set_cksum();
            builder.append(&header, *content).unwrap();
        }
        builder.into_inner().unwrap()
    }

    use tar::EntryType as Kind;

    #[test]
    fn plain_gzip_and_zstd_archives_give_the_same() {
        let plain = tar(&[
            ("./", Kind::Directory, "", b""),
            ("./bin/game", Kind::Regular, "", b"#!"),
            ("bin/again", Kind::Link, "bin/game", b""),
            ("bin/other", Kind::Symlink, "game", b""),
        ]);
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        io::Write::write_all(&mut gzip, &plain).unwrap();
        let zstd = zstd::encode_all(&plain[..], 1).unwrap();
        for bytes in [plain, gzip.finish().unwrap(), zstd] {
            let (home, done) = try_unpack(&bytes, MAX);
            done.unwrap();
            for name in ["game", "again", "other"] {
                assert_eq!(
                    fs::read(home.path().join("files/bin").join(name)).unwrap(),
                    b"#!",
                    "{name}"
                );
            }
        }
    }

    #[test]
    fn nothing_escapes() {
        let hostile: [&[Entry<'_>]; 7] = [
            &[("../out", Kind::Regular, "", b"x")],
            &[("a/../../out", Kind::Regular, "", b"x")],
            &[("/tmp/longhouse-out", Kind::Regular, "", b"x")],
            &[("l", Kind::Symlink, "..", b"")],
            &[("l", Kind::Symlink, "/etc", b"")],
            &[("l", Kind::Link, "../archive", b"")],
            &[("d", Kind::Char, "", b"")],
        ];
        for entries in hostile {
            let (home, done) = try_unpack(&tar(entries), MAX);
            assert!(done.is_err(), "{entries:?}");
            assert!(!home.path().join("out").exists());
        }
        let through = [
            ("d", Kind::Directory, "", &b""[..]),
            ("l", Kind::Symlink, "d", b""),
            ("l/x", Kind::Regular, "", b"x"),
        ];
        assert!(
            try_unpack(&tar(&through), MAX).1.is_err(),
            "a link is not walked through"
        );
    }

    #[test]
    fn an_archive_without_end_is_cut_off() {
        let bounds = Bounds {
            bytes: 1000,
            entries: 2,
        };
        let large = tar(&[("x", Kind::Regular, "", &[0; 1001])]);
        assert!(try_unpack(&large, bounds).1.is_err());
        let many = tar(&[
            ("a", Kind::Regular, "", b""),
            ("b", Kind::Regular, "", b""),
            ("c", Kind::Regular, "", b""),
        ]);
        assert!(try_unpack(&many, bounds).1.is_err());
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn a_damaged_archive_never_panics(at in 0usize..1536, byte in any::<u8>(), cut in 0usize..2000) {
            let mut bytes = tar(&[("a/b", Kind::Regular, "", b"hello"), ("l", Kind::Symlink, "a", b"")]);
            bytes[at] = byte;
            bytes.truncate(cut.max(1));
            let bounds = Bounds { bytes: 1 << 20, entries: 100 };
            let (home, _) = try_unpack(&bytes, bounds);
            prop_assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
        }
    }
}
