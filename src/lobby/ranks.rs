//! Who leads in a game, and what counts there.

use super::{
    definition::TableGame,
    ledger::{Counts, Ledger, Person, Ranked},
    rights::rights,
    wire::{push::Ranking, terms::Permission},
};
use crate::accounts::Accounts;

/// What a game counts.
pub(super) fn counts(game: &TableGame) -> Counts {
    Counts {
        records: game.records,
        ratings: game.ratings,
        highscores: game.highscores,
    }
}

/// Who leads in a game, of those who let it be shown.
pub(super) fn rankings(
    accounts: &Accounts,
    ledger: &Ledger,
    game: &TableGame,
    most: usize,
) -> Vec<Ranking> {
    let shown = |person: &Person| match person {
        Person::Account(id) => {
            let rights = rights(accounts, ledger, *id);
            rights.is_none_or(|rights| !rights.has(Permission::NoStats))
        }
        Person::Bot(_) => true,
    };
    let ranked = ledger.rankings(&game.name, counts(game), most, shown);
    let ranking = |(position, ranked): (u32, Ranked)| Ranking {
        position,
        player: ranked.name,
        score: ranked.score,
    };
    (1..).zip(ranked).map(ranking).collect()
}
