//! The one HTTP tree's carrier: connections, limits, bodies, problems, routes. What is asked is not its business.
//!
//! ```text
//!   TCP ─┐            ┌─ gate: how many, from where
//!        ├─ serve ────┼─ patient: bytes must move, both ways
//!  unix ─┘            └─ hyper ── warp ── routes ── a handler of panel, or of a later room
//!                                           │
//!                      body (bounded JSON)  ├─ caller (who asks, and from which site)
//!              faults, problem (RFC 9457) ◄─┴─ openapi (the same table, as a document)
//! ```
//!
//! It owns the accept loop (warp has neither timeouts nor caps of its own), the table of routes, and the one place
//! where an error becomes an answer. It refuses: slow headers, slow bodies, large bodies, readers that do not read,
//! too many connections, strangers on the control socket, and requests that another site made a browser send.

use std::{net::SocketAddr, time::Duration};

use crate::net::descriptors;

mod body;
pub(crate) mod caller;
mod faults;
mod gate;
mod openapi;
mod patient;
pub mod problem;
pub(crate) mod range;
pub mod redirect;
pub mod routes;
mod serve;

pub(crate) use body::Bulk;
pub use serve::{Listener, serve};

/// Who is at the other end of a connection; an extension of each request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Peer {
    /// Somebody on the network.
    Tcp(SocketAddr),
    /// A process of this box, on the control socket, as the kernel vouches.
    Local {
        /// Its user.
        uid: u32,
        /// Its id, when the kernel says.
        pid: Option<i32>,
    },
}

/// What one listener grants. Every bound of the carrier is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a request's header is complete; also how long a kept-alive connection may wait for its next request.
    pub header: Duration,
    /// Without a byte in either direction, whatever is going on.
    pub idle: Duration,
    /// With bytes to send that the peer does not take.
    pub stall: Duration,
    /// Bytes of a JSON body.
    pub body: usize,
    /// Until a body is complete.
    pub body_time: Duration,
    /// Connections from one IPv4 address or IPv6 /64.
    pub per_address: usize,
    /// Connections from loopback addresses, each.
    pub loopback: usize,
    /// Connections of this listener in all.
    pub total: usize,
    /// For requests that are under way when the box stops.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            header: Duration::from_secs(10),
            idle: Duration::from_secs(120),
            stall: Duration::from_secs(20),
            body: 64 << 10,
            body_time: Duration::from_secs(20),
            per_address: 64,
            loopback: 512,
            total: descriptors() / 4,
            drain: Duration::from_secs(5),
        }
    }
}

#[cfg(test)]
pub(crate) mod tests;
