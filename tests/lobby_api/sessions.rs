//! Whole sessions over a WebSocket, and what the API and the command line see of them.

use super::*;

#[tokio::test]
async fn a_guest_talks_over_a_websocket_and_the_api_hears_and_answers() {
    let house = House::open().await;
    let mut eve = Guest::come(&house, "", "eve").await;
    eve.does(json!({"do": "enter", "room": 0})).await;
    eve.does(json!({"do": "chat", "kind": "normal", "text": "hello"}))
        .await;
    assert_eq!(eve.until("chat").await["text"], "hello");
    let said = json!({"room": 0, "text": "welcome"});
    house.ok("POST", "/api/v1/lobby/chat", Some(said)).await;
    let heard = eve.until("chat").await;
    assert_eq!(
        (&heard["from"], &heard["text"]),
        (&json!("ada"), &json!("welcome"))
    );
    let lines = house
        .ok("GET", "/api/v1/lobby/chat?room=0&count=2", None)
        .await;
    let texts: Vec<_> = lines
        .as_array()
        .expect("lines")
        .iter()
        .map(|line| &line["text"])
        .collect();
    assert_eq!(texts, ["hello", "welcome"]);
    let players = house.ok("GET", "/api/v1/lobby/players", None).await;
    assert_eq!(
        (
            &players[0]["name"],
            &players[0]["room"],
            &players[0]["kind"]
        ),
        (&json!("eve"), &json!(0), &json!("guest"))
    );
    // What makes no sense is answered, and ends nothing.
    for nonsense in [
        "",
        "{",
        r#"{"do":"dance"}"#,
        r#"{"do":"channel","name":"ada"}"#,
        r#"{"do":"enter","room":0,"x":1}"#,
    ] {
        eve.send(Message::text(nonsense)).await;
        assert_eq!(
            eve.next().await["problem"]["code"],
            "bad-json",
            "{nonsense}"
        );
    }
    eve.send(Message::binary(vec![1, 2, 3])).await;
    assert_eq!(eve.next().await["problem"]["code"], "not-running");
    eve.ask(json!({"do": "ping", "id": "7"})).await;
    assert_eq!(eve.until("pong").await["id"], "7");
    // Kicked, banned, and let in again.
    let why = Some(json!({"reason": "rude"}));
    house.ok("POST", "/api/v1/lobby/players/eve/ban", why).await;
    assert_eq!(eve.closed().await, 1000);
    let bans = house.ok("GET", "/api/v1/lobby/bans", None).await;
    assert_eq!(
        (&bans[0]["name"], &bans[0]["reason"]),
        (&json!("eve"), &json!("rude"))
    );
    let mut again = Guest::greeted(&house, "").await;
    again.ask(json!({"do": "login", "name": "eve"})).await;
    assert_eq!(again.result("login").await, "no-permission");
    house.ok("DELETE", "/api/v1/lobby/bans/eve", None).await;
    again.does(json!({"do": "login", "name": "eve"})).await;
    again.ask(json!({"do": "end"})).await;
    again.until("end").await;
    assert_eq!(again.closed().await, 1000);
}

#[tokio::test]
async fn news_of_one_room_are_of_that_room() {
    let house = House::open().await;
    let (chess, _) = room(&house, "chess").await;
    let path = format!("/api/v1/lobby/live?room={chess}");
    let mut news = house.socket(&path).await;
    let mut eve = Guest::come(&house, "", "eve").await;
    for (id, text) in [(0, "in the hall"), (chess, "at chess")] {
        eve.does(json!({"do": "enter", "room": id})).await;
        eve.does(json!({"do": "chat", "kind": "normal", "text": text}))
            .await;
    }
    let mut seen = Vec::new();
    while seen.last() != Some(&json!("at chess")) {
        let word = news.next().await.expect("it goes on");
        let heard = &word["heard"];
        if heard["push"] == "chat" {
            seen.push(heard["text"].clone());
        } else if heard["update"] == "player_add" {
            assert_eq!(heard["room"], chess, "{word}");
        }
    }
    assert_eq!(seen, [json!("at chess")]);
    let nowhere = house.socket_as(&house.token, "/api/v1/lobby/live?room=99");
    assert_eq!(nowhere.await.err(), Some(404));
}

/// A match of `ada` against the computer that she gives up.
async fn resign(ada: &mut Guest, game: Option<u64>) {
    let seats = json!([{"kind": "open"}, {"kind": "bot"}]);
    ada.does(json!({"do": "launch", "game": game, "description": "", "seats": seats}))
        .await;
    ada.state(|state| state["status"] == "playing").await;
    ada.play(json!({"resign": true})).await;
    // First what the lobby says: whoever looks at the table alone misses it.
    while ada.until("update").await["update"] != "player_stats" {}
    ada.state(|state| state["status"] == "over").await;
    ada.does(json!({"do": "leave"})).await;
    ada.until("leave").await;
}

#[tokio::test]
async fn older_matches_are_asked_for_by_the_last_one_that_was_seen() {
    let house = House::open().await;
    let (room, game) = room(&house, "tictactoe").await;
    let mut ada = Guest::come(&house, &house.token, "ada").await;
    ada.does(json!({"do": "enter", "room": room})).await;
    for _ in 0..3 {
        resign(&mut ada, game).await;
    }
    let ids = async |more: &str| -> Vec<u64> {
        let path = format!("/api/v1/lobby/matches?{more}");
        let matches = house.ok("GET", &path, None).await;
        let matches = matches.as_array().expect("matches").iter();
        matches
            .map(|one| one["id"].as_u64().expect("an id"))
            .collect()
    };
    let all = ids("account=ada").await;
    let [third, second, first] = all[..] else {
        panic!("{all:?}");
    };
    assert!(third > second && second > first, "{all:?}");
    for filter in ["", "&account=ada", "&game=tictactoe"] {
        assert_eq!(ids(&format!("before={third}{filter}")).await, all[1..]);
        let one = format!("before={third}&count=1{filter}");
        assert_eq!(ids(&one).await, [second]);
        assert!(ids(&format!("before={first}{filter}")).await.is_empty());
    }
}

#[tokio::test]
async fn an_account_is_let_in_as_itself_once_and_by_its_password_too() {
    let house = House::open().await;
    let (_, token) = house.person("bob", "player").await;
    let mut bob = Guest::come(&house, &token, "bob").await;
    bob.does(json!({"do": "enter", "room": 0})).await;
    let players = house.ok("GET", "/api/v1/lobby/players", None).await;
    assert_eq!(
        (&players[0]["name"], &players[0]["kind"]),
        (&json!("bob"), &json!("normal"))
    );
    let mut twice = Guest::greeted(&house, &token).await;
    assert_eq!(twice.result("login").await, "already-logged-in");
    assert_eq!(twice.closed().await, 1000);
    drop(bob);
    let mut news = Guest::greeted(&house, "").await;
    let login =
        json!({"do": "login", "kind": "normal", "name": "bob", "password": "battery staple bob"});
    loop {
        news.ask(login.clone()).await; // until the box has seen that the other one has gone
        match news.result("login").await.as_str() {
            "already-logged-in" => {}
            code => break assert_eq!(code, "ok"),
        }
    }
    let path = "/api/v1/lobby/session";
    assert_eq!(house.socket_as("lh_wrong", path).await.err(), Some(401));
    let foreign = house.socket_with("origin", "http://evil.example", path);
    assert_eq!(foreign.await.err(), Some(403));
    let cookie = format!("longhouse_session={token}");
    let unsaid = house.socket_with("cookie", &cookie, path);
    assert_eq!(unsaid.await.err(), Some(403));
}

#[tokio::test]
async fn two_people_play_a_match_over_two_websockets_and_it_counts() {
    let house = House::open().await;
    let (_, token) = house.person("bob", "player").await;
    let (room, game) = room(&house, "tictactoe").await;
    let mut news = house.socket("/api/v1/lobby/live").await;
    let mut ada = Guest::come(&house, &house.token, "ada").await;
    let mut bob = Guest::come(&house, &token, "bob").await;
    for guest in [&mut ada, &mut bob] {
        guest.does(json!({"do": "enter", "room": room})).await;
    }
    let seats = json!([{"kind": "open"}, {"kind": "open"}]);
    ada.does(json!({"do": "launch", "game": game, "description": "us", "seats": seats}))
        .await;
    let table = ada.until("join").await["table"].clone();
    bob.does(json!({"do": "join", "table": table})).await;
    assert_eq!(bob.until("join").await["table"], table);
    let tables = house
        .ok("GET", &format!("/api/v1/lobby/tables?room={room}"), None)
        .await;
    assert_eq!(
        (&tables[0]["id"], &tables[0]["description"]),
        (&table, &json!("us"))
    );
    // One of them drops, comes back, and goes on.
    ada.state(|state| state["status"] == "playing").await;
    drop(bob);
    ada.state(|state| state["seats"].to_string().contains("abandoned"))
        .await;
    let mut bob = Guest::come(&house, &token, "bob").await;
    bob.does(json!({"do": "enter", "room": room})).await;
    bob.does(json!({"do": "join", "table": table})).await;
    bob.until("join").await;
    let mut state = ada.state(|state| state["status"] == "playing").await;
    let mut round = vec!["a1", "a2", "b1", "b2", "c1"].into_iter();
    while state["status"] == "playing" {
        let (turn, moved) = (state["turn"].clone(), round.next().expect("three in a row"));
        let mover = if state["you"] == turn {
            &mut ada
        } else {
            &mut bob
        };
        mover.play(json!({"move": moved})).await;
        state = ada.state(|state| state["last"] == moved).await;
    }
    let won = state["result"]
        .as_array()
        .expect("a result")
        .iter()
        .find(|one| one["outcome"] == "win");
    let winner = if won.expect("somebody")["seat"] == state["you"] {
        "ada"
    } else {
        "bob"
    };
    news.until(|news| news["heard"]["update"] == "player_stats")
        .await;
    let matches = "/api/v1/lobby/matches?game=tictactoe&account=bob";
    let matches = house.ok("GET", matches, None).await;
    assert_eq!(
        (&matches[0]["winner"], &matches[0]["room"]),
        (&json!(winner), &json!("tictactoe"))
    );
    let rankings = house
        .ok("GET", "/api/v1/lobby/rankings?game=tictactoe", None)
        .await;
    assert_eq!(rankings[0]["player"], winner, "{rankings}");
}

#[tokio::test]
async fn the_verbs_launch_watch_and_end_a_table() {
    let house = House::open().await;
    let mut news = house.socket("/api/v1/lobby/live").await;
    let (exit, table, why) =
        house.verb(&["lobby", "launch", "tictactoe", "--bots", "1", "--open", "1"]);
    assert_eq!((exit, table.as_str()), (0, "1\n"), "{why}");
    news.until(|news| news["heard"]["update"] == "table_add")
        .await;
    let (_, tables, _) = house.verb(&["lobby", "tables", "--room", "Tic-Tac-Toe"]);
    assert!(
        tables.contains("tictactoe  1") && tables.contains("open, bot"),
        "{tables}"
    );
    let (exit, _, said) = house.verb(&["lobby", "end", "tictactoe", "1"]);
    assert_eq!((exit, said.as_str()), (0, "ended\n"));
    news.until(|news| news["heard"]["update"] == "table_delete")
        .await;
    let (exit, _, said) = house.verb(&["lobby", "say", "--room", "nowhere", "hello"]);
    assert_eq!(
        (exit, said.lines().next()),
        (1, Some("error: no room `nowhere`"))
    );
    let (exit, rooms, _) = house.verb(&["lobby", "rooms"]);
    assert!(exit == 0 && rooms.contains("Entry Hall"), "{rooms}");
}

/// A connection to the web door of which little is on its way at once.
async fn narrow(house: &House) -> tokio::net::TcpStream {
    let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
    socket.set_recv_buffer_size(4096).expect("a small buffer");
    setsockopt(&socket, sockopt::TcpMaxSeg, &536).expect("small packets");
    let address = house.endpoints["http.listen"].parse().expect("an address");
    socket.connect(address).await.expect("the daemon listens")
}

#[tokio::test]
async fn who_does_not_read_their_websocket_is_dropped_and_the_others_hear_everything() {
    let house = House::open().await;
    let stream = narrow(&house).await;
    let live = house.socket_over(stream, "x-nobody", "1", SESSION).await;
    let mut deaf = Guest::greeted_over(live.expect("a WebSocket")).await;
    deaf.does(json!({"do": "login", "name": "deaf"})).await;
    deaf.does(json!({"do": "enter", "room": 0})).await;
    let mut talkers = Vec::new();
    for name in ["alice", "bob", "carl"] {
        let mut talker = Guest::come(&house, "", name).await;
        talker.does(json!({"do": "enter", "room": 0})).await;
        talkers.push(talker);
    }
    let started = std::time::Instant::now();
    let (mut dropped, mut said) = ([false; 3], 0);
    while dropped != [true; 3] {
        let n = said;
        said += 1;
        assert!(
            started.elapsed() < PATIENCE,
            "{n} chats later they are here"
        );
        let text = format!("{n}: {}", "\u{1f3b2}".repeat(500));
        let chat = json!({"do": "chat", "kind": "normal", "text": text});
        talkers[n % 3].ask(chat).await;
        for (talker, dropped) in talkers.iter_mut().zip(&mut dropped) {
            loop {
                let word = talker.next().await;
                if word["push"] == "chat" {
                    assert_eq!(word["text"], text); // in order, and none is missing
                    break;
                }
                *dropped |= word["update"] == "player_delete" && word["name"] == "deaf";
            }
        }
    }
    assert!(house.log().contains("they did not read"), "it is counted");
    // What waited for them is forgotten.
    let mut heard = 0;
    while let Some(Ok(message)) = deaf.live.socket.next().await {
        heard += usize::from(message.to_string().contains("\"push\":\"chat\""));
    }
    assert!(heard < said, "{heard} of {said}");
    Guest::come(&house, "", "Deaf").await;
}
