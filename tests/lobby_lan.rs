//! How the lobby is found in the local network.

mod common;

use std::time::Instant;

use common::{
    House, PATIENCE, installed,
    lan::{Host, on_a_host_apart},
    root,
};
use longhouse::discovery::{GGZ, ggz_instance};
use mdns_sd::{ServiceDaemon, ServiceEvent};

#[test]
fn a_neighbour_finds_the_lobby_and_hears_that_it_is_gone() {
    if !root("a network of one's own") || !installed("/usr/sbin/ip") {
        return;
    }
    on_a_host_apart(|| async {
        let neighbour = Host::new(71);
        let looks = neighbour.within(|| ServiceDaemon::new().unwrap());
        let seen = looks.browse(GGZ).unwrap();
        let sets = ["lobby.announce=true", "lobby.name=Ada's house"].map(String::from);
        let mut house = House::open_with(&sets).await;
        let listen = &house.endpoints["lobby.listen"];
        let port: u16 = listen.rsplit(':').next().unwrap().parse().unwrap();
        let begin = Instant::now();
        let next = || {
            let left = PATIENCE.saturating_sub(begin.elapsed());
            seen.recv_timeout(left).expect("something is seen")
        };
        loop {
            if let ServiceEvent::ServiceResolved(found) = next() {
                let name = ggz_instance("Ada's house") + ".";
                assert!(found.get_fullname().starts_with(&name));
                assert_eq!(found.get_port(), port);
                // Its addresses come one after the other, each with news of its own.
                if !found.get_addresses_v4().contains(&neighbour.gate) {
                    continue;
                }
                assert_eq!(found.get_property_val_str("protocol"), Some("10"));
                let version = found.get_property_val_str("version");
                assert_eq!(version, Some(env!("CARGO_PKG_VERSION")));
                break;
            }
        }
        assert!(house.stop());
        loop {
            if let ServiceEvent::ServiceRemoved(_, name) = next() {
                assert!(name.starts_with("GGZ Gaming Zone: Ada's house."));
                break;
            }
        }
        looks.shutdown().unwrap();
    });
}
