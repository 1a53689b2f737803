//! Mounting over XML-RPC: by who looks at files, and anew for another version.

use serde_json::{Value as Json, json};

use crate::{
    House,
    common::{PLAIN, WAITS, game},
    python,
};

/// A game of two versions that writes one file.
fn versioned() -> String {
    let more = format!(
        "versions = [\"1\", \"2\"]\n{PLAIN}\n[[files]]\npath = \"motd.txt\"\nwrite = \"hi\""
    );
    game(WAITS, &more)
}

async fn intents(house: &House) -> Vec<Json> {
    let log = house.ok("GET", "/api/v1/audit?count=10000", None).await;
    let lines = log.as_array().expect("records").iter();
    lines.filter(|line| line["of"].is_null()).cloned().collect()
}

#[tokio::test]
async fn who_looks_at_a_new_servers_files_has_it_mounted_first() {
    let house = House::with_games(&[("two", &versioned())], &[]).await;
    let mut servers = Vec::new();
    for _ in 0..4 {
        servers.push(house.create(json!({"game": "two"})).await);
    }
    // Somebody who may look, and start nothing.
    let (bob, _) = house.person("bob", "player").await;
    let grant = json!({"account": bob, "server": servers[3], "verbs": ["files.read"]});
    house.ok("PUT", "/api/v1/grants", Some(grant)).await;
    let told = python(
        &house,
        r#"
bob = ["plain", "bob", "battery staple bob"]
listed, looked, read, seen = json.loads(os.environ["SERVERS"])
names = lambda who, server: sorted(entry["filename"] for entry in box.file_list(who, [server, "/"]))
tell({
    "list": names(ada, listed),
    "info": box.file_info(ada, [looked, "/motd.txt"])["filesize"],
    "read": box.file_get_contents(ada, [read, "/motd.txt"]),
    "bob": names(bob, seen),
    "mounted": [box.mvsrvd.server_status(ada, [server])["is_mounted"] for server in (listed, looked, read, seen)],
    "again": names(ada, listed),
})
"#,
        &[("SERVERS", &json!(servers).to_string())],
    )
    .await;
    assert_eq!(
        told,
        json!({
            "list": [".", "..", "motd.txt"], "info": 2, "read": "hi", "bob": [".", ".."],
            "mounted": [true, true, true, false], "again": [".", "..", "motd.txt"],
        })
    );
    let intents = intents(&house).await;
    let mounts = intents
        .iter()
        .filter(|line| line["action"] == "server.mount");
    assert_eq!(mounts.count(), 3, "only what was done is recorded");
}

#[tokio::test]
async fn files_of_what_cannot_be_mounted_are_there_all_the_same() {
    let house = House::with_games(&[("two", &versioned())], &["hosting.memory=64M"]).await;
    let wish = json!({"game": "two", "limits": {"memory": 1 << 30}});
    let id = house.create(wish).await.to_string();
    let told = python(
        &house,
        r#"
server = int(os.environ["ID"])
tell([fault(box.mount_server, ada, [server])[0], len(box.file_list(ada, [server, ""]))])
"#,
        &[("ID", &id)],
    )
    .await;
    assert_eq!(told, json!([3011, 2]));
}

#[tokio::test]
async fn another_version_is_mounted_anew_and_what_ran_runs_again() {
    let house = House::with_games(&[("two", &versioned())], &[]).await;
    let id = house.launch("two").await;
    let path = House::at(id, "");
    let before = house.until_state(id, "running").await;
    assert_eq!(before["mounted_version"], "1");
    let wish = Some(json!({"version": "2"}));
    house.ok("PATCH", &path, wish).await;
    let run = async |script: &str| {
        let head = "server = int(os.environ['ID'])\nversion = lambda: box.mottdd.server_status(ada, [server])['ottd_version']\n";
        python(
            &house,
            &format!("{head}{script}"),
            &[("ID", &id.to_string())],
        )
        .await
    };
    // What runs is still the one that was mounted.
    let told = run("tell([version(), box.update_server_version(ada, [server]), version()])").await;
    assert_eq!(told, json!(["1", true, "2"]));
    let fresh = |server: &Json| server["state"] == "running" && server["pid"] != before["pid"];
    let now = house.until(id, "another", fresh).await;
    assert_eq!(
        (&now["mounted_version"], &now["version"]),
        (&json!("2"), &json!("2"))
    );
    let done: Vec<_> = intents(&house).await;
    let done: Vec<_> = done
        .iter()
        .filter(|line| line["door"] == "rpc")
        .map(|line| &line["action"])
        .collect();
    assert_eq!(
        done,
        [
            "server.stop",
            "server.unmount",
            "server.mount",
            "server.start"
        ]
    );

    // Again is nothing, and nothing is recorded of it.
    let count = intents(&house).await.len();
    let again = "tell([box.update_server_version(ada, [server]), box.mount_server(ada, [server]), box.update_server_version(ada, [server, '2'])])";
    assert_eq!(run(again).await, json!([true, true, true]));
    assert_eq!(intents(&house).await.len(), count);
    assert_eq!(house.ok("GET", &path, None).await["pid"], now["pid"]);

    // What cannot be had stops nothing.
    let told = run("tell(fault(box.update_server_version, ada, [server, '9'])[0])").await;
    assert_eq!(told, 3003);
    assert_eq!(house.ok("GET", &path, None).await["pid"], now["pid"]);

    // By its word, and of a server that is mounted and stopped.
    let told = run("tell(box.update_server_version(ada, [server, '1']))").await;
    assert_eq!(told, true);
    let fresh = |server: &Json| server["state"] == "running" && server["pid"] != now["pid"];
    let back = house.until(id, "the first again", fresh).await;
    assert_eq!(
        (&back["mounted_version"], &back["version"]),
        (&json!("1"), &json!("1"))
    );
    house.power(id, "stop").await;
    house.until_state(id, "stopped").await;
    let wish = Some(json!({"version": "2"}));
    house.ok("PATCH", &path, wish).await;
    assert_eq!(
        run("tell([box.update_server_version(ada, [server]), version()])").await,
        json!([true, "2"])
    );
    let rests = house.ok("GET", &path, None).await;
    assert_eq!(
        (
            &rests["mounted_version"],
            &rests["state"],
            &rests["mounted"]
        ),
        (&json!("2"), &json!("stopped"), &json!(true))
    );
}
