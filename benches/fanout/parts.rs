//! The parts of the benchmark: who is measured, how long, in which order, and what is wanted of it.

use std::{io, time::Duration};

use crate::{
    arena::Arena,
    cores::Cores,
    figures::{Counts, Measured, Rounds},
    flood::Strangers,
    idle,
    load::{self, Load, Pace},
    packet::mix,
    relay::Contender,
    table::Row,
};

const TALKERS: usize = 16;
const LISTENERS: usize = 48;
/// Who only listens where latency is measured.
const AUDIENCE: usize = 64;
/// Packets of one talker under way in a closed loop: in all, several times the largest batch of any relay.
const WINDOW: u64 = 16;
/// 50 packets a second.
const INTERVAL: Duration = Duration::from_millis(20);
const SHARDS: usize = 4;
const SATURATION: &str = "saturation";

/// What all parts share.
pub(crate) struct Bench {
    pub(crate) cores: Cores,
    pub(crate) quick: bool,
    pub(crate) rounds: Rounds,
}

/// A part's name, and how it is measured.
pub(crate) type Part = (&'static str, fn(&mut Bench) -> io::Result<Vec<Row>>);

pub(crate) const PARTS: [Part; 6] = [
    (SATURATION, saturation),
    ("single", single),
    ("latency", latency),
    ("flood", flood),
    ("shards", shards),
    ("idle", idle::rows),
];

impl Bench {
    /// Many short ones: a shared machine's mood lasts for about a second.
    fn count(&self) -> usize {
        if self.quick { 1 } else { 21 }
    }

    /// Rounds of what takes long.
    pub(crate) fn few(&self) -> usize {
        if self.quick { 1 } else { 5 }
    }

    fn time(&self, seconds: f64) -> Duration {
        Duration::from_secs_f64(if self.quick { seconds / 5.0 } else { seconds })
    }

    /// All contenders of a channel, each in turn in every round; another begins each time.
    fn compare(
        &mut self,
        part: &str,
        listeners: usize,
        prepare: impl Fn(&Arena) -> io::Result<()>,
        load: impl Fn(&Self, usize) -> Load<'static>,
    ) -> io::Result<()> {
        let mut arenas = Vec::new();
        for contender in Contender::ALL {
            let arena = Arena::open(contender, TALKERS, listeners, &self.cores.relay, 1)?;
            prepare(&arena)?;
            arenas.push(arena);
        }
        for round in 0..self.count() {
            arenas.rotate_left(1);
            for arena in &mut arenas {
                let load = Load {
                    teams: &self.cores.load[..1],
                    ..load(self, round)
                };
                let measured = load::run(arena, load)?;
                self.rounds
                    .push(part, arena.relay.contender, round, measured);
            }
        }
        Ok(())
    }

    fn row(
        &self,
        part: &str,
        what: &str,
        unit: &'static str,
        peer: Contender,
        figure: impl Fn(&Measured) -> f64,
        target: Target,
    ) -> Row {
        let ours = self.rounds.median(part, Contender::Daemon, &figure);
        let theirs = self.rounds.median(part, peer, &figure);
        let ratio = ours / theirs;
        let (target, met) = match target {
            Target::AtLeast(least) => (format!("at least {least} x"), ratio >= least),
            Target::AtMost(most) => (format!("at most {most} x"), ratio <= most),
        };
        Row {
            what: what.into(),
            ours,
            unit,
            peer: peer.name().into(),
            theirs: Some(theirs),
            ratio,
            target,
            met: Some(met),
        }
    }
}

enum Target {
    AtLeast(f64),
    AtMost(f64),
}

/// A target that is absolute.
pub(crate) fn limit(what: &str, ours: f64, unit: &'static str, most: f64) -> Row {
    Row {
        what: what.into(),
        ours,
        unit,
        peer: format!("{most} {unit}"),
        theirs: None,
        ratio: ours / most,
        target: "at most 1 x".into(),
        met: Some(ours <= most),
    }
}

/// What must not happen at all.
pub(crate) fn none(what: &str, count: u64) -> Row {
    Row {
        what: what.into(),
        ours: count as f64,
        unit: "",
        peer: "-".into(),
        theirs: None,
        ratio: f64::NAN,
        target: "none".into(),
        met: Some(count == 0),
    }
}

fn plain(bench: &Bench, pace: Pace, seconds: f64) -> Load<'static> {
    Load {
        pace,
        warm: bench.time(0.1),
        measure: bench.time(seconds),
        stamps: false,
        teams: &[],
        strangers: None,
    }
}

/// As much as each relay can do; for members who read what the kernel has put together, and for such as do not: for
/// them it takes the messages apart again, in the relay's time.
fn saturation(bench: &mut Bench) -> io::Result<Vec<Row>> {
    const PLAIN: &str = "saturation, members without GRO";
    let load = |bench: &Bench, _| plain(bench, Pace::Window(WINDOW), 0.35);
    bench.compare(SATURATION, LISTENERS, |_| Ok(()), load)?;
    bench.compare(PLAIN, LISTENERS, Arena::read_apart, load)?;
    let row = |part, peer, least| {
        let what = format!("16 talkers and 48 listeners: {part}");
        let rate = |one: &Measured| one.deliveries_per_s / 1e6;
        bench.row(part, &what, "M/s", peer, rate, Target::AtLeast(least))
    };
    Ok(vec![
        row(SATURATION, Contender::Bare, 0.9),
        row(SATURATION, Contender::Tokio, 3.5),
        row(PLAIN, Contender::Bare, 0.9),
        row(PLAIN, Contender::Tokio, 3.5),
    ])
}

/// One packet at a time: nothing can be coalesced.
fn single(bench: &mut Bench) -> io::Result<Vec<Row>> {
    const PART: &str = "single";
    let load = |bench: &Bench, _| plain(bench, Pace::Single, 0.35);
    bench.compare(PART, LISTENERS, |_| Ok(()), load)?;
    Ok(vec![bench.row(
        PART,
        "one packet at a time, CPU per delivery",
        "ns",
        Contender::Sendto,
        |one| one.cpu_ns_per_delivery,
        Target::AtMost(1.1),
    )])
}

/// A lively channel.
fn latency(bench: &mut Bench) -> io::Result<Vec<Row>> {
    const PART: &str = "latency";
    let load = |bench: &Bench, round: usize| {
        // The same moments for all relays of a round.
        let moment = |talker| mix((round * TALKERS + talker) as u64) as f64 / 2_f64.powi(64);
        let phases = (0..TALKERS).map(|talker| INTERVAL.mul_f64(moment(talker)));
        let pace = Pace::Clock {
            interval: INTERVAL,
            phases: phases.collect(),
        };
        Load {
            stamps: true,
            ..plain(bench, pace, 0.7)
        }
    };
    bench.compare(PART, AUDIENCE, Arena::stamp, load)?;
    let lost = bench
        .rounds
        .total(PART, Contender::Daemon, |counts| counts.lost);
    Ok(vec![
        bench.row(
            PART,
            "16 talkers, 64 listeners, 50 packets/s each: p99.9",
            "us",
            Contender::Sendto,
            |one| one.latency.map_or(f64::NAN, |latency| latency.p999),
            Target::AtMost(1.2),
        ),
        none("the same: deliveries lost", lost),
    ])
}

/// Members at half of the limit while strangers send as much as they can; the same without strangers beside it.
fn flood(bench: &mut Bench) -> io::Result<Vec<Row>> {
    let (calm, flooded) = ("half the limit", "half the limit, flooded");
    let mut arena = Arena::open(Contender::Daemon, TALKERS, LISTENERS, &bench.cores.relay, 1)?;
    let mut strangers = Strangers::of(&arena)?;
    let teams = bench.cores.load[..1].to_vec();
    let measured = bench
        .rounds
        .median(SATURATION, Contender::Daemon, |one| one.deliveries_per_s);
    let limit_per_s = if measured.is_nan() {
        let load = Load {
            teams: &teams,
            ..plain(bench, Pace::Window(WINDOW), 1.0)
        };
        load::run(&mut arena, load)?.deliveries_per_s
    } else {
        measured
    };
    let packets_per_s = limit_per_s / 2.0 / arena.receivers() as f64;
    let interval = Duration::from_secs_f64(TALKERS as f64 / packets_per_s);
    for round in 0..bench.few() {
        for (part, strangers) in [(calm, None), (flooded, Some(&mut strangers))] {
            let phases =
                (0..TALKERS).map(|talker| interval.mul_f64(talker as f64 / TALKERS as f64));
            let pace = Pace::Clock {
                interval,
                phases: phases.collect(),
            };
            let load = Load {
                teams: &teams,
                strangers: strangers.map(|strangers| (strangers, bench.cores.load.get(1).copied())),
                ..plain(bench, pace, 1.5)
            };
            let measured = load::run(&mut arena, load)?;
            bench.rounds.push(part, Contender::Daemon, round, measured);
        }
    }
    // Of all rounds together, for a median would forgive the worst.
    let lost = |part| {
        let total = |count: fn(&Counts) -> u64| bench.rounds.total(part, Contender::Daemon, count);
        let expected = total(|counts| counts.sent) * arena.receivers();
        total(|counts| counts.lost) as f64 / expected as f64 * 100.0
    };
    let strangers = |one: &Measured| one.strangers_per_s / 1e3;
    let strangers = bench.rounds.median(flooded, Contender::Daemon, strangers);
    let members = "half a core's limit from members,";
    let calm_row = format!("{members} none from strangers: members lose");
    let flood_row = format!("{members} {strangers:.0} k/s from strangers: members lose");
    Ok(vec![
        limit(&calm_row, lost(calm), "%", 0.1),
        limit(&flood_row, lost(flooded), "%", 0.1),
    ])
}

/// One channel over several cores, where there are as many and others for the members.
fn shards(bench: &mut Bench) -> io::Result<Vec<Row>> {
    let what = format!("{SHARDS} shards on {SHARDS} cores, saturation");
    let (one, many) = ("1 shard", "4 shards");
    let target = "at least 3 x";
    let Some((relay, load)) = bench.cores.for_shards(SHARDS) else {
        let cores = bench.cores.relay.len() + bench.cores.load.len();
        return Ok(vec![Row {
            what,
            ours: f64::NAN,
            unit: "M/s",
            peer: one.into(),
            theirs: None,
            ratio: f64::NAN,
            target: format!(
                "{target} (not measured: {cores} cores, needs {})",
                2 * SHARDS
            ),
            met: None,
        }]);
    };
    let mut arenas = Vec::new();
    for (part, shards) in [(one, 1), (many, SHARDS)] {
        let arena = Arena::open(Contender::Daemon, TALKERS, LISTENERS, &relay, shards)?;
        arenas.push((part, arena));
    }
    for round in 0..bench.few() {
        arenas.rotate_left(1);
        for (part, arena) in &mut arenas {
            let load = Load {
                teams: &load,
                // Shards are opened by and by, as there is much to do.
                warm: bench.time(if round == 0 { 15.0 } else { 5.0 }),
                ..plain(bench, Pace::Window(WINDOW), 1.0)
            };
            let measured = load::run(arena, load)?;
            bench.rounds.push(part, Contender::Daemon, round, measured);
        }
    }
    let rate = |part| {
        bench
            .rounds
            .median(part, Contender::Daemon, |one| one.deliveries_per_s / 1e6)
    };
    let (ours, theirs) = (rate(many), rate(one));
    Ok(vec![Row {
        what,
        ours,
        unit: "M/s",
        peer: one.into(),
        theirs: Some(theirs),
        ratio: ours / theirs,
        target: target.into(),
        met: Some(ours >= 3.0 * theirs),
    }])
}
