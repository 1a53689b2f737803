//! A daemon that is killed again and again, and a disk that is full.

use serde_json::{Value, json};

use crate::{
    OPEN,
    common::{
        House,
        disk::{fill, small_disk},
        ggz::{Channel, Client, account, attribute},
        root,
    },
    games::until_games,
    place, play,
};

/// How often the daemon is killed: each of the four moments three times.
const ROUNDS: usize = 12;

/// Wins and losses as a room is shown them.
fn record(player: &str) -> [u32; 2] {
    ["WINS", "LOSSES"].map(|name| attribute(player, name).parse().unwrap())
}

/// Two at one table: launched, or the one that goes on.
fn sit(house: &House, people: &mut [Client; 2], game: u32, known: bool) -> [Channel; 2] {
    let [bea, carl] = people;
    if !known {
        let (hers, table) = bea.launch(house, game, &OPEN);
        return [hers, carl.join(house, table)];
    }
    [bea.join(house, 1), carl.join(house, 1)]
}

#[tokio::test]
async fn whenever_the_daemon_is_killed_nothing_that_was_told_is_lost() {
    if !root("to tell its games from others'") {
        return;
    }
    let mut house = House::open().await;
    for name in ["bea", "carl"] {
        account(&house, name, "player");
    }
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    const MOVES: [&str; 5] = ["a1", "b1", "a2", "b2", "a3"];
    // What both were told; a match that was being written down when it fell may count, too.
    let (mut told, mut possible) = (0, 0);
    for round in 0..ROUNDS {
        let mut people = ["bea", "carl"].map(|name| Client::member_in(&house, name, room));
        for (at, name) in ["bea", "carl"].into_iter().enumerate() {
            let record = record(&people[0].player(name));
            let matches = record[0] + record[1];
            assert!(
                (told..=told + possible).contains(&matches),
                "{round}, {at}: {record:?}, not {told}"
            );
            if at == 1 {
                (told, possible) = (matches, 0);
            }
        }
        let tables = people[0].result("<LIST TYPE='table'/>");
        let mut channels = sit(&house, &mut people, game, tables.contains("<TABLE ID='1'"));
        let mut state = channels[0].until(|state| state["status"] == "playing");
        let moves = state["board"].to_string().matches(['X', 'O']).count();
        // Some rounds end in mid-match, some just as it is over, some when it was told.
        let upto = [2, 5, 5, 4][round % 4];
        for next in MOVES.iter().take(upto).skip(moves) {
            let mover = state["turn"].as_u64().unwrap() as usize;
            channels[mover].play(next);
            let both = channels
                .each_mut()
                .map(|channel| channel.until(|state: &Value| state["last"] == *next));
            [state, _] = both;
        }
        if state["status"] == "over" {
            match round % 4 {
                1 => {
                    let news = people[1].until("ACTION='stats'");
                    assert_eq!(record(&news).iter().sum::<u32>(), told + 1, "{news}");
                    told += 1;
                }
                _ => possible = 1,
            }
        }
        house.kill();
        until_games(&house, 0);
        house.start();
    }
    assert!(told > 0);
    let mut bea = Client::member_in(&house, "bea", room);
    let [wins, losses] = record(&bea.player("bea"));
    assert!((told..=told + possible).contains(&(wins + losses)));
}

#[tokio::test]
async fn on_a_full_disk_people_play_on_and_newcomers_are_refused() {
    if !root("a small disk") {
        return;
    }
    let mut house = House::unlocked(&[]);
    small_disk(&house.state());
    house.settle().await;
    let (room, game) = place(&house, "Chess", "Chess");
    account(&house, "bea", "player");
    let filler = house.state().join("filler");
    fill(&filler);
    // Until the store has used up what it had set aside.
    for n in 0.. {
        fill(&filler);
        let wish = json!({"name": format!("eve{n}")});
        let (status, _) = house.call("POST", "/api/v1/accounts", Some(wish)).await;
        if status >= 300 {
            break;
        }
    }
    let mut newcomer = Client::connect(&house);
    let code = newcomer.login("first", "dora", "battery staple");
    assert_ne!(code, "ok");
    assert_eq!(newcomer.login("guest", "dora", ""), "ok", "after {code}");
    newcomer.until("<MOTD ");
    newcomer.enter(room);
    let mut alice = Client::guest_in(&house, "alice", room);
    let (mut hers, table) = alice.launch(&house, game, &OPEN);
    let mut theirs = newcomer.join(&house, table);
    let [_, over] = play(&mut hers, &mut theirs, &["f2f3", "e7e5", "g2g4", "d8h4"]);
    assert_eq!(over["reason"], "checkmate");
    assert_eq!(alice.ask("<CHAT>good game</CHAT>"), "ok");
    // Room again, and all is well.
    std::fs::remove_file(&filler).unwrap();
    let mut late = Client::connect(&house);
    assert_eq!(late.login("first", "zoe", "battery staple"), "ok");
}
