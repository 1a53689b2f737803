//! Many people, played by one thread: a connection each, and one epoll for all.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    os::fd::OwnedFd,
    time::{Duration, Instant},
};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    socket::{
        AddressFamily, SockFlag, SockType, SockaddrStorage, connect, setsockopt, socket,
        sockopt::RcvBuf,
    },
};

use crate::words::{Heard, hear};

/// Who comes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Ticket {
    pub(crate) name: String,
    /// None: a guest.
    pub(crate) password: Option<&'static str>,
    pub(crate) room: Option<u32>,
    /// The other side is the bare peer, which knows rooms and nothing else.
    pub(crate) bare: bool,
}

/// How far they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    Coming,
    /// Logged in, and in their room where they have one; how long it took.
    In(Duration),
    /// Refused, or sent away.
    Out,
}

pub(crate) struct Person {
    ticket: Ticket,
    stream: TcpStream,
    partial: Vec<u8>,
    began: Instant,
    pub(crate) stage: Stage,
}

/// A message came: its number, and when it was sent and read.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Delivery {
    pub(crate) message: u32,
    pub(crate) took: Duration,
}

pub(crate) struct Crowd {
    address: SocketAddr,
    epoll: Epoll,
    pub(crate) people: Vec<Person>,
    started: Instant,
    /// What was delivered since this was last emptied.
    pub(crate) deliveries: Vec<Delivery>,
    /// When tables were announced to those who launched them.
    pub(crate) launched: Vec<Instant>,
    /// Games that somebody was told of: numbers and titles.
    pub(crate) games: Vec<(String, String)>,
    /// What went wrong.
    pub(crate) faults: Vec<String>,
    buffer: Vec<u8>,
}

impl Crowd {
    pub(crate) fn new(address: SocketAddr) -> io::Result<Self> {
        Ok(Self {
            address,
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            people: Vec::new(),
            started: Instant::now(),
            deliveries: Vec::new(),
            launched: Vec::new(),
            games: Vec::new(),
            faults: Vec::new(),
            buffer: vec![0; 1 << 16],
        })
    }

    /// Somebody connects; the rest follows while the crowd is [`run`](Self::run).
    pub(crate) fn come(&mut self, ticket: Ticket) -> io::Result<usize> {
        self.come_by(ticket, TcpStream::connect(self.address)?)
    }

    /// The same with the smallest queue that the kernel gives.
    pub(crate) fn come_narrow(&mut self, ticket: Ticket) -> io::Result<usize> {
        let fd: OwnedFd = socket(
            AddressFamily::Inet,
            SockType::Stream,
            SockFlag::SOCK_CLOEXEC,
            None,
        )?;
        setsockopt(&fd, RcvBuf, &2048)?;
        connect(
            std::os::fd::AsRawFd::as_raw_fd(&fd),
            &SockaddrStorage::from(self.address),
        )?;
        self.come_by(ticket, fd.into())
    }

    fn come_by(&mut self, ticket: Ticket, mut stream: TcpStream) -> io::Result<usize> {
        stream.set_nodelay(true)?;
        if ticket.bare {
            writeln!(stream, "<ENTER ROOM='{}'/>", ticket.room.unwrap_or(0))?;
        }
        stream.set_nonblocking(true)?;
        let number = self.people.len();
        let event = EpollEvent::new(EpollFlags::EPOLLIN, number as u64);
        self.epoll.add(&stream, event)?;
        self.people.push(Person {
            ticket,
            stream,
            partial: Vec::new(),
            began: Instant::now(),
            stage: Stage::Coming,
        });
        Ok(number)
    }

    /// All of them, at most 128 on their way at once.
    pub(crate) fn fill(&mut self, tickets: impl Iterator<Item = Ticket>) -> io::Result<()> {
        for ticket in tickets {
            self.come(ticket)?;
            if self.people.len().is_multiple_of(64) {
                self.settle(64)?;
            }
        }
        self.settle(0)
    }

    /// Until no more than so many are on their way.
    pub(crate) fn settle(&mut self, left: usize) -> io::Result<()> {
        let started = Instant::now();
        while self.count(|stage| stage == Stage::Coming) > left {
            self.run(Duration::from_millis(10))?;
            if started.elapsed() > Duration::from_secs(180) {
                return Err(io::Error::other(
                    "they did not all come in within three minutes",
                ));
            }
        }
        Ok(())
    }

    pub(crate) fn count(&self, is: impl Fn(Stage) -> bool) -> usize {
        self.people.iter().filter(|one| is(one.stage)).count()
    }

    /// Since the crowd was made.
    pub(crate) fn now(&self) -> Duration {
        self.started.elapsed()
    }

    /// Somebody says a line.
    pub(crate) fn say(&mut self, who: usize, line: &str) -> io::Result<()> {
        self.people[who].stream.write_all(line.as_bytes())
    }

    /// Somebody says something to their room.
    pub(crate) fn chat(&mut self, who: usize, message: u32, length: usize) -> io::Result<()> {
        let ticket = &self.people[who].ticket;
        let from = match ticket.bare {
            true => format!(" FROM='{}'", ticket.name),
            false => String::new(),
        };
        let sent = self.now().as_nanos();
        let text = format!("{message} {sent} ");
        let line = format!("<CHAT TYPE='normal'{from}>{text:.<length$}</CHAT>\n");
        self.say(who, &line)
    }

    /// From now on they read nothing.
    pub(crate) fn sleep(&mut self, who: usize) -> io::Result<()> {
        Ok(self.epoll.delete(&self.people[who].stream)?)
    }

    /// Hears what there is, and waits for it as long as `patience`.
    pub(crate) fn run(&mut self, patience: Duration) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 256];
        let patience = patience.as_millis().min(1000) as u16;
        let count = match self.epoll.wait(&mut events, EpollTimeout::from(patience)) {
            Err(nix::errno::Errno::EINTR) => 0,
            count => count?,
        };
        for event in &events[..count] {
            self.read(event.data() as usize)?;
        }
        Ok(())
    }

    /// Once: what is left comes with the next event.
    fn read(&mut self, who: usize) -> io::Result<()> {
        let mut buffer = std::mem::take(&mut self.buffer);
        let person = &mut self.people[who];
        match person.stream.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            Ok(count) if count > 0 => {
                let mut rest = &buffer[..count];
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let (line, more) = (&rest[..end], &rest[end + 1..]);
                    rest = more;
                    if self.people[who].partial.is_empty() {
                        self.heard(who, line)?;
                    } else {
                        let mut whole = std::mem::take(&mut self.people[who].partial);
                        whole.extend(line);
                        self.heard(who, &whole)?;
                    }
                }
                self.people[who].partial.extend(rest);
            }
            ended => {
                self.epoll.delete(&person.stream)?;
                person.stage = Stage::Out;
                let how = ended
                    .err()
                    .map_or("hung up".into(), |error| error.to_string());
                self.faults.push(format!("{}: {how}", person.ticket.name));
            }
        }
        self.buffer = buffer;
        Ok(())
    }

    fn heard(&mut self, who: usize, line: &[u8]) -> io::Result<()> {
        match hear(line) {
            Heard::Chat(text) => {
                let mut words = text.split(' ');
                let number = |word: Option<&str>| word.and_then(|word| word.parse::<u64>().ok());
                if let (Some(message), Some(sent)) = (number(words.next()), number(words.next())) {
                    self.deliveries.push(Delivery {
                        message: message as u32,
                        took: self.now().saturating_sub(Duration::from_nanos(sent)),
                    });
                }
                Ok(())
            }
            Heard::Ping => self.say(who, "<PONG/>\n"),
            Heard::Hello => {
                let ticket = &self.people[who].ticket;
                let (kind, password) = match ticket.password {
                    None => ("guest", String::new()),
                    Some(word) => ("normal", format!("<PASSWORD>{word}</PASSWORD>")),
                };
                let name = &ticket.name;
                let login = format!("<LOGIN TYPE='{kind}'><NAME>{name}</NAME>{password}</LOGIN>");
                let hello = format!("<SESSION>\n<LANGUAGE>en_GB</LANGUAGE>\n{login}\n");
                self.say(who, &hello)
            }
            Heard::Result("login", "ok") => match self.people[who].ticket.room {
                Some(room) => self.say(who, &format!("<ENTER ROOM='{room}'/>\n")),
                None => self.is_in(who),
            },
            Heard::Result("enter", "ok") => self.is_in(who),
            Heard::Result("launch", "ok") => {
                self.launched.push(Instant::now());
                Ok(())
            }
            // Who launches does not sit down, because the seats are the bots'.
            Heard::Result("join" | "chat", _) | Heard::Result(_, "ok") => Ok(()),
            Heard::Result(action, code) => {
                let name = &self.people[who].ticket.name;
                self.faults.push(format!("{name}: {action}: {code}"));
                if matches!(action, "login" | "enter" | "protocol") {
                    self.people[who].stage = Stage::Out;
                }
                Ok(())
            }
            Heard::Game(id, title) => {
                self.games.push((id.into(), title.into()));
                Ok(())
            }
            Heard::Room(..) | Heard::Other => Ok(()),
        }
    }

    fn is_in(&mut self, who: usize) -> io::Result<()> {
        let person = &mut self.people[who];
        person.stage = Stage::In(person.began.elapsed());
        Ok(())
    }
}
