//! The table of faults, each met at the door.

use longhouse::rpc::Code;
use serde_json::{Value as Json, json};

use crate::{House, by_ada, post, python, said};

/// `docs/myottd.md` has every fault there is, with its number and name.
#[test]
fn the_page_has_every_fault() {
    let page = include_str!("../../docs/myottd.md");
    for code in Code::ALL {
        let row = match code.name() {
            "" => format!("| {} | |", code.number()),
            name => format!("| {} | `{name}` |", code.number()),
        };
        assert!(page.contains(&row), "{row} is missing");
    }
}

#[tokio::test]
async fn the_frameworks_faults_have_their_codes_and_wording() {
    let house = House::open().await;
    house.person("bob", "player").await;
    let told = python(
        &house,
        r#"
stop = box.server_stop
tell({
    "function": fault(box.server_strat, ada, []),
    "prefix": fault(box.nobody.server_stop, ada, [7]),
    "none": fault(stop),
    "one": fault(stop, ada),
    "three": fault(stop, ada, [7], [8]),
    "no arrays": fault(stop, "ada", 7),
    "empty": fault(stop, [], [7]),
    "method": fault(stop, ["sha1", "ada", "x"], [7]),
    "short": fault(stop, ["plain", "ada"], [7]),
    "long": fault(stop, ["plain", "ada", "correct horse", "x"], [7]),
    "number": fault(stop, ["plain", "ada", 7], [7]),
    "first": fault(stop, [7], [7]),
    "name": fault(stop, ["plain", "nobody", "correct horse"], [7]),
    "secret": fault(stop, ["plain", "bob", "wrong"], [7]),
    "count": fault(stop, ada, []),
    "type": fault(stop, ada, ["7"]),
    "server": fault(stop, ada, [7]),
    "negative": fault(stop, ada, [-7]),
})
"#,
        &[],
    )
    .await;
    let expect = |key: &str, code: i32, text: &str| {
        let (got, said) = (&told[key][0], told[key][1].as_str().unwrap_or_default());
        assert_eq!(got, code, "{key}: {said}");
        assert!(said.starts_with(text), "{key}: {said}");
    };
    expect("function", 8001, "function server_strat not found");
    expect("prefix", 8001, "function nobody.server_stop not found");
    for key in ["none", "one", "three", "no arrays", "empty"] {
        expect(key, 1011, "[api.format] ");
    }
    expect("method", 1022, "[api.auth.method] no method `sha1`");
    for key in ["short", "long", "number", "first"] {
        expect(key, 1021, "[api.auth.format] ");
    }
    expect("name", 1091, "[api.auth.username] ");
    expect("secret", 1092, "[api.auth.password] ");
    expect(
        "count",
        1000,
        "[api.internal] server_stop takes 1 (id) arguments, not 0",
    );
    expect(
        "type",
        1000,
        "[api.internal] argument 1 of server_stop, id, is string, and must be int",
    );
    expect("server", 3001, "(-1) [vservers.no_such_server] no server 7");
    expect(
        "negative",
        3001,
        "(-1) [vservers.no_such_server] no server -7",
    );
    assert!(!told.to_string().contains("correct horse"), "{told}");
}

#[tokio::test]
async fn a_password_its_sha_1_and_a_token_prove_the_same_and_guessing_is_locked_out() {
    let house = House::open().await;
    let (_, session) = house.person("bob", "host").await;
    let wish = json!({"label": "rpc"});
    let (status, made) = house
        .call_as(&session, "POST", "/api/v1/tokens", Some(wish))
        .await;
    assert!(status < 300, "{made}");
    let token = made["secret"]
        .as_str()
        .or(made["token"].as_str())
        .expect("a token");
    let told = python(
        &house,
        r#"
import hashlib
ask = lambda name, secret: fault(box.audit_event, ["plain", name, secret], ["x", ""])
password, token = "battery staple bob", os.environ["TOKEN"]
said = {
    "password": ask("bob", password),
    "upper": ask("BOB", password),
    "sha1": ask("bob", hashlib.sha1(password.encode()).hexdigest()),
    "token": ask("bob", token),
    "other": ask("ada", token),
    "guess": ask("bob", token[:-1] + ("A" if token[-1] != "A" else "B")),
}
for _ in range(50):
    code, text = ask("bob", "wrong")
    assert code == 1092, (code, text)
    if "too many" in text: break
said["locked"] = ask("bob", "battery staple bob")
tell(said)
"#,
        &[("TOKEN", token)],
    )
    .await;
    for key in ["password", "upper", "sha1", "token"] {
        assert_eq!(told[key], json!(["no fault", true]), "{key}");
    }
    for key in ["other", "guess", "locked"] {
        assert_eq!(told[key][0], 1092, "{key}: {told}");
    }
    let locked = told["locked"][1].as_str().expect("a text");
    assert!(
        locked.starts_with("[api.auth.password] too many failed attempts"),
        "{locked}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_8002_and_says_where() {
    let house = House::open().await;
    for (inner, why) in [
        ("<int>1", "at byte"),
        ("<nil/>", "nil"),
        ("<base64>***</base64>", "no base64"),
        ("&lol9;", "&lol9;"),
        ("<wild/>", "no type <wild>"),
    ] {
        let call = String::from_utf8(by_ada("server_stop", vec!["HERE".into()])).expect("text");
        let call = call.replace("<string>HERE</string>", inner);
        let (code, text) = said(&post(&house, "/xmlrpc", call.as_bytes()).await).unwrap_err();
        assert_eq!(code, 8002, "{inner}");
        assert!(
            text.contains(why) && !text.contains("correct horse"),
            "{text}"
        );
    }
}

#[tokio::test]
async fn who_may_not_is_told_and_who_may_not_see_finds_nothing() {
    let house = House::with_games(
        &[(
            "plain",
            &crate::common::game(crate::common::WAITS, crate::common::PLAIN),
        )],
        &[],
    )
    .await;
    let id = house.create(json!({"game": "plain"})).await;
    house.person("bob", "player").await;
    house.person("eve", "guest").await;
    let told: Json = python(
        &house,
        r#"
server = int(os.environ["ID"])
bob, eve = (["plain", name, "battery staple " + name] for name in ("bob", "eve"))
tell({
    "status": box.mottdd.server_status(bob, [server]),
    "start": fault(box.server_start, bob, [server]),
    "write": fault(box.server_console_write, bob, [server, "x"]),
    "fetch": fault(box.server_console_fetch, bob, [server, 1]),
    "cmdline": box.server_details(bob, [server])["ottd_cmdline"],
    "unseen": fault(box.server_details, eve, [server]),
    "not running": fault(box.server_console_write, ada, [server, "x"]),
    "version": fault(box.server_version, ada, [server, "99"]),
    "line": fault(box.server_console_write, ada, [server, "two\nlines"]),
    "extra": fault(box.server_start, ada, [server, "-t 1950"]),
    "count": fault(box.server_console_fetch, ada, [server, -1]),
})
"#,
        &[("ID", &id.to_string())],
    )
    .await;
    let codes = [
        "start",
        "write",
        "fetch",
        "unseen",
        "not running",
        "version",
        "line",
        "extra",
        "count",
    ];
    let codes = codes.map(|key| told[key][0].as_i64().unwrap_or_default());
    assert_eq!(
        codes,
        [1101, 1101, 1101, 3001, 3004, 3003, 1102, 1102, 1102],
        "{told:#}"
    );
    assert_eq!(told["status"]["is_ottd_running"], false);
    assert_eq!(told["cmdline"], "");
}
