//! Parts of what is sent: `Range: bytes=0-499` asks for one, `Content-Range: bytes 0-499/1234` says which one it is.

use std::ops::Range;

/// What a `Range` header asks for, of `size` bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// All: none was asked for, or in a way that may be ignored, such as several parts at once.
    Whole,
    /// These.
    Part(Range<u64>),
    /// Nothing that is there.
    Nothing,
}

/// A number as headers have it: digits and nothing else.
fn number(text: &str) -> Option<u64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| digits)
}

/// Reads a `Range` header.
pub(crate) fn wanted(header: Option<&str>, size: u64) -> Wanted {
    let part = || {
        let part = header?.trim().strip_prefix("bytes=")?.trim();
        let (first, last) = part.split_once('-')?;
        Some(match (first, last) {
            ("", count) => size.saturating_sub(number(count)?)..size,
            (first, "") => number(first)?..size,
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                if last < first {
                    return None;
                }
                first..last.saturating_add(1).min(size)
            }
        })
    };
    match part() {
        None => Wanted::Whole,
        Some(part) if part.start < part.end => Wanted::Part(part),
        Some(_) => Wanted::Nothing,
    }
}

/// Where the part begins that a `Content-Range` header tells of.
pub(crate) fn begins(header: &str) -> Option<u64> {
    let (part, _) = header.trim().strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = part.trim().split_once('-')?;
    let (first, last) = (number(first)?, number(last)?);
    (first <= last).then_some(first)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_part_is_read_and_what_makes_no_sense_is_the_whole() {
        for (header, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=2-4", Wanted::Part(2..5)),
            ("bytes=2-", Wanted::Part(2..10)),
            ("bytes=-3", Wanted::Part(7..10)),
            ("bytes=-30", Wanted::Part(0..10)),
            ("bytes=5-500", Wanted::Part(5..10)),
            ("bytes=10-", Wanted::Nothing),
            ("bytes=10-12", Wanted::Nothing),
            ("bytes=-0", Wanted::Nothing),
            ("bytes=4-2", Wanted::Whole),
            ("bytes=0-1,3-4", Wanted::Whole),
            ("bytes=+1-2", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=", Wanted::Whole),
        ] {
            assert_eq!(wanted(Some(header), 10), expected, "{header}");
        }
        assert_eq!(wanted(None, 10), Wanted::Whole);
        assert_eq!(wanted(Some("bytes=0-"), 0), Wanted::Nothing);
    }

    #[test]
    fn a_piece_says_where_it_begins() {
        assert_eq!(begins("bytes 5-9/10"), Some(5));
        assert_eq!(begins("bytes 5-9/*"), Some(5));
        for nonsense in [
            "bytes 9-5/10",
            "bytes */10",
            "5-9/10",
            "bytes a-b/c",
            "bytes +5-9/10",
        ] {
            assert_eq!(begins(nonsense), None, "{nonsense}");
        }
    }

    proptest! {
        #[test]
        fn a_part_is_always_within(header in "bytes=[0-9,-]{0,24}", size: u64) {
            if let Wanted::Part(part) = wanted(Some(&header), size) {
                prop_assert!(part.start < part.end && part.end <= size);
            }
        }
    }
}
