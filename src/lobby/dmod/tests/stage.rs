//! Real games on a real stage: `tests/games/minimal.py`, well behaved and otherwise.

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

#[tokio::test]
async fn every_way_to_fail_ends_the_table_with_its_reason() {
    let house = House::with(Patience {
        ready: PATIENCE,
        reading: PATIENCE,
        ending: Duration::from_millis(200),
    });
    type Check = fn(&End) -> bool;
    let all: [(&str, Check); 14] = [
        ("crash", |end| matches!(end, End::Crashed(Ended::Code(7)))),
        ("wait crash", |end| {
            matches!(end, End::Crashed(Ended::Code(7)))
        }),
        ("wait exit", |end| {
            matches!(end, End::Crashed(Ended::Code(0)))
        }),
        ("wait signal", |end| {
            matches!(end, End::Crashed(Ended::Signal(11)))
        }),
        ("wait hangup hang", |end| matches!(end, End::HungUp)),
        ("wait done hang", |end| matches!(end, End::Done)),
        ("wait done signal", |end| matches!(end, End::Done)),
        // There is no way back from the end.
        ("wait undone hang", |end| matches!(end, End::Done)),
        ("wait flood", |end| matches!(end, End::Flooded)),
        // Few enough for lines of a log, and too many for what is told to a room or written down.
        ("wait harangue hang", |end| matches!(end, End::Flooded)),
        ("wait fork flood", |end| matches!(end, End::Flooded)),
        ("wait unknown hang", |end| matches!(end, End::Nonsense(_))),
        ("wait huge hang", |end| matches!(end, End::Nonsense(_))),
        ("wait unknown exit", |end| matches!(end, End::Nonsense(_))),
    ];
    for (behaviour, check) in all {
        let mut table = house.launch(behaviour);
        let end = table.end().await;
        assert!(check(&end), "{behaviour}: {end:?}");
    }
    assert_eq!(house.stage.tables(), 0);
}

#[tokio::test]
async fn a_game_that_never_speaks_is_not_ready() {
    let house = House::with(Patience {
        ready: Duration::from_millis(100),
        ..Patience::default()
    });
    let end = house.launch("hang").end().await;
    assert!(matches!(end, End::NotReady), "{end:?}");
}

#[tokio::test]
async fn a_game_that_shuts_its_ears_is_deaf() {
    let house = House::with(Patience {
        reading: Duration::from_millis(200),
        ready: PATIENCE,
        ..Patience::default()
    });
    // The answer to its state does not reach it.
    let end = house.launch("deafen wait hang").end().await;
    assert!(matches!(end, End::Deaf), "{end:?}");
}

#[tokio::test]
async fn a_game_that_does_not_read_is_deaf_whether_the_queue_is_full_or_the_socket() {
    let house = House::new();
    let mut table = house.launch("wait hang");
    table.waits().await;
    // More than the socket and the queue hold together, without waiting in between.
    for _ in 0..10_000 {
        table.link.tell(ToGame::State, None);
    }
    assert!(matches!(table.end().await, End::Deaf));

    let house = House::with(Patience {
        reading: Duration::from_millis(200),
        ready: PATIENCE,
        ..Patience::default()
    });
    let mut table = house.launch("wait hang");
    table.waits().await;
    // Fewer than the queue holds, and larger than the socket does.
    let reserved = Seat {
        kind: SeatKind::Reserved,
        name: Some("x".repeat(250)),
    };
    let large = ToGame::Launch {
        game: String::new(),
        savegame: String::new(),
        seats: vec![reserved; 32],
        spectators: 0,
    };
    for _ in 0..200 {
        table.link.tell(large.clone(), None);
    }
    assert!(matches!(table.end().await, End::Deaf));
}

/// With so little patience, and a game that is slow to start.
fn impatient() -> House {
    House::with(Patience {
        reading: Duration::from_millis(200),
        ready: PATIENCE,
        ending: PATIENCE,
    })
}

#[tokio::test]
async fn a_game_that_stops_reading_is_deaf_as_soon_as_one_message_waits_too_long() {
    // It hangs before it reads the answer to its state.
    let house = impatient();
    let mut table = house.launch("wait hang");
    table.waits().await;
    assert!(matches!(table.end().await, End::Deaf));

    // It is stopped in the middle of a match, and somebody leaves.
    let mut table = house.launch("wait play");
    let pid = table.logs("pid ").await;
    table.logs("answered").await;
    table.logs("answered").await;
    let pid = Pid::from_raw(pid.parse().unwrap());
    kill(pid, Signal::SIGSTOP).unwrap();
    let seat = Seat {
        kind: SeatKind::Open,
        name: None,
    };
    table.link.tell(ToGame::Seat { number: 0, seat }, None);
    assert!(matches!(table.end().await, End::Deaf));
}

#[tokio::test]
async fn a_game_that_reads_slowly_and_goes_on_reading_is_no_worse_for_it() {
    let house = House::with(Patience {
        reading: Duration::from_secs(2),
        ready: PATIENCE,
        ending: PATIENCE,
    });
    let mut table = house.launch("wait drowsy");
    table.waits().await;
    // At a message each 50 ms that is twice our patience.
    for _ in 0..80 {
        table.link.tell(ToGame::State, None);
    }
    table.logs("awake").await;
    table.link.end();
    assert!(matches!(table.end().await, End::Killed));
}

#[tokio::test]
async fn what_a_game_says_when_it_is_told_to_end_is_heard() {
    let house = House::new();
    let mut table = house.launch("wait play testament");
    table.logs("written").await;
    table.link.end();
    let mut reports = 0;
    while reports < 40 {
        reports += u32::from(matches!(table.said().await, FromGame::Report(_)));
    }
    assert!(matches!(table.end().await, End::Killed));
}

#[tokio::test]
async fn one_that_ignores_the_signal_is_killed_and_so_is_one_whose_link_is_dropped() {
    let house = House::with(Patience {
        ready: PATIENCE,
        ending: Duration::from_millis(100),
        ..Patience::default()
    });
    let mut table = house.launch("stubborn wait");
    table.waits().await;
    table.link.end();
    assert!(matches!(table.end().await, End::Killed));

    let mut table = house.launch("wait");
    table.waits().await;
    drop(table.link);
    assert!(matches!(end_of(&mut table.heard).await, End::Killed));
}

#[tokio::test]
async fn nothing_is_left_of_a_game_that_forks() {
    let house = House::new();
    for behaviour in ["fork wait crash", "fork wait done exit"] {
        let mut table = house.launch(behaviour);
        let left = table.logs("left ").await;
        table.end().await;
        for pid in left.split(' ') {
            let process = PidFd::open(pid.parse().unwrap());
            assert!(
                process.is_err() || process.unwrap().ended_by(Instant::now()),
                "{left}"
            );
        }
    }
}

#[tokio::test]
async fn what_cannot_be_started_is_told_as_an_event() {
    let house = House::new();
    let mut game = house.game("Minimal");
    game.argv = vec!["no-such-file".into()];
    let end = house.run(game.clone(), &[]).end().await;
    let program = house.folder.path().join("no-such-file");
    assert_eq!(
        end.to_string(),
        format!(
            "the game cannot be started: cannot run {}: No such file or directory (os error 2)",
            program.display()
        )
    );
    game.argv.clear();
    let end = house.run(game.clone(), &[]).end().await;
    assert_eq!(
        end.to_string(),
        "the game cannot be started: no program was named"
    );
    game.argv = vec!["games/x".into()];
    game.folder = None;
    let end = house.run(game, &[]).end().await;
    assert_eq!(
        end.to_string(),
        "the game cannot be started: `games/x` is relative to no folder"
    );
    assert_eq!(house.stage.tables(), 0);
}

#[tokio::test]
async fn fifty_tables_run_at_once_and_there_is_an_end_to_it() {
    let house = House::new();
    let mut tables: Vec<Table> = (0..60).map(|_| house.launch("wait")).collect();
    for table in &mut tables {
        table.waits().await;
    }
    let end = house.launch("wait").end().await;
    assert_eq!(
        end.to_string(),
        "the game cannot be started: 60 tables are running already"
    );
    for table in &tables {
        table.link.end();
    }
    for table in &mut tables {
        assert!(matches!(table.end().await, End::Killed));
    }
    assert_eq!(house.stage.tables(), 0);
}

#[tokio::test]
async fn a_game_that_prints_a_lot_is_none_the_worse_for_it() {
    let house = House::new();
    let end = house.launch("wait noisy done exit").end().await;
    assert!(matches!(end, End::Done), "{end:?}");
}

#[tokio::test]
async fn longhouse_is_this_very_program() {
    let house = House::new();
    let mut game = house.game("Minimal");
    game.argv = vec!["longhouse".into()];
    // The program is this test's own, which tells its tests and is gone.
    let end = house.run(game, &["--list".into()]).end().await;
    assert!(matches!(end, End::Crashed(Ended::Code(0))), "{end:?}");
}
