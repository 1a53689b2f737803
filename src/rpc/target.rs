//! Where a console may be streamed to: who may ask for a connection must not make the box a way into what only it reaches.

use std::{
    net::{IpAddr, SocketAddr},
    str::FromStr,
};

/// A block of addresses, `10.0.0.0/8`, or a single one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    base: IpAddr,
    bits: u32,
}

impl FromStr for Block {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong =
            || format!("`{text}` is neither an address nor a block like 10.0.0.0/8 or fd00::/8");
        let (base, bits) = match text.split_once('/') {
            Some((base, bits)) => (base, Some(bits)),
            None => (text, None),
        };
        let base: IpAddr = base.trim().parse().map_err(|_| wrong())?;
        let most = if base.is_ipv4() { 32 } else { 128 };
        let bits = match bits {
            Some(bits) => bits.trim().parse().map_err(|_| wrong())?,
            None => most,
        };
        match bits <= most {
            true => Ok(Self { base, bits }),
            false => Err(wrong()),
        }
    }
}

impl Block {
    fn has(&self, address: IpAddr) -> bool {
        let same =
            |differ: u128, width: u32| differ.checked_shr(width - self.bits).unwrap_or(0) == 0;
        match (self.base, address) {
            (IpAddr::V4(base), IpAddr::V4(address)) => {
                same((base.to_bits() ^ address.to_bits()).into(), 32)
            }
            (IpAddr::V6(base), IpAddr::V6(address)) => {
                same(base.to_bits() ^ address.to_bits(), 128)
            }
            _ => false,
        }
    }
}

/// Why not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("no single machine has that address")]
    Nobody,
    #[error("that is one of this box's own doors")]
    OwnDoor,
    #[error("that is this box itself, which rpc.stream_targets does not name")]
    Own,
    #[error("that is neither a private address nor one that rpc.stream_targets names")]
    Foreign,
}

/// The rules, for one box.
#[derive(Debug, Clone, Default)]
pub(super) struct Guard {
    /// What the administrator added.
    pub(super) allowed: Vec<Block>,
    /// The ports that this box listens at.
    pub(super) doors: Vec<u16>,
}

impl Guard {
    /// Whether a console may go to `target`; `own`: it is an address of this box.
    pub(super) fn check(&self, target: SocketAddr, own: bool) -> Result<(), Refused> {
        let address = target.ip().to_canonical();
        let broadcast = matches!(address, IpAddr::V4(v4) if v4.is_broadcast());
        if address.is_unspecified() || address.is_multicast() || broadcast || target.port() == 0 {
            return Err(Refused::Nobody);
        }
        let own = own || address.is_loopback();
        if own && self.doors.contains(&target.port()) {
            return Err(Refused::OwnDoor);
        }
        let private = match address {
            IpAddr::V4(v4) => v4.is_private(),
            IpAddr::V6(v6) => v6.is_unique_local(),
        };
        match self.allowed.iter().any(|block| block.has(address)) {
            true => Ok(()),
            false if own => Err(Refused::Own),
            false if private => Ok(()),
            false => Err(Refused::Foreign),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guard(allowed: &[&str]) -> Guard {
        let allowed = allowed.iter().map(|block| block.parse().unwrap()).collect();
        let doors = vec![8080, 9090];
        Guard { allowed, doors }
    }

    fn at(target: &str) -> SocketAddr {
        target.parse().unwrap()
    }

    #[test]
    fn private_addresses_are_taken_and_nothing_else_unasked() {
        let guard = guard(&[]);
        for target in [
            "10.1.2.3:9",
            "172.16.0.1:9",
            "192.168.1.1:8080",
            "[fd00::1]:9",
            "[::ffff:10.0.0.1]:9",
        ] {
            assert_eq!(guard.check(at(target), false), Ok(()), "{target}");
        }
        for (target, why) in [
            ("8.8.8.8:53", Refused::Foreign),
            ("100.64.0.1:9", Refused::Foreign),
            ("169.254.169.254:80", Refused::Foreign),
            ("0.1.2.3:9", Refused::Foreign),
            ("[fe80::1]:9", Refused::Foreign),
            ("[2001:db8::1]:9", Refused::Foreign),
            ("[64:ff9b::a00:1]:9", Refused::Foreign),
            ("127.0.0.1:9", Refused::Own),
            ("127.9.9.9:9", Refused::Own),
            ("[::1]:9", Refused::Own),
            ("[::ffff:127.0.0.1]:9", Refused::Own),
            ("0.0.0.0:9", Refused::Nobody),
            ("[::]:9", Refused::Nobody),
            ("[::ffff:0.0.0.0]:9", Refused::Nobody),
            ("224.0.0.1:9", Refused::Nobody),
            ("[ff02::1]:9", Refused::Nobody),
            ("255.255.255.255:9", Refused::Nobody),
            ("10.0.0.1:0", Refused::Nobody),
        ] {
            assert_eq!(guard.check(at(target), false), Err(why), "{target}");
        }
        assert_eq!(guard.check(at("192.168.1.5:9"), true), Err(Refused::Own));
    }

    #[test]
    fn what_is_configured_is_taken_but_never_the_boxes_own_doors() {
        let guard = guard(&["127.0.0.0/8", "8.8.8.8", "192.168.1.5", "2001:db8::/32"]);
        for target in [
            "127.0.0.1:9",
            "8.8.8.8:9",
            "[2001:db8::7]:9",
            "[::ffff:127.0.0.1]:9",
        ] {
            assert_eq!(guard.check(at(target), false), Ok(()), "{target}");
        }
        assert_eq!(guard.check(at("8.8.8.9:9"), false), Err(Refused::Foreign));
        assert_eq!(guard.check(at("192.168.1.5:9"), true), Ok(()));
        for target in [
            "127.0.0.1:9090",
            "127.8.8.8:8080",
            "[::ffff:127.0.0.1]:9090",
            "[::1]:8080",
        ] {
            assert_eq!(
                guard.check(at(target), false),
                Err(Refused::OwnDoor),
                "{target}"
            );
        }
        assert_eq!(
            guard.check(at("192.168.1.5:8080"), true),
            Err(Refused::OwnDoor)
        );
    }

    #[test]
    fn blocks_are_what_they_say() {
        let block = |text: &str| text.parse::<Block>();
        for (text, inside, outside) in [
            ("10.0.0.0/8", "10.255.0.1", "11.0.0.0"),
            ("10.0.0.1", "10.0.0.1", "10.0.0.0"),
            ("0.0.0.0/0", "255.1.1.1", "::1"),
            ("fd00::/8", "fdff::1", "fc00::1"),
            ("::/0", "::1", "1.1.1.1"),
        ] {
            let block = block(text).unwrap();
            assert!(block.has(inside.parse().unwrap()), "{text}");
            assert!(!block.has(outside.parse().unwrap()), "{text}");
        }
        for text in [
            "",
            "ten",
            "10.0.0.0/33",
            "::/129",
            "10.0.0.0/-1",
            "10.0.0.0/",
        ] {
            assert!(block(text).is_err(), "{text}");
        }
    }
}
