//! A server's files as archives, over the real daemon: in place, and whole folders as streams either way.

#[path = "common/mod.rs"]
mod common;

use std::{
    fs,
    io::Write as _,
    os::unix::fs::{MetadataExt as _, lchown},
    path::PathBuf,
    time::Instant,
};

use common::{
    House, PATIENCE, PLAIN, WAITS, code,
    disk::{fill, small_disk},
    game, root,
};
use http_body_util::{BodyExt as _, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

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

/// Where the server's files are on the box's disk.
fn files(house: &House, id: u64) -> PathBuf {
    house.state().join(format!("servers/{id}/files"))
}

fn names(folder: PathBuf) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<_> = entries
        .map(|name| name.expect("a name").file_name().into_string())
        .map(|name| name.expect("text"))
        .collect();
    names.sort();
    names
}

/// What is in the making.
fn passing(house: &House, id: u64) -> Vec<String> {
    names(house.state().join(format!("servers/{id}/passing/held")))
}

/// Waits until something is so on the disk, of which the box tells nobody.
async fn until(what: &str, so: impl Fn() -> bool) {
    let started = Instant::now();
    while !so() {
        assert!(started.elapsed() < PATIENCE, "never {what}");
        tokio::task::yield_now().await;
    }
}

/// A tar archive of one file.
fn tar(name: &str, content: &[u8]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_size(content.len() as u64);
    header.set_mode(0o644);
    archive
        .append_data(&mut header, name, content)
        .expect("room");
    archive.into_inner().expect("bytes")
}

/// Somebody who sends half of an archive, and then nothing.
async fn stalls(house: &House, id: u64, to: &str) -> TcpStream {
    let address = &house.endpoints["http.listen"];
    let archive = tar("whole", &[7; 100_000]);
    let head = format!(
        "PUT {} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-length: {}\r\n\r\n",
        at(id, &format!("/folder?path={to}&format=tar")),
        house.token,
        archive.len() * 2,
    );
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    stream
        .write_all(&archive[..90_000])
        .await
        .expect("it reads");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn who_sends_a_folder_slowly_stops_nobody_else() {
    let (house, id) = open().await;
    let other = house.create(json!({ "game": "waits" })).await;
    put(&house, id, "save/a.sav", b"a game").await;
    let slow = [
        stalls(&house, id, "one").await,
        stalls(&house, id, "two").await,
        stalls(&house, other, "three").await,
    ];
    until("begun", || {
        passing(&house, id).len() == 2 && passing(&house, other).len() == 1
    })
    .await;
    let wish = json!({ "paths": ["save"], "to": "all.zip" });
    house.ok("POST", &at(id, "/archive"), Some(wish)).await;
    let path = at(id, "/extract?path=all.zip&to=out");
    house.ok("POST", &path, None).await;
    // Two at once are what one server has.
    let path = at(id, "/folder?path=more&format=tar");
    let more = answer(bytes(&house, "PUT", &path, tar("a", b"a")).await);
    assert_eq!(code(&more), (409, "busy"), "{}", more.1);
    drop(slow);
    until("given up", || {
        passing(&house, id).is_empty() && passing(&house, other).is_empty()
    })
    .await;
    let (status, told) = answer(bytes(&house, "PUT", &path, tar("a", b"a")).await);
    assert_eq!(status, 200, "{told}");
    assert_eq!(names(files(&house, id)), ["all.zip", "more", "out", "save"]);
}

/// Somebody who asks for a folder and takes no more than the head of the answer.
async fn asks(house: &House, id: u64, path: &str) -> (u16, TcpStream) {
    let address = &house.endpoints["http.listen"];
    let head = format!(
        "GET {} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\n\r\n",
        at(id, &format!("/folder?path={path}&format=tar")),
        house.token,
    );
    let mut stream = TcpStream::connect(address).await.expect("it listens");
    stream.write_all(head.as_bytes()).await.expect("it reads");
    let mut line = [0; 12];
    let read = tokio::time::timeout(PATIENCE, stream.read_exact(&mut line));
    read.await.expect("in time").expect("an answer");
    let status = String::from_utf8_lossy(&line[9..]);
    (status.parse().expect("a status"), stream)
}

/// A file that is one hole.
fn hole(house: &House, id: u64, name: &str, size: u64) -> fs::File {
    let path = files(house, id).join(name);
    let file = fs::File::create(&path).expect("a file");
    file.set_len(size).expect("a hole");
    let owner = fs::metadata(files(house, id)).expect("it is there");
    lchown(path, Some(owner.uid()), Some(owner.gid())).expect("ours");
    file
}

#[tokio::test(flavor = "multi_thread")]
async fn who_takes_folders_slowly_stops_nobody_elses() {
    let (house, id) = open().await;
    let other = house.create(json!({ "game": "waits" })).await;
    put(&house, id, "save/a.sav", b"a game").await;
    put(&house, other, "save/a.sav", b"a game").await;
    // More than lines hold.
    hole(&house, id, "save/large", 256 << 20);
    let mut slow = Vec::new();
    for _ in 0..2 {
        let (status, stream) = asks(&house, id, "save").await;
        assert_eq!(status, 200);
        slow.push(stream);
    }
    // Two at once are what one server has.
    for _ in 0..12 {
        let path = at(id, "/folder?path=save&format=tar");
        assert_eq!(code(&house.call("GET", &path, None).await), (409, "busy"));
    }
    let path = at(other, "/folder?path=save&format=tar");
    assert_eq!(bytes(&house, "GET", &path, Vec::new()).await.0, 200);
    drop(slow);
    let started = Instant::now();
    while asks(&house, id, "save").await.0 != 200 {
        assert!(started.elapsed() < PATIENCE, "never given up");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_server_packs_one_archive_at_a_time_and_no_endless_one() {
    let (house, id) = open().await;
    let other = house.create(json!({ "game": "waits" })).await;
    put(&house, id, "small", b"a game").await;
    put(&house, other, "small", b"a game").await;
    let wish = |path: &str, to: &str| Some(json!({ "paths": [path], "to": to }));
    // Larger than the disk, and hours to read.
    hole(&house, id, "hole", 15 << 40);
    let refused = house
        .call("POST", &at(id, "/archive"), wish("hole", "all.tar.gz"))
        .await;
    assert_eq!(code(&refused), (422, "bad-archive"), "{}", refused.1);
    let said = refused.1["detail"].to_string();
    assert!(said.contains("could be unpacked"), "{said}");
    let large = hole(&house, id, "large", 4 << 30);
    let archive = at(id, "/archive");
    let packing = async {
        loop {
            let wish = wish("large", "large.tar.gz");
            let answer = house.call("POST", &archive, wish).await;
            if code(&answer) != (409, "busy") {
                return answer;
            }
        }
    };
    let others = async {
        let started = Instant::now();
        loop {
            let answer = house.call("POST", &archive, wish("small", "a.zip")).await;
            if code(&answer) == (409, "busy") {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "never busy");
        }
        // It does not keep others waiting.
        let path = at(other, "/archive");
        house.ok("POST", &path, wish("small", "a.zip")).await;
        // What shrinks while it is read ends it.
        large.set_len(0).expect("it is ours");
    };
    let (packed, ()) = tokio::join!(packing, others);
    assert_eq!(code(&packed), (412, "file-changed"), "{}", packed.1);
    house.ok("POST", &archive, wish("small", "b.zip")).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_box_was_making_is_gone_at_its_next_start() {
    let (mut house, id) = open().await;
    put(&house, id, "save/a.sav", b"a game").await;
    let top = files(&house, id);
    let owner = fs::metadata(&top).expect("it is there");
    let large = top.join("large");
    fs::create_dir(&large).expect("a folder");
    let give = |path: PathBuf| lchown(path, Some(owner.uid()), Some(owner.gid())).expect("ours");
    for number in 0..10_000 {
        let file = large.join(number.to_string());
        fs::write(&file, "x").expect("a file");
        give(file);
    }
    give(large);
    let slow = stalls(&house, id, "new").await;
    let held = house.state().join(format!("servers/{id}/passing/held"));
    let begun = || {
        let mut making = passing(&house, id).into_iter();
        making.any(|name| held.join(name).join("whole").exists())
    };
    until("begun", begun).await;
    {
        let path = at(id, "/copy?from=large&to=copied");
        let copy = house.try_call(&house.token, "POST", &path, None);
        let kill = async {
            until("copying", || passing(&house, id).len() == 2).await;
            let pid = nix::unistd::Pid::from_raw(i32::try_from(house.pid()).expect("a pid"));
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).expect("it is ours");
        };
        let (copied, ()) = tokio::join!(copy, kill);
        copied.expect_err("it was killed in the middle");
    }
    house.kill();
    drop(slow);
    // Not even meanwhile is anything among the files.
    assert_eq!(names(top.clone()), ["large", "save"]);
    assert_eq!(passing(&house, id).len(), 2);
    house.start();
    until("tidied up", || passing(&house, id).is_empty()).await;
    assert_eq!(names(top), ["large", "save"]);
    let copied = house
        .ok("POST", &at(id, "/copy?from=save&to=copied"), None)
        .await;
    assert_eq!(copied["files"], 1, "{copied}");
}

#[tokio::test]
async fn a_full_disk_in_the_middle_of_an_archive_leaves_what_was_there() {
    if !root("a disk of one's own") {
        return;
    }
    let mut house = House::unlocked(&[]);
    small_disk(&house.state());
    house.stock(&[("waits", &game(WAITS, PLAIN))]);
    house.settle().await;
    let id = house.create(json!({ "game": "waits" })).await;
    put(&house, id, "there/mine", b"mine").await;
    let archive = tar("big", &vec![0; 40 << 20]);
    let mut zipped = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    zipped.write_all(&archive).expect("room");
    let zipped = zipped.finish().expect("bytes");
    put(&house, id, "big.tar.gz", &zipped).await;
    put(&house, id, "old", &vec![1; 16 << 20]).await;
    for to in ["new", "there"] {
        let path = at(id, &format!("/extract?path=big.tar.gz&to={to}"));
        let full = house.call("POST", &path, None).await;
        assert_eq!(code(&full), (507, "disk-full"), "{}", full.1);
        let path = at(id, &format!("/folder?path={to}&format=tar"));
        let full = answer(bytes(&house, "PUT", &path, archive.clone()).await);
        assert_eq!(code(&full), (507, "disk-full"), "{}", full.1);
        let said = full.1["detail"].to_string();
        assert!(
            said.contains(&format!("nothing was kept of `{to}`")),
            "{said}"
        );
    }
    assert_eq!(names(files(&house, id)), ["big.tar.gz", "old", "there"]);
    assert_eq!(names(files(&house, id).join("there")), ["mine"]);
    assert_eq!(passing(&house, id), [""; 0]);
    // With not a byte left, there is nothing that could be begun.
    let filler = house.state().join("filler");
    fill(&filler);
    let path = at(id, "/folder?path=x&format=zip");
    let small = {
        let mut writer = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
        let options = zip::write::SimpleFileOptions::default();
        writer.start_file("a", options).expect("room");
        writer.write_all(&[7; 1000]).expect("room");
        writer.finish().expect("bytes").into_inner()
    };
    let full = answer(bytes(&house, "PUT", &path, small).await);
    assert_eq!(full.0, 507, "{}", full.1);
    fs::remove_file(&filler).expect("it is ours");
    // What was deleted gives way.
    house.ok("DELETE", &at(id, "?path=old"), None).await;
    let path = at(id, "/folder?path=there&format=tar");
    let (status, told) = answer(bytes(&house, "PUT", &path, tar("b", &vec![0; 30 << 20])).await);
    assert_eq!(status, 200, "{told}");
    assert_eq!(house.ok("GET", &at(id, "/bin"), None).await, json!([]));
    assert_eq!(names(files(&house, id).join("there")), ["b", "mine"]);
}
