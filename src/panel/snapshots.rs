//! Snapshots of servers: taking, looking into, restoring, verifying.

use serde::Deserialize;
use utoipa::ToSchema;
use warp::{
    Reply,
    http::{HeaderValue, Method, StatusCode, header},
};

use super::{DONE, Outcome, State, api, servers::made, servers::server};
use crate::{
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, bare, json},
    },
    snapshots::{Check, Folder, Overview, Patch, Restore, RestoredView, Rules, Take, View},
};

/// What every job may meet.
const JOB: &[Code] = &[
    Code::Forbidden,
    Code::NoSuchServer,
    Code::NoSuchSnapshot,
    Code::NoSuchFile,
    Code::BadField,
    Code::Busy,
    Code::NotStopped,
    Code::NotConsistent,
    Code::NothingToUndo,
    Code::SnapshotDamaged,
    Code::SnapshotFailed,
    Code::DiskFull,
];

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::GET,
            api!("servers/{id}/snapshots"),
            "A server's snapshots, which of them stay, and what is being done with them",
            list,
        )
        .answers::<Overview>(StatusCode::OK)
        .faults(&[NoSuchServer]),
        Route::new(
            Method::POST,
            api!("servers/{id}/snapshots"),
            "Takes a snapshot; answers when it is durable",
            take,
        )
        .takes::<Take>()
        .answers::<View>(StatusCode::CREATED)
        .faults(JOB),
        Route::new(
            Method::PUT,
            api!("servers/{id}/snapshots/rules"),
            "Changes how many snapshots stay; those that no longer do go at once",
            keep,
        )
        .takes::<Rules>()
        .answers::<Rules>(StatusCode::OK)
        .faults(JOB),
        Route::new(
            Method::POST,
            api!("servers/{id}/snapshots/verify"),
            "Reads all that is stored, and says what is damaged",
            verify,
        )
        .answers::<Check>(StatusCode::OK)
        .faults(JOB),
        Route::new(
            Method::POST,
            api!("servers/{id}/snapshots/undo"),
            "Undoes the last restore",
            undo,
        )
        .takes::<Undo>()
        .answers::<RestoredView>(StatusCode::OK)
        .faults(JOB),
        Route::new(
            Method::GET,
            api!("servers/{id}/snapshots/{snapshot}"),
            "One snapshot",
            get,
        )
        .answers::<View>(StatusCode::OK)
        .faults(&[NoSuchServer, NoSuchSnapshot]),
        Route::new(
            Method::PATCH,
            api!("servers/{id}/snapshots/{snapshot}"),
            "Changes its label, or whether it stays",
            change,
        )
        .takes::<Patch>()
        .answers::<View>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchServer, NoSuchSnapshot, BadField]),
        Route::new(
            Method::DELETE,
            api!("servers/{id}/snapshots/{snapshot}"),
            "Deletes one, and gives its room back",
            delete,
        )
        .bare(DONE)
        .faults(JOB),
        Route::new(
            Method::POST,
            api!("servers/{id}/snapshots/{snapshot}/restore"),
            "Restores all of a stopped server, or one file or folder; can be undone",
            restore,
        )
        .takes::<Restore>()
        .answers::<RestoredView>(StatusCode::OK)
        .faults(JOB),
        Route::new(
            Method::GET,
            api!("servers/{id}/snapshots/{snapshot}/files"),
            "What a snapshot holds in a folder, a thousand entries at most",
            files,
        )
        .query(
            "path",
            "the folder, below the server's; that itself when absent",
        )
        .query("path_base64", "the same, for names that are no text")
        .query("after", "begin after this name")
        .query("after_base64", "the same, for names that are no text")
        .answers::<Folder>(StatusCode::OK)
        .faults(JOB),
        Route::new(
            Method::GET,
            api!("servers/{id}/snapshots/{snapshot}/file"),
            "The content of one file in a snapshot",
            read,
        )
        .query("path", "the file, below the server's folder")
        .query("path_base64", "the same, for names that are no text")
        .faults(JOB),
    ]
}

/// How to undo.
#[derive(Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
#[schema(as = SnapshotUndo)]
struct Undo {
    /// Stop the server first, and start it again if it ran: needed where all of a running server was restored.
    stop: bool,
}

async fn list(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    json(StatusCode::OK, &doors.snapshots.list(&by, id).await?)
}

async fn take(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let wish = call.json_if_any::<Take>().await?.unwrap_or_default();
    let taken = doors.snapshots.take(&by, id, wish).await?;
    made(
        &taken,
        &format!("/api/v1/servers/{}/snapshots/{}", id.0, taken.id),
    )
}

async fn keep(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let rules: Rules = call.json().await?;
    json(StatusCode::OK, &doors.snapshots.keep(&by, id, rules).await?)
}

async fn verify(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    json(StatusCode::OK, &doors.snapshots.verify(&by, id).await?)
}

async fn undo(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let Undo { stop } = call.json_if_any().await?.unwrap_or_default();
    json(StatusCode::OK, &doors.snapshots.undo(&by, id, stop).await?)
}

async fn get(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, snapshot) = (server(&call)?, call.id("snapshot")?);
    json(
        StatusCode::OK,
        &doors.snapshots.get(&by, id, snapshot).await?,
    )
}

async fn change(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, snapshot) = (server(&call)?, call.id("snapshot")?);
    let patch: Patch = call.json().await?;
    json(
        StatusCode::OK,
        &doors.snapshots.change(&by, id, snapshot, patch).await?,
    )
}

async fn delete(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, snapshot) = (server(&call)?, call.id("snapshot")?);
    doors.snapshots.delete(&by, id, snapshot).await?;
    Ok(bare(DONE))
}

async fn restore(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, snapshot) = (server(&call)?, call.id("snapshot")?);
    let wish = call.json_if_any::<Restore>().await?.unwrap_or_default();
    json(
        StatusCode::OK,
        &doors.snapshots.restore(&by, id, snapshot, wish).await?,
    )
}

async fn files(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, snapshot) = (server(&call)?, call.id("snapshot")?);
    let path = (call.text("path"), call.text("path_base64"));
    let after = (call.text("after"), call.text("after_base64"));
    json(
        StatusCode::OK,
        &doors
            .snapshots
            .files(&by, id, snapshot, path, after)
            .await?,
    )
}

async fn read(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let (id, snapshot) = (server(&call)?, call.id("snapshot")?);
    let path = (call.text("path"), call.text("path_base64"));
    if path == (None, None) {
        return Err(Fault::new(Code::BadQuery, "`path` must say which file"));
    }
    let content = doors.snapshots.read(&by, id, snapshot, path).await?;
    let mut answer = warp::reply::stream(content).into_response();
    let headers = answer.headers_mut();
    // Whatever it is, no browser shall take it for a page of ours.
    headers.insert(
        header::CONTENT_TYPE,
        HeaderValue::from_static("application/octet-stream"),
    );
    headers.insert(
        header::CONTENT_DISPOSITION,
        HeaderValue::from_static("attachment"),
    );
    headers.insert(
        header::X_CONTENT_TYPE_OPTIONS,
        HeaderValue::from_static("nosniff"),
    );
    Ok(answer)
}
