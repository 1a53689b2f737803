//! What can be found here: this box's own entries, and those that others published.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use super::{
    Entry,
    wire::{Answer, Request},
};

/// Without being published again, an entry stays for so long.
const LIFE: Duration = Duration::from_secs(15 * 60);
/// Entries that others may publish, all together,
const MAX_PUBLISHED: usize = 2048;
/// and each of them.
const MAX_EACH: usize = 256;
/// An answer has no more entries.
const MAX_RESULTS: usize = 256;

/// Why an entry was not taken in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// The same place is already published by somebody else, or is ours.
    #[error("this place is somebody else's")]
    Taken,
    /// By them, or by all.
    #[error("there are too many entries")]
    Full,
    /// It has no class, type or place.
    #[error("it lacks a class, a type or a URI")]
    Incomplete,
}

/// The directory; clones are the same one.
#[derive(Debug, Clone, Default)]
pub struct Directory {
    // Held while something is looked up or put in, never across an await.
    state: Arc<Mutex<State>>,
}

/// What makes an entry the same: class, kind and URI.
type Key = (String, String, String);

#[derive(Debug, Default)]
struct State {
    own: Vec<Entry>,
    published: BTreeMap<Key, Publication>,
}

#[derive(Debug)]
struct Publication {
    entry: Entry,
    by: String,
    until: Instant,
}

impl Directory {
    /// Puts this box's own entries in place of the former ones.
    pub fn set_own(&self, own: Vec<Entry>) {
        let mut state = self.lock();
        for entry in &own {
            state.published.remove(&key(entry));
        }
        state.own = own;
    }

    /// This box's own entries.
    pub fn own(&self) -> Vec<Entry> {
        self.lock().own.clone()
    }

    /// Takes in, or renews, an entry of the account `by`.
    pub fn publish(&self, entry: Entry, by: &str, now: Instant) -> Result<(), Refused> {
        if entry.class.is_empty() || entry.kind.is_empty() || entry.uri.is_empty() {
            return Err(Refused::Incomplete);
        }
        let mut state = self.lock();
        state
            .published
            .retain(|_, publication| publication.until > now);
        let key = key(&entry);
        let is_ours = state.own.iter().any(|own| own.uri == entry.uri);
        let published = state.published.get(&key);
        if is_ours || published.is_some_and(|publication| publication.by != by) {
            return Err(Refused::Taken);
        }
        let theirs = |publication: &&Publication| publication.by == by;
        let is_full = || {
            state.published.len() >= MAX_PUBLISHED
                || state.published.values().filter(theirs).count() >= MAX_EACH
        };
        if published.is_none() && is_full() {
            return Err(Refused::Full);
        }
        let publication = Publication {
            entry,
            by: by.into(),
            until: now + LIFE,
        };
        state.published.insert(key, publication);
        Ok(())
    }

    /// The answer to a query; none: it is an update.
    pub(super) fn answer(&self, request: &Request, now: Instant) -> Option<Answer> {
        let answer = match request {
            Request::Query {
                class,
                kind,
                options,
            } => {
                // What an entry does not say excludes it from nothing.
                let agrees = |entry: &Entry| {
                    options
                        .iter()
                        .all(|(name, value)| entry.option(name).is_none_or(|has| has == value))
                };
                Answer::Results(self.find(class, kind, now, agrees))
            }
            Request::Plain { class, kind, arg } => {
                let agrees = |entry: &Entry| {
                    let version = entry.option("protocol").or(entry.option("version"));
                    arg.is_empty() || version == Some(arg)
                };
                let best = self.find(class, kind, now, agrees).into_iter().next();
                Answer::One(best.map(|entry| entry.uri))
            }
            Request::Update { .. } => return None,
        };
        Some(answer)
    }

    /// The most preferred first.
    fn find(
        &self,
        class: &str,
        kind: &str,
        now: Instant,
        agrees: impl Fn(&Entry) -> bool,
    ) -> Vec<Entry> {
        let state = self.lock();
        let published = state.published.values();
        let published = published.filter(|publication| publication.until > now);
        let all = state
            .own
            .iter()
            .chain(published.map(|publication| &publication.entry));
        let is_asked = |entry: &&Entry| {
            entry.class.eq_ignore_ascii_case(class)
                && entry.kind.eq_ignore_ascii_case(kind)
                && agrees(entry)
        };
        let mut found: Vec<_> = all.filter(is_asked).collect();
        let preference = |entry: &Entry| {
            let preference = entry.option("preference");
            preference
                .and_then(|text| text.parse::<i32>().ok())
                .unwrap_or(0)
        };
        found.sort_by_key(|entry| std::cmp::Reverse(preference(entry)));
        found.into_iter().take(MAX_RESULTS).cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(entry: &Entry) -> Key {
    let word = |word: &str| word.to_ascii_lowercase();
    (word(&entry.class), word(&entry.kind), entry.uri.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(uri: &str, options: &[(&str, &str)]) -> Entry {
        let options = options.iter();
        Entry {
            class: "ggz".into(),
            kind: "connection".into(),
            uri: uri.into(),
            options: options
                .map(|(name, value)| ((*name).into(), (*value).into()))
                .collect(),
        }
    }

    fn uris(directory: &Directory, options: &[(&str, &str)], now: Instant) -> Vec<String> {
        let query = Request::Query {
            class: "GGZ".into(),
            kind: "Connection".into(),
            options: entry("", options).options,
        };
        match directory.answer(&query, now) {
            Some(Answer::Results(found)) => found.into_iter().map(|entry| entry.uri).collect(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn entries_are_found_by_what_they_say_the_preferred_first() {
        let (directory, now) = (Directory::default(), Instant::now());
        directory.set_own(vec![entry(
            "own",
            &[("protocol", "10"), ("preference", "100")],
        )]);
        for (uri, options) in [
            ("old", &[("protocol", "9")][..]),
            ("best", &[("protocol", "10"), ("preference", "200")]),
            ("silent", &[]),
        ] {
            directory.publish(entry(uri, options), "ada", now).unwrap();
        }
        assert_eq!(
            uris(&directory, &[("protocol", "10")], now),
            ["best", "own", "silent"]
        );
        assert_eq!(uris(&directory, &[], now).len(), 4);
        let plain = |arg: &str| {
            let (class, kind) = ("ggz".into(), "connection".into());
            let arg = arg.into();
            directory.answer(&Request::Plain { class, kind, arg }, now)
        };
        assert_eq!(plain("10"), Some(Answer::One(Some("best".into()))));
        assert_eq!(plain("9"), Some(Answer::One(Some("old".into()))));
        assert_eq!(plain("8"), Some(Answer::One(None)));
    }

    #[test]
    fn an_entry_that_is_not_renewed_is_gone_after_a_quarter_of_an_hour() {
        let (directory, now) = (Directory::default(), Instant::now());
        let shortly = Duration::from_secs(1);
        directory.publish(entry("a", &[]), "ada", now).unwrap();
        assert_eq!(uris(&directory, &[], now + LIFE - shortly), ["a"]);
        directory
            .publish(entry("a", &[]), "ada", now + LIFE - shortly)
            .unwrap();
        assert_eq!(uris(&directory, &[], now + LIFE + shortly), ["a"]);
        assert!(uris(&directory, &[], now + 2 * LIFE).is_empty());
    }

    #[test]
    fn nobody_publishes_anothers_place_until_it_has_expired() {
        let (directory, now) = (Directory::default(), Instant::now());
        directory.set_own(vec![entry("own", &[])]);
        directory.publish(entry("a", &[]), "ada", now).unwrap();
        let publish = |uri, by, now| directory.publish(entry(uri, &[]), by, now);
        assert_eq!(publish("a", "bob", now), Err(Refused::Taken));
        assert_eq!(publish("own", "ada", now), Err(Refused::Taken));
        assert_eq!(publish("", "ada", now), Err(Refused::Incomplete));
        assert_eq!(publish("a", "bob", now + LIFE), Ok(()));
    }

    #[test]
    fn entries_are_bounded_for_each_and_for_all() {
        let (directory, now) = (Directory::default(), Instant::now());
        let publish = |uri: usize, by: usize| {
            directory.publish(entry(&format!("{by} {uri}"), &[]), &by.to_string(), now)
        };
        for by in 0..MAX_PUBLISHED / MAX_EACH {
            for uri in 0..MAX_EACH {
                publish(uri, by).unwrap();
            }
            assert_eq!(publish(MAX_EACH, by), Err(Refused::Full));
            assert_eq!(publish(0, by), Ok(()));
        }
        assert_eq!(publish(0, 1000), Err(Refused::Full));
        assert_eq!(uris(&directory, &[], now).len(), MAX_RESULTS);
    }
}
