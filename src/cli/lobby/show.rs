//! How the lobby looks to people.

use std::collections::BTreeMap;

use super::only;
use crate::{
    cli::{
        Session,
        control::query,
        fault::Fault,
        print::{Cell, Colour, Table},
    },
    lobby::{
        BanView, DefinitionsView, MatchPlayer, MatchView, RoomPlayer, RoomTable, RoomView,
        SavedGame, Spoken,
        wire::{
            push::{GameView, Ranking, Stats},
            terms::{Numbers, PlayerKind, RoomId, Seat, SeatKind, TableStatus},
        },
    },
};

/// What rooms are called, by number.
pub(super) async fn names(session: &Session) -> Result<BTreeMap<RoomId, String>, Fault> {
    let rooms = super::rooms(session).await?.into_iter();
    Ok(rooms.map(|room| (room.id, room.name)).collect())
}

fn name(names: &BTreeMap<RoomId, String>, room: RoomId) -> String {
    let known = names.get(&room).cloned();
    known.unwrap_or_else(|| room.0.to_string())
}

pub(super) async fn rooms(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/lobby/rooms").await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["ID", "NAME", "TITLE", "GAME", "PLAYERS", "TABLES"]);
        for room in answer.read::<Vec<RoomView>>()? {
            table.row([
                Cell::new(room.id.0),
                Cell::new(&room.name),
                match room.open {
                    true => Cell::new(&room.title),
                    false => Cell::coloured(format!("{} (closing)", room.title), Colour::Busy),
                },
                Cell::maybe(room.game),
                Cell::new(format!("{}/{}", room.people, room.max_players)),
                Cell::new(format!("{}/{}", room.tables.len(), room.max_tables)),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

pub(super) async fn players(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/lobby/players").await?;
    if session.out.json {
        return session.out.answer(&answer, || Ok(String::new()));
    }
    let names = names(session).await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["NAME", "KIND", "ROOM", "TABLE", "LAG", "STANDING"]);
        for RoomPlayer { room, player } in answer.read::<Vec<RoomPlayer>>()? {
            table.row([
                Cell::new(&player.name),
                Cell::new(kind(player.kind)),
                Cell::new(name(&names, room)),
                Cell::maybe(player.table.map(|table| table.0)),
                match player.lag {
                    lag @ ..=2 => Cell::new(lag),
                    lag => Cell::coloured(lag, Colour::Busy),
                },
                Cell::new(standing(player.stats)),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

fn kind(kind: PlayerKind) -> &'static str {
    match kind {
        PlayerKind::Normal => "player",
        PlayerKind::Guest => "guest",
        PlayerKind::Admin => "admin",
        PlayerKind::Host => "host",
        PlayerKind::Bot => "bot",
        PlayerKind::Unknown => "unknown",
    }
}

/// `1532, 3-1-0`
fn standing(stats: Stats) -> String {
    let highscore = stats.highscore.map(|score| score.to_string());
    let rating = stats.rating.map(|rating| format!("{rating:.0}"));
    let records = stats
        .records
        .map(|[wins, losses, ties, _]| format!("{wins}-{losses}-{ties}"));
    let known: Vec<_> = [highscore, rating, records].into_iter().flatten().collect();
    match known.is_empty() {
        true => "-".into(),
        false => known.join(", "),
    }
}

pub(super) async fn tables(session: &Session, room: Option<&str>) -> Result<(), Fault> {
    let path = format!("/lobby/tables{}", only(session, room).await?);
    let answer = session.control.get(&path).await?;
    if session.out.json {
        return session.out.answer(&answer, || Ok(String::new()));
    }
    let names = names(session).await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["ROOM", "TABLE", "STATE", "SEATS", "WATCHING", "DESCRIPTION"]);
        for RoomTable { room, table: one } in answer.read::<Vec<RoomTable>>()? {
            table.row([
                Cell::new(name(&names, room)),
                Cell::new(one.id.0),
                status(one.status),
                Cell::new(seats(&one.seats)),
                Cell::new(one.spectators.iter().flatten().count()),
                Cell::new(&one.description),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

fn status(status: TableStatus) -> Cell {
    match status {
        TableStatus::Gone => Cell::coloured("gone", Colour::Quiet),
        TableStatus::Created => Cell::coloured("created", Colour::Busy),
        TableStatus::Waiting => Cell::new("waiting"),
        TableStatus::Playing => Cell::coloured("playing", Colour::Good),
        TableStatus::Done => Cell::coloured("done", Colour::Quiet),
    }
}

/// `ada, bot, open`
pub(super) fn seats(seats: &[Seat]) -> String {
    let seat = |seat: &Seat| match (seat.kind, &seat.name) {
        (SeatKind::Player, Some(name)) => name.clone(),
        (kind, name) => {
            let kind = match kind {
                SeatKind::None => "none",
                SeatKind::Open => "open",
                SeatKind::Bot => "bot",
                SeatKind::Player => "player",
                SeatKind::Reserved => "reserved",
                SeatKind::Abandoned => "abandoned",
            };
            match name {
                Some(name) => format!("{name} ({kind})"),
                None => kind.into(),
            }
        }
    };
    seats.iter().map(seat).collect::<Vec<_>>().join(", ")
}

pub(super) async fn games(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/lobby/games").await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["ID", "TITLE", "VERSION", "SEATS", "BOTS", "ENGINE"]);
        for game in answer.read::<Vec<GameView>>()? {
            table.row([
                Cell::new(game.id.0),
                Cell::new(&game.name),
                Cell::new(&game.version),
                Cell::new(numbers(&game.players)),
                Cell::new(numbers(&game.bots)),
                Cell::new(format!("{} {}", game.engine, game.engine_version)),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

/// `2 4..8`
fn numbers(numbers: &Numbers) -> String {
    let outside = |n: &u32| {
        numbers
            .range
            .is_none_or(|(first, last)| !(first..=last).contains(n))
    };
    let singles = (0..=32u32).filter(|n| numbers.singles & (1 << n) != 0);
    let mut shown: Vec<_> = singles.filter(outside).map(|n| n.to_string()).collect();
    shown.extend(
        numbers
            .range
            .map(|(first, last)| format!("{first}..{last}")),
    );
    match shown.is_empty() {
        true => "-".into(),
        false => shown.join(" "),
    }
}

pub(super) async fn chat(session: &Session, room: Option<&str>, count: u64) -> Result<(), Fault> {
    let only = only(session, room).await?;
    let and = if only.is_empty() { "?" } else { "&" };
    let path = format!("/lobby/chat{only}{and}count={count}");
    let answer = session.control.get(&path).await?;
    if session.out.json {
        return session.out.answer(&answer, || Ok(String::new()));
    }
    let names = names(session).await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["AT", "ROOM", "WHO", "SAID"]);
        for line in answer.read::<Vec<Spoken>>()? {
            table.row([
                Cell::coloured(line.at, Colour::Quiet),
                Cell::new(line.room.map_or("all".into(), |room| name(&names, room))),
                Cell::new(&line.from),
                Cell::new(&line.text),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

pub(super) async fn bans(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/lobby/bans").await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["NAME", "KIND", "UNTIL", "BY", "NETWORK", "REASON"]);
        for ban in answer.read::<Vec<BanView>>()? {
            table.row([
                Cell::new(&ban.name),
                Cell::new(if ban.account.is_some() {
                    "account"
                } else {
                    "guest"
                }),
                match ban.until {
                    Some(until) => Cell::new(until),
                    None => Cell::new("for good"),
                },
                Cell::new(&ban.by),
                Cell::maybe(ban.network),
                Cell::new(&ban.reason),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

pub(super) async fn rankings(session: &Session, game: &str, count: u64) -> Result<(), Fault> {
    let path = format!("/lobby/rankings?game={}&count={count}", query(game));
    let answer = session.control.get(&path).await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["PLACE", "NAME", "SCORE"]);
        for ranking in answer.read::<Vec<Ranking>>()? {
            table.row([
                Cell::new(ranking.position),
                Cell::new(&ranking.player),
                Cell::new(format!("{:.0}", ranking.score)),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

pub(super) async fn matches(
    session: &Session,
    game: Option<&str>,
    account: Option<&str>,
    count: u64,
) -> Result<(), Fault> {
    let game = game.map(|game| format!("game={}&", query(game)));
    let account = account.map(|account| format!("account={}&", query(account)));
    let path = format!(
        "/lobby/matches?{}{}count={count}",
        game.unwrap_or_default(),
        account.unwrap_or_default()
    );
    let answer = session.control.get(&path).await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["ID", "AT", "GAME", "ROOM", "PLAYERS"]);
        for one in answer.read::<Vec<MatchView>>()? {
            let players: Vec<_> = one.players.iter().map(played).collect();
            table.row([
                Cell::new(one.id),
                Cell::new(one.at),
                Cell::new(&one.game),
                Cell::new(&one.room),
                Cell::new(players.join(", ")),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

/// `ada win 1500 -> 1520`
fn played(player: &MatchPlayer) -> String {
    use crate::lobby::MatchOutcome::*;
    let outcome = match player.outcome {
        Win => "win",
        Loss => "loss",
        Tie => "tie",
        Forfeit => "forfeit",
        None => "none",
    };
    let rating = player
        .rating
        .map(|(before, after)| format!(" {before:.0} -> {after:.0}"));
    format!("{} {outcome}{}", player.name, rating.unwrap_or_default())
}

pub(super) async fn saved(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/lobby/savegames").await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&[
            "ROOM", "TABLE", "AT", "GAME", "OWNER", "SEATS", "FILE", "NOW",
        ]);
        for one in answer.read::<Vec<SavedGame>>()? {
            table.row([
                Cell::new(&one.room),
                Cell::new(one.table),
                Cell::new(one.at),
                Cell::new(&one.game),
                Cell::maybe(one.owner),
                Cell::new(seats(&one.seats)),
                Cell::new(&one.file),
                Cell::new(match one.playing {
                    true => "is played",
                    false => "waits",
                }),
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

pub(super) async fn definitions(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/lobby/definitions").await?;
    session.out.answer(&answer, || {
        let all: DefinitionsView = answer.read()?;
        let mut table = Table::fields();
        table.field("rooms", all.rooms.join(", "));
        table.field("games", all.tables.join(", "));
        for one in &all.overrides {
            let done = match one.toml {
                Some(_) => "defined",
                None => "removed",
            };
            table.field(done, &one.name);
        }
        for fault in &all.faults {
            table.row([Cell::coloured("fault", Colour::Bad), Cell::new(fault)]);
        }
        Ok(table.render(session.out.colour))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_shown_as_they_are_written() {
        let some = |singles, range| numbers(&Numbers { singles, range });
        assert_eq!(some(0b100, None), "2");
        assert_eq!(some(0b11110, Some((2, 4))), "1 2..4");
        assert_eq!(some(0, None), "-");
    }

    #[test]
    fn a_standing_shows_what_the_game_counts() {
        assert_eq!(standing(Stats::default()), "-");
        let stats = Stats {
            records: Some([3, 1, 0, 2]),
            rating: Some(1532.4),
            highscore: None,
        };
        assert_eq!(standing(stats), "1532, 3-1-0");
    }
}
