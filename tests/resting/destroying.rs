//! Destroying asks for a second confirmation by another means: a file among the server's own.

use std::fs;

use serde_json::json;

use crate::{
    GUESTS, PLAYERS, audited,
    common::{House, code, game},
    python,
};

#[tokio::test]
async fn only_a_stopped_server_whose_mark_still_lies_there_is_destroyed() {
    let guests = game(GUESTS, PLAYERS);
    let house = House::with_games(&[("guests", &guests)], &[]).await;
    let id = house.create(json!({"game": "guests"})).await;
    let destroy = async || house.call("POST", &House::at(id, "/destroy"), None).await;
    let marked = async || house.ok("GET", &House::at(id, "/mark"), None).await["marked"].clone();
    assert_eq!(code(&destroy().await), (409, "not-marked"));
    house.ok("POST", &House::at(id, "/mark"), None).await;
    assert_eq!(marked().await, true);
    let file = house
        .state()
        .join(format!("servers/{id}/files/ERASE-THIS-SERVER"));
    let text = fs::read_to_string(&file).expect("the mark");
    assert!(text.contains("Delete this file to prevent that"), "{text}");

    // Its owner takes it back.
    fs::remove_file(&file).expect("it can be deleted");
    assert_eq!(marked().await, false);
    assert_eq!(code(&destroy().await), (409, "not-marked"));
    // Another number, or a link to the right one, is no mark.
    fs::write(&file, "0123456789abcdef0123456789abcdef\n").expect("a file");
    assert_eq!(marked().await, false);
    house.ok("POST", &House::at(id, "/mark"), None).await;
    let elsewhere = file.with_extension("moved");
    fs::rename(&file, &elsewhere).expect("a rename");
    std::os::unix::fs::symlink(&elsewhere, &file).expect("a link");
    assert_eq!(marked().await, false);
    // Marking again writes no further than the server's own folder.
    let outside = house.state().join("outside");
    fs::write(&outside, "mine").expect("a file");
    fs::remove_file(&file).expect("the link goes");
    std::os::unix::fs::symlink(&outside, &file).expect("a link");
    house.ok("POST", &House::at(id, "/mark"), None).await;
    assert_eq!(fs::read_to_string(&outside).expect("it"), "mine");
    assert_eq!(marked().await, true);

    house.power(id, "start").await;
    house.until_state(id, "running").await;
    assert_eq!(code(&destroy().await), (409, "not-stopped"));
    house.power(id, "stop").await;
    house.until_state(id, "stopped").await;
    assert_eq!(destroy().await.0, 204);
    house.gone(id).await;
    let bin = fs::read_dir(house.state().join("recycled")).expect("the bin");
    assert_eq!(bin.count(), 1, "it is in the recycle bin");
    assert_eq!(audited(&house, "server.destroy").await.len() % 2, 0);
}

#[tokio::test]
async fn xml_rpc_walks_a_servers_life_from_creation_to_destruction() {
    let guests = game(GUESTS, PLAYERS);
    let house = House::with_games(&[("guests", &guests)], &["rpc.game=guests"]).await;
    let out = python(
        &house,
        r#"
import time
def fault(code, name, *args):
    try: call(name, *args)
    except xmlrpc.client.Fault as f: assert f.faultCode == code, f; return f.faultString
    raise SystemExit(name + ' was not refused')
id = call('mvsrvd.create_server', 1, 2)
assert type(id) is int, id
made = call('create_server', 1, 2, True)
assert made['server_id'] == id + 1, made
assert made['log'][0].startswith('record: server'), made
assert any(step.startswith('folder: ') for step in made['log']), made
fault(1102, 'create_server', 1, 11)
fault(1102, 'create_server', 99, 2)
fault(3001, 'server_state', 99)
assert call('mvsrvd.server_status', id) == {**call('mvsrvd.server_status', id), 'is_mounted': False, 'is_running': False, 'uptime_desc': ''}
assert call('initialize_server', id) is True
assert call('mount_server', id) is True
assert call('mvsrvd.server_status', id)['is_mounted'] is True
assert call('server_state', id) is False
assert call('start_server', id) is True
assert call('server_state', id) is True
assert call('verify_destroy', id) is False
fault(3005, 'destroy_server', id)
assert call('stop_server', id) is True
while call('server_state', id): time.sleep(0.05)
assert '[vservers.unconfirmed]' in fault(3007, 'destroy_server', id)
assert call('erase_server', id) is True
assert call('mfiled.verify_destroy', id) is True
assert call('destroy_server', id) is True
fault(3001, 'server_state', id)
print('done')
"#,
    );
    assert_eq!(out, "done\n");
    assert!(!audited(&house, "server.mark").await.is_empty());
}
