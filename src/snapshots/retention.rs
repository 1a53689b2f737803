//! Which snapshots go: pure, from their times and the rules.
//!
//! The newest `last` stay. Then, of each of the newest `hourly` hours that have any, its newest one stays; the same for
//! days and for weeks (which begin on Monday). Hours, days and weeks are those of the box's time zone, so that a "day"
//! is what its people call one, also when clocks change. What is pinned stays, and takes nobody's place.

use std::collections::BTreeSet;

use jiff::{Timestamp, tz::TimeZone};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::clock::UnixMillis;

/// How many snapshots of a server stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
#[schema(as = SnapshotRules)]
pub struct Rules {
    /// The newest so many.
    pub last: u32,
    /// The newest of each of so many hours that have one.
    pub hourly: u32,
    /// The same by days.
    pub daily: u32,
    /// The same by weeks.
    pub weekly: u32,
}

/// The most that a rule may keep.
pub(super) const MOST: u32 = 1000;

impl Default for Rules {
    fn default() -> Self {
        Self {
            last: 7,
            hourly: 0,
            daily: 7,
            weekly: 4,
        }
    }
}

impl Rules {
    /// What is wrong with them: the field, and what would be right.
    pub(super) fn fault(&self) -> Option<(&'static str, &'static str)> {
        let fields = [
            ("last", self.last),
            ("hourly", self.hourly),
            ("daily", self.daily),
            ("weekly", self.weekly),
        ];
        let many = fields.into_iter().find(|(_, count)| *count > MOST);
        many.map(|(field, _)| (field, "must be from 0 to 1000"))
            .or_else(|| {
                let none = fields.iter().all(|(_, count)| *count == 0);
                none.then_some(("last", "must be at least 1 where nothing else is kept"))
            })
    }
}

/// One snapshot, as the rules see it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Kept {
    pub(super) id: u64,
    pub(super) created: UnixMillis,
    pub(super) pinned: bool,
}

/// The period that a moment lies in.
type Split = fn(&jiff::Zoned) -> Period;

/// The ids that go, in no order.
pub(super) fn expired(all: &[Kept], rules: Rules, zone: &TimeZone) -> Vec<u64> {
    let mut newest_first: Vec<&Kept> = all.iter().filter(|kept| !kept.pinned).collect();
    newest_first.sort_by_key(|kept| std::cmp::Reverse((kept.created, kept.id)));
    let mut stay: BTreeSet<u64> = newest_first
        .iter()
        .take(rules.last as usize)
        .map(|kept| kept.id)
        .collect();
    let periods: [(u32, Split); 3] = [
        (rules.hourly, |at| {
            // With the offset: the hour that comes twice when clocks go back is two hours.
            let hour = i64::from(at.hour()) * 100_000 + i64::from(at.offset().seconds());
            (at.year(), i32::from(at.day_of_year()), hour)
        }),
        (rules.daily, |at| {
            (at.year(), i32::from(at.day_of_year()), 0)
        }),
        (rules.weekly, |at| {
            let week = at.date().iso_week_date();
            (week.year(), i32::from(week.week()), 0)
        }),
    ];
    for (count, period) in periods {
        let mut seen = BTreeSet::new();
        for kept in &newest_first {
            let period = period(&moment(kept.created, zone));
            if !seen.contains(&period) && seen.len() < count as usize {
                seen.insert(period);
                stay.insert(kept.id);
            }
        }
    }
    newest_first
        .iter()
        .map(|kept| kept.id)
        .filter(|id| !stay.contains(id))
        .collect()
}

type Period = (i16, i32, i64);

fn moment(at: UnixMillis, zone: &TimeZone) -> jiff::Zoned {
    let at = i64::try_from(at.0)
        .ok()
        .and_then(|ms| Timestamp::from_millisecond(ms).ok())
        .unwrap_or(Timestamp::MAX);
    at.to_zoned(zone.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const HOUR: u64 = 3_600_000;
    const DAY: u64 = 24 * HOUR;
    const NONE: Rules = Rules {
        last: 0,
        hourly: 0,
        daily: 0,
        weekly: 0,
    };

    fn taken(times: &[u64]) -> Vec<Kept> {
        let kept = |(id, &at): (usize, &u64)| Kept {
            id: id as u64,
            created: UnixMillis(at),
            pinned: false,
        };
        times.iter().enumerate().map(kept).collect()
    }

    fn stay(all: &[Kept], rules: Rules, zone: &TimeZone) -> Vec<u64> {
        let gone = expired(all, rules, zone);
        let ids = all.iter().map(|kept| kept.id);
        ids.filter(|id| !gone.contains(id)).collect()
    }

    #[test]
    fn the_newest_of_each_day_and_week_stays() {
        // Twice a day for four weeks, from Thursday 2026-01-01 on.
        let start = 1_767_225_600_000;
        let times: Vec<u64> = (0..56).map(|half| start + half * DAY / 2).collect();
        let all = taken(&times);
        let rules = Rules { daily: 3, ..NONE };
        assert_eq!(stay(&all, rules, &TimeZone::UTC), [51, 53, 55]);
        let rules = Rules { weekly: 2, ..NONE };
        // 2026-01-25 is a Sunday: its evening ends the week before the last.
        assert_eq!(stay(&all, rules, &TimeZone::UTC), [49, 55]);
    }

    #[test]
    fn a_day_is_the_boxs_day() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // 2026-06-01 21:30, 22:30 and 23:30 UTC: the last two are the second of June in Berlin.
        let noon = 1_780_349_400_000;
        let all = taken(&[noon, noon + HOUR, noon + 2 * HOUR]);
        let rules = Rules { daily: 9, ..NONE };
        assert_eq!(stay(&all, rules, &TimeZone::UTC), [2]);
        assert_eq!(stay(&all, rules, &zone), [0, 2]);
    }

    #[test]
    fn the_hour_that_comes_twice_is_two_hours() {
        let zone = TimeZone::get("Europe/Berlin").unwrap();
        // 2026-10-25 00:30 and 01:30 UTC are both 02:30 in Berlin.
        let first = 1_792_888_200_000;
        let all = taken(&[first, first + HOUR]);
        let rules = Rules { hourly: 5, ..NONE };
        assert_eq!(stay(&all, rules, &zone), [0, 1]);
    }

    #[test]
    fn rules_that_keep_nothing_or_without_end_are_faulty() {
        assert_eq!(Rules::default().fault(), None);
        assert_eq!(NONE.fault().unwrap().0, "last");
        let many = Rules {
            daily: 1001,
            ..NONE
        };
        assert_eq!(many.fault().unwrap().0, "daily");
    }

    prop_compose! {
        fn any_rules()(last in 0..6u32, hourly in 0..6u32, daily in 0..6u32, weekly in 0..6u32) -> Rules {
            Rules { last, hourly, daily, weekly }
        }
    }

    prop_compose! {
        fn any_taken()(times in prop::collection::vec((0..90 * DAY, any::<bool>()), 0..60)) -> Vec<Kept> {
            let at = |(id, (at, pinned)): (usize, (u64, bool))| Kept {
                id: id as u64,
                created: UnixMillis(1_700_000_000_000 + at),
                pinned,
            };
            times.into_iter().enumerate().map(at).collect()
        }
    }

    proptest! {
        #[test]
        fn the_newest_and_the_pinned_stay_and_never_more_than_the_rules_say(all in any_taken(), rules in any_rules()) {
            let zone = TimeZone::get("America/New_York").unwrap();
            let staying = stay(&all, rules, &zone);
            for kept in all.iter().filter(|kept| kept.pinned) {
                prop_assert!(staying.contains(&kept.id));
            }
            let free: Vec<&Kept> = all.iter().filter(|kept| !kept.pinned).collect();
            let most = rules.last + rules.hourly + rules.daily + rules.weekly;
            let staying_free = free.iter().filter(|kept| staying.contains(&kept.id)).count();
            prop_assert!(staying_free <= most as usize);
            prop_assert!(staying_free >= free.len().min(rules.last as usize));
            if most > 0 && let Some(newest) = free.iter().max_by_key(|kept| (kept.created, kept.id)) {
                prop_assert!(staying.contains(&newest.id));
            }
        }

        #[test]
        fn what_stayed_once_stays_when_it_is_asked_again(all in any_taken(), rules in any_rules()) {
            let gone = expired(&all, rules, &TimeZone::UTC);
            let left: Vec<Kept> = all.iter().copied().filter(|kept| !gone.contains(&kept.id)).collect();
            prop_assert_eq!(expired(&left, rules, &TimeZone::UTC), Vec::<u64>::new());
        }

        #[test]
        fn keeping_more_never_loses_one(all in any_taken(), rules in any_rules()) {
            let more = Rules { last: rules.last + 1, daily: rules.daily + 1, ..rules };
            let (few, many) = (stay(&all, rules, &TimeZone::UTC), stay(&all, more, &TimeZone::UTC));
            prop_assert!(few.iter().all(|id| many.contains(id)));
        }
    }
}
