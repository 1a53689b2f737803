//! Matches: reported, and looked up.

use std::collections::BTreeMap;

use super::{
    LedgerError,
    handle::{Ledger, Touched, readable_one},
    records::{
        MATCHES, MATCHES_OF, Match, MatchId, MatchOf, Person, Played, RATINGS, Rating, SAVEGAMES,
        Standing, of_game, of_person, rating,
    },
    report::{Report, Reported},
};
use crate::store::{Store, StoreError, Tx};

/// Matches that are kept: the newest. Five hundred tables of bots would else fill the disk in their own time.
pub(super) const KEPT: u64 = 200_000;
/// Matches on one page, at most.
const PAGE: usize = 100;

/// Which matches.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Which<'a> {
    /// All.
    All,
    /// Of this game.
    Game(&'a str),
    /// Of this person.
    Person(&'a Person),
}

/// What a report makes of those who played.
struct Settled {
    /// From which it was reckoned, by [`Person::key`], as is the next.
    before: BTreeMap<Vec<u8>, Standing>,
    after: BTreeMap<Vec<u8>, Standing>,
    played: Vec<Played>,
}

impl Ledger {
    /// Writes a match down, with all that follows from it, in one transaction. A game may report more than once; each
    /// report is a match. What the table had saved is done with.
    pub(crate) async fn report(&self, report: Report) -> Result<Reported, LedgerError> {
        report.check()?;
        let people = report.people();
        let touched = people
            .iter()
            .map(|person| Touched::Rating(report.game.clone(), person.clone()));
        let mut touched: Vec<_> = touched.collect();
        let finished = self.files_of(&report.sitting)?;
        touched.extend(finished.iter().cloned().map(Touched::Savegame));
        let _touching = self.touching(touched);
        loop {
            // Ratings of many sides take many milliseconds, for which no other change is to wait. So they are reckoned
            // before the transaction, which looks whether what they were reckoned from is still so.
            let before = standings(|key| self.store.get(RATINGS, key), &report, &people)?;
            let mut after = before.clone();
            let played = report.apply(&mut after);
            let outcome = Settled {
                before,
                after,
                played,
            };
            let entry = self.write(&report, &people, &finished, &outcome).await?;
            if let Some(entry) = entry {
                return Ok(Reported {
                    id: entry.id,
                    standings: named(&entry, &outcome.after),
                });
            }
        }
    }

    /// None: somebody's standing is another than it was reckoned from, and nothing is written.
    async fn write(
        &self,
        report: &Report,
        people: &[Person],
        finished: &[Vec<u8>],
        outcome: &Settled,
    ) -> Result<Option<Match>, LedgerError> {
        let store = &self.store;
        let work = |tx: &mut Tx<'_>| {
            let found = standings(|key| tx.get(RATINGS, key), report, people)?;
            if found != outcome.before {
                return Ok(None);
            }
            let id = MatchId(tx.next_id("lobby_match")?);
            for (person, key) in people.iter().map(|person| (person, person.key())) {
                if let Some(standing) = outcome.after.get(&key)
                    && found.get(&key) != Some(standing)
                {
                    let stored = Rating {
                        game: report.game.clone(),
                        person: person.clone(),
                        standing: *standing,
                    };
                    tx.put(RATINGS, rating(&report.game, person), &stored)?;
                }
            }
            let entry = Match {
                id,
                game: report.game.clone(),
                when: report.when,
                room: report.sitting.room.clone(),
                players: outcome.played.clone(),
                savegame: report.savegame.clone(),
            };
            tx.put(MATCHES, id.0.to_be_bytes(), &entry)?;
            for key in index(&entry) {
                tx.put(MATCHES_OF, key, &MatchOf(id))?;
            }
            for key in finished {
                tx.delete(SAVEGAMES, key)?;
            }
            if let Some(oldest) = id.0.checked_sub(self.kept).filter(|oldest| *oldest > 0) {
                forget(store, tx, MatchId(oldest))?;
            }
            Ok::<_, LedgerError>(Some(entry))
        };
        store.write(work).await
    }

    /// One match; none when there is none of that number, or no more, or it does not decode.
    pub(crate) fn match_of_id(&self, id: MatchId) -> Result<Option<Match>, LedgerError> {
        let found = self.store.get(MATCHES, id.0.to_be_bytes());
        Ok(readable_one(found)?)
    }

    /// The newest first, and of them those that are older than `before`; at most `most`, and at most [`PAGE`].
    pub(crate) fn matches(
        &self,
        which: Which<'_>,
        before: Option<MatchId>,
        most: usize,
    ) -> Result<Vec<Match>, LedgerError> {
        let most = most.min(PAGE);
        let below = before.map_or(u64::MAX, |id| id.0).to_be_bytes();
        let prefix = match which {
            Which::All => {
                let scan = self.store.scan_below(MATCHES, b"", &below).rev();
                return page(scan, most, |found| Ok(Some(found)));
            }
            Which::Game(game) => of_game(game),
            Which::Person(person) => of_person(person),
        };
        let scan = self.store.scan_below(MATCHES_OF, &prefix, &below).rev();
        page(scan, most, |MatchOf(id)| self.match_of_id(id))
    }
}

/// The first `most` of what can be read.
fn page<R>(
    scan: impl Iterator<Item = Result<(Vec<u8>, R), StoreError>>,
    most: usize,
    mut find: impl FnMut(R) -> Result<Option<Match>, LedgerError>,
) -> Result<Vec<Match>, LedgerError> {
    let mut found = Vec::new();
    for entry in scan {
        if found.len() == most {
            break;
        }
        if let Some((_, entry)) = readable_one(entry.map(Some))? {
            found.extend(find(entry)?);
        }
    }
    Ok(found)
}

/// Of those who have statistics, by [`Person::key`]; without those whose record does not decode, or whose rating is no
/// number: it would differ from itself for ever, and spread to all they play with.
fn standings(
    get: impl Fn(Vec<u8>) -> Result<Option<Rating>, StoreError>,
    report: &Report,
    people: &[Person],
) -> Result<BTreeMap<Vec<u8>, Standing>, StoreError> {
    let mut standings = BTreeMap::new();
    for person in people {
        match get(rating(&report.game, person)) {
            Ok(known) => {
                let standing = known.map(|known| known.standing).unwrap_or_default();
                match standing.rating.is_finite() {
                    true => drop(standings.insert(person.key(), standing)),
                    false => tracing::warn!(
                        game = report.game,
                        ?person,
                        rating = standing.rating,
                        "a match does not count for one of its players, whose rating is no number"
                    ),
                }
            }
            Err(error @ StoreError::Corrupt { .. }) => {
                tracing::warn!("a match does not count for one of its players: {error}");
            }
            Err(error) => return Err(error),
        }
    }
    Ok(standings)
}

/// The keys under which a match is found.
fn index(entry: &Match) -> Vec<Vec<u8>> {
    let people = entry.players.iter().flat_map(|player| &player.person);
    let mut prefixes: Vec<_> = people.map(of_person).collect();
    prefixes.push(of_game(&entry.game));
    let id = entry.id.0.to_be_bytes();
    prefixes
        .into_iter()
        .map(|prefix| [&prefix[..], &id].concat())
        .collect()
}

fn forget(store: &Store, tx: &mut Tx<'_>, id: MatchId) -> Result<(), StoreError> {
    let key = id.0.to_be_bytes();
    if let Some(entry) = readable_one(store.get(MATCHES, key))? {
        for key in index(&entry) {
            tx.delete(MATCHES_OF, key)?;
        }
        tx.delete(MATCHES, key)?;
    }
    Ok(())
}

/// Who of a match has a standing, each once.
fn named(
    entry: &Match,
    standings: &BTreeMap<Vec<u8>, Standing>,
) -> Vec<(String, Person, Standing)> {
    let mut left = standings.clone();
    let players = entry.players.iter();
    players
        .filter_map(|player| {
            let person = player.person.clone()?;
            let standing = left.remove(&person.key())?;
            Some((player.name.clone(), person, standing))
        })
        .collect()
}
