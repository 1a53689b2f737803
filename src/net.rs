//! What every TCP door has to know: who counts as one address, how many connections a box can have, and what to do when
//! there is none to accept.

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use nix::sys::resource::{Resource, getrlimit};
use tokio::net::{TcpListener, TcpSocket};

/// How long to wait when the system cannot give a connection (out of descriptors): others must end first.
pub(crate) const RESPITE: Duration = Duration::from_millis(200);

/// Connections that may wait to be accepted, where the system grants as many (`net.core.somaxconn`). With tokio's 128, a
/// moment's burst of a crowd costs whoever comes next a second, until the kernel has asked again for them.
const WAITING: u32 = 4096;

/// A door. To be opened within a tokio runtime.
pub(crate) fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(WAITING)
}

/// Whether an `accept` failed by the peer's fault, gone with the connection; anything else is the system's and asks for
/// a [pause](RESPITE).
pub(crate) fn is_theirs(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::NotConnected
            | ErrorKind::InvalidInput
    )
}

/// What counts as one address: an IPv4 address, or the IPv6 /64 that one household has.
pub(crate) fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) if !v6.is_loopback() => {
            Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX)).into()
        }
        other => other,
    }
}

/// How many descriptors this process may have open; keepers and the store need theirs too.
pub(crate) fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX).min(16 << 10)
}
