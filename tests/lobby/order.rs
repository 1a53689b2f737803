//! Keeping order: gags, kicks, bans, permissions.

use crate::common::{
    House,
    ggz::{Client, account},
};

fn admin(action: &str, player: &str, reason: &str) -> String {
    match reason {
        "" => format!("<ADMIN ACTION='{action}' PLAYER='{player}'/>"),
        reason => {
            format!("<ADMIN ACTION='{action}' PLAYER='{player}'><REASON>{reason}</REASON></ADMIN>")
        }
    }
}

#[tokio::test]
async fn hosts_and_administrators_gag_and_kick() {
    let house = House::open().await;
    account(&house, "otto", "admin");
    account(&house, "hanna", "host");
    account(&house, "bea", "player");
    let mut otto = Client::member_in(&house, "otto", 0);
    let mut hanna = Client::member_in(&house, "hanna", 0);
    let mut bea = Client::member_in(&house, "bea", 0);
    let mut carl = Client::guest_in(&house, "carl", 0);
    assert_eq!(carl.ask(&admin("gag", "bea", "")), "no permission");
    assert_eq!(bea.ask(&admin("kick", "carl", "so")), "no permission");
    for (request, code) in [
        (admin("gag", "otto", ""), "no permission"),
        (admin("gag", "hanna", ""), "usr lookup"),
        (admin("gag", "zoe", ""), "usr lookup"),
        (admin("kick", "carl", ""), "bad options"),
        (admin("shout", "carl", ""), "bad options"),
        ("<ADMIN/>".into(), "bad options"),
        (admin("gag", "CARL", ""), "ok"),
    ] {
        assert_eq!(hanna.ask(&request), code, "{request}");
    }
    for client in [&mut otto, &mut hanna, &mut bea, &mut carl] {
        client.all();
    }
    // The gagged hear themselves, and are heard by who keeps order alone.
    assert_eq!(carl.ask("<CHAT>hello?</CHAT>"), "ok");
    carl.hears(&["<CHAT TYPE='normal' FROM='carl'>hello?</CHAT>"]);
    for to in ["bea", "hanna"] {
        assert_eq!(
            carl.ask(&format!("<CHAT TYPE='private' TO='{to}'>you?</CHAT>")),
            "ok"
        );
    }
    hanna.hears(&["<CHAT TYPE='private' FROM='carl'>you?</CHAT>"]);
    bea.hears_nothing();
    // Coming back does not help; an ungag does.
    carl.send("</SESSION>");
    carl.last_words();
    let mut carl = Client::guest_in(&house, "Carl", 0);
    assert_eq!(carl.ask("<CHAT>hello?</CHAT>"), "ok");
    assert_eq!(otto.ask(&admin("ungag", "carl", "")), "ok");
    assert_eq!(carl.ask("<CHAT>hello!</CHAT>"), "ok");
    let all = bea.all();
    assert!(!all.iter().any(|item| item.contains("hello?")), "{all:?}");
    assert!(
        all.contains(&"<CHAT TYPE='normal' FROM='Carl'>hello!</CHAT>".into()),
        "{all:?}"
    );

    carl.all();
    assert_eq!(hanna.ask(&admin("kick", "carl", "be &lt;nice&gt;")), "ok");
    assert_eq!(
        carl.last_words(),
        [
            "<CHAT TYPE='private' FROM='hanna'>be &lt;nice&gt;</CHAT>",
            "</SESSION>"
        ]
    );
    bea.hears(&[
        "<UPDATE TYPE='player' ACTION='delete' ROOM='0' TOROOM='-1'><PLAYER ID='Carl'/></UPDATE>",
    ]);
    assert_eq!(hanna.ask(&admin("kick", "carl", "again")), "usr lookup");
    Client::guest(&house, "carl");
}

#[tokio::test]
async fn the_banned_stay_out_also_after_a_restart() {
    let mut house = House::open().await;
    account(&house, "otto", "admin");
    account(&house, "bea", "player");
    account(&house, "dora", "player");
    let mut otto = Client::member_in(&house, "otto", 0);
    let mut bea = Client::member_in(&house, "bea", 0);
    let mut carl = Client::guest_in(&house, "carl", 0);
    carl.all();
    bea.all();
    assert_eq!(otto.ask(&admin("ban", "bea", "")), "bad options");
    assert_eq!(otto.ask(&admin("ban", "bea", "cheats")), "ok");
    assert_eq!(
        bea.last_words().first().unwrap(),
        "<CHAT TYPE='private' FROM='otto'>cheats</CHAT>"
    );
    // An account that is not here, and a guest who has just left.
    assert_eq!(otto.ask(&admin("ban", "dora", "her too")), "ok");
    carl.send("</SESSION>");
    carl.last_words();
    otto.until("<UPDATE TYPE='player' ACTION='delete' ROOM='0' TOROOM='-1'><PLAYER ID='carl'/>");
    assert_eq!(otto.ask(&admin("ban", "CARL", "gone already")), "ok");
    assert_eq!(otto.ask(&admin("ban", "zoe", "who?")), "usr lookup");
    otto.hears_nothing();
    for round in 0..2 {
        let mut client = Client::connect(&house);
        for (kind, name, password) in [
            ("guest", "carl", ""),
            // From the same address: guests and newcomers, but no members.
            ("guest", "karl", ""),
            ("first", "karl", "battery staple"),
            ("normal", "bea", "battery staple bea"),
            ("normal", "dora", "battery staple dora"),
        ] {
            let code = client.login(kind, name, password);
            assert_eq!(code, "no permission", "{kind} {name}, {round}");
        }
        if round == 0 {
            assert!(house.stop());
            house.start();
            otto = Client::member_in(&house, "otto", 0);
        }
    }
    otto.hears_nothing();
}

#[tokio::test]
async fn an_administrator_says_what_others_may() {
    let mut house = House::open().await;
    account(&house, "otto", "admin");
    account(&house, "bea", "player");
    let mut otto = Client::member_in(&house, "otto", 0);
    let mut bea = Client::member_in(&house, "bea", 0);
    let mut carl = Client::guest_in(&house, "carl", 0);
    otto.all();
    bea.all();
    let perm = |player, perm, value| {
        format!("<ADMINPERM PLAYER='{player}' PERM='{perm}' VALUE='{value}'/>")
    };
    assert_eq!(
        carl.ask(&perm("bea", "chat_announce", "true")),
        "no permission"
    );
    assert_eq!(
        bea.ask(&perm("bea", "chat_announce", "true")),
        "no permission"
    );
    for (request, code) in [
        (perm("otto", "chat_announce", "false"), "bad options"),
        (perm("carl", "chat_announce", "true"), "bad options"),
        (perm("bea", "fly", "true"), "bad options"),
        (perm("zoe", "chat_announce", "true"), "usr lookup"),
        (perm("bea", "chat_announce", "true"), "ok"),
    ] {
        assert_eq!(otto.ask(&request), code, "{request}");
    }
    bea.hears(&["<UPDATE TYPE='player' ACTION='perms' ROOM='0'>\
        <PLAYER ID='bea' TYPE='normal' PERMS='0x00000017'/></UPDATE>"]);
    assert_eq!(bea.ask("<CHAT TYPE='announce'>hear</CHAT>"), "ok");
    assert!(house.stop());
    house.start();
    let mut bea = Client::member_in(&house, "bea", 0);
    assert!(bea.player("bea").contains("PERMS='0x00000017'"));
    let mut otto = Client::member_in(&house, "otto", 0);
    assert_eq!(otto.ask(&perm("BEA", "edit_tables", "true")), "ok");
    assert!(
        bea.player("bea")
            .contains("TYPE='host' TABLE='-1' PERMS='0x00000097'")
    );
}
