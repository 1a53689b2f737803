//! A game of others, `tests/games/told.py`, from end to end: what it reports, saves and does wrong is what players see.

use std::{fs, os::unix::fs::PermissionsExt, path::Path, time::Instant};

use longhouse::lobby::wire::terms::{Permission, Permissions};
use serde_json::{Value, json};

use crate::{
    OPEN,
    common::{
        House, PATIENCE,
        ggz::{Channel, Client, account, attribute, password},
        installed,
    },
    place,
};

const NAMES: [&str; 4] = ["bea", "carl", "dora", "emil"];

/// A box with the game and a room for it, and accounts; none where there is no Python.
async fn table_house() -> Option<House> {
    if !installed("/usr/bin/python3") {
        return None;
    }
    let mut house = House::unlocked(&[]);
    house.stock(&[]);
    let data = house.data();
    let open = |path: &Path| fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    for folder in ["tables", "rooms"] {
        fs::create_dir(data.join(folder)).unwrap();
    }
    for path in [data.parent().unwrap(), &data, &data.join("tables")] {
        open(path);
    }
    for file in ["minimal.py", "told.py"] {
        let program = data.join("tables").join(file);
        fs::copy(Path::new("tests/games").join(file), &program).unwrap();
        open(&program);
    }
    let game = "[GameInfo]\nName = Told\nVersion = 1\n[LaunchInfo]\nExecutablePath = told.py\n\
                [Protocol]\nEngine = Told\nVersion = 1\n[TableOptions]\nAllowLeave = 1\nPlayersAllowed = 2..4\n\
                AllowRestore = 1\n[Statistics]\nRecords = 1\nRatings = 1\nHighscores = 1\n";
    fs::write(data.join("tables/told.dsc"), game).unwrap();
    let room = "[RoomInfo]\nName = Told\nGameType = Told\n";
    fs::write(data.join("rooms/told.room"), room).unwrap();
    house.settle().await;
    for name in NAMES {
        account(&house, name, "player");
    }
    Some(house)
}

/// What a login over the API gives.
async fn token(house: &House, name: &str) -> String {
    let login = json!({"name": name, "password": password(name)});
    let session = house.ok("POST", "/api/v1/login", Some(login)).await;
    session["token"].as_str().unwrap().into()
}

/// The game does it, and says so.
fn tell(game: &mut Channel, order: &str) {
    game.say(order);
    assert_eq!(game.line().unwrap(), format!("done {order}"));
}

/// Wins, losses, ties, forfeits and highscore, as the room is shown them.
fn standing(client: &mut Client, name: &str) -> [i64; 5] {
    let player = client.player(name);
    ["WINS", "LOSSES", "TIES", "FORFEITS", "HIGHSCORE"]
        .map(|one| attribute(&player, one).parse().unwrap())
}

fn rating(client: &mut Client, name: &str) -> f64 {
    attribute(&client.player(name), "RATING").parse().unwrap()
}

async fn history(house: &House) -> [Value; 2] {
    let matches = house.ok("GET", "/api/v1/lobby/matches?game=told", None);
    let rankings = "/api/v1/lobby/rankings?game=told&count=9";
    [matches.await, house.ok("GET", rankings, None).await]
}

#[tokio::test]
async fn teams_ties_forfeits_and_highscores_count_and_are_there_after_a_restart() {
    let Some(mut house) = table_house().await else {
        return;
    };
    let (room, game) = place(&house, "Told", "Told");
    let mut people = NAMES.map(|name| Client::member_in(&house, name, room));
    let seats = [0, 1, 2, 3].map(|seat| format!("<SEAT NUM='{seat}' TYPE='open'/>"));
    let [bea, carl, dora, emil] = &mut people;
    let (mut hers, table) = bea.launch(&house, game, &seats.each_ref().map(String::as_str));
    assert_eq!(hers.line().unwrap(), "bea has seat 0, saved game ''");
    let _channels = [&mut *carl, dora, emil].map(|one| one.join(&house, table));
    let rated = |bea: &mut Client| {
        for _ in NAMES {
            bea.until("ACTION='stats'");
        }
    };

    // Two teams: the members of each gain and lose alike.
    tell(&mut hers, "state 2");
    let teams = "report bea 3 0 0 10, carl 3 0 0 8, dora 3 1 1 3, emil 3 1 1 -2";
    tell(&mut hers, teams);
    rated(bea);
    assert_eq!(
        NAMES.map(|name| rating(bea, name)),
        [1515.0, 1515.0, 1485.0, 1485.0]
    );
    assert_eq!(standing(bea, "bea"), [1, 0, 0, 0, 10]);
    assert_eq!(standing(bea, "emil"), [0, 1, 0, 0, 0]);

    // A tie of four; whoever stood lower gains by it.
    tell(&mut hers, "state 1");
    tell(&mut hers, "state 2");
    tell(
        &mut hers,
        "report bea 3 -1 2 4, carl 3 -1 2 12, dora 3 -1 2 0, emil 3 -1 2 0",
    );
    rated(bea);
    assert_eq!(standing(bea, "bea"), [1, 0, 1, 0, 10]);
    assert_eq!(standing(bea, "carl"), [1, 0, 1, 0, 12]);
    assert!(rating(bea, "bea") < 1515.0 && rating(bea, "dora") > 1485.0);

    // One leaves in mid-match, and forfeits it.
    tell(&mut hers, "state 1");
    tell(&mut hers, "state 2");
    bea.until("STATUS='2'");
    assert_eq!(emil.ask("<LEAVE/>"), "ok");
    bea.until("TYPE='abandoned'>emil<");
    tell(
        &mut hers,
        "report bea 3 -1 0 1, carl 3 -1 1 0, dora 3 -1 4 0, emil 5 -1 3 0",
    );
    rated(bea);
    assert_eq!(standing(bea, "emil"), [0, 1, 1, 1, 0]);
    assert_eq!(standing(bea, "dora"), [0, 1, 1, 0, 3]);

    let before = history(&house).await;
    let [matches, rankings] = &before;
    let of = |number: usize, name: &str| {
        let players = matches[number]["players"].as_array().unwrap();
        players
            .iter()
            .find(|one| one["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(matches.as_array().unwrap().len(), 3, "{matches}");
    let first = of(2, "dora");
    assert_eq!(
        (&first["team"], &first["outcome"], &first["rating"]),
        (&json!(1), &json!("loss"), &json!([1500.0, 1485.0]))
    );
    assert_eq!(
        (&of(1, "carl")["outcome"], &matches[1]["winner"]),
        (&json!("tie"), &Value::Null)
    );
    assert_eq!(
        (
            &of(0, "emil")["kind"],
            &of(0, "emil")["outcome"],
            &matches[0]["winner"]
        ),
        (&json!("abandoned"), &json!("forfeit"), &json!("bea"))
    );
    let leaders: Vec<_> = rankings.as_array().unwrap().iter().collect();
    let leaders = leaders.iter().map(|one| (&one["player"], &one["score"]));
    let expected = [("carl", 12.0), ("bea", 10.0), ("dora", 3.0), ("emil", 0.0)];
    let expected = expected.map(|(name, score)| (json!(name), json!(score)));
    assert!(
        leaders.eq(expected.iter().map(|(name, score)| (name, score))),
        "{rankings}"
    );

    assert!(house.stop());
    house.start();
    assert_eq!(history(&house).await, before);
    let mut bea = Client::member_in(&house, "bea", room);
    assert_eq!(standing(&mut bea, "bea"), [2, 0, 1, 0, 10]);

    // What is counted of somebody need not be shown.
    let everybody = house.ok("GET", "/api/v1/accounts", None).await;
    let mut everybody = everybody.as_array().unwrap().iter();
    let carl = everybody.find(|one| one["name"] == "carl").unwrap();
    let mask = Permissions::REGISTERED.with(Permission::NoStats, true);
    let path = format!("/api/v1/lobby/permissions/{}", carl["id"]);
    let set = json!({ "mask": mask });
    house.ok("PUT", &path, Some(set)).await;
    let [_, rankings] = history(&house).await;
    let leaders = rankings.as_array().unwrap().iter();
    let names: Vec<_> = leaders.map(|one| one["player"].clone()).collect();
    assert_eq!(names, ["bea", "dora", "emil"]);
}

#[tokio::test]
async fn a_match_that_is_over_just_as_the_box_stops_is_written_down() {
    let Some(mut house) = table_house().await else {
        return;
    };
    let (room, game) = place(&house, "Told", "Told");
    let mut bea = Client::member_in(&house, "bea", room);
    let mut carl = Client::member_in(&house, "carl", room);
    let (mut hers, table) = bea.launch(&house, game, &OPEN);
    hers.line().unwrap();
    let _his = carl.join(&house, table);
    tell(&mut hers, "state 2");
    tell(&mut hers, "testament bea 3 -1 1 2, carl 3 -1 0 9");
    assert!(house.stop(), "{}", house.log());
    house.start();
    let [matches, rankings] = history(&house).await;
    assert_eq!(matches[0]["winner"], "carl", "{matches}");
    assert_eq!(rankings[0]["player"], "carl");
}

#[tokio::test]
async fn a_saved_game_that_all_have_left_goes_on_by_the_api_with_its_seats() {
    let Some(house) = table_house().await else {
        return;
    };
    let (room, game) = place(&house, "Told", "Told");
    let mut bea = Client::member_in(&house, "bea", room);
    let mut carl = Client::member_in(&house, "carl", room);
    let (mut hers, table) = bea.launch(&house, game, &OPEN);
    hers.line().unwrap();
    let _his = carl.join(&house, table);
    tell(&mut hers, "state 2");
    tell(&mut hers, "save evening.sav");
    let started = Instant::now();
    let saved = loop {
        let saved = house.ok("GET", "/api/v1/lobby/savegames", None).await;
        if !saved[0].is_null() {
            break saved[0].clone();
        }
        assert!(started.elapsed() < PATIENCE, "{}", house.log());
    };
    assert_eq!(
        (&saved["file"], &saved["owner"], &saved["game"]),
        (&json!("evening.sav"), &json!("bea"), &json!("told"))
    );
    let key = json!({"room": saved["room"], "table": saved["table"], "since": saved["since"], "file": saved["file"]});
    assert_eq!(saved["playing"], true);
    // Whose table it was needs nobody's help, and others may not.
    let path = "/api/v1/lobby/savegames/resume";
    let (hers_to_say, his_to_say) = (token(&house, "bea").await, token(&house, "carl").await);
    let (status, _) = house
        .call_as(&his_to_say, "POST", path, Some(key.clone()))
        .await;
    assert_eq!(status, 403);
    let resume = || house.call_as(&hers_to_say, "POST", path, Some(key.clone()));
    let (status, refused) = resume().await;
    assert_eq!(status, 404, "it is being played: {refused}");
    for one in [&mut bea, &mut carl] {
        assert_eq!(one.ask("<LEAVE/>"), "ok");
        one.all();
    }
    // Its process has to be gone first.
    let launched = loop {
        let (status, launched) = resume().await;
        if status < 300 {
            break launched;
        }
        assert!(started.elapsed() < PATIENCE, "{launched}\n{}", house.log());
    };
    let table = launched["table"].as_u64().unwrap() as u32;
    let added = carl.until("ACTION='add'");
    for seat in [
        "<SEAT NUM='0' TYPE='reserved'>bea</SEAT>",
        "<SEAT NUM='1' TYPE='reserved'>carl</SEAT>",
    ] {
        assert!(added.contains(seat), "{added}");
    }
    let mut dora = Client::member_in(&house, "dora", room);
    let _hers = dora.channel(&house);
    assert_eq!(dora.ask(&format!("<JOIN TABLE='{table}'/>")), "table full");
    // It is her table as it was.
    let desc = format!(
        "<UPDATE TYPE='table' ACTION='desc' ROOM='{room}'><TABLE ID='{table}'><DESC>mine</DESC></TABLE></UPDATE>"
    );
    assert_eq!(carl.ask(&desc), "no permission");
    assert_eq!(bea.ask(&desc), "ok");
    let mut his = carl.join(&house, table);
    assert_eq!(
        his.line().unwrap(),
        "carl has seat 1, saved game 'evening.sav'"
    );
    let mut hers = bea.join(&house, table);
    assert_eq!(
        hers.line().unwrap(),
        "bea has seat 0, saved game 'evening.sav'"
    );
    // Its match's end is the saved game's, too.
    tell(&mut hers, "state 2");
    tell(&mut hers, "report bea 3 -1 0 1, carl 3 -1 1 0");
    bea.until("ACTION='stats'");
    let saved = house.ok("GET", "/api/v1/lobby/savegames", None).await;
    assert_eq!(saved, json!([]));
}

#[tokio::test]
async fn a_game_that_hangs_is_noticed_ends_for_all_who_stay_and_holds_nobody() {
    let Some(house) = table_house().await else {
        return;
    };
    let (room, game) = place(&house, "Told", "Told");
    let [mut bea, mut carl, mut dora, mut emil] =
        NAMES.map(|name| Client::member_in(&house, name, room));
    // One hangs while it waits for players, the other in the middle of a match.
    let (mut hers, waiting) = bea.launch(&house, game, &OPEN);
    hers.line().unwrap();
    hers.say("hang");
    let (mut his, playing) = carl.launch(&house, game, &OPEN);
    his.line().unwrap();
    let mut emils = emil.join(&house, playing);
    emils.line().unwrap();
    tell(&mut his, "state 2");
    his.say("hang");
    // Nobody has to wait for it.
    assert_eq!(emil.ask("<LEAVE/>"), "ok");
    let _doras = dora.channel(&house);
    assert_eq!(dora.ask(&format!("<JOIN TABLE='{waiting}'/>")), "ok");
    for one in [&mut bea, &mut carl, &mut dora] {
        let why = one.until("<CHAT TYPE='private' FROM='[Server]'>");
        assert!(why.contains("Told: the game does not listen"), "{why}");
        one.until("<LEAVE REASON='gameerror'/>");
        assert_eq!(one.ask("<ENTER ROOM='0'/>"), "ok");
    }
    assert!(
        house.log().contains("the game does not listen"),
        "{}",
        house.log()
    );
}
