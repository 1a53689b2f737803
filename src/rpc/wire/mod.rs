//! XML-RPC as MyOTTD and the stock clients speak it: values, calls and responses, as bytes. Pure; the XML is
//! quick-xml's.
//!
//! ```text
//! <methodCall><methodName>server_stop</methodName><params>
//!   <param><value><array><data> <value>plain</value> <value>ada</value> <value>secret</value> </data></array></value></param>
//!   <param><value><array><data> <value><int>7</int></value> </data></array></value></param>
//! </params></methodCall>
//!
//! <methodResponse><params><param><value><boolean>1</boolean></value></param></params></methodResponse>
//! <methodResponse><fault><value><struct> faultCode: int, faultString: string </struct></value></fault></methodResponse>
//! ```
//!
//! Read liberally where clients differ (a value without a type is a string; `i4`, `int` and `i8`; CDATA, comments,
//! white space), and not at all where a document could cost more than it weighs: no DOCTYPE, no entities but XML's own
//! five, [`MAX_DEPTH`] and [`MAX_VALUES`]. `nil` is refused and never written. Line ends are kept as they were sent.

mod read;
#[cfg(test)]
mod tests;
mod write;

use std::collections::BTreeMap;

pub use read::{Malformed, What};
pub use write::Unspeakable;

/// Values within values, at most.
pub const MAX_DEPTH: usize = 32;
/// Values in one document, at most.
pub const MAX_VALUES: usize = 100_000;
/// Bytes of a method's name, at most.
pub const MAX_NAME: usize = 256;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `int`, `i4` or `i8`. Written as `int`, and only within its 32 bits.
    Int(i64),
    /// `boolean`.
    Boolean(bool),
    /// `string`, or no type at all.
    String(String),
    /// `double`; finite.
    Double(f64),
    /// `dateTime.iso8601`, which has no time zone.
    DateTime(jiff::civil::DateTime),
    /// `base64`.
    Base64(Vec<u8>),
    /// `struct`.
    Struct(BTreeMap<String, Value>),
    /// `array`.
    Array(Vec<Value>),
}

/// A method's name and its parameters.
#[derive(Debug, Clone, PartialEq)]
pub struct Call {
    /// `server_status`, `mottdd.server_status`.
    pub method: String,
    /// In order.
    pub params: Vec<Value>,
}

/// What comes back.
#[derive(Debug, Clone, PartialEq)]
pub enum Response {
    /// What the method returned.
    Value(Value),
    /// Why it did not.
    Fault {
        /// `faultCode`.
        code: i32,
        /// `faultString`.
        text: String,
    },
}

impl Value {
    /// A `struct` of these members.
    pub fn record<const N: usize>(members: [(&str, Value); N]) -> Self {
        Self::Struct(members.map(|(name, value)| (name.into(), value)).into())
    }

    /// What its type is called.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Int(_) => "int",
            Self::Boolean(_) => "boolean",
            Self::String(_) => "string",
            Self::Double(_) => "double",
            Self::DateTime(_) => "dateTime.iso8601",
            Self::Base64(_) => "base64",
            Self::Struct(_) => "struct",
            Self::Array(_) => "array",
        }
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(value)
    }
}

impl From<&str> for Value {
    fn from(value: &str) -> Self {
        Self::String(value.into())
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::String(value)
    }
}

impl From<Vec<Value>> for Value {
    fn from(values: Vec<Value>) -> Self {
        Self::Array(values)
    }
}

/// How XML-RPC writes a moment: `19980717T14:08:55`.
const MOMENT: &str = "%Y%m%dT%H:%M:%S";

/// Whether XML 1.0 can carry it.
fn is_xml(c: char) -> bool {
    matches!(c, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
