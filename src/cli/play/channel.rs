//! The game itself: lines of JSON over the connection that the lobby has handed to it.

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use super::{PlayError, lobby::Lobby};
use crate::games::wire::{Say, Told, encode};

/// Bytes of a line from a game; a state of chess has two thousand.
const LINE: usize = 1 << 20;
/// Bytes that are read at once.
const READ: usize = 8 << 10;

/// A channel, and what has come over it.
pub(super) struct Channel {
    stream: TcpStream,
    bytes: Vec<u8>,
    /// Of `bytes`, what holds no end of line.
    seen: usize,
}

/// One line from the game.
pub(super) struct Line {
    /// As it came.
    pub(super) raw: String,
    /// What it means.
    pub(super) told: Told,
}

impl Channel {
    /// A second connection to the lobby, made a channel of that person's.
    pub(super) async fn open(address: &str, name: &str) -> Result<Self, PlayError> {
        // A lobby that is full takes the channels of those who are in.
        let (lobby, _) = Lobby::connect(address).await?;
        let (stream, bytes) = lobby.hand_over(name).await?;
        let seen = 0;
        Ok(Self {
            stream,
            bytes,
            seen,
        })
    }

    pub(super) async fn say(&mut self, say: &Say) -> Result<(), PlayError> {
        Ok(self.stream.write_all(&encode(say)).await?)
    }

    /// The next line; none when the game has hung up. Nothing is lost when this is dropped.
    pub(super) async fn next(&mut self) -> Result<Option<Line>, PlayError> {
        loop {
            let new = &self.bytes[self.seen..];
            if let Some(end) = new.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.bytes.drain(..self.seen + end + 1).collect();
                self.seen = 0;
                // The end of the lobby's last line is one, too.
                match line.trim_ascii() {
                    b"" => continue,
                    line => return Ok(Some(read(line)?)),
                }
            }
            self.seen = self.bytes.len();
            if self.seen > LINE {
                return Err(PlayError::Garbage(format!("a line of over {LINE} bytes")));
            }
            let mut bytes = [0; READ];
            match self.stream.read(&mut bytes).await {
                Ok(0) | Err(_) => return Ok(None),
                Ok(count) => self.bytes.extend_from_slice(&bytes[..count]),
            }
        }
    }
}

fn read(line: &[u8]) -> Result<Line, PlayError> {
    let garbage = |error: &dyn std::fmt::Display| PlayError::Garbage(error.to_string());
    let raw = String::from_utf8(line.to_vec()).map_err(|error| garbage(&error))?;
    let told = serde_json::from_str(&raw).map_err(|error| garbage(&error))?;
    Ok(Line { raw, told })
}
