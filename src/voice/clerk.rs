//! Words with a proof: who holds a ticket, and what the box's own key says. And what is thrown away in time.

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::Arc,
    time::{Duration, Instant},
};

use tokio::{
    sync::{Semaphore, mpsc},
    time::{MissedTickBehavior, interval_at},
};
use tokio_util::sync::CancellationToken;

use super::{
    ChannelId, Uid, Voice, VoiceError,
    book::{AT_ONCE, Book, Seated},
    moments::Moments,
    packet::{HEAD, Operation, System},
    records::{TICKETS, Ticket, pair},
    relay::Petition,
    rights::Asker,
    seal::{self, Tagged},
    service::Ask,
};
use crate::{clock::UnixMillis, store::Tx};

/// Petitions that wait for the disk at the same time.
const TOGETHER: usize = 64;
/// Signatures that are checked in a second, whoever sends them: one costs as much as a hundred packets.
const CHECKS: u32 = 200;
/// Tickets whose holders we asked to come again, at most.
const ASKED: usize = 1024;
/// How often tickets and guests that ended are thrown away.
const SWEEP: Duration = Duration::from_secs(600);

pub(super) struct Clerk {
    pub(super) voice: Voice,
    pub(super) moments: Arc<Moments>,
}

impl Clerk {
    pub(super) async fn run(
        self,
        mut petitions: mpsc::Receiver<Petition>,
        stop: CancellationToken,
    ) {
        let mut sweep = interval_at((Instant::now() + SWEEP).into(), SWEEP);
        sweep.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let places = Arc::new(Semaphore::new(TOGETHER));
        let (mut checks, mut asked) = (Checks::new(Instant::now()), Asked::default());
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                _ = sweep.tick() => drop(tokio::spawn(tidy(self.voice.clone()))),
                Some(petition) = petitions.recv() => {
                    let channel = petition.channel;
                    match self.examine(&petition, &mut checks, &mut asked) {
                        None => self.voice.tell(Ask::Unproven(channel)).await,
                        Some(Finding::Again(sequence)) => {
                            let System { uid, ackid, .. } = petition.system;
                            let packet = Box::new(seal::again(uid, ackid, sequence));
                            self.voice.tell(Ask::Send(channel, packet, petition.from)).await;
                        }
                        Some(Finding::Proven(proof)) => {
                            let place = places.clone().acquire_owned().await;
                            let voice = self.voice.clone();
                            tokio::spawn(async move {
                                if let Err(error) = grant(&voice, &petition, proof).await {
                                    tracing::debug!(channel = channel.0, %error, "a proven word came to nothing");
                                }
                                drop(place);
                            });
                        }
                    }
                }
            }
        }
    }

    /// Whether a proof is good, without writing anything.
    fn examine(
        &self,
        petition: &Petition,
        checks: &mut Checks,
        asked: &mut Asked,
    ) -> Option<Finding> {
        let Petition {
            channel,
            head,
            system,
            from,
        } = petition;
        if let Some(tagged) = Tagged::read(head) {
            let book = self.voice.book();
            let mut tickets = system.uids().into_iter().filter_map(|uid| {
                let ticket = book.store.get(TICKETS, pair(*channel, uid)).ok().flatten();
                ticket.filter(|ticket| Book::fits(ticket, &tagged))
            });
            let ticket = tickets
                .next()
                .filter(|_| system.operation == Operation::Join)?;
            // Who can be reached there has asked for the ticket from there, or tells us what we sent.
            let reached = ticket.from == Some(from.ip());
            return match reached || asked.answers(&ticket, *from, tagged.sequence) {
                true => Some(Finding::Proven(Proof::Ticket(ticket.uid))),
                false => Some(Finding::Again(asked.ask(
                    &ticket,
                    *from,
                    tagged.sequence,
                )?)),
            };
        }
        if !checks.one(Instant::now()) {
            return None;
        }
        let signed = self.voice.signer().verify(head, *channel).ok()?;
        let now = UnixMillis::now();
        let fresh = self.moments.take(*channel, signed.moment, now);
        fresh.then_some(Finding::Proven(Proof::Box))
    }
}

/// Throws away tickets that ended and guests who have not been there for long.
async fn tidy(voice: Voice) {
    let now = UnixMillis::now();
    let book = voice.book();
    if let Err(error) = book.store.write(|tx| book.expire(tx, now)).await {
        tracing::warn!(%error, "voice tickets that ended could not be thrown away");
    }
    let idle = voice.guests().idle(now);
    for idle in idle.chunks(AT_ONCE) {
        if let Err(error) = voice.retire(idle.to_vec()).await {
            tracing::warn!(%error, "voice guests who are long gone could not be forgotten");
            break;
        }
    }
}

/// What comes of a word with a proof that is good.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Finding {
    Proven(Proof),
    /// It may be from somewhere else: it is to come again with this sequence.
    Again(u64),
}

/// Whom we asked to come again: where they say that they are, and the sequence that only somebody there has read.
#[derive(Debug, Default)]
struct Asked(HashMap<(ChannelId, Uid), (SocketAddr, u64)>);

impl Asked {
    /// A sequence that nobody guesses; none when the ticket has none left.
    fn ask(&mut self, ticket: &Ticket, from: SocketAddr, sequence: u64) -> Option<u64> {
        let mut chance = [0; 8];
        getrandom::fill(&mut chance).expect("a running kernel has random bytes");
        let step = 1 + (u64::from_le_bytes(chance) >> 32);
        let sequence = sequence.max(ticket.sequence).checked_add(step)?;
        if self.0.len() >= ASKED {
            self.0.clear(); // whoever is still there asks again
        }
        let key = (ticket.channel, ticket.uid);
        self.0.insert(key, (from, sequence));
        Some(sequence)
    }

    fn answers(&mut self, ticket: &Ticket, from: SocketAddr, sequence: u64) -> bool {
        let key = (ticket.channel, ticket.uid);
        let right = self.0.get(&key) == Some(&(from, sequence));
        if right {
            self.0.remove(&key);
        }
        right
    }
}

/// What a word was proved with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Proof {
    /// The ticket of that uid.
    Ticket(Uid),
    /// The box's key.
    Box,
}

async fn grant(voice: &Voice, petition: &Petition, proof: Proof) -> Result<(), VoiceError> {
    let Petition {
        channel,
        from,
        system,
        head,
    } = petition;
    match (proof, system.operation) {
        (Proof::Ticket(uid), _) => match prove(voice, *channel, uid, head, *from).await? {
            Some(seated) => seat(voice, seated).await?,
            None => return Ok(()), // the same word came twice
        },
        (Proof::Box, Operation::Join) => {
            let book = voice.book();
            let uid = system.uid;
            let write = |tx: &mut Tx<'_>| book.admit(tx, *channel, uid, *from);
            let seated = book.store.write(write).await?;
            seat(voice, seated).await?;
        }
        (Proof::Box, Operation::Leave) => voice.remove(Asker::Box, *channel, system.uid).await?,
        (Proof::Box, Operation::Stop) => voice.end(Asker::Box, *channel).await?,
        (Proof::Box, Operation::Keepalive | Operation::Ack) => return Ok(()),
    }
    // Only now, when it lasts; and only to who has a seat by it.
    if system.ackid != 0 && system.operation == Operation::Join {
        let ack = System::new(Operation::Ack, system.uid, system.ackid).encode();
        voice.tell(Ask::Send(*channel, Box::new(ack), *from)).await;
    }
    Ok(())
}

async fn prove(
    voice: &Voice,
    channel: ChannelId,
    uid: Uid,
    head: &[u8; HEAD],
    from: SocketAddr,
) -> Result<Option<Seated>, VoiceError> {
    let Some(tagged) = Tagged::read(head) else {
        return Ok(None);
    };
    let book = voice.book();
    let write = |tx: &mut Tx<'_>| book.prove(tx, channel, uid, &tagged, from);
    book.store.write(write).await
}

async fn seat(voice: &Voice, seated: Seated) -> Result<(), VoiceError> {
    voice.changed(vec![seated.change()]).await
}

/// How many signatures have been checked in this second.
struct Checks {
    second: Instant,
    done: u32,
}

impl Checks {
    fn new(now: Instant) -> Self {
        let (second, done) = (now, 0);
        Self { second, done }
    }

    /// Whether one more may be.
    fn one(&mut self, now: Instant) -> bool {
        if now.duration_since(self.second) >= Duration::from_secs(1) {
            *self = Self::new(now);
        }
        self.done += 1;
        self.done <= CHECKS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_checked_no_faster_than_that() {
        let start = Instant::now();
        let mut checks = Checks::new(start);
        let taken = (0..1000).filter(|_| checks.one(start)).count();
        assert_eq!(taken, CHECKS as usize);
        assert!(checks.one(start + Duration::from_secs(1)));
    }
}
