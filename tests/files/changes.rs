use std::os::unix::fs::symlink;

use serde_json::json;

use crate::{
    ask,
    common::{
        House, PLAIN, WAITS,
        disk::{fill, small_disk},
        game, root,
    },
    files, noise, open,
};

#[tokio::test]
async fn a_file_is_written_read_in_ranges_deleted_and_had_back() {
    let (house, id) = open(&[]).await;
    let content = noise(3_000_000);
    let at = files(id, "/content?path=maps%2Fbig%20one.map&parents=true");
    let put = ask(&house, "PUT", &at, &[], content.clone()).await;
    assert_eq!(put.status, 200, "{:?}", put.json());
    assert_eq!(put.json()["size"], 3_000_000);
    let at = files(id, "/content?path=maps/big+one.map");
    let got = ask(&house, "GET", &at, &[], "").await;
    assert_eq!((got.status, got.body.len()), (200, content.len()));
    assert_eq!(got.body, content);
    assert_eq!(got.header("etag"), put.json()["tag"].as_str().unwrap());
    for (range, part) in [
        ("bytes=0-0", 0..1),
        ("bytes=1000-2999", 1000..3000),
        ("bytes=2999990-", 2_999_990..3_000_000),
        ("bytes=-7", 2_999_993..3_000_000),
    ] {
        let got = ask(&house, "GET", &at, &[("range", range)], "").await;
        assert_eq!(got.status, 206, "{range}");
        let told = format!("bytes {}-{}/3000000", part.start, part.end - 1);
        assert_eq!(got.header("content-range"), told);
        assert_eq!(got.body, content[part]);
    }
    let past = ask(&house, "GET", &at, &[("range", "bytes=3000000-")], "").await;
    assert_eq!(past.code(), (416, "bad-range".into()));
    assert_eq!(past.header("content-range"), "bytes */3000000");
    let stale = [("range", "bytes=0-0"), ("if-range", "\"other\"")];
    assert_eq!(ask(&house, "GET", &at, &stale, "").await.status, 200);
    let head = ask(&house, "HEAD", &at, &[], "").await;
    assert_eq!(head.header("content-length"), "3000000");
    assert!(head.body.is_empty());

    let gone = ask(&house, "DELETE", &files(id, "?path=maps"), &[], "").await;
    assert_eq!(gone.status, 200, "{:?}", gone.json());
    assert_eq!(
        ask(&house, "GET", &at, &[], "").await.code(),
        (404, "no-such-file".into())
    );
    let bin = house.ok("GET", &files(id, "/bin"), None).await;
    assert_eq!(bin[0]["path"], "maps");
    let undo = files(id, &format!("/bin/{}/undo", bin[0]["id"]));
    house.ok("POST", &undo, None).await;
    assert_eq!(ask(&house, "GET", &at, &[], "").await.body, content);
    assert_eq!(
        ask(&house, "POST", &undo, &[], "").await.code(),
        (404, "no-such-deletion".into())
    );
    let log = house.ok("GET", "/api/v1/audit?count=20", None).await;
    let log = log.to_string();
    for action in ["files.write", "files.delete", "files.undo"] {
        assert!(log.contains(action), "{action} is not in {log}");
    }
}

#[tokio::test]
async fn what_is_stored_is_saved_by_browsers_and_never_shown() {
    let (house, id) = open(&[]).await;
    let at = files(id, "/content?path=evil.html");
    ask(&house, "PUT", &at, &[], "<script>alert(1)</script>").await;
    let got = ask(&house, "GET", &at, &[], "").await;
    assert_eq!(got.header("content-type"), "application/octet-stream");
    assert_eq!(got.header("x-content-type-options"), "nosniff");
    assert!(
        got.header("content-disposition")
            .starts_with("attachment; filename=\"evil.html\"")
    );
    // A page of another site cannot make a browser write here.
    let foreign = [("cookie", "longhouse_session=x"), ("origin", "http://evil")];
    let mut house = house;
    house.token.clear();
    let refused = ask(&house, "PUT", &at, &foreign, "x").await;
    assert!((400..500).contains(&refused.status), "{}", refused.status);
}

#[tokio::test]
async fn paths_that_lead_out_are_refused_in_words() {
    let (house, id) = open(&[]).await;
    house.ok("POST", &files(id, "/folder?path=d"), None).await;
    let folder = house.state().join(format!("servers/{id}/files"));
    symlink("/etc", folder.join("etc")).unwrap();
    symlink("../../..", folder.join("up")).unwrap();
    symlink("/proc/self/root/etc", folder.join("magic")).unwrap();
    let long = "x".repeat(256);
    for (path, status, code) in [
        ("../../store/db", 400, "bad-path"),
        ("d/../../x", 400, "bad-path"),
        ("/etc/passwd", 400, "bad-path"),
        ("%2e%2e/x", 400, "bad-path"),
        ("a%00b", 400, "bad-path"),
        (&*long, 400, "bad-path"),
        ("etc/passwd", 403, "leads-out"),
        ("up/server.json", 403, "leads-out"),
        ("magic/passwd", 403, "leads-out"),
        ("d", 409, "wrong-kind"),
        ("none", 404, "no-such-file"),
    ] {
        let at = files(id, &format!("/content?path={path}"));
        let got = ask(&house, "GET", &at, &[], "").await;
        assert_eq!(
            got.code(),
            (status, code.into()),
            "{path}: {:?}",
            got.json()
        );
        if code != "no-such-file" {
            let put = ask(&house, "PUT", &at, &[], "x").await;
            assert_eq!(put.code(), (status, code.into()), "{path}");
        }
    }
    let strange = files(id, "/content?path=%ff%0a%fe");
    assert_eq!(ask(&house, "PUT", &strange, &[], "x").await.status, 200);
    let list = house.ok("GET", &files(id, "?count=100"), None).await;
    let raw = list["entries"].as_array().unwrap().iter();
    assert!(
        raw.clone().any(|entry| entry["raw"] == "%FF%0A%FE"),
        "{list}"
    );
    assert_eq!(ask(&house, "GET", &strange, &[], "").await.body, "x");
}

#[tokio::test]
async fn who_may_read_may_not_write_and_strangers_see_nothing() {
    let (house, id) = open(&[]).await;
    let at = files(id, "/content?path=cfg");
    ask(&house, "PUT", &at, &[], "x").await;
    let (account, eve) = house.person("eve", "player").await;
    let list = files(id, "");
    assert_eq!(house.call_as(&eve, "GET", &list, None).await.0, 403);
    let grant = json!({"account": account, "server": id, "verbs": ["files.read"]});
    house.ok("PUT", "/api/v1/grants", Some(grant)).await;
    assert_eq!(house.call_as(&eve, "GET", &list, None).await.0, 200);
    for (method, path) in [
        ("PUT", "/content?path=cfg"),
        ("POST", "/append?path=cfg"),
        ("DELETE", "?path=cfg"),
        ("POST", "/move?from=cfg&to=x"),
        ("POST", "/copy?from=cfg&to=x"),
        ("POST", "/folder?path=x"),
        ("POST", "/mode?path=cfg&mode=777"),
        ("POST", "/bin/1/undo"),
        ("DELETE", "/bin/1"),
        ("POST", "/uploads?path=x&size=1"),
        ("GET", "/uploads"),
    ] {
        let path = files(id, path);
        let (status, answer) = house.call_as(&eve, method, &path, None).await;
        assert_eq!(
            (status, &answer["code"]),
            (403, &json!("forbidden")),
            "{path}"
        );
    }
    assert_eq!(ask(&house, "GET", &at, &[], "").await.body, "x");
}

#[tokio::test]
async fn a_hundred_megabytes_are_taken_as_they_come_or_refused_in_words() {
    let (house, id) = open(&[]).await;
    let big = noise(100_000_000);
    let refused = ask(
        &house,
        "POST",
        &files(id, "/append?path=x"),
        &[],
        big.clone(),
    )
    .await;
    assert_eq!(refused.code(), (413, "body-too-large".into()));
    let wrong = "0".repeat(64);
    let at = files(id, &format!("/content?path=x&sha256={wrong}"));
    let refused = ask(&house, "PUT", &at, &[], big.clone()).await;
    assert_eq!(refused.code(), (422, "content-mismatch".into()));
    let changed = [("if-match", "\"other\"")];
    let at = files(id, "/content?path=x");
    let refused = ask(&house, "PUT", &at, &changed, big.clone()).await;
    assert_eq!(refused.code(), (412, "file-changed".into()));
    let list = house.ok("GET", &files(id, ""), None).await;
    assert_eq!(list["entries"], json!([]));
    assert_eq!(ask(&house, "PUT", &at, &[], big.clone()).await.status, 200);
    assert_eq!(ask(&house, "GET", &at, &[], "").await.body, big);
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_a_file_leaves_what_was_there() {
    if !root("a disk of one's own") {
        return;
    }
    let mut house = House::unlocked(&[]);
    small_disk(&house.state());
    house.stock(&[("waits", &game(WAITS, PLAIN))]);
    house.settle().await;
    let id = house.create(json!({"game": "waits"})).await;
    let at = files(id, "/content?path=cfg");
    assert_eq!(ask(&house, "PUT", &at, &[], "as it was").await.status, 200);
    let filler = house.state().join("filler");
    std::fs::write(&filler, vec![0; 20 << 20]).unwrap();
    let refused = ask(&house, "PUT", &at, &[], noise(40 << 20)).await;
    assert_eq!(
        refused.code(),
        (507, "disk-full".into()),
        "{:?}",
        refused.json()
    );
    assert_eq!(ask(&house, "GET", &at, &[], "").await.body, "as it was");
    let begun = files(id, &format!("/uploads?path=big&size={}", 40 << 20));
    let upload = house.ok("POST", &begun, None).await;
    let piece = files(id, &format!("/uploads/{}?offset=0", upload["id"]));
    let refused = ask(&house, "PUT", &piece, &[], noise(40 << 20)).await;
    assert_eq!(refused.code(), (507, "disk-full".into()));
    house
        .ok(
            "DELETE",
            &files(id, &format!("/uploads/{}", upload["id"])),
            None,
        )
        .await;
    fill(&filler);
    std::fs::remove_file(&filler).unwrap();
    assert_eq!(
        ask(&house, "PUT", &at, &[], noise(4 << 20)).await.status,
        200
    );
    let list = house.ok("GET", &files(id, ""), None).await;
    assert_eq!(list["entries"].as_array().unwrap().len(), 1, "{list}");
}

#[tokio::test]
async fn a_server_has_no_more_on_the_disk_than_its_limit() {
    let (house, id) = open(&[]).await;
    let limits = json!({"limits": {"disk": 64 << 20}});
    house.ok("PATCH", &House::at(id, ""), Some(limits)).await;
    let at = files(id, "/content?path=big");
    let big = noise(40 << 20);
    assert_eq!(ask(&house, "PUT", &at, &[], big.clone()).await.status, 200);
    let more = files(id, "/content?path=more");
    let refused = ask(&house, "PUT", &more, &[], big.clone()).await;
    assert_eq!(refused.code(), (507, "over-limit".into()));
    assert_eq!(refused.json()["limit"], 64 << 20);
    let copy = files(id, "/copy?from=big&to=more");
    assert_eq!(house.call("POST", &copy, None).await.0, 507);
    let begin = files(id, &format!("/uploads?path=more&size={}", 40 << 20));
    assert_eq!(house.call("POST", &begin, None).await.0, 507);
    let usage = house.ok("GET", &files(id, "/usage"), None).await;
    assert_eq!(usage["limit"], 64 << 20);
    // What was deleted gives way.
    house.ok("DELETE", &files(id, "?path=big"), None).await;
    assert_eq!(ask(&house, "PUT", &more, &[], big).await.status, 200);
    assert_eq!(house.ok("GET", &files(id, "/bin"), None).await, json!([]));
}
