//! Rooms: who may come in, how they change, and lists.

use super::*;

fn enter(scene: &mut Scene, who: SessionId, room: RoomId) -> String {
    let lines = scene.says(who, Request::Enter { room });
    let (_, code) = lines.last().unwrap().split_once("enter ").unwrap();
    code.into()
}

fn list(scene: &mut Scene, who: SessionId, what: ListOf, room: Option<RoomId>) -> String {
    let lines = scene.says(
        who,
        Request::List {
            what,
            full: true,
            room,
        },
    );
    lines.concat()
}

#[test]
fn a_login_is_in_no_room_and_a_move_is_told_to_both_rooms_but_not_to_who_moves() {
    let mut scene = Scene::new();
    let ann = scene.come(newcomer("ann", Permissions::REGISTERED), None);
    let lines = scene.says(ann, Request::Enter { room: ENTRY });
    assert_eq!(lines, ["room 0 but ann: +ann from None", "ann: enter Ok"]);
    let lines = scene.says(ann, Request::Enter { room: DUELS });
    assert_eq!(
        lines,
        [
            "room 0: -ann to Some(1)",
            "room 1 but ann: +ann from Some(0)",
            "ann: enter Ok",
        ]
    );
    assert!(!scene.hall.rooms[0].people.contains(&ann));
    // Once more into the same room changes nothing.
    assert_eq!(
        scene.says(ann, Request::Enter { room: DUELS }),
        ["ann: enter Ok"]
    );
}

#[test]
fn rooms_for_members_and_for_staff_ask_for_the_permission_of_that_name() {
    let mut scene = Scene::new();
    let (gus, ann) = (scene.guest("gus", 1), scene.member("ann"));
    let (hal, ada) = (scene.host("hal"), scene.admin("ada"));
    let code = |ok| if ok { "Ok" } else { "NoPermission" };
    for (who, member, staff) in [
        (gus, false, false),
        (ann, true, false),
        (hal, true, false),
        (ada, true, true),
    ] {
        assert_eq!(enter(&mut scene, who, MEMBERS), code(member));
        assert_eq!(enter(&mut scene, who, STAFF), code(staff));
        assert_eq!(enter(&mut scene, who, RoomId(77)), "BadOptions");
    }
}

#[test]
fn a_full_room_lets_nobody_in_but_who_is_there() {
    let mut scene = Scene::new();
    let names = ["a", "b", "c", "d", "e", "f"];
    let people = names.map(|name| scene.member(name));
    let late = scene.come(newcomer("late", Permissions::ADMIN), None);
    assert_eq!(enter(&mut scene, late, DUELS), "RoomFull");
    assert_eq!(enter(&mut scene, people[0], DUELS), "Ok");
    scene.gone(people[1]);
    assert_eq!(enter(&mut scene, late, DUELS), "Ok");
}

#[test]
fn who_sits_or_waits_for_their_game_stays_in_the_room() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.launched(ann, &["open", "open"]);
    assert_eq!(enter(&mut scene, ann, ENTRY), "InTransit");
    scene.state(key, GameState::Waiting);
    scene.watches(ben, key);
    assert_eq!(enter(&mut scene, ann, ENTRY), "AtTable");
    assert_eq!(enter(&mut scene, ben, ENTRY), "AtTable");
    assert_eq!(enter(&mut scene, ann, DUELS), "Ok");
}

#[test]
fn statistics_are_loaded_at_the_door_except_those_of_guests() {
    let mut scene = Scene::new();
    let (ann, gus) = (scene.member("ann"), scene.guest("gus", 1));
    assert_eq!(scene.hall.person(ann).stats.records, Some([317, 0, 0, 0]));
    assert_eq!(scene.hall.person(gus).stats, Stats::default());
    enter(&mut scene, ann, ENTRY); // where nothing is played
    assert_eq!(scene.hall.person(ann).stats, Stats::default());
}

#[test]
fn counts_are_told_of_rooms_that_changed_once() {
    let mut scene = Scene::new();
    scene.member("ann");
    scene.member("ben");
    let counts = |scene: &mut Scene| {
        let mut more = false;
        let lines = scene.does(|hall, _| more = hall.count(5));
        (lines, more)
    };
    let first = ["all: room 1 has 2 people".to_owned()];
    assert_eq!(counts(&mut scene), (first.into(), false));
    assert_eq!(counts(&mut scene), (vec![], false));
    // So many messages at once, and at least one to each.
    let cat = scene.member("cat");
    scene.says(cat, Request::Enter { room: STRICT });
    let first = ["all: room 1 has 2 people".to_owned()];
    assert_eq!(counts(&mut scene), (first.into(), true));
    let second = ["all: room 2 has 1 people".to_owned()];
    assert_eq!(counts(&mut scene), (second.into(), false));
}

#[test]
fn a_room_that_is_no_longer_defined_goes_at_once_when_it_is_empty() {
    let mut scene = Scene::new();
    let mut fewer = definitions();
    fewer.rooms.remove(4);
    let lines = scene.does(|hall, _| hall.define(&fewer));
    assert_eq!(lines, ["all: room 4 is gone"]);
    assert_eq!(scene.hall.room_named("staff"), None);
    // It comes back under another number.
    let lines = scene.does(|hall, _| hall.define(&definitions()));
    assert_eq!(lines, ["all: room 5 is new: staff"]);
    assert!(scene.does(|hall, _| hall.define(&definitions())).is_empty());
}

#[test]
fn a_room_with_people_is_closed_until_the_last_has_left() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let eve = scene.come(newcomer("eve", Permissions::ADMIN), None);
    let mut fewer = definitions();
    fewer.rooms.remove(1);
    let lines = scene.does(|hall, _| hall.define(&fewer));
    assert_eq!(lines, ["all: room 1 closes"]);
    assert_eq!(enter(&mut scene, eve, DUELS), "BadOptions");
    let seen = |scene: &mut Scene, who| list(scene, who, ListOf::Room, None).contains("duels");
    assert!(seen(&mut scene, ann) && !seen(&mut scene, eve));
    // Who is there goes on as before.
    assert_eq!(enter(&mut scene, ann, DUELS), "Ok");
    let key = scene.match_of(ann, ben);
    scene.gone(ann);
    let lines = scene.gone(ben);
    assert!(lines.contains(&format!("end {}", key.0)));
    assert_eq!(lines.last().unwrap(), "all: room 1 is gone");
    assert!(!scene.stands(key));
}

#[test]
fn a_changed_room_is_another_room() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let mut changed = definitions();
    Arc::make_mut(&mut changed.rooms[1]).max_players = 2;
    let lines = scene.does(|hall, _| hall.define(&changed));
    assert_eq!(lines, ["all: room 1 closes", "all: room 5 is new: duels"]);
    assert_eq!(scene.hall.room_named("duels"), Some(RoomId(5)));
    let lines = scene.says(ann, Request::Enter { room: RoomId(5) });
    assert_eq!(
        lines,
        [
            "room 1: -ann to Some(5)",
            "all: room 1 is gone",
            "room 5 but ann: +ann from Some(1)",
            "ann: enter Ok",
        ]
    );
}

#[test]
fn room_0_cannot_go_and_is_changed_where_it_stands() {
    let mut scene = Scene::new();
    let mut changed = definitions();
    Arc::make_mut(&mut changed.rooms[0]).max_players = 0;
    assert!(scene.does(|hall, _| hall.define(&changed)).is_empty());
    let ann = scene.member("ann");
    assert_eq!(enter(&mut scene, ann, ENTRY), "RoomFull");
    changed.rooms.remove(0);
    assert!(scene.does(|hall, _| hall.define(&changed)).is_empty());
    assert_eq!(scene.hall.room_named("entry"), Some(ENTRY));
}

#[test]
fn a_game_that_is_no_longer_defined_is_neither_listed_nor_launched_but_played_on() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.table(ann);
    let mut fewer = definitions();
    fewer.games.remove(0);
    scene.does(|hall, _| hall.define(&fewer));
    assert!(scene.stands(key));
    scene.channel(ben);
    assert_eq!(
        scene.launch(ben, &["open", "open"]),
        ["ben: launch BadOptions"]
    );
    assert_eq!(
        list(&mut scene, ben, ListOf::Game, None),
        r#"ben: list Ok games ["strict"]"#
    );
    assert!(scene.joins(ben, key).contains(&"ben: join Ok".into()));
}

#[test]
fn a_changed_game_counts_for_new_tables_and_those_that_stand_stay_as_they_are() {
    let mut scene = Scene::new();
    let [ann, ben, cat, dan] = ["ann", "ben", "cat", "dan"].map(|name| scene.member(name));
    let old = scene.table(ann);
    let mut changed = definitions();
    let duel = Arc::make_mut(&mut changed.games[0]);
    duel.spectators = false;
    duel.argv = vec!["other".into()];
    // Nobody is told: what a game may be asked for is asked for.
    assert!(scene.does(|hall, _| hall.define(&changed)).is_empty());
    assert_eq!(scene.hall.room_named("duels"), Some(DUELS));
    let new = scene.table(ben);
    assert_eq!(scene.watches(cat, old)[0], "cat: join Ok");
    assert_eq!(scene.watches(dan, new)[0], "dan: join NoPermission");
    let argv = |scene: &Scene, key| scene.hall.table(key).game.argv.clone();
    assert_eq!(argv(&scene, old), ["duel"]);
    assert_eq!(argv(&scene, new), ["other"]);
}

#[test]
fn lists_of_people_and_tables_are_of_ones_own_room_or_one_that_one_may_enter() {
    let mut scene = Scene::new();
    let (ann, gus) = (scene.member("ann"), scene.guest("gus", 1));
    let key = scene.launched(ann, &["open", "bot"]);
    let tables = |scene: &mut Scene, who, room| list(scene, who, ListOf::Table, room);
    // Nobody knows of a table whose game has not spoken.
    assert_eq!(tables(&mut scene, gus, None), "gus: list Ok tables of 1 []");
    scene.state(key, GameState::Waiting);
    let found = r#"gus: list Ok tables of 1 ["[player ann, bot]"]"#;
    assert_eq!(tables(&mut scene, gus, None), found);
    let people = list(&mut scene, gus, ListOf::Player, None);
    assert_eq!(people, r#"gus: list Ok players of 1 ["ann", "gus"]"#);
    assert_eq!(
        list(&mut scene, gus, ListOf::Player, Some(STAFF)),
        "gus: list NoPermission"
    );
    assert_eq!(
        list(&mut scene, gus, ListOf::Player, Some(RoomId(9))),
        "gus: list BadOptions"
    );
    let out = scene.come(newcomer("out", Permissions::REGISTERED), None);
    assert_eq!(tables(&mut scene, out, None), "out: list NotInRoom");
    assert_eq!(
        list(&mut scene, out, ListOf::Player, None),
        "out: list NotInRoom"
    );
    let of_rooms = list(&mut scene, out, ListOf::Room, None);
    let all = r#"out: list Ok rooms ["entry", "duels", "strict", "members", "staff"]"#;
    assert_eq!(of_rooms, all);
}
