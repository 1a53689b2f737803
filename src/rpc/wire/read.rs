//! Bytes into calls and responses.

use std::{borrow::Cow, collections::BTreeMap};

use data_encoding::BASE64;
use jiff::civil::DateTime;
use quick_xml::{
    Reader,
    escape::resolve_xml_entity,
    events::{BytesDecl, BytesRef, Event},
};

use super::{Call, MAX_DEPTH, MAX_NAME, MAX_VALUES, MOMENT, Response, Value, is_xml};

/// Why a document is not understood, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}, at byte {at}")]
pub struct Malformed {
    /// How far it was read.
    pub at: u64,
    /// What is wrong there.
    pub what: What,
}

/// What is wrong with a document.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum What {
    /// Not UTF-8, or said to be in another encoding.
    #[error("the document is not UTF-8")]
    NotText,
    /// A character that XML 1.0 does not have.
    #[error("the character U+{0:04X} cannot be in XML: send such text as base64")]
    Character(u32),
    /// No XML.
    #[error("the document is no well-formed XML: {0}")]
    NotXml(String),
    /// It ends too early.
    #[error("the document ends too early")]
    Cut,
    /// It goes on after its end.
    #[error("there is more after the document's end")]
    More,
    /// A DOCTYPE.
    #[error("a DOCTYPE is not taken")]
    Doctype,
    /// An entity that is none of XML's own five.
    #[error("the entity `&{0};` is not taken: only lt, gt, amp, apos, quot and numbers are")]
    Entity(String),
    /// An element in the wrong place.
    #[error("<{found}> is in the place of <{wanted}>")]
    Element {
        /// What is there.
        found: String,
        /// What belongs there.
        wanted: &'static str,
    },
    /// Text in the wrong place.
    #[error("there is text in the place of <{wanted}>")]
    Text {
        /// What belongs there.
        wanted: &'static str,
    },
    /// `nil`.
    #[error("nil is not taken: leave the argument out, or send an empty one")]
    Nil,
    /// A type that is none.
    #[error("there is no type <{0}>")]
    Type(String),
    /// A text that does not fit its type.
    #[error("`{text}` is no {kind}")]
    Scalar {
        /// Its beginning.
        text: String,
        /// The type.
        kind: &'static str,
    },
    /// Two members of one name.
    #[error("a struct has two members `{0}`")]
    Twice(String),
    /// Too deep.
    #[error("values are more than {MAX_DEPTH} deep")]
    Deep,
    /// Too many.
    #[error("there are more than {MAX_VALUES} values")]
    Many,
    /// A name that cannot be a method's.
    #[error("a method's name has 1 to {MAX_NAME} bytes")]
    Name,
}

impl Call {
    /// Reads a `methodCall`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        document(bytes, |reading| {
            reading.open("methodCall")?;
            reading.open("methodName")?;
            let method = reading.text("text")?.trim().to_owned();
            if method.is_empty() || method.len() > MAX_NAME {
                return Err(What::Name);
            }
            let mut params = Vec::new();
            if reading.opens("params")? {
                while reading.opens("param")? {
                    reading.open("value")?;
                    params.push(reading.value(1)?);
                    reading.close("/param")?;
                }
                reading.close("/methodCall")?;
            }
            Ok(Self { method, params })
        })
    }
}

impl Response {
    /// Reads a `methodResponse`.
    pub fn decode(bytes: &[u8]) -> Result<Self, Malformed> {
        document(bytes, |reading| {
            reading.open("methodResponse")?;
            let response = match reading.element("params")?.as_deref() {
                Some("params") => {
                    reading.open("param")?;
                    reading.open("value")?;
                    let value = reading.value(1)?;
                    reading.close("/param")?;
                    Self::Value(value)
                }
                Some("fault") => {
                    reading.open("value")?;
                    Self::fault(reading.value(1)?)?
                }
                Some(other) => return Err(misplaced(other, "params")),
                None => return Err(What::Cut),
            };
            reading.close("/params")?;
            reading.close("/methodResponse")?;
            Ok(response)
        })
    }

    fn fault(value: Value) -> Result<Self, What> {
        let wrong = || What::Scalar {
            text: "fault".into(),
            kind: "struct of faultCode and faultString",
        };
        let Value::Struct(mut members) = value else {
            return Err(wrong());
        };
        match (members.remove("faultCode"), members.remove("faultString")) {
            (Some(Value::Int(code)), Some(Value::String(text))) => Ok(Self::Fault {
                code: i32::try_from(code).map_err(|_| wrong())?,
                text,
            }),
            _ => Err(wrong()),
        }
    }
}

fn document<T>(
    bytes: &[u8],
    read: impl FnOnce(&mut Reading<'_>) -> Result<T, What>,
) -> Result<T, Malformed> {
    let text = str::from_utf8(bytes).map_err(|error| Malformed {
        at: error.valid_up_to() as u64,
        what: What::NotText,
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some((at, c)) = text.char_indices().find(|(_, c)| !is_xml(*c)) {
        let what = What::Character(c.into());
        return Err(Malformed {
            at: at as u64,
            what,
        });
    }
    let mut xml = Reader::from_str(text);
    xml.config_mut().expand_empty_elements = true;
    let mut reading = Reading { xml, values: 0 };
    let whole = read(&mut reading).and_then(|whole| reading.end().map(|()| whole));
    whole.map_err(|what| Malformed {
        at: reading.xml.buffer_position(),
        what,
    })
}

/// What documents are made of, once comments and instructions are gone.
enum Token<'a> {
    Open(String),
    Close,
    Text(Cow<'a, str>),
    End,
}

struct Reading<'a> {
    xml: Reader<&'a [u8]>,
    values: usize,
}

impl<'a> Reading<'a> {
    fn token(&mut self) -> Result<Token<'a>, What> {
        loop {
            let before = self.xml.buffer_position();
            let event = self.xml.read_event();
            return Ok(
                match event.map_err(|error| What::NotXml(error.to_string()))? {
                    Event::Start(start) => {
                        Token::Open(String::from_utf8_lossy(start.name().as_ref()).into_owned())
                    }
                    Event::End(_) => Token::Close,
                    Event::Text(text) => Token::Text(text.decode().map_err(|_| What::NotText)?),
                    Event::CData(text) => Token::Text(text.decode().map_err(|_| What::NotText)?),
                    Event::GeneralRef(entity) => Token::Text(meant(&entity)?),
                    Event::Comment(_) | Event::PI(_) => continue,
                    Event::Decl(declared) if before == 0 => {
                        known(&declared)?;
                        continue;
                    }
                    Event::Decl(_) => {
                        return Err(What::NotXml(
                            "a declaration comes first or not at all".into(),
                        ));
                    }
                    Event::DocType(_) => return Err(What::Doctype),
                    Event::Eof => Token::End,
                    // Empty elements come as their two tags.
                    Event::Empty(_) => return Err(What::NotXml("an empty element".into())),
                },
            );
        }
    }

    /// The next element's name, or none where the one around it ends. Between elements is nothing but white space.
    fn element(&mut self, wanted: &'static str) -> Result<Option<String>, What> {
        loop {
            match self.token()? {
                Token::Text(text) if is_space(&text) => {}
                Token::Text(_) => return Err(What::Text { wanted }),
                Token::Open(name) => return Ok(Some(name)),
                Token::Close => return Ok(None),
                Token::End => return Err(What::Cut),
            }
        }
    }

    /// Whether `wanted` begins here; if not, the element around it has ended.
    fn opens(&mut self, wanted: &'static str) -> Result<bool, What> {
        match self.element(wanted)? {
            Some(found) if found == wanted => Ok(true),
            Some(found) => Err(misplaced(&found, wanted)),
            None => Ok(false),
        }
    }

    fn open(&mut self, wanted: &'static str) -> Result<(), What> {
        match self.opens(wanted)? {
            true => Ok(()),
            false => Err(What::Element {
                found: "/".into(),
                wanted,
            }),
        }
    }

    /// The end of the element around here, which is known to fit its beginning.
    fn close(&mut self, wanted: &'static str) -> Result<(), What> {
        match self.element(wanted)? {
            Some(found) => Err(misplaced(&found, wanted)),
            None => Ok(()),
        }
    }

    /// Nothing more than white space.
    fn end(&mut self) -> Result<(), What> {
        loop {
            match self.token()? {
                Token::Text(text) if is_space(&text) => {}
                Token::End => return Ok(()),
                _ => return Err(What::More),
            }
        }
    }

    /// All text up to the end of this element.
    fn text(&mut self, wanted: &'static str) -> Result<String, What> {
        let mut whole = String::new();
        loop {
            match self.token()? {
                Token::Text(text) => whole.push_str(&text),
                Token::Close => return Ok(whole),
                Token::Open(found) => return Err(misplaced(&found, wanted)),
                Token::End => return Err(What::Cut),
            }
        }
    }

    /// What is in a `value` that has begun, with its end.
    fn value(&mut self, depth: usize) -> Result<Value, What> {
        self.values += 1;
        if self.values > MAX_VALUES {
            return Err(What::Many);
        }
        if depth > MAX_DEPTH {
            return Err(What::Deep);
        }
        let mut bare = String::new();
        let kind = loop {
            match self.token()? {
                Token::Text(text) => bare.push_str(&text),
                Token::Close => return Ok(Value::String(bare)),
                Token::Open(_) if !is_space(&bare) => return Err(What::Text { wanted: "value" }),
                Token::Open(kind) => break kind,
                Token::End => return Err(What::Cut),
            }
        };
        let value = self.typed(&kind, depth)?;
        self.close("/value")?;
        Ok(value)
    }

    fn typed(&mut self, kind: &str, depth: usize) -> Result<Value, What> {
        match kind {
            "struct" => return self.members(depth),
            "array" => return self.items(depth),
            "nil" | "ex:nil" => return Err(What::Nil),
            _ => {}
        }
        let scalar: fn(&str) -> Option<Value> = match kind {
            "string" => |text: &str| Some(Value::String(text.into())),
            "int" | "i4" => |text: &str| Some(Value::Int(text.trim().parse::<i32>().ok()?.into())),
            "i8" | "ex:i8" => |text: &str| Some(Value::Int(text.trim().parse().ok()?)),
            "boolean" => |text: &str| match text.trim() {
                "0" => Some(Value::Boolean(false)),
                "1" => Some(Value::Boolean(true)),
                _ => None,
            },
            "double" => |text: &str| {
                let number: f64 = text.trim().parse().ok()?;
                number.is_finite().then_some(Value::Double(number))
            },
            "dateTime.iso8601" => |text: &str| moment(text.trim()).map(Value::DateTime),
            "base64" => |text: &str| {
                let dense: Vec<u8> = text.bytes().filter(|b| !b.is_ascii_whitespace()).collect();
                BASE64.decode(&dense).ok().map(Value::Base64)
            },
            other => return Err(What::Type(start(other))),
        };
        let text = self.text("text")?;
        scalar(&text).ok_or_else(|| What::Scalar {
            text: start(&text),
            kind: KINDS.iter().find(|known| **known == kind).unwrap_or(&"int"),
        })
    }

    fn members(&mut self, depth: usize) -> Result<Value, What> {
        let mut members = BTreeMap::new();
        while self.opens("member")? {
            self.open("name")?;
            let name = self.text("text")?;
            self.open("value")?;
            let value = self.value(depth + 1)?;
            self.close("/member")?;
            if members.contains_key(&name) {
                return Err(What::Twice(start(&name)));
            }
            members.insert(name, value);
        }
        Ok(Value::Struct(members))
    }

    fn items(&mut self, depth: usize) -> Result<Value, What> {
        let mut items = Vec::new();
        self.open("data")?;
        while self.opens("value")? {
            items.push(self.value(depth + 1)?);
        }
        self.close("/array")?;
        Ok(Value::Array(items))
    }
}

const KINDS: [&str; 6] = [
    "boolean",
    "double",
    "dateTime.iso8601",
    "base64",
    "i8",
    "string",
];

/// The same that a person would see of it in a sentence.
fn start(text: &str) -> String {
    text.escape_debug().take(40).collect()
}

fn misplaced(found: &str, wanted: &'static str) -> What {
    let found = start(found);
    What::Element { found, wanted }
}

fn is_space(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_whitespace())
}

/// What a declaration may say: UTF-8, or ASCII, which is the same.
fn known(declared: &BytesDecl<'_>) -> Result<(), What> {
    match declared.encoding() {
        None => Ok(()),
        Some(Ok(name))
            if ["utf-8", "us-ascii", "ascii"]
                .map(str::as_bytes)
                .contains(&&*name.to_ascii_lowercase()) =>
        {
            Ok(())
        }
        Some(_) => Err(What::NotText),
    }
}

/// The text that a reference stands for.
fn meant<'a>(entity: &BytesRef<'a>) -> Result<Cow<'a, str>, What> {
    let name = entity.decode().map_err(|_| What::NotText)?;
    let unknown = || What::Entity(start(&name));
    if entity.is_char_ref() {
        let c = entity.resolve_char_ref().map_err(|_| unknown())?;
        let c = c.ok_or_else(unknown)?;
        return match is_xml(c) {
            true => Ok(Cow::Owned(c.into())),
            false => Err(What::Character(c.into())),
        };
    }
    resolve_xml_entity(&name)
        .map(Cow::Borrowed)
        .ok_or_else(unknown)
}

/// As XML-RPC writes it, or with the hyphens and the `Z` that some clients add.
fn moment(text: &str) -> Option<DateTime> {
    let text = text.strip_suffix('Z').unwrap_or(text);
    let format = match text.len() {
        17 => MOMENT,
        19 => "%Y-%m-%dT%H:%M:%S",
        _ => return None,
    };
    let plain = |byte: u8| byte.is_ascii_digit() || b"-:T".contains(&byte);
    let good = text.starts_with(|c: char| c.is_ascii_digit()) && text.bytes().all(plain);
    DateTime::strptime(format, text).ok().filter(|_| good)
}
