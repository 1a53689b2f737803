//! The chain itself, pure: how a record is bounded, linked to the one before, and checked.

use std::collections::BTreeSet;

use serde_json::Value;
use sha2::{Digest, Sha256};

use super::{
    Line,
    records::{Entry, Head},
};

/// A link of the chain.
pub(super) type Hash = [u8; 32];

/// The longest name, action or subject that is kept, in characters.
const WORDS: usize = 128;
/// The longest outcome or single text of a detail, in characters.
const SENTENCE: usize = 512;
/// The longest detail, in bytes of JSON.
const DETAIL: usize = 4096;

fn link(before: &Hash, body: &str) -> Hash {
    Sha256::new()
        .chain_update(before)
        .chain_update(body)
        .finalize()
        .into()
}

/// The record that follows `head`, and the head that it becomes. The line's own seq and hash are
/// not read.
pub(super) fn follow(head: Head, line: &Line) -> (Head, Entry) {
    let seq = head.seq + 1;
    let line = Line {
        seq,
        hash: String::new(),
        ..line.clone()
    };
    let body = serde_json::to_string(&line).expect("a line has text keys only");
    let hash = link(&head.hash, &body);
    (Head { seq, hash }, Entry { body, hash })
}

/// The line that an entry holds, if it holds one.
pub(super) fn read(entry: &Entry) -> Option<Line> {
    let line: Line = serde_json::from_str(&entry.body).ok()?;
    Some(Line {
        hash: data_encoding::HEXLOWER.encode(&entry.hash),
        ..line
    })
}

/// Bounds what strangers may have written, and makes visible what a terminal would act upon.
pub(super) fn tame(line: Line) -> Line {
    let mut detail = line.detail;
    tame_value(&mut detail);
    if detail.to_string().len() > DETAIL {
        detail = Value::String(tame_text(&detail.to_string(), SENTENCE));
    }
    let mut actor = line.actor;
    actor.name = tame_text(&actor.name, WORDS);
    Line {
        actor,
        action: tame_text(&line.action, WORDS),
        subject: tame_text(&line.subject, WORDS),
        outcome: line.outcome.map(|outcome| tame_text(&outcome, SENTENCE)),
        detail,
        ..line
    }
}

fn tame_value(value: &mut Value) {
    match value {
        Value::String(text) => *text = tame_text(text, SENTENCE),
        Value::Array(values) => values.iter_mut().for_each(tame_value),
        Value::Object(fields) => {
            *fields = std::mem::take(fields)
                .into_iter()
                .map(|(key, mut value)| {
                    tame_value(&mut value);
                    (tame_text(&key, WORDS), value)
                })
                .collect();
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

fn tame_text(text: &str, limit: usize) -> String {
    let mut tamed = String::new();
    for (index, letter) in text.chars().enumerate() {
        if index == limit {
            tamed.push('…');
            break;
        }
        if letter.is_control() || is_format(letter) {
            tamed.extend(letter.escape_unicode());
        } else {
            tamed.push(letter);
        }
    }
    tamed
}

/// Characters without a shape of their own that hide or reorder their neighbours.
fn is_format(letter: char) -> bool {
    matches!(letter, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// A walk along the chain, record by record in key order.
#[derive(Debug, Default)]
pub(super) struct Walk {
    at: Head,
    records: u64,
    fault: Option<String>,
    open: BTreeSet<u64>,
}

impl Walk {
    /// The next record.
    pub(super) fn step(&mut self, key: &[u8], entry: &Entry) {
        self.records += 1;
        let line = read(entry);
        if self.fault.is_none() {
            self.fault = self.check(key, entry, line.as_ref()).err();
        }
        if let Some(line) = line {
            match line.of {
                Some(intent) => self.open.remove(&intent),
                None => self.open.insert(line.seq),
            };
        }
    }

    /// Something in the place of a record that cannot be one.
    pub(super) fn broken(&mut self, why: String) {
        self.records += 1;
        self.fault.get_or_insert(why);
    }

    fn check(&mut self, key: &[u8], entry: &Entry, line: Option<&Line>) -> Result<(), String> {
        let next = self.at.seq + 1;
        let Ok(key) = key.try_into().map(u64::from_be_bytes) else {
            return Err(format!("a foreign record was inserted after {}", next - 1));
        };
        if key > next {
            return Err(format!("record {next} was removed"));
        }
        if key < next {
            return Err(format!("record {key} was inserted"));
        }
        if link(&self.at.hash, &entry.body) != entry.hash || line.is_none_or(|line| line.seq != key)
        {
            return Err(format!(
                "record {key} does not match its hash: it was altered, or the one before it"
            ));
        }
        self.at = Head {
            seq: key,
            hash: entry.hash,
        };
        Ok(())
    }

    /// The seq of the last record that was in order.
    pub(super) fn reached(&self) -> u64 {
        self.at.seq
    }

    /// Whether a fault was found.
    pub(super) fn failed(&self) -> bool {
        self.fault.is_some()
    }

    /// The end of the walk, held against the head: how many records, the first fault, and the
    /// intents that are still without an outcome.
    pub(super) fn end(self, head: Option<Head>) -> (u64, Option<String>, BTreeSet<u64>) {
        let at = self.at;
        let fault = self.fault.or_else(|| match head {
            None if at.seq == 0 => None,
            None => Some("the head of the chain was removed".into()),
            Some(head) if head.seq > at.seq => Some(format!(
                "records {} to {} were removed",
                at.seq + 1,
                head.seq
            )),
            Some(head) if head.seq < at.seq => Some(format!(
                "record {} was inserted after the head",
                head.seq + 1
            )),
            Some(head) if head.hash != at.hash => Some(format!(
                "record {} is not the one that was written last",
                at.seq
            )),
            Some(_) => None,
        });
        (self.records, fault, self.open)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::{
        audit::{Actor, Door},
        clock::UnixMillis,
    };

    fn line(subject: &str, of: Option<u64>) -> Line {
        Line {
            seq: 0,
            at: UnixMillis(1_700_000_000_000),
            actor: Actor {
                account: Some(7),
                name: "ada".into(),
                from: Some([127, 0, 0, 1].into()),
                door: Door::Web,
            },
            action: "server.start".into(),
            subject: subject.into(),
            detail: serde_json::json!({"game": "openttd"}),
            of,
            outcome: of.map(|_| "ok".into()),
            hash: String::new(),
        }
    }

    fn chain(count: u64) -> (Head, Vec<(u64, Entry)>) {
        let mut head = Head::default();
        let mut entries = Vec::new();
        for seq in 1..=count {
            let (next, entry) = follow(head, &line(&format!("server {seq}"), None));
            head = next;
            entries.push((seq, entry));
        }
        (head, entries)
    }

    fn walk(head: Option<Head>, entries: &[(u64, Entry)]) -> Option<String> {
        let mut walk = Walk::default();
        for (seq, entry) in entries {
            walk.step(&seq.to_be_bytes(), entry);
        }
        walk.end(head).1
    }

    #[test]
    fn the_hash_of_a_record_is_fixed_for_ever() {
        let (head, entry) = follow(Head::default(), &line("server 3", None));
        assert_eq!(
            entry.body,
            r#"{"seq":1,"at":"2023-11-14T22:13:20.000Z","account":7,"name":"ada","from":"127.0.0.1","door":"web","action":"server.start","subject":"server 3","detail":{"game":"openttd"},"of":null,"outcome":null,"hash":""}"#
        );
        let mut text = vec![0; 32];
        text.extend_from_slice(entry.body.as_bytes());
        assert_eq!(head.hash, <Hash>::from(Sha256::digest(&text)));
        assert_eq!(head.hash, entry.hash);
    }

    #[test]
    fn what_was_done_to_the_log_is_named() {
        let (head, whole) = chain(6);
        type Chain = Vec<(u64, Entry)>;
        let said = |change: &dyn Fn(&mut Chain)| {
            let mut entries = whole.clone();
            change(&mut entries);
            walk(Some(head), &entries).unwrap()
        };
        assert_eq!(walk(Some(head), &whole), None);
        assert_eq!(walk(None, &[]), None);
        assert_eq!(said(&|e| drop(e.remove(2))), "record 3 was removed");
        assert_eq!(said(&|e| drop(e.remove(0))), "record 1 was removed");
        assert_eq!(said(&|e| e.truncate(4)), "records 5 to 6 were removed");
        assert_eq!(said(&Vec::clear), "records 1 to 6 were removed");
        assert!(
            said(&|e| e[3].1.body = e[3].1.body.replace("ada", "eve")).starts_with("record 4 ")
        );
        assert!(said(&|e| e[5].1.hash[0] ^= 1).starts_with("record 6 "));
        let swap = |e: &mut Vec<(u64, Entry)>| {
            let (a, b) = (e[1].1.clone(), e[2].1.clone());
            (e[1].1, e[2].1) = (b, a);
        };
        assert!(said(&swap).starts_with("record 2 "));
        let more = |e: &mut Vec<(u64, Entry)>| e.push((7, follow(head, &line("x", None)).1));
        assert_eq!(said(&more), "record 7 was inserted after the head");
        assert!(walk(None, &whole).unwrap().contains("head"));
    }

    #[test]
    fn a_last_record_that_was_rewritten_with_its_hash_does_not_match_the_head() {
        let (head, mut entries) = chain(3);
        let before = Head {
            seq: 2,
            hash: entries[1].1.hash,
        };
        entries[2].1 = follow(before, &line("another", None)).1;
        assert!(walk(Some(head), &entries).unwrap().starts_with("record 3 "));
    }

    #[test]
    fn intents_stay_open_until_their_outcome() {
        let (mut head, mut walk) = (Head::default(), Walk::default());
        for of in [None, None, Some(1), None, Some(4)] {
            let (next, entry) = follow(head, &line("server 1", of));
            head = next;
            walk.step(&head.seq.to_be_bytes(), &entry);
        }
        let (records, fault, open) = walk.end(Some(head));
        assert_eq!((records, fault), (5, None));
        assert_eq!(open, BTreeSet::from([2]));
    }

    #[test]
    fn names_of_strangers_are_bounded_and_cannot_steer_a_terminal() {
        let mut wild = line(&"x".repeat(10_000), Some(1));
        wild.actor.name = "a\u{1b}[31m\n\u{202e}b".into();
        wild.outcome = Some("no\r\0".into());
        wild.detail = serde_json::json!({"k\u{7}": ["\u{9b}2J"], "long": "y".repeat(9000)});
        let tame = tame(wild);
        assert_eq!(tame.actor.name, r"a\u{1b}[31m\u{a}\u{202e}b");
        assert_eq!(tame.subject.chars().count(), WORDS + 1);
        assert_eq!(tame.outcome.as_deref(), Some(r"no\u{d}\u{0}"));
        assert_eq!(tame.detail[r"k\u{7}"][0], r"\u{9b}2J");
        let mut many = line("s", None);
        many.detail = Value::Array(vec![Value::from("z".repeat(400)); 1000]);
        assert!(super::tame(many).detail.to_string().len() <= DETAIL);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        /// No change of stored bytes, order or number goes unseen, and none before it is blamed.
        #[test]
        fn any_tampering_shows_at_its_place(count in 1u64..12, at in any::<prop::sample::Index>(), other in any::<prop::sample::Index>(), how in 0u8..5) {
            let (head, mut entries) = chain(count);
            prop_assert_eq!(walk(Some(head), &entries), None);
            let index = at.index(entries.len());
            let other = other.index(entries.len());
            let seq = index as u64 + 1;
            let first = match how {
                0 => { entries.remove(index); seq }
                1 => {
                    let byte = at.index(entries[index].1.body.len());
                    let mut body = entries[index].1.body.clone().into_bytes();
                    body[byte] = if body[byte] == b'x' { b'y' } else { b'x' };
                    entries[index].1.body = String::from_utf8(body).unwrap();
                    seq
                }
                2 => { entries[index].1.hash[at.index(32)] ^= 1 << (count % 8); seq }
                3 => {
                    prop_assume!(index != other);
                    let (a, b) = (entries[index].1.clone(), entries[other].1.clone());
                    (entries[index].1, entries[other].1) = (b, a);
                    seq.min(other as u64 + 1)
                }
                _ => { entries.truncate(index); seq }
            };
            let fault = walk(Some(head), &entries).unwrap();
            let named: u64 = fault.split(|c: char| !c.is_ascii_digit()).find(|word| !word.is_empty()).unwrap().parse().unwrap();
            prop_assert_eq!(named, first, "{}", fault);
        }
    }
}
