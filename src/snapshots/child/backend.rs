//! The repository's files, through the library's own local backend, with what it leaves out: pacing, syncing of folders,
//! and the rule that no snapshot is written once any write has failed (the library goes on after some errors).

use std::{
    fs::File,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use bytes::Bytes;
use rustic_backend::local::LocalBackend;
use rustic_core::{
    BytesList, ErrorKind, FileType, Id, ReadBackend, RepositoryBackends, RusticError, RusticResult,
    WriteBackend,
};

use super::Pace;

/// The repository in the working directory.
#[derive(Debug)]
struct Careful {
    files: LocalBackend,
    pace: Pace,
    broken: AtomicBool,
}

/// For the library.
pub(super) fn backends(pace: &Pace) -> RusticResult<RepositoryBackends> {
    let careful = Careful {
        files: LocalBackend::new(".", [])?,
        pace: pace.clone(),
        broken: AtomicBool::new(false),
    };
    Ok(RepositoryBackends::new(Arc::new(careful), None))
}

impl Careful {
    /// A new name lasts only once its folder was synced.
    fn settle(&self, kind: FileType, id: &Id) -> std::io::Result<()> {
        let folder = match kind {
            FileType::Config => ".".into(),
            FileType::Pack => format!("data/{}", &id.to_hex().as_str()[..2]),
            kind => kind.dirname().into(),
        };
        File::open(folder)?.sync_all()
    }

    fn write(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        if kind == FileType::Snapshot && self.broken.load(Ordering::Acquire) {
            return Err(RusticError::new(
                ErrorKind::Backend,
                "something of it could not be written before",
            ));
        }
        self.files.write_bytes(kind, id, cacheable, content)?;
        self.settle(kind, id).map_err(|error| {
            RusticError::with_source(
                ErrorKind::InputOutput,
                "a folder of the repository cannot be synced",
                error,
            )
        })
    }
}

impl ReadBackend for Careful {
    fn location(&self) -> String {
        self.files.location()
    }

    fn list_with_size(&self, kind: FileType) -> RusticResult<Vec<(Id, u32)>> {
        self.files.list_with_size(kind)
    }

    fn list(&self, kind: FileType) -> RusticResult<Vec<Id>> {
        self.files.list(kind)
    }

    fn read_full(&self, kind: FileType, id: &Id) -> RusticResult<Bytes> {
        let bytes = self.files.read_full(kind, id)?;
        self.pace.read(bytes.len() as u64);
        Ok(bytes)
    }

    fn read_partial(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        offset: u32,
        length: u32,
    ) -> RusticResult<Bytes> {
        self.pace.read(length.into());
        self.files.read_partial(kind, id, cacheable, offset, length)
    }

    fn warmup_path(&self, kind: FileType, id: &Id) -> String {
        self.files.warmup_path(kind, id)
    }
}

impl WriteBackend for Careful {
    fn create(&self) -> RusticResult<()> {
        self.files.create()
    }

    fn write_bytes(
        &self,
        kind: FileType,
        id: &Id,
        cacheable: bool,
        content: BytesList,
    ) -> RusticResult<()> {
        let written = self.write(kind, id, cacheable, content);
        if written.is_err() {
            self.broken.store(true, Ordering::Release);
        }
        written
    }

    fn remove(&self, kind: FileType, id: &Id, cacheable: bool) -> RusticResult<()> {
        self.files.remove(kind, id, cacheable)
    }
}
