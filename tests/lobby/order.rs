//! Keeping order: gags, kicks, bans, permissions.

use serde_json::{Value, json};

use crate::common::{
    House, code,
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

/// What was done to whom, as the audit log has it: the intents.
pub(crate) async fn done(house: &House, action: &str, subject: &str) -> Vec<Value> {
    let log = house.ok("GET", "/api/v1/audit", None).await;
    let records = log.as_array().unwrap().iter();
    let fits = |record: &&Value| {
        record["action"] == action && record["subject"] == subject && record["of"].is_null()
    };
    records.filter(fits).cloned().collect()
}

#[tokio::test]
async fn an_account_that_is_closed_or_demoted_loses_what_it_could_in_the_house() {
    let house = House::open().await;
    account(&house, "otto", "admin");
    account(&house, "anna", "admin");
    account(&house, "bea", "player");
    let mut otto = Client::member_in(&house, "otto", 0);
    let mut anna = Client::member_in(&house, "anna", 0);
    let mut bea = Client::member_in(&house, "bea", 0);
    // A mask of her own, while she is an administrator.
    let perm = |perm, value| format!("<ADMINPERM PLAYER='anna' PERM='{perm}' VALUE='{value}'/>");
    assert_eq!(otto.ask(&perm("no_stats", "true")), "ok");
    anna.until("PERMS='0x000001DF'");
    let patch = json!({"role": "player"});
    let accounts = house.ok("GET", "/api/v1/accounts", None).await;
    let id_of = |name: &str| {
        let mut all = accounts.as_array().unwrap().iter();
        let account = all.find(|account| account["name"] == name).unwrap();
        format!("/api/v1/accounts/{}", account["id"])
    };
    house.ok("PATCH", &id_of("anna"), Some(patch)).await;
    anna.until("<PLAYER ID='anna' TYPE='normal' PERMS='0x00000007'/>");
    assert_eq!(
        anna.ask(&admin("kick", "bea", "out")),
        "no permission",
        "she was demoted"
    );
    let patch = json!({"disabled": true});
    house.ok("PATCH", &id_of("bea"), Some(patch)).await;
    let last = bea.last_words();
    let [.., why, end] = &last[..] else {
        panic!("{last:?}");
    };
    assert_eq!(
        why,
        "<CHAT TYPE='private' FROM='[Server]'>your account was closed</CHAT>"
    );
    assert_eq!(end, "</SESSION>");
    let records = done(&house, "lobby.kick", "player bea").await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["name"], "box");
}

#[tokio::test]
async fn what_is_given_and_taken_over_the_web_counts_at_once_for_who_is_here() {
    let house = House::open().await;
    account(&house, "bea", "player");
    let mut bea = Client::member_in(&house, "bea", 0);
    let mut carl = Client::guest_in(&house, "carl", 0);
    let accounts = house.ok("GET", "/api/v1/accounts", None).await;
    let mut all = accounts.as_array().unwrap().iter();
    let id = &all.find(|account| account["name"] == "bea").unwrap()["id"];
    let (permissions, account) = (
        format!("/api/v1/lobby/permissions/{id}"),
        format!("/api/v1/accounts/{id}"),
    );
    let announce = "<CHAT TYPE='announce'>hear</CHAT>";
    for (mask, bits, code) in [
        (json!(0x17), "0x00000017", "ok"),
        (json!(0x07), "0x00000007", "no permission"),
        (json!(0x17), "0x00000017", "ok"),
        (Value::Null, "0x00000007", "no permission"),
    ] {
        let set = Some(json!({"mask": mask}));
        house.ok("PUT", &permissions, set).await;
        carl.hears(&[&format!(
            "<UPDATE TYPE='player' ACTION='perms' ROOM='0'>\
             <PLAYER ID='bea' TYPE='normal' PERMS='{bits}'/></UPDATE>"
        )]);
        assert_eq!(bea.ask(announce), code, "{mask}");
        if code == "ok" {
            carl.hears(&["<CHAT TYPE='announce' FROM='bea'>hear</CHAT>"]);
        }
    }
    // A new role as well.
    let role = Some(json!({"role": "host"}));
    house.ok("PATCH", &account, role).await;
    carl.until("<PLAYER ID='bea' TYPE='host' ");
    assert_eq!(bea.ask(&admin("gag", "carl", "")), "ok");
}

#[tokio::test]
async fn a_ban_puts_out_every_guest_whom_it_keeps_out() {
    let house = House::open().await;
    account(&house, "otto", "admin");
    let mut otto = Client::member_in(&house, "otto", 0);
    let mut carl = Client::guest_in(&house, "carl", 0);
    let mut karl = Client::guest_in(&house, "karl", 0);
    assert_eq!(otto.ask(&admin("ban", "carl", "cheats")), "ok");
    for banned in [&mut carl, &mut karl] {
        let last = banned.last_words();
        let why = "<CHAT TYPE='private' FROM='otto'>cheats</CHAT>".to_owned();
        assert!(last.contains(&why), "{last:?}");
    }
    // Members come in from there, and stay.
    otto.all();
    assert_eq!(otto.ask("<CHAT>peace</CHAT>"), "ok");
}

#[tokio::test]
async fn a_gag_can_be_lifted_when_its_guest_has_left_and_reasons_are_bounded() {
    let house = House::open().await;
    account(&house, "otto", "admin");
    let mut otto = Client::member_in(&house, "otto", 0);
    let mut carl = Client::guest_in(&house, "carl", 0);
    assert_eq!(otto.ask(&admin("ungag", "zoe", "")), "usr lookup");
    assert_eq!(otto.ask(&admin("gag", "carl", "")), "ok");
    carl.leave_house();
    otto.until("<PLAYER ID='carl'/>");
    assert_eq!(otto.ask(&admin("ungag", "carl", "")), "ok");
    let mut carl = Client::guest_in(&house, "carl", 0);
    otto.all();
    assert_eq!(carl.ask("<CHAT>at last</CHAT>"), "ok");
    otto.hears(&["<CHAT TYPE='normal' FROM='carl'>at last</CHAT>"]);

    for (length, answer) in [(513, "bad options"), (512, "ok")] {
        let reason = "x".repeat(length);
        let request = admin("kick", "carl", &reason);
        assert_eq!(otto.ask(&request), answer, "{length}");
    }
    let reason = json!({"reason": "y".repeat(513)});
    let path = "/api/v1/lobby/players/otto/kick";
    let answer = house.call("POST", path, Some(reason)).await;
    assert_eq!(code(&answer), (422, "bad-field"));
    assert_eq!(answer.1["field"], "reason");
}

#[tokio::test]
async fn what_everybody_is_told_over_the_web_is_recorded_and_a_word_to_a_room_is_not() {
    let house = House::open().await;
    let mut carl = Client::guest_in(&house, "carl", 0);
    for (room, kind) in [(json!(0), "normal"), (Value::Null, "announce")] {
        let wish = json!({"room": room, "text": "supper"});
        house.ok("POST", "/api/v1/lobby/chat", Some(wish)).await;
        carl.until(&format!("<CHAT TYPE='{kind}' FROM='ada'>supper</CHAT>"));
    }
    let records = done(&house, "lobby.announce", "everybody").await;
    assert_eq!(records.len(), 1, "{records:?}");
    assert_eq!(records[0]["detail"], json!({"text": "supper"}));
}
