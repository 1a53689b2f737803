//! What is said to whom, and what is refused in which words.

use std::io::Write as _;

use crate::{common::House, player::Player, wire::Wire};

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_said_only_to_the_box_that_it_is_known_to_be_and_to_nobody_on_the_way() {
    let house = House::open().await;
    let wire = Wire::to(&house);
    let line = format!(
        "dots --as ada --password-stdin --against person --server {}",
        wire.address
    );
    let login = |house: &House, line: &str| {
        let mut ada = Player::start(house, line);
        ada.types("correct horse");
        ada
    };
    let mut ada = login(&house, &line);
    ada.sees("new here: the lobby at 127.0.0.1:");
    ada.sees("you are ada, at table");
    ada.types("/quit");
    assert_eq!(ada.ends(), 0);
    let mut ada = login(&house, &line);
    ada.sees("you are ada, at table");
    ada.types("/quit");
    assert_eq!(ada.ends(), 0);
    assert!(!ada.shown.contains("new here"), "{}", ada.shown);
    assert!(wire.heard("<TLS_START/>") && wire.heard("<CHANNEL ID='ada'"));

    let other = House::open_with(&["lobby.tls=false".into()]).await;
    let third = House::open().await;
    wire.leads_to(&other);
    let mut ada = login(&house, &line);
    assert_eq!(ada.ends(), 1);
    assert!(
        ada.shown.contains("offers no TLS") && ada.shown.contains("hint: --plain"),
        "{}",
        ada.shown
    );
    wire.leads_to(&third);
    let mut ada = login(&house, &line);
    assert_eq!(ada.ends(), 1);
    let file = house.state().join("of-players/longhouse/play/lobbies");
    for part in [
        "is not who it was",
        "delete the line",
        file.to_str().unwrap(),
    ] {
        assert!(ada.shown.contains(part), "{part}: {}", ada.shown);
    }
    assert!(!wire.heard("<LOGIN") && !wire.heard("correct horse"));

    std::fs::remove_file(file).unwrap();
    let mut ada = login(&house, &line);
    ada.sees("new here: ");
    ada.sees("you are ada, at table");
    // What the wire hears when nothing is covered.
    wire.leads_to(&other);
    let mut plain = login(&house, &format!("{line} --plain"));
    plain.sees("you are ada, at table");
    assert!(wire.heard("<PASSWORD>correct horse</PASSWORD>"));
    for mut player in [ada, plain] {
        player.types("/quit");
        assert_eq!(player.ends(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_told_with_a_hint() {
    let house = House::open().await;
    let refused = |line: &str, typed: &str| {
        let mut player = Player::start(&house, line);
        player
            .typed
            .as_mut()
            .unwrap()
            .write_all(typed.as_bytes())
            .ok(); // it may not read that far
        (player.ends(), std::mem::take(&mut player.shown))
    };
    for (line, typed, words, hint) in [
        ("go", "", "no game `go`", "`longhouse play` lists"),
        (
            "chess --table 99",
            "",
            "no table 99",
            "`longhouse play` lists",
        ),
        (
            "chess --watch 99",
            "",
            "no table 99",
            "`longhouse play` lists",
        ),
        (
            "chess --room 0",
            "",
            "not played in room 0",
            "leave --room out",
        ),
        ("chess --as ada", "", "wrong login type", "--password-stdin"),
        (
            "chess --as ada --password-stdin",
            "wrong\n",
            "usr lookup",
            "password",
        ),
        (
            "chess --as nobody --password-stdin",
            "x\n",
            "user not found",
            "guest",
        ),
        ("chess --as ada-the-very-longest", "", "too long", "1 to 16"),
        (
            "chess",
            "e2e4\n",
            "the input ended, and it is your turn",
            "--table",
        ),
    ] {
        let (code, shown) = refused(line, typed);
        assert_eq!(code, 1, "{line}: {shown}");
        let told = shown.contains("error: ") && shown.contains(words);
        assert!(
            told && shown.contains("hint: ") && shown.contains(hint),
            "{line}: {shown}"
        );
    }
    let (code, shown) = refused("chess --server 127.0.0.1:1", "");
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("no lobby answers at 127.0.0.1:1"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn games_and_tables_are_listed_and_a_taken_name_makes_way_for_another() {
    let house = House::open().await;
    let mut list = Player::start(&house, "");
    assert_eq!(list.ends(), 0);
    for game in ["tictactoe", "connectfour", "reversi", "dots", "chess"] {
        assert!(list.shown.contains(&format!("\n{game} ")), "{}", list.shown);
    }
    assert!(list.shown.contains("nobody plays"), "{}", list.shown);
    let mut ada = Player::start(&house, "chess --as ada --password-stdin --against person");
    ada.types("correct horse");
    ada.sees("you are ada, at table ");
    let mut eve = Player::start(&house, "dots --against person");
    eve.sees("you are eve, at table ");
    let mut other = Player::start(&house, "reversi");
    other.sees("you are eve2, at table ");
    let mut list = Player::start(&house, "");
    assert_eq!(list.ends(), 0);
    assert!(list.shown.contains("ada, open"), "{}", list.shown);
    assert!(
        list.shown.contains("eve2, reversi-medium"),
        "{}",
        list.shown
    );
    eve.types("/quit");
    assert_eq!(eve.ends(), 0);
}
