//! Who goes away, or is torn away, and comes back.

use std::io::Write as _;

use serde_json::Value;

use crate::{common::House, over, player::Player, two, wire::Wire};

#[tokio::test(flavor = "multi_thread")]
async fn who_was_killed_comes_back_to_their_seat() {
    let house = House::open().await;
    let ([mut ada, mut bob], table) = two(&house, "tictactoe", "");
    ada.sees("your turn");
    ada.types("a1");
    bob.sees("your turn");
    bob.types("b2");
    ada.sees("last move: b2");
    bob.child.kill().unwrap(); // SIGKILL
    ada.sees("bob is away, and the seat is kept");
    let mut bob = Player::start(&house, &format!("tictactoe --table {table} --as bob"));
    bob.sees("ada-l (X), you (O)");
    bob.sees("last move: b2");
    ada.sees("bob is back");
    for (x, o) in [("a2", "c3"), ("a3", "")] {
        ada.types(x);
        if !o.is_empty() {
            bob.sees(&format!("last move: {x}"));
            bob.types(o);
            ada.sees(&format!("last move: {o}"));
        }
    }
    ada.sees("you have won: ");
    bob.sees("you have lost: ");
    assert_eq!((ada.ends(), bob.ends()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_line_is_mended_and_the_match_goes_on() {
    let house = House::open().await;
    let wire = Wire::to(&house);
    let mut eve = Player::start(
        &house,
        &format!("connectfour --against easy --server {}", wire.address),
    );
    eve.sees("your turn");
    eve.types("1");
    eve.sees("your turn");
    wire.cut();
    eve.sees("coming back to table");
    eve.sees("back at table");
    eve.sees("last move: ");
    eve.sees("your turn");
    eve.types("7");
    eve.sees("last move: 7");
    eve.types("/resign");
    eve.sees("you have lost");
    assert_eq!(eve.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_goes_on_by_itself_after_the_daemon_was_killed_and_after_it_was_restarted() {
    let mut house = House::open().await;
    let wire = Wire::to(&house);
    let far = format!("--server {} --json", wire.address);
    // Nobody has moved there, so nothing of it is kept: afterwards the match has another number.
    let mut first = Player::start(&house, "dots --against person");
    assert_eq!(first.table(), "1");
    let ([mut ada, mut bob], table) = two(&house, "dots", &far);
    assert_eq!(table, "2");
    ada.state(|state| state["turn"] == 0);
    ada.types("a1a2");
    bob.state(|state| state["last"] == "a1a2");
    bob.types("c3d3");
    let before = ada.state(|state| state["last"] == "c3d3");
    bob.state(|state| state["last"] == "c3d3");
    house.person("later", "player").await; // what is kept after it is kept by then

    let all_here = |state: &Value| {
        let seats = state["seats"].as_array().unwrap();
        state["status"] == "playing" && seats.iter().all(|seat| seat["present"] == true)
    };
    for (table, killed) in [("2", true), ("1", false)] {
        match killed {
            true => house.kill(),
            false => assert!(house.stop()),
        }
        ada.sees(&format!("coming back to table {table}"));
        bob.sees(&format!("coming back to table {table}"));
        house.start();
        wire.leads_to(&house);
        for (seat, player) in [&mut ada, &mut bob].into_iter().enumerate() {
            let after = player.state(all_here);
            assert_eq!(after["you"], seat);
            for field in ["position", "turn", "last", "round"] {
                assert_eq!(after[field], before[field], "{field}");
            }
        }
    }
    ada.types("f5f6");
    bob.state(|state| state["last"] == "f5f6");
    ada.types("/resign");
    bob.state(over);
    for mut player in [ada, bob] {
        assert_eq!(player.ends(), 0);
        assert!(player.shown.contains("back at table 1"), "{}", player.shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_ctrl_c_leaves_a_match_that_waits() {
    let house = House::open().await;
    let mut eve = Player::at_terminal(&house, "connectfour --against easy");
    eve.sees("your turn (X)");
    let mut mia = Player::start(&house, "connectfour --as mia --watch 1");
    eve.sees("mia watches");
    eve.types("help");
    eve.sees("/resign    give up");
    eve.types("4");
    eve.sees("your turn (X)");
    eve.typed.as_mut().unwrap().write_all(b"\x03").unwrap(); // Ctrl-C
    eve.sees("waits for you: `longhouse play connectfour --as eve --table 1`");
    assert_eq!(eve.child.wait().unwrap().code(), Some(0));
    mia.sees("eve is away, and the seat is kept");
    let mut other = Player::start(&house, "connectfour --as eve");
    other.sees("a seat is kept for you at table 1: ");
    other.types("/quit");
    assert_eq!(other.ends(), 0);
    let mut eve = Player::start(&house, "connectfour --as eve --table 1");
    eve.sees("match 1: you (X), ");
    eve.types("7");
    eve.sees("last move: 7");
    eve.types("/resign");
    mia.sees("has won: ");
    assert_eq!((eve.ends(), mia.ends()), (0, 0));
}
