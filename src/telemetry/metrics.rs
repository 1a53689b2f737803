//! Every metric's name, in one place. Labels are words of ours, never what somebody sent.

use std::{
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use prometheus_client::{
    encoding::text::encode,
    metrics::{counter::Counter, family::Family, gauge::Gauge},
    registry::{Registry, Unit},
};
use warp::http::StatusCode;

use crate::hosting::State;

type Label = [(&'static str, &'static str); 1];

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
    uptime: Gauge<f64, AtomicU64>,
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
        registry.register_with_unit(
            "uptime",
            "Since the daemon started",
            Unit::Seconds,
            uptime.clone(),
        );
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
            uptime,
        }
    }
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

    /// A console's viewer came too late for `entries`.
    pub fn lost(&self, entries: u64) {
        self.lost.inc_by(entries);
    }

    /// A listener missed `events`.
    pub fn missed(&self, events: u64) {
        self.missed.inc_by(events);
    }

    /// The page, in OpenMetrics text, with what is only known when asked.
    pub fn page(&self, uptime: Duration, servers: impl IntoIterator<Item = State>) -> String {
        self.uptime.set(uptime.as_secs_f64());
        for state in STATES {
            self.servers.get_or_create(&[("state", state)]).set(0);
        }
        for state in servers {
            self.servers.get_or_create(&[("state", word(state))]).inc();
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

    #[test]
    fn the_page_counts_what_happened_and_forgets_what_ended() {
        let metrics = Metrics::default();
        metrics.answered(StatusCode::NOT_FOUND);
        let first = metrics.connection();
        let _second = metrics.connection();
        drop(first);
        metrics.page(Duration::ZERO, [State::Running, State::Running]);
        let page = metrics.page(Duration::from_secs(5), [State::Running, State::Failed]);
        for line in [
            "longhouse_http_requests_total{status=\"4xx\"} 1",
            "longhouse_http_connections 1",
            "longhouse_servers{state=\"running\"} 1",
            "longhouse_servers{state=\"failed\"} 1",
            "longhouse_servers{state=\"stopped\"} 0",
            "longhouse_uptime_seconds 5.0",
            "# EOF",
        ] {
            assert!(page.contains(line), "{line} is missing in\n{page}");
        }
    }
}
