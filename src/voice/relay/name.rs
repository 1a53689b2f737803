//! Addresses as the kernel writes them, made ready once, so that a packet is sent without a conversion.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// Bytes of a `sockaddr_in`,
const V4: usize = 16;
/// and of a `sockaddr_in6`.
pub(super) const V6: usize = 28;

/// Which addresses a socket speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    /// IPv4 too, written as IPv6.
    V6,
}

/// Where somebody is.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) address: SocketAddr,
    v4: Option<[u8; V4]>,
    v6: [u8; V6],
}

impl Family {
    pub(super) fn of(address: SocketAddr) -> Self {
        match address {
            SocketAddr::V4(_) => Self::V4,
            SocketAddr::V6(_) => Self::V6,
        }
    }
}

impl Place {
    /// None for what cannot be sent to: port 0.
    pub(super) fn new(address: SocketAddr) -> Option<Self> {
        let address = canonical(address);
        let (ip, port) = (address.ip(), address.port().to_be_bytes());
        let mut v6 = [0; V6];
        v6[..2].copy_from_slice(&(libc::AF_INET6 as u16).to_ne_bytes());
        v6[2..4].copy_from_slice(&port);
        let v4 = match ip {
            IpAddr::V4(ip) => {
                v6[8..24].copy_from_slice(&ip.to_ipv6_mapped().octets());
                let mut v4 = [0; V4];
                v4[..2].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
                v4[2..4].copy_from_slice(&port);
                v4[4..8].copy_from_slice(&ip.octets());
                Some(v4)
            }
            IpAddr::V6(ip) => {
                v6[8..24].copy_from_slice(&ip.octets());
                None
            }
        };
        if let SocketAddr::V6(address) = address {
            v6[24..].copy_from_slice(&address.scope_id().to_ne_bytes());
        }
        (port != [0; 2]).then_some(Self { address, v4, v6 })
    }

    /// As a socket of this family wants it; none for an IPv6 address and a socket without IPv6.
    pub(super) fn name(&self, family: Family) -> Option<&[u8]> {
        match family {
            Family::V4 => self.v4.as_ref().map(<[u8; V4]>::as_slice),
            Family::V6 => Some(&self.v6),
        }
    }
}

/// IPv4 as IPv4, however it came.
pub(super) fn canonical(address: SocketAddr) -> SocketAddr {
    match address.ip().to_canonical() {
        IpAddr::V4(ip) => (ip, address.port()).into(),
        IpAddr::V6(_) => address,
    }
}

/// Reads what the kernel wrote: where a packet came from.
pub(super) fn read(name: &[u8]) -> Option<SocketAddr> {
    let family = i32::from(u16::from_ne_bytes(part(name, 0)?));
    let port = u16::from_be_bytes(part(name, 2)?);
    match family {
        libc::AF_INET => Some((Ipv4Addr::from(part::<4>(name, 4)?), port).into()),
        libc::AF_INET6 => {
            let ip = Ipv6Addr::from(part::<16>(name, 8)?);
            let scope = u32::from_ne_bytes(part(name, 24)?);
            Some(canonical(SocketAddrV6::new(ip, port, 0, scope).into()))
        }
        _ => None,
    }
}

fn part<const N: usize>(name: &[u8], at: usize) -> Option<[u8; N]> {
    name.get(at..at + N)?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn ips() -> impl Strategy<Value = IpAddr> {
        prop_oneof![
            any::<u32>().prop_map(|ip| Ipv4Addr::from(ip).into()),
            any::<u128>().prop_map(|ip| Ipv6Addr::from(ip).into()),
        ]
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_whatever_the_family(ip in ips(), port in 1u16..) {
            let place = Place::new((ip, port).into()).unwrap();
            prop_assert_eq!(place.address, SocketAddr::new(ip.to_canonical(), port));
            prop_assert_eq!(read(place.name(Family::V6).unwrap()), Some(place.address));
            match place.name(Family::V4) {
                Some(name) => prop_assert_eq!(read(name), Some(place.address)),
                None => prop_assert!(place.address.is_ipv6()),
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            let _ = read(&bytes);
        }
    }

    #[test]
    fn nobody_is_at_port_0() {
        assert!(Place::new(([127, 0, 0, 1], 0).into()).is_none());
    }
}
