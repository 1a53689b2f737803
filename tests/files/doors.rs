//! MyOTTD's own ways to a server's files: mfiled's calls, and the two doors.

use std::{fs, os::unix::fs::symlink};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

use crate::{
    Answer, ask,
    common::{House, PATIENCE},
    files, noise, open,
};

/// One call, as ada; each argument is a value in XML.
pub(crate) async fn call(house: &House, method: &str, arguments: &[String]) -> String {
    let value = |text: &str| format!("<value>{text}</value>");
    let array = |values: &[String]| {
        let values: String = values.iter().map(|text| value(text)).collect();
        format!("<param><value><array><data>{values}</data></array></value></param>")
    };
    let proof = ["plain", "ada", "correct horse"].map(String::from);
    let document = format!(
        "<?xml version=\"1.0\"?><methodCall><methodName>{method}</methodName><params>{}{}</params></methodCall>",
        array(&proof),
        array(arguments)
    );
    let kind = [("content-type", "text/xml")];
    let answer = ask(house, "POST", "/xmlrpc", &kind, document).await;
    assert_eq!(answer.status, 200);
    String::from_utf8(answer.body.to_vec()).unwrap()
}

#[tokio::test]
async fn mfiled_lists_tells_gets_puts_and_deletes() {
    let (house, id) = open(&[]).await;
    let server = format!("<int>{id}</int>");
    let at = |path: &str| vec![server.clone(), path.to_owned()];
    let put = |path: &str, data: &str| [at(path), vec![data.to_owned()]].concat();
    let done = call(&house, "file_put_contents", &put("/cfg", "port = 1")).await;
    assert!(done.contains("<boolean>1</boolean>"), "{done}");
    let bytes = "<base64>AP8B</base64>";
    call(&house, "mfiled.file_put_contents", &put("bytes", bytes)).await;
    let got = call(&house, "file_get_contents", &at("cfg")).await;
    assert!(got.contains("port = 1"), "{got}");
    let got = call(&house, "file_get_contents", &at("/bytes")).await;
    assert!(got.contains("AP8B"), "{got}");
    let list = call(&house, "file_list", &at("/")).await;
    for part in [
        "<string>.</string>",
        "<string>..</string>",
        "cfg",
        "bytes",
        "rw-",
        "mtime",
    ] {
        assert!(list.contains(part), "{part} is not in {list}");
    }
    let told = call(&house, "file_info", &at("cfg")).await;
    assert!(
        told.contains("<int>8</int>") && told.contains("file"),
        "{told}"
    );
    house.ok("POST", &files(id, "/folder?path=d"), None).await;
    for (path, kind, code) in [
        ("d", "file", 4002),
        ("cfg", "dir", 4002),
        ("none", "file", 4001),
    ] {
        let refused = call(&house, "file_delete", &put(path, kind)).await;
        assert!(refused.contains(&format!("<int>{code}</int>")), "{refused}");
    }
    let climbs = call(&house, "file_get_contents", &at("../../store/db")).await;
    assert!(climbs.contains("<int>4003</int>"), "{climbs}");
    call(&house, "file_delete", &put("d", "dir")).await;
    call(&house, "file_delete", &put("cfg", "file")).await;
    let gone = call(&house, "file_info", &at("cfg")).await;
    assert!(gone.contains("<int>4001</int>"), "{gone}");
}

fn form(name: &str, content: &[u8]) -> Vec<u8> {
    let head = "--edge\r\ncontent-disposition: form-data; name=\"note\"\r\n\r\nx\r\n--edge\r\n";
    let file = format!(
        "content-disposition: form-data; name=\"file\"; filename=\"{name}\"\r\ncontent-type: text/html\r\n\r\n"
    );
    [
        head.as_bytes(),
        file.as_bytes(),
        content,
        b"\r\n--edge--\r\n",
    ]
    .concat()
}

const FORM: &[(&str, &str)] = &[("content-type", "multipart/form-data; boundary=edge")];

fn place(answer: &Answer) -> &str {
    assert_eq!(answer.status, 303);
    answer.header("location")
}

#[tokio::test]
async fn a_form_goes_to_a_folder_by_its_name_and_to_a_file_by_its_path() {
    let (house, id) = open(&["http.redirects=friends.example"]).await;
    house.ok("POST", &files(id, "/folder?path=d"), None).await;
    let content = noise(2_000_000);
    let upload = format!("/upload?server={id}&mode=640&path=");
    let body = form("C:\\fakepath\\big.map", &content);
    let sent = ask(&house, "POST", &format!("{upload}/d"), FORM, body).await;
    assert_eq!(sent.status, 204, "{:?}", sent.json());
    let told = house
        .ok("GET", &files(id, "/stat?path=d/big.map"), None)
        .await;
    assert_eq!(
        (&told["size"], &told["mode"]),
        (&2_000_000.into(), &"640".into())
    );
    let body = form("other", b"by path");
    let to = format!("{upload}d/name&redirect=http://friends.example/x?a=b");
    let sent = ask(&house, "POST", &to, FORM, body).await;
    assert_eq!(
        place(&sent),
        "http://friends.example/x?a=b&mfiled_status=ok"
    );
    let raw = ask(&house, "POST", &format!("{upload}plain"), &[], "raw").await;
    assert_eq!(raw.status, 204);
    let download = format!("/download?server={id}&path=");
    let got = ask(&house, "GET", &format!("{download}d/big.map"), &[], "").await;
    assert_eq!(got.body, content);
    let got = ask(&house, "GET", &format!("{download}/d/name"), &[], "").await;
    assert_eq!(got.body, "by path");

    let to = format!("{download}none&redirect=/panel");
    let sent = ask(&house, "GET", &to, &[], "").await;
    assert!(
        place(&sent).ends_with("/panel?mfiled_status=err&mfiled_err=there+is+no+%60none%60"),
        "{}",
        place(&sent)
    );
    // Nothing is done for who would be sent elsewhere.
    for evil in [
        "http://evil.example/",
        "//evil.example",
        "javascript:alert(1)",
    ] {
        let to = format!("{upload}evil&redirect={evil}");
        let refused = ask(&house, "POST", &to, &[], "x").await;
        assert_eq!(refused.code(), (400, "bad-query".into()), "{evil}");
    }
    let gone = ask(&house, "GET", &format!("{download}evil"), &[], "").await;
    assert_eq!(gone.code(), (404, "no-such-file".into()));
    for broken in [&b"--edge\r\n"[..], b"nothing", b"--edge--\r\n"] {
        let refused = ask(&house, "POST", &format!("{upload}d"), FORM, broken.to_vec()).await;
        assert_eq!(refused.status, 400, "{broken:?}");
    }
}

#[tokio::test]
async fn the_doors_know_who_asks_by_a_token_in_the_address_too() {
    let (mut house, id) = open(&[]).await;
    ask(&house, "PUT", &files(id, "/content?path=cfg"), &[], "x").await;
    let token = std::mem::take(&mut house.token);
    let address = house.endpoints["http.listen"].clone();
    let plain = |path: String| {
        let request =
            format!("GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let house = &house;
        async move { house.raw(request.as_bytes()).await.0 }
    };
    let download = format!("/download?server={id}&path=cfg");
    assert_eq!(plain(download.clone()).await, 401);
    assert_eq!(plain(format!("{download}&auth=wrong")).await, 401);
    assert_eq!(plain(format!("{download}&auth={token}")).await, 200);
}

#[tokio::test]
async fn a_file_for_a_link_to_a_folder_goes_into_the_folder() {
    let (house, id) = open(&[]).await;
    house.ok("POST", &files(id, "/folder?path=d"), None).await;
    let folder = house.state().join(format!("servers/{id}/files"));
    let link = |name: &str, target: &str| symlink(target, folder.join(name)).unwrap();
    link("to-folder", "d");
    link("out", "/etc");
    link("nowhere", "none");
    let upload = format!("/upload?server={id}&path=");
    let to = |path: &str| format!("{upload}{path}");
    let body = || form("big.map", b"into it");
    let sent = ask(&house, "POST", &to("to-folder"), FORM, body()).await;
    assert_eq!(sent.status, 204, "{:?}", sent.json());
    assert_eq!(fs::read(folder.join("d/big.map")).unwrap(), b"into it");
    let refused = ask(&house, "POST", &to("to-folder"), &[], "without a name").await;
    assert_eq!(refused.code(), (409, "wrong-kind".into()));
    let refused = ask(&house, "POST", &to("out"), FORM, body()).await;
    assert_eq!(refused.code(), (403, "leads-out".into()));
    for name in ["to-folder", "out"] {
        let about = folder.join(name).symlink_metadata().unwrap();
        assert!(about.is_symlink(), "{name} was replaced");
    }
    // What leads nowhere is no folder: a file takes its place, as when it is written.
    let sent = ask(&house, "POST", &to("nowhere"), FORM, body()).await;
    assert_eq!(sent.status, 204, "{:?}", sent.json());
    assert_eq!(fs::read(folder.join("nowhere")).unwrap(), b"into it");
}

/// Sends all of `body`, whatever comes back meanwhile, and then reads the answer's head.
async fn insists(house: &House, path: &str, kind: &str, body: &[u8]) -> String {
    let address = &house.endpoints["http.listen"];
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    let mut answer = Vec::new();
    let work = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(head.as_bytes()).await?;
        stream.write_all(body).await?;
        stream.read_to_end(&mut answer).await
    };
    let done = tokio::time::timeout(PATIENCE, work).await.unwrap();
    done.unwrap_or_else(|error| panic!("{path} was cut off: {error}"));
    String::from_utf8_lossy(&answer).to_lowercase()
}

#[tokio::test]
async fn who_sends_much_that_is_refused_still_gets_to_the_redirect() {
    let (mut house, id) = open(&["http.redirects=friends.example"]).await;
    house.ok("POST", &files(id, "/folder?path=d"), None).await;
    let limit = serde_json::json!({"limits": {"disk": 5_000_000}});
    house.ok("PATCH", &House::at(id, ""), Some(limit)).await;
    let (_, eve) = house.person("eve", "player").await;
    let ada = std::mem::take(&mut house.token);
    let (many, form) = (noise(9_000_000), form("big.map", &noise(9_000_000)));
    let back = "&redirect=http://friends.example/x";
    let place = "location: http://friends.example/x?mfiled_status=err&mfiled_err=";
    for (case, query) in [
        ("nobody", "path=big".to_owned()),
        ("a wrong token", "path=big&auth=wrong".into()),
        ("eve", format!("path=big&auth={eve}")),
        ("a way out", format!("path=../big&auth={ada}")),
        ("a mode", format!("path=big&mode=9999&auth={ada}")),
        ("a file on the way", format!("path=d/../x&auth={ada}")),
        ("over the limit", format!("path=big&auth={ada}")),
        ("a folder over the limit", format!("path=d&auth={ada}")),
    ] {
        let path = format!("/upload?server={id}{back}&{query}");
        for (kind, body) in [
            ("application/octet-stream", &many),
            ("multipart/form-data; boundary=edge", &form),
        ] {
            let told = insists(&house, &path, kind, body).await;
            assert!(told.starts_with("http/1.1 303"), "{case}, {kind}: {told}");
            assert!(told.contains(place), "{case}, {kind}: {told}");
        }
    }
    // Where the browser would be sent elsewhere, that is what is told.
    let path = format!("/upload?server={id}&path=big&redirect=http://evil.example/");
    let told = insists(&house, &path, "text/plain", &many).await;
    assert!(told.starts_with("http/1.1 400"), "{told}");
    let folder = house.state().join(format!("servers/{id}/files"));
    let left: Vec<_> = fs::read_dir(folder).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}
