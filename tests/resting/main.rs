//! Servers that nobody plays, classes, versions, mounting and destroying, at a real daemon's doors.

#[path = "../common/mod.rs"]
mod common;

mod budget;
mod creating;
mod destroying;
mod versions;

use std::process::Command;

use common::{House, PLAIN, WAITS, code, game};
use serde_json::{Value, json};

/// A game that prints each line that it is told: who joins, who leaves.
pub(crate) const GUESTS: &str = "import sys\nprint('ready')\nfor line in sys.stdin:\n    if line.strip() == 'quit': break\n    print(line.strip())";

pub(crate) const PLAYERS: &str = r#"
[players]
setting = "seats"
join = '^(?P<player>.+) joins$'
leave = '^(?P<player>.+) leaves$'
[ready]
line = "ready"
[stop]
console = ["quit"]
[settings.seats]
type = "integer"
description = "Most players"
default = 30
min = 2
max = 100
"#;

/// A game's definition whose name for its port is `game`, by TCP.
fn listening() -> String {
    let script = "import socket, sys\ns = socket.create_server(('127.0.0.1', int(sys.argv[1])))\nprint('ready')\nheld = []\nwhile True: held.append(s.accept())";
    let more = format!("[[ports]]\nname = \"game\"\ntcp = true\n{PLAIN}");
    let text = game(script, &more);
    text.replace("\"\"\"]\n", "\"\"\", \"{port.game}\"]\n")
}

async fn say(house: &House, id: u64, line: &str) {
    let line = Some(json!({ "line": line }));
    house.ok("POST", &House::at(id, "/console"), line).await;
}

async fn audited(house: &House, action: &str) -> Vec<Value> {
    let lines = house.ok("GET", "/api/v1/audit?count=10000", None).await;
    let lines = lines.as_array().expect("records").clone();
    let of = |line: &Value| line["action"] == action;
    lines.into_iter().filter(of).collect()
}

#[tokio::test]
async fn a_game_that_nobody_plays_any_more_is_stopped_by_the_box_and_then_gives_back_its_share() {
    let guests = game(GUESTS, PLAYERS);
    let mut house = House::with_games(&[("guests", &guests)], &[]).await;
    let idle = json!({"stop": "3s", "release": "1s"});
    let id = house.create(json!({"game": "guests", "idle": idle})).await;
    house.power(id, "start").await;
    let running = house.until_state(id, "running").await;
    assert_eq!(running["mounted"], true);
    say(&house, id, "ada joins").await;
    let played = |server: &Value| server["players"]["online"] == 1;
    let server = house.until(id, "played", played).await;
    let players = json!({"online": 1, "max": 30, "names": ["ada"]});
    assert_eq!(server["players"], players);
    let name = server["name"].as_str().expect("a name");
    let gauge = |online: u32| format!("longhouse_players{{server=\"{name}\"}} {online}\n");
    let page = house.metrics().await;
    assert!(page.contains(&gauge(1)), "{page}");

    // Another daemon finds the same people in the console, and stops nothing that is played.
    house.kill();
    house.start();
    let server = house.until(id, "played", played).await;
    assert_eq!(
        (&server["players"], &server["pid"]),
        (&players, &running["pid"])
    );

    say(&house, id, "ada leaves").await;
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(
        (&stopped["players"], &stopped["desired"]),
        (&Value::Null, &json!("down"))
    );
    house.hears(id, "stopped: nobody has played for 3s").await;
    let stops = audited(&house, "server.stop").await;
    let page = house.metrics().await;
    assert!(!page.contains("longhouse_players{"), "{page}");
    let by_box = |line: &&Value| line["name"] == "box" && line["door"] == "box";
    let stop = stops.iter().find(by_box).expect("a record");
    assert_eq!(stop["detail"]["because"], "nobody has played for 3s");
    house
        .until(id, "unmounted", |server| server["mounted"] == false)
        .await;
    house
        .hears(id, "unmounted: it has been stopped for 1s")
        .await;
    assert!(
        !house
            .state()
            .join(format!("servers/{id}/run/spec.json"))
            .exists()
    );

    // It can be started again as if nothing had been.
    house.power(id, "start").await;
    house.until_state(id, "running").await;
    house.power(id, "kill").await;
    house.until_state(id, "stopped").await;
}

#[tokio::test]
async fn connections_are_players_where_a_game_says_nothing() {
    let text = listening();
    let house = House::with_games(&[("listens", &text)], &[]).await;
    let idle = json!({"stop": "2s", "release": "never"});
    let id = house.create(json!({"game": "listens", "idle": idle})).await;
    house.power(id, "start").await;
    let server = house.until_state(id, "running").await;
    let port = server["ports"][0]["number"].as_u64().expect("a port");
    let port = u16::try_from(port).expect("a port");
    // The first rule may come before the first count; a connection holds it off.
    let guest = std::net::TcpStream::connect(("127.0.0.1", port)).expect("it listens");
    house
        .until(id, "played", |server| server["players"]["online"] == 1)
        .await;
    house.hears(id, "players: somebody is connected").await;
    drop(guest);
    // The game holds its own end open: that is no connection any more.
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(stopped["mounted"], true, "it never gives back");
}

#[tokio::test]
async fn a_game_whose_players_cannot_be_known_says_so_and_is_never_stopped_for_it() {
    let (text, seen) = (game(WAITS, PLAIN), listening());
    let house = House::with_games(&[("blind", &text), ("listens", &seen)], &[]).await;
    let idle = json!({"stop": "1ms", "release": "never"});
    let id = house.create(json!({"game": "blind", "idle": idle})).await;
    house.power(id, "start").await;
    let server = house.until_state(id, "running").await;
    assert_eq!(server["players"], Value::Null);
    let notices = server["notices"].to_string();
    assert!(notices.contains("who plays cannot be known"), "{notices}");
    // Its neighbour, started later, is stopped by the same rule: so the rule was looked at for both.
    let idle = json!({"stop": "1ms", "release": "never"});
    let other = house.create(json!({"game": "listens", "idle": idle})).await;
    house.power(other, "start").await;
    house
        .until(other, "stopped", |server| server["desired"] == "down")
        .await;
    house.until_state(id, "running").await;
    assert_eq!(house.ok("GET", &House::at(id, ""), None).await["starts"], 1);
}

#[tokio::test]
async fn a_class_is_a_ceiling_for_hosts_and_none_for_administrators() {
    let guests = game(GUESTS, PLAYERS);
    let house = House::with_games(&[("guests", &guests)], &[]).await;
    let (_, host) = house.person("bea", "host").await;
    let classes = house.ok("GET", "/api/v1/classes", None).await;
    assert_eq!(classes.as_array().expect("classes").len(), 10);
    let wish = json!({"name": "small", "limits": {"memory": 1 << 30, "players": 8}, "idle": {"stop": "1h"}, "hosts": true});
    let refused = house
        .call_as(&host, "PUT", "/api/v1/classes/4", Some(wish.clone()))
        .await;
    assert_eq!(code(&refused), (403, "forbidden"));
    house.ok("PUT", "/api/v1/classes/4", Some(wish)).await;

    let create = async |token: &str, wish: Value| {
        house
            .call_as(token, "POST", "/api/v1/servers", Some(wish))
            .await
    };
    let closed = create(&host, json!({"game": "guests", "class": 5})).await;
    assert_eq!(code(&closed), (403, "forbidden"), "{closed:?}");
    let greedy = json!({"game": "guests", "class": 4, "limits": {"memory": 2_u64 << 30}});
    let refused = create(&host, greedy.clone()).await;
    assert_eq!(refused.1["field"], "limits.memory", "{refused:?}");
    let late = json!({"game": "guests", "class": 4, "idle": {"stop": "never"}});
    assert_eq!(create(&host, late).await.1["field"], "idle.stop");
    let crowded = json!({"game": "guests", "class": 4, "settings": {"seats": 9}});
    let refused = create(&host, crowded).await;
    assert_eq!(refused.1["field"], "settings.seats", "{refused:?}");

    let (status, server) = create(&host, json!({"game": "guests", "class": 4})).await;
    assert_eq!(status, 201, "{server}");
    assert_eq!(server["limits"]["memory"], 1 << 30);
    assert_eq!(server["settings"]["seats"], 8, "a default is capped");
    let given = house.ok("POST", "/api/v1/servers", Some(greedy)).await;
    assert_eq!(given["limits"]["memory"], 2_u64 << 30);

    // Another ceiling holds for the servers that are there.
    let wish = json!({"name": "smaller", "limits": {"memory": 1 << 29}});
    house.ok("PUT", "/api/v1/classes/4", Some(wish)).await;
    let path = House::at(server["id"].as_u64().expect("an id"), "");
    let now = house.ok("GET", &path, None).await;
    assert_eq!(now["limits"]["memory"], 1 << 29);
    let (done, out, err) = house.verb(&["class", "list"]);
    assert!(done == 0 && out.contains("smaller"), "{out}{err}");
    let (done, _, err) = house.verb(&[
        "class",
        "set",
        "4",
        "--players",
        "5",
        "--idle-stop",
        "never",
    ]);
    assert_eq!(done, 0, "{err}");
    let classes = house.ok("GET", "/api/v1/classes", None).await;
    assert_eq!(
        classes[4]["limits"],
        json!({"memory": 1 << 29, "cpu_percent": null, "pids": null, "disk": null, "players": 5})
    );
    assert_eq!(classes[4]["idle"]["stop"], "never");
}

#[tokio::test]
async fn what_is_mounted_is_reserved_and_what_does_not_fit_is_refused() {
    let guests = game(GUESTS, PLAYERS);
    let mut house = House::with_games(&[("guests", &guests)], &["hosting.memory=1G"]).await;
    let wish = json!({"game": "guests", "limits": {"memory": 700 << 20}});
    let (one, two) = (house.create(wish.clone()).await, house.create(wish).await);
    let mounted = house.ok("POST", &House::at(one, "/mount"), None).await;
    assert_eq!(
        (&mounted["mounted"], &mounted["state"]),
        (&json!(true), &json!("stopped"))
    );
    house.ok("POST", &House::at(one, "/mount"), None).await;
    for verb in ["/mount", "/start"] {
        let refused = house.call("POST", &House::at(two, verb), None).await;
        assert_eq!(code(&refused), (409, "over-budget"), "{refused:?}");
    }
    // It is so still after a restart.
    house.kill();
    house.start();
    house
        .until(one, "mounted", |server| server["mounted"] == true)
        .await;
    let refused = house.call("POST", &House::at(two, "/start"), None).await;
    assert_eq!(code(&refused), (409, "over-budget"));
    house.ok("POST", &House::at(one, "/unmount"), None).await;
    house.power(two, "start").await;
    house.until_state(two, "running").await;
    let refused = house.call("POST", &House::at(two, "/unmount"), None).await;
    assert_eq!(code(&refused), (409, "not-stopped"));
    let (done, _, err) = house.verb(&["server", "mount", &one.to_string()]);
    assert_eq!(done, 1, "{err}");
    assert!(err.contains("hosting.memory"), "{err}");
}

#[tokio::test]
async fn who_writes_more_than_the_disk_limit_is_told() {
    let script = "import os, signal\nopen(os.environ['HOME'] + '/map', 'wb').write(b'x' * (3 << 20))\nprint('ready')\nsignal.pause()";
    let text = game(script, PLAIN);
    let house = House::with_games(&[("writes", &text)], &[]).await;
    let wish = json!({"game": "writes", "limits": {"disk": 1 << 20}});
    let id = house.create(wish).await;
    house.power(id, "start").await;
    let over = |server: &Value| {
        server["notices"]
            .to_string()
            .contains("more than the 1048576 bytes")
    };
    house.until(id, "too large", over).await;
    house.hears(id, "its files take").await;
}

#[tokio::test]
async fn a_creation_whose_folder_cannot_be_made_leaves_nothing() {
    let guests = game(
        GUESTS,
        &format!("[[ports]]\nname = \"game\"\nudp = true\n{PLAYERS}"),
    );
    let house = House::with_games(&[("guests", &guests)], &[]).await;
    let first = house.create(json!({"game": "guests"})).await;
    let port = |server: &Value| server["ports"][0]["number"].clone();
    // Something else lies where the next one's folder would be.
    let place = house.state().join(format!("servers/{}", first + 1));
    std::fs::write(&place, "in the way").expect("a file");
    let wish = || Some(json!({"game": "guests"}));
    let failed = house.call("POST", "/api/v1/servers", wish()).await;
    assert_eq!(code(&failed), (500, "creation-failed"), "{failed:?}");
    let servers = house.ok("GET", "/api/v1/servers", None).await;
    assert_eq!(servers.as_array().expect("servers").len(), 1);
    assert!(place.is_file(), "what was in the way is not ours");
    let made = house.ok("POST", "/api/v1/servers", wish()).await;
    let firsts = house.ok("GET", &House::at(first, ""), None).await;
    let next = port(&firsts).as_u64().expect("a port") + 1;
    // A port that something else holds may be skipped, but the failed one's is not lost.
    assert!(port(&made).as_u64().expect("a port") >= next);
    assert_eq!(made["id"], first + 2, "numbers are not used again");
}

/// Runs Python with the XML-RPC endpoint, a name and a password as arguments.
pub(crate) fn python(house: &House, script: &str) -> String {
    let url = format!("http://{}/xmlrpc", house.endpoints["http.listen"]);
    let head = "import sys, xmlrpc.client\nbox = xmlrpc.client.ServerProxy(sys.argv[1])\ndef call(name, *args): return getattr(box, name)(['plain', 'ada', 'correct horse'], list(args))\n";
    let out = Command::new("/usr/bin/python3")
        .args(["-c", &format!("{head}{script}"), &url])
        .output()
        .expect("python");
    let (text, error) = (
        String::from_utf8_lossy(&out.stdout).into_owned(),
        String::from_utf8_lossy(&out.stderr).into_owned(),
    );
    assert!(out.status.success(), "{text}{error}\n{}", house.log());
    text
}
