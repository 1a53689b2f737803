//! What a server's owner lets anybody download.

use std::os::unix::fs::symlink;

use serde_json::json;

use crate::{
    ask,
    common::{House, code},
    files, open,
};

/// What somebody without any proof is answered.
async fn stranger(house: &House, request: &str) -> (u16, String) {
    let address = &house.endpoints["http.listen"];
    let request = format!("{request} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    let answer = house.raw(request.as_bytes()).await;
    let (status, code) = code(&answer);
    (status, code.to_owned())
}

async fn publish(house: &House, id: u64, paths: &[&str]) -> u16 {
    let patch = json!({ "public": paths });
    let (status, _) = house.call("PATCH", &House::at(id, ""), Some(patch)).await;
    status
}

#[tokio::test]
async fn what_is_public_anybody_may_download_and_nothing_else() {
    let (mut house, id) = open(&[]).await;
    for path in ["scenarios/deep/a.scn", "notes.txt", "cfg", "scenarios-old"] {
        let at = files(id, &format!("/content?parents=true&path={path}"));
        assert_eq!(ask(&house, "PUT", &at, &[], "public?").await.status, 200);
    }
    let folder = house.state().join(format!("servers/{id}/files"));
    symlink("../cfg", folder.join("scenarios/link")).unwrap();
    symlink("scenarios", folder.join("way")).unwrap();
    let get = |path: &str| format!("GET /download?server={id}&path={path}");
    let open = ["/scenarios/deep/a.scn", "notes.txt"];
    for path in open {
        let refused = stranger(&house, &get(path)).await;
        assert_eq!(refused, (401, "unauthenticated".into()), "{path}");
    }
    let paths = ["scenarios/", "notes.txt", "notes.txt", "none"];
    assert_eq!(publish(&house, id, &paths).await, 200);
    let view = house.ok("GET", &House::at(id, ""), None).await;
    assert_eq!(view["public"], json!(["none", "notes.txt", "scenarios"]));
    for restarted in [false, true] {
        if restarted {
            house.kill();
            house.start();
        }
        for path in open {
            assert_eq!(stranger(&house, &get(path)).await.0, 200, "{path}");
        }
    }
    let at = format!("/download?server={id}&path=notes.txt");
    let answer = ask(&house, "GET", &at, &[], "");
    assert_eq!(answer.await.body, "public?");
    // Not even a wrong proof is in the way.
    assert_eq!(stranger(&house, &get("notes.txt&auth=x")).await.0, 200);
    for (path, expected) in [
        ("cfg", (401, "unauthenticated")),
        ("scenarios-old", (401, "unauthenticated")),
        ("", (401, "unauthenticated")),
        ("way/deep/a.scn", (401, "unauthenticated")),
        ("scenarios", (409, "wrong-kind")),
        ("scenarios/deep/", (409, "wrong-kind")),
        ("scenarios/link", (404, "no-such-file")),
        ("scenarios/none", (404, "no-such-file")),
        ("none", (404, "no-such-file")),
        ("scenarios/../cfg", (400, "bad-path")),
        ("scenarios/%2e%2e/cfg", (400, "bad-path")),
    ] {
        let refused = stranger(&house, &get(path)).await;
        assert_eq!((refused.0, &*refused.1), expected, "{path}");
    }
    for request in [
        "GET /download?server=99&path=notes.txt".into(),
        format!("POST /upload?server={id}&path=notes.txt"),
        format!("GET {}", files(id, "/content?path=notes.txt")),
        format!("GET {}", files(id, "?path=scenarios")),
    ] {
        let refused = stranger(&house, &request).await;
        assert_eq!(refused, (401, "unauthenticated".into()), "{request}");
    }
    // Somebody with an account and no right here may as much as anybody.
    let (_, eve) = house.person("eve", "player").await;
    let (status, _) = stranger(&house, &get(&format!("notes.txt&auth={eve}"))).await;
    assert_eq!(status, 200);
    let refused = stranger(&house, &get(&format!("cfg&auth={eve}"))).await;
    assert_eq!(refused.0, 403);
    let patch = Some(json!({ "public": ["cfg"] }));
    let (status, _) = house
        .call_as(&eve, "PATCH", &House::at(id, ""), patch)
        .await;
    assert_eq!(status, 403);
    // Whom it belongs to may follow its links.
    let at = format!("/download?server={id}&path=scenarios/link");
    let owner = ask(&house, "GET", &at, &[], "");
    assert_eq!(owner.await.body, "public?");
}

#[tokio::test]
async fn who_makes_files_public_names_paths_within_the_folder_and_is_recorded() {
    let (house, id) = open(&[]).await;
    let many: Vec<_> = (0..33).map(|n| n.to_string()).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    for paths in [
        &["/etc"][..],
        &["a/../b"],
        &[""],
        &["/"],
        &["."],
        &["a\nb"],
        &many,
    ] {
        assert_eq!(publish(&house, id, paths).await, 422, "{paths:?}");
    }
    assert_eq!(publish(&house, id, &many[..32]).await, 200);
    let ok = |arguments: &[&str]| {
        let (code, out, told) = house.verb(arguments);
        assert_eq!(code, 0, "{arguments:?}: {out}{told}");
        out
    };
    let set = ["server", "set", "ada_1", "--public"];
    ok(&[&set[..], &["scenarios", "--public", "content/maps"]].concat());
    let shown = ok(&["server", "show", "ada_1"]);
    assert!(
        shown.contains("scenarios") && shown.contains("content/maps"),
        "{shown}"
    );
    ok(&["server", "set", "ada_1", "--title", "Trains"]);
    let view = house.ok("GET", &House::at(id, ""), None).await;
    assert_eq!(view["public"], json!(["content/maps", "scenarios"]));
    ok(&["server", "set", "ada_1", "--no-public"]);
    let view = house.ok("GET", &House::at(id, ""), None).await;
    assert_eq!(view["public"], json!([]));
    let audit = house.ok("GET", "/api/v1/audit?count=100", None).await;
    let records = audit.as_array().unwrap().iter();
    let updates = records.filter(|record| record["action"] == "server.update");
    let public: Vec<_> = updates.map(|record| &record["detail"]["public"]).collect();
    assert!(
        public.contains(&&json!(["scenarios", "content/maps"])),
        "{public:?}"
    );
    assert!(public.contains(&&json!([])), "{public:?}");
}
