//! Every metric's name, in one place. Labels are words of ours, never what somebody sent.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use warp::http::StatusCode;

use super::lobby::Lobby;
use crate::{hosting::State, lobby::Figures, voice::StatsView};

type Label = [(&'static str, &'static str); 1];
/// A server's name, which the box issued.
type Server = [(&'static str, String); 1];

/// Cheap to clone; counts as things happen.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    requests: Family<Label, Counter>,
    connections: Gauge,
    refused: Counter,
    logins_failed: Counter,
    viewers: Gauge,
    lost: Counter,
    missed: Counter,
    servers: Family<Label, Gauge>,
    players: Family<Server, Gauge>,
    uptime: Gauge<f64, AtomicU64>,
    voice: Voice,
    lobby: Lobby,
}

/// What voice counts by itself, and is asked for.
#[derive(Clone, Default)]
struct Voice {
    channels: Gauge,
    members: Gauge,
    talking: Gauge,
    guests: Gauge,
    connections: Gauge,
    crowded_out: Counter,
    commands: Counter,
    packets: Counter,
    deliveries: Counter,
    coalesced: Counter,
    words: Counter,
    drops: Family<Label, Counter>,
}

/// Something that is open; counted until dropped.
pub struct Open(Gauge);

impl Open {
    fn one(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.dec();
    }
}

impl Default for Metrics {
    fn default() -> Self {
        let mut registry = Registry::with_prefix("longhouse");
        let requests = Family::<Label, Counter>::default();
        let [refused, logins_failed, lost, missed] = <[Counter; 4]>::default();
        let [connections, viewers] = <[Gauge; 2]>::default();
        let servers = Family::<Label, Gauge>::default();
        let players = Family::<Server, Gauge>::default();
        let uptime = Gauge::<f64, AtomicU64>::default();
        registry.register(
            "http_requests",
            "Requests answered, by class of status",
            requests.clone(),
        );
        registry.register(
            "http_connections",
            "Connections open, WebSockets too",
            connections.clone(),
        );
        registry.register(
            "http_connections_refused",
            "Connections over a limit",
            refused.clone(),
        );
        registry.register(
            "logins_failed",
            "Wrong passwords and tokens over HTTP",
            logins_failed.clone(),
        );
        registry.register("live_viewers", "WebSockets open", viewers.clone());
        registry.register(
            "console_entries_lost",
            "Console entries that viewers were too late for",
            lost.clone(),
        );
        registry.register(
            "events_missed",
            "Events that listeners were too slow for",
            missed.clone(),
        );
        registry.register("servers", "Servers by what they do", servers.clone());
        registry.register(
            "players",
            "Players online, by server; none of those that do not run or cannot tell",
            players.clone(),
        );
        registry.register_with_unit(
            "uptime",
            "Since the daemon started",
            Unit::Seconds,
            uptime.clone(),
        );
        let voice = Voice::default();
        voice.register(&mut registry);
        let lobby = Lobby::default();
        lobby.register(&mut registry);
        Self {
            registry: Arc::new(registry),
            requests,
            connections,
            refused,
            logins_failed,
            viewers,
            lost,
            missed,
            servers,
            players,
            uptime,
            voice,
            lobby,
        }
    }
}

impl Voice {
    fn register(&self, registry: &mut Registry) {
        for (name, about, gauge) in [
            ("voice_channels", "Voice channels", &self.channels),
            (
                "voice_members",
                "Seats taken in voice channels",
                &self.members,
            ),
            ("voice_talking", "Who talks at this moment", &self.talking),
            (
                "voice_guests",
                "KV guests that registered themselves",
                &self.guests,
            ),
            (
                "voice_connections",
                "KV control connections open",
                &self.connections,
            ),
        ] {
            registry.register(name, about, gauge.clone());
        }
        for (name, about, counter) in [
            (
                "voice_connections_crowded_out",
                "KV control connections that gave way to newer ones",
                &self.crowded_out,
            ),
            ("voice_commands", "KV commands answered", &self.commands),
            (
                "voice_packets",
                "Voice packets taken from members",
                &self.packets,
            ),
            (
                "voice_deliveries",
                "Voice packets sent on, once per receiver",
                &self.deliveries,
            ),
            (
                "voice_coalesced",
                "Messages that carried several packets for one receiver",
                &self.coalesced,
            ),
            (
                "voice_words",
                "Keepalives and other system packets taken",
                &self.words,
            ),
        ] {
            registry.register(name, about, counter.clone());
        }
        registry.register(
            "voice_drops",
            "Packets that were not relayed, or not to everybody, by reason",
            self.drops.clone(),
        );
    }

    fn set(&self, stats: &StatsView) {
        for (gauge, value) in [
            (&self.channels, stats.channels),
            (&self.members, stats.members),
            (&self.talking, stats.talking),
            (&self.guests, stats.guests),
            (&self.connections, stats.connections),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        let traffic = &stats.traffic;
        for (counter, value) in [
            (&self.crowded_out, stats.crowded_out),
            (&self.commands, stats.commands),
            (&self.packets, traffic.packets),
            (&self.deliveries, traffic.deliveries),
            (&self.coalesced, traffic.coalesced),
            (&self.words, traffic.words),
        ] {
            reach(counter, value);
        }
        for (reason, value) in traffic.drops.reasons() {
            reach(&self.drops.get_or_create(&[("reason", reason)]), value);
        }
    }
}

/// Brings a counter to what was counted elsewhere. Two pages made at once never let it fall.
pub(super) fn reach(counter: &Counter, value: u64) {
    counter.inner().fetch_max(value, Ordering::Relaxed);
}

impl Metrics {
    /// A request was answered.
    pub fn answered(&self, status: StatusCode) {
        let class = match status.as_u16() {
            100..=199 => "1xx",
            200..=299 => "2xx",
            300..=399 => "3xx",
            400..=499 => "4xx",
            _ => "5xx",
        };
        self.requests.get_or_create(&[("status", class)]).inc();
    }

    /// A connection is open.
    pub fn connection(&self) -> Open {
        Open::one(&self.connections)
    }

    /// A connection was turned away.
    pub fn refused(&self) {
        self.refused.inc();
    }

    /// Somebody could not prove who they are.
    pub fn login_failed(&self) {
        self.logins_failed.inc();
    }

    /// A WebSocket is open.
    pub fn viewer(&self) -> Open {
        Open::one(&self.viewers)
    }

    /// The lobby's figures, for the next page.
    pub fn lobby(&self, figures: &Figures) {
        self.lobby.set(figures);
    }

    /// A console's viewer came too late for `entries`.
    pub fn lost(&self, entries: u64) {
        self.lost.inc_by(entries);
    }

    /// A listener missed `events`.
    pub fn missed(&self, events: u64) {
        self.missed.inc_by(events);
    }

    /// The page, in OpenMetrics text, with what is only known when asked: of servers what they do, and by name how many
    /// play where that is known.
    pub fn page(
        &self,
        uptime: Duration,
        servers: impl IntoIterator<Item = (State, Option<(String, u32)>)>,
        voice: Option<&StatsView>,
    ) -> String {
        self.uptime.set(uptime.as_secs_f64());
        if let Some(stats) = voice {
            self.voice.set(stats);
        }
        for state in STATES {
            self.servers.get_or_create(&[("state", state)]).set(0);
        }
        self.players.clear();
        for (state, players) in servers {
            self.servers.get_or_create(&[("state", word(state))]).inc();
            if let Some((name, online)) = players {
                let gauge = self.players.get_or_create(&[("server", name)]);
                gauge.set(online.into());
            }
        }
        let mut page = String::new();
        encode(&mut page, &self.registry).expect("writing to a string does not fail");
        page
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics(..)")
    }
}

const STATES: [&str; 7] = [
    "stopped",
    "installing",
    "starting",
    "running",
    "stopping",
    "backoff",
    "failed",
];

pub(crate) fn word(state: State) -> &'static str {
    match state {
        State::Stopped => STATES[0],
        State::Installing => STATES[1],
        State::Starting => STATES[2],
        State::Running => STATES[3],
        State::Stopping => STATES[4],
        State::Backoff => STATES[5],
        State::Failed => STATES[6],
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::{Drops, Traffic};

    #[test]
    fn the_page_counts_what_happened_and_forgets_what_ended() {
        let metrics = Metrics::default();
        metrics.answered(StatusCode::NOT_FOUND);
        let first = metrics.connection();
        let _second = metrics.connection();
        drop(first);
        let played = |name: &str, online| (State::Running, Some((name.to_owned(), online)));
        let before = [played("ada_1", 3), played("ada_2", 4)];
        metrics.page(Duration::ZERO, before, None);
        let now = [played("ada_1", 5), (State::Failed, None)];
        let page = metrics.page(Duration::from_secs(5), now, None);
        assert!(!page.contains("ada_2"), "{page}");
        for line in [
            "longhouse_http_requests_total{status=\"4xx\"} 1",
            "longhouse_http_connections 1",
            "longhouse_servers{state=\"running\"} 1",
            "longhouse_servers{state=\"failed\"} 1",
            "longhouse_servers{state=\"stopped\"} 0",
            "longhouse_players{server=\"ada_1\"} 5",
            "longhouse_uptime_seconds 5.0",
            "# EOF",
        ] {
            assert!(page.contains(line), "{line} is missing in\n{page}");
        }
    }

    #[test]
    fn voice_is_told_as_it_counts_itself_and_counters_never_fall() {
        let metrics = Metrics::default();
        let mut stats = StatsView {
            channels: 2,
            members: 5,
            talking: 3,
            guests: 9,
            connections: 1,
            crowded_out: 4,
            commands: 70,
            traffic: Traffic {
                packets: 100,
                deliveries: 400,
                coalesced: 30,
                words: 8,
                drops: Drops {
                    overrun: 6,
                    ..Drops::default()
                },
            },
            signer: "00".into(),
        };
        metrics.page(Duration::ZERO, [], Some(&stats));
        (stats.members, stats.traffic.packets) = (0, 90); // an older look that came later
        stats.traffic.drops.overrun = 7;
        let page = metrics.page(Duration::ZERO, [], Some(&stats));
        for line in [
            "longhouse_voice_channels 2",
            "longhouse_voice_members 0",
            "longhouse_voice_talking 3",
            "longhouse_voice_guests 9",
            "longhouse_voice_connections 1",
            "longhouse_voice_connections_crowded_out_total 4",
            "longhouse_voice_commands_total 70",
            "longhouse_voice_packets_total 100",
            "longhouse_voice_deliveries_total 400",
            "longhouse_voice_coalesced_total 30",
            "longhouse_voice_words_total 8",
            "longhouse_voice_drops_total{reason=\"overrun\"} 7",
            "longhouse_voice_drops_total{reason=\"misplaced\"} 0",
        ] {
            assert!(
                page.lines().any(|found| found == line),
                "{line} is missing in\n{page}"
            );
        }
        let after = metrics.page(Duration::ZERO, [], None);
        assert!(after.contains("longhouse_voice_packets_total 100\n"));
    }
}
