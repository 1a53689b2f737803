//! An endless XML document, framed into elements as they complete.
//!
//! ```text
//!  push ─► bytes ─► quick-xml, one token at a time ─► stack of open elements ─► Opened, Element.., Closed
//! ```
//!
//! - Everything is bounded before it is kept ([`Limits`]), and a token that is not complete is looked at again only when
//!   the byte came that may end it: whoever sends byte by byte gains nothing.
//! - There is no DTD, so there are no entities but XML's five, and nothing to expand.
//! - Elements around which there is no SESSION are taken as if there were one, for people who type.
//! - Bytes after an item stay where they are until the next call: after `</SESSION>` of a channel the next byte is the
//!   game's, and after `<TLS_START/>` it is TLS's. Whoever must not take those from the socket peeks at it, and consumes
//!   up to each [`boundary`] only. The end of the line after such a tag is neither's.

use memchr::{memchr, memchr3};
use quick_xml::{
    escape::{resolve_xml_entity, unescape_with},
    events::{BytesStart, Event},
};

use super::{
    element::Element,
    terms::Code,
    token::{Token, may_be_complete, name, read, sound},
};

/// How much is taken from the other side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Elements within each other, without SESSION.
    pub depth: usize,
    /// Attributes of one element.
    pub attributes: usize,
    /// Bytes of one attribute's value, as it is written.
    pub value: usize,
    /// Children of one element.
    pub children: usize,
    /// Elements within a top one, at any depth.
    pub elements: usize,
    /// Bytes of text in one element.
    pub text: usize,
    /// Bytes of one tag, or of one piece of text, as it is written.
    pub token: usize,
    /// Bytes of a top element, as it is written.
    pub whole: usize,
}

impl Limits {
    /// Of what a client says: the largest thing is a chat or a launch with 32 seats.
    pub const REQUESTS: Self = Self {
        depth: 8,
        attributes: 16,
        value: 1 << 10,
        children: 64,
        elements: 128,
        text: 8 << 10,
        token: 16 << 10,
        whole: 64 << 10,
    };
    /// Of what a server says: whole lists, and the message of the day.
    pub const PUSHES: Self = Self {
        depth: 8,
        attributes: 16,
        value: 4 << 10,
        children: 1 << 16,
        elements: 1 << 18,
        text: 1 << 16,
        token: 1 << 17,
        whole: 1 << 24,
    };
}

/// Bytes of a reference to a character or an entity: `&#x10FFFF;` has 10.
const REFERENCE: usize = 16;
/// Bytes outside of all elements without a tag.
const IDLE: usize = 512;
/// A buffer that is larger goes when it is empty: most sessions say nothing most of the time.
const KEPT: usize = 1 << 10;

/// One thing that a document said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Item {
    /// `<SESSION>`.
    Opened,
    /// An element of SESSION, complete.
    Element(Element),
    /// `</SESSION>`. Nothing comes after it.
    Closed,
}

/// Why a document cannot be read any further.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum XmlError {
    /// It is not well-formed.
    #[error("XML that is not well-formed")]
    Malformed,
    /// Not UTF-8, or a character that XML has not.
    #[error("a character that XML has not")]
    Character,
    /// A DTD, a processing instruction, or an entity that is not one of the five.
    #[error("a DTD, a processing instruction or an unknown entity")]
    Forbidden,
    /// Elements too deep within each other.
    #[error("elements too deep within each other")]
    Depth,
    /// Too many attributes, or elements in one.
    #[error("too many attributes or elements in one")]
    Count,
    /// A name, a value, a text, a tag or an element that is too long.
    #[error("a name, a value, a text or an element that is too long")]
    Length,
    /// A lot of text outside of all elements.
    #[error("more than 512 bytes without a tag")]
    Idle,
}

impl XmlError {
    /// What the RESULT of action `protocol` says, before the connection ends.
    pub fn code(self) -> Code {
        match self {
            Self::Malformed | Self::Character | Self::Forbidden => Code::BadXml,
            Self::Depth | Self::Count | Self::Length | Self::Idle => Code::BadOptions,
        }
    }
}

/// How many of the bytes may be consumed without taking any that may not belong to the document: up to and including the
/// first `>`, or all when there is none.
pub fn boundary(bytes: &[u8]) -> usize {
    memchr(b'>', bytes).map_or(bytes.len(), |at| at + 1)
}

/// Turns bytes into [`Item`]s. After an error it says nothing but that error.
pub struct Framer {
    limits: Limits,
    bytes: Vec<u8>,
    /// Of `bytes`, what was made use of.
    used: usize,
    /// Of all that was ever pushed, what was made use of.
    consumed: u64,
    /// Of the token that is not complete, what was looked at.
    seen: usize,
    root: Root,
    /// From the top element inwards.
    open: Vec<Element>,
    /// Of the top element, so far: its elements, and its bytes.
    elements: usize,
    whole: usize,
    /// Bytes outside of all elements since the last tag.
    idle: usize,
    failed: Option<XmlError>,
}

enum Root {
    /// Nothing but white space yet.
    Start,
    /// No SESSION yet.
    Before,
    /// `<SESSION>`, as it was written.
    Open(String),
    /// `<SESSION/>`.
    Closing,
    Closed,
}

impl Framer {
    /// For a document of which this much is taken.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            bytes: Vec::new(),
            used: 0,
            consumed: 0,
            seen: 0,
            root: Root::Start,
            open: Vec::new(),
            elements: 0,
            whole: 0,
            idle: 0,
            failed: None,
        }
    }

    /// Takes bytes. Push what one read gave, then take all items.
    pub fn push(&mut self, bytes: &[u8]) {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(bytes);
    }

    /// What was pushed and not made use of yet.
    pub fn remaining(&self) -> &[u8] {
        &self.bytes[self.used..]
    }

    /// How many of all bytes that were pushed belong to the items so far, and to what is between them.
    pub fn consumed(&self) -> u64 {
        self.consumed
    }

    /// The next item; none until more bytes come.
    #[expect(
        clippy::should_implement_trait,
        reason = "more bytes may follow after a none"
    )]
    pub fn next(&mut self) -> Result<Option<Item>, XmlError> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        self.advance().inspect_err(|error| {
            self.failed = Some(*error);
            self.open = Vec::new();
        })
    }

    fn advance(&mut self) -> Result<Option<Item>, XmlError> {
        loop {
            match self.root {
                Root::Closed => return Ok(None),
                Root::Closing => {
                    self.root = Root::Closed;
                    return Ok(Some(Item::Closed));
                }
                _ if self.remaining().is_empty() => {
                    self.rest();
                    return Ok(None);
                }
                _ => {}
            }
            let bytes = std::mem::take(&mut self.bytes);
            let step = self.step(&bytes[self.used..]);
            self.bytes = bytes;
            match step? {
                None => return Ok(None),
                Some((length, item)) => {
                    self.used += length;
                    self.consumed += length as u64;
                    self.seen = 0;
                    if item.is_some() {
                        return Ok(item);
                    }
                }
            }
        }
    }

    /// Lets go of a buffer that is empty.
    fn rest(&mut self) {
        self.used = 0;
        self.bytes.clear();
        if self.bytes.capacity() > KEPT {
            self.bytes = Vec::new();
        }
    }

    /// Reads one token: how long it is, and what it completed. None when it is not all there.
    fn step(&mut self, bytes: &[u8]) -> Result<Option<(usize, Option<Item>)>, XmlError> {
        self.check_kind(bytes)?;
        let token = match may_be_complete(bytes, self.seen) {
            true => read(bytes)?,
            false => None,
        };
        let length = token.as_ref().map_or(bytes.len(), |(length, _)| *length);
        let is_text = match bytes[0] {
            b'<' => false,
            b'&' => token.is_some(),
            _ => true,
        };
        if self.open.is_empty() && is_text && self.idle + length > IDLE {
            return Err(XmlError::Idle);
        }
        if length > self.limits.token {
            return Err(XmlError::Length);
        }
        self.seen = bytes.len();
        token
            .map(|(length, token)| Ok((length, self.take(length, token)?)))
            .transpose()
    }

    /// Refuses what nobody needs here, before it is complete.
    fn check_kind(&mut self, bytes: &[u8]) -> Result<(), XmlError> {
        let may_become = |mark: &[u8]| bytes.starts_with(mark) || mark.starts_with(bytes);
        let begins = |mark: &[u8]| bytes.starts_with(mark);
        match () {
            () if begins(b"<!") && !may_become(b"<!--") && !may_become(b"<![CDATA[") => {
                Err(XmlError::Forbidden)
            }
            () if begins(b"<?") && !(may_become(b"<?xml") && matches!(self.root, Root::Start)) => {
                Err(XmlError::Forbidden)
            }
            () if begins(b"&") && bytes.len() > REFERENCE => {
                match memchr3(b';', b'<', b'&', &bytes[1..=REFERENCE]) {
                    Some(_) => Ok(()),
                    None => Err(XmlError::Malformed),
                }
            }
            () => Ok(()),
        }
    }

    fn take(&mut self, length: usize, token: Token<'_>) -> Result<Option<Item>, XmlError> {
        if !self.open.is_empty() {
            self.whole += length;
            if self.whole > self.limits.whole {
                return Err(XmlError::Length);
            }
        }
        let is_blank = match &token {
            Token::Mark => self.consumed == 0,
            Token::Event(Event::Text(text)) => text.trim_ascii().is_empty(),
            Token::Event(_) => false,
        };
        match token {
            Token::Mark => self.text("\u{feff}", length)?,
            Token::Event(Event::Text(text)) => {
                let text = text.xml10_content().map_err(|_| XmlError::Character)?;
                // As XML has it: this is only what ends a CDATA section.
                if text.contains("]]>") {
                    return Err(XmlError::Malformed);
                }
                self.text(&text, length)?;
            }
            Token::Event(Event::CData(text)) => {
                let text = text.xml10_content().map_err(|_| XmlError::Character)?;
                self.text(&text, length)?;
            }
            Token::Event(Event::GeneralRef(reference)) => {
                let name = reference.decode().map_err(|_| XmlError::Character)?;
                match reference.resolve_char_ref() {
                    Ok(Some(one)) => self.text(one.encode_utf8(&mut [0; 4]), length)?,
                    Ok(None) => {
                        let text = resolve_xml_entity(&name).ok_or(XmlError::Forbidden)?;
                        self.text(text, length)?;
                    }
                    Err(_) => return Err(XmlError::Character),
                }
            }
            Token::Event(Event::Comment(text)) => {
                sound(&text.decode().map_err(|_| XmlError::Character)?)?;
                self.text("", length)?;
            }
            Token::Event(Event::Decl(declaration)) => {
                let utf8 = match declaration.encoding() {
                    None => true,
                    Some(Ok(encoding)) => encoding.eq_ignore_ascii_case(b"utf-8"),
                    Some(Err(_)) => false,
                };
                if declaration.version().is_err() || !utf8 {
                    return Err(XmlError::Malformed);
                }
            }
            Token::Event(Event::Start(tag)) => return self.start(&tag, length),
            Token::Event(Event::Empty(tag)) => {
                let opened = self.start(&tag, length)?;
                if opened.is_none() {
                    return Ok(self.complete());
                }
                self.root = Root::Closing;
                return Ok(opened);
            }
            Token::Event(Event::End(tag)) => return self.end(tag.name().as_ref()),
            Token::Event(Event::PI(_) | Event::DocType(_)) => return Err(XmlError::Forbidden),
            Token::Event(Event::Eof) => return Err(XmlError::Malformed),
        }
        if matches!(self.root, Root::Start) && !is_blank {
            self.root = Root::Before;
        }
        Ok(None)
    }

    /// Text within an element is kept; outside it only counts.
    fn text(&mut self, text: &str, length: usize) -> Result<(), XmlError> {
        sound(text)?;
        let Some(element) = self.open.last_mut() else {
            self.idle += length;
            return match self.idle > IDLE {
                true => Err(XmlError::Idle),
                false => Ok(()),
            };
        };
        if element.text.len() + text.len() > self.limits.text {
            return Err(XmlError::Length);
        }
        element.text.push_str(text);
        Ok(())
    }

    fn start(&mut self, tag: &BytesStart<'_>, length: usize) -> Result<Option<Item>, XmlError> {
        let element = self.element(tag)?;
        self.idle = 0;
        if self.open.is_empty() {
            if element.is("SESSION") && matches!(self.root, Root::Start | Root::Before) {
                self.root = Root::Open(element.name);
                return Ok(Some(Item::Opened));
            }
            if matches!(self.root, Root::Start) {
                self.root = Root::Before;
            }
            self.elements = 0;
            self.whole = length;
        }
        if self.open.len() == self.limits.depth {
            return Err(XmlError::Depth);
        }
        self.elements += 1;
        let siblings = self.open.last().map_or(0, |parent| parent.children.len());
        if siblings == self.limits.children || self.elements > self.limits.elements {
            return Err(XmlError::Count);
        }
        self.open.push(element);
        Ok(None)
    }

    fn element(&self, tag: &BytesStart<'_>) -> Result<Element, XmlError> {
        let mut element = Element {
            name: name(tag.name().as_ref())?.to_owned(),
            ..Element::default()
        };
        for attribute in tag.attributes() {
            let attribute = attribute.map_err(|_| XmlError::Malformed)?;
            let key = name(attribute.key.as_ref())?;
            if element.attributes.len() == self.limits.attributes {
                return Err(XmlError::Count);
            }
            if attribute.value.len() > self.limits.value {
                return Err(XmlError::Length);
            }
            if element.attribute(key).is_some() || attribute.value.contains(&b'<') {
                return Err(XmlError::Malformed);
            }
            let raw = str::from_utf8(&attribute.value).map_err(|_| XmlError::Character)?;
            let value = unescape_with(raw, resolve_xml_entity).map_err(|_| XmlError::Forbidden)?;
            sound(&value)?;
            element
                .attributes
                .push((key.to_owned(), value.into_owned()));
        }
        Ok(element)
    }

    fn end(&mut self, name: &[u8]) -> Result<Option<Item>, XmlError> {
        self.idle = 0;
        match (self.open.last(), &self.root) {
            (Some(element), _) if element.name.as_bytes() == name => Ok(self.complete()),
            (None, Root::Open(session)) if session.as_bytes() == name => {
                self.root = Root::Closed;
                Ok(Some(Item::Closed))
            }
            _ => Err(XmlError::Malformed),
        }
    }

    /// The innermost open element is complete.
    fn complete(&mut self) -> Option<Item> {
        let element = self.open.pop()?;
        match self.open.last_mut() {
            Some(parent) => {
                parent.children.push(element);
                None
            }
            None => {
                self.open = Vec::new();
                Some(Item::Element(element))
            }
        }
    }
}
