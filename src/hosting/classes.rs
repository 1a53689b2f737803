//! Resource classes: MyOTTD's ten, each with what its servers may use at most and when they are left to rest.
//!
//! A class is a ceiling. What a server may use is its own wish, else its game's; then the class caps it, and where
//! neither says anything the class's figure counts. Only an administrator may give a server more.

use std::{collections::BTreeMap, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};
use utoipa::ToSchema;

use super::{HostingError, Limits};
use crate::store::{Record, Table};

/// Those that an administrator has changed, by number.
pub(super) const CLASSES: Table<Class> = Table::new();

/// Classes are 0 to 9.
pub(super) const LAST: u8 = 9;

/// The longest wait that a rule may name.
const LONGEST: Duration = Duration::from_secs(366 * 24 * 3600);

/// How long something waits: `24h`, `90s`, or `never`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Wait(pub Option<Duration>);

impl FromStr for Wait {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "never" {
            return Ok(Self(None));
        }
        humantime::parse_duration(text)
            .ok()
            .filter(|wait| (Duration::from_millis(1)..=LONGEST).contains(wait))
            .map(|wait| Self(Some(wait)))
            .ok_or_else(|| {
                let shown: String = text.chars().take(40).collect();
                format!("`{shown}` is no time from 1ms to 366d, like \"24h\", nor \"never\"")
            })
    }
}

impl std::fmt::Display for Wait {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            None => f.write_str("never"),
            // humantime would make days of them.
            Some(wait) if wait.as_millis() % 3_600_000 == 0 => {
                write!(f, "{}h", wait.as_secs() / 3600)
            }
            Some(wait) => write!(f, "{}", humantime::format_duration(wait)),
        }
    }
}

/// Words in JSON, milliseconds in the store.
impl Serialize for Wait {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            let millis = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
            self.0.map(millis).serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Wait {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(D::Error::custom)
        } else {
            let millis = Option::<u64>::deserialize(deserializer)?;
            Ok(Self(millis.map(Duration::from_millis)))
        }
    }
}

/// When an empty game stops, and when a stopped server gives back what is reserved for it. Absent: as whoever is asked
/// next says: the server, then its class, then its game, then 24 hours and 1 hour.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Idle {
    /// So long after the last player left, or after its start when nobody came: `24h`, or `never`.
    #[schema(value_type = Option<String>)]
    pub stop: Option<Wait>,
    /// So long after it stopped: `1h`, or `never`.
    #[schema(value_type = Option<String>)]
    pub release: Option<Wait>,
}

/// One resource class.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Class {
    /// 0 to 9; also the part of the port pool.
    pub number: u8,
    /// What people call it.
    pub name: String,
    /// What each of its servers may use at most.
    pub limits: Limits,
    /// When its servers are left to rest.
    pub idle: Idle,
    /// Whether hosts may put servers into it; else only administrators do.
    pub hosts: bool,
}

impl Record for Class {
    const TABLE: &'static str = "class";
    const FORMAT: u8 = 1;
}

/// What a class shall be: all of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ClassWish {
    /// What people call it.
    pub name: String,
    /// What each of its servers may use at most; absent figures are not limited.
    #[serde(default)]
    pub limits: Limits,
    /// When its servers are left to rest.
    #[serde(default)]
    pub idle: Idle,
    /// Whether hosts may put servers into it.
    #[serde(default = "yes")]
    pub hosts: bool,
}

fn yes() -> bool {
    true
}

fn bad(field: impl Into<String>, why: impl Into<String>) -> HostingError {
    HostingError::Bad {
        field: field.into(),
        why: why.into(),
    }
}

/// The ten classes as they ship: small ones to try things in, production without a ceiling, and the rest free for the
/// administrator to define.
pub(super) fn shipped() -> BTreeMap<u8, Class> {
    const GIB: u64 = 1 << 30;
    let small = Limits {
        memory: Some(2 * GIB),
        cpu_percent: Some(200),
        pids: Some(512),
        disk: Some(4 * GIB),
        players: Some(8),
    };
    let class = |number: u8| {
        let (name, limits, hosts) = match number {
            0 => ("dev".into(), small, true),
            1 => {
                let limits = Limits {
                    players: Some(16),
                    ..small
                };
                ("test".into(), limits, true)
            }
            2 => ("prod".into(), Limits::default(), true),
            free => (format!("class {free}"), Limits::default(), false),
        };
        Class {
            number,
            name,
            limits,
            idle: Idle::default(),
            hosts,
        }
    };
    (0..=LAST).map(|number| (number, class(number))).collect()
}

impl ClassWish {
    /// The class that is wished for.
    pub(super) fn class(self, number: u8) -> Result<Class, HostingError> {
        if number > LAST {
            return Err(bad("number", "must be from 0 to 9"));
        }
        let name = self.name.trim();
        if name.is_empty() {
            return Err(bad("name", "must not be empty"));
        }
        super::settings::printable(name, 32).map_err(|why| bad("name", why))?;
        let checked = self.limits.check();
        checked.map_err(|(field, why)| bad(format!("limits.{field}"), why))?;
        Ok(Class {
            number,
            name: name.into(),
            limits: self.limits,
            idle: self.idle,
            hosts: self.hosts,
        })
    }
}

/// The lesser of what is wished and the ceiling; no wish means as much as there is.
fn least<T: Ord>(wish: Option<T>, ceiling: Option<T>) -> Option<T> {
    match (wish, ceiling) {
        (Some(wish), Some(ceiling)) => Some(wish.min(ceiling)),
        (wish, ceiling) => wish.or(ceiling),
    }
}

impl Class {
    /// What a server of this class may use that wishes for `wish`.
    pub(super) fn cap(&self, wish: Limits) -> Limits {
        let ceiling = self.limits;
        Limits {
            memory: least(wish.memory, ceiling.memory),
            cpu_percent: least(wish.cpu_percent, ceiling.cpu_percent),
            pids: least(wish.pids, ceiling.pids),
            disk: least(wish.disk, ceiling.disk),
            players: least(wish.players, ceiling.players),
        }
    }

    /// Refuses a wish above the ceiling, unless the server has as much already.
    pub(super) fn allow(&self, wish: Limits, now: Limits) -> Result<(), HostingError> {
        fn over<T: Ord + Copy>(wish: Option<T>, ceiling: Option<T>, now: Option<T>) -> Option<T> {
            let ceiling = ceiling?;
            (wish? > ceiling.max(now.unwrap_or(ceiling))).then_some(ceiling)
        }
        let (top, name) = (self.limits, &self.name);
        let wide = |narrow: Option<u32>| narrow.map(u64::from);
        let figures = [
            ("memory", over(wish.memory, top.memory, now.memory)),
            (
                "cpu_percent",
                wide(over(wish.cpu_percent, top.cpu_percent, now.cpu_percent)),
            ),
            ("pids", wide(over(wish.pids, top.pids, now.pids))),
            ("disk", over(wish.disk, top.disk, now.disk)),
            (
                "players",
                wide(over(wish.players, top.players, now.players)),
            ),
        ];
        match figures
            .into_iter()
            .find_map(|(field, top)| Some((field, top?)))
        {
            Some((field, top)) => Err(bad(
                format!("limits.{field}"),
                format!(
                    "class {} ({name}) allows at most {top}; an administrator may give more",
                    self.number
                ),
            )),
            None => Ok(()),
        }
    }

    /// Refuses a longer wait than the class names; `now` is what the server has already.
    pub(super) fn allow_idle(&self, wish: Idle, now: Idle) -> Result<(), HostingError> {
        let over = |wish: Option<Wait>, top: Option<Wait>, now: Option<Wait>| {
            let (Some(Wait(wish)), Some(Wait(Some(top)))) = (wish, top) else {
                return None;
            };
            let most = |wait: Option<Duration>| wait.unwrap_or(Duration::MAX);
            let allowed = now.map_or(top, |Wait(now)| most(now).max(top));
            (most(wish) > allowed).then_some(Wait(Some(top)))
        };
        for (field, wish, top, now) in [
            ("stop", wish.stop, self.idle.stop, now.stop),
            ("release", wish.release, self.idle.release, now.release),
        ] {
            if let Some(top) = over(wish, top, now) {
                return Err(bad(
                    format!("idle.{field}"),
                    format!(
                        "class {} ({}) allows at most {top}; an administrator may give more",
                        self.number, self.name
                    ),
                ));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn limits() -> impl Strategy<Value = Limits> {
        let wide = || prop::option::of(1u64..100);
        let narrow = || prop::option::of(1u32..100);
        (wide(), narrow(), narrow(), wide(), narrow()).prop_map(
            |(memory, cpu_percent, pids, disk, players)| Limits {
                memory,
                cpu_percent,
                pids,
                disk,
                players,
            },
        )
    }

    fn class(limits: Limits) -> Class {
        let shipped = shipped().remove(&2).unwrap();
        Class { limits, ..shipped }
    }

    #[test]
    fn the_shipped_classes_are_myottds() {
        let classes = shipped();
        let names: Vec<_> = classes.values().map(|class| class.name.as_str()).collect();
        assert_eq!(&names[..3], ["dev", "test", "prod"]);
        assert_eq!(classes.len(), 10);
        assert!(classes.values().all(|class| class.limits.check().is_ok()));
        assert!(classes[&2].hosts && !classes[&3].hosts);
    }

    #[test]
    fn waits_are_read_as_people_write_them() {
        let read = |text: &str| text.parse::<Wait>();
        assert_eq!(read("never"), Ok(Wait(None)));
        assert_eq!(read("1s"), Ok(Wait(Some(Duration::from_secs(1)))));
        assert_eq!(read("24h").unwrap().to_string(), "24h");
        assert_eq!(read("90s").unwrap().to_string(), "1m 30s");
        for odd in ["", "soon", "0s", "400d", "-1h", "1"] {
            assert!(read(odd).is_err(), "{odd}");
        }
    }

    #[test]
    fn a_wish_above_the_class_says_what_the_class_allows() {
        let class = class(Limits {
            memory: Some(1 << 30),
            ..Limits::default()
        });
        let wish = |memory| Limits {
            memory: Some(memory),
            ..Limits::default()
        };
        let refused = class.allow(wish(1 << 31), Limits::default()).unwrap_err();
        assert_eq!(
            refused.to_string(),
            "limits.memory: class 2 (prod) allows at most 1073741824; an administrator may give more"
        );
        // What an administrator gave stays, and may be less.
        assert!(class.allow(wish(1 << 31), wish(1 << 31)).is_ok());
        assert!(class.allow(wish(1 << 32), wish(1 << 31)).is_err());
    }

    #[test]
    fn hosts_may_rest_their_servers_sooner_but_not_later_than_the_class_says() {
        let rule = |text: &str| Idle {
            stop: Some(text.parse().unwrap()),
            release: None,
        };
        let mut class = class(Limits::default());
        assert!(class.allow_idle(rule("never"), Idle::default()).is_ok());
        class.idle = rule("24h");
        assert!(class.allow_idle(rule("1h"), Idle::default()).is_ok());
        assert!(class.allow_idle(rule("25h"), Idle::default()).is_err());
        assert!(class.allow_idle(rule("never"), Idle::default()).is_err());
        assert!(class.allow_idle(rule("never"), rule("never")).is_ok());
    }

    proptest! {
        #[test]
        fn what_is_capped_is_allowed_and_within_wish_and_class(wish in limits(), ceiling in limits()) {
            let class = class(ceiling);
            let capped = class.cap(wish);
            prop_assert!(class.allow(capped, Limits::default()).is_ok());
            prop_assert_eq!(class.cap(capped), capped, "a second time changes nothing");
            if class.allow(wish, Limits::default()).is_ok() {
                // Nothing that was wished for is taken away.
                prop_assert_eq!(wish.memory.or(capped.memory), capped.memory);
                prop_assert_eq!(wish.players.or(capped.players), capped.players);
            }
            for (wish, top, got) in [(wish.memory, ceiling.memory, capped.memory), (wish.disk, ceiling.disk, capped.disk)] {
                prop_assert!(wish.is_none_or(|wish| got.is_some_and(|got| got <= wish)));
                prop_assert!(top.is_none_or(|top| got.is_some_and(|got| got <= top)));
            }
        }

        #[test]
        fn a_wait_comes_back_from_its_words_and_from_the_store(millis in 1u64..1_000_000_000) {
            let wait = Wait(Some(Duration::from_millis(millis)));
            prop_assert_eq!(wait.to_string().parse(), Ok(wait));
            prop_assert_eq!(serde_json::from_value::<Wait>(serde_json::to_value(wait).unwrap()).unwrap(), wait);
        }
    }
}
