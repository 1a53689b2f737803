//! The lobby over the web API, through the real daemon and its real games: every route, and whole sessions by WebSocket.

#[path = "../common/mod.rs"]
mod common;
mod order;
mod sessions;

use common::{House, Live, PATIENCE, code};
use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// The WebSocket that is a whole session.
const SESSION: &str = "/api/v1/lobby/session";

/// A session that is told everything in order.
struct Guest {
    live: Live,
    /// Lines from the table, as far as they have come.
    played: Vec<u8>,
}

impl Guest {
    /// Comes in with a token, or without one under a name.
    async fn come(house: &House, token: &str, name: &str) -> Self {
        let mut guest = Self::greeted(house, token).await;
        if token.is_empty() {
            guest.ask(json!({"do": "login", "name": name})).await;
        }
        let login = guest.until("result").await;
        assert_eq!(
            (&login["action"], &login["code"]),
            (&json!("login"), &json!("ok")),
            "{login}"
        );
        assert!(guest.until("motd").await["text"].is_string());
        guest
    }

    async fn greeted(house: &House, token: &str) -> Self {
        let live = match token {
            "" => house.socket_with("x-nobody", "1", SESSION).await,
            token => house.socket_as(token, SESSION).await,
        };
        Self::greeted_over(live.expect("a WebSocket")).await
    }

    async fn greeted_over(live: Live) -> Self {
        let mut guest = Self {
            live,
            played: Vec::new(),
        };
        let hello = guest.next().await;
        assert_eq!(
            (&hello["push"], &hello["full"]),
            (&json!("hello"), &json!(false))
        );
        guest
    }

    async fn ask(&mut self, request: Value) {
        self.send(Message::text(request.to_string())).await;
    }

    async fn send(&mut self, message: Message) {
        self.live.socket.send(message).await.expect("it is there");
    }

    async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.live.socket.next()).await;
        next.expect("in time").expect("it goes on").expect("whole")
    }

    /// The next word. What the table says meanwhile is kept.
    async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Binary(bytes) => self.played.extend_from_slice(&bytes),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    async fn until(&mut self, push: &str) -> Value {
        loop {
            let word = self.next().await;
            if word["push"] == push {
                return word;
            }
        }
    }

    /// How a request ended.
    async fn result(&mut self, action: &str) -> String {
        loop {
            let word = self.until("result").await;
            if word["action"] == action {
                return word["code"].as_str().expect("a code").into();
            }
        }
    }

    /// What a request must end with.
    async fn does(&mut self, request: Value) {
        let action = request["do"].as_str().expect("a request").to_owned();
        self.ask(request).await;
        assert_eq!(self.result(&action).await, "ok", "{action}");
    }

    /// The next state of the table that is wanted.
    async fn state(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            while let Some(end) = self.played.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.played.drain(..=end).collect();
                let state: Value = serde_json::from_slice(&line).expect("a line of JSON");
                if wanted(&state) {
                    return state;
                }
            }
            match self.message().await {
                Message::Binary(bytes) => self.played.extend_from_slice(&bytes),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    async fn play(&mut self, line: Value) {
        let line = format!("{line}\n");
        self.send(Message::binary(line.into_bytes())).await;
    }

    /// The code with which it ends.
    async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(close) = self.message().await {
                return close.expect("a reason").code.into();
            }
        }
    }
}

/// The number of a room, and of the game that is played there.
async fn room(house: &House, name: &str) -> (u64, Option<u64>) {
    let rooms = house.ok("GET", "/api/v1/lobby/rooms", None).await;
    let rooms = rooms.as_array().expect("rooms");
    let room = rooms.iter().find(|room| room["name"] == name);
    let room = room.expect("it is there");
    let games = house.ok("GET", "/api/v1/lobby/games", None).await;
    let mut games = games.as_array().expect("games").iter();
    let title = &room["title"];
    let game = games.find(|game| game["name"] == *title);
    (
        room["id"].as_u64().expect("a number"),
        game.and_then(|game| game["id"].as_u64()),
    )
}
