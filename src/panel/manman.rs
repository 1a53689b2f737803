//! The routes of seed 003 (manman) for servers: other words for the same service, with the same proof and rights.
//!
//! `docs/manman.md` says what each takes and answers. Success is 200 throughout, since manman's clients take anything
//! else for failure. The box is its only worker so far, with the id 1.

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use warp::http::{Method, StatusCode};

use super::{
    Outcome, State,
    servers::{delete, server},
};
use crate::{
    hosting::{self, Create, Game, Patch, View},
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, json},
    },
};

/// This box as a worker.
const WORKER: u64 = 1;

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(Method::GET, "/server", "manman: servers", list)
            .query("worker_id", "only those of this worker")
            .query(
                "game_id",
                "only those of this game, as `install_method:install_identifier`",
            )
            .lists::<ManmanServer>(),
        Route::new(Method::POST, "/server", "manman: creates a server", create)
            .takes::<ManmanWish>()
            .answers::<ManmanServer>(StatusCode::OK)
            .faults(&[Forbidden, NoSuchGame, BadField, GameUnavailable, NoFreePort]),
        Route::new(Method::GET, "/server/{id}", "manman: one server", get)
            .answers::<ManmanServer>(StatusCode::OK)
            .faults(&[NoSuchServer]),
        Route::new(
            Method::PUT,
            "/server/{id}",
            "manman: changes a server",
            update,
        )
        .takes::<Patch>()
        .answers::<ManmanServer>(StatusCode::OK)
        .faults(&[Forbidden, NoSuchServer, NoSuchVersion, BadField]),
        Route::new(
            Method::DELETE,
            "/server/{id}",
            "manman: deletes a server",
            delete,
        )
        .query("confirm", "its name; may be in the body instead")
        .bare(super::DONE)
        .faults(&[Forbidden, NoSuchServer, Unconfirmed, Busy]),
        Route::new(
            Method::GET,
            "/server/{id}/log",
            "manman: where its log can be read",
            log,
        )
        .answers::<ManmanLog>(StatusCode::OK)
        .faults(&[NoSuchServer]),
        Route::new(
            Method::POST,
            "/server/{id}/health",
            "manman: how it is",
            health,
        )
        .answers::<ManmanHealth>(StatusCode::OK)
        .faults(&[NoSuchServer]),
        Route::new(
            Method::POST,
            "/server/{id}/command",
            "manman: HEALTH 1, START 2, STOP 3, KILL 4, COMMAND 200",
            command,
        )
        .takes::<ManmanCommand>()
        .answers::<ManmanHealth>(StatusCode::OK)
        .faults(&[
            Forbidden,
            NoSuchServer,
            NotRunning,
            Busy,
            PortTaken,
            BadField,
            KeeperFailed,
        ]),
    ]
}

/// A server in manman's words.
#[derive(Serialize, ToSchema)]
struct ManmanServer {
    server_id: u64,
    name: String,
    title: String,
    /// `install_method:install_identifier`.
    game_id: String,
    worker_id: u64,
    status: ManmanStatus,
    /// The same server in the box's own words.
    url: String,
}

/// The seed's words for how a server is.
#[derive(Clone, Copy, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ManmanStatus {
    /// Its process is there.
    Alive,
    /// It is down, and stays so.
    Shutdown,
    /// It is on its way up: being installed, or waiting for its next start.
    Unknown,
}

impl From<hosting::State> for ManmanStatus {
    fn from(state: hosting::State) -> Self {
        use hosting::State;
        match state {
            State::Starting | State::Running | State::Stopping => Self::Alive,
            State::Stopped | State::Failed => Self::Shutdown,
            State::Installing | State::Backoff => Self::Unknown,
        }
    }
}

/// A wish for a server.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ManmanWish {
    /// `install_method:install_identifier`.
    game_id: String,
    /// The box itself when absent.
    worker_id: Option<u64>,
    /// What people call it.
    name: Option<String>,
}

/// Where a log can be read.
#[derive(Serialize, ToSchema)]
struct ManmanLog {
    /// The newest lines.
    url: String,
    /// A WebSocket with what comes.
    live: String,
}

/// How a server is.
#[derive(Serialize, ToSchema)]
struct ManmanHealth {
    server_id: u64,
    status: ManmanStatus,
}

/// A command.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct ManmanCommand {
    /// HEALTH 1, START 2, STOP 3, KILL 4, COMMAND 200.
    #[serde(alias = "type")]
    command_type: u16,
    /// For COMMAND: the line to type.
    #[serde(alias = "line")]
    command: Option<String>,
}

/// A game's id: definitions that are installed without an identifier go by their name.
fn game_id(game: &Game) -> String {
    match game.install.contains(':') {
        true => game.install.clone(),
        false => format!("{}:{}", game.install, game.name),
    }
}

fn told(games: &[Game], view: &View) -> ManmanServer {
    let game = games.iter().find(|game| game.name == view.game);
    ManmanServer {
        server_id: view.id.0,
        name: view.name.clone(),
        title: view.title.clone(),
        game_id: game.map_or_else(|| view.game.clone(), game_id),
        worker_id: WORKER,
        status: view.state.into(),
        url: format!("/api/v1/servers/{}", view.id.0),
    }
}

fn healthy(view: &View) -> Outcome {
    let health = ManmanHealth {
        server_id: view.id.0,
        status: view.state.into(),
    };
    json(StatusCode::OK, &health)
}

async fn list(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let worker = call.number("worker_id", 0..=u64::MAX)?;
    let games = doors.hosting.games();
    let servers = doors.hosting.list(&by).await?;
    let mut told: Vec<_> = servers.iter().map(|view| told(&games, view)).collect();
    told.retain(|server| {
        worker.is_none_or(|worker| server.worker_id == worker)
            && call
                .text("game_id")
                .is_none_or(|game| server.game_id == game)
    });
    json(StatusCode::OK, &told)
}

async fn create(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let wish: ManmanWish = call.json().await?;
    if wish.worker_id.is_some_and(|worker| worker != WORKER) {
        let detail = format!("worker_id: the box's only worker is {WORKER}");
        return Err(Fault::new(Code::BadField, detail).member("field", "worker_id"));
    }
    let games = doors.hosting.games();
    let game = games.iter().find(|game| game_id(game) == wish.game_id);
    let game = game.ok_or_else(|| {
        let known: Vec<_> = games.iter().map(game_id).collect();
        let detail = format!(
            "no game `{}`; there are: {}",
            wish.game_id,
            known.join(", ")
        );
        Fault::new(Code::NoSuchGame, detail)
    })?;
    let wish = Create {
        game: game.name.clone(),
        title: wish.name,
        version: None,
        settings: Default::default(),
        limits: None,
        restart: None,
        class: None,
        idle: None,
    };
    let view = doors.hosting.create(&by, wish).await?;
    json(StatusCode::OK, &told(&games, &view))
}

async fn get(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let view = doors.hosting.get(&by, server(&call)?).await?;
    json(StatusCode::OK, &told(&doors.hosting.games(), &view))
}

async fn update(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let patch: Patch = call.json().await?;
    let view = doors.hosting.update(&by, id, patch).await?;
    json(StatusCode::OK, &told(&doors.hosting.games(), &view))
}

async fn log(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = doors.hosting.get(&by, server(&call)?).await?.id.0;
    let log = ManmanLog {
        url: format!("/api/v1/servers/{id}/console"),
        live: format!("/api/v1/servers/{id}/console/live"),
    };
    json(StatusCode::OK, &log)
}

async fn health(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    healthy(&doors.hosting.get(&by, server(&call)?).await?)
}

async fn command(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let wish: ManmanCommand = call.json().await?;
    let hosting = &doors.hosting;
    let view = match wish.command_type {
        1 => hosting.get(&by, id).await?,
        2 => hosting.start(&by, id).await?,
        3 => hosting.stop(&by, id).await?,
        4 => hosting.kill(&by, id).await?,
        200 => {
            let line = wish
                .command
                .ok_or_else(|| bad("command", "the line to type is missing"))?;
            hosting.command(&by, id, &line).await?;
            hosting.get(&by, id).await?
        }
        other => {
            let why = format!("{other} is none of HEALTH 1, START 2, STOP 3, KILL 4, COMMAND 200");
            return Err(bad("command_type", &why));
        }
    };
    healthy(&view)
}

fn bad(field: &str, why: &str) -> Fault {
    Fault::new(Code::BadField, format!("{field}: {why}")).member("field", field)
}
