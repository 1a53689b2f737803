//! Hosting with real keepers: a small game of a few lines of shell, and the real ones.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

use std::{
    collections::BTreeMap,
    fs,
    net::{TcpListener, UdpSocket},
    ops::RangeInclusive,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use longhouse::{
    accounts::{Accounts, Principal, ServerId},
    audit::Audit,
    console::Kind,
    hosting::{
        self, Create, Desired, Event, Hosting, HostingError, Patch, Restart, Settings, State, View,
    },
    keeper,
    sandbox::pidfd::PidFd,
    store::Store,
};
use nix::{sys::signal::Signal, unistd::Pid};
use serde_json::json;
use tempfile::TempDir;
use tokio::task::JoinHandle;

/// More than anything here takes on the slowest machine; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(120);

const GAME: &str = r#"
title = "Tiny"
description = "Echoes what it hears."
versions = ["1", "2"]
[install]
method = "dir"
path = "DATA/tiny-{version}"
[run]
argv = ["{dir}/game.sh", "{port.game}", "{title}", "{setting.mood}"]
[[ports]]
name = "game"
tcp = true
udp = true
[[ports]]
name = "query"
udp = true
offset = 1
[ready]
line = "open on"
[stop]
console = ["quit"]
timeout = "300ms"
term = "300ms"
[restart]
limit = 3
[[files]]
path = "etc/tiny.ini"
set.server.name = "{title}"
[settings.mood]
type = "choice"
description = "How it feels"
default = "fine"
choices = ["fine", "slow", "stubborn", "dead"]
"#;

const SCRIPT: &str = r#"#!/bin/sh
case "$3" in
    dead) echo "no"; exit 7;;
    slow) sleep 1000;;
    stubborn) trap '' TERM;;
esac
echo "VERSION open on $1 for $2"
while read -r line; do
    case "$line" in
        quit) [ "$3" = stubborn ] || { echo bye; exit 0; };;
        die) exit 3;;
        *) echo "heard $line";;
    esac
done
while [ "$3" = stubborn ]; do sleep 1; done
"#;

/// Users that no other test has: what is left of a user's processes is killed.
fn uids() -> RangeInclusive<u32> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let first =
        100_000_000 + std::process::id() % 100_000 * 1_000 + NEXT.fetch_add(20, Ordering::Relaxed);
    first..=first + 19
}

/// Twenty ports in a row that nobody holds, and no other test gets; below those that the kernel gives away by itself.
fn pool() -> RangeInclusive<u16> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    loop {
        let block = (std::process::id() * 37 + NEXT.fetch_add(1, Ordering::Relaxed)) % 600;
        let first = 20_000 + u16::try_from(block).unwrap() * 20;
        let free = |port| {
            TcpListener::bind(("0.0.0.0", port)).is_ok()
                && UdpSocket::bind(("0.0.0.0", port)).is_ok()
        };
        if (first..first + 20).all(free) {
            return first..=first + 19;
        }
    }
}

/// One box, and its hosting while the daemon is up.
struct House {
    home: TempDir,
    settings: Settings,
    by: Principal,
    hosting: Hosting,
    task: JoinHandle<()>,
}

fn serve(settings: &Settings) -> (Hosting, JoinHandle<()>) {
    let store = Store::open(&settings.state).unwrap();
    let audit = Audit::open(store.clone()).unwrap();
    let accounts = Accounts::open(store.clone(), audit.clone()).unwrap();
    let (hosting, run) = hosting::open(settings.clone(), store, accounts, audit).unwrap();
    (hosting, tokio::spawn(run))
}

impl House {
    fn open() -> Self {
        let home = tempfile::tempdir().unwrap();
        fs::set_permissions(home.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let (state, data) = (home.path().join("state"), home.path().join("data"));
        fs::create_dir(&state).unwrap();
        fs::create_dir_all(data.join("games")).unwrap();
        for version in ["1", "2"] {
            let game = data.join(format!("tiny-{version}"));
            fs::create_dir(&game).unwrap();
            fs::write(game.join("game.sh"), SCRIPT.replace("VERSION", version)).unwrap();
            fs::set_permissions(game.join("game.sh"), PermissionsExt::from_mode(0o755)).unwrap();
        }
        let definition = GAME.replace("DATA", data.to_str().unwrap());
        fs::write(data.join("games/tiny.toml"), definition).unwrap();
        let settings = Settings {
            state,
            data: Some(data),
            ports: pool(),
            uids: uids(),
            memory: None,
            recycle: hosting::RECYCLE,
            history: 1 << 20,
            program: env!("CARGO_BIN_EXE_longhouse").into(),
        };
        let (hosting, task) = serve(&settings);
        let by = Accounts::local(0, "root".into());
        Self {
            home,
            settings,
            by,
            hosting,
            task,
        }
    }

    /// The daemon is gone without a word; `then` happens before it is there again.
    async fn reopen(self, then: impl FnOnce(&Path)) -> Self {
        let Self {
            home,
            settings,
            by,
            hosting,
            task,
        } = self;
        drop(hosting);
        task.abort();
        task.await.ok(); // it may have ended by itself, now that the last handle is gone
        then(&settings.state);
        let (hosting, task) = serve(&settings);
        Self {
            home,
            settings,
            by,
            hosting,
            task,
        }
    }

    async fn create(&self, game: &str, settings: &[(&str, serde_json::Value)]) -> View {
        let settings = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), value.clone()))
            .collect();
        let wish = Create {
            game: game.into(),
            title: Some("It's \"game\"; night $HOME".into()),
            version: None,
            settings,
            limits: None,
            restart: None,
            class: None,
            idle: None,
        };
        self.hosting.create(&self.by, wish).await.unwrap()
    }

    /// Waits until a server reads so.
    async fn until(&self, id: ServerId, what: &str, fits: impl Fn(&View) -> bool) -> View {
        let mut news = self.hosting.news();
        let waited = tokio::time::timeout(PATIENCE, async {
            loop {
                let view = self.hosting.get(&self.by, id).await.unwrap();
                if fits(&view) {
                    return view;
                }
                news.recv().await.ok();
            }
        });
        match waited.await {
            Ok(view) => view,
            Err(_) => panic!(
                "never {what}: {:#?}\n{}",
                self.hosting.get(&self.by, id).await,
                self.text(id).await
            ),
        }
    }

    async fn state(&self, id: ServerId, state: State) -> View {
        self.until(id, &format!("{state:?}"), |view| view.state == state)
            .await
    }

    async fn running(&self, id: ServerId) -> View {
        self.hosting.start(&self.by, id).await.unwrap();
        self.state(id, State::Running).await
    }

    async fn text(&self, id: ServerId) -> String {
        let (mut console, _) = self.hosting.console(&self.by, id).await.unwrap();
        let entries = console.last(10_000).unwrap().entries;
        let lines = entries.iter().map(|entry| {
            format!(
                "{:?} {}\n",
                entry.kind,
                String::from_utf8_lossy(&entry.text)
            )
        });
        lines.collect()
    }

    /// Waits until the console shows `text`.
    async fn shows(&self, id: ServerId, text: &str) {
        let (_, mut head) = self.hosting.console(&self.by, id).await.unwrap();
        let waited = tokio::time::timeout(PATIENCE, async {
            while !self.text(id).await.contains(text) {
                head.changed().await.unwrap();
            }
        });
        assert!(
            waited.await.is_ok(),
            "never `{text}`:\n{}",
            self.text(id).await
        );
    }

    fn run(&self, id: ServerId) -> std::path::PathBuf {
        self.settings.state.join(format!("servers/{}/run", id.0))
    }

    fn keeper(&self, id: ServerId) -> u32 {
        keeper::last_status(&self.run(id))
            .unwrap()
            .0
            .unwrap()
            .keeper
    }

    /// Nothing that was started here may be left.
    async fn close(self) {
        for view in self.hosting.list(&self.by).await.unwrap() {
            self.hosting.kill(&self.by, view.id).await.unwrap();
            let delete = self.hosting.delete(&self.by, view.id, &view.name);
            delete.await.unwrap();
        }
        self.task.abort();
    }
}

/// Zombies do not: nobody may be there to collect them.
fn lives(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with('Z'))
}

fn kill(pid: u32) {
    nix::sys::signal::kill(Pid::from_raw(pid.try_into().unwrap()), Signal::SIGKILL).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_is_made_started_talked_to_and_stopped() {
    let house = House::open();
    let made = house.create("tiny", &[]).await;
    assert_eq!((made.state, made.desired), (State::Stopped, Desired::Down));
    assert_eq!(made.name, format!("box_{}", made.id.0));
    let id = made.id;
    let up = house.running(id).await;
    assert!(lives(up.pid.unwrap()));
    let port = up.ports[0].number;
    assert_eq!(up.ports[1].number, port + 1);
    house
        .shows(
            id,
            &format!("Stdout 1 open on {port} for It's \"game\"; night $HOME"),
        )
        .await;
    house.hosting.command(&house.by, id, "hello").await.unwrap();
    house.shows(id, "Stdin hello").await;
    house.shows(id, "Stdout heard hello").await;
    let ini = fs::read_to_string(up.folder.join("etc/tiny.ini")).unwrap();
    assert_eq!(ini, "[server]\nname = It's 'game'; night $HOME\n");
    house.hosting.stop(&house.by, id).await.unwrap();
    let down = house.state(id, State::Stopped).await;
    assert_eq!(down.exit.unwrap().code, Some(0));
    assert!(!lives(up.pid.unwrap()));
    let error = house
        .hosting
        .command(&house.by, id, "hello")
        .await
        .unwrap_err();
    assert!(matches!(error, HostingError::NotRunning(_)));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_asked_wrongly_is_refused_with_its_field() {
    let house = House::open();
    let wish = |change: fn(&mut Create)| {
        let mut wish = Create {
            game: "tiny".into(),
            title: None,
            version: None,
            settings: BTreeMap::new(),
            limits: None,
            restart: None,
            class: None,
            idle: None,
        };
        change(&mut wish);
        house.hosting.create(&house.by, wish)
    };
    assert!(matches!(
        wish(|w| w.game = "nope".into()).await,
        Err(HostingError::NoSuchGame(_))
    ));
    assert!(matches!(
        wish(|w| w.version = Some("../2".into())).await,
        Err(HostingError::NoSuchVersion { .. })
    ));
    let bad = [
        (wish(|w| w.title = Some("a\nb".into())).await, "title"),
        (wish(|w| w.title = Some("a\0b".into())).await, "title"),
        (wish(|w| w.title = Some("x".repeat(65))).await, "title"),
        (wish(|w| w.class = Some(10)).await, "class"),
        (
            wish(|w| drop(w.settings.insert("mood".into(), json!("$(reboot)")))).await,
            "settings.mood",
        ),
        (
            wish(|w| drop(w.settings.insert("../x".into(), json!(1)))).await,
            "settings.../x",
        ),
    ];
    for (made, field) in bad {
        assert!(
            matches!(&made, Err(HostingError::Bad { field: found, .. }) if found == field),
            "{made:?}"
        );
    }
    let id = house.create("tiny", &[]).await.id;
    house.running(id).await;
    for line in ["a\nb", "a\0b", &"x".repeat(1025)] {
        let error = house
            .hosting
            .command(&house.by, id, line)
            .await
            .unwrap_err();
        assert!(matches!(error, HostingError::Bad { field, .. } if field == "line"));
    }
    assert!(matches!(
        house.hosting.start(&house.by, ServerId(99)).await,
        Err(HostingError::NoSuchServer(99))
    ));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn starting_twice_at_once_is_one_start_and_a_stop_during_a_start_wins() {
    let house = House::open();
    let id = house.create("tiny", &[("mood", json!("slow"))]).await.id;
    let (one, two) = tokio::join!(
        house.hosting.start(&house.by, id),
        house.hosting.start(&house.by, id)
    );
    one.unwrap();
    two.unwrap();
    house.until(id, "launched", |view| view.pid.is_some()).await;
    let launches = house.text(id).await.matches("installed").count();
    assert_eq!(launches, 1);
    house.hosting.stop(&house.by, id).await.unwrap();
    house.hosting.start(&house.by, id).await.unwrap();
    house.hosting.stop(&house.by, id).await.unwrap();
    house.state(id, State::Stopped).await;
    // It says that all is over a moment before it is gone itself.
    if let Ok(keeper) = PidFd::open(house.keeper(id)) {
        assert!(
            keeper.ended_by(Instant::now() + PATIENCE),
            "its keeper stays"
        );
    }
    assert!(!keeper::last_status(&house.run(id)).unwrap().1);
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_game_that_ignores_stop_is_killed_in_the_end() {
    let house = House::open();
    let id = house
        .create("tiny", &[("mood", json!("stubborn"))])
        .await
        .id;
    let pid = house.running(id).await.pid.unwrap();
    house.hosting.stop(&house.by, id).await.unwrap();
    let down = house.state(id, State::Stopped).await;
    assert_eq!(down.exit.unwrap().signal, Some(9));
    assert!(!lives(pid));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_game_that_always_dies_fails_and_says_why_and_stays_so() {
    let house = House::open();
    let id = house.create("tiny", &[("mood", json!("dead"))]).await.id;
    house.hosting.start(&house.by, id).await.unwrap();
    let failed = house.state(id, State::Failed).await;
    assert_eq!(failed.exit.unwrap().code, Some(7));
    assert_eq!(failed.desired, Desired::Up);
    let house = house.reopen(|_| ()).await;
    let failed = house.state(id, State::Failed).await;
    assert_eq!(failed.exit.unwrap().code, Some(7));
    let patch = Patch {
        settings: Some([("mood".into(), json!(null))].into()),
        ..Patch::default()
    };
    house.hosting.update(&house.by, id, patch).await.unwrap();
    house.running(id).await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn games_go_on_while_the_daemon_is_away_and_what_ended_meanwhile_is_known() {
    let house = House::open();
    let one = house.create("tiny", &[]).await.id;
    let wish = Patch {
        restart: Some(Restart::Never),
        ..Patch::default()
    };
    let two = house.create("tiny", &[]).await.id;
    house.hosting.update(&house.by, two, wish).await.unwrap();
    let (first, second) = (house.running(one).await, house.running(two).await);
    let keeper = house.keeper(two);
    let house = house
        .reopen(|_| {
            kill(second.pid.unwrap());
            let gone = || !lives(keeper);
            while !gone() {
                std::thread::yield_now();
            }
        })
        .await;
    let again = house.state(one, State::Running).await;
    assert_eq!(again.pid, first.pid);
    house
        .hosting
        .command(&house.by, one, "still there")
        .await
        .unwrap();
    house.shows(one, "heard still there").await;
    let failed = house.state(two, State::Failed).await;
    assert_eq!(failed.exit.unwrap().signal, Some(9));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_whose_keeper_is_killed_runs_again_at_once() {
    let house = House::open();
    let id = house.create("tiny", &[]).await.id;
    let first = house.running(id).await;
    kill(house.keeper(id));
    let again = house
        .until(id, "replaced", |view| {
            view.state == State::Running && view.pid != first.pid
        })
        .await;
    assert!(!lives(first.pid.unwrap()));
    let house = house.reopen(|_| kill(keeper_in(&first.folder))).await;
    house
        .until(id, "replaced", |view| {
            view.state == State::Running && view.pid != again.pid
        })
        .await;
    house.close().await;
}

fn keeper_in(files: &Path) -> u32 {
    keeper::last_status(&files.with_file_name("run"))
        .unwrap()
        .0
        .unwrap()
        .keeper
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_new_version_is_installed_at_the_next_start() {
    let house = House::open();
    let id = house.create("tiny", &[]).await.id;
    house.running(id).await;
    let patch = Patch {
        version: Some("2".into()),
        title: Some("New".into()),
        ..Patch::default()
    };
    let view = house.hosting.update(&house.by, id, patch).await.unwrap();
    assert_eq!((view.version.as_str(), view.state), ("2", State::Running));
    house.hosting.restart(&house.by, id).await.unwrap();
    house.shows(id, "2 open on").await;
    house.shows(id, "for New").await;
    house.state(id, State::Running).await;
    let manifest = fs::read_to_string(house.run(id).with_file_name("server.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&manifest).unwrap();
    assert_eq!(
        (&manifest["version"], &manifest["title"]),
        (&json!("2"), &json!("New"))
    );
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deleting_asks_for_the_name_and_an_interrupted_delete_is_finished() {
    let house = House::open();
    let (one, two) = (
        house.create("tiny", &[]).await,
        house.create("tiny", &[]).await,
    );
    let pid = house.running(one.id).await.pid.unwrap();
    let error = house
        .hosting
        .delete(&house.by, one.id, "yes")
        .await
        .unwrap_err();
    assert!(matches!(error, HostingError::Unconfirmed { name, .. } if name == one.name));
    let mut news = house.hosting.news();
    house
        .hosting
        .delete(&house.by, one.id, &one.name)
        .await
        .unwrap();
    assert!(!lives(pid));
    assert!(!house.run(one.id).exists());
    let bin = house.settings.state.join("recycled");
    let kept = fs::read_dir(&bin).unwrap().next().unwrap().unwrap();
    assert!(
        kept.file_name()
            .to_str()
            .unwrap()
            .starts_with(&format!("{}-", one.id.0))
    );
    assert!(kept.path().join("server.json").exists() && kept.path().join("files/game.sh").exists());
    while !matches!(news.recv().await.unwrap().event, Event::Deleted { id } if id == one.id) {}
    let three = house.create("tiny", &[]).await;
    assert_eq!(three.ports, one.ports, "its ports are free again");

    // Marked, and cut off before the folder was moved.
    house.running(two.id).await;
    let (hosting, by, name) = (house.hosting.clone(), house.by.clone(), two.name.clone());
    let mut news = house.hosting.news();
    let deleting = tokio::spawn(async move { hosting.delete(&by, two.id, &name).await });
    let marked = |event| matches!(event, Event::Changed { server } if server.id == two.id && server.state == State::Stopping);
    while !marked(news.recv().await.unwrap().event) {}
    deleting.abort();
    let house = house.reopen(|_| ()).await;
    let mut news = house.hosting.news();
    while house.hosting.get(&house.by, two.id).await.is_ok() {
        news.recv().await.unwrap();
    }
    assert!(!house.run(two.id).exists());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_bin_is_emptied_when_its_time_has_come() {
    let mut house = House::open();
    let made = house.create("tiny", &[]).await;
    house
        .hosting
        .delete(&house.by, made.id, &made.name)
        .await
        .unwrap();
    let bin = house.settings.state.join("recycled");
    assert_eq!(fs::read_dir(&bin).unwrap().count(), 1);
    house.settings.recycle = Duration::ZERO;
    let house = house.reopen(|_| ()).await;
    let emptied = tokio::time::timeout(PATIENCE, async {
        while fs::read_dir(&bin).unwrap().count() > 0 {
            tokio::task::yield_now().await;
        }
    });
    emptied.await.unwrap();
    assert!(house.hosting.list(&house.by).await.unwrap().is_empty());
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_port_that_another_program_holds_is_said() {
    let house = House::open();
    let first = *house.settings.ports.start();
    let holder = UdpSocket::bind(("0.0.0.0", first)).unwrap();
    let made = house.create("tiny", &[]).await;
    assert_eq!(made.ports[0].number, first + 1);
    assert!(
        made.notices
            .iter()
            .any(|notice| notice.contains(&first.to_string())),
        "{:?}",
        made.notices
    );
    drop(holder);
    let holder = TcpListener::bind(("0.0.0.0", first + 1)).unwrap();
    let error = house.hosting.start(&house.by, made.id).await.unwrap_err();
    assert!(matches!(error, HostingError::PortTaken { port, .. } if port == first + 1));
    drop(holder);
    house.running(made.id).await;
    house.close().await;
}

/// Starts a real game, lets `meanwhile` happen, and stops it; says loudly when it is not there.
async fn real(
    game: &str,
    settings: &[(&str, serde_json::Value)],
    meanwhile: impl AsyncFnOnce(&House, ServerId),
) {
    let house = House::open();
    let known = house
        .hosting
        .games()
        .into_iter()
        .find(|known| known.name == game)
        .unwrap();
    if let Some(why) = known.unavailable {
        assert!(
            std::env::var_os("CI").is_none(),
            "in CI nothing is skipped: {why}"
        );
        eprintln!("SKIPPED: {game} cannot be tested: {why}");
        return;
    }
    let id = house.create(game, settings).await.id;
    house.running(id).await;
    meanwhile(&house, id).await;
    let up = house.hosting.get(&house.by, id).await.unwrap();
    house.hosting.stop(&house.by, id).await.unwrap();
    let down = house.state(id, State::Stopped).await;
    let exit = down.exit.unwrap();
    assert_eq!(exit.code, Some(0), "{exit:?}\n{}", house.text(id).await);
    assert!(!lives(up.pid.unwrap()));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn openttd_runs_takes_commands_stops_and_goes_on_where_it_was() {
    let small = [
        ("listen", json!("127.0.0.1")),
        ("map_width", json!("64")),
        ("map_height", json!("64")),
    ];
    real("openttd", &small, async |house: &House, id| {
        house.shows(id, "Map generated").await;
        house
            .hosting
            .command(&house.by, id, "setting server_name")
            .await
            .unwrap();
        house.shows(id, "'It's 'game'; night $HOME'").await;
        let first = house.hosting.get(&house.by, id).await.unwrap().pid;
        house.hosting.restart(&house.by, id).await.unwrap();
        let again = house
            .until(id, "running again", |view| {
                view.state == State::Running && view.pid != first
            })
            .await;
        assert!(again.folder.join("save/autosave/exit.sav").exists());
        let generated = house.text(id).await.matches("Map generated").count();
        assert_eq!(generated, 1, "the map of before is loaded");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn freeciv_runs_and_stops() {
    let quiet = [("listen", json!("127.0.0.1")), ("announce", json!("no"))];
    real("freeciv", &quiet, async |house: &House, id| {
        house
            .hosting
            .command(&house.by, id, "show minplayers")
            .await
            .unwrap();
        house.shows(id, "minplayers").await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn minetest_runs_and_stops() {
    let local = [("listen", json!("127.0.0.1")), ("creative", json!(true))];
    real("minetest", &local, async |house: &House, id| {
        house
            .shows(id, "Server for gameid=\"minetest\" listening on 127.0.0.1")
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn teeworlds_runs_and_stops_by_its_own_console() {
    let local = [
        ("listen", json!("127.0.0.1")),
        ("mode", json!("ctf")),
        ("map", json!("ctf1")),
    ];
    real("teeworlds", &local, async |house: &House, id| {
        house
            .shows(id, "server name is 'It's \"game\"; night $HOME'")
            .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn red_eclipse_runs_and_stops() {
    let local = [("listen", json!("127.0.0.1"))];
    real("redeclipse", &local, async |house: &House, id| {
        let view = house.hosting.get(&house.by, id).await.unwrap();
        assert_eq!(view.ports[1].number, view.ports[0].number + 1);
        house
            .shows(id, &format!("127.0.0.1:{}", view.ports[0].number))
            .await;
        let (mut console, _) = house.hosting.console(&house.by, id).await.unwrap();
        let entries = console.last(1000).unwrap().entries;
        let complaints = entries
            .iter()
            .filter(|entry| entry.kind != Kind::Log)
            .map(|entry| String::from_utf8_lossy(&entry.text));
        assert_eq!(
            complaints
                .filter(|line| line.contains("unknown command"))
                .count(),
            0
        );
    })
    .await;
}
