//! Real games on a real stage: `tests/games/minimal.py`, well behaved and otherwise.

mod ends;

use std::{
    fs,
    io::{BufRead, BufReader, Write},
    os::unix::{
        fs::{MetadataExt, PermissionsExt},
        net::UnixStream,
    },
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::{Duration, Instant},
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use tempfile::TempDir;
use tokio::sync::mpsc;

use crate::{
    lobby::{
        definition::{Localized, TableGame},
        dmod::{
            stage::{End, Event, Link, Patience, Settings, Stage},
            wire::{FromGame, GameState, Outcome, ToGame},
        },
        wire::terms::{Numbers, Seat, SeatKind},
    },
    sandbox::{cgroup::Hierarchy, pidfd::PidFd, process::Ended},
};

/// More than anything here takes on the slowest machine; reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(120);
const GAME: &str = include_str!("../../../../tests/games/minimal.py");

fn root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A box with a stage and nothing else.
struct House {
    folder: TempDir,
    stage: Stage,
    first_uid: u32,
}

impl House {
    fn with(patience: Patience) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        // Users that no other test has: what is left of a user's processes is killed.
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let first_uid = 1_000_000_000 + std::process::id() % 1_000_000 * 800 + count * 100;
        let folder = TempDir::new().unwrap();
        fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        fs::write(folder.path().join("minimal.py"), GAME).unwrap();
        let stage = Stage::new(Settings {
            state: folder.path().join("state"),
            uids: first_uid..=first_uid + 99,
            most: 60,
            patience,
        })
        .unwrap();
        fs::create_dir(folder.path().join("state")).unwrap();
        Self {
            folder,
            stage,
            first_uid,
        }
    }

    fn new() -> Self {
        Self::with(Patience {
            ready: PATIENCE,
            reading: PATIENCE,
            ending: PATIENCE,
        })
    }

    fn game(&self, title: &str) -> TableGame {
        TableGame {
            name: "minimal".into(),
            title: Localized {
                text: title.into(),
                translations: vec![],
            },
            version: String::new(),
            description: Localized::default(),
            author: String::new(),
            homepage: String::new(),
            argv: vec!["/usr/bin/python3".into(), "-SE".into()],
            folder: Some(self.folder.path().into()),
            engine: String::new(),
            engine_version: String::new(),
            allow_leave: true,
            kill_when_empty: true,
            players: Numbers::default(),
            bots: Numbers::default(),
            spectators: true,
            peers: false,
            restore: false,
            records: false,
            ratings: false,
            highscores: false,
            named_bots: vec![],
        }
    }

    fn launch(&self, behaviour: &str) -> Table {
        self.launch_as("Minimal", behaviour)
    }

    fn launch_as(&self, title: &str, behaviour: &str) -> Table {
        let script = self.folder.path().join("minimal.py");
        let script = script.to_str().unwrap().to_string();
        let args = std::iter::once(script).chain(behaviour.split_whitespace().map(Into::into));
        self.run(self.game(title), &args.collect::<Vec<_>>())
    }

    fn run(&self, game: TableGame, args: &[String]) -> Table {
        let (events, heard) = mpsc::channel(4);
        let link = self
            .stage
            .launch((), &Arc::new(game), args, launch(), events);
        Table { link, heard }
    }
}

fn launch() -> ToGame {
    let open = Seat {
        kind: SeatKind::Open,
        name: None,
    };
    ToGame::Launch {
        game: "minimal".into(),
        savegame: String::new(),
        seats: vec![open; 2],
        spectators: 0,
    }
}

struct Table {
    link: Link,
    heard: mpsc::Receiver<((), Event)>,
}

impl Table {
    async fn said(&mut self) -> FromGame {
        match next(&mut self.heard).await {
            Some(Event::Said(said)) => said,
            other => panic!("{other:?}"),
        }
    }

    /// Passes over what it says until it says this.
    async fn says(&mut self, what: &FromGame) {
        while self.said().await != *what {}
    }

    /// The next line that it logs with this beginning.
    async fn logs(&mut self, beginning: &str) -> String {
        loop {
            if let FromGame::Log(line) = self.said().await
                && let Some(rest) = line.strip_prefix(beginning)
            {
                return rest.into();
            }
        }
    }

    async fn waits(&mut self) {
        self.says(&FromGame::State(GameState::Waiting)).await;
    }

    async fn end(&mut self) -> End {
        end_of(&mut self.heard).await
    }
}

async fn next(heard: &mut mpsc::Receiver<((), Event)>) -> Option<Event> {
    let next = tokio::time::timeout(PATIENCE, heard.recv()).await;
    Some(next.expect("an event in time")?.1)
}

/// How it ends; nothing comes after that.
async fn end_of(heard: &mut mpsc::Receiver<((), Event)>) -> End {
    loop {
        match next(heard).await {
            Some(Event::Said(_)) => {}
            Some(Event::Ended(end)) => {
                assert!(next(heard).await.is_none(), "the end is the end");
                return end;
            }
            None => panic!("no end was told"),
        }
    }
}

fn sit(name: &str) -> ToGame {
    ToGame::Seat {
        number: 0,
        seat: Seat {
            kind: SeatKind::Player,
            name: Some(name.into()),
        },
    }
}

/// Says a line as a person at the table, and returns what the game answers.
fn converse(mut person: UnixStream, line: &str) -> String {
    person.set_read_timeout(Some(PATIENCE)).unwrap();
    writeln!(person, "{line}").unwrap();
    let mut answer = String::new();
    BufReader::new(person).read_line(&mut answer).unwrap();
    answer
}

#[tokio::test]
async fn a_game_is_launched_takes_people_at_their_own_connections_and_ends() {
    let house = House::new();
    let mut table = house.launch("wait");
    assert_eq!(
        table.said().await,
        FromGame::Log("launched minimal with 2 seats, saved game ''".into())
    );
    table.waits().await;
    table.logs("answered").await;
    for message in [
        sit("alice"),
        ToGame::Spectator {
            number: 7,
            name: Some("bob".into()),
        },
    ] {
        let (person, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap(); // as all of ours are
        table.link.tell(message.clone(), Some(theirs.into()));
        let name = if message == sit("alice") {
            "alice"
        } else {
            "bob"
        };
        let answer = tokio::task::spawn_blocking(move || converse(person, "hello"));
        assert_eq!(
            answer.await.unwrap(),
            format!("{name}, blocking True: hello\n")
        );
    }
    table.link.tell(
        ToGame::Reseat {
            from: 7,
            was_spectator: true,
            to: 1,
            is_spectator: false,
        },
        None,
    );
    assert_eq!(table.logs("reseat").await, " 7 1 1 0");
    table.link.end();
    assert!(matches!(table.end().await, End::Killed));
    assert_eq!(house.stage.tables(), 0);
}

#[tokio::test]
async fn what_it_reports_and_saves_is_told_before_it_is_done() {
    let house = House::new();
    let mut table = house.launch("wait play report save done exit");
    table.waits().await;
    loop {
        match table.said().await {
            FromGame::Report(scores) => {
                assert_eq!(scores[0].name.as_deref(), Some("alice"));
                assert_eq!(scores[1].name, None);
                assert_eq!(scores[1].result, Outcome::Loss);
                break;
            }
            _ => continue,
        }
    }
    table.says(&FromGame::Savegame("a.sav".into())).await;
    table.says(&FromGame::State(GameState::Done)).await;
    assert!(matches!(table.end().await, End::Done));
}

#[tokio::test]
async fn it_is_alone_with_its_link_its_user_and_its_folder() {
    let house = House::new();
    let mut table = house.launch_as("../Mini mal", "facts wait");
    let ids = table.logs("uid ").await;
    assert_eq!(table.logs("fds ").await, "[0, 1, 2, 3]");
    let folder = house.folder.path().join("state/tables/%2E.%2FMini mal");
    let path = folder.display();
    assert_eq!(table.logs("cwd ").await, format!("{path} home {path}"));
    assert_eq!(
        table.logs("env ").await,
        match root() {
            true => "['GGZMODE', 'GGZSOCKET', 'HOME', 'LANG', 'PATH']",
            // There is no user that all it forks could be known by.
            false => "['GGZMODE', 'GGZSOCKET', 'HOME', 'LANG', 'LONGHOUSE_TABLE', 'PATH']",
        }
    );
    let cgroup = table.logs("cgroup ").await;
    match Hierarchy::find() {
        Ok(_) => assert!(cgroup.ends_with("-table-0"), "{cgroup}"),
        Err(why) => eprintln!("SKIPPED: no cgroup folder to test with: {why}"),
    }
    if root() {
        let group = fs::metadata(&folder).unwrap().gid();
        let uid = house.first_uid;
        assert_eq!(ids, format!("{uid} gid {group} groups [] umask 0007"));
        assert_eq!(fs::metadata(&folder).unwrap().mode() & 0o7777, 0o2770);
    }
    table.link.end();
    table.end().await;
}

#[tokio::test]
async fn a_later_table_can_change_what_an_earlier_one_saved_and_another_game_cannot_see_it() {
    if !root() {
        assert!(std::env::var_os("CI").is_none(), "CI runs this as root");
        eprintln!("SKIPPED: only root can run each table as another user");
        return;
    }
    let house = House::new();
    let mut first = house.launch("wait save");
    first.says(&FromGame::Savegame("a.sav".into())).await;
    // The first one still has its user.
    let mut second = house.launch("wait save");
    second.says(&FromGame::Savegame("a.sav".into())).await;
    let mut other = house.launch_as("Other", "wait save");
    other.says(&FromGame::Savegame("a.sav".into())).await;
    let tables = house.folder.path().join("state/tables");
    let saved = fs::metadata(tables.join("Minimal/a.sav")).unwrap();
    let others = fs::metadata(tables.join("Other/a.sav")).unwrap();
    assert_eq!((saved.len(), others.len()), (12, 6));
    assert_eq!(saved.mode() & 0o777, 0o660);
    assert_ne!(saved.gid(), others.gid());
    assert_ne!(saved.uid(), others.uid());
    for mut table in [first, second, other] {
        table.link.end();
        table.end().await;
    }
}
