//! Requests, from elements and to bytes.

use super::{
    element::{Element, Field},
    numbers::MOST,
    pen::Pen,
    request::{AdminAction, Change, ListOf, Login, LoginKind, Refusal, Request, Reseat},
    terms::{Action, ChatKind, Code, GameId, Permission, RoomId, Seat, SeatKind, TableId},
};
use crate::accounts::Secret;

impl Request {
    /// What the element asks for, or what to answer when it cannot be asked for. Nothing is known here of who asks: before
    /// a login a refusal of anything but a login or a channel is `not logged in`, whatever its own code is.
    pub fn decode(element: &Element) -> Result<Self, Refusal> {
        let name = element.name.to_ascii_uppercase();
        let refuse = |action| {
            move || Refusal {
                action,
                code: Code::BadOptions,
            }
        };
        let done = match name.as_str() {
            "LANGUAGE" => Some(Self::Language {
                language: element.text.clone(),
            }),
            "LOGIN" => return login(element).ok_or_else(refuse(Action::Login)),
            "CHANNEL" => return channel(element).ok_or_else(refuse(Action::Channel)),
            "TLS_START" => Some(Self::TlsStart),
            "LIST" => return list(element).ok_or_else(refuse(Action::List)),
            "ENTER" => {
                let room = element.count("ROOM").map(RoomId);
                let room = room.ok_or_else(refuse(Action::Enter))?;
                Some(Self::Enter { room })
            }
            "CHAT" => Some(chat(element)),
            "LAUNCH" => return launch(element).ok_or_else(refuse(Action::Launch)),
            "JOIN" => return join(element).ok_or_else(refuse(Action::Join)),
            "LEAVE" => Some(Self::Leave {
                force: element.truth("FORCE").unwrap_or(false),
                spectator: element.truth("SPECTATOR").unwrap_or(false),
            }),
            "RESEAT" => return reseat(element).ok_or_else(refuse(Action::Reseat)),
            "UPDATE" => return update(element).ok_or_else(refuse(Action::Update)),
            "INFO" => {
                let seat = seat(element).ok_or_else(refuse(Action::Info))?;
                Some(Self::Info { seat })
            }
            "RANKINGS" => Some(Self::Rankings),
            "MOTD" => Some(Self::Motd),
            "PING" => Some(Self::Ping {
                id: element.attribute("ID").map(str::to_owned),
            }),
            "PONG" => Some(Self::Pong),
            "ADMIN" => return admin(element).ok_or_else(refuse(Action::Admin)),
            "ADMINPERM" => return admin_perm(element).ok_or_else(refuse(Action::Admin)),
            "TOKEN" => Some(Self::Token),
            _ => None,
        };
        Ok(done.unwrap_or(Self::Unknown))
    }

    /// The bytes that a client sends; none for what is [`Request::Unknown`].
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut pen = Pen(out);
        match self {
            Self::Language { language } => pen.field("LANGUAGE", language),
            Self::Login(login) => write_login(login, &mut pen),
            Self::Channel { name, token } => {
                let tag = pen.tag("CHANNEL").with("ID", name);
                tag.maybe("TOKEN", token.as_ref()).empty();
            }
            Self::TlsStart => pen.empty("TLS_START"),
            Self::End => pen.close("SESSION"),
            Self::List { what, full, room } => {
                let tag = pen.tag("LIST").with("TYPE", what).with("FULL", full);
                tag.maybe("ROOM", room.map(|room| room.0)).empty();
            }
            Self::Enter { room } => pen.tag("ENTER").with("ROOM", room.0).empty(),
            Self::Chat { kind, to, text } => {
                let tag = pen.tag("CHAT");
                let tag = tag.with("TYPE", kind.map_or("", ChatKind::word));
                let tag = tag.maybe("TO", to.as_ref());
                tag.maybe_text(Some(text.as_str()).filter(|text| !text.is_empty()));
            }
            Self::Launch {
                game,
                description,
                seats,
            } => {
                pen.open("LAUNCH");
                let tag = pen.tag("TABLE").with("GAME", game.0);
                tag.with("SEATS", seats.len()).open();
                pen.field("DESC", description);
                for (number, seat) in (0..).zip(seats) {
                    if let Some(seat) = seat {
                        write_seat(number, seat, &mut pen);
                    }
                }
                pen.close("TABLE");
                pen.close("LAUNCH");
            }
            Self::Join {
                table,
                spectator,
                seat,
            } => {
                let tag = pen.tag("JOIN").with("TABLE", table.0);
                let tag = tag.with("SPECTATOR", spectator);
                tag.maybe("SEAT", *seat).empty();
            }
            Self::Leave { force, spectator } => {
                let tag = pen.tag("LEAVE").with("FORCE", force);
                tag.with("SPECTATOR", spectator).empty();
            }
            Self::Reseat { action, seat } => {
                let tag = pen.tag("RESEAT").with("ACTION", action);
                tag.maybe("SEAT", *seat).empty();
            }
            Self::Update {
                room,
                table,
                change,
            } => write_update(*room, *table, change, &mut pen),
            Self::Info { seat } => pen.tag("INFO").maybe("SEAT", *seat).empty(),
            Self::Rankings => pen.empty("RANKINGS"),
            Self::Motd => pen.empty("MOTD"),
            Self::Ping { id } => pen.tag("PING").maybe("ID", id.as_ref()).empty(),
            Self::Pong => pen.empty("PONG"),
            Self::Admin {
                action,
                player,
                reason,
            } => {
                let tag = pen.tag("ADMIN").with("ACTION", action);
                let tag = tag.with("PLAYER", player);
                match reason {
                    None => tag.empty(),
                    Some(reason) => {
                        tag.open();
                        pen.field("REASON", reason);
                        pen.close("ADMIN");
                    }
                }
            }
            Self::AdminPerm {
                player,
                permission,
                value,
            } => {
                let tag = pen.tag("ADMINPERM").with("PLAYER", player);
                let tag = tag.with("PERM", permission.name());
                tag.with("VALUE", value).empty();
            }
            Self::Token => pen.empty("TOKEN"),
            Self::Unknown => {}
        }
    }

    /// The first bytes of a client: the declaration and `<SESSION>`.
    pub fn greet(out: &mut Vec<u8>) {
        let mut pen = Pen(out);
        pen.raw("<?xml version='1.0' encoding='UTF-8'?>\n");
        pen.open("SESSION");
    }
}

fn login(element: &Element) -> Option<Request> {
    let kind = match element.attribute("TYPE") {
        None => LoginKind::Guest,
        Some(kind) => kind.parse().ok()?,
    };
    let login = Login {
        kind,
        name: element.field("NAME")?.to_owned(),
        password: element.field("PASSWORD").map(Secret::new),
        email: element.field("EMAIL").map(str::to_owned),
    };
    let is_complete = kind != LoginKind::Normal || login.password.is_some();
    is_complete.then_some(Request::Login(login))
}

fn channel(element: &Element) -> Option<Request> {
    let name = element.attribute("ID").filter(|name| !name.is_empty())?;
    Some(Request::Channel {
        name: name.to_owned(),
        token: element.attribute("TOKEN").map(str::to_owned),
    })
}

fn list(element: &Element) -> Option<Request> {
    Some(Request::List {
        what: element.attribute("TYPE")?.parse::<ListOf>().ok()?,
        full: element.truth("FULL").unwrap_or(false),
        room: room(element)?,
    })
}

fn chat(element: &Element) -> Request {
    let kind = element.attribute("TYPE");
    Request::Chat {
        kind: kind.map_or(Some(ChatKind::Normal), |kind| kind.parse().ok()),
        to: element.attribute("TO").map(str::to_owned),
        text: element.text.clone(),
    }
}

fn launch(element: &Element) -> Option<Request> {
    let table = element.child("TABLE")?;
    let count = table.count("SEATS").filter(|count| *count <= MOST)?;
    let mut seats = vec![None; usize::try_from(count).ok()?];
    if seats.is_empty() {
        return None;
    }
    let mut said = seats.iter().map(|_| false).collect::<Vec<_>>();
    for element in table.all("SEAT") {
        let number = usize::try_from(element.count("NUM")?).ok()?;
        if std::mem::replace(said.get_mut(number)?, true) {
            return None;
        }
        seats[number] = open_bot_or_reserved(element);
    }
    Some(Request::Launch {
        game: GameId(table.count("GAME")?),
        description: table.field("DESC").unwrap_or_default().to_owned(),
        seats,
    })
}

/// What a client may make of a seat; none for anything else.
fn open_bot_or_reserved(element: &Element) -> Option<Seat> {
    let kind = element.attribute("TYPE")?.parse().ok()?;
    let name = match kind {
        SeatKind::Open => None,
        SeatKind::Bot | SeatKind::Reserved => {
            let name = element.text.trim();
            (!name.is_empty()).then(|| name.to_owned())
        }
        SeatKind::None | SeatKind::Player | SeatKind::Abandoned => return None,
    };
    Some(Seat { kind, name })
}

fn join(element: &Element) -> Option<Request> {
    Some(Request::Join {
        table: TableId(element.count("TABLE")?),
        spectator: element.truth("SPECTATOR").unwrap_or(false),
        seat: seat(element)?,
    })
}

fn reseat(element: &Element) -> Option<Request> {
    Some(Request::Reseat {
        action: element.attribute("ACTION")?.parse::<Reseat>().ok()?,
        seat: seat(element)?,
    })
}

fn update(element: &Element) -> Option<Request> {
    if !element.attribute("TYPE")?.eq_ignore_ascii_case("table") {
        return None;
    }
    let table = element.child("TABLE")?;
    let action = element.attribute("ACTION")?.to_ascii_lowercase();
    let change = match action.as_str() {
        "desc" => Change::Desc(table.child("DESC")?.text.clone()),
        "seat" => {
            let seat = only(table.all("SEAT"))?;
            let number = seat.count("NUM").filter(|number| *number < MOST)?;
            // When it is said how many seats the table has, this has to be one of them.
            let is_one = match table.number("SEATS") {
                Field::Absent => true,
                Field::Malformed => false,
                Field::Is(seats) => i64::from(number) < seats,
            };
            let seat = is_one.then(|| open_bot_or_reserved(seat))??;
            Change::Seat(number, seat)
        }
        "boot" => {
            let name = only(table.all("SEAT"))?.text.trim();
            Change::Boot(Some(name).filter(|name| !name.is_empty())?.to_owned())
        }
        _ => return None,
    };
    Some(Request::Update {
        room: room(element)?,
        table: TableId(table.count("ID")?),
        change,
    })
}

fn admin(element: &Element) -> Option<Request> {
    let player = element.attribute("PLAYER");
    Some(Request::Admin {
        action: element.attribute("ACTION")?.parse::<AdminAction>().ok()?,
        player: player.filter(|player| !player.is_empty())?.to_owned(),
        reason: element.field("REASON").map(str::to_owned),
    })
}

fn admin_perm(element: &Element) -> Option<Request> {
    let player = element.attribute("PLAYER");
    Some(Request::AdminPerm {
        player: player.filter(|player| !player.is_empty())?.to_owned(),
        permission: Permission::named(element.attribute("PERM")?)?,
        value: element.truth("VALUE")?,
    })
}

/// A SEAT attribute: none when there is none that it names, as the original's clients say with -1.
#[expect(
    clippy::option_option,
    reason = "outside: whether it can be read; inside: whether it is there"
)]
fn seat(element: &Element) -> Option<Option<u32>> {
    optional(element, "SEAT")
}

#[expect(
    clippy::option_option,
    reason = "outside: whether it can be read; inside: whether it is there"
)]
fn room(element: &Element) -> Option<Option<RoomId>> {
    Some(optional(element, "ROOM")?.map(RoomId))
}

#[expect(
    clippy::option_option,
    reason = "outside: whether it can be read; inside: whether it is there"
)]
fn optional(element: &Element, name: &str) -> Option<Option<u32>> {
    match element.number(name) {
        Field::Absent | Field::Is(-1) => Some(None),
        Field::Malformed => None,
        Field::Is(number) => u32::try_from(number).ok().map(Some),
    }
}

fn only<T>(mut several: impl Iterator<Item = T>) -> Option<T> {
    let one = several.next();
    one.filter(|_| several.next().is_none())
}

fn write_login(login: &Login, pen: &mut Pen<'_>) {
    pen.tag("LOGIN").with("TYPE", login.kind).open();
    pen.field("NAME", &login.name);
    if let Some(password) = &login.password {
        pen.field("PASSWORD", password.clear());
    }
    if let Some(email) = &login.email {
        pen.field("EMAIL", email);
    }
    pen.close("LOGIN");
}

fn write_update(room: Option<RoomId>, table: TableId, change: &Change, pen: &mut Pen<'_>) {
    let action = match change {
        Change::Desc(_) => "desc",
        Change::Seat(..) => "seat",
        Change::Boot(_) => "boot",
    };
    let tag = pen.tag("UPDATE").with("TYPE", "table");
    let tag = tag.with("ACTION", action);
    tag.maybe("ROOM", room.map(|room| room.0)).open();
    let tag = pen.tag("TABLE").with("ID", table.0);
    match change {
        Change::Desc(description) => {
            tag.open();
            pen.field("DESC", description);
        }
        Change::Seat(number, seat) => {
            tag.with("SEATS", u64::from(*number) + 1).open();
            write_seat(*number, seat, pen);
        }
        Change::Boot(name) => {
            tag.with("SEATS", 1).open();
            let tag = pen.tag("SEAT").with("NUM", 0);
            tag.with("TYPE", SeatKind::Player).text(name);
        }
    }
    pen.close("TABLE");
    pen.close("UPDATE");
}

/// One seat, as both sides write it.
pub(super) fn write_seat(number: u32, seat: &Seat, pen: &mut Pen<'_>) {
    let tag = pen.tag("SEAT").with("NUM", number);
    tag.with("TYPE", seat.kind).maybe_text(seat.name.as_deref());
}
