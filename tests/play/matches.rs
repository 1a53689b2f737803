//! Whole games: of people, of the computer, of scripts, of another client.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use serde_json::Value;

use crate::{
    common::{House, installed},
    over,
    player::Player,
    settled, some_move, two,
};

#[tokio::test(flavor = "multi_thread")]
async fn two_people_play_a_whole_game_of_each_kind() {
    let house = House::open().await;
    for game in ["tictactoe", "connectfour", "reversi", "dots"] {
        let (mut players, _) = two(&house, game, "--json");
        let mut seen = players.each_mut().map(|player| player.state(settled));
        let mut number = 0;
        while !over(&seen[0]) {
            assert_eq!(seen[0]["position"], seen[1]["position"], "{game}");
            let turn = seen[0]["turn"].as_u64().unwrap() as usize;
            let before = seen[0]["position"].clone();
            players[turn].types(&some_move(&seen[0], number));
            number += 1;
            seen = players
                .each_mut()
                .map(|player| player.state(|state| state["position"] != before || over(state)));
        }
        assert!(seen[0]["reason"].is_string(), "{game}");
        assert_eq!(seen[0]["result"], seen[1]["result"], "{game}");
        assert_eq!(players.each_mut().map(Player::ends), [0, 0], "{game}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fools_mate_is_shown_to_both_and_to_who_watches_and_is_played_again() {
    let house = House::open().await;
    let ([mut ada, mut bob], table) = two(&house, "chess", "");
    bob.sees("1  R N B Q K B N R");
    bob.sees("ada-l's turn (white)");
    ada.sees("bob sits down");
    ada.sees("your turn (white)");
    let mut eve = Player::start(&house, &format!("chess --watch {table}"));
    eve.sees("ada-l (white), bob (black)");
    ada.sees("eve watches");
    ada.types("e2e5");
    assert!(ada.sees("no: ").contains("not a legal move"));
    ada.types("f2f3");
    bob.sees("last move: f2f3");
    bob.sees("your turn (black)");
    bob.types("/say hello, all");
    for player in [&mut ada, &mut bob, &mut eve] {
        player.sees("<bob> hello, all");
    }
    bob.types("/draw");
    ada.sees("bob offers a draw");
    ada.types("/draw decline");
    bob.sees("the draw is declined");
    // What a script types too early waits for its turn.
    bob.types("e7e5");
    bob.types("d8h4");
    ada.sees("last move: e7e5");
    ada.types("g2g4");
    ada.sees("you have lost: checkmate");
    bob.sees("you have won: checkmate");
    eve.sees("bob has won: checkmate");
    assert_eq!(eve.ends(), 0);
    ada.sees("eve watches no more");
    ada.types("/again");
    bob.sees("ada-l wants another match: /again");
    bob.types("/again");
    bob.sees("match 2: ada-l (black), you (white)");
    bob.sees("your turn (white)");
    bob.types("/who");
    bob.sees("seat 0: ada-l (black)");
    bob.sees("seat 1: you (white)");
    bob.types("/moves");
    bob.sees("e2e4");
    bob.types("/resign");
    ada.sees("you have won: ");
    ada.types("/quit");
    bob.sees("ada-l has left");
    assert_eq!((ada.ends(), bob.ends()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_computer_plays_at_each_of_its_strengths() {
    let house = House::open().await;
    for strength in ["easy", "medium", "hard"] {
        let line = format!("tictactoe --against {strength} --json");
        let mut eve = Player::start(&house, &line);
        let mut number = 0;
        let own = |state: &Value| {
            over(state) || !state["turn"].is_null() && state["turn"] == state["you"]
        };
        let mut state = eve.state(own);
        assert_eq!(state["seats"][1]["strength"], strength);
        while !over(&state) {
            let before = state["position"].clone();
            eve.types(&some_move(&state, number));
            number += 1;
            state = eve.state(|state| own(state) && state["position"] != before);
        }
        assert_eq!(eve.ends(), 0);
    }
    for game in ["connectfour", "reversi", "dots", "chess"] {
        let mut eve = Player::start(&house, &format!("{game} --against hard --json"));
        let state = eve.state(|state| state["turn"] == 0);
        let before = state["position"].clone();
        eve.types(&some_move(&state, 0));
        eve.state(|state| state["turn"] == 0 && state["position"] != before);
        eve.types("/resign");
        let end = eve.state(over);
        assert_eq!(end["result"][0]["outcome"], "loss");
        assert_eq!(eve.ends(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_script_that_ends_with_resigning_sees_the_end() {
    let house = House::open().await;
    let mut eve = Player::start(&house, "chess --against easy");
    eve.types("e2e4\n/resign");
    assert_eq!(eve.ends(), 0, "{}", eve.shown);
    assert!(eve.shown.contains("you have lost: "), "{}", eve.shown);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_the_documentation_plays_a_whole_game() {
    if !installed("/usr/bin/python3") {
        return;
    }
    let house = House::open().await;
    let page = include_str!("../../docs/table-games.md");
    let code = page.split("```python\n").nth(1).unwrap();
    let code = code.split("```").next().unwrap();
    let (host, port) = house.endpoints["lobby.listen"].rsplit_once(':').unwrap();
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", code, host, port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Every column until it is full: more than any game takes, and each refusal is asked again.
    let columns = "1234567"
        .chars()
        .map(|column| format!("{column}\n").repeat(7));
    let moves: String = columns.collect();
    let mut typed = child.stdin.take().unwrap();
    typed.write_all(format!("9\n{moves}").as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let [shown, faults] = [&out.stdout, &out.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(out.status.success(), "{shown}{faults}");
    assert!(
        shown.contains("table 1\n") && shown.contains(" over "),
        "{shown}"
    );
    assert!(faults.contains("\"9\" is not a move"), "{faults}");
}
