//! Joining and watching.

use super::*;
use crate::lobby::hall::table::SPECTATORS;

#[test]
fn a_join_is_answered_before_what_follows_from_it() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.table(ann);
    let lines = scene.joins(ben, key);
    let channel = scene.next;
    assert_eq!(
        lines,
        [
            "ben: join Ok",
            &format!("game 1: seat 1 is player ben by channel {channel}"),
            "ben: sits at 1",
            "room 1: table 1 has ben at Seat(1)",
        ]
    );
}

#[test]
fn a_join_uses_its_channel_up_once_the_table_is_looked_for() {
    let mut scene = Scene::new();
    let (ann, ben, cat) = (
        scene.member("ann"),
        scene.member("ben"),
        scene.member("cat"),
    );
    let key = scene.table(ann);
    let tries = |scene: &mut Scene, request: Request| {
        let channel = scene.channel(cat).0;
        let lines = scene.says(cat, request);
        let kept = scene.hall.person(cat).channel.is_some();
        let closed = lines.contains(&format!("close channel {channel}"));
        assert_ne!(kept, closed, "{lines:?}");
        scene.hall.person_mut(cat).channel = None;
        (lines[0].clone(), closed)
    };
    let used = |code: &str| (format!("cat: join {code}"), true);
    let kept = |code: &str| (format!("cat: join {code}"), false);
    assert_eq!(tries(&mut scene, join(9, false, None)), used("NoTable"));
    assert_eq!(tries(&mut scene, join(9, true, None)), used("NoTable"));
    assert_eq!(
        tries(&mut scene, join(1, false, Some(9))),
        used("BadOptions")
    );
    assert_eq!(
        tries(&mut scene, join(1, false, Some(0))),
        used("SeatAssignFail")
    );
    scene.joins(ben, key);
    assert_eq!(tries(&mut scene, join(1, false, None)), used("TableFull"));
    let less = Permissions::REGISTERED.with(Permission::JoinTable, false);
    scene.does(|hall, _| hall.permit(cat, less));
    assert_eq!(
        tries(&mut scene, join(1, false, None)),
        kept("NoPermission")
    );
    assert_eq!(scene.says(ann, join(1, false, None)), ["ann: join AtTable"]);
}

#[test]
fn a_join_needs_a_channel_and_a_room_and_watching_fails_later_without_one() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    scene.table(ann);
    assert_eq!(
        scene.says(ben, join(1, false, None)),
        ["ben: join NoChannel"]
    );
    assert_eq!(
        scene.says(ben, join(1, true, None)),
        ["ben: join SeatAssignFail"]
    );
    assert_eq!(scene.says(ben, join(9, true, None)), ["ben: join NoTable"]);
    let out = scene.come(newcomer("out", Permissions::REGISTERED), None);
    scene.channel(out);
    assert_eq!(
        scene.says(out, join(1, false, None)),
        ["out: join NotInRoom"]
    );
}

#[test]
fn a_table_whose_game_has_not_spoken_cannot_be_joined() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.launched(ann, &["open", "open"]);
    assert_eq!(scene.joins(ben, key)[0], "ben: join NoTable");
}

#[test]
fn who_watches_has_a_number_that_is_used_again() {
    let mut scene = Scene::new();
    let (ann, ben, cat) = (
        scene.member("ann"),
        scene.member("ben"),
        scene.member("cat"),
    );
    let key = scene.table(ann);
    let lines = scene.watches(ben, key);
    let channel = scene.next;
    assert_eq!(
        lines,
        [
            "ben: join Ok",
            &format!("game 1: ben watches as 0 by channel {channel}"),
            "ben: watches 1",
            "room 1: table 1 has ben at Spectator(0)",
        ]
    );
    assert!(scene.watches(cat, key)[1].contains("cat watches as 1"));
    assert_eq!(
        scene.says(ben, leave(false)),
        [
            "ben: leave Ok",
            "game 1: nobody watches as 0",
            "room 1: table 1 loses ben from Spectator(0)",
            "ben: leaves Normal",
        ]
    );
    assert!(scene.watches(ben, key)[1].contains("ben watches as 0"));
}

#[test]
fn a_game_without_spectators_lets_nobody_watch() {
    let mut scene = Scene::new();
    let people = ["ann", "ben"].map(|name| scene.member(name));
    for who in people {
        scene.says(who, Request::Enter { room: STRICT });
    }
    let key = scene.table(people[0]);
    assert_eq!(scene.watches(people[1], key)[0], "ben: join NoPermission");
    assert_eq!(
        scene.says(people[0], reseat(Reseat::Stand, None)),
        ["ann: reseat NoPermission"]
    );
}

#[test]
fn so_many_watch_and_no_more_and_none_of_them_takes_a_players_place() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    Arc::make_mut(&mut scene.hall.rooms[1].definition).max_players = 100;
    for number in 0..SPECTATORS {
        let watcher = scene.member(&format!("watcher{number:02}"));
        assert!(
            scene.watches(watcher, key)[0].ends_with("join Ok"),
            "{number}"
        );
    }
    let late = scene.member("late");
    assert_eq!(scene.watches(late, key)[0], "late: join TableFull");
    // Nor may a player join them, by standing up.
    let stand = reseat(Reseat::Stand, None);
    assert_eq!(scene.says(ann, stand), ["ann: reseat TableFull"]);
    scene.gone(ben);
    let ben = scene.member("ben");
    assert!(scene.joins(ben, key)[0].ends_with("join Ok"));
}
