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
const PERIODS: u32 = 3;
/// Bytes of what they say.
pub(crate) const LENGTH: usize = 60;
/// What is said last may take so long.
const STRAGGLERS: Duration = Duration::from_secs(10);

/// What one of the two did.
struct Measured {
    times: Times,
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
    let pid = house.pid();
    let ours = measure(&mut crowd, || processor_time(pid))?;
    complain(&crowd, &house.warnings());
    drop(crowd);
    drop(house);

    let peer = Peer::start()?;
    let mut crowd = Crowd::new(peer.address)?;
    let rooms: Vec<u32> = (0..ROOMS as u32).collect();
    crowd.fill(tickets(&rooms, true))?;
    let theirs = measure(&mut crowd, || processor_time(peer.pid()))?;
    complain(&crowd, "");
    if theirs.lost > 0 {
        eprintln!("the peer lost {}", theirs.lost);
    }

    const BARE: &str = "bare tokio broadcast";
    let ms = |part| (ours.times.at(part), theirs.times.at(part));
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
            ours.times.at(0.99),
            "ms",
            50.0,
        ),
        none(
            format!("lost of {} deliveries", PEOPLE * EACH * PERIODS as usize),
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

fn measure(
    crowd: &mut Crowd,
    processor: impl Fn() -> io::Result<Duration>,
) -> io::Result<Measured> {
    let messages = PEOPLE as u32 * PERIODS;
    let pace = PERIOD / PEOPLE as u32;
    let mut heard = vec![0_u16; messages as usize];
    crowd.deliveries.clear();
    let mut times = Vec::with_capacity(heard.len() * EACH);
    let before = processor()?;
    let started = Instant::now();
    let mut said = 0;
    while times.len() < heard.len() * EACH && started.elapsed() < PERIOD * PERIODS + STRAGGLERS {
        while said < messages && started.elapsed() >= pace * said {
            // One after the other in all rooms, and each as often as all others.
            crowd.chat(said as usize * 7919 % PEOPLE, said, LENGTH)?;
            said += 1;
        }
        let next = (pace * said).saturating_sub(started.elapsed());
        crowd.run(if said < messages {
            next
        } else {
            Duration::from_millis(10)
        })?;
        for delivery in crowd.deliveries.drain(..) {
            heard[delivery.message as usize] += 1;
            times.push(delivery.took);
        }
    }
    let processor = processor()?.saturating_sub(before);
    let each = EACH as u16;
    Ok(Measured {
        lost: heard
            .iter()
            .map(|count| usize::from(each.saturating_sub(*count)))
            .sum(),
        excess: heard
            .iter()
            .map(|count| usize::from(count.saturating_sub(each)))
            .sum(),
        deliveries: times.len(),
        times: Times::of(times),
        processor,
    })
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
