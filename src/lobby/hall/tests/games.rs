//! What games say, and how tables end.

use super::*;

#[test]
fn a_game_that_ends_before_it_waits_is_a_failed_launch_that_nobody_else_hears_of() {
    for ends in [0, 1, 2] {
        let mut scene = Scene::new();
        let ann = scene.member("ann");
        let key = scene.launched(ann, &["open", "open"]);
        let channel = scene.hall.person(ann).channel;
        let lines = match ends {
            0 => scene.does(|hall, _| hall.ended(key, Some("it broke"))),
            1 => scene.does(|hall, _| hall.end_table(key)),
            _ => scene.state(key, GameState::Done),
        };
        let expected: &[&str] = match ends {
            0 => &[
                "ann: chat Private by [Server]: duel: it broke",
                "ann: launch LaunchFail",
            ],
            1 => &["ann: launch LaunchFail", "end 1"],
            _ => &["ann: launch LaunchFail"],
        };
        assert_eq!(lines, expected);
        assert!(
            scene
                .does(|hall, _| hall.ended(key, Some("it broke")))
                .is_empty()
        );
        // They can try again with the same channel.
        assert_eq!(scene.hall.person(ann).channel, channel);
        assert_eq!(scene.launch(ann, &["open", "open"]).len(), 1);
    }
}

#[test]
fn a_game_that_fails_sends_everybody_away_and_tells_them_why() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.table(ann);
    scene.watches(ben, key);
    let expected = |why: &str| {
        [
            "ann: chat Private by [Server]: duel: it broke".into(),
            "ben: chat Private by [Server]: duel: it broke".into(),
            format!("ann: leaves {why}"),
            "room 1: table 1 loses ann from Seat(0)".into(),
            format!("ben: leaves {why}"),
            "room 1: table 1 loses ben from Spectator(0)".into(),
            "room 1: table 1 is gone".into(),
        ]
    };
    assert_eq!(
        scene.does(|hall, _| hall.ended(key, Some("it broke"))),
        expected("GameError")
    );
    assert!(
        scene
            .does(|hall, _| hall.ended(key, Some("it broke")))
            .is_empty()
    );
    assert!(
        scene
            .says(ann, leave(false))
            .contains(&"ann: leave Ok".into())
    );
}

#[test]
fn a_game_that_is_done_ends_its_table() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.table(ann);
    assert_eq!(
        scene.state(key, GameState::Done),
        [
            "room 1: table 1 is Done",
            "ann: leaves GameOver",
            "room 1: table 1 loses ann from Seat(0)",
            "room 1: table 1 is gone",
        ]
    );
    assert!(scene.does(|hall, _| hall.ended(key, None)).is_empty());
    assert!(scene.does(|hall, _| hall.end_table(key)).is_empty());
    assert!(scene.said(key, FromGame::Bot(1)).is_empty());
}

#[test]
fn the_room_hears_when_a_game_begins_and_pauses_and_never_of_the_same_twice() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.table(ann);
    assert_eq!(
        scene.state(key, GameState::Playing),
        ["room 1: table 1 is Playing"]
    );
    assert!(scene.state(key, GameState::Playing).is_empty());
    assert_eq!(
        scene.state(key, GameState::Waiting),
        ["room 1: table 1 is Waiting"]
    );
    assert_eq!(
        scene.state(key, GameState::Created),
        ["odd 1: it goes back to the beginning"]
    );
}

#[test]
fn a_game_that_pauses_until_somebody_is_back_keeps_their_seat() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    scene.gone(ben);
    scene.state(key, GameState::Waiting);
    assert_eq!(scene.seats(key), "[player ann, abandoned ben]");
    let ben = scene.member("ben");
    scene.joins(ben, key);
    assert_eq!(scene.seats(key), "[player ann, player ben]");
}

#[test]
fn a_game_changes_its_seats_and_what_makes_no_sense_is_only_logged() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.table(ann);
    assert_eq!(
        scene.said(key, FromGame::Bot(1)),
        ["game 1: seat 1 is bot", "room 1: table 1 seat 1 is bot"]
    );
    assert_eq!(
        scene.said(key, FromGame::Open(1)),
        ["game 1: seat 1 is open", "room 1: table 1 seat 1 is open"]
    );
    let nonsense = [
        FromGame::Bot(0),
        FromGame::Bot(2),
        FromGame::Open(0),
        FromGame::Open(1),
        FromGame::Open(-1),
        FromGame::Boot("ben".into()),
        FromGame::NumSeats(0),
        FromGame::NumSeats(33),
        FromGame::NumSeats(-1),
    ];
    for said in nonsense {
        let lines = scene.said(key, said);
        assert!(
            lines.len() == 1 && lines[0].starts_with("odd 1"),
            "{lines:?}"
        );
    }
    assert!(scene.said(key, FromGame::Log("hello".into())).is_empty());
}

#[test]
fn a_game_boots_in_the_name_of_the_server() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    let lines = scene.said(key, FromGame::Boot("BEN".into()));
    assert_eq!(lines[0], "ben: leaves Boot by [server]");
    assert_eq!(scene.seats(key), "[player ann, open]");
}

#[test]
fn a_game_that_wants_fewer_seats_boots_whose_seats_go() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    let lines = scene.said(key, FromGame::NumSeats(3));
    assert_eq!(
        lines,
        ["room 1: table 1 has [player ann, player ben, open]"]
    );
    let lines = scene.said(key, FromGame::NumSeats(1));
    assert_eq!(lines[0], "ben: leaves Boot by [server]");
    assert_eq!(lines.last().unwrap(), "room 1: table 1 has [player ann]");
    scene.says(ann, leave(false));
    assert!(!scene.stands(key));
}

#[test]
fn what_a_game_does_to_its_seats_before_it_waits_is_not_told_to_the_room() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.launched(ann, &["open", "reserved ben"]);
    assert!(scene.said(key, FromGame::NumSeats(3)).is_empty());
    assert_eq!(
        scene.said(key, FromGame::Open(1)),
        ["game 1: seat 1 is open"]
    );
    assert_eq!(scene.said(key, FromGame::Bot(2)), ["game 1: seat 2 is bot"]);
    let lines = scene.state(key, GameState::Waiting);
    assert_eq!(
        lines[0],
        "room 1: table 1 is new, Waiting: [open, open, bot]"
    );
}

#[test]
fn who_sits_at_a_table_can_ask_who_is_there_and_who_leads() {
    let mut scene = Scene::new();
    let (ann, hal) = (scene.member("ann"), scene.host("hal"));
    let info = |seat| Request::Info { seat };
    assert!(scene.says(ann, info(None)).is_empty());
    assert!(scene.says(ann, Request::Rankings).is_empty());
    let key = scene.match_of(ann, hal);
    assert_eq!(
        scene.says(ann, info(None)),
        [r#"ann: info ["0 ann ", "1 hal "]"#]
    );
    assert_eq!(scene.says(ann, info(Some(1))), [r#"ann: info ["1 hal "]"#]);
    assert_eq!(scene.says(ann, info(Some(7))), ["ann: info []"]);
    // Where people come from is for who keeps order.
    assert_eq!(
        scene.says(hal, info(Some(0))),
        [r#"hal: info ["0 ann 10.0.0.1"]"#]
    );
    assert_eq!(
        scene.says(ann, Request::Rankings),
        ["ann: rankings of duel"]
    );
    assert!(scene.stands(key));
}
