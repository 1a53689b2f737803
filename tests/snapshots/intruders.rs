//! Links, races and neighbours: a snapshot holds what is the game's, and nobody else's.

use std::{
    fs,
    os::unix::{
        fs::{MetadataExt, PermissionsExt, symlink},
        process::CommandExt,
    },
    process::Command,
    sync::atomic::{AtomicBool, Ordering},
};

use serde_json::json;

use super::{at, common::root, files, folder::give, house, names, noise, number, take, until};

#[tokio::test(flavor = "multi_thread")]
async fn what_a_link_leads_to_is_never_taken_also_while_it_is_swapped() {
    let (house, id) = house(&[]).await;
    let top = files(&house, id);
    let outside = tempfile::tempdir().unwrap();
    fs::set_permissions(outside.path(), PermissionsExt::from_mode(0o755)).unwrap();
    fs::create_dir(outside.path().join("inner")).unwrap();
    fs::write(outside.path().join("secret"), "hush").unwrap();
    fs::write(outside.path().join("inner/secret"), "hush").unwrap();
    for n in 0..20 {
        let folder = top.join(format!("swapped{n:02}"));
        fs::create_dir_all(folder.join("inner")).unwrap();
        fs::write(folder.join("inner/own"), n.to_string()).unwrap();
        fs::write(top.join(format!("file{n:02}")), "own").unwrap();
    }
    symlink(outside.path(), top.join("link")).unwrap();
    give(&top);
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                for n in 0..20 {
                    for (name, target) in [
                        (format!("swapped{n:02}"), outside.path().to_owned()),
                        (format!("file{n:02}"), outside.path().join("secret")),
                    ] {
                        let (here, aside) = (top.join(&name), top.join(format!(".{name}")));
                        fs::rename(&here, &aside).unwrap();
                        symlink(&target, &here).unwrap();
                        fs::remove_file(&here).unwrap();
                        fs::rename(&aside, &here).unwrap();
                    }
                }
            }
        });
        let handle = tokio::runtime::Handle::current();
        tokio::task::block_in_place(|| {
            handle.block_on(async {
                for _ in 0..5 {
                    let taken = number(&take(&house, id, json!({})).await);
                    for entry in names(&house, id, taken, "").await {
                        // A link has no inside, and a folder only its own.
                        let below = house
                            .call(
                                "GET",
                                &at(id, &format!("/{taken}/files?path={entry}")),
                                None,
                            )
                            .await;
                        let inner = below.1["entries"].to_string();
                        assert!(!inner.contains("secret"), "{entry}: {inner}");
                        if entry.starts_with("file") {
                            let (_, out, _) = house.verb(&[
                                "snapshot",
                                "cat",
                                &id.to_string(),
                                &taken.to_string(),
                                &entry,
                            ]);
                            assert!(out != "hush", "{entry}");
                        }
                    }
                }
                stop.store(true, Ordering::Relaxed);
            });
        });
    });
    let taken = number(&take(&house, id, json!({})).await);
    let place = at(id, &format!("/{taken}/files"));
    let page = house.ok("GET", &place, None).await;
    let link = page["entries"]
        .as_array()
        .unwrap()
        .iter()
        .find(|entry| entry["name"] == "link")
        .unwrap();
    assert_eq!(
        (&link["kind"], &link["target"]),
        (&json!("link"), &json!(outside.path()))
    );
}

#[tokio::test]
async fn a_job_has_the_servers_rights_alone_and_nobody_of_that_user_can_touch_it() {
    if !root("another user") {
        return;
    }
    let (house, id) = house(&["snapshots.rate=1M"]).await;
    let top = files(&house, id);
    fs::write(top.join("large"), noise(1, 6 << 20)).unwrap();
    give(&top);
    // The box's own, which the game cannot read: in its folder, by a second name.
    fs::write(house.state().join("private"), "hush").unwrap();
    fs::set_permissions(
        house.state().join("private"),
        PermissionsExt::from_mode(0o600),
    )
    .unwrap();
    fs::hard_link(house.state().join("private"), top.join("borrowed")).unwrap();
    let user = top.metadata().unwrap().uid();
    let place = at(id, "");
    let taking = house.ok("POST", &place, Some(json!({})));
    let looking = async {
        until(&house, "begun", async || {
            house.ok("GET", &place, None).await["running"]["bytes"].as_u64() > Some(0)
        })
        .await;
        let line = |pid: &i32| fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let job = super::common::processes_of(&house.state())
            .into_iter()
            .find(|pid| line(pid).ends_with(b"snapshot-job\0"));
        let job = job.unwrap();
        let status = fs::read_to_string(format!("/proc/{job}/status")).unwrap();
        let field = |name: &str| {
            let value = status
                .lines()
                .find_map(|line| line.strip_prefix(name))
                .unwrap();
            value
                .split_whitespace()
                .map(str::to_owned)
                .collect::<Vec<_>>()
        };
        let users = field("Uid:");
        assert_eq!(
            (&users[1], &users[3]),
            (&user.to_string(), &user.to_string())
        );
        assert!(
            users[0] != user.to_string() && users[0] == users[2] && users[0] != "0",
            "{users:?}"
        );
        assert_eq!(field("Gid:"), vec![user.to_string(); 4]);
        assert_eq!(field("CapEff:"), ["0000000000000000"]);
        assert_eq!(field("CapPrm:"), ["0000000000000000"]);
        assert_eq!(field("NoNewPrivs:"), ["1"]);
        assert!(field("Groups:").is_empty());
        let stat = fs::read_to_string(format!("/proc/{job}/stat")).unwrap();
        let nice = stat
            .rsplit(')')
            .next()
            .unwrap()
            .split_whitespace()
            .nth(16)
            .unwrap();
        assert_eq!(nice, "19");
        // The server's user can neither signal it nor look into it.
        let attempt = |script: String| {
            let out = Command::new("sh")
                .args(["-c", &script])
                .uid(user)
                .gid(user)
                .output()
                .unwrap();
            out.status.success()
        };
        assert!(!attempt(format!("kill -9 {job}")));
        assert!(!attempt(format!("kill -STOP {job}")));
        assert!(!attempt(format!("ls /proc/{job}/fd/0")));
        assert!(!attempt(format!(
            "ls {}/snapshots",
            house.state().display()
        )));
        // Nor is it swept with the game's own processes.
        house.power(id, "start").await;
        house.until_state(id, "running").await;
        house.power(id, "kill").await;
        house.until_state(id, "stopped").await;
    };
    let (taken, ()) = tokio::join!(taking, looking);
    assert!(
        taken["notes"]
            .to_string()
            .contains("borrowed: cannot be opened"),
        "{taken}"
    );
    assert!(
        !names(&house, id, number(&taken), "")
            .await
            .contains(&"borrowed".to_owned())
    );
}
