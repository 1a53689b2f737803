//! A mail server that does what it is told: takes letters, refuses them, is slow, or hangs up.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{
    io::{AsyncBufReadExt, AsyncRead, AsyncWrite, AsyncWriteExt, BufReader},
    net::TcpListener,
    sync::mpsc,
};
use tokio_rustls::TlsAcceptor;

use super::PATIENCE;

/// What it answers at one point.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Reply {
    /// This line.
    Say(&'static str),
    /// Nothing, for ever.
    Nothing,
    /// It hangs up.
    Cut,
}

/// What it answers on one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Play {
    pub(crate) greeting: Reply,
    pub(crate) mail: Reply,
    pub(crate) rcpt: Reply,
    pub(crate) data: Reply,
    /// After the text.
    pub(crate) text: Reply,
}

/// Takes everything.
pub(crate) const TAKE: Play = Play {
    greeting: Reply::Say("220 sink"),
    mail: Reply::Say("250 ok"),
    rcpt: Reply::Say("250 ok"),
    data: Reply::Say("354 go on"),
    text: Reply::Say("250 taken"),
};

/// A letter whose text has arrived, whatever was answered.
#[derive(Debug, Clone)]
pub(crate) struct Letter {
    pub(crate) to: String,
    pub(crate) text: String,
}

impl Letter {
    /// The value of a header.
    pub(crate) fn header(&self, name: &str) -> String {
        let line = self.text.lines().find_map(|line| line.strip_prefix(name));
        let value = line.and_then(|rest| rest.strip_prefix(": "));
        value
            .unwrap_or_else(|| panic!("no {name} in {}", self.text))
            .into()
    }

    /// The link in it.
    pub(crate) fn link(&self) -> String {
        let start = self.text.find("http://").expect("a link");
        let link = self.text[start..].split_whitespace().next();
        link.expect("a link").into()
    }
}

/// What happened.
#[derive(Debug, Clone)]
pub(crate) enum News {
    /// Somebody came, and this is what they said by which it can be told where they are.
    Heard(String),
    /// A text has arrived.
    Text(Letter),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tls {
    None,
    AtOnce,
    Starttls,
}

#[derive(Clone)]
struct Shared {
    plays: Arc<Mutex<VecDeque<Play>>>,
    news: mpsc::UnboundedSender<News>,
    tls: Option<TlsAcceptor>,
    how: Tls,
}

/// The server; gone with its handle.
pub(crate) struct Sink {
    pub(crate) address: SocketAddr,
    shared: Shared,
    news: mpsc::UnboundedReceiver<News>,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Sink {
    /// On a free port.
    pub(crate) async fn open() -> Self {
        Self::with_tls(None, Tls::None).await
    }

    /// With that certificate.
    pub(crate) async fn with_tls(tls: Option<TlsAcceptor>, how: Tls) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        Self::at(listener, tls, how)
    }

    /// At a door of one's own.
    pub(crate) fn at(listener: TcpListener, tls: Option<TlsAcceptor>, how: Tls) -> Self {
        let address = listener.local_addr().expect("an address");
        let (sender, news) = mpsc::unbounded_channel();
        let shared = Shared {
            plays: Arc::default(),
            news: sender,
            tls,
            how,
        };
        let all = shared.clone();
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(all.clone(), stream));
            }
        });
        Self {
            address,
            shared,
            news,
            task,
        }
    }

    /// What the next connection is answered; those after it are taken.
    pub(crate) fn next(&self, play: Play) {
        let mut plays = self
            .shared
            .plays
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        plays.push_back(play);
    }

    /// The next letter whose text arrives.
    pub(crate) async fn letter(&mut self) -> Letter {
        loop {
            if let News::Text(letter) = self.told().await {
                return letter;
            }
        }
    }

    /// Waits until somebody says something that begins so.
    pub(crate) async fn hears(&mut self, start: &str) -> String {
        loop {
            match self.told().await {
                News::Heard(line) if line.starts_with(start) => return line,
                _ => {}
            }
        }
    }

    async fn told(&mut self) -> News {
        let told = tokio::time::timeout(PATIENCE, self.news.recv()).await;
        told.expect("somebody comes").expect("the server runs")
    }

    /// The letters that have arrived and that nobody waited for.
    pub(crate) fn rest(&mut self) -> Vec<Letter> {
        let mut letters = Vec::new();
        while let Ok(news) = self.news.try_recv() {
            if let News::Text(letter) = news {
                letters.push(letter);
            }
        }
        letters
    }
}

async fn serve(shared: Shared, stream: tokio::net::TcpStream) {
    shared.news.send(News::Heard("(came)".into())).ok();
    let play = {
        let mut plays = shared.plays.lock().unwrap_or_else(PoisonError::into_inner);
        plays.pop_front().unwrap_or(TAKE)
    };
    match (&shared.tls, shared.how) {
        (Some(tls), Tls::AtOnce) => {
            if let Ok(stream) = tls.accept(stream).await {
                talk(&shared, play, stream, true).await;
            }
        }
        (Some(tls), Tls::Starttls) => {
            if let Some(stream) = talk(&shared, play, stream, true).await
                && let Ok(stream) = tls.accept(stream).await
            {
                talk(&shared, play, stream, false).await;
            }
        }
        _ => drop(talk(&shared, play, stream, true).await),
    }
}

/// Gives the stream back when it is to turn to TLS.
async fn talk<S: AsyncRead + AsyncWrite + Unpin>(
    shared: &Shared,
    play: Play,
    stream: S,
    greets: bool,
) -> Option<S> {
    let mut stream = BufReader::new(stream);
    let mut to = String::new();
    if greets {
        say(&mut stream, play.greeting).await?;
    }
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        shared.news.send(News::Heard(line.clone())).ok()?;
        let verb = line.split([' ', ':']).next().unwrap_or_default();
        match verb.to_ascii_uppercase().as_str() {
            "EHLO" => {
                let start = shared.how == Tls::Starttls && greets;
                let offer = if start { "250-STARTTLS\r\n" } else { "" };
                let answer = format!("250-sink\r\n{offer}250-8BITMIME\r\n250 AUTH PLAIN LOGIN\r\n");
                stream.write_all(answer.as_bytes()).await.ok()?;
            }
            "STARTTLS" => {
                say(&mut stream, Reply::Say("220 now")).await?;
                return Some(stream.into_inner());
            }
            "AUTH" => say(&mut stream, Reply::Say("235 known")).await?,
            "MAIL" => say(&mut stream, play.mail).await?,
            "RCPT" => {
                to = line.clone();
                say(&mut stream, play.rcpt).await?;
            }
            "DATA" => {
                say(&mut stream, play.data).await?;
                if !matches!(play.data, Reply::Say(line) if line.starts_with("354")) {
                    continue;
                }
                let mut text = String::new();
                while !text.ends_with("\r\n.\r\n") {
                    if stream.read_line(&mut text).await.ok()? == 0 {
                        return None;
                    }
                }
                let to = to.clone();
                shared.news.send(News::Text(Letter { to, text })).ok()?;
                say(&mut stream, play.text).await?;
            }
            "QUIT" => {
                say(&mut stream, Reply::Say("221 bye")).await?;
                return None;
            }
            _ => say(&mut stream, Reply::Say("502 what")).await?,
        }
    }
}

/// None: the talk is over.
async fn say<S: AsyncWrite + Unpin>(stream: &mut S, reply: Reply) -> Option<()> {
    match reply {
        Reply::Say(line) => {
            let line = format!("{line}\r\n");
            stream.write_all(line.as_bytes()).await.ok()
        }
        Reply::Nothing => std::future::pending().await,
        Reply::Cut => None,
    }
}
