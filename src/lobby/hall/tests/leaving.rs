//! Leaving, coming back, and what is kept meanwhile.

use super::*;

/// Ann and Ben in the middle of a match, while Cat looks for a table.
fn in_mid_game() -> (Scene, [SessionId; 3], TableKey) {
    let mut scene = Scene::new();
    let people = ["ann", "ben", "cat"].map(|name| scene.member(name));
    let key = scene.match_of(people[0], people[1]);
    (scene, people, key)
}

#[test]
fn leaving_without_a_table_is_fine() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    assert_eq!(
        scene.says(ann, leave(false)),
        ["ann: leave Ok", "ann: leaves Normal"]
    );
}

#[test]
fn the_seat_of_who_leaves_a_waiting_table_is_open() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.table(ann);
    scene.joins(ben, key);
    assert_eq!(
        scene.says(ben, leave(false)),
        [
            "ben: leave Ok",
            "room 1: table 1 loses ben from Seat(1)",
            "game 1: seat 1 is open",
            "ben: leaves Normal",
        ]
    );
}

#[test]
fn the_seat_of_who_leaves_in_mid_game_is_kept_for_them_alone() {
    let (mut scene, [_, ben, cat], key) = in_mid_game();
    assert_eq!(
        scene.says(ben, leave(false))[1..3],
        [
            "room 1: table 1 loses ben from Seat(1)",
            "room 1: table 1 seat 1 is abandoned ben",
        ]
    );
    assert_eq!(scene.seats(key), "[player ann, abandoned ben]");
    assert_eq!(scene.joins(cat, key)[0], "cat: join TableFull");
    scene.channel(cat);
    assert_eq!(
        scene.says(cat, join(1, false, Some(1)))[0],
        "cat: join SeatAssignFail"
    );
    assert!(scene.joins(ben, key)[1].starts_with("game 1: seat 1 is player ben by channel"));
}

#[test]
fn who_comes_back_gets_their_seat_whichever_they_ask_for() {
    let (mut scene, [ann, ..], key) = in_mid_game();
    scene.gone(ann);
    scene.said(key, FromGame::NumSeats(3));
    assert_eq!(scene.seats(key), "[abandoned ann, player ben, open]");
    let ann = scene.member("ann");
    scene.channel(ann);
    scene.says(ann, join(1, false, Some(2)));
    assert_eq!(scene.seats(key), "[player ann, player ben, open]");
}

#[test]
fn a_guest_is_the_same_by_name_and_address() {
    let mut scene = Scene::new();
    let (ann, gus) = (scene.member("ann"), scene.guest("gus", 1));
    let key = scene.match_of(ann, gus);
    scene.gone(gus);
    let namesake = scene.guest("Gus", 2);
    assert_eq!(scene.joins(namesake, key)[0], "Gus: join TableFull");
    scene.gone(namesake);
    let gus = scene.guest("GUS", 1);
    assert_eq!(scene.joins(gus, key)[0], "GUS: join Ok");
    assert_eq!(scene.seats(key), "[player ann, player GUS]");
}

#[test]
fn a_seat_is_kept_while_its_person_plays_elsewhere() {
    let (mut scene, [_, ben, cat], first) = in_mid_game();
    scene.says(ben, leave(false));
    let second = scene.table(cat);
    scene.joins(ben, second);
    assert_eq!(scene.seats(first), "[player ann, abandoned ben]");
    scene.says(ben, leave(false));
    scene.joins(ben, first);
    assert_eq!(scene.seats(first), "[player ann, player ben]");
}

#[test]
fn a_game_without_leave_is_left_only_by_force_which_ends_it() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    for who in [ann, ben] {
        scene.says(who, Request::Enter { room: STRICT });
    }
    let key = scene.match_of(ann, ben);
    assert_eq!(scene.says(ann, leave(false)), ["ann: leave LeaveForbidden"]);
    let lines = scene.says(ann, leave(true));
    assert_eq!(lines[0], "ann: leave Ok");
    assert!(lines.contains(&"ann: leaves Normal".into()));
    assert!(lines.contains(&"ben: leaves GameOver".into()));
    assert_eq!(
        lines[lines.len() - 2..],
        ["room 2: table 1 is gone", "end 1"]
    );
    assert!(!scene.stands(key));
    // Before it is played it can be left.
    let key = scene.table(ann);
    assert_eq!(scene.says(ann, leave(false))[0], "ann: leave Ok");
    assert!(scene.stands(key), "this game stays when all have left");
}

#[test]
fn the_game_ends_with_the_last_player_and_who_watches_is_told() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.table(ann);
    scene.watches(ben, key);
    assert_eq!(
        scene.says(ann, leave(false)),
        [
            "ann: leave Ok",
            "room 1: table 1 loses ann from Seat(0)",
            "game 1: seat 0 is open",
            "ben: leaves GameOver",
            "room 1: table 1 loses ben from Spectator(0)",
            "room 1: table 1 is gone",
            "end 1",
            "ann: leaves Normal",
        ]
    );
}

#[test]
fn a_table_that_all_lost_is_kept_a_while() {
    let (mut scene, [ann, ben, _], key) = in_mid_game();
    scene.gone(ann);
    scene.passes(KEPT);
    scene.gone(ben);
    assert!(scene.passes(KEPT - Duration::from_secs(1)).is_empty());
    // Whoever comes back stops the clock.
    let ann = scene.member("ann");
    scene.joins(ann, key);
    assert!(scene.passes(KEPT).is_empty());
    scene.gone(ann);
    let lines = scene.passes(KEPT);
    assert_eq!(lines, ["room 1: table 1 is gone", "end 1"]);
}

#[test]
fn a_table_that_all_lost_goes_with_time_although_somebody_watches() {
    let (mut scene, [ann, ben, cat], key) = in_mid_game();
    scene.watches(cat, key);
    scene.gone(ann);
    scene.gone(ben);
    assert!(scene.stands(key));
    assert_eq!(scene.passes(KEPT)[0], "cat: leaves GameOver");
}

#[test]
fn a_waiting_table_is_not_kept_for_who_was_lost() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.table(ann);
    assert!(scene.gone(ann).contains(&"end 1".into()));
    assert!(!scene.stands(key));
}
