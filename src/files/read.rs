//! A file on its way out: read ahead by one piece, and never more than that held.

use std::{
    fs::File,
    io::{self, Read as _, Seek as _, SeekFrom},
    ops::Range,
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use tokio::task::{JoinHandle, spawn_blocking};

use super::{about::About, path::FilePath};

/// Bytes that are read at a time.
const PIECE: u64 = 256 << 10;

/// A plain file, open to be read.
pub(crate) struct Reading {
    file: File,
    about: About,
    path: FilePath,
}

impl Reading {
    pub(super) fn new(file: File, about: About, path: FilePath) -> Self {
        Self { file, about, path }
    }

    /// Bytes in all.
    pub(crate) fn size(&self) -> u64 {
        self.about.size
    }

    /// Its entity tag.
    pub(crate) fn tag(&self) -> String {
        self.about.tag()
    }

    /// Where it is.
    pub(crate) fn path(&self) -> &FilePath {
        &self.path
    }

    /// These of its bytes. When it has become shorter meanwhile, that is an error at the end.
    pub(crate) fn stream(
        self,
        range: Range<u64>,
    ) -> impl Stream<Item = io::Result<Bytes>> + Send + Sync + 'static {
        let left = range.end.saturating_sub(range.start);
        let first = (left > 0).then(|| {
            let mut file = self.file;
            spawn_blocking(move || {
                let sought = file.seek(SeekFrom::Start(range.start));
                sought
                    .and_then(|_| piece(&mut file, left))
                    .map(|piece| (file, piece))
            })
        });
        stream::unfold((first, left), |(job, left)| async move {
            let (mut file, piece) = match joined(job?).await {
                Ok(read) => read,
                Err(error) => return Some((Err(error), (None, 0))),
            };
            let left = left - piece.len() as u64;
            let next = (left > 0).then(|| {
                spawn_blocking(move || self::piece(&mut file, left).map(|piece| (file, piece)))
            });
            Some((Ok(piece), (next, left)))
        })
    }
}

type Job = JoinHandle<io::Result<(File, Bytes)>>;

async fn joined(job: Job) -> io::Result<(File, Bytes)> {
    job.await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The next bytes, of `left` that are wanted.
fn piece(file: &mut File, left: u64) -> io::Result<Bytes> {
    let size = left.min(PIECE);
    let mut bytes = Vec::with_capacity(usize::try_from(size).expect("a piece is small"));
    file.take(size).read_to_end(&mut bytes)?;
    match bytes.is_empty() {
        true => Err(io::ErrorKind::UnexpectedEof.into()),
        false => Ok(bytes.into()),
    }
}
