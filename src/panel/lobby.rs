//! The lobby as people see it: rooms, tables, who is there, what was said, who leads.

use serde::Deserialize;
use utoipa::ToSchema;
use warp::http::{Method, StatusCode};

use super::{DONE, Outcome, State, api, servers::made};
use crate::{
    http::{
        problem::{Code, Fault},
        routes::{Call, Route, bare, json},
    },
    lobby::{
        Launched, MatchView, NewTable, RoomPlayer, RoomTable, RoomView, SavedGame, SavedKey,
        Spoken,
        history::LINES,
        ledger::MatchId,
        past::MatchesOf,
        wire::{
            push::{GameView, Ranking},
            terms::{RoomId, TableId},
        },
    },
};

/// Places of a ranking, or matches, unless asked otherwise, and at most.
const USUAL: u64 = 20;
const MOST: u64 = 1000;

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::GET,
            api!("lobby/rooms"),
            "The lobby's rooms, with who is in them and their tables",
            rooms,
        )
        .lists::<RoomView>()
        .faults(&[Forbidden]),
        Route::new(Method::GET, api!("lobby/rooms/{id}"), "One room", room)
            .answers::<RoomView>(StatusCode::OK)
            .faults(&[Forbidden, NoSuchRoom]),
        Route::new(
            Method::GET,
            api!("lobby/games"),
            "What can be played at tables",
            games,
        )
        .lists::<GameView>()
        .faults(&[Forbidden]),
        Route::new(
            Method::GET,
            api!("lobby/tables"),
            "The tables that stand",
            tables,
        )
        .query("room", "the id of the only room wanted")
        .lists::<RoomTable>()
        .faults(&[Forbidden, NoSuchRoom]),
        Route::new(
            Method::POST,
            api!("lobby/tables"),
            "Launches a table that nobody has to sit at",
            launch,
        )
        .takes::<NewTable>()
        .answers::<Launched>(StatusCode::CREATED)
        .faults(&[Forbidden, NoSuchRoom, LobbyRefused]),
        Route::new(
            Method::DELETE,
            api!("lobby/tables/{room}/{table}"),
            "Ends a table at once",
            end,
        )
        .bare(DONE)
        .faults(&[Forbidden, NoSuchTable]),
        Route::new(
            Method::GET,
            api!("lobby/players"),
            "Who is in the rooms",
            players,
        )
        .lists::<RoomPlayer>()
        .faults(&[Forbidden]),
        Route::new(
            Method::GET,
            api!("lobby/chat"),
            "What was said lately for all to hear, oldest first; the last 200 lines are kept",
            chat,
        )
        .query(
            "room",
            "the id of the only room wanted, beside what everybody heard",
        )
        .query("count", "how many of the newest lines, 0 to 200, else 200")
        .lists::<Spoken>()
        .faults(&[Forbidden, NoSuchRoom]),
        Route::new(
            Method::POST,
            api!("lobby/chat"),
            "Says something in a room, or in all of them",
            say,
        )
        .takes::<Saying>()
        .bare(DONE)
        .faults(&[Forbidden, NoSuchRoom, BadField, TooFast]),
        Route::new(
            Method::GET,
            api!("lobby/rankings"),
            "Who leads in a game, best first",
            rankings,
        )
        .query("game", "the name of the game's definition")
        .query("count", "how many, 0 to 1000, else 20")
        .lists::<Ranking>()
        .faults(&[Forbidden, NoSuchGame]),
        Route::new(
            Method::GET,
            api!("lobby/matches"),
            "What was played, newest first",
            matches,
        )
        .query("game", "the name of the only game wanted")
        .query(
            "account",
            "the name of an account, or computer player, that was in it",
        )
        .query("before", "the id of a match: only older ones")
        .query("count", "how many, 0 to 1000, else 20")
        .lists::<MatchView>()
        .faults(&[Forbidden, NoSuchPlayer]),
        Route::new(
            Method::GET,
            api!("lobby/savegames"),
            "Games that were saved and can go on",
            savegames,
        )
        .lists::<SavedGame>()
        .faults(&[Forbidden]),
        Route::new(
            Method::POST,
            api!("lobby/savegames/resume"),
            "Lets a saved game go on at a table of its own",
            resume,
        )
        .takes::<SavedKey>()
        .answers::<Launched>(StatusCode::CREATED)
        .faults(&[Forbidden, NoSuchSavegame, LobbyRefused]),
    ]
}

/// Something to be said.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Saying {
    /// In which room; none: in all of them.
    #[serde(default)]
    room: Option<RoomId>,
    /// What, up to 512 bytes.
    text: String,
}

async fn rooms(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.lobby.rooms(&by).await?)
}

async fn room(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = RoomId(small(&call, "id", Code::NoSuchRoom)?);
    json(StatusCode::OK, &doors.lobby.room(&by, id).await?)
}

async fn games(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.lobby.games(&by).await?)
}

async fn tables(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let only = only(&call)?;
    json(StatusCode::OK, &doors.lobby.tables(&by, only).await?)
}

async fn launch(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let wish: NewTable = call.json().await?;
    stands(&doors.lobby.launch(&by, wish).await?)
}

/// A new table, and where it ends.
fn stands(launched: &Launched) -> Outcome {
    let Launched { room, table } = launched;
    made(
        launched,
        &format!("/api/v1/lobby/tables/{}/{}", room.0, table.0),
    )
}

async fn end(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let room = RoomId(small(&call, "room", Code::NoSuchTable)?);
    let table = TableId(small(&call, "table", Code::NoSuchTable)?);
    doors.lobby.end(&by, room, table).await?;
    Ok(bare(DONE))
}

async fn players(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.lobby.players(&by).await?)
}

async fn chat(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let count = count(&call, LINES as u64, LINES as u64)?;
    let lines = doors.lobby.chat(&by, only(&call)?, count).await?;
    json(StatusCode::OK, &lines)
}

async fn say(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let Saying { room, text } = call.json().await?;
    doors.lobby.say(&by, room, text).await?;
    Ok(bare(DONE))
}

async fn rankings(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let count = count(&call, MOST, USUAL)?;
    let game = call.text("game").ok_or_else(|| {
        let detail = "`game` must be named: `/api/v1/lobby/definitions` and each room say which";
        Fault::new(Code::BadQuery, detail)
    })?;
    json(StatusCode::OK, &doors.lobby.rankings(&by, game, count)?)
}

async fn matches(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let count = count(&call, MOST, USUAL)?;
    let of = MatchesOf {
        game: call.text("game"),
        account: call.text("account"),
        before: call.number("before", 0..=u64::MAX)?.map(MatchId),
    };
    json(StatusCode::OK, &doors.lobby.played(&by, &of, count)?)
}

async fn savegames(doors: State, call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    json(StatusCode::OK, &doors.lobby.savegames(&by)?)
}

async fn resume(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let key: SavedKey = call.json().await?;
    stands(&doors.lobby.resume(&by, key.sitting(), key.file).await?)
}

/// The only room that is wanted.
fn only(call: &Call) -> Result<Option<RoomId>, Fault> {
    let only = call.number("room", 0..=u32::MAX.into())?;
    Ok(only.map(|id| RoomId(id as u32)))
}

fn count(call: &Call, most: u64, usual: u64) -> Result<usize, Fault> {
    Ok(call.number("count", 0..=most)?.unwrap_or(usual) as usize)
}

/// A number in the path, which nothing has when it is too large.
fn small(call: &Call, name: &str, none: Code) -> Result<u32, Fault> {
    let id = call.id(name)?;
    id.try_into()
        .map_err(|_| Fault::new(none, format!("nothing has the number {id}")))
}
