//! The daemon's API over its control socket: one request per connection.
//!
//! Who calls is known by the socket itself, so that no token is needed. Errors of every kind become a
//! [`Fault`] here, and nowhere else.

use std::{
    fs::{File, OpenOptions},
    future::Future,
    io,
    os::{
        fd::AsRawFd as _,
        unix::{ffi::OsStrExt as _, fs::OpenOptionsExt as _},
    },
    path::{Path, PathBuf},
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, Response, StatusCode, body::Incoming, header};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::net::UnixStream;
use tokio_tungstenite::{WebSocketStream, tungstenite};

use super::fault::{Fault, Problem};

/// A request is answered within this, or the daemon hangs.
const PATIENCE: Duration = Duration::from_secs(30);
/// The same for what reads everything: the audit chain, a check.
const LONG_PATIENCE: Duration = Duration::from_secs(600);
/// The same for what copies a whole server.
const JOB_PATIENCE: Duration = Duration::from_secs(6 * 3600);
/// An answer is at most this long.
const LONGEST_ANSWER: usize = 64 << 20;
/// What fits into a socket address, with its closing NUL.
const LONGEST_SOCKET: usize = 107;

/// The daemon of one state folder.
#[derive(Debug, Clone)]
pub(crate) struct Control {
    socket: PathBuf,
}

/// What the API answered: JSON, or nothing.
#[derive(Debug, Clone)]
pub(crate) struct Answer(String);

impl From<String> for Answer {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl Answer {
    pub(crate) fn text(&self) -> &str {
        &self.0
    }

    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Fault> {
        serde_json::from_str(&self.0).map_err(|error| Fault::Garbage(error.to_string()))
    }
}

/// What is sent along.
struct Content {
    kind: &'static str,
    bytes: Bytes,
}

impl Content {
    fn json(value: &Value) -> Self {
        Self {
            kind: "application/json",
            bytes: value.to_string().into(),
        }
    }
}

/// A console or the events as they come.
pub(crate) type Live = WebSocketStream<UnixStream>;

impl Control {
    pub(crate) fn new(state: &Path) -> Self {
        Self {
            socket: state.join("control.sock"),
        }
    }

    pub(crate) async fn get(&self, path: &str) -> Result<Answer, Fault> {
        self.ask(Method::GET, path, None, PATIENCE).await
    }

    /// The same for what may take minutes.
    pub(crate) async fn get_slowly(&self, path: &str) -> Result<Answer, Fault> {
        self.ask(Method::GET, path, None, LONG_PATIENCE).await
    }

    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Fault> {
        let body = body.map(Content::json);
        self.ask(method, path, body, PATIENCE).await
    }

    /// The same for what may take hours, such as a snapshot.
    pub(crate) async fn send_slowly(
        &self,
        method: Method,
        path: &str,
        body: Option<&Value>,
    ) -> Result<Answer, Fault> {
        let body = body.map(Content::json);
        self.ask(method, path, body, JOB_PATIENCE).await
    }

    /// Sends bytes as they are.
    pub(crate) async fn put(&self, path: &str, bytes: Bytes) -> Result<Answer, Fault> {
        let content = Content {
            kind: "application/octet-stream",
            bytes,
        };
        self.ask(Method::PUT, path, Some(content), LONG_PATIENCE)
            .await
    }

    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: Option<Content>,
        patience: Duration,
    ) -> Result<Answer, Fault> {
        let answer = async {
            let response = self.request(method, path, body).await?;
            let status = response.status();
            let body = Limited::new(response.into_body(), LONGEST_ANSWER)
                .collect()
                .await
                .map_err(|error| match error.downcast::<hyper::Error>() {
                    Ok(error) => broken(&error),
                    Err(_) => Fault::Garbage(format!("it is longer than {LONGEST_ANSWER} bytes")),
                })?
                .to_bytes();
            judge(status, &body)
        };
        patiently(patience, answer).await
    }

    /// An answer of any length, piece by piece; each piece may take a minute.
    pub(crate) async fn stream(&self, path: &str) -> Result<Pieces, Fault> {
        let response = patiently(PATIENCE, self.request(Method::GET, path, None)).await?;
        if response.status().is_success() {
            return Ok(Pieces(response.into_body()));
        }
        let status = response.status();
        let body = patiently(PATIENCE, async {
            let body = Limited::new(response.into_body(), LONGEST_ANSWER).collect();
            Ok(body.await.map_err(|_| Fault::Cut)?.to_bytes())
        });
        judge(status, &body.await?)?;
        Err(Fault::Garbage(format!("a redirection, HTTP {status}")))
    }

    /// A WebSocket.
    pub(crate) async fn live(&self, path: &str) -> Result<Live, Fault> {
        let url = format!("ws://localhost/api/v1{path}");
        let greeting = async {
            let stream = self.connect().await?;
            match tokio_tungstenite::client_async(url, stream).await {
                Ok((live, _)) => Ok(live),
                Err(tungstenite::Error::Http(response)) => {
                    let status = response.status();
                    let body = response.into_body().unwrap_or_default();
                    judge(status, &body)?;
                    Err(Fault::Garbage(format!(
                        "HTTP {status} instead of a WebSocket"
                    )))
                }
                Err(tungstenite::Error::Io(_) | tungstenite::Error::Protocol(_)) => Err(Fault::Cut),
                Err(error) => Err(Fault::Garbage(error.to_string())),
            }
        };
        patiently(PATIENCE, greeting).await
    }

    async fn request(
        &self,
        method: Method,
        path: &str,
        body: Option<Content>,
    ) -> Result<Response<Incoming>, Fault> {
        let stream = TokioIo::new(self.connect().await?);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(stream)
            .await
            .map_err(|error| broken(&error))?;
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(format!("/api/v1{path}"))
            .header(header::HOST, "localhost")
            .header(header::ACCEPT, "application/json");
        if let Some(content) = &body {
            request = request.header(header::CONTENT_TYPE, content.kind);
        }
        let body = body.map(|content| content.bytes).unwrap_or_default();
        let request = request
            .body(Full::new(body))
            .expect("paths are built of numbers and percent-encoded text");
        sender
            .send_request(request)
            .await
            .map_err(|error| broken(&error))
    }

    async fn connect(&self) -> Result<UnixStream, Fault> {
        let connected = if self.socket.as_os_str().as_bytes().len() <= LONGEST_SOCKET {
            UnixStream::connect(&self.socket).await
        } else {
            connect_far(&self.socket).await
        };
        connected.map_err(|source| {
            let socket = self.socket.clone();
            match source.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
                    Fault::NoDaemon(socket)
                }
                io::ErrorKind::PermissionDenied => Fault::Denied(socket),
                _ => Fault::Unreachable { socket, source },
            }
        })
    }
}

/// A path that does not fit into a socket address is reached through its folder's descriptor.
async fn connect_far(socket: &Path) -> io::Result<UnixStream> {
    let folder = socket.parent().unwrap_or(Path::new("/"));
    let folder: File = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_PATH | libc::O_DIRECTORY)
        .open(folder)?;
    let name = socket.file_name().unwrap_or_default();
    let near = PathBuf::from(format!("/proc/self/fd/{}", folder.as_raw_fd())).join(name);
    UnixStream::connect(near).await
}

/// An answer as it comes.
pub(crate) struct Pieces(Incoming);

impl Pieces {
    /// The next bytes; none at the true end.
    pub(crate) async fn next(&mut self) -> Result<Option<Bytes>, Fault> {
        loop {
            let frame = async { Ok(self.0.frame().await) };
            match patiently(PATIENCE * 2, frame).await? {
                None => return Ok(None),
                Some(Err(error)) => return Err(broken(&error)),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        return Ok(Some(bytes));
                    }
                }
            }
        }
    }
}

async fn patiently<T>(
    patience: Duration,
    work: impl Future<Output = Result<T, Fault>>,
) -> Result<T, Fault> {
    tokio::time::timeout(patience, work)
        .await
        .unwrap_or(Err(Fault::Silent(patience)))
}

fn judge(status: StatusCode, body: &[u8]) -> Result<Answer, Fault> {
    let text = String::from_utf8_lossy(body).into_owned();
    if status.is_success() {
        return Ok(Answer(text));
    }
    match serde_json::from_str::<Problem>(&text) {
        Ok(mut problem) => {
            problem.status = status.as_u16();
            Err(Fault::Refused(problem))
        }
        Err(_) => Err(Fault::Garbage(format!("HTTP {status} without a problem"))),
    }
}

/// What hyper could not read or write.
fn broken(error: &hyper::Error) -> Fault {
    if error.is_parse() {
        Fault::Garbage("it is not HTTP".into())
    } else {
        Fault::Cut
    }
}

/// `text` as a query's value.
pub(crate) fn query(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                out.push(char::from(byte));
            }
            byte => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_query_value_cannot_end_itself() {
        assert_eq!(query("ada_3"), "ada_3");
        assert_eq!(query("a b&c=ü\n"), "a%20b%26c%3D%C3%BC%0A");
    }

    #[test]
    fn what_is_no_problem_document_is_told_as_such() {
        let fault = judge(StatusCode::BAD_GATEWAY, b"<html>").unwrap_err();
        assert!(matches!(fault, Fault::Garbage(_)));
        let fault = judge(StatusCode::NOT_FOUND, br#"{"detail":"no server 3"}"#).unwrap_err();
        assert!(matches!(fault, Fault::Refused(Problem { status: 404, .. })));
        assert_eq!(judge(StatusCode::NO_CONTENT, b"").unwrap().text(), "");
    }
}
