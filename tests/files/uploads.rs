use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{ask, common::House, files, noise, open};

/// Sends a piece of which only `sent` bytes arrive before the line breaks.
async fn cut(house: &House, path: &str, announced: usize, sent: &[u8]) {
    let address = &house.endpoints["http.listen"];
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "PUT {path} HTTP/1.1\r\nhost: {address}\r\nauthorization: Bearer {}\r\ncontent-length: {announced}\r\n\r\n",
        house.token
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.ok();
}

#[tokio::test]
async fn an_upload_that_is_cut_goes_on_also_after_the_box_was_killed() {
    let (mut house, id) = open(&[]).await;
    let content = noise(9_000_000);
    let sum = data_encoding::HEXLOWER.encode(&Sha256::digest(&content));
    let begin = format!("/uploads?path=new/folder/big&size=9000000&sha256={sum}&mode=600");
    let upload = house.ok("POST", &files(id, &begin), None).await;
    let place = files(id, &format!("/uploads/{}", upload["id"]));
    let mut offset = 0;
    for (round, length) in [1, 700_001, 3_000_000, 17].into_iter().enumerate() {
        let piece = format!("{place}?offset={offset}");
        cut(
            &house,
            &piece,
            length + 5,
            &content[offset..offset + length],
        )
        .await;
        if round == 2 {
            house.kill();
            house.start();
        }
        let told = ask(&house, "HEAD", &place, &[], "").await;
        let here: usize = told.header("upload-offset").parse().unwrap();
        assert!(here <= offset + length, "{here} after {offset} + {length}");
        assert!(here > offset, "nothing of piece {round} was kept");
        offset = here;
    }
    let wrong = ask(&house, "PUT", &format!("{place}?offset=0"), &[], "x").await;
    assert_eq!(wrong.code(), (409, "wrong-offset".into()));
    assert_eq!(wrong.json()["offset"], offset);
    let early = ask(&house, "POST", &format!("{place}/finish"), &[], "").await;
    assert_eq!(early.code(), (422, "content-mismatch".into()));
    let range = format!("bytes {offset}-8999999/9000000");
    let rest = ask(
        &house,
        "PUT",
        &place,
        &[("content-range", &range)],
        content[offset..].to_vec(),
    )
    .await;
    assert_eq!(rest.json()["offset"], 9_000_000, "{:?}", rest.json());
    let entry = house.ok("POST", &format!("{place}/finish"), None).await;
    assert_eq!(
        (&entry["size"], &entry["mode"]),
        (&json!(9_000_000), &json!("600"))
    );
    let at = files(id, "/content?path=new/folder/big");
    assert_eq!(ask(&house, "GET", &at, &[], "").await.body, content);
    let again = ask(&house, "POST", &format!("{place}/finish"), &[], "").await;
    assert_eq!(again.code(), (404, "no-such-upload".into()));
    assert_eq!(
        house.ok("GET", &files(id, "/uploads"), None).await,
        json!([])
    );
}

#[tokio::test]
async fn a_write_that_is_cut_leaves_what_was_there() {
    let (house, id) = open(&[]).await;
    let at = files(id, "/content?path=cfg");
    ask(&house, "PUT", &at, &[], "as it was").await;
    for sent in [0, 1, 100_000, 2_000_000] {
        cut(&house, &at, 3_000_000, &noise(sent)).await;
    }
    assert_eq!(ask(&house, "GET", &at, &[], "").await.body, "as it was");
    let list = house.ok("GET", &files(id, ""), None).await;
    assert_eq!(list["entries"].as_array().unwrap().len(), 1, "{list}");
}
