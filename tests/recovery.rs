//! What goes wrong around a server, and that it comes back by itself: full disks, hung keepers, damaged files, crashes
//! between two steps.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

mod common;

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
    time::Duration,
};

use common::{House, free_pool, game, processes_of};
use longhouse::{
    hosting::Restart,
    keeper::{self, Phase, Ready, Request, Spec, Stop},
    sandbox::pidfd::PidFd,
};
use nix::{
    mount::{MntFlags, MsFlags, mount, umount2},
    sched::{CloneFlags, unshare},
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::{Value, json};

/// More than anything here takes on the slowest machine; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);

const GAME: &str = r#"
title = "Patient"
description = "Waits to be told"
versions = ["1"]
[install]
method = "debian"
packages = ["python3"]
requires = ["/usr/bin/python3"]
[run]
argv = ["/usr/bin/python3", "-u", "-c", """
import sys
print("ready")
for line in sys.stdin:
    print("heard", line.strip())
    if line.strip() == "die":
        sys.exit(3)
"""]
[ready]
line = "ready"
[stop]
signal = "SIGTERM"
[restart]
policy = "POLICY"
"#;

/// A box with one game, whose restart policy is `policy`, and one server of it.
struct Box {
    house: House,
    _data: tempfile::TempDir,
}

impl Box {
    async fn open(policy: &str, uids: u32) -> (Self, u64) {
        let data = tempfile::tempdir().unwrap();
        fs::create_dir(data.path().join("games")).unwrap();
        fs::write(
            data.path().join("games/patient.toml"),
            GAME.replace("POLICY", policy),
        )
        .unwrap();
        let house = House::open_with(&[
            free_pool(),
            format!("data={}", data.path().display()),
            format!("hosting.uids={uids}-{}", uids + 99),
        ])
        .await;
        let wish = json!({"game": "patient"});
        let server = house.ok("POST", "/api/v1/servers", Some(wish)).await;
        let id = server["id"].as_u64().unwrap();
        (Self { house, _data: data }, id)
    }

    async fn power(&self, id: u64, what: &str) {
        let path = format!("/api/v1/servers/{id}/{what}");
        self.house.ok("POST", &path, None).await;
    }

    fn run(&self, id: u64) -> PathBuf {
        self.house.state().join(format!("servers/{id}/run"))
    }

    fn keeper(&self, id: u64) -> i32 {
        let (status, alive) = keeper::last_status(&self.run(id)).unwrap();
        assert!(alive, "server {id} has no keeper");
        status.unwrap().keeper.try_into().unwrap()
    }
}

fn signal(pid: i32, signal: Signal) {
    kill(Pid::from_raw(pid), signal).unwrap();
}

/// Waits until a process has ended, whoever its parent is.
fn gone(pid: i32) {
    if let Ok(process) = PidFd::open(pid.unsigned_abs()) {
        assert!(process.ended_by(std::time::Instant::now() + PATIENCE));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_that_does_not_answer_is_killed_by_kill_even_of_a_server_that_is_being_deleted() {
    let (there, id) = Box::open("always", 41_000).await;
    there.power(id, "start").await;
    there.house.until_state(id, "running").await;
    signal(there.keeper(id), Signal::SIGSTOP);
    there.power(id, "kill").await;
    there.house.until_state(id, "stopped").await;
    there.power(id, "start").await;
    let view = there.house.until_state(id, "running").await;
    signal(there.keeper(id), Signal::SIGSTOP);
    let path = format!("/api/v1/servers/{id}");
    let name = view["name"].clone();
    let delete = there
        .house
        .ok("DELETE", &path, Some(json!({ "confirm": name })));
    let kill = async {
        there.house.until_state(id, "stopping").await;
        there.power(id, "kill").await;
    };
    tokio::join!(delete, kill);
    assert_eq!(processes_of(&there.house.state()).len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spec_that_cannot_be_read_keeps_nothing_from_starting_or_stopping() {
    let (there, id) = Box::open("always", 41_100).await;
    there.power(id, "start").await;
    let before = there.house.until_state(id, "running").await;
    fs::write(there.run(id).join("spec.json"), "{\"server\":").unwrap();
    signal(there.keeper(id), Signal::SIGKILL);
    let again = |server: &Value| server["state"] == "running" && server["pid"] != before["pid"];
    there.house.until(id, "running again", again).await;
    fs::write(there.run(id).join("spec.json"), "").unwrap();
    there.power(id, "stop").await;
    there.house.until_state(id, "stopped").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_of_what_had_failed_is_not_forgotten_when_the_daemon_dies_of_it() {
    let (mut there, id) = Box::open("never", 41_200).await;
    there.power(id, "start").await;
    let view = there.house.until_state(id, "running").await;
    let keeper = there.keeper(id);
    signal(
        view["pid"].as_i64().unwrap().try_into().unwrap(),
        Signal::SIGKILL,
    );
    there.house.until_state(id, "failed").await;
    gone(keeper);
    // No launch comes about before the daemon dies.
    fs::remove_file(there.run(id).join("spec.json")).unwrap();
    fs::create_dir_all(there.run(id).join("spec.json/x")).unwrap();
    there.power(id, "start").await;
    there.house.kill();
    fs::remove_dir_all(there.run(id).join("spec.json")).unwrap();
    there.house.start();
    there.house.until_state(id, "running").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_keeper_whose_folder_is_removed_is_replaced_and_nothing_of_it_is_left() {
    let (mut there, id) = Box::open("always", 41_300).await;
    there.power(id, "start").await;
    there.house.until_state(id, "running").await;
    let keeper = there.keeper(id);
    there.house.kill();
    fs::remove_dir_all(there.run(id)).unwrap();
    there.house.start();
    there.house.until_state(id, "running").await;
    assert_ne!(there.keeper(id), keeper);
    assert_eq!(processes_of(&there.house.state()).len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_launch_that_the_box_hinders_is_tried_again_until_it_does_not() {
    let (there, id) = Box::open("always", 41_400).await;
    // As a full disk would: the spec cannot be written.
    fs::create_dir_all(there.run(id).join("spec.json/x")).unwrap();
    there.power(id, "start").await;
    let view = there.house.until_state(id, "backoff").await;
    let reason = view["exit"]["reason"].as_str().unwrap();
    assert!(reason.contains("spec.json"), "{reason}");
    fs::remove_dir_all(there.run(id).join("spec.json")).unwrap();
    there.house.until_state(id, "running").await;
}

/// A full disk: a file system of its own, seen by one thread and what it starts.
#[tokio::test]
async fn a_port_that_another_program_took_meanwhile_is_waited_for() {
    let ported = game("print('ready')\nimport sys\nsys.stdin.read()", "")
        + "[[ports]]\nname = \"game\"\ntcp = true\n[ready]\nline = \"ready\"\n[stop]\nsignal = \"SIGTERM\"\n";
    let mut house = House::with_games(&[("ported", &ported)], &[&free_pool()]).await;
    let id = house.launch("ported").await;
    let running = house.until_state(id, "running").await;
    let port = u16::try_from(running["ports"][0]["number"].as_u64().unwrap()).unwrap();
    let status = house.state().join(format!("servers/{id}/run/status.json"));
    let status: Value = serde_json::from_slice(&fs::read(status).unwrap()).unwrap();
    let keeper = i32::try_from(status["keeper"].as_i64().unwrap()).unwrap();
    house.kill();
    signal(keeper, Signal::SIGKILL);
    gone(keeper);

    let holder = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    house.start();
    let waiting = house.until_state(id, "backoff").await;
    let reason = waiting["exit"]["reason"].as_str().unwrap();
    assert!(reason.contains(&port.to_string()), "{reason}");
    drop(holder);
    house.until_state(id, "running").await;
}

#[test]
fn a_full_disk_ends_neither_keeper_nor_game_and_its_last_word_counts() {
    let none = None::<&str>;
    let told = std::thread::spawn(move || {
        let folder = tempfile::tempdir().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let separate = || {
            unshare(CloneFlags::CLONE_NEWNS)?;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none)?;
            mount(
                Some("tmpfs"),
                folder.path(),
                Some("tmpfs"),
                MsFlags::empty(),
                Some("size=256k"),
            )
        };
        if let Err(errno) = separate() {
            assert!(
                std::env::var_os("CI").is_none(),
                "a full disk takes a root: {errno}"
            );
            eprintln!("SKIPPED: a full disk takes a root to mount a small one ({errno})");
            return;
        }
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        let story = async { tokio::time::timeout(PATIENCE, full(folder.path())).await };
        runtime.unwrap().block_on(story).unwrap();
        umount2(folder.path(), MntFlags::MNT_DETACH).unwrap();
    });
    told.join().unwrap();
}

async fn full(home: &Path) {
    let run = home.join("run");
    fs::create_dir(&run).unwrap();
    let spec = Spec {
        server: 7,
        argv: ["sh", "-c", "while read line; do echo $line; done"]
            .map(Into::into)
            .to_vec(),
        env: vec![("PATH".into(), "/usr/bin:/bin".into())],
        cwd: home.into(),
        console: home.join("console"),
        history: 1 << 20,
        user: None,
        cgroup: None,
        rlimits: vec![],
        ready: Ready::Running,
        ready_timeout: PATIENCE,
        stop: Stop::Signal(libc::SIGTERM),
        stop_timeout: PATIENCE,
        term_timeout: PATIENCE,
        restart: Restart::Always,
        limit: 5,
        window: PATIENCE,
    };
    fs::write(run.join("spec.json"), serde_json::to_vec(&spec).unwrap()).unwrap();
    let program = Path::new(env!("CARGO_BIN_EXE_longhouse"));
    let client = keeper::launch(program, &run).await.unwrap();
    let mut status = client.status();
    let first = status
        .wait_for(|status| status.phase == Phase::Up)
        .await
        .unwrap()
        .clone();
    fs::write(home.join("filler"), vec![0; 256 << 10]).unwrap_err();
    // More than the console's last page holds, and then more than the keeper's log does.
    for _ in 0..8 {
        client.ask(Request::Log("x".repeat(1000))).await.unwrap();
    }
    client.ask(Request::Restart).await.unwrap();
    let second = status.wait_for(|status| status.pid.is_some() && status.pid != first.pid);
    assert_eq!(second.await.unwrap().keeper, first.keeper);
    client.ask(Request::Stop).await.unwrap();
    while status.changed().await.is_ok() {}
    assert_eq!(status.borrow().phase, Phase::Down);
}
