//! Who may write a schedule, whose rights it has, and what is refused.

use serde_json::{Value, json};

use crate::{
    add, at,
    common::{House, code},
    ended, open, run,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_schedule_asks_for_the_verbs_of_its_steps_when_it_is_written_and_when_it_runs() {
    let (house, server) = open().await;
    let (bob, token) = house.person("bob", "player").await;
    let wish = |steps: Value| Some(json!({ "cron": "0 0 29 2 *", "steps": steps }));
    let grant = |verbs: Value| {
        let wish = json!({ "account": bob, "server": server, "verbs": verbs });
        let house = &house;
        async move { house.ok("PUT", "/api/v1/grants", Some(wish)).await }
    };
    let write = |steps: Value| {
        let (house, token) = (&house, &token);
        async move {
            let path = at(server, "");
            house.call_as(token, "POST", &path, wish(steps)).await
        }
    };

    assert_eq!(code(&write(json!(["start"])).await), (403, "forbidden"));
    grant(json!(["server.configure"])).await;
    assert_eq!(code(&write(json!(["start"])).await), (403, "forbidden"));
    assert_eq!(code(&write(json!(["command x"])).await), (403, "forbidden"));
    assert_eq!(write(json!(["wait 1s"])).await.0, 201);
    grant(json!(["server.configure", "server.power", "console.write"])).await;
    let (status, made) = write(json!(["start", "command secret word"])).await;
    assert_eq!((status, &made["author"]), (201, &json!("bob")), "{made}");
    let schedule = made["id"].as_u64().expect("an id");
    let last = run(&house, server, schedule).await;
    assert_eq!(last["outcome"], "done", "{last}");
    let audit = house.ok("GET", "/api/v1/audit?count=100", None).await;
    let steps = audit.as_array().expect("records").iter();
    let mut steps = steps.filter(|line| line["action"] == "schedule.steps");
    let line = steps.next().expect("a record of the run");
    assert_eq!(
        (&line["name"], &line["door"]),
        (&json!("bob"), &json!("box")),
        "{line}"
    );
    assert_eq!(line["detail"]["schedule"], schedule, "{line}");

    // Who may only look sees no line that may be a password.
    let (_, eve) = house.person("eve", "player").await;
    let path = at(server, &format!("/{schedule}"));
    let (_, seen) = house.call_as(&eve, "GET", &path, None).await;
    assert_eq!(seen["steps"], json!(["start", "command secret ..."]));
    for (method, below, body) in [
        ("PATCH", "", Some(json!({ "name": "x" }))),
        ("DELETE", "", None),
        ("POST", "/run", None),
    ] {
        let refused = house
            .call_as(&eve, method, &format!("{path}{below}"), body)
            .await;
        assert_eq!(code(&refused), (403, "forbidden"), "{method}{below}");
    }

    // What bob may do is asked anew for each run, before its first step.
    house.power(server, "stop").await;
    house.until_state(server, "stopped").await;
    grant(json!(["server.configure", "server.power"])).await;
    let last = run(&house, server, schedule).await;
    let why = last["why"].as_str().unwrap_or_default();
    assert!(
        why.contains("bob may not") && why.contains("console.write"),
        "{last}"
    );
    let view = house.ok("GET", &House::at(server, ""), None).await;
    assert_eq!(view["state"], "stopped", "nothing was begun");
    house
        .ok(
            "PATCH",
            &format!("/api/v1/accounts/{bob}"),
            Some(json!({ "disabled": true })),
        )
        .await;
    let last = run(&house, server, schedule).await;
    assert!(
        last["why"]
            .as_str()
            .unwrap_or_default()
            .contains("gone or disabled"),
        "{last}"
    );

    // Whoever changes it is who it acts as.
    let (status, changed) = house
        .call(
            "PATCH",
            &path,
            Some(json!({ "name": "mine", "steps": ["start"] })),
        )
        .await;
    assert_eq!(
        (status, &changed["author"]),
        (200, &json!("ada")),
        "{changed}"
    );
    house.ok("POST", &format!("{path}/run"), None).await;
    assert_eq!(ended(&house, server, schedule).await["outcome"], "done");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wish_that_makes_no_sense_is_refused_with_its_field() {
    let (house, server) = open().await;
    for (wish, field) in [
        (json!({ "cron": "* * *", "steps": ["stop"] }), "cron"),
        (json!({ "cron": "0 0 30 2 *", "steps": ["stop"] }), "cron"),
        (
            json!({ "cron": "@daily", "zone": "Mars", "steps": ["stop"] }),
            "zone",
        ),
        (json!({ "cron": "@daily", "steps": [] }), "steps"),
        (
            json!({ "cron": "@daily", "steps": vec!["stop"; 17] }),
            "steps",
        ),
        (
            json!({ "cron": "@daily", "steps": ["stop", "jump"] }),
            "steps[1]",
        ),
        (
            json!({ "cron": "@daily", "steps": ["stop"], "name": "a\nb" }),
            "name",
        ),
        (
            json!({ "cron": "@daily", "steps": ["stop"], "name": " " }),
            "name",
        ),
    ] {
        let answer = house
            .call("POST", &at(server, ""), Some(wish.clone()))
            .await;
        assert_eq!(code(&answer), (422, "bad-field"), "{wish}");
        assert_eq!(answer.1["field"], field, "{wish}: {}", answer.1);
    }
    for index in 0..32 {
        add(&house, server, &["stop"]).await;
        let list = house.ok("GET", &at(server, ""), None).await;
        assert_eq!(list.as_array().map(Vec::len), Some(index + 1));
    }
    let wish = json!({ "cron": "@daily", "steps": ["stop"] });
    let answer = house.call("POST", &at(server, ""), Some(wish)).await;
    assert_eq!(code(&answer), (409, "too-many-schedules"));

    let query = "/moments?cron=30+2+*+*+*&zone=America/New_York&count=3";
    let seen = house.ok("GET", &at(server, query), None).await;
    assert_eq!(
        (&seen["zone"], seen["moments"].as_array().map(Vec::len)),
        (&json!("America/New_York"), Some(3))
    );
    assert_eq!(
        code(&house.call("GET", &at(server, "/moments"), None).await),
        (400, "bad-query")
    );
    assert_eq!(
        code(&house.call("GET", &at(99, ""), None).await),
        (404, "no-such-server")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn the_command_line_does_all_of_it() {
    let (house, server) = open().await;
    let server = server.to_string();
    let verb = |arguments: &[&str]| {
        let (exit, out, told) = house.verb(&[&["schedule"], arguments].concat());
        assert_eq!(exit, 0, "{arguments:?}: {told}");
        (out, told)
    };
    let (id, told) = verb(&[
        "add",
        &server,
        "0 4 * * *",
        "start",
        "command hello",
        "--zone",
        "utc",
    ]);
    assert!(
        told.contains("runs next at") && told.contains("in UTC"),
        "{told}"
    );
    let id = id.trim();
    verb(&["run", &server, id]);
    let (shown, _) = verb(&["list", &server]);
    for part in [
        "0 4 * * *",
        "start, command",
        "done",
        "box",
        "start; command hello",
    ] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    verb(&[
        "set",
        &server,
        id,
        "--disable",
        "--name",
        "nightly",
        "--cron",
        "@weekly",
    ]);
    let (shown, _) = verb(&["list", &server]);
    assert!(
        shown.contains("nightly") && shown.contains("disabled") && shown.contains("@weekly"),
        "{shown}"
    );
    verb(&["delete", &server, id]);
    let (exit, _, told) = house.verb(&["schedule", "run", &server, id]);
    assert_eq!(exit, 1);
    assert!(told.contains("has no schedule"), "{told}");
}
