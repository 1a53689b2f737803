//! What a report makes of those who played: pure.

use std::collections::BTreeMap;

use super::{
    LedgerError,
    checks::{NAME, bounded, file, text},
    elo::{self, Contestant},
    records::{Counts, MatchId, Person, Played, Rerated, Sitting, Standing},
};
use crate::{
    accounts::AccountId,
    clock::UnixMillis,
    lobby::{
        dmod::wire::{Outcome, REPORTED, Score},
        wire::terms::SeatKind,
    },
};

/// People in one match, at most: as many as a game can report on. More may have sat at a table than it has seats.
pub(super) const PLAYERS: usize = REPORTED as usize;

/// How a match ended.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Report {
    /// The name of the game's definition.
    pub(crate) game: String,
    /// What it counts.
    pub(crate) counts: Counts,
    /// The table. What it had saved ends with its match.
    pub(crate) sitting: Sitting,
    /// When it ended.
    pub(crate) when: UnixMillis,
    /// Who played, as the game told it.
    pub(crate) players: Vec<Entrant>,
    /// The file that the game kept of the match.
    pub(crate) savegame: Option<String>,
}

/// One who played.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entrant {
    /// What the game said.
    pub(crate) score: Score,
    /// Whose account it is, of a player, or of who abandoned the seat; none: a guest, somebody without statistics, or
    /// a bot.
    pub(crate) account: Option<AccountId>,
}

/// What a report led to.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reported {
    /// The match's number.
    pub(crate) id: MatchId,
    /// How those of them who have statistics do now, each once, by name.
    pub(crate) standings: Vec<(String, Person, Standing)>,
}

impl Report {
    pub(super) fn check(&self) -> Result<(), LedgerError> {
        text("game's name", &self.game, 1, NAME)?;
        text("room's name", &self.sitting.room, 1, NAME)?;
        bounded("players in a match", self.players.len(), PLAYERS)?;
        for entrant in &self.players {
            let name = entrant.score.name.as_deref();
            text("player's name", name.unwrap_or_default(), 0, NAME)?;
        }
        self.savegame.as_deref().map_or(Ok(()), file)
    }

    /// Those of them who have statistics, each once.
    pub(super) fn people(&self) -> Vec<Person> {
        let people = self.identified().filter_map(|(_, person, _)| person);
        let by_key: BTreeMap<_, _> = people.map(|person| (person.key(), person)).collect();
        by_key.into_values().collect()
    }

    /// Each one's name, and who that is. A computer player without a name is called by its number.
    fn identified(&self) -> impl Iterator<Item = (String, Option<Person>, &Score)> {
        let each = self.players.iter().enumerate();
        each.map(|(number, Entrant { score, account })| {
            let said = score.name.clone().filter(|name| !name.is_empty());
            let name = said.unwrap_or_else(|| format!("{number}|AI"));
            let person = match score.seat {
                SeatKind::Bot => Some(Person::Bot(name.clone())),
                _ => account.map(Person::Account),
            };
            (name, person, score)
        })
    }

    /// What it makes of `standings`, which are by [`Person::key`]. Who has none there is reckoned as a newcomer and not
    /// written down.
    pub(super) fn apply(&self, standings: &mut BTreeMap<Vec<u8>, Standing>) -> Vec<Played> {
        let people: Vec<_> = self.identified().collect();
        let keys: Vec<_> = people
            .iter()
            .map(|(_, person, _)| person.as_ref().map(Person::key))
            .collect();
        let known = |key: &Option<Vec<u8>>| standings.get(key.as_ref()?).copied();
        let before: Vec<_> = keys.iter().map(known).collect();
        let after = match self.counts.ratings {
            true => elo::rate(&self.field(&before)),
            false => vec![elo::START; people.len()],
        };
        let mut played = Vec::with_capacity(people.len());
        for (index, (name, person, score)) in people.into_iter().enumerate() {
            let rerated = before[index].filter(|_| self.counts.ratings).map(|before| {
                let (before, after) = (before.rating, after[index]);
                Rerated { before, after }
            });
            let key = keys[index].as_ref();
            if let Some(standing) = key.and_then(|key| standings.get_mut(key)) {
                standing.count(self.counts, score, rerated);
            }
            played.push(Played {
                name,
                person,
                kind: score.seat,
                team: score.team,
                outcome: score.result,
                score: score.score,
                rating: rerated,
            });
        }
        played
    }

    fn field(&self, before: &[Option<Standing>]) -> Vec<Contestant> {
        let each = self.players.iter().zip(before);
        each.map(|(entrant, before)| Contestant {
            rating: before.unwrap_or_default().rating,
            team: entrant.score.team,
            outcome: entrant.score.result,
        })
        .collect()
    }
}

impl Standing {
    fn count(&mut self, counts: Counts, score: &Score, rerated: Option<Rerated>) {
        let counter = match score.result {
            Outcome::Win => Some(&mut self.wins),
            Outcome::Loss => Some(&mut self.losses),
            Outcome::Tie => Some(&mut self.ties),
            Outcome::Forfeit => Some(&mut self.forfeits),
            Outcome::None => None,
        };
        if let Some(counter) = counter.filter(|_| counts.records) {
            *counter = counter.saturating_add(1);
        }
        if let Some(Rerated { before, after }) = rerated {
            // Not set: a bot that sits there twice wins or loses twice.
            self.rating += after - before;
        }
        if counts.highscores {
            self.highscore = self.highscore.max(i64::from(score.score));
        }
    }
}
