//! A daemon that answers what a test tells it to, on a real control socket.

use std::{
    io::{ErrorKind, Read, Write},
    net::Shutdown,
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{
    Error, Message, WebSocket,
    handshake::derive_accept_key,
    protocol::{CloseFrame, Role, frame::coding::CloseCode},
};

/// One request: `GET /servers`, with a body after it when there was one.
pub(crate) type Seen = String;

/// What a test answers.
pub(crate) enum Reply {
    /// A status and a body.
    Say(u16, String),
    /// These bytes, and the end of the connection.
    Raw(Vec<u8>),
    /// This console, live.
    Live(Arc<Console>),
    /// These over a WebSocket, and its orderly end.
    News(Vec<Value>),
}

pub(crate) fn ok(body: Value) -> Reply {
    Reply::Say(200, body.to_string())
}

/// A console that outlives its daemon.
#[derive(Default)]
pub(crate) struct Console(Mutex<Vec<Value>>);

impl Console {
    pub(crate) fn add(&self, kind: &str, text: &str) {
        let mut entries = self.0.lock().unwrap();
        let seq = entries.len() + 1;
        entries.push(json!({
            "seq": seq, "time": "2026-01-01T00:00:00.000Z", "kind": kind, "text": text, "more": false
        }));
    }

    /// How often that was typed.
    pub(crate) fn count(&self, line: &str) -> usize {
        let entries = self.0.lock().unwrap();
        let typed = |entry: &&Value| entry["kind"] == "stdin" && entry["text"] == line;
        entries.iter().filter(typed).count()
    }

    /// Entries from `since` on.
    pub(crate) fn frame(&self, since: usize) -> Value {
        let entries = self.0.lock().unwrap();
        let wanted = &entries[(since.max(1) - 1).min(entries.len())..];
        json!({ "entries": wanted, "dropped": 0, "next": entries.len() + 1 })
    }
}

/// Runs until it is dropped.
pub(crate) struct Fake {
    socket: PathBuf,
    seen: Arc<Mutex<Vec<Seen>>>,
    open: Arc<Mutex<Vec<UnixStream>>>,
    over: Arc<AtomicBool>,
}

impl Fake {
    pub(crate) fn start(
        state: &Path,
        answer: impl Fn(&str) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let socket = state.join("control.sock");
        // A long path is bound by way of its folder, as it is connected to.
        let folder = std::fs::File::open(state).unwrap();
        let near = format!(
            "/proc/self/fd/{}/control.sock",
            std::os::fd::AsRawFd::as_raw_fd(&folder)
        );
        let listener = UnixListener::bind(near).unwrap();
        let fake = Self {
            socket,
            seen: Arc::default(),
            open: Arc::default(),
            over: Arc::default(),
        };
        let (seen, open, over) = (fake.seen.clone(), fake.open.clone(), fake.over.clone());
        let answer = Arc::new(answer);
        thread::spawn(move || {
            let _folder = folder;
            for stream in listener.incoming() {
                let stream = stream.unwrap();
                if over.load(Ordering::SeqCst) {
                    return;
                }
                open.lock().unwrap().push(stream.try_clone().unwrap());
                let (seen, answer) = (seen.clone(), answer.clone());
                thread::spawn(move || serve(stream, &seen, &*answer));
            }
        });
        fake
    }

    /// What was asked so far, in order.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    /// As kill -9 does: every connection ends in the middle.
    fn drop(&mut self) {
        self.over.store(true, Ordering::SeqCst);
        let folder = std::fs::File::open(self.socket.parent().unwrap()).unwrap();
        let fd = std::os::fd::AsRawFd::as_raw_fd(&folder);
        // Wakes it; a client that came just now has done so already.
        UnixStream::connect(format!("/proc/self/fd/{fd}/control.sock")).ok();
        std::fs::remove_file(&self.socket).unwrap();
        for stream in self.open.lock().unwrap().iter() {
            stream.shutdown(Shutdown::Both).ok();
        }
    }
}

fn serve(mut stream: UnixStream, seen: &Mutex<Vec<Seen>>, answer: &dyn Fn(&str) -> Reply) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).unwrap_or(0) == 0 {
            return;
        }
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).unwrap();
    let header = |name: &str| {
        head.lines()
            .filter_map(|line| line.split_once(": "))
            .find(|(key, _)| key.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.to_owned())
    };
    let length = header("content-length").map_or(0, |length| length.parse().unwrap());
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    let mut words = head.split(' ');
    let (method, path) = (words.next().unwrap(), words.next().unwrap());
    let path = path.strip_prefix("/api/v1").unwrap();
    let asked = format!("{method} {path} {}", String::from_utf8(body).unwrap());
    let asked = asked.trim_end();
    seen.lock().unwrap().push(asked.into());
    match answer(asked) {
        Reply::Say(status, body) => {
            let head = format!(
                "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
            stream.write_all(head.as_bytes()).ok();
        }
        Reply::Raw(bytes) => {
            stream.write_all(&bytes).ok();
            stream.shutdown(Shutdown::Both).ok();
        }
        Reply::News(news) => {
            stream.write_all(upgrade(header).as_bytes()).unwrap();
            let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
            for one in news {
                socket.send(Message::text(one.to_string())).unwrap();
            }
            let code = CloseCode::Normal;
            let reason = "nothing more will come".into();
            socket.close(Some(CloseFrame { code, reason })).unwrap();
            while socket.read().is_ok() {} // until it is answered
        }
        Reply::Live(console) => {
            stream.write_all(upgrade(header).as_bytes()).unwrap();
            let since = path.split_once("since=").unwrap().1.parse().unwrap();
            live(stream, &console, since);
        }
    }
}

fn upgrade(header: impl Fn(&str) -> Option<String>) -> String {
    let key = derive_accept_key(header("sec-websocket-key").unwrap().as_bytes());
    format!(
        "HTTP/1.1 101 X\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: {key}\r\n\r\n"
    )
}

/// Sends what the console has, and adds each typed line and an answer to it.
fn live(stream: UnixStream, console: &Console, since: usize) {
    stream
        .set_read_timeout(Some(Duration::from_millis(5)))
        .unwrap();
    let mut socket = WebSocket::from_raw_socket(stream, Role::Server, None);
    let mut next = since;
    loop {
        let frame = console.frame(next);
        let end = usize::try_from(frame["next"].as_u64().unwrap()).unwrap();
        if end != next {
            if socket.send(Message::text(frame.to_string())).is_err() {
                return;
            }
            next = end;
        }
        match socket.read() {
            Ok(Message::Text(text)) => {
                let line: Value = serde_json::from_str(&text).unwrap();
                let line = line["line"].as_str().unwrap();
                console.add("stdin", line);
                console.add("stdout", &format!("did {line}"));
            }
            Ok(_) => {}
            Err(Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => {}
            Err(_) => return,
        }
    }
}
