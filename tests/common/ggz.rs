//! A GGZ client of sockets and strings, written from facts/ggz.md; and the lines of JSON of docs/table-games.md.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream},
    os::fd::AsRawFd,
    process::{Command, Stdio},
    sync::Arc,
    time::Instant,
};

use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrIn, bind, connect, setsockopt, socket, sockopt,
};
use serde_json::{Value, json};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, StreamOwned, pki_types::ServerName};

use super::{House, LONGHOUSE, PATIENCE, trust};

/// A client's first bytes.
pub(crate) const GREETING: &str = "<?xml version='1.0' encoding='UTF-8'?>\n<SESSION>\n";

/// What a connection is made of.
enum Wire {
    Plain(TcpStream),
    Encrypted(Box<StreamOwned<ClientConnection, TcpStream>>),
    Gone,
}

/// One connection to the lobby's port.
pub(crate) struct Client {
    wire: Wire,
    /// Bytes after the last line.
    rest: Vec<u8>,
    /// Elements that came before the one that was asked for.
    heard: VecDeque<String>,
    pub(crate) name: String,
}

/// How somebody connects.
#[derive(Clone, Copy, Default)]
pub(crate) struct From {
    /// From this address.
    pub(crate) address: Option<Ipv4Addr>,
    /// With room for so many unread bytes.
    pub(crate) room: Option<usize>,
}

fn door(house: &House) -> SocketAddr {
    let address = &house.endpoints["lobby.listen"];
    address.parse().expect("an address")
}

fn dial(house: &House, from: From) -> TcpStream {
    let family = (AddressFamily::Inet, SockType::Stream);
    let fd = socket(family.0, family.1, SockFlag::SOCK_CLOEXEC, None).expect("a socket");
    if let Some(room) = from.room {
        setsockopt(&fd, sockopt::RcvBuf, &room).expect("a small buffer");
    }
    if let Some(address) = from.address {
        let [a, b, c, d] = address.octets();
        bind(fd.as_raw_fd(), &SockaddrIn::new(a, b, c, d, 0)).expect("an address of ours");
    }
    let SocketAddr::V4(to) = door(house) else {
        panic!("the door is at an IPv4 address")
    };
    connect(fd.as_raw_fd(), &SockaddrIn::from(to)).expect("the lobby listens");
    let stream = TcpStream::from(fd);
    stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_write_timeout(Some(PATIENCE)).expect("a timeout");
    stream.set_nodelay(true).expect("no delay");
    stream
}

/// Bytes that nobody has to take for a connection's first: what the box says to them, until it hangs up.
pub(crate) fn say_and_listen(house: &House, bytes: &[u8]) -> String {
    let mut stream = dial(house, From::default());
    stream.write_all(bytes).ok(); // it may hang up before all of it is out
    stream.shutdown(Shutdown::Write).ok();
    let mut heard = Vec::new();
    match stream.read_to_end(&mut heard) {
        Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("it stays: {error}"),
        _ => String::from_utf8(heard).expect("UTF-8"),
    }
}

/// Until the box has read what was sent so far, as the kernel tells of its end of the connection.
pub(crate) fn until_read(stream: &TcpStream) {
    let word = |address: SocketAddr| match address {
        SocketAddr::V4(v4) => {
            let ip = u32::from_le_bytes(v4.ip().octets());
            format!("{ip:08X}:{:04X}", v4.port())
        }
        SocketAddr::V6(_) => panic!("the door is at an IPv4 address"),
    };
    let ours = word(stream.local_addr().expect("an address"));
    let theirs = word(stream.peer_addr().expect("an address"));
    let started = Instant::now();
    loop {
        let all = std::fs::read_to_string("/proc/self/net/tcp").expect("a table of connections");
        let lines = all.lines().map(|line| line.split_whitespace());
        let found = lines
            .map(|words| words.collect::<Vec<_>>())
            .find(|words| words.get(1) == Some(&&*theirs) && words.get(2) == Some(&&*ours));
        // `tx_queue:rx_queue`; one that is gone reads nothing more.
        if found.is_none_or(|words| words[4].ends_with(":00000000")) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "it is never read");
        std::thread::yield_now();
    }
}

/// A connection that says nothing at all.
pub(crate) fn mute(house: &House) -> TcpStream {
    dial(house, From::default())
}

/// An account whose password is `battery staple NAME`, made on the command line.
pub(crate) fn account(house: &House, name: &str, role: &str) {
    let mut verb = Command::new(LONGHOUSE)
        .arg("--state")
        .arg(house.state())
        .args(["user", "add", name, "--role", role, "--password-stdin"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the verb runs");
    let password = format!("{}\n", password(name));
    let mut input = verb.stdin.take().expect("a pipe");
    input.write_all(password.as_bytes()).expect("it reads");
    drop(input);
    let out = verb.wait_with_output().expect("it ends");
    let said = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "user add {name}: {said}");
}

/// An account's password.
pub(crate) fn password(name: &str) -> String {
    format!("battery staple {name}")
}

impl Client {
    /// A connection that has been greeted, and has greeted.
    pub(crate) fn connect(house: &House) -> Self {
        Self::connect_from(house, From::default())
    }

    /// The same, in a special way.
    pub(crate) fn connect_from(house: &House, from: From) -> Self {
        let mut client = Self {
            wire: Wire::Plain(dial(house, from)),
            rest: Vec::new(),
            heard: VecDeque::new(),
            name: String::new(),
        };
        while client.line().expect("a greeting") != "</SERVER>" {}
        client.send(GREETING);
        client
    }

    /// A guest.
    pub(crate) fn guest(house: &House, name: &str) -> Self {
        Self::connect(house).into_guest(name)
    }

    /// The same on this connection.
    pub(crate) fn into_guest(mut self, name: &str) -> Self {
        assert_eq!(self.login("guest", name, ""), "ok", "{name}");
        self.until("<MOTD ");
        self
    }

    /// Somebody with an account.
    pub(crate) fn member(house: &House, name: &str) -> Self {
        let mut client = Self::connect(house);
        assert_eq!(
            client.login("normal", name, &password(name)),
            "ok",
            "{name}"
        );
        client.until("<MOTD ");
        client
    }

    /// A guest in a room.
    pub(crate) fn guest_in(house: &House, name: &str, room: u32) -> Self {
        let mut client = Self::guest(house, name);
        client.enter(room);
        client
    }

    /// Somebody with an account in a room.
    pub(crate) fn member_in(house: &House, name: &str, room: u32) -> Self {
        let mut client = Self::member(house, name);
        client.enter(room);
        client
    }

    pub(crate) fn enter(&mut self, room: u32) {
        assert_eq!(self.ask(&format!("<ENTER ROOM='{room}'/>")), "ok");
    }

    /// A LOGIN; its code.
    pub(crate) fn login(&mut self, kind: &str, name: &str, password: &str) -> String {
        self.name = name.into();
        let password = match password {
            "" => String::new(),
            password => format!("<PASSWORD>{password}</PASSWORD>"),
        };
        self.ask(&format!(
            "<LOGIN TYPE='{kind}'>\n<NAME>{name}</NAME>\n{password}</LOGIN>"
        ))
    }

    pub(crate) fn send(&mut self, text: &str) {
        self.try_send(text.as_bytes()).expect("the lobby reads");
    }

    pub(crate) fn try_send(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        match &mut self.wire {
            Wire::Plain(stream) => stream.write_all(bytes),
            Wire::Encrypted(stream) => stream.write_all(bytes),
            Wire::Gone => Err(ErrorKind::NotConnected.into()),
        }
    }

    /// Until the box has read what was sent so far.
    fn is_read(&self) {
        match &self.wire {
            Wire::Plain(stream) => until_read(stream),
            Wire::Encrypted(_) | Wire::Gone => panic!("only plain connections are looked at"),
        }
    }

    /// The next line; none when the box has hung up.
    pub(crate) fn line(&mut self) -> Option<String> {
        loop {
            if let Some(end) = self.rest.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                let line = String::from_utf8(line).expect("UTF-8");
                return Some(line.trim_end_matches('\n').into());
            }
            let mut bytes = [0; 4096];
            let read = match &mut self.wire {
                Wire::Plain(stream) => stream.read(&mut bytes),
                Wire::Encrypted(stream) => stream.read(&mut bytes),
                Wire::Gone => Ok(0),
            };
            match read {
                Ok(0) => return None,
                Ok(count) => self.rest.extend_from_slice(&bytes[..count]),
                Err(error) if error.kind() == ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{}: nothing comes: {error}", self.name),
            }
        }
    }

    /// The next element as one line, whatever it is; none when the box has hung up.
    pub(crate) fn raw(&mut self) -> Option<String> {
        let mut item = self.line()?;
        let name: String = item[1..]
            .chars()
            .take_while(|c| c.is_ascii_alphabetic() || *c == '/' && item.starts_with("</"))
            .collect();
        let end = format!("</{name}>");
        while !(item.ends_with("/>") && !item.contains("><")
            || item.ends_with(&end)
            || item.starts_with("</"))
        {
            let next = self.line()?;
            if !(item.ends_with('>') && next.starts_with('<')) {
                item.push('\n');
            }
            item.push_str(&next);
        }
        Some(item)
    }

    /// The next element that says something: pings are answered, and how slow others are and how many is passed over.
    pub(crate) fn fresh(&mut self) -> Option<String> {
        loop {
            let item = self.raw()?;
            if item == "<PING/>" {
                self.try_send(b"<PONG/>\n").ok(); // it may have hung up by now
            } else if !item.contains("ACTION='lag'") && !item.contains("ACTION='players'") {
                return Some(item);
            }
        }
    }

    /// The next element that was not taken yet.
    pub(crate) fn item(&mut self) -> String {
        let item = self.heard.pop_front().or_else(|| self.fresh());
        item.unwrap_or_else(|| panic!("the lobby hung up on {}", self.name))
    }

    /// The next elements are these.
    pub(crate) fn hears(&mut self, items: &[&str]) {
        for item in items {
            assert_eq!(self.item(), *item, "{}", self.name);
        }
    }

    /// The first element that contains `part`; those before it are forgotten.
    pub(crate) fn until(&mut self, part: &str) -> String {
        loop {
            let item = self.item();
            if item.contains(part) {
                return item;
            }
        }
    }

    /// The whole RESULT of a request; what else comes meanwhile is kept.
    pub(crate) fn result(&mut self, request: &str) -> String {
        assert!(!self.heard.iter().any(|item| item.starts_with("<RESULT")));
        self.send(&format!("{request}\n"));
        loop {
            let item = self.fresh();
            let item = item.unwrap_or_else(|| panic!("{}: {request}: hung up", self.name));
            if item.starts_with("<RESULT") {
                return item;
            }
            self.heard.push_back(item);
        }
    }

    /// The code of a request.
    pub(crate) fn ask(&mut self, request: &str) -> String {
        attribute(&self.result(request), "CODE").to_owned()
    }

    /// All that was said to this client until now.
    pub(crate) fn all(&mut self) -> Vec<String> {
        let nobody = "<CHAT TYPE='private' TO='(nobody)'>?</CHAT>";
        assert_eq!(self.ask(nobody), "usr lookup");
        self.heard.drain(..).collect()
    }

    /// Nothing was said to this client.
    pub(crate) fn hears_nothing(&mut self) {
        let all = self.all();
        assert!(all.is_empty(), "{}: {all:#?}", self.name);
    }

    /// What it is told until the box hangs up.
    pub(crate) fn last_words(&mut self) -> Vec<String> {
        let mut words: Vec<_> = self.heard.drain(..).collect();
        words.extend(std::iter::from_fn(|| self.fresh()));
        words
    }

    /// Leaves as one should; the name is free when this returns.
    pub(crate) fn leave_house(&mut self) {
        self.send("</SESSION>\n");
        assert_eq!(self.last_words().last().expect("a word"), "</SESSION>");
    }

    /// The line breaks: nothing is said.
    pub(crate) fn drop_line(&mut self) {
        self.wire = Wire::Gone;
    }

    /// Starts TLS; the box's certificate is believed when the authority that it shows has signed it.
    pub(crate) fn encrypt(self) -> Self {
        self.encrypt_in(&["<TLS_START/>\n"])
    }

    /// The same, where the word to start with comes in these packets.
    pub(crate) fn encrypt_in(mut self, packets: &[&str]) -> Self {
        for packet in packets {
            self.send(packet);
            self.is_read();
        }
        let Wire::Plain(stream) = self.wire else {
            panic!("it is encrypted already")
        };
        let config: ClientConfig = trust::own_authority();
        let name = ServerName::try_from("127.0.0.1").expect("a name");
        let connection = ClientConnection::new(Arc::new(config), name).expect("a client");
        self.wire = Wire::Encrypted(Box::new(StreamOwned::new(connection, stream)));
        self
    }

    /// Somebody of the same name who has a channel now.
    pub(crate) fn channel(&self, house: &House) -> Channel {
        Channel::open(house, &self.name)
    }

    /// Launches a table with these seats, like `<SEAT NUM='0' TYPE='open'/>`, and sits down.
    pub(crate) fn launch(&mut self, house: &House, game: u32, seats: &[&str]) -> (Channel, u32) {
        let channel = self.channel(house);
        assert_eq!(self.ask(&launching(game, seats)), "ok");
        let join = self.until("<JOIN ");
        let table = attribute(&join, "TABLE").parse().expect("a number");
        (channel, table)
    }

    /// Joins a table.
    pub(crate) fn join(&mut self, house: &House, table: u32) -> Channel {
        let channel = self.channel(house);
        assert_eq!(
            self.ask(&format!("<JOIN TABLE='{table}' SPECTATOR='false'/>")),
            "ok"
        );
        self.until("<JOIN ");
        channel
    }

    /// The number of what the list of `what` has under this name.
    pub(crate) fn number(&mut self, what: &str, name: &str) -> u32 {
        let list = self.result(&format!("<LIST TYPE='{what}' FULL='false'/>"));
        let entry = list
            .split(&format!("<{} ", what.to_uppercase()))
            .find(|entry| entry.contains(&format!("NAME='{name}'")));
        let entry = entry.unwrap_or_else(|| panic!("no {what} {name}: {list}"));
        let id = attribute(&format!(" {entry}"), "ID").to_owned();
        id.parse().expect("a number")
    }

    /// Somebody's line in the list of people in one's room.
    pub(crate) fn player(&mut self, name: &str) -> String {
        let list = self.result("<LIST TYPE='player'/>");
        let mut all = list.split_inclusive("/>");
        let id = format!("<PLAYER ID='{name}' ");
        let found = all.find_map(|one| Some(&one[one.find(&id)?..]));
        found
            .unwrap_or_else(|| panic!("{name} is not in {list}"))
            .into()
    }
}

/// A LAUNCH with these seats.
pub(crate) fn launching(game: u32, seats: &[&str]) -> String {
    format!(
        "<LAUNCH><TABLE GAME='{game}' SEATS='{}'><DESC>a quick one</DESC>{}</TABLE></LAUNCH>",
        seats.len(),
        seats.concat()
    )
}

/// An attribute's value in the first tag that has it.
pub(crate) fn attribute<'a>(item: &'a str, name: &str) -> &'a str {
    let start = format!(" {name}='");
    let at = item
        .find(&start)
        .unwrap_or_else(|| panic!("no {name} in {item}"));
    let value = &item[at + start.len()..];
    &value[..value.find('\'').expect("it ends")]
}

/// A game data connection.
pub(crate) struct Channel {
    lines: BufReader<TcpStream>,
}

impl Channel {
    /// Offers a channel; what the box says to it, byte by byte, as what follows is the game's.
    pub(crate) fn offer(house: &House, from: From, tag: &str) -> (TcpStream, String) {
        let all = format!("{GREETING}{tag}\n</SESSION>\n");
        Self::offer_in(house, from, &[&all])
    }

    /// The same, in these packets.
    pub(crate) fn offer_in(house: &House, from: From, packets: &[&str]) -> (TcpStream, String) {
        let mut stream = dial(house, from);
        for packet in packets {
            stream
                .write_all(packet.as_bytes())
                .expect("the lobby reads");
            until_read(&stream);
        }
        let mut heard = String::new();
        while !heard.ends_with("</SESSION>\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("it answers");
            heard.push(byte[0].into());
        }
        let (_, answer) = heard.split_once("</SERVER>\n").expect("a greeting");
        let answer = answer.to_owned();
        (stream, answer)
    }

    /// Somebody's channel, which is taken.
    pub(crate) fn open(house: &House, name: &str) -> Self {
        let tag = format!("<CHANNEL ID='{name}'/>");
        let (stream, answer) = Self::offer(house, From::default(), &tag);
        assert_eq!(answer, "</SESSION>\n", "{name}");
        Self::over(stream)
    }

    pub(crate) fn over(stream: TcpStream) -> Self {
        let lines = BufReader::new(stream);
        Self { lines }
    }

    pub(crate) fn say(&mut self, line: &str) {
        let line = format!("{line}\n");
        self.lines
            .get_mut()
            .write_all(line.as_bytes())
            .expect("the game reads");
    }

    pub(crate) fn play(&mut self, a_move: &str) {
        self.say(&json!({ "move": a_move }).to_string());
    }

    /// The next line; none when the game has hung up.
    pub(crate) fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.lines.read_line(&mut line) {
            Ok(0) => None,
            Ok(_) => Some(line.trim_end().into()),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => None,
            Err(error) => panic!("the game says nothing: {error}"),
        }
    }

    /// The next state.
    pub(crate) fn state(&mut self) -> Value {
        let line = self.line().expect("the game goes on");
        serde_json::from_str(&line).expect("JSON")
    }

    /// The first state that is so.
    pub(crate) fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            let state = self.state();
            assert_eq!(state.get("error"), None, "{state}");
            if wanted(&state) {
                return state;
            }
        }
    }

    /// Nothing more comes: the game has closed it.
    pub(crate) fn ends(&mut self) {
        while self.line().is_some() {}
    }
}
