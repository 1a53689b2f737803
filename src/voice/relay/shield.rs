//! When the [`sieve`] is in the kernel: from the first flood until a calm.
//!
//! ```text
//!          a flood                       made anew: who is there, or who is muzzled, changed; a second passed
//!  down ────────────► up ◄────────────────┐
//!   ▲                 │└──────────────────┘
//!   └─────────────────┘ ten seconds with less than a flood
//! ```

use std::{
    io,
    os::fd::BorrowedFd,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};

use tokio::sync::watch;

use super::{
    ChannelId,
    roster::Roster,
    sieve,
    socket::{self, Queues},
};

/// Packets per second, sent in vain, that are a flood.
pub(super) const FLOOD: u64 = 2_000;
/// How long it takes to see that there is one.
pub(super) const WINDOW: Duration = Duration::from_millis(100);
/// How long there must have been less than a flood before the shield goes down, and how long it is left alone when it
/// could not be raised.
const CALM: Duration = Duration::from_secs(10);

/// The shield of one socket, which its shard owns and hands in.
#[derive(Debug)]
pub(super) struct Shield {
    channel: ChannelId,
    epoch: Instant,
    roster: watch::Receiver<Arc<Roster>>,
    /// Changes only while the state is locked.
    up: AtomicBool,
    /// Locked for an option of the socket once in a while, never for a packet: a program that was made of an older
    /// roster must not be attached after one that was made of a newer.
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    /// When the program was made that is in the kernel.
    made: Instant,
    /// When it could not be raised,
    failed: Option<Instant>,
    /// which is said once.
    said: bool,
    /// What the kernel dropped: its own figure, and all of it.
    drops: (u32, u64),
    /// All of it, when it was last looked at by [`Shield::ease`],
    eased: (Instant, u64),
    /// and when it was last a flood.
    flood: Instant,
}

impl Shield {
    /// Down.
    pub(super) fn new(
        channel: ChannelId,
        epoch: Instant,
        roster: watch::Receiver<Arc<Roster>>,
        now: Instant,
    ) -> Self {
        Self {
            channel,
            epoch,
            roster,
            up: AtomicBool::new(false),
            state: Mutex::new(State {
                made: now,
                failed: None,
                said: false,
                drops: (0, 0),
                eased: (now, 0),
                flood: now,
            }),
        }
    }

    /// Whether the kernel keeps out what nobody here wants.
    pub(super) fn is_up(&self) -> bool {
        self.up.load(Relaxed)
    }

    /// There is a flood.
    pub(super) fn raise(&self, fd: BorrowedFd<'_>, now: Instant) {
        let mut state = self.lock();
        state.flood = now;
        let up = self.is_up();
        // If it comes through the shield, perhaps from somebody whom another shard has muzzled since.
        if up && now.saturating_duration_since(state.made) < WINDOW {
            return;
        }
        self.attach(fd, &mut state, now);
        if !up && self.is_up() {
            tracing::warn!(
                channel = self.channel.0,
                "a flood: it is kept out in the kernel"
            );
        }
    }

    /// Who is there, or who is muzzled, has changed.
    pub(super) fn renew(&self, fd: BorrowedFd<'_>, now: Instant) {
        let mut state = self.lock();
        if self.is_up() {
            self.attach(fd, &mut state, now);
        }
    }

    /// About once a second: narrows it to where everybody is by now, or takes it down after a calm.
    pub(super) fn ease(&self, fd: BorrowedFd<'_>, now: Instant) {
        let mut state = self.lock();
        let dropped = state.count_drops(fd).1;
        let (at, before) = std::mem::replace(&mut state.eased, (now, dropped));
        if !self.is_up() {
            return;
        }
        let millis = now.saturating_duration_since(at).as_millis() as u64;
        if (dropped - before) * 1000 > FLOOD * millis {
            state.flood = now;
        }
        match now.saturating_duration_since(state.flood) >= CALM {
            true => self.detach(fd),
            false => self.attach(fd, &mut state, now),
        }
    }

    /// How the socket's queues are, and all that the kernel dropped.
    pub(super) fn look(&self, fd: BorrowedFd<'_>) -> (Queues, u64) {
        self.lock().count_drops(fd)
    }

    fn attach(&self, fd: BorrowedFd<'_>, state: &mut State, now: Instant) {
        let rests = |failed| now.saturating_duration_since(failed) < CALM;
        if state.failed.is_some_and(rests) {
            return;
        }
        let since = now.saturating_duration_since(self.epoch);
        let failure = match sieve::program(&self.roster.borrow(), since) {
            Some(program) => socket::filter(fd, &program).err(),
            // What the kernel says of a program that is too long.
            None => Some(io::ErrorKind::InvalidInput.into()),
        };
        state.failed = failure.is_some().then_some(now);
        match failure {
            None => {
                state.made = now;
                self.up.store(true, Relaxed);
            }
            Some(error) => {
                self.detach(fd);
                if !std::mem::replace(&mut state.said, true) {
                    tracing::warn!(
                        channel = self.channel.0,
                        %error,
                        "a flood cannot be kept out in the kernel"
                    );
                }
            }
        }
    }

    fn detach(&self, fd: BorrowedFd<'_>) {
        if self.up.swap(false, Relaxed) {
            // It fails only when there is none.
            socket::unfilter(fd).ok();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("nothing panics under the shield")
    }
}

impl State {
    fn count_drops(&mut self, fd: BorrowedFd<'_>) -> (Queues, u64) {
        let queues = socket::queues(fd);
        let (before, sum) = self.drops;
        let sum = sum + u64::from(queues.drops.wrapping_sub(before));
        self.drops = (queues.drops, sum);
        (queues, sum)
    }
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use super::*;

    #[test]
    fn a_shield_that_cannot_be_raised_is_left_alone_for_a_while() {
        let fd = socket::open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let (_roster, reader) = watch::channel(Arc::default());
        let now = Instant::now();
        let after = |seconds| now + Duration::from_secs(seconds);
        let shield = Shield::new(ChannelId(1), now, reader, now);
        socket::lock_filter(fd.as_fd()).unwrap();
        for (at, tried) in [(0, 0), (1, 0), (9, 0), (10, 10), (11, 10), (20, 20)] {
            shield.raise(fd.as_fd(), after(at));
            assert!(!shield.is_up());
            let state = shield.lock();
            assert_eq!((state.failed, state.said), (Some(after(tried)), true));
        }
    }
}
