//! What is due, what was missed, and when to look again. Pure: the wall clock comes in, and may jump either way.
//!
//! ```text
//!                 handled up to here           a quarter of an hour ago            now
//!  ───────────────────┼───────────────────────────────┼────────────────────────────┼──────► wall clock
//!                     │   missed: skipped, and told   │  the newest runs, once     │  not due yet
//! ```
//!
//! `floor` is where the search for what is due begins. It is what was handled, unless the clock was set back by a day
//! or more: then the clock had been wrong, and the search begins anew from what it shows now. A clock that is set back by
//! less is waited out. `handled` itself only ever grows.

use std::{collections::BTreeMap, time::Duration};

use super::{view::Why, when::Rhythm};
use crate::clock::UnixMillis;

/// How late something may still run.
pub(super) const GRACE: Duration = Duration::from_secs(15 * 60);
/// From here on, a clock that is set back was wrong before.
const FAR: Duration = Duration::from_secs(24 * 3600);

/// One schedule, as far as time goes.
#[derive(Debug)]
struct Entry {
    /// None: it does not run by itself.
    rhythm: Option<Rhythm>,
    handled: UnixMillis,
    floor: UnixMillis,
    /// The first moment after `floor`.
    next: Option<UnixMillis>,
    /// A run goes on.
    busy: bool,
}

impl Entry {
    fn search_from(&mut self, floor: UnixMillis) {
        self.floor = floor;
        self.next = self.rhythm.as_ref().and_then(|rhythm| rhythm.next(floor));
    }
}

/// What is to be done about one schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Due {
    pub(super) id: u64,
    /// To be run, having been due then.
    pub(super) run: Option<UnixMillis>,
    /// To be told: the first moment that is skipped, and why.
    pub(super) skip: Option<(UnixMillis, Why)>,
}

/// All schedules, by id.
#[derive(Debug, Default)]
pub(super) struct Agenda {
    entries: BTreeMap<u64, Entry>,
}

impl Agenda {
    /// Takes a schedule in, or anew. What was due up to `handled` is not looked at again.
    pub(super) fn put(&mut self, id: u64, rhythm: Option<Rhythm>, handled: UnixMillis) {
        let busy = self.entries.get(&id).is_some_and(|entry| entry.busy);
        let mut entry = Entry {
            rhythm,
            handled,
            floor: handled,
            next: None,
            busy,
        };
        entry.search_from(handled);
        self.entries.insert(id, entry);
    }

    pub(super) fn remove(&mut self, id: u64) {
        self.entries.remove(&id);
    }

    /// That a run of it began or ended.
    pub(super) fn busy(&mut self, id: u64, busy: bool) {
        if let Some(entry) = self.entries.get_mut(&id) {
            entry.busy = busy;
        }
    }

    /// When it is due next.
    pub(super) fn next(&self, id: u64) -> Option<UnixMillis> {
        self.entries.get(&id)?.next
    }

    /// When anything is due next.
    pub(super) fn wake(&self) -> Option<UnixMillis> {
        self.entries.values().filter_map(|entry| entry.next).min()
    }

    /// What is due at `now`. It stays due until it is [settled](Self::settle), which is after it was written down.
    pub(super) fn look(&mut self, now: UnixMillis) -> Vec<Due> {
        let mut all = Vec::new();
        for (id, entry) in &mut self.entries {
            if entry.floor < entry.handled && entry.handled <= now {
                entry.search_from(entry.handled);
            } else if entry.floor.since(now) >= FAR {
                entry.search_from(now);
            }
            all.extend(entry.due(*id, now));
        }
        all
    }

    /// Everything of `due` up to `now` has been dealt with.
    pub(super) fn settle(&mut self, due: &Due, now: UnixMillis) {
        if let Some(entry) = self.entries.get_mut(&due.id) {
            entry.handled = entry.handled.max(now);
            entry.busy |= due.run.is_some();
            entry.search_from(now);
        }
    }
}

impl Entry {
    fn due(&self, id: u64, now: UnixMillis) -> Option<Due> {
        let (rhythm, first) = (self.rhythm.as_ref()?, self.next?);
        if first > now {
            return None;
        }
        let grace = u64::try_from(GRACE.as_millis()).unwrap_or(u64::MAX);
        let open = UnixMillis(now.0.saturating_sub(grace));
        let mut moment = match first >= open {
            true => Some(first),
            false => rhythm.next(UnixMillis(open.0.saturating_sub(1))),
        };
        // At most one a minute, for a quarter of an hour.
        let mut newest = None;
        while let Some(due) = moment.filter(|due| *due <= now) {
            newest = Some(due);
            moment = rhythm.next(due);
        }
        let missed = (newest != Some(first)).then_some((first, Why::Missed));
        Some(match newest {
            Some(newest) if self.busy => Due {
                id,
                run: None,
                skip: Some((newest, Why::Busy)),
            },
            run => Due {
                id,
                run,
                skip: missed,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::tz::TimeZone;
    use proptest::prelude::*;

    use super::*;

    const MINUTE: u64 = 60_000;
    const HOUR: u64 = 60 * MINUTE;
    const DAY: u64 = 24 * HOUR;
    /// Midnight, UTC.
    const START: u64 = 1_780_012_800_000;

    fn rhythm(cron: &str) -> Rhythm {
        Rhythm::read(cron, TimeZone::UTC, UnixMillis(START)).unwrap()
    }

    fn agenda(cron: &str) -> Agenda {
        let mut agenda = Agenda::default();
        agenda.put(1, Some(rhythm(cron)), UnixMillis(START));
        agenda
    }

    /// What runs, and what is skipped from when on and why; times from the start.
    type Fallen = (Option<u64>, Option<(u64, Why)>);

    /// Looks, and settles what is due.
    fn at(agenda: &mut Agenda, now: u64) -> Vec<Fallen> {
        let now = UnixMillis(START + now);
        let all = agenda.look(now);
        for due in &all {
            agenda.settle(due, now);
        }
        let since = |moment: UnixMillis| moment.0 - START;
        all.iter()
            .map(|due| {
                (
                    due.run.map(since),
                    due.skip.map(|(first, why)| (since(first), why)),
                )
            })
            .collect()
    }

    #[test]
    fn what_is_due_runs_once_and_the_next_is_known() {
        let mut agenda = agenda("0 4 * * *");
        assert_eq!(agenda.wake(), Some(UnixMillis(START + 4 * HOUR)));
        assert_eq!(at(&mut agenda, 4 * HOUR - 1), []);
        assert_eq!(at(&mut agenda, 4 * HOUR), [(Some(4 * HOUR), None)]);
        agenda.busy(1, false);
        assert_eq!(at(&mut agenda, 4 * HOUR + 1), []);
        assert_eq!(agenda.next(1), Some(UnixMillis(START + DAY + 4 * HOUR)));
    }

    #[test]
    fn what_is_not_settled_stays_due() {
        let mut agenda = agenda("0 4 * * *");
        let now = UnixMillis(START + 4 * HOUR);
        assert_eq!(agenda.look(now), agenda.look(now));
        assert_eq!(agenda.look(now).len(), 1);
    }

    #[test]
    fn of_what_was_missed_the_newest_runs_if_it_is_not_too_old() {
        // An hour and a minute away, four times due.
        let mut often = agenda("*/15 * * * *");
        let missed = Some((15 * MINUTE, Why::Missed));
        assert_eq!(at(&mut often, HOUR + MINUTE), [(Some(HOUR), missed)]);
        assert_eq!(at(&mut often, HOUR + 2 * MINUTE), []);
        // Sixteen minutes late is too late.
        let mut nightly = agenda("0 4 * * *");
        let missed = Some((4 * HOUR, Why::Missed));
        assert_eq!(at(&mut nightly, 4 * HOUR + 16 * MINUTE), [(None, missed)]);
        let mut nightly = agenda("0 4 * * *");
        assert_eq!(
            at(&mut nightly, 4 * HOUR + 15 * MINUTE),
            [(Some(4 * HOUR), None)]
        );
    }

    #[test]
    fn a_run_that_goes_on_lets_the_next_be_skipped() {
        let mut agenda = agenda("*/5 * * * *");
        assert_eq!(at(&mut agenda, 5 * MINUTE), [(Some(5 * MINUTE), None)]);
        let busy = Some((10 * MINUTE, Why::Busy));
        assert_eq!(at(&mut agenda, 10 * MINUTE), [(None, busy)]);
        agenda.busy(1, false);
        assert_eq!(at(&mut agenda, 11 * MINUTE), []);
        assert_eq!(at(&mut agenda, 15 * MINUTE), [(Some(15 * MINUTE), None)]);
    }

    #[test]
    fn what_does_not_run_by_itself_is_never_due() {
        let mut agenda = Agenda::default();
        agenda.put(1, None, UnixMillis(START));
        assert_eq!(at(&mut agenda, 900 * DAY), []);
        assert_eq!((agenda.wake(), agenda.next(1)), (None, None));
        agenda.put(1, Some(rhythm("0 4 * * *")), UnixMillis(START + 900 * DAY));
        assert_eq!(at(&mut agenda, 900 * DAY + HOUR), []);
        agenda.remove(1);
        assert_eq!(at(&mut agenda, 999 * DAY), []);
    }

    #[test]
    fn a_clock_that_starts_in_1970_and_is_set_right_repeats_nothing() {
        let mut agenda = agenda("0 4 * * *");
        assert_eq!(at(&mut agenda, 4 * HOUR).len(), 1);
        agenda.busy(1, false);
        // As after a start: only what was written down is known.
        agenda.put(1, Some(rhythm("0 4 * * *")), UnixMillis(START + 4 * HOUR));
        assert_eq!(agenda.look(UnixMillis(5 * MINUTE)), []);
        assert_eq!(at(&mut agenda, 4 * HOUR + 5 * MINUTE), []);
        assert_eq!(
            at(&mut agenda, DAY + 4 * HOUR),
            [(Some(DAY + 4 * HOUR), None)]
        );
    }

    #[test]
    fn a_clock_that_was_years_ahead_stops_nothing_when_it_is_set_right() {
        let mut agenda = agenda("0 4 * * *");
        assert_eq!(at(&mut agenda, 4000 * DAY).len(), 1);
        agenda.busy(1, false);
        assert_eq!(at(&mut agenda, HOUR), []);
        assert_eq!(at(&mut agenda, 4 * HOUR), [(Some(4 * HOUR), None)]);
    }

    /// What may happen to a box.
    #[derive(Debug, Clone)]
    enum Turn {
        /// Time passes, as it does while the service looks when it has to.
        Pass(u64),
        /// The clock is set, or the box was off.
        Forward(u64),
        Back(u64),
        Ended,
        /// The daemon starts anew.
        Start,
    }

    fn turn() -> impl Strategy<Value = Turn> {
        prop_oneof![
            6 => (1..20 * MINUTE).prop_map(Turn::Pass),
            1 => (1..3 * DAY).prop_map(Turn::Forward),
            1 => (1..DAY).prop_map(Turn::Back),
            3 => Just(Turn::Ended),
            1 => Just(Turn::Start),
        ]
    }

    proptest! {
        /// However the clock is set by less than a day: nothing runs twice, nothing while a run goes on, nothing before its
        /// time or too late; and while time just passes, everything that comes due runs or is told.
        #[test]
        fn nothing_runs_twice_and_nothing_is_lost(
            cron in prop::sample::select(&["* * * * *", "*/7 * * * *", "0 4 * * *", "30 */3 * * 1-5"][..]),
            turns in prop::collection::vec(turn(), 1..80),
        ) {
            let rhythm = rhythm(cron);
            let mut agenda = agenda(cron);
            let (mut now, mut highest, mut running) = (START, START, false);
            let mut ran = BTreeSet::new();
            let mut told = BTreeMap::new();
            for turn in turns {
                let mut steps = Vec::new();
                match turn {
                    Turn::Pass(time) => {
                        // The service wakes for each moment that it was told of.
                        let end = now + time;
                        while let Some(wake) = agenda.wake().filter(|wake| wake.0 > now && wake.0 <= end) {
                            steps.push(wake.0);
                            now = wake.0;
                            look(&mut agenda, now, &rhythm, &mut running, &mut ran, &mut told)?;
                            if now > highest {
                                let is_told = ran.contains(&now) || told.contains_key(&now);
                                prop_assert!(is_told, "what was due at {now} is lost");
                            }
                            highest = highest.max(now);
                        }
                        now = end;
                    }
                    Turn::Forward(time) => now += time,
                    Turn::Back(time) => {
                        let left = DAY - 1 - (highest - now);
                        now -= time.min(left).min(now - START);
                    }
                    Turn::Ended => {
                        running = false;
                        agenda.busy(1, false);
                    }
                    Turn::Start => {
                        running = false;
                        let handled = agenda.entries[&1].handled;
                        agenda = Agenda::default();
                        agenda.put(1, Some(rhythm.clone()), handled);
                    }
                }
                look(&mut agenda, now, &rhythm, &mut running, &mut ran, &mut told)?;
                highest = highest.max(now);
                prop_assert!(agenda.look(UnixMillis(now)).is_empty(), "settled, and due again");
            }
        }
    }

    fn look(
        agenda: &mut Agenda,
        now: u64,
        rhythm: &Rhythm,
        running: &mut bool,
        ran: &mut BTreeSet<u64>,
        told: &mut BTreeMap<u64, Why>,
    ) -> Result<(), TestCaseError> {
        let now = UnixMillis(now);
        for due in agenda.look(now) {
            if let Some(run) = due.run {
                prop_assert!(!*running, "two runs at once");
                prop_assert!(run <= now && now.since(run) <= GRACE, "not its time");
                prop_assert_eq!(rhythm.next(UnixMillis(run.0 - 1)), Some(run));
                prop_assert!(ran.insert(run.0), "ran twice: {:?}", run);
                *running = true;
            }
            if let Some((first, why)) = due.skip {
                told.insert(first.0, why);
            }
            prop_assert!(due.run.is_some() || due.skip.is_some());
            agenda.settle(&due, now);
        }
        Ok(())
    }
}
