//! What each verb asks, prints, and exits with.

use std::{
    fs,
    os::unix::fs::PermissionsExt as _,
    process::{Command, Stdio},
    sync::{Arc, Mutex},
};

use longhouse::store::{Catalog, StateLock, Store, StoreError, Tx};
use serde_json::json;

use crate::{
    Box,
    fake::{Console, Fake, Reply, ok},
    friendly, server, told,
};

#[test]
fn each_verb_asks_what_it_should() {
    let house = Box::new();
    for (line, input, asks) in [
        ("status", "", &["GET /status"][..]),
        ("doctor", "", &["GET /doctor"]),
        ("check", "", &["GET /check"]),
        ("server list", "", &["GET /servers"]),
        ("server show ada_3", "", &["GET /servers", "GET /servers/3"]),
        (
            "server create openttd --title T --set password=1234 --set size=8 --memory 1M --class 0 --restart never",
            "",
            &[
                "GET /games",
                r#"POST /servers {"class":0,"game":"openttd","limits":{"cpu_percent":null,"disk":null,"memory":1048576,"pids":null,"players":null},"restart":"never","settings":{"password":"1234","size":8},"title":"T"}"#,
            ],
        ),
        (
            "server start 3",
            "",
            &["GET /servers/3", "POST /servers/3/start", "GET /servers/3"],
        ),
        (
            "server stop 3 --no-wait",
            "",
            &["GET /servers/3", "POST /servers/3/stop"],
        ),
        (
            "server restart 3 --no-wait",
            "",
            &["GET /servers/3", "POST /servers/3/restart"],
        ),
        (
            "server kill 3 --no-wait",
            "",
            &["GET /servers/3", "POST /servers/3/kill"],
        ),
        (
            "server delete 3 --confirm ada_3",
            "",
            &["GET /servers/3", "DELETE /servers/3?confirm=ada_3"],
        ),
        (
            "server set 3 --pids none --unset map --title X",
            "",
            &[
                "GET /servers/3",
                r#"PATCH /servers/3 {"limits":{"cpu_percent":null,"disk":null,"memory":1048576,"pids":null,"players":null},"settings":{"map":null},"title":"X"}"#,
            ],
        ),
        ("game list", "", &["GET /games"]),
        ("voice list", "", &["GET /voice/channels"]),
        ("voice create", "", &["POST /voice/channels {}"]),
        (
            "voice create --title Lobby",
            "",
            &[r#"POST /voice/channels {"title":"Lobby"}"#],
        ),
        (
            "voice delete 5",
            "",
            &["GET /voice/channels/5", "DELETE /voice/channels/5"],
        ),
        (
            "voice kick 5 9",
            "",
            &[
                "GET /voice/channels/5",
                "DELETE /voice/channels/5/members/9",
            ],
        ),
        (
            "voice kick 5 ada",
            "",
            &[
                "GET /voice/channels/5",
                "DELETE /voice/channels/5/members/7",
            ],
        ),
        ("voice stats", "", &["GET /voice/stats"]),
        (
            "voice stats 5",
            "",
            &["GET /voice/channels/5", "GET /voice/channels/5"],
        ),
        (
            "voice watch",
            "",
            &[
                "GET /voice/live",
                "GET /voice/channels",
                "GET /voice/channels",
            ],
        ),
        (
            "voice watch 5 --json",
            "",
            &["GET /voice/channels/5", "GET /voice/live?channel=5"],
        ),
        ("lobby rooms", "", &["GET /lobby/rooms"]),
        ("lobby players --json", "", &["GET /lobby/players"]),
        (
            "lobby tables --room chess",
            "",
            &[
                "GET /lobby/rooms",
                "GET /lobby/tables?room=2",
                "GET /lobby/rooms",
            ],
        ),
        ("lobby games", "", &["GET /lobby/games"]),
        (
            "lobby chat --room 2 -n 9 --json",
            "",
            &["GET /lobby/rooms/2", "GET /lobby/chat?room=2&count=9"],
        ),
        (
            "lobby say hello",
            "",
            &[r#"POST /lobby/chat {"room":null,"text":"hello"}"#],
        ),
        (
            "lobby say --room 2 hello",
            "",
            &[
                "GET /lobby/rooms/2",
                r#"POST /lobby/chat {"room":2,"text":"hello"}"#,
            ],
        ),
        (
            "lobby kick e%e --reason rude",
            "",
            &[r#"POST /lobby/players/e%25e/kick {"reason":"rude"}"#],
        ),
        (
            "lobby ban eve",
            "",
            &[r#"POST /lobby/players/eve/ban {"reason":null}"#],
        ),
        ("lobby bans", "", &["GET /lobby/bans"]),
        ("lobby unban mallory", "", &["DELETE /lobby/bans/mallory"]),
        (
            "lobby rankings chess -n 3",
            "",
            &["GET /lobby/rankings?game=chess&count=3"],
        ),
        (
            "lobby matches --game chess --account bob",
            "",
            &["GET /lobby/matches?game=chess&account=bob&count=20"],
        ),
        ("lobby saved", "", &["GET /lobby/savegames"]),
        (
            "lobby resume chess 1",
            "",
            &[
                "GET /lobby/savegames",
                r#"POST /lobby/savegames/resume {"file":"match-1","room":"chess","since":"2026-01-01T00:00:00.000Z","table":1}"#,
            ],
        ),
        (
            "lobby launch Chess --bots 2",
            "",
            &[
                "GET /lobby/rooms",
                r#"POST /lobby/tables {"description":"","room":2,"seats":[{"kind":"bot"},{"kind":"bot"}]}"#,
            ],
        ),
        (
            "lobby end chess 3",
            "",
            &["GET /lobby/rooms", "DELETE /lobby/tables/2/3"],
        ),
        ("lobby definitions", "", &["GET /lobby/definitions"]),
        (
            "lobby define room den -",
            "title = 'Den'\n",
            &[r#"PUT /lobby/definitions/rooms/den {"toml":"title = 'Den'\n"}"#],
        ),
        (
            "lobby remove game chess",
            "",
            &["DELETE /lobby/definitions/tables/chess"],
        ),
        (
            "lobby forget room den",
            "",
            &["DELETE /lobby/definitions/rooms/den/override"],
        ),
        ("lobby watch --json", "", &["GET /lobby/live"]),
        (
            "user add eve --role admin --password-stdin",
            "horse staple\n",
            &[r#"POST /accounts {"name":"eve","password":"horse staple","role":"admin"}"#],
        ),
        (
            "user add eve --no-password",
            "",
            &[r#"POST /accounts {"name":"eve","role":"player"}"#],
        ),
        ("user list", "", &["GET /accounts"]),
        ("user show bob", "", &["GET /accounts", "GET /accounts/2"]),
        (
            "user edit bob --mail b@example.org --role host",
            "",
            &[
                "GET /accounts",
                r#"PATCH /accounts/2 {"mail":"b@example.org","role":"host"}"#,
            ],
        ),
        (
            "user confirm bob",
            "",
            &["GET /accounts", r#"PATCH /accounts/2 {"confirmed":true}"#],
        ),
        (
            "user permissions bob",
            "",
            &["GET /accounts", "GET /lobby/permissions/2"],
        ),
        (
            "user permissions bob registered,chat_announce",
            "",
            &["GET /accounts", r#"PUT /lobby/permissions/2 {"mask":23}"#],
        ),
        (
            "user permissions bob default",
            "",
            &["GET /accounts", r#"PUT /lobby/permissions/2 {"mask":null}"#],
        ),
        (
            "user role bob admin",
            "",
            &["GET /accounts", r#"PATCH /accounts/2 {"role":"admin"}"#],
        ),
        (
            "user disable bob",
            "",
            &["GET /accounts", r#"PATCH /accounts/2 {"disabled":true}"#],
        ),
        (
            "user enable bob",
            "",
            &["GET /accounts", r#"PATCH /accounts/2 {"disabled":false}"#],
        ),
        (
            "user passwd bob --password-stdin",
            "new secret\r\n",
            &[
                "GET /accounts",
                r#"POST /accounts/2/password {"new":"new secret"}"#,
            ],
        ),
        ("token list", "", &["GET /tokens", "GET /accounts"]),
        (
            "token create bob bot --scope console.read --expires 1h",
            "",
            &[
                "GET /accounts",
                r#"POST /tokens {"account":2,"expires_in_s":3600,"label":"bot","scopes":["console.read"]}"#,
            ],
        ),
        ("token revoke 4", "", &["DELETE /tokens/4"]),
        (
            "grant list",
            "",
            &["GET /grants", "GET /accounts", "GET /servers"],
        ),
        (
            "grant set bob 3 console.read",
            "",
            &[
                "GET /accounts",
                "GET /servers/3",
                r#"PUT /grants {"account":2,"server":3,"verbs":["console.read"]}"#,
            ],
        ),
        ("audit list", "", &["GET /audit?count=50"]),
        (
            "audit list --since 4 -n 9",
            "",
            &["GET /audit?since=4&count=9"],
        ),
        ("audit verify", "", &["GET /audit/verify"]),
    ] {
        let fake = Fake::start(&house.state(), friendly);
        let (code, out, err) = house.run_with(line, input);
        assert_eq!(code, 0, "{line}: {out}{err}");
        assert_eq!(fake.seen(), asks, "{line}");
        assert!(!err.contains("horse") && !out.contains("horse"));
    }
}

#[test]
fn the_lobby_is_shown_as_people_read_it() {
    let house = Box::new();
    let _fake = Fake::start(&house.state(), friendly);
    for (line, shown) in [
        (
            "lobby rooms",
            "ID  NAME   TITLE       GAME   PLAYERS  TABLES\n2   chess  Chess Room  chess  1/9      1/5\n",
        ),
        (
            "lobby players",
            "NAME  KIND   ROOM   TABLE  LAG  STANDING\neve   guest  chess  1      1    -\n",
        ),
        (
            "lobby tables",
            "ROOM   TABLE  STATE    SEATS     WATCHING  DESCRIPTION\nchess  1      waiting  eve, bot  1         a & b\n",
        ),
        (
            "lobby games",
            "ID  TITLE  VERSION  SEATS  BOTS  ENGINE\n0   Chess  1        2      1     Longhouse Chess 1\n",
        ),
        (
            "lobby chat",
            "AT                        ROOM   WHO  SAID\n2026-01-01T00:00:00.000Z  chess  eve  hi\\x1b\n",
        ),
        (
            "lobby rankings chess",
            "PLACE  NAME  SCORE\n1      bob   1515\n",
        ),
        (
            "lobby matches",
            "ID  AT                        GAME   ROOM   PLAYERS\n9   2026-01-01T00:00:00.000Z  chess  chess  bob win 1500 -> 1515, eve loss\n",
        ),
        ("lobby launch chess", "3\n"),
        (
            "lobby definitions",
            "rooms    entry, chess\ngames    chess\nremoved  den\nfault    den: no title\n",
        ),
        ("lobby watch", "chess: eve says: hi\nchess: eve leaves\n"),
    ] {
        let (exit, out, why) = house.run(line);
        assert_eq!((exit, out.as_str()), (0, shown), "{line}: {why}");
    }
    let (exit, _, why) = house.run("lobby end nowhere 3");
    assert_eq!(exit, 1);
    assert_eq!(
        why,
        "error: no room `nowhere`\nhint: `longhouse lobby rooms` shows numbers, names and titles\n"
    );
}

#[test]
fn tables_are_on_standard_output_and_json_is_what_the_daemon_said() {
    let house = Box::new();
    let _fake = Fake::start(&house.state(), friendly);
    let (_, out, err) = house.run("server list");
    assert_eq!(
        out,
        "ID  NAME   TITLE          GAME     STATE    PORTS  UP\n3   ada_3  Trains & more  openttd  running  7200   -\n"
    );
    assert_eq!(err, "");
    let (_, out, _) = house.run("--json server list");
    assert_eq!(out, format!("{}\n", json!([server("running")])));
    let (_, out, err) = house.run("token create bob bot");
    assert_eq!(out, "lh_secret\n");
    assert!(err.contains("this once"), "{err}");
    let (_, out, _) = house.run("game list");
    assert!(out.contains("no: openttd is not installed"), "{out}");
    let (_, out, _) = house.run("grant list");
    assert!(out.contains("bob   ada_3   console.read"), "{out}");
}

#[test]
fn people_are_shown_with_what_keeps_them_out_and_what_they_may() {
    let house = Box::new();
    let _fake = Fake::start(&house.state(), friendly);
    let (_, out, _) = house.run("user list");
    assert_eq!(
        out,
        "ID  NAME  ROLE  ENABLED      LAST LOGIN  MAIL\n1   ada   host  yes          -           -\n2   bob   host  unconfirmed  -           -\n"
    );
    let (_, out, _) = house.run("user show bob");
    assert!(out.contains("enabled     unconfirmed\n"), "{out}");
    let (_, out, _) = house.run("user permissions bob host");
    assert_eq!(
        out,
        "mask  0x00000017\nmay   join_table, launch_table, rooms_login, chat_announce\n"
    );
    let (_, out, _) = house.run("user permissions bob");
    assert_eq!(out, "mask  default: as the role says\n");
    assert_eq!(house.run("user permissions bob king").0, 2);
}

#[test]
fn voice_is_shown_by_title_by_name_and_in_figures() {
    let house = Box::new();
    let fake = Fake::start(&house.state(), friendly);
    let (_, out, err) = house.run("voice list");
    assert_eq!(
        out,
        "ID  TITLE         PORT   MEMBERS  TALKING\n5   Lobby & more  40000  2        1\n"
    );
    assert_eq!(err, "");
    let (_, out, err) = house.run("voice create");
    assert_eq!(
        (&*out, &*err),
        ("5\n", "created `Lobby & more` on UDP port 40000\n")
    );
    let (_, out, _) = house.run("voice stats");
    for line in [
        "commands         77",
        "drops.overrun    8",
        "signer           c0ffee",
    ] {
        assert!(
            out.lines().any(|found| found == line),
            "{line} is missing in\n{out}"
        );
    }
    let (_, out, err) = house.run("voice watch");
    assert_eq!(
        out,
        "5 Lobby & more: ada (7) talks\n5 Lobby & more: guest 9 was silent for too long\n5 Lobby & more: deleted\n"
    );
    assert_eq!(err, "3 events were missed\n");
    let (_, out, err) = house.run("--json voice watch");
    let news: Vec<serde_json::Value> = out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!((news.len(), &news[1]["missed"]), (4, &json!(3)), "{err}");
    let asked = fake.seen().len();
    let output = house
        .command("voice delete")
        .arg("lobby & MORE")
        .output()
        .unwrap();
    let (code, _, err) = told(output);
    assert_eq!((code, &*err), (0, "deleted 5 (`Lobby & more`)\n"));
    assert_eq!(
        fake.seen()[asked..],
        ["GET /voice/channels", "DELETE /voice/channels/5"]
    );
}

#[test]
fn a_channel_or_a_member_that_is_not_there_is_told_with_a_hint() {
    let house = Box::new();
    let _fake = Fake::start(&house.state(), friendly);
    let (code, _, err) = house.run("voice delete Nowhere");
    assert_eq!(
        (code, &*err),
        (
            1,
            "error: no voice channel `Nowhere`\nhint: `longhouse voice list` shows ids and titles\n"
        )
    );
    let (code, _, err) = house.run("voice kick 5 bob");
    assert_eq!(code, 1);
    assert!(
        err.starts_with("error: nobody in voice channel 5 is called `bob`\nhint: "),
        "{err}"
    );
}

#[test]
fn what_the_daemon_refuses_is_told_in_its_words_with_exit_code_1() {
    let house = Box::new();
    let _fake = Fake::start(&house.state(), |_| {
        Reply::Say(
            507,
            json!({"status": 507, "code": "disk-full", "detail": "The disk is full.", "hint": "Make room."}).to_string(),
        )
    });
    let (code, out, err) = house.run("server list");
    assert_eq!(
        (code, &*out, &*err),
        (1, "", "error: the disk is full\nhint: make room\n")
    );
}

#[test]
fn a_daemon_that_answers_nonsense_or_dies_in_the_middle_is_told() {
    let house = Box::new();
    for (raw, says) in [
        (&b"SSH-2.0-OpenSSH_9.2\r\n"[..], "makes no sense"),
        (
            b"HTTP/1.1 200 X\r\nContent-Length: 100\r\n\r\n[",
            "in the middle",
        ),
        (b"", "in the middle"),
        (
            b"HTTP/1.1 200 X\r\nContent-Length: 1\r\n\r\n[",
            "makes no sense",
        ),
        (
            b"HTTP/1.1 502 X\r\nContent-Length: 1\r\n\r\n<",
            "makes no sense",
        ),
    ] {
        let _fake = Fake::start(&house.state(), move |_| Reply::Raw(raw.into()));
        let (code, out, err) = house.run("server list");
        assert_eq!((code, &*out), (1, ""), "{err}");
        assert!(err.starts_with("error: ") && err.contains(says), "{err}");
    }
}

#[test]
fn without_a_daemon_the_hint_says_how_to_start_one() {
    let house = Box::new();
    for stale in [false, true] {
        if stale {
            drop(
                std::os::unix::net::UnixListener::bind(house.state().join("control.sock")).unwrap(),
            );
        }
        let (code, out, err) = house.run("server list");
        assert_eq!((code, &*out), (3, ""));
        let hint = format!("`longhouse --state {} serve`", house.state().display());
        assert!(
            err.contains("no daemon answers") && err.contains(&hint),
            "{err}"
        );
    }
}

#[test]
fn a_faulty_configuration_is_told_as_a_whole_and_nothing_starts() {
    let house = Box::new();
    let (code, _, err) = house.run("serve --set http.listen=nowhere --set no.such=1");
    assert_eq!(code, 3);
    assert!(err.contains("nowhere") && err.contains("no.such"), "{err}");
    assert!(err.lines().all(|line| line.starts_with("error: ")), "{err}");
    fs::write(house.state().join("longhouse.toml"), "a = 1\nb = 2\n").unwrap();
    let (code, out, err) = house.run("check");
    assert_eq!((code, out.lines().count()), (1, 2), "{out}{err}");
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let house = Box::new();
    assert_eq!(house.run("server fly").0, 2);
    assert_eq!(house.run("--help").0, 0);
    let _fake = Fake::start(&house.state(), friendly);
    let (code, _, err) = house.run("user add eve");
    assert_eq!(code, 2);
    assert!(err.contains("hint: add --password-stdin"), "{err}");
    let (code, _, err) = house.run("server delete 3");
    assert_eq!(code, 2);
    assert!(err.contains("hint: add --confirm NAME"), "{err}");
    let (code, _, err) = house.run("server delete 3 --confirm 3");
    assert_eq!(code, 1, "{err}");
}

#[test]
fn a_reader_that_goes_away_is_fine() {
    let house = Box::new();
    let _fake = Fake::start(&house.state(), friendly);
    for line in ["server list", "man", "completions bash"] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let output = house
            .command(line)
            .stdout(writer)
            .stderr(Stdio::piped())
            .output();
        assert_eq!(told(output.unwrap()), (0, String::new(), String::new()));
    }
}

#[test]
fn a_state_folder_too_deep_for_a_socket_address_works() {
    let house = Box::new();
    let deep = house.path(&"deep/".repeat(40));
    fs::create_dir_all(&deep).unwrap();
    let fake = Fake::start(&deep, friendly);
    let output = house.command_in(&deep, "status").output().unwrap();
    assert_eq!(told(output).0, 0);
    assert_eq!(fake.seen(), ["GET /status"]);
}

#[test]
fn waiting_tells_each_state_and_ends_with_the_outcome() {
    let house = Box::new();
    for (end, code, says) in [
        ("running", 0, "ada_3: running, pid 4711, ports 7200"),
        ("failed", 1, "error: ada_3 is failed: exit code 1"),
    ] {
        let looks = Mutex::new(0);
        let _fake = Fake::start(&house.state(), move |asked| {
            let mut looks = looks.lock().unwrap();
            *looks += i32::from(asked == "GET /servers/3");
            let mut now = server(["stopped", "starting", end][(*looks - 1).min(2) as usize]);
            if *looks > 2 && end == "failed" {
                now["exit"] = json!({"at": "2026-01-01T00:00:00.000Z", "code": 1, "signal": null, "reason": "exit code 1"});
                now["starts"] = 2.into();
            }
            ok(now)
        });
        let (exit, out, err) = house.run("server start 3");
        assert_eq!((exit, &*out), (code, ""), "{err}");
        assert!(
            err.contains("ada_3: starting\n") && err.contains(says),
            "{err}"
        );
    }
}

#[test]
fn a_backup_replaces_a_file_only_as_a_whole() {
    let house = Box::new();
    let file = house.path("box.backup");
    fs::write(&file, "old").unwrap();
    let line = format!("backup {}", file.display());
    let half = b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nnew\r\n";
    let whole = [&half[..], b"0\r\n\r\n"].concat();
    {
        let _fake = Fake::start(&house.state(), |_| Reply::Raw(half.to_vec()));
        let (code, _, err) = house.run(&line);
        assert_eq!(code, 1);
        assert!(err.contains("in the middle"), "{err}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "old");
    }
    let _fake = Fake::start(&house.state(), move |_| Reply::Raw(whole.clone()));
    assert_eq!(house.run(&line).0, 0);
    assert_eq!(fs::read_to_string(&file).unwrap(), "new");
    let mode = fs::metadata(&file).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let names = fs::read_dir(house.path("")).unwrap();
    assert_eq!(names.count(), 2, "only the state folder and the backup");
    assert_eq!(house.run("backup -").1, "new");
    let (code, _, err) = house.run("backup /dev/null");
    assert_eq!(code, 1);
    assert!(err.contains("no plain file"), "{err}");
}

#[test]
fn a_backup_is_restored_into_an_empty_folder_and_only_there() {
    let house = Box::new();
    let (file, catalog) = (house.path("box.backup"), Catalog::new());
    {
        let store = Store::open(&house.path("old")).unwrap();
        let count = |tx: &mut Tx<'_>| tx.next_id("server");
        store.write_blocking::<_, StoreError>(count).unwrap();
        let out = fs::File::create(&file).unwrap();
        store.backup(&catalog, "now", out).unwrap();
    }
    let line = format!("restore {}", file.display());
    let lock = StateLock::take(&house.state()).unwrap();
    let (code, _, err) = house.run(&line);
    assert_eq!(code, 3, "{err}");
    let pid = format!("process {}", std::process::id());
    assert!(err.contains("in use by") && err.contains(&pid), "{err}");
    drop(lock);

    let (code, _, err) = house.run("restore /dev/null");
    assert_eq!(code, 1, "{err}");
    let (code, out, err) = house.run(&format!("--json {line}"));
    assert_eq!(code, 0, "{err}");
    assert!(out.starts_with(r#"{"records":"#), "{out}");
    let (code, _, err) = house.run(&line);
    assert_eq!(code, 1);
    assert!(err.contains("not empty"), "{err}");

    let (code, out, err) = house.run("check");
    assert_eq!((code, &*out), (0, ""), "{err}");
    assert!(
        err.contains("no daemon runs") && err.contains("no faults"),
        "{err}"
    );
}

/// A box with one server and this console.
pub(crate) fn with_console(console: &Arc<Console>) -> impl Fn(&str) -> Reply + use<> {
    let console = Arc::clone(console);
    move |asked| match asked {
        live if live.contains("/console/live") => Reply::Live(console.clone()),
        past if past.contains("/console?count") => ok(console.frame(1)),
        other => friendly(other),
    }
}

#[test]
fn a_console_in_a_pipe_types_each_line_and_ends_when_all_is_said() {
    let house = Box::new();
    let console = Arc::new(Console::default());
    console.add("stdout", "long ago");
    let _fake = Fake::start(&house.state(), with_console(&console));
    let (code, out, err) = house.run_with("server console 3", "save one\nquit");
    assert_eq!(
        (code, &*out),
        (0, "> save one\ndid save one\n> quit\ndid quit\n"),
        "{err}"
    );
    let (_, out, _) = house.run_with("--json server console 3 --since 1", "");
    let frame: serde_json::Value = serde_json::from_str(out.lines().next().unwrap()).unwrap();
    assert_eq!(frame["entries"][0]["text"], "long ago");
}

#[test]
fn a_log_is_shown_without_what_a_terminal_would_obey() {
    let house = Box::new();
    let console = Arc::new(Console::default());
    console.add("log", "started");
    console.add("stdout", "\u{1b}[31mred\u{1b}[0m \u{1b}]0;owned\u{7}");
    let _fake = Fake::start(&house.state(), with_console(&console));
    let (code, out, _) = house.run("server log 3");
    assert_eq!((code, &*out), (0, "-- started\nred \\x1b]0;owned\\x07\n"));
}

#[test]
fn completions_and_the_manual_know_every_verb_but_the_keeper() {
    let house = Box::new();
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, _) = house.run(&format!("completions {shell}"));
        assert!(code == 0 && script.contains("on-failure"), "{shell}");
    }
    let (code, page, _) = house.run("man");
    assert!(code == 0 && page.contains("no\\-wait") && !page.contains("keeper"));
    let folder = house.path("man");
    assert_eq!(house.run(&format!("man {}", folder.display())).0, 0);
    assert!(folder.join("longhouse-server-console.1").exists());
    let formatted = Command::new("man")
        .arg("-l")
        .arg(folder.join("longhouse.1"))
        .output();
    if let Ok(output) = formatted {
        assert!(output.status.success());
    }
}
