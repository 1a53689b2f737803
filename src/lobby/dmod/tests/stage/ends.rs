//! How games end, and how they are made to.

use super::*;

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
