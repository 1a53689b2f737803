//! Whether every channel and everybody in it is there after a kill, and what a full disk changes: nothing.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

mod common;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::OpenOptions,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    thread,
    time::{Duration, Instant},
};

use common::{
    House, PATIENCE, code,
    disk::{fill, small_disk},
    kv::{
        CREATE, Client, DELETE, GET_PORT, JOIN, LEAVE, REGISTER, SERV, UNREGISTER, conversation,
        legacy,
    },
    root,
};
use nix::fcntl::{FallocateFlags, fallocate};
use serde_json::{Value, json};

/// One of those who are at it when the box is killed: what they know of it. Nobody else touches what is theirs.
struct Busy {
    dice: u64,
    /// A channel of all.
    common: u64,
    /// With their ports, once they are known.
    channels: BTreeMap<u64, Option<u64>>,
    guests: BTreeSet<u64>,
    /// Channels and uids.
    seats: BTreeSet<(u64, u64)>,
    /// What was asked last and not answered.
    doubt: Option<(u32, Vec<u64>)>,
    /// All ids that they were ever given: of channels, and of users.
    given: [Vec<u64>; 2],
}

impl Busy {
    fn new(n: u64, common: u64) -> Self {
        Self {
            dice: n,
            common,
            channels: BTreeMap::new(),
            guests: BTreeSet::new(),
            seats: BTreeSet::new(),
            doubt: None,
            given: Default::default(),
        }
    }

    fn roll(&mut self, sides: usize) -> usize {
        roll(&mut self.dice, sides as u64) as usize
    }

    /// Goes on until the box is gone.
    fn work(&mut self, client: Client, answered: &AtomicU64) {
        loop {
            let (command, fields) = self.wish();
            self.doubt = Some((command, fields.clone()));
            match client.try_get(command, &fields) {
                Ok(Ok(value)) => self.learn(command, &fields, value),
                Ok(Err(error)) => panic!("command {command} {fields:?}: error {error}"),
                Err(_gone) => return,
            }
            self.doubt = None;
            answered.fetch_add(1, Relaxed);
        }
    }

    fn wish(&mut self) -> (u32, Vec<u64>) {
        loop {
            let guest = self.pick(|busy| busy.guests.iter().copied().collect());
            let channel = self.pick(|busy| busy.channels.keys().copied().collect());
            let seat = self.pick(|busy| busy.seats.iter().copied().collect());
            return match (self.roll(10), guest, channel, seat) {
                (0 | 1, ..) if self.channels.len() < 8 => (CREATE, vec![0]),
                (2, _, Some(channel), _) => (DELETE, vec![0, channel]),
                (3, _, Some(channel), _) => (GET_PORT, vec![channel]),
                (4, Some(guest), ..) if self.guests.len() > 10 => (UNREGISTER, vec![guest, guest]),
                (4 | 5, ..) if self.guests.len() < 20 => (REGISTER, vec![0, 0]),
                (6, Some(guest), ..) => (JOIN, vec![guest, guest, self.common]),
                (7, Some(guest), Some(channel), _) => (JOIN, vec![guest, guest, channel]),
                (8 | 9, .., Some((channel, uid))) => (LEAVE, vec![uid, uid, channel]),
                _ => continue,
            };
        }
    }

    fn pick<T: Copy>(&mut self, from: impl Fn(&Self) -> Vec<T>) -> Option<T> {
        let all = from(self);
        match all.len() {
            0 => None,
            sides => Some(all[self.roll(sides)]),
        }
    }

    fn learn(&mut self, command: u32, fields: &[u64], value: u64) {
        match (command, fields) {
            (CREATE, _) => {
                self.channels.insert(value, None);
                self.given[0].push(value);
            }
            (REGISTER, _) => {
                self.guests.insert(value);
                self.given[1].push(value);
            }
            (GET_PORT, [channel]) => {
                let known = self.channels.insert(*channel, Some(value)).flatten();
                assert_eq!(known.unwrap_or(value), value, "channel {channel}");
            }
            (DELETE, [_, channel]) => {
                self.channels.remove(channel);
                self.seats.retain(|(of, _)| of != channel);
            }
            (UNREGISTER, [_, uid]) => {
                self.guests.remove(uid);
                self.seats.retain(|(_, whose)| whose != uid);
            }
            (JOIN, [_, uid, channel]) => _ = self.seats.insert((*channel, *uid)),
            (LEAVE, [_, uid, channel]) => _ = self.seats.remove(&(*channel, *uid)),
            other => panic!("{other:?}"),
        }
    }

    /// Finds out what became of what was not answered. An id that it was not told, is nobody's.
    fn resolve(&mut self, found: &Found) {
        let Some((command, fields)) = self.doubt.take() else {
            return;
        };
        let done = match (command, &fields[..]) {
            (DELETE, [_, channel]) => !found.channels.contains_key(channel),
            (JOIN, [_, uid, channel]) => found.seats.contains(&(*channel, *uid)),
            (LEAVE, [_, uid, channel]) => !found.seats.contains(&(*channel, *uid)),
            (UNREGISTER, [_, uid]) => {
                // With its seats or not at all; who had none is let go.
                let had = |(_, whose): &&(u64, u64)| whose == uid;
                let (before, now) = (self.seats.iter(), found.seats.iter());
                let (before, now) = (before.filter(had).count(), now.filter(had).count());
                assert!(now == before || now == 0, "a part of {uid}'s seats");
                now < before || before == 0
            }
            _ => false,
        };
        if done {
            self.learn(command, &fields, 0);
        }
    }
}

/// A small generator (an LCG), so that a failing run can be had again with the same choices.
fn roll(state: &mut u64, sides: u64) -> u64 {
    *state = state
        .wrapping_mul(6_364_136_223_846_793_005)
        .wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % sides
}

/// What the box has.
#[derive(Debug, PartialEq)]
struct Found {
    channels: BTreeMap<u64, u64>,
    seats: BTreeSet<(u64, u64)>,
}

impl Found {
    async fn at(house: &House) -> Self {
        let all = house.ok("GET", "/api/v1/voice/channels", None).await;
        let number = |value: &Value| value.as_u64().unwrap();
        let all = all.as_array().unwrap().iter();
        let mut found = Self {
            channels: BTreeMap::new(),
            seats: BTreeSet::new(),
        };
        for channel in all {
            let id = number(&channel["id"]);
            found.channels.insert(id, number(&channel["port"]));
            let members = channel["members"].as_array().unwrap().iter();
            found
                .seats
                .extend(members.map(|member| (id, number(&member["uid"]))));
        }
        found
    }
}

#[tokio::test]
async fn twenty_rounds_of_kill_9_lose_nothing_that_was_acknowledged() {
    let mut house = legacy().await;
    let common = Client::of(&house).get(CREATE, &[0]).unwrap();
    let port = Client::of(&house).get(GET_PORT, &[common]).unwrap();
    let mut all = [1, 2, 3, 4].map(|n| Busy::new(n, common));
    let (mut dice, answered) = (7, AtomicU64::new(0));
    let mut ids = [BTreeSet::from([common]), BTreeSet::new()];
    for round in 0..20 {
        let client = Client::of(&house);
        let goal = answered.load(Relaxed) + roll(&mut dice, 120);
        thread::scope(|scope| {
            for busy in &mut all {
                scope.spawn(|| busy.work(client, &answered));
            }
            let started = Instant::now();
            while answered.load(Relaxed) < goal && started.elapsed() < PATIENCE {
                thread::yield_now();
            }
            // At any moment between two answers.
            let (moment, pause) = (Instant::now(), roll(&mut dice, 5_000));
            while moment.elapsed() < Duration::from_micros(pause) {
                thread::yield_now();
            }
            house.kill();
        });
        house.start();

        let found = Found::at(&house).await;
        for busy in &mut all {
            busy.resolve(&found);
            for (ids, given) in ids.iter_mut().zip(&mut busy.given) {
                for id in given.drain(..) {
                    assert!(ids.insert(id), "round {round}: {id} was given twice");
                }
            }
        }
        let mut kept = BTreeMap::from([(common, Some(port))]);
        kept.extend(all.iter().flat_map(|busy| busy.channels.clone()));
        for (channel, port) in &kept {
            let now = found.channels.get(channel);
            let now = now.unwrap_or_else(|| panic!("round {round}: channel {channel} is lost"));
            assert!(
                port.is_none_or(|port| port == *now),
                "round {round}: {channel} moved"
            );
        }
        let seats: BTreeSet<_> = all.iter().flat_map(|busy| busy.seats.clone()).collect();
        let lost: Vec<_> = seats.difference(&found.seats).collect();
        let risen: Vec<_> = found.seats.difference(&seats).collect();
        assert!(lost.is_empty(), "round {round}: lost {lost:?}");
        assert!(risen.is_empty(), "round {round}: back again: {risen:?}");
        // What nobody was told of: at most what was under way. Its id was not given to anybody else either.
        let orphans = found.channels.keys().filter(|id| !kept.contains_key(id));
        let orphans: Vec<_> = orphans.copied().collect();
        assert!(orphans.len() <= all.len(), "round {round}: {orphans:?}");
        for id in orphans {
            assert!(ids[0].insert(id), "round {round}: {id} is back again");
            assert_eq!(Client::of(&house).get(DELETE, &[0, id]), Ok(id));
        }
        let (exit, out, err) = house.verb(&["check"]);
        assert_eq!(exit, 0, "round {round}: {out}{err}");
    }
    println!("{} commands were answered", answered.load(Relaxed));
    let client = Client::of(&house);
    for uid in all.iter().flat_map(|busy| &busy.guests) {
        assert_eq!(client.get(UNREGISTER, &[*uid, *uid]), Ok(*uid));
    }
    let (exit, out, err) = house.verb(&["audit", "verify"]);
    assert_eq!(exit, 0, "{out}{err}");
}

/// Fills the disk, with all that the store has set aside for itself but for 2 MiB, which is too little for any change: as
/// if many had been made meanwhile.
fn stuff(house: &House) {
    fill(&house.state().join("filler"));
    let log = house.state().join("store/db");
    let log = OpenOptions::new().write(true).open(log).unwrap();
    let end = log.metadata().unwrap().len() as i64 + (2 << 20);
    let punch = FallocateFlags::FALLOC_FL_PUNCH_HOLE | FallocateFlags::FALLOC_FL_KEEP_SIZE;
    fallocate(&log, punch, end, 48 << 20).unwrap();
    fill(&house.state().join("filler"));
}

#[tokio::test]
async fn a_full_disk_refuses_changes_to_channels_and_leaves_the_talk_alone() {
    if !root("a disk of one's own") {
        return;
    }
    let mut house = House::unlocked(&["voice.legacy_admin=true".into()]);
    small_disk(&house.state());
    house.settle().await;
    let client = Client::of(&house);
    let channel = client.get(CREATE, &[0]).unwrap();
    let (alice, bob) = (client.member(channel), client.member(channel));
    let (seated, guest) = (alice.uid, client.guest());
    let over = Arc::new(AtomicBool::new(false));
    let until_over = over.clone();
    let talk = thread::spawn(move || conversation(&alice, &bob, 200, &until_over));

    for _ in 0..3 {
        stuff(&house);
        let before = Found::at(&house).await;
        for (command, fields) in [
            (CREATE, &[0][..]),
            (JOIN, &[guest, guest, channel]),
            (REGISTER, &[0, 0]),
            (REGISTER, &[0, 2]),
            (LEAVE, &[seated, seated, channel]),
            (UNREGISTER, &[guest, guest]),
            (DELETE, &[0, channel]),
        ] {
            assert_eq!(client.get(command, fields), Err(SERV), "command {command}");
        }
        let told = house
            .call("POST", "/api/v1/voice/channels", Some(json!({})))
            .await;
        assert_eq!(code(&told), (507, "disk-full"));
        // Nothing of it happened, and what only asks is answered.
        let now = Found::at(&house).await;
        assert_eq!(now, before);
        assert_eq!(client.get(GET_PORT, &[channel]), Ok(now.channels[&channel]));
        let stats = house.ok("GET", "/api/v1/voice/stats", None).await;
        assert_eq!(stats["guests"], 3, "{stats:#}");
        assert!(!talk.is_finished(), "the talk has ended");

        std::fs::remove_file(house.state().join("filler")).unwrap();
        let made = client.get(CREATE, &[0]).unwrap();
        let carol = client.member(made);
        let dave = client.join(guest, made);
        dave.say(1);
        assert_eq!(carol.hear().unwrap(), (guest, 1));
        assert_eq!(
            client.get(UNREGISTER, &[carol.uid, carol.uid]),
            Ok(carol.uid)
        );
        assert_eq!(client.get(DELETE, &[0, made]), Ok(made));
    }
    over.store(true, Relaxed);
    let (said, lost) = talk.join().unwrap();
    let path = format!("/api/v1/voice/channels/{channel}");
    let view = house.ok("GET", &path, None).await;
    let traffic = &view["traffic"];
    println!("of {said} words {lost} came late or never; {traffic}");
    assert!(
        lost * 100 < said,
        "{lost} of {said} words were lost: {view:#}"
    );
    assert_eq!(traffic["packets"], said, "{view:#}");
    let drops = traffic["drops"].as_object().unwrap();
    assert!(drops.values().all(|count| count == 0), "{view:#}");
    house.kill();
    house.start();
    let found = Found::at(&house).await;
    assert!(found.channels.keys().eq([&channel]));
    assert_eq!(found.seats.len(), 2);
    for verb in [&["check"][..], &["audit", "verify"]] {
        let (exit, out, err) = house.verb(verb);
        assert_eq!(exit, 0, "{out}{err}");
    }
}
