//! Who is connected to a keeper. Nobody here is ever waited for: what a peer does not read is replaced by newer news,
//! and one that keeps asking without reading the answers is shown out.

use std::{
    io::{self, ErrorKind, Read, Write},
    os::{
        fd::AsFd,
        unix::net::{UnixListener, UnixStream},
    },
};

use nix::{
    poll::{PollFd, PollFlags},
    sys::socket::{getsockopt, sockopt::PeerCredentials},
};

use super::Status;
use super::wire::{Answer, Ask, Framer, Id, LIMIT};

/// Connections at once.
const PEERS: usize = 32;

/// The socket, and those who came.
pub(crate) struct Peers {
    listener: UnixListener,
    peers: Vec<Peer>,
    counter: u64,
}

/// One connection, by the order of its coming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PeerId(u64);

struct Peer {
    id: PeerId,
    stream: UnixStream,
    framer: Framer,
    out: Vec<u8>,
    greeted: bool,
    revision: Option<u64>,
    head: Option<u64>,
    gone: bool,
}

impl Peers {
    pub(crate) fn new(listener: UnixListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Ok(Self {
            listener,
            peers: Vec::new(),
            counter: 0,
        })
    }

    /// Adds the door, and everybody inside.
    pub(crate) fn watch<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        fds.push(PollFd::new(self.listener.as_fd(), PollFlags::POLLIN));
        for peer in &self.peers {
            let flags = match peer.out.is_empty() {
                true => PollFlags::POLLIN,
                false => PollFlags::POLLIN | PollFlags::POLLOUT,
            };
            fds.push(PollFd::new(peer.stream.as_fd(), flags));
        }
    }

    /// Lets in who waits at the door, and returns what they and the others ask.
    pub(crate) fn asks(&mut self) -> Vec<(PeerId, Ask)> {
        while let Ok((stream, _)) = self.listener.accept() {
            if self.peers.len() < PEERS && may_come(&stream) && stream.set_nonblocking(true).is_ok()
            {
                self.counter += 1;
                self.peers.push(Peer::new(PeerId(self.counter), stream));
            }
        }
        let mut asks = Vec::new();
        for peer in &mut self.peers {
            peer.read(&mut asks);
        }
        asks
    }

    pub(crate) fn answer(&mut self, id: PeerId, answer: &Answer) {
        if let Some(peer) = self.peers.iter_mut().find(|peer| peer.id == id) {
            answer.encode(&mut peer.out);
            peer.greeted |= matches!(answer, Answer::Hello);
            peer.gone |= peer.out.len() > 2 * LIMIT;
        }
    }

    /// Tells the news to all who have read the old, and writes what they take now.
    pub(crate) fn tell(&mut self, status: &Status, head: u64) {
        for peer in self.peers.iter_mut().filter(|peer| peer.greeted) {
            peer.write();
            if !peer.out.is_empty() {
                continue;
            }
            if peer.revision.replace(status.revision) != Some(status.revision) {
                Answer::Status(Box::new(status.clone())).encode(&mut peer.out);
            }
            if peer.head.replace(head) != Some(head) {
                Answer::Head(head).encode(&mut peer.out);
            }
            peer.write();
        }
        self.peers.retain(|peer| !peer.gone);
    }
}

impl Peer {
    fn new(id: PeerId, stream: UnixStream) -> Self {
        Self {
            id,
            stream,
            framer: Framer::default(),
            out: Vec::new(),
            greeted: false,
            revision: None,
            head: None,
            gone: false,
        }
    }

    fn read(&mut self, asks: &mut Vec<(PeerId, Ask)>) {
        let mut piece = [0; 4096];
        for _ in 0..32 {
            match self.stream.read(&mut piece) {
                Ok(0) => self.gone = true,
                Ok(n) => self.framer.push(&piece[..n]),
                Err(e) if e.kind() == ErrorKind::Interrupted => continue,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(_) => self.gone = true,
            }
            loop {
                match self.framer.next() {
                    Ok(Some(frame)) => asks.push((self.id, Ask::decode(frame))),
                    Ok(None) => break,
                    Err(_) => {
                        self.gone = true; // bytes of no version: nothing after them means anything
                        break;
                    }
                }
            }
            if self.gone {
                break;
            }
        }
    }

    fn write(&mut self) {
        while !self.out.is_empty() {
            match self.stream.write(&self.out) {
                Ok(n) => drop(self.out.drain(..n)),
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::WouldBlock => return,
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
        self.out = Vec::new();
    }
}

/// An answer to one request.
pub(crate) fn verdict(id: Id, outcome: Result<(), String>) -> Answer {
    match outcome {
        Ok(()) => Answer::Done(id),
        Err(why) => Answer::Refused(id, why),
    }
}

/// Only root and the keeper's own user may command it.
fn may_come(stream: &UnixStream) -> bool {
    getsockopt(stream, PeerCredentials)
        .is_ok_and(|who| who.uid() == 0 || who.uid() == nix::unistd::geteuid().as_raw())
}
