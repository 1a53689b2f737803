//! What can be played, and where somebody plays.

use serde_json::json;

use super::{
    super::{
        fault::Fault,
        print::{Cell, Out, Table, note},
    },
    lobby::Lobby,
    session::{games, rooms, short, tables},
};
use crate::lobby::wire::{
    push::{GameView, TableView},
    terms::{RoomId, SeatKind, TableStatus},
};

/// Prints the games, and the tables in their rooms.
pub(super) async fn show(out: Out, lobby: &mut Lobby) -> Result<(), Fault> {
    let games = games(lobby, out.json).await?;
    let mut found = Vec::new();
    for room in rooms(lobby).await? {
        let played = games.iter().find(|game| room.game == Some(game.id));
        if let Some(game) = played {
            let tables = tables(lobby, room.id).await?;
            found.extend(tables.into_iter().map(|table| (game, room.id, table)));
        }
    }
    if out.json {
        let tables: Vec<_> = found
            .iter()
            .map(|(game, room, table)| json!({"game": short(game), "room": room, "table": table}))
            .collect();
        let games: Vec<_> = games
            .iter()
            .map(|game| json!({"name": short(game), "game": game}))
            .collect();
        return out.line(&json!({"games": games, "tables": tables}).to_string());
    }
    let mut shown = Table::new(&["GAME", "TITLE", "COMPUTER"]);
    for game in &games {
        let strengths: Vec<_> = game.named_bots.iter().map(|(_, class)| &**class).collect();
        shown.row([
            Cell::new(short(game)),
            Cell::new(&game.name),
            Cell::new(strengths.join(", ")),
        ]);
    }
    out.bytes(shown.render(out.colour).as_bytes())?;
    if found.is_empty() {
        note("nobody plays; `longhouse play GAME --against person` opens a table");
        return Ok(());
    }
    let mut shown = Table::new(&["GAME", "ROOM", "TABLE", "STATUS", "SEATS"]);
    for (game, room, table) in &found {
        shown.row(row(game, *room, table));
    }
    out.line("")?;
    out.bytes(shown.render(out.colour).as_bytes())
}

fn row(game: &GameView, room: RoomId, table: &TableView) -> [Cell; 5] {
    let seats = table
        .seats
        .iter()
        .map(|seat| match (&seat.name, seat.kind) {
            (Some(name), SeatKind::Abandoned) => format!("{name} (away)"),
            (Some(name), SeatKind::Reserved) => format!("kept for {name}"),
            (Some(name), _) => name.clone(),
            (None, kind) => kind.to_string(),
        });
    let status = match table.status {
        TableStatus::Playing => "playing",
        TableStatus::Waiting => "waiting",
        TableStatus::Created | TableStatus::Done | TableStatus::Gone => "-",
    };
    [
        Cell::new(short(game)),
        Cell::new(room.0),
        Cell::new(table.id.0),
        Cell::new(status),
        Cell::new(seats.collect::<Vec<_>>().join(", ")),
    ]
}
