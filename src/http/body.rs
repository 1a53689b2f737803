//! Bodies, bounded in bytes and in time before anything is made of them.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use futures_util::{Stream, StreamExt};
use serde::de::DeserializeOwned;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::problem::{Code, Fault};

/// The bytes of a request as they arrive.
pub(super) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, warp::Error>> + Send + Sync>>;

/// How many times the limit is read and thrown away, so that who sends too much is told so rather than cut off.
const COURTESY: usize = 16;

pub(super) fn chunks<B: Buf>(
    stream: impl Stream<Item = Result<B, warp::Error>> + Send + Sync + 'static,
) -> Chunks {
    Box::pin(stream.map(|chunk| chunk.map(|mut bytes| bytes.copy_to_bytes(bytes.remaining()))))
}

/// The whole body, at most `limit` bytes within `patience`. `announced` is the content-length, if one was sent.
pub(super) async fn read(
    chunks: Chunks,
    announced: Option<u64>,
    limit: usize,
    patience: Duration,
) -> Result<Vec<u8>, Fault> {
    let too_large = || {
        let detail = format!("the body has more than {limit} bytes");
        Fault::new(Code::BodyTooLarge, detail).member("limit", limit)
    };
    if announced.is_some_and(|length| length > (limit * COURTESY) as u64) {
        return Err(too_large());
    }
    match timeout(patience, collect(chunks, limit)).await {
        Ok(Ok(Some(body))) => Ok(body),
        Ok(Ok(None)) => Err(too_large()),
        Ok(Err(_)) => Err(Fault::new(Code::BadJson, "the body broke off")),
        Err(_) => Err(Fault::new(
            Code::BodyTooSlow,
            format!("the body was not complete within {patience:?}"),
        )),
    }
}

/// `None` when there is more than `limit`.
async fn collect(mut chunks: Chunks, limit: usize) -> Result<Option<Vec<u8>>, warp::Error> {
    let mut body = Vec::new();
    let mut seen = 0;
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk?;
        seen += chunk.len();
        if seen <= limit {
            body.extend_from_slice(&chunk);
        } else if seen > limit * COURTESY {
            break;
        }
    }
    Ok((seen <= limit).then_some(body))
}

/// How large some route's bodies may be, each and all that are held at once.
#[derive(Clone)]
pub(crate) struct Bulk {
    limit: usize,
    patience: Duration,
    room: Arc<Semaphore>,
}

/// Bytes of a body that need no room of their own: small requests pass, whoever fills the room with large ones.
const SMALL: usize = 64 << 10;

/// A body, and its share of the room for as long as that is held.
pub(crate) type Held = (Vec<u8>, Option<OwnedSemaphorePermit>);

impl Bulk {
    /// At most `limit` bytes each within `patience`, and `room` for all.
    pub(crate) fn new(limit: usize, room: usize, patience: Duration) -> Self {
        let room = Arc::new(Semaphore::new(room));
        Self {
            limit,
            patience,
            room,
        }
    }

    pub(super) async fn read(&self, chunks: Chunks, announced: Option<u64>) -> Result<Held, Fault> {
        let Self {
            limit, patience, ..
        } = self;
        let too_large = || {
            let detail = format!("the body has more than {limit} bytes");
            Fault::new(Code::BodyTooLarge, detail).member("limit", *limit)
        };
        if announced.is_some_and(|length| length > (limit * COURTESY) as u64) {
            return Err(too_large());
        }
        match timeout(*patience, self.collect(chunks)).await {
            Ok(Ok(Taken::Whole(held))) => Ok(held),
            Ok(Ok(Taken::TooLarge)) => Err(too_large()),
            Ok(Ok(Taken::NoRoom)) => Err(Fault::new(
                Code::TooBusy,
                "too many large bodies at once: try again in a moment",
            )),
            Ok(Err(_)) => Err(Fault::new(Code::BadJson, "the body broke off")),
            Err(_) => Err(Fault::new(
                Code::BodyTooSlow,
                format!("the body was not complete within {patience:?}"),
            )),
        }
    }

    /// Reads on after it is clear that nothing comes of it, without keeping anything, for the same courtesy.
    async fn collect(&self, mut chunks: Chunks) -> Result<Taken, warp::Error> {
        let (mut body, mut share, mut seen) = (Vec::new(), None::<OwnedSemaphorePermit>, 0);
        let mut lost = None;
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk?;
            seen += chunk.len();
            if seen > self.limit * COURTESY {
                return Ok(Taken::TooLarge);
            }
            if seen > self.limit {
                lost = Some(Taken::TooLarge);
            } else if seen > SMALL && lost.is_none() {
                let length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
                match self.room.clone().try_acquire_many_owned(length) {
                    Ok(more) => match &mut share {
                        Some(share) => share.merge(more),
                        None => share = Some(more),
                    },
                    Err(_) => lost = Some(Taken::NoRoom),
                }
            }
            match lost {
                None => body.extend_from_slice(&chunk),
                Some(_) => (body, share) = (Vec::new(), None),
            }
        }
        Ok(lost.unwrap_or(Taken::Whole((body, share))))
    }
}

/// What came of reading a body.
enum Taken {
    Whole(Held),
    TooLarge,
    NoRoom,
}

/// What the JSON in `body` says; a fault names line, column and what is wrong there.
pub(super) fn json<T: DeserializeOwned>(body: &[u8]) -> Result<T, Fault> {
    serde_json::from_slice(body).map_err(|error| {
        let detail = match body.is_empty() {
            true => "the body is empty: JSON is needed".into(),
            false => error.to_string(),
        };
        Fault::new(Code::BadJson, detail)
            .member("line", error.line())
            .member("column", error.column())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::stream;
    use proptest::prelude::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its parsing matters")]
    struct Wish {
        name: String,
    }

    fn sent(pieces: Vec<Vec<u8>>) -> Chunks {
        chunks(stream::iter(
            pieces.into_iter().map(|piece| Ok(Bytes::from(piece))),
        ))
    }

    #[test]
    fn a_fault_names_the_place_and_the_field() {
        let fault = json::<Wish>(b"{\n \"nome\": 1}").unwrap_err();
        assert_eq!(fault.code, Code::BadJson);
        assert_eq!(fault.json()["line"], 2);
        assert!(
            fault.detail.contains("unknown field `nome`"),
            "{}",
            fault.detail
        );
        assert!(json::<Wish>(b"").unwrap_err().detail.contains("empty"));
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_never_ends_is_given_up() {
        let never: Chunks = Box::pin(stream::pending());
        let fault = read(never, None, 10, Duration::from_secs(20)).await;
        assert_eq!(fault.unwrap_err().code, Code::BodyTooSlow);
    }

    #[tokio::test]
    async fn large_bodies_share_one_room_and_small_ones_need_none() {
        const LARGE: usize = SMALL + 4000;
        let bulk = Bulk::new(LARGE, 5000, Duration::from_secs(20));
        let pieces = |length: usize| sent(vec![vec![7; 1000]; length / 1000]);
        let read = async |length: usize| bulk.read(pieces(length), None).await;
        let code = |read: Result<Held, Fault>| read.map(|_| ()).unwrap_err().code;
        let (body, share) = read(LARGE).await.unwrap();
        assert_eq!(body.len() / 1000, LARGE / 1000);
        assert_eq!(code(read(LARGE).await), Code::TooBusy);
        assert!(
            read(SMALL)
                .await
                .is_ok_and(|(body, share)| !body.is_empty() && share.is_none())
        );
        drop(share);
        drop(read(LARGE).await.unwrap());
        assert_eq!(code(read(LARGE + 2000).await), Code::BodyTooLarge);
        assert_eq!(
            code(bulk.read(pieces(0), Some(1 << 40)).await),
            Code::BodyTooLarge
        );
        assert_eq!(bulk.room.available_permits(), 5000);
    }

    proptest! {
        #[test]
        fn the_limit_holds_however_a_body_is_cut(pieces in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..30), 0..8), limit in 1usize..100) {
            let whole = pieces.concat();
            let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
            match runtime.block_on(read(sent(pieces), None, limit, Duration::from_secs(9))) {
                Ok(body) => { prop_assert!(whole.len() <= limit); prop_assert_eq!(body, whole); }
                Err(fault) => { prop_assert!(whole.len() > limit); prop_assert_eq!(fault.code, Code::BodyTooLarge); }
            }
        }
    }
}
