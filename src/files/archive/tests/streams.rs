//! Folders as streams: how long those who send them may take.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::{sync::mpsc, time::Instant};

use super::super::{
    super::Body,
    handle::{PACE, PATIENCE, feed},
};

#[tokio::test(start_paused = true)]
async fn who_stops_sending_is_not_waited_for_for_ever() {
    let once = stream::iter([Ok(Bytes::from_static(b"first"))]);
    let mut body: Body = Box::pin(once.chain(stream::pending()));
    let (pieces, mut taken) = mpsc::channel(4);
    let begun = Instant::now();
    feed(&mut body, pieces).await;
    assert!(begun.elapsed() <= PATIENCE + Duration::from_secs(1));
    assert_eq!(taken.recv().await.unwrap().unwrap(), "first");
    // Who takes the bytes is told that these were not all.
    assert!(taken.recv().await.unwrap().is_err());
    assert!(taken.recv().await.is_none());
}

/// How long somebody lasts who sends `size` bytes every 10 seconds for an hour.
async fn lasted(size: usize) -> (Duration, bool) {
    let pieces = stream::iter(0..360).then(move |_| async move {
        tokio::time::sleep(Duration::from_secs(10)).await;
        Ok(Bytes::from(vec![0; size]))
    });
    let mut body: Body = Box::pin(pieces);
    let (pieces, mut taken) = mpsc::channel(1000);
    let begun = Instant::now();
    feed(&mut body, pieces).await;
    let mut whole = true;
    while let Some(piece) = taken.recv().await {
        whole &= piece.is_ok();
    }
    (begun.elapsed(), whole)
}

#[tokio::test(start_paused = true)]
async fn a_slow_line_is_borne_and_a_drip_is_not() {
    let (took, whole) = lasted(PACE * 10).await;
    assert!(whole && took >= Duration::from_secs(3600), "{took:?}");
    let (took, whole) = lasted(1).await;
    assert!(
        !whole && took <= PATIENCE + Duration::from_secs(11),
        "{took:?}"
    );
}
