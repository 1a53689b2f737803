//! A server's files over the API of a real daemon.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

mod changes;
#[path = "../common/mod.rs"]
mod common;
mod doors;
mod expiry;
mod mfiled;
mod public;
mod uploads;
mod verbs;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{HeaderMap, Request};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

use common::{House, PATIENCE, PLAIN, WAITS, game};

/// What the box answered, byte for byte.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// Status and stable code.
    pub(crate) fn code(&self) -> (u16, String) {
        let code = self.json()["code"].as_str().unwrap_or_default().into();
        (self.status, code)
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.and_then(|value| value.to_str().ok()).unwrap_or("")
    }
}

/// One request for a server's files, with the administrator's token.
pub(crate) async fn ask(
    house: &House,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: impl Into<Bytes>,
) -> Answer {
    let address = &house.endpoints["http.listen"];
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address)
        .header("authorization", format!("Bearer {}", house.token));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Full::new(body.into())).expect("a request");
    let work = async {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("a connection");
        tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let (head, body) = response.into_parts();
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.collect().await.expect("all of it").to_bytes(),
        }
    };
    let answered = tokio::time::timeout(PATIENCE, work).await;
    answered.expect("in time")
}

/// A box with one server, which has never run; its id.
pub(crate) async fn open(sets: &[&str]) -> (House, u64) {
    let house = House::with_games(&[("waits", &game(WAITS, PLAIN))], sets).await;
    let id = house.create(json!({"game": "waits"})).await;
    (house, id)
}

/// Where the server's files are.
pub(crate) fn files(id: u64, below: &str) -> String {
    House::at(id, &format!("/files{below}"))
}

/// Bytes that do not repeat soon.
pub(crate) fn noise(size: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(size + 8);
    while bytes.len() < size {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(size);
    bytes
}
