//! The whole life of a real OpenTTD server by Python's stock client, from its owner's registration to its end.

use serde_json::json;

use crate::{
    House,
    common::{free_pool, installed, smtp::Sink},
    python,
};

/// Who the scripts are: `bob` proves himself with his clear password, having registered with its hash.
const BOB: &str = r#"
import hashlib
bob = ["plain", "bob", "battery staple"]
sha1 = hashlib.sha1(b"battery staple").hexdigest()
server = int(os.environ.get("SERVER", "0"))
"#;

async fn by_bob(house: &House, server: u64, script: &str) -> serde_json::Value {
    let script = format!("{BOB}{script}");
    python(house, &script, &[("SERVER", &server.to_string())]).await
}

#[tokio::test]
async fn an_openttd_server_lives_from_its_owners_registration_to_its_end() {
    if !installed("/usr/games/openttd") {
        return;
    }
    let mut sink = Sink::open().await;
    // Debian has one version; to switch, the same program goes by two.
    let shipped = include_str!("../../data/games/openttd.toml");
    let two = shipped.replace(
        "versions = [\"13.0\"]",
        "versions = [\"13.0\", \"13.0-again\"]",
    );
    assert_ne!(shipped, two);
    let smtp = format!("mail.smtp={}", sink.address);
    let mut house = House::unlocked(&[
        smtp,
        "mail.from=box@example.org".into(),
        "mail.tls=none".into(),
        free_pool(),
    ]);
    house.stock(&[("openttd", &two)]);
    house.settle().await;

    // Register, and verify by the mailed link: before it nobody comes in.
    let registered = by_bob(
        &house,
        0,
        r#"
user = box.register_user(ada, ["bob", sha1, "bob@example.org", ""])
tell([user, fault(box.check_login, ada, ["bob", sha1]), fault(box.server_status, bob, [1])])
"#,
    )
    .await;
    let user = registered[0].as_u64().expect("an id");
    assert_eq!(
        (&registered[1][0], &registered[2][0]),
        (&json!(2011), &json!(1092))
    );
    let letter = sink.letter().await;
    let opened = r#"
import email, email.policy, re, urllib.request
letter = email.message_from_string(os.environ["LETTER"], policy=email.policy.default)
link = re.search(r"http://\S+", letter.get_body(("plain",)).get_content()).group()
tell(urllib.request.urlopen(link).status)
"#;
    let opened = python(&house, opened, &[("LETTER", &letter.text)]).await;
    assert_eq!(opened, 200, "{}", letter.text);
    let role = Some(json!({"role": "host"}));
    house
        .ok("PATCH", &format!("/api/v1/accounts/{user}"), role)
        .await;

    // Create, mount, start.
    let made = by_bob(
        &house,
        0,
        r#"
user = box.check_login(ada, ["bob", sha1])
made = box.create_server(bob, [user, 2, True])
server = made["server_id"]
told = [box.mount_server(bob, [server]), box.mvsrvd.server_status(bob, [server]), box.start_server(bob, [server])]
tell({"user": user, "server": server, "log": made["log"], "told": told})
"#,
    )
    .await;
    assert_eq!(made["user"], user);
    let id = made["server"].as_u64().expect("an id");
    let log = made["log"].to_string();
    assert!(
        log.contains(&format!("bob_{id}")) && log.contains("ports"),
        "{log}"
    );
    let told = &made["told"];
    assert_eq!((&told[0], &told[2]), (&json!(true), &json!(true)));
    assert_eq!(
        (&told[1]["is_mounted"], &told[1]["is_running"]),
        (&json!(true), &json!(false))
    );
    house.until_state(id, "running").await;

    // Its console.
    let write = "tell([box.server_console_write(bob, [server, 'echo first-words']), box.server_details(bob, [server])])";
    let wrote = by_bob(&house, id, write).await;
    assert_eq!(wrote[0], true);
    assert_eq!(wrote[1]["is_ottd_running"], true);
    let cmdline = wrote[1]["ottd_cmdline"].as_str().expect("a string");
    assert!(cmdline.contains("openttd"), "{cmdline}");
    let mut live = house.socket(&House::at(id, "/console/live?since=1")).await;
    live.until_line("echo first-words").await;
    let fetched = by_bob(
        &house,
        id,
        "tell(box.server_console_fetch(bob, [server, 500]))",
    )
    .await;
    let fetched = fetched.as_array().expect("lines");
    let typed = fetched
        .iter()
        .position(|line| line["line"] == "echo first-words");
    let typed = typed.expect("what was typed is there");
    assert_eq!(fetched[typed]["type"], "stdin");

    // Another version, for which it stops; and a configuration of its own.
    let switched = by_bob(
        &house,
        id,
        "tell(box.server_version(bob, [server, '13.0-again']))",
    )
    .await;
    assert_eq!(switched, true);
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(stopped["version"], "13.0-again");
    let uploaded = by_bob(
        &house,
        id,
        r#"
path = box.server_config_path(bob, [server])
text = box.file_get_contents(bob, [server, path])
text = "\n".join(line for line in text.splitlines() if not line.startswith("max_init_time"))
text = text.replace("[network]", "[network]\nmax_init_time = 77")
assert box.file_put_contents(bob, [server, path, text]) is True
assert box.file_info(bob, [server, path])["filesize"] == len(text.encode())
tell([path, box.start_server(bob, [server])])
"#,
    )
    .await;
    assert_eq!(uploaded, json!(["/openttd.cfg", true]));
    house.until_state(id, "running").await;
    let asked = "tell(box.server_console_write(bob, [server, 'setting network.max_init_time']))";
    assert_eq!(by_bob(&house, id, asked).await, true);
    live.until_line("'77'").await;

    // A snapshot, for which the game saves first. MyOTTD has no words for that: it is the web API's.
    let strict = Some(json!({"strict": true}));
    let taken = house.ok("POST", &House::at(id, "/snapshots"), strict).await;
    assert_eq!(taken["consistent"], true, "{taken}");

    // Its end asks for a second confirmation.
    let early = "tell([box.stop_server(bob, [server]), fault(box.destroy_server, bob, [server])])";
    let early = by_bob(&house, id, early).await;
    assert_eq!(early[0], true);
    assert!(early[1][0] != 0 && early[1][0] != "no fault", "{early}");
    house.until_state(id, "stopped").await;
    let ended = by_bob(
        &house,
        id,
        r#"
tell([
    box.verify_destroy(bob, [server]),
    fault(box.destroy_server, bob, [server])[0],
    box.erase_server(bob, [server]),
    box.verify_destroy(bob, [server]),
    box.destroy_server(bob, [server]),
    fault(box.mvsrvd.server_status, bob, [server])[0],
])
"#,
    )
    .await;
    assert_eq!(ended, json!([false, 3007, true, true, true, 3001]));

    // And the audit trail stands behind it.
    let log = house.ok("GET", "/api/v1/audit?count=10000", None).await;
    let intents = log.as_array().expect("records").iter();
    let intents: Vec<_> = intents
        .filter(|line| line["door"] == "rpc" && line["of"].is_null())
        .map(|line| {
            (
                line["name"].as_str().unwrap_or(""),
                line["action"].as_str().unwrap_or(""),
            )
        })
        .collect();
    let mut rest = intents.iter();
    for wanted in [
        ("ada", "account.enrol"),
        ("bob", "server.create"),
        ("bob", "server.mount"),
        ("bob", "server.start"),
        ("bob", "server.command"),
        ("bob", "server.stop"),
        ("bob", "server.update"),
        ("bob", "server.start"),
        ("bob", "server.command"),
        ("bob", "server.stop"),
        ("bob", "server.mark"),
        ("bob", "server.destroy"),
    ] {
        assert!(
            rest.any(|intent| *intent == wanted),
            "{wanted:?} is missing or out of order: {intents:?}"
        );
    }
    let verdict = house.ok("GET", "/api/v1/audit/verify", None).await;
    assert_eq!(verdict["fault"], json!(null), "{verdict}");
    assert!(house.stop());
}
