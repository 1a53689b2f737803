//! Names, collisions, and orders about people who have just left.

use std::thread;

use crate::{
    OPEN,
    common::{
        House,
        ggz::{Client, account, launching},
    },
    place,
};

#[tokio::test]
async fn of_many_who_want_one_name_one_gets_it() {
    let house = House::open().await;
    let house = &house;
    for round in 0..4 {
        let name = format!("Same{round}");
        let come = |n: usize| {
            let name = match n % 2 {
                0 => name.to_uppercase(),
                _ => name.to_lowercase(),
            };
            let mut client = Client::connect(house);
            let code = client.login("guest", &name, "");
            (code, client)
        };
        let came: Vec<_> = thread::scope(|scope| {
            let all: Vec<_> = (0..12).map(|n| scope.spawn(move || come(n))).collect();
            all.into_iter().map(|one| one.join().unwrap()).collect()
        });
        let codes = came.iter().map(|(code, _)| code.as_str());
        assert_eq!(codes.clone().filter(|code| *code == "ok").count(), 1);
        assert_eq!(
            codes.filter(|code| *code == "already logged in").count(),
            11
        );
    }
    // The same for an account.
    let come = |n: usize| {
        let mut client = Client::connect(house);
        let name = ["bea", "BEA", "Bea"][n % 3];
        (client.login("first", name, "battery staple"), client)
    };
    let came: Vec<_> = thread::scope(|scope| {
        let all: Vec<_> = (0..6).map(|n| scope.spawn(move || come(n))).collect();
        all.into_iter().map(|one| one.join().unwrap()).collect()
    });
    let codes: Vec<_> = came.iter().map(|(code, _)| code.as_str()).collect();
    assert_eq!(
        codes.iter().filter(|code| **code == "ok").count(),
        1,
        "{codes:?}"
    );
    let others = ["ok", "already logged in", "username already taken"];
    assert!(codes.iter().all(|code| others.contains(code)), "{codes:?}");
}

#[tokio::test]
async fn orders_about_people_who_are_going_reach_them_or_say_so() {
    let house = House::open().await;
    account(&house, "otto", "admin");
    let mut otto = Client::member_in(&house, "otto", 0);
    for round in 0..12 {
        let name = format!("g{round}");
        let mut guest = Client::guest_in(&house, &name, 0);
        otto.all();
        guest.send("</SESSION>\n");
        for (action, codes) in [
            ("gag", &["ok", "usr lookup"][..]),
            ("ungag", &["ok", "usr lookup"]),
            ("kick", &["ok", "usr lookup"]),
        ] {
            let order =
                format!("<ADMIN ACTION='{action}' PLAYER='{name}'><REASON>so</REASON></ADMIN>");
            let code = otto.ask(&order);
            assert!(codes.contains(&&*code), "{action}: {code}");
        }
        guest.last_words();
        otto.until(&format!("<PLAYER ID='{name}'/>"));
        let kick = format!("<ADMIN ACTION='kick' PLAYER='{name}'><REASON>so</REASON></ADMIN>");
        assert_eq!(otto.ask(&kick), "usr lookup");
    }
    let ban = "<ADMIN ACTION='ban' PLAYER='G0'><REASON>late</REASON></ADMIN>";
    assert_eq!(otto.ask(ban), "ok");
    let mut client = Client::connect(&house);
    assert_eq!(client.login("guest", "g0", ""), "no permission");
}

#[tokio::test]
async fn whoever_is_kicked_in_mid_game_is_out_of_it_and_the_other_plays_on() {
    let house = House::open().await;
    account(&house, "otto", "admin");
    let (room, game) = place(&house, "Chess", "Chess");
    let mut otto = Client::member_in(&house, "otto", room);
    let mut alice = Client::guest_in(&house, "alice", room);
    let mut bob = Client::guest_in(&house, "bob", room);
    let (mut hers, table) = alice.launch(&house, game, &OPEN);
    let mut his = bob.join(&house, table);
    his.until(|state| state["status"] == "playing");
    let kick = "<ADMIN ACTION='kick' PLAYER='bob'><REASON>so</REASON></ADMIN>";
    assert_eq!(otto.ask(kick), "ok");
    his.ends();
    bob.last_words();
    // Kicked in a launch, too: the table goes with them.
    let mut carl = Client::guest_in(&house, "carl", room);
    let mut theirs = carl.channel(&house);
    carl.send(&launching(game, &OPEN));
    assert_eq!(
        otto.ask("<ADMIN ACTION='kick' PLAYER='carl'><REASON>so</REASON></ADMIN>"),
        "ok"
    );
    carl.last_words();
    theirs.ends();
    let mut dora = Client::guest_in(&house, "dora", room);
    let mut dors = dora.join(&house, table);
    let state = dors.until(|state| state["status"] == "playing");
    assert_eq!(state["you"], 1);
    hers.until(|state| state["seats"][1]["name"] == "dora");
    hers.play("e2e4");
    dors.until(|state| state["last"] == "e2e4");
}
