//! What daemon and keeper say to each other. Pure: bytes in, values out.
//!
//! ```text
//!  0        4         5      6        10
//!  | length | version | kind | id     | payload ...        little-endian; length counts from `version` on
//!
//!  daemon → keeper                           keeper → daemon
//!  1 hello    -                              1 hello    -
//!  2 input    the line's bytes               2 done     -                      answers the request of that id
//!  3 log      text                           3 refused  why, text              the same
//!  4 stop     -                              4 status   JSON, as status.json   id 0: news
//!  5 restart  -                              5 head     u64                    id 0: news
//!  6 kill     -
//! ```
//!
//! Each side says hello first; `version` is the newest that the sender speaks. A kind that the reader does not know is
//! answered with `refused` by a keeper and passed over by a daemon: nobody hangs up on something newer. Kinds are never
//! reused, and payloads only ever grow at their end. Status is JSON, so that its fields may come and go.

use super::{Request, Status};

/// The newest version that this program speaks.
pub(crate) const VERSION: u8 = 1;
/// The longest frame, without its length.
pub(crate) const LIMIT: usize = 64 << 10;
const HEADER: usize = 6;

/// Which request, which answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Id(pub(crate) u32);

/// Daemon to keeper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ask {
    /// I am here.
    Hello,
    /// Do this.
    Request(Id, Request),
    /// Something that only newer daemons say.
    Unknown(Id, u8),
}

/// Keeper to daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Answer {
    /// I am here.
    Hello,
    /// Accepted.
    Done(Id),
    /// Not accepted, and why.
    Refused(Id, String),
    /// The status, as it is now.
    Status(Box<Status>),
    /// The console's newest sequence number.
    Head(u64),
    /// Something that only newer keepers say.
    Unknown(u8),
}

/// Bytes that no version sends.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    #[error("frame of {0} bytes exceeds {LIMIT}")]
    Long(usize),
    #[error("frame of {0} bytes is shorter than its {HEADER}-byte header")]
    Short(usize),
    #[error("frame of kind {0} holds a payload that does not decode")]
    Payload(u8),
}

/// One frame of either direction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    kind: u8,
    id: Id,
    payload: Vec<u8>,
}

/// Cuts a stream into frames, in whatever pieces it comes.
#[derive(Debug, Default)]
pub(crate) struct Framer(Vec<u8>);

impl Framer {
    pub(crate) fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next whole frame, or `None` until more bytes come.
    pub(crate) fn next(&mut self) -> Result<Option<Frame>, DecodeError> {
        let Some((length, rest)) = self.0.split_first_chunk() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes(*length) as usize;
        match length {
            0..HEADER => return Err(DecodeError::Short(length)),
            HEADER..=LIMIT => {}
            _ => return Err(DecodeError::Long(length)),
        }
        let Some(body) = rest.get(..length) else {
            return Ok(None);
        };
        let [_version, kind, i, d, e, n, payload @ ..] = body else {
            return Err(DecodeError::Short(length));
        };
        let frame = Frame {
            kind: *kind,
            id: Id(u32::from_le_bytes([*i, *d, *e, *n])),
            payload: payload.to_vec(),
        };
        self.0.drain(..4 + length);
        if self.0.is_empty() {
            self.0 = Vec::new(); // most of the time nothing is on its way
        }
        Ok(Some(frame))
    }
}

impl Ask {
    pub(crate) fn decode(frame: Frame) -> Self {
        let Frame { kind, id, payload } = frame;
        let request = match kind {
            1 => return Self::Hello,
            2 => Request::Input(payload),
            3 => Request::Log(String::from_utf8_lossy(&payload).into_owned()),
            4 => Request::Stop,
            5 => Request::Restart,
            6 => Request::Kill,
            newer => return Self::Unknown(id, newer),
        };
        Self::Request(id, request)
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello => frame(out, 1, Id(0), b""),
            Self::Request(id, request) => match request {
                Request::Input(line) => frame(out, 2, *id, line),
                Request::Log(text) => frame(out, 3, *id, text.as_bytes()),
                Request::Stop => frame(out, 4, *id, b""),
                Request::Restart => frame(out, 5, *id, b""),
                Request::Kill => frame(out, 6, *id, b""),
            },
            Self::Unknown(id, kind) => frame(out, *kind, *id, b""),
        }
    }
}

impl Answer {
    pub(crate) fn decode(frame: Frame) -> Result<Self, DecodeError> {
        let Frame { kind, id, payload } = frame;
        let bad = || DecodeError::Payload(kind);
        Ok(match kind {
            1 => Self::Hello,
            2 => Self::Done(id),
            3 => Self::Refused(id, String::from_utf8_lossy(&payload).into_owned()),
            4 => Self::Status(serde_json::from_slice(&payload).map_err(|_| bad())?),
            5 => Self::Head(u64::from_le_bytes(*payload.first_chunk().ok_or_else(bad)?)),
            newer => Self::Unknown(newer),
        })
    }

    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello => frame(out, 1, Id(0), b""),
            Self::Done(id) => frame(out, 2, *id, b""),
            Self::Refused(id, why) => frame(out, 3, *id, why.as_bytes()),
            Self::Status(status) => {
                let json = serde_json::to_vec(status).expect("a status has only plain fields");
                frame(out, 4, Id(0), &json);
            }
            Self::Head(seq) => frame(out, 5, Id(0), &seq.to_le_bytes()),
            Self::Unknown(kind) => frame(out, *kind, Id(0), b""),
        }
    }
}

fn frame(out: &mut Vec<u8>, kind: u8, id: Id, payload: &[u8]) {
    let length = u32::try_from(HEADER + payload.len()).unwrap_or(u32::MAX);
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&[VERSION, kind]);
    out.extend_from_slice(&id.0.to_le_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests {
    use super::super::Phase;
    use super::*;
    use crate::clock::UnixMillis;
    use crate::hosting::Exit;
    use proptest::prelude::*;

    fn encoded(ask: &Ask) -> Vec<u8> {
        let mut out = Vec::new();
        ask.encode(&mut out);
        out
    }

    fn answered(answer: &Answer) -> Vec<u8> {
        let mut out = Vec::new();
        answer.encode(&mut out);
        out
    }

    fn frames(bytes: &[u8]) -> Vec<Frame> {
        let mut framer = Framer::default();
        framer.push(bytes);
        std::iter::from_fn(|| framer.next().unwrap()).collect()
    }

    type Golden = (&'static [u8], fn() -> Ask);

    /// What version 1 said and will always have said. Never edit a line; add lines.
    const ASKS: [Golden; 6] = [
        (b"\x06\0\0\0\x01\x01\0\0\0\0", || Ask::Hello),
        (b"\x0a\0\0\0\x01\x02\x07\0\0\0quit", || {
            Ask::Request(Id(7), Request::Input(b"quit".to_vec()))
        }),
        (b"\x08\0\0\0\x01\x03\x08\0\0\0hi", || {
            Ask::Request(Id(8), Request::Log("hi".into()))
        }),
        (b"\x06\0\0\0\x01\x04\x09\0\0\0", || {
            Ask::Request(Id(9), Request::Stop)
        }),
        (b"\x06\0\0\0\x01\x05\xff\xff\xff\xff", || {
            Ask::Request(Id(u32::MAX), Request::Restart)
        }),
        (b"\x06\0\0\0\x01\x06\x00\x01\0\0", || {
            Ask::Request(Id(256), Request::Kill)
        }),
    ];

    const STATUS: &[u8] =
        b"\x26\x01\0\0\x01\x04\0\0\0\0{\"revision\":3,\"phase\":\"backoff\",\"keeper\":40,\
        \"pid\":null,\"started\":null,\"since\":\"2023-11-14T22:13:20.123Z\",\"starts\":2,\
        \"exit\":{\"at\":\"2023-11-14T22:13:20.123Z\",\"code\":null,\"signal\":11,\
        \"reason\":\"signal 11 (SIGSEGV)\"},\"retry_at\":\"2023-11-14T22:13:21.123Z\"}";

    fn status() -> Status {
        Status {
            revision: 3,
            phase: Phase::Backoff,
            keeper: 40,
            pid: None,
            started: None,
            since: UnixMillis(1_700_000_000_123),
            starts: 2,
            exit: Some(Exit {
                at: UnixMillis(1_700_000_000_123),
                code: None,
                signal: Some(11),
                reason: "signal 11 (SIGSEGV)".into(),
            }),
            retry_at: Some(UnixMillis(1_700_000_001_123)),
        }
    }

    #[test]
    fn golden_bytes_of_version_1_read_and_write_for_ever() {
        for (bytes, ask) in ASKS {
            assert_eq!(encoded(&ask()), bytes);
            assert_eq!(Ask::decode(frames(bytes).remove(0)), ask());
        }
        let answers: [(&[u8], Answer); 4] = [
            (b"\x06\0\0\0\x01\x01\0\0\0\0", Answer::Hello),
            (b"\x06\0\0\0\x01\x02\x07\0\0\0", Answer::Done(Id(7))),
            (
                b"\x08\0\0\0\x01\x03\x07\0\0\0no",
                Answer::Refused(Id(7), "no".into()),
            ),
            (
                b"\x0e\0\0\0\x01\x05\0\0\0\0\x2a\0\0\0\0\0\0\0",
                Answer::Head(42),
            ),
        ];
        for (bytes, answer) in answers {
            assert_eq!(answered(&answer), bytes);
            assert_eq!(Answer::decode(frames(bytes).remove(0)), Ok(answer));
        }
    }

    #[test]
    fn an_older_keepers_status_is_understood() {
        let mut framer = Framer::default();
        framer.push(&(STATUS.len() as u32 - 4).to_le_bytes());
        framer.push(&STATUS[4..]);
        let frame = framer.next().unwrap().unwrap();
        assert_eq!(
            Answer::decode(frame),
            Ok(Answer::Status(Box::new(status())))
        );
        assert_eq!(
            answered(&Answer::Status(Box::new(status())))[4..],
            STATUS[4..]
        );
    }

    #[test]
    fn what_only_newer_programs_say_is_still_a_frame() {
        let frame = frames(b"\x07\0\0\0\x63\xc8\x05\0\0\0?").remove(0);
        assert_eq!(Ask::decode(frame.clone()), Ask::Unknown(Id(5), 200));
        assert_eq!(Answer::decode(frame), Ok(Answer::Unknown(200)));
    }

    #[test]
    fn hostile_lengths_are_refused_before_anything_is_buffered() {
        for (length, error) in [
            (u32::MAX, DecodeError::Long(u32::MAX as usize)),
            (LIMIT as u32 + 1, DecodeError::Long(LIMIT + 1)),
            (5, DecodeError::Short(5)),
            (0, DecodeError::Short(0)),
        ] {
            let mut framer = Framer::default();
            framer.push(&length.to_le_bytes());
            assert_eq!(framer.next(), Err(error));
        }
    }

    #[test]
    fn every_truncation_waits_for_more() {
        for (bytes, _) in ASKS {
            for n in 0..bytes.len() {
                assert_eq!(frames(&bytes[..n]), []);
            }
        }
    }

    fn ask() -> impl Strategy<Value = Ask> {
        let request = prop_oneof![
            prop::collection::vec(any::<u8>(), 0..60).prop_map(Request::Input),
            ".{0,40}".prop_map(Request::Log),
            Just(Request::Stop),
            Just(Request::Restart),
            Just(Request::Kill),
        ];
        prop_oneof![
            Just(Ask::Hello),
            (any::<u32>(), request).prop_map(|(id, request)| Ask::Request(Id(id), request)),
            (any::<u32>(), 7u8..).prop_map(|(id, kind)| Ask::Unknown(Id(id), kind)),
        ]
    }

    proptest! {
        #[test]
        fn asks_round_trip_and_chunking_is_invisible(asks in prop::collection::vec(ask(), 0..8), cut in 1usize..20) {
            let wire: Vec<u8> = asks.iter().flat_map(encoded).collect();
            let mut framer = Framer::default();
            let mut got = Vec::new();
            for piece in wire.chunks(cut) {
                framer.push(piece);
                while let Some(frame) = framer.next().unwrap() {
                    got.push(Ask::decode(frame));
                }
            }
            prop_assert_eq!(got, asks);
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..300), kind: u8) {
            let mut framer = Framer::default();
            framer.push(&bytes);
            while let Ok(Some(frame)) = framer.next() {
                Ask::decode(frame.clone());
                Answer::decode(frame).ok();
            }
            let frame = Frame { kind, id: Id(0), payload: bytes };
            Ask::decode(frame.clone());
            Answer::decode(frame).ok();
        }
    }
}
