//! Calls and responses into bytes.

use data_encoding::BASE64;
use quick_xml::{
    Writer,
    escape::partial_escape,
    events::{BytesDecl, BytesEnd, BytesStart, BytesText, Event},
};

use super::{Call, MOMENT, Response, Value, is_xml};

/// What XML-RPC has no words for.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum Unspeakable {
    /// A number beyond 32 bits.
    #[error("{0} does not fit an int of 32 bits")]
    Int(i64),
    /// A number that is none, or endless.
    #[error("{0} cannot be a double")]
    Double(f64),
    /// A member's name that XML cannot carry.
    #[error("a member's name has a character that cannot be in XML")]
    Name,
}

impl Call {
    /// A `methodCall`.
    pub fn encode(&self) -> Result<Vec<u8>, Unspeakable> {
        let mut pen = Pen::new();
        pen.within("methodCall", |pen| {
            pen.word("methodName", &self.method);
            pen.within("params", |pen| {
                let mut params = self.params.iter();
                params.try_for_each(|value| pen.within("param", |pen| pen.value(value)))
            })
        })?;
        Ok(pen.0.into_inner())
    }
}

impl Response {
    /// A `methodResponse`. In a fault's text, U+FFFD stands for what XML cannot carry.
    pub fn encode(&self) -> Result<Vec<u8>, Unspeakable> {
        let mut pen = Pen::new();
        pen.within("methodResponse", |pen| match self {
            Self::Value(value) => {
                pen.within("params", |pen| pen.within("param", |pen| pen.value(value)))
            }
            Self::Fault { code, text } => {
                let text: String = text
                    .chars()
                    .map(|c| {
                        if is_xml(c) {
                            c
                        } else {
                            char::REPLACEMENT_CHARACTER
                        }
                    })
                    .collect();
                let fault = Value::record([
                    ("faultCode", Value::Int((*code).into())),
                    ("faultString", text.into()),
                ]);
                pen.within("fault", |pen| pen.value(&fault))
            }
        })?;
        Ok(pen.0.into_inner())
    }
}

struct Pen(Writer<Vec<u8>>);

impl Pen {
    fn new() -> Self {
        let mut pen = Self(Writer::new(Vec::new()));
        pen.put(Event::Decl(BytesDecl::new("1.0", Some("utf-8"), None)));
        pen
    }

    fn put(&mut self, event: Event<'_>) {
        self.0.write_event(event).expect("memory takes all");
    }

    fn within<T>(&mut self, name: &str, what: impl FnOnce(&mut Self) -> T) -> T {
        self.put(Event::Start(BytesStart::new(name)));
        let done = what(self);
        self.put(Event::End(BytesEnd::new(name)));
        done
    }

    /// Readers of XML make a line feed of a carriage return, unless it is written by its number.
    fn word(&mut self, name: &str, text: &str) {
        let text = partial_escape(text);
        let text = match text.contains('\r') {
            true => text.replace('\r', "&#13;").into(),
            false => text,
        };
        self.within(name, |pen| {
            pen.put(Event::Text(BytesText::from_escaped(text)))
        });
    }

    fn value(&mut self, value: &Value) -> Result<(), Unspeakable> {
        self.within("value", |pen| pen.typed(value))
    }

    fn typed(&mut self, value: &Value) -> Result<(), Unspeakable> {
        match value {
            Value::Int(number) => {
                let fits = i32::try_from(*number);
                let fits = fits.map_err(|_| Unspeakable::Int(*number))?;
                self.word("int", &fits.to_string());
            }
            Value::Boolean(yes) => self.word("boolean", if *yes { "1" } else { "0" }),
            Value::String(text) if text.chars().all(is_xml) => self.word("string", text),
            Value::String(text) => self.word("base64", &BASE64.encode(text.as_bytes())),
            Value::Double(number) if number.is_finite() => {
                self.word("double", &number.to_string());
            }
            Value::Double(number) => return Err(Unspeakable::Double(*number)),
            Value::DateTime(moment) => {
                self.word("dateTime.iso8601", &moment.strftime(MOMENT).to_string());
            }
            Value::Base64(bytes) => self.word("base64", &BASE64.encode(bytes)),
            Value::Struct(members) => self.within("struct", |pen| {
                members.iter().try_for_each(|(name, value)| {
                    if !name.chars().all(is_xml) {
                        return Err(Unspeakable::Name);
                    }
                    pen.within("member", |pen| {
                        pen.word("name", name);
                        pen.value(value)
                    })
                })
            })?,
            Value::Array(items) => self.within("array", |pen| {
                pen.within("data", |pen| {
                    items.iter().try_for_each(|item| pen.value(item))
                })
            })?,
        }
        Ok(())
    }
}
