//! A server's files as archives, over the real daemon: in place, and whole folders as streams either way.

#[path = "common/mod.rs"]
mod common;

use std::{fs, io::Write as _};

use common::{House, PATIENCE, PLAIN, WAITS, code, game};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::net::TcpStream;

async fn open() -> (House, u64) {
    let waits = game(WAITS, PLAIN);
    let house = House::with_games(&[("waits", &waits)], &[]).await;
    let id = house.create(json!({ "game": "waits" })).await;
    (house, id)
}

fn at(id: u64, below: &str) -> String {
    House::at(id, &format!("/files{below}"))
}

/// One request with bytes either way.
async fn bytes(house: &House, method: &str, path: &str, body: Vec<u8>) -> (u16, Vec<u8>) {
    let address = &house.endpoints["http.listen"];
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", address)
        .header("authorization", format!("Bearer {}", house.token))
        .body(Full::new(Bytes::from(body)))
        .expect("a request");
    let work = async {
        let stream = TcpStream::connect(address).await.expect("it listens");
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .expect("HTTP");
        tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("all of it");
        (status, body.to_bytes().to_vec())
    };
    tokio::time::timeout(PATIENCE, work).await.expect("in time")
}

fn answer((status, bytes): (u16, Vec<u8>)) -> (u16, Value) {
    (
        status,
        serde_json::from_slice(&bytes).unwrap_or(Value::Null),
    )
}

async fn put(house: &House, id: u64, path: &str, content: &[u8]) {
    let path = at(id, &format!("/content?path={path}&parents=true"));
    let (status, _) = bytes(house, "PUT", &path, content.to_vec()).await;
    assert_eq!(status, 200);
}

async fn content(house: &House, id: u64, path: &str) -> (u16, Vec<u8>) {
    bytes(
        house,
        "GET",
        &at(id, &format!("/content?path={path}")),
        Vec::new(),
    )
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn files_are_packed_and_unpacked_in_place() {
    let (house, id) = open().await;
    put(&house, id, "save/a.sav", b"a game").await;
    put(&house, id, "save/deep/b.sav", b"another").await;
    for format in ["zip", "tar", "tar.gz", "tar.zst"] {
        let wish = json!({ "paths": ["save"], "to": format!("all.{format}") });
        let packed = house
            .ok("POST", &at(id, "/archive"), Some(wish.clone()))
            .await;
        assert_eq!(
            (&packed["files"], &packed["bytes"]),
            (&json!(2), &json!(13))
        );
        let again = house.call("POST", &at(id, "/archive"), Some(wish)).await;
        assert_eq!(code(&again), (409, "file-exists"));
        let path = at(id, &format!("/extract?path=all.{format}&to=out-{format}"));
        let unpacked = house.ok("POST", &path, None).await;
        assert_eq!(unpacked["files"], 2, "{unpacked}");
        let found = content(&house, id, &format!("out-{format}/save/deep/b.sav")).await;
        assert_eq!(found, (200, b"another".to_vec()));
        assert_eq!(
            code(&house.call("POST", &path, None).await),
            (409, "file-exists")
        );
        house
            .ok("POST", &format!("{path}&replace=true"), None)
            .await;
    }
    put(&house, id, "no.zip", b"no archive").await;
    let refused = house
        .call("POST", &at(id, "/extract?path=no.zip&to=x"), None)
        .await;
    assert_eq!(code(&refused), (422, "bad-archive"));
    let audit = house
        .ok("GET", "/api/v1/audit?count=100", None)
        .await
        .to_string();
    assert!(
        audit.contains("files.pack") && audit.contains("files.unpack"),
        "{audit}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_goes_out_and_comes_back_as_a_stream() {
    let (house, id) = open().await;
    let big: Vec<u8> = (0..3_000_000_u32).map(|n| (n % 251) as u8).collect();
    put(&house, id, "save/big", &big).await;
    put(&house, id, "save/deep/small", b"small").await;
    for format in ["zip", "tar", "tar.gz", "tar.zst"] {
        let path = at(id, &format!("/folder?path=save&format={format}"));
        let (status, archive) = bytes(&house, "GET", &path, Vec::new()).await;
        assert_eq!(status, 200);
        let path = at(id, &format!("/folder?path=back-{format}&format={format}"));
        let (status, told) = answer(bytes(&house, "PUT", &path, archive.clone()).await);
        assert_eq!((status, &told["files"]), (200, &json!(2)), "{told}");
        assert_eq!(
            content(&house, id, &format!("back-{format}/big")).await.1,
            big
        );
        // What is cut short is refused, and leaves nothing.
        let cut = archive[..archive.len() / 2].to_vec();
        let path = at(id, &format!("/folder?path=cut&format={format}"));
        let refused = answer(bytes(&house, "PUT", &path, cut).await);
        assert_eq!(code(&refused), (422, "bad-archive"), "{format}");
        let gone = house.call("GET", &at(id, "/stat?path=cut"), None).await;
        assert_eq!(code(&gone), (404, "no-such-file"), "{format}");
    }
    let names =
        fs::read_dir(house.state().join(format!("servers/{id}/files"))).expect("its folder");
    let names: Vec<_> = names
        .map(|name| name.expect("a name").file_name())
        .collect();
    assert_eq!(names.len(), 5, "something is left: {names:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_only_read_unpacks_nothing_and_a_hostile_archive_changes_nothing() {
    let (house, id) = open().await;
    put(&house, id, "mine", b"mine").await;
    let (_, eve) = house.person("eve", "player").await;
    for (method, below) in [
        ("GET", "/folder?path="),
        ("PUT", "/folder?path=x&format=tar"),
        ("POST", "/extract?path=mine&to=x"),
    ] {
        let refused = house.call_as(&eve, method, &at(id, below), None).await;
        assert_eq!(code(&refused), (403, "forbidden"), "{method} {below}");
    }
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Symlink);
    header.set_size(0);
    archive
        .append_link(&mut header, "out", "/etc")
        .expect("a link");
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped
        .write_all(&archive.into_inner().expect("bytes"))
        .expect("room");
    let archive = zipped.finish().expect("bytes");
    let path = at(id, "/folder?path=&format=tar.gz&replace=true");
    let refused = answer(bytes(&house, "PUT", &path, archive).await);
    assert_eq!(code(&refused), (422, "bad-archive"));
    assert!(
        refused.1["detail"].to_string().contains("leads out"),
        "{refused:?}"
    );
    assert_eq!(content(&house, id, "mine").await.1, b"mine");
    let list = house.ok("GET", &at(id, ""), None).await;
    assert_eq!(list["entries"].as_array().map(Vec::len), Some(1), "{list}");
    let refused = house.call("GET", &at(id, "/folder?path=mine"), None).await;
    assert_eq!(code(&refused), (409, "wrong-kind"));
    let refused = house
        .call("GET", &at(id, "/folder?path=&format=rar"), None)
        .await;
    assert_eq!(code(&refused), (422, "bad-archive"));
}
