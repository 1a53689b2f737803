//! The client protocol of GGZ, version 10: bytes and types, pure. Source: seed 002.
//!
//! One never-ending XML document per direction. [`xml`] frames it into elements ([`element`]), [`request`] says what a
//! client wants, [`push`] is all that a server says. [`terms`] are what all of them share, [`words`] and [`numbers`] how
//! it is spelled. The same requests and pushes travel as JSON over the web API's WebSocket.
//!
//! ```text
//!  client's bytes ─► Framer ─► Element ─► Request ─► (the lobby) ─► Push ─► bytes
//!  server's bytes ─► Framer ─► Element ─► Push ─► (longhouse play, tests) ─► Request ─► bytes
//! ```

pub mod element;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod fuzzing;
pub mod numbers;
mod pen;
pub mod push;
pub mod push_read;
mod push_write;
pub mod request;
mod request_xml;
pub mod terms;
mod token;
mod update_read;
pub mod words;
pub mod xml;

#[cfg(test)]
mod tests;
