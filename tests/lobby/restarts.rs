//! What becomes of a match when the daemon is killed under it.

use std::time::Instant;

use serde_json::{Value, json};

use crate::{
    OPEN,
    common::{
        House, PATIENCE,
        ggz::{Client, account},
    },
    place,
};

#[tokio::test]
async fn a_game_that_the_daemon_was_killed_under_goes_on_with_its_seats_kept() {
    let mut house = House::open().await;
    for name in ["bea", "carl", "thief"] {
        account(&house, name, "player");
    }
    let (room, game) = place(&house, "Chess", "Chess");
    let mut bea = Client::member_in(&house, "bea", room);
    let mut carl = Client::member_in(&house, "carl", room);
    let (mut hers, table) = bea.launch(&house, game, &OPEN);
    let mut his = carl.join(&house, table);
    hers.until(|state| state["turn"] == 0);
    hers.play("e2e4");
    his.until(|state| state["turn"] == 1);
    // That the game was saved is told to the box, and to nobody else: what is kept after it is kept by then.
    account(&house, "later", "player");
    his.play("c7c5");
    let before = hers.until(|state| state["last"] == "c7c5");

    house.kill();
    for lines in [bea.last_words(), carl.last_words()] {
        assert!(!lines.contains(&"</SESSION>".into()), "{lines:?}");
    }
    hers.ends();
    his.ends();
    house.start();

    let mut thief = Client::member_in(&house, "thief", room);
    let mut tables = thief.result("<LIST TYPE='table'/>");
    if !tables.contains("<TABLE ") {
        thief.until("<UPDATE TYPE='table' ACTION='add'");
        tables = thief.result("<LIST TYPE='table'/>");
    }
    for seat in [
        "<SEAT NUM='0' TYPE='reserved'>bea</SEAT>",
        "<SEAT NUM='1' TYPE='reserved'>carl</SEAT>",
    ] {
        assert!(tables.contains(seat), "{tables}");
    }
    let spare = thief.channel(&house);
    assert_eq!(thief.ask("<JOIN TABLE='1'/>"), "table full");
    drop(spare);
    let mut carl = Client::member_in(&house, "carl", room);
    let mut his = carl.join(&house, 1);
    let mut bea = Client::member_in(&house, "bea", room);
    let mut hers = bea.join(&house, 1);
    let after = hers.until(|state| state["status"] == "playing");
    assert_eq!(after["you"], 0);
    for field in ["position", "turn", "moves", "round"] {
        assert_eq!(after[field], before[field], "{field}");
    }
    // And it is played to its end, which counts.
    his.until(|state| state["status"] == "playing");
    his.say("{\"resign\":true}");
    let over = hers.until(|state| state["status"] == "over");
    assert_eq!(over["result"][0], json!({"seat": 0, "outcome": "win"}));
    let stats = thief.until("ACTION='stats'") + &thief.until("ACTION='stats'");
    assert!(stats.contains("ID='bea' WINS='1'"), "{stats}");
    assert!(
        stats.contains("RATING='1515'") && stats.contains("RATING='1485'"),
        "{stats}"
    );
}

#[tokio::test]
async fn games_of_different_evenings_go_on_though_their_tables_had_one_number() {
    let mut house = House::open().await;
    for name in ["bea", "carl", "dora", "emil"] {
        account(&house, name, "player");
    }
    let (room, game) = place(&house, "Chess", "Chess");
    let begin = |house: &House, one: &str, other: &str, number: u32| {
        let mut one = Client::member_in(house, one, room);
        let mut other = Client::member_in(house, other, room);
        let (mut hers, table) = one.launch(house, game, &OPEN);
        assert_eq!(table, number);
        let mut his = other.join(house, table);
        hers.until(|state| state["turn"] == 0);
        hers.play("e2e4");
        his.until(|state| state["turn"] == 1);
    };
    // A first table that comes to nothing: the match is at the second.
    let mut bea = Client::member_in(&house, "bea", room);
    let mut hers = bea
        .launch(
            &house,
            game,
            &["<SEAT NUM='0' TYPE='open'/>", "<SEAT NUM='1' TYPE='bot'/>"],
        )
        .0;
    hers.until(|state| state["turn"] == 0);
    hers.play("e2e4");
    hers.until(|state| state["turn"] == 0);
    assert_eq!(bea.ask("<LEAVE/>"), "ok");
    bea.leave_house();
    begin(&house, "bea", "carl", 2);
    until_saved(&house, |one| one["table"] == 1 && one["playing"] == false).await;
    until_saved(&house, |one| {
        one["seats"][0]["name"] == "bea" && one["table"] == 2
    })
    .await;
    house.kill();
    house.start();
    // It goes on as the first, and the next is the second again. What was left is listed, and goes on if it is wanted.
    tables(&house, room, &["bea", "carl"]);
    let saved = house.ok("GET", "/api/v1/lobby/savegames", None).await;
    let playing = |number: u64| {
        let mut saved = saved.as_array().unwrap().iter();
        saved.find(|one| one["table"] == number).unwrap()["playing"] == true
    };
    assert!(playing(2) && !playing(1), "{saved}");
    begin(&house, "dora", "emil", 2);
    until_saved(&house, |one| one["seats"][0]["name"] == "dora").await;
    house.kill();
    house.start();
    tables(&house, room, &["bea", "carl", "dora", "emil"]);
}

/// Waits until such a saved game is kept.
async fn until_saved(house: &House, is_it: impl Fn(&Value) -> bool) {
    let started = Instant::now();
    loop {
        let saved = house.ok("GET", "/api/v1/lobby/savegames", None).await;
        if saved.as_array().unwrap().iter().any(&is_it) {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{saved}");
    }
}

/// Waits until seats are kept for these at the tables of a room.
fn tables(house: &House, room: u32, names: &[&str]) {
    let mut guest = Client::guest_in(house, "guest", room);
    loop {
        let tables = guest.result("<LIST TYPE='table'/>");
        let kept = |name: &&str| tables.contains(&format!("TYPE='reserved'>{name}</SEAT>"));
        if names.iter().all(kept) {
            break;
        }
        guest.until("<UPDATE TYPE='table' ACTION='add'");
    }
    guest.leave_house();
}
