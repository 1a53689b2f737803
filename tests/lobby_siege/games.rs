//! Games that do not start, break the rules, or fall over: their own table ends, with a reason.

use std::{fs, os::unix::fs::PermissionsExt, path::Path};

use crate::{
    OPEN,
    common::{
        House, PATIENCE,
        ggz::{Client, launching},
        installed,
    },
    place,
};

/// Processes that are any table game's of this box.
pub(crate) fn games_of(house: &House) -> Vec<i32> {
    let entries = fs::read_dir("/proc").unwrap();
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    pids.filter(|pid: &i32| {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next().map(str::to_owned)
        };
        let uid = field("Uid:").and_then(|uid| uid.parse().ok());
        uid.is_some_and(|uid| house.players.contains(&uid))
            && field("State:").is_some_and(|s| s != "Z")
    })
    .collect()
}

/// Waits until so many processes of games are left.
pub(crate) fn until_games(house: &House, count: usize) {
    let started = std::time::Instant::now();
    loop {
        let left = games_of(house);
        if left.len() == count {
            return;
        }
        assert!(
            started.elapsed() < PATIENCE,
            "{left:?} instead of {count}\n{}",
            house.log()
        );
        std::thread::yield_now();
    }
}

/// A box with a room for each way to misbehave, and a game whose program is not there.
async fn workshop(behaviours: &[(&str, &str)]) -> House {
    let mut house = House::unlocked(&[]);
    house.stock(&[]);
    let data = house.data();
    for folder in ["tables", "rooms"] {
        fs::create_dir(data.join(folder)).unwrap();
    }
    let open = |path: &Path| fs::set_permissions(path, PermissionsExt::from_mode(0o755)).unwrap();
    open(data.parent().unwrap());
    open(&data);
    open(&data.join("tables"));
    let program = data.join("tables/minimal.py");
    fs::copy("tests/games/minimal.py", &program).unwrap();
    open(&program);
    for (name, program) in [("minimal", "minimal.py"), ("missing", "nothing/there")] {
        let dsc = format!(
            "[GameInfo]\nName = {name}\nVersion = 1\n[LaunchInfo]\nExecutablePath = {program}\n\
             [Protocol]\nEngine = Minimal\nVersion = 7\n[TableOptions]\nAllowLeave = 1\n\
             BotsAllowed = 1\nPlayersAllowed = 2\nAllowSpectators = 1\n"
        );
        fs::write(data.join(format!("tables/{name}.dsc")), dsc).unwrap();
    }
    for (name, args) in behaviours {
        let game = if *name == "missing" {
            "missing"
        } else {
            "minimal"
        };
        let room =
            format!("[RoomInfo]\nName = {name}\nGameType = {game}\nExecutableArgs = {args}\n");
        fs::write(data.join(format!("rooms/{name}.room")), room).unwrap();
    }
    house.settle().await;
    house
}

#[tokio::test]
async fn a_game_that_does_not_start_is_a_launch_that_fails() {
    if !installed("/usr/bin/python3") {
        return;
    }
    let ways = [
        ("missing", ""),
        ("exits", "exit"),
        ("crashes", "crash"),
        ("signalled", "signal"),
        ("done", "done"),
        ("unknown", "unknown"),
        ("hangs", "hang"),
    ];
    let house = workshop(&ways).await;
    let mut clients: Vec<_> = ways
        .iter()
        .map(|(name, _)| {
            let mut client = Client::guest(&house, name);
            let game = if *name == "missing" {
                "missing"
            } else {
                "minimal"
            };
            let game = client.number("game", game);
            let room = client.number("room", name);
            client.enter(room);
            let channel = client.channel(&house);
            client.send(&launching(game, &OPEN));
            (client, channel)
        })
        .collect();
    // The one that hangs keeps nobody waiting but its own launcher.
    for (client, _) in &mut clients {
        let told = client.until("<RESULT ");
        assert_eq!(
            told, "<RESULT ACTION='launch' CODE='launch fail'/>",
            "{}",
            client.name
        );
        // No table was ever told of, and one may try again.
        client.hears_nothing();
        assert_eq!(client.ask("<ENTER ROOM='0'/>"), "ok");
    }
    until_games(&house, 0);
}

#[tokio::test]
async fn a_game_that_breaks_the_rules_ends_its_own_table_alone() {
    if !installed("/usr/bin/python3") {
        return;
    }
    let ways = [
        ("unknown", "wait unknown"),
        ("huge", "wait huge"),
        ("floods", "wait flood"),
        ("crashes", "wait crash"),
        ("signalled", "wait signal"),
        ("exits", "wait exit"),
        ("hangup", "wait hangup hang"),
        ("forks", "wait fork unknown"),
        ("stubborn", "wait stubborn unknown"),
        ("noisy", "wait noisy unknown"),
    ];
    let house = workshop(&ways).await;
    // Honest people in another room.
    let (chess, game) = place(&house, "Chess", "Chess");
    let mut alice = Client::guest_in(&house, "alice", chess);
    let mut bob = Client::guest_in(&house, "bob", chess);
    let (mut hers, table) = alice.launch(&house, game, &OPEN);
    let mut his = bob.join(&house, table);
    let mut state = hers.until(|state| state["turn"] == 0);
    alice.all();
    for (name, _) in ways {
        let mut client = Client::guest(&house, &name.replace(' ', "-"));
        let game = client.number("game", "minimal");
        let room = client.number("room", name);
        client.enter(room);
        let _channel = client.channel(&house);
        client.send(&launching(game, &OPEN));
        client.until("ACTION='launch' CODE='ok'");
        client.hears(&["<JOIN TABLE='1' SPECTATOR='false'/>"]);
        let why = client.until("<CHAT TYPE='private' FROM='[Server]'>");
        assert!(why.contains(">minimal: the game "), "{why}");
        client.until("<LEAVE REASON='gameerror'/>");
        client.until(&format!(
            "<UPDATE TYPE='table' ACTION='delete' ROOM='{room}'>"
        ));
        client.hears_nothing();
        // And the honest go on.
        let turn = state["turn"].as_u64().unwrap();
        let next = state["moves"][0].as_str().unwrap().to_owned();
        let mover = if turn == 0 { &mut hers } else { &mut his };
        mover.play(&next);
        state = hers.until(|state| state["turn"] != turn && state["last"] == *next);
        his.until(|state| state["turn"] != turn && state["last"] == *next);
    }
    alice.hears_nothing();
    until_games(&house, 1);
    let log = house.log();
    for why in [
        "sent nonsense",
        "too many messages",
        "ended unexpectedly",
        "hung up",
    ] {
        assert!(log.contains(why), "`{why}` is not in the log:\n{log}");
    }
}

#[tokio::test]
async fn a_crowd_of_onlookers_leaves_room_for_the_players_of_a_match() {
    let house = House::open().await;
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let mut alice = Client::guest_in(&house, "alice", room);
    let mut bob = Client::guest_in(&house, "bob", room);
    let (mut hers, table) = alice.launch(&house, game, &OPEN);
    let mut his = bob.join(&house, table);
    hers.until(|state| state["turn"] == 0);
    his.until(|state| state["turn"] == 0);
    // As many as the game may have processes and threads.
    let mut crowd: Vec<_> = (0..64)
        .map(|n| {
            let mut onlooker = Client::guest_in(&house, &format!("eve{n}"), room);
            let channel = onlooker.channel(&house);
            let watch = format!("<JOIN TABLE='{table}' SPECTATOR='true'/>");
            let code = onlooker.ask(&watch);
            assert_eq!(code, if n < 32 { "ok" } else { "table full" });
            (onlooker, channel)
        })
        .collect();
    for (_, channel) in &mut crowd[..32] {
        channel.until(|state| state["status"] == "playing");
    }
    // Who is refused is not listed.
    let tables = alice.result("<LIST TYPE='table'/>");
    assert_eq!(tables.matches("<SPECTATOR ").count(), 32, "{tables}");
    // And a player who was away is back at once.
    assert_eq!(bob.ask("<LEAVE/>"), "ok");
    let mut his = bob.join(&house, table);
    assert_eq!(his.until(|state| state["turn"] == 0)["you"], 1);
    hers.play("a1");
    his.until(|state| state["last"] == "a1");
}
