//! What a table looks like: its states as lines for people. Pure.

use std::fmt::Write as _;

use super::super::text;
use crate::{
    games::wire::{Sitting, State, Status},
    lobby::{
        dmod::wire::Outcome,
        wire::terms::{SeatKind, TableId},
    },
};

/// What is new since `before`: the board when it has changed, and what people did.
pub(super) fn news(before: Option<&State>, now: &State, table: TableId) -> String {
    let mut out = String::new();
    if let Some(before) = before {
        comings_and_goings(before, now, &mut out);
    }
    let same = |before: &State| {
        (before.round, before.status, before.turn) == (now.round, now.status, now.turn)
            && before.position == now.position
    };
    if !before.is_some_and(same) {
        if before.is_none_or(|before| before.round != now.round) {
            begin(now, table, &mut out);
        }
        out += &board(now);
        if now.status == Status::Waiting {
            waiting(now, table, &mut out);
        }
    }
    if let Some(before) = before {
        offers(before, now, &mut out);
    }
    out
}

/// The board, and how the match stands.
pub(super) fn board(now: &State) -> String {
    let mut out = String::from("\n");
    for row in &now.board {
        line(&mut out, text::plain(row).trim_end());
    }
    out.push('\n');
    if let Some(last) = &now.last {
        line(&mut out, format_args!("last move: {}", text::plain(last)));
    }
    let points: Vec<_> = (0..now.seats.len())
        .filter(|seat| is_taken(&now.seats[*seat]))
        .filter_map(|seat| Some(format!("{} {}", name(now, seat), now.seats[seat].points?)))
        .collect();
    if !points.is_empty() {
        line(&mut out, format_args!("points: {}", points.join(", ")));
    }
    match (now.status, now.turn) {
        (Status::Playing, Some(turn)) if now.you == Some(turn) => {
            line(&mut out, format_args!("your turn{}", side(now, turn)));
        }
        (Status::Playing, Some(turn)) => {
            let who = name(now, turn);
            line(&mut out, format_args!("{who}'s turn{}", side(now, turn)));
        }
        (Status::Over, _) => ending(now, &mut out),
        _ => {}
    }
    out
}

/// Who sits here, and who watches.
pub(super) fn people(now: &State) -> String {
    let mut out = String::new();
    for (number, seat) in now.seats.iter().enumerate() {
        let who = match seat.kind {
            SeatKind::Open => "open".into(),
            SeatKind::Reserved => format!("kept for {}", name(now, number)),
            _ => name(now, number),
        };
        let away = match is_away(seat) {
            true => ", away",
            false => "",
        };
        let side = side(now, number);
        line(&mut out, format_args!("seat {number}: {who}{side}{away}"));
    }
    for who in &now.spectators {
        line(&mut out, format_args!("watching: {}", text::plain(who)));
    }
    out
}

/// What can be played.
pub(super) fn moves(now: &State) -> String {
    let mut moves: Vec<_> = now.moves.iter().map(|one| text::plain(one)).collect();
    moves.sort(); // they come as the game looks at them
    match moves.is_empty() {
        true => "nothing can be played now\n".into(),
        false => format!("{}\n", moves.join(" ")),
    }
}

fn line(out: &mut String, line: impl std::fmt::Display) {
    writeln!(out, "{line}").expect("a String takes everything");
}

/// Who has a seat, as it is said.
fn name(now: &State, seat: usize) -> String {
    let name = now.seats.get(seat).and_then(|seat| seat.name.as_deref());
    match name {
        _ if now.you == Some(seat) => "you".into(),
        Some(name) => text::plain(name),
        None => format!("seat {seat}"),
    }
}

fn side(now: &State, seat: usize) -> String {
    match now.seats.get(seat).map(|seat| text::plain(&seat.side)) {
        // `black (X)`
        Some(side) if side.ends_with(')') => {
            format!(" ({}", side.replacen(" (", ", ", 1))
        }
        Some(side) if !side.is_empty() => format!(" ({side})"),
        _ => String::new(),
    }
}

fn is_away(seat: &Sitting) -> bool {
    matches!(seat.kind, SeatKind::Player | SeatKind::Abandoned) && !seat.present
}

fn is_taken(seat: &Sitting) -> bool {
    matches!(
        seat.kind,
        SeatKind::Player | SeatKind::Abandoned | SeatKind::Bot
    )
}

fn begin(now: &State, table: TableId, out: &mut String) {
    let players: Vec<_> = (0..now.seats.len())
        .filter(|seat| is_taken(&now.seats[*seat]))
        .map(|seat| format!("{}{}", name(now, seat), side(now, seat)))
        .collect();
    let (game, table) = (text::plain(&now.game), table.0);
    let players = players.join(", ");
    match now.round {
        0 => line(out, format_args!("{game}, table {table}: {players}")),
        round => line(
            out,
            format_args!("{game}, table {table}, match {round}: {players}"),
        ),
    }
}

fn waiting(now: &State, table: TableId, out: &mut String) {
    let (game, table) = (text::plain(&now.game), table.0);
    if !now.seats.iter().any(|seat| seat.kind == SeatKind::Open) {
        let missing = (0..now.seats.len()).filter(|seat| !now.seats[*seat].present);
        let missing: Vec<_> = missing.map(|seat| name(now, seat)).collect();
        return line(out, format_args!("waiting for {}", missing.join(" and ")));
    }
    line(
        out,
        format_args!(
            "waiting for players; they sit down with `longhouse play {game} --table {table}`"
        ),
    );
}

fn ending(now: &State, out: &mut String) {
    let reason = text::plain(now.reason.as_deref().unwrap_or("over"));
    let result = now.result.as_deref().unwrap_or_default();
    let with = |outcome| {
        let of = result.iter().filter(move |one| one.outcome == outcome);
        of.map(|one| name(now, one.seat)).collect::<Vec<_>>()
    };
    let own = result.iter().find(|one| now.you == Some(one.seat));
    let how = match own.map(|own| own.outcome) {
        Some(Outcome::Win) => "you have won".into(),
        Some(Outcome::Loss) => "you have lost".into(),
        Some(Outcome::Forfeit) => "you have forfeited the match".into(),
        Some(Outcome::Tie) => "a tie".into(),
        Some(Outcome::None) | None => match with(Outcome::Win) {
            won if !won.is_empty() => format!("{} has won", won.join(" and ")),
            _ => match with(Outcome::Tie).is_empty() {
                true => "over".into(),
                false => "a tie".to_owned(),
            },
        },
    };
    line(out, format_args!("{how}: {reason}"));
    if now.you.is_some() {
        line(out, "/again plays another match, /quit leaves");
    }
}

fn comings_and_goings(before: &State, now: &State, out: &mut String) {
    for (number, (was, is)) in before.seats.iter().zip(&now.seats).enumerate() {
        let own = now.you == Some(number);
        let moved = was.name != is.name || is_taken(was) != is_taken(is);
        match (is_taken(was), is_taken(is)) {
            _ if own => {}
            (_, true) if moved => line(out, format_args!("{} sits down", name(now, number))),
            (true, false) => line(out, format_args!("{} has left", name(before, number))),
            (true, true) if !is_away(was) && is_away(is) => line(
                out,
                format_args!("{} is away, and the seat is kept", name(now, number)),
            ),
            (true, true) if is_away(was) && !is_away(is) => {
                line(out, format_args!("{} is back", name(now, number)));
            }
            _ => {}
        }
    }
    for who in now
        .spectators
        .iter()
        .filter(|who| !before.spectators.contains(who))
    {
        line(out, format_args!("{} watches", text::plain(who)));
    }
    for who in before
        .spectators
        .iter()
        .filter(|who| !now.spectators.contains(who))
    {
        line(out, format_args!("{} watches no more", text::plain(who)));
    }
}

fn offers(before: &State, now: &State, out: &mut String) {
    match (before.draw, now.draw) {
        (before, Some(seat)) if before != Some(seat) => match now.you {
            Some(own) if own == seat => line(out, "you offer a draw"),
            Some(_) => line(
                out,
                format_args!(
                    "{} offers a draw: /draw accepts it, /draw decline does not",
                    name(now, seat)
                ),
            ),
            None => line(out, format_args!("{} offers a draw", name(now, seat))),
        },
        (Some(_), None) if now.status == Status::Playing => line(out, "the draw is declined"),
        _ => {}
    }
    for (number, (was, is)) in before.seats.iter().zip(&now.seats).enumerate() {
        let asks = is.again && !was.again && is.kind == SeatKind::Player;
        if asks && now.you != Some(number) && now.status == Status::Over {
            let who = name(now, number);
            line(out, format_args!("{who} wants another match: /again"));
        }
    }
}

#[cfg(test)]
mod tests;
