//! Which record a piece of work left, for doors that tell its number together with a fault.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

tokio::task_local! {
    /// The seq of the last intent; 0 before the first, since records count from 1.
    static LAST: Arc<AtomicU64>;
}

/// Runs `work`. Beside what it returns: the seq of the last intent that it recorded.
pub(crate) async fn noting<T>(work: impl Future<Output = T>) -> (T, Option<u64>) {
    let last = Arc::new(AtomicU64::new(0));
    let done = LAST.scope(last.clone(), work).await;
    let seq = last.load(Ordering::Relaxed);
    (done, (seq > 0).then_some(seq))
}

/// `work` for a task of its own, whose records are noted where this was called.
pub(crate) fn carried<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let last = LAST.try_with(Arc::clone).ok();
    async move {
        match last {
            Some(last) => LAST.scope(last, work).await,
            None => work.await,
        }
    }
}

/// An intent is durable.
pub(super) fn note(seq: u64) {
    // Mostly nobody wants to know.
    LAST.try_with(|last| last.store(seq, Ordering::Relaxed))
        .ok();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_last_record_is_noted_also_from_a_task_of_its_own() {
        assert_eq!(noting(async { 7 }).await, (7, None));
        let work = async {
            note(3);
            tokio::spawn(carried(async { note(4) })).await.unwrap();
            tokio::spawn(async { note(5) }).await.unwrap(); // somebody else's
        };
        assert_eq!(noting(work).await.1, Some(4));
        note(6);
        carried(async {}).await;
    }
}
