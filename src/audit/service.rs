//! The log that everybody holds a handle of.

use std::{
    collections::BTreeSet,
    fmt::Display,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::runtime::Handle;

use super::{
    Actor, AuditError, Line, Verdict,
    chain::{self, Walk},
    noted,
    records::{ENTRIES, HEAD, HEADS},
};
use crate::{
    clock::UnixMillis,
    store::{Store, StoreError},
};

/// Cheap to clone.
#[derive(Clone)]
pub struct Audit {
    store: Store,
    /// The last seq that an earlier run of the box wrote: of its intents, those without an outcome
    /// never got one.
    inherited: u64,
    /// Intents of this run whose outcome could not be written. Locked for one insertion or copy.
    lost: Arc<Mutex<BTreeSet<u64>>>,
}

impl Audit {
    /// Opens the log and finds its head.
    pub fn open(store: Store) -> Result<Self, StoreError> {
        let inherited = match store.get(HEADS, HEAD) {
            Ok(head) => head.unwrap_or_default().seq,
            // Nothing can be recorded, and so nothing changed; but what there is can be looked at.
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::error!(%error, "the audit log cannot be continued: changes are refused");
                u64::MAX
            }
            Err(error) => return Err(error),
        };
        Ok(Self {
            store,
            inherited,
            lost: Arc::default(),
        })
    }

    /// Records the intent durably, runs `work`, and records how it ended. `action` is like
    /// `server.start`, `subject` like `server 3`; `detail` holds no secrets.
    ///
    /// When the intent cannot be written, `work` is never polled. When this future is dropped
    /// before `work` ends, so is `work`, and the outcome is `cancelled`. When only the outcome
    /// cannot be written, what `work` returned still stands and [`verify`](Self::verify) lists the
    /// intent.
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub async fn run<T, E>(
        &self,
        by: &Actor,
        action: &'static str,
        subject: String,
        detail: serde_json::Value,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E>
    where
        E: From<AuditError> + Display,
    {
        let intent = Intent {
            audit: self.clone(),
            runtime: Handle::current(),
            line: Some(chain::tame(Line {
                seq: 0,
                at: UnixMillis::default(),
                actor: by.clone(),
                action: action.into(),
                subject,
                detail,
                of: None,
                outcome: None,
                hash: String::new(),
            })),
        };
        // A task of its own: were we dropped while it writes, the intent would still get its outcome.
        let written = tokio::spawn(intent.write()).await;
        let intent = match written {
            Ok(intent) => intent.map_err(AuditError)?,
            Err(_) => return Err(AuditError(StoreError::Closed).into()),
        };
        noted::note(intent.seq());
        let result = work.await;
        let outcome = match &result {
            Ok(_) => "ok".to_owned(),
            Err(error) => error.to_string(),
        };
        intent.end(outcome).await;
        result
    }

    /// Records from `since` on, oldest first, at most `count`. Those that do not decode are left
    /// out; [`verify`](Self::verify) names them.
    pub fn list(&self, since: u64, count: usize) -> Result<Vec<Line>, StoreError> {
        let head = self.store.get(HEADS, HEAD)?.unwrap_or_default();
        let mut lines = Vec::new();
        for seq in since.max(1)..=head.seq {
            if lines.len() >= count {
                break;
            }
            match self.store.get(ENTRIES, seq.to_be_bytes()) {
                Ok(entry) => lines.extend(entry.as_ref().and_then(chain::read)),
                Err(StoreError::Corrupt { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(lines)
    }

    /// The newest `count` records, oldest first.
    pub fn newest(&self, count: usize) -> Result<Vec<Line>, StoreError> {
        let head = self.store.get(HEADS, HEAD)?.unwrap_or_default();
        self.list((head.seq + 1).saturating_sub(count as u64), count)
    }

    /// Walks the whole chain. Reads every record: not for a thread that serves others.
    pub fn verify(&self) -> Result<Verdict, StoreError> {
        let mut walk = Walk::default();
        for item in self.store.scan(ENTRIES, &[]) {
            match item {
                Ok((key, entry)) => walk.step(&key, &entry),
                Err(error @ StoreError::Corrupt { .. }) => walk.broken(error.to_string()),
                Err(error) => return Err(error),
            }
        }
        // Read after the scan: the head may be ahead of it by what was appended meanwhile.
        let head = match self.store.get(HEADS, HEAD) {
            Ok(head) => head,
            Err(error @ StoreError::Corrupt { .. }) => {
                walk.broken(error.to_string());
                None
            }
            Err(error) => return Err(error),
        };
        for seq in walk.reached() + 1..=head.map_or(0, |head| head.seq) {
            if walk.failed() {
                break;
            }
            match self.store.get(ENTRIES, seq.to_be_bytes())? {
                Some(entry) => walk.step(&seq.to_be_bytes(), &entry),
                None => break,
            }
        }
        let (records, fault, open) = walk.end(head);
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let interrupted = |seq: &u64| *seq <= self.inherited || lost.contains(seq);
        Ok(Verdict {
            records,
            fault,
            interrupted: open.into_iter().filter(interrupted).collect(),
        })
    }

    /// Writes `line` as the next record and returns its seq once it is durable.
    async fn append(&self, line: &Line) -> Result<u64, StoreError> {
        self.store
            .write(|tx| {
                let head = tx.get(HEADS, HEAD)?.unwrap_or_default();
                let now = Line {
                    at: UnixMillis::now(),
                    ..line.clone()
                };
                let (head, entry) = chain::follow(head, &now);
                tx.put(ENTRIES, head.seq.to_be_bytes(), &entry)?;
                tx.put(HEADS, HEAD, &head)?;
                Ok::<_, StoreError>(head.seq)
            })
            .await
    }
}

/// An intent on its way to an outcome, which it gets even when it is dropped.
struct Intent {
    audit: Audit,
    runtime: Handle,
    /// What was written, until it has an outcome.
    line: Option<Line>,
}

impl Intent {
    async fn write(mut self) -> Result<Self, StoreError> {
        // Out of `self` while its fate is open: what was not written needs no outcome.
        let mut line = self.line.take().expect("set by run");
        line.seq = self.audit.append(&line).await?;
        self.line = Some(line);
        Ok(self)
    }

    /// Its number, until it has an outcome.
    fn seq(&self) -> u64 {
        self.line.as_ref().map_or(0, |line| line.seq)
    }

    async fn end(mut self, outcome: String) {
        if let Some(task) = self.close(outcome) {
            task.await.ok(); // the runtime is going down: the next start lists it
        }
    }

    /// Writes the outcome in a task of its own, which no caller can cancel.
    fn close(&mut self, outcome: String) -> Option<tokio::task::JoinHandle<()>> {
        let line = self.line.take()?;
        let audit = self.audit.clone();
        let intent = line.seq;
        let line = chain::tame(Line {
            of: Some(intent),
            outcome: Some(outcome),
            detail: serde_json::Value::Null,
            ..line
        });
        Some(self.runtime.spawn(async move {
            if let Err(error) = audit.append(&line).await {
                tracing::error!(intent, outcome = ?line.outcome, %error, "an action's outcome could not be recorded");
                let mut lost = audit.lost.lock().unwrap_or_else(PoisonError::into_inner);
                lost.insert(intent);
            }
        }))
    }
}

impl Drop for Intent {
    fn drop(&mut self) {
        self.close("cancelled".into());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use tokio::sync::oneshot;

    use super::*;
    use crate::{
        audit::{Door, records::Entry},
        store::{Record, Table},
    };

    type Failure = Box<dyn std::error::Error + Send + Sync>;

    fn ada() -> Actor {
        Actor {
            account: Some(1),
            name: "ada".into(),
            from: None,
            door: Door::Web,
        }
    }

    fn log() -> (tempfile::TempDir, Store, Audit) {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        (state, store, audit)
    }

    async fn act(audit: &Audit, result: Result<u8, Failure>) -> Result<u8, Failure> {
        let work = async { result };
        audit
            .run(
                &ada(),
                "server.start",
                "server 3".into(),
                json!({"n": 1}),
                work,
            )
            .await
    }

    /// A record of the same table that is no `Entry`.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct Junk(bool);
    impl Record for Junk {
        const TABLE: &'static str = Entry::TABLE;
        const FORMAT: u8 = 1;
    }
    /// The same for the head.
    #[derive(serde::Serialize, serde::Deserialize)]
    struct JunkHead(bool);
    impl Record for JunkHead {
        const TABLE: &'static str = "audit_head";
        const FORMAT: u8 = 1;
    }

    async fn put<R: Record + Sync>(store: &Store, key: &[u8], record: R) {
        store
            .write(|tx| tx.put(Table::new(), key, &record))
            .await
            .unwrap();
    }

    #[tokio::test]
    async fn an_action_leaves_its_intent_and_its_outcome() {
        let (_state, store, audit) = log();
        let during = audit.clone();
        let work = async {
            let lines = during.list(0, 9).unwrap();
            assert_eq!((lines.len(), &lines[0].detail), (1, &json!({"n": 1})));
            assert_eq!(during.verify().unwrap().interrupted, [0; 0]);
            Ok::<_, AuditError>(5)
        };
        let done = audit
            .run(
                &ada(),
                "server.start",
                "server 3".into(),
                json!({"n": 1}),
                work,
            )
            .await;
        assert_eq!(done.unwrap(), 5);
        act(&audit, Err("no such\nthing".into())).await.unwrap_err();
        let lines = audit.list(0, 9).unwrap();
        let told: Vec<_> = lines
            .iter()
            .map(|l| (l.seq, l.of, l.outcome.as_deref()))
            .collect();
        let failed = Some(r"no such\u{a}thing");
        assert_eq!(
            told,
            [
                (1, None, None),
                (2, Some(1), Some("ok")),
                (3, None, None),
                (4, Some(3), failed)
            ]
        );
        assert_eq!(
            (lines[1].actor.name.as_str(), &lines[1].detail),
            ("ada", &Value::Null)
        );
        let rest: Vec<_> = audit
            .list(2, 2)
            .unwrap()
            .iter()
            .map(|line| line.seq)
            .collect();
        assert_eq!(rest, [2, 3]);
        let again = Audit::open(store).unwrap().verify().unwrap();
        assert_eq!(
            (again.records, again.fault, again.interrupted),
            (4, None, vec![])
        );
    }

    #[tokio::test]
    async fn what_cannot_be_recorded_is_not_done() {
        let (_state, store, _) = log();
        put(&store, HEAD, JunkHead(true)).await;
        let audit = Audit::open(store).unwrap();
        let work = async { panic!("must not run") };
        let refused: Result<(), AuditError> = audit
            .run(&ada(), "server.start", "server 3".into(), Value::Null, work)
            .await;
        assert!(
            refused
                .unwrap_err()
                .to_string()
                .contains("nothing was done")
        );
        assert!(
            audit
                .verify()
                .unwrap()
                .fault
                .unwrap()
                .contains("audit_head")
        );
    }

    #[tokio::test]
    async fn a_cancelled_action_says_so_and_an_unfinished_one_is_interrupted() {
        let (_state, store, audit) = log();
        let (started, begun) = oneshot::channel();
        let run = audit.clone();
        let task = tokio::spawn(async move {
            let work = async {
                started.send(()).unwrap();
                std::future::pending::<Result<(), AuditError>>().await
            };
            run.run(&ada(), "server.stop", "server 3".into(), Value::Null, work)
                .await
        });
        begun.await.unwrap();
        // As if the box died here: whoever opens the log now finds an intent without an outcome.
        let died = Audit::open(store.clone()).unwrap();
        assert_eq!(died.verify().unwrap().interrupted, [1]);
        task.abort();
        task.await.unwrap_err();
        let cancelled = loop {
            let lines = audit.list(2, 1).unwrap();
            match lines.into_iter().next() {
                Some(line) => break line,
                None => tokio::task::yield_now().await,
            }
        };
        assert_eq!(cancelled.of, Some(1));
        assert_eq!(cancelled.outcome.as_deref(), Some("cancelled"));
        assert_eq!(died.verify().unwrap().interrupted, [0; 0]);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn many_at_once_make_one_chain() {
        let (_state, _store, audit) = log();
        let tasks: Vec<_> = (0..40)
            .map(|_| {
                let audit = audit.clone();
                tokio::spawn(async move { act(&audit, Ok(1)).await.unwrap() })
            })
            .collect();
        for task in tasks {
            task.await.unwrap();
            assert_eq!(audit.verify().unwrap().fault, None);
        }
        assert_eq!(audit.verify().unwrap().records, 80);
        assert_eq!(audit.list(1, 100).unwrap().len(), 80);
        let seqs = |lines: Vec<Line>| lines.iter().map(|line| line.seq).collect::<Vec<_>>();
        assert_eq!(seqs(audit.newest(3).unwrap()), [78, 79, 80]);
        assert_eq!(audit.newest(100).unwrap().len(), 80);
    }

    #[tokio::test]
    async fn a_record_that_does_not_decode_is_named_and_the_rest_is_read() {
        let (_state, store, audit) = log();
        for _ in 0..3 {
            act(&audit, Ok(1)).await.unwrap();
        }
        put(&store, &3u64.to_be_bytes(), Junk(true)).await;
        let verdict = audit.verify().unwrap();
        assert_eq!(verdict.records, 6);
        assert!(verdict.fault.unwrap().contains("audit"));
        assert_eq!(audit.list(0, 9).unwrap().len(), 5);
        act(&audit, Ok(1)).await.unwrap();
    }

    #[tokio::test]
    async fn a_removed_tail_shows_although_the_log_goes_on() {
        let (_state, store, audit) = log();
        for _ in 0..2 {
            act(&audit, Ok(1)).await.unwrap();
        }
        let cut = |tx: &mut crate::store::Tx<'_>| tx.delete(ENTRIES, 4u64.to_be_bytes());
        store.write(cut).await.unwrap();
        assert_eq!(
            audit.verify().unwrap().fault.unwrap(),
            "records 4 to 4 were removed"
        );
        act(&audit, Ok(1)).await.unwrap();
        assert_eq!(
            audit.verify().unwrap().fault.unwrap(),
            "record 4 was removed"
        );
    }
}
