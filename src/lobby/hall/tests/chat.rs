//! Who hears what.

use super::*;
use crate::lobby::wire::terms::ChatKind;

fn says(scene: &mut Scene, who: SessionId, kind: ChatKind, to: Option<&str>) -> Vec<String> {
    chat(scene, who, Some(kind), to)
}

fn chat(
    scene: &mut Scene,
    who: SessionId,
    kind: Option<ChatKind>,
    to: Option<&str>,
) -> Vec<String> {
    let (to, text) = (to.map(Into::into), "hi".into());
    scene.says(who, Request::Chat { kind, to, text })
}

#[test]
fn the_room_hears_its_people_themselves_included_after_the_result() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    assert_eq!(
        says(&mut scene, ann, ChatKind::Normal, None),
        ["ann: chat Ok", "room 1: chat Normal by ann: hi"]
    );
    let out = scene.come(newcomer("out", Permissions::REGISTERED), None);
    assert_eq!(
        says(&mut scene, out, ChatKind::Normal, None),
        ["out: chat NotInRoom"]
    );
}

#[test]
fn a_kind_that_does_not_exist_goes_to_the_room_without_one() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    assert_eq!(
        chat(&mut scene, ann, None, None),
        ["ann: chat Ok", "room 1: chat of no kind by ann: hi"]
    );
}

#[test]
fn everybody_hears_those_who_may_announce() {
    let mut scene = Scene::new();
    let (ann, hal) = (scene.member("ann"), scene.host("hal"));
    assert_eq!(
        says(&mut scene, ann, ChatKind::Announce, None),
        ["ann: chat NoPermission"]
    );
    assert_eq!(
        says(&mut scene, hal, ChatKind::Announce, None),
        ["hal: chat Ok", "all: chat Announce by hal: hi"]
    );
}

#[test]
fn a_table_hears_its_players_and_who_watches() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    assert_eq!(
        says(&mut scene, ann, ChatKind::Table, None),
        ["ann: chat NoTable"]
    );
    let key = scene.launched(ann, &["open", "open"]);
    assert_eq!(
        says(&mut scene, ann, ChatKind::Table, None),
        ["ann: chat NoTable"]
    );
    scene.state(key, GameState::Waiting);
    scene.watches(ben, key);
    let heard = [
        "ben: chat Ok",
        "ann: chat Table by ben: hi",
        "ben: chat Table by ben: hi",
    ];
    assert_eq!(says(&mut scene, ben, ChatKind::Table, None), heard);
}

#[test]
fn private_words_reach_one_person_in_any_room_and_a_beep_has_no_text() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    scene.come(newcomer("ben", Permissions::REGISTERED), Some(ENTRY));
    assert_eq!(
        says(&mut scene, ann, ChatKind::Private, Some("BEN")),
        ["ann: chat Ok", "ben: chat Private by ann: hi"]
    );
    assert_eq!(
        says(&mut scene, ann, ChatKind::Beep, Some("ben")),
        ["ann: chat Ok", "ben: chat Beep by ann: (no text)"]
    );
    let to_nobody = says(&mut scene, ann, ChatKind::Private, Some("nobody"));
    assert_eq!(to_nobody, ["ann: chat UsrLookup"]);
    assert_eq!(
        says(&mut scene, ann, ChatKind::Beep, None),
        ["ann: chat BadOptions"]
    );
}

#[test]
fn people_at_tables_hear_private_words_only_from_and_as_those_who_may() {
    let mut scene = Scene::new();
    let (ann, ben, hal) = (scene.member("ann"), scene.member("ben"), scene.host("hal"));
    let key = scene.launched(ann, &["open", "open"]);
    let whisper =
        |scene: &mut Scene, who, to| says(scene, who, ChatKind::Private, Some(to)).remove(0);
    assert_eq!(whisper(&mut scene, ben, "ann"), "ben: chat Ok");
    scene.state(key, GameState::Waiting);
    assert_eq!(whisper(&mut scene, ben, "ann"), "ben: chat AtTable");
    assert_eq!(whisper(&mut scene, ann, "ben"), "ann: chat AtTable");
    assert_eq!(whisper(&mut scene, hal, "ann"), "hal: chat Ok");
    assert_eq!(whisper(&mut scene, ann, "hal"), "ann: chat Ok");
    scene.watches(ben, key);
    assert_eq!(whisper(&mut scene, ann, "ben"), "ann: chat AtTable");
}

#[test]
fn who_is_gagged_hears_themselves_and_is_heard_by_those_who_keep_order() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    scene.member("ben");
    scene.host("hal");
    let who = scene.hall.who(ann).unwrap().clone();
    assert!(scene.hall.gag(&who) && !scene.hall.gag(&who));
    assert_eq!(
        says(&mut scene, ann, ChatKind::Normal, None),
        ["ann: chat Ok", "ann: chat Normal by ann: hi"]
    );
    assert_eq!(
        says(&mut scene, ann, ChatKind::Private, Some("ben")),
        ["ann: chat Ok"]
    );
    assert_eq!(
        says(&mut scene, ann, ChatKind::Private, Some("hal")),
        ["ann: chat Ok", "hal: chat Private by ann: hi"]
    );
    let key = scene.table(ann);
    let ben = scene.hall.named("ben").unwrap();
    scene.joins(ben, key);
    assert_eq!(
        says(&mut scene, ann, ChatKind::Table, None),
        ["ann: chat Ok", "ann: chat Table by ann: hi"]
    );
    assert!(scene.hall.ungag("ANN", who.account) && !scene.hall.ungag("ann", who.account));
    assert_eq!(says(&mut scene, ann, ChatKind::Normal, None).len(), 2);
}

#[test]
fn a_gag_outlasts_a_login_and_holds_for_announcements_and_calls() {
    let mut scene = Scene::new();
    let hal = scene.host("hal");
    let who = scene.hall.who(hal).unwrap().clone();
    scene.hall.gag(&who);
    scene.gone(hal);
    let hal = scene.host("hal");
    assert_eq!(
        says(&mut scene, hal, ChatKind::Announce, None),
        ["hal: chat Ok", "hal: chat Announce by hal: hi"]
    );
    assert!(!scene.hall.call(None, "Hal", who.account, "hi"));
    assert!(scene.hall.effects().is_empty());
}

#[test]
fn a_gag_is_a_persons_and_not_their_names() {
    let mut scene = Scene::new();
    let gus = scene.guest("gus", 1);
    let who = scene.hall.who(gus).unwrap().clone();
    scene.hall.gag(&who);
    scene.gone(gus);
    // Another guest of that name, from elsewhere.
    let other = scene.guest("GUS", 2);
    assert!(!scene.hall.is_gagged(other));
    scene.gone(other);
    let back = scene.guest("Gus", 1);
    assert!(scene.hall.is_gagged(back));
    scene.gone(back);
    // Whoever lifts it does so by name, though nobody is here.
    assert!(scene.hall.ungag("gus", None));
    let back = scene.guest("gus", 1);
    assert!(!scene.hall.is_gagged(back));
}

#[test]
fn a_gagged_guest_who_makes_an_account_of_their_name_stays_gagged() {
    let mut scene = Scene::new();
    let gus = scene.guest("gus", 1);
    let who = scene.hall.who(gus).unwrap().clone();
    scene.hall.gag(&who);
    scene.gone(gus);
    for (fresh, gagged) in [(None, false), (Some(Secret::new("secret")), true)] {
        let mut newcomer = guest("gus", 1);
        newcomer.who.account = Some(AccountId(77));
        newcomer.fresh = fresh;
        let id = scene.come(newcomer, None);
        assert_eq!(scene.hall.is_gagged(id), gagged);
        scene.gone(id);
    }
}

#[test]
fn who_is_not_there_can_call_into_a_room_or_into_all() {
    let mut scene = Scene::new();
    let lines = scene.does(|hall, _| assert!(hall.call(Some(DUELS), "web", None, "hi")));
    assert_eq!(lines, ["room 1: chat Normal by web: hi"]);
    let lines = scene.does(|hall, _| assert!(hall.call(None, "web", None, "hi")));
    assert_eq!(lines, ["all: chat Announce by web: hi"]);
}
