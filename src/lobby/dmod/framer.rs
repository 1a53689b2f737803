//! Messages out of a stream that comes in any pieces, and the two kinds of value that they are made of.
//!
//! ```text
//!  int     i32 BE
//!  string  | length: i32 BE | that many bytes, the last of them NUL |     a missing NUL is tolerated
//! ```
//!
//! A message has no length of its own: where it ends is known by reading it. So a reader always knows how many bytes
//! are *surely* still to come, and a game reads exactly these: the byte that brings a descriptor must not be read along
//! with the message before it, or the kernel throws the descriptor away.

use std::marker::PhantomData;

use super::wire::{FromGame, ToGame};

/// Bytes that no game and no lobby sends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// A message of a kind that does not exist.
    #[error("there is no message {0}")]
    Opcode(i32),
    /// A text that is longer than it may be, or of negative length.
    #[error("{what} of {length} bytes, where 0 to {most} are possible")]
    Length {
        /// Of what.
        what: &'static str,
        /// As it was sent.
        length: i32,
        /// With its NUL.
        most: usize,
    },
    /// A number that means nothing there.
    #[error("{what} cannot be {number}")]
    Number {
        /// Of what.
        what: &'static str,
        /// As it was sent.
        number: i32,
    },
    /// A name that is not UTF-8.
    #[error("{what} is not UTF-8")]
    Text {
        /// Which.
        what: &'static str,
    },
}

/// Why there is no message yet, or will never be.
#[derive(Debug, PartialEq, Eq)]
pub enum Stop {
    /// At least so many bytes are missing.
    More(usize),
    /// It is none.
    Wrong(DecodeError),
}

impl From<DecodeError> for Stop {
    fn from(error: DecodeError) -> Self {
        Self::Wrong(error)
    }
}

/// What can be read out of a stream.
pub trait Message: Sized + private::Read {}
impl Message for FromGame {}
impl Message for ToGame {}

pub(super) mod private {
    use super::{Input, Stop};

    /// Reads one message off the front.
    pub trait Read: Sized {
        /// What it is, or why it is none.
        fn read(input: &mut Input<'_>) -> Result<Self, Stop>;
    }
}

/// Bytes that are being read.
pub struct Input<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Input<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Stop> {
        let rest = &self.bytes[self.at..];
        let taken = rest.get(..count);
        let taken = taken.ok_or_else(|| Stop::More(count - rest.len()))?;
        self.at += count;
        Ok(taken)
    }

    pub(super) fn char(&mut self) -> Result<u8, Stop> {
        Ok(self.take(1)?[0])
    }

    pub(super) fn int(&mut self) -> Result<i32, Stop> {
        let bytes = self.take(4)?.try_into().expect("four bytes were taken");
        Ok(i32::from_be_bytes(bytes))
    }

    /// A number from 0 to `most`.
    pub(super) fn number(&mut self, what: &'static str, most: u32) -> Result<u32, Stop> {
        let number = self.int()?;
        let found = u32::try_from(number).ok().filter(|&n| n <= most);
        Ok(found.ok_or(DecodeError::Number { what, number })?)
    }

    /// One of a few numbers.
    pub(super) fn one_of<T>(
        &mut self,
        what: &'static str,
        of: impl FnOnce(i32) -> Option<T>,
    ) -> Result<T, Stop> {
        let number = self.int()?;
        Ok(of(number).ok_or(DecodeError::Number { what, number })?)
    }

    /// The bytes of a text, up to its first NUL; at most `most` of them, the NUL included.
    fn bytes(&mut self, what: &'static str, most: usize) -> Result<&'a [u8], Stop> {
        let length = self.int()?;
        let count = usize::try_from(length).ok().filter(|&n| n <= most);
        let count = count.ok_or(DecodeError::Length { what, length, most })?;
        let bytes = self.take(count)?;
        Ok(memchr::memchr(0, bytes).map_or(bytes, |end| &bytes[..end]))
    }

    /// A text for people to read: what is not UTF-8 or too long is mended.
    pub(super) fn prose(&mut self, what: &'static str, most: usize) -> Result<String, Stop> {
        let text = String::from_utf8_lossy(self.bytes(what, most)?);
        Ok(cut(&text, most - 1).into())
    }

    /// A text that programs compare: nothing of it is mended.
    pub(super) fn text(&mut self, what: &'static str, most: usize) -> Result<String, Stop> {
        let bytes = self.bytes(what, most)?;
        if bytes.len() == most {
            let length = most as i32 + 1; // as it would be with its NUL
            return Err(DecodeError::Length { what, length, most }.into());
        }
        let text = str::from_utf8(bytes).map_err(|_| DecodeError::Text { what })?;
        Ok(text.into())
    }

    /// A text that may be absent, which is to be empty.
    pub(super) fn name(&mut self, what: &'static str, most: usize) -> Result<Option<String>, Stop> {
        Ok(Some(self.text(what, most)?).filter(|name| !name.is_empty()))
    }
}

/// The beginning of a text, at most so many bytes of it.
pub(super) fn cut(text: &str, most: usize) -> &str {
    let end = (0..=most.min(text.len()))
        .rev()
        .find(|&end| text.is_char_boundary(end));
    &text[..end.unwrap_or(0)]
}

pub(super) fn put_int(out: &mut Vec<u8>, number: i32) {
    out.extend_from_slice(&number.to_be_bytes());
}

/// For numbers that this program counts: none reaches 2^31.
pub(super) fn put_number(out: &mut Vec<u8>, number: u32) {
    put_int(out, i32::try_from(number).unwrap_or(i32::MAX));
}

/// Up to its first NUL, because it ends there for everybody who reads it.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    let text = text.split('\0').next().unwrap_or_default();
    put_number(out, u32::try_from(text.len() + 1).unwrap_or(u32::MAX));
    out.extend_from_slice(text.as_bytes());
    out.push(0);
}

/// Cuts a stream into messages, in whatever pieces it comes. After an error there is only that error.
#[derive(Debug)]
pub struct Framer<M = FromGame> {
    bytes: Vec<u8>,
    /// Before so many have come it is not worth looking.
    missing: usize,
    of: PhantomData<fn() -> M>,
}

/// What a game reads its orders with.
pub type Decoder = Framer<ToGame>;

/// Every message begins with an int.
const OPCODE: usize = 4;

impl<M> Default for Framer<M> {
    fn default() -> Self {
        Self {
            bytes: Vec::new(),
            missing: OPCODE,
            of: PhantomData,
        }
    }
}

impl<M: Message> Framer<M> {
    /// Takes bytes as they came.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        self.missing = self.missing.saturating_sub(bytes.len());
    }

    /// So many bytes, and at least so many, belong to the message that is being read. To be asked when
    /// [`next`](Self::next) has returned none. A game reads no more at a time: see the module.
    pub fn wants(&self) -> usize {
        self.missing
    }

    /// The next message; none until more bytes have come.
    ///
    /// # Errors
    /// From the first byte that no message has, and ever after.
    #[expect(
        clippy::should_implement_trait,
        reason = "it fails, and goes on after none"
    )]
    pub fn next(&mut self) -> Result<Option<M>, DecodeError> {
        if self.missing > 0 {
            return Ok(None);
        }
        let mut input = Input {
            bytes: &self.bytes,
            at: 0,
        };
        match M::read(&mut input) {
            Ok(message) => {
                let used = input.at;
                self.bytes.drain(..used);
                self.missing = OPCODE.saturating_sub(self.bytes.len());
                if self.bytes.is_empty() {
                    self.bytes = Vec::new(); // most of the time nothing is on its way
                }
                Ok(Some(message))
            }
            Err(Stop::More(missing)) => {
                self.missing = missing;
                Ok(None)
            }
            Err(Stop::Wrong(error)) => Err(error),
        }
    }

    /// Whether bytes of an unfinished message are held.
    pub fn is_midway(&self) -> bool {
        !self.bytes.is_empty()
    }
}
