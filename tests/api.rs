//! The web API over real sockets, with the real services in a temporary folder.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
    time::Duration,
};

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{Request, Response, body::Bytes, header};
use hyper_util::rt::TokioIo;
use longhouse::{
    accounts::{self, Accounts},
    audit::{self, Audit},
    files,
    hosting::{self, Hosting},
    http::{self, Limits, redirect::Redirects},
    lobby::{self, Lobby},
    mail::{self, Post},
    panel::{self, Doors, Finding, RHYTHM},
    schedules::{self, Schedules},
    snapshots,
    store::{Catalog, Store, restore},
    telemetry::Metrics,
    voice::{self, Legacy, Voice},
};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::Instant,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message, client::IntoClientRequest},
};
use tokio_util::sync::CancellationToken;
use url::Url;

/// Reached only when something is broken.
const PATIENCE: Duration = Duration::from_secs(60);
const PASSWORD: &str = "correct horse";

/// A program that says what it is told.
const ECHO: &str = r#"
title = "Echo"
description = "Says what it is told."
versions = ["1"]
[install]
method = "debian"
packages = ["coreutils"]
requires = ["/bin/cat"]
[run]
argv = ["/bin/cat"]
[[ports]]
name = "game"
udp = true
[ready]
[stop]
signal = "SIGTERM"
[settings.password]
type = "text"
description = "Password to join"
default = ""
max = 20
"#;

/// A program that never stops talking.
const FLOOD: &str = r#"
title = "Flood"
description = "Never stops talking."
versions = ["1"]
[install]
method = "debian"
packages = ["coreutils"]
requires = ["/usr/bin/yes"]
[run]
argv = ["/usr/bin/yes"]
[[ports]]
name = "game"
udp = true
[ready]
[stop]
signal = "SIGTERM"
"#;

struct House {
    folder: TempDir,
    address: SocketAddr,
    accounts: Accounts,
    /// The KV control port.
    kv: SocketAddr,
    stop: CancellationToken,
    metrics: Metrics,
}

impl Drop for House {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

impl House {
    async fn open() -> Self {
        Self::open_with(RHYTHM, Limits::default()).await
    }

    async fn open_with(rhythm: Duration, limits: Limits) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o711)).unwrap();
        let games = folder.path().join("data/games");
        std::fs::create_dir_all(&games).unwrap();
        std::fs::write(games.join("echo.toml"), ECHO).unwrap();
        std::fs::write(games.join("flood.toml"), FLOOD).unwrap();
        let faults = hosting::check(Some(&folder.path().join("data")));
        assert!(faults.is_empty(), "{faults:?}");
        let store = Store::open(folder.path()).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        let accounts = Accounts::open(store.clone(), audit.clone()).unwrap();
        let stop = CancellationToken::new();
        let hosting = host(&folder, &store, &accounts, &audit, &stop);
        let files = files::Settings {
            state: folder.path().into(),
            bin: Duration::from_secs(3600),
        };
        let (files, _) = files::open(files, hosting.clone(), store.clone(), audit.clone());
        let schedules = plan(&store, &hosting, &accounts, &audit, &stop);
        let (snapshots, keeping) = snapshots::open(
            snapshots::Settings {
                state: folder.path().to_owned(),
                program: env!("CARGO_BIN_EXE_longhouse").into(),
                rate: 0,
                recycle: hosting::RECYCLE,
            },
            hosting.clone(),
            store.clone(),
            audit.clone(),
            stop.clone(),
        )
        .unwrap();
        tokio::spawn(keeping);
        let (voice, kv) = talk(&store, &accounts, &audit, &stop).await;
        let lobby = receive(&folder, &store, &accounts, &audit, &stop).await;
        let metrics = Metrics::default();
        let (post, sends) = Post::open(store.clone(), None, mail::Settings::silent(), stop.clone());
        accounts.set_post(post.clone());
        tokio::spawn(sends);
        let doors = Doors {
            accounts: accounts.clone(),
            audit,
            post,
            redirects: Redirects::new(Url::parse("http://localhost/").unwrap(), Vec::new()),
            files,
            hosting,
            schedules,
            snapshots,
            voice,
            lobby,
            store,
            catalog: Arc::new(catalog()),
            metrics: metrics.clone(),
            started: Instant::now(),
            endpoints: BTreeMap::from([("http.listen".into(), "somewhere".into())]),
            check: Arc::new(|| vec!["a fault".into()]),
            doctor: Arc::new(|| {
                vec![Finding {
                    name: "own user".into(),
                    ok: false,
                    why: "not root".into(),
                    hint: Some("be root".into()),
                }]
            }),
            rhythm,
            stop: stop.clone(),
        };
        let routes = panel::routes(doors);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let control = UnixListener::bind(folder.path().join("control.sock")).unwrap();
        let serve = http::serve(
            listener,
            routes.clone(),
            limits,
            metrics.clone(),
            stop.clone(),
        );
        tokio::spawn(serve);
        tokio::spawn(http::serve(
            control,
            routes,
            limits,
            metrics.clone(),
            stop.clone(),
        ));
        Self {
            folder,
            address,
            accounts,
            kv,
            stop,
            metrics,
        }
    }

    /// Makes `ada` the administrator; her session's secret.
    async fn set_up(&self) -> String {
        let token = self.accounts.setup_token().unwrap();
        let wish = json!({ "token": token, "name": "ada", "password": PASSWORD });
        let (status, answer) = self.call("", "POST", "setup", Some(wish)).await;
        assert_eq!(status, 200, "{answer}");
        answer["token"].as_str().unwrap().into()
    }

    /// Another person's session.
    async fn person(&self, admin: &str, name: &str, role: &str) -> String {
        let wish = json!({ "name": name, "role": role, "password": PASSWORD });
        let (status, answer) = self.call(admin, "POST", "accounts", Some(wish)).await;
        assert_eq!(status, 201, "{answer}");
        let wish = json!({ "name": name, "password": PASSWORD });
        let (_, answer) = self.call("", "POST", "login", Some(wish)).await;
        answer["token"].as_str().unwrap().into()
    }

    async fn call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        let proof = format!("Bearer {token}");
        let headers = [("authorization", proof.as_str())];
        let headers = if token.is_empty() { &[][..] } else { &headers };
        let answer = self.send(headers, method, path, body).await;
        let status = answer.status().as_u16();
        let body = answer.into_body();
        (status, serde_json::from_slice(&body).unwrap_or(Value::Null))
    }

    async fn send(
        &self,
        headers: &[(&str, &str)],
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Response<Bytes> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        exchange(TokioIo::new(stream), headers, method, path, body).await
    }

    async fn live(
        &self,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<WebSocketStream<TcpStream>, u16> {
        let url = format!("ws://{}/api/v1/{path}", self.address);
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let stream = TcpStream::connect(self.address).await.unwrap();
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((live, _)) => Ok(live),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(other) => panic!("{other}"),
        }
    }
}

fn catalog() -> Catalog {
    let catalog = files::tables(hosting::catalog(accounts::tables(audit::tables(
        Catalog::new(),
    ))));
    lobby::tables(voice::tables(catalog))
}

/// Servers of different tests never share a user, so that sweeping after one leaves the others alone.
fn host(
    folder: &TempDir,
    store: &Store,
    accounts: &Accounts,
    audit: &Audit,
    stop: &CancellationToken,
) -> Hosting {
    static HOUSES: AtomicU32 = AtomicU32::new(0);
    let house = HOUSES.fetch_add(1, Ordering::Relaxed);
    let first = 1_000_000 + (std::process::id() % 100_000) * 1_000 + house * 10;
    let settings = hosting::Settings {
        state: folder.path().into(),
        data: Some(folder.path().join("data")),
        ports: 20_000..=29_999,
        uids: first..=first + 9,
        memory: None,
        recycle: hosting::RECYCLE,
        history: 1 << 20,
        program: env!("CARGO_BIN_EXE_longhouse").into(),
    };
    let (hosting, run) =
        hosting::open(settings, store.clone(), accounts.clone(), audit.clone()).unwrap();
    let stop = stop.clone();
    tokio::spawn(async move { stop.run_until_cancelled(run).await });
    hosting
}

/// Schedules as the daemon has them.
fn plan(
    store: &Store,
    hosting: &Hosting,
    accounts: &Accounts,
    audit: &Audit,
    stop: &CancellationToken,
) -> Schedules {
    let settings = schedules::Settings { zone: "UTC".into() };
    let (hosting, accounts) = (hosting.clone(), accounts.clone());
    let opened = schedules::open(
        &settings,
        store.clone(),
        hosting,
        accounts,
        audit.clone(),
        None,
    );
    let (schedules, run) = opened.unwrap();
    let stop = stop.clone();
    tokio::spawn(async move { stop.run_until_cancelled(run).await });
    schedules
}

/// Voice as the daemon has it, and where its control is.
async fn talk(
    store: &Store,
    accounts: &Accounts,
    audit: &Audit,
    stop: &CancellationToken,
) -> (Voice, SocketAddr) {
    let control = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let kv = control.local_addr().unwrap();
    let settings = voice::Settings {
        address: kv.ip(),
        ports: 10_000..=19_999,
        legacy_admin: Legacy::Off,
        rate: 500,
        shards: Some(1),
    };
    let (store, accounts, audit) = (store.clone(), accounts.clone(), audit.clone());
    let (voice, run) = voice::open(settings, control, store, accounts, audit, stop.clone())
        .await
        .unwrap();
    tokio::spawn(run);
    (voice, kv)
}

/// The lobby as the daemon has it, where no table is ever launched.
async fn receive(
    folder: &TempDir,
    store: &Store,
    accounts: &Accounts,
    audit: &Audit,
    stop: &CancellationToken,
) -> Lobby {
    let settings = lobby::Settings {
        state: folder.path().into(),
        data: None,
        name: "Test".into(),
        tls: None,
        uids: 0..=0,
        tables: 1,
        sessions: 100,
        sessions_per_network: 100,
        lag: [1, 2, 3, 4].map(Duration::from_secs),
        ping: Duration::from_secs(60),
        room_update: Duration::from_secs(60),
        announce: false,
        publish: None,
    };
    let doors = lobby::Doors {
        lobby: TcpListener::bind("127.0.0.1:0").await.unwrap(),
        meta: None,
    };
    let (store, accounts, audit) = (store.clone(), accounts.clone(), audit.clone());
    let (lobby, run) = lobby::open(settings, doors, store, accounts, audit, stop.clone())
        .await
        .unwrap();
    tokio::spawn(run);
    lobby
}

/// What the KV control answers a command first.
async fn kv(house: &House, command: u32, fields: &[u64]) -> u64 {
    let mut stream = TcpStream::connect(house.kv).await.unwrap();
    let mut bytes = command.to_be_bytes().to_vec();
    bytes.extend(fields.iter().flat_map(|field| field.to_be_bytes()));
    stream.write_all(&bytes).await.unwrap();
    stream.read_u64().await.unwrap()
}

async fn exchange<S>(
    io: S,
    headers: &[(&str, &str)],
    method: &str,
    path: &str,
    body: Option<Value>,
) -> Response<Bytes>
where
    S: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.unwrap();
    tokio::spawn(connection);
    let path = match path.strip_prefix('/') {
        Some(_) => path.to_owned(),
        None => format!("/api/v1/{path}"),
    };
    let mut request = Request::builder()
        .method(method)
        .uri(path)
        .header("host", "box");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = body.map(|body| body.to_string()).unwrap_or_default();
    let request = request.body(Full::new(Bytes::from(body))).unwrap();
    let (parts, body) = sender.send_request(request).await.unwrap().into_parts();
    Response::from_parts(parts, body.collect().await.unwrap().to_bytes())
}

#[track_caller]
fn assert_refused((status, answer): (u16, Value), want: u16, code: &str) {
    assert_eq!(
        (status, answer["code"].as_str()),
        (want, Some(code)),
        "{answer}"
    );
}

/// The next text frame that `wanted` accepts.
async fn frame(live: &mut WebSocketStream<TcpStream>, wanted: impl Fn(&Value) -> bool) -> Value {
    loop {
        let message = tokio::time::timeout(PATIENCE, live.next()).await;
        match message.expect("in time").unwrap().unwrap() {
            Message::Text(text) => {
                let value = serde_json::from_str(&text).unwrap();
                if wanted(&value) {
                    return value;
                }
            }
            Message::Close(close) => panic!("closed: {close:?}"),
            _ => {}
        }
    }
}

/// The code with which it ends.
async fn closed(live: &mut WebSocketStream<TcpStream>) -> u16 {
    loop {
        let message = tokio::time::timeout(PATIENCE, live.next()).await;
        if let Message::Close(close) = message.expect("in time").unwrap().unwrap() {
            return close.unwrap().code.into();
        }
    }
}

#[tokio::test]
async fn the_set_up_is_done_once_and_its_session_works() {
    let house = House::open().await;
    let wrong = json!({ "token": "wrong", "name": "ada", "password": PASSWORD });
    let refused = house.call("", "POST", "setup", Some(wrong)).await;
    assert_refused(refused, 403, "setup-refused");
    let token = house.accounts.setup_token().unwrap();
    let ada = house.set_up().await;
    let again = json!({ "token": token, "name": "eve", "password": PASSWORD });
    let refused = house.call("", "POST", "setup", Some(again)).await;
    assert_refused(refused, 403, "setup-refused");
    let (status, me) = house.call(&ada, "GET", "me", None).await;
    assert_eq!(
        (status, &me["name"], &me["role"]),
        (200, &json!("ada"), &json!("admin"))
    );
}

#[tokio::test]
async fn a_login_rotates_the_cookie_and_a_logout_ends_it() {
    let house = House::open().await;
    house.set_up().await;
    let wish = json!({ "name": "ada", "password": PASSWORD });
    let login = async |cookie: Option<&str>| {
        let header = cookie.map(|cookie| [("cookie", cookie)]);
        let headers = header.as_ref().map_or(&[][..], |header| header);
        let answer = house
            .send(headers, "POST", "login", Some(wish.clone()))
            .await;
        let cookie = answer.headers()[header::SET_COOKIE]
            .to_str()
            .unwrap()
            .to_owned();
        assert!(
            cookie.contains("; HttpOnly; SameSite=Lax; Path=/; Max-Age="),
            "{cookie}"
        );
        cookie.split(';').next().unwrap().to_owned()
    };
    let first = login(None).await;
    let second = login(Some(&first)).await;
    assert_ne!(first, second);
    let me = async |cookie: &str| {
        let answer = house.send(&[("cookie", cookie)], "GET", "me", None).await;
        answer.status().as_u16()
    };
    assert_eq!((me(&first).await, me(&second).await), (401, 200));
    let bare = [("cookie", second.as_str())];
    let answer = house.send(&bare, "POST", "logout", None).await;
    assert_eq!(
        answer.status(),
        403,
        "a cookie alone may not change anything"
    );
    let ours = [("cookie", second.as_str()), ("origin", "http://box")];
    let answer = house.send(&ours, "POST", "logout", None).await;
    assert_eq!(answer.status(), 204);
    assert_eq!(me(&second).await, 401);
}

#[tokio::test]
async fn wrong_passwords_and_tokens_are_refused_counted_and_locked_out() {
    let house = House::open().await;
    let ada = house.set_up().await;
    assert_refused(
        house.call("", "GET", "me", None).await,
        401,
        "unauthenticated",
    );
    assert_refused(
        house.call("nonsense", "GET", "me", None).await,
        401,
        "wrong-token",
    );
    let wrong = json!({ "name": "ada", "password": "wrong horse" });
    let locked = loop {
        let answer = house.send(&[], "POST", "login", Some(wrong.clone())).await;
        match answer.status().as_u16() {
            401 => {}
            429 => break answer,
            other => panic!("{other}"),
        }
    };
    let after: u64 = locked.headers()["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!(after > 0);
    let (status, _) = house.call(&ada, "GET", "me", None).await;
    assert_eq!(status, 200, "who is in stays in");
    let page = house.metrics.page(Duration::ZERO, [], None);
    assert!(!page.contains("longhouse_logins_failed_total 0"), "{page}");
}

#[tokio::test]
async fn accounts_tokens_and_grants_have_their_stories() {
    let house = House::open().await;
    let ada = house.set_up().await;
    let bob = house.person(&ada, "bob", "player").await;
    assert_refused(
        house.call(&bob, "GET", "accounts", None).await,
        403,
        "forbidden",
    );
    let taken = json!({ "name": "bob" });
    let refused = house.call(&ada, "POST", "accounts", Some(taken)).await;
    assert_refused(refused, 409, "name-taken");
    let bad = json!({ "name": "Bob Smith!" });
    let refused = house.call(&ada, "POST", "accounts", Some(bad)).await;
    assert_refused(refused, 422, "bad-name");
    let (_, me) = house.call(&bob, "GET", "me", None).await;
    let id = me["account"]["id"].as_u64().unwrap();
    let wish = json!({ "label": "bot", "scopes": ["server.view"] });
    let (status, made) = house.call(&bob, "POST", "tokens", Some(wish)).await;
    assert_eq!(status, 201, "{made}");
    let bot = made["secret"].as_str().unwrap();
    let (_, me) = house.call(bot, "GET", "me", None).await;
    assert_eq!(me["scopes"], json!(["server.view"]));
    let path = format!("tokens/{}", made["id"]);
    assert_eq!(house.call(&bob, "DELETE", &path, None).await.0, 204);
    assert_refused(house.call(bot, "GET", "me", None).await, 401, "wrong-token");
    assert_refused(
        house.call(&bob, "DELETE", &path, None).await,
        404,
        "no-such-token",
    );
    let short = json!({ "current": PASSWORD, "new": "short" });
    let path = format!("accounts/{id}/password");
    let refused = house.call(&bob, "POST", &path, Some(short)).await;
    assert_refused(refused, 422, "bad-password");
    let next = json!({ "current": PASSWORD, "new": "battery staple" });
    assert_eq!(house.call(&bob, "POST", &path, Some(next)).await.0, 204);
    let off = json!({ "disabled": true });
    let path = format!("accounts/{id}");
    assert_eq!(house.call(&ada, "PATCH", &path, Some(off)).await.0, 200);
    assert_refused(
        house.call(&bob, "GET", "me", None).await,
        401,
        "wrong-token",
    );
    let demoted = json!({ "role": "host" });
    let refused = house.call(&ada, "PATCH", "accounts/1", Some(demoted)).await;
    assert_refused(refused, 409, "last-admin");
}

#[tokio::test]
async fn a_server_is_created_granted_changed_and_deleted() {
    let house = House::open().await;
    let ada = house.set_up().await;
    let hal = house.person(&ada, "hal", "host").await;
    let eve = house.person(&ada, "eve", "host").await;
    let (_, games) = house.call(&hal, "GET", "games", None).await;
    let names: Vec<_> = games
        .as_array()
        .unwrap()
        .iter()
        .map(|game| &game["name"])
        .collect();
    assert!(names.contains(&&json!("echo")), "{games}");
    let unknown = json!({ "game": "quake" });
    let refused = house.call(&hal, "POST", "servers", Some(unknown)).await;
    assert_refused(refused, 422, "no-such-game");
    let bad = json!({ "game": "echo", "title": "a\u{0}b" });
    let refused = house.call(&hal, "POST", "servers", Some(bad)).await;
    assert_refused(refused, 422, "bad-field");
    let proof = format!("Bearer {hal}");
    let wish = json!({ "game": "echo", "title": "Hal's" });
    let headers = [("authorization", proof.as_str())];
    let made = house.send(&headers, "POST", "servers", Some(wish)).await;
    assert_eq!(made.status(), 201);
    let place = made.headers()["location"].to_str().unwrap().to_owned();
    let (status, view) = house.call(&hal, "GET", &place, None).await;
    assert_eq!((status, &view["state"]), (200, &json!("stopped")), "{view}");
    // Somebody else's server is seen, and no more, until it is granted.
    let (start, console) = (format!("{place}/start"), format!("{place}/console"));
    let refused = house.call(&eve, "POST", &start, None).await;
    assert_refused(refused, 403, "forbidden");
    let refused = house.call(&eve, "GET", &console, None).await;
    assert_refused(refused, 403, "forbidden");
    let (_, me) = house.call(&eve, "GET", "me", None).await;
    let (account, server) = (&me["account"]["id"], &view["id"]);
    let grant = json!({ "account": account, "server": server, "verbs": ["console.read"] });
    let granted = house.call(&hal, "PUT", "grants", Some(grant)).await;
    assert_eq!(granted.0, 200, "{}", granted.1);
    assert_eq!(house.call(&eve, "GET", &console, None).await.0, 200);
    let refused = house.call(&eve, "POST", &start, None).await;
    assert_refused(refused, 403, "forbidden");
    let title = json!({ "title": "Better" });
    let (_, view) = house.call(&hal, "PATCH", &place, Some(title)).await;
    assert_eq!(view["title"], "Better");
    let unconfirmed = house.call(&hal, "DELETE", &place, None).await;
    assert_refused(unconfirmed, 409, "unconfirmed");
    let confirm = format!("{place}?confirm={}", view["name"].as_str().unwrap());
    assert_eq!(house.call(&hal, "DELETE", &confirm, None).await.0, 204);
    assert_refused(
        house.call(&hal, "GET", &place, None).await,
        404,
        "no-such-server",
    );
}

#[tokio::test]
async fn settings_are_told_to_who_may_change_them_and_a_deletion_to_all_who_saw_the_server() {
    let house = House::open().await;
    let ada = house.set_up().await;
    let hal = house.person(&ada, "hal", "host").await;
    let eve = house.person(&ada, "eve", "player").await;
    let proof = format!("Bearer {eve}");
    let mut events = house
        .live("events", &[("authorization", &proof)])
        .await
        .unwrap();
    let wish = json!({ "game": "echo", "settings": { "password": "hunter22" } });
    let (_, made) = house.call(&hal, "POST", "servers", Some(wish)).await;
    let place = format!("servers/{}", made["id"]);
    for who in [&ada, &hal] {
        let (_, view) = house.call(who, "GET", &place, None).await;
        assert_eq!(view["settings"]["password"], "hunter22", "{view}");
    }
    let (_, me) = house.call(&eve, "GET", "me", None).await;
    let grant = json!({
        "account": me["account"]["id"], "server": made["id"], "verbs": ["server.power"],
    });
    assert_eq!(house.call(&hal, "PUT", "grants", Some(grant)).await.0, 200);
    let told = frame(&mut events, |event| event["event"] == "created").await;
    let mut seen = vec![told["server"].clone()];
    for (method, path) in [("GET", &place), ("POST", &format!("{place}/stop"))] {
        seen.push(house.call(&eve, method, path, None).await.1);
    }
    let (_, all) = house.call(&eve, "GET", "servers", None).await;
    seen.push(all[0].clone());
    for view in seen {
        assert_eq!((&view["id"], &view["settings"]), (&made["id"], &json!({})));
    }
    let confirm = format!("{place}?confirm={}", made["name"].as_str().unwrap());
    assert_eq!(house.call(&hal, "DELETE", &confirm, None).await.0, 204);
    let gone = frame(&mut events, |event| event["event"] == "deleted").await;
    assert_eq!(gone["id"], made["id"]);
}

#[tokio::test]
async fn who_is_shut_out_reads_no_further_line_of_a_console() {
    // So seldom checked that only a line can be the occasion.
    let house = House::open_with(Duration::from_secs(3600), Limits::default()).await;
    let ada = house.set_up().await;
    let eve = house.person(&ada, "eve", "admin").await;
    let (_, made) = house
        .call(&ada, "POST", "servers", Some(json!({ "game": "echo" })))
        .await;
    let place = format!("servers/{}", made["id"]);
    let proof = [format!("Bearer {ada}"), format!("Bearer {eve}")];
    let console = format!("{place}/console/live");
    let [ours, theirs] = [0, 1].map(|n| [("authorization", proof[n].as_str())]);
    let mut ours = house.live(&console, &ours).await.unwrap();
    let mut theirs = house.live(&console, &theirs).await.unwrap();
    let shut = json!({ "disabled": true });
    let (_, me) = house.call(&eve, "GET", "me", None).await;
    let account = format!("accounts/{}", me["account"]["id"]);
    assert_eq!(house.call(&ada, "PATCH", &account, Some(shut)).await.0, 200);
    let start = format!("{place}/start");
    assert_eq!(house.call(&ada, "POST", &start, None).await.0, 202);
    frame(&mut ours, |frame| frame.get("entries").is_some()).await;
    let heard = tokio::time::timeout(PATIENCE, theirs.next()).await.unwrap();
    let Message::Close(Some(close)) = heard.unwrap().unwrap() else {
        panic!("they still read");
    };
    assert_eq!(u16::from(close.code), 4401);
    let kill = format!("{place}/kill");
    assert_eq!(house.call(&ada, "POST", &kill, None).await.0, 202);
}

#[tokio::test]
async fn a_console_is_watched_typed_into_and_resumed_without_a_gap() {
    let house = House::open().await;
    let ada = house.set_up().await;
    let proof = format!("Bearer {ada}");
    let headers = [("authorization", proof.as_str())];
    let mut events = house.live("events", &headers).await.unwrap();
    let (_, view) = house
        .call(&ada, "POST", "servers", Some(json!({ "game": "echo" })))
        .await;
    let place = format!("servers/{}", view["id"]);
    let console = format!("{place}/console");
    frame(&mut events, |event| event["event"] == "created").await;
    let mut live = house
        .live(&format!("{console}/live"), &headers)
        .await
        .unwrap();
    live.send(Message::text("{\"line\":\"too early\"}"))
        .await
        .unwrap();
    let problem = frame(&mut live, |frame| frame.get("problem").is_some()).await;
    assert_eq!(problem["problem"]["code"], "not-running");
    live.send(Message::text("{\"lime\":1}")).await.unwrap();
    let problem = frame(&mut live, |frame| frame.get("problem").is_some()).await;
    assert_eq!(problem["problem"]["code"], "bad-json");
    let started = house
        .call(&ada, "POST", &format!("{place}/start"), None)
        .await;
    assert_eq!(started.0, 202, "{}", started.1);
    frame(&mut events, |event| event["server"]["state"] == "running").await;
    live.send(Message::text("{\"line\":\"hello there\"}"))
        .await
        .unwrap();
    let said = |frame: &Value| {
        let entries = frame["entries"].as_array().into_iter().flatten();
        let mut said = entries.filter(|entry| entry["kind"] == "stdout");
        said.any(|entry| entry["text"] == "hello there")
    };
    let batch = frame(&mut live, said).await;
    let typed = json!({ "line": "and again" });
    assert_eq!(house.call(&ada, "POST", &console, Some(typed)).await.0, 202);
    drop(live);
    let resume = format!("{console}/live?since={}", batch["next"]);
    let mut live = house.live(&resume, &headers).await.unwrap();
    let next = frame(&mut live, |frame| frame.get("entries").is_some()).await;
    assert_eq!(next["entries"][0]["seq"], batch["next"]);
    assert_eq!(next["dropped"], 0);
    let (_, page) = house
        .call(&ada, "GET", &format!("{console}?since=1&count=2"), None)
        .await;
    assert_eq!(
        (&page["entries"][0]["seq"], &page["next"]),
        (&json!(1), &json!(3)),
        "{page}"
    );
    for bounds in ["count=0", "count=10001", "since=-1", "sinse=1"] {
        let refused = house
            .call(&ada, "GET", &format!("{console}?{bounds}"), None)
            .await;
        assert_refused(refused, 400, "bad-query");
    }
    let killed = house
        .call(&ada, "POST", &format!("{place}/kill"), None)
        .await;
    assert_eq!(killed.0, 202, "{}", killed.1);
    frame(&mut events, |event| event["server"]["state"] == "stopped").await;
}

#[tokio::test]
async fn a_viewer_that_never_reads_is_cut_off_and_others_do_not_notice() {
    let stall = Duration::from_millis(300);
    let limits = Limits {
        stall,
        ..Limits::default()
    };
    let house = House::open_with(RHYTHM, limits).await;
    let ada = house.set_up().await;
    let proof = format!("Bearer {ada}");
    let headers = [("authorization", proof.as_str())];
    let wish = json!({ "game": "flood" });
    let (_, view) = house.call(&ada, "POST", "servers", Some(wish)).await;
    let place = format!("servers/{}", view["id"]);
    let path = format!("{place}/console/live");
    let deaf = house.live(&path, &headers).await.unwrap();
    let mut live = house.live(&path, &headers).await.unwrap();
    let viewers = || house.metrics.page(Duration::ZERO, [], None);
    while !viewers().contains("longhouse_live_viewers 2\n") {
        tokio::task::yield_now().await;
    }
    house
        .call(&ada, "POST", &format!("{place}/start"), None)
        .await;
    let mut next = 0;
    while !viewers().contains("longhouse_live_viewers 1\n") {
        let page = frame(&mut live, |frame| frame.get("entries").is_some()).await;
        assert!(page["next"].as_u64().unwrap() > next);
        next = page["next"].as_u64().unwrap();
    }
    drop(deaf);
    let (status, _) = house
        .call(&ada, "POST", &format!("{place}/kill"), None)
        .await;
    assert_eq!(status, 202);
    let ended = |frame: &Value| {
        let mut entries = frame["entries"].as_array().into_iter().flatten();
        entries.any(|entry| entry["kind"] == "log" && entry["seq"].as_u64() > Some(next))
    };
    frame(&mut live, ended).await;
}

#[tokio::test]
async fn a_websocket_needs_proof_and_our_own_page_and_ends_with_its_session() {
    let house = House::open_with(Duration::from_millis(50), Limits::default()).await;
    let ada = house.set_up().await;
    assert_eq!(house.live("events", &[]).await.unwrap_err(), 401);
    let cookie = format!("longhouse_session={ada}");
    let foreign = [("cookie", cookie.as_str()), ("origin", "http://evil")];
    assert_eq!(house.live("events", &foreign).await.unwrap_err(), 403);
    let unsaid = [("cookie", cookie.as_str())];
    assert_eq!(house.live("events", &unsaid).await.unwrap_err(), 403);
    assert_refused(
        house.call(&ada, "GET", "events", None).await,
        426,
        "upgrade-required",
    );
    let origin = format!("http://{}", house.address);
    let ours = [("cookie", cookie.as_str()), ("origin", origin.as_str())];
    let mut live = house.live("events", &ours).await.unwrap();
    assert_eq!(house.call(&ada, "POST", "logout", None).await.0, 204);
    assert_eq!(closed(&mut live).await, 4401);
}

#[tokio::test]
async fn the_box_tells_of_itself_to_those_who_may_know() {
    let house = House::open().await;
    let ada = house.set_up().await;
    let bob = house.person(&ada, "bob", "player").await;
    let (_, status) = house.call(&bob, "GET", "status", None).await;
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(status["notices"], json!(["own user: not root"]));
    for path in ["audit", "audit/verify", "backup", "check", "doctor"] {
        assert_refused(house.call(&bob, "GET", path, None).await, 403, "forbidden");
    }
    let (_, audit) = house.call(&ada, "GET", "audit?since=1&count=1", None).await;
    assert_eq!(audit[0]["seq"], 1, "{audit}");
    let (_, verdict) = house.call(&ada, "GET", "audit/verify", None).await;
    assert_eq!(verdict["fault"], Value::Null, "{verdict}");
    let (_, check) = house.call(&ada, "GET", "check", None).await;
    assert_eq!(check["faults"], json!(["a fault"]));
    let (_, doctor) = house.call(&ada, "GET", "doctor", None).await;
    assert_eq!(doctor["isolation"][0]["hint"], "be root");
    let (status, document) = house.call("", "GET", "openapi.json", None).await;
    assert_eq!((status, &document["openapi"]), (200, &json!("3.1.0")));
}

#[tokio::test]
async fn a_backup_streams_and_restores() {
    let house = House::open().await;
    let ada = house.set_up().await;
    let proof = format!("Bearer {ada}");
    let answer = house
        .send(&[("authorization", &proof)], "GET", "backup", None)
        .await;
    assert_eq!(answer.status(), 200);
    let fresh = tempfile::tempdir().unwrap();
    restore(fresh.path(), &catalog(), &answer.body()[..]).unwrap();
    let store = Store::open(fresh.path()).unwrap();
    let audit = Audit::open(store.clone()).unwrap();
    let accounts = Accounts::open(store, audit).unwrap();
    assert!(accounts.id_of("ada").is_some());
}

#[tokio::test]
async fn the_control_socket_is_an_administrator() {
    let house = House::open().await;
    let socket = |folder: &Path| UnixStream::connect(folder.join("control.sock"));
    let stream = socket(house.folder.path()).await.unwrap();
    let wish = json!({ "name": "ada", "role": "admin", "password": PASSWORD });
    let io = TokioIo::new(stream);
    let answer = exchange(io, &[], "POST", "accounts", Some(wish)).await;
    assert_eq!(answer.status(), 201, "{:?}", answer.body());
    let io = TokioIo::new(socket(house.folder.path()).await.unwrap());
    let me = exchange(io, &[], "GET", "me", None).await;
    let me: Value = serde_json::from_slice(me.body()).unwrap();
    assert_eq!(
        (&me["role"], &me["account"]),
        (&json!("admin"), &Value::Null)
    );
}

#[tokio::test]
async fn manmans_routes_are_the_same_servers_in_other_words() {
    let house = House::open().await;
    let ada = house.set_up().await;
    assert_refused(
        house.call("", "GET", "/server", None).await,
        401,
        "unauthenticated",
    );
    let unknown = json!({ "game_id": "steamcmd:730000", "worker_id": 1 });
    let refused = house.call(&ada, "POST", "/server", Some(unknown)).await;
    assert_refused(refused, 422, "no-such-game");
    let wish = json!({ "game_id": "debian:echo", "worker_id": 1 });
    let (status, server) = house.call(&ada, "POST", "/server", Some(wish)).await;
    assert_eq!(
        (status, &server["status"]),
        (200, &json!("shutdown")),
        "{server}"
    );
    let place = format!("/server/{}", server["server_id"]);
    let count = async |filter: &str| {
        let (_, servers) = house
            .call(&ada, "GET", &format!("/server?{filter}"), None)
            .await;
        servers.as_array().unwrap().len()
    };
    assert_eq!(count("game_id=debian:echo&worker_id=1").await, 1);
    assert_eq!(count("game_id=steamcmd:730").await, 0);
    assert_eq!(count("worker_id=2").await, 0);
    let (_, log) = house.call(&ada, "GET", &format!("{place}/log"), None).await;
    assert_eq!(
        house
            .call(&ada, "GET", log["url"].as_str().unwrap(), None)
            .await
            .0,
        200
    );
    let command = format!("{place}/command");
    let send = async |body: Value| house.call(&ada, "POST", &command, Some(body)).await;
    assert_eq!(send(json!({ "type": 1 })).await.1["status"], "shutdown");
    assert_refused(send(json!({ "type": 5 })).await, 422, "bad-field");
    assert_refused(send(json!({ "type": 200 })).await, 422, "bad-field");
    let typed = json!({ "command_type": 200, "command": "hello" });
    assert_refused(send(typed).await, 409, "not-running");
    assert_eq!(
        house
            .call(&ada, "POST", &format!("{place}/health"), None)
            .await
            .0,
        200
    );
    let title = json!({ "title": "Renamed" });
    assert_eq!(
        house.call(&ada, "PUT", &place, Some(title)).await.1["title"],
        "Renamed"
    );
    assert_refused(
        house.call(&ada, "DELETE", &place, None).await,
        409,
        "unconfirmed",
    );
    let confirm = json!({ "confirm": server["name"] });
    assert_eq!(
        house.call(&ada, "DELETE", &place, Some(confirm)).await.0,
        204
    );
}

#[tokio::test]
async fn a_voice_channel_is_created_joined_watched_cleared_and_deleted() {
    let house = House::open().await;
    let ada = house.set_up().await;
    let eve = house.person(&ada, "eve", "player").await;
    let proof = format!("Bearer {eve}");
    let proof = [("authorization", proof.as_str())];

    let mut all = house.live("voice/live", &proof).await.unwrap();
    let wish = json!({ "title": "Lobby" });
    let refused = house
        .call(&eve, "POST", "voice/channels", Some(wish.clone()))
        .await;
    assert_refused(refused, 403, "forbidden");
    let (status, lobby) = house.call(&ada, "POST", "voice/channels", Some(wish)).await;
    assert_eq!((status, &lobby["title"]), (201, &json!("Lobby")), "{lobby}");
    let (status, other) = house.call(&ada, "POST", "voice/channels", None).await;
    assert_eq!(status, 201, "{other}");
    let id = lobby["id"].as_u64().unwrap();
    let news = frame(&mut all, |_| true).await;
    assert_eq!(
        (&news["event"], &news["channel"], &news["port"]),
        (&json!("created"), &lobby["id"], &lobby["port"]),
        "{news}"
    );
    let (_, list) = house.call(&eve, "GET", "voice/channels", None).await;
    assert_eq!(list.as_array().unwrap().len(), 2, "{list}");

    let only = format!("voice/live?channel={}", other["id"]);
    let mut only = house.live(&only, &proof).await.unwrap();
    let guest = kv(&house, 4, &[0, 0]).await;
    assert_eq!(kv(&house, 2, &[guest, guest, id]).await, lobby["port"]);
    let news = frame(&mut all, |news| news["event"] == "joined").await;
    assert_eq!(
        (&news["uid"], &news["name"]),
        (&json!(guest), &Value::Null),
        "{news}"
    );
    let place = format!("voice/channels/{id}");
    let (_, shown) = house.call(&ada, "GET", &place, None).await;
    assert_eq!(shown["members"][0]["uid"], guest, "{shown}");
    let (_, stats) = house.call(&eve, "GET", "voice/stats", None).await;
    assert_eq!(
        (&stats["channels"], &stats["members"]),
        (&json!(2), &json!(1)),
        "{stats}"
    );

    let member = format!("{place}/members/{guest}");
    let refused = house.call(&eve, "DELETE", &member, None).await;
    assert_refused(refused, 403, "forbidden");
    assert_eq!(house.call(&ada, "DELETE", &member, None).await.0, 204);
    let news = frame(&mut all, |news| news["event"] == "left").await;
    assert_eq!(news["why"], "kicked", "{news}");
    let refused = house.call(&ada, "DELETE", &member, None).await;
    assert_refused(refused, 404, "no-such-member");

    assert_eq!(house.call(&ada, "DELETE", &place, None).await.0, 204);
    for path in [&*place, "voice/channels/0"] {
        let refused = house.call(&ada, "GET", path, None).await;
        assert_refused(refused, 404, "no-such-channel");
    }
    let place = format!("voice/channels/{}", other["id"]);
    assert_eq!(house.call(&ada, "DELETE", &place, None).await.0, 204);
    // Of the first channel it hears nothing, and with its own it ends.
    let news = frame(&mut only, |_| true).await;
    assert_eq!(
        (&news["event"], &news["channel"]),
        (&json!("deleted"), &other["id"]),
        "{news}"
    );
    assert_eq!(closed(&mut only).await, 1000);
}

#[tokio::test]
async fn a_ticket_is_an_accounts_and_bad_wishes_are_told() {
    let house = House::open().await;
    let ada = house.set_up().await;
    let eve = house.person(&ada, "eve", "player").await;
    let tom = house.person(&ada, "tom", "guest").await;
    let (_, lobby) = house.call(&ada, "POST", "voice/channels", None).await;
    let wanted = json!({ "channel": lobby["id"] });
    let ask = async |token: &str| {
        let wanted = Some(wanted.clone());
        house.call(token, "POST", "voice/tickets", wanted).await
    };
    let (status, ticket) = ask(&eve).await;
    assert_eq!((status, &ticket["port"]), (201, &lobby["port"]), "{ticket}");
    assert_eq!(ticket["key"].as_str().unwrap().len(), 64);
    assert_refused(ask(&tom).await, 403, "forbidden");
    assert_refused(ask("").await, 401, "unauthenticated");
    let stream = UnixStream::connect(house.folder.path().join("control.sock"));
    let io = TokioIo::new(stream.await.unwrap());
    let answer = exchange(io, &[], "POST", "voice/tickets", Some(wanted.clone())).await;
    let status = answer.status().as_u16();
    let body = serde_json::from_slice(answer.body()).unwrap();
    assert_refused((status, body), 403, "account-needed");

    let nowhere = Some(json!({ "channel": 0 }));
    let refused = house.call(&eve, "POST", "voice/tickets", nowhere).await;
    assert_refused(refused, 404, "no-such-channel");
    let wish = Some(json!({ "title": "x".repeat(65) }));
    let refused = house.call(&ada, "POST", "voice/channels", wish).await;
    assert_refused(refused, 422, "bad-field");
    let wish = Some(json!({ "colour": "blue" }));
    let refused = house.call(&ada, "POST", "voice/channels", wish).await;
    assert_refused(refused, 400, "bad-json");
    for path in ["voice/live?channel=x", "voice/live?since=1"] {
        let refused = house.call(&eve, "GET", path, None).await;
        assert_refused(refused, 400, "bad-query");
    }
    let refused = house.call(&tom, "GET", "voice/live", None).await;
    assert_refused(refused, 403, "forbidden");
    let refused = house.call(&eve, "GET", "voice/live?channel=0", None).await;
    assert_refused(refused, 404, "no-such-channel");
    let refused = house.call(&eve, "GET", "voice/live", None).await;
    assert_refused(refused, 426, "upgrade-required");
}

#[tokio::test]
async fn who_may_no_longer_hear_of_voice_is_told_so_at_the_next_beat() {
    let house = House::open_with(Duration::from_millis(50), Limits::default()).await;
    let ada = house.set_up().await;
    let eve = house.person(&ada, "eve", "player").await;
    let proof = format!("Bearer {eve}");
    let proof = [("authorization", proof.as_str())];
    let mut live = house.live("voice/live", &proof).await.unwrap();
    let (_, accounts) = house.call(&ada, "GET", "accounts", None).await;
    let accounts = accounts.as_array().unwrap();
    let account = accounts.iter().find(|one| one["name"] == "eve").unwrap();
    let place = format!("accounts/{}", account["id"]);
    let demoted = Some(json!({ "role": "guest" }));
    assert_eq!(house.call(&ada, "PATCH", &place, demoted).await.0, 200);
    assert_eq!(closed(&mut live).await, 4403);
}
