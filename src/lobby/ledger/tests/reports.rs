//! Matches, what they count for, and who leads.

use super::*;
use Outcome::{Forfeit, Loss, None as Nothing, Tie, Win};

/// How many have a standing in the store.
fn stored(desk: &Desk, game: &str) -> usize {
    let found = desk.store.scan(records::RATINGS, &records::board(game));
    found.map(Result::unwrap).count()
}

#[tokio::test]
async fn a_match_counts_for_accounts_and_bots_and_is_found_by_all_of_them() {
    let desk = Desk::new();
    let ledger = &desk.ledger;
    let (ada, bob) = (desk.account("ada").await, desk.account("bob").await);
    let mut left = entrant("bob", Some(bob), Forfeit, -3);
    left.score.seat = SeatKind::Abandoned;
    let players = vec![
        entrant("ada", Some(ada), Win, 40),
        left,
        computer("", Loss, 20),
        computer("Deep", Tie, 30),
        entrant("Guest7", None, Nothing, 99),
    ];
    let done = ledger.report(report(ALL, players)).await.unwrap();
    assert_eq!(done.id, MatchId(1));
    let told: Vec<_> = done.standings.iter().map(|(name, ..)| &name[..]).collect();
    assert_eq!(told, ["ada", "bob", "2|AI", "Deep"]);
    for (_, person, standing) in &done.standings {
        assert_eq!(ledger.standing("reversi", person), *standing);
    }
    let counters = |person: &Person| {
        let standing = ledger.standing("reversi", person);
        (
            standing.stats(RECORDED).records.unwrap(),
            standing.highscore,
        )
    };
    assert_eq!(counters(&account(ada)), ([1, 0, 0, 0], 40));
    assert_eq!(counters(&account(bob)), ([0, 0, 0, 1], 0));
    assert_eq!(counters(&bot("2|AI")), ([0, 1, 0, 0], 20));
    assert_eq!(counters(&bot("dEEP")), ([0, 0, 1, 0], 30));

    let found = ledger.match_of_id(MatchId(1)).unwrap().unwrap();
    assert_eq!(found.winner().unwrap().name, "ada");
    assert_eq!((&found.game[..], &found.room[..]), ("reversi", "entry"));
    assert_eq!(found.players[1].kind, SeatKind::Abandoned);
    let guest = &found.players[4];
    assert_eq!((&guest.person, guest.rating), (&None, None));
    let rerated = found.players[0].rating.unwrap();
    assert_eq!(rerated.before, 1500.0);
    let now = ledger.standing("reversi", &account(ada)).rating;
    assert!((rerated.after - now).abs() < 1e-9 && now > 1500.0);
    for which in [
        Which::All,
        Which::Game("reversi"),
        Which::Person(&account(bob)),
        Which::Person(&bot("deep")),
    ] {
        assert_eq!(
            ledger.matches(which, None, 10).unwrap(),
            std::slice::from_ref(&found)
        );
    }
    let other = [Which::Game("chess"), Which::Person(&bot("de"))];
    assert!(other.iter().all(|which| {
        let found = ledger.matches(*which, None, 10).unwrap();
        found.is_empty()
    }));
}

#[tokio::test]
async fn a_guest_is_reckoned_as_a_newcomer_each_time_and_nothing_is_kept() {
    let desk = Desk::new();
    let ada = desk.account("ada").await;
    for rating in [1515.0, 1529.3] {
        let players = vec![
            entrant("ada", Some(ada), Win, 0),
            entrant("Guest7", None, Loss, 0),
        ];
        desk.ledger.report(report(ALL, players)).await.unwrap();
        let now = desk.ledger.standing("reversi", &account(ada)).rating;
        assert!((now - rating).abs() < 0.1, "{now}");
    }
    assert_eq!(stored(&desk, "reversi"), 1);
    assert_eq!(desk.ledger.rankings("reversi", ALL, 10, |_| true).len(), 1);
}

#[tokio::test]
async fn only_what_the_game_counts_is_counted() {
    let desk = Desk::new();
    let ada = desk.account("ada").await;
    let players = || vec![entrant("ada", Some(ada), Win, 7), computer("Deep", Loss, 9)];
    let standing = || desk.ledger.standing("reversi", &account(ada));
    let nothing = Counts::default();
    let done = desk
        .ledger
        .report(report(nothing, players()))
        .await
        .unwrap();
    assert_eq!(standing(), Standing::default());
    assert!(stored(&desk, "reversi") == 0);
    let found = desk.ledger.match_of_id(done.id).unwrap().unwrap();
    assert!(found.players.iter().all(|player| player.rating.is_none()));
    desk.ledger
        .report(report(RECORDED, players()))
        .await
        .unwrap();
    assert_eq!((standing().wins, standing().rating), (1, 1500.0));
    desk.ledger.report(report(RATED, players())).await.unwrap();
    assert_eq!((standing().rating, standing().highscore), (1515.0, 0));
    desk.ledger.report(report(ALL, players())).await.unwrap();
    assert_eq!(standing().highscore, 7);
    let stats = standing().stats(RATED);
    assert_eq!((stats.records, stats.highscore), (Some([3, 0, 0, 0]), None));
    assert_eq!(standing().stats(nothing).rating, None);
}

#[tokio::test]
async fn those_who_won_together_are_no_winner_of_the_match() {
    let desk = Desk::new();
    let mut players = vec![
        computer("a", Win, 0),
        computer("b", Win, 0),
        computer("c", Loss, 0),
    ];
    for player in &mut players[..2] {
        player.score.team = Some(0);
    }
    let done = desk.ledger.report(report(ALL, players)).await.unwrap();
    let found = desk.ledger.match_of_id(done.id).unwrap().unwrap();
    assert_eq!((found.winner(), found.players[0].team), (None, Some(0)));
}

#[tokio::test]
async fn a_bot_that_sits_at_two_seats_plays_twice() {
    let desk = Desk::new();
    let players = vec![computer("Deep", Win, 0), computer("deep", Loss, 0)];
    let done = desk.ledger.report(report(ALL, players)).await.unwrap();
    let [(_, _, standing)] = &done.standings[..] else {
        panic!("{done:?}");
    };
    assert_eq!((standing.wins, standing.losses), (1, 1));
    assert_eq!(standing.rating, 1500.0);
    let found = desk.ledger.matches(Which::Person(&bot("Deep")), None, 9);
    assert_eq!(found.unwrap().len(), 1);
}

#[tokio::test]
async fn who_leads_is_decided_by_highscore_then_rating_then_lead_and_by_name_when_even() {
    let desk = Desk::new();
    let ledger = &desk.ledger;
    let play = |winner: &str, loser: &str, points| {
        let players = vec![computer(winner, Win, points), computer(loser, Loss, 50)];
        ledger.report(report(ALL, players))
    };
    play("ann", "zoe", 10).await.unwrap();
    play("ann", "zoe", 20).await.unwrap();
    play("bea", "ann", 20).await.unwrap();
    let names = |counts, most| -> Vec<String> {
        let ranked = ledger.rankings("reversi", counts, most, |_| true);
        ranked.into_iter().map(|one| one.name).collect()
    };
    assert_eq!(names(ALL, 9), ["ann", "zoe", "bea"]); // 50, 50, 20
    let rated = ledger.rankings("reversi", RATED, 9, |_| true);
    assert!(rated[0].score > rated[1].score && rated[1].score > rated[2].score);
    let first = ledger.standing("reversi", &rated[0].person);
    assert_eq!(rated[0].score, first.rating);
    assert_eq!(names(RATED, 2), ["bea", "ann"]);
    assert_eq!(names(RECORDED, 9), ["ann", "bea", "zoe"]); // 1, 1, -2
    assert_eq!(
        ledger.rankings("reversi", RECORDED, 9, |_| true)[2].score,
        -2.0
    );
    assert!(names(Counts::default(), 9).is_empty());
    assert!(names(ALL, 0).is_empty() && ledger.rankings("go", ALL, 9, |_| true).is_empty());
}

#[tokio::test]
async fn matches_come_in_pages_newest_first_and_the_oldest_are_forgotten() {
    let mut desk = Desk::new();
    desk.ledger.kept = 5;
    for number in 0..8 {
        let name = if number % 2 == 0 { "even" } else { "odd" };
        let players = vec![computer(name, Win, 0), computer("all", Loss, 0)];
        desk.ledger.report(report(ALL, players)).await.unwrap();
    }
    let page = |which: Which<'_>, before: Option<u64>, most| -> Vec<u64> {
        let found = desk.ledger.matches(which, before.map(MatchId), most);
        found.unwrap().into_iter().map(|found| found.id.0).collect()
    };
    assert_eq!(page(Which::All, None, 3), [8, 7, 6]);
    assert_eq!(page(Which::All, Some(6), 3), [5, 4]);
    assert_eq!(page(Which::Game("reversi"), Some(100), 2), [8, 7]);
    assert_eq!(page(Which::Person(&bot("even")), None, 9), [7, 5]);
    assert_eq!(page(Which::Person(&bot("odd")), Some(8), 9), [6, 4]);
    assert!(page(Which::Person(&bot("all")), Some(1), 9).is_empty());
    assert_eq!(desk.ledger.match_of_id(MatchId(3)).unwrap(), None);
    let index = desk.store.scan(records::MATCHES_OF, b"");
    assert_eq!(index.count(), 5 * 3);
    // What was counted stays.
    assert_eq!(desk.ledger.standing("reversi", &bot("all")).losses, 8);
}

#[tokio::test]
async fn what_cannot_be_kept_is_refused_before_anything_changes() {
    let desk = Desk::new();
    let one = || vec![computer("Deep", Win, 0)];
    let good = || report(ALL, one());
    let long = "x".repeat(65);
    let bad = [
        Report {
            game: "a\0b".into(),
            ..good()
        },
        Report {
            game: String::new(),
            ..good()
        },
        report(ALL, vec![computer(&long, Win, 0)]),
        report(ALL, vec![computer("Deep", Win, 0); 65]),
        Report {
            savegame: Some("../../etc/passwd".into()),
            ..good()
        },
    ];
    for bad in bad {
        desk.ledger.report(bad).await.unwrap_err();
    }
    assert!(desk.ledger.matches(Which::All, None, 9).unwrap().is_empty());
    // The largest that is taken fits into a transaction.
    let crowd = (0..64).map(|n| computer(&format!("{n:064}"), Tie, i32::MIN));
    let crowd = Report {
        savegame: Some("x".repeat(255)),
        ..report(ALL, crowd.collect())
    };
    let done = desk.ledger.report(crowd).await.unwrap();
    assert_eq!(done.standings.len(), 64);
}
