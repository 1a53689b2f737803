//! The carrier with real connections on port 0, against a table of its own.

use std::{net::SocketAddr, path::PathBuf, time::Duration};

use serde::Deserialize;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    task::JoinHandle,
};
use tokio_util::sync::CancellationToken;
use utoipa::ToSchema;
use warp::{
    filters::BoxedFilter,
    http::{Method, StatusCode},
    reply::Response,
};

use super::{
    Limits, Peer,
    routes::{Call, Route, Table, bare, json},
    serve,
};
use crate::telemetry::Metrics;

#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
struct Wish {
    name: String,
}

fn table() -> Table<()> {
    let here = |(): (), call: Call| async move {
        let Peer::Tcp(_) = call.peer else {
            return Ok(bare(StatusCode::IM_A_TEAPOT));
        };
        json(StatusCode::OK, &call.number("count", 1..=10)?)
    };
    let wish = |(): (), mut call: Call| async move {
        let wish: Wish = call.json().await?;
        json(StatusCode::OK, &wish.name)
    };
    let id = |(): (), call: Call| async move { json(StatusCode::OK, &call.id("id")?) };
    let large = |(): (), _: Call| async move { json(StatusCode::OK, &"x".repeat(64 << 20)) };
    Table::new(vec![
        Route::new(Method::GET, "/here", "here", here).query("count", "a number"),
        Route::new(Method::POST, "/here", "wish", wish).takes::<Wish>(),
        Route::new(Method::DELETE, "/thing/{id}", "delete", id),
        Route::new(Method::GET, "/large", "much", large),
    ])
}

/// A server that ends with the test.
pub(crate) struct Box {
    pub(crate) address: SocketAddr,
    pub(crate) metrics: Metrics,
    pub(crate) stop: CancellationToken,
    pub(crate) task: JoinHandle<()>,
}

impl Drop for Box {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl Box {
    pub(crate) async fn open(routes: BoxedFilter<(Response,)>, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (metrics, stop) = (Metrics::default(), CancellationToken::new());
        let served = serve(listener, routes, limits, metrics.clone(), stop.clone());
        Self {
            address,
            metrics,
            stop,
            task: tokio::spawn(served),
        }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// Sends `request` (with `Connection: close` in it, or a limit that closes) and reads to the end.
    pub(crate) async fn ask(&self, request: &str) -> String {
        ask(self.connect().await, request).await
    }
}

pub(crate) async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin, request: &str) -> String {
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // A reset after the answer is the end as well.
    stream.read_to_end(&mut answer).await.ok();
    String::from_utf8(answer).unwrap()
}

async fn small(limits: Limits) -> Box {
    Box::open(table().filter(()), limits).await
}

fn request(line: &str, more: &str) -> String {
    format!("{line} HTTP/1.1\r\nHost: box\r\nConnection: close\r\n{more}\r\n")
}

fn post(body: &str, more: &str) -> String {
    let length = body.len();
    request("POST /here", &format!("Content-Length: {length}\r\n{more}")) + body
}

#[track_caller]
fn assert_problem(answer: &str, status: u16, code: &str) {
    let head = format!("HTTP/1.1 {status} ");
    assert!(answer.starts_with(&head), "{answer}");
    assert!(answer.contains("application/problem+json"), "{answer}");
    assert!(answer.contains(&format!("\"code\":\"{code}\"")), "{answer}");
    assert!(
        answer.contains("x-content-type-options: nosniff"),
        "{answer}"
    );
}

#[tokio::test]
async fn paths_methods_and_queries_are_answered_by_the_table() {
    let open = small(Limits::default()).await;
    assert_problem(
        &open.ask(&request("GET /nowhere", "")).await,
        404,
        "not-found",
    );
    let wrong = open.ask(&request("PUT /here", "")).await;
    assert_problem(&wrong, 405, "method-not-allowed");
    assert!(wrong.contains("allow: GET, HEAD, POST\r\n"), "{wrong}");
    assert!(
        open.ask(&request("GET /here?count=7", ""))
            .await
            .ends_with("\r\n\r\n7")
    );
    assert!(
        open.ask(&request("GET /here/", ""))
            .await
            .ends_with("\r\n\r\nnull")
    );
    for query in ["count=11", "count=-1", "count=x", "cuont=1", "count=%"] {
        let answer = open.ask(&request(&format!("GET /here?{query}"), "")).await;
        assert_problem(&answer, 400, "bad-query");
    }
    assert!(
        open.ask(&request("DELETE /thing/12", ""))
            .await
            .ends_with("\r\n\r\n12")
    );
    for id in ["x", "-1", "+1", "1.0", "99999999999999999999", "%31"] {
        let answer = open.ask(&request(&format!("DELETE /thing/{id}"), "")).await;
        assert_problem(&answer, 404, "not-found");
    }
    let head = open.ask(&request("HEAD /here?count=7", "")).await;
    assert!(
        head.starts_with("HTTP/1.1 200 ") && head.ends_with("\r\n\r\n"),
        "{head}"
    );
}

#[tokio::test]
async fn a_target_that_is_no_path_is_refused() {
    let open = small(Limits::default()).await;
    for line in ["CONNECT a:1", "GET a:1", "GET a", "OPTIONS *"] {
        assert_problem(&open.ask(&request(line, "")).await, 404, "not-found");
    }
    let absolute = open.ask(&request("GET http://other/here", "")).await;
    assert!(absolute.starts_with("HTTP/1.1 200 "), "{absolute}");
    assert!(open.ask(&request("GET /here", "")).await.ends_with("null"));
}

#[tokio::test]
async fn bodies_are_bounded_and_faults_in_them_named() {
    let open = small(Limits {
        body: 100,
        ..Limits::default()
    })
    .await;
    assert!(
        open.ask(&post("{\"name\":\"x\"}", ""))
            .await
            .ends_with("\"x\"")
    );
    let long = format!("{{\"name\":\"{}\"}}", "x".repeat(200));
    assert_problem(&open.ask(&post(&long, "")).await, 413, "body-too-large");
    let huge = request("POST /here", "Content-Length: 99999999\r\n");
    assert_problem(&open.ask(&huge).await, 413, "body-too-large");
    let chunked = request("POST /here", "Transfer-Encoding: chunked\r\n");
    let chunk = format!("{:x}\r\n{long}\r\n0\r\n\r\n", long.len());
    let answer = open.ask(&(chunked + &chunk)).await;
    assert_problem(&answer, 413, "body-too-large");
    let unknown = open.ask(&post("{\"name\":\"x\",\n\"nmae\":1}", "")).await;
    assert_problem(&unknown, 400, "bad-json");
    assert!(
        unknown.contains("unknown field `nmae`") && unknown.contains("\"line\":2"),
        "{unknown}"
    );
    assert_problem(&open.ask(&post("{", "")).await, 400, "bad-json");
    assert_problem(&open.ask(&post("", "")).await, 400, "bad-json");
}

#[tokio::test]
async fn a_slow_body_times_out() {
    let body_time = Duration::from_millis(30);
    let open = small(Limits {
        body_time,
        ..Limits::default()
    })
    .await;
    let unfinished = request("POST /here", "Content-Length: 10\r\n") + "{";
    assert_problem(&open.ask(&unfinished).await, 408, "body-too-slow");
}

#[tokio::test]
async fn cookies_need_json_from_our_own_pages_and_nonsense_proofs_are_refused() {
    let open = small(Limits::default()).await;
    let cookie = "Cookie: longhouse_session=abc\r\n";
    let wish = "{\"name\":\"x\"}";
    assert_problem(&open.ask(&post(wish, cookie)).await, 403, "cross-site");
    let foreign = format!("{cookie}Origin: http://evil\r\n");
    assert_problem(&open.ask(&post(wish, &foreign)).await, 403, "cross-site");
    let ours = format!("{cookie}Origin: http://box\r\n");
    assert_problem(&open.ask(&post(wish, &ours)).await, 415, "not-json");
    let json = format!("{ours}Content-Type: application/json; charset=utf-8\r\n");
    assert!(
        open.ask(&post(wish, &json))
            .await
            .starts_with("HTTP/1.1 200 ")
    );
    let nonsense = request("GET /here", "Authorization: Digest x\r\n");
    let answer = open.ask(&nonsense).await;
    assert_problem(&answer, 401, "unauthenticated");
    assert!(answer.contains("www-authenticate: Bearer"), "{answer}");
}

#[tokio::test]
async fn a_header_that_never_ends_and_a_connection_that_never_asks_are_closed() {
    let header = Duration::from_millis(30);
    let open = small(Limits {
        header,
        ..Limits::default()
    })
    .await;
    assert_eq!(open.ask("GET /here HTT").await, "");
    assert_eq!(open.ask("").await, "");
    // Kept alive after an answer, then idle.
    let answer = open.ask("GET /here HTTP/1.1\r\nHost: box\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

#[tokio::test]
async fn who_does_not_read_a_large_answer_is_cut_off() {
    let stall = Duration::from_millis(50);
    let open = small(Limits {
        stall,
        ..Limits::default()
    })
    .await;
    let mut greedy = open.connect().await;
    greedy
        .write_all(request("GET /large", "").as_bytes())
        .await
        .unwrap();
    loop {
        let page = open.metrics.page(Duration::ZERO, [], None);
        if page.contains("http_requests_total{") && page.contains("http_connections 0") {
            break;
        }
        tokio::task::yield_now().await;
    }
    let mut rest = Vec::new();
    greedy.read_to_end(&mut rest).await.ok();
    assert!(rest.len() < 64 << 20, "all {} bytes came", rest.len());
}

#[tokio::test]
async fn one_address_has_its_share_and_gets_it_back() {
    let limits = Limits {
        loopback: 2,
        ..Limits::default()
    };
    let open = small(limits).await;
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut stream = open.connect().await;
        stream
            .write_all(b"GET /here HTTP/1.1\r\nHost: box\r\n\r\n")
            .await
            .unwrap();
        let mut first = [0];
        stream.read_exact(&mut first).await.unwrap();
        held.push(stream);
    }
    let refused = ask(open.connect().await, "").await;
    assert!(refused.starts_with("HTTP/1.1 429 "), "{refused}");
    assert!(refused.contains("too-many-connections"), "{refused}");
    drop(held.pop());
    loop {
        let again = open.ask(&request("GET /here", "")).await;
        if again.starts_with("HTTP/1.1 200 ") {
            break;
        }
    }
}

#[tokio::test]
async fn stopping_closes_idle_connections_and_answers_those_under_way() {
    let open = small(Limits::default()).await;
    let mut idle = open.connect().await;
    idle.write_all(b"GET /here HTTP/1.1\r\nHost: box\r\n\r\n")
        .await
        .unwrap();
    idle.read_u8().await.unwrap();
    let mut asking = open.connect().await;
    let wish = post("{\"name\":\"late\"}", "");
    let (begun, rest) = wish.split_at(wish.len() - 3);
    asking.write_all(begun.as_bytes()).await.unwrap();
    // The second request is certainly being read once its connection counts.
    while !open
        .metrics
        .page(Duration::ZERO, [], None)
        .contains("http_connections 2")
    {
        tokio::task::yield_now().await;
    }
    open.stop.cancel();
    let mut end = Vec::new();
    idle.read_to_end(&mut end).await.unwrap();
    asking.write_all(rest.as_bytes()).await.unwrap();
    let mut answer = String::new();
    asking.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\"late\""), "{answer}");
    while !open.task.is_finished() {
        tokio::task::yield_now().await;
    }
    assert!(TcpStream::connect(open.address).await.is_err());
}

fn socket(folder: &tempfile::TempDir) -> (PathBuf, UnixListener) {
    let path = folder.path().join("control.sock");
    let listener = UnixListener::bind(&path).unwrap();
    (path, listener)
}

#[tokio::test]
async fn the_control_socket_knows_its_peer() {
    let folder = tempfile::tempdir().unwrap();
    let (path, listener) = socket(&folder);
    let (metrics, stop) = (Metrics::default(), CancellationToken::new());
    let routes = table().filter(());
    let task = tokio::spawn(serve(
        listener,
        routes,
        Limits::default(),
        metrics,
        stop.clone(),
    ));
    let stream = UnixStream::connect(&path).await.unwrap();
    let answer = ask(stream, &request("GET /here", "")).await;
    assert!(answer.starts_with("HTTP/1.1 418 "), "{answer}");
    stop.cancel();
    task.await.unwrap();
}

#[test]
fn strangers_on_the_control_socket_are_turned_away() {
    let me = nix::unistd::Uid::effective().as_raw();
    let peer = |uid| Peer::Local { uid, pid: None };
    assert!(super::serve::welcome(peer(0)).is_ok());
    assert!(super::serve::welcome(peer(me)).is_ok());
    let fault = super::serve::welcome(peer(me + 12_345)).unwrap_err();
    assert!(fault.detail.contains("control socket"), "{}", fault.detail);
}
