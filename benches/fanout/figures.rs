//! What a round has measured, and its median over rounds.

use serde::Serialize;

use crate::{relay::Contender, table::median};

/// Packets as members saw them, over the whole round.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    /// By talkers.
    pub(crate) sent: u64,
    /// Read by members, each of them checked.
    pub(crate) packets: u64,
    /// What the kernel handed over at once counts as one.
    pub(crate) messages: u64,
    /// Deliveries that did not come.
    pub(crate) lost: u64,
    /// Back to who said it.
    pub(crate) reflected: u64,
    pub(crate) duplicated: u64,
    /// A bit or a byte is not as it was sent.
    pub(crate) altered: u64,
    pub(crate) reordered: u64,
    /// Of an earlier round.
    pub(crate) stray: u64,
}

impl Counts {
    pub(crate) fn add(&mut self, more: &Self) {
        self.sent += more.sent;
        self.packets += more.packets;
        self.messages += more.messages;
        self.lost += more.lost;
        self.reflected += more.reflected;
        self.duplicated += more.duplicated;
        self.altered += more.altered;
        self.reordered += more.reordered;
        self.stray += more.stray;
    }

    /// What must never be.
    pub(crate) fn wrong(&self) -> u64 {
        self.reflected + self.duplicated + self.altered
    }
}

/// From just before a talker's `send` to the kernel's stamp at a receiver, in microseconds.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct Latency {
    pub(crate) deliveries: usize,
    pub(crate) p50: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) most: f64,
}

impl Latency {
    /// Sorts the samples, which are in nanoseconds; none of none.
    pub(crate) fn of(samples: &mut [u32]) -> Option<Self> {
        samples.sort_unstable();
        let last = samples.len().checked_sub(1)?;
        let at = |part: f64| f64::from(samples[(last as f64 * part).round() as usize]) / 1e3;
        Some(Self {
            deliveries: samples.len(),
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
            most: at(1.0),
        })
    }
}

/// What a round has measured.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) seconds: f64,
    pub(crate) deliveries_per_s: f64,
    /// Of the relay's process.
    pub(crate) cpu_ns_per_delivery: f64,
    /// Cores that the relay kept busy.
    pub(crate) relay_busy: f64,
    /// Datagrams that strangers sent.
    pub(crate) strangers_per_s: f64,
    pub(crate) counts: Counts,
    pub(crate) latency: Option<Latency>,
}

/// One round of one contender in one part.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Round {
    pub(crate) part: String,
    pub(crate) contender: Contender,
    pub(crate) round: usize,
    #[serde(flatten)]
    pub(crate) measured: Measured,
}

/// All rounds so far.
#[derive(Debug, Default)]
pub(crate) struct Rounds(pub(crate) Vec<Round>);

impl Rounds {
    pub(crate) fn push(
        &mut self,
        part: &str,
        contender: Contender,
        round: usize,
        measured: Measured,
    ) {
        self.0.push(Round {
            part: part.into(),
            contender,
            round,
            measured,
        });
    }

    /// The median of a figure over the rounds of a contender; not a number where there are none.
    pub(crate) fn median(
        &self,
        part: &str,
        contender: Contender,
        figure: impl Fn(&Measured) -> f64,
    ) -> f64 {
        let rounds = self.of(part, contender);
        let mut samples: Vec<_> = rounds.map(|round| figure(&round.measured)).collect();
        median(&mut samples)
    }

    /// A count, summed over the rounds of a contender.
    pub(crate) fn total(
        &self,
        part: &str,
        contender: Contender,
        count: impl Fn(&Counts) -> u64,
    ) -> u64 {
        let rounds = self.of(part, contender);
        rounds.map(|round| count(&round.measured.counts)).sum()
    }

    fn of(&self, part: &str, contender: Contender) -> impl Iterator<Item = &Round> {
        self.0
            .iter()
            .filter(move |round| round.part == part && round.contender == contender)
    }

    /// Prints all figures, a line for each contender of each part.
    pub(crate) fn print(&self) {
        println!(
            "| part | relay | deliveries/s | CPU ns per delivery | cores | lost | packets per message | p50 us | p99 us | p99.9 us | rounds |"
        );
        println!("|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|");
        let mut lines: Vec<(&str, Contender)> = Vec::new();
        for round in &self.0 {
            if !lines.contains(&(&round.part, round.contender)) {
                lines.push((&round.part, round.contender));
            }
        }
        for (part, contender) in lines {
            let figure = |figure: fn(&Measured) -> f64| self.median(part, contender, figure);
            let time = |time: fn(&Latency) -> f64| {
                let micros = self.median(part, contender, |one| {
                    one.latency.as_ref().map_or(f64::NAN, time)
                });
                if micros.is_nan() {
                    "-".into()
                } else {
                    format!("{micros:.0}")
                }
            };
            println!(
                "| {part} | {} | {:.0} | {:.0} | {:.2} | {} | {:.1} | {} | {} | {} | {} |",
                contender.name(),
                figure(|one| one.deliveries_per_s),
                figure(|one| one.cpu_ns_per_delivery),
                figure(|one| one.relay_busy),
                self.total(part, contender, |counts| counts.lost),
                figure(|one| one.counts.packets as f64 / one.counts.messages as f64),
                time(|latency| latency.p50),
                time(|latency| latency.p99),
                time(|latency| latency.p999),
                self.of(part, contender).count(),
            );
        }
    }
}
