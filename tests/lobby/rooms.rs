//! Rooms: what they list, who may come in, and who hears what.

use crate::{
    OPEN,
    common::{
        House,
        ggz::{Client, account, attribute},
    },
    place,
};

#[tokio::test]
async fn lists_say_what_is_there_in_the_language_that_was_asked_for() {
    let house = House::open().await;
    let mut alice = Client::guest(&house, "alice");
    for (what, code) in [
        ("player", "not in room"),
        ("table", "not in room"),
        ("weather", "bad options"),
    ] {
        let list = format!("<RESULT ACTION='list' CODE='{code}'/>");
        assert_eq!(alice.result(&format!("<LIST TYPE='{what}'/>")), list);
    }
    let games = alice.result("<LIST TYPE='game' FULL='true'/>");
    let reversi = games
        .split("<GAME ")
        .find(|game| game.contains("NAME='Reversi'"));
    let reversi = reversi.unwrap();
    assert!(
        reversi.contains(
            "VERSION='1'><PROTOCOL ENGINE='Longhouse Reversi' VERSION='1'/>\
             <ALLOW PLAYERS='2' BOTS='1 2' SPECTATORS='true' PEERS='false'/><BOT NAME="
        ) || reversi.contains(
            "VERSION='1'><PROTOCOL ENGINE='Longhouse Reversi' VERSION='1'/>\
             <ALLOW PLAYERS='2' BOTS='1..2' SPECTATORS='true' PEERS='false'/><BOT NAME="
        ),
        "{reversi}"
    );
    assert!(
        reversi.contains("<ABOUT AUTHOR=") && reversi.contains("<DESC>"),
        "{reversi}"
    );
    assert!(
        !alice
            .result("<list type='GAME' full='false'/>")
            .contains("<ABOUT")
    );
    let rooms = alice.result("<LIST TYPE='room' FULL='true'/>");
    assert!(
        rooms.starts_with(
            "<RESULT ACTION='list' CODE='ok'><LIST TYPE='room'>\
             <ROOM ID='0' NAME='Entry Hall' REFNAME='Entry Hall' GAME='-1' PLAYERS='0'><DESC>"
        ),
        "{rooms}"
    );
    assert!(rooms.ends_with("</ROOM></LIST></RESULT>"));
    alice.send("<LANGUAGE>de_DE</LANGUAGE>\n");
    let rooms = alice.result("<LIST TYPE='room' FULL='true'/>");
    assert!(
        rooms.contains("NAME='Diele' REFNAME='Entry Hall'"),
        "{rooms}"
    );
    assert!(rooms.contains("<DESC>Hier kommen alle herein."), "{rooms}");
    alice.enter(0);
    assert_eq!(
        alice.result("<LIST TYPE='player'/>"),
        "<RESULT ACTION='list' CODE='ok'><LIST TYPE='player' ROOM='0'>\
         <PLAYER ID='alice' TYPE='guest' TABLE='-1' PERMS='0x00000043' LAG='1'/></LIST></RESULT>"
    );
    let chess = alice.number("room", "Schach");
    assert_eq!(
        alice.result(&format!("<LIST TYPE='table' ROOM='{chess}'/>")),
        format!(
            "<RESULT ACTION='list' CODE='ok'><LIST TYPE='table' ROOM='{chess}'></LIST></RESULT>"
        )
    );
    assert_eq!(alice.ask("<LIST TYPE='table' ROOM='99'/>"), "bad options");
}

#[tokio::test]
async fn who_may_come_in_does_and_the_others_are_told() {
    let mut house = House::unlocked(&["lobby.room_update=1s".into()]);
    house.stock(&[]);
    let rooms = house.data().join("rooms");
    std::fs::create_dir(&rooms).unwrap();
    for (name, keys) in [
        ("small", "max_players = 1"),
        ("members", "entry = \"registered\""),
        ("office", "entry = \"admin\""),
    ] {
        let text = format!("title = \"{name}\"\ndescription = \"A room.\"\n{keys}\n");
        std::fs::write(rooms.join(format!("{name}.toml")), text).unwrap();
    }
    house.settle().await;
    account(&house, "bea", "player");
    account(&house, "otto", "admin");
    let mut guest = Client::guest_in(&house, "alice", 0);
    let [small, members, office] =
        ["small", "members", "office"].map(|name| guest.number("room", name));
    let enter = |room: u32| format!("<ENTER ROOM='{room}'/>");
    for (room, code) in [
        (enter(99), "bad options"),
        ("<ENTER ROOM='-1'/>".into(), "bad options"),
        ("<ENTER/>".into(), "bad options"),
        (enter(members), "no permission"),
        (enter(office), "no permission"),
        (enter(0), "ok"),
        (enter(small), "ok"),
    ] {
        assert_eq!(guest.ask(&room), code, "{room}");
    }
    let mut bea = Client::member_in(&house, "bea", members);
    assert_eq!(bea.ask(&enter(small)), "room full");
    assert_eq!(bea.ask(&enter(office)), "no permission");
    assert_eq!(
        bea.ask(&format!("<LIST TYPE='player' ROOM='{office}'/>")),
        "no permission"
    );
    let mut otto = Client::member_in(&house, "otto", office);
    bea.all();
    otto.enter(members);
    bea.hears(&[&format!(
        "<UPDATE TYPE='player' ACTION='add' ROOM='{members}' FROMROOM='{office}'>\
         <PLAYER ID='otto' TYPE='admin' TABLE='-1' PERMS='0x0000019F' LAG='1'/></UPDATE>"
    )]);
    otto.enter(0);
    bea.hears(&[&format!(
        "<UPDATE TYPE='player' ACTION='delete' ROOM='{members}' TOROOM='0'><PLAYER ID='otto'/></UPDATE>"
    )]);
    // Everybody is told how many people are where, of the rooms where that has changed.
    let told =
        format!("<UPDATE TYPE='room' ACTION='players'><ROOM ID='{members}' PLAYERS='1'/></UPDATE>");
    while guest.raw().unwrap() != told {}
}

#[tokio::test]
async fn each_kind_of_chat_is_heard_by_whom_it_is_for() {
    let house = House::open().await;
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    account(&house, "otto", "admin");
    let mut alice = Client::guest_in(&house, "alice", room);
    let mut bob = Client::guest_in(&house, "bob", room);
    let mut carl = Client::guest_in(&house, "carl", 0);
    let mut otto = Client::member_in(&house, "otto", 0);
    let mut dora = Client::guest(&house, "dora");
    assert_eq!(dora.ask("<CHAT>hello</CHAT>"), "not in room");
    for client in [&mut alice, &mut bob, &mut carl, &mut otto] {
        client.all();
    }
    // The room, with what XML would take amiss; the result comes first, and one hears oneself.
    let text = "1 &lt; 2 &amp; &quot;so&quot; &apos;on&apos; \u{e4}\n;-&gt;";
    alice.send(&format!(
        "<CHAT TYPE='normal'>{text}</CHAT>\n<CHAT TYPE='x'>?</CHAT>\n"
    ));
    let said = format!("<CHAT TYPE='normal' FROM='alice'>{text}</CHAT>");
    let odd = "<CHAT TYPE='' FROM='alice'>?</CHAT>";
    let ok = "<RESULT ACTION='chat' CODE='ok'/>";
    alice.hears(&[ok, &said, ok, odd]);
    bob.hears(&[&said, odd]);
    carl.hears_nothing();
    // Everybody.
    assert_eq!(
        alice.ask("<CHAT TYPE='announce'>hear</CHAT>"),
        "no permission"
    );
    assert_eq!(otto.ask("<CHAT TYPE='announce'>hear</CHAT>"), "ok");
    for client in [&mut alice, &mut bob, &mut carl, &mut otto, &mut dora] {
        client.hears(&["<CHAT TYPE='announce' FROM='otto'>hear</CHAT>"]);
    }
    // One person in another room, whatever the case of the name; not oneself.
    assert_eq!(
        alice.ask("<CHAT TYPE='private' TO='CARL'>psst</CHAT>"),
        "ok"
    );
    assert_eq!(alice.ask("<CHAT TYPE='beep' TO='carl'/>"), "ok");
    carl.hears(&[
        "<CHAT TYPE='private' FROM='alice'>psst</CHAT>",
        "<CHAT TYPE='beep' FROM='alice'/>",
    ]);
    assert_eq!(
        alice.ask("<CHAT TYPE='private' TO='zoe'>psst</CHAT>"),
        "usr lookup"
    );
    assert_eq!(alice.ask("<CHAT TYPE='private'>psst</CHAT>"), "bad options");
    alice.hears_nothing();
    bob.hears_nothing();
    // A table, its spectators too; and nobody whispers to who plays, but those who may.
    assert_eq!(alice.ask("<CHAT TYPE='table'>my move</CHAT>"), "no table");
    let (_hers, table) = alice.launch(&house, game, &OPEN);
    let watching = bob.channel(&house);
    assert_eq!(
        bob.ask(&format!("<JOIN TABLE='{table}' SPECTATOR='true'/>")),
        "ok"
    );
    bob.all();
    alice.all();
    assert_eq!(alice.ask("<CHAT TYPE='table'>my move</CHAT>"), "ok");
    for client in [&mut alice, &mut bob] {
        client.hears(&["<CHAT TYPE='table' FROM='alice'>my move</CHAT>"]);
    }
    assert_eq!(
        alice.ask("<CHAT TYPE='private' TO='carl'>psst</CHAT>"),
        "at table"
    );
    assert_eq!(carl.ask("<CHAT TYPE='beep' TO='alice'/>"), "at table");
    assert_eq!(
        otto.ask("<CHAT TYPE='private' TO='alice'>psst</CHAT>"),
        "ok"
    );
    alice.hears(&["<CHAT TYPE='private' FROM='otto'>psst</CHAT>"]);
    carl.hears_nothing();
    drop(watching);
    assert_eq!(attribute(&alice.player("bob"), "TABLE"), table.to_string());
}
