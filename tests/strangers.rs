//! Proofs that prove nothing, other people's servers, and what may never be written down anywhere.

mod common;

use std::path::Path;

use common::{House, PLAIN, WAITS, code, game};
use serde_json::{Value, json};

const DOOR: &str = "/api/v1/servers";

#[tokio::test]
async fn a_token_that_is_wrong_revoked_expired_or_too_narrow_opens_nothing() {
    let house = House::with_games(&[("waits", &game(WAITS, PLAIN))], &[]).await;
    let id = house.create(json!({"game": "waits"})).await;
    let make = async |wish: Value| {
        let made = house.ok("POST", "/api/v1/tokens", Some(wish)).await;
        let secret = made["secret"].as_str().expect("a secret").to_owned();
        (made["id"].as_u64().expect("an id"), secret)
    };
    let me = "/api/v1/me";
    assert_eq!(
        code(&house.call_as("", "GET", me, None).await),
        (401, "unauthenticated")
    );

    let (number, secret) = make(json!({"label": "soon gone"})).await;
    assert_eq!(house.call_as(&secret, "GET", me, None).await.0, 200);
    house
        .ok("DELETE", &format!("/api/v1/tokens/{number}"), None)
        .await;
    assert_eq!(
        code(&house.call_as(&secret, "GET", me, None).await),
        (401, "wrong-token")
    );

    let (_, brief) = make(json!({"label": "brief", "expires_in_s": 1})).await;
    let started = std::time::Instant::now();
    while house.call_as(&brief, "GET", me, None).await.0 == 200 {
        assert!(started.elapsed() < common::PATIENCE, "it never expires");
    }
    assert_eq!(
        code(&house.call_as(&brief, "GET", me, None).await),
        (401, "wrong-token")
    );
    assert!(matches!(
        house.socket_as(&brief, "/api/v1/events").await,
        Err(401)
    ));

    let scopes = json!(["server.view", "server.power"]);
    let (_, narrow) = make(json!({"label": "narrow", "scopes": scopes})).await;
    let as_narrow = |method, path: String, body| {
        let narrow = narrow.clone();
        let house = &house;
        async move { house.call_as(&narrow, method, &path, body).await }
    };
    assert_eq!(as_narrow("GET", House::at(id, ""), None).await.0, 200);
    assert_eq!(
        as_narrow("POST", House::at(id, "/start"), None).await.0,
        202
    );
    for (method, path, body) in [
        ("GET", House::at(id, "/console"), None),
        (
            "POST",
            House::at(id, "/console"),
            Some(json!({"line": "x"})),
        ),
        ("PATCH", House::at(id, ""), Some(json!({"title": "x"}))),
        ("DELETE", House::at(id, "?confirm=ada_1"), None),
        ("POST", DOOR.into(), Some(json!({"game": "waits"}))),
        ("GET", "/api/v1/accounts".into(), None),
        (
            "POST",
            "/api/v1/accounts".into(),
            Some(json!({"name": "eve"})),
        ),
        ("GET", "/api/v1/audit".into(), None),
        ("GET", "/api/v1/backup".into(), None),
        // One that could make tokens could make a wider one.
        (
            "POST",
            "/api/v1/tokens".into(),
            Some(json!({"label": "wider"})),
        ),
    ] {
        let answer = as_narrow(method, path.clone(), body).await;
        assert_eq!(
            code(&answer),
            (403, "forbidden"),
            "{method} {path}: {answer:?}"
        );
    }
    let live = house
        .socket_as(&narrow, &House::at(id, "/console/live"))
        .await;
    assert!(matches!(live, Err(403)));

    // Last, since the address is slowed down by it.
    for wrong in ["x", "lh_0000", &secret[..secret.len() - 1], "' or 1=1 --"] {
        let (status, answer) = house.call_as(wrong, "GET", me, None).await;
        assert!(matches!(status, 401 | 429), "{wrong}: {status} {answer}");
    }
}

#[tokio::test]
async fn another_persons_server_is_closed_to_guest_player_and_host_but_for_what_was_granted() {
    let house = House::with_games(&[("waits", &game(WAITS, PLAIN))], &[]).await;
    let id = house.launch("waits").await;
    let name = house.until_state(id, "running").await["name"].clone();
    let name = name.as_str().expect("a name");
    let doors = |verb: &'static str| -> Vec<(&'static str, String, Option<Value>)> {
        match verb {
            "server.view" => vec![("GET", House::at(id, ""), None)],
            "server.power" => vec![
                ("POST", House::at(id, "/start"), None),
                ("POST", House::at(id, "/restart"), None),
                ("POST", House::at(id, "/stop"), None),
                ("POST", House::at(id, "/kill"), None),
            ],
            "server.configure" => vec![("PATCH", House::at(id, ""), Some(json!({"title": "x"})))],
            "console.read" => vec![("GET", House::at(id, "/console"), None)],
            "console.write" => vec![(
                "POST",
                House::at(id, "/console"),
                Some(json!({"line": "x"})),
            )],
            _ => vec![("DELETE", House::at(id, &format!("?confirm={name}")), None)],
        }
    };
    const VERBS: [&str; 6] = [
        "server.view",
        "console.read",
        "console.write",
        "server.configure",
        "server.power",
        "server.delete",
    ];
    for role in ["guest", "player", "host"] {
        let (account, token) = house.person(role, role).await;
        let sees = role != "guest";
        for granted in [
            None,
            Some("console.read"),
            Some("console.write"),
            Some("server.power"),
        ] {
            if let Some(verb) = granted {
                let grant = json!({"account": account, "server": id, "verbs": [verb]});
                house.ok("PUT", "/api/v1/grants", Some(grant)).await;
            }
            house.power(id, "start").await;
            house.until_state(id, "running").await;
            for verb in VERBS {
                let may = sees && (verb == "server.view" || granted == Some(verb));
                for (method, path, body) in doors(verb) {
                    if may && verb == "console.write" {
                        house.until_state(id, "running").await;
                    }
                    let answer = house.call_as(&token, method, &path, body).await;
                    let fine = match may {
                        true => answer.0 < 300,
                        // What one may not even see is not there.
                        false if !sees => matches!(answer.0, 403 | 404),
                        false => code(&answer) == (403, "forbidden"),
                    };
                    assert!(fine, "{role} with {granted:?}: {method} {path}: {answer:?}");
                }
            }
            let live = house
                .socket_as(&token, &House::at(id, "/console/live?since=1"))
                .await;
            let reads = sees && granted == Some("console.read");
            assert_eq!(live.is_ok(), reads, "{role} with {granted:?}");
            if let Ok(mut live) = live {
                live.until_line("ready").await;
                live.send(json!({"line": "let me"})).await;
                let told = tokio::time::timeout(common::PATIENCE, async {
                    loop {
                        let message = live.next().await.expect("an open socket");
                        if message["problem"].is_object() {
                            return message;
                        }
                    }
                });
                assert_eq!(
                    told.await.expect("an answer")["problem"]["code"],
                    "forbidden"
                );
            }
        }
        for (method, path, body) in [
            ("GET", "/api/v1/accounts", None),
            ("GET", "/api/v1/audit", None),
            ("GET", "/api/v1/doctor", None),
            ("GET", "/api/v1/backup", None),
            (
                "PATCH",
                "/api/v1/accounts/1",
                Some(json!({"disabled": true})),
            ),
            (
                "PATCH",
                &format!("/api/v1/accounts/{account}"),
                Some(json!({"role": "admin"})),
            ),
            (
                "PUT",
                "/api/v1/grants",
                Some(json!({"account": account, "server": id, "verbs": VERBS})),
            ),
        ] {
            let answer = house.call_as(&token, method, path, body).await;
            // A server that one may not even see is not there.
            let unseen = role == "guest" && code(&answer) == (404, "no-such-server");
            assert!(
                unseen || code(&answer) == (403, "forbidden"),
                "{role}: {method} {path}: {answer:?}"
            );
        }
    }
    let verdict = house.ok("GET", "/api/v1/audit/verify", None).await;
    assert_eq!(verdict["fault"], Value::Null);
}

#[tokio::test]
async fn no_secret_is_written_to_a_log_the_audit_or_a_console() {
    let mut house = House::with_games(&[("waits", &game(WAITS, PLAIN))], &[]).await;
    let setup = house.setup_token();
    house
        .environment
        .push(("LONGHOUSE_LOG".into(), "trace".into()));
    assert!(house.stop());
    house.start();
    let (account, session) = house.person("bob", "host").await;
    let made = json!({"label": "for scripts", "account": account});
    let made = house.ok("POST", "/api/v1/tokens", Some(made)).await;
    let bearer = made["secret"].as_str().expect("a secret").to_owned();
    assert_eq!(
        house.call_as(&bearer, "GET", "/api/v1/me", None).await.0,
        200
    );
    let change = json!({"current": "battery staple bob", "new": "tomato terrace"});
    let path = format!("/api/v1/accounts/{account}/password");
    let (status, answer) = house.call_as(&session, "POST", &path, Some(change)).await;
    assert!(status < 300, "{answer}");
    let login = |password: &str| Some(json!({"name": "bob", "password": password}));
    assert_eq!(
        house
            .call("POST", "/api/v1/login", login("mistyped secret"))
            .await
            .0,
        401
    );
    let (_, answer) = house
        .call("POST", "/api/v1/login", login("tomato terrace"))
        .await;
    let second = answer["token"].as_str().expect("a token").to_owned();
    house
        .call_as("a-token-that-never-was", "GET", "/api/v1/me", None)
        .await;
    let nobody = Some(json!({"name": "nobody", "password": "whispered words"}));
    house.call("POST", "/api/v1/login", nobody).await;
    let id = house.launch("waits").await;
    house.until_state(id, "running").await;
    house
        .ok(
            "POST",
            &House::at(id, "/console"),
            Some(json!({"line": "rcon_password 53cr3t-rcon"})),
        )
        .await;
    house.hears(id, "53cr3t-rcon").await;
    let audit = house.ok("GET", "/api/v1/audit", None).await.to_string();
    assert!(audit.contains("server.command"));
    let metrics = house.metrics().await;
    assert!(house.stop());

    let secrets = [
        &house.token,
        &setup,
        &session,
        &second,
        &bearer,
        "correct horse",
        "battery staple bob",
        "tomato terrace",
        "mistyped secret",
        "a-token-that-never-was",
        "whispered words",
    ];
    // What was typed into a console is the console's, and nobody else's.
    let rcon = "53cr3t-rcon";
    let log = house
        .log()
        .replacen(&format!("token={setup}"), "the link", 1);
    for secret in secrets.into_iter().chain([rcon]) {
        for (place, text) in [
            ("the log", &log),
            ("the audit", &audit),
            ("the metrics", &metrics),
        ] {
            assert!(!text.contains(secret), "`{secret}` in {place}:\n{text}");
        }
    }
    for secret in secrets {
        let holders = holders(&house.state(), secret.as_bytes());
        assert!(holders.is_empty(), "`{secret}` in {holders:?}");
    }
    let holders = holders(&house.state(), rcon.as_bytes());
    assert!(
        holders
            .iter()
            .all(|file| file.to_string_lossy().contains("/console/")),
        "{holders:?}"
    );
}

/// Files below `folder` that contain `secret`.
fn holders(folder: &Path, secret: &[u8]) -> Vec<std::path::PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder") {
        let entry = entry.expect("an entry");
        let kind = entry.file_type().expect("a kind");
        if kind.is_dir() {
            found.extend(holders(&entry.path(), secret));
        } else if kind.is_file() {
            let bytes = std::fs::read(entry.path()).expect("a file");
            if memchr::memmem::find(&bytes, secret).is_some() {
                found.push(entry.path());
            }
        }
    }
    found
}
