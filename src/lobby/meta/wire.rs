//! The meta server's bytes: one request and one answer per connection, each one line of XML.
//!
//! ```text
//!  <query class="ggz" type="connection"><option name="protocol">10</option></query> LF NUL
//!      ► <resultset><result uri="ggz://..."><option name="version">..</option>..</result>..</resultset> LF
//!  <update class=".." type=".." uri=".." username=".." password=".." mode="add"><option ../>..</update> LF NUL
//!      ► <resultset><status>accepted</status></resultset> LF
//!  query://ggz/connection/10 LF
//!      ► ggz://... LF
//! ```
//!
//! The NUL may be missing, and so may the LF where the sender has ended. No entity but the five of XML and characters by
//! number means anything, and there is no DOCTYPE.

use super::{
    Entry,
    element::{Element, Malformed, element, word, write_options, write_text},
};

use crate::accounts::Secret;

/// A request or an answer that we get is no longer.
pub(super) const MAX_REQUEST: usize = 8 << 10;

/// What somebody wants to know, or to tell.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Request {
    /// All entries of a kind.
    Query {
        class: String,
        kind: String,
        options: Vec<(String, String)>,
    },
    /// The best entry of a kind, in plain text.
    Plain {
        class: String,
        kind: String,
        arg: String,
    },
    /// Here is an entry.
    Update {
        entry: Entry,
        username: String,
        password: Secret,
        mode: String,
    },
}

/// What became of an update.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    /// It is in the directory.
    Accepted,
    /// They may not.
    Rejected,
    /// It is no update that can be.
    Wrong,
    /// It failed here.
    Error,
}

impl Status {
    const ALL: [Self; 4] = [Self::Accepted, Self::Rejected, Self::Wrong, Self::Error];

    fn text(self) -> &'static str {
        match self {
            Self::Accepted => "accepted",
            Self::Rejected => "rejected",
            Self::Wrong => "wrong",
            Self::Error => "error",
        }
    }
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    Results(Vec<Entry>),
    One(Option<String>),
    Status(Status),
}

/// The text up to its terminator; none: more must come.
fn framed(bytes: &[u8], ended: bool) -> Result<Option<&str>, Malformed> {
    let whole = match bytes.iter().position(|&b| b == 0) {
        Some(end) => &bytes[..end],
        None if bytes.len() > MAX_REQUEST => return Err(Malformed::TooLong),
        None if ended || bytes.ends_with(b"\n") => bytes,
        None => return Ok(None),
    };
    if whole.len() > MAX_REQUEST {
        return Err(Malformed::TooLong);
    }
    let whole = std::str::from_utf8(whole).map_err(|_| Malformed::NotText)?;
    Ok(Some(whole.trim()))
}

impl Request {
    /// What `bytes`, all that a connection has said so far, ask for; none: more must come. `ended`: nothing more will.
    pub(crate) fn decode(bytes: &[u8], ended: bool) -> Result<Option<Self>, Malformed> {
        let Some(text) = framed(bytes, ended)? else {
            return Ok(None);
        };
        if let Some(path) = text.strip_prefix("query://") {
            let mut parts = path.lines().next().unwrap_or_default().splitn(3, '/');
            let mut part = || word(parts.next().unwrap_or_default().to_owned());
            return Ok(Some(Self::Plain {
                class: part()?,
                kind: part()?,
                arg: part()?,
            }));
        }
        let mut element = match Element::read(text) {
            // A line of a longer request.
            Err(Malformed::Cut) if !ended && !bytes.contains(&0) => return Ok(None),
            read => read?,
        };
        let (class, kind) = (word(element.take("class"))?, word(element.take("type"))?);
        let options = element.options()?;
        match element.name.as_str() {
            "query" => Ok(Some(Self::Query {
                class,
                kind,
                options,
            })),
            "update" => Ok(Some(Self::Update {
                username: word(element.take("username"))?,
                password: Secret::new(element.take("password")),
                mode: element.take("mode"),
                entry: Entry {
                    class,
                    kind,
                    uri: element.take("uri"),
                    options,
                },
            })),
            _ => Err(Malformed::Unknown),
        }
    }

    /// As it goes to another meta server.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::Plain { class, kind, arg } => {
                bytes.extend(format!("query://{class}/{kind}/{arg}\n").bytes());
                return bytes;
            }
            Self::Query {
                class,
                kind,
                options,
            } => {
                let start = [("class", class.as_str()), ("type", kind)];
                element(&mut bytes, "query", &start, |to| write_options(to, options));
            }
            Self::Update {
                entry,
                username,
                password,
                mode,
            } => {
                let start = [
                    ("class", entry.class.as_str()),
                    ("type", &entry.kind),
                    ("uri", &entry.uri),
                    ("username", username),
                    ("password", password.clear()),
                    ("mode", mode),
                ];
                element(&mut bytes, "update", &start, |to| {
                    write_options(to, &entry.options);
                });
            }
        }
        bytes.extend(b"\n\0");
        bytes
    }
}

impl Answer {
    /// As it goes to who asked.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        match self {
            Self::One(uri) => bytes.extend(uri.iter().flat_map(|uri| uri.bytes())),
            Self::Results(entries) => element(&mut bytes, "resultset", &[], |to| {
                for entry in entries {
                    element(to, "result", &[("uri", &entry.uri)], |to| {
                        write_options(to, &entry.options);
                    });
                }
            }),
            Self::Status(status) => element(&mut bytes, "resultset", &[], |to| {
                element(to, "status", &[], |to| write_text(to, status.text()));
            }),
        }
        bytes.push(b'\n');
        bytes
    }

    /// What another meta server says of our update; none: more must come.
    pub(crate) fn status(bytes: &[u8], ended: bool) -> Result<Option<Status>, Malformed> {
        let Some(text) = framed(bytes, ended)? else {
            return Ok(None);
        };
        let element = match Element::read(text) {
            Err(Malformed::Cut) if !ended && !bytes.contains(&0) => return Ok(None),
            read => read?,
        };
        let said = element.children.iter().find(|child| child.name == "status");
        let said = said.map(|said| said.text.trim().to_ascii_lowercase());
        let mut all = Status::ALL.into_iter();
        let status = all.find(|status| Some(status.text()) == said.as_deref());
        status.map(Some).ok_or(Malformed::Unknown)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::element::{MAX_OPTIONS, MAX_VALUE, MAX_WORD},
        *,
    };

    const QUERY: &[u8] = b"<?xml version=\"1.0\"?><query class=\"ggz\" type=\"connection\"><option name=\"protocol\">10</option></query>\n\0";

    fn query() -> Request {
        Request::Query {
            class: "ggz".into(),
            kind: "connection".into(),
            options: vec![("protocol".into(), "10".into())],
        }
    }

    #[test]
    fn the_originals_query_is_read() {
        assert_eq!(Request::decode(QUERY, false), Ok(Some(query())));
    }

    #[test]
    fn a_request_may_lack_its_nul_and_have_several_lines() {
        let text = b"<?xml version='1.0'?>\n<Query Class='ggz'\n TYPE='connection'>\n <option name='protocol'>\n10 </option>\n</Query>\n";
        assert_eq!(Request::decode(text, false), Ok(Some(query())));
        for end in 0..text.len() - 1 {
            assert_eq!(Request::decode(&text[..end], false), Ok(None), "{end}");
            if end > 0 && end < text.len() - 1 {
                assert!(Request::decode(&text[..end], true).is_err(), "{end}");
            }
        }
        assert_eq!(
            Request::decode(&text[..text.len() - 1], true),
            Ok(Some(query()))
        );
    }

    #[test]
    fn a_plain_query_is_one_line() {
        let plain = |arg: &str| Request::Plain {
            class: "ggz".into(),
            kind: "connection".into(),
            arg: arg.into(),
        };
        let decode = |bytes| Request::decode(bytes, false);
        assert_eq!(
            decode(b"query://ggz/connection/10\r\n"),
            Ok(Some(plain("10")))
        );
        assert_eq!(decode(b"query://ggz/connection\n\0"), Ok(Some(plain(""))));
        assert_eq!(decode(b"query://ggz/conn"), Ok(None));
    }

    #[test]
    fn what_is_no_request_is_refused() {
        let deep = "<query><a><b><c><d/></c></b></a></query>\n";
        let many = format!("<query>{}</query>\n", "<option/>".repeat(MAX_OPTIONS + 1));
        let long = format!(
            "<query><option>{}</option></query>\n",
            "x".repeat(MAX_VALUE + 1)
        );
        let word = format!("<query class='{}'/>\n", "x".repeat(MAX_WORD + 1));
        let endless = "x".repeat(MAX_REQUEST + 1);
        let laughs = "<!DOCTYPE a [<!ENTITY b 'c'>]><query/>\n";
        for (text, why) in [
            (deep, Malformed::TooMuch),
            (&many, Malformed::TooMuch),
            (&long, Malformed::TooMuch),
            (&word, Malformed::TooMuch),
            (&endless, Malformed::TooLong),
            (laughs, Malformed::NotXml),
            ("<query>&b;</query>\n", Malformed::NotXml),
            ("<query class='&b;'/>\n", Malformed::NotXml),
            ("<query></update>\n", Malformed::NotXml),
            ("hello\n", Malformed::NotXml),
            ("<hello/>\n", Malformed::Unknown),
            ("<query>\0", Malformed::Cut),
            ("\0", Malformed::Cut),
        ] {
            assert_eq!(Request::decode(text.as_bytes(), false), Err(why), "{text}");
        }
        assert_eq!(
            Request::decode(b"<query>\xff\n\0", false),
            Err(Malformed::NotText)
        );
    }

    #[test]
    fn answers_are_one_line() {
        let entry = Entry {
            class: "ggz".into(),
            kind: "connection".into(),
            uri: "ggz://a/?b&c".into(),
            options: vec![("version".into(), "<1>".into())],
        };
        for (answer, text) in [
            (
                Answer::Results(vec![entry]),
                "<resultset><result uri=\"ggz://a/?b&amp;c\"><option name=\"version\">&lt;1&gt;</option></result></resultset>\n",
            ),
            (Answer::Results(vec![]), "<resultset></resultset>\n"),
            (Answer::One(Some("ggz://a/".into())), "ggz://a/\n"),
            (Answer::One(None), "\n"),
            (
                Answer::Status(Status::Rejected),
                "<resultset><status>rejected</status></resultset>\n",
            ),
        ] {
            assert_eq!(String::from_utf8(answer.encode()).unwrap(), text);
        }
    }

    #[test]
    fn a_password_is_not_in_what_is_logged_of_an_update() {
        let text = "<update class='a' type='b' uri='c' username='ada' password='hunter22'/>\n\0";
        let request = Request::decode(text.as_bytes(), false).unwrap().unwrap();
        let shown = format!("{request:?}");
        assert!(
            shown.contains("ada") && !shown.contains("hunter22"),
            "{shown}"
        );
    }

    #[test]
    fn every_status_comes_back() {
        for status in Status::ALL {
            let bytes = Answer::Status(status).encode();
            assert_eq!(Answer::status(&bytes, false), Ok(Some(status)));
            assert_eq!(Answer::status(&bytes[..9], false), Ok(None));
        }
        assert!(Answer::status(b"<a><status>perhaps</status></a>\n", false).is_err());
    }

    fn text() -> impl Strategy<Value = String> {
        "[a-z0-9<>&'\"é/:#]{1,20}"
    }

    proptest! {
        #[test]
        fn requests_come_back(
            class in text(), kind in text(), uri in text(), username in text(), password in text(),
            options in prop::collection::vec((text(), text()), 0..5), is_update: bool,
        ) {
            let request = match is_update {
                false => Request::Query { class, kind, options },
                true => Request::Update { entry: Entry { class, kind, uri, options }, username, password: Secret::new(password), mode: "add".into() },
            };
            let bytes = request.encode();
            prop_assert_eq!(Request::decode(&bytes, false), Ok(Some(request)));
            for end in 0..bytes.len() - 2 {
                prop_assert_eq!(Request::decode(&bytes[..end], false), Ok(None));
            }
        }

        #[test]
        fn any_bytes_are_read(bytes: Vec<u8>, xml in "(<(query|update|option)( (class|uri)='a')?/?>|</query>|&amp;|&#[0-9]{1,9};|<!\\[CDATA\\[|\\]\\]>|\\PC|\n|\u{0}){0,12}", ended: bool) {
            for bytes in [&bytes[..], xml.as_bytes()] {
                Request::decode(bytes, ended).ok();
                Answer::status(bytes, ended).ok();
            }
        }
    }
}
