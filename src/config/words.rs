//! What values look like. Pure.

use std::{
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    str::FromStr,
    time::Duration,
};

use crate::{schedules::when, voice::Legacy};

/// An unprivileged user id: 1 to 2^31 - 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Uid(u32);

impl Uid {
    /// The number.
    pub fn get(self) -> u32 {
        self.0
    }
}

impl FromStr for Uid {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            Ok(id @ 1..=0x7fff_ffff) => Ok(Self(id)),
            _ => Err(format!("`{text}` is not a user id from 1 to 2147483647")),
        }
    }
}

/// A range with both ends, written `FIRST-LAST`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span<T> {
    /// The first that belongs to it.
    pub first: T,
    /// The last that belongs to it.
    pub last: T,
}

impl<T: FromStr + PartialOrd> FromStr for Span<T> {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is not a range like 7000-7999");
        let (first, last) = text.split_once('-').ok_or_else(wrong)?;
        let first = first.trim().parse().map_err(|_| wrong())?;
        let last = last.trim().parse().map_err(|_| wrong())?;
        if first > last {
            return Err(format!("`{text}` ends before it begins"));
        }
        Ok(Self { first, last })
    }
}

pub(super) fn address(text: &str) -> Result<SocketAddr, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not an address and port like 0.0.0.0:8080 or [::]:8080"))
}

pub(super) fn legacy(text: &str) -> Result<Legacy, String> {
    match text {
        "false" => Ok(Legacy::Off),
        "true" => Ok(Legacy::Loopback),
        "anywhere" => Ok(Legacy::Anywhere),
        _ => Err(format!("`{text}` is none of false, true, anywhere")),
    }
}

pub(super) fn rate(text: &str) -> Result<NonZeroU32, String> {
    let wrong = |_| format!("`{text}` is not a number of packets per second from 1 on");
    text.parse().map_err(wrong)
}

pub(super) fn shards(text: &str) -> Result<Option<NonZeroUsize>, String> {
    match (text, text.parse::<NonZeroUsize>()) {
        ("auto", _) => Ok(None),
        (_, Ok(number)) if number.get() <= 64 => Ok(Some(number)),
        _ => Err(format!(
            "`{text}` is neither auto nor a number from 1 to 64"
        )),
    }
}

pub(super) fn yes(text: &str) -> Result<bool, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is neither true nor false"))
}

pub(super) fn count(text: &str) -> Result<NonZeroUsize, String> {
    text.parse()
        .map_err(|_| format!("`{text}` is not a number from 1 on"))
}

/// A zone that is known, by its name.
pub(super) fn zone(text: &str) -> Result<String, String> {
    when::zone(text).map(|_| text.into())
}

pub(super) fn duration(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .map_err(|fault| format!("`{text}` is not a duration like 7d or 12h: {fault}"))
}

/// The least history with which a console is still of use.
const LEAST_CONSOLE: u64 = 512 << 10;

pub(super) fn bytes(text: &str) -> Result<u64, String> {
    match size(text)? {
        size if size < LEAST_CONSOLE => Err(format!("`{text}` is less than the least, 512K")),
        size => Ok(size),
    }
}

/// The least at which a job still comes to an end.
const LEAST_PACE: u64 = 64 << 10;

pub(super) fn pace(text: &str) -> Result<u64, String> {
    match size(text)? {
        size if size > 0 && size < LEAST_PACE => Err(format!(
            "`{text}` is less than the least, 64K; 0 is as many as it can"
        )),
        size => Ok(size),
    }
}

/// An amount of memory; none when nothing is said.
pub(super) fn budget(text: &str) -> Result<Option<u64>, String> {
    match text {
        "" => Ok(None),
        text => size(text).map(Some),
    }
}

fn size(text: &str) -> Result<u64, String> {
    let wrong = || format!("`{text}` is not a size like 512K, 16M or 1G");
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    let number: u64 = digits.trim().parse().map_err(|_| wrong())?;
    number.checked_mul(1 << shift).ok_or_else(wrong)
}
