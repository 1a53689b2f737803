//! 1,000 people with accounts who log in within five seconds, beside what their passwords alone cost.

use std::{
    io, thread,
    time::{Duration, Instant},
};

use argon2::{Algorithm, Argon2, Params, Version};

use crate::{
    chat::complain,
    crowd::{Crowd, Stage, Ticket},
    figures::{Times, beside, none, told},
    house::{House, PASSWORD},
    table::Row,
};

const PEOPLE: usize = 1000;
const WITHIN: Duration = Duration::from_secs(5);
/// Computations of each of the two threads, before and after the storm.
const SAMPLES: usize = 75;

pub(crate) fn rows() -> io::Result<Vec<Row>> {
    let house = House::open(0, None)?;
    let started = Instant::now();
    house.accounts(PEOPLE, "player")?;
    let made = started.elapsed();
    eprintln!("made {PEOPLE} accounts in {made:.1?}");
    let before = bare();
    let mut crowd = Crowd::new(house.lobby)?;
    let started = Instant::now();
    let pace = WITHIN / PEOPLE as u32;
    for n in 0..PEOPLE {
        while let Some(early) = (pace * n as u32).checked_sub(started.elapsed()) {
            crowd.run(early)?;
        }
        crowd.come(Ticket {
            name: format!("p{n}"),
            password: Some(PASSWORD),
            ..Ticket::default()
        })?;
    }
    crowd.settle(0)?;
    let took = started.elapsed();
    let after = bare();
    complain(&crowd, &house.warnings());
    let each = (before + after) / 2;
    let bound = each.as_secs_f64() * PEOPLE as f64;
    let answers = Times::of(crowd.people.iter().filter_map(|person| match person.stage {
        Stage::In(took) => Some(took),
        Stage::Coming | Stage::Out => None,
    }));
    let failed = crowd.count(|stage| !matches!(stage, Stage::In(_)));
    Ok(vec![
        none("1,000 logins within 5 s: failed", failed),
        beside(
            "until the last of them is in",
            took.as_secs_f64(),
            "s",
            "two bare Argon2id at once",
            bound.max(WITHIN.as_secs_f64()),
            Some(1.3),
        ),
        told("a login's answer, p50", answers.at(0.5) / 1e3, "s"),
        told("a login's answer, p99", answers.at(0.99) / 1e3, "s"),
        told("1,000 accounts made beforehand", made.as_secs_f64(), "s"),
    ])
}

/// One computation's share of the time, two at once.
fn bare() -> Duration {
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                let params = Params::new(19 * 1024, 2, 1, None).expect("good parameters");
                let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, params);
                let mut out = [0; 32];
                for n in 0..SAMPLES {
                    let salt = (n as u128).to_le_bytes();
                    let done = argon2.hash_password_into(PASSWORD.as_bytes(), &salt, &mut out);
                    done.expect("good lengths");
                }
            });
        }
    });
    started.elapsed() / (2 * SAMPLES as u32)
}
