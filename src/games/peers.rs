//! Players' connections: one thread each that reads lines, and writing that never waits.

use std::{
    collections::HashMap,
    io::{self, Read},
    net::{Shutdown, TcpStream},
    os::fd::{AsRawFd as _, OwnedFd},
    sync::mpsc::SyncSender,
    thread,
    time::{Duration, Instant},
};

use nix::sys::socket::{MsgFlags, send};

use super::{
    serve::Event,
    table::Link,
    wire::{Complaint, LINE, Say},
};

/// Lines that one client may say within a second; more than any person or program needs to play.
const LINES_PER_SECOND: u32 = 50;
/// A thread that reads lines needs little.
const STACK: usize = 128 << 10;

/// All connections.
#[derive(Debug)]
pub(super) struct Peers {
    open: HashMap<Link, TcpStream>,
    next: Link,
    events: SyncSender<Event>,
}

impl Peers {
    /// None yet; what they say goes there.
    pub(super) fn new(events: SyncSender<Event>) -> Self {
        Self {
            open: HashMap::new(),
            next: 0,
            events,
        }
    }

    /// Takes a connection over. It may be any kind of stream socket, and may have been used without blocking.
    pub(super) fn add(&mut self, socket: OwnedFd) -> io::Result<Link> {
        let stream = TcpStream::from(socket);
        stream.set_nonblocking(false)?;
        stream.set_nodelay(true).ok(); // it may be no TCP
        let link = self.next;
        let (reader, events) = (stream.try_clone()?, self.events.clone());
        thread::Builder::new()
            .name(format!("player {link}"))
            .stack_size(STACK)
            .spawn(move || read(reader, link, &events))?;
        self.next += 1;
        self.open.insert(link, stream);
        Ok(link)
    }

    /// Tells a client. False: it does not read, and is gone now.
    pub(super) fn tell(&mut self, link: Link, line: &[u8]) -> bool {
        let Some(stream) = self.open.get(&link) else {
            return true;
        };
        let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
        // Half a line is as bad as none: nobody could read what comes after it.
        if send(stream.as_raw_fd(), line, flags) == Ok(line.len()) {
            return true;
        }
        self.close(link);
        false
    }

    /// Ends a connection; its thread ends by that.
    pub(super) fn close(&mut self, link: Link) {
        if let Some(stream) = self.open.remove(&link) {
            stream.shutdown(Shutdown::Both).ok(); // it may have ended already
        }
    }
}

/// Why no more is read from a client.
#[derive(Debug, PartialEq, Eq)]
enum Stop {
    /// It has ended, or nobody wants to know.
    Ended,
    /// It has misbehaved.
    Misbehaved(Complaint),
}

fn read(mut stream: TcpStream, link: Link, events: &SyncSender<Event>) {
    let said = |say| events.send(Event::Said(link, say)).map_err(|_| Stop::Ended);
    let mut pace = Pace::new(Instant::now());
    let stop = lines(&mut stream, |line| {
        pace.line(Instant::now())?;
        said(Say::decode(line))
    });
    if let Stop::Misbehaved(complaint) = stop
        && said(Err(complaint)).is_err()
    {
        return;
    }
    events.send(Event::Hung(link)).ok(); // the program is ending
}

/// Hands every line on, without its end; empty ones are nothing. Nothing longer than [`LINE`] is ever held.
fn lines(stream: &mut impl Read, mut each: impl FnMut(&[u8]) -> Result<(), Stop>) -> Stop {
    let mut held = [0; LINE + 1];
    let mut count = 0;
    loop {
        match stream.read(&mut held[count..]) {
            Ok(0) => return Stop::Ended,
            Ok(more) => count += more,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => return Stop::Ended,
        }
        let mut from = 0;
        while let Some(length) = memchr::memchr(b'\n', &held[from..count]) {
            let line = held[from..from + length].trim_ascii();
            from += length + 1;
            if !line.is_empty()
                && let Err(stop) = each(line)
            {
                return stop;
            }
        }
        held.copy_within(from..count, 0);
        count -= from;
        if count > LINE {
            let complaint = Complaint::new(format!("a line has at most {LINE} bytes"));
            return Stop::Misbehaved(complaint);
        }
    }
}

/// How fast somebody talks.
#[derive(Debug)]
struct Pace {
    since: Instant,
    lines: u32,
}

impl Pace {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            lines: 0,
        }
    }

    fn line(&mut self, now: Instant) -> Result<(), Stop> {
        if now.saturating_duration_since(self.since) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.lines += 1;
        if self.lines > LINES_PER_SECOND {
            let complaint = Complaint::new(format!(
                "more than {LINES_PER_SECOND} lines within a second"
            ));
            return Err(Stop::Misbehaved(complaint));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Yields its bytes in pieces.
    struct Pieces<'a>(&'a [u8], usize);

    impl Read for Pieces<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            let count = self.0.len().min(self.1).min(into.len());
            into[..count].copy_from_slice(&self.0[..count]);
            self.0 = &self.0[count..];
            Ok(count)
        }
    }

    fn all(bytes: &[u8], piece: usize) -> (Vec<Vec<u8>>, Stop) {
        let mut seen = Vec::new();
        let stop = lines(&mut Pieces(bytes, piece), |line| {
            seen.push(line.to_vec());
            Ok(())
        });
        (seen, stop)
    }

    #[test]
    fn a_line_may_be_as_long_as_it_may_be_and_not_longer() {
        let mut longest = vec![b'x'; LINE];
        longest.push(b'\n');
        assert_eq!(all(&longest, 100), (vec![vec![b'x'; LINE]], Stop::Ended));
        let (seen, stop) = all(&vec![b'x'; LINE + 1], 100);
        assert!(seen.is_empty());
        assert!(matches!(stop, Stop::Misbehaved(_)));
    }

    #[test]
    fn who_talks_too_fast_is_stopped_and_a_second_later_all_is_well() {
        let begun = Instant::now();
        let mut pace = Pace::new(begun);
        for _ in 0..LINES_PER_SECOND {
            assert_eq!(pace.line(begun), Ok(()));
        }
        assert!(pace.line(begun).is_err());
        assert_eq!(pace.line(begun + Duration::from_secs(1)), Ok(()));
    }

    proptest! {
        #[test]
        fn pieces_cannot_be_noticed(bytes in "[a-z \r\n]{0,200}", piece in 1_usize..50) {
            prop_assert_eq!(all(bytes.as_bytes(), piece), all(bytes.as_bytes(), 1000));
        }
    }
}
