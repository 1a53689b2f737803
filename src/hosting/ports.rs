//! Ports for new servers.
//!
//! A pool of 1000 is numbered as MyOTTD does: class 0 has the first hundred, class 1 the next, up to class 9; the
//! lowest free ones of the class are taken. In a pool of any other length the class does not matter.

use std::{
    collections::BTreeSet,
    io::ErrorKind,
    net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket},
    ops::RangeInclusive,
};

use super::definition::PortRule;
use super::{HostingError, Port};

/// The part of `pool` that `class` may use.
fn block(pool: &RangeInclusive<u16>, class: u8) -> RangeInclusive<u16> {
    if pool.clone().count() == 1000 {
        let first = pool.start() + 100 * u16::from(class.min(9));
        first..=first + 99
    } else {
        pool.clone()
    }
}

/// Ports for `rules`, and those passed over because something outside this house holds them.
///
/// `taken` are those of other servers; `free` says whether nothing else on this box holds one.
pub(super) fn allocate(
    pool: &RangeInclusive<u16>,
    class: u8,
    rules: &[PortRule],
    taken: &BTreeSet<u16>,
    free: impl Fn(&Port) -> bool,
) -> Result<(Vec<Port>, Vec<u16>), HostingError> {
    let block = block(pool, class);
    let (mut taken, mut skipped) = (taken.clone(), BTreeSet::new());
    let mut ports: Vec<Option<Port>> = vec![None; rules.len()];
    for (n, rule) in rules.iter().enumerate() {
        if rule.offset.is_some() {
            continue; // goes with the first
        }
        let group: Vec<usize> = (0..rules.len())
            .filter(|&k| k == n || (n == 0 && rules[k].offset.is_some()))
            .collect();
        let found = block.clone().find_map(|base| {
            let numbered: Vec<Port> = group
                .iter()
                .map(|&k| number(&rules[k], base, block.end()))
                .collect::<Option<_>>()?;
            if numbered.iter().any(|port| taken.contains(&port.number)) {
                return None;
            }
            let held = numbered.iter().find(|port| !free(port));
            skipped.extend(held.map(|port| port.number));
            held.is_none().then_some(numbered)
        });
        let Some(found) = found else {
            return Err(HostingError::NoFreePort {
                pool: format!("{}-{}", block.start(), block.end()),
                skipped: skipped.into_iter().collect(),
            });
        };
        for (k, port) in group.into_iter().zip(found) {
            taken.insert(port.number);
            ports[k] = Some(port);
        }
    }
    Ok((
        ports.into_iter().flatten().collect(),
        skipped.into_iter().collect(),
    ))
}

fn number(rule: &PortRule, base: u16, last: &u16) -> Option<Port> {
    let number = base
        .checked_add(rule.offset.unwrap_or(0))
        .filter(|number| number <= last)?;
    Some(Port {
        name: rule.name.clone(),
        number,
        tcp: rule.tcp,
        udp: rule.udp,
    })
}

/// Whether binding it works for its protocols, on all addresses of this box.
pub(crate) fn is_free(port: &Port) -> bool {
    let addresses: [SocketAddr; 2] = [
        (Ipv4Addr::UNSPECIFIED, port.number).into(),
        (Ipv6Addr::UNSPECIFIED, port.number).into(),
    ];
    // A box without IPv6 has nothing there that could be held.
    let bound = |result: std::io::Result<()>| match result {
        Ok(()) => true,
        Err(error) => !matches!(
            error.kind(),
            ErrorKind::AddrInUse | ErrorKind::PermissionDenied
        ),
    };
    addresses.into_iter().all(|address| {
        (!port.tcp || bound(TcpListener::bind(address).map(drop)))
            && (!port.udp || bound(UdpSocket::bind(address).map(drop)))
    })
}

/// The lowest user id of `pool` that is not in `taken`.
pub(super) fn uid(pool: &RangeInclusive<u32>, taken: &BTreeSet<u32>) -> Option<u32> {
    pool.clone().find(|uid| !taken.contains(uid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn rules(offsets: &[Option<u16>]) -> Vec<PortRule> {
        offsets
            .iter()
            .enumerate()
            .map(|(n, &offset)| PortRule {
                name: format!("p{n}"),
                tcp: true,
                udp: true,
                offset,
            })
            .collect()
    }

    fn numbers(ports: &[Port]) -> Vec<u16> {
        ports.iter().map(|port| port.number).collect()
    }

    #[test]
    fn the_default_pool_is_numbered_as_myottd_does() {
        let taken = BTreeSet::from([7200]);
        let (ports, _) = allocate(&(7000..=7999), 2, &rules(&[None]), &taken, |_| true).unwrap();
        assert_eq!(numbers(&ports), [7201]);
        let full = (7900..=7999).collect();
        assert!(matches!(
            allocate(&(7000..=7999), 9, &rules(&[None]), &full, |_| true),
            Err(HostingError::NoFreePort { pool, .. }) if pool == "7900-7999"
        ));
    }

    #[test]
    fn a_port_that_something_else_holds_is_skipped_and_said() {
        let (ports, skipped) = allocate(
            &(100..=110),
            2,
            &rules(&[None, Some(1)]),
            &BTreeSet::new(),
            |port| port.number != 101,
        )
        .unwrap();
        assert_eq!(numbers(&ports), [102, 103]);
        assert_eq!(skipped, [101]);
    }

    #[test]
    fn a_held_socket_is_not_free_and_a_closed_one_is() {
        let holder = UdpSocket::bind("0.0.0.0:0").unwrap();
        let mut port = Port {
            name: "game".into(),
            number: holder.local_addr().unwrap().port(),
            tcp: false,
            udp: true,
        };
        assert!(!is_free(&port));
        port.udp = false;
        assert!(is_free(&port), "it is asked only about its own protocols");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]
        #[test]
        fn what_is_allocated_is_free_distinct_in_the_pool_and_in_order(
            length in prop_oneof![Just(1000u16), 1u16..40],
            class in 0u8..10,
            taken in prop::collection::btree_set(7000u16..7040, 0..20),
            held in prop::collection::btree_set(7000u16..7040, 0..10),
            offsets in prop::collection::vec(prop::option::of(1u16..4), 0..4),
        ) {
            let mut offsets = offsets;
            if let Some(first) = offsets.first_mut() { *first = None; }
            let mut seen = BTreeSet::new();
            offsets.retain(|offset| offset.is_none_or(|offset| seen.insert(offset)));
            let pool = 7000..=7000 + length - 1;
            let rules = rules(&offsets);
            if let Ok((ports, skipped)) = allocate(&pool, class, &rules, &taken, |port| !held.contains(&port.number)) {
                let numbers = numbers(&ports);
                prop_assert_eq!(numbers.len(), rules.len());
                prop_assert_eq!(numbers.iter().collect::<BTreeSet<_>>().len(), rules.len());
                for (number, rule) in numbers.iter().zip(&rules) {
                    prop_assert!(block(&pool, class).contains(number));
                    prop_assert!(!taken.contains(number) && !held.contains(number));
                    if let Some(offset) = rule.offset { prop_assert_eq!(*number, numbers[0] + offset); }
                }
                prop_assert!(skipped.iter().all(|number| held.contains(number)));
            }
        }
    }
}
