//! The XML of the meta server's wire: one element with what is in it, bounded, read and written.

use quick_xml::{
    Error, Reader, Writer,
    errors::SyntaxError,
    events::{BytesEnd, BytesStart, BytesText, Event},
};

use super::wire::MAX_REQUEST;

pub(super) const MAX_OPTIONS: usize = 32;
pub(super) const MAX_WORD: usize = 64;
pub(super) const MAX_VALUE: usize = 256;

/// Bytes that are no request, or no answer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("it is longer than {MAX_REQUEST} bytes")]
    TooLong,
    #[error("it is not UTF-8")]
    NotText,
    #[error("it is no XML that can be read")]
    NotXml,
    #[error("it ends too early")]
    Cut,
    #[error("it is neither query nor update")]
    Unknown,
    #[error("it has more than {MAX_OPTIONS} options, or a text in it is too long")]
    TooMuch,
}

/// An element with what is in it, two deep.
#[derive(Debug, Default)]
pub(super) struct Element {
    pub(super) name: String,
    attributes: Vec<(String, String)>,
    pub(super) text: String,
    pub(super) children: Vec<Element>,
}

impl Element {
    pub(super) fn read(text: &str) -> Result<Self, Malformed> {
        let mut reader = Reader::from_str(text);
        let mut open: Vec<Self> = Vec::new();
        loop {
            let event = reader.read_event().map_err(|error| match error {
                Error::Syntax(SyntaxError::InvalidBangMarkup) => Malformed::NotXml,
                Error::Syntax(_unclosed) => Malformed::Cut,
                _ => Malformed::NotXml,
            })?;
            let closed = match event {
                Event::Start(start) => {
                    open.push(Self::open(&start)?);
                    (open.len() > 3).then_some(Err(Malformed::TooMuch))
                }
                Event::Empty(start) => Some(Self::open(&start)),
                Event::End(_) => open.pop().map(Ok),
                Event::Text(text) => {
                    let text = text.decode().map_err(|_| Malformed::NotText)?;
                    let last = open.last_mut();
                    match last {
                        Some(last) => last.say(&text)?,
                        None if text.trim().is_empty() => {}
                        None => return Err(Malformed::NotXml),
                    }
                    None
                }
                Event::CData(text) => {
                    let text = text.decode().map_err(|_| Malformed::NotText)?;
                    open.last_mut().ok_or(Malformed::NotXml)?.say(&text)?;
                    None
                }
                Event::GeneralRef(entity) => {
                    let entity = entity.decode().map_err(|_| Malformed::NotText)?;
                    let meant = format!("&{entity};");
                    let meant = quick_xml::escape::unescape(&meant);
                    let meant = meant.map_err(|_| Malformed::NotXml)?;
                    open.last_mut().ok_or(Malformed::NotXml)?.say(&meant)?;
                    None
                }
                Event::Decl(_) | Event::Comment(_) => None,
                Event::PI(_) | Event::DocType(_) => return Err(Malformed::NotXml),
                Event::Eof => return Err(Malformed::Cut),
            };
            match (closed.transpose()?, open.last_mut()) {
                (Some(closed), Some(around)) => {
                    around.children.push(closed);
                    if around.children.len() > MAX_OPTIONS {
                        return Err(Malformed::TooMuch);
                    }
                }
                (Some(root), None) => return Ok(root),
                (None, _) => {}
            }
        }
    }

    fn open(start: &BytesStart<'_>) -> Result<Self, Malformed> {
        let text = |bytes: &[u8]| {
            let text = std::str::from_utf8(bytes).map_err(|_| Malformed::NotText)?;
            Ok(text.to_ascii_lowercase())
        };
        let mut element = Self {
            name: text(start.name().as_ref())?,
            ..Self::default()
        };
        for attribute in start.attributes() {
            let attribute = attribute.map_err(|_| Malformed::NotXml)?;
            let value = attribute.unescape_value().map_err(|_| Malformed::NotXml)?;
            if element.attributes.len() == 8 || value.len() > MAX_VALUE {
                return Err(Malformed::TooMuch);
            }
            let name = text(attribute.key.as_ref())?;
            element.attributes.push((name, value.into_owned()));
        }
        Ok(element)
    }

    fn say(&mut self, text: &str) -> Result<(), Malformed> {
        self.text.push_str(text);
        if self.text.len() > MAX_VALUE {
            return Err(Malformed::TooMuch);
        }
        Ok(())
    }

    pub(super) fn take(&mut self, attribute: &str) -> String {
        let mut attributes = self.attributes.iter_mut();
        let found = attributes.find(|(name, _)| name == attribute);
        found
            .map(|(_, value)| std::mem::take(value))
            .unwrap_or_default()
    }

    pub(super) fn options(&mut self) -> Result<Vec<(String, String)>, Malformed> {
        let mut options = Vec::new();
        for mut child in std::mem::take(&mut self.children) {
            if child.name == "option" {
                options.push((word(child.take("name"))?, child.text.trim().into()));
            }
        }
        Ok(options)
    }
}

/// A text of the length that a class, a kind or a name may have.
pub(super) fn word(word: String) -> Result<String, Malformed> {
    match word.len() <= MAX_WORD {
        true => Ok(word),
        false => Err(Malformed::TooMuch),
    }
}

/// Writes each option as an element.
pub(super) fn write_options(to: &mut Vec<u8>, options: &[(String, String)]) {
    for (name, value) in options {
        element(to, "option", &[("name", name)], |to| write_text(to, value));
    }
}

/// Writes text, escaped.
pub(super) fn write_text(to: &mut Vec<u8>, text: &str) {
    write(to, Event::Text(BytesText::new(text)));
}

/// Writes an element and what is in it.
pub(super) fn element(
    to: &mut Vec<u8>,
    name: &str,
    attributes: &[(&str, &str)],
    inside: impl FnOnce(&mut Vec<u8>),
) {
    let start = BytesStart::new(name).with_attributes(attributes.iter().copied());
    write(to, Event::Start(start));
    inside(to);
    write(to, Event::End(BytesEnd::new(name)));
}

fn write(to: &mut Vec<u8>, event: Event<'_>) {
    let written = Writer::new(to).write_event(event);
    written.expect("memory takes all that is written");
}
