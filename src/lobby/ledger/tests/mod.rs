//! The ledger as a whole, on a real store.

mod lasting;
mod reports;
mod rules;

use std::net::IpAddr;

use super::{records::Standing, *};
use crate::{
    accounts::{AccountId, Accounts, NewAccount, Role},
    audit::Audit,
    clock::UnixMillis,
    lobby::{
        dmod::wire::{Outcome, Score},
        wire::terms::SeatKind,
    },
    store::{Record, Store, Table},
};

const ALL: Counts = Counts {
    records: true,
    ratings: true,
    highscores: true,
};
const RATED: Counts = Counts {
    highscores: false,
    ..ALL
};
const RECORDED: Counts = Counts {
    ratings: false,
    ..RATED
};

/// A box with a ledger.
struct Desk {
    ledger: Ledger,
    store: Store,
    accounts: Accounts,
    _state: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        let accounts = Accounts::open(store.clone(), audit).unwrap();
        Self {
            ledger: Ledger::open(store.clone(), accounts.clone()).unwrap(),
            store,
            accounts,
            _state: state,
        }
    }

    /// As after a restart of the daemon.
    fn reopened(&self) -> Ledger {
        Ledger::open(self.store.clone(), self.accounts.clone()).unwrap()
    }

    async fn account(&self, name: &str) -> AccountId {
        let wish = NewAccount {
            name: name.into(),
            role: Some(Role::Player),
            password: None,
            mail: None,
        };
        let root = Accounts::local(0, "root".into());
        self.accounts.create(&root, wish).await.unwrap().id
    }
}

fn account(id: AccountId) -> Person {
    Person::Account(id)
}

fn bot(name: &str) -> Person {
    Person::Bot(name.into())
}

fn sitting(table: u32) -> Sitting {
    Sitting {
        room: "entry".into(),
        table,
        since: UnixMillis(1000),
    }
}

fn entrant(name: &str, account: Option<AccountId>, outcome: Outcome, points: i32) -> Entrant {
    Entrant {
        score: Score {
            name: (!name.is_empty()).then(|| name.into()),
            seat: SeatKind::Player,
            team: None,
            result: outcome,
            score: points,
        },
        account,
    }
}

fn computer(name: &str, outcome: Outcome, points: i32) -> Entrant {
    let mut entrant = entrant(name, None, outcome, points);
    entrant.score.seat = SeatKind::Bot;
    entrant
}

fn report(counts: Counts, players: Vec<Entrant>) -> Report {
    Report {
        game: "reversi".into(),
        counts,
        sitting: sitting(1),
        when: UnixMillis(5000),
        players,
        savegame: None,
    }
}

fn saving(table: u32, file: &str, when: u64) -> Savegame {
    Savegame {
        sitting: sitting(table),
        game: "reversi".into(),
        owner: Some("ada".into()),
        file: file.into(),
        seats: vec![
            SavedSeat {
                kind: SeatKind::Player,
                name: Some("ada".into()),
            },
            SavedSeat {
                kind: SeatKind::Open,
                name: None,
            },
        ],
        when: UnixMillis(when),
        left: false,
    }
}

fn sentence(name: &str, account: Option<AccountId>, from: [u8; 4]) -> Sentence {
    Sentence {
        name: name.into(),
        account,
        address: Some(IpAddr::from(from)),
        reason: "noise".into(),
        by: "root".into(),
        term: Term::Usual,
    }
}

/// What cannot be read as the ledger's ratings, or matches.
#[derive(serde::Serialize, serde::Deserialize)]
struct Junk<const MATCH: bool>;

impl Record for Junk<false> {
    const TABLE: &'static str = "lobby_rating";
    const FORMAT: u8 = 99;
}

impl Record for Junk<true> {
    const TABLE: &'static str = "lobby_match";
    const FORMAT: u8 = 99;
}
