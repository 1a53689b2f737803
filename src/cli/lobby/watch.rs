//! What happens in the lobby, in a line each.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use serde::Deserialize;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use super::{
    only,
    show::{names, seats},
};
use crate::{
    cli::{Session, fault::Fault, print::note, text},
    lobby::{
        News,
        wire::{
            push::{Place, Push, Update},
            terms::{RoomId, TableStatus},
        },
    },
};

/// What comes over the WebSocket.
#[derive(Deserialize)]
#[serde(untagged)]
enum Heard {
    News(Box<News>),
    Lagged { missed: u64 },
}

/// Prints what happens; never ends well by itself.
pub(super) async fn run(session: &Session, room: Option<&str>) -> Result<(), Fault> {
    let path = format!("/lobby/live{}", only(session, room).await?);
    let mut live = session.control.live(&path).await?;
    let mut known = match session.out.json {
        true => BTreeMap::new(),
        false => names(session).await?,
    };
    while let Some(message) = live.next().await {
        match message.map_err(|_| Fault::Cut)? {
            Message::Text(raw) if session.out.json => session.out.line(&raw)?,
            Message::Text(raw) => match serde_json::from_str(&raw) {
                Ok(Heard::News(news)) => {
                    if let Some(line) = tell(&mut known, *news) {
                        session.out.line(&line)?;
                    }
                }
                Ok(Heard::Lagged { missed }) => note(&format!("{missed} events were missed")),
                Err(error) => return Err(Fault::Garbage(error.to_string())),
            },
            Message::Close(Some(close)) if close.code == CloseCode::Normal => return Ok(()),
            Message::Close(_) => break,
            _ => {}
        }
    }
    Err(Fault::Cut)
}

/// `chess: ada says: hello`; none: of no interest to people.
fn tell(known: &mut BTreeMap<RoomId, String>, news: News) -> Option<String> {
    if let Push::Update(Update::RoomAdd { room }) = &news.push {
        known.insert(room.id, room.ref_name.clone());
    }
    let what = match news.push {
        Push::Chat { from, text, .. } => format!("{from} says: {}", text.unwrap_or_default()),
        Push::Update(update) => happened(update)?,
        _ => return None,
    };
    let place = match news.room {
        Some(room) => known.get(&room).cloned(),
        None => Some("all".into()),
    };
    let place = place.or_else(|| news.room.map(|room| room.0.to_string()));
    Some(text::plain(&format!("{}: {what}", place?)))
}

fn happened(update: Update) -> Option<String> {
    let sits = |place: &Place| match place {
        Place::Seat(_) => "plays",
        Place::Spectator(_) => "watches",
    };
    Some(match update {
        Update::PlayerAdd { player, .. } => format!("{} comes in", player.name),
        Update::PlayerDelete { name, .. } => format!("{name} leaves"),
        Update::TableAdd { table, .. } => {
            format!("table {}: {}", table.id.0, seats(&table.seats))
        }
        Update::TableDelete { table, .. } => format!("table {} is gone", table.0),
        Update::TableStatus { table, status, .. } => {
            let status = match status {
                TableStatus::Gone => "is gone",
                TableStatus::Created => "begins",
                TableStatus::Waiting => "waits for players",
                TableStatus::Playing => "is being played",
                TableStatus::Done => "is done",
            };
            format!("table {} {status}", table.0)
        }
        Update::TableJoin {
            table, place, name, ..
        } => {
            format!("{name} {} at table {}", sits(&place), table.0)
        }
        Update::TableLeave {
            table, place, name, ..
        } => {
            format!("{name} {} no more at table {}", sits(&place), table.0)
        }
        Update::TableDesc {
            table, description, ..
        } => {
            format!("table {} is called {description}", table.0)
        }
        Update::RoomAdd { room } => format!("room {} opens", room.ref_name),
        Update::RoomClose { room } => format!("room {} closes", room.0),
        Update::RoomDelete { room } => format!("room {} is gone", room.0),
        Update::PlayerLag { .. }
        | Update::PlayerStats { .. }
        | Update::PlayerPerms { .. }
        | Update::TableSeat { .. }
        | Update::TableResize { .. }
        | Update::RoomPlayers { .. } => return None,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_happens_is_told_in_words_and_cannot_command_the_terminal() {
        let mut known = BTreeMap::from([(RoomId(3), "chess".into())]);
        for (news, line) in [
            (
                json!({"room": 3, "heard": {"push": "chat", "kind": "normal", "from": "ada", "text": "hi\u{1b}"}}),
                Some("chess: ada says: hi\\x1b"),
            ),
            (
                json!({"room": null, "heard": {"push": "chat", "kind": "announce", "from": "ada", "text": "hi"}}),
                Some("all: ada says: hi"),
            ),
            (
                json!({"room": 3, "heard": {"push": "update", "update": "table_join", "room": 3, "table": 2, "place": {"seat": 0}, "name": "bob", "seats": 2}}),
                Some("chess: bob plays at table 2"),
            ),
            (
                json!({"room": 3, "heard": {"push": "update", "update": "player_lag", "room": 3, "name": "bob", "lag": 2}}),
                None,
            ),
        ] {
            let Ok(Heard::News(news)) = serde_json::from_value(news.clone()) else {
                panic!("these are news: {news}");
            };
            assert_eq!(tell(&mut known, *news).as_deref(), line);
        }
    }
}
