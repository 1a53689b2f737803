//! When something is due: five cron fields, read in a time zone. Pure.
//!
//! | the clock | a fixed time, like `30 2 * * *` | everything else, like `*/10 2 * * *` or `0 2,14 * * *` |
//! |---|---|---|
//! | leaves that time out (spring) | at the first moment after the gap | not at all in the gap |
//! | shows it twice (autumn) | once, the first time | both times |
//!
//! Fixed is what has one minute and one hour. So a nightly backup comes once a night, all year, and what comes every ten
//! minutes comes every ten minutes.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{Timestamp, Zoned, tz::TimeZone};

use crate::clock::UnixMillis;

/// Bytes of a cron text, at most.
const LONGEST_CRON: usize = 120;
/// Bytes of a zone's name, at most.
const LONGEST_ZONE: usize = 64;
/// Words for common texts.
const NICKNAMES: [&str; 6] = [
    "@hourly",
    "@daily",
    "@weekly",
    "@monthly",
    "@yearly",
    "@annually",
];

/// A cron text in a zone.
#[derive(Debug, Clone)]
pub(crate) struct Rhythm {
    cron: Cron,
    zone: TimeZone,
}

/// The zone of that name; of the empty name, the system's.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
    if name.is_empty() {
        return Ok(TimeZone::system());
    }
    let known = (name.len() <= LONGEST_ZONE).then(|| TimeZone::get(name));
    match known {
        Some(Ok(zone)) => Ok(zone),
        _ => {
            let name: String = name.chars().take(LONGEST_ZONE).collect();
            Err(format!(
                "`{name}` is not a time zone like Europe/Berlin or UTC"
            ))
        }
    }
}

/// What people call a zone.
pub(super) fn name(zone: &TimeZone) -> &str {
    match zone.iana_name() {
        Some(name) => name,
        None if zone.is_unknown() => "UTC",
        None => "local",
    }
}

impl Rhythm {
    /// Reads a cron text; refuses, in words, what never comes after `now`.
    pub(crate) fn read(text: &str, zone: TimeZone, now: UnixMillis) -> Result<Self, String> {
        let text = text.trim();
        if text.len() > LONGEST_CRON {
            return Err(format!("is longer than {LONGEST_CRON} bytes"));
        }
        let nickname = NICKNAMES.iter().any(|name| text.eq_ignore_ascii_case(name));
        if !nickname && (text.contains('@') || text.split_whitespace().count() != 5) {
            return Err(format!(
                "`{text}` is not five fields (minute, hour, day of month, month, day of week) like `0 4 * * *`, nor one of {}",
                NICKNAMES.join(", ")
            ));
        }
        // The library passes over what is missing there; of a field with no minute or hour at all it never finds the end.
        let mut fields = text.split_whitespace();
        if fields.any(|field| field.split(',').any(str::is_empty)) {
            return Err(format!("`{text}` has a comma with nothing on one side"));
        }
        let parser = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build();
        let cron = parser.parse(text);
        let cron = cron.map_err(|error| {
            let error = error.to_string();
            format!("`{text}`: {}", error.trim_end_matches('.'))
        })?;
        let (minutes, hours) = (&cron.pattern.minutes, &cron.pattern.hours);
        if minutes.values().is_empty() || hours.values().is_empty() {
            return Err(format!("`{text}` has no minute or no hour"));
        }
        let rhythm = Self { cron, zone };
        match rhythm.next(now) {
            Some(_) => Ok(rhythm),
            None => Err(format!("`{text}` never comes")),
        }
    }

    /// The first moment after `after`, if there is one.
    pub(crate) fn next(&self, after: UnixMillis) -> Option<UnixMillis> {
        let after = self.local(after)?;
        let found = match self.cron.find_next_occurrence(&after, false) {
            Ok(found) => found,
            // A zone may leave out more than the search looks past, as Samoa left out a day in 2011: go on behind that.
            Err(_) => {
                let behind = self.zone.following(after.timestamp()).take(4);
                let mut behind =
                    behind.map(|change| change.timestamp().to_zoned(self.zone.clone()));
                behind.find_map(|start| self.cron.find_next_occurrence(&start, true).ok())?
            }
        };
        let moment = found.timestamp().as_millisecond();
        u64::try_from(moment).ok().map(UnixMillis)
    }

    /// A moment as the zone's clocks show it.
    pub(crate) fn local(&self, moment: UnixMillis) -> Option<Zoned> {
        let moment = i64::try_from(moment.0).ok()?;
        let moment = Timestamp::from_millisecond(moment).ok()?;
        Some(moment.to_zoned(self.zone.clone()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(text: &str) -> UnixMillis {
        let moment: Timestamp = text.parse().unwrap();
        UnixMillis(moment.as_millisecond().try_into().unwrap())
    }

    fn rhythm(cron: &str, zone_name: &str) -> Rhythm {
        Rhythm::read(cron, zone(zone_name).unwrap(), at("2020-01-01T00:00:00Z")).unwrap()
    }

    /// The first moments after `from`, as the zone's clocks show them, with the offset.
    fn moments(cron: &str, zone_name: &str, from: &str, count: usize) -> Vec<String> {
        let rhythm = rhythm(cron, zone_name);
        let mut moment = at(from);
        let mut found = Vec::new();
        for _ in 0..count {
            moment = rhythm.next(moment).unwrap();
            let local = rhythm.local(moment).unwrap();
            found.push(local.strftime("%m-%d %H:%M%:z").to_string());
        }
        found
    }

    #[test]
    fn a_fixed_time_that_a_night_leaves_out_comes_right_after_the_gap() {
        for (cron, zone, from, wanted) in [
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-03-28T12:00:00Z",
                ["03-29 03:00+02:00", "03-30 02:30+02:00"],
            ),
            (
                "30 2 * * *",
                "America/New_York",
                "2026-03-07T12:00:00Z",
                ["03-08 03:00-04:00", "03-09 02:30-04:00"],
            ),
            // Half an hour: from 02:00 to 02:30.
            (
                "15 2 * * *",
                "Australia/Lord_Howe",
                "2026-10-03T00:00:00Z",
                ["10-04 02:30+11:00", "10-05 02:15+11:00"],
            ),
        ] {
            assert_eq!(moments(cron, zone, from, 2), wanted, "{cron} in {zone}");
        }
    }

    #[test]
    fn a_fixed_time_that_a_night_shows_twice_comes_once_at_first() {
        for (cron, zone, from, wanted) in [
            (
                "30 2 * * *",
                "Europe/Berlin",
                "2026-10-24T12:00:00Z",
                ["10-25 02:30+02:00", "10-26 02:30+01:00"],
            ),
            (
                "30 1 * * *",
                "America/New_York",
                "2026-10-31T12:00:00Z",
                ["11-01 01:30-04:00", "11-02 01:30-05:00"],
            ),
            (
                "45 1 * * *",
                "Australia/Lord_Howe",
                "2026-04-04T00:00:00Z",
                ["04-05 01:45+11:00", "04-06 01:45+10:30"],
            ),
        ] {
            assert_eq!(moments(cron, zone, from, 2), wanted, "{cron} in {zone}");
        }
    }

    #[test]
    fn what_comes_at_intervals_goes_by_the_time_that_really_passes() {
        assert_eq!(
            moments("*/30 * * * *", "Europe/Berlin", "2026-03-29T00:29:00Z", 3),
            [
                "03-29 01:30+01:00",
                "03-29 03:00+02:00",
                "03-29 03:30+02:00"
            ]
        );
        assert_eq!(
            moments("*/30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", 5),
            [
                "10-25 02:00+02:00",
                "10-25 02:30+02:00",
                "10-25 02:00+01:00",
                "10-25 02:30+01:00",
                "10-26 02:00+01:00"
            ]
        );
        // Two hours of a day are no fixed time: in the gap there is nothing.
        assert_eq!(
            moments("0 2,14 * * *", "Europe/Berlin", "2026-03-28T14:00:00Z", 2),
            ["03-29 14:00+02:00", "03-30 02:00+02:00"]
        );
    }

    #[test]
    fn a_zone_that_changes_its_law_is_followed() {
        // Turkey stayed on summer time in 2016, and Samoa left out a whole day in 2011.
        assert_eq!(
            moments("0 9 * * *", "Europe/Istanbul", "2016-11-05T12:00:00Z", 2),
            ["11-06 09:00+03:00", "11-07 09:00+03:00"]
        );
        assert_eq!(
            moments("0 9 * * *", "Pacific/Apia", "2011-12-29T19:30:00Z", 2),
            ["12-31 09:00+14:00", "01-01 09:00+14:00"]
        );
    }

    #[test]
    fn words_stand_for_common_texts() {
        for (word, cron) in [
            ("@hourly", "0 * * * *"),
            ("@daily", "0 0 * * *"),
            ("@weekly", "0 0 * * 0"),
            ("@monthly", "0 0 1 * *"),
            ("@YEARLY", "0 0 1 1 *"),
            ("@annually", "0 0 1 1 *"),
            ("0 4 * * mon-fri", "0 4 * * 1-5"),
        ] {
            let from = "2026-05-07T13:14:15Z";
            assert_eq!(
                moments(word, "UTC", from, 9),
                moments(cron, "UTC", from, 9),
                "{word}"
            );
        }
    }

    #[test]
    fn what_is_no_cron_text_is_refused_in_words() {
        for (text, why) in [
            ("", "five fields"),
            ("* * * *", "five fields"),
            ("0 * * * * *", "five fields"),
            ("0 0 0 1 1 * 2030", "five fields"),
            ("@reboot", "five fields"),
            ("@daily @daily", "five fields"),
            ("60 * * * *", "60 * * * *"),
            ("* 24 * * *", "24"),
            ("0 0 32 * *", "32"),
            ("a b c d e", "illegal"),
            ("*/0 * * * *", "*/0"),
            ("0 0 30 2 *", "never comes"),
            (", * * * *", "a comma with nothing"),
            ("0 ,, * * *", "a comma with nothing"),
            ("0,5, * * * *", "a comma with nothing"),
            (&"1".repeat(200), "longer than 120"),
            ("5-1 * * * *", "5-1"),
        ] {
            let zone = zone("UTC").unwrap();
            let read = Rhythm::read(text, zone, at("2026-01-01T00:00:00Z"));
            let error = read.map(drop).unwrap_err();
            assert!(error.contains(why), "{text}: {error}");
        }
    }

    #[test]
    fn a_zone_that_nobody_knows_is_refused_and_an_empty_one_is_the_systems() {
        for name in [
            "Mars/Base",
            "../../etc/passwd",
            "/etc/passwd",
            "Europe/Berlin\0",
            &"x".repeat(99),
        ] {
            assert!(
                zone(name).unwrap_err().contains("Europe/Berlin or UTC"),
                "{name}"
            );
        }
        assert_eq!(name(&zone("europe/berlin").unwrap()), "Europe/Berlin");
        zone("").unwrap();
    }

    proptest! {
        #[test]
        fn the_next_is_later_than_what_it_follows_and_never_panics(
            text in "([0-9*,/LW#?-]{1,4} ){4}[0-9A-Z*,/#?-]{1,4}", now in 0u64..8_000_000_000_000,
        ) {
            for name in ["Europe/Berlin", "Australia/Lord_Howe"] {
                let Ok(rhythm) = Rhythm::read(&text, zone(name).unwrap(), UnixMillis(now)) else { continue };
                let next = rhythm.next(UnixMillis(now));
                prop_assert!(next.is_none_or(|next| next.0 > now), "{next:?}");
            }
        }

        /// What comes each minute leaves nothing out and repeats nothing, whatever the zone's clocks do.
        #[test]
        fn each_minute_is_each_minute(day in 0u64..730, minute in 0u64..1440) {
            let now = UnixMillis(at("2026-01-01T00:00:00Z").0 + (day * 1440 + minute) * 60_000);
            for name in ["Europe/Berlin", "America/New_York", "Australia/Lord_Howe"] {
                prop_assert_eq!(rhythm("* * * * *", name).next(now), Some(UnixMillis(now.0 + 60_000)));
            }
        }
    }
}
