//! The shipped table games as the lobby starts them: the real program, the real link, real connections.
//! Nothing sleeps: every wait is for a line, a word from the game, or the end of a process.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, TcpStream},
    os::{fd::AsFd as _, unix::net::UnixStream},
    path::Path,
    process::Command,
    time::Duration,
};

use longhouse::{
    lobby::{
        dmod::wire::{Framer, FromGame, GameState, Outcome, Score, ToGame},
        wire::terms::{Seat, SeatKind},
    },
    sandbox::{passing, spawn},
};
use nix::{
    sys::{
        signal::{Signal, kill},
        socket::{
            setsockopt,
            sockopt::{RcvBuf, SndBuf},
        },
        wait::{WaitStatus, waitpid},
    },
    unistd::Pid,
};
use serde_json::{Value, json};
use tempfile::TempDir;

const PROGRAM: &str = env!("CARGO_BIN_EXE_longhouse");
const PATIENCE: Duration = Duration::from_secs(120);
const GAMES: [&str; 5] = ["tictactoe", "connectfour", "reversi", "dots", "chess"];

fn seat(kind: SeatKind, name: Option<&str>) -> Seat {
    Seat {
        kind,
        name: name.map(Into::into),
    }
}

/// A game's program, and the lobby's end of its link.
struct Program {
    child: spawn::Child,
    link: UnixStream,
    words: Framer<FromGame>,
    heard: Vec<FromGame>,
    ended: bool,
}

impl Program {
    fn start(game: &str, folder: &Path) -> Self {
        let (link, channel) = UnixStream::pair().unwrap();
        link.set_read_timeout(Some(PATIENCE)).unwrap();
        let argv = [PROGRAM, "game", game, "--strength", "easy"].map(String::from);
        let child = spawn::spawn(&spawn::Launch {
            argv: &argv,
            env: &[
                ("GGZMODE".into(), "true".into()),
                ("GGZSOCKET".into(), "3".into()),
            ],
            cwd: folder,
            user: None,
            guise: None,
            cgroup: None,
            rlimits: &[],
            channel: Some(channel.as_fd()),
            umask: 0o077,
        })
        .unwrap();
        Self {
            child,
            link,
            words: Framer::default(),
            heard: Vec::new(),
            ended: false,
        }
    }

    fn launch(game: &str, folder: &Path, seats: Vec<Seat>, savegame: &str) -> Self {
        let mut program = Self::start(game, folder);
        program.order(&ToGame::Launch {
            game: game.into(),
            savegame: savegame.into(),
            seats,
            spectators: 0,
        });
        program
    }

    /// A table whose seats are all open, and that waits for players.
    fn open(game: &str, folder: &Path) -> Self {
        let seats = vec![seat(SeatKind::Open, None); 2];
        let mut program = Self::launch(game, folder, seats, "");
        assert_eq!(program.state(), GameState::Waiting);
        program
    }

    fn order(&mut self, order: &ToGame) {
        let mut bytes = Vec::new();
        order.encode(&mut bytes);
        self.link.write_all(&bytes).unwrap();
    }

    /// The next word; none when the link has ended.
    fn word(&mut self) -> Option<FromGame> {
        loop {
            if let Some(word) = self.words.next().unwrap() {
                self.heard.push(word.clone());
                return Some(word);
            }
            let mut bytes = [0; 512];
            match self.link.read(&mut bytes) {
                Ok(0) => return None,
                Ok(count) => self.words.push(&bytes[..count]),
                Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// The next state; it is answered as the original does.
    fn state(&mut self) -> GameState {
        loop {
            if let FromGame::State(state) = self.word().unwrap() {
                let mut answer = Vec::new();
                ToGame::State.encode(&mut answer);
                self.link.write_all(&answer).ok(); // it may be done and gone by now
                return state;
            }
        }
    }

    fn report(&mut self) -> Vec<Score> {
        loop {
            if let FromGame::Report(scores) = self.word().unwrap() {
                return scores;
            }
        }
    }

    fn sit(&mut self, number: u32, name: &str) -> Client {
        let (client, passed) = pair();
        self.order(&ToGame::Seat {
            number,
            seat: seat(SeatKind::Player, Some(name)),
        });
        passing::send(self.link.as_fd(), 0, passed.as_fd()).unwrap();
        client
    }

    fn watch(&mut self, number: u32, name: &str) -> Client {
        let (client, passed) = pair();
        let name = Some(name.into());
        self.order(&ToGame::Spectator { number, name });
        passing::send(self.link.as_fd(), 0, passed.as_fd()).unwrap();
        client
    }

    /// Somebody whose connection holds very little.
    fn watch_small(&mut self, number: u32, name: &str) -> Client {
        let (client, passed) = pair();
        setsockopt(client.0.get_ref(), RcvBuf, &4096).unwrap();
        setsockopt(&passed, SndBuf, &4096).unwrap();
        let name = Some(name.into());
        self.order(&ToGame::Spectator { number, name });
        passing::send(self.link.as_fd(), 0, passed.as_fd()).unwrap();
        client
    }

    fn set(&mut self, number: u32, kind: SeatKind, name: Option<&str>) {
        let seat = seat(kind, name);
        self.order(&ToGame::Seat { number, seat });
    }

    fn wait(&mut self) -> WaitStatus {
        self.ended = true;
        waitpid(Pid::from_raw(self.child.pid as i32), None).unwrap()
    }

    /// Ends it as a lobby that dies does.
    fn hang_up(mut self) {
        self.link.shutdown(std::net::Shutdown::Both).unwrap();
        assert!(matches!(self.wait(), WaitStatus::Exited(_, 0)));
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if !self.ended {
            let pid = Pid::from_raw(self.child.pid as i32);
            kill(pid, Signal::SIGKILL).ok();
            waitpid(pid, None).ok();
        }
    }
}

fn pair() -> (Client, TcpStream) {
    let door = TcpListener::bind("127.0.0.1:0").unwrap();
    let client = TcpStream::connect(door.local_addr().unwrap()).unwrap();
    let (passed, _) = door.accept().unwrap();
    // As a lobby that does not block leaves it.
    passed.set_nonblocking(true).unwrap();
    client.set_read_timeout(Some(PATIENCE)).unwrap();
    (Client(BufReader::new(client)), passed)
}

/// A player's program.
struct Client(BufReader<TcpStream>);

impl Client {
    fn say(&mut self, value: &Value) {
        self.raw(format!("{value}\n").as_bytes());
    }

    fn raw(&mut self, bytes: &[u8]) {
        self.0.get_mut().write_all(bytes).unwrap();
    }

    fn next(&mut self) -> Option<Value> {
        let mut line = String::new();
        match self.0.read_line(&mut line) {
            Ok(0) | Err(_) => None,
            Ok(_) => Some(serde_json::from_str(&line).unwrap()),
        }
    }

    fn until(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let value = self.next().expect("the table goes on");
            if holds(&value) {
                return value;
            }
        }
    }

    fn error(&mut self) -> String {
        let value = self.until(|value| value.get("error").is_some());
        value["error"].as_str().unwrap().into()
    }
}

fn playing(value: &Value) -> bool {
    value["status"] == "playing"
}

/// A move for whose turn it is: of chess a short game, of the others some legal move.
fn some_move(state: &Value, number: usize) -> String {
    const MATE: [&str; 4] = ["f2f3", "e7e5", "g2g4", "d8h4"];
    if state["game"] == "chess" && number < MATE.len() {
        return MATE[number].into();
    }
    let moves = state["moves"].as_array().unwrap();
    moves[number * 7 % moves.len()].as_str().unwrap().into()
}

#[test]
fn who_cannot_watch_any_more_is_told_so_and_the_lobby_is_to_send_them_away() {
    let folder = TempDir::new().unwrap();
    let mut table = Program::open("tictactoe", folder.path());
    let mut crowd: Vec<Client> = (0..32)
        .map(|number| table.watch(number, &format!("eve{number}")))
        .collect();
    for client in &mut crowd {
        client.until(|state| state["spectators"].as_array().unwrap().len() == 32);
    }
    let mut late = table.watch(32, "late");
    assert_eq!(late.error(), "32 people are watching already");
    assert!(late.next().is_none());
    let booted = loop {
        if let FromGame::Boot(name) = table.word().unwrap() {
            break name;
        }
    };
    assert_eq!(booted, "late");
    // And it is played.
    let mut clients = [table.sit(0, "ada"), table.sit(1, "bob")];
    for client in &mut clients {
        client.until(playing);
    }
    table.hang_up();
}

#[test]
fn two_people_play_a_whole_game_of_each_and_one_drops_and_comes_back() {
    for game in GAMES {
        let folder = TempDir::new().unwrap();
        let mut table = Program::open(game, folder.path());
        let mut clients = [table.sit(0, "ada"), table.sit(1, "bob")];
        assert_eq!(table.state(), GameState::Playing);
        let mut number = 0;
        let over = loop {
            let state =
                clients[0].until(|state| !state["turn"].is_null() || state["status"] == "over");
            let same =
                clients[1].until(|state| !state["turn"].is_null() || state["status"] == "over");
            assert_eq!(state["position"], same["position"]);
            if state["status"] == "over" {
                break state;
            }
            let turn = state["turn"].as_u64().unwrap() as usize;
            let mv = some_move(&state, number);
            clients[turn].say(&json!({ "move": mv }));
            number += 1;
            if number == 3 {
                for client in &mut clients {
                    client.until(|state| state["last"] == mv.as_str());
                }
                // Their connection ends; the lobby tells; they come back with another one.
                clients[1] = {
                    table.set(1, SeatKind::Abandoned, Some("bob"));
                    assert_eq!(clients[1].next(), None);
                    let away = clients[0].next().unwrap();
                    assert_eq!(
                        (&away["seats"][1]["kind"], &away["seats"][1]["present"]),
                        (&json!("abandoned"), &json!(false))
                    );
                    table.sit(1, "bob")
                };
                let mut spectator = table.watch(0, "eve");
                let seen = spectator.next().unwrap();
                assert_eq!(
                    (&seen["you"], &seen["last"], &seen["protocol"]),
                    (&Value::Null, &json!(mv), &json!(1))
                );
                assert!(!seen["board"].as_array().unwrap().is_empty());
                let back = clients[1].next().unwrap();
                assert_eq!((&back["you"], &back["last"]), (&json!(1), &json!(mv)));
                assert_eq!(back["position"], seen["position"]);
                assert_eq!(
                    clients[0].until(|state| state["spectators"] == json!(["eve"]))["last"],
                    mv.as_str()
                );
                clients[1].until(|state| state["spectators"] == json!(["eve"]));
                // A last one that shows everything, and wakes the loop.
                table.order(&ToGame::Spectator {
                    number: 0,
                    name: None,
                });
            }
        };
        assert!(over["reason"].is_string(), "{over}");
        let report = table.report();
        assert_eq!(table.state(), GameState::Waiting);
        let names: Vec<_> = report
            .iter()
            .map(|score| score.name.as_deref().unwrap())
            .collect();
        assert_eq!(names, ["ada", "bob"], "{game}");
        let told: Vec<_> = over["result"]
            .as_array()
            .unwrap()
            .iter()
            .map(|finish| finish["outcome"].clone())
            .collect();
        let reported: Vec<_> = report
            .iter()
            .map(|score| serde_json::to_value(score.result).unwrap())
            .collect();
        assert_eq!(told, reported);
        for client in &mut clients {
            client.say(&json!({ "again": true }));
        }
        assert_eq!(table.state(), GameState::Playing);
        let next = clients[0].until(playing);
        assert_eq!(
            (&next["round"], &next["turn"]),
            (&json!(2), &json!(1)),
            "the other one begins"
        );
        table.hang_up();
    }
}

#[test]
fn everybody_can_play_each_game_against_the_computer() {
    for game in GAMES {
        let folder = TempDir::new().unwrap();
        let seats = vec![
            seat(SeatKind::Open, None),
            seat(SeatKind::Bot, Some("easy")),
        ];
        let mut table = Program::launch(game, folder.path(), seats, "");
        let mut ada = table.sit(0, "ada");
        for number in 0.. {
            let state = ada.until(|state| state["turn"] == 0 || state["status"] == "over");
            if state["status"] == "over" {
                break;
            }
            assert_eq!(state["seats"][1]["strength"], "easy");
            if number == 40 {
                ada.say(&json!({ "resign": true }));
            } else {
                let moves = state["moves"].as_array().unwrap();
                ada.say(&json!({ "move": moves[number * 5 % moves.len()] }));
            }
        }
        let report = table.report();
        assert_eq!(report[0].seat, SeatKind::Player, "{game}");
        assert_eq!(report[1].seat, SeatKind::Bot, "{game}");
        assert_eq!(
            table
                .heard
                .iter()
                .filter(|word| matches!(word, FromGame::Report(_)))
                .count(),
            1
        );
    }
}

#[test]
fn hostile_lines_hurt_nobody() {
    let folder = TempDir::new().unwrap();
    let mut table = Program::open("tictactoe", folder.path());
    let (mut ada, mut bob) = (table.sit(0, "ada"), table.sit(1, "bob"));
    ada.until(playing);
    bob.until(playing);
    for (line, words) in [
        (&b"not json\n"[..], "not understood"),
        (b"{\"move\":17}\n", "invalid type"),
        (b"{\"move\":\"b2\"}\n", "not your turn"),
        (b"{\"sudo\":true}\n", "unknown variant"),
        (b"\xff\xfe\x00\n", "not understood"),
        (b"\"move\"\n", "not understood"),
        (b"{\"again\":true}\n", "not over"),
    ] {
        bob.raw(line);
        let error = bob.error();
        assert!(error.contains(words), "{error}");
    }
    let mut eve = table.watch(0, "eve");
    eve.until(playing);
    eve.say(&json!({ "move": "b2" }));
    assert!(eve.error().contains("watching"));
    // A line without end costs only who sends it.
    eve.raw(&vec![b'['; 5000]);
    assert!(eve.error().contains("4096"));
    assert_eq!(eve.next(), None);
    // So does talking without a pause.
    let mut mallory = table.watch(1, "mallory");
    mallory.until(playing);
    mallory.raw(&b"{}\n".repeat(200));
    while mallory.next().is_some() {}
    ada.say(&json!({ "move": "b2" }));
    assert_eq!(bob.until(|state| state["last"] == "b2")["turn"], 1);
}

#[test]
fn who_does_not_read_is_dropped_and_the_table_goes_on() {
    let folder = TempDir::new().unwrap();
    let mut table = Program::open("tictactoe", folder.path());
    let (mut ada, mut bob) = (table.sit(0, "ada"), table.sit(1, "bob"));
    let deaf = table.watch_small(0, "deaf");
    ada.until(|state| state["spectators"] == json!(["deaf"]));
    // Every coming and going is news for everybody; the deaf one's buffers fill.
    for _ in 0..10_000 {
        let _flicker = table.watch(1, "flicker");
        ada.next().unwrap();
        bob.next().unwrap();
        table.order(&ToGame::Spectator {
            number: 1,
            name: None,
        });
        bob.next().unwrap();
        let state = ada.next().unwrap();
        if state["spectators"] == json!([]) || state["spectators"] == json!(["flicker"]) {
            drop(deaf);
            return;
        }
    }
    panic!("nobody was dropped");
}

#[test]
fn a_match_outlives_its_table_in_a_file() {
    let folder = TempDir::new().unwrap();
    let mut table = Program::open("chess", folder.path());
    let (mut ada, mut bob) = (table.sit(0, "ada"), table.sit(1, "bob"));
    ada.until(playing);
    ada.say(&json!({ "move": "e4" }));
    bob.until(|state| state["last"] == "e2e4");
    let file = loop {
        if let FromGame::Savegame(name) = table.word().unwrap() {
            break name;
        }
    };
    assert!(folder.path().join(&file).is_file());
    table.hang_up();
    let reserved = ["ada", "bob"]
        .map(|name| seat(SeatKind::Reserved, Some(name)))
        .to_vec();
    let mut table = Program::launch("chess", folder.path(), reserved.clone(), &file);
    let (mut bob, mut ada) = (table.sit(1, "bob"), table.sit(0, "ada"));
    let state = bob.until(playing);
    assert_eq!(
        (&state["last"], &state["turn"]),
        (&json!("e2e4"), &json!(1))
    );
    bob.say(&json!({ "resign": true }));
    ada.until(|state| state["status"] == "over");
    let report = table.report();
    assert_eq!(
        (report[0].result, report[1].result),
        (Outcome::Win, Outcome::Loss)
    );
    assert_eq!(table.state(), GameState::Waiting);
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    table.hang_up();
    for hostile in ["../up.json", "/etc/passwd", "gone.json"] {
        let mut table = Program::launch("chess", folder.path(), reserved.clone(), hostile);
        let word = table.word().unwrap();
        assert!(
            matches!(&word, FromGame::Log(line) if line.contains("saved game")),
            "{word:?}"
        );
        assert_eq!(table.word(), None);
        assert!(matches!(table.wait(), WaitStatus::Exited(_, 1)));
    }
}

#[test]
fn a_table_of_bots_plays_reports_and_is_done() {
    let folder = TempDir::new().unwrap();
    let mut table = Program::launch(
        "tictactoe",
        folder.path(),
        vec![seat(SeatKind::Bot, None); 2],
        "",
    );
    let states = [table.state(), table.state()];
    assert_eq!(states, [GameState::Waiting, GameState::Playing]);
    assert_eq!(table.report().len(), 2);
    assert_eq!(table.state(), GameState::Done);
    assert!(matches!(table.wait(), WaitStatus::Exited(_, 0)));
}

#[test]
fn an_interrupt_ends_it_at_once_and_nonsense_on_the_link_ends_it_with_a_reason() {
    let folder = TempDir::new().unwrap();
    let mut table = Program::open("chess", folder.path());
    kill(Pid::from_raw(table.child.pid as i32), Signal::SIGINT).unwrap();
    assert!(matches!(
        table.wait(),
        WaitStatus::Signaled(_, Signal::SIGINT, _)
    ));
    for nonsense in [&[0, 0, 0, 99][..], &[0, 0, 0, 0, 0x7f, 0xff, 0xff, 0xff]] {
        let mut table = Program::start("dots", folder.path());
        table.link.write_all(nonsense).unwrap();
        assert!(matches!(table.word(), Some(FromGame::Log(_))));
        assert!(matches!(table.wait(), WaitStatus::Exited(_, 1)));
    }
}

#[test]
fn by_hand_it_says_what_it_is_for() {
    let run = |arguments: &[&str], mode: Option<&str>| {
        let mut command = Command::new(PROGRAM);
        command
            .args(arguments)
            .env_remove("GGZMODE")
            .env_remove("GGZSOCKET");
        command.envs(mode.map(|mode| ("GGZMODE", mode)));
        let output = command.output().unwrap();
        (
            output.status.code(),
            String::from_utf8(output.stderr).unwrap(),
        )
    };
    for mode in [None, Some("TRUE"), Some("1")] {
        let (code, told) = run(&["game", "chess"], mode);
        assert_eq!(code, Some(2));
        assert!(
            told.contains("started by the lobby") && told.contains("hint:"),
            "{told}"
        );
    }
    let (code, told) = run(&["game", "chess", "--strength", "godlike"], Some("true"));
    assert_eq!(code, Some(2));
    assert!(told.contains("easy, medium or hard"), "{told}");
    let (code, told) = run(&["game", "halma"], Some("true"));
    assert_eq!(code, Some(2));
    assert!(told.contains("halma"), "{told}");
}
