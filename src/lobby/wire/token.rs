//! One token of a document, by quick-xml: where it ends, and whether its characters are XML's.

use memchr::{memchr, memchr2, memchr3};
use quick_xml::{
    Reader,
    errors::{Error, IllFormedError},
    events::Event,
};

use super::xml::XmlError;

/// Bytes of an element's or attribute's name.
const NAME: usize = 64;
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

pub(super) enum Token<'a> {
    /// The mark of a byte order, which a reader would drop wherever a text begins with it.
    Mark,
    Event(Event<'a>),
}

/// Whether the bytes that were not `seen` have what may end the token that all begin with.
pub(super) fn may_be_complete(bytes: &[u8], seen: usize) -> bool {
    let new = &bytes[seen..];
    match bytes[0] {
        _ if seen == 0 => true,
        b'<' => memchr(b'>', new).is_some(),
        b'&' => memchr3(b';', b'<', b'&', new).is_some(),
        _ => BYTE_ORDER_MARK == &bytes[..bytes.len().min(3)] || memchr2(b'<', b'&', new).is_some(),
    }
}

/// The first token and its length; none when it is not all there.
pub(super) fn read(bytes: &[u8]) -> Result<Option<(usize, Token<'_>)>, XmlError> {
    if bytes.starts_with(BYTE_ORDER_MARK) {
        return Ok(Some((BYTE_ORDER_MARK.len(), Token::Mark)));
    }
    let mut reader = Reader::from_reader(bytes);
    let config = reader.config_mut();
    // A fresh reader does not know which elements are open.
    config.allow_unmatched_ends = true;
    config.check_end_names = false;
    config.check_comments = true;
    let event = match reader.read_event() {
        Ok(event) => event,
        // Whatever could be wrong with its beginning was refused before, so that only its end can be missing.
        Err(Error::Syntax(_)) => return Ok(None),
        Err(Error::IllFormed(IllFormedError::UnclosedReference))
            if memchr2(b'<', b'&', &bytes[1..]).is_none() =>
        {
            return Ok(None);
        }
        Err(_) => return Err(XmlError::Malformed),
    };
    let length = match &event {
        // A reader has already gone past the `<` after a text.
        Event::Text(text) if text.len() == bytes.len() => return Ok(None),
        Event::Text(text) => text.len(),
        _ => usize::try_from(reader.buffer_position()).expect("it is within the bytes"),
    };
    Ok(Some((length, Token::Event(event))))
}

/// A name that XML allows.
pub(super) fn name(bytes: &[u8]) -> Result<&str, XmlError> {
    if bytes.len() > NAME {
        return Err(XmlError::Length);
    }
    let name = str::from_utf8(bytes).map_err(|_| XmlError::Character)?;
    let begins = |one: char| one.is_alphabetic() || "_:".contains(one);
    let goes_on = |one: char| one.is_alphanumeric() || "_:-.".contains(one);
    match name.starts_with(begins) && name.chars().all(goes_on) {
        true => Ok(name),
        false => Err(XmlError::Malformed),
    }
}

/// Whether XML can have this character.
pub(super) fn is_sound(one: char) -> bool {
    matches!(one, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// Refuses text with other characters than that.
pub(super) fn sound(text: &str) -> Result<(), XmlError> {
    match text.chars().all(is_sound) {
        true => Ok(()),
        false => Err(XmlError::Character),
    }
}
