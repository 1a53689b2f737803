//! Connections: the first bytes, the last ones, TLS, channels, pings.

use std::{
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
};

use crate::{
    OPEN,
    common::{
        House,
        ggz::{Channel, Client, From, GREETING, attribute, launching, mute},
    },
    place,
};

#[tokio::test]
async fn the_box_speaks_first_and_answers_the_last_word() {
    let house = House::open_with(&["lobby.name=The <cellar>".into()]).await;
    let mut stream = BufReader::new(mute(&house));
    let mut first = String::new();
    while !first.ends_with("</SERVER>\n") {
        stream.read_line(&mut first).unwrap();
    }
    let version = env!("CARGO_PKG_VERSION");
    let expected = format!(
        "<?xml version='1.0' encoding='UTF-8'?>\n<SESSION>\n\
         <SERVER ID='GGZ-{version}' NAME='The &lt;cellar&gt;' VERSION='10' STATUS='ok' TLS_SUPPORT='yes'>\n\
         <OPTIONS CHATLEN='512'/>\n</SERVER>\n"
    );
    assert_eq!(first, expected);

    // Before a login and after it; names of elements in any case, unknown ones for nothing.
    let mut client = Client::connect(&house);
    client.send("<ping id='7'/>\n<NONSENSE><A/></NONSENSE><PING/>\n");
    assert_eq!(client.raw().unwrap(), "<PONG ID='7'/>");
    assert_eq!(client.raw().unwrap(), "<PONG/>");
    client.send("</SESSION>\n");
    assert_eq!(client.last_words(), ["</SESSION>"]);
    let mut guest = Client::guest(&house, "alice");
    guest.send("<PING ID='&lt;8&gt;'/></SESSION>");
    assert_eq!(guest.last_words(), ["<PONG ID='&lt;8&gt;'/>", "</SESSION>"]);
}

#[tokio::test]
async fn a_full_house_says_so() {
    let house = House::open_with(&["lobby.sessions=1".into()]).await;
    let mut alice = Client::guest(&house, "alice");
    let mut late = BufReader::new(mute(&house));
    let mut said = String::new();
    while !said.ends_with("</SERVER>\n") {
        late.read_line(&mut said).unwrap();
    }
    assert!(said.contains(" STATUS='full' "), "{said}");
    let login = "<SESSION>\n<LOGIN TYPE='guest'><NAME>late</NAME></LOGIN>\n";
    late.get_mut().write_all(login.as_bytes()).unwrap();
    said.clear();
    late.read_line(&mut said).unwrap();
    assert_eq!(said, "<RESULT ACTION='login' CODE='room full'/>\n");
    // Those who are in can still play.
    let _channel = alice.channel(&house);
    alice.hears_nothing();
}

#[tokio::test]
async fn who_is_asked_answers_and_the_room_is_told_how_slow_they_are() {
    let sets = ["lobby.lag=200,400,600,3600000", "lobby.ping=1s"];
    let house = House::open_with(&sets.map(String::from)).await;
    let mut alice = Client::guest_in(&house, "alice", 0);
    let mut bob = Client::guest_in(&house, "bob", 0);
    alice.until("ID='bob'");
    // The first one 5 s after the login; without an answer it gets worse and worse.
    let lag = |class| {
        format!(
            "<UPDATE TYPE='player' ACTION='lag' ROOM='0'><PLAYER ID='alice' LAG='{class}'/></UPDATE>"
        )
    };
    let news = |client: &mut Client| loop {
        match client.raw().unwrap() {
            ping if ping == "<PING/>" && client.name == "bob" => client.send("<PONG/>\n"),
            lag if lag.contains("ID='alice'") && lag.contains("'lag'") => return lag,
            _ => {}
        }
    };
    for class in 2..=4 {
        assert_eq!(news(&mut bob), lag(class));
    }
    let mut raw = Vec::new();
    while raw.last() != Some(&lag(4)) {
        raw.push(alice.raw().unwrap());
    }
    assert!(raw.contains(&"<PING/>".into()), "{raw:?}");
    assert!(bob.player("alice").contains("LAG='4'"));
    // The late answer changes nothing, the next one is quick, or the one after that.
    loop {
        alice.send("<PONG/>\n");
        let mut item = alice.raw().unwrap();
        while item != "<PING/>" && item != lag(1) {
            item = alice.raw().unwrap();
        }
        if item == lag(1) {
            break;
        }
    }
}

#[tokio::test]
async fn a_session_is_encrypted_and_its_channel_is_not() {
    let house = House::open().await;
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let mut alice = Client::connect(&house).encrypt().into_guest("alice");
    alice.enter(room);
    let mut bob = Client::guest_in(&house, "bob", room);
    let (mut hers, table) = alice.launch(&house, game, &OPEN);
    let mut his = bob.join(&house, table);
    hers.until(|state| state["turn"] == 0);
    hers.play("b2");
    let state = his.until(|state| state["last"] == "b2");
    assert_eq!((&state["you"], &state["turn"]), (&1.into(), &1.into()));
    alice.send("</SESSION>");
    assert_eq!(alice.last_words().last().unwrap(), "</SESSION>");
    // TLS is offered to strangers only.
    bob.all();
    bob.send("<TLS_START/>\n");
    bob.hears_nothing();
}

#[tokio::test]
async fn without_tls_none_is_offered() {
    let house = House::open_with(&["lobby.tls=false".into()]).await;
    let mut stream = BufReader::new(mute(&house));
    let mut first = String::new();
    while !first.ends_with("</SERVER>\n") {
        stream.read_line(&mut first).unwrap();
    }
    assert_eq!(attribute(&first, "TLS_SUPPORT"), "no");
    let mut client = Client::connect(&house);
    client.send("<TLS_START/>\n");
    assert_eq!(client.last_words(), Vec::<String>::new());
}

#[tokio::test]
async fn a_channel_comes_from_the_sessions_address_or_brings_its_token() {
    let house = House::open().await;
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let mut alice = Client::guest_in(&house, "alice", room);
    let elsewhere = From {
        address: Some(Ipv4Addr::new(127, 0, 0, 2)),
        ..From::default()
    };
    const REFUSED: &str = "<RESULT ACTION='channel' CODE='no permission'/>\n</SESSION>\n";
    const TAKEN: &str = "</SESSION>\n";
    alice.send("<TOKEN/>\n");
    let token = alice.until("<TOKEN>");
    let token = &token["<TOKEN>".len()..token.len() - "</TOKEN>".len()];
    for (from, tag, answer) in [
        (elsewhere, "<CHANNEL ID='alice'/>".to_owned(), REFUSED),
        (
            elsewhere,
            "<CHANNEL ID='alice' TOKEN='guess'/>".into(),
            REFUSED,
        ),
        (
            From::default(),
            "<CHANNEL ID='alice' TOKEN='guess'/>".into(),
            REFUSED,
        ),
        (From::default(), "<CHANNEL ID='nobody'/>".into(), REFUSED),
    ] {
        assert_eq!(Channel::offer(&house, from, &tag).1, answer, "{tag}");
    }
    assert_eq!(alice.ask(&launching(game, &OPEN)), "no channel");
    assert_eq!(alice.ask("<JOIN TABLE='1'/>"), "no channel");
    let tag = format!("<CHANNEL ID='ALICE' TOKEN='{token}'/>");
    let (stream, answer) = Channel::offer(&house, elsewhere, &tag);
    assert_eq!(answer, TAKEN);
    assert_eq!(alice.ask(&launching(game, &OPEN)), "ok");
    let state = Channel::over(stream).until(|state| state["you"] == 0);
    assert_eq!(state["seats"][0]["name"], "alice");
}

#[tokio::test]
async fn the_line_of_a_last_tag_may_end_in_a_later_packet() {
    let house = House::open().await;
    let start = "<TLS_START/>\r\n";
    for cut in 0..=start.len() {
        let (now, later) = start.split_at(cut);
        let mut client = Client::connect(&house)
            .encrypt_in(&[now, later])
            .into_guest("alice");
        client.leave_house();
    }
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let mut alice = Client::guest_in(&house, "alice", room);
    let said = format!("{GREETING}<CHANNEL ID='alice'/></SESSION>\r\n");
    for cut in [said.len() - 2, said.len() - 1, said.len() - 3] {
        let (now, later) = said.split_at(cut);
        let (stream, answer) = Channel::offer_in(&house, From::default(), &[now, later]);
        assert_eq!(answer, "</SESSION>\n");
        assert_eq!(alice.ask(&launching(game, &OPEN)), "ok");
        alice.until("<JOIN ");
        assert_eq!(Channel::over(stream).state()["you"], 0);
        assert_eq!(alice.ask("<LEAVE FORCE='true'/>"), "ok");
        alice.until("<LEAVE ");
    }
}
