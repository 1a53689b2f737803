//! What the box itself says on a server's console while no keeper writes there.

use std::path::PathBuf;

use tokio::sync::watch;

use crate::clock::UnixMillis;
use crate::console::{Kind, Writer};

/// The console's one appender, until it is dropped. Saying something is never worth failing for.
pub(super) struct Journal {
    writer: Option<Writer>,
    head: watch::Sender<u64>,
}

impl Journal {
    /// `head` hears of each line.
    pub(super) async fn open(folder: PathBuf, history: u64, head: watch::Sender<u64>) -> Self {
        let opened = tokio::task::spawn_blocking(move || Writer::open(&folder, history)).await;
        let writer = opened
            .map_err(std::io::Error::other)
            .and_then(|opened| opened)
            .inspect_err(|error| tracing::warn!(%error, "the console cannot be written"))
            .ok();
        Self { writer, head }
    }

    async fn write(
        &mut self,
        act: impl FnOnce(&mut Writer) -> std::io::Result<()> + Send + 'static,
    ) {
        let Some(mut writer) = self.writer.take() else {
            return;
        };
        let done = tokio::task::spawn_blocking(move || {
            let done = act(&mut writer);
            (writer, done)
        });
        let Ok((writer, done)) = done.await else {
            return;
        };
        if let Err(error) = done {
            tracing::warn!(%error, "the console cannot be written");
        }
        self.head.send_if_modified(|head| {
            let grown = *head < writer.head();
            *head = writer.head().max(*head);
            grown
        });
        self.writer = Some(writer);
    }

    /// A line of our own.
    pub(super) async fn say(&mut self, line: &str) {
        let line = line.as_bytes().to_vec();
        self.write(move |writer| writer.line(Kind::Log, UnixMillis::now(), &line))
            .await;
    }

    /// What an installer prints, in any pieces.
    pub(super) async fn output(&mut self, bytes: &[u8]) {
        let bytes = bytes.to_vec();
        self.write(move |writer| writer.output(Kind::Log, UnixMillis::now(), &bytes))
            .await;
    }

    /// Ends a line that an installer left unfinished, and lets go of the console.
    pub(super) async fn close(mut self) {
        self.write(|writer| writer.flush(Kind::Log, UnixMillis::now()))
            .await;
    }
}
