//! Whose turn it is to compute: two at once, and each door in a line of its own.
//!
//! ```text
//!  lobby   ─► at most 4096 ─► first come, first served ─► 4 at the head ─┐
//!                  │ more: Busy                │ 120 s: Busy              ├─► 2 turns, in order
//!  others  ─► at most 1024 ─► first come, first served ─► 4 at the head ─┘
//!                                              │ 10 s: Busy
//! ```
//!
//! Only the heads of the lines stand before the turns, so that they alternate: a crowd that logs in to
//! the lobby at the same moment waits for its own, and not the web for the crowd. Who goes away leaves
//! their place by dropping the future.
//!
//! The memory of a computation goes from one to the next while anybody waits, because to have it anew
//! from the system takes half as long again as the computation. The last one out gives all of it back.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use argon2::Block;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::AccountsError;
use crate::audit::Door;

/// Computations at once: they may take this much of the machine, and no more.
const AT_ONCE: usize = 2;
/// How many of one line stand before the turns: enough that none is idle while anybody waits.
const HEADS: usize = 2 * AT_ONCE;

/// The lines, and the turns that they lead to.
#[derive(Debug, Clone)]
pub(super) struct Turns(Arc<Lines>);

#[derive(Debug)]
struct Lines {
    lobby: Line,
    others: Line,
    turns: Arc<Semaphore>,
    /// Memory for whoever is next. Locked to take some or to put it back.
    spare: Mutex<Vec<Vec<Block>>>,
}

/// Semaphores of tokio are fair: who asked first is served first.
#[derive(Debug)]
struct Line {
    places: Arc<Semaphore>,
    heads: Arc<Semaphore>,
    /// How long somebody waits for their turn.
    patience: Duration,
}

/// One's turn to compute; it ends when this is dropped.
pub(super) struct Turn {
    lines: Arc<Lines>,
    memory: Vec<Block>,
    _turn: OwnedSemaphorePermit,
    _head: OwnedSemaphorePermit,
    _place: OwnedSemaphorePermit,
    /// After all of them.
    _leaving: Leaving,
}

/// One who stands in a line or computes. Dropped after all that they held, so that of those who leave together the last
/// one sees that nobody is left.
struct Leaving(Arc<Lines>);

impl Line {
    fn new(places: usize, patience: Duration) -> Self {
        Self {
            places: Arc::new(Semaphore::new(places)),
            heads: Arc::new(Semaphore::new(HEADS)),
            patience,
        }
    }
}

impl Lines {
    fn spare(&self) -> MutexGuard<'_, Vec<Vec<Block>>> {
        self.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether anybody stands in a line or computes.
    fn is_busy(&self) -> bool {
        let free = [&self.lobby, &self.others].map(|line| line.heads.available_permits());
        free.iter().sum::<usize>() < 2 * HEADS
    }
}

impl Turn {
    /// So many blocks of 1 KiB to compute in, with whatever is in them.
    pub(super) fn memory(&mut self, blocks: usize) -> &mut [Block] {
        if self.memory.len() < blocks {
            self.memory.resize(blocks, Block::default());
        }
        &mut self.memory[..blocks]
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.lines.spare().push(mem::take(&mut self.memory));
    }
}

impl Drop for Leaving {
    fn drop(&mut self) {
        // Looked at under the lock: whoever comes to it later sees what all before have let go of.
        let mut spare = self.0.spare();
        if !self.0.is_busy() {
            *spare = Vec::new();
        }
    }
}

impl Turns {
    pub(super) fn new() -> Self {
        Self::of(Line::new(4096, Duration::from_secs(120)))
    }

    fn of(lobby: Line) -> Self {
        Self(Arc::new(Lines {
            // A computation costs some 28 ms of a core: as many as get through in that time on two of them,
            // while others use those too.
            lobby,
            // A request has its answer while somebody still looks at it.
            others: Line::new(1024, Duration::from_secs(10)),
            turns: Arc::new(Semaphore::new(AT_ONCE)),
            spare: Mutex::default(),
        }))
    }

    /// Waits for a turn, but neither for ever nor in a line without end.
    pub(super) async fn take(&self, door: Door) -> Result<Turn, AccountsError> {
        let lines = &self.0;
        let line = match door {
            Door::Lobby => &lines.lobby,
            Door::Control | Door::Web | Door::Box | Door::Voice | Door::Rpc => &lines.others,
        };
        let place = Arc::clone(&line.places).try_acquire_owned();
        let place = place.map_err(|_| AccountsError::Busy)?;
        let turn = async {
            let leaving = Leaving(Arc::clone(lines));
            let head = Arc::clone(&line.heads).acquire_owned().await;
            let turn = Arc::clone(&lines.turns).acquire_owned().await;
            Turn {
                lines: Arc::clone(lines),
                memory: lines.spare().pop().unwrap_or_default(),
                _turn: turn.expect("never closed"),
                _head: head.expect("never closed"),
                _place: place,
                _leaving: leaving,
            }
        };
        let turn = tokio::time::timeout(line.patience, turn).await;
        turn.map_err(|_| AccountsError::Busy)
    }
}

#[cfg(test)]
mod tests {
    use std::{
        pin::pin,
        sync::Mutex,
        task::{Context, Poll, Waker},
    };

    use super::*;

    const STORM: usize = 1000;

    /// A computation takes this long.
    const WORK: Duration = Duration::from_millis(50);

    #[tokio::test(start_paused = true)]
    async fn a_third_at_once_waits_and_then_is_told_to_come_back() {
        let turns = Turns::new();
        let first = turns.take(Door::Web).await.unwrap();
        let _second = turns.take(Door::Web).await.unwrap();
        let begun = tokio::time::Instant::now();
        let third = turns.take(Door::Web).await;
        assert!(matches!(third, Err(AccountsError::Busy)));
        assert_eq!(begun.elapsed().as_secs(), 10);
        drop(first);
        assert!(turns.take(Door::Web).await.is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn a_storm_on_the_lobby_is_served_in_order_and_the_web_does_not_wait_for_it() {
        let turns = Turns::new();
        let served = Arc::new(Mutex::new(Vec::new()));
        let mut storm = tokio::task::JoinSet::new();
        for n in 0..STORM {
            let (turns, served) = (turns.clone(), served.clone());
            storm.spawn(async move {
                let turn = turns.take(Door::Lobby).await.unwrap();
                served.lock().unwrap().push(n);
                tokio::time::sleep(WORK).await;
                drop(turn);
            });
        }
        tokio::task::yield_now().await;
        let begun = tokio::time::Instant::now();
        turns.take(Door::Web).await.unwrap();
        assert!(begun.elapsed() <= 4 * WORK, "{:?}", begun.elapsed());
        storm.join_all().await;
        assert_eq!(*served.lock().unwrap(), (0..STORM).collect::<Vec<_>>());
        let least = WORK * u32::try_from(STORM / AT_ONCE).unwrap();
        assert!(begun.elapsed() >= least && begun.elapsed() < least + 4 * WORK);
    }

    #[tokio::test(start_paused = true)]
    async fn a_line_has_an_end_and_who_goes_away_leaves_their_place() {
        let turns = Turns::of(Line::new(5, Duration::from_secs(120)));
        let held = [
            turns.take(Door::Lobby).await.unwrap(),
            turns.take(Door::Lobby).await.unwrap(),
        ];
        let mut asleep = Context::from_waker(Waker::noop());
        {
            let mut waiters: Vec<_> = (0..3).map(|_| Box::pin(turns.take(Door::Lobby))).collect();
            for waiter in &mut waiters {
                assert!(waiter.as_mut().poll(&mut asleep).is_pending());
            }
            // The line is full at once, and the web's is another.
            let late = pin!(turns.take(Door::Lobby)).poll(&mut asleep);
            assert!(matches!(late, Poll::Ready(Err(AccountsError::Busy))));
            assert!(pin!(turns.take(Door::Web)).poll(&mut asleep).is_pending());
        }
        // All three have hung up; the next in line is the first.
        let mut next = pin!(turns.take(Door::Lobby));
        assert!(next.as_mut().poll(&mut asleep).is_pending());
        drop(held);
        next.await.unwrap();
        assert_eq!(turns.0.lobby.places.available_permits(), 5);
        assert_eq!(turns.0.lobby.heads.available_permits(), HEADS);
        assert_eq!(turns.0.turns.available_permits(), AT_ONCE);
    }

    #[tokio::test(start_paused = true)]
    async fn memory_goes_to_whoever_is_next_and_back_to_the_system_when_nobody_waits() {
        let turns = Turns::new();
        let mut first = turns.take(Door::Lobby).await.unwrap();
        let second = turns.take(Door::Web).await.unwrap();
        assert_eq!(first.memory(4).len(), 4);
        drop(first);
        let mut third = turns.take(Door::Web).await.unwrap();
        assert_eq!(third.memory.len(), 4);
        assert_eq!(third.memory(8).len(), 8);
        assert_eq!(third.memory(2).len(), 2);
        drop(third);
        assert_eq!(turns.0.spare().len(), 1);
        drop(second);
        assert!(turns.0.spare().is_empty());
    }

    #[tokio::test]
    async fn no_memory_is_kept_for_who_went_away_instead_of_taking_it() {
        let turns = Turns::new();
        let held = [
            turns.take(Door::Lobby).await.unwrap(),
            turns.take(Door::Web).await.unwrap(),
        ];
        let mut next = Box::pin(turns.take(Door::Lobby));
        let mut asleep = Context::from_waker(Waker::noop());
        assert!(next.as_mut().poll(&mut asleep).is_pending());
        drop(held);
        assert_eq!(turns.0.spare().len(), 2);
        drop(next);
        assert!(turns.0.spare().is_empty());
    }

    #[tokio::test]
    async fn of_two_who_end_together_the_last_one_gives_the_memory_back() {
        let turns = Turns::new();
        for round in 0..500 {
            let one = turns.take(Door::Lobby).await.unwrap();
            let other = turns.take(Door::Web).await.unwrap();
            let together = std::sync::Barrier::new(2);
            std::thread::scope(|scope| {
                for turn in [one, other] {
                    let together = &together;
                    scope.spawn(move || {
                        together.wait();
                        drop(turn);
                    });
                }
            });
            assert!(turns.0.spare().is_empty(), "round {round}");
        }
    }
}
