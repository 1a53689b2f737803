//! One server's life as hosting sees it: what should be, and what the worker reports. Decides; never acts.
//!
//! ```text
//!            Found alive                       Lost by itself (ended well, or its keeper died)
//! Looking ───────────────► Kept ◄─Launched─┐ ┌──────────────────────────────────┐
//!    │                      │ │            │ ▼                                  │
//!    │ Found ended          │ └──Stop───► Launching ◄──Tick── Waiting ◄── (a keeper that died young), Hindered
//!    ▼                      │ Restart      │ │  ▲
//!  Down ──────Start─────────┼──────────────┘ │  └─────Start── Failed ◄── Lost (policy or limit says so),
//!    ▲                      ▼        Stop:   ▼                           Unlaunched
//!    ├──────Lost───────── Ending ◄───────Canceling
//!    └──Swept── Sweeping ◄──Lost: its keeper died
//! Delete, once nothing runs: Moving ──Moved──► Gone
//! Mount, Unmount, when Down: Mounting ──Mounted──► Down, Unmounting ──Unmounted──► Down
//! ```
//!
//! Whatever leaves open whether a keeper lives leads to Looking. The keeper restarts its game by itself; none of that is
//! seen here.

/// What should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Want {
    Up,
    Down,
    Gone,
}

/// What is, as far as hosting knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Life {
    /// The daemon has just started, and looks whether a keeper is there.
    Looking,
    /// Nothing runs.
    Down,
    /// Nothing runs, and only somebody's word starts it again.
    Failed,
    /// The worker sweeps, installs, and starts a keeper.
    Launching,
    /// The same, but it was told to leave off.
    Canceling,
    /// A keeper has it.
    Kept,
    /// Its keeper was told to stop.
    Ending,
    /// Its keeper died young; it is launched again a moment later.
    Waiting,
    /// What a dead keeper left is being ended.
    Sweeping,
    /// The worker prepares it, and starts nothing.
    Mounting,
    /// What was prepared is being given back.
    Unmounting,
    /// Its folder is on its way to the recycle bin.
    Moving,
    /// Not among the servers any more.
    Gone,
}

/// How a keeper ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum End {
    /// It was told to, or its game was.
    Stopped,
    /// By policy or limit.
    GaveUp,
    /// Without a word.
    Died {
        /// Within its first second.
        young: bool,
    },
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Event {
    Start,
    Stop,
    Restart,
    Kill,
    Delete,
    /// Prepare it, and start nothing.
    Mount,
    /// Give back what was prepared.
    Unmount,
    /// A keeper is there and was connected to.
    FoundAlive,
    /// None is there, and nothing of the server runs.
    FoundDown,
    /// None is there: the last one gave up, or the box has no room for another.
    FoundFailed,
    /// None is there: the last one died, and may have left something.
    FoundDead,
    /// One is there, but does not answer.
    Unreachable,
    Launched,
    /// No keeper runs, and only a person can help.
    Unlaunched,
    /// No keeper runs, and the next attempt may do better.
    Hindered,
    Lost(End),
    Swept,
    /// Something does not die, or is a keeper.
    Unswept,
    Moved,
    Unmoved,
    /// Preparing has ended, well or not.
    Mounted,
    /// Giving back has ended, well or not.
    Unmounted,
    /// A moment after [`Effect::Later`], if its life has not changed since.
    Tick,
}

/// What must now be done.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Effect {
    /// Look for its keeper: answered by one of the `Found` or `Unreachable`.
    Look,
    /// Answered by `Launched`, `Unlaunched`, `Hindered` or `Unreachable`.
    Launch,
    /// Make a launch leave off; it is still answered.
    Cancel,
    /// Tell the keeper; answered by `Lost`, in time.
    Stop,
    /// The same, at once, even of one that does not answer.
    Kill,
    /// Answered by `Swept` or `Unswept`.
    Sweep,
    /// Answered by `Moved` or `Unmoved`.
    Move,
    /// Answered by `Mounted`.
    Mount,
    /// Answered by `Unmounted`.
    Unmount,
    /// `Tick` in a second, or more when it was so before.
    Later,
}

/// What should be and what is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Course {
    pub(super) want: Want,
    pub(super) life: Life,
}

impl Course {
    /// Nothing runs; now go where the wish leads.
    fn settle(self) -> (Self, Option<Effect>) {
        use {Effect as E, Life as L, Want as W};
        match self.want {
            W::Up => self.to(L::Launching, E::Launch),
            W::Down => self.rest(L::Down),
            W::Gone => self.to(L::Moving, E::Move),
        }
    }

    /// A launch or a keeper is over, and something may be left: launching sweeps by itself.
    fn clear(self) -> (Self, Option<Effect>) {
        match self.want {
            Want::Up => self.settle(),
            Want::Down | Want::Gone => self.to(Life::Sweeping, Effect::Sweep),
        }
    }

    /// A keeper is there.
    fn kept(self) -> (Self, Option<Effect>) {
        match self.want {
            Want::Up => self.rest(Life::Kept),
            Want::Down | Want::Gone => self.to(Life::Ending, Effect::Stop),
        }
    }

    fn to(self, life: Life, effect: Effect) -> (Self, Option<Effect>) {
        (Self { life, ..self }, Some(effect))
    }

    fn rest(self, life: Life) -> (Self, Option<Effect>) {
        (Self { life, ..self }, None)
    }

    /// The next course, and the one thing to do for it.
    #[must_use]
    pub(super) fn step(mut self, event: Event) -> (Self, Option<Effect>) {
        use {Effect as E, Event::*, Life as L};
        self.want = match (self.want, event) {
            (Want::Gone, _) | (_, Delete) => Want::Gone,
            (_, Start | Restart) => Want::Up,
            (_, Stop | Kill) => Want::Down,
            (want, _) => want,
        };
        match (self.life, event) {
            (L::Looking, FoundAlive) => self.kept(),
            (L::Looking, FoundDown) => self.settle(),
            (L::Looking, FoundFailed) if self.want == Want::Up => self.rest(L::Failed),
            (L::Looking, FoundFailed) => self.settle(),
            (L::Looking, FoundDead) => self.clear(),
            (L::Looking, Unreachable) => self.to(L::Looking, E::Later),
            (L::Looking, Tick) => self.to(L::Looking, E::Look),
            (L::Looking, Kill) => self.to(L::Looking, E::Kill),

            (L::Down | L::Failed, Start | Stop | Restart | Kill | Delete) => self.settle(),

            (L::Down, Mount) => self.to(L::Mounting, E::Mount),
            (L::Down, Unmount) => self.to(L::Unmounting, E::Unmount),
            (L::Mounting, Stop | Kill | Delete) => self.to(L::Mounting, E::Cancel),
            (L::Mounting, Mounted) | (L::Unmounting, Unmounted) => self.settle(),

            (L::Launching, Stop | Kill | Delete) => self.to(L::Canceling, E::Cancel),
            (L::Launching | L::Canceling, Launched) => self.kept(),
            (L::Launching, Unlaunched) => self.rest(L::Failed),
            (L::Launching, Hindered) => self.to(L::Waiting, E::Later),
            (L::Canceling, Unlaunched | Hindered) => self.clear(),
            (L::Launching | L::Canceling, Unreachable) => self.to(L::Looking, E::Later),

            (L::Kept, Stop | Restart | Delete) => self.to(L::Ending, E::Stop),
            (L::Kept | L::Ending, Kill) => self.to(L::Ending, E::Kill),
            (L::Kept, Lost(End::GaveUp)) => self.rest(L::Failed),
            (L::Kept, Lost(End::Died { young: true })) => self.to(L::Waiting, E::Later),
            (L::Kept, Lost(_)) => self.settle(),

            (L::Ending, Lost(End::Died { .. })) => self.clear(),
            (L::Ending, Lost(End::Stopped | End::GaveUp)) => self.settle(),

            (L::Waiting, Tick | Start | Stop | Restart | Kill | Delete) => self.clear(),
            (L::Sweeping, Swept) => self.settle(),
            (L::Sweeping, Unswept) => self.to(L::Looking, E::Later),
            (L::Moving, Moved) => self.rest(L::Gone),
            (L::Moving, Unmoved) => self.to(L::Moving, E::Later),
            (L::Moving, Tick) => self.to(L::Moving, E::Move),

            // Wishes wait until what is under way has ended; late or repeated news changes nothing.
            (
                L::Canceling | L::Sweeping | L::Unmounting | L::Moving | L::Gone,
                Start | Stop | Restart | Kill | Delete,
            )
            | (L::Mounting, Start | Restart)
            | (L::Looking, Start | Stop | Restart | Delete)
            | (L::Launching, Start | Restart)
            | (L::Kept, Start)
            | (L::Ending, Start | Stop | Restart | Delete)
            | (
                _,
                FoundAlive | FoundDown | FoundFailed | FoundDead | Unreachable | Launched
                | Unlaunched | Hindered | Lost(_) | Swept | Unswept | Moved | Unmoved | Mount
                | Unmount | Mounted | Unmounted | Tick,
            ) => (self, None),
        }
    }
}

#[cfg(test)]
mod tests;
