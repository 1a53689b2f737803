//! Faults that take a full box, a closed one, or one that somebody has been at; and the records that faults name.

use std::{fs, net::UdpSocket};

use longhouse::rpc::Code;
use nix::mount::{MsFlags, mount};
use serde_json::{Value as Json, json};

use crate::{
    House,
    common::{PLAIN, WAITS, disk::small_disk, free_pool, game, root},
    python,
};

const HEAD: &str = r#"
server = int(os.environ["ID"])
put = lambda path, data: fault(box.file_put_contents, ada, [server, path, data])
"#;

/// Each as `code [name]` at the beginning of its text, whatever record stands before it.
fn is(told: &Json, code: Code) {
    let (number, text) = (&told[0], told[1].as_str().unwrap_or_default());
    assert_eq!(number, &json!(code.number()), "{text}");
    let named = text.split_once(") ").map_or(text, |(_, rest)| rest);
    assert!(named.starts_with(&format!("[{}] ", code.name())), "{text}");
}

#[tokio::test]
async fn what_is_full_held_or_in_the_way_has_its_own_fault() {
    if !root("mounts of one's own") {
        return;
    }
    let mut house = House::unlocked(&["rpc.game=one".into()]);
    small_disk(&house.state());
    let more = format!("{PLAIN}\n[[ports]]\nname = \"game\"\nudp = true");
    fs::create_dir_all(house.data().join("games")).expect("a folder");
    let definition = house.data().join("games/one.toml");
    fs::write(&definition, game(WAITS, &more)).expect("a definition");
    // One port, for one server.
    let pool = free_pool();
    let first = pool.split(['=', '-']).nth(1).expect("a range");
    let port: u16 = first.parse().expect("a port");
    house.environment = vec![
        ("LONGHOUSE_HOSTING_PORTS".into(), format!("{port}-{port}")),
        ("LONGHOUSE_DATA".into(), house.data().display().to_string()),
    ];
    house.settle().await;
    let id = house
        .create(json!({"game": "one", "limits": {"disk": 1 << 20}}))
        .await;
    let files = house.state().join(format!("servers/{id}/files"));
    fs::create_dir(files.join("locked")).expect("root's own folder");
    fs::write(files.join("held"), "").expect("a file");
    let none: Option<&str> = None;
    let bound = mount(
        Some(&files.join("held")),
        &files.join("held"),
        none,
        MsFlags::MS_BIND,
        none,
    );
    bound.expect("root may");
    let taken = UdpSocket::bind(("0.0.0.0", port)).expect("the server's port");
    let told = python(
        &house,
        &format!(
            r#"{HEAD}
tell({{
    "slots": fault(box.create_server, ada, [1, 2]),
    "port": fault(box.start_server, ada, [server]),
    "permission": put("/locked/new", "x"),
    "limit": put("/big", "x" * (2 << 20)),
    "busy": put("/held", "x"),
}})"#
        ),
        &[("ID", &id.to_string())],
    )
    .await;
    is(&told["slots"], Code::NoMoreSlots);
    is(&told["port"], Code::PortTaken);
    is(&told["permission"], Code::FilePermission);
    is(&told["limit"], Code::FileLimit);
    is(&told["busy"], Code::TooBusy);
    drop(taken);

    // Something lies where the next one's folder would be; then its game is gone, and the door for people closed.
    house.kill();
    house.environment[0].1 = format!("{port}-{}", port + 9);
    fs::write(house.state().join(format!("servers/{}", id + 1)), "").expect("a file");
    house.start();
    let script = format!(r#"{HEAD}tell(fault(box.create_server, ada, [1, 2]))"#);
    let id = id.to_string();
    let told = python(&house, &script, &[("ID", &id)]).await;
    is(&told, Code::Backend);
    house.kill();
    fs::remove_file(definition).expect("it goes");
    let closed = ("LONGHOUSE_ACCOUNTS_REGISTRATION".into(), "closed".into());
    house.environment.push(closed);
    house.start();
    let script = format!(
        r#"{HEAD}
person = ["eve", "battery staple", "eve@example.org", ""]
tell([fault(box.create_server, ada, [1, 2]), fault(box.start_server, ada, [server]), fault(box.register_user, ada, person)])"#
    );
    let told = python(&house, &script, &[("ID", &id)]).await;
    is(&told[0], Code::NoSuchGame);
    is(&told[1], Code::NoSuchGame);
    is(&told[2], Code::RegistrationClosed);
}

#[tokio::test]
async fn a_fault_names_the_record_of_what_failed() {
    let house = House::with_games(&[("plain", &game(WAITS, PLAIN))], &[]).await;
    let id = house.create(json!({"game": "plain"})).await.to_string();
    let told = python(
        &house,
        &format!(
            r#"{HEAD}
tell([fault(box.destroy_server, ada, [server]), fault(box.change_password, ada, [99, "battery staple"]),
      fault(box.file_delete, ada, [server, "/nothing", "file"]), fault(box.server_state, ada, [99])])"#
        ),
        &[("ID", &id)],
    )
    .await;
    let log = house.ok("GET", "/api/v1/audit?count=10000", None).await;
    let lines = log.as_array().expect("records");
    let text = |n: usize| told[n][1].as_str().expect("a text");
    let (number, rest) = text(0)[1..].split_once(") ").expect("a number");
    assert!(rest.starts_with("[vservers.unconfirmed] "), "{rest}");
    let seq: u64 = number.parse().expect("a number");
    let intent = lines.iter().find(|line| line["seq"] == seq).expect("it");
    assert_eq!(
        (&intent["action"], &intent["of"], &intent["door"]),
        (&json!("server.destroy"), &json!(null), &json!("rpc"))
    );
    let outcome = lines
        .iter()
        .find(|line| line["of"] == seq)
        .expect("how it ended");
    let outcome = outcome["outcome"].as_str().expect("a text");
    assert!(rest.ends_with(outcome), "{outcome}");
    // What was refused before it was recorded has none.
    for n in 1..4 {
        assert!(text(n).starts_with("(-1) ["), "{}", text(n));
    }
}
