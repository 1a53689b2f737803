//! WebSockets: a console as it grows, and events of servers, voice and lobby as they happen.
//!
//! ```text
//!   Tail (files, own pace) ─┐                 ┌─► {"entries":[…],"dropped":0,"next":7}   {"problem":{…}}
//!                           ├─ one task each ─┤
//!   news (bounded queue) ───┘   │             └─► {"seq":9,"event":"changed","server":{…}}   {"event":"lagged","missed":3}
//!                               └─ every 20 s: ping, and may they still?
//! ```
//!
//! A viewer costs one batch of memory, whatever it does. One that does not read is cut off by the carrier; it resumes
//! by `since`. One whose session ended is closed with 4401, one that may no longer see with 4403, all with 1001 when
//! the box stops.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde::Serialize;
use serde_json::json;
use tokio::{
    sync::broadcast::{Receiver, error::RecvError},
    time::{Instant, Interval, MissedTickBehavior, interval_at},
};
use warp::{
    Reply,
    http::{Method, StatusCode},
    ws::{Message, WebSocket, Ws},
};

use super::{
    Doors, Outcome, State, api,
    servers::{MOST, Page, Typed, server},
};
use crate::{
    accounts::{Principal, ServerId, Verb},
    console::Tail,
    http::{
        Peer,
        caller::Proof,
        problem::{Code, Fault},
        routes::{Call, Route},
    },
    lobby::{self, wire::terms::RoomId},
    telemetry::Open,
    voice::{ChannelId, Event, News},
};

/// Bytes of a message from a viewer.
const MESSAGE: usize = 64 << 10;
/// Signs of life that may be missed.
const SILENCES: u32 = 3;
/// Console entries before the first news, unless asked otherwise.
const USUAL: u64 = 100;

pub(super) fn routes() -> Vec<Route<State>> {
    use Code::*;
    vec![
        Route::new(
            Method::GET,
            api!("servers/{id}/console/live"),
            "WebSocket: console entries as they come; takes {\"line\":\"…\"}",
            console,
        )
        .query("since", "the first sequence number wanted, to resume")
        .query(
            "count",
            "without `since`: how many of the newest to begin with, 0 to 10000, else 100",
        )
        .bare(StatusCode::SWITCHING_PROTOCOLS)
        .faults(&[UpgradeRequired, CrossSite, Forbidden, NoSuchServer]),
        Route::new(
            Method::GET,
            api!("events"),
            "WebSocket: what happens to the servers that one may see",
            events,
        )
        .bare(StatusCode::SWITCHING_PROTOCOLS)
        .faults(&[UpgradeRequired, CrossSite]),
        Route::new(
            Method::GET,
            api!("voice/live"),
            "WebSocket: what happens in the voice channels",
            voice,
        )
        .query("channel", "the id of the only channel wanted; ends with it")
        .bare(StatusCode::SWITCHING_PROTOCOLS)
        .faults(&[UpgradeRequired, CrossSite, Forbidden, NoSuchChannel]),
        Route::new(
            Method::GET,
            api!("lobby/live"),
            "WebSocket: what the rooms of the lobby, and everybody, are told",
            lobby,
        )
        .query(
            "room",
            "the id of the only room wanted, beside what everybody is told",
        )
        .bare(StatusCode::SWITCHING_PROTOCOLS)
        .faults(&[UpgradeRequired, CrossSite, Forbidden, NoSuchRoom]),
    ]
}

async fn console(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let id = server(&call)?;
    let since = call.number("since", 0..=u64::MAX)?;
    let count = call.number("count", 0..=MOST)?.unwrap_or(USUAL);
    let (reader, head) = doors.hosting.console(&by, id).await?;
    let ws = call.upgrade()?;
    let since = since.unwrap_or_else(|| (*head.borrow() + 1).saturating_sub(count));
    let tail = Tail::new(reader, head, since);
    Ok(attach(doors, call, ws, by, move |viewer| {
        watch(viewer, id, tail)
    }))
}

async fn events(doors: State, mut call: Call) -> Outcome {
    let by = doors.by(&call).await?;
    let ws = call.upgrade()?;
    let news = doors.hosting.news();
    Ok(attach(doors, call, ws, by, |viewer| {
        let seen = |viewer: &Viewer, news| match viewer.doors.hosting.seen(&viewer.by, news) {
            Some(news) => Seen::This(news),
            None => Seen::Nothing,
        };
        listen(viewer, news, |_| true, seen)
    }))
}

async fn voice(doors: State, mut call: Call) -> Outcome {
    let by = doors.by_with(&call, Verb::VoiceJoin).await?;
    let only = call.number("channel", 0..=u64::MAX)?.map(ChannelId);
    let news = doors.voice.news(); // before the look, so that its end is not missed
    if let Some(id) = only {
        doors.voice.channel(&by, id).await?;
    }
    let ws = call.upgrade()?;
    Ok(attach(doors, call, ws, by, move |viewer| {
        let may = |viewer: &Viewer| viewer.doors.voice.may_listen(&viewer.by);
        let seen = move |_: &Viewer, news: News| match only {
            Some(id) if id != news.channel => Seen::Nothing,
            Some(_) if news.event == Event::Deleted => Seen::Last(news),
            _ => Seen::This(news),
        };
        listen(viewer, news, may, seen)
    }))
}

async fn lobby(doors: State, mut call: Call) -> Outcome {
    let by = doors.by_with(&call, Verb::LobbyJoin).await?;
    let only = call.number("room", 0..=u32::MAX.into())?;
    let only = only.map(|id| RoomId(id as u32));
    let news = doors.lobby.news(); // before the look, so that nothing is missed
    if let Some(id) = only {
        doors.lobby.room_inside(&by, id).await?;
    }
    let ws = call.upgrade()?;
    Ok(attach(doors, call, ws, by, move |viewer| {
        let may = |viewer: &Viewer| viewer.doors.lobby.may_listen(&viewer.by);
        let seen = move |viewer: &Viewer, news: lobby::News| match (only, news.room) {
            (Some(only), Some(room)) if only != room => Seen::Nothing,
            _ if !viewer.doors.lobby.may_hear(&viewer.by, &news) => Seen::Nothing,
            _ => Seen::This(news),
        };
        listen(viewer, news, may, seen)
    }))
}

/// What a listener is told of news.
enum Seen<T> {
    Nothing,
    This(T),
    /// And no more after it.
    Last(T),
}

/// Why a viewer's task ends.
pub(super) enum End {
    /// They left, or cannot be reached.
    Gone,
    /// We close, and say why.
    Close(u16, &'static str),
}

const STOPPING: End = End::Close(1001, "the box is stopping: come back and resume");
const LOGGED_OUT: End = End::Close(4401, "the session has ended");
const NO_LONGER: End = End::Close(4403, "you may no longer see that");
pub(super) const OVER: End = End::Close(1000, "nothing more will come");

/// One WebSocket and who is behind it.
pub(super) struct Viewer<By = Principal> {
    ws: WebSocket,
    pub(super) doors: State,
    peer: Peer,
    proof: Proof,
    by: By,
    beat: Interval,
    heard: Instant,
    _counted: Open,
}

pub(super) enum Heard {
    Text(String),
    Data(Bytes),
    /// Time to [`Viewer::check`].
    Beat,
}

pub(super) fn attach<By, F, W>(
    doors: State,
    call: Call,
    ws: Ws,
    by: By,
    watch: F,
) -> warp::reply::Response
where
    By: Send + 'static,
    F: FnOnce(Viewer<By>) -> W + Send + 'static,
    W: Future<Output = ()> + Send + 'static,
{
    let upgraded = move |ws| {
        let now = Instant::now();
        let mut beat = interval_at(now + doors.rhythm, doors.rhythm);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        watch(Viewer {
            ws,
            peer: call.peer,
            proof: call.proof,
            by,
            beat,
            heard: now,
            _counted: doors.metrics.viewer(),
            doors,
        })
    };
    ws.max_message_size(MESSAGE)
        .max_frame_size(MESSAGE)
        .on_upgrade(upgraded)
        .into_response()
}

impl<By> Viewer<By> {
    /// The next thing to react to. Cancelling it loses nothing.
    async fn hear(&mut self) -> Result<Heard, End> {
        self.hear_if(true).await
    }

    /// The same; what they say stays where it is unless it is `wanted`.
    pub(super) async fn hear_if(&mut self, wanted: bool) -> Result<Heard, End> {
        loop {
            tokio::select! {
                message = self.ws.next(), if wanted => match message {
                    Some(Ok(message)) => {
                        self.heard = Instant::now();
                        if message.is_close() {
                            return Err(End::Gone);
                        }
                        if let Ok(text) = message.to_str() {
                            return Ok(Heard::Text(text.into()));
                        }
                        if message.is_binary() {
                            return Ok(Heard::Data(message.into_bytes()));
                        }
                    }
                    Some(Err(_)) | None => return Err(End::Gone),
                },
                _ = self.beat.tick() => return Ok(Heard::Beat),
                () = self.doors.stop.cancelled() => return Err(STOPPING),
            }
        }
    }

    /// Are they there, and still who they were? None: that cannot be told just now.
    pub(super) async fn prove(&mut self) -> Result<Option<Principal>, End> {
        if self.heard.elapsed() > self.doors.rhythm * SILENCES {
            return Err(End::Gone);
        }
        let proved = match &self.proof {
            Proof::None => None,
            proof => match proof.principal(&self.doors.accounts, self.peer).await {
                Ok(by) => Some(by),
                Err(fault) if fault.code.status() == StatusCode::UNAUTHORIZED => {
                    return Err(LOGGED_OUT);
                }
                // A lockout of others at that address, say: nothing is known against them.
                Err(_) => None,
            },
        };
        self.send(Message::ping("")).await?;
        Ok(proved)
    }

    pub(super) async fn tell(&mut self, what: &impl Serialize) -> Result<(), End> {
        let text = serde_json::to_string(what).expect("what we tell is plain data");
        self.send(Message::text(text)).await
    }

    /// Waits for a slow peer only as long as the carrier does.
    pub(super) async fn send(&mut self, message: Message) -> Result<(), End> {
        self.ws.send(message).await.map_err(|_| End::Gone)
    }

    /// Several at once.
    pub(super) async fn send_all(
        &mut self,
        messages: impl Iterator<Item = Message>,
    ) -> Result<(), End> {
        for message in messages {
            self.ws.feed(message).await.map_err(|_| End::Gone)?;
        }
        self.ws.flush().await.map_err(|_| End::Gone)
    }

    pub(super) async fn leave(mut self, end: End) {
        if let End::Close(code, why) = end {
            self.send(Message::close_with(code, why)).await.ok(); // they may be gone already
        }
        self.ws.close().await.ok();
    }
}

impl Viewer {
    /// Are they there, and still who they were?
    async fn check(&mut self) -> Result<(), End> {
        if let Some(by) = self.prove().await? {
            self.by = by;
        }
        Ok(())
    }
}

async fn watch(mut viewer: Viewer, id: ServerId, mut tail: Tail) {
    let end = loop {
        if let Err(end) = watch_once(&mut viewer, id, &mut tail).await {
            break end;
        }
    };
    viewer.leave(end).await;
}

async fn watch_once(viewer: &mut Viewer, id: ServerId, tail: &mut Tail) -> Result<(), End> {
    tokio::select! {
        batch = tail.next() => {
            let batch = batch.ok_or(OVER)?;
            // Nothing more is told to who lost the right to it, whenever the next beat is.
            if !viewer.doors.hosting.may_read(&viewer.by, id) {
                viewer.check().await?;
                return Err(NO_LONGER);
            }
            viewer.doors.metrics.lost(batch.dropped);
            viewer.tell(&Page::from(batch)).await
        }
        heard = viewer.hear() => match heard? {
            Heard::Beat => {
                viewer.check().await?;
                let still = viewer.doors.hosting.console(&viewer.by, id).await;
                match still.map_err(Fault::from) {
                    Err(fault) if !fault.code.status().is_server_error() => Err(NO_LONGER),
                    _ => Ok(()),
                }
            }
            Heard::Text(text) => match type_in(&viewer.doors, &viewer.by, id, &text).await {
                Err(fault) => viewer.tell(&json!({ "problem": fault.json() })).await,
                Ok(()) => Ok(()),
            },
            Heard::Data(_) => Ok(()),
        },
    }
}

async fn type_in(doors: &Doors, by: &Principal, id: ServerId, text: &str) -> Result<(), Fault> {
    let typed: Typed =
        serde_json::from_str(text).map_err(|error| Fault::new(Code::BadJson, error.to_string()))?;
    Ok(doors.hosting.command(by, id, &typed.line).await?)
}

async fn listen<N: Clone, T: Serialize>(
    mut viewer: Viewer,
    mut news: Receiver<N>,
    may: impl Fn(&Viewer) -> bool,
    seen: impl Fn(&Viewer, N) -> Seen<T>,
) {
    let end = loop {
        if let Err(end) = listen_once(&mut viewer, &mut news, &may, &seen).await {
            break end;
        }
    };
    viewer.leave(end).await;
}

async fn listen_once<N: Clone, T: Serialize>(
    viewer: &mut Viewer,
    news: &mut Receiver<N>,
    may: &impl Fn(&Viewer) -> bool,
    seen: &impl Fn(&Viewer, N) -> Seen<T>,
) -> Result<(), End> {
    tokio::select! {
        news = news.recv() => {
            if !may(viewer) {
                viewer.check().await?;
                return Err(NO_LONGER);
            }
            match news.map(|news| seen(viewer, news)) {
                Ok(Seen::Nothing) => Ok(()),
                Ok(Seen::This(news)) => viewer.tell(&news).await,
                Ok(Seen::Last(news)) => {
                    viewer.tell(&news).await?;
                    Err(OVER)
                }
                Err(RecvError::Lagged(missed)) => {
                    viewer.doors.metrics.missed(missed);
                    viewer.tell(&json!({ "event": "lagged", "missed": missed })).await
                }
                Err(RecvError::Closed) => Err(OVER),
            }
        }
        heard = viewer.hear() => match heard? {
            Heard::Beat => {
                viewer.check().await?;
                if may(viewer) { Ok(()) } else { Err(NO_LONGER) }
            }
            Heard::Text(_) | Heard::Data(_) => Ok(()),
        },
    }
}
