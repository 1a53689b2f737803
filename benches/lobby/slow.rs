//! Somebody in a busy room who never reads: are the others slower for it, and is it dropped?

use std::{
    io,
    time::{Duration, Instant},
};

use crate::{
    chat::complain,
    crowd::{Crowd, Ticket},
    figures::{Times, beside, limit, told},
    house::House,
    table::{Row, median},
};

const PEOPLE: usize = 100;
/// Between any two words in the room.
const PACE: Duration = Duration::from_millis(2);
const LENGTH: usize = 400;
/// Bytes around it, about.
const MARKUP: usize = 40;
/// A round, and how many of each kind.
const ROUND: Duration = Duration::from_secs(5);
const ROUNDS: usize = 3;
/// Who never reads should be gone long before.
const PATIENCE: Duration = Duration::from_secs(60);
const OVERRUN: &str = "longhouse_lobby_overrun_total";

pub(crate) fn rows() -> io::Result<Vec<Row>> {
    let house = House::open(1, None)?;
    let room = house.rooms(1)?[0];
    let ticket = |name| Ticket {
        name,
        room: Some(room),
        ..Ticket::default()
    };
    let mut crowd = Crowd::new(house.lobby)?;
    crowd.fill((0..PEOPLE).map(|n| ticket(format!("g{n}"))))?;
    busy(&mut crowd, |_, so_far| Ok(so_far > Duration::from_secs(1)))?; // to begin with
    let (mut alone, mut beside_them, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    let mut most_told = 0.0_f64;
    for round in 0..ROUNDS {
        alone.push(Times::of(busy(&mut crowd, |_, so_far| Ok(so_far > ROUND))?));
        let slow = crowd.come_narrow(ticket(format!("slow{round}")))?;
        crowd.settle(0)?;
        crowd.sleep(slow)?;
        let mut looked = Duration::ZERO;
        let begun = Instant::now();
        let times = busy(&mut crowd, |_, so_far| {
            if so_far < looked + Duration::from_millis(100) {
                return Ok(false);
            }
            looked = so_far;
            let is_gone = house.metric(OVERRUN)? >= (round + 1) as f64;
            Ok(is_gone || so_far > PATIENCE)
        })?;
        // What each of them heard in that time was told to who never reads as well.
        let told = times.len() / PEOPLE * (LENGTH + MARKUP);
        most_told = most_told.max(told as f64 / 1024.0);
        beside_them.push(Times::of(times));
        dropped.push(begun.elapsed());
    }
    let gone = house.metric(OVERRUN)?;
    complain(&crowd, &house.warnings());
    let dropped = Times::of(dropped);
    let of = |rounds: &[Times], part| {
        median(
            &mut rounds
                .iter()
                .map(|times| times.at(part))
                .collect::<Vec<_>>(),
        )
    };
    let same = "the same room without them";
    let mut rows = vec![beside(
        "a word in a busy room with one who never reads, p99",
        of(&beside_them, 0.99),
        "ms",
        same,
        of(&alone, 0.99),
        Some(1.5),
    )];
    rows.push(beside(
        "the same, p50",
        of(&beside_them, 0.5),
        "ms",
        same,
        of(&alone, 0.5),
        None,
    ));
    let mut row = limit("they were dropped, of 3", gone, "", ROUNDS as f64);
    row.target = "all".into();
    row.met = Some(gone >= ROUNDS as f64);
    rows.push(row);
    rows.push(told(
        "until they were dropped, longest",
        dropped.at(1.0) / 1e3,
        "s",
    ));
    rows.push(limit(
        "what they were told until then",
        most_told,
        "KiB",
        8192.0,
    ));
    Ok(rows)
}

/// Everybody talks in turn until it is enough; how long each delivery took.
fn busy(
    crowd: &mut Crowd,
    mut is_enough: impl FnMut(&Crowd, Duration) -> io::Result<bool>,
) -> io::Result<Vec<Duration>> {
    let started = Instant::now();
    let mut times = Vec::new();
    let mut said = 0;
    while !is_enough(crowd, started.elapsed())? {
        while started.elapsed() >= PACE * said {
            crowd.chat(said as usize % PEOPLE, said, LENGTH)?;
            said += 1;
        }
        crowd.run((PACE * said).saturating_sub(started.elapsed()))?;
        times.extend(crowd.deliveries.drain(..).map(|delivery| delivery.took));
    }
    crowd.run(Duration::from_millis(100))?;
    crowd.deliveries.clear();
    Ok(times)
}
