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
    /// None is there: the last one gave up.
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
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The world outside: answers each effect with one of the events that it allows.
    #[derive(Default)]
    struct World {
        keeper: bool,
        /// Launches, looks, sweeps, moves and ticks that are not answered yet.
        pending: Vec<Effect>,
        launches: usize,
    }

    impl World {
        fn take(&mut self, turned: bool, effect: Option<Effect>) {
            if turned {
                self.pending.retain(|&pending| pending != Effect::Later);
            }
            match effect {
                Some(Effect::Launch) => {
                    assert!(!self.keeper, "launched while a keeper lives");
                    assert!(
                        !self.pending.contains(&Effect::Launch),
                        "launched while a launch is under way"
                    );
                    self.launches += 1;
                    self.pending.push(Effect::Launch);
                }
                Some(Effect::Move) => {
                    let busy = [
                        Effect::Look,
                        Effect::Launch,
                        Effect::Sweep,
                        Effect::Mount,
                        Effect::Unmount,
                    ];
                    let busy = self.pending.iter().any(|effect| busy.contains(effect));
                    assert!(!self.keeper && !busy, "moved while it may run");
                    self.pending.push(Effect::Move);
                }
                Some(
                    effect @ (Effect::Look
                    | Effect::Sweep
                    | Effect::Later
                    | Effect::Mount
                    | Effect::Unmount
                    | Effect::Stop
                    | Effect::Kill),
                ) => {
                    self.pending.push(effect);
                }
                Some(Effect::Cancel) | None => {}
            }
        }

        /// The event for the `n`th thing that may happen next; `luck` chooses among its outcomes.
        fn event(&mut self, n: usize, luck: u8) -> Option<Event> {
            if self.pending.is_empty() {
                // A keeper may end by itself at any time.
                let end = match luck % 8 {
                    0 => End::GaveUp,
                    1 => End::Died { young: true },
                    2 => End::Died { young: false },
                    _ => return None,
                };
                return std::mem::take(&mut self.keeper).then_some(Event::Lost(end));
            }
            let effect = self.pending.remove(n % self.pending.len());
            Some(match effect {
                Effect::Look if self.keeper && luck.is_multiple_of(4) => Event::Unreachable,
                Effect::Look if self.keeper => Event::FoundAlive,
                Effect::Look => {
                    [Event::FoundDown, Event::FoundFailed, Event::FoundDead][usize::from(luck % 3)]
                }
                Effect::Launch if luck.is_multiple_of(3) => Event::Unlaunched,
                Effect::Launch if luck.is_multiple_of(5) => Event::Hindered,
                Effect::Launch => {
                    self.keeper = true;
                    if luck.is_multiple_of(7) {
                        Event::Unreachable
                    } else {
                        Event::Launched
                    }
                }
                Effect::Stop | Effect::Kill => {
                    if !std::mem::take(&mut self.keeper) {
                        return None;
                    }
                    let died = luck.is_multiple_of(5);
                    Event::Lost(if died {
                        End::Died { young: false }
                    } else {
                        End::Stopped
                    })
                }
                Effect::Sweep if luck.is_multiple_of(5) => Event::Unswept,
                Effect::Sweep => Event::Swept,
                Effect::Move if luck.is_multiple_of(3) => Event::Unmoved,
                Effect::Move => Event::Moved,
                Effect::Mount => Event::Mounted,
                Effect::Unmount => Event::Unmounted,
                Effect::Later => Event::Tick,
                Effect::Cancel => return None,
            })
        }
    }

    fn wish() -> impl Strategy<Value = Event> {
        prop_oneof![
            5 => Just(Event::Start),
            4 => Just(Event::Stop),
            2 => Just(Event::Restart),
            2 => Just(Event::Kill),
            1 => Just(Event::Delete),
            2 => Just(Event::Mount),
            2 => Just(Event::Unmount),
        ]
    }

    /// Lets the world answer until nothing more is asked of it.
    fn rest(course: &mut Course, world: &mut World) {
        for _ in 0..1000 {
            if world.pending.is_empty() {
                return;
            }
            if let Some(event) = world.event(0, 1) {
                let (next, effect) = course.step(event);
                world.take(next.life != course.life, effect);
                *course = next;
            }
        }
        panic!("it never comes to rest: {course:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        /// Never two keepers; and whatever happened, in the end it is what was wanted last.
        #[test]
        fn the_last_wish_is_what_it_comes_to(
            keeper in any::<bool>(),
            up in any::<bool>(),
            steps in prop::collection::vec((prop::option::weighted(0.4, wish()), any::<usize>(), any::<u8>()), 0..60),
        ) {
            let want = if up { Want::Up } else { Want::Down };
            let mut course = Course { want, life: Life::Looking };
            let mut world = World { keeper, pending: vec![Effect::Look], launches: 0 };
            for (wish, n, luck) in steps {
                let Some(event) = wish.or_else(|| world.event(n, luck)) else { continue };
                let (next, effect) = course.step(event);
                world.take(next.life != course.life, effect);
                course = next;
            }
            rest(&mut course, &mut world);
            match course.want {
                Want::Up => prop_assert!(matches!(course.life, Life::Kept | Life::Failed), "{course:?}"),
                Want::Down => prop_assert_eq!(course.life, Life::Down),
                Want::Gone => prop_assert_eq!(course.life, Life::Gone),
            }
            prop_assert_eq!(world.keeper, course.life == Life::Kept);
        }
    }

    fn after(life: Life, want: Want, events: &[Event]) -> (Course, Vec<Effect>) {
        let mut course = Course { want, life };
        let mut effects = Vec::new();
        for &event in events {
            let (next, effect) = course.step(event);
            course = next;
            effects.extend(effect);
        }
        (course, effects)
    }

    #[test]
    fn starting_twice_at_once_is_one_start() {
        let (course, effects) = after(Life::Down, Want::Down, &[Event::Start, Event::Start]);
        assert_eq!(
            (course.life, effects),
            (Life::Launching, vec![Effect::Launch])
        );
    }

    #[test]
    fn a_start_while_mounting_waits_for_it_and_a_stop_ends_it() {
        let mount = [Event::Mount, Event::Start, Event::Mounted];
        let (course, effects) = after(Life::Down, Want::Down, &mount);
        assert_eq!(course.life, Life::Launching);
        assert_eq!(effects, [Effect::Mount, Effect::Launch]);
        let stop = [Event::Mount, Event::Stop, Event::Mounted];
        let (course, effects) = after(Life::Down, Want::Down, &stop);
        assert_eq!(course.life, Life::Down);
        assert_eq!(effects, [Effect::Mount, Effect::Cancel]);
    }

    #[test]
    fn nothing_is_given_back_while_something_may_run() {
        for life in [Life::Looking, Life::Launching, Life::Kept, Life::Ending] {
            let (course, effects) = after(life, Want::Up, &[Event::Unmount]);
            assert_eq!((course.life, effects), (life, vec![]));
        }
    }

    #[test]
    fn a_start_while_stopping_is_done_after_the_stop() {
        let lost = Event::Lost(End::Stopped);
        let (course, effects) = after(Life::Kept, Want::Up, &[Event::Stop, Event::Start, lost]);
        assert_eq!(course.life, Life::Launching);
        assert_eq!(effects, [Effect::Stop, Effect::Launch]);
    }

    #[test]
    fn a_stop_during_a_start_wins() {
        let (course, effects) = after(
            Life::Down,
            Want::Down,
            &[Event::Start, Event::Stop, Event::Launched],
        );
        assert_eq!(course.life, Life::Ending);
        assert_eq!(effects, [Effect::Launch, Effect::Cancel, Effect::Stop]);
    }

    #[test]
    fn a_keeper_that_died_is_replaced_at_once_and_one_that_died_young_a_second_later() {
        let died = |young| Event::Lost(End::Died { young });
        assert_eq!(
            after(Life::Kept, Want::Up, &[died(false)]).1,
            [Effect::Launch]
        );
        assert_eq!(
            after(Life::Kept, Want::Up, &[died(true), Event::Tick]).1,
            [Effect::Later, Effect::Launch]
        );
    }

    #[test]
    fn a_keeper_that_may_live_is_looked_for_before_anything_is_launched_or_moved() {
        let (course, effects) = after(
            Life::Down,
            Want::Down,
            &[Event::Start, Event::Unreachable, Event::Delete, Event::Tick],
        );
        assert_eq!(course.life, Life::Looking);
        assert_eq!(effects, [Effect::Launch, Effect::Later, Effect::Look]);
        let died = Event::Lost(End::Died { young: false });
        let (course, effects) = after(Life::Ending, Want::Down, &[died, Event::Unswept]);
        assert_eq!(course.life, Life::Looking);
        assert_eq!(effects, [Effect::Sweep, Effect::Later]);
    }

    #[test]
    fn what_the_box_hindered_is_tried_again_until_somebody_stops_it() {
        let (course, effects) = after(
            Life::Launching,
            Want::Up,
            &[Event::Hindered, Event::Tick, Event::Hindered, Event::Stop],
        );
        assert_eq!(course.life, Life::Sweeping);
        use Effect::*;
        assert_eq!(effects, [Later, Launch, Later, Sweep]);
    }

    #[test]
    fn what_policy_gave_up_stays_failed_over_a_restart_of_the_daemon() {
        let (course, effects) = after(Life::Looking, Want::Up, &[Event::FoundFailed]);
        assert_eq!((course.life, effects), (Life::Failed, vec![]));
    }
}
