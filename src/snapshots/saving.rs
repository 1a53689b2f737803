//! Makes a running game save first, in the way that its definition says: console lines, and the line by which it tells
//! that all is on the disk.

use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use crate::{
    accounts::{Principal, ServerId},
    console::Kind,
    hosting::{Exit, Hosting, HostingError, State, definition::Save},
};

/// Console entries that are looked at in one go.
const ENTRIES: usize = 1000;
const BYTES: usize = 1 << 20;

/// What a server was doing when its snapshot was begun.
pub(super) enum Before {
    /// It did not run, so nobody writes; and how it had ended.
    Still(Option<Exit>),
    /// It ran, in this process, and has saved.
    Saved(Option<u32>),
    /// What is copied may be half-written, and why.
    Torn(String),
}

/// Gets a server's files to be whole, if that can be had.
pub(super) async fn save(
    hosting: &Hosting,
    by: &Principal,
    id: ServerId,
) -> Result<Before, HostingError> {
    let view = hosting.get(by, id).await?;
    let torn = |why: &str| Ok(Before::Torn(why.into()));
    match view.state {
        State::Stopped | State::Failed | State::Backoff => return Ok(Before::Still(view.exit)),
        State::Installing | State::Starting => return torn("it was just being started"),
        State::Stopping => return torn("it was just being stopped"),
        State::Running => {}
    }
    let Some(save) = hosting.saving(&view.game) else {
        return torn("its game cannot be told to save while it runs");
    };
    match told(hosting, by, id, &save).await {
        Ok(()) => Ok(Before::Saved(view.pid)),
        Err(why) => Ok(Before::Torn(why)),
    }
}

/// Whether what was so at the beginning still is, at the end; otherwise why not.
pub(super) async fn held(
    hosting: &Hosting,
    by: &Principal,
    id: ServerId,
    before: Before,
) -> Result<Option<String>, HostingError> {
    let running = |state| !matches!(state, State::Stopped | State::Failed | State::Backoff);
    Ok(match before {
        Before::Torn(why) => Some(why),
        Before::Saved(pid) => {
            let same = hosting.get(by, id).await?.pid == pid;
            (!same).then(|| "its game ended meanwhile".into())
        }
        Before::Still(exit) => {
            let view = hosting.get(by, id).await?;
            let ran = running(view.state) || view.exit != exit;
            ran.then(|| "it was started meanwhile".into())
        }
    })
}

/// Says the lines, and waits for the answer; then says those for after it.
async fn told(hosting: &Hosting, by: &Principal, id: ServerId, save: &Save) -> Result<(), String> {
    let failed = |error: HostingError| format!("its game could not be told to save: {error}");
    let (mut reader, mut head) = hosting.console(by, id).await.map_err(failed)?;
    let mut next = *head.borrow_and_update() + 1;
    for line in &save.before {
        hosting.command(by, id, line).await.map_err(failed)?;
    }
    let deadline = Instant::now() + save.timeout;
    let answer = loop {
        let Some(wanted) = &save.line else {
            break Ok(());
        };
        let read = tokio::task::spawn_blocking(move || {
            let batch = reader.read(next, ENTRIES, BYTES);
            (reader, batch)
        });
        let Ok((back, batch)) = read.await else {
            break Err("the box is shutting down".into());
        };
        reader = back;
        let batch = match batch {
            Ok(batch) => batch,
            Err(error) => break Err(format!("its console cannot be read: {error}")),
        };
        next = batch.next;
        let said = |text: &str| {
            let mut lines = batch.entries.iter();
            lines.any(|entry| {
                matches!(entry.kind, Kind::Stdout | Kind::Stderr) && entry.lossy().contains(text)
            })
        };
        if said(wanted) {
            break Ok(());
        }
        if let Some(text) = save.failed.as_deref().filter(|text| said(text)) {
            break Err(format!("its game said `{text}`"));
        }
        if !batch.entries.is_empty() {
            continue;
        }
        match timeout_at(deadline, head.changed()).await {
            Ok(Ok(())) => {}
            Ok(Err(_)) => break Err("its console has ended".into()),
            Err(_) => {
                let seconds = Duration::as_secs_f32(&save.timeout);
                break Err(format!(
                    "its game did not say within {seconds} s that it has saved"
                ));
            }
        }
    };
    for line in &save.after {
        hosting.command(by, id, line).await.map_err(failed)?;
    }
    answer
}
