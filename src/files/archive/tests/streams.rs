//! Folders as streams: how long those who send and take them may take.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use tokio::{sync::mpsc, time::Instant};

use super::super::{
    super::Body,
    pace::{PACE, PATIENCE, doled, feed},
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

/// How long somebody is borne who takes a piece of `size` bytes every 10 seconds for an hour, and whether all of it came.
async fn taken(size: usize) -> (Duration, bool) {
    let (pieces, packed) = mpsc::channel(1);
    let (doling, mut taken) = doled();
    let begun = Instant::now();
    let packing = tokio::spawn(async move {
        for _ in 0..360 {
            if pieces.send(Ok(Bytes::from(vec![0; size]))).await.is_err() {
                break;
            }
        }
        begun.elapsed()
    });
    tokio::spawn(doling.run(packed));
    let mut whole = true;
    let mut count = 0;
    while let Some(piece) = taken.recv().await {
        whole &= piece.is_ok();
        count += 1;
        tokio::time::sleep(Duration::from_secs(10)).await;
    }
    assert!(!whole || count == 360);
    (packing.await.unwrap(), whole)
}

#[tokio::test(start_paused = true)]
async fn who_takes_a_folder_slowly_is_borne_and_in_drips_is_not() {
    let (took, whole) = taken(PACE * 10).await;
    assert!(whole && took >= Duration::from_secs(3500), "{took:?}");
    let (took, whole) = taken(1).await;
    // Those that wait already cost nothing of it.
    assert!(
        !whole && took <= PATIENCE + Duration::from_secs(71),
        "{took:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_stops_taking_a_folder_does_not_hold_its_turn_for_ever() {
    let (pieces, packed) = mpsc::channel(1);
    let (doling, mut taken) = doled();
    let begun = Instant::now();
    let packing =
        tokio::spawn(
            async move { while pieces.send(Ok(Bytes::from_static(b"more"))).await.is_ok() {} },
        );
    doling.run(packed).await;
    packing.await.unwrap();
    assert!(begun.elapsed() <= PATIENCE + Duration::from_secs(1));
    // Whoever comes back in the end is told that these were not all.
    let mut last = None;
    while let Some(piece) = taken.recv().await {
        last = Some(piece);
    }
    assert!(last.unwrap().is_err());
}
