//! Rooms and games of one's own: files that come, change and go while people are there; a foreign game.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use serde_json::{Value, json};

use crate::{
    OPEN,
    common::{
        House, code,
        ggz::{Client, attribute, launching},
        installed,
    },
    order::done,
    place,
};

/// A box with a data folder that every user may look into.
pub(crate) async fn furnished(sets: &[&str]) -> House {
    let sets: Vec<_> = sets.iter().map(ToString::to_string).collect();
    let mut house = House::unlocked(&sets);
    house.stock(&[]);
    for folder in ["tables", "rooms"] {
        fs::create_dir(house.data().join(folder)).unwrap();
    }
    let open = |path: &Path| fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    open(&house.data());
    open(&house.data().join("tables"));
    open(house.data().parent().unwrap());
    let program = house.data().join("tables/minimal.py");
    fs::copy("tests/games/minimal.py", &program).unwrap();
    open(&program);
    house.settle().await;
    house
}

const DSC: &str = "\
# A game of the original's form.
[GameInfo]
Name = Minimal
Name[de] = Winzig
Description = It greets.
Version = 0.1
Author = Bob
Homepage = http://example.org/
[LaunchInfo]
ExecutablePath = minimal.py
[Protocol]
Engine = Minimal
Version = 7
[TableOptions]
AllowLeave = 1
BotsAllowed = 1
PlayersAllowed = 1..3
AllowSpectators = 1
";

const ROOM: &str = "\
[RoomInfo]
Name = The workshop
Description = Where games are made.
GameType = Minimal
MaxPlayers = 20
ExecutableArgs = wait
";

#[tokio::test]
async fn a_foreign_game_is_installed_launched_joined_and_left() {
    if !installed("/usr/bin/python3") {
        return;
    }
    let house = furnished(&[]).await;
    let mut alice = Client::guest(&house, "alice");
    // While the box runs: both in the original's form.
    fs::write(house.data().join("tables/minimal.dsc"), DSC).unwrap();
    fs::write(house.data().join("rooms/workshop.room"), ROOM).unwrap();
    let room = alice.until("<UPDATE TYPE='room' ACTION='add'>");
    assert!(
        room.contains("NAME='The workshop' REFNAME='The workshop'"),
        "{room}"
    );
    assert!(
        room.contains("<DESC>Where games are made.</DESC>"),
        "{room}"
    );
    let game = alice.number("game", "Minimal");
    let room: u32 = attribute(&room, "ID").parse().unwrap();
    alice.enter(room);
    let mut bob = Client::guest_in(&house, "bob", room);
    alice.all();
    let three = [
        "<SEAT NUM='0' TYPE='open'/>",
        "<SEAT NUM='1' TYPE='open'/>",
        "<SEAT NUM='2' TYPE='bot'/>",
    ];
    let (mut hers, table) = alice.launch(&house, game, &three);
    hers.say("hello");
    assert_eq!(hers.line().unwrap(), "alice, blocking True: hello");
    hers.ends();
    let mut his = bob.join(&house, table);
    his.say("good evening");
    assert_eq!(his.line().unwrap(), "bob, blocking True: good evening");
    assert_eq!(bob.ask("<LEAVE/>"), "ok");
    bob.until("<LEAVE REASON='normal'/>");
    let mut watching = bob.channel(&house);
    assert_eq!(
        bob.ask(&format!("<JOIN TABLE='{table}' SPECTATOR='true'/>")),
        "ok"
    );
    watching.say("what is it");
    assert_eq!(watching.line().unwrap(), "bob, blocking True: what is it");
    assert_eq!(alice.ask("<LEAVE/>"), "ok");
    // With its last player it goes, and who watches is told.
    bob.until("<LEAVE REASON='gameover'/>");
    bob.until("<UPDATE TYPE='table' ACTION='delete'");
}

#[tokio::test]
async fn rooms_change_while_people_are_in_them() {
    let house = furnished(&[]).await;
    let file = house.data().join("rooms/attic.toml");
    let mut alice = Client::guest(&house, "alice");
    let mut bob = Client::guest_in(&house, "bob", 0);
    fs::write(
        &file,
        "title = \"The attic\"\ndescription = \"A.\"\ngame = \"chess\"\n",
    )
    .unwrap();
    let add = alice.until("<UPDATE TYPE='room' ACTION='add'>");
    assert!(add.contains("NAME='The attic'"), "{add}");
    let records = done(&house, "lobby.reload", "definitions").await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["name"], "box");
    let attic: u32 = attribute(&add, "ID").parse().unwrap();
    let enter = |room: u32| format!("<ENTER ROOM='{room}'/>");
    alice.enter(attic);
    bob.until("ACTION='add'>");

    // A fault changes nothing.
    fs::write(&file, "title = 7\n").unwrap();
    fs::write(
        house.data().join("rooms/cellar.toml"),
        "title = \"Cellar\"\ndescription = \"A.\"\n",
    )
    .unwrap();
    let add = bob.until("<UPDATE TYPE='room' ACTION='add'>");
    assert!(add.contains("NAME='Cellar'"), "{add}");
    assert_eq!(bob.ask(&enter(attic)), "ok");
    bob.enter(0);
    bob.all();

    // Changed: another room, and who is in the former may stay.
    fs::write(
        &file,
        "title = \"The loft\"\ndescription = \"A.\"\ngame = \"chess\"\n",
    )
    .unwrap();
    bob.hears(&[&format!(
        "<UPDATE TYPE='room' ACTION='close'><ROOM ID='{attic}'/></UPDATE>"
    )]);
    let add = bob.item();
    assert!(
        add.contains("ACTION='add'") && add.contains("NAME='The loft'"),
        "{add}"
    );
    let loft: u32 = attribute(&add, "ID").parse().unwrap();
    assert_eq!(bob.ask(&enter(attic)), "bad options");
    assert_eq!(alice.ask("<CHAT>still here</CHAT>"), "ok");
    let rooms = bob.result("<LIST TYPE='room'/>");
    assert!(
        rooms.contains("The loft") && !rooms.contains("The attic"),
        "{rooms}"
    );
    let chess = alice.number("game", "Chess");
    let open = ["<SEAT NUM='0' TYPE='open'/>", "<SEAT NUM='1' TYPE='open'/>"];
    let channel = alice.channel(&house);
    let launched = alice.ask(&launching(chess, &open));
    assert!(["ok", "bad options"].contains(&&*launched), "{launched}");
    alice.ask("<LEAVE FORCE='true'/>");
    drop(channel);
    alice.all();
    assert_eq!(alice.ask(&enter(loft)), "ok");
    bob.until(&format!(
        "<UPDATE TYPE='room' ACTION='delete'><ROOM ID='{attic}'/></UPDATE>"
    ));

    // Removed while occupied, and gone with the last.
    fs::remove_file(&file).unwrap();
    bob.until(&format!(
        "<UPDATE TYPE='room' ACTION='close'><ROOM ID='{loft}'/></UPDATE>"
    ));
    assert_eq!(bob.ask(&enter(loft)), "bad options");
    alice.drop_line();
    bob.until(&format!(
        "<UPDATE TYPE='room' ACTION='delete'><ROOM ID='{loft}'/></UPDATE>"
    ));
    // Room 0 stays, whatever is done to it.
    let entry = house.data().join("rooms/entry.toml");
    fs::write(&entry, "title = \"The porch\"\ndescription = \"A.\"\n").unwrap();
    fs::write(
        house.data().join("rooms/last.toml"),
        "title = \"Last\"\ndescription = \"A.\"\n",
    )
    .unwrap();
    bob.until("NAME='Last'");
    assert_eq!(bob.number("room", "The porch"), 0);
}

/// Tic-Tac-Toe as it ships, but for this.
fn tictactoe(was: &str, is: &str) -> String {
    let shipped = include_str!("../../data/tables/tictactoe.toml");
    assert!(shipped.contains(was));
    shipped.replace(was, is)
}

/// A game as the list of games has it.
fn listed(client: &mut Client, game: &str) -> Option<String> {
    let list = client.result("<LIST TYPE='game'/>");
    let mut games = list.split("<GAME ");
    let found = games.find(|one| one.contains(&format!(" NAME='{game}'")));
    found.map(str::to_owned)
}

fn watch(client: &mut Client, table: u32) -> String {
    client.ask(&format!("<JOIN TABLE='{table}' SPECTATOR='true'/>"))
}

#[tokio::test]
async fn a_game_that_changes_is_another_at_new_tables_alone() {
    let house = furnished(&[]).await;
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let mut alice = Client::guest_in(&house, "alice", room);
    let mut watcher = Client::guest_in(&house, "eve", room);
    let _channel = watcher.channel(&house);
    let (mut hers, first) = alice.launch(&house, game, &OPEN);
    // By a file; the room that is written after it tells when it was read.
    let file = house.data().join("tables/tictactoe.toml");
    fs::write(&file, tictactoe("spectators = true", "spectators = false")).unwrap();
    let attic = house.data().join("rooms/attic.toml");
    fs::write(attic, "title = \"Attic\"\ndescription = \"A.\"\n").unwrap();
    watcher.until("NAME='Attic'");
    let now = listed(&mut watcher, "Tic-Tac-Toe").unwrap();
    assert!(now.contains("SPECTATORS='false'"), "{now}");
    let mut bob = Client::guest_in(&house, "bob", room);
    let (_his, second) = bob.launch(&house, game, &OPEN);
    assert_eq!(watch(&mut watcher, second), "no permission");
    let _channel = watcher.channel(&house);
    assert_eq!(watch(&mut watcher, first), "ok");
    assert_eq!(watcher.ask("<LEAVE SPECTATOR='true'/>"), "ok");

    // Over the API, which stands before the file.
    let path = "/api/v1/lobby/definitions/tables/tictactoe";
    let toml = tictactoe("version = \"1\"\nauthor", "version = \"2\"\nauthor");
    house.ok("PUT", path, Some(json!({"toml": toml}))).await;
    let now = listed(&mut watcher, "Tic-Tac-Toe").unwrap();
    assert!(now.contains("SPECTATORS='true'"), "{now}");
    assert!(now.contains(" VERSION='2'>"), "{now}");
    let _channel = watcher.channel(&house);
    assert_eq!(watch(&mut watcher, second), "no permission");

    // Removed: it is neither listed nor launched, and played on.
    house.ok("DELETE", path, None).await;
    watcher.until(&format!("ACTION='close'><ROOM ID='{room}'/>"));
    assert_eq!(listed(&mut watcher, "Tic-Tac-Toe"), None);
    let all = house.ok("GET", "/api/v1/lobby/definitions", None).await;
    let faults = all["faults"].to_string();
    assert!(faults.contains("there is no game `tictactoe`"), "{faults}");
    watcher.channel(&house);
    assert_eq!(watcher.ask(&launching(game, &OPEN)), "bad options");
    let mut guest = Client::guest(&house, "guest");
    assert_eq!(bob.ask("<LEAVE/>"), "ok");
    bob.until("<LEAVE ");
    let mut theirs = bob.join(&house, first);
    hers.until(|state| state["status"] == "playing");
    hers.play("a1");
    theirs.until(|state| state["last"] == "a1");

    // Forgotten: the file counts again, and the room is there again.
    house.ok("DELETE", &format!("{path}/override"), None).await;
    guest.until("NAME='Tic-Tac-Toe'");
    let now = listed(&mut guest, "Tic-Tac-Toe").unwrap();
    assert!(now.contains("SPECTATORS='false'"), "{now}");
    assert!(now.contains(" VERSION='1'>"), "{now}");
    let again = house
        .call("DELETE", &format!("{path}/override"), None)
        .await;
    assert_eq!(code(&again), (404, "no-such-definition"));
}

#[tokio::test]
async fn what_is_there_and_not_in_effect_is_told_and_can_be_removed() {
    let house = furnished(&[]).await;
    let mut alice = Client::guest(&house, "alice");
    let rooms = house.data().join("rooms");
    fs::write(rooms.join("cellar.toml"), "title = 7\n").unwrap();
    fs::write(
        rooms.join("attic.toml"),
        "title = \"Attic\"\ndescription = \"A.\"\n",
    )
    .unwrap();
    alice.until("NAME='Attic'");
    let path = "/api/v1/lobby/definitions";
    let toml = "title = \"Den\"\ndescription = \"A.\"\ngame = \"go\"\n";
    for den in ["den", "nook"] {
        let wish = Some(json!({"toml": toml}));
        house.ok("PUT", &format!("{path}/rooms/{den}"), wish).await;
    }
    let all = house.ok("GET", path, None).await;
    let faults: Vec<_> = all["faults"].as_array().unwrap().iter().collect();
    let told = |words: &str| faults.iter().any(|fault| fault.to_string().contains(words));
    assert!(told("rooms/cellar.toml: title: "), "{faults:?}");
    assert!(told("rooms/den: game: is not open: there is no game `go`"));
    let ours = all["rooms"].to_string();
    assert!(ours.contains("attic") && !ours.contains("den"), "{ours}");
    let den = format!("{path}/rooms/den");
    house.ok("DELETE", &den, None).await;
    let (exit, _, why) = house.verb(&["lobby", "remove", "room", "nook"]);
    assert_eq!((exit, &*why), (0, "removed\n"));
    house
        .ok("DELETE", &format!("{path}/rooms/cellar"), None)
        .await;
    let all = house.ok("GET", path, None).await;
    // The file is as it was, and nobody asks for it any more.
    let faults = all["faults"].as_array().unwrap();
    let theirs = |fault: &Value| fault.as_str().unwrap().contains("rooms/cellar.toml: ");
    assert!(faults.iter().all(theirs), "{faults:?}");
    let none = house.call("DELETE", &den, None).await;
    assert_eq!(code(&none), (404, "no-such-definition"));
    assert_eq!(none.1["detail"], "there is no room `den`");
}

#[tokio::test]
async fn the_first_room_keeps_its_game_and_who_gives_it_another_is_told() {
    let mut house = furnished(&[]).await;
    let path = "/api/v1/lobby/definitions/rooms/entry";
    let wish =
        |title, game| json!({"toml": format!("title = \"{title}\"\ndescription = \"A.\"\n{game}")});
    let chess = Some(wish("Door", "game = \"chess\"\n"));
    let answer = house.call("PUT", path, chess.clone()).await;
    assert_eq!(code(&answer), (422, "bad-field"));
    let why = answer.1["why"].as_str().unwrap();
    assert!(
        why.starts_with("entry: game: counts from the next start"),
        "{why}"
    );
    // Anything else of it can be changed where it stands.
    house.ok("PUT", path, Some(wish("Door", ""))).await;
    // The same in a file, with a room that comes with it.
    house.ok("DELETE", &format!("{path}/override"), None).await;
    let mut alice = Client::guest(&house, "alice");
    let file = house.data().join("rooms/entry.toml");
    fs::write(
        &file,
        "title = \"Door\"\ndescription = \"A.\"\ngame = \"chess\"\n",
    )
    .unwrap();
    let attic = house.data().join("rooms/attic.toml");
    fs::write(attic, "title = \"Attic\"\ndescription = \"A.\"\n").unwrap();
    alice.until("<UPDATE TYPE='room' ACTION='add'>");
    let path = "/api/v1/lobby/definitions";
    let fault = house.ok("GET", path, None).await["faults"].to_string();
    assert!(
        fault.contains("rooms/entry.toml: game: counts from the next start"),
        "{fault}"
    );
    assert!(house.stop());
    house.start();
    let mut alice = Client::guest_in(&house, "alice", 0);
    let chess = alice.number("game", "Chess");
    alice.launch(
        &house,
        chess,
        &["<SEAT NUM='0' TYPE='open'/>", "<SEAT NUM='1' TYPE='open'/>"],
    );
}
