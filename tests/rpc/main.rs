//! MyOTTD's XML-RPC at its real doors: Python's stock client, and bytes that no client would send.

mod bodies;
#[path = "../common/mod.rs"]
mod common;
mod edges;
mod faults;
mod life;
mod mottdd;
mod mounting;
mod streams;

use std::process::{Command, Stdio};

use common::{House, PATIENCE};
use longhouse::rpc::wire::{Call, Response, Value};
use serde_json::{Value as Json, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
};

/// What every script begins with: `box` is all daemons, `at(PATH)` one door, `ada` who asks, `fault(METHOD, …)` why not.
const PRELUDE: &str = r#"
import json, os, sys, xmlrpc.client
from xmlrpc.client import Binary, DateTime, Fault, ProtocolError, ServerProxy
HTTP = os.environ["HTTP"]
def at(path, host=HTTP): return ServerProxy("http://" + host + path)
box = at("/xmlrpc")
ada = ["plain", "ada", "correct horse"]
def fault(method, *params):
    try: return ["no fault", method(*params)]
    except Fault as fault: return [fault.faultCode, fault.faultString]
    except ProtocolError as error: return [error.errcode, error.errmsg]
def tell(value): print(json.dumps(value))
"#;

/// Runs a script with Python's own client; what it tells.
async fn python(house: &House, script: &str, environment: &[(&str, &str)]) -> Json {
    let mut command = Command::new("python3");
    command
        .args(["-c", &format!("{PRELUDE}{script}")])
        .env("HTTP", &house.endpoints["http.listen"])
        .envs(environment.iter().copied())
        .stdin(Stdio::null());
    let run = tokio::task::spawn_blocking(move || command.output());
    let out = tokio::time::timeout(PATIENCE, run).await.expect("in time");
    let out = out.expect("it runs").expect("python3 is installed");
    let (told, errors) = (
        String::from_utf8_lossy(&out.stdout),
        String::from_utf8_lossy(&out.stderr),
    );
    assert!(out.status.success(), "{errors}\n{told}\n{}", house.log());
    serde_json::from_str(&told).unwrap_or_else(|error| panic!("{error}: {told}"))
}

/// Bytes on a connection of their own; the status and the body, once the daemon has closed.
async fn raw(address: &str, request: &[u8]) -> (u16, String) {
    let mut answer = Vec::new();
    let work = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(request).await.ok(); // it may close before it has read all of what is too much
        stream.read_to_end(&mut answer).await
    };
    let read = tokio::time::timeout(PATIENCE, work).await;
    read.expect("the daemon answers and closes").ok();
    let text = String::from_utf8_lossy(&answer).into_owned();
    let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
    let status = head
        .split(' ')
        .nth(1)
        .and_then(|status| status.parse().ok());
    (
        status.unwrap_or_else(|| panic!("no answer but {text:?}")),
        body.into(),
    )
}

/// A document to a path; the status and what came back.
async fn post(house: &House, path: &str, document: &[u8]) -> (u16, String) {
    let address = &house.endpoints["http.listen"];
    let length = document.len();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: {address}\r\ncontent-type: text/xml\r\ncontent-length: {length}\r\n\
         connection: close\r\n\r\n"
    );
    raw(address, &[head.as_bytes(), document].concat()).await
}

/// What an answer says: a value, or a fault's code and text.
fn said(answer: &(u16, String)) -> Result<Value, (i32, String)> {
    assert_eq!(answer.0, 200, "{answer:?}");
    match Response::decode(answer.1.as_bytes()).expect("XML-RPC") {
        Response::Value(value) => Ok(value),
        Response::Fault { code, text } => Err((code, text)),
    }
}

/// A call by the administrator, as bytes.
fn by_ada(method: &str, args: Vec<Value>) -> Vec<u8> {
    let auth: Vec<Value> = vec!["plain".into(), "ada".into(), "correct horse".into()];
    let params = vec![auth.into(), args.into()];
    let call = Call {
        method: method.into(),
        params,
    };
    call.encode().expect("it can be said")
}

#[tokio::test]
async fn every_method_that_is_listed_can_be_called_and_has_help_and_a_signature() {
    let house = House::open_with(&["rpc.mottdd=127.0.0.1:0".into()]).await;
    let own = house.endpoints["rpc.mottdd"].clone();
    let told = python(
        &house,
        r#"
def visit(box):
    names = box.system.listMethods()
    for name in names:
        [signature, *_] = box.system.methodSignature(name)
        assert signature and all(type(word) is str for word in signature), signature
        assert len(box.system.methodHelp(name)) > 20, name
        if not name.startswith("system."):
            # Too many arguments for any: it is found, and refuses.
            code, text = fault(getattr(box, name), ada, [None_] * 9)
            assert code == 1000 and "arguments" in text, (name, code, text)
    return names
None_ = ""
all_ = visit(box)
assert box.system.listMethods([], []) == all_ == box.system.listMethods(["plain"], [])
assert box.system.methodHelp(ada, ["server_stop"]) == box.system.methodHelp("mottdd.server_stop")
tell({
    "all": all_,
    "mottdd": visit(at("/xmlrpc/mottdd")),
    "own": visit(at("/xmlrpc", os.environ["OWN"])),
    "signature": box.system.methodSignature("mottdd.server_start"),
    "unknown": fault(box.system.methodHelp, "nonsense"),
})
"#,
        &[("OWN", &own)],
    )
    .await;
    let names =
        |key: &str| -> Vec<String> { serde_json::from_value(told[key].clone()).expect("names") };
    for name in [
        "system.listMethods",
        "server_stop",
        "mottdd.server_stop",
        "audit_event",
        "mlogd.audit_event",
    ] {
        assert!(names("all").iter().any(|known| known == name), "{name}");
    }
    assert_eq!(told["mottdd"], told["own"]);
    assert!(
        names("own")
            .iter()
            .all(|name| !name.contains("mlogd") && name != "audit_event")
    );
    assert_eq!(
        told["signature"],
        json!([["boolean", "int"], ["boolean", "int", "any"]])
    );
    assert_eq!(
        told["unknown"],
        json!([8001, "function nonsense not found"])
    );
}

#[tokio::test]
async fn each_door_has_its_daemons_and_nothing_else() {
    let house = House::open_with(&["rpc.mlogd=127.0.0.1:0".into()]).await;
    let event = by_ada("audit_event", vec!["x".into(), "y".into()]);
    for path in ["/xmlrpc", "/xmlrpc/", "/xmlrpc/mlogd"] {
        assert_eq!(
            said(&post(&house, path, &event).await),
            Ok(true.into()),
            "{path}"
        );
    }
    let elsewhere = said(&post(&house, "/xmlrpc/mottdd", &event).await);
    assert_eq!(
        elsewhere,
        Err((8001, "function audit_event not found".into()))
    );
    let named = by_ada("mlogd.audit_event", vec!["x".into(), "y".into()]);
    assert_eq!(
        said(&post(&house, "/xmlrpc/mottdd", &named).await)
            .unwrap_err()
            .0,
        8001
    );
    assert_eq!(
        said(&post(&house, "/xmlrpc/mlogd", &named).await),
        Ok(true.into())
    );
    for (path, status) in [
        ("/RPC2", 404),
        ("/xmlrpc/nonsense", 404),
        ("/xmlrpc/mlogd/more", 404),
    ] {
        assert_eq!(post(&house, path, &event).await.0, status, "{path}");
    }
    let own = &house.endpoints["rpc.mlogd"];
    let length = event.len();
    for (request, status) in [
        ("GET /xmlrpc", 405),
        ("GET /xmlrpc/mlogd", 404),
        ("POST /xmlrpc/mlogd", 404),
        ("GET /api/v1/servers", 404),
        ("POST /xmlrpc", 200),
    ] {
        let head = format!(
            "{request} HTTP/1.1\r\nhost: {own}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"
        );
        let answer = raw(own, &[head.as_bytes(), &event].concat()).await;
        assert_eq!(answer.0, status, "{request}");
    }
    for path in ["/xmlrpc", "/xmlrpc/mlogd"] {
        assert_eq!(house.call("GET", path, None).await.0, 405);
    }
}

#[tokio::test]
async fn a_page_of_another_site_cannot_even_ask() {
    let house = House::open().await;
    let address = &house.endpoints["http.listen"];
    let event = by_ada("audit_event", vec!["x".into(), "y".into()]);
    let length = event.len();
    let head = format!(
        "POST /xmlrpc HTTP/1.1\r\nhost: {address}\r\norigin: http://evil.example\r\ncontent-type: text/plain\r\n\
         content-length: {length}\r\nconnection: close\r\n\r\n"
    );
    assert_eq!(
        raw(address, &[head.as_bytes(), &event].concat()).await.0,
        403
    );
}

#[tokio::test]
async fn an_event_is_in_the_audit_log_before_its_caller_goes_on() {
    let house = House::open().await;
    house.person("bob", "player").await;
    let told = python(
        &house,
        r#"
bob = ["plain", "bob", "battery staple bob"]
tell([
    box.mlogd.audit_event(ada, ["mount", {"id": 7, "why": ["a", True, 1.5], "bytes": Binary(b"x")}]),
    fault(box.audit_event, bob, ["mount", ""]),
    fault(box.audit_event, ada, ["", ""]),
    fault(box.audit_event, ada, ["two\nlines", ""]),
    fault(box.audit_event, ada, ["mount", "x" * 3000]),
    fault(box.audit_event, ada, [7, ""]),
])
"#,
        &[],
    )
    .await;
    let codes: Vec<_> = told
        .as_array()
        .expect("a list")
        .iter()
        .map(|said| said[0].clone())
        .collect();
    assert_eq!(told[0], true);
    assert_eq!(
        codes[1..],
        [1101, 1102, 1102, 1102, 1000].map(Json::from),
        "{told}"
    );
    let log = house.ok("GET", "/api/v1/audit", None).await;
    let events: Vec<_> = log
        .as_array()
        .expect("records")
        .iter()
        .filter(|line| line["action"] == "rpc.event" && line["of"].is_null())
        .collect();
    assert_eq!(events.len(), 1, "{log:#}");
    assert_eq!(events[0]["subject"], "mount");
    assert_eq!(events[0]["name"], "ada");
    assert_eq!(events[0]["door"], "rpc");
    assert_eq!(
        events[0]["detail"]["args"],
        json!({"id": 7, "why": ["a", true, 1.5], "bytes": "eA=="})
    );
}
