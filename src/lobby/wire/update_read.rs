//! Updates, from elements.

use super::{
    element::Element,
    push::{Place, Update},
    push_read::{
        PushError, child, count, kind, lag, or_none, permissions, player, room, room_id, seat,
        stats, status, table, text,
    },
    terms::{RoomId, TableId},
};

/// What changed; none for what is not known here.
pub(super) fn update(element: &Element) -> Result<Option<Update>, PushError> {
    let of = text(element, "TYPE")?.to_ascii_lowercase();
    let action = text(element, "ACTION")?.to_ascii_lowercase();
    match of.as_str() {
        "player" => player_update(element, &action),
        "table" => table_update(element, &action),
        "room" => room_update(element, &action),
        _ => Ok(None),
    }
}

fn player_update(element: &Element, action: &str) -> Result<Option<Update>, PushError> {
    let room = room_id(element)?;
    let one = child(element, "PLAYER")?;
    let name = text(one, "ID")?;
    Ok(Some(match action {
        "add" => Update::PlayerAdd {
            room,
            player: player(one)?,
            from_room: or_none(element, "FROMROOM")?.map(RoomId),
        },
        "delete" => Update::PlayerDelete {
            room,
            name,
            to_room: or_none(element, "TOROOM")?.map(RoomId),
        },
        "lag" => Update::PlayerLag {
            room,
            name,
            lag: lag(one)?,
        },
        "stats" => Update::PlayerStats {
            room,
            name,
            stats: stats(one),
        },
        "perms" => Update::PlayerPerms {
            room,
            name,
            kind: kind(one),
            permissions: permissions(one),
        },
        _ => return Ok(None),
    }))
}

fn table_update(element: &Element, action: &str) -> Result<Option<Update>, PushError> {
    let room = room_id(element)?;
    let one = child(element, "TABLE")?;
    let id = TableId(count(one, "ID")?);
    let seats = one.count("SEATS").unwrap_or(0);
    Ok(Some(match action {
        "add" => Update::TableAdd {
            room,
            table: table(one)?,
        },
        "resize" => Update::TableResize {
            room,
            table: table(one)?,
        },
        "delete" => Update::TableDelete {
            room,
            table: id,
            seats,
        },
        "status" => Update::TableStatus {
            room,
            table: id,
            status: status(one)?,
            seats,
        },
        "join" => {
            let (place, name, seats) = place(one)?;
            Update::TableJoin {
                room,
                table: id,
                place,
                name,
                seats,
            }
        }
        "leave" => {
            let (place, name, seats) = place(one)?;
            Update::TableLeave {
                room,
                table: id,
                place,
                name,
                seats,
            }
        }
        "seat" => {
            let one = child(one, "SEAT")?;
            Update::TableSeat {
                room,
                table: id,
                number: count(one, "NUM")?,
                seat: seat(one)?,
                seats,
            }
        }
        "desc" => Update::TableDesc {
            room,
            table: id,
            description: child(one, "DESC")?.text.clone(),
            seats,
        },
        _ => return Ok(None),
    }))
}

/// Who joined or left, where, and how many places of that kind the table has.
fn place(table: &Element) -> Result<(Place, String, u32), PushError> {
    if let Some(one) = table.child("SPECTATOR") {
        let number = Place::Spectator(count(one, "NUM")?);
        let places = table.count("SPECTATORS").unwrap_or(0);
        return Ok((number, one.text.clone(), places));
    }
    let one = child(table, "SEAT")?;
    let number = Place::Seat(count(one, "NUM")?);
    let places = table.count("SEATS").unwrap_or(0);
    Ok((number, one.text.clone(), places))
}

fn room_update(element: &Element, action: &str) -> Result<Option<Update>, PushError> {
    let one = child(element, "ROOM")?;
    let id = RoomId(count(one, "ID")?);
    Ok(Some(match action {
        "players" => Update::RoomPlayers {
            room: id,
            players: count(one, "PLAYERS")?,
        },
        "add" => Update::RoomAdd { room: room(one)? },
        "close" => Update::RoomClose { room: id },
        "delete" => Update::RoomDelete { room: id },
        _ => return Ok(None),
    }))
}
