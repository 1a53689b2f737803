//! Who may see, say and do what over the API, and what it answers where something is missing.

use super::*;

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
