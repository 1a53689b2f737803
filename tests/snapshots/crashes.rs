//! What is killed in the middle, and a disk that is full in the middle, cost nothing that was there.

use std::{fs, path::Path};

use serde_json::{Value, json};

use super::{
    DIARY, KEYS, at,
    common::{
        House, code,
        disk::{fill, small_disk},
        game, processes_of, root,
    },
    content, files,
    folder::give,
    house, ids, noise, number, take, until,
};

/// Waits until a job has read something.
async fn begun(house: &House, id: u64) {
    until(house, "begun", async || {
        house.ok("GET", &at(id, ""), None).await["running"]["bytes"].as_u64() > Some(0)
    })
    .await;
}

/// The jobs of this box, by their command lines.
fn jobs(state: &Path) -> Vec<i32> {
    let is_job = |pid: &i32| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.ends_with(b"snapshot-job\0")
    };
    processes_of(state).into_iter().filter(is_job).collect()
}

fn orphans(house: &House, id: u64) -> usize {
    let stored = house
        .state()
        .join(format!("snapshots/{id}/repository/snapshots"));
    fs::read_dir(stored).unwrap().count()
}

#[tokio::test]
async fn a_job_that_is_killed_leaves_all_earlier_snapshots_and_the_next_goes_on() {
    let (house, id) = house(&["snapshots.rate=2M"]).await;
    let top = files(&house, id);
    fs::write(top.join("plan"), "kept").unwrap();
    give(&top);
    let first = number(&take(&house, id, json!({})).await);
    fs::write(top.join("large"), noise(1, 8 << 20)).unwrap();
    give(&top);
    let place = at(id, "");
    let taking = house.call("POST", &place, Some(json!({})));
    let killing = async {
        begun(&house, id).await;
        for pid in jobs(&house.state()) {
            nix::sys::signal::kill(
                nix::unistd::Pid::from_raw(pid),
                nix::sys::signal::Signal::SIGKILL,
            )
            .unwrap();
        }
    };
    let (killed, ()) = tokio::join!(taking, killing);
    assert_eq!(code(&killed), (500, "snapshot-failed"), "{}", killed.1);
    assert!(
        killed.1["detail"].as_str().unwrap().contains("signal 9"),
        "{}",
        killed.1
    );
    assert_eq!(ids(&house, id).await, [first]);
    assert_eq!(content(&house, id, first, "plan"), "kept");
    let second = number(&take(&house, id, json!({})).await);
    let check = house.ok("POST", &at(id, "/verify"), None).await;
    assert_eq!(check["damaged"], json!([]), "{check}");
    assert_eq!(ids(&house, id).await, [first, second]);
}

#[tokio::test]
async fn a_daemon_that_is_killed_in_the_middle_takes_its_job_along_and_settles_at_its_next_start() {
    let (mut house, id) = house(&["snapshots.rate=2M"]).await;
    let top = files(&house, id);
    fs::write(top.join("plan"), "kept").unwrap();
    give(&top);
    let first = number(&take(&house, id, json!({})).await);
    fs::write(top.join("large"), noise(1, 8 << 20)).unwrap();
    give(&top);
    {
        let place = at(id, "");
        let taking = house.try_call(&house.token, "POST", &place, Some(json!({})));
        let found = async {
            begun(&house, id).await;
            let pid = nix::unistd::Pid::from_raw(i32::try_from(house.pid()).unwrap());
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
        };
        let (answer, ()) = tokio::join!(taking, found);
        answer.unwrap_err();
    }
    house.kill();
    let state = house.state();
    // A snapshot that only the repository knows, as a crash between the two leaves it.
    let stored = state.join(format!("snapshots/{id}/repository/snapshots"));
    let known = fs::read_dir(&stored).unwrap().next().unwrap().unwrap();
    let other = format!(
        "{}{}",
        "0".repeat(8),
        &known.file_name().to_str().unwrap()[8..]
    );
    fs::copy(known.path(), stored.join(other)).unwrap();
    house.start();
    until(&house, "settled", async || {
        orphans(&house, id) == 1 && jobs(&state).is_empty()
    })
    .await;
    assert_eq!(ids(&house, id).await, [first]);
    assert_eq!(content(&house, id, first, "plan"), "kept");
    take(&house, id, json!({})).await;
    let check = house.ok("POST", &at(id, "/verify"), None).await;
    assert_eq!(
        (&check["damaged"], &check["faults"]),
        (&json!([]), &json!([]))
    );
}

/// Whether something that was moved aside is there now.
fn moved_aside(house: &House, id: u64) -> bool {
    let aside = house.state().join(format!("snapshots/{id}/aside"));
    let Ok(entries) = fs::read_dir(aside) else {
        return false;
    };
    let names = entries.flatten().map(|entry| entry.file_name());
    names
        .into_iter()
        .any(|name| name.to_string_lossy().ends_with(".old"))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restore_replaced_is_there_or_can_be_had_back_whenever_the_daemon_is_killed() {
    let (mut house, id) = house(&[]).await;
    let plan = files(&house, id).join("plan");
    fs::write(&plan, "old").unwrap();
    give(&files(&house, id));
    let first = number(&take(&house, id, json!({})).await);
    for round in 0..5 {
        let now = format!("now {round}");
        fs::write(&plan, &now).unwrap();
        {
            let place = at(id, &format!("/{first}/restore"));
            let wish = Some(json!({"path": "plan"}));
            let restoring = house.try_call(&house.token, "POST", &place, wish);
            let killing = async {
                until(&house, "moved", async || moved_aside(&house, id)).await;
                let pid = nix::unistd::Pid::from_raw(i32::try_from(house.pid()).unwrap());
                nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).unwrap();
            };
            tokio::join!(restoring, killing).0.ok();
        }
        house.kill();
        house.start();
        let undone = house.call("POST", &at(id, "/undo"), None).await;
        let content = fs::read_to_string(&plan).unwrap();
        assert!(content == now, "{round}: {content}, {undone:?}");
        until(&house, "settled", async || !moved_aside(&house, id)).await;
    }
}

#[tokio::test]
async fn a_full_disk_is_said_and_the_earlier_snapshots_stay_whole() {
    if !root("a disk of one's own") {
        return;
    }
    let mut house = House::unlocked(&["hosting.console=512K".into()]);
    small_disk(&house.state());
    house.stock(&[("diary", &game(DIARY, KEYS))]);
    house.settle().await;
    let id = house.launch("diary").await;
    house.until_state(id, "running").await;
    house.power(id, "stop").await;
    house.until_state(id, "stopped").await;
    let top = files(&house, id);
    fs::write(top.join("large"), noise(1, 4 << 20)).unwrap();
    give(&top);
    let first = number(&take(&house, id, json!({})).await);
    fs::write(top.join("large"), noise(2, 4 << 20)).unwrap();
    give(&top);
    let filler = house.state().join("filler");
    fill(&filler);
    // Room for the store and for a part of the snapshot.
    let length = fs::metadata(&filler).unwrap().len();
    let file = fs::File::options().write(true).open(&filler).unwrap();
    file.set_len(length - (2 << 20)).unwrap();
    drop(file); // what is open keeps its room
    let full = house.call("POST", &at(id, ""), Some(json!({}))).await;
    assert_eq!(code(&full), (507, "disk-full"), "{}", full.1);
    let restore = at(id, &format!("/{first}/restore"));
    let full = house.call("POST", &restore, Some(json!({}))).await;
    assert_eq!(code(&full), (507, "disk-full"), "{}", full.1);
    assert_eq!(
        fs::read(top.join("large")).unwrap(),
        noise(2, 4 << 20),
        "it is as it was"
    );
    fs::remove_file(&filler).unwrap();
    assert_eq!(ids(&house, id).await, [first]);
    let check = house.ok("POST", &at(id, "/verify"), None).await;
    assert_eq!(check["damaged"], json!([]), "{check}");
    take(&house, id, json!({})).await;
    house.ok("POST", &restore, Some(json!({}))).await;
    assert_eq!(fs::read(top.join("large")).unwrap(), noise(1, 4 << 20));
    assert_eq!(
        house.ok("GET", &at(id, ""), None).await["running"],
        Value::Null
    );
}
