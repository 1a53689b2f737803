//! The bytes of a segment: blocks, one after another, with nothing between them. Pure.
//!
//! A block is what one read of one stream brought, at one time: raw bytes under a header of 40 bytes. Numbers are
//! little-endian.
//!
//! ```text
//!  0       3         4      5          8         16         24      28      32         36           40
//!  | "LHC" | version | kind | 0  0  0  | first   | time, ms | lines | bytes | CRC of   | CRC of     | bytes ...
//!  |       | 1       |      |          | seq u64 | u64      | u32   | u32   | the bytes| header[..36]|
//! ```
//!
//! `kind`: 0 stdout, 1 stderr, 2 stdin, 3 log. Checksums are CRC-32 (IEEE).
//!
//! Entries are not marked; they follow from the bytes. Each ends with its newline; one that would be longer than
//! 8 KiB is cut there, and at the end of the bytes there may be one without a newline. Those two are marked `more`
//! when read. Entry `i` of a block has sequence number `first + i`.
//!
//! A release reads the versions of all releases before it: `decode` gets an arm for each.

use memchr::{memchr, memchr_iter, memrchr};

use super::Kind;
use crate::clock::UnixMillis;

/// Bytes of a header.
pub(super) const HEADER: usize = 40;
/// The longest text of an entry.
pub(super) const LINE_MAX: usize = 8 * 1024;
/// The most bytes under one header.
pub(super) const DATA_MAX: usize = 128 * 1024;
/// How every block of every version begins.
pub(super) const MAGIC: &[u8; 3] = b"LHC";
const VERSION: u8 = 1;

/// What precedes the bytes of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Header {
    pub(super) first: u64,
    pub(super) time: UnixMillis,
    pub(super) kind: Kind,
    pub(super) lines: u32,
    pub(super) bytes: u32,
    pub(super) crc: u32,
}

impl Header {
    pub(super) fn encode(&self) -> [u8; HEADER] {
        let mut out = [0; HEADER];
        out[..3].copy_from_slice(MAGIC);
        out[3] = VERSION;
        out[4] = self.kind as u8;
        out[8..16].copy_from_slice(&self.first.to_le_bytes());
        out[16..24].copy_from_slice(&self.time.0.to_le_bytes());
        out[24..28].copy_from_slice(&self.lines.to_le_bytes());
        out[28..32].copy_from_slice(&self.bytes.to_le_bytes());
        out[32..36].copy_from_slice(&self.crc.to_le_bytes());
        let crc = crc32fast::hash(&out[..36]);
        out[36..].copy_from_slice(&crc.to_le_bytes());
        out
    }

    /// `None` for anything that no release up to this one wrote.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let (header, _) = bytes.split_first_chunk::<HEADER>()?;
        let kind = match header[..8] {
            [b'L', b'H', b'C', VERSION, kind, 0, 0, 0] => match kind {
                0 => Kind::Stdout,
                1 => Kind::Stderr,
                2 => Kind::Stdin,
                3 => Kind::Log,
                _ => return None,
            },
            _ => return None,
        };
        let (_, fields) = header.split_at(8);
        let (first, fields) = fields.split_first_chunk()?;
        let (time, fields) = fields.split_first_chunk()?;
        let (words, _) = fields.as_chunks::<4>();
        let &[lines, bytes, crc, check] = words else {
            return None;
        };
        let decoded = Self {
            first: u64::from_le_bytes(*first),
            time: UnixMillis(u64::from_le_bytes(*time)),
            kind,
            lines: u32::from_le_bytes(lines),
            bytes: u32::from_le_bytes(bytes),
            crc: u32::from_le_bytes(crc),
        };
        let sound = u32::from_le_bytes(check) == crc32fast::hash(&header[..36])
            && (1..=decoded.bytes).contains(&decoded.lines)
            && decoded.bytes as usize <= DATA_MAX
            && decoded
                .first
                .checked_add(u64::from(decoded.lines))
                .is_some();
        sound.then_some(decoded)
    }

    /// The sequence number after its last entry's.
    pub(super) fn end(&self) -> u64 {
        self.first + u64::from(self.lines)
    }

    /// Header and bytes together.
    pub(super) fn size(&self) -> u64 {
        HEADER as u64 + u64::from(self.bytes)
    }
}

/// The entries of a block's bytes: text, and whether it is marked `more`.
pub(super) fn entries(mut rest: &[u8]) -> impl Iterator<Item = (&[u8], bool)> {
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let window = &rest[..rest.len().min(LINE_MAX + 1)];
        let (text, used, more) = match memchr(b'\n', window) {
            Some(end) => (&rest[..end], end + 1, false),
            None => {
                let end = window.len().min(LINE_MAX);
                (&rest[..end], end, true)
            }
        };
        rest = &rest[used..];
        Some((text, more))
    })
}

/// How many entries a block of `held` bytes without a newline, then `bytes`, has. Counts newlines in bulk and looks
/// at single lines only around each 8 KiB, where one too long would show.
pub(super) fn count(mut held: usize, bytes: &[u8]) -> usize {
    let mut count = memchr_iter(b'\n', bytes).count();
    let mut rest = bytes;
    while held + rest.len() > LINE_MAX {
        let used = match memrchr(b'\n', &rest[..LINE_MAX + 1 - held]) {
            Some(end) => end + 1,
            None => {
                count += 1;
                LINE_MAX - held
            }
        };
        rest = &rest[used..];
        held = 0;
    }
    count + usize::from(held + rest.len() > 0 && !rest.ends_with(b"\n"))
}

/// How many of `bytes`, after `held` bytes of the same line, make whole entries; `None` when not even what is held
/// does. At most 8 KiB remain.
pub(super) fn whole(held: usize, bytes: &[u8]) -> Option<usize> {
    let (ended, open) = match memrchr(b'\n', bytes) {
        Some(end) => (Some(end + 1), bytes.len() - end - 1),
        None => (None, held + bytes.len()),
    };
    let cut = open.saturating_sub(1) / LINE_MAX * LINE_MAX;
    match ended {
        Some(ended) => Some(ended + cut),
        None => (cut > 0).then(|| cut - held),
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    const HELLO: Header = Header {
        first: 7,
        time: UnixMillis(1_700_000_000_123),
        kind: Kind::Log,
        lines: 2,
        bytes: 6,
        crc: 0xdead_beef,
    };

    #[test]
    fn golden_bytes_of_version_1() {
        let golden = b"LHC\x01\x03\0\0\0\
            \x07\0\0\0\0\0\0\0\x7b\x68\xe5\xcf\x8b\x01\0\0\
            \x02\0\0\0\x06\0\0\0\xef\xbe\xad\xde";
        let encoded = HELLO.encode();
        assert_eq!(encoded[..36], golden[..]);
        assert_eq!(encoded[36..], crc32fast::hash(golden).to_le_bytes());
        assert_eq!(Header::decode(&encoded), Some(HELLO));
    }

    #[test]
    fn a_header_cut_or_changed_anywhere_is_refused() {
        let good = HELLO.encode();
        for n in 0..HEADER {
            assert_eq!(Header::decode(&good[..n]), None);
            let mut bad = good;
            bad[n] ^= 1;
            assert_eq!(Header::decode(&bad), None);
        }
    }

    #[test]
    fn a_line_of_the_limit_is_whole_and_one_more_byte_cuts_it() {
        let fits = [vec![b'x'; LINE_MAX], b"\n".to_vec()].concat();
        assert_eq!(entries(&fits).map(|e| e.1).collect::<Vec<_>>(), [false]);
        let long = [vec![b'x'; LINE_MAX + 1], b"\n".to_vec()].concat();
        assert_eq!(
            entries(&long).map(|e| (e.0.len(), e.1)).collect::<Vec<_>>(),
            [(LINE_MAX, true), (1, false)]
        );
    }

    /// Bytes in which runs about as long as the limit are common.
    pub(in crate::console) fn stream() -> impl Strategy<Value = Vec<u8>> {
        let run = prop_oneof![
            4 => 0usize..20,
            1 => LINE_MAX - 2..LINE_MAX + 3,
            1 => 2 * LINE_MAX - 2..2 * LINE_MAX + 3,
        ];
        prop::collection::vec(
            (
                run,
                prop::sample::select(vec![b"\n".as_slice(), b"\n\n", b"\r\n", b"\xff\0\n", b"|"]),
            ),
            0..6,
        )
        .prop_map(|runs| {
            runs.into_iter()
                .flat_map(|(run, end)| [vec![b'x'; run], end.to_vec()].concat())
                .collect()
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(128))]

        #[test]
        fn any_header_decodes_or_is_refused(bytes in prop::collection::vec(any::<u8>(), 0..64)) {
            prop_assert!(Header::decode(&bytes).is_none_or(|h| h.encode() == bytes[..HEADER]));
        }

        #[test]
        fn counting_in_bulk_counts_what_reading_finds(held in 0..=LINE_MAX, bytes in stream()) {
            let block = [vec![b'h'; held], bytes.clone()].concat();
            prop_assert_eq!(count(held, &bytes), entries(&block).count());
        }

        #[test]
        fn entries_join_to_the_bytes(bytes in stream()) {
            let joined: Vec<u8> = entries(&bytes)
                .flat_map(|(text, more)| [text, if more { b"" } else { b"\n" }].concat())
                .collect();
            prop_assert_eq!(joined, bytes);
        }

        #[test]
        fn what_is_not_whole_fits_the_hold_and_is_no_whole_entry(held in 0..=LINE_MAX, bytes in stream()) {
            let cut = whole(held, &bytes);
            let open = &bytes[cut.unwrap_or(0)..];
            prop_assert!(memchr(b'\n', open).is_none());
            let waits = open.len() + if cut.is_none() { held } else { 0 };
            prop_assert!(waits <= LINE_MAX);
        }
    }
}
