//! What a console looks like: the API's entries as lines, on a terminal or in a pipe.

use serde::Deserialize;

use super::{Session, attach, fault::Fault, print::note, text};
use crate::console::{Kind, Line};
use crate::hosting::View;

/// Entries as the API tells them, in an answer and over the WebSocket alike.
#[derive(Debug, Clone, Deserialize)]
pub(crate) struct Frame {
    /// In order.
    pub(crate) entries: Vec<Line>,
    /// How many before the first were lost to this viewer.
    #[serde(default)]
    pub(crate) dropped: u64,
    /// Where to go on.
    pub(crate) next: u64,
}

/// Turns entries into lines. Typed lines begin with `> `, the box's own with `-- `.
#[derive(Debug)]
pub(crate) struct Screen {
    /// Colours may be used.
    pub(crate) colour: bool,
    /// Each line begins with its time.
    pub(crate) time: bool,
    /// Pieces of one line become one line again. Not above a prompt, where only whole lines fit.
    pub(crate) join: bool,
    open: Option<Kind>,
}

impl Screen {
    pub(crate) fn new(colour: bool, time: bool, join: bool) -> Self {
        Self {
            colour,
            time,
            join,
            open: None,
        }
    }

    pub(crate) fn lines(&mut self, entries: &[Line]) -> String {
        let mut out = String::new();
        for entry in entries {
            if self.open != Some(entry.kind) {
                out += self.close();
                if self.time {
                    out += &format!("{}  ", entry.time);
                }
                out += match entry.kind {
                    Kind::Stdin => "> ",
                    Kind::Log => "-- ",
                    Kind::Stdout | Kind::Stderr => "",
                };
            }
            out += &text::console(&entry.text, self.colour);
            if entry.more && self.join {
                self.open = Some(entry.kind);
            } else {
                self.open = None;
                out.push('\n');
            }
        }
        out
    }

    /// What ends an unfinished line.
    pub(crate) fn close(&mut self) -> &'static str {
        match self.open.take() {
            Some(_) => "\n",
            None => "",
        }
    }
}

/// Prints the newest `count` entries, and what follows them when asked to.
pub(crate) async fn log(
    session: &Session,
    server: &View,
    count: u64,
    follow: bool,
    time: bool,
) -> Result<(), Fault> {
    let path = format!("/servers/{}/console?count={count}", server.id.0);
    let answer = session.control.get(&path).await?;
    let frame: Frame = answer.read()?;
    let mut screen = Screen::new(session.out.colour, time, true);
    session
        .out
        .answer(&answer, || Ok(screen.lines(&frame.entries)))?;
    if follow {
        let sink = attach::Sink::Plain(session.out, screen);
        return attach::follow(session, server, frame.next, sink).await;
    }
    session.out.bytes(screen.close().as_bytes())?;
    if frame.entries.is_empty() {
        note("the console is empty");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(all: &[(&str, &str, bool)]) -> Vec<Line> {
        let entry = |(kind, text, more): &(&str, &str, bool)| {
            serde_json::from_value(serde_json::json!({
                "seq": 1, "time": "2026-01-01T00:00:00.000Z", "kind": kind, "text": text, "more": more
            }))
            .unwrap()
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn pieces_become_one_line_again_unless_something_comes_between() {
        let mut screen = Screen::new(false, false, true);
        let shown = screen.lines(&entries(&[
            ("stdout", "long ", true),
            ("stdout", "line", false),
            ("stdout", "name: ", true),
            ("stdin", "ada", false),
            ("log", "started", false),
            ("stderr", "half", true),
        ]));
        assert_eq!(shown, "long line\nname: \n> ada\n-- started\nhalf");
        assert_eq!((screen.close(), screen.close()), ("\n", ""));
    }

    #[test]
    fn above_a_prompt_each_piece_is_a_line_and_times_are_told_when_asked() {
        let mut screen = Screen::new(false, true, false);
        let shown = screen.lines(&entries(&[
            ("stdout", "a\x1b[2J", true),
            ("stdout", "b", false),
        ]));
        assert_eq!(
            shown,
            "2026-01-01T00:00:00.000Z  a\\x1b[2J\n2026-01-01T00:00:00.000Z  b\n"
        );
    }
}
