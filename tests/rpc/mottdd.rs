//! mottdd with Python's stock client, and a game that says what it hears.

use serde_json::json;

use crate::{
    House,
    common::{PLAIN, game},
    python,
};

const ECHO: &str = r#"
import sys
print('ready')
for line in sys.stdin:
    print('heard ' + line.strip())
    print('shouted', file=sys.stderr)
"#;

#[tokio::test]
async fn a_game_is_run_by_the_stock_client() {
    let more = format!(
        "versions = [\"1\", \"2\"]\n{PLAIN}\n[[files]]\npath = \"motd.txt\"\nwrite = \"hi\"\n[[files]]\npath = \"game.ini\"\n[files.set.a]\nb = \"c\""
    );
    let house = House::with_games(&[("echo", &game(ECHO, &more))], &[]).await;
    let id = house.create(json!({"game": "echo"})).await;
    let server = id.to_string();
    let told = python(
        &house,
        r#"
server = int(os.environ["ID"])
mottdd = at("/xmlrpc/mottdd")
tell({
    "before": mottdd.server_status(ada, [server]),
    "start": mottdd.server_start(ada, [server, []]),
    "config": mottdd.server_config_path(ada, [server]),
})
"#,
        &[("ID", &server)],
    )
    .await;
    assert_eq!(
        told,
        json!({
            "before": {"is_vserver_running": false, "is_ottd_running": false, "ottd_version": "1", "ottd_uptime": 0},
            "start": true,
            "config": "/game.ini",
        })
    );
    house.until_state(id, "running").await;
    let told = python(
        &house,
        r#"
server = int(os.environ["ID"])
tell([box.server_console_write(ada, [server, "h\u00e9llo"]), box.mottdd.server_status(ada, [server]),
      box.server_details(ada, [server])["ottd_cmdline"]])
"#,
        &[("ID", &server)],
    )
    .await;
    assert_eq!(told[0], true);
    assert_eq!(
        (&told[1]["is_vserver_running"], &told[1]["is_ottd_running"]),
        (&json!(true), &json!(true))
    );
    let cmdline = told[2].as_str().expect("a string");
    assert!(cmdline.starts_with("/usr/bin/python3 -u -c "), "{cmdline}");
    house.hears(id, "heard h\u{e9}llo").await;
    house.hears(id, "shouted").await;
    let told = python(
        &house,
        r#"
server = int(os.environ["ID"])
lines = box.server_console_fetch(ada, [server, 100])
assert lines == sorted(lines, key=lambda line: line["ts"])
assert all(type(line["ts"]) is float and line["ts"] > 1.7e9 for line in lines)
last = box.server_console_fetch(ada, [server, 1])
assert last == lines[-1:] and box.server_console_fetch(ada, [server, 0]) == []
tell({
    "lines": [[line["type"], line["line"]] for line in lines],
    "version": box.server_version(ada, [server, "2"]),
})
"#,
        &[("ID", &server)],
    )
    .await;
    let lines = told["lines"].as_array().expect("lines");
    for line in [
        json!(["stdin", "h\u{e9}llo"]),
        json!(["stdout", "heard h\u{e9}llo"]),
        json!(["stderr", "shouted"]),
    ] {
        assert!(lines.contains(&line), "{line} is not in {lines:?}");
    }
    assert!(lines.iter().any(|line| line[0] == "log"), "{lines:?}");
    // A server that ran is stopped by its new version.
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(stopped["version"], "2");
    let log = house.ok("GET", "/api/v1/audit", None).await;
    let mine: Vec<_> = log
        .as_array()
        .expect("records")
        .iter()
        .filter(|line| line["door"] == "rpc" && line["of"].is_null())
        .map(|line| line["action"].as_str().unwrap_or_default())
        .collect();
    assert_eq!(
        mine,
        [
            "server.start",
            "server.command",
            "server.stop",
            "server.update"
        ]
    );
}
