//! The verbs around the lobby.

mod show;
mod watch;

use std::{io::Read as _, path::Path};

use hyper::Method;
use serde_json::{Value, json};

use super::{
    Session,
    args::{Lobby, Offender, What},
    control::query,
    fault::Fault,
    print::note,
    text,
};
use crate::lobby::{Launched, RoomView, SavedGame};

/// Bytes of a definition that are read; the daemon takes fewer.
const LONGEST: u64 = 1 << 20;

pub(crate) async fn run(session: &Session, verb: Lobby) -> Result<(), Fault> {
    match verb {
        Lobby::Rooms => show::rooms(session).await,
        Lobby::Players => show::players(session).await,
        Lobby::Tables { room } => show::tables(session, room.as_deref()).await,
        Lobby::Games => show::games(session).await,
        Lobby::Chat { room, count } => show::chat(session, room.as_deref(), count).await,
        Lobby::Bans => show::bans(session).await,
        Lobby::Rankings { game, count } => show::rankings(session, &game, count).await,
        Lobby::Matches {
            game,
            account,
            count,
        } => show::matches(session, game.as_deref(), account.as_deref(), count).await,
        Lobby::Saved => show::saved(session).await,
        Lobby::Definitions => show::definitions(session).await,
        Lobby::Watch { room } => watch::run(session, room.as_deref()).await,
        Lobby::Say { room, text } => say(session, room.as_deref(), &text).await,
        Lobby::Kick(offender) => order(session, "kick", offender, None, "kicked").await,
        Lobby::Gag(offender) => order(session, "gag", offender, None, "gagged").await,
        Lobby::Ungag(offender) => order(session, "ungag", offender, None, "heard again").await,
        Lobby::Ban {
            offender,
            term,
            always,
        } => {
            // Less than a second is not for good.
            let term = term.map(|term| term.as_secs().max(1));
            let term = term.or(always.then_some(0));
            order(session, "ban", offender, term, "banned").await
        }
        Lobby::Unban { name } => {
            let path = format!("/lobby/bans/{}", query(&name));
            change(session, Method::DELETE, &path, None, "let in again").await
        }
        Lobby::Resume { room, table, file } => resume(session, &room, table, file).await,
        Lobby::Launch {
            room,
            bots,
            open,
            description,
        } => launch(session, &room, (bots, open), &description).await,
        Lobby::End { room, table } => {
            let room = find(session, &room).await?.id.0;
            let path = format!("/lobby/tables/{room}/{table}");
            change(session, Method::DELETE, &path, None, "ended").await
        }
        Lobby::Define { what, name, file } => define(session, what, &name, &file).await,
        Lobby::Remove { what, name } => {
            let path = definition(what, &name);
            change(session, Method::DELETE, &path, None, "removed").await
        }
        Lobby::Forget { what, name } => {
            let path = format!("{}/override", definition(what, &name));
            change(session, Method::DELETE, &path, None, "forgotten").await
        }
    }
}

async fn rooms(session: &Session) -> Result<Vec<RoomView>, Fault> {
    session.control.get("/lobby/rooms").await?.read()
}

/// The room of that number, else the only one of that name or title, in capitals or not.
async fn find(session: &Session, named: &str) -> Result<RoomView, Fault> {
    if let Ok(id) = named.parse::<u32>() {
        let path = format!("/lobby/rooms/{id}");
        return session.control.get(&path).await?.read();
    }
    pick(rooms(session).await?, named)
}

fn pick(rooms: Vec<RoomView>, named: &str) -> Result<RoomView, Fault> {
    let wanted = named.to_lowercase();
    let (mut exact, others): (Vec<_>, Vec<_>) =
        rooms.into_iter().partition(|room| room.name == named);
    if let Some(room) = exact.pop() {
        return Ok(room);
    }
    let fits =
        |room: &RoomView| room.name.to_lowercase() == wanted || room.title.to_lowercase() == wanted;
    let mut found: Vec<_> = others.into_iter().filter(fits).collect();
    match (found.pop(), found.is_empty()) {
        (None, _) => Err(Fault::NoRoom(named.into())),
        (Some(room), true) => Ok(room),
        (Some(last), false) => Err(Fault::Ambiguous {
            kind: "rooms",
            title: named.into(),
            names: found
                .into_iter()
                .chain([last])
                .map(|room| room.name)
                .collect(),
        }),
    }
}

/// `?room=3`, or nothing.
async fn only(session: &Session, room: Option<&str>) -> Result<String, Fault> {
    Ok(match room {
        Some(named) => format!("?room={}", find(session, named).await?.id.0),
        None => String::new(),
    })
}

async fn change(
    session: &Session,
    method: Method,
    path: &str,
    body: Option<&Value>,
    done: &str,
) -> Result<(), Fault> {
    let answer = session.control.send(method, path, body).await?;
    session.out.answer(&answer, || {
        note(done);
        Ok(String::new())
    })
}

async fn say(session: &Session, room: Option<&str>, text: &str) -> Result<(), Fault> {
    let room = match room {
        Some(named) => Some(find(session, named).await?.id),
        None => None,
    };
    let said = json!({ "room": room, "text": text });
    change(session, Method::POST, "/lobby/chat", Some(&said), "said").await
}

async fn order(
    session: &Session,
    action: &str,
    offender: Offender,
    for_s: Option<u64>,
    done: &str,
) -> Result<(), Fault> {
    let Offender { name, reason } = offender;
    let path = format!("/lobby/players/{}/{action}", query(&name));
    let mut why = json!({ "reason": reason });
    if let Some(seconds) = for_s {
        why["for_s"] = seconds.into();
    }
    change(session, Method::POST, &path, Some(&why), done).await
}

/// Where what was launched can be found.
fn stands(session: &Session, answer: &super::control::Answer) -> Result<(), Fault> {
    session.out.answer(answer, || {
        let Launched { room, table } = answer.read()?;
        note(&format!("table {} in room {}", table.0, room.0));
        Ok(format!("{}\n", table.0))
    })
}

async fn launch(
    session: &Session,
    room: &str,
    (bots, open): (u32, u32),
    description: &str,
) -> Result<(), Fault> {
    let room = find(session, room).await?.id;
    let (bots, open) = match (bots, open) {
        (0, 0) => (1, 1),
        named => named,
    };
    let seats = |kind: &str, count| vec![json!({ "kind": kind }); count as usize];
    let seats = [seats("open", open), seats("bot", bots)].concat();
    let wish = json!({ "room": room, "description": description, "seats": seats });
    let sent = session
        .control
        .send(Method::POST, "/lobby/tables", Some(&wish));
    stands(session, &sent.await?)
}

async fn resume(
    session: &Session,
    room: &str,
    table: u32,
    file: Option<String>,
) -> Result<(), Fault> {
    let saved: Vec<SavedGame> = session.control.get("/lobby/savegames").await?.read()?;
    let wanted = |one: &SavedGame| {
        let named = file.as_ref().is_none_or(|file| *file == one.file);
        one.room == room && one.table == table && named && !one.playing
    };
    let newest = saved.into_iter().filter(wanted).max_by_key(|one| one.at);
    let one = newest.ok_or_else(|| Fault::NoSaved {
        room: room.into(),
        table,
    })?;
    let key = json!({ "room": one.room, "table": one.table, "since": one.since, "file": one.file });
    let path = "/lobby/savegames/resume";
    let answer = session.control.send(Method::POST, path, Some(&key)).await?;
    stands(session, &answer)
}

fn definition(what: What, name: &str) -> String {
    let kind = match what {
        What::Room => "rooms",
        What::Game => "tables",
    };
    format!("/lobby/definitions/{kind}/{}", query(name))
}

async fn define(session: &Session, what: What, name: &str, file: &Path) -> Result<(), Fault> {
    let read = || {
        let mut text = String::new();
        match file.to_str() {
            Some("-") => std::io::stdin().take(LONGEST).read_to_string(&mut text)?,
            _ => std::fs::File::open(file)?
                .take(LONGEST)
                .read_to_string(&mut text)?,
        };
        Ok(text)
    };
    let toml = read().map_err(|source| Fault::File {
        path: file.into(),
        source,
    })?;
    let (path, body) = (definition(what, name), json!({ "toml": toml }));
    let done = format!("defined `{}`", text::plain(name));
    change(session, Method::PUT, &path, Some(&body), &done).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(id: u32, name: &str, title: &str) -> RoomView {
        serde_json::from_value(json!({
            "id": id, "name": name, "title": title, "description": "", "game": null, "open": true,
            "entry": "open", "people": 0, "max_players": 9, "max_tables": 0, "players": [], "tables": []
        }))
        .unwrap()
    }

    #[test]
    fn a_title_is_enough_until_two_rooms_have_it_and_a_name_comes_first() {
        let rooms = || {
            vec![
                room(0, "entry", "Entry Hall"),
                room(1, "chess", "Chess"),
                room(2, "blitz", "Chess"),
                room(3, "den", "entry"),
            ]
        };
        assert_eq!(pick(rooms(), "ENTRY HALL").unwrap().id.0, 0);
        assert_eq!(pick(rooms(), "entry").unwrap().id.0, 0);
        assert_eq!(pick(rooms(), "chess").unwrap().id.0, 1);
        let fault = pick(rooms(), "nowhere").unwrap_err().to_string();
        assert_eq!(fault, "no room `nowhere`");
        let fault = pick(rooms(), "Chess").unwrap_err().to_string();
        assert_eq!(fault, "several rooms are called `Chess`: chess, blitz");
    }
}
