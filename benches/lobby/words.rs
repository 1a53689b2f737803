//! What the lobby says, as far as this load needs it: from `docs/ggz.md`, and not from the daemon's code.

/// One line of the lobby's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Heard<'a> {
    /// It has introduced itself.
    Hello,
    /// What was asked for is done, or why not: action, code.
    Result(&'a str, &'a str),
    /// Somebody has said this.
    Chat(&'a str),
    /// It wants an answer.
    Ping,
    /// A room: its number and title.
    Room(&'a str, &'a str),
    /// A game: its number and title.
    Game(&'a str, &'a str),
    /// Nothing of interest.
    Other,
}

/// Reads a line without its end.
pub(crate) fn hear(line: &[u8]) -> Heard<'_> {
    let Ok(line) = std::str::from_utf8(line) else {
        return Heard::Other;
    };
    let of = |name| attribute(line, name).unwrap_or_default();
    match line.get(..5) {
        Some("<CHAT") => {
            let text = line
                .split_once('>')
                .and_then(|(_, rest)| rest.split('<').next());
            Heard::Chat(text.unwrap_or_default())
        }
        Some("<PING") => Heard::Ping,
        Some("<RESU") => Heard::Result(of("ACTION"), of("CODE")),
        Some("</SER") => Heard::Hello,
        Some("<ROOM") => Heard::Room(of("ID"), of("NAME")),
        Some("<GAME") => Heard::Game(of("ID"), of("NAME")),
        _ => Heard::Other,
    }
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    let start = line.find(&format!(" {name}='"))? + name.len() + 3;
    line[start..].split('\'').next()
}
