//! GGZ's port: a stranger's first words, TLS if they ask for it, and then a session or a game data connection.
//!
//! ```text
//!  accepted ─► SERVER ─► stranger ──LOGIN ok──► session: one task reads, one writes
//!              told      gives way   │ TLS_START ─► stranger, encrypted
//!                        within 60 s └ CHANNEL, </SESSION> ─► handed to the lobby, as it is
//! ```
//!
//! - A stranger is read up to each `>` and not a byte further: what follows `</SESSION>` belongs to a game.
//! - When an address, or the port, has as many strangers as it may have, the oldest gives way to the newest.
//! - A house that is full says so, and still takes the game data connections of those who are in.
//! - A session that says too much is read more slowly; one that reads too slowly is dropped ([`Outbox`]), and the kernel
//!   keeps no more for it, and for no longer, than is said here.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use nix::sys::socket::{setsockopt, sockopt};
use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadHalf, split},
    net::{TcpListener, TcpStream, tcp::OwnedReadHalf},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::{
    Lobby,
    hall::LENGTH,
    outbox::{Encoding, End, Outbox},
    pace::Pace,
    stranger::{Known, Stranger},
    talk::{Next, Talk},
    wire::{
        push::{Body, Hello, Push},
        request::Request,
        terms::Action,
        xml::{self, Framer, Item, XmlError},
    },
};
use crate::{
    audit::Door,
    net::{
        accepted, canonical,
        crowd::{Crowd, Entry, Place, Places},
    },
};

/// What the port grants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until somebody has logged in.
    pub(super) stranger: Duration,
    /// For a TLS handshake.
    pub(super) handshake: Duration,
    /// For the last words.
    pub(super) farewell: Duration,
    /// How many strangers.
    pub(super) places: Places,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            stranger: Duration::from_secs(60),
            handshake: Duration::from_secs(10),
            farewell: Duration::from_secs(5),
            places: Places {
                loopback: 4096,
                ..Places::default()
            },
        }
    }
}

/// Bytes that the kernel may keep for a session; it takes twice as many, for its own needs.
const KERNEL: usize = 128 << 10;
/// In milliseconds: whoever has not acknowledged for so long what was sent is not there any more. Left alone the kernel
/// believes in a pulled cable for a quarter of an hour.
const VANISHED: u32 = 60_000;
/// What one read takes at most.
pub(super) const READ: usize = 4096;

/// Serves `listener` until `stop`.
pub(super) async fn serve(
    listener: TcpListener,
    lobby: Lobby,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    stop: CancellationToken,
) {
    let crowd = Crowd::new(limits.places);
    let open = TaskTracker::new();
    let port = Arc::new(Port {
        lobby,
        tls,
        limits,
        stop: stop.clone(),
    });
    let what = "lobby connections";
    while let Some((stream, from)) = accepted(what, &stop, || listener.accept()).await {
        let from = canonical(from);
        stream.set_nodelay(true).ok(); // slower, and right
        if let Entry::Free(place) | Entry::Instead(place) = crowd.enter(from.ip()) {
            let span = tracing::debug_span!("lobby", %from);
            let connection = port.clone().connection(stream, from, place);
            open.spawn(connection.instrument(span));
        }
    }
    open.close();
    if timeout(limits.farewell, open.wait()).await.is_err() {
        tracing::warn!(left = open.len(), "lobby connections did not end in time");
    }
}

/// What all connections share.
struct Port {
    lobby: Lobby,
    tls: Option<TlsAcceptor>,
    limits: Limits,
    stop: CancellationToken,
}

impl Port {
    async fn connection(self: Arc<Self>, stream: TcpStream, from: SocketAddr, mut place: Place) {
        let outbox = Arc::new(Outbox::new(Encoding::Xml));
        let lobby = self.lobby.clone();
        let mut talk = Talk::new(lobby, Door::Lobby, from.ip(), outbox.clone());
        let mut framer = Framer::new(xml::Limits::REQUESTS);
        bound(&stream);
        outbox.tell(&self.hello());
        let stranger = Stranger {
            talk: &mut talk,
            outbox: &outbox,
            framer: &mut framer,
            place: &mut place,
            until: Instant::now() + self.limits.stranger,
            handshake: self.limits.handshake,
        };
        let known = tokio::select! {
            biased;
            known = stranger.plain(stream, self.tls.as_ref()) => known,
            () = self.stop.cancelled() => return,
        };
        // A session gives way to nobody.
        let stream = match known {
            Ok(Some(stream)) => stream,
            Ok(None) => return,
            Err(error) => return tracing::debug!(%error, "a stranger has left"),
        };
        drop(place);
        match stream {
            Known::Plain(stream) => {
                let (reader, writer) = stream.into_split();
                self.session(Reader::Plain(reader), writer, talk, outbox, framer)
                    .await;
            }
            Known::Encrypted(stream) => {
                let (reader, writer) = split(*stream);
                self.session(Reader::Encrypted(reader), writer, talk, outbox, framer)
                    .await;
            }
        }
    }

    fn hello(&self) -> Push {
        Push::Hello(Hello {
            name: self.lobby.name(),
            version: env!("CARGO_PKG_VERSION").into(),
            tls: self.tls.is_some(),
            chat_length: LENGTH as u32,
            full: self.lobby.is_full(),
        })
    }

    async fn session(
        &self,
        mut reader: Reader,
        writer: impl AsyncWrite + Unpin + Send + 'static,
        mut talk: Talk,
        outbox: Arc<Outbox>,
        mut framer: Framer,
    ) {
        let writing = tokio::spawn(write(writer, outbox.clone(), self.limits.farewell));
        let end = tokio::select! {
            end = listen(&mut reader, &mut talk, &mut framer) => end,
            end = outbox.ended() => {
                if end == End::Overrun {
                    self.lobby.overran();
                }
                Ok(())
            }
            () = self.stop.cancelled() => Ok(()),
        };
        match end {
            Ok(()) => {}
            Err(Fault::Io(error)) => tracing::debug!(%error, "a session has broken off"),
            Err(Fault::Xml(error)) => {
                tracing::debug!(%error, "a session said what is no XML of ours");
                outbox.tell(&protocol_fault(error));
                outbox.tell(&Push::End);
            }
        }
        drop(talk); // finishes the outbox
        writing.await.ok(); // it does not panic, and is never aborted
    }
}

/// Bounds what the kernel keeps for somebody who does not read, and for how long. Left alone it grows to megabytes for
/// each of them, and the outbox is full, and the session dropped, only after that.
fn bound(stream: &TcpStream) {
    let bytes = setsockopt(stream, sockopt::SndBuf, &KERNEL);
    let time = setsockopt(stream, sockopt::TcpUserTimeout, &VANISHED);
    if let Err(error) = bytes.and(time) {
        tracing::debug!(%error, "what the kernel keeps for a session is not bounded");
    }
}

pub(super) fn protocol_fault(error: XmlError) -> Push {
    let (action, code) = (Action::Protocol, error.code());
    let body = Body::None {};
    Push::Result { action, code, body }
}

/// What a session is read from.
enum Reader {
    Plain(OwnedReadHalf),
    Encrypted(ReadHalf<TlsStream<TcpStream>>),
}

impl Reader {
    /// Some bytes, into the framer. False: there will be no more.
    async fn read(&mut self, framer: &mut Framer) -> io::Result<bool> {
        match self {
            // No buffer is held while nothing comes: most sessions are silent most of the time.
            Self::Plain(stream) => loop {
                stream.readable().await?;
                let mut bytes = [0; READ];
                match stream.try_read(&mut bytes) {
                    Ok(count) => {
                        framer.push(&bytes[..count]);
                        return Ok(count > 0);
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
            },
            Self::Encrypted(stream) => {
                let mut bytes = Box::new([0; READ]);
                let count = stream.read(&mut *bytes).await?;
                framer.push(&bytes[..count]);
                Ok(count > 0)
            }
        }
    }
}

enum Fault {
    Io(io::Error),
    Xml(XmlError),
}

/// Until they end it.
async fn listen(reader: &mut Reader, talk: &mut Talk, framer: &mut Framer) -> Result<(), Fault> {
    let mut pace = Pace::new(Instant::now());
    loop {
        while let Some(item) = framer.next().map_err(Fault::Xml)? {
            if let Some(until) = pace.step(Instant::now()) {
                sleep_until(until).await;
            }
            let next = match item {
                Item::Opened => Next::Listen,
                Item::Closed => talk.hear(Request::End).await,
                Item::Element(element) => match Request::decode(&element) {
                    Ok(request) => talk.hear(request).await,
                    Err(refusal) => {
                        talk.refuse(refusal).await;
                        Next::Listen
                    }
                },
            };
            if next == Next::Close {
                return Ok(());
            }
        }
        let due = talk.due();
        let beat = async {
            match due {
                Some(due) => sleep_until(due.into()).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            read = reader.read(framer) => {
                if !read.map_err(Fault::Io)? {
                    return Ok(());
                }
            }
            () = beat => talk.tick().await,
        }
    }
}

/// Until there will be nothing more to write; the last words have a while.
async fn write(mut writer: impl AsyncWrite + Unpin, outbox: Arc<Outbox>, farewell: Duration) {
    let all = async {
        loop {
            match outbox.take().await {
                Ok(batch) => {
                    match &batch[..] {
                        [one] => writer.write_all(one).await?,
                        many => writer.write_all(&many.concat()).await?,
                    }
                    writer.flush().await?;
                }
                Err(End::Said) => return writer.shutdown().await,
                Err(End::Overrun) => return Ok(()),
            }
        }
    };
    let over = async {
        match outbox.ended().await {
            End::Said => sleep(farewell).await,
            End::Overrun => {}
        }
    };
    tokio::select! {
        written = all => {
            if let Err(error) = written {
                tracing::debug!(%error, "a session cannot be told anything more");
            }
        }
        () = over => {}
    }
}

#[cfg(test)]
mod tests {
    use nix::sys::socket::getsockopt;

    use super::*;

    #[tokio::test]
    async fn whoever_acknowledges_nothing_for_a_minute_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap());
        let stream = stream.await.unwrap();
        bound(&stream);
        let vanished = getsockopt(&stream, sockopt::TcpUserTimeout).unwrap();
        assert_eq!(vanished, 60_000);
        let kept = getsockopt(&stream, sockopt::SndBuf).unwrap();
        assert_eq!(kept, 2 * KERNEL);
    }
}
