use std::{
    fs::{File, exists},
    time::{Duration, Instant, SystemTime},
};

use crate::{
    ask,
    common::{
        House, PATIENCE,
        clock::{self, Clock},
        installed,
    },
    files, open,
};

const HOUR: Duration = Duration::from_secs(3600);

/// Asks until it is so; each question is one to the daemon, which takes its time.
async fn until(house: &House, what: &str, wanted: impl Fn() -> bool) {
    let started = Instant::now();
    while !wanted() {
        assert!(started.elapsed() < PATIENCE, "never: {what}");
        house.metrics().await;
    }
}

#[tokio::test]
async fn an_upload_that_nobody_goes_on_with_for_a_day_is_given_up() {
    let (mut house, id) = open(&[]).await;
    let mut uploads = Vec::new();
    for hours in [23, 25] {
        let begin = files(id, &format!("/uploads?path=after{hours}&size=5"));
        let upload = house.ok("POST", &begin, None).await["id"].to_string();
        let piece = files(id, &format!("/uploads/{upload}?offset=0"));
        assert_eq!(ask(&house, "PUT", &piece, &[], "one").await.status, 200);
        let held = format!("servers/{id}/uploads/held/{upload}");
        let held = house.state().join(held);
        let then = SystemTime::now() - hours * HOUR;
        File::open(&held).unwrap().set_modified(then).unwrap();
        uploads.push((held, files(id, &format!("/uploads/{upload}"))));
    }
    // All is looked through at each start.
    house.kill();
    house.start();
    let [(young, goes_on), (old, ended)] = &uploads[..] else {
        unreachable!("there are two");
    };
    until(&house, "the old one is gone", || !exists(old).unwrap()).await;
    let gone = ask(&house, "GET", ended, &[], "").await;
    assert_eq!(gone.code(), (404, "no-such-upload".into()));
    assert!(exists(young).unwrap());
    let piece = format!("{goes_on}?offset=3");
    assert_eq!(ask(&house, "PUT", &piece, &[], "23").await.status, 200);
    house.ok("POST", &format!("{goes_on}/finish"), None).await;
    let whole = ask(&house, "GET", &files(id, "/content?path=after23"), &[], "").await;
    assert_eq!(whole.body, "one23");
}

#[tokio::test]
async fn what_was_deleted_goes_for_good_when_its_time_has_come() {
    if !installed(&clock::library()) {
        return;
    }
    let (mut house, id) = open(&["files.bin=7d"]).await;
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(folder.path().join("clock"));
    for name in ["old", "young"] {
        let at = files(id, &format!("/content?path={name}"));
        ask(&house, "PUT", &at, &[], "x").await;
    }
    clock.set("-192h");
    house.kill();
    house.environment = clock.environment();
    house.start();
    let verb = |house: &House, arguments: &[&str]| {
        let (code, out, told) = house.verb(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{told}");
        out
    };
    verb(&house, &["files", "rm", "ada_1", "old"]);
    clock.set("-144h");
    verb(&house, &["files", "rm", "ada_1", "young"]);
    let bin = verb(&house, &["files", "bin", "ada_1"]);
    assert!(bin.contains("old") && bin.contains("young"), "{bin}");
    clock.set("+0h");
    house.kill();
    house.start();
    let bin = || verb(&house, &["files", "bin", "ada_1"]);
    until(&house, "the old one is gone", || !bin().contains("old")).await;
    assert!(bin().contains("young"));
    verb(&house, &["files", "undo", "ada_1"]);
    let list = verb(&house, &["files", "ls", "ada_1"]);
    assert!(list.contains("young") && !list.contains("old"), "{list}");
}
