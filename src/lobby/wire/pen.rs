//! Writes elements as the protocol has them: single quotes, and a line for each tag that has others in it.

use std::fmt::{self, Display, Write as _};

use quick_xml::escape::escape;

use super::token::is_sound;

/// Writes to the end of some bytes.
pub(super) struct Pen<'a>(pub(super) &'a mut Vec<u8>);

/// A tag whose attributes are being written.
#[must_use = "it has to be ended"]
pub(super) struct Tag<'a> {
    bytes: &'a mut Vec<u8>,
    name: &'static str,
}

impl Pen<'_> {
    /// `<NAME`.
    pub(super) fn tag(&mut self, name: &'static str) -> Tag<'_> {
        self.raw("<");
        self.raw(name);
        Tag {
            bytes: self.0,
            name,
        }
    }

    /// `<NAME>`, with others in it.
    pub(super) fn open(&mut self, name: &'static str) {
        self.tag(name).open();
    }

    /// `</NAME>`.
    pub(super) fn close(&mut self, name: &'static str) {
        self.raw("</");
        self.raw(name);
        self.raw(">\n");
    }

    /// `<NAME/>`.
    pub(super) fn empty(&mut self, name: &'static str) {
        self.tag(name).empty();
    }

    /// `<NAME>text</NAME>`.
    pub(super) fn field(&mut self, name: &'static str, text: &str) {
        self.tag(name).text(text);
    }

    /// As it is.
    pub(super) fn raw(&mut self, text: &str) {
        self.0.extend_from_slice(text.as_bytes());
    }
}

impl Tag<'_> {
    /// ` NAME='value'`.
    pub(super) fn with(self, name: &'static str, value: impl Display) -> Self {
        self.bytes.push(b' ');
        self.bytes.extend_from_slice(name.as_bytes());
        self.bytes.extend_from_slice(b"='");
        write!(Attribute(self.bytes), "{value}").expect("memory takes it");
        self.bytes.push(b'\'');
        self
    }

    /// The same, or nothing.
    pub(super) fn maybe(self, name: &'static str, value: Option<impl Display>) -> Self {
        match value {
            Some(value) => self.with(name, value),
            None => self,
        }
    }

    /// `>`, with others in it.
    pub(super) fn open(self) {
        self.bytes.extend_from_slice(b">\n");
    }

    /// `/>`.
    pub(super) fn empty(self) {
        self.bytes.extend_from_slice(b"/>\n");
    }

    /// `>text</NAME>`.
    pub(super) fn text(self, text: &str) {
        self.bytes.push(b'>');
        put(self.bytes, text, |one| one == '\r');
        Pen(self.bytes).close(self.name);
    }

    /// The same, or `/>`.
    pub(super) fn maybe_text(self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.empty(),
        }
    }

    /// `><![CDATA[text]]></NAME>`. Where the text itself has `]]>`, one section ends and another begins.
    pub(super) fn cdata(self, text: &str) {
        let text: String = text.chars().filter(|one| is_sound(*one)).collect();
        let text = text.replace("]]>", "]]]]><![CDATA[>");
        let mut pen = Pen(self.bytes);
        pen.raw("><![CDATA[");
        pen.raw(&text);
        pen.raw("]]>");
        pen.close(self.name);
    }
}

/// A value within quotes.
struct Attribute<'a>(&'a mut Vec<u8>);

impl fmt::Write for Attribute<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        put(self.0, text, |one| matches!(one, '\t' | '\n' | '\r'));
        Ok(())
    }
}

/// Escapes XML's five characters, writes those by number that a reader would change, and drops those that XML has not.
fn put(bytes: &mut Vec<u8>, text: &str, by_number: fn(char) -> bool) {
    let mut rest = text;
    while let Some((at, one)) = rest
        .char_indices()
        .find(|(_, one)| by_number(*one) || !is_sound(*one))
    {
        bytes.extend_from_slice(escape(&rest[..at]).as_bytes());
        if is_sound(one) {
            bytes.extend_from_slice(format!("&#{};", u32::from(one)).as_bytes());
        }
        rest = &rest[at + one.len_utf8()..];
    }
    bytes.extend_from_slice(escape(rest).as_bytes());
}
