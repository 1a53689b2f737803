//! What the lobby counts by itself, and is asked for.

use prometheus_client::{
    metrics::{counter::Counter, gauge::Gauge},
    registry::Registry,
};

use super::metrics::reach;
use crate::lobby::Figures;

#[derive(Clone, Default)]
pub(super) struct Lobby {
    sessions: Gauge,
    tables: Gauge,
    overrun: Counter,
    matches: Counter,
    failed: Counter,
}

impl Lobby {
    pub(super) fn register(&self, registry: &mut Registry) {
        for (name, about, gauge) in [
            (
                "lobby_sessions",
                "People in the lobby, by connection",
                &self.sessions,
            ),
            ("lobby_tables", "Table games that run", &self.tables),
        ] {
            registry.register(name, about, gauge.clone());
        }
        for (name, about, counter) in [
            (
                "lobby_overrun",
                "Sessions dropped because they did not read",
                &self.overrun,
            ),
            ("lobby_matches", "Matches written down", &self.matches),
            ("lobby_failed", "Table games that failed", &self.failed),
        ] {
            registry.register(name, about, counter.clone());
        }
    }

    pub(super) fn set(&self, figures: &Figures) {
        for (gauge, value) in [
            (&self.sessions, figures.sessions),
            (&self.tables, figures.tables),
        ] {
            gauge.set(i64::try_from(value).unwrap_or(i64::MAX));
        }
        for (counter, value) in [
            (&self.overrun, figures.overrun),
            (&self.matches, figures.matches),
            (&self.failed, figures.failed),
        ] {
            reach(counter, value);
        }
    }
}
