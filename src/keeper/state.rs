//! One game's life under its keeper. Decides; never acts. The clock is a parameter.
//!
//! ```text
//!            ┌───────────────────────── Restart ended, or back-off over ───────────────────┐
//!            ▼                                                                             │
//! new ──► Starting ──Ready──► Up ──Stop/Restart──► Stopping ──Ended──► then? ── again ─────┤
//!            │ │               │    (from either)    │  ▲                │                 │
//!            │ └─not ready─────┼────────────────────►│  │ past deadline:  ├── Down          │
//!            │   (terminate)   │                     └──┘ ask → SIGTERM   │                 │
//!            └──Ended──┬───────┘                          → kill, kill…   └── policy ──┐    │
//!                      └──────────────────► policy ◄──────────────────────────────────┘    │
//!                                             │  ├── may run again ──► Backoff ────────────┤
//!                                             │  │                       └─Stop/Kill─► Down
//!                                             │  └── first end in the window: at once ─────┘
//!                                             └── policy or limit says no ──► Failed
//! ```
//!
//! `Down` and `Failed` are for ever: the keeper ends there. A process lives exactly in `Starting`, `Up` and `Stopping`.

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use super::{Phase, Spec};
use crate::hosting::Restart;

/// The longest pause between two starts.
const LONGEST: Duration = Duration::from_secs(60);
/// How often everything is killed again, when something does not die.
const INSIST: Duration = Duration::from_millis(250);
/// Ends that are remembered when no limit says fewer.
const REMEMBERED: usize = 64;

/// The part of a [`Spec`] that decisions are made by.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    pub(crate) ready_timeout: Duration,
    pub(crate) stop_timeout: Duration,
    pub(crate) term_timeout: Duration,
    pub(crate) restart: Restart,
    pub(crate) limit: u32,
    pub(crate) window: Duration,
}

impl From<&Spec> for Rules {
    fn from(spec: &Spec) -> Self {
        Self {
            ready_timeout: spec.ready_timeout,
            stop_timeout: spec.stop_timeout,
            term_timeout: spec.term_timeout,
            restart: spec.restart,
            limit: spec.limit,
            window: spec.window,
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Starting {
        ready_by: Instant,
    },
    Up,
    Stopping {
        pressed: Press,
        until: Instant,
        then: Then,
    },
    Backoff {
        retry_at: Instant,
    },
    Down,
    Failed,
}

/// How hard a game is being asked to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Press {
    Asked,
    Terminated,
    Killed,
}

/// What follows when it has gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Then {
    Down,
    Start,
    Policy,
}

/// What happened.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Event {
    /// The game said that players may come.
    Ready,
    /// Nothing of the game is left.
    Ended {
        /// It ended with exit code 0.
        clean: bool,
    },
    /// It could not be started at all.
    Unborn,
    /// Somebody wants it down.
    Stop,
    /// Somebody wants it down and up again.
    Restart,
    /// Somebody wants it dead.
    Kill,
    /// Time has passed.
    Tick,
}

/// What must now be done to the world.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Effect {
    Nothing,
    Spawn,
    /// Stop it in the definition's way.
    Ask,
    /// SIGTERM to all of it.
    Terminate,
    /// SIGKILL to all of it.
    Kill,
}

/// The state, and the ends of the game within the window.
#[derive(Debug)]
pub(crate) struct Lifecycle {
    state: State,
    ends: VecDeque<Instant>,
}

impl Lifecycle {
    /// A game that is started just now: the caller spawns it.
    pub(crate) fn start(rules: &Rules, now: Instant) -> Self {
        let ready_by = now + rules.ready_timeout;
        Self {
            state: State::Starting { ready_by },
            ends: VecDeque::new(),
        }
    }

    /// The next state, and what to do about it.
    pub(crate) fn step(&mut self, event: Event, rules: &Rules, now: Instant) -> Effect {
        use {Event::*, State::*};
        let (next, effect) = match (self.state, event) {
            (Starting { .. }, Ready) => (Up, Effect::Nothing),
            (Starting { ready_by }, Tick) if now >= ready_by => {
                press(Press::Terminated, Then::Policy, rules, now)
            }
            (Starting { .. } | Up, Stop) => press(Press::Asked, Then::Down, rules, now),
            (Starting { .. } | Up, Restart) => press(Press::Asked, Then::Start, rules, now),
            (Starting { .. } | Up | Stopping { .. }, Kill) => {
                press(Press::Killed, Then::Down, rules, now)
            }
            (Starting { .. } | Up, Ended { clean }) => self.by_policy(clean, 0, rules, now),
            // What cannot be started now cannot be started a moment later either.
            (Starting { .. }, Unborn) => self.by_policy(false, 1, rules, now),

            // The last word counts for what follows, but never makes the going any gentler.
            (Stopping { pressed, until, .. }, Stop) => {
                let then = Then::Down;
                (
                    Stopping {
                        pressed,
                        until,
                        then,
                    },
                    Effect::Nothing,
                )
            }
            (Stopping { pressed, until, .. }, Restart) => {
                let then = Then::Start;
                (
                    Stopping {
                        pressed,
                        until,
                        then,
                    },
                    Effect::Nothing,
                )
            }
            (
                Stopping {
                    pressed,
                    until,
                    then,
                },
                Tick,
            ) if now >= until => press(pressed.harder(), then, rules, now),
            (Stopping { then, .. }, Ended { .. }) => match then {
                Then::Down => (Down, Effect::Nothing),
                Then::Start => self.afresh(rules, now),
                // It ended because it was told to: that it ended well says nothing.
                Then::Policy => self.by_policy(false, 0, rules, now),
            },

            (Backoff { retry_at }, Tick) if now >= retry_at => spawn(rules, now),
            (Backoff { .. }, Stop | Kill) => (Down, Effect::Nothing),
            (Backoff { .. }, Restart) => self.afresh(rules, now),

            // Late or repeated news changes nothing.
            (Starting { .. }, Tick)
            | (Up, Ready | Unborn | Tick)
            | (Stopping { .. }, Ready | Unborn | Tick)
            | (Backoff { .. }, Ready | Ended { .. } | Unborn | Tick)
            | (Down | Failed, Ready | Ended { .. } | Unborn | Stop | Restart | Kill | Tick) => {
                (self.state, Effect::Nothing)
            }
        };
        self.state = next;
        effect
    }

    /// Somebody asked for this start: what went before does not count.
    fn afresh(&mut self, rules: &Rules, now: Instant) -> (State, Effect) {
        self.ends.clear();
        spawn(rules, now)
    }

    /// `least`: how many ends it counts as having been before, at least.
    fn by_policy(
        &mut self,
        clean: bool,
        least: usize,
        rules: &Rules,
        now: Instant,
    ) -> (State, Effect) {
        let again = match rules.restart {
            Restart::Never => false,
            Restart::OnFailure => !clean,
            Restart::Always => true,
        };
        if !again {
            return (State::Failed, Effect::Nothing);
        }
        let recent = |end: &Instant| now.saturating_duration_since(*end) < rules.window;
        self.ends.retain(recent);
        if self.ends.len() == REMEMBERED.max(rules.limit as usize) {
            self.ends.pop_front();
        }
        let before = self.ends.len();
        self.ends.push_back(now);
        if rules.limit != 0 && self.ends.len() >= rules.limit as usize {
            return (State::Failed, Effect::Nothing);
        }
        match pause(before.max(least)) {
            Duration::ZERO => spawn(rules, now),
            pause => {
                let retry_at = now + pause;
                (State::Backoff { retry_at }, Effect::Nothing)
            }
        }
    }

    /// What people are told.
    pub(crate) fn phase(&self) -> Phase {
        match self.state {
            State::Starting { .. } => Phase::Starting,
            State::Up => Phase::Up,
            State::Stopping { .. } => Phase::Stopping,
            State::Backoff { .. } => Phase::Backoff,
            State::Down => Phase::Down,
            State::Failed => Phase::Failed,
        }
    }

    /// When `Tick` is next worth sending.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Starting { ready_by: at }
            | State::Stopping { until: at, .. }
            | State::Backoff { retry_at: at } => Some(at),
            State::Up | State::Down | State::Failed => None,
        }
    }

    /// Whether the game goes because it was killed, not because it was asked.
    pub(crate) fn killing(&self) -> bool {
        matches!(
            self.state,
            State::Stopping {
                pressed: Press::Killed,
                ..
            }
        )
    }

    /// Whether it goes because somebody said so, not because it was never ready.
    pub(crate) fn told(&self) -> bool {
        matches!(
            self.state,
            State::Stopping {
                then: Then::Down | Then::Start,
                ..
            }
        )
    }

    /// Whether it is the limit that keeps it down, not its policy.
    pub(crate) fn gave_up(&self, rules: &Rules) -> bool {
        rules.limit != 0 && self.ends.len() >= rules.limit as usize
    }

    /// Ends within the window, the last one included.
    pub(crate) fn ends(&self) -> usize {
        self.ends.len()
    }
}

impl Press {
    fn harder(self) -> Self {
        match self {
            Self::Asked => Self::Terminated,
            Self::Terminated | Self::Killed => Self::Killed,
        }
    }
}

fn press(pressed: Press, then: Then, rules: &Rules, now: Instant) -> (State, Effect) {
    let (wait, effect) = match pressed {
        Press::Asked => (rules.stop_timeout, Effect::Ask),
        Press::Terminated => (rules.term_timeout, Effect::Terminate),
        Press::Killed => (INSIST, Effect::Kill),
    };
    let until = now + wait;
    (
        State::Stopping {
            pressed,
            until,
            then,
        },
        effect,
    )
}

fn spawn(rules: &Rules, now: Instant) -> (State, Effect) {
    let ready_by = now + rules.ready_timeout;
    (State::Starting { ready_by }, Effect::Spawn)
}

/// Before the next start, after so many other ends within the window: nothing, 1 s, 2 s, 4 s, … 60 s.
fn pause(before: usize) -> Duration {
    match before {
        0 => Duration::ZERO,
        n => Duration::from_secs(1 << (n - 1).min(6)).min(LONGEST),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const RULES: Rules = Rules {
        ready_timeout: Duration::from_secs(30),
        stop_timeout: Duration::from_secs(10),
        term_timeout: Duration::from_secs(5),
        restart: Restart::Always,
        limit: 5,
        window: Duration::from_secs(600),
    };
    const DIRTY: Event = Event::Ended { clean: false };

    fn secs(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn the_first_end_is_answered_at_once_and_later_ones_ever_more_slowly_until_the_limit() {
        let mut now = Instant::now();
        let mut life = Lifecycle::start(&RULES, now);
        assert_eq!(life.step(DIRTY, &RULES, now), Effect::Spawn);
        for wait in [1, 2, 4] {
            assert_eq!(life.step(DIRTY, &RULES, now), Effect::Nothing);
            assert_eq!(life.phase(), Phase::Backoff);
            now += secs(wait) - Duration::from_nanos(1);
            assert_eq!(life.step(Event::Tick, &RULES, now), Effect::Nothing);
            now += Duration::from_nanos(1);
            assert_eq!(life.step(Event::Tick, &RULES, now), Effect::Spawn);
        }
        assert_eq!(life.step(DIRTY, &RULES, now), Effect::Nothing);
        assert_eq!(life.phase(), Phase::Failed);
        assert_eq!(life.ends(), 5);
    }

    #[test]
    fn an_end_after_a_window_of_quiet_is_a_first_one_again() {
        let mut now = Instant::now();
        let mut life = Lifecycle::start(&RULES, now);
        for _ in 0..100 {
            assert_eq!(life.step(DIRTY, &RULES, now), Effect::Spawn);
            now += RULES.window;
        }
    }

    #[test]
    fn a_stop_presses_ever_harder() {
        let mut now = Instant::now();
        let mut life = Lifecycle::start(&RULES, now);
        assert_eq!(life.step(Event::Stop, &RULES, now), Effect::Ask);
        assert_eq!(life.step(Event::Tick, &RULES, now), Effect::Nothing);
        now += RULES.stop_timeout;
        assert_eq!(life.step(Event::Tick, &RULES, now), Effect::Terminate);
        assert!(!life.killing());
        now += RULES.term_timeout;
        for _ in 0..3 {
            assert_eq!(life.step(Event::Tick, &RULES, now), Effect::Kill);
            assert!(life.killing());
            now += INSIST;
        }
        assert_eq!(life.step(DIRTY, &RULES, now), Effect::Nothing);
        assert_eq!(life.phase(), Phase::Down);
    }

    #[test]
    fn never_becoming_ready_is_a_failure_even_when_it_then_ends_well() {
        let rules = Rules {
            restart: Restart::OnFailure,
            ..RULES
        };
        let now = Instant::now();
        let mut life = Lifecycle::start(&rules, now);
        let late = now + rules.ready_timeout;
        assert_eq!(life.step(Event::Tick, &rules, late), Effect::Terminate);
        assert!(!life.told());
        let clean = Event::Ended { clean: true };
        assert_eq!(life.step(clean, &rules, late), Effect::Spawn);
    }

    #[test]
    fn what_cannot_be_started_is_not_tried_again_at_once() {
        let rules = Rules {
            window: Duration::ZERO,
            limit: 0,
            ..RULES
        };
        let now = Instant::now();
        let mut life = Lifecycle::start(&rules, now);
        assert_eq!(life.step(Event::Unborn, &rules, now), Effect::Nothing);
        assert_eq!(life.deadline(), Some(now + secs(1)));
    }

    #[test]
    fn policies_leave_what_they_should_leave() {
        for (restart, clean, again) in [
            (Restart::Never, true, false),
            (Restart::Never, false, false),
            (Restart::OnFailure, true, false),
            (Restart::OnFailure, false, true),
            (Restart::Always, true, true),
            (Restart::Always, false, true),
        ] {
            let rules = Rules { restart, ..RULES };
            let now = Instant::now();
            let mut life = Lifecycle::start(&rules, now);
            let effect = life.step(Event::Ended { clean }, &rules, now);
            assert_eq!(effect == Effect::Spawn, again, "{restart:?} {clean}");
            assert_eq!(life.phase() == Phase::Failed, !again);
        }
    }

    #[test]
    fn a_restart_during_a_stop_starts_it_and_a_stop_during_a_restart_does_not() {
        let now = Instant::now();
        let clean = Event::Ended { clean: true };
        for (words, last) in [
            ([Event::Stop, Event::Restart], Effect::Spawn),
            ([Event::Restart, Event::Stop], Effect::Nothing),
            ([Event::Restart, Event::Kill], Effect::Nothing),
        ] {
            let mut life = Lifecycle::start(&RULES, now);
            for word in words {
                life.step(word, &RULES, now);
            }
            assert_eq!(life.step(clean, &RULES, now), last, "{words:?}");
        }
    }

    fn event() -> impl Strategy<Value = Event> {
        prop_oneof![
            3 => Just(Event::Ready),
            3 => any::<bool>().prop_map(|clean| Event::Ended { clean }),
            1 => Just(Event::Unborn),
            1 => Just(Event::Stop),
            1 => Just(Event::Restart),
            1 => Just(Event::Kill),
            4 => Just(Event::Tick),
        ]
    }

    fn rules() -> impl Strategy<Value = Rules> {
        let restart = prop_oneof![
            Just(Restart::Never),
            Just(Restart::OnFailure),
            Just(Restart::Always)
        ];
        (restart, 0u32..8, 0u64..100, 0u64..20).prop_map(|(restart, limit, window, timeout)| {
            Rules {
                ready_timeout: secs(timeout + 1),
                stop_timeout: secs(timeout),
                term_timeout: secs(timeout / 2),
                restart,
                limit,
                window: secs(window),
            }
        })
    }

    fn history() -> impl Strategy<Value = Vec<(Event, u64)>> {
        prop::collection::vec((event(), 0u64..20), 0..120)
    }

    proptest! {
        /// A process is spawned only when there is none; after the last word Stop or Kill nothing is ever started;
        /// without anybody's word, a window never holds `limit` starts after an end; Down and Failed are for ever.
        #[test]
        fn whatever_happens_the_promises_hold(rules in rules(), history in history()) {
            let mut now = Instant::now();
            let mut life = Lifecycle::start(&rules, now);
            let (mut lives, mut unwanted, mut asked, mut over) = (true, false, false, false);
            let mut ends: Vec<Instant> = Vec::new();
            for (event, pass) in history {
                now += secs(pass);
                if matches!(event, Event::Ended { .. }) && !lives { continue }
                if event == Event::Unborn && life.phase() != Phase::Starting { continue }
                match event {
                    Event::Stop | Event::Kill => (unwanted, asked) = (true, false),
                    Event::Restart => {
                        unwanted = false;
                        asked = true;
                    }
                    Event::Ended { .. } | Event::Unborn => {
                        lives = false; ends.push(now); }
                    Event::Ready | Event::Tick => {}
                }
                let effect = life.step(event, &rules, now);
                if effect == Effect::Spawn {
                    prop_assert!(!lives, "two processes");
                    prop_assert!(!unwanted, "started after a stop");
                    prop_assert!(!over, "started after the end");
                    if std::mem::take(&mut asked) {
                        ends.clear(); // a start that somebody asked for begins anew
                    }
                    let recent = ends.iter().filter(|&&e| now - e < rules.window).count();
                    prop_assert!(rules.limit == 0 || recent < rules.limit as usize, "limit");
                    lives = true;
                }
                over |= matches!(life.phase(), Phase::Down | Phase::Failed);
                let should_live = matches!(life.phase(), Phase::Starting | Phase::Up | Phase::Stopping);
                prop_assert_eq!(lives, should_live);
                prop_assert_eq!(life.deadline().is_none(), over || life.phase() == Phase::Up);
            }
        }

        /// From anywhere: a stop reaches Down within four deadlines of a game that only SIGKILL ends, a kill within one.
        #[test]
        fn a_stop_and_a_kill_always_end_it(rules in rules(), history in history(), kill: bool) {
            let mut now = Instant::now();
            let mut life = Lifecycle::start(&rules, now);
            for (event, pass) in history {
                now += secs(pass);
                life.step(event, &rules, now);
            }
            let mut effect = life.step(if kill { Event::Kill } else { Event::Stop }, &rules, now);
            for _ in 0..4 {
                if effect == Effect::Kill {
                    effect = life.step(DIRTY, &rules, now);
                } else if let Some(deadline) = life.deadline() {
                    now = now.max(deadline);
                    effect = life.step(Event::Tick, &rules, now);
                }
            }
            prop_assert!(matches!(life.phase(), Phase::Down | Phase::Failed));
            prop_assert_eq!(effect, Effect::Nothing);
        }
    }
}
