//! What was up when the box went down comes back as far as there is memory for it.

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};
use serde_json::json;

use crate::{
    GUESTS, PLAYERS,
    common::{House, PATIENCE, code, game, processes_of},
};

/// As a box that loses its power: the daemon, the keepers and the games.
fn power_cut(house: &mut House) {
    house.kill();
    let before = std::time::Instant::now();
    loop {
        let left = processes_of(&house.state());
        if left.is_empty() {
            return;
        }
        for process in left {
            kill(Pid::from_raw(process), Signal::SIGKILL).ok();
        }
        assert!(before.elapsed() < PATIENCE, "they stay");
        std::thread::yield_now();
    }
}

#[tokio::test]
async fn what_does_not_fit_any_more_stays_down_and_says_why() {
    let guests = game(GUESTS, PLAYERS);
    let mut house = House::with_games(&[("guests", &guests)], &[]).await;
    let sized = |memory: u64| json!({"game": "guests", "limits": {"memory": memory << 20}});
    let mut ids = Vec::new();
    for memory in [700, 700, 200] {
        let id = house.create(sized(memory)).await;
        house.power(id, "start").await;
        ids.push(id);
    }
    for id in &ids {
        house.until_state(*id, "running").await;
    }
    power_cut(&mut house);
    let budget = ("LONGHOUSE_HOSTING_MEMORY".into(), "1G".into());
    house.environment.push(budget);
    house.start();

    // In the order of their numbers: the first, not the second, and the third, for which there is room again.
    let [first, second, third] = ids[..] else {
        panic!("three")
    };
    let down = house.until_state(second, "failed").await;
    assert_eq!(
        (&down["desired"], &down["mounted"], &down["pid"]),
        (&json!("up"), &json!(false), &json!(null))
    );
    let why = down["exit"]["reason"].as_str().expect("a reason");
    assert!(
        why.starts_with("could not be started: ") && why.contains("hosting.memory"),
        "{why}"
    );
    house.until_state(first, "running").await;
    house.until_state(third, "running").await;
    assert!(
        house.log().contains("is not started again"),
        "{}",
        house.log()
    );
    for verb in ["/start", "/mount"] {
        let refused = house.call("POST", &House::at(second, verb), None).await;
        assert_eq!(code(&refused), (409, "over-budget"), "{verb}");
    }

    // Another daemon finds the others at work, and decides the same.
    house.kill();
    house.start();
    house.until_state(second, "failed").await;
    house.until_state(first, "running").await;
    house.power(first, "stop").await;
    house.until_state(first, "stopped").await;
    house.ok("POST", &House::at(first, "/unmount"), None).await;
    house.power(second, "start").await;
    house.until_state(second, "running").await;
}
