//! What talks to a game over TCP, beside everything else: a small smol program on a thread of its own.
//!
//! The keeper's loop does without a reactor, whose helper thread would stand between a game's death and its replacement.

use std::{
    future::Future,
    io::{self, ErrorKind},
    net::TcpStream,
    os::fd::{AsFd, BorrowedFd},
    sync::mpsc,
    thread,
    time::Duration,
};

use memchr::memmem;
use smol::{
    Async, Timer, channel, future,
    io::{AsyncReadExt, AsyncWriteExt},
};

const STACK: usize = 256 << 10;
const RETRY: Duration = Duration::from_millis(250);
/// The most that is heard without what was waited for.
const HEARD: usize = 64 << 10;

/// Work that goes on until it is done or this is dropped.
pub(crate) struct Aside<T> {
    outcome: mpsc::Receiver<T>,
    ended: io::PipeReader,
    _wanted: channel::Sender<()>,
}

impl<T: Send + 'static> Aside<T> {
    pub(crate) fn start(work: impl Future<Output = T> + Send + 'static) -> io::Result<Self> {
        let (tell, outcome) = mpsc::channel();
        let (ended, end) = io::pipe()?;
        let (wanted, unwanted) = channel::bounded::<()>(1);
        thread::Builder::new().stack_size(STACK).spawn(move || {
            let unwanted = async { unwanted.recv().await.map_or(None, |()| None) };
            let done = smol::block_on(future::or(async { Some(work.await) }, unwanted));
            if let Some(done) = done {
                tell.send(done).ok(); // it may be unwanted since
            }
            drop(end);
        })?;
        Ok(Self {
            outcome,
            ended,
            _wanted: wanted,
        })
    }

    /// Reads as ended once there is an outcome.
    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.ended.as_fd()
    }

    pub(crate) fn outcome(&self) -> Option<T> {
        self.outcome.try_recv().ok()
    }
}

/// Ends when something on the loopback address accepts on `port`.
pub(crate) async fn accepts(port: u16) {
    while Async::<TcpStream>::connect(([127, 0, 0, 1], port))
        .await
        .is_err()
    {
        Timer::after(RETRY).await;
    }
}

/// Talks to a TCP console: waits for each text, sends each line, then reads until the other end closes.
pub(crate) async fn converse(port: u16, script: Vec<(String, String)>) -> io::Result<()> {
    let mut stream = Async::<TcpStream>::connect(([127, 0, 0, 1], port)).await?;
    let mut heard = Vec::new();
    let mut piece = [0; 1024];
    for (expect, send) in script {
        while memmem::find(&heard, expect.as_bytes()).is_none() {
            let n = stream.read(&mut piece).await?;
            if n == 0 || heard.len() > HEARD {
                let never = format!("it never said `{expect}`");
                return Err(io::Error::new(ErrorKind::InvalidData, never));
            }
            heard.extend_from_slice(&piece[..n]);
        }
        heard.clear();
        stream.write_all(format!("{send}\n").as_bytes()).await?;
    }
    while stream.read(&mut piece).await.is_ok_and(|n| n > 0) {}
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn work_that_is_unwanted_ends() {
        let (held, mut end) = {
            let (reader, writer) = io::pipe().unwrap();
            (writer, reader)
        };
        let aside = Aside::start(async move {
            std::future::pending::<()>().await;
            drop(held);
        })
        .unwrap();
        assert_eq!(aside.outcome(), None);
        drop(aside);
        assert_eq!(end.read(&mut [0]).unwrap(), 0); // the other end went with the work
    }

    #[test]
    fn an_outcome_is_there_when_the_pipe_says_so() {
        let mut aside = Aside::start(async { 7 }).unwrap();
        assert_eq!(aside.ended.read(&mut [0]).unwrap(), 0);
        assert_eq!(aside.outcome(), Some(7));
    }
}
