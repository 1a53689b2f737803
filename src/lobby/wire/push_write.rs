//! Pushes, to bytes.

use super::{
    pen::Pen,
    push::{Body, GameView, Hello, Place, PlayerView, Push, RoomView, Stats, TableView, Update},
    request_xml::write_seat,
    terms::{Action, ChatKind, Code, RoomId, Seat, SeatKind, TableId, TableStatus},
};

/// Of the protocol. Clients leave when it is another.
pub(super) const VERSION: &str = "10";

impl Push {
    /// The bytes that a server sends: a line for each tag, as the original has it.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut pen = Pen(out);
        match self {
            Self::Hello(hello) => write_hello(hello, &mut pen),
            Self::Result { action, code, body } => write_result(*action, *code, body, &mut pen),
            Self::Motd { text, url } => {
                let tag = pen.tag("MOTD").with("PRIORITY", "normal");
                tag.with("URL", url.as_deref().unwrap_or_default())
                    .cdata(text);
            }
            Self::Chat { kind, from, text } => {
                let tag = pen.tag("CHAT");
                let tag = tag.with("TYPE", kind.map_or("", ChatKind::word));
                tag.with("FROM", from).maybe_text(text.as_deref());
            }
            Self::Ping => pen.empty("PING"),
            Self::Pong { id } => pen.tag("PONG").maybe("ID", id.as_ref()).empty(),
            Self::Join { table, spectator } => {
                let tag = pen.tag("JOIN").with("TABLE", table.0);
                tag.with("SPECTATOR", spectator).empty();
            }
            Self::Leave { reason, player } => {
                let tag = pen.tag("LEAVE").with("REASON", reason);
                tag.maybe("PLAYER", player.as_ref()).empty();
            }
            Self::Update(update) => write_update(update, &mut pen),
            Self::Info { seats } => {
                pen.open("INFO");
                for seat in seats {
                    let tag = pen.tag("PLAYERINFO").with("SEAT", seat.seat);
                    let tag = tag.with("REALNAME", &seat.real_name);
                    let tag = tag.with("PHOTO", &seat.photo);
                    tag.with("HOST", &seat.host).empty();
                }
                pen.close("INFO");
            }
            Self::Rankings { rankings } => {
                pen.open("RANKINGS");
                for ranking in rankings {
                    let tag = pen.tag("RANKING").with("POSITION", ranking.position);
                    let tag = tag.with("PLAYER", &ranking.player);
                    tag.with("SCORE", whole(ranking.score)).empty();
                }
                pen.close("RANKINGS");
            }
            Self::Token { token } => pen.field("TOKEN", token),
            Self::End => pen.close("SESSION"),
        }
    }
}

fn write_hello(hello: &Hello, pen: &mut Pen<'_>) {
    pen.raw("<?xml version='1.0' encoding='UTF-8'?>\n");
    pen.open("SESSION");
    let tag = pen.tag("SERVER");
    let tag = tag.with("ID", format_args!("GGZ-{}", hello.version));
    let tag = tag.with("NAME", &hello.name).with("VERSION", VERSION);
    let tag = tag.with("STATUS", if hello.full { "full" } else { "ok" });
    tag.with("TLS_SUPPORT", if hello.tls { "yes" } else { "no" })
        .open();
    pen.tag("OPTIONS")
        .with("CHATLEN", hello.chat_length)
        .empty();
    pen.close("SERVER");
}

fn write_result(action: Action, code: Code, body: &Body, pen: &mut Pen<'_>) {
    let tag = pen.tag("RESULT").with("ACTION", action);
    let tag = tag.with("CODE", code);
    if matches!(body, Body::None {}) {
        return tag.empty();
    }
    tag.open();
    match body {
        Body::None {} => {}
        Body::Password(password) => pen.field("PASSWORD", password.clear()),
        Body::Games(games) => write_list("game", None, games, write_game, pen),
        Body::Rooms(rooms) => write_list("room", None, rooms, write_room, pen),
        Body::Players(room, players) => {
            write_list("player", Some(*room), players, write_player, pen);
        }
        Body::Tables(room, tables) => write_list("table", Some(*room), tables, write_table, pen),
    }
    pen.close("RESULT");
}

fn write_list<T>(
    of: &'static str,
    room: Option<RoomId>,
    list: &[T],
    write: fn(&T, &mut Pen<'_>),
    pen: &mut Pen<'_>,
) {
    let tag = pen.tag("LIST").with("TYPE", of);
    tag.maybe("ROOM", room.map(|room| room.0)).open();
    for one in list {
        write(one, pen);
    }
    pen.close("LIST");
}

fn write_game(game: &GameView, pen: &mut Pen<'_>) {
    let tag = pen.tag("GAME").with("ID", game.id.0);
    let tag = tag.with("NAME", &game.name);
    tag.with("VERSION", &game.version).open();
    let tag = pen.tag("PROTOCOL").with("ENGINE", &game.engine);
    tag.with("VERSION", &game.engine_version).empty();
    let tag = pen.tag("ALLOW").with("PLAYERS", &game.players);
    let tag = tag.with("BOTS", &game.bots);
    let tag = tag.with("SPECTATORS", game.spectators);
    tag.with("PEERS", game.peers).empty();
    for (name, class) in &game.named_bots {
        pen.tag("BOT")
            .with("NAME", name)
            .with("CLASS", class)
            .empty();
    }
    if let Some(about) = &game.about {
        let tag = pen.tag("ABOUT").with("AUTHOR", &about.author);
        tag.with("URL", &about.url).empty();
        pen.field("DESC", &about.description);
    }
    pen.close("GAME");
}

fn write_room(room: &RoomView, pen: &mut Pen<'_>) {
    let tag = pen.tag("ROOM").with("ID", room.id.0);
    let tag = tag.with("NAME", &room.name).with("REFNAME", &room.ref_name);
    let tag = tag.with("GAME", or_none(room.game.map(|game| game.0)));
    tag.with("PLAYERS", room.players).open();
    if let Some(description) = &room.description {
        pen.field("DESC", description);
    }
    pen.close("ROOM");
}

fn write_player(player: &PlayerView, pen: &mut Pen<'_>) {
    let tag = pen.tag("PLAYER").with("ID", &player.name);
    let tag = tag.with("TYPE", player.kind);
    let tag = tag.with("TABLE", or_none(player.table.map(|table| table.0)));
    let tag = tag.with("PERMS", player.permissions);
    write_stats(&player.stats, tag.with("LAG", player.lag));
}

fn write_stats(stats: &Stats, mut tag: super::pen::Tag<'_>) {
    if let Some([wins, losses, ties, forfeits]) = stats.records {
        tag = tag.with("WINS", wins).with("LOSSES", losses);
        tag = tag.with("TIES", ties).with("FORFEITS", forfeits);
    }
    tag = tag.maybe("RATING", stats.rating.map(whole));
    tag.maybe("HIGHSCORE", stats.highscore).empty();
}

fn write_table(table: &TableView, pen: &mut Pen<'_>) {
    let tag = pen.tag("TABLE").with("ID", table.id.0);
    let tag = tag.with("GAME", table.game.0);
    let tag = tag.with("STATUS", table.status as i32);
    tag.with("SEATS", table.seats.len()).open();
    pen.field("DESC", &table.description);
    for (number, seat) in (0..).zip(&table.seats) {
        write_seat(number, seat, pen);
    }
    for (number, name) in (0..).zip(&table.spectators) {
        if let Some(name) = name {
            write_spectator(number, name, pen);
        }
    }
    pen.close("TABLE");
}

fn write_spectator(number: u32, name: &str, pen: &mut Pen<'_>) {
    pen.tag("SPECTATOR").with("NUM", number).text(name);
}

fn write_update(update: &Update, pen: &mut Pen<'_>) {
    match update {
        Update::PlayerAdd {
            room,
            player,
            from_room,
        } => {
            let from = or_none(from_room.map(|room| room.0));
            open("player", "add", *room, pen)
                .with("FROMROOM", from)
                .open();
            write_player(player, pen);
        }
        Update::PlayerDelete {
            room,
            name,
            to_room,
        } => {
            let to = or_none(to_room.map(|room| room.0));
            open("player", "delete", *room, pen)
                .with("TOROOM", to)
                .open();
            pen.tag("PLAYER").with("ID", name).empty();
        }
        Update::PlayerLag { room, name, lag } => {
            open("player", "lag", *room, pen).open();
            pen.tag("PLAYER").with("ID", name).with("LAG", lag).empty();
        }
        Update::PlayerStats { room, name, stats } => {
            open("player", "stats", *room, pen).open();
            write_stats(stats, pen.tag("PLAYER").with("ID", name));
        }
        Update::PlayerPerms {
            room,
            name,
            kind,
            permissions,
        } => {
            open("player", "perms", *room, pen).open();
            let tag = pen.tag("PLAYER").with("ID", name);
            tag.with("TYPE", kind).with("PERMS", permissions).empty();
        }
        Update::TableAdd { room, table } => {
            open("table", "add", *room, pen).open();
            write_table(table, pen);
        }
        Update::TableResize { room, table } => {
            open("table", "resize", *room, pen).open();
            write_table(table, pen);
        }
        Update::TableDelete { room, table, seats } => {
            open("table", "delete", *room, pen).open();
            write_status(*table, TableStatus::Gone, *seats, pen);
        }
        Update::TableStatus {
            room,
            table,
            status,
            seats,
        } => {
            open("table", "status", *room, pen).open();
            write_status(*table, *status, *seats, pen);
        }
        Update::TableJoin {
            room,
            table,
            place,
            name,
            seats,
        } => {
            open("table", "join", *room, pen).open();
            write_place(*table, *place, name, *seats, pen);
        }
        Update::TableLeave {
            room,
            table,
            place,
            name,
            seats,
        } => {
            open("table", "leave", *room, pen).open();
            write_place(*table, *place, name, *seats, pen);
        }
        Update::TableSeat {
            room,
            table,
            number,
            seat,
            seats,
        } => {
            open("table", "seat", *room, pen).open();
            let tag = pen.tag("TABLE").with("ID", table.0);
            tag.with("SEATS", seats).open();
            write_seat(*number, seat, pen);
            pen.close("TABLE");
        }
        Update::TableDesc {
            room,
            table,
            description,
            seats: _,
        } => {
            open("table", "desc", *room, pen).open();
            pen.tag("TABLE").with("ID", table.0).open();
            pen.field("DESC", description);
            pen.close("TABLE");
        }
        Update::RoomPlayers { room, players } => {
            open_room("players", pen);
            let tag = pen.tag("ROOM").with("ID", room.0);
            tag.with("PLAYERS", players).empty();
        }
        Update::RoomAdd { room } => {
            open_room("add", pen);
            write_room(room, pen);
        }
        Update::RoomClose { room } => {
            open_room("close", pen);
            pen.tag("ROOM").with("ID", room.0).empty();
        }
        Update::RoomDelete { room } => {
            open_room("delete", pen);
            pen.tag("ROOM").with("ID", room.0).empty();
        }
    }
    pen.close("UPDATE");
}

fn open<'a>(
    of: &'static str,
    action: &'static str,
    room: RoomId,
    pen: &'a mut Pen<'_>,
) -> super::pen::Tag<'a> {
    let tag = pen.tag("UPDATE").with("TYPE", of);
    tag.with("ACTION", action).with("ROOM", room.0)
}

fn open_room(action: &'static str, pen: &mut Pen<'_>) {
    let tag = pen.tag("UPDATE").with("TYPE", "room");
    tag.with("ACTION", action).open();
}

fn write_status(table: TableId, status: TableStatus, seats: u32, pen: &mut Pen<'_>) {
    let tag = pen.tag("TABLE").with("ID", table.0);
    tag.with("STATUS", status as i32)
        .with("SEATS", seats)
        .empty();
}

fn write_place(table: TableId, place: Place, name: &str, seats: u32, pen: &mut Pen<'_>) {
    let tag = pen.tag("TABLE").with("ID", table.0);
    match place {
        Place::Seat(number) => {
            tag.with("SEATS", seats).open();
            let seat = Seat {
                kind: SeatKind::Player,
                name: Some(name.to_owned()),
            };
            write_seat(number, &seat, pen);
        }
        Place::Spectator(number) => {
            tag.with("SPECTATORS", seats).open();
            write_spectator(number, name, pen);
        }
    }
    pen.close("TABLE");
}

/// The number, or the wire's -1.
fn or_none(number: Option<u32>) -> i64 {
    number.map_or(-1, i64::from)
}

/// As the wire shows ratings and scores.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a rating has four digits; what is beyond 64 bits is cut to them"
)]
fn whole(number: f64) -> i64 {
    number.round() as i64
}
