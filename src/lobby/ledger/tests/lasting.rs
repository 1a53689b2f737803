//! Against a model, at once, cut off, restarted, corrupt, and restored.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    accounts,
    audit::{self, Audit},
    store::{Catalog, restore},
};

const OUTCOMES: [Outcome; 5] = [
    Outcome::Win,
    Outcome::Loss,
    Outcome::Tie,
    Outcome::Forfeit,
    Outcome::None,
];

#[derive(Debug, Clone)]
struct Play {
    /// 0 and 1 are accounts, 2 a bot, 3 a nameless one, 4 a guest; with an outcome and a score each.
    players: Vec<(u8, usize, i32)>,
    counts: (bool, bool, bool),
}

fn plays() -> impl Strategy<Value = Vec<Play>> {
    let player = (0u8..5, 0..OUTCOMES.len(), -50i32..50);
    let players = prop::collection::vec(player, 0..5);
    let play = (players, any::<(bool, bool, bool)>());
    let play = play.prop_map(|(players, counts)| Play { players, counts });
    prop::collection::vec(play, 0..10)
}

/// Counters, highscore, by person's key.
type Model = BTreeMap<Vec<u8>, ([u32; 4], i64)>;

fn played(play: &Play, ids: [AccountId; 2], model: &mut Model) -> Report {
    let (records, ratings, highscores) = play.counts;
    let counts = Counts {
        records,
        ratings,
        highscores,
    };
    let mut players = Vec::new();
    for (seat, &(who, outcome, points)) in play.players.iter().enumerate() {
        let outcome = OUTCOMES[outcome];
        let (entrant, person) = match who {
            0 | 1 => {
                let id = ids[usize::from(who)];
                (entrant("x", Some(id), outcome, points), Some(account(id)))
            }
            2 => (computer("Deep", outcome, points), Some(bot("Deep"))),
            3 => (
                computer("", outcome, points),
                Some(bot(&format!("{seat}|AI"))),
            ),
            _ => (entrant("Guest", None, outcome, points), None),
        };
        players.push(entrant);
        if let Some(person) = person {
            let (counters, highscore) = model.entry(person.key()).or_default();
            if let Some(counter) = counters.get_mut(outcome as usize).filter(|_| records) {
                *counter += 1;
            }
            if highscores {
                *highscore = (*highscore).max(points.into());
            }
        }
    }
    report(counts, players)
}

fn agree(ledger: &Ledger, people: &[Person], model: &Model) -> Result<(), TestCaseError> {
    for person in people {
        let standing = ledger.standing("reversi", person);
        let (counters, highscore) = model.get(&person.key()).copied().unwrap_or_default();
        prop_assert_eq!(standing.stats(ALL).records, Some(counters));
        prop_assert_eq!(standing.highscore, highscore);
        prop_assert!(standing.rating.is_finite());
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(12))]

    #[test]
    fn any_sequence_of_reports_counts_as_a_model_does_and_outlives_a_restart(plays in plays()) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let desk = Desk::new();
            let ids = [desk.account("ada").await, desk.account("bob").await];
            let mut people = vec![account(ids[0]), account(ids[1]), bot("Deep")];
            people.extend((0..5).map(|seat| bot(&format!("{seat}|AI"))));
            let mut model = Model::new();
            for play in &plays {
                let report = played(play, ids, &mut model);
                desk.ledger.report(report).await.unwrap();
                agree(&desk.ledger, &people, &model)?;
            }
            let again = desk.reopened();
            agree(&again, &people, &model)?;
            for person in &people {
                let same = desk.ledger.standing("reversi", person);
                prop_assert_eq!(again.standing("reversi", person), same);
            }
            let places = desk.ledger.rankings("reversi", RATED, 99, |_| true);
            prop_assert_eq!(again.rankings("reversi", RATED, 99, |_| true), places);
            let matches = again.matches(Which::All, None, 99).unwrap();
            prop_assert_eq!(matches.len(), plays.len());
            Ok(())
        })?;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reports_at_once_for_the_same_people_lose_nothing() {
    const REPORTS: u32 = 40;
    let desk = Desk::new();
    let (ada, bob) = (desk.account("ada").await, desk.account("bob").await);
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..REPORTS {
        let ledger = desk.ledger.clone();
        let players = vec![
            entrant("ada", Some(ada), Outcome::Win, 0),
            entrant("bob", Some(bob), Outcome::Loss, 0),
        ];
        tasks.spawn(async move { ledger.report(report(RATED, players)).await.unwrap() });
    }
    tasks.join_all().await;
    let standing = desk.ledger.standing("reversi", &account(ada));
    assert_eq!(standing.wins, REPORTS);
    assert_eq!(
        desk.ledger.standing("reversi", &account(bob)).losses,
        REPORTS
    );
    let mut matches = desk.ledger.matches(Which::All, None, 100).unwrap();
    matches.reverse();
    assert_eq!(matches.len(), REPORTS as usize);
    for two in matches.windows(2) {
        let rating = |n: usize| two[n].players[0].rating.unwrap();
        assert!((rating(0).after - rating(1).before).abs() < 1e-9);
    }
    assert_eq!(desk.reopened().standing("reversi", &account(ada)), standing);
}

#[tokio::test]
async fn a_report_that_nobody_waits_for_any_more_is_known_all_the_same() {
    let desk = Desk::new();
    let players = vec![computer("Deep", Outcome::Win, 5)];
    let mut work = Box::pin(desk.ledger.report(report(ALL, players)));
    // One poll: it joined the group, and is not durable yet.
    drop(futures_lite::future::poll_once(&mut work).await);
    drop(work);
    let known = desk.ledger.standing("reversi", &bot("Deep"));
    assert_eq!((known.wins, known.highscore), (1, 5));
    assert_eq!(desk.reopened().standing("reversi", &bot("Deep")), known);
}

#[tokio::test]
async fn a_record_that_does_not_decode_is_named_and_left_and_harms_nobody_else() {
    let desk = Desk::new();
    let play = || {
        let players = vec![
            computer("Deep", Outcome::Win, 5),
            computer("Blue", Outcome::Loss, 1),
        ];
        desk.ledger.report(report(ALL, players))
    };
    play().await.unwrap();
    play().await.unwrap();
    let key = records::rating("reversi", &bot("Deep"));
    let spoil = |tx: &mut crate::store::Tx<'_>| {
        tx.put(Table::<Junk<false>>::new(), &key, &Junk)?;
        tx.put(Table::<Junk<true>>::new(), 1u64.to_be_bytes(), &Junk)
    };
    desk.store.write(spoil).await.unwrap();
    let faults = desk.store.check(&catalog());
    let faults: Vec<_> = faults.iter().map(ToString::to_string).collect();
    assert_eq!(faults.len(), 2, "{faults:?}");
    assert!(faults[0].contains("table `lobby_match`, key 0x0000000000000001"));
    assert!(faults[1].contains("table `lobby_rating`"));

    let ledger = desk.reopened();
    assert_eq!(ledger.rankings("reversi", ALL, 9, |_| true).len(), 1);
    assert_eq!(
        ledger.standing("reversi", &bot("Deep")),
        Standing::default()
    );
    let ids = |which| -> Vec<u64> {
        let found = ledger.matches(which, None, 9).unwrap();
        found.into_iter().map(|found| found.id.0).collect()
    };
    assert_eq!(ids(Which::All), [2]);
    assert_eq!(ids(Which::Person(&bot("Deep"))), [2]);
    assert_eq!(ledger.match_of_id(MatchId(1)).unwrap(), None);
    let done = play().await.unwrap();
    assert_eq!(done.standings.len(), 1);
    assert_eq!(ledger.standing("reversi", &bot("Blue")).losses, 2);
    assert_eq!(desk.reopened().standing("reversi", &bot("Blue")).losses, 3);
    assert!(
        desk.store.get(records::RATINGS, &key).is_err(),
        "it is left"
    );
}

#[tokio::test]
async fn a_rating_that_is_no_number_is_left_and_harms_nobody_else() {
    let desk = Desk::new();
    let key = records::rating("reversi", &bot("Deep"));
    let spoil = |tx: &mut crate::store::Tx<'_>| {
        let spoilt = records::Rating {
            game: "reversi".into(),
            person: bot("Deep"),
            standing: Standing {
                rating: f64::NAN,
                ..Standing::default()
            },
        };
        tx.put(records::RATINGS, &key, &spoilt)
    };
    desk.store.write(spoil).await.unwrap();
    let players = vec![
        computer("Deep", Outcome::Win, 5),
        computer("Blue", Outcome::Loss, 1),
    ];
    let report = desk.ledger.report(report(ALL, players));
    let bound = std::time::Duration::from_secs(60);
    let done = tokio::time::timeout(bound, report).await.expect("it ends");
    assert_eq!(done.unwrap().standings.len(), 1);
    assert_eq!(desk.ledger.standing("reversi", &bot("Blue")).rating, 1485.0);
    let left = desk.store.get(records::RATINGS, &key).unwrap().unwrap();
    assert!(left.standing.rating.is_nan() && left.standing.wins == 0);
}

fn catalog() -> Catalog {
    tables(accounts::tables(audit::tables(Catalog::new())))
}

#[tokio::test]
async fn everything_is_in_the_catalog_and_comes_back_from_a_backup() {
    let desk = Desk::new();
    let ledger = &desk.ledger;
    let ada = desk.account("ada").await;
    let players = vec![
        entrant("ada", Some(ada), Outcome::Win, 5),
        computer("", Outcome::Loss, 1),
    ];
    ledger.report(report(ALL, players)).await.unwrap();
    ledger.save(saving(2, "a.sav", 10)).await.unwrap();
    let now = UnixMillis(7);
    let wish = sentence("Troll", None, [192, 0, 2, 1]);
    ledger.ban(wish, now).await.unwrap();
    let mask = Mask {
        permissions: crate::lobby::wire::terms::Permissions::HOST,
        role: Role::Player,
    };
    ledger.set_mask(ada, mask).await.unwrap();
    let kind = DefinitionKind::Room;
    ledger.remove_definition(kind, "entry").await.unwrap();
    assert_eq!(desk.store.check(&catalog()), []);

    let other = tempfile::tempdir().unwrap();
    let (store, state) = (desk.store.clone(), other.path().to_owned());
    let copied = tokio::task::spawn_blocking(move || {
        let mut file = Vec::new();
        store.backup(&catalog(), "now", &mut file).unwrap();
        restore(&state, &catalog(), &file[..]).unwrap()
    });
    assert_eq!(copied.await.unwrap().faults, []);
    let store = Store::open(other.path()).unwrap();
    let audit = Audit::open(store.clone()).unwrap();
    let accounts = Accounts::open(store.clone(), audit).unwrap();
    let copy = Ledger::open(store, accounts).unwrap();
    let all = |ledger: &Ledger| {
        (
            ledger.rankings("reversi", ALL, 9, |_| true),
            ledger
                .matches(Which::Person(&account(ada)), None, 9)
                .unwrap(),
            ledger.savegames(None),
            ledger.bans(now),
            ledger.mask(ada).unwrap(),
            ledger.definitions().unwrap(),
        )
    };
    assert_eq!(all(&copy), all(ledger));
    assert_eq!(copy.rankings("reversi", ALL, 9, |_| true).len(), 2);
}
