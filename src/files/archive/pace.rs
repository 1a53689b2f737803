//! How slow those may be who send and take folders as streams: each of them holds a thread, and one of a few turns.

use std::{io, time::Duration};

use bytes::Bytes;
use futures_util::StreamExt as _;
use tokio::{
    sync::mpsc,
    time::{Instant, timeout},
};

use super::super::body::Body;

/// How long those who send or take a folder may leave us waiting, in all.
pub(super) const PATIENCE: Duration = Duration::from_secs(120);
/// So many bytes earn another second of it.
pub(super) const PACE: usize = 4 << 10;
/// Pieces that wait for a slower side.
pub(super) const WAITING: usize = 4;

pub(super) type Piece = io::Result<Bytes>;

/// What is left of the patience after `waited`, for which so many bytes went over.
fn left_after(left: Duration, waited: Duration, bytes: usize) -> Duration {
    let earned = Duration::from_secs(1).mul_f64(bytes as f64 / PACE as f64);
    (left.saturating_sub(waited) + earned).min(PATIENCE)
}

/// Hands on what comes, to its end, or until whoever sends it was waited for too long: then it broke off.
pub(super) async fn feed(body: &mut Body, pieces: mpsc::Sender<Piece>) {
    let mut left = PATIENCE;
    loop {
        let asked = Instant::now();
        let piece = match timeout(left, body.next()).await {
            Ok(Some(piece)) => piece,
            Ok(None) => return,
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        };
        let size = piece.as_ref().map_or(0, Bytes::len);
        left = left_after(left, asked.elapsed(), size);
        let broke = piece.is_err();
        if pieces.send(piece).await.is_err() || broke {
            return;
        }
    }
}

/// Where pieces go that somebody takes, and the last one of them, which always has room: that they were not all.
pub(super) fn doled() -> (Doling, mpsc::Receiver<Piece>) {
    let (pieces, taken) = mpsc::channel(WAITING + 1);
    let last = pieces.clone().try_reserve_owned();
    let last = last.expect("nothing is in it yet");
    (Doling { pieces, last }, taken)
}

pub(super) struct Doling {
    pieces: mpsc::Sender<Piece>,
    last: mpsc::OwnedPermit<Piece>,
}

impl Doling {
    /// Hands on what was packed, to its end, or until whoever takes it was waited for too long: then it breaks off. Who
    /// packs learns of that by the end of `packed`.
    pub(super) async fn run(self, mut packed: mpsc::Receiver<Piece>) {
        let mut left = PATIENCE;
        while let Some(piece) = packed.recv().await {
            let size = match &piece {
                Ok(bytes) => bytes.len(),
                Err(_) => {
                    self.last.send(piece);
                    return;
                }
            };
            let asked = Instant::now();
            match timeout(left, self.pieces.reserve()).await {
                Ok(Ok(room)) => room.send(piece),
                Ok(Err(_)) => return, // nobody takes it any more
                Err(_) => {
                    self.last.send(Err(io::ErrorKind::TimedOut.into()));
                    return;
                }
            }
            left = left_after(left, asked.elapsed(), size);
        }
    }
}
