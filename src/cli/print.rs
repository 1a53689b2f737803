//! What is printed: data on standard output, the rest on standard error.

use std::{
    fmt::Write as _,
    io::{self, IsTerminal as _, Write as _},
};

use super::{control::Answer, fault::Fault, text};

/// A line for people, on standard error; who closed it does not care.
pub(crate) fn note(line: &str) {
    writeln!(io::stderr(), "{line}").ok();
}

/// Standard output.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Out {
    /// The API's JSON instead of tables.
    pub(crate) json: bool,
    /// Colours may be used.
    pub(crate) colour: bool,
}

impl Out {
    pub(crate) fn new(json: bool) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            json,
            colour: !plain && io::stdout().is_terminal(),
        }
    }

    /// Bytes as they are, at once.
    pub(crate) fn bytes(self, bytes: &[u8]) -> Result<(), Fault> {
        let mut stdout = io::stdout().lock();
        let written = stdout.write_all(bytes).and_then(|()| stdout.flush());
        written.map_err(|error| match error.kind() {
            io::ErrorKind::BrokenPipe => Fault::Closed,
            _ => Fault::File {
                path: "standard output".into(),
                source: error,
            },
        })
    }

    pub(crate) fn line(self, line: &str) -> Result<(), Fault> {
        self.bytes(format!("{line}\n").as_bytes())
    }

    /// The API's JSON as it came, or what `show` makes of it for people.
    pub(crate) fn answer(
        self,
        answer: &Answer,
        show: impl FnOnce() -> Result<String, Fault>,
    ) -> Result<(), Fault> {
        if self.json {
            return self.line(answer.text().trim_end());
        }
        self.bytes(show()?.as_bytes())
    }
}

/// How a cell stands out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Colour {
    Good,
    Bad,
    Busy,
    Quiet,
}

impl Colour {
    fn code(self) -> &'static str {
        match self {
            Self::Good => "\x1b[32m",
            Self::Bad => "\x1b[31m",
            Self::Busy => "\x1b[33m",
            Self::Quiet => "\x1b[2m",
        }
    }
}

/// One cell; its text is made fit for a terminal.
#[derive(Debug, Clone)]
pub(crate) struct Cell(String, Option<Colour>);

impl Cell {
    pub(crate) fn new(text: impl ToString) -> Self {
        Self(text::plain(&text.to_string()), None)
    }

    /// `-` when there is nothing.
    pub(crate) fn maybe(text: Option<impl ToString>) -> Self {
        text.map_or_else(|| Self::new("-"), Self::new)
    }

    pub(crate) fn coloured(text: impl ToString, colour: Colour) -> Self {
        Self(Self::new(text).0, Some(colour))
    }
}

/// Rows under headings, aligned.
#[derive(Debug)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn new(headings: &[&str]) -> Self {
        let heading = |name: &&str| Cell::coloured(name, Colour::Quiet);
        Self {
            rows: vec![headings.iter().map(heading).collect()],
        }
    }

    /// Names and what they are, without headings.
    pub(crate) fn fields() -> Self {
        Self { rows: Vec::new() }
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(crate) fn field(&mut self, name: &str, value: impl ToString) {
        self.row([Cell::coloured(name, Colour::Quiet), Cell::new(value)]);
    }

    /// Columns two spaces apart; nothing trails the last.
    pub(crate) fn render(&self, colour: bool) -> String {
        let mut widths: Vec<usize> = Vec::new();
        for row in &self.rows {
            for (column, cell) in row.iter().enumerate() {
                let width = cell.0.chars().count();
                match widths.get_mut(column) {
                    Some(widest) => *widest = width.max(*widest),
                    None => widths.push(width),
                }
            }
        }
        let mut out = String::new();
        for row in &self.rows {
            let mut gap = 0;
            for (Cell(text, paint), width) in row.iter().zip(&widths) {
                let used = text.chars().count();
                let painted = match paint.filter(|_| colour && used > 0) {
                    Some(paint) => format!("{}{text}\x1b[0m", paint.code()),
                    None => text.clone(),
                };
                if used > 0 {
                    write!(out, "{:gap$}{painted}", "").expect("a String takes everything");
                    gap = 0;
                }
                gap += width - used + 2;
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned_and_nothing_trails() {
        let mut table = Table::new(&["ID", "TITLE", "STATE"]);
        table.row([
            Cell::new(3),
            Cell::new("Zügé"),
            Cell::coloured("running", Colour::Good),
        ]);
        table.row([
            Cell::new(112),
            Cell::new("a\x1b[2Jb"),
            Cell::maybe(None::<u8>),
        ]);
        table.row([Cell::new(4), Cell::new("empty"), Cell::new("")]);
        assert_eq!(
            table.render(false),
            "ID   TITLE      STATE\n3    Zügé       running\n112  a\\x1b[2Jb  -\n4    empty\n"
        );
    }

    #[test]
    fn colours_do_not_shift_columns() {
        let mut table = Table::fields();
        table.row([Cell::coloured("up", Colour::Good), Cell::new("x")]);
        table.row([Cell::new("down"), Cell::new("y")]);
        assert_eq!(table.render(true), "\x1b[32mup\x1b[0m    x\ndown  y\n");
    }
}
