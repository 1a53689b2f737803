//! What MyOTTD's XML-RPC is told.

use std::net::SocketAddr;

use super::{
    keys::{RPC_GAME, RPC_MAUTHD, RPC_MFILED, RPC_MLOGD, RPC_MOTTDD, RPC_MVSRVD, STREAM_TARGETS},
    values::Values,
    words::address,
};
use crate::rpc::{Block, Daemon};

/// Where MyOTTD's daemons answer, beside `http.listen`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rpc {
    /// Ports of single daemons, by configuration key.
    pub doors: Vec<(&'static str, Daemon, SocketAddr)>,
    /// The game that create_server makes.
    pub game: String,
    /// Where consoles may be streamed to, beside private addresses.
    pub stream_targets: Vec<Block>,
}

impl Rpc {
    pub(super) fn read(values: &mut Values) -> Self {
        let keys = [
            (RPC_MAUTHD, Daemon::Mauthd),
            (RPC_MVSRVD, Daemon::Mvsrvd),
            (RPC_MFILED, Daemon::Mfiled),
            (RPC_MOTTDD, Daemon::Mottdd),
            (RPC_MLOGD, Daemon::Mlogd),
        ];
        let blocks = |text: &str| match text {
            "" => Ok(Vec::new()),
            text => text.split(',').map(|block| block.trim().parse()).collect(),
        };
        let stream_targets = values.parse(STREAM_TARGETS, blocks);
        let doors = keys.into_iter().filter_map(|(key, daemon)| {
            let listen = values.parse(key, |text| match text {
                "" => Ok(None),
                text => address(text).map(Some),
            });
            listen.map(|listen| (key, daemon, listen))
        });
        Self {
            doors: doors.collect(),
            game: values.text(RPC_GAME).into(),
            stream_targets,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load;

    #[test]
    fn a_daemon_has_a_port_of_its_own_when_it_is_given_one() {
        assert_eq!(load("", &[], &[]).unwrap().rpc.doors, []);
        let config = load("[rpc]\nmauthd = \"0.0.0.0:6915\"\n", &[], &[]).unwrap();
        let listen = "0.0.0.0:6915".parse().unwrap();
        assert_eq!(config.rpc.doors, [(RPC_MAUTHD, Daemon::Mauthd, listen)]);
        let faults = load("", &[], &["rpc.mlogd=6917"]).unwrap_err();
        assert!(faults[0].contains("rpc.mlogd"), "{faults:?}");
    }

    #[test]
    fn streams_go_where_the_administrator_says() {
        assert_eq!(load("", &[], &[]).unwrap().rpc.stream_targets, []);
        let config = load("", &[], &["rpc.stream_targets=127.0.0.0/8, 203.0.113.7"]).unwrap();
        let blocks = ["127.0.0.0/8", "203.0.113.7/32"].map(|block| block.parse().unwrap());
        assert_eq!(config.rpc.stream_targets, blocks);
        let faults = load("", &[], &["rpc.stream_targets=everywhere"]).unwrap_err();
        assert!(faults[0].contains("rpc.stream_targets"), "{faults:?}");
    }
}
