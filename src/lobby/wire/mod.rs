//! The client protocol of GGZ, version 10: bytes and types, pure. Source: seed 002.
//!
//! One never-ending XML document per direction. [`xml`] frames it into elements, [`request`] says what a client wants,
//! [`push`] is all that a server says. [`terms`] are the words that all of them share. The same requests and pushes
//! travel as JSON over the web API's WebSocket.

pub mod push;
pub mod request;
pub mod terms;
pub mod xml;
