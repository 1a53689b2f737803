//! Writes down what games report, one after the other, so that ratings follow each other as the matches did.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use tokio::sync::mpsc;

use super::{
    ask::{Ask, Ending, Entry},
    hall::{Report, Saved},
    handle::House,
    ledger::{self, Entrant, Ledger, LedgerError, Person, SavedSeat, Savegame, Sitting},
    ranks::counts,
    wire::terms::SeatKind,
};
use crate::clock::UnixMillis;

pub(super) struct Scribe {
    pub(super) ledger: Ledger,
    pub(super) house: Arc<House>,
    pub(super) asks: mpsc::Sender<Ask>,
}

impl Scribe {
    /// Until nobody can report anything any more.
    pub(super) async fn run(self, mut entries: mpsc::Receiver<Entry>) {
        while let Some(entry) = entries.recv().await {
            let written = match entry {
                Entry::Report(report, sitting) => self.report(report, sitting).await,
                Entry::Saved(saved, sitting) => self.save(saved, sitting).await,
                Entry::Over(sitting, Ending::Done) => self.ledger.finish(&sitting).await,
                Entry::Over(sitting, Ending::Left) => self.ledger.lay_aside(&sitting).await,
                Entry::Over(sitting, Ending::Interrupted) => {
                    self.ledger.release(&sitting);
                    Ok(())
                }
            };
            if let Err(error) = written {
                tracing::error!(%error, "what a game reported is not written down");
            }
        }
    }

    async fn report(&self, report: Report, sitting: Sitting) -> Result<(), LedgerError> {
        let Report {
            game,
            scores,
            savegame,
            ..
        } = report;
        let players = scores.into_iter().map(|(score, who)| Entrant {
            score,
            account: who.and_then(|who| who.account),
        });
        let reported = self
            .ledger
            .report(ledger::Report {
                game: game.name.clone(),
                counts: counts(&game),
                sitting,
                when: UnixMillis::now(),
                players: players.collect(),
                savegame,
            })
            .await?;
        self.house.counts.matches.fetch_add(1, Relaxed);
        let people = reported.standings.into_iter();
        let people = people.filter_map(|(_, person, standing)| match person {
            Person::Account(account) => Some((account, standing.stats(counts(&game)))),
            Person::Bot(_) => None,
        });
        let rated = Ask::Rated(game.clone(), people.collect());
        self.asks.send(rated).await.ok(); // the service has ended, and nobody is left to be told
        Ok(())
    }

    async fn save(&self, saved: Saved, sitting: Sitting) -> Result<(), LedgerError> {
        let seats = saved.seats.into_iter().map(|seat| SavedSeat {
            // Who sits there now is whom it is kept for when the game goes on.
            kind: match seat.kind {
                SeatKind::Player | SeatKind::Abandoned => SeatKind::Reserved,
                kind => kind,
            },
            name: seat.name,
        });
        let savegame = Savegame {
            sitting,
            game: saved.game.name.clone(),
            owner: Some(saved.owner).filter(|owner| !owner.is_empty()),
            file: saved.file,
            seats: seats.collect(),
            when: UnixMillis::now(),
            left: false,
        };
        self.ledger.save(savegame).await
    }
}
