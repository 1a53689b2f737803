//! `longhouse play` as people use it: the real binary against the real daemon, played through pipes.
//! Nothing sleeps: every wait is for something that a player is shown.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod common;

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, mpsc},
    thread,
};

use nix::pty::openpty;
use serde_json::Value;

use common::{House, LONGHOUSE, PATIENCE, installed};

/// One `longhouse play`, with its two outputs as one.
struct Player {
    child: Child,
    typed: Option<File>,
    lines: mpsc::Receiver<String>,
    shown: String,
}

impl Player {
    fn start(house: &House, line: &str) -> Self {
        let mut child = Self::command(house, line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        forward(stdout, told.clone());
        forward(stderr, told);
        let typed = OwnedFd::from(child.stdin.take().unwrap());
        Self {
            typed: Some(typed.into()),
            child,
            lines,
            shown: String::new(),
        }
    }

    /// The same at a terminal.
    fn at_terminal(house: &House, line: &str) -> Self {
        let pty = openpty(None, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Self::command(house, line);
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.env("TERM", "xterm").spawn().unwrap();
        let typed = File::from(pty.master);
        let (told, lines) = mpsc::channel();
        forward(typed.try_clone().unwrap(), told);
        Self {
            child,
            typed: Some(typed),
            lines,
            shown: String::new(),
        }
    }

    fn command(house: &House, line: &str) -> Command {
        let mut command = Command::new(LONGHOUSE);
        command
            .arg("--state")
            .arg(house.state())
            .arg("play")
            .args(line.split_whitespace())
            .env("USER", "eve")
            .env("XDG_STATE_HOME", house.state().join("of-players"));
        command
    }

    fn types(&mut self, line: &str) {
        let typed = self.typed.as_mut().unwrap();
        writeln!(typed, "{line}").unwrap();
    }

    /// The next line; none at the end.
    fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.shown += &format!("{line}\n");
                Some(line)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing more after\n{}", self.shown),
        }
    }

    /// Waits for a line that has this in it.
    fn sees(&mut self, part: &str) -> String {
        loop {
            let Some(line) = self.line() else {
                panic!("it ended without {part:?}:\n{}", self.shown);
            };
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The next state for which this holds, with `--json`.
    fn state(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let Some(line) = self.line() else {
                panic!("it ended:\n{}", self.shown);
            };
            match serde_json::from_str::<Value>(&line) {
                Ok(state) if state.get("position").is_some() && holds(&state) => return state,
                _ => {}
            }
        }
    }

    /// Which table they sit at.
    fn table(&mut self) -> String {
        let line = self.sees("at table ");
        let number = line.split("at table ").nth(1).unwrap();
        number.split(';').next().unwrap().into()
    }

    /// The end of input, and what it ends with.
    fn ends(&mut self) -> i32 {
        drop(self.typed.take());
        while self.line().is_some() {}
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn forward(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}

/// Two people at a new table.
fn two(house: &House, game: &str, more: &str) -> ([Player; 2], String) {
    let mut ada = Player::start(house, &format!("{game} --against person --as ada-l {more}"));
    let table = ada.table();
    let bob = Player::start(house, &format!("{game} --table {table} --as bob {more}"));
    ([ada, bob], table)
}

fn over(state: &Value) -> bool {
    state["status"] == "over"
}

/// Somebody's turn, or the end.
fn settled(state: &Value) -> bool {
    state["status"] == "playing" || over(state)
}

/// Some legal move.
fn some_move(state: &Value, number: usize) -> String {
    let moves = state["moves"].as_array().unwrap();
    moves[number * 7 % moves.len()].as_str().unwrap().into()
}

#[tokio::test(flavor = "multi_thread")]
async fn two_people_play_a_whole_game_of_each_kind() {
    let house = House::open().await;
    for game in ["tictactoe", "connectfour", "reversi", "dots"] {
        let (mut players, _) = two(&house, game, "--json");
        let mut seen = players.each_mut().map(|player| player.state(settled));
        let mut number = 0;
        while !over(&seen[0]) {
            assert_eq!(seen[0]["position"], seen[1]["position"], "{game}");
            let turn = seen[0]["turn"].as_u64().unwrap() as usize;
            let before = seen[0]["position"].clone();
            players[turn].types(&some_move(&seen[0], number));
            number += 1;
            seen = players
                .each_mut()
                .map(|player| player.state(|state| state["position"] != before || over(state)));
        }
        assert!(seen[0]["reason"].is_string(), "{game}");
        assert_eq!(seen[0]["result"], seen[1]["result"], "{game}");
        assert_eq!(players.each_mut().map(Player::ends), [0, 0], "{game}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fools_mate_is_shown_to_both_and_to_who_watches_and_is_played_again() {
    let house = House::open().await;
    let ([mut ada, mut bob], table) = two(&house, "chess", "");
    bob.sees("1  R N B Q K B N R");
    bob.sees("ada-l's turn (white)");
    ada.sees("bob sits down");
    ada.sees("your turn (white)");
    let mut eve = Player::start(&house, &format!("chess --watch {table}"));
    eve.sees("ada-l (white), bob (black)");
    ada.sees("eve watches");
    ada.types("e2e5");
    assert!(ada.sees("no: ").contains("not a legal move"));
    ada.types("f2f3");
    bob.sees("last move: f2f3");
    bob.sees("your turn (black)");
    bob.types("/say hello, all");
    for player in [&mut ada, &mut bob, &mut eve] {
        player.sees("<bob> hello, all");
    }
    bob.types("/draw");
    ada.sees("bob offers a draw");
    ada.types("/draw decline");
    bob.sees("the draw is declined");
    // What a script types too early waits for its turn.
    bob.types("e7e5");
    bob.types("d8h4");
    ada.sees("last move: e7e5");
    ada.types("g2g4");
    ada.sees("you have lost: checkmate");
    bob.sees("you have won: checkmate");
    eve.sees("bob has won: checkmate");
    assert_eq!(eve.ends(), 0);
    ada.sees("eve watches no more");
    ada.types("/again");
    bob.sees("ada-l wants another match: /again");
    bob.types("/again");
    bob.sees("match 2: ada-l (black), you (white)");
    bob.sees("your turn (white)");
    bob.types("/who");
    bob.sees("seat 0: ada-l (black)");
    bob.sees("seat 1: you (white)");
    bob.types("/moves");
    bob.sees("e2e4");
    bob.types("/resign");
    ada.sees("you have won: ");
    ada.types("/quit");
    bob.sees("ada-l has left");
    assert_eq!((ada.ends(), bob.ends()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_computer_plays_at_each_of_its_strengths() {
    let house = House::open().await;
    for strength in ["easy", "medium", "hard"] {
        let line = format!("tictactoe --against {strength} --json");
        let mut eve = Player::start(&house, &line);
        let mut number = 0;
        let own = |state: &Value| {
            over(state) || !state["turn"].is_null() && state["turn"] == state["you"]
        };
        let mut state = eve.state(own);
        assert_eq!(state["seats"][1]["strength"], strength);
        while !over(&state) {
            let before = state["position"].clone();
            eve.types(&some_move(&state, number));
            number += 1;
            state = eve.state(|state| own(state) && state["position"] != before);
        }
        assert_eq!(eve.ends(), 0);
    }
    for game in ["connectfour", "reversi", "dots", "chess"] {
        let mut eve = Player::start(&house, &format!("{game} --against hard --json"));
        let state = eve.state(|state| state["turn"] == 0);
        let before = state["position"].clone();
        eve.types(&some_move(&state, 0));
        eve.state(|state| state["turn"] == 0 && state["position"] != before);
        eve.types("/resign");
        let end = eve.state(over);
        assert_eq!(end["result"][0]["outcome"], "loss");
        assert_eq!(eve.ends(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_killed_comes_back_to_their_seat() {
    let house = House::open().await;
    let ([mut ada, mut bob], table) = two(&house, "tictactoe", "");
    ada.sees("your turn");
    ada.types("a1");
    bob.sees("your turn");
    bob.types("b2");
    ada.sees("last move: b2");
    bob.child.kill().unwrap(); // SIGKILL
    ada.sees("bob is away, and the seat is kept");
    let mut bob = Player::start(&house, &format!("tictactoe --table {table} --as bob"));
    bob.sees("ada-l (X), you (O)");
    bob.sees("last move: b2");
    ada.sees("bob is back");
    for (x, o) in [("a2", "c3"), ("a3", "")] {
        ada.types(x);
        if !o.is_empty() {
            bob.sees(&format!("last move: {x}"));
            bob.types(o);
            ada.sees(&format!("last move: {o}"));
        }
    }
    ada.sees("you have won: ");
    bob.sees("you have lost: ");
    assert_eq!((ada.ends(), bob.ends()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn at_a_terminal_ctrl_c_leaves_a_match_that_waits() {
    let house = House::open().await;
    let mut eve = Player::at_terminal(&house, "connectfour --against easy");
    eve.sees("your turn (X)");
    let mut mia = Player::start(&house, "connectfour --as mia --watch 1");
    eve.sees("mia watches");
    eve.types("help");
    eve.sees("/resign    give up");
    eve.types("4");
    eve.sees("your turn (X)");
    eve.typed.as_mut().unwrap().write_all(b"\x03").unwrap(); // Ctrl-C
    eve.sees("waits for you: `longhouse play connectfour --as eve --table 1`");
    assert_eq!(eve.child.wait().unwrap().code(), Some(0));
    mia.sees("eve is away, and the seat is kept");
    let mut other = Player::start(&house, "connectfour --as eve");
    other.sees("a seat is kept for you at table 1: ");
    other.types("/quit");
    assert_eq!(other.ends(), 0);
    let mut eve = Player::start(&house, "connectfour --as eve --table 1");
    eve.sees("match 1: you (X), ");
    eve.types("7");
    eve.sees("last move: 7");
    eve.types("/resign");
    mia.sees("has won: ");
    assert_eq!((eve.ends(), mia.ends()), (0, 0));
}

/// A line between two machines that can be cut and tapped.
struct Wire {
    address: String,
    lobby: Arc<Mutex<String>>,
    ends: Arc<Mutex<Vec<TcpStream>>>,
    heard: Arc<Mutex<Vec<u8>>>,
}

impl Wire {
    fn to(house: &House) -> Self {
        let door = TcpListener::bind("127.0.0.1:0").unwrap();
        let wire = Self {
            address: door.local_addr().unwrap().to_string(),
            lobby: Arc::default(),
            ends: Arc::default(),
            heard: Arc::default(),
        };
        wire.leads_to(house);
        let (lobby, ends) = (wire.lobby.clone(), wire.ends.clone());
        let heard = wire.heard.clone();
        thread::spawn(move || {
            for near in door.incoming().map_while(Result::ok) {
                let Ok(far) = TcpStream::connect(&*lobby.lock().unwrap()) else {
                    continue; // nobody answers there
                };
                let copies = [near.try_clone().unwrap(), far.try_clone().unwrap()];
                for (from, to) in [
                    (near.try_clone().unwrap(), far.try_clone().unwrap()),
                    (far, near),
                ] {
                    let heard = heard.clone();
                    thread::spawn(move || carry(from, to, &heard));
                }
                ends.lock().unwrap().extend(copies);
            }
        });
        wire
    }

    fn leads_to(&self, house: &House) {
        let lobby = house.endpoints["lobby.listen"].clone();
        *self.lobby.lock().unwrap() = lobby;
    }

    fn cut(&self) {
        for end in self.ends.lock().unwrap().drain(..) {
            end.shutdown(Shutdown::Both).ok();
        }
    }

    /// Whether this went over the wire.
    fn heard(&self, words: &str) -> bool {
        let heard = self.heard.lock().unwrap();
        heard
            .windows(words.len())
            .any(|part| part == words.as_bytes())
    }
}

/// Carries bytes one way, and keeps them.
fn carry(mut from: TcpStream, mut to: TcpStream, heard: &Mutex<Vec<u8>>) {
    let mut bytes = [0; 4096];
    while let Ok(count @ 1..) = from.read(&mut bytes) {
        heard.lock().unwrap().extend(&bytes[..count]);
        if to.write_all(&bytes[..count]).is_err() {
            break;
        }
    }
    to.shutdown(Shutdown::Both).ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broken_line_is_mended_and_the_match_goes_on() {
    let house = House::open().await;
    let wire = Wire::to(&house);
    let mut eve = Player::start(
        &house,
        &format!("connectfour --against easy --server {}", wire.address),
    );
    eve.sees("your turn");
    eve.types("1");
    eve.sees("your turn");
    wire.cut();
    eve.sees("coming back to table");
    eve.sees("back at table");
    eve.sees("last move: ");
    eve.sees("your turn");
    eve.types("7");
    eve.sees("last move: 7");
    eve.types("/resign");
    eve.sees("you have lost");
    assert_eq!(eve.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_match_goes_on_by_itself_after_the_daemon_was_killed_and_after_it_was_restarted() {
    let mut house = House::open().await;
    let wire = Wire::to(&house);
    let far = format!("--server {} --json", wire.address);
    // Nobody has moved there, so nothing of it is kept: afterwards the match has another number.
    let mut first = Player::start(&house, "dots --against person");
    assert_eq!(first.table(), "1");
    let ([mut ada, mut bob], table) = two(&house, "dots", &far);
    assert_eq!(table, "2");
    ada.state(|state| state["turn"] == 0);
    ada.types("a1a2");
    bob.state(|state| state["last"] == "a1a2");
    bob.types("c3d3");
    let before = ada.state(|state| state["last"] == "c3d3");
    bob.state(|state| state["last"] == "c3d3");
    house.person("later", "player").await; // what is kept after it is kept by then

    let all_here = |state: &Value| {
        let seats = state["seats"].as_array().unwrap();
        state["status"] == "playing" && seats.iter().all(|seat| seat["present"] == true)
    };
    for (table, killed) in [("2", true), ("1", false)] {
        match killed {
            true => house.kill(),
            false => assert!(house.stop()),
        }
        ada.sees(&format!("coming back to table {table}"));
        bob.sees(&format!("coming back to table {table}"));
        house.start();
        wire.leads_to(&house);
        for (seat, player) in [&mut ada, &mut bob].into_iter().enumerate() {
            let after = player.state(all_here);
            assert_eq!(after["you"], seat);
            for field in ["position", "turn", "last", "round"] {
                assert_eq!(after[field], before[field], "{field}");
            }
        }
    }
    ada.types("f5f6");
    bob.state(|state| state["last"] == "f5f6");
    ada.types("/resign");
    bob.state(over);
    for mut player in [ada, bob] {
        assert_eq!(player.ends(), 0);
        assert!(player.shown.contains("back at table 1"), "{}", player.shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_is_said_only_to_the_box_that_it_is_known_to_be_and_to_nobody_on_the_way() {
    let house = House::open().await;
    let wire = Wire::to(&house);
    let line = format!(
        "dots --as ada --password-stdin --against person --server {}",
        wire.address
    );
    let login = |house: &House, line: &str| {
        let mut ada = Player::start(house, line);
        ada.types("correct horse");
        ada
    };
    let mut ada = login(&house, &line);
    ada.sees("new here: the lobby at 127.0.0.1:");
    ada.sees("you are ada, at table");
    ada.types("/quit");
    assert_eq!(ada.ends(), 0);
    let mut ada = login(&house, &line);
    ada.sees("you are ada, at table");
    ada.types("/quit");
    assert_eq!(ada.ends(), 0);
    assert!(!ada.shown.contains("new here"), "{}", ada.shown);
    assert!(wire.heard("<TLS_START/>") && wire.heard("<CHANNEL ID='ada'"));

    let other = House::open_with(&["lobby.tls=false".into()]).await;
    let third = House::open().await;
    wire.leads_to(&other);
    let mut ada = login(&house, &line);
    assert_eq!(ada.ends(), 1);
    assert!(
        ada.shown.contains("offers no TLS") && ada.shown.contains("hint: --plain"),
        "{}",
        ada.shown
    );
    wire.leads_to(&third);
    let mut ada = login(&house, &line);
    assert_eq!(ada.ends(), 1);
    let file = house.state().join("of-players/longhouse/play/lobbies");
    for part in [
        "is not who it was",
        "delete the line",
        file.to_str().unwrap(),
    ] {
        assert!(ada.shown.contains(part), "{part}: {}", ada.shown);
    }
    assert!(!wire.heard("<LOGIN") && !wire.heard("correct horse"));

    std::fs::remove_file(file).unwrap();
    let mut ada = login(&house, &line);
    ada.sees("new here: ");
    ada.sees("you are ada, at table");
    // What the wire hears when nothing is covered.
    wire.leads_to(&other);
    let mut plain = login(&house, &format!("{line} --plain"));
    plain.sees("you are ada, at table");
    assert!(wire.heard("<PASSWORD>correct horse</PASSWORD>"));
    for mut player in [ada, plain] {
        player.types("/quit");
        assert_eq!(player.ends(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_is_told_with_a_hint() {
    let house = House::open().await;
    let refused = |line: &str, typed: &str| {
        let mut player = Player::start(&house, line);
        player
            .typed
            .as_mut()
            .unwrap()
            .write_all(typed.as_bytes())
            .ok(); // it may not read that far
        (player.ends(), std::mem::take(&mut player.shown))
    };
    for (line, typed, words, hint) in [
        ("go", "", "no game `go`", "`longhouse play` lists"),
        (
            "chess --table 99",
            "",
            "no table 99",
            "`longhouse play` lists",
        ),
        (
            "chess --watch 99",
            "",
            "no table 99",
            "`longhouse play` lists",
        ),
        (
            "chess --room 0",
            "",
            "not played in room 0",
            "leave --room out",
        ),
        ("chess --as ada", "", "wrong login type", "--password-stdin"),
        (
            "chess --as ada --password-stdin",
            "wrong\n",
            "usr lookup",
            "password",
        ),
        (
            "chess --as nobody --password-stdin",
            "x\n",
            "user not found",
            "guest",
        ),
        ("chess --as ada-the-very-longest", "", "too long", "1 to 16"),
        (
            "chess",
            "e2e4\n",
            "the input ended, and it is your turn",
            "--table",
        ),
    ] {
        let (code, shown) = refused(line, typed);
        assert_eq!(code, 1, "{line}: {shown}");
        let told = shown.contains("error: ") && shown.contains(words);
        assert!(
            told && shown.contains("hint: ") && shown.contains(hint),
            "{line}: {shown}"
        );
    }
    let (code, shown) = refused("chess --server 127.0.0.1:1", "");
    assert_eq!(code, 3, "{shown}");
    assert!(shown.contains("no lobby answers at 127.0.0.1:1"), "{shown}");
}

#[tokio::test(flavor = "multi_thread")]
async fn games_and_tables_are_listed_and_a_taken_name_makes_way_for_another() {
    let house = House::open().await;
    let mut list = Player::start(&house, "");
    assert_eq!(list.ends(), 0);
    for game in ["tictactoe", "connectfour", "reversi", "dots", "chess"] {
        assert!(list.shown.contains(&format!("\n{game} ")), "{}", list.shown);
    }
    assert!(list.shown.contains("nobody plays"), "{}", list.shown);
    let mut ada = Player::start(&house, "chess --as ada --password-stdin --against person");
    ada.types("correct horse");
    ada.sees("you are ada, at table ");
    let mut eve = Player::start(&house, "dots --against person");
    eve.sees("you are eve, at table ");
    let mut other = Player::start(&house, "reversi");
    other.sees("you are eve2, at table ");
    let mut list = Player::start(&house, "");
    assert_eq!(list.ends(), 0);
    assert!(list.shown.contains("ada, open"), "{}", list.shown);
    assert!(
        list.shown.contains("eve2, reversi-medium"),
        "{}",
        list.shown
    );
    eve.types("/quit");
    assert_eq!(eve.ends(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_client_of_the_documentation_plays_a_whole_game() {
    if !installed("/usr/bin/python3") {
        return;
    }
    let house = House::open().await;
    let page = include_str!("../docs/table-games.md");
    let code = page.split("```python\n").nth(1).unwrap();
    let code = code.split("```").next().unwrap();
    let (host, port) = house.endpoints["lobby.listen"].rsplit_once(':').unwrap();
    let mut child = Command::new("/usr/bin/python3")
        .args(["-c", code, host, port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Every column until it is full: more than any game takes, and each refusal is asked again.
    let columns = "1234567"
        .chars()
        .map(|column| format!("{column}\n").repeat(7));
    let moves: String = columns.collect();
    let mut typed = child.stdin.take().unwrap();
    typed.write_all(format!("9\n{moves}").as_bytes()).unwrap();
    let out = child.wait_with_output().unwrap();
    let [shown, faults] = [&out.stdout, &out.stderr].map(|text| String::from_utf8_lossy(text));
    assert!(out.status.success(), "{shown}{faults}");
    assert!(
        shown.contains("table 1\n") && shown.contains(" over "),
        "{shown}"
    );
    assert!(faults.contains("\"9\" is not a move"), "{faults}");
}
