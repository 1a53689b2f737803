//! Who is let in, as whom, and what they are told first.

use std::{process::Command, time::Instant};

use serde_json::json;

use crate::{
    OPEN,
    common::{
        House, PATIENCE,
        ggz::{Client, account},
    },
    place,
};

#[tokio::test]
async fn a_guest_a_newcomer_and_a_member_come_in() {
    let house = House::open().await;
    let mut guest = Client::connect(&house);
    guest.send("<LANGUAGE>en_GB</LANGUAGE>\n<LOGIN>\n<NAME>Alice</NAME>\n</LOGIN>\n");
    guest.hears(&["<RESULT ACTION='login' CODE='ok'/>"]);
    let motd = guest.item();
    assert!(
        motd.starts_with("<MOTD PRIORITY='normal' URL=''><![CDATA["),
        "{motd}"
    );
    assert!(motd.ends_with("]]></MOTD>"));
    guest.enter(0);
    assert_eq!(
        guest.player("Alice"),
        "<PLAYER ID='Alice' TYPE='guest' TABLE='-1' PERMS='0x00000043' LAG='1'/>"
    );

    let mut newcomer = Client::connect(&house);
    let long = "a password of more than sixteen bytes";
    newcomer.send(&format!(
        "<LOGIN TYPE='first'><NAME>Bob</NAME><PASSWORD>{long}</PASSWORD><EMAIL>b@example.org</EMAIL></LOGIN>\n"
    ));
    let ok = format!("<RESULT ACTION='login' CODE='ok'><PASSWORD>{long}</PASSWORD></RESULT>");
    newcomer.hears(&[&ok]);
    assert!(newcomer.item().starts_with("<MOTD "));
    newcomer.enter(0);
    assert_eq!(
        newcomer.player("Bob"),
        "<PLAYER ID='Bob' TYPE='normal' TABLE='-1' PERMS='0x00000007' LAG='1'/>"
    );
    guest.until("ID='Bob'");
    newcomer.send("</SESSION>");
    newcomer.last_words();
    guest.hears(&[
        "<UPDATE TYPE='player' ACTION='delete' ROOM='0' TOROOM='-1'><PLAYER ID='Bob'/></UPDATE>",
    ]);

    let mut member = Client::connect(&house);
    assert_eq!(member.login("normal", "bOB", long), "ok");
    member.enter(0);
    guest.hears(
        &["<UPDATE TYPE='player' ACTION='add' ROOM='0' FROMROOM='-1'>\
        <PLAYER ID='bOB' TYPE='normal' TABLE='-1' PERMS='0x00000007' LAG='1'/></UPDATE>"],
    );
    let (code, out, _) = house.verb(&["user", "list"]);
    assert_eq!(code, 0);
    assert!(
        out.contains("bob") && out.contains("b@example.org"),
        "{out}"
    );
}

#[tokio::test]
async fn every_refusal_comes_in_its_order_and_the_same_connection_may_try_again() {
    let house = House::open().await;
    account(&house, "bea", "player");
    let _carl = Client::guest(&house, "Carl");
    let mut client = Client::connect(&house);
    // What needs a login, before it.
    for (request, action) in [
        ("<LIST TYPE='room'/>", "list"),
        ("<ENTER ROOM='0'/>", "enter"),
        ("<CHAT>hi</CHAT>", "chat"),
        ("<LAUNCH/>", "launch"),
        ("<JOIN TABLE='1'/>", "join"),
        ("<LEAVE/>", "leave"),
        ("<RESEAT ACTION='sit'/>", "reseat"),
        ("<UPDATE/>", "update"),
        ("<ADMIN/>", "admin"),
        ("<ADMINPERM/>", "admin"),
        ("<MOTD/>", "motd"),
    ] {
        let refused = format!("<RESULT ACTION='{action}' CODE='not logged in'/>");
        assert_eq!(client.result(request), refused, "{request}");
    }
    let seventeen = "a".repeat(17);
    for (kind, name, password, code) in [
        ("guest", "", "", "bad options"),
        ("admin", "dora", "", "bad options"),
        ("normal", "bea", "", "bad options"),
        ("guest", &*seventeen, "", "too long"),
        ("normal", &*seventeen, "x", "too long"),
        ("guest", "d ra", "", "bad username"),
        ("guest", "d%ra", "", "bad username"),
        ("guest", "d&amp;ra", "", "bad username"),
        ("guest", "d\\ra", "", "bad username"),
        ("guest", "d\u{f6}ra", "", "bad username"),
        ("guest", "&lt;none&gt;", "", "bad username"),
        ("guest", "[Server]", "", "bad username"),
        ("guest", "BEA", "", "wrong login type"),
        ("guest", "chess-hard", "", "wrong login type"),
        ("guest", "cARL", "", "already logged in"),
        ("normal", "dora", "battery staple", "user not found"),
        ("normal", "bea", "battery staple", "usr lookup"),
        ("first", "dora", "", "bad password"),
        ("first", "dora", "short", "bad password"),
        ("first", "d_ra", "battery staple", "bad username"),
        ("first", "Bea", "battery staple", "username already taken"),
    ] {
        assert_eq!(client.login(kind, name, password), code, "{kind} {name}");
    }
    assert_eq!(client.ask("<LOGIN TYPE='guest'/>"), "bad options");
    let sixteen = "D".repeat(16);
    assert_eq!(client.login("guest", &sixteen, ""), "ok");
    assert_eq!(client.login("guest", "dora", ""), "already logged in");
    assert!(client.until("<MOTD ").contains("Players here: 2"));
}

#[tokio::test]
async fn who_was_refused_is_not_pinged() {
    let house = House::open_with(&["lobby.ping=1s".into()]).await;
    account(&house, "bea", "player");
    let mut refused = Client::connect(&house);
    assert_eq!(refused.login("normal", "bea", "a wrong one"), "usr lookup");
    assert_eq!(refused.login("guest", "d ra", ""), "bad username");
    // They would have been asked before who was let in later.
    let mut carl = Client::guest(&house, "carl");
    for _ in 0..2 {
        while carl.raw().unwrap() != "<PING/>" {}
        carl.send("<PONG/>\n");
    }
    refused.send("<ENTER ROOM='0'/>\n");
    assert_eq!(
        refused.raw().unwrap(),
        "<RESULT ACTION='enter' CODE='not logged in'/>"
    );
    // Once they are, they are.
    assert_eq!(refused.login("guest", "dora", ""), "ok");
    while refused.raw().unwrap() != "<PING/>" {}
}

#[tokio::test]
async fn the_policy_says_who_may_become_a_member() {
    let closed = House::open_with(&["accounts.registration=closed".into()]).await;
    account(&closed, "bea", "player");
    let mut client = Client::connect(&closed);
    for (kind, name, code) in [
        ("guest", "carl", "wrong login type"),
        ("first", "carl", "wrong login type"),
        ("guest", &*"a".repeat(17), "wrong login type"),
        ("normal", "carl", "user not found"),
        ("normal", "bea", "ok"),
    ] {
        assert_eq!(
            client.login(kind, name, "battery staple bea"),
            code,
            "{kind} {name}"
        );
    }
    drop(closed);
    let confirm = House::open_with(&["accounts.registration=confirm".into()]).await;
    let mut client = Client::connect(&confirm);
    assert_eq!(
        client.login("first", "carl", "battery staple"),
        "usr lookup"
    );
    assert_eq!(
        client.login("normal", "carl", "battery staple"),
        "usr lookup"
    );
    assert_eq!(client.login("guest", "carl", ""), "wrong login type");
    let (code, _, said) = confirm.verb(&["user", "confirm", "carl"]);
    assert_eq!(code, 0, "{said}");
    assert_eq!(client.login("normal", "carl", "battery staple"), "ok");
}

#[tokio::test]
async fn the_message_of_the_day_is_read_anew_and_knows_the_house() {
    let mut house = House::unlocked(&[]);
    house.stock(&[]);
    let file = house.data().join("motd.txt");
    std::fs::write(
        &file,
        "%a|%C|%e|%g|%G|%h|%o|%p|%u|%U|%v|%%|%x|]]>\n%d|%t|<&\n%",
    )
    .unwrap();
    house.settle().await;
    let accounts = house.ok("GET", "/api/v1/accounts", None).await;
    let ada = format!("/api/v1/accounts/{}", accounts[0]["id"]);
    let mail = json!({"mail": "ada@example.org"});
    house.ok("PATCH", &ada, Some(mail)).await;
    let mut alice = Client::connect(&house);
    assert_eq!(alice.login("guest", "alice", ""), "ok");
    let motd = alice.until("<MOTD ");
    let machine = Command::new("uname").arg("-m").output().unwrap();
    let machine = String::from_utf8(machine.stdout).unwrap();
    let host = nix::unistd::gethostname().unwrap();
    let port = house.endpoints["lobby.listen"].rsplit_once(':').unwrap().1;
    let first = format!(
        "ada|{}|ada@example.org|0|0|{}|Linux|{port}|less than 1 hour|1|{}|%%|%x|",
        machine.trim_end(),
        host.to_string_lossy(),
        env!("CARGO_PKG_VERSION")
    );
    assert!(motd.contains(&first), "{motd}\n{first}");
    assert!(motd.contains(", 20") && motd.contains("|<&\n%"), "{motd}");
    std::fs::write(&file, "%U here").unwrap();
    let _bob = Client::guest(&house, "bob");
    alice.send("<MOTD/>\n");
    alice.hears(&["<MOTD PRIORITY='normal' URL=''><![CDATA[2 here]]></MOTD>"]);
    std::fs::remove_file(&file).unwrap();
    alice.send("<MOTD/>\n");
    assert!(alice.item().contains("Welcome to the longhouse on "));
}

#[tokio::test]
async fn whoever_vanished_comes_back_as_themselves_and_has_their_seat_again() {
    // The last degree of lag is reached when an older session gives way.
    let house = House::open_with(&["lobby.lag=1,2,3,10001".into()]).await;
    account(&house, "bea", "player");
    let (room, game) = place(&house, "Tic-Tac-Toe", "Tic-Tac-Toe");
    let mut carl = Client::guest_in(&house, "carl", room);
    let mut bea = Client::member_in(&house, "bea", room);
    let (mut his, table) = carl.launch(&house, game, &OPEN);
    let mut hers = bea.join(&house, table);
    hers.until(|state| state["status"] == "playing");
    let mut again = Client::connect(&house);
    let password = "battery staple bea";
    assert_eq!(again.login("normal", "bea", password), "already logged in");
    let gone = "<PLAYER ID='bea' LAG='5'/>";
    loop {
        match carl.raw().unwrap() {
            ping if ping == "<PING/>" => carl.send("<PONG/>\n"),
            news if news.contains(gone) => break,
            _ => {}
        }
    }
    assert_eq!(again.login("normal", "bea", "a wrong one"), "usr lookup");
    assert_eq!(again.login("guest", "bea", ""), "wrong login type");
    assert_eq!(again.login("normal", "bea", password), "ok");
    assert_eq!(bea.last_words().last().unwrap(), "</SESSION>");
    his.until(|state| state["seats"][1]["kind"] == "abandoned");
    again.enter(room);
    let mut theirs = again.join(&house, table);
    let state = theirs.until(|state| state["status"] == "playing");
    assert_eq!(state["you"], 1);
}

#[tokio::test]
async fn the_log_says_why_a_good_password_is_refused() {
    let house = House::open().await;
    account(&house, "bea", "player");
    let mut client = Client::connect(&house);
    let started = Instant::now();
    while !house.log().contains("a login was refused") {
        assert!(started.elapsed() < PATIENCE, "she is never locked out");
        assert_eq!(client.login("normal", "Bea", "a wrong one"), "usr lookup");
    }
    let password = "battery staple bea";
    assert_eq!(client.login("normal", "bea", password), "usr lookup");
    let log = house.log();
    let line = log
        .lines()
        .rfind(|line| line.contains("a login was refused"));
    let line = line.expect("it is there");
    assert!(
        line.contains("\"name\":\"bea\"") && line.contains("INFO"),
        "{line}"
    );
    assert!(!log.contains(password) && !log.contains("a wrong one"));
}
