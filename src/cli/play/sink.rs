//! Where a table is shown: above a prompt, or on standard output.

use tokio::sync::mpsc;

use super::super::{
    fault::Fault,
    print::{Out, note},
};

/// Where boards and notices go.
pub(super) enum Sink {
    /// Above the prompt.
    Prompt(mpsc::Sender<String>),
    /// Standard output, and notices on standard error.
    Plain(Out),
}

impl Sink {
    /// What people are to see.
    pub(super) async fn show(&self, lines: String) -> Result<(), Fault> {
        match self {
            _ if lines.is_empty() => Ok(()),
            Self::Prompt(above) => above.send(lines).await.map_err(|_| Fault::Closed),
            Self::Plain(out) if out.json => Ok(()), // they are told as they came
            Self::Plain(out) => out.bytes(lines.as_bytes()),
        }
    }

    /// What a script is told instead.
    pub(super) fn json(&self, raw: &str) -> Result<(), Fault> {
        match self {
            Self::Plain(out) if out.json => out.line(raw),
            _ => Ok(()),
        }
    }

    /// What the program itself has to say.
    pub(super) async fn notice(&self, line: &str) -> Result<(), Fault> {
        match self {
            Self::Plain(_) => {
                note(&format!("-- {line}"));
                Ok(())
            }
            Self::Prompt(_) => self.show(format!("-- {line}\n")).await,
        }
    }
}
