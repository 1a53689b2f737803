//! The session: a connection over which requests go out and pushes come in.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::client::TlsStream;
use tokio_util::either::Either;

use super::PlayError;
use crate::{
    accounts::Secret,
    lobby::wire::{
        push::{Body, Hello, Push},
        request::{self, LoginKind, Request},
        terms::Code,
        xml::{Framer, Item, Limits},
    },
};

/// A request is answered within this, or the lobby hangs.
pub(super) const PATIENCE: Duration = Duration::from_secs(30);
/// Bytes that are read at once.
const READ: usize = 8 << 10;

/// Who somebody is.
#[derive(Debug, Clone)]
pub(super) enum Login {
    /// By a name alone.
    Guest(String),
    /// By an account's name and password.
    Account(String, Secret),
}

impl Login {
    /// Whether it says something that is nobody else's.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::Account(..))
    }

    pub(super) fn name(&self) -> &str {
        match self {
            Self::Guest(name) | Self::Account(name, _) => name,
        }
    }

    fn request(&self) -> Request {
        let (kind, password) = match self {
            Self::Guest(_) => (LoginKind::Guest, None),
            Self::Account(_, password) => (LoginKind::Normal, Some(password.clone())),
        };
        Request::Login(request::Login {
            kind,
            name: self.name().into(),
            password,
            email: None,
        })
    }
}

/// A session's bytes: as they are, or within TLS.
pub(super) type Line = Either<TcpStream, Box<TlsStream<TcpStream>>>;

/// A connection to a lobby, as a client has it.
pub(super) struct Lobby<S = Line> {
    stream: S,
    framer: Framer,
}

impl Lobby<TcpStream> {
    /// Connects and greets; and how one was greeted.
    pub(super) async fn connect(address: &str) -> Result<(Self, Hello), PlayError> {
        let no_lobby = |source| PlayError::NoLobby {
            address: address.into(),
            source,
        };
        let connected = timeout(PATIENCE, TcpStream::connect(address)).await;
        let stream = connected
            .map_err(|_| PlayError::Silent(PATIENCE))?
            .map_err(no_lobby)?;
        stream.set_nodelay(true).ok(); // slower, and right
        let mut lobby = Self {
            stream,
            framer: Framer::new(Limits::PUSHES),
        };
        let mut bytes = Vec::new();
        Request::greet(&mut bytes);
        lobby.stream.write_all(&bytes).await?;
        match lobby.answer().await? {
            Push::Hello(hello) => Ok((lobby, hello)),
            _ => Err(PlayError::Garbage("no greeting".into())),
        }
    }

    /// Goes on as it is.
    pub(super) fn plain(self) -> Lobby {
        let (stream, framer) = (Either::Left(self.stream), self.framer);
        Lobby { stream, framer }
    }

    /// Goes on within what `cover` makes of the connection. What was said after the greeting came in clear: anybody on
    /// the way may have added it, so it is not to be taken for something that was said within.
    pub(super) async fn covered<F>(
        mut self,
        cover: impl FnOnce(TcpStream) -> F,
    ) -> Result<Lobby, PlayError>
    where
        F: Future<Output = Result<TlsStream<TcpStream>, PlayError>>,
    {
        if !self.framer.remaining().trim_ascii().is_empty() {
            return Err(PlayError::Early);
        }
        self.say(&Request::TlsStart).await?;
        let covered = timeout(PATIENCE, cover(self.stream)).await;
        let stream = covered.map_err(|_| PlayError::Silent(PATIENCE))??;
        let (stream, framer) = (Either::Right(Box::new(stream)), self.framer);
        Ok(Lobby { stream, framer })
    }

    /// Makes this connection a channel of that person's; what the game said already.
    pub(super) async fn hand_over(mut self, name: &str) -> Result<(TcpStream, Vec<u8>), PlayError> {
        let (name, token) = (name.into(), None);
        self.say(&Request::Channel { name, token }).await?;
        self.say(&Request::End).await?;
        let handed = timeout(PATIENCE, self.until_handed()).await;
        handed.map_err(|_| PlayError::Silent(PATIENCE))??;
        Ok((self.stream, self.framer.remaining().to_vec()))
    }

    async fn until_handed(&mut self) -> Result<(), PlayError> {
        loop {
            match self.item().await? {
                Item::Opened => {}
                Item::Closed => return Ok(()),
                Item::Element(element) => {
                    if let Some(Push::Result { action, code, .. }) = Push::decode(&element)? {
                        return Err(PlayError::Refused { action, code });
                    }
                }
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Lobby<S> {
    /// Says something.
    pub(super) async fn say(&mut self, request: &Request) -> Result<(), PlayError> {
        let mut bytes = Vec::new();
        request.encode(&mut bytes);
        self.stream.write_all(&bytes).await?;
        Ok(self.stream.flush().await?)
    }

    /// The next push. Nothing is lost when this is dropped.
    pub(super) async fn next(&mut self) -> Result<Push, PlayError> {
        loop {
            match self.item().await? {
                Item::Closed => return Err(PlayError::Dismissed),
                Item::Opened => {}
                Item::Element(element) => {
                    if let Some(push) = Push::decode(&element)? {
                        return Ok(push);
                    }
                }
            }
        }
    }

    async fn item(&mut self) -> Result<Item, PlayError> {
        loop {
            if let Some(item) = self.framer.next()? {
                return Ok(item);
            }
            let mut bytes = [0; READ];
            match self.stream.read(&mut bytes).await {
                Ok(0) => return Err(hung_up()),
                // TLS says it at length.
                Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Err(hung_up()),
                Ok(count) => self.framer.push(&bytes[..count]),
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// The next push that is no PING, within the time that an answer may take.
    pub(super) async fn answer(&mut self) -> Result<Push, PlayError> {
        loop {
            let next = timeout(PATIENCE, self.next()).await;
            match next.map_err(|_| PlayError::Silent(PATIENCE))?? {
                Push::Ping => self.say(&Request::Pong).await?,
                push => return Ok(push),
            }
        }
    }

    /// Says something and waits for its RESULT. What else is said meanwhile is of no use yet.
    pub(super) async fn ask(&mut self, request: &Request) -> Result<Body, PlayError> {
        self.say(request).await?;
        loop {
            let push = self.answer().await?;
            if let Push::Result { action, code, body } = push
                && Some(action) == request.action()
            {
                return match code {
                    Code::Ok => Ok(body),
                    code => Err(PlayError::Refused { action, code }),
                };
            }
        }
    }

    /// Comes in.
    pub(super) async fn login(&mut self, login: &Login) -> Result<(), PlayError> {
        match self.ask(&login.request()).await {
            Ok(_) => Ok(()),
            Err(PlayError::Refused { code, .. }) => Err(PlayError::Login {
                name: login.name().into(),
                code,
            }),
            Err(error) => Err(error),
        }
    }

    /// Takes leave; what the lobby still says is waited for, a moment.
    pub(super) async fn leave(mut self) {
        let leave = Request::Leave {
            force: false,
            spectator: false,
        };
        let farewell = async {
            self.say(&leave).await?;
            self.say(&Request::End).await?;
            while self.next().await.is_ok() {}
            Ok::<_, PlayError>(())
        };
        // It is left when the connection ends, too.
        timeout(Duration::from_secs(2), farewell).await.ok();
    }
}

fn hung_up() -> PlayError {
    io::Error::new(io::ErrorKind::UnexpectedEof, "it hung up").into()
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    const GREETING: &str = "<SESSION>\n<SERVER ID='GGZ-0.0.14' NAME='box' VERSION='10' STATUS='ok' TLS_SUPPORT='yes'>\
                            <OPTIONS CHATLEN='255'/></SERVER>";

    /// How TLS goes with a lobby that says this in one go, when the handshake itself would fail.
    async fn covered(said: &str) -> PlayError {
        let door = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = door.local_addr().unwrap().to_string();
        let greet = async {
            let (mut stream, _) = door.accept().await.unwrap();
            stream.write_all(said.as_bytes()).await.unwrap();
            stream
        };
        let (connected, _stream) = tokio::join!(Lobby::connect(&address), greet);
        let (lobby, hello) = connected.unwrap();
        assert!(hello.tls);
        let no_handshake = async |_| Err(PlayError::Tls(io::ErrorKind::InvalidData.into()));
        lobby.covered(no_handshake).await.err().unwrap()
    }

    #[tokio::test]
    async fn what_was_said_in_clear_after_the_greeting_is_not_believed_within_tls() {
        for early in ["<RESULT ACTION='login' CODE='ok'/>", "\n<", "x"] {
            let error = covered(&format!("{GREETING}{early}")).await;
            assert!(matches!(error, PlayError::Early), "{early}: {error}");
        }
        for blank in ["", "\r\n"] {
            let error = covered(&format!("{GREETING}{blank}")).await;
            assert!(matches!(error, PlayError::Tls(_)), "{error}");
        }
    }
}
