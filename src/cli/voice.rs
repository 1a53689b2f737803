//! The verbs around voice channels.

use std::collections::BTreeMap;

use futures_util::StreamExt as _;
use hyper::Method;
use serde::Deserialize;
use serde_json::json;
use tokio_tungstenite::tungstenite::{Message, protocol::frame::coding::CloseCode};

use super::{
    Session,
    args::Voice,
    fault::Fault,
    print::{Cell, Colour, Table, note},
    sheet::time,
    text,
};
use crate::voice::{ChannelId, ChannelView, Event, MemberView, News, StatsView, Traffic, Uid, Why};

pub(crate) async fn run(session: &Session, verb: Voice) -> Result<(), Fault> {
    match verb {
        Voice::List => list(session).await,
        Voice::Create { title } => create(session, title).await,
        Voice::Delete(named) => delete(session, &named.channel).await,
        Voice::Kick { channel, who } => kick(session, &channel.channel, &who).await,
        Voice::Stats { channel: None } => stats(session).await,
        Voice::Stats {
            channel: Some(named),
        } => show(session, &named).await,
        Voice::Watch { channel } => watch(session, channel.as_deref()).await,
    }
}

/// The channel with that id, else the only one with that title, in capitals or not.
async fn find(session: &Session, named: &str) -> Result<ChannelView, Fault> {
    if let Ok(id) = named.parse::<u64>() {
        let path = format!("/voice/channels/{id}");
        return session.control.get(&path).await?.read();
    }
    let channels: Vec<ChannelView> = session.control.get("/voice/channels").await?.read()?;
    pick(channels, named)
}

fn pick(channels: Vec<ChannelView>, named: &str) -> Result<ChannelView, Fault> {
    let mut titled: Vec<_> = channels
        .into_iter()
        .filter(|channel| channel.title.to_lowercase() == named.to_lowercase())
        .collect();
    match (titled.pop(), titled.is_empty()) {
        (None, _) => Err(Fault::NoChannel(named.into())),
        (Some(channel), true) => Ok(channel),
        (Some(last), false) => Err(Fault::Ambiguous {
            kind: "voice channels",
            title: named.into(),
            names: titled
                .into_iter()
                .chain([last])
                .map(|channel| channel.id.0.to_string())
                .collect(),
        }),
    }
}

async fn list(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/voice/channels").await?;
    session.out.answer(&answer, || {
        let mut table = Table::new(&["ID", "TITLE", "PORT", "MEMBERS", "TALKING"]);
        for channel in answer.read::<Vec<ChannelView>>()? {
            let talking = channel.members.iter().filter(|member| member.talking);
            table.row([
                Cell::new(channel.id.0),
                Cell::new(&channel.title),
                Cell::new(channel.port),
                Cell::new(channel.members.len()),
                match talking.count() {
                    0 => Cell::coloured(0, Colour::Quiet),
                    some => Cell::coloured(some, Colour::Good),
                },
            ]);
        }
        Ok(table.render(session.out.colour))
    })
}

async fn create(session: &Session, title: Option<String>) -> Result<(), Fault> {
    let wish = match title {
        Some(title) => json!({ "title": title }),
        None => json!({}),
    };
    let sent = session
        .control
        .send(Method::POST, "/voice/channels", Some(&wish));
    let answer = sent.await?;
    session.out.answer(&answer, || {
        let channel: ChannelView = answer.read()?;
        note(&format!(
            "created `{}` on UDP port {}",
            text::plain(&channel.title),
            channel.port
        ));
        Ok(format!("{}\n", channel.id.0))
    })
}

async fn delete(session: &Session, named: &str) -> Result<(), Fault> {
    let channel = find(session, named).await?;
    let path = format!("/voice/channels/{}", channel.id.0);
    let answer = session.control.send(Method::DELETE, &path, None).await?;
    session.out.answer(&answer, || {
        let title = text::plain(&channel.title);
        note(&format!("deleted {} (`{title}`)", channel.id.0));
        Ok(String::new())
    })
}

async fn kick(session: &Session, named: &str, who: &str) -> Result<(), Fault> {
    let channel = find(session, named).await?;
    let uid = match who.parse() {
        Ok(uid) => Uid(uid), // the daemon says it better when nobody has it
        Err(_) => {
            let mut members = channel.members.iter();
            let member = members.find(|member| member.name.as_deref() == Some(who));
            let nobody = || Fault::NoMember {
                channel: channel.id.0,
                name: who.into(),
            };
            member.ok_or_else(nobody)?.uid
        }
    };
    let path = format!("/voice/channels/{}/members/{}", channel.id.0, uid.0);
    let answer = session.control.send(Method::DELETE, &path, None).await?;
    session.out.answer(&answer, || {
        note(&format!("removed {} from channel {}", uid.0, channel.id.0));
        Ok(String::new())
    })
}

async fn stats(session: &Session) -> Result<(), Fault> {
    let answer = session.control.get("/voice/stats").await?;
    session.out.answer(&answer, || {
        let stats: StatsView = answer.read()?;
        let mut table = Table::fields();
        table.field("channels", stats.channels);
        table.field("members", stats.members);
        table.field("talking", stats.talking);
        table.field("guests", stats.guests);
        table.field("connections", stats.connections);
        table.field("crowded out", stats.crowded_out);
        table.field("commands", stats.commands);
        traffic(&mut table, stats.traffic);
        table.field("signer", &stats.signer);
        Ok(table.render(session.out.colour))
    })
}

async fn show(session: &Session, named: &str) -> Result<(), Fault> {
    let id = find(session, named).await?.id.0;
    let path = format!("/voice/channels/{id}");
    let answer = session.control.get(&path).await?;
    session
        .out
        .answer(&answer, || Ok(sheet(&answer.read()?, session.out.colour)))
}

/// All of one channel, and who is in it.
fn sheet(channel: &ChannelView, colour: bool) -> String {
    let mut table = Table::fields();
    table.field("id", channel.id.0);
    table.field("title", &channel.title);
    table.field("port", channel.port);
    let owner = match (&channel.owner_name, channel.owner) {
        (Some(name), _) => name.clone(),
        (None, Some(uid)) => person(uid, None),
        (None, None) => "the box".into(),
    };
    table.field("owner", owner);
    table.field("created", channel.created);
    table.field("members", channel.members.len());
    traffic(&mut table, channel.traffic);
    let sockets = &channel.sockets;
    table.field("shards", sockets.shards);
    table.field("receive buffer", kibibytes(sockets.receive_buffer));
    table.field("send buffer", kibibytes(sockets.send_buffer));
    table.field("gso refused", sockets.gso_refused);
    table.row([
        Cell::coloured("shield", Colour::Quiet),
        match sockets.shield {
            true => Cell::coloured("up: strangers are kept out", Colour::Busy),
            false => Cell::new("down"),
        },
    ]);
    let mut shown = table.render(colour);
    if !channel.members.is_empty() {
        shown.push('\n');
        shown += &members(&channel.members).render(colour);
    }
    shown
}

fn members(members: &[MemberView]) -> Table {
    let mut table = Table::new(&[
        "UID", "NAME", "STATE", "SILENT", "PACKETS", "LIMITED", "ADDRESS",
    ]);
    for member in members {
        table.row([
            Cell::new(member.uid.0),
            Cell::new(member.name.as_deref().unwrap_or("(guest)")),
            match (member.talking, member.present) {
                (true, _) => Cell::coloured("talking", Colour::Good),
                (false, true) => Cell::new("listening"),
                (false, false) => Cell::coloured("expected", Colour::Busy),
            },
            Cell::new(time(member.silent_ms / 1000)),
            Cell::new(member.packets),
            match member.limited {
                0 => Cell::new(0),
                some => Cell::coloured(some, Colour::Bad),
            },
            Cell::maybe(member.address),
        ]);
    }
    table
}

/// What came and went; what was dropped stands out.
fn traffic(table: &mut Table, traffic: Traffic) {
    table.field("packets", traffic.packets);
    table.field("deliveries", traffic.deliveries);
    table.field("coalesced", traffic.coalesced);
    table.field("words", traffic.words);
    for (reason, dropped) in traffic.drops.reasons() {
        table.row([
            Cell::coloured(format!("drops.{reason}"), Colour::Quiet),
            match dropped {
                0 => Cell::new(0),
                some => Cell::coloured(some, Colour::Busy),
            },
        ]);
    }
}

fn kibibytes(bytes: usize) -> String {
    format!("{} KiB", bytes >> 10)
}

/// `ada (7)`, `guest 7`.
fn person(uid: Uid, name: Option<&str>) -> String {
    match name {
        Some(name) => format!("{name} ({})", uid.0),
        None => format!("guest {}", uid.0),
    }
}

/// What comes over the WebSocket.
#[derive(Deserialize)]
#[serde(untagged)]
enum Heard {
    News(News),
    Lagged { missed: u64 },
}

/// Prints what happens; ends well with the channel that was named, and otherwise never by itself.
async fn watch(session: &Session, named: Option<&str>) -> Result<(), Fault> {
    let only = match named {
        Some(named) => format!("?channel={}", find(session, named).await?.id.0),
        None => String::new(),
    };
    let mut live = session.control.live(&format!("/voice/live{only}")).await?;
    let mut known = Known::default();
    if !session.out.json {
        // After the greeting, so that nobody is missed who came in between.
        known.learn(session.control.get("/voice/channels").await?.read()?);
    }
    while let Some(message) = live.next().await {
        match message.map_err(|_| Fault::Cut)? {
            Message::Text(raw) if session.out.json => session.out.line(&raw)?,
            Message::Text(raw) => match serde_json::from_str(&raw) {
                Ok(Heard::News(news)) => session.out.line(&known.tell(news))?,
                Ok(Heard::Lagged { missed }) => {
                    note(&format!("{missed} events were missed"));
                    known.learn(session.control.get("/voice/channels").await?.read()?);
                }
                Err(error) => return Err(Fault::Garbage(error.to_string())),
            },
            Message::Close(Some(close)) if close.code == CloseCode::Normal => return Ok(()),
            Message::Close(_) => break,
            _ => {}
        }
    }
    Err(Fault::Cut)
}

/// Titles and names, which news tell only once.
#[derive(Default)]
struct Known {
    titles: BTreeMap<ChannelId, String>,
    names: BTreeMap<Uid, String>,
}

impl Known {
    fn learn(&mut self, channels: Vec<ChannelView>) {
        for channel in channels {
            self.titles.insert(channel.id, channel.title);
            let named = channel.members.into_iter();
            self.names
                .extend(named.filter_map(|member| Some((member.uid, member.name?))));
        }
    }

    /// `3 Lobby: ada (7) talks`
    fn tell(&mut self, news: News) -> String {
        let channel = news.channel;
        if let Event::Created { title, .. } = &news.event {
            self.titles.insert(channel, title.clone());
        }
        if let Event::Joined {
            uid,
            name: Some(name),
        } = &news.event
        {
            self.names.insert(*uid, name.clone());
        }
        let who = |uid: Uid| person(uid, self.names.get(&uid).map(String::as_str));
        let what = match news.event {
            Event::Created { port, .. } => format!("created on UDP port {port}"),
            Event::Deleted => "deleted".into(),
            Event::Joined { uid, .. } => format!("{} has a seat", who(uid)),
            Event::Present { uid } => format!("{} is here", who(uid)),
            Event::Left { uid, why } => {
                let how = match why {
                    Why::Left => "left",
                    Why::Kicked => "was removed",
                    Why::Silent => "was silent for too long",
                    Why::Ended => "was there to the end",
                    Why::Crowded => "gave way, the channel being full",
                };
                format!("{} {how}", who(uid))
            }
            Event::Talking { uid } => format!("{} talks", who(uid)),
            Event::Quiet { uid } => format!("{} is quiet", who(uid)),
        };
        let title = self.titles.get(&channel).map_or("", String::as_str);
        text::plain(&format!("{} {title}: {what}", channel.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(id: u64, title: &str) -> ChannelView {
        serde_json::from_value(json!({
            "id": id, "title": title, "port": 40_000 + id, "owner": null, "owner_name": null,
            "created": "2026-01-01T00:00:00.000Z",
            "members": [
                {"uid": 7, "account": 1, "name": "ada", "address": "192.0.2.7:5000", "present": true,
                 "talking": true, "silent_ms": 20, "packets": 900, "limited": 0},
                {"uid": 9, "account": null, "name": null, "address": null, "present": false,
                 "talking": false, "silent_ms": 31_000, "packets": 0, "limited": 3},
            ],
            "traffic": {"packets": 900, "deliveries": 0, "coalesced": 0, "words": 2, "drops": {
                "malformed": 1, "strangers": 2, "misplaced": 3, "unsound": 4, "unproven": 5,
                "limited": 6, "unsent": 7, "overrun": 8}},
            "sockets": {"shards": 1, "receive_buffer": 4 << 20, "send_buffer": 1 << 20,
                        "shield": false, "gso_refused": 0},
        }))
        .unwrap()
    }

    fn news(value: serde_json::Value) -> News {
        let mut whole = json!({ "seq": 1, "channel": 3 });
        whole
            .as_object_mut()
            .unwrap()
            .extend(value.as_object().unwrap().clone());
        match serde_json::from_value(whole).unwrap() {
            Heard::News(news) => news,
            Heard::Lagged { .. } => panic!("these are news"),
        }
    }

    #[test]
    fn a_title_is_enough_until_two_channels_have_it() {
        let channels = || vec![channel(1, "Lobby"), channel(2, "Den"), channel(3, "lobby")];
        assert_eq!(pick(channels(), "DEN").unwrap().id.0, 2);
        let fault = pick(channels(), "nowhere").unwrap_err().to_string();
        assert_eq!(fault, "no voice channel `nowhere`");
        let fault = pick(channels(), "Lobby").unwrap_err().to_string();
        assert_eq!(fault, "several voice channels are called `Lobby`: 1, 3");
    }

    #[test]
    fn a_sheet_shows_every_figure_and_who_is_there() {
        let shown = sheet(&channel(3, "Lob\x1bby"), false);
        for line in [
            "title            Lob\\x1bby",
            "port             40003",
            "owner            the box",
            "drops.malformed  1",
            "drops.overrun    8",
            "receive buffer   4096 KiB",
            "UID  NAME     STATE     SILENT  PACKETS  LIMITED  ADDRESS",
            "7    ada      talking   0s      900      0        192.0.2.7:5000",
            "9    (guest)  expected  31s     0        3        -",
        ] {
            assert!(
                shown.lines().any(|found| found == line),
                "{line} is missing in\n{shown}"
            );
        }
    }

    #[test]
    fn news_are_told_by_title_and_name() {
        let mut known = Known::default();
        known.learn(vec![channel(3, "Lobby")]);
        for (event, line) in [
            (
                json!({"event": "talking", "uid": 7}),
                "3 Lobby: ada (7) talks",
            ),
            (
                json!({"event": "quiet", "uid": 7}),
                "3 Lobby: ada (7) is quiet",
            ),
            (
                json!({"event": "joined", "uid": 8, "name": "bob"}),
                "3 Lobby: bob (8) has a seat",
            ),
            (
                json!({"event": "present", "uid": 8}),
                "3 Lobby: bob (8) is here",
            ),
            (
                json!({"event": "left", "uid": 8, "why": "kicked"}),
                "3 Lobby: bob (8) was removed",
            ),
            (
                json!({"event": "left", "uid": 9, "why": "silent"}),
                "3 Lobby: guest 9 was silent for too long",
            ),
            (json!({"event": "deleted"}), "3 Lobby: deleted"),
            (
                json!({"event": "created", "title": "D\u{1b}en", "port": 40_000}),
                "3 D\\x1ben: created on UDP port 40000",
            ),
        ] {
            assert_eq!(known.tell(news(event)), line);
        }
    }
}
