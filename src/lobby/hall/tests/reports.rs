//! Matches: who was in them, how they are reported, and how they are saved.

use super::*;

fn score(name: &str, seat: SeatKind, result: Outcome) -> Score {
    Score {
        name: Some(name.to_owned()).filter(|name| !name.is_empty()),
        seat,
        team: None,
        result,
        score: 0,
    }
}

fn won(winner: &str, loser: &str) -> FromGame {
    FromGame::Report(vec![
        score(winner, SeatKind::Player, Outcome::Win),
        score(loser, SeatKind::Player, Outcome::Loss),
    ])
}

#[test]
fn abandoned_seats_are_open_once_the_match_is_over() {
    for report_first in [true, false] {
        let mut scene = Scene::new();
        let (ann, ben) = (scene.member("ann"), scene.member("ben"));
        let key = scene.match_of(ann, ben);
        scene.gone(ben);
        let over = |scene: &mut Scene, report| match report {
            true => scene.said(key, won("ann", "ben")),
            false => scene.state(key, GameState::Waiting),
        };
        over(&mut scene, report_first);
        assert_eq!(scene.seats(key), "[player ann, abandoned ben]");
        let lines = over(&mut scene, !report_first);
        assert_eq!(
            lines[1..],
            ["game 1: seat 1 is open", "room 1: table 1 seat 1 is open"]
        );
    }
}

#[test]
fn a_match_that_all_have_lost_ends_with_its_report() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    scene.gone(ann);
    scene.gone(ben);
    scene.state(key, GameState::Waiting);
    let lines = scene.said(key, won("ann", "ben"));
    assert_eq!(
        lines[0],
        "report of 1 in duels: ann (member) Win, ben (member) Loss; saved in nothing"
    );
    assert_eq!(lines.last().unwrap(), "end 1");
}

#[test]
fn a_report_names_everybody_as_they_are_called() {
    let mut scene = Scene::new();
    let (ann, gus) = (scene.member("Ann"), scene.guest("gus", 1));
    let key = scene.match_of(ann, gus);
    scene.said(key, FromGame::Savegame("match.1".into()));
    scene.gone(gus);
    let report = vec![
        score("ANN", SeatKind::Player, Outcome::Win),
        score("gus", SeatKind::Abandoned, Outcome::Forfeit),
        score("AI", SeatKind::Bot, Outcome::Loss),
        score("", SeatKind::Bot, Outcome::Loss),
    ];
    assert_eq!(
        scene.said(key, FromGame::Report(report)),
        [
            "report of 1 in duels: Ann (member) Win, gus (guest) Forfeit, \
          a bot (no person) Loss, a bot (no person) Loss; saved in match.1"
        ]
    );
}

#[test]
fn a_named_bot_is_reported_by_its_name() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.launched(ann, &["open", "bot Deep"]);
    scene.state(key, GameState::Waiting);
    scene.state(key, GameState::Playing);
    let report = vec![
        score("ann", SeatKind::Player, Outcome::Loss),
        score("deep", SeatKind::Bot, Outcome::Win),
    ];
    let lines = scene.said(key, FromGame::Report(report));
    assert!(
        lines[0].contains("ann (member) Loss, Deep (no person) Win"),
        "{lines:?}"
    );
}

#[test]
fn a_report_on_strangers_or_on_somebody_twice_or_on_nobody_is_ignored_as_a_whole() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    scene.member("cat");
    let key = scene.match_of(ann, ben);
    let nobody = FromGame::Report(Vec::new());
    let unnamed = FromGame::Report(vec![score("", SeatKind::Player, Outcome::Win)]);
    for report in [won("ann", "cat"), won("ann", "ANN"), nobody, unnamed] {
        let lines = scene.said(key, report);
        assert!(
            lines.len() == 1 && lines[0].starts_with("odd 1: it reports on"),
            "{lines:?}"
        );
    }
    assert!(scene.said(key, won("ben", "ann"))[0].starts_with("report of 1"));
}

#[test]
fn who_was_booted_is_still_in_the_match_and_who_left_before_it_is_not() {
    let mut scene = Scene::new();
    let (ann, ben, cat) = (
        scene.member("ann"),
        scene.member("ben"),
        scene.member("cat"),
    );
    let key = scene.table(ann);
    scene.joins(cat, key);
    scene.says(cat, leave(false));
    scene.joins(ben, key);
    scene.state(key, GameState::Playing);
    scene.says(ann, change(1, Change::Boot("ben".into())));
    assert!(scene.said(key, won("ann", "cat"))[0].starts_with("odd"));
    assert!(scene.said(key, won("ann", "ben"))[0].starts_with("report"));
}

#[test]
fn who_stood_up_or_sat_down_in_mid_game_is_in_the_match() {
    let mut scene = Scene::new();
    let (ann, ben, cat) = (
        scene.member("ann"),
        scene.member("ben"),
        scene.member("cat"),
    );
    let key = scene.match_of(ann, ben);
    scene.watches(cat, key);
    assert!(scene.said(key, won("ann", "cat"))[0].starts_with("odd"));
    scene.says(ben, reseat(Reseat::Stand, None));
    scene.said(key, FromGame::Open(1));
    scene.says(cat, reseat(Reseat::Sit, None));
    assert!(scene.said(key, won("ann", "ben"))[0].starts_with("report"));
    assert!(scene.said(key, won("ann", "cat"))[0].starts_with("report"));
}

#[test]
fn not_everybody_who_ever_sat_at_a_table_is_remembered() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.table(ann);
    for number in 0..300 {
        let guest = scene.guest(&format!("guest{number}"), 1);
        scene.joins(guest, key);
        scene.gone(guest);
    }
    assert!(scene.hall.table(key).met.len() <= 130);
    assert!(scene.said(key, won("ann", "guest299"))[0].starts_with("report"));
}

#[test]
fn a_saved_game_is_told_with_its_seats() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    scene.gone(ben);
    assert_eq!(
        scene.said(key, FromGame::Savegame("file".into())),
        ["saved 1 of ann in duels: file [player ann, abandoned ben]"]
    );
}

#[test]
fn a_saved_game_goes_on_with_its_seats_kept_and_its_file_named() {
    let mut scene = Scene::new();
    let seats = || {
        ["player ann", "abandoned gus"]
            .map(|words| seat(words).unwrap())
            .into()
    };
    let lines = scene.does(|hall, world| {
        hall.resume(DUELS, "file".into(), None, seats(), world.now)
            .unwrap();
    });
    assert_eq!(
        lines,
        [r#"launch 1: duel "file" [reserved ann, reserved gus] ["--fast"]"#]
    );
    let key = TableKey(1);
    scene.state(key, GameState::Waiting);
    let (cat, gus) = (scene.member("cat"), scene.guest("gus", 9));
    assert_eq!(scene.joins(cat, key)[0], "cat: join TableFull");
    scene.joins(gus, key);
    assert_eq!(scene.seats(key), "[reserved ann, player gus]");
    let strict = scene
        .hall
        .resume(STRICT, "file".into(), None, seats(), scene.now);
    assert_eq!(
        strict,
        Err(Code::BadOptions),
        "that game cannot be taken up again"
    );
}

#[test]
fn nothing_is_launched_or_resumed_in_a_room_that_is_closed() {
    let mut scene = Scene::new();
    let mut fewer = definitions();
    fewer.rooms.remove(1);
    scene.does(|hall, _| hall.define(&fewer));
    let seats: Vec<Seat> = ["open", "open"].map(|words| seat(words).unwrap()).into();
    assert_eq!(
        scene
            .hall
            .resume(DUELS, "x".into(), None, seats.clone(), scene.now),
        Err(Code::BadOptions)
    );
    let seats: Vec<Option<Seat>> = seats.into_iter().map(Some).collect();
    assert_eq!(
        scene.hall.launch_for(DUELS, "x".into(), &seats),
        Err(Code::BadOptions)
    );
}

#[test]
fn a_saved_game_that_nobody_comes_back_to_ends_after_a_while() {
    let mut scene = Scene::new();
    let seats = ["player ann", "player ben"].map(|words| seat(words).unwrap());
    let resumed = scene
        .hall
        .resume(DUELS, "file".into(), None, seats.into(), scene.now);
    let key = resumed.unwrap();
    scene.state(key, GameState::Waiting);
    // Somebody who looks on and leaves does not end it.
    let cat = scene.member("cat");
    scene.watches(cat, key);
    scene.says(cat, leave(false));
    assert!(scene.stands(key));
    assert_eq!(scene.passes(KEPT).last().unwrap(), "end 1");
}
