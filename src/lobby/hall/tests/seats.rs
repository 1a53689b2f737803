//! Changing seats.

use super::*;

fn reseats(scene: &mut Scene, who: SessionId, action: Reseat, seat: Option<u32>) -> String {
    let lines = scene.says(who, reseat(action, seat));
    let (_, code) = lines.last().unwrap().split_once("reseat ").unwrap();
    code.into()
}

#[test]
fn who_stands_up_watches_and_who_sits_down_plays_on_the_same_connection() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.table(ann);
    scene.joins(ben, key);
    assert_eq!(
        scene.says(ben, reseat(Reseat::Stand, None)),
        [
            "room 1: table 1 loses ben from Seat(1)",
            "room 1: table 1 has ben at Spectator(0)",
            "game 1: from seat 1 to watching 0",
            "ben: reseat Ok",
        ]
    );
    assert_eq!(
        scene.says(ben, reseat(Reseat::Sit, None)),
        [
            "room 1: table 1 loses ben from Spectator(0)",
            "room 1: table 1 has ben at Seat(1)",
            "game 1: from watching 0 to seat 1",
            "ben: reseat Ok",
        ]
    );
}

#[test]
fn a_seat_that_is_left_in_mid_game_is_abandoned_and_taken_again() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    assert_eq!(reseats(&mut scene, ben, Reseat::Stand, None), "Ok");
    assert_eq!(
        scene.seats(key),
        "[player ann, abandoned ben] watched by ben"
    );
    assert_eq!(reseats(&mut scene, ben, Reseat::Sit, None), "Ok");
    assert_eq!(scene.seats(key), "[player ann, player ben]");
}

#[test]
fn a_move_goes_to_the_seat_that_is_asked_for() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    scene.said(key, FromGame::NumSeats(4));
    assert_eq!(
        reseats(&mut scene, ann, Reseat::Move, Some(1)),
        "SeatAssignFail"
    );
    assert_eq!(
        reseats(&mut scene, ann, Reseat::Move, Some(0)),
        "SeatAssignFail"
    );
    assert_eq!(
        reseats(&mut scene, ann, Reseat::Move, Some(4)),
        "BadOptions"
    );
    assert_eq!(reseats(&mut scene, ann, Reseat::Move, Some(3)), "Ok");
    assert_eq!(
        scene.seats(key),
        "[abandoned ann, player ben, open, player ann]"
    );
    assert_eq!(reseats(&mut scene, ann, Reseat::Move, Some(2)), "Ok");
    assert_eq!(reseats(&mut scene, ann, Reseat::Move, Some(0)), "Ok");
    assert_eq!(
        scene.seats(key),
        "[player ann, player ben, abandoned ann, abandoned ann]"
    );
}

#[test]
fn a_reseat_needs_a_table_and_the_right_place_and_the_permission() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    assert_eq!(reseats(&mut scene, ann, Reseat::Sit, None), "NoTable");
    let key = scene.launched(ann, &["open", "open"]);
    assert_eq!(reseats(&mut scene, ann, Reseat::Stand, None), "InTransit");
    scene.state(key, GameState::Waiting);
    scene.watches(ben, key);
    assert_eq!(reseats(&mut scene, ann, Reseat::Sit, None), "BadOptions");
    assert_eq!(reseats(&mut scene, ben, Reseat::Stand, None), "BadOptions");
    assert_eq!(
        reseats(&mut scene, ben, Reseat::Move, Some(1)),
        "BadOptions"
    );
    scene.said(key, FromGame::Bot(1));
    assert_eq!(reseats(&mut scene, ben, Reseat::Sit, None), "TableFull");
    let less = Permissions::REGISTERED.with(Permission::JoinTable, false);
    scene.does(|hall, _| hall.permit(ben, less));
    assert_eq!(reseats(&mut scene, ben, Reseat::Sit, None), "NoPermission");
}

#[test]
fn nobody_moves_where_leaving_is_not_allowed() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    scene.says(ann, Request::Enter { room: STRICT });
    scene.table(ann);
    assert_eq!(
        reseats(&mut scene, ann, Reseat::Move, Some(1)),
        "LeaveForbidden"
    );
}

#[test]
fn the_last_player_may_stand_up_and_sit_down_again_for_a_while() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.table(ann);
    assert_eq!(reseats(&mut scene, ann, Reseat::Stand, None), "Ok");
    assert_eq!(reseats(&mut scene, ann, Reseat::Sit, None), "Ok");
    assert!(scene.passes(KEPT).is_empty());
    assert_eq!(reseats(&mut scene, ann, Reseat::Stand, None), "Ok");
    assert_eq!(scene.passes(KEPT)[0], "ann: leaves GameOver");
    assert!(!scene.stands(key));
}

#[test]
fn a_table_ends_when_the_last_who_could_sit_down_has_gone() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.table(ann);
    scene.watches(ben, key);
    reseats(&mut scene, ann, Reseat::Stand, None);
    scene.says(ann, leave(false));
    assert!(scene.stands(key));
    let lines = scene.says(ben, leave(false));
    assert!(lines.contains(&"end 1".into()), "{lines:?}");
    assert_eq!(lines.last().unwrap(), "ben: leaves Normal");
}

#[test]
fn who_watches_a_deserted_game_may_play_it_on() {
    let mut scene = Scene::new();
    let (ann, ben, cat) = (
        scene.member("ann"),
        scene.member("ben"),
        scene.member("cat"),
    );
    let key = scene.match_of(ann, ben);
    scene.watches(cat, key);
    scene.said(key, FromGame::NumSeats(3));
    scene.gone(ann);
    scene.gone(ben);
    assert_eq!(reseats(&mut scene, cat, Reseat::Sit, None), "Ok");
    assert!(scene.passes(KEPT).is_empty());
    assert_eq!(
        scene.seats(key),
        "[abandoned ann, abandoned ben, player cat]"
    );
}

#[test]
fn a_table_with_a_seat_kept_for_somebody_waits_for_them() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let key = scene.launched(ann, &["open", "reserved ben"]);
    scene.state(key, GameState::Waiting);
    reseats(&mut scene, ann, Reseat::Stand, None);
    scene.says(ann, leave(false));
    assert!(scene.stands(key));
    assert_eq!(scene.passes(KEPT).last().unwrap(), "end 1");
}
