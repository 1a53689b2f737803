//! A connection before anybody is known on it: whatever is done for it has an end, and gives way when others come.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::{Instant, timeout, timeout_at},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use super::{
    ask::Stream,
    outbox::Outbox,
    talk::{Next, Talk},
    tcp::{READ, protocol_fault},
    wire::{
        element::Element,
        push::Push,
        request::Request,
        xml::{Framer, Item, XmlError, boundary},
    },
};
use crate::net::crowd::Place;

/// How long the end of a line may come after the rest of it: what one packet more takes.
const LINE_END: Duration = Duration::from_millis(250);

/// Who somebody has turned out to be.
pub(super) enum Known {
    Plain(TcpStream),
    Encrypted(Box<TlsStream<TcpStream>>),
}

/// One connection, until somebody is known.
pub(super) struct Stranger<'a> {
    pub(super) talk: &'a mut Talk,
    pub(super) outbox: &'a Outbox,
    pub(super) framer: &'a mut Framer,
    pub(super) place: &'a mut Place,
    /// All that they do has to be done by then, but for what they wait for themselves.
    pub(super) until: Instant,
    /// For a TLS handshake.
    pub(super) handshake: Duration,
}

impl Stranger<'_> {
    /// Until they are logged in; none when they are gone, or were a game data connection.
    pub(super) async fn plain(
        mut self,
        mut stream: TcpStream,
        tls: Option<&TlsAcceptor>,
    ) -> io::Result<Option<Known>> {
        self.flush(&mut stream).await?;
        let mut handed = None;
        while within(self.place, self.until, peek(&mut stream, self.framer)).await? {
            loop {
                let item = match self.framer.next() {
                    Ok(Some(item)) => item,
                    Ok(None) => break,
                    Err(error) => return self.refuse(stream, error).await,
                };
                let next = match (item, &handed) {
                    (Item::Closed, Some((name, token))) => Next::Hand {
                        name: String::clone(name),
                        token: Option::clone(token),
                    },
                    (Item::Closed, None) => self.talk.hear(Request::End).await,
                    (Item::Opened, _) => Next::Listen,
                    (Item::Element(element), _) => match self.request(&element).await {
                        Some(Request::Channel { name, token }) => {
                            handed = Some((name, token));
                            Next::Listen
                        }
                        Some(request) => self.hear(request, hung_up(&stream)).await?,
                        None => Next::Listen,
                    },
                };
                match next {
                    Next::Listen if self.talk.is_known() => return Ok(Some(Known::Plain(stream))),
                    Next::Listen => {}
                    Next::Encrypt => {
                        return match tls {
                            Some(tls) => self.encrypted(stream, tls).await,
                            None => Ok(None),
                        };
                    }
                    Next::Hand { name, token } => {
                        let skipped = skip_line_end(&mut stream);
                        within(self.place, self.until, skipped).await?;
                        let stream = stream.into_std()?;
                        self.talk.hand(name, token, Stream::Tcp(stream)).await;
                        return Ok(None);
                    }
                    Next::Close => return self.close(stream).await,
                }
            }
            self.flush(&mut stream).await?;
        }
        Ok(None)
    }

    /// The same over TLS, where nothing is handed over: a game could not read it.
    async fn encrypted(
        mut self,
        mut stream: TcpStream,
        tls: &TlsAcceptor,
    ) -> io::Result<Option<Known>> {
        let until = self.until.min(Instant::now() + self.handshake);
        // TLS begins with no blank, whenever the rest of the line comes.
        within(self.place, until, skip_blanks(&mut stream, |_| false)).await?;
        let mut stream = Box::new(within(self.place, until, tls.accept(stream)).await?);
        let mut bytes = vec![0; READ];
        loop {
            let count = within(self.place, self.until, stream.read(&mut bytes)).await?;
            if count == 0 {
                return Ok(None);
            }
            self.framer.push(&bytes[..count]);
            loop {
                let next = match self.framer.next() {
                    Ok(None) => break,
                    Ok(Some(Item::Opened)) => Next::Listen,
                    Ok(Some(Item::Closed)) => self.talk.hear(Request::End).await,
                    Ok(Some(Item::Element(element))) => match self.request(&element).await {
                        Some(request) => self.hear(request, std::future::pending()).await?,
                        None => Next::Listen,
                    },
                    Err(error) => return self.refuse(*stream, error).await,
                };
                match next {
                    Next::Listen if self.talk.is_known() => {
                        return Ok(Some(Known::Encrypted(stream)));
                    }
                    Next::Listen => {}
                    Next::Encrypt | Next::Hand { .. } | Next::Close => {
                        return self.close(*stream).await;
                    }
                }
            }
            self.flush(&mut *stream).await?;
        }
    }

    async fn request(&self, element: &Element) -> Option<Request> {
        match Request::decode(element) {
            Ok(request) => Some(request),
            Err(refusal) => {
                self.talk.refuse(refusal).await;
                None
            }
        }
    }

    /// While we are busy with them they give way to nobody, and no time passes; but not longer than they are there.
    async fn hear(
        &mut self,
        request: Request,
        hung_up: impl Future<Output = ()>,
    ) -> io::Result<Next> {
        if !self.place.hold() {
            return Err(crowded_out());
        }
        let asked = Instant::now();
        let next = tokio::select! {
            biased;
            next = self.talk.hear(request) => next,
            () = hung_up => return Err(io::ErrorKind::UnexpectedEof.into()),
        };
        self.until += asked.elapsed();
        self.place.relent();
        Ok(next)
    }

    /// Sends what waits, without waiting for more.
    async fn flush(&mut self, stream: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        let outbox = self.outbox;
        let sent = async {
            while let Some(Ok(batch)) = outbox.waiting() {
                stream.write_all(&batch.concat()).await?;
            }
            stream.flush().await
        };
        within(self.place, self.until, sent).await
    }

    async fn close(&mut self, mut stream: impl AsyncWrite + Unpin) -> io::Result<Option<Known>> {
        self.flush(&mut stream).await?;
        within(self.place, self.until, stream.shutdown()).await?;
        Ok(None)
    }

    /// Says what is wrong, and ends it.
    async fn refuse(
        &mut self,
        stream: impl AsyncWrite + Unpin,
        error: XmlError,
    ) -> io::Result<Option<Known>> {
        tracing::debug!(%error, "a stranger said what is no XML of ours");
        self.outbox.tell(&protocol_fault(error));
        self.outbox.tell(&Push::End);
        self.close(stream).await
    }
}

fn crowded_out() -> io::Error {
    io::Error::new(io::ErrorKind::ConnectionAborted, "gave way to a newer one")
}

/// Does something for a stranger as long as there is time and room for them.
async fn within<T>(
    place: &mut Place,
    until: Instant,
    work: impl Future<Output = io::Result<T>>,
) -> io::Result<T> {
    tokio::select! {
        biased;
        done = timeout_at(until, work) => done?,
        () = place.crowded_out() => Err(crowded_out()),
    }
}

/// Ends when they have hung up, as far as that can be seen without reading what they say.
async fn hung_up(stream: &TcpStream) {
    let mut byte = [0];
    match stream.peek(&mut byte).await {
        Ok(0) => {}
        // They say more already, and it will be read in time; or it will fail then.
        _ => std::future::pending().await,
    }
}

/// Takes what there is, up to and including the first `>`. False: they have hung up.
async fn peek(stream: &mut TcpStream, framer: &mut Framer) -> io::Result<bool> {
    let mut bytes = [0; 1024];
    let count = stream.peek(&mut bytes).await?;
    let count = boundary(&bytes[..count]);
    stream.read_exact(&mut bytes[..count]).await?;
    framer.push(&bytes[..count]);
    Ok(count > 0)
}

/// The end of the line that a document's last tag stands in is not a game's. It may come in a packet of its own, but no
/// client has to send it, and all wait for us from then on.
async fn skip_line_end(stream: &mut TcpStream) -> io::Result<()> {
    let skipped = skip_blanks(stream, |byte| byte == b'\n');
    timeout(LINE_END, skipped).await.unwrap_or(Ok(()))
}

/// Takes blanks up to the `last` of them, or to what is none.
async fn skip_blanks(stream: &mut TcpStream, last: impl Fn(u8) -> bool) -> io::Result<()> {
    loop {
        let mut byte = [0];
        let there = stream.peek(&mut byte).await? > 0;
        if !there || !byte[0].is_ascii_whitespace() {
            return Ok(());
        }
        stream.read_exact(&mut byte).await?;
        if last(byte[0]) {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::net::TcpListener;

    /// Our end of a connection, and a client's.
    async fn pair() -> (TcpStream, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let theirs = TcpStream::connect(listener.local_addr().unwrap());
        let (theirs, ours) = tokio::join!(theirs, listener.accept());
        let theirs = theirs.unwrap();
        theirs.set_nodelay(true).unwrap();
        (ours.unwrap().0, theirs)
    }

    #[tokio::test]
    async fn a_line_ends_in_whichever_packet_and_what_follows_is_the_games() {
        for end in ["\n", "\r\n", " \r\n"] {
            for cut in 0..=end.len() {
                let (mut ours, mut theirs) = pair().await;
                let (now, later) = end.split_at(cut);
                theirs.write_all(now.as_bytes()).await.unwrap();
                if !now.is_empty() {
                    ours.readable().await.unwrap();
                }
                let answers = async {
                    tokio::task::yield_now().await; // what is there is taken first
                    theirs.write_all(later.as_bytes()).await.unwrap();
                };
                let (skipped, ()) = tokio::join!(skip_line_end(&mut ours), answers);
                skipped.unwrap();
                theirs.write_all(b"\n game").await.unwrap();
                let mut game = [0; 6];
                ours.read_exact(&mut game).await.unwrap();
                assert_eq!(&game, b"\n game", "{end:?} cut at {cut}");
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn no_line_has_to_end() {
        let (mut ours, mut theirs) = pair().await;
        skip_line_end(&mut ours).await.unwrap();
        theirs.write_all(b"game").await.unwrap();
        skip_line_end(&mut ours).await.unwrap();
        let mut game = [0; 4];
        ours.read_exact(&mut game).await.unwrap();
        assert_eq!(&game, b"game");
        drop(theirs);
        skip_line_end(&mut ours).await.unwrap();
    }
}
