//! Clients that know only the KV protocol.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

use std::{
    io::{self, Read, Write},
    net::{IpAddr, SocketAddr, TcpStream, UdpSocket},
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    thread,
    time::{Duration, Instant},
};

use super::{House, PATIENCE};

pub(crate) const PACKET: usize = 512;

/// KV's commands by number.
pub(crate) const CREATE: u32 = 0;
pub(crate) const DELETE: u32 = 1;
pub(crate) const JOIN: u32 = 2;
pub(crate) const LEAVE: u32 = 3;
pub(crate) const REGISTER: u32 = 4;
pub(crate) const UNREGISTER: u32 = 5;
pub(crate) const GET_PORT: u32 = 6;
pub(crate) const GET_CHANNELS: u32 = 7;

/// KV's system operations by number, less the sign.
pub(crate) const KEEPALIVE: u32 = 0;
pub(crate) const ACK: u32 = 3;

pub(crate) const ADMIN: u64 = 0x7fff_ffff;
pub(crate) const SERV: u32 = 1;
pub(crate) const PARAM: u32 = 2;
pub(crate) const INVAL: u32 = 3;
pub(crate) const ACCESS: u32 = 4;

/// A box whose uid 0 may do everything.
pub(crate) async fn legacy() -> House {
    House::open_with(&["voice.legacy_admin=true".into()]).await
}

/// A program that speaks KV as the original's client does: two sends, the second always of 32 bytes.
#[derive(Clone, Copy)]
pub(crate) struct Client {
    pub(crate) control: SocketAddr,
}

impl Client {
    pub(crate) fn of(house: &House) -> Self {
        let control = house.endpoints["voice.listen"].parse().unwrap();
        Self { control }
    }

    /// One that reaches the box at that address.
    pub(crate) fn at(house: &House, box_is: IpAddr) -> Self {
        let mut client = Self::of(house);
        client.control.set_ip(box_is);
        client
    }

    pub(crate) fn connect(&self) -> io::Result<TcpStream> {
        let stream = TcpStream::connect(self.control)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// The reply, or how the box was lost meanwhile.
    pub(crate) fn try_ask(&self, command: u32, fields: &[u64]) -> io::Result<Vec<u8>> {
        let mut stream = self.connect()?;
        stream.write_all(&command.to_be_bytes())?;
        let mut body = [0; 32];
        for (place, field) in body.chunks_mut(8).zip(fields) {
            place.copy_from_slice(&field.to_be_bytes());
        }
        stream.write_all(&body)?;
        let mut reply = Vec::new();
        stream.read_to_end(&mut reply)?;
        Ok(reply)
    }

    pub(crate) fn ask(&self, command: u32, fields: &[u64]) -> Vec<u8> {
        self.try_ask(command, fields).unwrap()
    }

    /// A value, an error of KV's, or how the box was lost meanwhile.
    pub(crate) fn try_get(&self, command: u32, fields: &[u64]) -> io::Result<Result<u64, u32>> {
        let reply = self.try_ask(command, fields)?;
        let cut = || io::Error::from(io::ErrorKind::UnexpectedEof);
        let (value, rest) = reply.split_first_chunk().ok_or_else(cut)?;
        match (u64::from_be_bytes(*value), rest) {
            (0, rest) => {
                let error = rest.first_chunk().ok_or_else(cut)?;
                Ok(Err(u32::from_be_bytes(*error)))
            }
            (value, []) => Ok(Ok(value)),
            (_, rest) => panic!("{rest:?} after an answer"),
        }
    }

    pub(crate) fn get(&self, command: u32, fields: &[u64]) -> Result<u64, u32> {
        self.try_get(command, fields).unwrap()
    }

    pub(crate) fn guest(&self) -> u64 {
        self.get(REGISTER, &[0, 0]).unwrap()
    }

    /// A seat for who has that uid, and a socket, of which the box does not know yet.
    pub(crate) fn join(&self, uid: u64, channel: u64) -> Member {
        let port = self.get(JOIN, &[uid, uid, channel]).unwrap();
        Member::new(uid, (self.control.ip(), port as u16).into())
    }

    /// A guest with a seat and a socket, who is heard and hears.
    pub(crate) fn member(&self, channel: u64) -> Member {
        let member = self.join(self.guest(), channel);
        member.appear();
        member
    }
}

/// Somebody with a UDP socket.
pub(crate) struct Member {
    pub(crate) uid: u64,
    pub(crate) socket: UdpSocket,
}

impl Member {
    pub(crate) fn new(uid: u64, channel: SocketAddr) -> Self {
        let any: IpAddr = match channel.ip().is_loopback() {
            true => channel.ip(),
            false => [0, 0, 0, 0].into(),
        };
        let socket = UdpSocket::bind((any, 0)).unwrap();
        socket.connect(channel).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        Self { uid, socket }
    }

    pub(crate) fn say(&self, what: u64) {
        // While the daemon is down the kernel may tell us that nobody is there.
        self.socket.send(&voice(self.uid, what)).ok();
    }

    /// A keepalive that wants an acknowledgement, until it comes.
    pub(crate) fn appear(&self) {
        self.socket.send(&system(KEEPALIVE, self.uid, 77)).unwrap();
        let mut packet = [0; PACKET];
        loop {
            self.socket.recv(&mut packet).unwrap();
            if packet == system(ACK, self.uid, 77) {
                return;
            }
        }
    }

    /// The next voice packet: who, and what.
    pub(crate) fn hear(&self) -> io::Result<(u64, u64)> {
        let mut packet = [0; PACKET + 1];
        loop {
            match self.socket.recv(&mut packet) {
                Ok(PACKET) if packet[..4] == [0xff; 4] => {}
                Ok(length) => {
                    assert_eq!(length, PACKET);
                    let number =
                        |at: usize| u64::from_le_bytes(packet[at..at + 8].try_into().unwrap());
                    return Ok((number(0), number(8)));
                }
                // Word that the daemon was down for a moment.
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Where the box sees it.
    pub(crate) fn address(&self) -> SocketAddr {
        self.socket.local_addr().unwrap()
    }

    /// All that has come so far, of any kind. What the box has counted, it has answered before.
    pub(crate) fn heard(&self) -> Vec<Vec<u8>> {
        heard(&self.socket)
    }
}

/// All that has come to a socket so far.
pub(crate) fn heard(socket: &UdpSocket) -> Vec<Vec<u8>> {
    socket.set_nonblocking(true).unwrap();
    let mut bytes = vec![0; 1 << 16];
    let mut heard = Vec::new();
    let error = loop {
        match socket.recv(&mut bytes) {
            Ok(length) => heard.push(bytes[..length].to_vec()),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), io::ErrorKind::WouldBlock, "{error}");
    socket.set_nonblocking(false).unwrap();
    heard
}

/// A voice packet: who, and what.
pub(crate) fn voice(uid: u64, what: u64) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[..8].copy_from_slice(&uid.to_le_bytes());
    packet[8..16].copy_from_slice(&what.to_le_bytes());
    packet
}

/// A system packet with its checksum, as the original computes it.
pub(crate) fn system(operation: u32, uid: u64, ackid: u32) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[..4].fill(0xff);
    packet[4..8].copy_from_slice(&(0x8000_0000 + operation).to_be_bytes());
    packet[8..16].copy_from_slice(&uid.to_le_bytes());
    packet[16..20].copy_from_slice(&ackid.to_le_bytes());
    let checksum = (uid << 8) as u32 ^ 0x0acd_d400 ^ ackid;
    packet[20..24].copy_from_slice(&checksum.to_le_bytes());
    packet
}

/// How long a word is waited for before it is said again.
const LOST: Duration = Duration::from_millis(500);

/// A talk in turns, at the pace of several people, until it is `over` and at least so many words were said. Each is said
/// again until it is heard. How often something was said, and how often that was lost.
pub(crate) fn conversation(
    one: &Member,
    other: &Member,
    least: u64,
    over: &AtomicBool,
) -> (u64, u64) {
    let (mut said, mut lost, started) = (0, 0, Instant::now());
    for member in [one, other] {
        member.socket.set_read_timeout(Some(LOST)).unwrap();
    }
    for word in 0.. {
        let (speaker, listener) = match word % 2 {
            0 => (one, other),
            _ => (other, one),
        };
        loop {
            speaker.say(word);
            said += 1;
            if hears(listener, (speaker.uid, word)) {
                break;
            }
            lost += 1;
            assert!(started.elapsed() < PATIENCE, "word {word} is never heard");
        }
        thread::sleep(Duration::from_millis(3)); // the pace of speech
        if word >= least && over.load(Relaxed) {
            break;
        }
    }
    (said, lost)
}

/// Whether a word comes in time; those that came late are passed over.
fn hears(listener: &Member, wanted: (u64, u64)) -> bool {
    while let Ok(word) = listener.hear() {
        assert!(word.1 <= wanted.1, "{word:?} before {wanted:?}");
        if word == wanted {
            return true;
        }
    }
    false
}
