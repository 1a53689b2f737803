//! What the lobby is told.

use std::{
    fmt,
    net::SocketAddr,
    num::{NonZeroU32, NonZeroUsize},
    time::Duration,
};

use super::{
    keys::{
        LAG, LOBBY_ANNOUNCE, LOBBY_LISTEN, LOBBY_NAME, LOBBY_SESSIONS, LOBBY_SHARE, LOBBY_TABLES,
        LOBBY_TLS, LOBBY_UIDS, META_LISTEN, PING, PUBLISH, PUBLISH_NAME, PUBLISH_PASSWORD,
        ROOM_UPDATE, UIDS,
    },
    values::Values,
    words::{Span, Uid, address, count, duration, yes},
};
use crate::net;

/// Where and how people meet and play.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lobby {
    /// Where GGZ programs come in.
    pub listen: SocketAddr,
    /// What the box calls itself there.
    pub name: String,
    /// Whether programs may ask for TLS.
    pub tls: bool,
    /// The pool of user ids of table games, one per table, used when the daemon is root.
    pub uids: Span<Uid>,
    /// Most tables at once.
    pub tables: NonZeroUsize,
    /// Most sessions at once.
    pub sessions: NonZeroUsize,
    /// How many of them from one network.
    pub sessions_per_network: NonZeroUsize,
    /// Whether the local network is told of it, by mDNS.
    pub announce: bool,
    /// Where the box answers as a meta server; none: it does not.
    pub meta_listen: Option<SocketAddr>,
    /// The meta server that the lobby is published at, `host:port`.
    pub publish: Option<String>,
    /// The name by which that meta server knows the box.
    pub publish_name: String,
    /// And its password.
    pub publish_password: Password,
    /// From these answer times on a session lags by one degree more; each is longer than the one before.
    pub lag: [Duration; 4],
    /// How often a session is asked for an answer.
    pub ping: Duration,
    /// How often rooms are told how many people the others have.
    pub room_update: Duration,
}

/// A password that the box shows to others: never printed, never logged.
#[derive(Clone, PartialEq, Eq)]
pub struct Password(pub(super) String);

impl Password {
    /// As it is sent.
    pub fn clear(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Password(..)")
    }
}

impl Lobby {
    /// Reads its keys, and checks them against each other and against `hosting`, the pool of the other servers.
    pub(super) fn read(values: &mut Values, hosting: Span<Uid>) -> Self {
        let lobby = Self {
            listen: values.parse(LOBBY_LISTEN, address),
            name: values.parse(LOBBY_NAME, name),
            tls: values.parse(LOBBY_TLS, yes),
            uids: values.parse(LOBBY_UIDS, str::parse),
            tables: values.parse(LOBBY_TABLES, count),
            sessions: values.parse(LOBBY_SESSIONS, count),
            sessions_per_network: values.parse(LOBBY_SHARE, count),
            announce: values.parse(LOBBY_ANNOUNCE, yes),
            meta_listen: values.parse(META_LISTEN, |text| match text {
                "" => Ok(None),
                text => address(text).map(Some),
            }),
            publish: values.parse(PUBLISH, place),
            publish_name: values.parse(PUBLISH_NAME, line),
            publish_password: Password(values.text(PUBLISH_PASSWORD).into()),
            lag: values.parse(LAG, thresholds),
            ping: values.parse(PING, rhythm),
            room_update: values.parse(ROOM_UPDATE, rhythm),
        };
        let (uids, span) = (lobby.uids, |uids: Span<Uid>| {
            format!("{}-{}", uids.first.get(), uids.last.get())
        });
        if uids.first <= hosting.last && hosting.first <= uids.last {
            let why = format!(
                "{} overlaps {UIDS}, {}: a table game could reach a server's processes",
                span(uids),
                span(hosting)
            );
            values.fault(LOBBY_UIDS, why);
        }
        let ids = uids.last.get() - uids.first.get() + 1;
        if usize::try_from(ids).is_ok_and(|ids| ids < lobby.tables.get()) {
            values.notes.push(format!(
                "{LOBBY_TABLES} is {}, but {LOBBY_UIDS} has {ids} user ids: as root, no more than {ids} tables can be open",
                lobby.tables
            ));
        }
        lobby
    }
}

fn name(text: &str) -> Result<String, String> {
    match line(text)?.as_str() {
        "" => Ok(net::host_name()),
        name => Ok(name.into()),
    }
}

/// The most that fits the attributes in which it is sent.
const LINE: usize = 64;

fn line(text: &str) -> Result<String, String> {
    let good = text.chars().count() <= LINE && !text.contains(char::is_control);
    match good {
        true => Ok(text.trim().into()),
        false => Err(format!("this is not one line of at most {LINE} characters")),
    }
}

fn place(text: &str) -> Result<Option<String>, String> {
    let parts = text.rsplit_once(':');
    let good = parts.is_some_and(|(host, port)| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-._[]:".contains(c);
        let port = port.parse::<u16>().is_ok_and(|port| port > 0);
        !host.is_empty() && host.len() < 256 && host.chars().all(plain) && port
    });
    match text {
        "" => Ok(None),
        _ if good => Ok(Some(text.into())),
        _ => Err(format!("`{text}` is not HOST:PORT like example.org:15689")),
    }
}

/// The longest answer time that anybody would call lag.
const LONGEST: u32 = 3_600_000;

fn thresholds(text: &str) -> Result<[Duration; 4], String> {
    let numbers: Result<Vec<_>, _> = text
        .split(',')
        .map(|part| part.trim().parse::<NonZeroU32>())
        .collect();
    let numbers = numbers.unwrap_or_default();
    let rises = numbers.is_sorted_by(|a, b| a < b);
    match <[NonZeroU32; 4]>::try_from(numbers) {
        Ok(four) if rises && four[3].get() <= LONGEST => {
            Ok(four.map(|ms| Duration::from_millis(ms.get().into())))
        }
        _ => Err(format!(
            "`{text}` is not four rising numbers of milliseconds like 500,1000,2000,5000"
        )),
    }
}

fn rhythm(text: &str) -> Result<Duration, String> {
    match duration(text)? {
        often if often < Duration::from_secs(1) => Err(format!("`{text}` is less than a second")),
        rare if rare > Duration::from_secs(86_400) => Err(format!("`{text}` is more than a day")),
        rhythm => Ok(rhythm),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::tests::load;

    #[test]
    fn with_no_configuration_the_lobby_is_open_and_has_the_machines_name() {
        let config = load("", &[], &[]).unwrap();
        let lobby = config.lobby;
        assert_eq!(lobby.listen.port(), 5688);
        assert_eq!(lobby.name, net::host_name());
        assert!(!lobby.name.is_empty() && lobby.tls && lobby.announce);
        assert_eq!(lobby.meta_listen.unwrap().port(), 15689);
        assert_eq!((lobby.publish, lobby.publish_name.as_str()), (None, ""));
        assert_eq!(
            lobby.lag.map(|lag| lag.as_millis()),
            [500, 1000, 2000, 5000]
        );
        assert_eq!(
            [lobby.ping, lobby.room_update].map(|t| t.as_secs()),
            [10, 60]
        );
        assert_eq!((lobby.tables.get(), lobby.sessions.get()), (600, 8192));
        assert_eq!(lobby.sessions_per_network.get(), 64);
        assert!(config.notes.is_empty(), "{:?}", config.notes);
    }

    #[test]
    fn what_is_said_is_taken() {
        let file = "[lobby]\nname = \"Ada's cellar\"\ntls = false\nmeta_listen = \"\"\npublish = \"meta.example.org:15689\"\nlag = \"1, 2, 3, 4\"\ntables = 700\n";
        let config = load(file, &[], &["lobby.publish=[2001:db8::1]:1"]).unwrap();
        let lobby = config.lobby;
        assert_eq!((lobby.name.as_str(), lobby.tls), ("Ada's cellar", false));
        assert_eq!(lobby.meta_listen, None);
        assert_eq!(lobby.publish.as_deref(), Some("[2001:db8::1]:1"));
        assert_eq!(lobby.lag[3], Duration::from_millis(4));
        assert!(
            config.notes[0].contains("606 user ids"),
            "{:?}",
            config.notes
        );
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_key() {
        for (set, why) in [
            ("lobby.tls=maybe", "neither true nor false"),
            ("lobby.name=a\tb", "not one line"),
            ("lobby.tables=0", "not a number from 1"),
            ("lobby.sessions=-1", "not a number from 1"),
            ("lobby.sessions_per_network=0", "not a number from 1"),
            ("lobby.meta_listen=here", "not an address and port"),
            ("lobby.publish=example.org", "not HOST:PORT"),
            ("lobby.publish=example.org:0", "not HOST:PORT"),
            ("lobby.publish=a b:1", "not HOST:PORT"),
            ("lobby.lag=1,2,3", "four rising"),
            ("lobby.lag=1,2,2,3", "four rising"),
            ("lobby.lag=0,1,2,3", "four rising"),
            ("lobby.ping=0s", "less than a second"),
            ("lobby.room_update=2days", "more than a day"),
            (
                "lobby.uids=59999-60010",
                "overlaps hosting.uids, 30000-59999",
            ),
            (
                "hosting.uids=61183-61184",
                "lobby.uids: 60578-61183 overlaps",
            ),
        ] {
            let faults = load("", &[], &[set]).unwrap_err();
            assert_eq!(faults.len(), 1, "{faults:?}");
            assert!(faults[0].contains(why), "{set}: {}", faults[0]);
        }
    }

    #[test]
    fn the_password_is_shown_nowhere() {
        let named = "lobby.publish_password";
        let config = load("", &[("LONGHOUSE_LOBBY_PUBLISH_PASSWORD", "hunter22")], &[]).unwrap();
        assert_eq!(config.lobby.publish_password.clear(), "hunter22");
        assert!(!format!("{config:?}").contains("hunter22"));
        for (file, set) in [
            (String::new(), format!("{named}x=hunter22")),
            (format!("{named} = \"hunter22\n"), "lobby.tls=true".into()),
            (format!("{named} = hunter22\n"), "lobby.tls=true".into()),
            (format!("{named} = \"hunter22\"\n"), "lobby.tls=0".into()),
        ] {
            let faults = load(&file, &[], &[&set]).unwrap_err();
            assert!(!faults.concat().contains("hunter22"), "{faults:?}");
        }
    }
}
