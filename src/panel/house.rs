//! The box itself: status, audit, backup, check, doctor, and the API's own document.

use std::{
    collections::BTreeMap,
    io::{self, Write},
};

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::mpsc;
use utoipa::ToSchema;
use warp::{
    Reply,
    http::{HeaderValue, Method, StatusCode, header},
};

use super::{Finding, Outcome, State, api, blocking};
use crate::{
    accounts::Verb,
    audit::{AuditError, Line, Verdict},
    clock::UnixMillis,
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, json},
    },
    store::BackupError,
    telemetry::state_word as word,
};

/// Audit records in one answer, at most, and as many as nobody asked for.
const MOST: u64 = 10_000;
const USUAL: u64 = 1_000;

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(Method::GET, api!("status"), "How the box is", status)
            .answers::<Status>(StatusCode::OK),
        Route::new(
            Method::GET,
            api!("audit"),
            "Who did what, oldest first",
            audit,
        )
        .query(
            "since",
            "the first record wanted; the newest ones when absent",
        )
        .query("count", "how many at most: 1 to 10000, else 1000")
        .lists::<Line>()
        .faults(&[Forbidden, CorruptRecord]),
        Route::new(
            Method::GET,
            api!("audit/verify"),
            "Whether a record was removed or altered",
            verify,
        )
        .answers::<Verdict>(StatusCode::OK)
        .faults(&[Forbidden, CorruptRecord]),
        Route::new(
            Method::GET,
            api!("backup"),
            "The whole store as of now, zstd over JSON lines",
            backup,
        )
        .faults(&[Forbidden, DiskFull]),
        Route::new(
            Method::GET,
            api!("check"),
            "Every fault of definitions and store",
            check,
        )
        .answers::<Checked>(StatusCode::OK)
        .faults(&[Forbidden]),
        Route::new(
            Method::GET,
            api!("doctor"),
            "What this box can do to keep games apart",
            doctor,
        )
        .answers::<Isolation>(StatusCode::OK)
        .faults(&[Forbidden]),
        Route::new(Method::GET, api!("openapi.json"), "This document", document).open(),
    ]
}

/// How the box is.
#[derive(Serialize, ToSchema)]
struct Status {
    version: &'static str,
    uptime_s: u64,
    /// Where it listens, by configuration key.
    endpoints: BTreeMap<String, String>,
    /// Servers that one may see, by what they do.
    servers: BTreeMap<&'static str, u64>,
    /// What the box cannot do, and what to do about it.
    notices: Vec<String>,
}

/// Every fault at once, as sentences.
#[derive(Serialize, ToSchema)]
struct Checked {
    faults: Vec<String>,
}

/// What this box can do to keep games apart.
#[derive(Serialize, ToSchema)]
struct Isolation {
    isolation: Vec<Finding>,
}

async fn status(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let mut servers = BTreeMap::new();
    for server in doors.hosting.list(&by).await? {
        *servers.entry(word(server.state)).or_default() += 1;
    }
    let doctor = doors.doctor.clone();
    let findings = blocking(move || doctor()).await;
    let missing = findings.into_iter().filter(|finding| !finding.ok);
    let status = Status {
        version: env!("CARGO_PKG_VERSION"),
        uptime_s: doors.started.elapsed().as_secs(),
        endpoints: doors.endpoints.clone(),
        servers,
        notices: missing
            .map(|finding| format!("{}: {}", finding.name, finding.why))
            .collect(),
    };
    json(StatusCode::OK, &status)
}

async fn audit(doors: State, call: Call) -> Outcome {
    doors.by_with(&call, Verb::AuditRead).await?;
    let since = call.number("since", 0..=u64::MAX)?;
    let count = call.number("count", 1..=MOST)?.unwrap_or(USUAL);
    let audit = doors.audit.clone();
    let lines = blocking(move || match since {
        Some(since) => audit.list(since, count as usize),
        None => audit.newest(count as usize),
    });
    let lines = lines.await?;
    json(StatusCode::OK, &lines)
}

async fn verify(doors: State, call: Call) -> Outcome {
    doors.by_with(&call, Verb::AuditRead).await?;
    let audit = doors.audit.clone();
    json(StatusCode::OK, &blocking(move || audit.verify()).await?)
}

async fn check(doors: State, call: Call) -> Outcome {
    doors.by_with(&call, Verb::BoxManage).await?;
    let check = doors.check.clone();
    let faults = blocking(move || check()).await;
    json(StatusCode::OK, &Checked { faults })
}

async fn doctor(doors: State, call: Call) -> Outcome {
    doors.by_with(&call, Verb::BoxManage).await?;
    let doctor = doors.doctor.clone();
    let isolation = blocking(move || doctor()).await;
    json(StatusCode::OK, &Isolation { isolation })
}

async fn document(_: State, _: Call) -> Outcome {
    json(StatusCode::OK, &super::table().document())
}

/// Why a backup broke off.
#[derive(Debug, thiserror::Error)]
enum BrokenOff {
    #[error(transparent)]
    Audit(#[from] AuditError),
    #[error(transparent)]
    Backup(#[from] BackupError),
}

/// Streams: a box whose disk is full can still be saved. What fails before the first byte is a proper fault; what
/// fails later ends the connection without the end of the body, which every client notices.
async fn backup(doors: State, call: Call) -> Outcome {
    let by = doors.by_with(&call, Verb::BoxManage).await?;
    let (sender, mut pieces) = mpsc::channel(4);
    let pipe = Pipe(sender.clone());
    tokio::spawn(async move {
        let (store, catalog) = (doors.store.clone(), doors.catalog.clone());
        let work = async {
            let save = move || store.backup(&catalog, UnixMillis::now(), pipe);
            Ok::<_, BrokenOff>(blocking(save).await?)
        };
        let detail = serde_json::Value::Null;
        let run = doors
            .audit
            .run(&by.actor, "box.backup", "box".into(), detail, work);
        if let Err(error) = run.await {
            tracing::warn!(%error, "a backup broke off");
            sender.send(Err(io::Error::other(error))).await.ok(); // nobody waits for it any more
        }
    });
    let first = match pieces.recv().await {
        Some(Ok(first)) => first,
        Some(Err(_)) | None => {
            let detail = "the backup could not be made; the box's log says why";
            return Err(Fault::new(Code::Internal, detail));
        }
    };
    let rest = futures_util::stream::unfold(pieces, |mut pieces| async move {
        let piece = pieces.recv().await?;
        Some((piece, pieces))
    });
    let first = futures_util::stream::iter([Ok(first)]);
    let body = futures_util::StreamExt::chain(first, rest);
    let mut answer = warp::reply::stream(body).into_response();
    let kind = HeaderValue::from_static("application/zstd");
    answer.headers_mut().insert(header::CONTENT_TYPE, kind);
    Ok(answer)
}

/// A blocking writer whose other end is a stream.
struct Pipe(mpsc::Sender<io::Result<Bytes>>);

impl Write for Pipe {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        let sent = self.0.blocking_send(Ok(piece));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
