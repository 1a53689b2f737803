//! What one word of the command line may be.

use std::str::FromStr;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::{accounts::Verb, hosting::Wait};

/// A limit that was named: a number, or none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bound<T>(pub(crate) Option<T>);

/// Every verb that grants and scopes know, as the API writes it.
pub(super) const VERBS: [&str; 19] = [
    "server.view",
    "server.create",
    "server.power",
    "server.configure",
    "server.delete",
    "console.read",
    "console.write",
    "accounts.manage",
    "audit.read",
    "box.manage",
    "voice.join",
    "voice.create",
    "voice.manage",
    "lobby.join",
    "lobby.moderate",
    "lobby.manage",
    "files.read",
    "files.write",
    "server.snapshot",
];

pub(super) fn verbs() -> impl TypedValueParser<Value = Verb> {
    known(VERBS)
}

/// A parser of words that the API's own type reads, so that there is one spelling.
pub(super) fn known<T: DeserializeOwned + Clone + Send + Sync + 'static>(
    words: impl IntoIterator<Item = &'static str>,
) -> impl TypedValueParser<Value = T> {
    PossibleValuesParser::new(words).try_map(|word| serde_json::from_value(Value::String(word)))
}

pub(super) fn setting(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.trim().is_empty() => Ok((key.trim().into(), value.into())),
        _ => Err("this is not KEY=VALUE".into()),
    }
}

pub(super) fn number<T: FromStr>(text: &str) -> Result<Bound<T>, String> {
    match text {
        "none" => Ok(Bound(None)),
        _ => text
            .parse()
            .map(|number| Bound(Some(number)))
            .map_err(|_| "this is neither a number nor `none`".into()),
    }
}

/// A time, `never`, or (as none) what the class says.
pub(super) fn wait(text: &str) -> Result<Bound<Wait>, String> {
    match text {
        "class" => Ok(Bound(None)),
        text => text.parse().map(|wait| Bound(Some(wait))),
    }
}

pub(super) fn memory(text: &str) -> Result<Bound<u64>, String> {
    let (digits, shift) = match text.as_bytes().last() {
        Some(b'K' | b'k') => (&text[..text.len() - 1], 10),
        Some(b'M' | b'm') => (&text[..text.len() - 1], 20),
        Some(b'G' | b'g') => (&text[..text.len() - 1], 30),
        _ => (text, 0),
    };
    match number::<u64>(digits) {
        Ok(Bound(Some(number))) => number
            .checked_mul(1 << shift)
            .map(|bytes| Bound(Some(bytes)))
            .ok_or_else(|| "this is more than any machine has".into()),
        Ok(none) if shift == 0 => Ok(none),
        _ => Err("this is neither a size like 512M or 2G nor `none`".into()),
    }
}
