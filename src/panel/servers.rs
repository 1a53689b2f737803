//! Games, servers, their power and their consoles.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::{HeaderValue, Method, StatusCode, header};

use super::{DONE, Outcome, State, api, blocking};
use crate::{
    accounts::{Principal, ServerId},
    console::{Batch, Line},
    hosting::{Create, Game, HostingError, Patch, View},
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, bare, json},
    },
};

/// Console entries in one answer, at most, and as many as nobody asked for.
pub(super) const MOST: u64 = 10_000;
const USUAL: u64 = 200;
/// About so many bytes of them.
const BYTES: usize = 4 << 20;

/// What any wish about a server's process may meet.
const POWER: &[Code] = &[
    Code::Forbidden,
    Code::NoSuchServer,
    Code::Busy,
    Code::PortTaken,
    Code::GameUnavailable,
    Code::KeeperFailed,
    Code::OverBudget,
];

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(Method::GET, api!("games"), "What can be hosted", games).lists::<Game>(),
        Route::new(
            Method::GET,
            api!("servers"),
            "The servers that one may see",
            list,
        )
        .lists::<View>(),
        Route::new(
            Method::POST,
            api!("servers"),
            "Creates a server, stopped",
            create,
        )
        .takes::<Create>()
        .answers::<View>(StatusCode::CREATED)
        .faults(&[
            Forbidden,
            NoSuchGame,
            NoSuchVersion,
            BadField,
            GameUnavailable,
            NoFreePort,
            CreationFailed,
        ]),
        Route::new(Method::GET, api!("servers/{id}"), "One server", get)
            .answers::<View>(StatusCode::OK)
            .faults(&[NoSuchServer]),
        Route::new(
            Method::PATCH,
            api!("servers/{id}"),
            "Changes a server; settings take effect at its next start",
            update,
        )
        .takes::<Patch>()
        .answers::<View>(StatusCode::OK)
        .faults(&[
            Forbidden,
            NoSuchServer,
            NoSuchVersion,
            BadField,
            GameUnavailable,
        ]),
        Route::new(
            Method::DELETE,
            api!("servers/{id}"),
            "Stops a server and moves it to the recycle bin",
            delete,
        )
        .query("confirm", "its name; may be in the body instead")
        .takes::<Confirm>()
        .bare(DONE)
        .faults(&[Forbidden, NoSuchServer, Unconfirmed, Busy]),
        power(
            api!("servers/{id}/start"),
            "Wants it up",
            |doors, by, id| Box::pin(async move { doors.hosting.start(&by, id).await }),
        ),
        power(
            api!("servers/{id}/stop"),
            "Wants it down, in the game's own way first",
            |doors, by, id| Box::pin(async move { doors.hosting.stop(&by, id).await }),
        ),
        power(
            api!("servers/{id}/restart"),
            "Stops it, then starts it",
            |doors, by, id| Box::pin(async move { doors.hosting.restart(&by, id).await }),
        ),
        power(
            api!("servers/{id}/kill"),
            "Wants it down at once",
            |doors, by, id| Box::pin(async move { doors.hosting.kill(&by, id).await }),
        ),
        Route::new(
            Method::GET,
            api!("servers/{id}/console"),
            "Console entries: the newest, or those from a sequence number on",
            console,
        )
        .query("count", "how many at most: 1 to 10000, else 200")
        .query("since", "the first sequence number wanted")
        .answers::<Page>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchServer]),
        Route::new(
            Method::POST,
            api!("servers/{id}/console"),
            "Types a line",
            command,
        )
        .takes::<Typed>()
        .bare(StatusCode::ACCEPTED)
        .faults(&[Forbidden, NoSuchServer, NotRunning, BadField, KeeperFailed]),
    ]
}

/// A deletion asks for the server's name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Confirm {
    confirm: String,
}

/// A line for a console.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Typed {
    pub(super) line: String,
}

/// Console entries.
#[derive(Serialize, ToSchema)]
pub(super) struct Page {
    /// In order, without a gap between them.
    pub(super) entries: Vec<Line>,
    /// How many before the first were wanted but are no longer kept.
    pub(super) dropped: u64,
    /// The sequence number to ask for next.
    pub(super) next: u64,
}

impl From<Batch> for Page {
    fn from(batch: Batch) -> Self {
        Self {
            entries: batch.entries.iter().map(Line::from).collect(),
            dropped: batch.dropped,
            next: batch.next,
        }
    }
}

/// What was created, and where it is now.
pub(super) fn made<T: Serialize>(thing: &T, place: &str) -> Outcome {
    let mut answer = json(StatusCode::CREATED, thing)?;
    let place = HeaderValue::try_from(place).expect("paths of ours are header text");
    answer.headers_mut().insert(header::LOCATION, place);
    Ok(answer)
}

async fn games(doors: State, call: Call) -> Outcome {
    doors.by(&call).await?;
    json(StatusCode::OK, &doors.hosting.games())
}

async fn list(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.hosting.list(&by).await?)
}

async fn create(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let wish: Create = call.json().await?;
    let server = doors.hosting.create(&by, wish).await?;
    made(&server, &format!("/api/v1/servers/{}", server.id.0))
}

async fn get(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    json(StatusCode::OK, &doors.hosting.get(&by, id).await?)
}

async fn update(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let patch: Patch = call.json().await?;
    json(StatusCode::OK, &doors.hosting.update(&by, id, patch).await?)
}

pub(super) async fn delete(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let asked = call.json_if_any::<Confirm>().await?;
    let confirm = asked.map(|asked| asked.confirm);
    let confirm = confirm.or_else(|| call.text("confirm").map(Into::into));
    let confirm = confirm.unwrap_or_default();
    doors.hosting.delete(&by, id, &confirm).await?;
    Ok(bare(DONE))
}

type Wish = fn(
    State,
    Principal,
    ServerId,
) -> futures_util::future::BoxFuture<'static, Result<View, HostingError>>;

/// A wish about a server's process: accepted, and on its way.
fn power(path: &'static str, about: &'static str, wish: Wish) -> Route<State> {
    let handler = move |doors: State, call: Call| async move {
        let by = doors.by(&call).await?;
        let id = server(&call)?;
        json(StatusCode::ACCEPTED, &wish(doors, by, id).await?)
    };
    Route::new(Method::POST, path, about, handler)
        .answers::<View>(StatusCode::ACCEPTED)
        .faults(POWER)
}

async fn console(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let count = call.number("count", 1..=MOST)?.unwrap_or(USUAL) as usize;
    let since = call.number("since", 0..=u64::MAX)?;
    let (mut reader, _) = doors.hosting.console(&by, id).await?;
    let read = blocking(move || match since {
        Some(since) => reader.read(since, count, BYTES),
        None => reader.last(count),
    });
    let batch = read.await.map_err(|error| {
        tracing::warn!(%error, server = id.0, "a console cannot be read");
        Fault::new(
            Code::Internal,
            "the console cannot be read; the box's log says why",
        )
    })?;
    json(StatusCode::OK, &Page::from(batch))
}

async fn command(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let typed: Typed = call.json().await?;
    doors.hosting.command(&by, id, &typed.line).await?;
    Ok(bare(StatusCode::ACCEPTED))
}

pub(super) fn server(call: &Call) -> Result<ServerId, Fault> {
    call.id("id").map(ServerId)
}
