//! Bodies that no client would send, and those that some do.

use longhouse::rpc::wire::Value;
use serde_json::json;

use crate::{House, by_ada, post, python, raw, said};

#[tokio::test]
async fn a_hundred_megabytes_are_refused_without_being_held() {
    let house = House::open().await;
    let before = resident(house.pid());
    let told = python(
        &house,
        r#"
import http.client
def send(**more):
    piece = b"x" * (1 << 20)
    link = http.client.HTTPConnection(HTTP, timeout=110)
    try:
        link.request("POST", "/xmlrpc", (piece for _ in range(100)), **more)
    except BrokenPipeError:
        pass
    return link.getresponse().status
tell([
    send(headers={"Content-Length": str(100 << 20)}),
    send(encode_chunked=True, headers={"Transfer-Encoding": "chunked"}),
    send(headers={"Content-Length": str(1 << 40)}),
])
"#,
        &[],
    )
    .await;
    assert_eq!(told, json!([413, 413, 413]));
    let grown = resident(house.pid()).saturating_sub(before);
    assert!(grown < 60 << 20, "{grown} bytes more are held");
    let event = by_ada("audit_event", vec!["x".into(), "y".into()]);
    assert_eq!(
        said(&post(&house, "/xmlrpc", &event).await),
        Ok(true.into())
    );
}

/// The most memory that a process has had, in bytes.
fn resident(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line = status.lines().find(|line| line.starts_with("VmHWM:"));
    let kilobytes = line.and_then(|line| line.split_whitespace().nth(1)?.parse::<u64>().ok());
    kilobytes.expect("a number") << 10
}

#[tokio::test]
async fn what_costs_more_than_it_weighs_is_refused() {
    let house = House::open().await;
    let deep = |depth: usize| {
        let (open, close) = ("<value><array><data>", "</data></array></value>");
        let value = format!("{}{}", open.repeat(depth), close.repeat(depth));
        format!(
            "<methodCall><methodName>m</methodName><params><param>{value}</param></params></methodCall>"
        )
    };
    let laughs = r#"<?xml version="1.0"?><!DOCTYPE lolz [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]>
        <methodCall><methodName>&b;</methodName></methodCall>"#;
    let outside = r#"<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/passwd">]><methodCall><methodName>&e;</methodName></methodCall>"#;
    let many = format!(
        "<methodCall><methodName>m</methodName><params><param><value><array><data>{}</data></array></value></param></params></methodCall>",
        "<value/>".repeat(200_000)
    );
    for (document, why) in [
        (deep(33).into_bytes(), "32 deep"),
        (deep(100_000).into_bytes(), "32 deep"),
        (
            "<methodCall>".repeat(100_000).into_bytes(),
            "in the place of",
        ),
        (laughs.into(), "DOCTYPE"),
        (outside.into(), "DOCTYPE"),
        (many.into_bytes(), "100000 values"),
        (
            b"<methodCall><methodName>\xff\xfe</methodName></methodCall>".to_vec(),
            "UTF-8",
        ),
        (
            b"<methodCall><methodName>a\x00b</methodName></methodCall>".to_vec(),
            "U+0000",
        ),
        (Vec::new(), "early"),
        (b"\x1f\x8b gzip?".to_vec(), "UTF-8"),
    ] {
        let (code, text) = said(&post(&house, "/xmlrpc", &document).await).unwrap_err();
        assert_eq!(code, 8002);
        assert!(text.contains(why) && text.len() < 300, "{why}: {text}");
    }
}

#[tokio::test]
async fn documents_are_read_however_they_are_written() {
    let house = House::open().await;
    // Missing type tags, i4, CDATA, comments, references, white space.
    let document = "<?xml version=\"1.0\"?>\n<!-- by hand -->\n<methodCall>\n  <methodName> mlogd.audit_event </methodName>\n\
        <params>\n <param><value><array><data><value>plain</value><value>a&#100;a</value>\
        <value><![CDATA[correct horse]]></value></data></array></value></param>\n\
        <param><value><array> <data> <value>by&#x20;hand</value> <value><struct><member><name>n</name><value> <i4> 7 </i4> </value>\
        </member></struct></value> </data> </array></value></param>\n</params>\n</methodCall>\n\n";
    assert_eq!(
        said(&post(&house, "/xmlrpc", document.as_bytes()).await),
        Ok(Value::Boolean(true))
    );
    // In chunks of one byte.
    let address = &house.endpoints["http.listen"];
    let mut request = format!(
        "POST /xmlrpc HTTP/1.1\r\nhost: {address}\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n"
    )
    .into_bytes();
    for byte in document.bytes() {
        request.extend([b"1\r\n", &[byte][..], b"\r\n"].concat());
    }
    request.extend(b"0\r\n\r\n");
    assert_eq!(
        said(&raw(address, &request).await),
        Ok(Value::Boolean(true))
    );
    let log = house.ok("GET", "/api/v1/audit", None).await;
    let events = log.as_array().expect("records").iter();
    let events = events.filter(|line| line["subject"] == "by hand" && line["of"].is_null());
    assert_eq!(
        events
            .map(|line| &line["detail"]["args"]["n"])
            .collect::<Vec<_>>(),
        [&json!(7); 2]
    );
}
