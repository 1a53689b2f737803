//! Hostile input: definitions, wishes, bodies.

mod common;

use std::path::Path;

use common::{House, PLAIN, WAITS, code, game};
use serde_json::{Value, json};

/// Prints what it was given, a line each as ASCII.
const ARGUMENTS: &str = r#"
title = "Arguments"
description = "Prints its arguments, its environment and a file"
[settings.word]
type = "text"
description = "Anything"
default = ""
max = 256
[settings.file]
type = "path"
description = "A file of its own"
default = ""
[install]
method = "debian"
packages = ["python3"]
requires = ["/usr/bin/python3"]
[run]
argv = ["/usr/bin/python3", "-u", "-c", """
import json, os, sys
print('given ' + json.dumps([sys.argv[1:], os.environ['TITLE'], open('told.json').read()]))
print('ready')
sys.stdin.read()
""", "{title}", "--word={setting.word}", "{dir}/{setting.file}"]
env = { TITLE = "{title}" }
[[files]]
path = "told.json"
write = '"{setting.word}"'
escape = "backslash"
[ready]
line = "ready"
[stop]
signal = "SIGTERM"
"#;

/// A shell script, which gets the title as its first argument.
const SHELL: &str = r#"
title = "Shell"
description = "A definition that asks for a shell"
[install]
method = "debian"
packages = ["dash"]
requires = ["/bin/sh"]
[run]
shell = true
argv = ['printf "given %s\n" "$1"; echo ready; cat', "{title}"]
[ready]
line = "ready"
[stop]
signal = "SIGTERM"
"#;

const DOOR: &str = "/api/v1/servers";

#[tokio::test]
async fn a_game_that_nobody_knows_is_refused_whatever_its_name() {
    let house = House::with_games(&[], &[]).await;
    let long = "x".repeat(10_000);
    for name in [
        "chess",
        "../openttd",
        "openttd.toml",
        "",
        "a\0b",
        "$(id)",
        "<b>",
        &long,
    ] {
        let answer = house.call("POST", DOOR, Some(json!({"game": name}))).await;
        assert_eq!(code(&answer), (422, "no-such-game"), "{answer:?}");
        assert!(answer.1.to_string().len() < 1_000);
    }
    for (body, why) in [
        (json!({}), "no game"),
        (json!({"game": 7}), "a number"),
        (
            json!({"game": "openttd", "owner": "eve"}),
            "an unknown field",
        ),
        (json!(["openttd"]), "a list"),
    ] {
        let answer = house.call("POST", DOOR, Some(body)).await;
        assert_eq!(code(&answer), (400, "bad-json"), "{why}: {answer:?}");
    }
    assert_eq!(house.ok("GET", DOOR, None).await, json!([]));
}

#[tokio::test]
async fn broken_definitions_are_told_with_file_and_key_and_the_others_are_hosted() {
    let sound = game(WAITS, PLAIN);
    let deep = format!("title = {}{}", "[".repeat(5_000), "]".repeat(5_000));
    let escapes = sound.replace(
        "[install]",
        "[[files]]\npath = \"../../out\"\nwrite = \"x\"\n[install]",
    );
    let absolute = sound.replace(
        "[install]",
        "[[files]]\npath = \"/etc/cron.d/x\"\nwrite = \"x\"\n[install]",
    );
    let shell = sound.replace("\"/usr/bin/python3\", \"-u\"", "\"sh\", \"{title}\"");
    let unknown = sound.replace("import signal", "{password}");
    let slow = sound.replace(
        "signal = \"SIGTERM\"",
        "signal = \"SIGFOO\"\ntimeout = \"9 years\"",
    );
    let huge = format!("{sound}\n#{}", "x".repeat(300_000));
    let broken = [
        ("syntax", "title = ", "line 1"),
        ("empty", "", "title"),
        ("deep", &deep, "deep.toml"),
        ("escapes", &escapes, "files[0].path"),
        ("absolute", &absolute, "files[0].path"),
        ("program", &shell, "run.argv[0]"),
        ("unknown", &unknown, "run"),
        ("slow", &slow, "stop"),
        ("huge", &huge, "huge.toml"),
        ("Upper Case", &sound, "Upper Case.toml"),
        ("openttd", "title = \"mine\"\nnonsense = 1", "nonsense"),
    ];
    let mut games = broken.map(|(name, text, _)| (name, text)).to_vec();
    games.push(("sound", &sound));
    let mut house = House::unlocked(&[]);
    house.stock(&games);
    house.settle().await;

    let log = house.log();
    let checked = house.ok("GET", "/api/v1/check", None).await.to_string();
    let (exit, out, err) = house.verb(&["check"]);
    assert_ne!(exit, 0, "{out}{err}");
    for (name, _, key) in broken {
        for (place, text) in [
            ("the log", &log),
            ("the API", &checked),
            ("the verb", &(out.clone() + &err)),
        ] {
            let file = format!("{name}.toml");
            let told = text
                .split(['\n', ','])
                .any(|line| line.contains(&file) && line.contains(key));
            assert!(told, "{place} does not tell of {file} and {key}:\n{text}");
        }
    }
    // The shipped one is not hidden by a broken one of its name.
    let listed = house.ok("GET", "/api/v1/games", None).await;
    let names: Vec<_> = listed
        .as_array()
        .expect("games")
        .iter()
        .map(|game| &game["name"])
        .collect();
    assert_eq!(
        names,
        [
            "freeciv",
            "minetest",
            "openttd",
            "redeclipse",
            "sound",
            "teeworlds"
        ]
    );
    let id = house.launch("sound").await;
    house.until_state(id, "running").await;
    assert!(
        !house
            .state()
            .parent()
            .expect("a folder")
            .join("out")
            .exists()
    );
}

#[tokio::test]
async fn what_is_accepted_reaches_the_game_literally_as_one_argument() {
    let house = House::with_games(&[("arguments", ARGUMENTS), ("shell", SHELL)], &[]).await;
    for text in [
        "$(touch pwned); `id` && rm -rf / | cat > x & \"' \\ * ? ~ !",
        "{setting.word} {{title}} %s %n ${HOME} -rf --word=x",
        "<script>alert(1)</script>&amp;",
        "smörgåsbord 日本語 🎲 e\u{301}",
        "../../etc/passwd",
        "--help",
    ] {
        let wish = json!({"game": "arguments", "title": text, "settings": {"word": text, "file": "maps/$(id) x.map"}});
        let id = house.create(wish).await;
        house.power(id, "start").await;
        let server = house.until_state(id, "running").await;
        assert_eq!(server["title"], text);
        let seen = house.hears(id, "given ").await;
        let given = seen
            .iter()
            .find_map(|entry| entry["text"].as_str()?.strip_prefix("given "));
        let given: Value = serde_json::from_str(given.expect("the line")).expect("JSON");
        let folder = server["folder"].as_str().expect("a path");
        let arguments = json!([
            text,
            format!("--word={text}"),
            format!("{folder}/maps/$(id) x.map")
        ]);
        assert_eq!(given[0], arguments);
        assert_eq!(given[1], text);
        let told: Value =
            serde_json::from_str(given[2].as_str().expect("text")).expect("the escapes hold");
        assert_eq!(told, text);
        assert!(!Path::new(folder).join("pwned").exists());
        house.power(id, "kill").await;

        let id = house.create(json!({"game": "shell", "title": text})).await;
        house.power(id, "start").await;
        let server = house.until_state(id, "running").await;
        let line = format!("given {text}");
        let seen = house.hears(id, &line).await;
        assert!(seen.iter().any(|entry| entry["text"] == line), "{seen:#?}");
        let folder = server["folder"].as_str().expect("a path");
        assert!(!Path::new(folder).join("pwned").exists());
        house.power(id, "kill").await;
    }
}

#[tokio::test]
async fn text_that_is_no_line_and_paths_that_lead_out_are_refused_by_field() {
    let house = House::with_games(&[("arguments", ARGUMENTS)], &[]).await;
    let id = house.create(json!({"game": "arguments"})).await;
    let long = "x".repeat(257);
    for bad in [
        "a\nb",
        "a\rb",
        "a\0b",
        "\u{1b}[2J",
        "\u{202e}gnp.exe",
        "\u{2028}",
        &long,
    ] {
        for (field, wish) in [
            ("title", json!({"title": bad})),
            ("settings.word", json!({"settings": {"word": bad}})),
            ("settings.file", json!({"settings": {"file": bad}})),
        ] {
            refused(&house, id, field, wish).await;
        }
    }
    for bad in [
        "..",
        "../x",
        "a/../../x",
        "/etc/passwd",
        "a//b",
        "./a",
        "a\\..\\b",
    ] {
        refused(
            &house,
            id,
            "settings.file",
            json!({"settings": {"file": bad}}),
        )
        .await;
    }
    for bad in [json!(["a"]), json!({"a": 1})] {
        refused(
            &house,
            id,
            "settings.word",
            json!({"settings": {"word": bad}}),
        )
        .await;
    }
    refused(
        &house,
        id,
        "settings.PATH",
        json!({"settings": {"PATH": "x"}}),
    )
    .await;
    refused(&house, id, "title", json!({"title": " "})).await;
    refused(&house, id, "class", json!({"class": 10})).await;
}

/// Neither a new server nor an old one takes `wish`, and the answer says which field it is.
async fn refused(house: &House, id: u64, field: &str, mut wish: Value) {
    if field != "class" {
        let answer = house
            .call("PATCH", &House::at(id, ""), Some(wish.clone()))
            .await;
        assert_eq!(code(&answer), (422, "bad-field"), "{wish}: {answer:?}");
        assert_eq!(answer.1["field"], field, "{answer:?}");
    }
    wish["game"] = json!("arguments");
    let answer = house.call("POST", DOOR, Some(wish.clone())).await;
    assert_eq!(code(&answer), (422, "bad-field"), "{wish}: {answer:?}");
    assert_eq!(answer.1["field"], field, "{answer:?}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_its_length_is_told_or_not() {
    let house = House::with_games(&[], &[]).await;
    let head = format!(
        "POST {DOOR} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\nconnection: close\r\n",
        house.token
    );
    // Its length alone is enough: nothing of it is waited for.
    let told = format!("{head}content-length: 99999999999\r\n\r\n");
    assert_eq!(
        code(&house.raw(told.as_bytes()).await),
        (413, "body-too-large")
    );
    let piece = format!("1000\r\n{}\r\n", "x".repeat(0x1000));
    for (pieces, end) in [(17, "0\r\n\r\n"), (17 * 16, "")] {
        let body = piece.repeat(pieces);
        let chunked = format!("{head}transfer-encoding: chunked\r\n\r\n{body}{end}");
        assert_eq!(
            code(&house.raw(chunked.as_bytes()).await),
            (413, "body-too-large")
        );
    }
    let word = "{\"game\":\"x\"}";
    let both = format!(
        "{head}content-length: 5\r\ntransfer-encoding: chunked\r\n\r\nc\r\n{word}\r\n0\r\n\r\n"
    );
    assert!((400..500).contains(&house.raw(both.as_bytes()).await.0));
    for nonsense in [
        "GET / HTTP/1.1\r\n\r\n\r\n",
        "\0\0\0\0\r\n\r\n",
        "GET /%zz%00 HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        "POST /api/v1/login HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n\r\n",
    ] {
        let (status, _) = house.raw(nonsense.as_bytes()).await;
        assert!((400..500).contains(&status), "{nonsense:?}: {status}");
    }
    let large = format!(
        "GET / HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n",
        "x".repeat(1 << 20)
    );
    assert_eq!(house.raw(large.as_bytes()).await.0, 431);
    // And none of it has hurt.
    assert_eq!(house.ok("GET", DOOR, None).await, json!([]));
}
