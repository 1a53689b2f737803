//! A file on its way out, a piece at a time.
//!
//! ```text
//!  what the kernel has in memory ─► read at once, where the request is   (preadv2, RWF_NOWAIT)
//!  what must come from a disk    ─► read where it may block
//! ```
//!
//! So what is read often takes no turn of another thread, and the buffers go round: fresh memory for every piece costs
//! more than the reading. What is sent waits for who takes it, so that no more than a few pieces are ever held.

use std::{
    fs::File,
    io::{self, IoSliceMut},
    ops::Range,
    os::unix::fs::FileExt as _,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use rustix::io::{ReadWriteFlags, preadv2};
use tokio::task::spawn_blocking;

use super::{about::About, path::FilePath};

/// Bytes that are read at a time.
const PIECE: usize = 256 << 10;

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
        let (file, shelf) = (Arc::new(self.file), Shelf::default());
        stream::try_unfold(range, move |left| {
            let (file, shelf) = (file.clone(), shelf.clone());
            async move {
                let size = left.end.saturating_sub(left.start);
                if size == 0 {
                    return Ok(None);
                }
                let size = usize::try_from(size).map_or(PIECE, |size| size.min(PIECE));
                let piece = read(&file, shelf.take(size), left.start).await?;
                match piece.size as u64 {
                    0 => Err(io::ErrorKind::UnexpectedEof.into()),
                    read => Ok(Some((
                        Bytes::from_owner(piece),
                        left.start + read..left.end,
                    ))),
                }
            }
        })
    }
}

/// Fills as much of the piece as one read gives.
async fn read(file: &Arc<File>, mut piece: Piece, at: u64) -> io::Result<Piece> {
    let mut parts = [IoSliceMut::new(&mut piece.buffer[..piece.size])];
    // Not every file system knows the flag: whatever fails is tried again where it may wait.
    if let Ok(read) = preadv2(&**file, &mut parts, at, ReadWriteFlags::NOWAIT) {
        piece.size = read;
        return Ok(piece);
    }
    let file = file.clone();
    let reading = spawn_blocking(move || {
        piece.size = file.read_at(&mut piece.buffer[..piece.size], at)?;
        Ok(piece)
    });
    reading
        .await
        .unwrap_or_else(|error| Err(io::Error::other(error)))
}

/// The buffers that are free again.
#[derive(Clone, Default)]
struct Shelf(Arc<Mutex<Vec<Box<[u8]>>>>);

impl Shelf {
    /// Room for so many bytes, at most a piece.
    fn take(&self, size: usize) -> Piece {
        let free = self.0.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Piece {
            buffer: free.unwrap_or_else(|| vec![0; size].into()),
            size,
            shelf: self.clone(),
        }
    }
}

/// A buffer, of which `size` bytes count; goes back to its shelf when nobody reads it any longer.
struct Piece {
    buffer: Box<[u8]>,
    size: usize,
    shelf: Shelf,
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        &self.buffer[..self.size]
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        let buffer = std::mem::take(&mut self.buffer);
        let mut free = self.shelf.0.lock().unwrap_or_else(PoisonError::into_inner);
        free.push(buffer);
    }
}
