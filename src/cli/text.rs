//! Text from elsewhere made fit for a terminal: no title and no game may move the cursor, hide lines or
//! talk to the terminal.
//!
//! What is replaced is shown as an escape (`\x1b`, `\u{202e}`), so that nothing vanishes. Console text on
//! a terminal keeps its colours (`ESC [ digits ; ... m`), which cannot do harm; all else of it is treated
//! the same.

use std::fmt::Write as _;

/// A colour sequence that is longer than this is none.
const LONGEST_COLOUR: usize = 48;

/// `text` on one line, with every character that a terminal would obey made visible.
pub(crate) fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        push(&mut out, c);
    }
    out
}

/// A console's line: as [`plain`], but with tabs, and with colours when `colour`, else without them.
pub(crate) fn console(text: &str, colour: bool) -> String {
    let text = text.trim_end_matches('\r');
    let mut out = String::with_capacity(text.len());
    let mut coloured = false;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let sequence = colour_at(rest);
        if let Some(sequence) = sequence {
            if colour {
                out.push_str(sequence);
                coloured = true;
            }
        } else if c == '\t' {
            out.push(c);
        } else {
            push(&mut out, c);
        }
        rest = &rest[sequence.map_or(c.len_utf8(), str::len)..];
    }
    if coloured {
        out.push_str("\x1b[0m");
    }
    out
}

/// The colour sequence with which `text` begins.
fn colour_at(text: &str) -> Option<&str> {
    let parameters = text.strip_prefix("\x1b[")?;
    let length = parameters
        .bytes()
        .take(LONGEST_COLOUR)
        .position(|byte| !matches!(byte, b'0'..=b'9' | b';' | b':'))?;
    (parameters.as_bytes()[length] == b'm').then(|| &text[..length + 3])
}

fn push(out: &mut String, c: char) {
    match c {
        '\n' => out.push_str("\\n"),
        '\r' => out.push_str("\\r"),
        '\t' => out.push_str("\\t"),
        // C1 controls are what some terminals take for ESC and a letter.
        c if c.is_control() => {
            write!(out, "\\x{:02x}", u32::from(c)).expect("a String takes everything");
        }
        // Those that reorder, separate or hide text.
        '\u{200b}'..='\u{200f}'
        | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{2069}'
        | '\u{feff}' => {
            write!(out, "\\u{{{:x}}}", u32::from(c)).expect("a String takes everything");
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_title_cannot_talk_to_the_terminal() {
        assert_eq!(
            plain("a\x1b]0;x\x07b\r\nc\td\u{9b}2J\u{202e}é"),
            "a\\x1b]0;x\\x07b\\r\\nc\\td\\x9b2J\\u{202e}é"
        );
    }

    #[test]
    fn a_console_keeps_colours_on_a_terminal_and_loses_them_elsewhere() {
        let line = "\x1b[1;31mred\x1b[0m\tplain\r";
        assert_eq!(console(line, true), "\x1b[1;31mred\x1b[0m\tplain\x1b[0m");
        assert_eq!(console(line, false), "red\tplain");
    }

    #[test]
    fn a_console_keeps_nothing_but_colours() {
        assert_eq!(
            console("\x1b[2J\x1b[?25l\x1b]52;c;x\x07\x1bc\x1b[", true),
            "\\x1b[2J\\x1b[?25l\\x1b]52;c;x\\x07\\x1bc\\x1b["
        );
        let long = format!("\x1b[{}m", "1;".repeat(99));
        assert!(console(&long, true).starts_with("\\x1b["));
    }

    proptest! {
        #[test]
        fn whatever_comes_only_colours_reach_the_terminal(text in any::<String>(), tail in "(\x1b\\[?[0-9;:]{0,3}[mJ]?|x){0,9}") {
            let text = text + &tail;
            prop_assert!(!plain(&text).chars().any(char::is_control));
            prop_assert!(!console(&text, false).chars().any(|c| c.is_control() && c != '\t'));
            let shown = console(&text, true);
            for (at, _) in shown.match_indices('\x1b') {
                prop_assert!(colour_at(&shown[at..]).is_some());
            }
        }
    }
}
