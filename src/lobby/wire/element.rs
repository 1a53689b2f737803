//! One complete element of a document, and how its fields are looked up.

use std::fmt;

/// An element with all that is in it. Names compare without case, as everything of this protocol does.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Element {
    /// As it was written.
    pub name: String,
    /// Names as they were written, and values without their escapes.
    pub attributes: Vec<(String, String)>,
    /// In order.
    pub children: Vec<Element>,
    /// All text that is directly in it, without escapes: what stood between its children is run together.
    pub text: String,
}

impl Element {
    /// Whether it has this name.
    pub fn is(&self, name: &str) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }

    /// The attribute of this name.
    pub fn attribute(&self, name: &str) -> Option<&str> {
        self.attributes
            .iter()
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    /// The last child of this name, as of two fields the later counts.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().rfind(|child| child.is(name))
    }

    /// The children of this name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.is(name))
    }

    /// The text of the child of this name; none when there is no such child, or nothing in it.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.child(name)
            .map(|child| child.text.as_str())
            .filter(|text| !text.is_empty())
    }

    /// The number in the attribute of this name.
    pub(super) fn number(&self, name: &str) -> Field<i64> {
        match self.attribute(name) {
            None => Field::Absent,
            Some(text) => number(text).map_or(Field::Malformed, Field::Is),
        }
    }

    /// The number in the attribute of this name, which is not below 0 and below 2^32.
    pub(super) fn count(&self, name: &str) -> Option<u32> {
        match self.number(name) {
            Field::Is(number) => u32::try_from(number).ok(),
            Field::Absent | Field::Malformed => None,
        }
    }

    /// Whether the attribute of this name says true; what is neither true nor false counts as not said.
    pub(super) fn truth(&self, name: &str) -> Option<bool> {
        let text = self.attribute(name)?;
        [("true", true), ("false", false)]
            .into_iter()
            .find_map(|(word, value)| text.eq_ignore_ascii_case(word).then_some(value))
    }
}

/// What an attribute is, when it is to be a `T`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Field<T> {
    Absent,
    Malformed,
    Is(T),
}

/// A decimal number, or a hexadecimal one after `0x`.
fn number(text: &str) -> Option<i64> {
    let text = text.trim_ascii();
    match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(digits) if digits.starts_with(['+', '-']) => None,
        Some(digits) => i64::from_str_radix(digits, 16).ok(),
        None => text.parse().ok(),
    }
}

/// Without the text of PASSWORD elements and TOKENs.
impl fmt::Debug for Element {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "<{}", self.name)?;
        for (name, value) in &self.attributes {
            match name.eq_ignore_ascii_case("TOKEN") {
                true => write!(f, " {name}=..")?,
                false => write!(f, " {name}={value:?}")?,
            }
        }
        f.write_str(">")?;
        f.debug_list().entries(&self.children).finish()?;
        match self.is("PASSWORD") || self.is("TOKEN") {
            true => f.write_str(".."),
            false => write!(f, "{:?}", self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_decimal_or_hexadecimal_and_nothing_else() {
        for (text, is) in [
            ("0", Some(0)),
            (" 12\n", Some(12)),
            ("-1", Some(-1)),
            ("0x1F", Some(31)),
            ("0X0000019f", Some(0x19f)),
            ("", None),
            ("0x", None),
            ("0x-1", None),
            ("1f", None),
            ("1 2", None),
            ("99999999999999999999", None),
        ] {
            assert_eq!(number(text), is, "{text:?}");
        }
    }

    #[test]
    fn a_password_is_not_in_what_is_logged_of_an_element() {
        let element = Element {
            name: "LOGIN".into(),
            children: vec![Element {
                name: "password".into(),
                text: "battery staple".into(),
                ..Element::default()
            }],
            attributes: vec![("Token".into(), "battery".into())],
            ..Element::default()
        };
        assert_eq!(
            format!("{element:?}"),
            "<LOGIN Token=..>[<password>[]..]\"\""
        );
    }
}
