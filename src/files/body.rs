//! The bytes of a request on their way to the disk.

use std::{io, pin::Pin};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _};
use tokio::task::spawn_blocking;

use super::{FilesError, handle::joined};

/// Bytes that are gathered before they are written: two of these are held for each upload at most.
const BATCH: usize = 1 << 20;
/// Bytes that are read and thrown away, so that who sends what is refused is told so rather than cut off.
const COURTESY: usize = 128 << 20;

/// The bytes of a request as they come. Whatever fails there means that they broke off.
pub(crate) type Body = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send>>;

/// Why no more of a body was taken.
pub(super) enum Stopped {
    /// It broke off.
    Broke,
    /// It was not wanted.
    Refused(FilesError),
}

/// What came of a request. Who sent what is refused is heard out for a while, so that the refusal reaches them.
pub(crate) async fn heard_out<T, E>(result: Result<T, E>, body: &mut Body) -> Result<T, E> {
    let mut left = COURTESY;
    while result.is_err()
        && let Some(Ok(piece)) = body.next().await
        && let Some(rest) = left.checked_sub(piece.len())
    {
        left = rest;
    }
    result
}

/// How a batch ended.
enum Then {
    More,
    Ended,
    Broke,
}

/// The next bytes, as many as are written at once.
async fn batch(body: &mut Body) -> (Vec<Bytes>, Then) {
    let (mut batch, mut size) = (Vec::new(), 0);
    while size < BATCH {
        match body.next().await {
            Some(Ok(piece)) => {
                size += piece.len();
                batch.push(piece);
            }
            Some(Err(_)) => return (batch, Then::Broke),
            None => return (batch, Then::Ended),
        }
    }
    (batch, Then::More)
}

/// Brings all of `body` into `to`, which writes one batch while the next is gathered.
pub(super) async fn pour<W: Send + 'static>(
    mut to: W,
    put: fn(&mut W, &[u8]) -> Result<(), FilesError>,
    body: &mut Body,
) -> (W, Result<(), Stopped>) {
    let (mut pieces, mut then) = batch(body).await;
    loop {
        let writing = spawn_blocking(move || {
            let done = pieces.iter().try_for_each(|piece| put(&mut to, piece));
            (to, done)
        });
        let next = match then {
            Then::More => Some(batch(body).await),
            Then::Ended | Then::Broke => None,
        };
        let done;
        (to, done) = joined(writing.await);
        match (done, next, then) {
            (Err(error), ..) => return (to, Err(Stopped::Refused(error))),
            (Ok(()), Some(next), _) => (pieces, then) = next,
            (Ok(()), None, Then::Broke) => return (to, Err(Stopped::Broke)),
            (Ok(()), None, _) => return (to, Ok(())),
        }
    }
}
