//! A game's settings: what a definition declares, and what an owner may give.

use serde::{Deserialize, Serialize};

/// Longest text that a setting may hold, in characters.
const MAX_TEXT: usize = 256;

/// One setting as a definition declares it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase", deny_unknown_fields)]
pub(crate) enum Setting {
    /// A whole number.
    Integer {
        description: String,
        default: i64,
        min: i64,
        max: i64,
    },
    /// Yes or no.
    Boolean { description: String, default: bool },
    /// One line of text.
    Text {
        description: String,
        default: String,
        /// In characters.
        max: usize,
        /// Those allowed: single ones and ranges, as in `a-zA-Z0-9_`. Absent: all that print.
        characters: Option<String>,
    },
    /// One of a few.
    Choice {
        description: String,
        default: String,
        choices: Vec<Choice>,
    },
    /// A file in the server's folder.
    Path {
        description: String,
        default: String,
    },
}

/// One of a few: what people choose, and what the game is told when that differs.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum Choice {
    /// Told as it is chosen.
    Same(String),
    /// Label, and what the game is told.
    Named(String, String),
}

impl Choice {
    pub(crate) fn label(&self) -> &str {
        let (Self::Same(label) | Self::Named(label, _)) = self;
        label
    }

    fn told(&self) -> &str {
        let (Self::Same(told) | Self::Named(_, told)) = self;
        told
    }
}

/// What an owner gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Value {
    Integer(i64),
    Boolean(bool),
    Text(String),
}

/// Plain in JSON, tagged in the store.
#[derive(Serialize, Deserialize)]
enum Stored {
    Integer(i64),
    Boolean(bool),
    Text(String),
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Plain {
    Integer(i64),
    Boolean(bool),
    Text(String),
}

impl Serialize for Value {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let value = self.clone();
        if serializer.is_human_readable() {
            match value {
                Self::Integer(value) => Plain::Integer(value),
                Self::Boolean(value) => Plain::Boolean(value),
                Self::Text(value) => Plain::Text(value),
            }
            .serialize(serializer)
        } else {
            match value {
                Self::Integer(value) => Stored::Integer(value),
                Self::Boolean(value) => Stored::Boolean(value),
                Self::Text(value) => Stored::Text(value),
            }
            .serialize(serializer)
        }
    }
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(if deserializer.is_human_readable() {
            match Plain::deserialize(deserializer)? {
                Plain::Integer(value) => Self::Integer(value),
                Plain::Boolean(value) => Self::Boolean(value),
                Plain::Text(value) => Self::Text(value),
            }
        } else {
            match Stored::deserialize(deserializer)? {
                Stored::Integer(value) => Self::Integer(value),
                Stored::Boolean(value) => Self::Boolean(value),
                Stored::Text(value) => Self::Text(value),
            }
        })
    }
}

impl Value {
    pub(crate) fn json(&self) -> serde_json::Value {
        match self {
            Self::Integer(value) => (*value).into(),
            Self::Boolean(value) => (*value).into(),
            Self::Text(value) => value.clone().into(),
        }
    }
}

impl Setting {
    pub(crate) fn default(&self) -> Value {
        match self {
            Self::Integer { default, .. } => Value::Integer(*default),
            Self::Boolean { default, .. } => Value::Boolean(*default),
            Self::Text { default, .. }
            | Self::Choice { default, .. }
            | Self::Path { default, .. } => Value::Text(default.clone()),
        }
    }

    /// What the game is told for `value`.
    pub(crate) fn told(&self, value: &Value) -> String {
        match (self, value) {
            (Self::Choice { choices, .. }, Value::Text(label)) => choices
                .iter()
                .find(|choice| choice.label() == label)
                .map_or_else(String::new, |choice| choice.told().to_owned()),
            (_, Value::Integer(value)) => value.to_string(),
            (_, Value::Boolean(value)) => value.to_string(),
            (_, Value::Text(value)) => value.clone(),
        }
    }

    /// Reads what an owner gave; the error says what would be right. Scripts may give numbers as text and the reverse.
    pub(crate) fn accept(&self, given: &serde_json::Value) -> Result<Value, String> {
        let text = match given {
            serde_json::Value::String(text) => text.clone(),
            serde_json::Value::Number(number) => number.to_string(),
            serde_json::Value::Bool(value) => value.to_string(),
            _ => return Err("must be text, a number, true or false".into()),
        };
        match self {
            Self::Integer { min, max, .. } => text
                .parse()
                .ok()
                .filter(|value| (min..=max).contains(&value))
                .map(Value::Integer)
                .ok_or_else(|| format!("must be a whole number from {min} to {max}")),
            Self::Boolean { .. } => text
                .parse()
                .map(Value::Boolean)
                .map_err(|_| "must be true or false".into()),
            Self::Text {
                max, characters, ..
            } => {
                printable(&text, *max)?;
                if let Some(set) = characters
                    && let Some(odd) = text.chars().find(|&c| !allowed(set, c))
                {
                    return Err(format!("may hold only {set}, not `{odd}`"));
                }
                Ok(Value::Text(text))
            }
            Self::Choice { choices, .. } => {
                if choices.iter().any(|choice| choice.label() == text) {
                    return Ok(Value::Text(text));
                }
                let labels: Vec<_> = choices.iter().map(Choice::label).collect();
                Err(format!("must be one of: {}", labels.join(", ")))
            }
            Self::Path { .. } => {
                if !text.is_empty() {
                    relative(&text)?;
                }
                Ok(Value::Text(text))
            }
        }
    }

    /// What is wrong with the declaration itself.
    pub(crate) fn fault(&self) -> Option<String> {
        match self {
            Self::Integer { min, max, .. } if min > max => {
                return Some("`min` must not exceed `max`".into());
            }
            Self::Text { max, .. } if !(1..=MAX_TEXT).contains(max) => {
                return Some(format!("`max` must be from 1 to {MAX_TEXT}"));
            }
            Self::Choice { choices, .. }
                if choices
                    .iter()
                    .any(|choice| printable(choice.told(), MAX_TEXT).is_err()) =>
            {
                return Some(format!(
                    "`choices` must be printable, at most {MAX_TEXT} characters"
                ));
            }
            _ => {}
        }
        self.accept(&self.default().json())
            .err()
            .map(|why| format!("`default` {why}"))
    }
}

/// Whether `set`, like `a-z0-9_`, holds `c`.
fn allowed(set: &str, c: char) -> bool {
    let set: Vec<char> = set.chars().collect();
    let mut rest = &set[..];
    loop {
        match rest {
            [first, '-', last, tail @ ..] => {
                if (first..=last).contains(&&c) {
                    return true;
                }
                rest = tail;
            }
            [one, tail @ ..] => {
                if *one == c {
                    return true;
                }
                rest = tail;
            }
            [] => return false,
        }
    }
}

/// Text of one line that shows as it is: no control characters, no line or direction marks.
pub(crate) fn printable(text: &str, max: usize) -> Result<(), String> {
    if text.chars().count() > max {
        return Err(format!("must have at most {max} characters"));
    }
    let hidden = |c: char| {
        c.is_control()
            || matches!(c, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    match text.chars().find(|&c| hidden(c)) {
        Some(c) => Err(format!(
            "must be one printable line, without U+{:04X}",
            u32::from(c)
        )),
        None => Ok(()),
    }
}

/// A path that stays inside the folder it is relative to.
pub(crate) fn relative(path: &str) -> Result<(), String> {
    printable(path, MAX_TEXT)?;
    let fine = !path.is_empty()
        && !path.contains('\\')
        && path
            .split('/')
            .all(|part| !part.is_empty() && part != "." && part != "..");
    fine.then_some(()).ok_or_else(|| {
        "must be a relative path inside the server's folder, without `..` or `\\`".into()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    fn text(characters: Option<&str>) -> Setting {
        Setting::Text {
            description: String::new(),
            default: String::new(),
            max: 8,
            characters: characters.map(Into::into),
        }
    }

    #[test]
    fn control_characters_are_refused_and_shell_characters_are_just_text() {
        for bad in ["a\nb", "a\0", "\u{1b}[2J", "\u{202e}x", "123456789"] {
            assert!(text(None).accept(&json!(bad)).is_err(), "{bad:?}");
        }
        let shell = "$(x);`'\"";
        assert_eq!(
            text(None).accept(&json!(&shell[..8])),
            Ok(Value::Text(shell[..8].into()))
        );
    }

    #[test]
    fn only_the_declared_characters_pass() {
        let setting = text(Some("a-c_-"));
        assert!(setting.accept(&json!("a_-c")).is_ok());
        assert!(setting.accept(&json!("d")).is_err());
    }

    #[test]
    fn a_path_stays_inside() {
        for bad in ["..", "/etc/passwd", "a/../b", "a//b", "./a", "a\\b", "a\nb"] {
            assert!(relative(bad).is_err(), "{bad}");
        }
        assert!(relative("save/auto.sav").is_ok());
    }

    #[test]
    fn numbers_keep_to_their_range_and_choices_to_their_list() {
        let number = Setting::Integer {
            description: String::new(),
            default: 4,
            min: 1,
            max: 8,
        };
        assert_eq!(number.accept(&json!(8)), Ok(Value::Integer(8)));
        assert_eq!(number.accept(&json!("8")), Ok(Value::Integer(8)));
        assert!(number.accept(&json!(9)).is_err());
        assert!(number.accept(&json!(1.5)).is_err());
        assert!(number.accept(&json!([1])).is_err());
        let choice = Setting::Choice {
            description: String::new(),
            default: "big".into(),
            choices: vec![
                Choice::Same("small".into()),
                Choice::Named("big".into(), "9".into()),
            ],
        };
        let big = choice.accept(&json!("big")).unwrap();
        assert_eq!(choice.told(&big), "9");
        assert!(choice.accept(&json!("9")).is_err());
        assert_eq!(choice.fault(), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]
        #[test]
        fn whatever_is_accepted_is_one_line(given in "\\PC*|.*") {
            if let Ok(Value::Text(value)) = text(None).accept(&json!(given)) {
                prop_assert!(!value.contains(['\n', '\r', '\0']));
            }
        }
    }
}
