//! Everything that ships, against the computer.

use serde_json::{Value, json};

use crate::{
    OPEN,
    common::{
        House,
        ggz::{Client, account, attribute},
    },
    matches::{GAMES, Short},
    place,
};

/// The computer player of that strength, by the list of games.
fn bot(client: &mut Client, game: &str, class: &str) -> String {
    let list = client.result("<LIST TYPE='game'/>");
    let mut games = list.split("<GAME ");
    let found = games.find(|one| one.contains(&format!(" NAME='{game}'")));
    let mut bots = found.unwrap().split("<BOT");
    let bot = bots.find(|bot| bot.contains(&format!(" CLASS='{class}'")));
    attribute(bot.unwrap(), "NAME").to_owned()
}

#[tokio::test]
async fn a_person_plays_the_computer_at_every_game() {
    let house = House::open().await;
    for (Short { room, .. }, class) in GAMES.iter().zip(["hard", "easy", "medium", "easy", "easy"])
    {
        let (number, game) = place(&house, room, room);
        let mut alice = Client::guest_in(&house, "alice", number);
        let seat = format!(
            "<SEAT NUM='1' TYPE='bot'>{}</SEAT>",
            bot(&mut alice, room, class)
        );
        let (mut hers, _) = alice.launch(&house, game, &[OPEN[0], &seat]);
        for _ in 0..3 {
            let state = hers.until(|state| state["turn"] == 0 || state["status"] == "over");
            if state["status"] == "over" {
                let result = &state["result"][0]["outcome"];
                assert_ne!(
                    result, "win",
                    "{room}: {class} does not lose to this: {state}"
                );
                break;
            }
            assert_eq!(state["seats"][1]["strength"], class, "{room}: {state}");
            hers.play(state["moves"][0].as_str().unwrap());
            hers.until(|after| after["position"] != state["position"]);
        }
        alice.leave_house();
        hers.ends();
    }
}

/// Moves after which somebody has shown that they can play chess, and resigns: legal moves alone come to no end soon.
const ENOUGH: usize = 30;

/// Plays until it is over, by moves that are spread over the board; somewhere on the way the line breaks.
fn play_out(house: &House, room: &str) -> Value {
    let (number, game) = place(house, room, room);
    let mut bea = Client::member_in(house, "bea", number);
    let mut watcher = Client::guest_in(house, "eve", number);
    let easy = bot(&mut bea, room, "easy");
    let bot = format!("<SEAT NUM='1' TYPE='bot'>{easy}</SEAT>");
    let (mut hers, table) = bea.launch(house, game, &[OPEN[0], &bot]);
    let mut played = 0;
    let mut state = hers.until(|state| state["turn"] == 0);
    while state["status"] != "over" {
        assert_eq!(state["seats"][1]["strength"], "easy", "{room}: {state}");
        if played == 2 {
            bea.drop_line();
            watcher.until("<PLAYER ID='bea'/>");
            hers.ends();
            let kept = "<SEAT NUM='0' TYPE='abandoned'>bea</SEAT>";
            let tables = watcher.result("<LIST TYPE='table'/>");
            assert!(tables.contains(kept), "{room}: {tables}");
            bea = Client::member_in(house, "bea", number);
            hers = bea.join(house, table);
            assert_eq!(hers.state(), state, "{room}: all of it, at once");
        }
        if room == "Chess" && played == ENOUGH {
            hers.say("{\"resign\":true}");
        } else {
            let moves = state["moves"].as_array().unwrap();
            hers.play(moves[played * 7 % moves.len()].as_str().unwrap());
        }
        played += 1;
        let before = state["position"].take();
        state = hers.until(|state| {
            state["status"] == "over" || state["turn"] == 0 && state["position"] != before
        });
    }
    assert!(played > 2, "{room}: they never came back: {state}");
    bea.until("ACTION='stats'");
    bea.leave_house();
    watcher.leave_house();
    hers.ends();
    state
}

#[tokio::test]
async fn a_person_drops_comes_back_and_ends_every_game_against_the_computer() {
    let house = House::open().await;
    account(&house, "bea", "player");
    for (number, Short { room, .. }) in (1..).zip(&GAMES) {
        let over = play_out(&house, room);
        let matches = "/api/v1/lobby/matches?account=bea";
        let matches = house.ok("GET", matches, None).await;
        assert_eq!(matches.as_array().unwrap().len(), number, "{matches}");
        let last = &matches[0];
        let name = room.to_lowercase().replace(['-', ' '], "");
        assert_eq!((&last["game"], &last["room"]), (&json!(name), &json!(name)));
        for (seat, kind) in [(0, "player"), (1, "bot")] {
            let (told, kept) = (&over["result"][seat], &last["players"][seat]);
            assert_eq!(
                (&told["outcome"], &json!(kind)),
                (&kept["outcome"], &kept["kind"]),
                "{room}: {last}"
            );
        }
        assert_eq!(last["players"][0]["name"], "bea");
    }
}
