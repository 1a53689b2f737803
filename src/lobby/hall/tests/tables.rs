//! Launching.

use super::*;
use crate::lobby::hall::launch::{EACH, LAUNCHES};

#[test]
fn the_table_is_announced_before_its_launcher_is_told_and_sits_down() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let channel = scene.channel(ann).0;
    assert_eq!(
        scene.launch(ann, &["open", "bot Deep"]),
        [r#"launch 1: duel "" [open, bot Deep] ["--fast"]"#]
    );
    assert_eq!(
        scene.state(TableKey(1), GameState::Waiting),
        [
            "room 1: table 1 is new, Waiting: [open, bot Deep]",
            "ann: launch Ok",
            &format!("game 1: seat 0 is player ann by channel {channel}"),
            "ann: sits at 1",
            "room 1: table 1 has ann at Seat(0)",
        ]
    );
    assert!(scene.state(TableKey(1), GameState::Waiting).is_empty());
}

#[test]
fn the_launcher_gets_the_seat_that_is_kept_for_them_before_an_open_one() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.launched(ann, &["open", "reserved ANN"]);
    scene.state(key, GameState::Waiting);
    assert_eq!(scene.seats(key), "[open, player ann]");
}

#[test]
fn a_launch_is_refused_for_every_reason_and_leaves_the_channel_alone() {
    let mut scene = Scene::new();
    let (ann, out) = (
        scene.member("ann"),
        scene.come(newcomer("out", Permissions::REGISTERED), None),
    );
    let open = ["open", "open"];
    assert_eq!(scene.launch(ann, &open), ["ann: launch NoChannel"]);
    let channel = scene.channel(ann);
    scene.channel(out);
    assert_eq!(scene.launch(out, &open), ["out: launch NotInRoom"]);
    let refused: [&[&str]; 9] = [
        &[],
        &["open"],
        &["open", "open", "open"],
        &["open", "?"],
        &["open", "reserved"],
        &["open", "player ben"],
        &["open", "bot Nobody"],
        &["bot", "bot"], // without a seat for themselves
        &["reserved ben", "bot"],
    ];
    for seats in refused {
        assert_eq!(
            scene.launch(ann, seats),
            ["ann: launch BadOptions"],
            "{seats:?}"
        );
    }
    let wrong = Request::Launch {
        game: GameId(1),
        description: String::new(),
        seats: vec![seat("open"), seat("open")],
    };
    assert_eq!(scene.says(ann, wrong), ["ann: launch NotInRoom"]);
    let long = Request::Launch {
        game: DUEL,
        description: "x".repeat(513),
        seats: vec![seat("open"), seat("open")],
    };
    assert_eq!(scene.says(ann, long), ["ann: launch BadOptions"]);
    let less = Permissions::REGISTERED.with(Permission::LaunchTable, false);
    scene.does(|hall, _| hall.permit(ann, less));
    assert_eq!(scene.launch(ann, &open), ["ann: launch NoPermission"]);
    assert_eq!(scene.hall.person(ann).channel, Some(channel));
}

#[test]
fn who_sits_or_waits_for_a_game_launches_no_other() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.launched(ann, &["open", "open"]);
    assert_eq!(
        scene.launch(ann, &["open", "open"]),
        ["ann: launch LaunchFail"]
    );
    assert_eq!(scene.says(ann, leave(true)), ["ann: leave InTransit"]);
    assert_eq!(
        scene.says(ann, join(1, false, None)),
        ["ann: join InTransit"]
    );
    scene.state(key, GameState::Waiting);
    assert_eq!(
        scene.launch(ann, &["open", "open"]),
        ["ann: launch LaunchFail"]
    );
    assert_eq!(scene.says(ann, join(1, true, None)), ["ann: join AtTable"]);
}

#[test]
fn a_room_and_the_box_have_so_many_tables_and_no_more() {
    let mut scene = Scene::new();
    let people = ["a", "b", "c", "d"].map(|name| scene.member(name));
    scene.launched(people[0], &["open", "open"]);
    scene.table(people[1]);
    scene.channel(people[2]);
    // The room has two already, of which one is not announced.
    assert_eq!(
        scene.launch(people[2], &["open", "open"]),
        ["c: launch RoomFull"]
    );
    for who in [people[2], people[3]] {
        scene.says(who, Request::Enter { room: STRICT });
    }
    let launch = |scene: &mut Scene, who| {
        scene.channel(who);
        let seats = vec![seat("open"), seat("open")];
        let launch = Request::Launch {
            game: GameId(1),
            description: String::new(),
            seats,
        };
        scene.says(who, launch).pop().unwrap()
    };
    assert!(launch(&mut scene, people[2]).starts_with("launch 3"));
    assert_eq!(launch(&mut scene, people[3]), "d: launch RoomFull"); // the box has three
}

#[test]
fn a_room_without_tables_lets_nobody_launch_one_an_administrator_neither() {
    let mut scene = Scene::new();
    let mut changed = definitions();
    Arc::make_mut(&mut changed.rooms[1]).max_tables = 0;
    scene.does(|hall, _| hall.define(&changed));
    let room = scene.hall.room_named("duels").unwrap();
    let ann = scene.come(newcomer("ann", Permissions::ADMIN), Some(room));
    scene.channel(ann);
    assert_eq!(
        scene.launch(ann, &["open", "open"]),
        ["ann: launch RoomFull"]
    );
    let seats = [seat("open"), seat("open")];
    let launched = scene.hall.launch_for(room, String::new(), &seats);
    assert_eq!(launched, Err(Code::RoomFull));
    let (saved, seats) = ("file".into(), seats.map(Option::unwrap));
    let now = scene.now;
    let resumed = scene.hall.resume(room, saved, None, seats.into(), now);
    assert_eq!(resumed, Err(Code::RoomFull));
    assert!(scene.does(|_, _| ()).is_empty());
}

#[test]
fn an_administrator_launches_without_a_channel_and_without_a_seat() {
    let mut scene = Scene::new();
    let ada = scene.admin("ada");
    assert_eq!(scene.launch(ada, &["bot", "bot"]).len(), 1);
    let lines = scene.state(TableKey(1), GameState::Waiting);
    assert_eq!(lines[1..], ["ada: launch Ok", "ada: join TableFull"]);
    assert!(scene.stands(TableKey(1)));
    assert_eq!(scene.launch(ada, &["open", "open"]).len(), 1);
    let lines = scene.state(TableKey(2), GameState::Waiting);
    assert_eq!(lines[1..], ["ada: launch Ok", "ada: join NoChannel"]);
    assert_eq!(scene.hall.person(ada).at, At::Nowhere);
}

#[test]
fn a_game_that_leaves_its_launcher_no_seat_ends() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.launched(ann, &["open", "bot"]);
    assert_eq!(scene.said(key, FromGame::Bot(0)), ["game 1: seat 0 is bot"]);
    let channel = scene.hall.person(ann).channel.unwrap().0;
    assert_eq!(
        scene.state(key, GameState::Waiting)[1..],
        [
            "ann: launch Ok",
            "ann: join TableFull",
            &format!("close channel {channel}"),
            "room 1: table 1 is gone",
            "end 1",
        ]
    );
}

#[test]
fn a_table_by_the_api_is_announced_and_waits_for_people() {
    let mut scene = Scene::new();
    let seats = [seat("open"), seat("open")];
    let key = scene
        .hall
        .launch_for(DUELS, "for all".into(), &seats)
        .unwrap();
    scene.hall.effects();
    let lines = scene.state(key, GameState::Waiting);
    assert_eq!(lines, ["room 1: table 1 is new, Waiting: [open, open]"]);
    let refused = |room, seats: &[_]| {
        let mut scene = Scene::new();
        scene.hall.launch_for(room, String::new(), seats)
    };
    assert_eq!(refused(RoomId(9), &seats), Err(Code::BadOptions));
    assert_eq!(refused(ENTRY, &seats), Err(Code::NotInRoom));
    assert_eq!(refused(DUELS, &seats[1..]), Err(Code::BadOptions));
}

#[test]
fn one_session_launches_no_more_tables_than_it_may_and_later_it_may_again() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let launch_and_leave = |scene: &mut Scene| {
        let key = scene.table(ann);
        assert!(
            scene
                .says(ann, leave(false))
                .contains(&format!("end {}", key.0))
        );
        scene.does(|hall, _| hall.ended(key, None));
    };
    for _ in 0..LAUNCHES {
        launch_and_leave(&mut scene);
    }
    scene.channel(ann);
    let open = ["open", "open"];
    assert_eq!(scene.launch(ann, &open), ["ann: launch LaunchFail"]);
    // What is refused costs nothing, and others are not held up.
    let ben = scene.member("ben");
    let theirs = scene.table(ben);
    scene.says(ben, leave(true));
    scene.does(|hall, _| hall.ended(theirs, None));
    scene.passes(EACH);
    assert!(scene.launch(ann, &open)[0].starts_with("launch "));
    let key = TableKey(scene.hall.next_table - 1);
    scene.does(|hall, _| hall.ended(key, Some("it broke")));
    assert_eq!(scene.launch(ann, &open), ["ann: launch LaunchFail"]);
}

#[test]
fn who_goes_and_comes_again_launches_no_more_for_it() {
    let mut scene = Scene::new();
    let open = ["open", "open"];
    let launches = |scene: &mut Scene, newcomer: Newcomer| {
        let who = scene.come(newcomer, Some(DUELS));
        scene.channel(who);
        let lines = scene.launch(who, &open);
        scene.gone(who);
        let key = TableKey(scene.hall.next_table - 1);
        scene.does(|hall, _| hall.ended(key, None));
        lines[0].starts_with("launch ")
    };
    for n in 0..LAUNCHES {
        let other = if n % 2 == 0 { "gus" } else { "eve" };
        assert!(launches(&mut scene, guest(other, 9)), "{n}");
    }
    assert!(!launches(&mut scene, guest("mia", 9)));
    assert!(launches(&mut scene, guest("mia", 8)));
    let mut here = guest("mia", 9);
    here.who.address = Ipv4Addr::LOCALHOST.into();
    for _ in 0..=LAUNCHES {
        assert!(
            launches(&mut scene, here.clone()),
            "a proxy speaks for many"
        );
    }
    scene.passes(EACH);
    assert!(launches(&mut scene, guest("mia", 9)));
}

#[test]
fn who_wants_a_table_has_that_of_people_who_have_gone_for_longest() {
    let mut scene = Scene::new();
    let [first, second] = ["ann", "ben"].map(|name| {
        let who = scene.member(name);
        let key = scene.table(who);
        scene.state(key, GameState::Playing);
        scene.gone(who);
        scene.passes(Duration::from_secs(1));
        key
    });
    let (cat, dan) = (scene.member("cat"), scene.member("dan"));
    scene.channel(cat);
    scene.channel(dan);
    let open = ["open", "open"];
    // The room has no more than two tables,
    let lines = scene.launch(cat, &open);
    assert_eq!(lines[..2], ["room 1: table 1 is gone", "end 1"]);
    assert!(lines[2].starts_with("launch 3"), "{lines:?}");
    // and the box no more than three games, one of which is still on its way out.
    let lines = scene.launch(dan, &open);
    let expected = ["room 1: table 2 is gone", "end 2", "dan: launch RoomFull"];
    assert_eq!(lines, expected);
    scene.does(|hall, _| hall.ended(first, None));
    assert!(scene.launch(dan, &open)[0].starts_with("launch 4"));
    // Nobody has left those that stand now.
    scene.does(|hall, _| hall.ended(second, None));
    let eve = scene.member("eve");
    scene.channel(eve);
    assert_eq!(scene.launch(eve, &open), ["eve: launch RoomFull"]);
}

#[test]
fn a_game_that_has_not_gone_yet_takes_the_place_of_a_table() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let ended: Vec<TableKey> = (0..3)
        .map(|_| {
            let key = scene.table(ann);
            scene.says(ann, leave(false));
            assert!(!scene.stands(key));
            key
        })
        .collect();
    scene.channel(ann);
    let open = ["open", "open"];
    assert_eq!(scene.launch(ann, &open), ["ann: launch RoomFull"]);
    scene.does(|hall, _| hall.ended(ended[1], None));
    assert!(scene.launch(ann, &open)[0].starts_with("launch 4"));
}
