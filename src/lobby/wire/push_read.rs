//! Pushes, from elements: the client's half.

use super::{
    element::{Element, Field},
    push::{
        About, Body, GameView, Hello, PlayerView, Push, Ranking, RoomView, SeatInfo, Stats,
        TableView,
    },
    push_write::VERSION,
    terms::{
        Action, Code, GameId, Permissions, PlayerKind, RoomId, Seat, SeatKind, TableId, TableStatus,
    },
    update_read::update,
};
use crate::accounts::Secret;

/// What a server said that makes no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PushError {
    /// It is not version 10.
    #[error("the server speaks version {0:?} of the protocol, and not 10")]
    Version(String),
    /// An attribute is missing, or not what it has to be.
    #[error("{element} without a good {attribute}")]
    Attribute {
        /// Of which element.
        element: String,
        /// Which one.
        attribute: &'static str,
    },
    /// An element is missing.
    #[error("{element} without {child}")]
    Child {
        /// Within which element.
        element: String,
        /// Which one.
        child: &'static str,
    },
    /// A number that is larger than anything it may count.
    #[error("{element} with {number} places")]
    Places {
        /// Which element.
        element: String,
        /// How many it says.
        number: u32,
    },
}

/// Places at one table.
const PLACES: u32 = 4096;

impl Push {
    /// What the element says; none for elements, results and updates that are not known here.
    pub fn decode(element: &Element) -> Result<Option<Self>, PushError> {
        let name = element.name.to_ascii_uppercase();
        Ok(Some(match name.as_str() {
            "SERVER" => Self::Hello(hello(element)?),
            "RESULT" => return result(element),
            "MOTD" => Self::Motd {
                text: element.text.clone(),
                url: element
                    .attribute("URL")
                    .filter(|url| !url.is_empty())
                    .map(str::to_owned),
            },
            "CHAT" => Self::Chat {
                kind: element.attribute("TYPE").and_then(|kind| kind.parse().ok()),
                from: text(element, "FROM")?,
                text: Some(element.text.clone()).filter(|text| !text.is_empty()),
            },
            "PING" => Self::Ping,
            "PONG" => Self::Pong {
                id: element.attribute("ID").map(str::to_owned),
            },
            "JOIN" => Self::Join {
                table: TableId(count(element, "TABLE")?),
                spectator: element.truth("SPECTATOR").unwrap_or(false),
            },
            "LEAVE" => Self::Leave {
                reason: word(element, "REASON")?,
                player: element.attribute("PLAYER").map(str::to_owned),
            },
            "UPDATE" => return Ok(update(element)?.map(Self::Update)),
            "INFO" => Self::Info {
                seats: each(element, "PLAYERINFO", seat_info)?,
            },
            "RANKINGS" => Self::Rankings {
                rankings: each(element, "RANKING", ranking)?,
            },
            "TOKEN" => Self::Token {
                token: element.text.clone(),
            },
            _ => return Ok(None),
        }))
    }
}

fn hello(element: &Element) -> Result<Hello, PushError> {
    let protocol = text(element, "VERSION")?;
    if protocol != VERSION {
        return Err(PushError::Version(protocol));
    }
    let says = |name: &str, word: &str| {
        let value = element.attribute(name);
        value.is_some_and(|value| value.eq_ignore_ascii_case(word))
    };
    let id = element.attribute("ID").unwrap_or_default();
    let options = element.child("OPTIONS");
    let chat_length = options.and_then(|options| options.count("CHATLEN"));
    Ok(Hello {
        name: element.attribute("NAME").unwrap_or_default().to_owned(),
        version: id.strip_prefix("GGZ-").unwrap_or(id).to_owned(),
        tls: says("TLS_SUPPORT", "yes"),
        chat_length: chat_length.unwrap_or(512),
        full: says("STATUS", "full"),
    })
}

fn result(element: &Element) -> Result<Option<Push>, PushError> {
    let Ok(action) = text(element, "ACTION")?.parse::<Action>() else {
        return Ok(None);
    };
    let code = element.attribute("CODE").unwrap_or_default();
    let code = match code.is_empty() {
        true => Code::Ok,
        false => code.parse().unwrap_or(Code::Unknown),
    };
    let body = match (element.child("PASSWORD"), element.child("LIST")) {
        (Some(password), _) => Body::Password(Secret::new(&password.text)),
        (None, Some(list)) => match text(list, "TYPE")?.to_ascii_lowercase().as_str() {
            "game" => Body::Games(each(list, "GAME", game)?),
            "room" => Body::Rooms(each(list, "ROOM", room)?),
            "player" => Body::Players(room_id(list)?, each(list, "PLAYER", player)?),
            "table" => Body::Tables(room_id(list)?, each(list, "TABLE", table)?),
            _ => return Ok(None),
        },
        (None, None) => Body::None {},
    };
    Ok(Some(Push::Result { action, code, body }))
}

fn game(element: &Element) -> Result<GameView, PushError> {
    let protocol = child(element, "PROTOCOL")?;
    let allow = child(element, "ALLOW")?;
    let numbers = |name: &'static str| {
        let numbers = allow.attribute(name).unwrap_or_default().parse();
        numbers.map_err(|_| wrong(allow, name))
    };
    let about = element.child("ABOUT").map(|about| About {
        author: about.attribute("AUTHOR").unwrap_or_default().to_owned(),
        url: about.attribute("URL").unwrap_or_default().to_owned(),
        description: element.field("DESC").unwrap_or_default().to_owned(),
    });
    Ok(GameView {
        id: GameId(count(element, "ID")?),
        name: text(element, "NAME")?,
        version: element.attribute("VERSION").unwrap_or_default().to_owned(),
        engine: text(protocol, "ENGINE")?,
        engine_version: text(protocol, "VERSION")?,
        players: numbers("PLAYERS")?,
        bots: numbers("BOTS")?,
        spectators: allow.truth("SPECTATORS").unwrap_or(false),
        peers: allow.truth("PEERS").unwrap_or(false),
        named_bots: each(element, "BOT", |bot| {
            let class = bot.attribute("CLASS").unwrap_or_default();
            Ok((text(bot, "NAME")?, class.to_owned()))
        })?,
        about,
    })
}

pub(super) fn room(element: &Element) -> Result<RoomView, PushError> {
    let name = text(element, "NAME")?;
    Ok(RoomView {
        id: RoomId(count(element, "ID")?),
        ref_name: element.attribute("REFNAME").unwrap_or(&name).to_owned(),
        name,
        game: or_none(element, "GAME")?.map(GameId),
        players: element.count("PLAYERS").unwrap_or(0),
        description: element.child("DESC").map(|desc| desc.text.clone()),
    })
}

pub(super) fn player(element: &Element) -> Result<PlayerView, PushError> {
    Ok(PlayerView {
        name: text(element, "ID")?,
        kind: kind(element),
        table: or_none(element, "TABLE")?.map(TableId),
        permissions: permissions(element),
        lag: lag(element)?,
        stats: stats(element),
    })
}

pub(super) fn kind(element: &Element) -> PlayerKind {
    let kind = element.attribute("TYPE").and_then(|kind| kind.parse().ok());
    kind.unwrap_or(PlayerKind::Unknown)
}

pub(super) fn permissions(element: &Element) -> Permissions {
    Permissions::from_bits(element.count("PERMS").unwrap_or(0))
}

pub(super) fn lag(element: &Element) -> Result<u8, PushError> {
    let lag = element.count("LAG").unwrap_or(1);
    u8::try_from(lag).map_err(|_| wrong(element, "LAG"))
}

pub(super) fn stats(element: &Element) -> Stats {
    let records = ["WINS", "LOSSES", "TIES", "FORFEITS"].map(|name| element.count(name));
    let number = |name: &str| match element.number(name) {
        Field::Is(number) => Some(number),
        Field::Absent | Field::Malformed => None,
    };
    Stats {
        records: match records {
            [Some(wins), Some(losses), Some(ties), Some(forfeits)] => {
                Some([wins, losses, ties, forfeits])
            }
            _ => None,
        },
        rating: number("RATING").map(real),
        highscore: number("HIGHSCORE"),
    }
}

pub(super) fn table(element: &Element) -> Result<TableView, PushError> {
    let mut seats = places(
        element,
        count(element, "SEATS")?,
        Seat {
            kind: SeatKind::None,
            name: None,
        },
    )?;
    for one in element.all("SEAT") {
        let number = usize::try_from(count(one, "NUM")?).ok();
        let place = number.and_then(|number| seats.get_mut(number));
        *place.ok_or_else(|| wrong(one, "NUM"))? = seat(one)?;
    }
    let numbers = each(element, "SPECTATOR", |one| count(one, "NUM"))?;
    let most = numbers.iter().max();
    let most = most.map_or(0, |number| number.saturating_add(1));
    let mut spectators = places(element, most, None)?;
    for (number, one) in numbers.iter().zip(element.all("SPECTATOR")) {
        let number = usize::try_from(*number).map_err(|_| wrong(one, "NUM"))?;
        spectators[number] = Some(one.text.clone());
    }
    Ok(TableView {
        id: TableId(count(element, "ID")?),
        game: GameId(count(element, "GAME")?),
        status: status(element)?,
        description: element.field("DESC").unwrap_or_default().to_owned(),
        seats,
        spectators,
    })
}

fn places<T: Clone>(element: &Element, number: u32, empty: T) -> Result<Vec<T>, PushError> {
    match usize::try_from(number) {
        Ok(length) if number <= PLACES => Ok(vec![empty; length]),
        _ => Err(PushError::Places {
            element: element.name.clone(),
            number,
        }),
    }
}

pub(super) fn seat(element: &Element) -> Result<Seat, PushError> {
    Ok(Seat {
        kind: word(element, "TYPE")?,
        name: Some(element.text.clone()).filter(|name| !name.is_empty()),
    })
}

pub(super) fn status(element: &Element) -> Result<TableStatus, PushError> {
    match element.number("STATUS") {
        Field::Is(-1) => Ok(TableStatus::Gone),
        Field::Is(0) => Ok(TableStatus::Created),
        Field::Is(1) => Ok(TableStatus::Waiting),
        Field::Is(2) => Ok(TableStatus::Playing),
        Field::Is(3) => Ok(TableStatus::Done),
        _ => Err(wrong(element, "STATUS")),
    }
}

fn seat_info(element: &Element) -> Result<SeatInfo, PushError> {
    let said = |name| element.attribute(name).unwrap_or_default().to_owned();
    Ok(SeatInfo {
        seat: count(element, "SEAT")?,
        real_name: said("REALNAME"),
        photo: said("PHOTO"),
        host: said("HOST"),
    })
}

fn ranking(element: &Element) -> Result<Ranking, PushError> {
    let score = match element.number("SCORE") {
        Field::Is(score) => real(score),
        Field::Absent | Field::Malformed => return Err(wrong(element, "SCORE")),
    };
    Ok(Ranking {
        position: count(element, "POSITION")?,
        player: text(element, "PLAYER")?,
        score,
    })
}

fn each<T>(
    element: &Element,
    name: &str,
    read: impl Fn(&Element) -> Result<T, PushError>,
) -> Result<Vec<T>, PushError> {
    element.all(name).map(read).collect()
}

pub(super) fn child<'a>(
    element: &'a Element,
    name: &'static str,
) -> Result<&'a Element, PushError> {
    element.child(name).ok_or_else(|| PushError::Child {
        element: element.name.clone(),
        child: name,
    })
}

pub(super) fn text(element: &Element, name: &'static str) -> Result<String, PushError> {
    let text = element.attribute(name).map(str::to_owned);
    text.ok_or_else(|| wrong(element, name))
}

fn word<T: std::str::FromStr>(element: &Element, name: &'static str) -> Result<T, PushError> {
    let word = element.attribute(name).and_then(|word| word.parse().ok());
    word.ok_or_else(|| wrong(element, name))
}

pub(super) fn count(element: &Element, name: &'static str) -> Result<u32, PushError> {
    element.count(name).ok_or_else(|| wrong(element, name))
}

pub(super) fn room_id(element: &Element) -> Result<RoomId, PushError> {
    count(element, "ROOM").map(RoomId)
}

/// A number, or none when it is -1 or not there.
pub(super) fn or_none(element: &Element, name: &'static str) -> Result<Option<u32>, PushError> {
    match element.number(name) {
        Field::Absent | Field::Is(-1) => Ok(None),
        Field::Malformed => Err(wrong(element, name)),
        Field::Is(number) => {
            let number = u32::try_from(number);
            number.map(Some).map_err(|_| wrong(element, name))
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "ratings and scores are far below 2^52"
)]
fn real(number: i64) -> f64 {
    number as f64
}

fn wrong(element: &Element, attribute: &'static str) -> PushError {
    PushError::Attribute {
        element: element.name.clone(),
        attribute,
    }
}
