//! Crowds that say nothing, and one who does not listen.

use std::{
    io::{ErrorKind, Read as _, Write as _},
    time::Instant,
};

use nix::sys::resource::{Resource, getrlimit, setrlimit};

use crate::{
    OPEN,
    common::{
        House, PATIENCE,
        ggz::{Client, From, GREETING, mute},
    },
    place, play,
};

/// Lets this process, and so the box that it starts, hold a crowd of connections beside those of other tests.
fn make_room(crowd: usize) {
    let wanted = crowd as u64 + 2_000;
    let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    if soft < wanted {
        // Who may raise the hard limit does.
        let raised = setrlimit(Resource::RLIMIT_NOFILE, wanted, hard.max(wanted));
        assert!(
            raised.is_ok(),
            "the hard limit of open files is {hard}: set it to {wanted} or more (`ulimit -Hn {wanted}` as root)"
        );
    }
}

#[tokio::test]
async fn ten_thousand_who_say_nothing_keep_nobody_from_playing() {
    const CROWD: usize = 10_000;
    make_room(CROWD);
    let house = House::open().await;
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let mut alice = Client::guest_in(&house, "alice", room);
    let (mut hers, table) = alice.launch(&house, game, &OPEN);
    let mut silent = Vec::with_capacity(CROWD);
    for n in 0..CROWD {
        silent.push(mute(&house));
        if n % 1000 == 0 {
            let mut guest = Client::guest_in(&house, &format!("g{n}"), room);
            assert_eq!(guest.ask("<CHAT>hello</CHAT>"), "ok");
            alice.until(&format!("FROM='g{n}'>hello</CHAT>"));
        }
    }
    let held = std::fs::read_dir("/proc/self/fd").unwrap().count();
    assert!(held > CROWD, "only {held}");
    let mut bob = Client::guest_in(&house, "bob", room);
    let mut his = bob.join(&house, table);
    let [_, over] = play(&mut hers, &mut his, &["a1", "b1", "a2", "b2", "a3"]);
    assert_eq!(over["result"][0]["outcome"], "win");
    // When they go, nothing of them stays.
    let descriptors = || {
        std::fs::read_dir(format!("/proc/{}/fd", house.pid()))
            .unwrap()
            .count()
    };
    assert!(descriptors() < CROWD / 2 + 1000, "{}", descriptors());
    drop(silent);
    let started = Instant::now();
    while descriptors() > 200 {
        assert!(started.elapsed() < PATIENCE, "{} stay", descriptors());
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn who_never_reads_is_dropped_and_the_others_hear_everything() {
    let house = House::open().await;
    let small = From {
        room: Some(4096),
        ..From::default()
    };
    let mut deaf = Client::connect_from(&house, small).into_guest("deaf");
    deaf.enter(0);
    let mut talkers = ["alice", "bob", "carl"].map(|name| Client::guest_in(&house, name, 0));
    for client in &mut talkers {
        client.all();
    }
    let gone =
        "<UPDATE TYPE='player' ACTION='delete' ROOM='0' TOROOM='-1'><PLAYER ID='deaf'/></UPDATE>";
    let mut dropped = [false; 3];
    let started = Instant::now();
    for n in 0.. {
        assert!(
            started.elapsed() < PATIENCE,
            "{n} chats later they are still here"
        );
        // As long as one may speak, and six times as long on the wire.
        let text = format!("{n}: {}", "'".repeat(500));
        let talker = &mut talkers[n % 3];
        let name = talker.name.clone();
        talker.send(&format!("<CHAT>{text}</CHAT>\n"));
        let text = text.replace('\'', "&apos;");
        let said = format!("<CHAT TYPE='normal' FROM='{name}'>{text}</CHAT>");
        for (client, dropped) in talkers.iter_mut().zip(&mut dropped) {
            loop {
                match client.item() {
                    item if item == said => break,
                    item if item == gone => *dropped = true,
                    item => assert_eq!(item, "<RESULT ACTION='chat' CODE='ok'/>"),
                }
            }
        }
        if dropped.iter().all(|dropped| *dropped) {
            break;
        }
    }
    let mut back = Client::guest_in(&house, "Deaf", 0);
    assert_eq!(back.ask("<CHAT>what?</CHAT>"), "ok");
    talkers[0].until("FROM='Deaf'>what?</CHAT>");
    // What was on its way to the other is cut off, not completed.
    let words = deaf.last_words();
    assert!(!words.contains(&"</SESSION>".into()));
}

#[tokio::test]
async fn who_starts_tls_and_dawdles_is_sent_away_and_keeps_nobody_out() {
    let house = House::open().await;
    // Nothing at all, less than a record, a record that never ends, and what is no TLS.
    let starts: [&[u8]; 5] = [
        b"",
        b"\r\n\r\n",
        b"\x16\x03",
        b"\x16\x03\x01\x02\x00\x01\x00",
        b"<LOGIN><NAME>eve</NAME></LOGIN>\n",
    ];
    let mut crowd: Vec<_> = (0..500).map(|_| mute(&house)).collect();
    for (n, stream) in crowd.iter_mut().enumerate() {
        let start = [
            GREETING.as_bytes(),
            b"<TLS_START/>\n",
            starts[n % starts.len()],
        ];
        stream.write_all(&start.concat()).unwrap();
        if n % 100 == 0 {
            let name = format!("g{n}");
            let mut guest = Client::connect(&house).encrypt().into_guest(&name);
            guest.enter(0);
        }
    }
    // They are not waited for as long as who says nothing: all of them end within the time of a handshake.
    let started = Instant::now();
    for mut stream in crowd {
        let mut heard = Vec::new();
        match stream.read_to_end(&mut heard) {
            Err(error) if error.kind() != ErrorKind::ConnectionReset => panic!("{error}"),
            _ => {}
        }
        let text = String::from_utf8_lossy(&heard);
        assert!(!text.contains("RESULT"), "{text}");
    }
    assert!(started.elapsed().as_secs() < 50, "{:?}", started.elapsed());
}

#[tokio::test]
async fn what_is_too_much_for_a_stranger_is_too_much_within_tls() {
    let house = House::open().await;
    let encrypted = || Client::connect(&house).encrypt();
    for (said, words) in [
        (
            "<a b='&lol;'/>".to_owned(),
            &["<RESULT ACTION='protocol' CODE='bad xml'/>", "</SESSION>"][..],
        ),
        (
            "<a>".repeat(9),
            &[
                "<RESULT ACTION='protocol' CODE='bad options'/>",
                "</SESSION>",
            ],
        ),
        ("</SESSION>".into(), &["</SESSION>"]),
        // There is nothing to be handed over, and nothing to be encrypted again.
        ("<CHANNEL ID='alice'/></SESSION>".into(), &[]),
        ("<TLS_START/>".into(), &[]),
    ] {
        let mut client = encrypted();
        client.try_send(said.as_bytes()).unwrap();
        assert_eq!(client.last_words(), words, "{said}");
    }
    let mut alice = encrypted().into_guest("alice");
    assert_eq!(alice.ask("<ENTER ROOM='0'/>"), "ok");
}
