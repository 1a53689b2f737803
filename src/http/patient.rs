//! A connection on which bytes must move: patience with slow peers ends.
//!
//! It holds the connection's place at the gate, so that an upgraded connection (a WebSocket) keeps counting, and its
//! bounds hold for it too: a viewer that never reads is cut off here and nowhere else.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep},
};

use super::Limits;

/// `S` with deadlines, and whatever `held` must live as long.
pub(super) struct Patient<S, H> {
    inner: S,
    idle: Patience,
    stall: Patience,
    _held: H,
}

/// A deadline that starts with the first fruitless attempt.
struct Patience {
    after: Duration,
    due: Option<Instant>,
    sleep: Pin<Box<Sleep>>,
}

impl Patience {
    fn new(after: Duration) -> Self {
        Self {
            after,
            due: None,
            sleep: Box::pin(sleep(after)),
        }
    }

    /// Something moved elsewhere: the wait, if there is one, starts anew.
    fn extend(&mut self) {
        self.due = self.due.map(|_| Instant::now() + self.after);
    }

    /// Waits one attempt longer, or is over.
    fn wait<T>(&mut self, cx: &mut Context<'_>, what: &'static str) -> Poll<io::Result<T>> {
        let due = *self.due.get_or_insert_with(|| Instant::now() + self.after);
        if self.sleep.deadline() != due {
            self.sleep.as_mut().reset(due);
        }
        ready!(self.sleep.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, what)))
    }
}

impl<S, H> Patient<S, H> {
    pub(super) fn new(inner: S, limits: &Limits, held: H) -> Self {
        Self {
            inner,
            idle: Patience::new(limits.idle),
            stall: Patience::new(limits.stall),
            _held: held,
        }
    }
}

impl<S: AsyncRead + Unpin, H: Unpin> AsyncRead for Patient<S, H> {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        match Pin::new(&mut this.inner).poll_read(cx, buffer) {
            Poll::Pending => this.idle.wait(cx, "nothing was sent or taken for too long"),
            ready => {
                this.idle.due = None;
                ready
            }
        }
    }
}

impl<S, H> Patient<S, H> {
    /// The one rule of writing, whichever way it is done.
    fn wrote<T>(
        &mut self,
        cx: &mut Context<'_>,
        tried: Poll<io::Result<T>>,
    ) -> Poll<io::Result<T>> {
        match tried {
            Poll::Pending => self.stall.wait(cx, "the peer does not read"),
            ready => {
                self.stall.due = None;
                self.idle.extend();
                ready
            }
        }
    }
}

impl<S: AsyncWrite + Unpin, H: Unpin> AsyncWrite for Patient<S, H> {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let tried = Pin::new(&mut this.inner).poll_write(cx, bytes);
        this.wrote(cx, tried)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let tried = Pin::new(&mut this.inner).poll_write_vectored(cx, slices);
        this.wrote(cx, tried)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().inner).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, duplex};

    fn limits() -> Limits {
        Limits {
            idle: Duration::from_secs(60),
            stall: Duration::from_secs(10),
            ..Limits::default()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_never_reads_is_given_up_after_the_stall_time() {
        let (near, _far) = duplex(64);
        let mut near = Patient::new(near, &limits(), ());
        let begun = Instant::now();
        near.write_all(&[0; 64]).await.unwrap();
        tokio::time::advance(Duration::from_secs(300)).await; // time before the wait does not count
        let error = near.write_all(&[0; 64]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 310);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_peer_is_given_up_but_not_while_it_takes_bytes() {
        let (near, mut far) = duplex(64);
        let (mut reads, mut writes) = tokio::io::split(Patient::new(near, &limits(), ()));
        let begun = Instant::now();
        let reader = tokio::spawn(async move { reads.read_u8().await });
        let speaker = tokio::spawn(async move {
            for _ in 0..5 {
                tokio::time::sleep(Duration::from_secs(50)).await;
                writes.write_all(b"x").await.unwrap();
            }
            writes
        });
        let mut taken = [0; 5];
        far.read_exact(&mut taken).await.unwrap();
        let _writes = speaker.await.unwrap();
        let error = reader.await.unwrap().unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        assert_eq!(begun.elapsed().as_secs(), 250 + 60);
    }
}
