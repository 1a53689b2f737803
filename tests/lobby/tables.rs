//! Tables: launched, joined, watched, changed, left.

use crate::{
    OPEN,
    common::{
        House,
        ggz::{Client, account, launching},
    },
    place,
};

#[tokio::test]
async fn a_table_is_launched_joined_watched_and_left_as_the_protocol_says() {
    let house = House::open().await;
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let mut alice = Client::guest_in(&house, "alice", room);
    let mut bob = Client::guest_in(&house, "bob", room);
    let mut carl = Client::guest_in(&house, "carl", room);
    for client in [&mut alice, &mut bob, &mut carl] {
        client.all();
    }
    let mut hers = alice.channel(&house);
    alice.send(&launching(game, &OPEN));
    let add = format!(
        "<UPDATE TYPE='table' ACTION='add' ROOM='{room}'><TABLE ID='1' GAME='{game}' STATUS='1' SEATS='2'>\
         <DESC>a quick one</DESC><SEAT NUM='0' TYPE='open'/><SEAT NUM='1' TYPE='open'/></TABLE></UPDATE>"
    );
    let sits = |seat, name| {
        format!(
            "<UPDATE TYPE='table' ACTION='join' ROOM='{room}'><TABLE ID='1' SEATS='2'>\
             <SEAT NUM='{seat}' TYPE='player'>{name}</SEAT></TABLE></UPDATE>"
        )
    };
    let status = |status| {
        format!(
            "<UPDATE TYPE='table' ACTION='status' ROOM='{room}'><TABLE ID='1' STATUS='{status}' SEATS='2'/></UPDATE>"
        )
    };
    alice.hears(&[
        &add,
        "<RESULT ACTION='launch' CODE='ok'/>",
        "<JOIN TABLE='1' SPECTATOR='false'/>",
        &sits(0, "alice"),
    ]);
    bob.hears(&[&add, &sits(0, "alice")]);
    let state = hers.state();
    assert_eq!(
        (&state["you"], &state["status"]),
        (&0.into(), &"waiting".into())
    );

    // A second person, and then it is played.
    let mut his = bob.channel(&house);
    bob.send("<JOIN TABLE='1' SPECTATOR='false'/>\n");
    bob.hears(&[
        "<RESULT ACTION='join' CODE='ok'/>",
        "<JOIN TABLE='1' SPECTATOR='false'/>",
        &sits(1, "bob"),
        &status(2),
    ]);
    alice.hears(&[&sits(1, "bob"), &status(2)]);
    let playing = |state: &serde_json::Value| state["status"] == "playing";
    assert_eq!(his.until(playing)["you"], 1);
    hers.until(playing);

    // Somebody watches, and is shown all of it.
    let mut watching = carl.channel(&house);
    carl.all();
    carl.send("<JOIN TABLE='1' SPECTATOR='true'/>\n");
    let watches = format!(
        "<UPDATE TYPE='table' ACTION='join' ROOM='{room}'><TABLE ID='1' SPECTATORS='1'>\
         <SPECTATOR NUM='0'>carl</SPECTATOR></TABLE></UPDATE>"
    );
    carl.hears(&[
        "<RESULT ACTION='join' CODE='ok'/>",
        "<JOIN TABLE='1' SPECTATOR='true'/>",
        &watches,
    ]);
    let state = watching.until(playing);
    assert_eq!(state["you"], serde_json::Value::Null);
    let tables = carl.result("<LIST TYPE='table'/>");
    assert!(
        tables.contains(
            "<SEAT NUM='0' TYPE='player'>alice</SEAT><SEAT NUM='1' TYPE='player'>bob</SEAT>\
             <SPECTATOR NUM='0'>carl</SPECTATOR></TABLE>"
        ),
        "{tables}"
    );
    carl.send("<LEAVE FORCE='false' SPECTATOR='true'/>\n");
    let left = carl.until("<RESULT ");
    assert_eq!(left, "<RESULT ACTION='leave' CODE='ok'/>");
    carl.until("<LEAVE REASON='normal'/>");
    watching.ends();

    // A player leaves in mid-game: the seat is kept, for nobody else.
    alice.all();
    bob.send("<LEAVE FORCE='false' SPECTATOR='false'/>\n");
    let leaves = |seat, name| {
        format!(
            "<UPDATE TYPE='table' ACTION='leave' ROOM='{room}'><TABLE ID='1' SEATS='2'>\
             <SEAT NUM='{seat}' TYPE='player'>{name}</SEAT></TABLE></UPDATE>"
        )
    };
    let kept = format!(
        "<UPDATE TYPE='table' ACTION='seat' ROOM='{room}'><TABLE ID='1' SEATS='2'>\
         <SEAT NUM='1' TYPE='abandoned'>bob</SEAT></TABLE></UPDATE>"
    );
    alice.hears(&[&leaves(1, "bob"), &kept]);
    let result = bob.until("<RESULT ");
    assert_eq!(result, "<RESULT ACTION='leave' CODE='ok'/>");
    bob.hears(&[&leaves(1, "bob"), &kept]);
    bob.hears(&["<LEAVE REASON='normal'/>"]);
    his.ends();
    carl.all();
    let spare = carl.channel(&house);
    assert_eq!(carl.ask("<JOIN TABLE='1' SEAT='1'/>"), "seat assign fail");
    assert_eq!(
        carl.ask("<JOIN TABLE='1'/>"),
        "no channel",
        "it was used up"
    );
    drop(spare);
    let spare = carl.channel(&house);
    assert_eq!(carl.ask("<JOIN TABLE='1'/>"), "table full");
    drop(spare);
    // Nobody is left: it ends.
    alice.all();
    alice.send("<LEAVE/>\n");
    alice.hears(&["<RESULT ACTION='leave' CODE='ok'/>"]);
    carl.until(&format!(
        "<UPDATE TYPE='table' ACTION='delete' ROOM='{room}'><TABLE ID='1' STATUS='-1' SEATS='2'/></UPDATE>"
    ));
    hers.ends();
    bob.all();
    assert_eq!(bob.ask("<LEAVE/>"), "ok");
    bob.hears(&["<LEAVE REASON='normal'/>"]);
}

#[tokio::test]
async fn what_cannot_be_launched_or_joined_is_refused_with_its_code() {
    let house = House::open().await;
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let (_, chess) = place(&house, "Chess", "Chess");
    let mut alice = Client::guest_in(&house, "alice", 0);
    let mut bob = Client::guest_in(&house, "bob", room);
    let mut hers = alice.channel(&house);
    assert_eq!(alice.ask(&launching(game, &OPEN)), "not in room");
    assert_eq!(alice.ask("<JOIN TABLE='1'/>"), "no table");
    alice.enter(room);
    hers.ends();
    assert_eq!(alice.ask(&launching(game, &OPEN)), "no channel");
    let mut hers = alice.channel(&house);
    let [open, also] = OPEN;
    let reserved = format!("<SEAT NUM='1' TYPE='reserved'>{}</SEAT>", "x".repeat(65));
    for (request, code) in [
        (launching(chess, &OPEN), "not in room"),
        (launching(99, &OPEN), "not in room"),
        (launching(game, &[open]), "bad options"),
        (
            launching(game, &[open, also, "<SEAT NUM='2' TYPE='open'/>"]),
            "bad options",
        ),
        (launching(game, &[open, open]), "bad options"),
        (
            launching(game, &[open, "<SEAT NUM='2' TYPE='open'/>"]),
            "bad options",
        ),
        (
            launching(game, &[open, "<SEAT NUM='1' TYPE='player'>bob</SEAT>"]),
            "bad options",
        ),
        (
            launching(game, &[open, "<SEAT NUM='1' TYPE='bot'>bob</SEAT>"]),
            "bad options",
        ),
        (launching(game, &[open, &reserved]), "bad options"),
        (launching(game, &[]), "bad options"),
        (launching(game, &[open; 40]), "bad options"),
        (
            "<LAUNCH><TABLE GAME='0' SEATS='4000000000'/></LAUNCH>".into(),
            "bad options",
        ),
        ("<LAUNCH/>".into(), "bad options"),
    ] {
        assert_eq!(alice.ask(&request), code, "{request}");
    }
    // None of these has used the channel up.
    assert_eq!(
        alice.ask(&launching(
            game,
            &["<SEAT NUM='0' TYPE='reserved'>bob</SEAT>", also]
        )),
        "ok"
    );
    hers.until(|state| state["you"] == 1);
    assert_eq!(alice.ask(&launching(game, &OPEN)), "launch fail");
    assert_eq!(alice.ask("<JOIN TABLE='1'/>"), "at table");
    assert_eq!(alice.ask("<ENTER ROOM='0'/>"), "at table");
    for (request, code) in [
        ("<JOIN TABLE='2'/>", "no table"),
        ("<JOIN TABLE='1' SEAT='1'/>", "seat assign fail"),
        ("<JOIN TABLE='1' SEAT='2'/>", "bad options"),
        ("<JOIN TABLE='1' SEAT='4294967296'/>", "bad options"),
        ("<JOIN TABLE='x'/>", "bad options"),
        ("<JOIN/>", "bad options"),
    ] {
        let spare = bob.channel(&house);
        assert_eq!(bob.ask(request), code, "{request}");
        drop(spare);
    }
    bob.all();
    bob.send("</SESSION>");
    bob.last_words();
    let mut bob = Client::guest_in(&house, "bob", room);
    assert_eq!(
        bob.ask("<JOIN TABLE='1' SPECTATOR='true'/>"),
        "seat assign fail"
    );
    let _his = bob.join(&house, 1);
    assert_eq!(bob.ask("<JOIN TABLE='1'/>"), "at table");
}

#[tokio::test]
async fn people_change_seats_and_owners_change_tables() {
    let house = House::open().await;
    let (room, game) = place(&house, "Dots", "Dots");
    account(&house, "otto", "admin");
    let mut alice = Client::guest_in(&house, "alice", room);
    let mut bob = Client::guest_in(&house, "bob", room);
    let seats: Vec<_> = (0..4)
        .map(|n| format!("<SEAT NUM='{n}' TYPE='open'/>"))
        .collect();
    let seats: Vec<&str> = seats.iter().map(String::as_str).collect();
    let (mut hers, table) = alice.launch(&house, game, &seats);
    let mut his = bob.join(&house, table);
    his.until(|state| state["you"] == 1);
    for (request, code) in [
        ("<RESEAT ACTION='sit'/>", "bad options"),
        ("<RESEAT ACTION='fly'/>", "bad options"),
        ("<RESEAT ACTION='move' SEAT='0'/>", "seat assign fail"),
        ("<RESEAT ACTION='move' SEAT='4'/>", "bad options"),
        ("<RESEAT ACTION='move' SEAT='3'/>", "ok"),
        ("<RESEAT ACTION='stand'/>", "ok"),
        ("<RESEAT ACTION='stand'/>", "bad options"),
        ("<RESEAT ACTION='sit' SEAT='2'/>", "ok"),
    ] {
        assert_eq!(bob.ask(request), code, "{request}");
    }
    // The same connection all the while.
    his.until(|state| state["you"] == 3);
    his.until(|state| state["you"].is_null() && state["spectators"][0] == "bob");
    his.until(|state| state["you"] == 2);

    let update = |action: &str, inner: &str| {
        format!(
            "<UPDATE TYPE='table' ACTION='{action}' ROOM='{room}'><TABLE ID='{table}' SEATS='4'>{inner}</TABLE></UPDATE>"
        )
    };
    let desc = update("desc", "<DESC>a &lt;long&gt; one</DESC>");
    let bot = update("seat", "<SEAT NUM='3' TYPE='bot'/>");
    let boot = update("boot", "<SEAT NUM='0' TYPE='player'>BOB</SEAT>");
    for request in [&desc, &bot, &boot] {
        assert_eq!(bob.ask(request), "no permission", "{request}");
    }
    bob.all();
    assert_eq!(alice.ask(&desc), "ok");
    bob.hears(&[&format!(
        "<UPDATE TYPE='table' ACTION='desc' ROOM='{room}'><TABLE ID='{table}'>\
         <DESC>a &lt;long&gt; one</DESC></TABLE></UPDATE>"
    )]);
    assert_eq!(alice.ask(&bot), "ok");
    bob.hears(&[&update("seat", "<SEAT NUM='3' TYPE='bot'/>")]);
    let reserved = "<SEAT NUM='3' TYPE='reserved'>carl</SEAT>";
    assert_eq!(alice.ask(&update("seat", reserved)), "ok");
    bob.hears(&[&update("seat", reserved)]);
    for (inner, code) in [
        ("<SEAT NUM='2' TYPE='open'/>", "seat assign fail"),
        ("<SEAT NUM='4' TYPE='open'/>", "bad options"),
        ("<SEAT NUM='3' TYPE='player'>carl</SEAT>", "bad options"),
        ("", "bad options"),
    ] {
        assert_eq!(alice.ask(&update("seat", inner)), code, "{inner}");
    }
    let long = format!("<DESC>{}</DESC>", "x".repeat(513));
    assert_eq!(alice.ask(&update("desc", &long)), "too long");
    let missing = "<UPDATE TYPE='table' ACTION='desc'><TABLE ID='99'><DESC/></TABLE></UPDATE>";
    assert_eq!(alice.ask(missing), "no table");
    alice.all();

    // Who they are; where from is for those who keep order.
    alice.send("<INFO/>\n");
    alice.hears(&[
        "<INFO><PLAYERINFO SEAT='0' REALNAME='alice' PHOTO='' HOST=''/>\
        <PLAYERINFO SEAT='2' REALNAME='bob' PHOTO='' HOST=''/></INFO>",
    ]);
    let mut otto = Client::member_in(&house, "otto", room);
    let watching = otto.channel(&house);
    assert_eq!(
        otto.ask(&format!("<JOIN TABLE='{table}' SPECTATOR='true'/>")),
        "ok"
    );
    otto.all();
    otto.send("<INFO SEAT='2'/>\n");
    otto.hears(&["<INFO><PLAYERINFO SEAT='2' REALNAME='bob' PHOTO='' HOST='127.0.0.1'/></INFO>"]);
    drop(watching);

    // Out with him, by the owner, and by whoever may.
    bob.all();
    assert_eq!(alice.ask(&boot), "ok");
    bob.hears(&["<LEAVE REASON='boot' PLAYER='alice'/>"]);
    his.ends();
    assert_eq!(alice.ask(&boot), "usr lookup");
    bob.all();
    let mut his = bob.join(&house, table);
    assert_eq!(otto.ask(&boot), "ok");
    bob.until("<LEAVE REASON='boot' PLAYER='otto'/>");
    his.ends();
    // Silent for who sits nowhere.
    bob.all();
    bob.send("<INFO/><RANKINGS/>\n");
    bob.hears_nothing();
    hers.until(|state| state["spectators"][0] == "otto");
}

#[tokio::test]
async fn one_leaves_in_every_state() {
    let house = House::open().await;
    let (room, game) = place(&house, "Chess", "Chess");
    let mut alice = Client::guest(&house, "alice");
    let left = "<LEAVE REASON='normal'/>";
    // In no room, in a room, alone at a table, watching, playing, and twice.
    assert_eq!(alice.ask("<LEAVE FORCE='true' SPECTATOR='true'/>"), "ok");
    alice.until(left);
    alice.enter(room);
    assert_eq!(alice.ask("<LEAVE/>"), "ok");
    alice.until(left);
    let (mut hers, _) = alice.launch(&house, game, &OPEN);
    assert_eq!(alice.ask("<LEAVE/>"), "ok");
    hers.ends();
    assert_eq!(alice.ask("<LEAVE/>"), "ok");
    alice.all();
    // While it is being launched: nobody can be told otherwise.
    let _hers = alice.channel(&house);
    alice.send(&format!(
        "{}<LEAVE/><ENTER ROOM='0'/><JOIN TABLE='1'/>\n",
        launching(game, &OPEN)
    ));
    let mut codes = Vec::new();
    for _ in 0..4 {
        codes.push(alice.until("<RESULT "));
    }
    for action in ["leave", "enter", "join"] {
        let refused = format!("<RESULT ACTION='{action}' CODE='in transit'/>");
        assert!(codes.contains(&refused), "{codes:?}");
    }
    assert!(
        codes.contains(&"<RESULT ACTION='launch' CODE='ok'/>".into()),
        "{codes:?}"
    );
    alice.until("<JOIN ");
    let mut bob = Client::guest_in(&house, "bob", room);
    let mut his = bob.join(&house, 2);
    his.until(|state| state["status"] == "playing");
    assert_eq!(bob.ask("<LEAVE FORCE='true'/>"), "ok");
    bob.until(left);
    // And back, to the same seat, with all of it.
    let state = bob
        .join(&house, 2)
        .until(|state| state["status"] == "playing");
    assert_eq!(state["you"], 1);
}
