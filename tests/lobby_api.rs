//! The lobby over the web API, through the real daemon and its real games: every route, and whole sessions by WebSocket.

mod common;

use common::{House, Live, PATIENCE, code};
use futures_util::{SinkExt as _, StreamExt as _};
use nix::sys::socket::{setsockopt, sockopt};
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

/// The WebSocket that is a whole session.
const SESSION: &str = "/api/v1/lobby/session";

/// A session that is told everything in order.
struct Guest {
    live: Live,
    /// Lines from the table, as far as they have come.
    played: Vec<u8>,
}

impl Guest {
    /// Comes in with a token, or without one under a name.
    async fn come(house: &House, token: &str, name: &str) -> Self {
        let mut guest = Self::greeted(house, token).await;
        if token.is_empty() {
            guest.ask(json!({"do": "login", "name": name})).await;
        }
        let login = guest.until("result").await;
        assert_eq!(
            (&login["action"], &login["code"]),
            (&json!("login"), &json!("ok")),
            "{login}"
        );
        assert!(guest.until("motd").await["text"].is_string());
        guest
    }

    async fn greeted(house: &House, token: &str) -> Self {
        let live = match token {
            "" => house.socket_with("x-nobody", "1", SESSION).await,
            token => house.socket_as(token, SESSION).await,
        };
        Self::greeted_over(live.expect("a WebSocket")).await
    }

    async fn greeted_over(live: Live) -> Self {
        let mut guest = Self {
            live,
            played: Vec::new(),
        };
        let hello = guest.next().await;
        assert_eq!(
            (&hello["push"], &hello["full"]),
            (&json!("hello"), &json!(false))
        );
        guest
    }

    async fn ask(&mut self, request: Value) {
        self.send(Message::text(request.to_string())).await;
    }

    async fn send(&mut self, message: Message) {
        self.live.socket.send(message).await.expect("it is there");
    }

    async fn message(&mut self) -> Message {
        let next = tokio::time::timeout(PATIENCE, self.live.socket.next()).await;
        next.expect("in time").expect("it goes on").expect("whole")
    }

    /// The next word. What the table says meanwhile is kept.
    async fn next(&mut self) -> Value {
        loop {
            match self.message().await {
                Message::Text(text) => return serde_json::from_str(&text).expect("JSON"),
                Message::Binary(bytes) => self.played.extend_from_slice(&bytes),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    async fn until(&mut self, push: &str) -> Value {
        loop {
            let word = self.next().await;
            if word["push"] == push {
                return word;
            }
        }
    }

    /// How a request ended.
    async fn result(&mut self, action: &str) -> String {
        loop {
            let word = self.until("result").await;
            if word["action"] == action {
                return word["code"].as_str().expect("a code").into();
            }
        }
    }

    /// What a request must end with.
    async fn does(&mut self, request: Value) {
        let action = request["do"].as_str().expect("a request").to_owned();
        self.ask(request).await;
        assert_eq!(self.result(&action).await, "ok", "{action}");
    }

    /// The next state of the table that is wanted.
    async fn state(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        loop {
            while let Some(end) = self.played.iter().position(|byte| *byte == b'\n') {
                let line: Vec<u8> = self.played.drain(..=end).collect();
                let state: Value = serde_json::from_slice(&line).expect("a line of JSON");
                if wanted(&state) {
                    return state;
                }
            }
            match self.message().await {
                Message::Binary(bytes) => self.played.extend_from_slice(&bytes),
                Message::Close(close) => panic!("closed: {close:?}"),
                _ => {}
            }
        }
    }

    async fn play(&mut self, line: Value) {
        let line = format!("{line}\n");
        self.send(Message::binary(line.into_bytes())).await;
    }

    /// The code with which it ends.
    async fn closed(&mut self) -> u16 {
        loop {
            if let Message::Close(close) = self.message().await {
                return close.expect("a reason").code.into();
            }
        }
    }
}

/// The number of a room, and of the game that is played there.
async fn room(house: &House, name: &str) -> (u64, Option<u64>) {
    let rooms = house.ok("GET", "/api/v1/lobby/rooms", None).await;
    let rooms = rooms.as_array().expect("rooms");
    let room = rooms.iter().find(|room| room["name"] == name);
    let room = room.expect("it is there");
    let games = house.ok("GET", "/api/v1/lobby/games", None).await;
    let mut games = games.as_array().expect("games").iter();
    let title = &room["title"];
    let game = games.find(|game| game["name"] == *title);
    (
        room["id"].as_u64().expect("a number"),
        game.and_then(|game| game["id"].as_u64()),
    )
}

#[tokio::test]
async fn everybody_may_look_and_only_who_keeps_order_may_act() {
    let house = House::open().await;
    let (_, bob) = house.person("bob", "player").await;
    for path in [
        "rooms",
        "rooms/0",
        "games",
        "tables",
        "tables?room=0",
        "players",
        "chat",
        "matches",
        "savegames",
    ] {
        let path = format!("/api/v1/lobby/{path}");
        for token in [&house.token, &bob] {
            let (status, answer) = house.call_as(token, "GET", &path, None).await;
            assert_eq!(status, 200, "{path}: {answer}");
        }
        let refused = house.call_as("", "GET", &path, None).await;
        assert_eq!(code(&refused), (401, "unauthenticated"), "{path}");
    }
    let tictactoe = "/api/v1/lobby/rankings?game=tictactoe&count=5";
    assert_eq!(house.ok("GET", tictactoe, None).await, json!([]));
    let why = Some(json!({"reason": "rude"}));
    let toml = Some(json!({"toml": "title = \"Den\""}));
    let table = Some(json!({"room": 1, "seats": []}));
    let saved = json!({"room": "x", "table": 1, "since": "2026-01-01T00:00:00.000Z", "file": "x"});
    for (method, path, body) in [
        ("POST", "tables", table),
        ("DELETE", "tables/1/1", None),
        ("POST", "players/ada/kick", why.clone()),
        ("POST", "players/ada/gag", why.clone()),
        ("POST", "players/ada/ungag", why.clone()),
        ("POST", "players/ada/ban", why),
        ("GET", "bans", None),
        ("DELETE", "bans/ada", None),
        (
            "POST",
            "chat",
            Some(json!({"room": null, "text": "hear me"})),
        ),
        ("POST", "savegames/resume", Some(saved)),
        ("GET", "definitions", None),
        ("PUT", "definitions/rooms/den", toml),
        ("DELETE", "definitions/rooms/chess", None),
        ("DELETE", "definitions/rooms/chess/override", None),
        ("GET", "permissions/1", None),
        ("PUT", "permissions/1", Some(json!({"mask": 7}))),
    ] {
        let path = format!("/api/v1/lobby/{path}");
        let refused = house.call_as(&bob, method, &path, body).await;
        assert_eq!(code(&refused), (403, "forbidden"), "{method} {path}");
    }
}

#[tokio::test]
async fn what_is_not_there_is_told_apart() {
    let house = House::open().await;
    let saved = json!({"room": "x", "table": 1, "since": "2026-01-01T00:00:00.000Z", "file": "x"});
    for (method, path, body, want) in [
        ("GET", "rooms/99", None, (404, "no-such-room")),
        ("GET", "rooms/99999999999", None, (404, "no-such-room")),
        ("GET", "tables?room=99", None, (404, "no-such-room")),
        ("DELETE", "tables/1/9", None, (404, "no-such-table")),
        ("GET", "rankings?game=go", None, (422, "no-such-game")),
        ("GET", "rankings", None, (400, "bad-query")),
        ("GET", "chat?count=201", None, (400, "bad-query")),
        (
            "GET",
            "matches?account=nobody",
            None,
            (404, "no-such-player"),
        ),
        ("POST", "players/nobody/kick", None, (404, "no-such-player")),
        ("POST", "players/nobody/ban", None, (404, "no-such-player")),
        ("POST", "players/ada/ban", None, (403, "forbidden")),
        ("DELETE", "bans/nobody", None, (404, "no-such-ban")),
        (
            "POST",
            "savegames/resume",
            Some(saved),
            (404, "no-such-savegame"),
        ),
        (
            "POST",
            "chat",
            Some(json!({"room": 0, "text": " "})),
            (422, "bad-field"),
        ),
        (
            "POST",
            "chat",
            Some(json!({"room": 99, "text": "x"})),
            (404, "no-such-room"),
        ),
        (
            "POST",
            "tables",
            Some(json!({"room": 0, "seats": []})),
            (409, "lobby-refused"),
        ),
        (
            "PUT",
            "definitions/rooms/den",
            Some(json!({"toml": "x"})),
            (422, "bad-field"),
        ),
        (
            "PUT",
            "definitions/halls/den",
            Some(json!({"toml": "x"})),
            (404, "not-found"),
        ),
        (
            "DELETE",
            "definitions/rooms/den",
            None,
            (404, "no-such-definition"),
        ),
        (
            "DELETE",
            "definitions/tables/chess/override",
            None,
            (404, "no-such-definition"),
        ),
        ("GET", "permissions/99", None, (404, "no-such-player")),
        (
            "PUT",
            "permissions/1",
            Some(json!({"mask": 512})),
            (422, "bad-field"),
        ),
    ] {
        let path = format!("/api/v1/lobby/{path}");
        let refused = house.call(method, &path, body).await;
        assert_eq!(code(&refused), want, "{method} {path}: {}", refused.1);
    }
}

#[tokio::test]
async fn rooms_are_defined_changed_and_removed_while_people_watch() {
    let house = House::open().await;
    let mut news = house.socket("/api/v1/lobby/live").await;
    let den = "/api/v1/lobby/definitions/rooms/den";
    let toml = "title = \"The Den\"\ndescription = \"Quiet.\"\ngame = \"chess\"\n";
    house.ok("PUT", den, Some(json!({"toml": toml}))).await;
    let added = news
        .until(|news| news["heard"]["update"] == "room_add")
        .await;
    assert_eq!(added["heard"]["room"]["ref_name"], "The Den", "{added}");
    let (id, game) = room(&house, "den").await;
    assert_eq!(game, None); // the room is not called like its game
    let all = house.ok("GET", "/api/v1/lobby/definitions", None).await;
    assert_eq!(
        all["overrides"],
        json!([{"kind": "rooms", "name": "den", "toml": toml}])
    );
    house.ok("DELETE", den, None).await;
    let gone = news
        .until(|news| news["heard"]["update"] == "room_delete")
        .await;
    assert_eq!(gone["heard"]["room"], id, "{gone}");
    house.ok("DELETE", &format!("{den}/override"), None).await;
    let all = house.ok("GET", "/api/v1/lobby/definitions", None).await;
    assert_eq!(
        (&all["overrides"], &all["faults"]),
        (&json!([]), &json!([]))
    );
}

#[tokio::test]
async fn permissions_are_shown_set_and_given_back_to_the_role() {
    let house = House::open().await;
    let (id, _) = house.person("bob", "player").await;
    let path = format!("/api/v1/lobby/permissions/{id}");
    assert_eq!(house.ok("GET", &path, None).await, json!({"mask": null}));
    for mask in [json!(23), json!(null)] {
        let set = Some(json!({"mask": mask}));
        assert_eq!(house.ok("PUT", &path, set).await, json!({"mask": mask}));
        assert_eq!(house.ok("GET", &path, None).await, json!({"mask": mask}));
    }
}

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
async fn people_are_gagged_heard_again_and_kicked_over_the_api() {
    let house = House::open().await;
    let mut eve = Guest::come(&house, "", "eve").await;
    let mut carl = Guest::come(&house, "", "carl").await;
    for guest in [&mut eve, &mut carl] {
        guest.does(json!({"do": "enter", "room": 0})).await;
    }
    let order = async |what: &str| {
        let path = format!("/api/v1/lobby/players/eve/{what}");
        let why = Some(json!({"reason": "rude"}));
        house.ok("POST", &path, why).await;
    };
    for (what, text) in [("gag", "unheard"), ("ungag", "heard")] {
        order(what).await;
        let chat = json!({"do": "chat", "kind": "normal", "text": text});
        eve.does(chat).await;
        assert_eq!(eve.until("chat").await["text"], text);
    }
    // The first that he hears.
    assert_eq!(carl.until("chat").await["text"], "heard");
    order("kick").await;
    let why = eve.until("chat").await;
    assert_eq!(
        (&why["kind"], &why["from"], &why["text"]),
        (&json!("private"), &json!("ada"), &json!("rude"))
    );
    assert_eq!(eve.closed().await, 1000);
    let gone = carl.until("update").await;
    assert_eq!(
        (&gone["update"], &gone["name"]),
        (&json!("player_delete"), &json!("eve"))
    );
    // Not for long: a kick is no ban.
    Guest::come(&house, "", "eve").await;
    let path = "/api/v1/lobby/players/eve2/gag";
    let nobody = house.call("POST", path, None).await;
    assert_eq!(code(&nobody), (404, "no-such-player"));
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

#[tokio::test]
async fn what_is_said_in_a_room_is_for_those_who_may_come_in() {
    let house = House::open().await;
    let (_, bob) = house.person("bob", "player").await;
    let toml = "title = \"Staff\"\ndescription = \"Quiet.\"\nentry = \"admin\"\n";
    let staff = "/api/v1/lobby/definitions/rooms/staff";
    house.ok("PUT", staff, Some(json!({"toml": toml}))).await;
    let (id, _) = room(&house, "staff").await;
    let mut ada = Guest::come(&house, &house.token, "ada").await;
    ada.does(json!({"do": "enter", "room": id})).await;
    let live = "/api/v1/lobby/live";
    let mut news = house.socket_as(&bob, live).await.expect("he may listen");
    let mut all = house.socket(live).await;
    ada.does(json!({"do": "chat", "kind": "normal", "text": "a secret"}))
        .await;
    let path = |what: &str| format!("/api/v1/lobby/{what}");
    let (_, rooms) = house.call_as(&bob, "GET", &path("rooms"), None).await;
    let rooms = rooms.as_array().expect("rooms");
    let seen = rooms.iter().find(|room| room["name"] == "staff");
    let seen = seen.expect("it is listed");
    assert_eq!(
        (&seen["entry"], &seen["people"], &seen["players"]),
        (&json!("admin"), &json!(1), &json!([]))
    );
    for list in ["players", "tables", "chat"] {
        let (status, answer) = house.call_as(&bob, "GET", &path(list), None).await;
        assert_eq!((status, &answer), (200, &json!([])), "{list}");
    }
    let asked = [
        path(&format!("chat?room={id}")),
        path(&format!("tables?room={id}")),
    ];
    for path in &asked {
        let refused = house.call_as(&bob, "GET", path, None).await;
        assert_eq!(code(&refused), (403, "forbidden"), "{path}");
    }
    let said = house.ok("GET", &asked[0], None).await;
    assert_eq!(said[0]["text"], "a secret");
    let word = Some(json!({"room": id, "text": "let me in"}));
    let refused = house.call_as(&bob, "POST", &path("chat"), word).await;
    assert_eq!(code(&refused), (403, "forbidden"));
    let only = format!("{live}?room={id}");
    assert_eq!(house.socket_as(&bob, &only).await.err(), Some(403));
    // What he hears next is what came after it.
    let word = Some(json!({"room": 0, "text": "for all"}));
    house.ok("POST", &path("chat"), word).await;
    let chat = |news: &Value| news["heard"]["push"] == "chat";
    assert_eq!(news.until(chat).await["heard"]["text"], "for all");
    assert_eq!(all.until(chat).await["heard"]["text"], "a secret");
}

#[tokio::test]
async fn nobody_speaks_faster_over_the_api_than_in_a_session() {
    let house = House::open().await;
    let (_, bob) = house.person("bob", "player").await;
    let word = || Some(json!({"room": 0, "text": "again"}));
    let path = "/api/v1/lobby/chat";
    let started = std::time::Instant::now();
    let refused = loop {
        let many = (0..100).map(|_| house.call_as(&bob, "POST", path, word()));
        let answers = futures_util::future::join_all(many).await;
        let spoken = answers.iter().filter(|(status, _)| *status == 204).count();
        if let Some(refused) = answers.into_iter().find(|(status, _)| *status != 204) {
            // 60 at once, and 20 a second.
            let most = 60 + (started.elapsed().as_secs_f64() * 20.0).ceil() as usize;
            assert!(spoken <= most, "{spoken} of {most}");
            break refused;
        }
        assert!(started.elapsed() < PATIENCE, "he is never refused");
    };
    assert_eq!(code(&refused), (429, "too-fast"));
    assert_eq!(refused.1["retry_after_s"], 1);
    house.ok("POST", path, word()).await; // others are heard
}

#[tokio::test]
async fn a_banned_account_neither_speaks_nor_launches_nor_comes_in() {
    let house = House::open().await;
    let (_, hal) = house.person("hal", "host").await;
    let why = Some(json!({"reason": "rude"}));
    house.ok("POST", "/api/v1/lobby/players/hal/ban", why).await;
    let (room, _) = room(&house, "tictactoe").await;
    let seats = json!([{"kind": "open"}, {"kind": "bot"}]);
    let saved = json!({"room": "x", "table": 1, "since": "2026-01-01T00:00:00.000Z", "file": "x"});
    for (path, body) in [
        ("chat", json!({"room": 0, "text": "hear me"})),
        ("chat", json!({"room": null, "text": "hear me"})),
        ("tables", json!({"room": room, "seats": seats})),
        ("savegames/resume", saved),
        ("players/ada/kick", json!({"reason": "revenge"})),
    ] {
        let path = format!("/api/v1/lobby/{path}");
        let refused = house.call_as(&hal, "POST", &path, Some(body)).await;
        assert_eq!(code(&refused), (403, "forbidden"), "{path}");
        assert_eq!(refused.1["detail"], "you are banned from the lobby");
    }
    let mut session = Guest::greeted(&house, &hal).await;
    assert_eq!(session.result("login").await, "no-permission");
    assert_eq!(session.closed().await, 1000);
}

#[tokio::test]
async fn a_token_with_scopes_opens_no_session() {
    let house = House::open().await;
    let (_, bob) = house.person("bob", "player").await;
    let token = async |scopes: Value| {
        let wish = json!({"label": "bot", "scopes": scopes});
        let made = house.call_as(&bob, "POST", "/api/v1/tokens", Some(wish));
        let (status, made) = made.await;
        assert_eq!(status, 201, "{made}");
        made["secret"].as_str().expect("a secret").to_owned()
    };
    for scopes in [json!(["lobby.join"]), json!(["server.view"])] {
        let narrow = token(scopes.clone()).await;
        let refused = house.socket_as(&narrow, SESSION).await.err();
        assert_eq!(refused, Some(403), "{scopes}");
    }
    // What it is for, it can do.
    let reader = token(json!(["lobby.join"])).await;
    let rooms = house.call_as(&reader, "GET", "/api/v1/lobby/rooms", None);
    assert_eq!(rooms.await.0, 200);
    Guest::come(&house, &token(json!(null)).await, "bob").await;
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
