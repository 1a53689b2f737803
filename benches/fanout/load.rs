//! Talks and listens: the same for every relay, and cheaper than any, so that the relay is what is measured.
//!
//! One thread (a team) has all members, or a part of them where one would be the limit. It never sleeps: nobody has to
//! wake it, so that no relay pays for that. Every delivery is read and checked, to the last bit.

use std::{
    io,
    net::UdpSocket,
    sync::atomic::{AtomicU8, AtomicU64, Ordering::Relaxed},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nix::sys::epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout};

use crate::{
    arena::Arena,
    figures::{Counts, Latency, Measured},
    flood::Strangers,
    packet::{PACKET, Word, mix},
    relay::pin,
    sys::Inbox,
};

/// Messages that are read from a member at once, each of as many packets as the kernel has put together.
const MESSAGES: usize = 16;
const MESSAGE: usize = 64 << 10;
/// What has not come by then after all else has is lost.
const LATE: Duration = Duration::from_millis(300);
/// In a closed loop: what has not come by then must not stop the talkers.
const WRITTEN_OFF: Duration = Duration::from_millis(50);
/// Processor time that a relay needs while it has nothing to do.
const IDLE: Duration = Duration::from_millis(2);
/// Nothing at all comes for so long: the relay does not work.
const STALLED: Duration = Duration::from_secs(10);
/// Between two packets one at a time: every relay has gone to sleep.
const PAUSE: Duration = Duration::from_micros(30);

const TALK: u8 = 0;
const DRAIN: u8 = 1;
const END: u8 = 2;

/// When members talk.
pub(crate) enum Pace {
    /// Each talker as soon as fewer than so many packets of theirs are under way.
    Window(u64),
    /// One packet at a time in the whole channel.
    Single,
    /// By the clock, each talker from a moment of their own.
    Clock {
        interval: Duration,
        phases: Vec<Duration>,
    },
}

/// One round.
pub(crate) struct Load<'a> {
    pub(crate) pace: Pace,
    pub(crate) warm: Duration,
    pub(crate) measure: Duration,
    /// Whether sockets tell when the kernel got a packet.
    pub(crate) stamps: bool,
    /// Where the teams run, one per core.
    pub(crate) teams: &'a [usize],
    /// Who floods, and on which core; on none of their own, a team does it whenever it has nothing else to do.
    pub(crate) strangers: Option<(&'a mut Strangers, Option<usize>)>,
}

/// What teams tell each other; by talker.
struct Ledger {
    sent: Vec<AtomicU64>,
    heard: Vec<AtomicU64>,
    stage: AtomicU8,
    /// Unix nanoseconds from which latencies count.
    since: AtomicU64,
    flooded: AtomicU64,
}

impl Ledger {
    fn total(counts: &[AtomicU64]) -> u64 {
        counts.iter().map(|count| count.load(Relaxed)).sum()
    }

    fn ended(&self) -> bool {
        self.stage.load(Relaxed) == END
    }
}

/// Runs a round.
pub(crate) fn run(arena: &mut Arena, load: Load<'_>) -> io::Result<Measured> {
    arena.refresh()?;
    let played = play(arena, load);
    arena.relay.must_live()?; // or else that is why
    played
}

fn play(arena: &Arena, load: Load<'_>) -> io::Result<Measured> {
    let Load {
        pace,
        warm,
        measure,
        stamps,
        teams,
        strangers,
    } = load;
    let counters = || (0..arena.talkers).map(|_| AtomicU64::new(0)).collect();
    let ledger = Ledger {
        sent: counters(),
        heard: counters(),
        stage: AtomicU8::new(TALK),
        since: AtomicU64::new(u64::MAX),
        flooded: AtomicU64::new(0),
    };
    let number = mix(unix_nanos());
    let (mut own, mut shared) = (None, None);
    if let Some((strangers, core)) = strangers {
        match core {
            Some(core) => own = Some((strangers, core)),
            None => shared = Some(strangers),
        }
    }
    let (ledger, pace) = (&ledger, &pace);
    let mut measured = thread::scope(|scope| {
        let flood = own.map(|(strangers, core)| {
            scope.spawn(move || -> io::Result<()> {
                pin(&[core])?;
                while !ledger.ended() {
                    ledger.flooded.fetch_add(strangers.burst()?, Relaxed);
                }
                Ok(())
            })
        });
        let mut running = Vec::new();
        for (at, core) in teams.iter().enumerate() {
            let strangers = shared.take();
            running.push(scope.spawn(move || {
                let members = (at..arena.sockets.len()).step_by(teams.len());
                let done = pin(&[*core])
                    .and_then(|()| Team::new(arena, ledger, pace, number, stamps, members))
                    .and_then(|team| team.play(strangers));
                if done.is_err() {
                    ledger.stage.store(END, Relaxed);
                }
                done
            }));
        }
        let measured = watch(arena, ledger, warm, measure);
        ledger.stage.store(END, Relaxed);
        let mut counts = Counts::default();
        let mut latencies = Vec::new();
        for team in running {
            let (counted, times) = team.join().expect("no team panics")?;
            counts.add(&counted);
            latencies.extend(times);
        }
        if let Some(flood) = flood {
            flood.join().expect("strangers do not panic")?;
        }
        let mut measured = measured?;
        measured.counts = counts;
        measured.latency = Latency::of(&mut latencies);
        Ok::<_, io::Error>(measured)
    })?;
    measured.counts.sent = Ledger::total(&ledger.sent);
    let expected = measured.counts.sent * arena.receivers();
    measured.counts.lost = expected - Ledger::total(&ledger.heard);
    Ok(measured)
}

/// Reads clocks and counters at the right moments, and ends what does not move.
fn watch(
    arena: &Arena,
    ledger: &Ledger,
    warm: Duration,
    measure: Duration,
) -> io::Result<Measured> {
    let look = || {
        Ok::<_, io::Error>((
            Instant::now(),
            arena.relay.processor_time()?,
            Ledger::total(&ledger.heard),
            ledger.flooded.load(Relaxed),
        ))
    };
    let stalled = || {
        let (sent, heard) = (Ledger::total(&ledger.sent), Ledger::total(&ledger.heard));
        let name = arena.relay.contender.name();
        io::Error::other(format!(
            "{name} stalled: {sent} packets sent, {heard} deliveries heard"
        ))
    };
    let pass = |duration: Duration| {
        let start = Instant::now();
        let mut moved = (Instant::now(), 0);
        while start.elapsed() < duration && !ledger.ended() {
            thread::sleep(Duration::from_millis(5).min(duration.saturating_sub(start.elapsed())));
            let heard = Ledger::total(&ledger.heard);
            if heard != moved.1 {
                moved = (Instant::now(), heard);
            } else if moved.0.elapsed() > STALLED {
                return Err(stalled());
            }
        }
        Ok(())
    };
    pass(warm)?;
    ledger.since.store(unix_nanos(), Relaxed);
    let before = look()?;
    pass(measure)?;
    let after = look()?;
    if after.2 == before.2 && !ledger.ended() {
        return Err(stalled());
    }
    ledger
        .stage
        .compare_exchange(TALK, DRAIN, Relaxed, Relaxed)
        .ok(); // or a team has failed
    drain(arena, ledger)?;
    let seconds = (after.0 - before.0).as_secs_f64();
    let processor = (after.1 - before.1).as_secs_f64();
    let deliveries = (after.2 - before.2) as f64;
    Ok(Measured {
        seconds,
        deliveries_per_s: deliveries / seconds,
        cpu_ns_per_delivery: processor / deliveries * 1e9,
        relay_busy: processor / seconds,
        strangers_per_s: (after.3 - before.3) as f64 / seconds,
        ..Measured::default()
    })
}

/// Waits until all has come, or until the relay has nothing more to do: what it still has would disturb the next round.
fn drain(arena: &Arena, ledger: &Ledger) -> io::Result<()> {
    let start = Instant::now();
    let mut last = (Instant::now(), 0, Duration::ZERO);
    while last.0.elapsed() < LATE && start.elapsed() < STALLED && !ledger.ended() {
        let heard = Ledger::total(&ledger.heard);
        if heard == Ledger::total(&ledger.sent) * arena.receivers() {
            break;
        }
        let worked = arena.relay.processor_time()?;
        if heard != last.1 || worked > last.2 + IDLE {
            last = (Instant::now(), heard, worked);
        }
        thread::sleep(Duration::from_millis(2));
    }
    Ok(())
}

/// Some of the members.
struct Team<'a> {
    arena: &'a Arena,
    ledger: &'a Ledger,
    pace: &'a Pace,
    run: u64,
    talkers: Vec<usize>,
    epoll: Epoll,
    inbox: Inbox,
    /// By member and talker: what has come.
    tracks: Vec<Track>,
    /// By talker: heard, but not yet in the ledger.
    fresh: Vec<u64>,
    /// By talker: deliveries that nobody waits for any more.
    written_off: Vec<u64>,
    heard_last: Instant,
    spoke_last: Instant,
    turn: usize,
    counts: Counts,
    latencies: Vec<u32>,
}

impl<'a> Team<'a> {
    fn new(
        arena: &'a Arena,
        ledger: &'a Ledger,
        pace: &'a Pace,
        run: u64,
        stamps: bool,
        members: impl Iterator<Item = usize>,
    ) -> io::Result<Self> {
        let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
        let mut talkers = Vec::new();
        for member in members {
            let event = EpollEvent::new(EpollFlags::EPOLLIN, member as u64);
            epoll.add(&arena.sockets[member], event)?;
            if member < arena.talkers {
                talkers.push(member);
            }
        }
        Ok(Self {
            arena,
            ledger,
            pace,
            run,
            talkers,
            epoll,
            inbox: Inbox::new(MESSAGES, MESSAGE, stamps),
            tracks: vec![Track::default(); arena.sockets.len() * arena.talkers],
            fresh: vec![0; arena.talkers],
            written_off: vec![0; arena.talkers],
            heard_last: Instant::now(),
            spoke_last: Instant::now(),
            turn: 0,
            counts: Counts::default(),
            latencies: Vec::new(),
        })
    }

    fn play(mut self, mut strangers: Option<&mut Strangers>) -> io::Result<(Counts, Vec<u32>)> {
        let start = Instant::now();
        loop {
            match self.ledger.stage.load(Relaxed) {
                TALK => {
                    self.talk(start)?;
                    if let Some(strangers) = &mut strangers {
                        self.ledger.flooded.fetch_add(strangers.burst()?, Relaxed);
                    }
                }
                DRAIN => {}
                _ => return Ok((self.counts, self.latencies)),
            }
            self.listen()?;
        }
    }

    fn talk(&mut self, start: Instant) -> io::Result<()> {
        let now = Instant::now();
        let receivers = self.arena.receivers();
        let pace = self.pace;
        match pace {
            Pace::Window(window) => {
                if now - self.heard_last > WRITTEN_OFF {
                    self.write_off();
                }
                for at in 0..self.talkers.len() {
                    let talker = self.talkers[at];
                    let under_way = self.under_way(talker);
                    if under_way < window * receivers {
                        self.say(talker)?;
                    }
                }
            }
            Pace::Single => {
                if now - self.heard_last > WRITTEN_OFF {
                    self.write_off();
                }
                let arrived = self
                    .talkers
                    .iter()
                    .all(|talker| self.under_way(*talker) == 0);
                let last = self.heard_last.max(self.spoke_last);
                if arrived && now - last > PAUSE {
                    let talker = self.talkers[self.turn % self.talkers.len()];
                    self.turn += 1;
                    self.say(talker)?;
                    self.spoke_last = now;
                }
            }
            Pace::Clock { interval, phases } => {
                for at in 0..self.talkers.len() {
                    let talker = self.talkers[at];
                    let said = self.ledger.sent[talker].load(Relaxed) as f64;
                    let due = phases[talker].as_secs_f64() + interval.as_secs_f64() * said;
                    if (now - start).as_secs_f64() >= due {
                        self.say(talker)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Deliveries of a talker's packets that have not come yet.
    fn under_way(&self, talker: usize) -> u64 {
        let sent = self.ledger.sent[talker].load(Relaxed) * self.arena.receivers();
        let done = self.ledger.heard[talker].load(Relaxed) + self.written_off[talker];
        sent.saturating_sub(done)
    }

    fn write_off(&mut self) {
        for talker in &self.talkers {
            self.written_off[*talker] += self.under_way(*talker);
        }
        self.heard_last = Instant::now();
    }

    fn say(&mut self, talker: usize) -> io::Result<()> {
        let mut packet = [0; PACKET];
        let word = Word {
            uid: self.arena.uids[talker],
            run: self.run,
            talker: talker as u64,
            sequence: self.ledger.sent[talker].fetch_add(1, Relaxed),
            sent: unix_nanos(),
        };
        word.write(&mut packet);
        let socket: &UdpSocket = &self.arena.sockets[talker];
        let sent = socket.send(&packet);
        sent.map_err(|error| self.named(&error))?;
        Ok(())
    }

    fn named(&self, error: &io::Error) -> io::Error {
        io::Error::other(format!("{}: {error}", self.arena.relay.contender.name()))
    }

    fn listen(&mut self) -> io::Result<()> {
        let mut events = [EpollEvent::empty(); 64];
        let ready = self.epoll.wait(&mut events, EpollTimeout::ZERO)?;
        if ready == 0 {
            return Ok(());
        }
        let since = self.ledger.since.load(Relaxed);
        for event in &events[..ready] {
            let member = event.data() as usize;
            let count = self.inbox.receive(&self.arena.sockets[member]);
            let count = count.map_err(|error| self.named(&error))?;
            self.counts.messages += count as u64;
            for at in 0..count {
                let came = self.inbox.stamp(at);
                for packet in self.inbox.datagram(at).chunks(PACKET) {
                    self.counts.packets += 1;
                    match Word::read(packet) {
                        None => self.counts.altered += 1,
                        Some(word) if word.run != self.run => self.counts.stray += 1,
                        Some(word) => {
                            let talker = word.talker as usize;
                            if self.arena.uids.get(talker) != Some(&word.uid) {
                                self.counts.altered += 1;
                                continue;
                            }
                            if talker == member {
                                self.counts.reflected += 1;
                                continue;
                            }
                            match self.tracks[member * self.arena.talkers + talker]
                                .note(word.sequence)
                            {
                                Came::Next => {}
                                Came::Late => self.counts.reordered += 1,
                                Came::Again => {
                                    self.counts.duplicated += 1;
                                    continue;
                                }
                            }
                            self.fresh[talker] += 1;
                            if let Some(came) = came
                                && word.sent >= since
                            {
                                let took = came.saturating_sub(word.sent);
                                self.latencies.push(took.try_into().unwrap_or(u32::MAX));
                            }
                        }
                    }
                }
            }
        }
        for (fresh, heard) in self.fresh.iter_mut().zip(&self.ledger.heard) {
            if *fresh > 0 {
                heard.fetch_add(*fresh, Relaxed);
                *fresh = 0;
            }
        }
        self.heard_last = Instant::now();
        Ok(())
    }
}

/// What one member has heard of one talker.
#[derive(Debug, Clone, Copy, Default)]
struct Track {
    next: u64,
    /// The 64 before `next`, nearest first.
    seen: u64,
}

#[derive(Debug, PartialEq, Eq)]
enum Came {
    Next,
    Late,
    Again,
}

impl Track {
    fn note(&mut self, sequence: u64) -> Came {
        if let Some(gap) = sequence.checked_sub(self.next) {
            self.seen = match u32::try_from(gap + 1) {
                Ok(by) => self.seen.checked_shl(by).unwrap_or(0) | 1,
                Err(_) => 1,
            };
            self.next = sequence + 1;
            return Came::Next;
        }
        let back = self.next - 1 - sequence;
        let bit = u32::try_from(back)
            .ok()
            .and_then(|back| 1_u64.checked_shl(back));
        match bit {
            Some(bit) if self.seen & bit == 0 => {
                self.seen |= bit;
                Came::Late
            }
            _ => Came::Again, // or from so long ago that it should not come any more
        }
    }
}

fn unix_nanos() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_nanos() as u64
}
