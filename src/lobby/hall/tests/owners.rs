//! Changing a table that stands.

use super::*;

#[test]
fn the_owner_and_who_may_edit_tables_change_a_table_and_nobody_else() {
    let mut scene = Scene::new();
    let (ann, ben, hal) = (scene.member("ann"), scene.member("ben"), scene.host("hal"));
    scene.table(ann);
    let desc = |text: &str| change(1, Change::Desc(text.into()));
    assert_eq!(
        scene.says(ann, desc("ours")),
        ["room 1: table 1 is called ours", "ann: update Ok"]
    );
    assert_eq!(scene.says(ben, desc("mine")), ["ben: update NoPermission"]);
    assert_eq!(
        scene.says(hal, desc("quiet please")).last().unwrap(),
        "hal: update Ok"
    );
    assert_eq!(
        scene.says(ann, desc(&"x".repeat(513))),
        ["ann: update TooLong"]
    );
    let other = change(7, Change::Boot("ann".into()));
    assert_eq!(scene.says(ann, other), ["ann: update NoTable"]);
    let out = scene.come(newcomer("out", Permissions::HOST), None);
    assert_eq!(scene.says(out, desc("far")), ["out: update NotInRoom"]);
}

#[test]
fn an_owner_is_the_same_person_when_they_come_back() {
    let mut scene = Scene::new();
    let (gus, ann) = (scene.guest("gus", 1), scene.member("ann"));
    scene.match_of(gus, ann);
    let desc = || change(1, Change::Desc("mine".into()));
    scene.gone(gus);
    let namesake = scene.guest("gus", 2);
    assert_eq!(scene.says(namesake, desc()), ["gus: update NoPermission"]);
    scene.gone(namesake);
    let gus = scene.guest("gus", 1);
    assert_eq!(scene.says(gus, desc()).last().unwrap(), "gus: update Ok");
}

#[test]
fn the_owner_makes_seats_open_kept_or_bots_and_the_game_is_told() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.table(ann);
    let put = |scene: &mut Scene, number, words: &str| {
        let change = change(1, Change::Seat(number, seat(words).unwrap()));
        scene.says(ann, change)
    };
    assert_eq!(
        put(&mut scene, 1, "bot deep"),
        [
            "game 1: seat 1 is bot Deep",
            "room 1: table 1 seat 1 is bot Deep",
            "ann: update Ok",
        ]
    );
    assert_eq!(
        put(&mut scene, 1, "reserved ben").last().unwrap(),
        "ann: update Ok"
    );
    let (cat, ben) = (scene.member("cat"), scene.guest("Ben", 4));
    assert_eq!(scene.joins(cat, key)[0], "cat: join TableFull");
    scene.joins(ben, key);
    assert_eq!(scene.seats(key), "[player ann, player Ben]");
    assert_eq!(put(&mut scene, 1, "open"), ["ann: update SeatAssignFail"]);
    assert_eq!(put(&mut scene, 2, "open"), ["ann: update BadOptions"]);
    for words in ["player ben", "abandoned ben", "reserved", "bot Nobody"] {
        assert_eq!(
            put(&mut scene, 1, words),
            ["ann: update BadOptions"],
            "{words}"
        );
    }
}

#[test]
fn a_named_bot_sits_at_a_table_once_and_bots_are_as_many_as_the_game_takes() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.table(ann);
    scene.said(key, FromGame::NumSeats(4));
    let put = |scene: &mut Scene, number, words: &str| {
        let change = change(1, Change::Seat(number, seat(words).unwrap()));
        scene.says(ann, change).pop().unwrap()
    };
    assert_eq!(put(&mut scene, 1, "bot Deep"), "ann: update Ok");
    assert_eq!(put(&mut scene, 2, "bot DEEP"), "ann: update BadOptions");
    assert_eq!(put(&mut scene, 2, "bot"), "ann: update Ok");
    assert_eq!(put(&mut scene, 3, "bot"), "ann: update BadOptions");
    scene.channel(ann);
    let (ben, twice) = (scene.member("ben"), ["bot Deep", "bot deep"]);
    scene.channel(ben);
    assert_eq!(scene.launch(ben, &twice), ["ben: launch BadOptions"]);
}

#[test]
fn an_abandoned_seat_can_be_given_to_somebody_else() {
    let mut scene = Scene::new();
    let (ann, ben, cat) = (
        scene.member("ann"),
        scene.member("ben"),
        scene.member("cat"),
    );
    let key = scene.match_of(ann, ben);
    scene.gone(ben);
    scene.says(ann, change(1, Change::Seat(1, seat("open").unwrap())));
    assert_eq!(scene.joins(cat, key)[0], "cat: join Ok");
    let ben = scene.member("ben");
    assert_eq!(scene.joins(ben, key)[0], "ben: join TableFull");
}

#[test]
fn the_owner_boots_players_before_those_who_watch() {
    let mut scene = Scene::new();
    let (ann, ben, cat) = (
        scene.member("ann"),
        scene.member("ben"),
        scene.member("cat"),
    );
    let key = scene.match_of(ann, ben);
    scene.watches(cat, key);
    assert_eq!(
        scene.says(ann, change(1, Change::Boot("BEN".into()))),
        [
            "ben: leaves Boot by ann",
            "room 1: table 1 loses ben from Seat(1)",
            "game 1: seat 1 is open",
            "ann: update Ok",
        ]
    );
    let lines = scene.says(ann, change(1, Change::Boot("cat".into())));
    assert_eq!(lines[0], "cat: leaves Boot by ann");
    let again = scene.says(ann, change(1, Change::Boot("cat".into())));
    assert_eq!(again, ["ann: update UsrLookup"]);
    assert_eq!(scene.seats(key), "[player ann, open]");
}

#[test]
fn who_waits_for_their_game_cannot_be_booted() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.launched(ann, &["open", "open"]);
    let lines = scene.said(key, FromGame::Boot("ann".into()));
    assert_eq!(lines, [r#"odd 1: it boots "ann", who is not there"#]);
    assert!(scene.stands(key));
}

#[test]
fn seats_of_a_game_without_leave_stay_as_they_are() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    for who in [ann, ben] {
        scene.says(who, Request::Enter { room: STRICT });
    }
    let key = scene.table(ann);
    scene.joins(ben, key);
    for refused in [
        Change::Boot("ben".into()),
        Change::Seat(1, seat("open").unwrap()),
    ] {
        assert_eq!(
            scene.says(ann, change(1, refused)),
            ["ann: update LeaveForbidden"]
        );
    }
    let allowed = scene.says(ann, change(1, Change::Desc("ours".into())));
    assert_eq!(allowed.last().unwrap(), "ann: update Ok");
}
