//! What follows, in lines that a test can be read by.

use super::*;
use crate::lobby::wire::{
    push::{Body, TableView},
    terms::ChatKind,
};

impl Scene {
    fn name(&self, id: SessionId) -> &str {
        &self.names[&id]
    }

    pub(super) fn line(&self, effect: &Effect) -> String {
        match effect {
            Effect::Tell(id, push) => format!("{}: {}", self.name(*id), said(push)),
            Effect::Room(room, None, push) => format!("room {}: {}", room.0, said(push)),
            Effect::Room(room, Some(but), push) => {
                format!("room {} but {}: {}", room.0, self.name(*but), said(push))
            }
            Effect::Everybody(push) => format!("all: {}", said(push)),
            Effect::Rankings(id, game) => format!("{}: rankings of {}", self.name(*id), game.name),
            Effect::Disconnect(id) => format!("disconnect {}", self.name(*id)),
            Effect::Launch {
                key, args, first, ..
            } => format!("launch {}: {} {args:?}", key.0, ordered(first)),
            Effect::Order(key, order, None) => format!("game {}: {}", key.0, ordered(order)),
            Effect::Order(key, order, Some(channel)) => {
                format!(
                    "game {}: {} by channel {}",
                    key.0,
                    ordered(order),
                    channel.0
                )
            }
            Effect::End(key) => format!("end {}", key.0),
            Effect::Close(channel) => format!("close channel {}", channel.0),
            Effect::Report(report) => {
                let who = |(score, who): &(Score, Option<Who>)| {
                    let name = score.name.as_deref().unwrap_or("a bot");
                    let known = match who {
                        None => "no person",
                        Some(who) if who.account.is_none() => "guest",
                        Some(_) => "member",
                    };
                    format!("{name} ({known}) {:?}", score.result)
                };
                let scores: Vec<String> = report.scores.iter().map(who).collect();
                let file = report.savegame.as_deref().unwrap_or("nothing");
                let scores = scores.join(", ");
                format!(
                    "report of {} in {}: {scores}; saved in {file}",
                    report.key.0, report.room
                )
            }
            Effect::Saved(saved) => format!(
                "saved {} of {} in {}: {} {}",
                saved.key.0,
                saved.owner,
                saved.room,
                saved.file,
                chairs(&saved.seats)
            ),
            Effect::Odd(key, what) => format!("odd {}: {what}", key.0),
        }
    }
}

fn said(push: &Push) -> String {
    match push {
        Push::Result { action, code, body } => {
            let action = format!("{action:?}").to_lowercase();
            match body {
                Body::None {} => format!("{action} {code:?}"),
                Body::Password(password) => format!("{action} {code:?} {}", password.clear()),
                Body::Games(games) => {
                    let names: Vec<&str> = games.iter().map(|game| &*game.name).collect();
                    format!("{action} {code:?} games {names:?}")
                }
                Body::Rooms(rooms) => {
                    let names: Vec<&str> = rooms.iter().map(|room| &*room.name).collect();
                    format!("{action} {code:?} rooms {names:?}")
                }
                Body::Players(room, players) => {
                    let names: Vec<&str> = players.iter().map(|one| &*one.name).collect();
                    format!("{action} {code:?} players of {} {names:?}", room.0)
                }
                Body::Tables(room, tables) => {
                    let seats: Vec<String> = tables.iter().map(seats).collect();
                    format!("{action} {code:?} tables of {} {seats:?}", room.0)
                }
            }
        }
        Push::Motd { text, .. } => format!("motd {text}"),
        Push::Chat { kind, from, text } => {
            let kind = kind.map_or("of no kind".into(), |kind: ChatKind| format!("{kind:?}"));
            let text = text.as_deref().unwrap_or("(no text)");
            format!("chat {kind} by {from}: {text}")
        }
        Push::Join { table, spectator } => match spectator {
            false => format!("sits at {}", table.0),
            true => format!("watches {}", table.0),
        },
        Push::Leave { reason, player } => match player {
            None => format!("leaves {reason:?}"),
            Some(by) => format!("leaves {reason:?} by {by}"),
        },
        Push::Update(update) => changed(update),
        Push::Info { seats } => {
            let seat = |one: &crate::lobby::wire::push::SeatInfo| {
                format!("{} {} {}", one.seat, one.real_name, one.host)
            };
            format!("info {:?}", seats.iter().map(seat).collect::<Vec<_>>())
        }
        Push::Token { token } => format!("token {token}"),
        Push::End => "end of document".into(),
        other => format!("{other:?}"),
    }
}

fn changed(update: &Update) -> String {
    match update {
        Update::PlayerAdd {
            player, from_room, ..
        } => format!("+{} from {:?}", player.name, from_room.map(|room| room.0)),
        Update::PlayerDelete { name, to_room, .. } => {
            format!("-{name} to {:?}", to_room.map(|room| room.0))
        }
        Update::PlayerLag { name, lag, .. } => format!("{name} has lag {lag}"),
        Update::PlayerStats { name, stats, .. } => format!("{name} has {:?}", stats.records),
        Update::PlayerPerms {
            name,
            kind,
            permissions,
            ..
        } => format!("{name} is {kind:?} with {permissions}"),
        Update::TableAdd { table, .. } => {
            format!(
                "table {} is new, {:?}: {}",
                table.id.0,
                table.status,
                seats(table)
            )
        }
        Update::TableDelete { table, .. } => format!("table {} is gone", table.0),
        Update::TableStatus { table, status, .. } => format!("table {} is {status:?}", table.0),
        Update::TableJoin {
            table, place, name, ..
        } => format!("table {} has {name} at {place:?}", table.0),
        Update::TableLeave {
            table, place, name, ..
        } => format!("table {} loses {name} from {place:?}", table.0),
        Update::TableSeat {
            table,
            number,
            seat,
            ..
        } => format!("table {} seat {number} is {}", table.0, chair(seat)),
        Update::TableDesc {
            table, description, ..
        } => format!("table {} is called {description}", table.0),
        Update::TableResize { table, .. } => format!("table {} has {}", table.id.0, seats(table)),
        Update::RoomPlayers { room, players } => format!("room {} has {players} people", room.0),
        Update::RoomAdd { room } => format!("room {} is new: {}", room.id.0, room.name),
        Update::RoomClose { room } => format!("room {} closes", room.0),
        Update::RoomDelete { room } => format!("room {} is gone", room.0),
    }
}

fn ordered(order: &ToGame) -> String {
    match order {
        ToGame::Launch {
            game,
            savegame,
            seats,
            ..
        } => format!("{game} {savegame:?} {}", chairs(seats)),
        ToGame::Seat { number, seat } => format!("seat {number} is {}", chair(seat)),
        ToGame::Spectator { number, name } => match name {
            Some(name) => format!("{name} watches as {number}"),
            None => format!("nobody watches as {number}"),
        },
        ToGame::Reseat {
            from,
            was_spectator,
            to,
            is_spectator,
        } => {
            let place = |number: &u32, watches: &bool| match watches {
                true => format!("watching {number}"),
                false => format!("seat {number}"),
            };
            let (from, to) = (place(from, was_spectator), place(to, is_spectator));
            format!("from {from} to {to}")
        }
        ToGame::State => "state".into(),
    }
}

pub(super) fn seats(table: &TableView) -> String {
    let watching: Vec<&str> = table
        .spectators
        .iter()
        .flatten()
        .map(String::as_str)
        .collect();
    let seats = chairs(&table.seats);
    match watching.is_empty() {
        true => seats,
        false => format!("{seats} watched by {}", watching.join(", ")),
    }
}

fn chairs(seats: &[Seat]) -> String {
    let seats: Vec<String> = seats.iter().map(chair).collect();
    format!("[{}]", seats.join(", "))
}

fn chair(seat: &Seat) -> String {
    let kind = format!("{:?}", seat.kind).to_lowercase();
    match &seat.name {
        Some(name) => format!("{kind} {name}"),
        None => kind,
    }
}
