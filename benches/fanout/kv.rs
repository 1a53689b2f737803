//! The KV protocol as a client of its own writes it, from `docs/kv.md` and not from the daemon's code.

use std::{
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use crate::packet::PACKET;

const PATIENCE: Duration = Duration::from_secs(30);
const KEEPALIVE: u32 = 0x8000_0000;
const ACK: u32 = 0x8000_0003;

/// A new channel, made by the administrator of old.
pub(crate) fn create(control: SocketAddr) -> io::Result<u64> {
    command(control, 0, &[0])
}

/// A new guest.
pub(crate) fn register(control: SocketAddr) -> io::Result<u64> {
    command(control, 4, &[0, 0])
}

/// Gives a user a seat; the channel's port.
pub(crate) fn join(control: SocketAddr, uid: u64, channel: u64) -> io::Result<u16> {
    let port = command(control, 2, &[uid, uid, channel])?;
    u16::try_from(port).map_err(io::Error::other)
}

fn command(control: SocketAddr, number: u32, fields: &[u64]) -> io::Result<u64> {
    let mut stream = TcpStream::connect(control)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let mut request = number.to_be_bytes().to_vec();
    request.extend(fields.iter().flat_map(|field| field.to_be_bytes()));
    stream.write_all(&request)?;
    let mut reply = Vec::new();
    stream.read_to_end(&mut reply)?;
    match reply.first_chunk().map(|first| u64::from_be_bytes(*first)) {
        Some(value) if value != 0 => Ok(value),
        _ => Err(io::Error::other(format!(
            "command {number} {fields:?}: {reply:?}"
        ))),
    }
}

/// "I am still there"; the channel answers with `ackid`.
pub(crate) fn keepalive(uid: u64, ackid: u32) -> [u8; PACKET] {
    let mut packet = [0; PACKET];
    packet[..4].fill(0xff);
    packet[4..8].copy_from_slice(&KEEPALIVE.to_be_bytes());
    packet[8..16].copy_from_slice(&uid.to_le_bytes());
    packet[16..20].copy_from_slice(&ackid.to_le_bytes());
    let checksum = (uid << 8) as u32 ^ 0x0acd_d400 ^ ackid;
    packet[20..24].copy_from_slice(&checksum.to_le_bytes());
    packet
}

/// Whether that is the answer.
pub(crate) fn acknowledges(packet: &[u8], ackid: u32) -> bool {
    packet.len() == PACKET
        && packet[..4] == [0xff; 4]
        && packet[4..8] == ACK.to_be_bytes()
        && packet[16..20] == ackid.to_le_bytes()
}
