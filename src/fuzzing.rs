//! What the fuzz targets in `fuzz/` feed: bytes from outside, as each of our own wires takes them.

use std::fs;

use crate::{
    console::{
        Reader, Writer,
        stream::{Framer as Frames, Greeting, Lines},
    },
    files::{FilePath, archive},
    hosting::definition::Definition,
    http::range::{Wanted, begins, wanted},
    keeper::wire::{Answer, Ask, Framer},
    lobby, rpc, snapshots, voice,
};

/// A keeper's socket, both ways.
pub fn keeper_wire(bytes: &[u8]) {
    let mut framer = Framer::default();
    framer.push(bytes);
    while let Ok(Some(frame)) = framer.next() {
        Ask::decode(frame.clone());
        Answer::decode(frame).ok();
    }
}

/// A console's segment file: read, repaired, and gone on with.
pub fn console_segment(bytes: &[u8]) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    fs::write(folder.path().join(format!("{:020}.seg", 1)), bytes).expect("room for a segment");
    Reader::new(folder.path().into())
        .read(1, 1000, 1 << 20)
        .expect("any bytes are read");
    Writer::open(folder.path(), 1 << 20).expect("any bytes are repaired");
}

/// A zip archive that somebody unpacks.
pub fn archive_zip(bytes: &[u8]) {
    archive::fuzzing::zip(bytes);
}

/// A tar archive that somebody unpacks, compressed or not.
pub fn archive_tar(bytes: &[u8]) {
    archive::fuzzing::tar(bytes);
}

/// A line between the daemon and a job on snapshots.
pub fn snapshot_wire(bytes: &[u8]) {
    snapshots::fuzzing::line(bytes);
}

/// A game definition.
pub fn definition(text: &str) {
    Definition::parse("fuzzed.toml", "fuzzed", text).ok();
}

/// A path among a server's files.
pub fn file_path(bytes: &[u8]) {
    for read in [FilePath::parse(bytes), FilePath::rooted(bytes)] {
        let Ok(path) = read else {
            continue;
        };
        let names = path.as_bytes().split(|&byte| byte == b'/');
        for name in names.filter(|_| !path.is_root()) {
            assert!(!matches!(name, b"" | b"." | b"..") && name.len() <= 255);
        }
        assert_eq!(FilePath::parse(path.as_bytes()).as_ref(), Ok(&path));
        assert_eq!(FilePath::from_raw(&path.raw()).as_ref(), Ok(&path));
    }
}

/// The headers `Range` and `Content-Range`.
pub fn byte_range(text: &str) {
    for size in [0, 1, 1000, u64::MAX] {
        if let Wanted::Part(part) = wanted(Some(text), size) {
            assert!(part.start < part.end && part.end <= size);
        }
    }
    begins(text);
}

/// A connection of the voice control port.
pub fn voice_control(bytes: &[u8]) {
    voice::fuzzing::control(bytes);
}

/// A datagram on a voice channel's port.
pub fn voice_datagram(bytes: &[u8]) {
    voice::fuzzing::datagram(bytes);
}

/// A table game or a room, in both formats.
pub fn lobby_definition(text: &str) {
    lobby::definition::fuzzing(text);
}

/// A request to the meta server, or another meta server's answer.
pub fn lobby_meta(bytes: &[u8]) {
    lobby::meta::fuzzing(bytes);
}

/// What a client of the lobby sends.
pub fn lobby_client(bytes: &[u8]) {
    lobby::wire::fuzzing::client(bytes);
}

/// What a lobby sends to its clients.
pub fn lobby_server(bytes: &[u8]) {
    lobby::wire::fuzzing::server(bytes);
}

/// What a table game says.
pub fn game_link(bytes: &[u8]) {
    lobby::dmod::fuzzing::link(bytes);
}

/// What a table game is told.
pub fn game_orders(bytes: &[u8]) {
    lobby::dmod::fuzzing::orders(bytes);
}

/// A call of MyOTTD's XML-RPC, or an answer to one: what is understood is understood again when it is written.
pub fn rpc_call(bytes: &[u8]) {
    if let Ok(call) = rpc::wire::Call::decode(bytes)
        && let Ok(again) = call.encode()
    {
        assert_eq!(rpc::wire::Call::decode(&again), Ok(call));
    }
    if let Ok(response) = rpc::wire::Response::decode(bytes)
        && let Ok(again) = response.encode()
    {
        assert_eq!(rpc::wire::Response::decode(&again), Ok(response));
    }
}

/// What a peer of a console's stream says.
pub fn console_stream(bytes: &[u8]) {
    let (mut frames, mut lines) = (Frames::default(), Lines::new(1024));
    if let Ok(Some(rest)) = Greeting::default().push(bytes) {
        frames.push(rest);
        while let Ok(Some(frame)) = frames.next() {
            lines.push(&frame.data);
        }
    }
}
