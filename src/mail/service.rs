//! The one task that takes letters to the server.

use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use tokio_util::sync::CancellationToken;

use super::{
    Post,
    post::Office,
    records::{LETTERS, Letter},
    smtp::Server,
    state::{Outcome, backoff},
};
use crate::{clock::UnixMillis, store::StoreError};

/// Looks at least that often: the clock may be set, and a disk may have room again.
const LOOK: Duration = Duration::from_secs(60);

/// Runs until `stop`. What is being handed over then is waited for as long as the box lets it.
pub(super) async fn run(post: Post, stop: CancellationToken) {
    let office = &*post.0;
    recover(office).await;
    let mut round = Round::default();
    loop {
        // Before looking, so that what is handed in meanwhile is not slept over.
        let bell = office.bell.notified();
        let wait = match round.go(office, &stop).await {
            Ok(wait) => wait,
            Err(error) => {
                tracing::error!(%error, "mail cannot be sent just now");
                recover(office).await; // a letter may have been left in the middle
                LOOK
            }
        };
        tokio::select! {
            () = stop.cancelled() => return,
            () = bell => {}
            () = tokio::time::sleep(wait.min(LOOK)) => {}
        }
    }
}

/// What was being handed over when the box died may have arrived.
async fn recover(office: &Office) {
    for mut letter in office.letters() {
        if letter.recover(UnixMillis::now(), chance()) {
            tracing::warn!(
                letter = letter.id,
                "it was being sent when the box stopped: it may arrive twice"
            );
            if let Err(error) = keep(office, &letter).await {
                tracing::error!(%error, letter = letter.id, "this letter waits for the next start");
            }
        }
    }
}

/// How the server is, from one round to the next.
#[derive(Debug, Default)]
struct Round {
    /// How often in a row it could not be reached.
    downs: u32,
    /// Until when it is left alone.
    rest: Option<Instant>,
}

impl Round {
    /// Tries what is due; how long until there is more to do.
    async fn go(
        &mut self,
        office: &Office,
        stop: &CancellationToken,
    ) -> Result<Duration, StoreError> {
        let letters = office.letters();
        for mut letter in letters.iter().cloned() {
            let now = UnixMillis::now();
            if letter.is_over(now) {
                let key = letter.key();
                office.store.write(|tx| tx.delete(LETTERS, key)).await?;
            } else if letter.age(now) {
                tracing::warn!(letter = letter.id, kind = ?letter.kind, "given up: not delivered in time");
                keep(office, &letter).await?;
            }
        }
        let Some(server) = &office.settings.server else {
            return Ok(LOOK);
        };
        if office.hurry.swap(false, Ordering::Relaxed) {
            self.rest = None;
        }
        for letter in letters {
            if let Some(rest) = self
                .rest
                .map(|until| until.saturating_duration_since(Instant::now()))
                && !rest.is_zero()
            {
                return Ok(rest);
            }
            if stop.is_cancelled() {
                return Ok(LOOK);
            }
            if letter.is_due(UnixMillis::now()) && !letter.is_too_old(UnixMillis::now()) {
                self.send(office, server, letter, stop).await?;
            }
        }
        let now = UnixMillis::now();
        let waits = office.letters().into_iter();
        let next = waits
            .map(|letter| letter.next.since(now))
            .filter(|wait| !wait.is_zero());
        Ok(next.min().unwrap_or(LOOK))
    }

    async fn send(
        &mut self,
        office: &Office,
        server: &Server,
        letter: Letter,
        stop: &CancellationToken,
    ) -> Result<(), StoreError> {
        // Nothing has left before the text: that much can be broken off.
        let Some(offered) = stop.run_until_cancelled(server.offer(&letter)).await else {
            return Ok(());
        };
        let (line, outcome) = match offered {
            Err(outcome) => (None, outcome),
            Ok((mut line, text)) => match mark(office, letter.id).await {
                Ok(true) => {
                    let outcome = server.hand_over(&mut line, &text).await;
                    (Some(line), outcome)
                }
                // It was taken back meanwhile, or cannot be marked, and then not be sent.
                Ok(false) => {
                    line.hang_up().await;
                    return Ok(());
                }
                Err(error) => {
                    line.hang_up().await;
                    return Err(error);
                }
            },
        };
        // At once: what lies between the server's answer and this is the only place where a letter can be sent twice.
        settle(office, letter.id, &outcome).await?;
        self.learn(office, &outcome);
        if let Some(line) = line {
            line.hang_up().await;
        }
        Ok(())
    }

    /// What an outcome says of the server.
    fn learn(&mut self, office: &Office, outcome: &Outcome) {
        if let Outcome::Down(words) = outcome {
            self.downs = self.downs.saturating_add(1);
            let rest = backoff(self.downs, chance());
            self.rest = Some(Instant::now() + rest);
            tracing::warn!(%words, ?rest, "the mail server takes nothing; letters wait");
            *office.trouble() = Some(words.clone());
        } else {
            *self = Self::default();
            *office.trouble() = None;
        }
    }
}

/// Notes durably that a letter is about to leave. False: it is no longer there, or not as it was.
async fn mark(office: &Office, id: u64) -> Result<bool, StoreError> {
    let mark = office.store.write(|tx| {
        let Some(mut letter) = tx.get(LETTERS, id.to_be_bytes())? else {
            return Ok(false);
        };
        letter.hand_over();
        tx.put(LETTERS, letter.key(), &letter)?;
        Ok::<_, StoreError>(true)
    });
    mark.await
}

/// Keeps how an attempt has ended. The disk may be full: then this is tried until it is not, since nobody else knows.
async fn settle(office: &Office, id: u64, outcome: &Outcome) -> Result<(), StoreError> {
    let (now, chance) = (UnixMillis::now(), chance());
    loop {
        let settled = office.store.write(|tx| {
            let Some(mut letter) = tx.get(LETTERS, id.to_be_bytes())? else {
                return Ok(None); // taken back meanwhile
            };
            match letter.end(outcome, now, chance) {
                true => tx.put(LETTERS, letter.key(), &letter)?,
                false => drop(tx.delete(LETTERS, letter.key())?),
            }
            Ok::<_, StoreError>(Some(letter.kind))
        });
        match settled.await {
            Ok(kind) => {
                told(id, kind, outcome);
                return Ok(());
            }
            Err(StoreError::DiskFull { .. }) => tokio::time::sleep(Duration::from_secs(1)).await,
            Err(error) => return Err(error),
        }
    }
}

/// Without the words, which may hold a part of the letter.
fn told(letter: u64, kind: Option<super::LetterKind>, outcome: &Outcome) {
    match outcome {
        Outcome::Sent => tracing::info!(letter, ?kind, "sent"),
        Outcome::Refused(_) => tracing::warn!(letter, ?kind, "given up: the server refuses it"),
        Outcome::Failed(_) | Outcome::Down(_) => tracing::info!(letter, ?kind, "not sent yet"),
        Outcome::Uncertain(_) => tracing::warn!(
            letter,
            ?kind,
            "the server's answer is missing: it may arrive twice"
        ),
    }
}

async fn keep(office: &Office, letter: &Letter) -> Result<(), StoreError> {
    office
        .store
        .write(|tx| tx.put(LETTERS, letter.key(), letter))
        .await
}

/// From 0 to 1.
fn chance() -> f64 {
    let byte = getrandom::u32().expect("a running kernel has random bytes");
    f64::from(byte) / f64::from(u32::MAX)
}
