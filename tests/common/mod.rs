//! A real daemon on free ports in a temporary folder, and the few ways to talk to it.

#![expect(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod ggz;
pub(crate) mod kv;
pub(crate) mod lan;
pub(crate) mod smtp;
pub(crate) mod trust;

use std::{
    collections::BTreeMap,
    error::Error,
    os::unix::net::UnixDatagram,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::atomic::{AtomicU32, Ordering},
    time::{Duration, Instant},
};

use futures_util::{SinkExt, StreamExt};
use http_body_util::{BodyExt, Full};
use hyper::{Request, body::Bytes};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{self, Message},
};

/// More than anything here takes on the slowest machine; reached only when something is broken.
pub(crate) const PATIENCE: Duration = Duration::from_secs(120);

/// The binary under test.
pub(crate) const LONGHOUSE: &str = env!("CARGO_BIN_EXE_longhouse");

/// One box: its state folder, and its daemon while that runs.
pub(crate) struct House {
    folder: TempDir,
    daemon: Option<Child>,
    /// Real addresses by configuration key.
    pub(crate) endpoints: BTreeMap<String, String>,
    /// An administrator's bearer token.
    pub(crate) token: String,
    sets: Vec<String>,
    /// Users that no other box has: what is left of a user's processes is killed.
    pub(crate) uids: String,
    /// The same for its table games.
    pub(crate) players: std::ops::RangeInclusive<u32>,
    /// Ports of voice channels, so that a box finds its own free when it comes back.
    voices: String,
    /// What the daemon has in its environment beside ours.
    pub(crate) environment: Vec<(String, String)>,
}

impl House {
    /// A box with an administrator `ada`, whose token requests carry.
    pub(crate) async fn open() -> Self {
        Self::open_with(&[]).await
    }

    /// The same with further `--set`s.
    pub(crate) async fn open_with(sets: &[String]) -> Self {
        let mut house = Self::unlocked(sets);
        house.settle().await;
        house
    }

    /// A box whose data folder has these games, by name, beside the shipped ones.
    pub(crate) async fn with_games(games: &[(&str, &str)], sets: &[&str]) -> Self {
        let mut house = Self::unlocked(&[]);
        house.stock(games);
        house.sets.extend(sets.iter().map(ToString::to_string));
        house.settle().await;
        house
    }

    /// Puts games into the data folder; before the first start.
    pub(crate) fn stock(&mut self, games: &[(&str, &str)]) {
        let data = self.folder.path().join("data");
        std::fs::create_dir_all(data.join("games")).expect("a folder");
        for (name, text) in games {
            let file = data.join(format!("games/{name}.toml"));
            std::fs::write(file, text).expect("a definition");
        }
        self.sets.push(format!("data={}", data.display()));
        self.sets.push(free_pool());
    }

    /// The first start, and the set-up.
    pub(crate) async fn settle(&mut self) {
        self.start();
        let wish = json!({"token": self.setup_token(), "name": "ada", "password": "correct horse"});
        let (status, answer) = self.call("POST", "/api/v1/setup", Some(wish)).await;
        assert!(status < 300, "set-up: {status} {answer}");
        self.token = answer["token"].as_str().expect("a token").into();
    }

    /// A box before its first start.
    pub(crate) fn unlocked(sets: &[String]) -> Self {
        let folder = tempfile::Builder::new()
            .prefix("longhouse-test-")
            .tempdir()
            .expect("a temporary folder");
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let (process, n) = (std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let first = 100_000_000 + process % 1_000_000 * 1_000 + n * 20;
        let players = first + 1_000_000_000;
        // Below those that the kernel gives to anybody. That another box has them too is no harm, but to who comes back.
        let ports = 12_000 + (process.wrapping_mul(17) + n) % 100 * 200;
        Self {
            uids: format!("hosting.uids={first}-{}", first + 19),
            players: players..=players + 19,
            voices: format!("voice.ports={ports}-{}", ports + 199),
            folder,
            daemon: None,
            endpoints: BTreeMap::new(),
            token: String::new(),
            sets: sets.to_vec(),
            environment: Vec::new(),
        }
    }

    /// The state folder.
    pub(crate) fn state(&self) -> PathBuf {
        self.folder.path().join("state")
    }

    /// Its data folder, once it has one.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.path().join("data")
    }

    /// Starts the daemon and waits until it says that it is ready.
    pub(crate) fn start(&mut self) {
        assert!(self.daemon.is_none(), "the daemon runs already");
        let notify = self.folder.path().join("notify");
        std::fs::remove_file(&notify).ok();
        let socket = UnixDatagram::bind(&notify).expect("the notify socket");
        socket.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.folder.path().join("daemon.log"))
            .expect("the log");
        let mut command = Command::new(LONGHOUSE);
        command
            .arg("--state")
            .arg(self.state())
            .arg("serve")
            .args(["--set", "http.listen=127.0.0.1:0"])
            .args(["--set", "admin.listen=127.0.0.1:0"])
            .args(["--set", "voice.listen=127.0.0.1:0"])
            .args(["--set", "lobby.listen=127.0.0.1:0"])
            .args(["--set", "lobby.meta_listen="])
            .args(["--set", "lobby.announce=false"])
            .args(["--set", &self.voices])
            .args(["--set", &self.uids])
            .args([
                "--set",
                &format!("lobby.uids={}-{}", self.players.start(), self.players.end()),
            ])
            .env("NOTIFY_SOCKET", &notify)
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(log.try_clone().expect("a second handle"))
            .stderr(log);
        for set in &self.sets {
            command.args(["--set", set]);
        }
        let mut daemon = command.spawn().expect("the daemon starts");
        let mut message = [0; 512];
        let ready = loop {
            match socket.recv(&mut message) {
                Ok(n) if message[..n].windows(7).any(|part| part == b"READY=1") => break true,
                Ok(_) => {}
                Err(_) => break false,
            }
        };
        if !ready {
            daemon.kill().ok();
            daemon.wait().ok();
            panic!("the daemon did not become ready:\n{}", self.log());
        }
        let endpoints = std::fs::read(self.state().join("endpoints.json")).expect("endpoints");
        self.endpoints = serde_json::from_slice(&endpoints).expect("endpoints as JSON");
        self.daemon = Some(daemon);
    }

    /// What the daemon printed so far.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("daemon.log")).unwrap_or_default()
    }

    /// The token of the set-up link that the daemon printed.
    pub(crate) fn setup_token(&self) -> String {
        let log = self.log();
        let start = log.rfind("token=").expect("the set-up link was printed") + "token=".len();
        log[start..]
            .chars()
            .take_while(|c| !c.is_whitespace())
            .collect()
    }

    /// The daemon's pid.
    pub(crate) fn pid(&self) -> u32 {
        self.daemon.as_ref().expect("the daemon runs").id()
    }

    /// kill -9: no chance to tidy up.
    pub(crate) fn kill(&mut self) {
        let mut daemon = self.daemon.take().expect("the daemon runs");
        daemon.kill().expect("it can be killed");
        daemon.wait().expect("it ends");
    }

    /// SIGTERM; true when it ended with exit code 0.
    pub(crate) fn stop(&mut self) -> bool {
        let mut daemon = self.daemon.take().expect("the daemon runs");
        let pid = i32::try_from(daemon.id()).expect("a pid");
        nix::sys::signal::kill(
            nix::unistd::Pid::from_raw(pid),
            nix::sys::signal::Signal::SIGTERM,
        )
        .expect("it can be asked to stop");
        daemon.wait().expect("it ends").success()
    }

    /// One HTTP request with the administrator's token; the status and the answer's JSON (null when it is none).
    pub(crate) async fn call(&self, method: &str, path: &str, body: Option<Value>) -> (u16, Value) {
        self.call_as(&self.token, method, path, body).await
    }

    /// The same with another token, or none when it is empty.
    pub(crate) async fn call_as(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> (u16, Value) {
        self.try_call(token, method, path, body)
            .await
            .unwrap_or_else(|error| panic!("{method} {path}: {error}\n{}", self.log()))
    }

    /// The same, when the daemon may die under it.
    pub(crate) async fn try_call(
        &self,
        token: &str,
        method: &str,
        path: &str,
        body: Option<Value>,
    ) -> Result<(u16, Value), Box<dyn Error>> {
        let address = &self.endpoints["http.listen"];
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", address);
        if !token.is_empty() {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let body = match body {
            Some(body) => {
                request = request.header("content-type", "application/json");
                Bytes::from(body.to_string())
            }
            None => Bytes::new(),
        };
        let request = request.body(Full::new(body))?;
        let work = async {
            let stream = TcpStream::connect(address).await?;
            let (mut sender, connection) =
                hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
            let carried = tokio::spawn(connection);
            let response = sender.send_request(request).await?;
            let status = response.status().as_u16();
            let body = response.into_body().collect().await?.to_bytes();
            drop(sender);
            carried.await.ok();
            Ok((status, serde_json::from_slice(&body).unwrap_or(Value::Null)))
        };
        tokio::time::timeout(PATIENCE, work).await?
    }

    /// The same, which must succeed.
    pub(crate) async fn ok(&self, method: &str, path: &str, body: Option<Value>) -> Value {
        let (status, answer) = self.call(method, path, body).await;
        assert!(
            (200..300).contains(&status),
            "{method} {path}: {status} {answer}"
        );
        answer
    }

    /// A WebSocket.
    pub(crate) async fn socket(&self, path: &str) -> Live {
        let socket = self.socket_as(&self.token, path).await;
        socket.unwrap_or_else(|status| panic!("{path}: {status}\n{}", self.log()))
    }

    /// The same with another token; the status when it is refused.
    pub(crate) async fn socket_as(&self, token: &str, path: &str) -> Result<Live, u16> {
        let proof = format!("Bearer {token}");
        self.socket_with("authorization", &proof, path).await
    }

    /// The same with one header of one's own.
    pub(crate) async fn socket_with(
        &self,
        header: &str,
        value: &str,
        path: &str,
    ) -> Result<Live, u16> {
        let address = &self.endpoints["http.listen"];
        let stream = TcpStream::connect(address)
            .await
            .expect("the daemon listens");
        self.socket_over(stream, header, value, path).await
    }

    /// The same over this connection.
    pub(crate) async fn socket_over(
        &self,
        stream: TcpStream,
        header: &str,
        value: &str,
        path: &str,
    ) -> Result<Live, u16> {
        let address = &self.endpoints["http.listen"];
        let request = Request::builder()
            .uri(format!("ws://{address}{path}"))
            .header("host", address)
            .header("connection", "Upgrade")
            .header("upgrade", "websocket")
            .header("sec-websocket-version", "13")
            .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
            .header(header, value)
            .body(())
            .expect("a request");
        match tokio_tungstenite::client_async(request, stream).await {
            Ok((socket, _)) => Ok(Live { socket }),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{path}: {error}"),
        }
    }

    /// Bytes on a connection of their own; the answer's status and JSON, once the daemon has closed.
    pub(crate) async fn raw(&self, request: &[u8]) -> (u16, Value) {
        let address = &self.endpoints["http.listen"];
        let mut answer = Vec::new();
        let work = async {
            let mut stream = TcpStream::connect(address).await?;
            // It may close before it has read all of what is too much.
            stream.write_all(request).await.ok();
            stream.read_to_end(&mut answer).await
        };
        let read = tokio::time::timeout(PATIENCE, work).await;
        read.expect("the daemon answers and closes").ok();
        let text = String::from_utf8_lossy(&answer);
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no answer but {text:?}"));
        (status, serde_json::from_str(body).unwrap_or(Value::Null))
    }

    /// The path of a server, or below it.
    pub(crate) fn at(id: u64, below: &str) -> String {
        format!("/api/v1/servers/{id}{below}")
    }

    /// A server that was created as `wish` says; its id.
    pub(crate) async fn create(&self, wish: Value) -> u64 {
        let server = self.ok("POST", "/api/v1/servers", Some(wish)).await;
        server["id"].as_u64().expect("an id")
    }

    /// start, stop, restart or kill.
    pub(crate) async fn power(&self, id: u64, what: &str) -> Value {
        self.ok("POST", &Self::at(id, &format!("/{what}")), None)
            .await
    }

    /// A server of `game` that was told to start; its id.
    pub(crate) async fn launch(&self, game: &str) -> u64 {
        let id = self.create(json!({"game": game})).await;
        self.power(id, "start").await;
        id
    }

    /// Waits for a line of the console that contains `part`; all entries that are kept, up to the batch with that line.
    pub(crate) async fn hears(&self, id: u64, part: &str) -> Vec<Value> {
        let mut live = self.socket(&Self::at(id, "/console/live?since=1")).await;
        live.until_line(part).await
    }

    /// The newest entries of the console.
    pub(crate) async fn console(&self, id: u64) -> Vec<Value> {
        let page = self
            .ok("GET", &Self::at(id, "/console?count=10000"), None)
            .await;
        page["entries"].as_array().expect("entries").clone()
    }

    /// Waits until a deleted server is gone.
    pub(crate) async fn gone(&self, id: u64) {
        let mut events = self.socket("/api/v1/events").await;
        let started = Instant::now();
        while self.call("GET", &Self::at(id, ""), None).await.0 != 404 {
            assert!(started.elapsed() < PATIENCE, "it stays:\n{}", self.log());
            let news = tokio::time::timeout(Duration::from_secs(1), events.next());
            news.await.ok();
        }
    }

    /// Waits until `count` processes are left: a keeper says that all is over a moment before it is gone itself.
    pub(crate) async fn until_left(&self, count: usize) {
        let mut events = self.socket("/api/v1/events").await;
        let started = Instant::now();
        loop {
            let left = processes_of(&self.state());
            if left.len() == count {
                return;
            }
            assert!(started.elapsed() < PATIENCE, "{left:?} stay");
            let news = tokio::time::timeout(Duration::from_millis(20), events.next());
            news.await.ok();
        }
    }

    /// What the admin listener answers, as text.
    pub(crate) async fn metrics(&self) -> String {
        let address = &self.endpoints["admin.listen"];
        let request =
            format!("GET /metrics HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
        let mut answer = String::new();
        let work = async {
            let mut stream = TcpStream::connect(address).await?;
            stream.write_all(request.as_bytes()).await?;
            stream.read_to_string(&mut answer).await
        };
        let read = tokio::time::timeout(PATIENCE, work).await;
        read.expect("in time").expect("metrics");
        answer
    }

    /// Waits until so many WebSockets are open; `events` is one of them.
    pub(crate) async fn until_viewers(&self, events: &mut Live, wanted: usize) {
        let line = format!("live_viewers {wanted}\n");
        let started = Instant::now();
        while !self.metrics().await.contains(&line) {
            assert!(started.elapsed() < PATIENCE, "never {wanted} viewers");
            let news = tokio::time::timeout(Duration::from_millis(250), events.next());
            news.await.ok();
        }
    }

    /// An account with `role`, whose password is `battery staple NAME`: its id, and the token of a session.
    pub(crate) async fn person(&self, name: &str, role: &str) -> (u64, String) {
        let password = format!("battery staple {name}");
        let wish = json!({"name": name, "role": role, "password": password});
        let account = self.ok("POST", "/api/v1/accounts", Some(wish)).await;
        let login = json!({"name": name, "password": password});
        let session = self.ok("POST", "/api/v1/login", Some(login)).await;
        (
            account["id"].as_u64().expect("an id"),
            session["token"].as_str().expect("a token").into(),
        )
    }

    /// Runs a verb of the command line against this box: exit code, stdout, stderr.
    pub(crate) fn verb(&self, arguments: &[&str]) -> (i32, String, String) {
        let out = Command::new(LONGHOUSE)
            .arg("--state")
            .arg(self.state())
            .args(arguments)
            .stdin(Stdio::null())
            .output()
            .expect("the verb runs");
        (
            out.status.code().unwrap_or(-1),
            String::from_utf8_lossy(&out.stdout).into_owned(),
            String::from_utf8_lossy(&out.stderr).into_owned(),
        )
    }

    /// Waits until server `id` satisfies `wanted`, by the events that the box pushes.
    pub(crate) async fn until(
        &self,
        id: u64,
        what: &str,
        wanted: impl Fn(&Value) -> bool,
    ) -> Value {
        let mut events = self.socket("/api/v1/events").await;
        let path = format!("/api/v1/servers/{id}");
        let started = Instant::now();
        loop {
            let server = self.ok("GET", &path, None).await;
            if wanted(&server) {
                return server;
            }
            assert!(
                started.elapsed() < PATIENCE,
                "server {id} never became {what}: {server:#}\n{}",
                self.log()
            );
            // Whatever the news is, the server is looked at again; a missed one costs a second at most.
            tokio::time::timeout(Duration::from_secs(1), events.next())
                .await
                .ok();
        }
    }

    /// Waits for a state.
    pub(crate) async fn until_state(&self, id: u64, state: &str) -> Value {
        self.until(id, state, |server| server["state"] == state)
            .await
    }
}

impl Drop for House {
    /// Leaves nothing behind: deletes nothing by name, ends only what this box started.
    fn drop(&mut self) {
        if let Some(mut daemon) = self.daemon.take() {
            daemon.kill().ok();
            daemon.wait().ok();
        }
        if std::thread::panicking() {
            eprintln!("--- daemon.log ---\n{}", self.log());
        }
        for process in processes_of(&self.state()) {
            let pid = nix::unistd::Pid::from_raw(process);
            nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGKILL).ok();
        }
    }
}

/// A definition of a game that is `script` in Python, with `more` of its keys, which include `[ready]` and `[stop]`.
pub(crate) fn game(script: &str, more: &str) -> String {
    format!(
        r#"
title = "A game of tests"
description = "Does what a test needs"
{more}
[install]
method = "debian"
packages = ["python3"]
requires = ["/usr/bin/python3"]
[run]
argv = ["/usr/bin/python3", "-u", "-c", """{}"""]
"#,
        script
            .replace('\\', r"\\")
            .replace('{', "{{")
            .replace('}', "}}")
    )
}

/// Ready with the line `ready`, stopped by SIGTERM.
pub(crate) const PLAIN: &str = "[ready]\nline = \"ready\"\n[stop]\nsignal = \"SIGTERM\"";

/// A game that does nothing at all.
pub(crate) const WAITS: &str = "import signal\nprint('ready')\nwhile True: signal.pause()";

/// An answer's status and stable code.
pub(crate) fn code(answer: &(u16, Value)) -> (u16, &str) {
    (answer.0, answer.1["code"].as_str().unwrap_or_default())
}

/// True as root. In CI it must be so: nothing is skipped there.
pub(crate) fn root(what: &str) -> bool {
    let root = nix::unistd::geteuid().is_root();
    if !root {
        assert!(
            std::env::var_os("CI").is_none(),
            "{what} needs root, and CI skips nothing"
        );
        eprintln!("SKIPPED: {what} needs root");
    }
    root
}

/// Whether a process lives.
pub(crate) fn lives(pid: &Value) -> bool {
    let pid = pid.as_u64().expect("a pid");
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| {
        !stat
            .rsplit(')')
            .next()
            .is_some_and(|rest| rest.starts_with(" Z"))
    })
}

/// A pool of ports that are free just now, so that boxes that run at once do not meet.
pub(crate) fn free_pool() -> String {
    let held: Vec<_> = (0..8)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").expect("a free port"))
        .collect();
    let first = held
        .iter()
        .map(|socket| socket.local_addr().expect("its address").port())
        .min()
        .expect("eight ports");
    format!("hosting.ports={first}-{}", first.saturating_add(50))
}

/// True when `program` is there. In CI it must be: nothing is skipped there.
pub(crate) fn installed(program: &str) -> bool {
    let here = Path::new(program).exists();
    if !here {
        assert!(
            std::env::var_os("CI").is_none(),
            "{program} is not installed, and CI skips nothing"
        );
        eprintln!("SKIPPED: {program} is not installed");
    }
    here
}

/// Keepers and games of the box with that state folder: by their command line or working folder.
pub(crate) fn processes_of(state: &Path) -> Vec<i32> {
    let Ok(entries) = std::fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<i32>().ok())
        .filter(|pid| {
            let proc = PathBuf::from(format!("/proc/{pid}"));
            // Empty where a process has ended, or is past all but its last breath.
            let line = std::fs::read(proc.join("cmdline")).unwrap_or_default();
            let here = std::fs::read_link(proc.join("cwd")).is_ok_and(|cwd| cwd.starts_with(state));
            let wanted = state.as_os_str().as_encoded_bytes();
            let named = line.windows(wanted.len()).any(|part| part == wanted);
            !line.is_empty() && (here || named)
        })
        .collect()
}

/// A WebSocket of the box.
pub(crate) struct Live {
    pub(crate) socket: WebSocketStream<TcpStream>,
}

impl Live {
    /// The next JSON message; none when the box closed.
    pub(crate) async fn next(&mut self) -> Option<Value> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => return serde_json::from_str(&text).ok(),
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The next JSON message that is wanted.
    pub(crate) async fn until(&mut self, wanted: impl Fn(&Value) -> bool) -> Value {
        let work = async {
            loop {
                let message = self.next().await.expect("the box goes on");
                if wanted(&message) {
                    return message;
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, work).await;
        found.expect("in time")
    }

    /// Sends JSON.
    pub(crate) async fn send(&mut self, message: Value) {
        self.socket
            .send(Message::text(message.to_string()))
            .await
            .expect("the socket takes it");
    }

    /// Waits for an entry of the console whose text contains `part`; returns all entries that came until then.
    pub(crate) async fn until_line(&mut self, part: &str) -> Vec<Value> {
        let mut seen = Vec::new();
        let work = async {
            while let Some(batch) = self.next().await {
                let entries = batch["entries"].as_array().cloned().unwrap_or_default();
                let found = entries.iter().any(|entry| {
                    let text = entry["text"].as_str();
                    text.is_some_and(|text| text.contains(part))
                });
                seen.extend(entries);
                if found {
                    return true;
                }
            }
            false
        };
        let found = tokio::time::timeout(PATIENCE, work).await.unwrap_or(false);
        assert!(found, "`{part}` never came: {seen:#?}");
        seen
    }
}
