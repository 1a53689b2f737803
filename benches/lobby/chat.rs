//! 5,000 people in 50 rooms: what an idle session costs, and how long a word takes to everybody in the room.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use crate::{
    crowd::{Crowd, Ticket},
    figures::{Times, beside, limit, none, told},
    house::{House, processor_time},
    peer::Peer,
    table::Row,
};

const ROOMS: usize = 50;
const EACH: usize = 100;
const PEOPLE: usize = ROOMS * EACH;
/// Everybody says something once in it.
const PERIOD: Duration = Duration::from_secs(10);
/// Of one such time each, ours and the peer's by turns.
const ROUNDS: usize = 3;
/// Bytes of what they say.
pub(crate) const LENGTH: usize = 60;
/// What is said last may take so long.
const STRAGGLERS: Duration = Duration::from_secs(10);

/// What one of the two did, all rounds together.
#[derive(Default)]
struct Measured {
    times: Vec<Duration>,
    lost: usize,
    /// More often than once to one person.
    excess: usize,
    deliveries: usize,
    processor: Duration,
}

pub(crate) fn rows() -> io::Result<Vec<Row>> {
    let house = House::open(ROOMS, None)?;
    let rooms = house.rooms(ROOMS)?;
    thread::sleep(Duration::from_secs(1)); // so that what only starts is there
    let alone = house.resident()?;
    let mut crowd = Crowd::new(house.lobby)?;
    let started = Instant::now();
    crowd.fill(tickets(&rooms, false))?;
    let came = started.elapsed();
    idle(&mut crowd)?; // until everybody was asked for a first answer and has given it
    let session = (house.resident()? - alone) / PEOPLE as f64;

    let peer = Peer::start()?;
    let mut peers = Crowd::new(peer.address)?;
    let numbers: Vec<u32> = (0..ROOMS as u32).collect();
    peers.fill(tickets(&numbers, true))?;

    let (mut ours, mut theirs) = (Measured::default(), Measured::default());
    for _ in 0..ROUNDS {
        ours.hear(&mut crowd, &mut peers, house.pid())?;
        theirs.hear(&mut peers, &mut crowd, peer.pid())?;
    }
    complain(&crowd, &house.warnings());
    complain(&peers, "");
    if theirs.lost > 0 {
        eprintln!("the peer lost {}", theirs.lost);
    }
    let (times, their_times) = (
        Times::of(ours.times.drain(..)),
        Times::of(theirs.times.drain(..)),
    );

    const BARE: &str = "bare tokio broadcast";
    let ms = |part| (times.at(part), their_times.at(part));
    let beside_them =
        |what: &str, (ours, theirs), unit| beside(what, ours, unit, BARE, theirs, None);
    let cpu = |one: &Measured| one.processor.as_secs_f64() * 1e6 / one.deliveries as f64;
    Ok(vec![
        limit("memory of an idle session", session, "KiB", 40.0),
        told(
            "5,000 sessions came in and entered",
            came.as_secs_f64(),
            "s",
        ),
        limit(
            "chat to everybody in the room, p99",
            times.at(0.99),
            "ms",
            50.0,
        ),
        none(
            format!("lost of {} deliveries", PEOPLE * EACH * ROUNDS),
            ours.lost,
        ),
        none("delivered twice", ours.excess),
        beside_them("the same, p50", ms(0.5), "ms"),
        beside_them("the same, p99", ms(0.99), "ms"),
        beside_them("the same, p99.9", ms(0.999), "ms"),
        beside_them(
            "the same, CPU per delivery",
            (cpu(&ours), cpu(&theirs)),
            "us",
        ),
    ])
}

fn tickets(rooms: &[u32], bare: bool) -> impl Iterator<Item = Ticket> {
    (0..PEOPLE).map(move |n| Ticket {
        name: format!("g{n}"),
        password: None,
        room: Some(rooms[n % ROOMS]),
        bare,
    })
}

/// Nobody says anything but what they are asked for.
fn idle(crowd: &mut Crowd) -> io::Result<()> {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(7) {
        crowd.run(Duration::from_millis(50))?;
    }
    Ok(())
}

impl Measured {
    /// Everybody says something once; the others only answer what they are asked.
    fn hear(&mut self, crowd: &mut Crowd, others: &mut Crowd, pid: u32) -> io::Result<()> {
        let pace = PERIOD / PEOPLE as u32;
        let mut heard = vec![0_u16; PEOPLE];
        let mut deliveries = 0;
        crowd.deliveries.clear();
        let before = processor_time(pid)?;
        let started = Instant::now();
        let mut said = 0;
        while deliveries < PEOPLE * EACH && started.elapsed() < PERIOD + STRAGGLERS {
            while said < PEOPLE && started.elapsed() >= pace * said as u32 {
                // One after the other in all rooms.
                crowd.chat(said * 7919 % PEOPLE, said as u32, LENGTH)?;
                said += 1;
            }
            let next = match said < PEOPLE {
                true => (pace * said as u32).saturating_sub(started.elapsed()),
                false => Duration::from_millis(10),
            };
            crowd.run(next)?;
            others.run(Duration::ZERO)?;
            deliveries += crowd.deliveries.len();
            for delivery in crowd.deliveries.drain(..) {
                heard[delivery.message as usize] += 1;
                self.times.push(delivery.took);
            }
        }
        self.processor += processor_time(pid)?.saturating_sub(before);
        self.deliveries += deliveries;
        for count in heard.into_iter().map(usize::from) {
            self.lost += EACH.saturating_sub(count);
            self.excess += count.saturating_sub(EACH);
        }
        Ok(())
    }
}

/// What should not have been.
pub(crate) fn complain(crowd: &Crowd, warnings: &str) {
    for fault in crowd.faults.iter().take(5) {
        eprintln!("fault: {fault}");
    }
    if crowd.faults.len() > 5 {
        eprintln!("faults in all: {}", crowd.faults.len());
    }
    if !warnings.is_empty() {
        eprintln!("{warnings}");
    }
}
