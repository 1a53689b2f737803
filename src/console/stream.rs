//! The bytes of MyOTTD's console stream (mottdd, seed 000), a console carried over a connection that the box opened. Pure.
//!
//! ```text
//!  peer ─► box   MYOTTD_CONSOLE_STREAM_CLIENT_01            31 bytes, nothing before them
//!  box ─► peer   MYOTTD_CONSOLE_STREAM_SERVER_01
//!  then          type u8 │ length u8 │ data                  0 stdout, 1 stderr: to the peer   2 stdin: both ways
//! ```
//!
//! A frame has at most 255 bytes and means nothing by itself: the data of one type is a stream of bytes, in which a line
//! ends with a line feed.

/// What the peer says first.
pub const CLIENT: &[u8; 31] = b"MYOTTD_CONSOLE_STREAM_CLIENT_01";
/// What the box answers.
pub const SERVER: &[u8; 31] = b"MYOTTD_CONSOLE_STREAM_SERVER_01";

/// The most that one frame carries.
const FRAME: usize = u8::MAX as usize;

/// Which stream a frame is a piece of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// The game's standard output.
    Stdout,
    /// The game's standard error, and what the box has to say.
    Stderr,
    /// What people type.
    Stdin,
}

/// A piece of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Of which.
    pub source: Source,
    /// At most 255 bytes.
    pub data: Vec<u8>,
}

/// What breaks the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Broken {
    /// The peer began otherwise than with [`CLIENT`].
    #[error("byte {0} of the greeting is wrong")]
    Greeting(usize),
    /// No such type.
    #[error("there is no frame type {0}")]
    Type(u8),
}

/// The peer's greeting, as it arrives.
#[derive(Debug, Default)]
pub struct Greeting(usize);

impl Greeting {
    /// Takes what arrived. Once the greeting is whole: what came after it.
    pub fn push<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<&'a [u8]>, Broken> {
        let wanted = &CLIENT[self.0..];
        let here = bytes.len().min(wanted.len());
        let wrong = bytes
            .iter()
            .zip(wanted)
            .position(|(is, should)| is != should);
        if let Some(at) = wrong {
            return Err(Broken::Greeting(self.0 + at));
        }
        self.0 += here;
        Ok((self.0 == CLIENT.len()).then(|| &bytes[here..]))
    }
}

/// Appends `data` in as many frames as it needs.
pub fn encode(source: Source, data: &[u8], out: &mut Vec<u8>) {
    let kind = match source {
        Source::Stdout => 0,
        Source::Stderr => 1,
        Source::Stdin => 2,
    };
    for piece in data.chunks(FRAME) {
        let length = u8::try_from(piece.len()).expect("a piece has at most 255 bytes");
        out.extend([kind, length]);
        out.extend_from_slice(piece);
    }
}

/// Bytes into frames, however they are cut.
#[derive(Debug, Default)]
pub struct Framer(Vec<u8>);

impl Framer {
    /// Takes what arrived.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend_from_slice(bytes);
    }

    /// The next frame that is whole.
    #[expect(
        clippy::should_implement_trait,
        reason = "an iterator would end where more may come"
    )]
    pub fn next(&mut self) -> Result<Option<Frame>, Broken> {
        let source = match self.0.first() {
            None => return Ok(None),
            Some(0) => Source::Stdout,
            Some(1) => Source::Stderr,
            Some(2) => Source::Stdin,
            Some(kind) => return Err(Broken::Type(*kind)),
        };
        let Some(end) = self.0.get(1).map(|length| 2 + usize::from(*length)) else {
            return Ok(None);
        };
        if self.0.len() < end {
            return Ok(None);
        }
        let data = self.0[2..end].to_vec();
        self.0.drain(..end);
        Ok(Some(Frame { source, data }))
    }
}

/// What is typed, line by line.
#[derive(Debug)]
pub struct Lines {
    open: Vec<u8>,
    most: usize,
    too_long: bool,
}

/// A line had more bytes than a line may have, and was passed over.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TooLong;

impl Lines {
    /// Lines of at most `most` bytes.
    pub fn new(most: usize) -> Self {
        Self {
            open: Vec::new(),
            most,
            too_long: false,
        }
    }

    /// Takes what was typed; the lines that it ends, without their ends.
    pub fn push(&mut self, bytes: &[u8]) -> Vec<Result<Vec<u8>, TooLong>> {
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            let (text, ends) = match piece.strip_suffix(b"\n") {
                Some(text) => (text, true),
                None => (piece, false),
            };
            // One more for a carriage return.
            self.too_long |= self.open.len() + text.len() > self.most + 1;
            match self.too_long {
                true => self.open.clear(),
                false => self.open.extend_from_slice(text),
            }
            if ends {
                let mut line = std::mem::take(&mut self.open);
                line.pop_if(|last| *last == b'\r');
                let too_long = std::mem::take(&mut self.too_long) || line.len() > self.most;
                lines.push(if too_long { Err(TooLong) } else { Ok(line) });
            }
        }
        lines
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn frames_have_these_bytes() {
        let mut out = Vec::new();
        encode(Source::Stdout, b"hi\n", &mut out);
        encode(Source::Stderr, b"", &mut out);
        encode(Source::Stdin, &[b'x'; 256], &mut out);
        assert_eq!(out[..5], *b"\x00\x03hi\n");
        assert_eq!(out[5..8], *b"\x02\xffx");
        assert_eq!(out[262..], *b"\x02\x01x");
        let mut framer = Framer::default();
        framer.push(b"\x03");
        assert_eq!(framer.next(), Err(Broken::Type(3)));
    }

    #[test]
    fn any_other_byte_ends_the_greeting_at_once() {
        for at in 0..CLIENT.len() {
            let mut bent = *CLIENT;
            bent[at] ^= 1;
            assert_eq!(Greeting::default().push(&bent), Err(Broken::Greeting(at)));
            let mut greeting = Greeting::default();
            assert_eq!(greeting.push(&CLIENT[..at]), Ok(None));
            assert_eq!(greeting.push(&bent[at..]), Err(Broken::Greeting(at)));
        }
        assert_eq!(Greeting::default().push(b""), Ok(None));
        assert_eq!(Greeting::default().push(SERVER), Err(Broken::Greeting(22)));
    }

    #[test]
    fn a_line_ends_with_its_line_feed_and_one_that_is_too_long_is_passed_over() {
        let mut lines = Lines::new(4);
        assert_eq!(lines.push(b"sa"), []);
        assert_eq!(
            lines.push(b"ve\r\n\nab\rc\n12"),
            [Ok(b"save".to_vec()), Ok(vec![]), Ok(b"ab\rc".to_vec())]
        );
        assert_eq!(lines.push(b"345\nx\n"), [Err(TooLong), Ok(b"x".to_vec())]);
        assert_eq!(lines.push(&[b'y'; 10_000]), []);
        assert!(lines.open.capacity() < 1000);
        assert_eq!(lines.push(b"\n"), [Err(TooLong)]);
    }

    fn cut(bytes: &[u8], cuts: &[usize]) -> Vec<Vec<u8>> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for cut in cuts {
            let (piece, after) = rest.split_at(*cut.min(&rest.len()));
            pieces.push(piece.to_vec());
            rest = after;
        }
        pieces.push(rest.to_vec());
        pieces
    }

    fn source() -> impl Strategy<Value = Source> {
        prop_oneof![
            Just(Source::Stdout),
            Just(Source::Stderr),
            Just(Source::Stdin)
        ]
    }

    proptest! {
        #[test]
        fn streams_come_back_whole_however_they_are_cut(
            said in prop::collection::vec((source(), prop::collection::vec(any::<u8>(), 0..600)), 0..5),
            cuts in prop::collection::vec(0usize..200, 0..8),
        ) {
            let mut bytes = CLIENT.to_vec();
            for (source, data) in &said {
                encode(*source, data, &mut bytes);
            }
            let (mut greeting, mut framer, mut greeted) = (Greeting::default(), Framer::default(), false);
            let mut heard: Vec<(Source, Vec<u8>)> = Vec::new();
            for piece in cut(&bytes, &cuts) {
                let rest = match greeted {
                    true => Some(&piece[..]),
                    false => greeting.push(&piece).unwrap(),
                };
                if let Some(rest) = rest {
                    greeted = true;
                    framer.push(rest);
                }
                while let Some(frame) = framer.next().unwrap() {
                    match heard.last_mut() {
                        Some((source, data)) if *source == frame.source => data.extend(frame.data),
                        _ => heard.push((frame.source, frame.data)),
                    }
                }
            }
            let mut merged: Vec<(Source, Vec<u8>)> = Vec::new();
            for (source, data) in said.into_iter().filter(|(_, data)| !data.is_empty()) {
                match merged.last_mut() {
                    Some((last, all)) if *last == source => all.extend(data),
                    _ => merged.push((source, data)),
                }
            }
            prop_assert_eq!(heard, merged);
            prop_assert!(framer.0.is_empty());
        }

        #[test]
        fn no_bytes_are_too_much(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            Greeting::default().push(&bytes).ok();
            let mut framer = Framer::default();
            framer.push(&bytes);
            let mut lines = Lines::new(100);
            while let Ok(Some(frame)) = framer.next() {
                prop_assert!(frame.data.len() <= FRAME);
                lines.push(&frame.data);
                prop_assert!(lines.open.len() <= 101);
            }
        }

        #[test]
        fn lines_do_not_depend_on_how_they_were_cut(
            text in prop::collection::vec(prop_oneof![Just(b'\n'), Just(b'\r'), Just(b'a')], 0..60),
            cuts in prop::collection::vec(0usize..9, 0..9),
        ) {
            let whole = Lines::new(5).push(&text);
            let mut lines = Lines::new(5);
            let cut: Vec<_> = cut(&text, &cuts).iter().flat_map(|piece| lines.push(piece)).collect();
            prop_assert_eq!(cut, whole);
        }
    }
}
