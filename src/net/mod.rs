//! What every TCP door has to know: who counts as one address, how many connections a box can have, and what to do when
//! there is none to accept.

pub(crate) mod crowd;

use std::{
    io::{self, ErrorKind},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use nix::{
    ifaddrs::getifaddrs,
    net::if_::InterfaceFlags,
    sys::resource::{Resource, getrlimit},
};
use tokio::{
    net::{TcpListener, TcpSocket},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

/// How long to wait when the system cannot give a connection (out of descriptors): others must end first.
const RESPITE: Duration = Duration::from_millis(200);

/// Connections that may wait to be accepted, where the system grants as many (`net.core.somaxconn`). With tokio's 128, a
/// moment's burst of a crowd costs whoever comes next a second, until the kernel has asked again for them.
const WAITING: u32 = 4096;

/// How many addresses of this machine are looked at: one with containers has hundreds.
const CARDS: usize = 64;

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

/// The next connection at a door, until `stop`. `what` comes in there is for the log.
pub(crate) async fn accepted<T, F>(
    what: &str,
    stop: &CancellationToken,
    accept: impl Fn() -> F,
) -> Option<T>
where
    F: Future<Output = io::Result<T>>,
{
    loop {
        match stop.run_until_cancelled(accept()).await? {
            Ok(connection) => return Some(connection),
            Err(error) if is_theirs(&error) => {}
            Err(error) => {
                tracing::warn!(%error, "cannot accept {what} just now");
                stop.run_until_cancelled(sleep(RESPITE)).await?;
            }
        }
    }
}

/// The same address, as IPv4 where it is one.
pub(crate) fn canonical(from: SocketAddr) -> SocketAddr {
    SocketAddr::new(from.ip().to_canonical(), from.port())
}

/// Whether an `accept` failed by the peer's fault, gone with the connection; anything else is the system's and asks for
/// a [pause](RESPITE).
fn is_theirs(error: &io::Error) -> bool {
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

/// The processor, as `uname -m` says it.
pub(crate) fn machine() -> String {
    let kernel = nix::sys::utsname::uname();
    kernel.map_or_else(
        |_| String::new(),
        |kernel| kernel.machine().to_string_lossy().into(),
    )
}

/// What this machine is called.
pub(crate) fn host_name() -> String {
    let name = nix::unistd::gethostname().ok();
    name.and_then(|name| name.into_string().ok())
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "longhouse".into())
}

/// The addresses of this machine's cards, loopback included, but for those that count on one link alone.
pub(crate) fn addresses() -> Vec<IpAddr> {
    let Ok(cards) = getifaddrs() else {
        return vec![Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    };
    let mut addresses: Vec<IpAddr> = cards
        .filter(|card| card.flags.contains(InterfaceFlags::IFF_UP))
        .filter_map(|card| {
            let address = card.address?;
            let v4 = address.as_sockaddr_in().map(|v4| v4.ip().into());
            v4.or_else(|| Some(address.as_sockaddr_in6()?.ip().into()))
        })
        .filter(|address| !matches!(address, IpAddr::V6(v6) if v6.is_unicast_link_local()))
        .take(CARDS)
        .collect();
    addresses.sort_unstable();
    addresses.dedup();
    addresses
}

/// Whether an address is this machine's own, on whatever card; also when that cannot be found out.
pub(crate) fn is_own(address: IpAddr) -> bool {
    let address = address.to_canonical();
    let Ok(mut cards) = getifaddrs() else {
        return true;
    };
    address.is_loopback()
        || cards.any(|card| {
            let own = card.address.as_ref();
            let v4 = own.and_then(|own| Some(IpAddr::from(own.as_sockaddr_in()?.ip())));
            let v6 = own.and_then(|own| Some(IpAddr::from(own.as_sockaddr_in6()?.ip())));
            v4.or(v6) == Some(address)
        })
}

/// How many descriptors this process may have open; keepers and the store need theirs too.
pub(crate) fn descriptors() -> usize {
    let limit = getrlimit(Resource::RLIMIT_NOFILE).map_or(1024, |(soft, _)| soft);
    usize::try_from(limit).unwrap_or(usize::MAX).min(16 << 10)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_machine_knows_its_own_addresses() {
        assert!(addresses().into_iter().all(is_own));
        assert!(is_own("127.1.2.3".parse().unwrap()));
        assert!(!is_own("192.0.2.1".parse().unwrap()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_door_passes_over_who_left_and_waits_when_the_system_has_no_more() {
        let stop = CancellationToken::new();
        let ends = Mutex::new(vec![
            Err(ErrorKind::ConnectionAborted),
            Err(ErrorKind::OutOfMemory),
            Ok(7),
        ]);
        let accept = || async {
            let end = ends.lock().unwrap().remove(0);
            end.map_err(io::Error::from)
        };
        let begin = tokio::time::Instant::now();
        assert_eq!(accepted("guests", &stop, accept).await, Some(7));
        assert_eq!(begin.elapsed(), RESPITE);
        stop.cancel();
        let never = || std::future::pending::<io::Result<u8>>();
        assert_eq!(accepted("guests", &stop, never).await, None);
    }
}
