//! What the worker makes of definitions and wishes, without a process.

use std::{collections::BTreeMap, time::Duration};

use super::*;
use crate::accounts::AccountId;
use crate::clock::UnixMillis;
use crate::hosting::settings::Value;
use crate::hosting::{Desired, Port, Restart};
use crate::keeper::{self, Ready, Stop};

const GAME: &str = r#"
    title = "Small"
    description = "A small game."
    versions = ["1"]
    [install]
    method = "debian"
    packages = ["sh"]
    requires = ["/bin/sh"]
    [run]
    argv = ["/bin/sh", "{title}", ["--load", "{dir}/{setting.load}"], ["--bind", "{setting.bind}"]]
    cwd = "work"
    env = { PORT = "{port.game}", LANG = "C" }
    [[ports]]
    name = "game"
    tcp = true
    [ready]
    tcp = "game"
    timeout = "5s"
    [stop.tcp]
    port = "game"
    script = [["Password:", "{secret}"]]
    [[files]]
    path = "work/a.cfg"
    escape = "backslash"
    write = "name \"{title}\"\n"
    [[files]]
    path = "b.ini"
    set.net.name = "{title}"
    [settings.load]
    type = "path"
    description = ""
    default = "save/last"
    [settings.bind]
    type = "text"
    description = ""
    default = ""
    max = 20
"#;

fn order(title: &str, text: &str) -> Order {
    Order {
        server: Server {
            id: ServerId(7),
            owner: AccountId(1),
            name: "ada_7".into(),
            title: title.into(),
            game: "small".into(),
            version: "1".into(),
            class: 2,
            ports: vec![Port {
                name: "game".into(),
                number: 7201,
                tcp: true,
                udp: false,
            }],
            skipped: vec![],
            uid: 30_000,
            secret: "cafe".into(),
            desired: Desired::Up,
            restart: Restart::Never,
            limits: Limits::default(),
            settings: BTreeMap::new(),
            deleted: None,
            created: UnixMillis(0),
            exceeds: false,
            idle: crate::hosting::Idle::default(),
            mark: None,
            public: Vec::new(),
        },
        definition: Arc::new(Definition::parse("small.toml", "small", text).unwrap()),
    }
}

fn place(home: &Path) -> Place {
    Place {
        files: home.join("files"),
        shared: home.join("shared"),
        console: home.join("console"),
        history: 1 << 20,
        user: None,
        cgroup: None,
    }
}

#[test]
fn a_title_with_anything_in_it_is_one_argument_and_one_value() {
    let home = tempfile::tempdir().unwrap();
    let title = r#"$(reboot); "x" \ --help [net] {secret}"#;
    let order = order(title, GAME);
    let place = place(home.path());
    assert_eq!(order.spec(&place).argv, ["/bin/sh", title]);
    order.render(&place).unwrap();
    let read = |path| fs::read_to_string(place.files.join(path)).unwrap();
    let escaped = title.replace('\\', r"\\").replace('"', r#"\""#);
    assert_eq!(read("work/a.cfg"), format!("name \"{escaped}\"\n"));
    assert_eq!(
        read("b.ini"),
        "[net]\nname = $(reboot); 'x' / --help [net] {secret}\n"
    );
}

#[test]
fn arguments_that_go_together_are_left_out_together() {
    let home = tempfile::tempdir().unwrap();
    let mut order = order("t", GAME);
    let place = place(home.path());
    fs::create_dir_all(place.files.join("save")).unwrap();
    fs::write(place.files.join("save/last"), "").unwrap();
    order
        .server
        .settings
        .insert("bind".into(), Value::Text("::".into()));
    let load = place.files.join("save/last").display().to_string();
    assert_eq!(
        order.spec(&place).argv,
        ["/bin/sh", "t", "--load", &load, "--bind", "::"]
    );
}

#[test]
fn a_spec_says_what_the_definition_says() {
    let home = tempfile::tempdir().unwrap();
    let place = place(home.path());
    let spec = order("t", GAME).spec(&place);
    assert_eq!(spec.ready, Ready::Tcp(7201));
    assert_eq!(spec.ready_timeout, Duration::from_secs(5));
    assert_eq!(
        spec.stop,
        Stop::Tcp {
            port: 7201,
            script: vec![("Password:".into(), "cafe".into())]
        }
    );
    assert_eq!(spec.cwd, place.files.join("work"));
    for (name, value) in [
        ("PORT", "7201"),
        ("LANG", "C"),
        ("HOME", place.files.to_str().unwrap()),
    ] {
        let found: Vec<_> = spec.env.iter().filter(|(known, _)| known == name).collect();
        assert_eq!(found, [&(name.to_owned(), value.to_owned())]);
    }
}

#[test]
fn a_shell_script_gets_its_values_as_arguments() {
    let home = tempfile::tempdir().unwrap();
    let text = GAME
        .replace("\"/bin/sh\", \"{title}\"", "\"echo $1\", \"{title}\"")
        .replace("cwd =", "shell = true\ncwd =");
    let spec = order("a; reboot", &text).spec(&place(home.path()));
    assert_eq!(
        spec.argv,
        ["/bin/sh", "-c", "echo $1", "ada_7", "a; reboot"]
    );
}

#[test]
fn a_setting_that_a_changed_definition_refuses_counts_as_not_given() {
    let home = tempfile::tempdir().unwrap();
    let mut order = order("t", GAME);
    order
        .server
        .settings
        .insert("load".into(), Value::Text("../../etc/passwd".into()));
    assert_eq!(order.spec(&place(home.path())).argv, ["/bin/sh", "t"]);
}

#[tokio::test]
async fn the_bin_keeps_what_is_young_and_forgets_what_is_gone() {
    let home = tempfile::tempdir().unwrap();
    let worker = Worker::open(home.path(), "/bin/false".into(), 1 << 20).unwrap();
    for id in [1, 2] {
        let mut server = order("t", GAME).server;
        server.id = ServerId(id);
        worker.manifest(&server).unwrap();
        worker
            .recycle(server.id, UnixMillis(id * 1000))
            .await
            .unwrap();
        assert!(!worker.has(server.id));
    }
    fs::create_dir(home.path().join("recycled/notes")).unwrap();
    let ids = vec![ServerId(1), ServerId(2), ServerId(3)];
    let gone = worker.purge(UnixMillis(1500), ids).await;
    assert_eq!(gone, [ServerId(1), ServerId(3)]);
    let left = fs::read_dir(home.path().join("recycled")).unwrap().count();
    assert_eq!(left, 2, "the young one, and what is not ours");
}

#[tokio::test]
async fn what_cannot_be_installed_is_said_on_the_console() {
    let home = tempfile::tempdir().unwrap();
    let worker = Worker::open(home.path(), "/bin/false".into(), 1 << 20).unwrap();
    let archive = home.path().join("game.tar");
    fs::write(
        &archive,
        "this is no archive, and long enough to be told so".repeat(30),
    )
    .unwrap();
    let text = GAME
        .replace("method = \"debian\"", "method = \"archive\"")
        .replace(
            "packages = [\"sh\"]\n    requires = [\"/bin/sh\"]",
            &format!("path = \"{}\"", archive.display()),
        );
    let mut order = order("t", &text);
    order.server.uid = nix::unistd::getuid().as_raw();
    order.server.ports.clear();
    let head = watch::Sender::new(0);
    let mut installing = false;
    let launched = worker
        .launch(
            &order,
            head.clone(),
            &CancellationToken::new(),
            async || installing = true,
        )
        .await;
    assert!(matches!(launched, Err(WorkerError::Install { .. })));
    assert!(installing);
    let said = worker.console(ServerId(7)).last(10).unwrap().entries;
    let said: Vec<_> = said
        .iter()
        .map(|entry| String::from_utf8_lossy(&entry.text))
        .collect();
    assert!(
        said.iter()
            .any(|line| line.starts_with("not started: installing from")),
        "{said:?}"
    );
    assert!(*head.borrow() > 0);
}

/// An installer that outlived its daemon: marked as a game's process is, so that the next launch finds it.
#[tokio::test]
async fn what_a_dead_daemons_installer_left_is_swept_even_without_a_spec() {
    let state = tempfile::tempdir().unwrap();
    let worker = Worker::open(state.path(), "/bin/false".into(), 1 << 20).unwrap();
    let mut server = order("t", GAME).server;
    server.uid = 41_900; // nobody else's
    let run = worker.run(server.id);
    fs::create_dir_all(&run).unwrap();
    fs::write(run.join("spec.json"), "{").unwrap();
    let mark = keeper::mark(&run.canonicalize().unwrap(), server.id.0);
    let mut left = std::process::Command::new("/bin/sleep")
        .arg("1000")
        .env(keeper::MARK, mark)
        .spawn()
        .unwrap();
    worker.sweep(&server).await.unwrap();
    assert!(!left.wait().unwrap().success());
}

#[tokio::test]
async fn a_folder_that_somebody_put_back_is_recycled_again() {
    let state = tempfile::tempdir().unwrap();
    let worker = Worker::open(state.path(), "/bin/false".into(), 1 << 20).unwrap();
    let server = order("t", GAME).server;
    for _ in 0..2 {
        worker.manifest(&server).unwrap();
        worker.recycle(server.id, UnixMillis(5)).await.unwrap();
        assert!(!worker.has(server.id));
    }
    assert_eq!(fs::read_dir(worker.recycled()).unwrap().count(), 2);
}
