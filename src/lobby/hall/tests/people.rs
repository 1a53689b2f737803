//! Coming, going, and what people may.

use super::*;

#[test]
fn who_comes_in_is_told_so_and_reads_the_message_of_the_day() {
    let mut scene = Scene::new();
    let ann = SessionId(1);
    scene.names.insert(ann, "ann".into());
    let mut fresh = newcomer("ann", Permissions::REGISTERED);
    fresh.fresh = Some(Secret::new("secret"));
    let lines = scene.does(|hall, _| hall.come(ann, fresh).unwrap());
    assert_eq!(lines, ["ann: login Ok secret", "ann: motd hello"]);
}

#[test]
fn a_name_is_here_once_whatever_its_case_until_its_person_goes() {
    let mut scene = Scene::new();
    let ann = scene.member("Ann");
    let again = |hall: &mut Hall| hall.come(SessionId(99), guest("aNN", 7));
    assert!(scene.hall.is_here("ANN"));
    assert_eq!(again(&mut scene.hall), Err(Code::AlreadyLoggedIn));
    assert!(scene.hall.effects().is_empty());
    assert_eq!(scene.gone(ann), ["room 1: -Ann to None"]);
    assert!(!scene.hall.is_here("ann"));
    assert_eq!(again(&mut scene.hall), Ok(()));
}

#[test]
fn nobody_is_called_like_the_box() {
    let mut scene = Scene::new();
    let posing = guest("[sERVER]", 1);
    assert_eq!(
        scene.hall.come(SessionId(1), posing),
        Err(Code::BadUsername)
    );
}

#[test]
fn an_accounts_session_is_found_by_its_account() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    scene.guest("gus", 1);
    let account = scene.hall.who(ann).unwrap().account.unwrap();
    assert_eq!(scene.hall.member(account), Some(ann));
    scene.gone(ann);
    assert_eq!(scene.hall.member(account), None);
}

#[test]
fn who_has_just_left_can_do_nothing_and_nothing_can_be_done_to_them() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let account = scene.hall.who(ann).unwrap().account.unwrap();
    scene.gone(ann);
    assert!(scene.gone(ann).is_empty());
    let requests = [
        Request::Enter { room: ENTRY },
        Request::Rankings,
        Request::Token,
        join(1, false, None),
        leave(true),
        reseat(Reseat::Stand, None),
    ];
    for request in requests {
        assert!(scene.says(ann, request).is_empty());
    }
    assert!(scene.does(|hall, _| hall.lag(ann, 3)).is_empty());
    assert!(
        scene
            .does(|hall, _| hall.permit(ann, Permissions::ADMIN))
            .is_empty()
    );
    assert!(
        scene
            .does(|hall, _| hall.rated("duel", account, Stats::default()))
            .is_empty()
    );
    assert!(!scene.hall.channel("ann", address(1), None, ChannelKey(5)));
    let lines = scene.does(|hall, world| assert!(!hall.kick(ann, "hal", "why not", world)));
    assert!(lines.is_empty());
    assert!(!scene.hall.keeps_order(ann));
    assert_eq!(scene.hall.who(ann), None);
}

#[test]
fn who_is_kicked_reads_why_and_then_their_connection_ends() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let channel = scene.channel(ann);
    let lines = scene.does(|hall, world| assert!(hall.kick(ann, "hal", "enough", world)));
    let close = format!("close channel {}", channel.0);
    assert_eq!(
        lines,
        [
            "ann: chat Private by hal: enough",
            "ann: end of document",
            "disconnect ann",
            "room 1: -ann to None",
            &close,
        ]
    );
    assert!(scene.gone(ann).is_empty());
}

#[test]
fn the_seat_of_who_is_kicked_in_mid_game_is_not_kept() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.match_of(ann, ben);
    scene.does(|hall, world| assert!(hall.kick(ben, "hal", "enough", world)));
    assert_eq!(scene.seats(key), "[player ann, open]");
}

#[test]
fn who_watches_can_be_kicked() {
    let mut scene = Scene::new();
    let (ann, ben) = (scene.member("ann"), scene.member("ben"));
    let key = scene.table(ann);
    scene.watches(ben, key);
    let lines = scene.does(|hall, world| assert!(hall.kick(ben, "hal", "enough", world)));
    assert!(lines.contains(&"game 1: nobody watches as 0".into()));
    assert_eq!(scene.seats(key), "[player ann, open]");
}

#[test]
fn a_launcher_who_is_kicked_or_lost_takes_the_unborn_table_along() {
    for kicks in [true, false] {
        let mut scene = Scene::new();
        let ann = scene.member("ann");
        let key = scene.launched(ann, &["open", "open"]);
        let lines = scene.does(|hall, world| match kicks {
            true => assert!(hall.kick(ann, "hal", "enough", world)),
            false => hall.gone(ann, world),
        });
        assert!(lines.contains(&format!("end {}", key.0)), "{lines:?}");
        assert!(
            !lines.iter().any(|line| line.contains("table 1")),
            "{lines:?}"
        );
        assert!(!scene.stands(key));
        assert!(scene.state(key, GameState::Waiting).is_empty());
    }
}

#[test]
fn a_room_is_told_of_permissions_and_lag_when_they_change_and_only_then() {
    let mut scene = Scene::new();
    let (ann, gus) = (scene.member("ann"), scene.guest("gus", 1));
    let more = Permissions::REGISTERED.with(Permission::EditTables, true);
    let lines = scene.does(|hall, _| hall.permit(ann, more));
    assert_eq!(lines, ["room 1: ann is Host with 0x00000087"]);
    assert!(scene.does(|hall, _| hall.permit(ann, more)).is_empty());
    // A guest stays one, whatever they may.
    let lines = scene.does(|hall, _| hall.permit(gus, more));
    assert_eq!(lines, ["room 1: gus is Guest with 0x00000087"]);
    let lines = scene.does(|hall, _| hall.lag(ann, 3));
    assert_eq!(lines, ["room 1: ann has lag 3"]);
    assert!(scene.does(|hall, _| hall.lag(ann, 3)).is_empty());
}

#[test]
fn nobody_is_told_of_what_changes_about_who_is_in_no_room() {
    let mut scene = Scene::new();
    let ann = scene.come(newcomer("ann", Permissions::REGISTERED), None);
    assert!(scene.does(|hall, _| hall.lag(ann, 2)).is_empty());
    assert!(
        scene
            .does(|hall, _| hall.permit(ann, Permissions::HOST))
            .is_empty()
    );
    assert!(scene.hall.keeps_order(ann));
}

#[test]
fn a_channel_comes_from_the_persons_address_or_with_their_token() {
    let mut scene = Scene::new();
    scene.guest("gus", 1);
    let mut offer = |name: &str, from, token| {
        let channel = ChannelKey(scene.next());
        scene.hall.channel(name, address(from), token, channel)
    };
    assert!(offer("gus", 1, None));
    assert!(offer("GUS", 9, Some("token of gus")));
    assert!(!offer("gus", 9, None));
    assert!(!offer("gus", 1, Some("token of ann")));
    assert!(!offer("nobody", 1, None));
}

#[test]
fn a_second_channel_takes_the_place_of_the_first() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let first = scene.channel(ann);
    assert!(scene.hall.effects().is_empty());
    scene.channel(ann);
    assert_eq!(scene.hall.effects(), [Effect::Close(first)]);
}

#[test]
fn who_asks_for_it_is_told_their_token() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    assert_eq!(scene.says(ann, Request::Token), ["ann: token token of ann"]);
}

#[test]
fn new_statistics_are_told_where_their_game_is_played_and_never_a_guests() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let account = scene.hall.who(ann).unwrap().account.unwrap();
    let stats = Stats {
        records: Some([1, 2, 3, 4]),
        ..Stats::default()
    };
    let lines = scene.does(|hall, _| hall.rated("duel", account, stats));
    assert_eq!(lines, ["room 1: ann has Some([1, 2, 3, 4])"]);
    assert!(
        scene
            .does(|hall, _| hall.rated("strict", account, stats))
            .is_empty()
    );
    let hidden = Permissions::REGISTERED.with(Permission::NoStats, true);
    scene.does(|hall, _| hall.permit(ann, hidden));
    assert!(
        scene
            .does(|hall, _| hall.rated("duel", account, stats))
            .is_empty()
    );
}

#[test]
fn a_language_changes_what_lists_are_in() {
    let mut scene = Scene::new();
    let ann = scene.member("ann");
    let language = "de_AT".into();
    assert!(scene.says(ann, Request::Language { language }).is_empty());
    let list = Request::List {
        what: ListOf::Game,
        full: false,
        room: None,
    };
    assert_eq!(
        scene.says(ann, list),
        [r#"ann: list Ok games ["duel auf Deutsch", "strict auf Deutsch"]"#]
    );
}
