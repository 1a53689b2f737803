//! What befalls the whole box: its clock is set back, its disk is full.

mod common;

use std::{
    collections::BTreeMap,
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    time::Instant,
};

use common::{
    House, LONGHOUSE, PATIENCE, PLAIN,
    clock::{self, Clock},
    disk::{fill, small_disk},
    game, installed, processes_of, root,
};
use serde_json::{Value, json};

const ECHOES: &str = "
import sys
print('ready')
for line in sys.stdin: print('heard', line, end='')
";

fn time(entry: &Value) -> &str {
    entry["time"].as_str().expect("a time")
}

async fn says(house: &House, id: u64, line: &str) -> Vec<Value> {
    let typed = Some(json!({"line": line}));
    house.ok("POST", &House::at(id, "/console"), typed).await;
    house.hears(id, &format!("heard {line}")).await
}

#[tokio::test]
async fn when_the_clock_is_set_back_nothing_else_goes_back() {
    if !installed(&clock::library()) {
        return;
    }
    let keys = "[ready]\nline = \"ready\"\n[stop]\nconsole = [\"quit\"]\ntimeout = \"500ms\"\nterm = \"5s\"";
    let mut house = House::unlocked(&[]);
    house.stock(&[("echoes", &game(ECHOES, keys))]);
    let folder = tempfile::tempdir().expect("a folder");
    let clock = Clock::new(folder.path().join("clock"));
    clock.set("+0h");
    house.environment = clock.environment();
    house.settle().await;
    let id = house.launch("echoes").await;
    house.until_state(id, "running").await;

    // Keepers take nothing of the daemon's environment: so this one is started by hand, as a daemon would.
    house.kill();
    for pid in processes_of(&house.state()) {
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::SIGKILL).ok();
    }
    let run = house.state().join(format!("servers/{id}/run"));
    let keeper = keeper(&run, &clock);
    house.start();
    let running = house.until_state(id, "running").await;
    says(&house, id, "before").await;
    let (_, session) = house.person("bob", "player").await;
    let made = json!({"label": "an hour", "expires_in_s": 3600});
    let made = house.ok("POST", "/api/v1/tokens", Some(made)).await;
    let hour = made["secret"].as_str().expect("a secret");

    clock.set("-48h");
    let seen = says(&house, id, "after").await;
    for pair in seen.windows(2) {
        assert_eq!(
            pair[0]["seq"].as_u64().map(|seq| seq + 1),
            pair[1]["seq"].as_u64()
        );
        assert!(time(&pair[0]) <= time(&pair[1]), "{pair:#?}");
    }
    // The keeper's clock did go: what was said after is as late as what was said before, and no later.
    let late = |part: &str| {
        let said = |entry: &&Value| entry["text"] == part;
        time(seen.iter().find(said).expect("a line")).to_owned()
    };
    assert_eq!(late("after"), late("heard before"));
    // Sessions and tokens stay good, and new ones too.
    for token in [&*session, hour] {
        assert_eq!(house.call_as(token, "GET", "/api/v1/me", None).await.0, 200);
    }
    let (_, later) = house.person("carol", "player").await;
    assert_eq!(
        house.call_as(&later, "GET", "/api/v1/me", None).await.0,
        200
    );
    let people = house.ok("GET", "/api/v1/accounts", None).await;
    let created = |name: &str| {
        let people = people.as_array().expect("accounts");
        let person = people.iter().find(|person| person["name"] == name);
        let person = person.expect("an account");
        person["created"].as_str().expect("a time").to_owned()
    };
    assert!(
        created("carol") < created("bob"),
        "the daemon's clock did not go back"
    );
    let now = house.ok("GET", &House::at(id, ""), None).await;
    assert_eq!(now["pid"], running["pid"]);
    assert!(now["uptime_s"].as_u64().expect("a number") < 600, "{now:#}");
    // The record of what was done stays in order and whole.
    let audit = house.ok("GET", "/api/v1/audit", None).await;
    let numbers: Vec<_> = audit
        .as_array()
        .expect("records")
        .iter()
        .map(|line| line["seq"].as_u64())
        .collect();
    assert!(numbers.is_sorted(), "{numbers:?}");
    let (exit, out, err) = house.verb(&["audit", "verify"]);
    assert_eq!(exit, 0, "{out}{err}");

    // Deadlines are no moments of that clock: it ignores its stop for 500 ms, and is then told otherwise.
    house.power(id, "stop").await;
    let stopped = house.until_state(id, "stopped").await;
    assert_eq!(stopped["exit"]["signal"], 15, "{stopped:#}");
    // And a daemon that starts in the past finds all as it was.
    house.kill();
    clock.set("-96h");
    house.start();
    house.power(id, "start").await;
    house.until_state(id, "running").await;
    let all = says(&house, id, "again").await;
    assert!(all.is_sorted_by(|one, next| time(one) <= time(next)));
    assert_eq!(
        house.call_as(&session, "GET", "/api/v1/me", None).await.0,
        200
    );
    // Days forward, what had an hour is over.
    clock.set("+48h");
    assert_eq!(house.call_as(hour, "GET", "/api/v1/me", None).await.0, 401);
    drop(keeper);
}

/// What was started by hand is waited for in the end, so that it is no zombie.
struct Keeper(std::process::Child);

impl Drop for Keeper {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// A keeper by that clock; as soon as the one before is wholly dead.
fn keeper(run: &Path, clock: &Clock) -> Keeper {
    let started = Instant::now();
    loop {
        let mut child = Command::new(LONGHOUSE)
            .arg("keeper")
            .arg(run)
            .envs(clock.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("a keeper");
        let mut word = String::new();
        let stdout = child.stdout.take().expect("it was piped");
        BufReader::new(stdout).read_line(&mut word).expect("a word");
        let keeper = Keeper(child);
        if word == "ready\n" {
            return keeper;
        }
        assert!(started.elapsed() < PATIENCE, "{word}");
    }
}

/// Whether a change is taken. When not, then for want of room; when it is, the disk is as full again.
async fn kept(house: &House, filler: &Path, method: &str, path: &str, wish: Value) -> bool {
    let (status, answer) = house.call(method, path, Some(wish)).await;
    if status < 300 {
        fill(filler);
        return true;
    }
    let told = (status, answer["code"].as_str());
    assert_eq!(told, (507, Some("disk-full")), "{method} {path}: {answer}");
    false
}

#[tokio::test]
async fn a_full_disk_refuses_changes_and_nothing_else_and_recovers_by_itself() {
    if !root("a disk of one's own") {
        return;
    }
    let mut house = House::unlocked(&["hosting.console=512K".into()]);
    small_disk(&house.state());
    // Room for large records, so that few of them fill what is set aside for the store.
    let mut keys = PLAIN.to_owned();
    let names: Vec<_> = (0..60).map(|n| format!("pad{n}")).collect();
    for name in &names {
        keys += &format!(
            "\n[settings.{name}]\ntype = \"text\"\ndescription = \"\"\ndefault = \"\"\nmax = 256"
        );
    }
    house.stock(&[("echoes", &game(ECHOES, &keys))]);
    house.settle().await;
    let id = house.launch("echoes").await;
    let running = house.until_state(id, "running").await;
    let path = House::at(id, "");
    let title = |n: u64| {
        let settings: BTreeMap<_, _> = names.iter().map(|name| (name, "x".repeat(250))).collect();
        json!({"title": format!("title {n}"), "settings": settings})
    };

    let filler = house.state().join("filler");
    let mut known = 0;
    for round in 0..2 {
        fill(&filler);
        // What has room already may still be kept, and a small change longer than a large one. What was kept is
        // known from the answer.
        let mut sent = known;
        loop {
            sent += 1;
            if !kept(&house, &filler, "PATCH", &path, title(sent)).await {
                break;
            }
            known = sent;
        }
        let mut people = 0;
        loop {
            people += 1;
            let wish = json!({"name": format!("eve{round}-{people}")});
            if !kept(&house, &filler, "POST", "/api/v1/accounts", wish).await {
                break;
            }
        }
        // Reads go on, and so does the game.
        let now = house.ok("GET", &path, None).await;
        assert_eq!(now["title"], format!("title {known}"));
        assert_eq!(now["pid"], running["pid"]);
        assert_eq!(now["state"], "running");
        house.console(id).await;
        house.ok("GET", "/api/v1/audit?count=10", None).await;
        let all = house.ok("GET", "/api/v1/accounts", None).await;
        let mine = format!("eve{round}-");
        let eves = all.as_array().expect("accounts").iter();
        let eves = eves.filter(|one| {
            one["name"]
                .as_str()
                .is_some_and(|name| name.starts_with(&mine))
        });
        assert_eq!(
            eves.count() + 1,
            people,
            "all that were kept, and none that was refused"
        );
        house.metrics().await;
        if round == 1 {
            // It may even be killed and started, and loses nothing.
            house.kill();
            house.start();
            let now = house.until_state(id, "running").await;
            assert_eq!(now["title"], format!("title {known}"));
            assert_eq!(now["pid"], running["pid"]);
        }
        std::fs::remove_file(&filler).expect("the file");
        known = sent + 1;
        let now = house.ok("PATCH", &path, Some(title(known))).await;
        assert_eq!(now["title"], format!("title {known}"));
        says(&house, id, &format!("round {round}")).await;
    }
    house.kill();
    house.start();
    let now = house.until_state(id, "running").await;
    assert_eq!(now["title"], format!("title {known}"));
    assert_eq!(now["pid"], running["pid"]);
    let (exit, out, err) = house.verb(&["check"]);
    assert_eq!(exit, 0, "{out}{err}");
    house.power(id, "stop").await;
    house.until_state(id, "stopped").await;
}
