//! A server's files against nginx on the same file in the same run, and the first page of a folder of 100,000.
//!
//! Both have their files on the same disk, in memory where there is one: Longhouse syncs what it takes, nginx does not,
//! and this is about the programs, not about the disk.

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener, TcpStream},
    os::unix::net::UnixDatagram,
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

const LONGHOUSE: &str = env!("CARGO_BIN_EXE_longhouse");
const PATIENCE: Duration = Duration::from_secs(60);
const SIZE: usize = 512 << 20;
const ROUNDS: usize = 5;
const ENTRIES: usize = 100_000;
const TARGET: f64 = 0.7;
const PAGE: Duration = Duration::from_millis(50);

fn main() -> io::Result<()> {
    let folder = match Path::new("/dev/shm").is_dir() {
        true => TempDir::new_in("/dev/shm")?,
        false => TempDir::new()?,
    };
    let house = House::open(&folder.path().join("box"))?;
    let files = format!("/api/v1/servers/{}/files", house.server);
    let content = vec![0x5a; SIZE];
    let proof = format!("authorization: Bearer {}\r\n", house.token);
    let put = format!("{files}/content?path=big");
    let nginx = Nginx::open(&folder.path().join("nginx"))?;

    let (mut up, mut down) = (Vec::new(), Vec::new());
    let (mut nginx_up, mut nginx_down) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        up.push(send(house.http, &put, &proof, &content)?);
        down.push(fetch(house.http, &put, &proof, SIZE)?);
        if let Some(nginx) = &nginx {
            nginx_up.push(send(nginx.address, "/big", "", &content)?);
            nginx_down.push(fetch(nginx.address, "/big", "", SIZE)?);
        }
    }
    for (what, ours, theirs) in [
        ("upload", &mut up, &mut nginx_up),
        ("download", &mut down, &mut nginx_down),
    ] {
        let rate = |time: Duration| SIZE as f64 / time.as_secs_f64() / 1e6;
        let ours = rate(median(ours));
        if theirs.is_empty() {
            println!("{what}: {ours:.0} MB/s (nginx is not installed: no ratio)");
            continue;
        }
        let theirs = rate(median(theirs));
        let ratio = ours / theirs;
        let met = if ratio >= TARGET { "met" } else { "MISSED" };
        println!(
            "{what}: {ours:.0} MB/s, nginx {theirs:.0} MB/s, ratio {ratio:.2} (target {TARGET}: {met})"
        );
    }

    let many = house.folder.join("many");
    fs::create_dir_all(&many)?;
    for n in 0..ENTRIES {
        fs::File::create(many.join(format!("entry-{n:06}")))?;
    }
    let page = format!("{files}?path=many&count=100");
    let first = timed(|| get(house.http, &page, &proof))?;
    let mut again = Vec::new();
    for _ in 0..ROUNDS {
        again.push(timed(|| get(house.http, &page, &proof))?);
    }
    let met = if first <= PAGE { "met" } else { "MISSED" };
    println!(
        "first page of {ENTRIES} entries: {first:.1?} at once, {:.1?} again (target {PAGE:?}: {met})",
        median(&mut again)
    );
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> io::Result<T>) -> io::Result<Duration> {
    let begun = Instant::now();
    work()?;
    Ok(begun.elapsed())
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// The header of an answer, and what of its body came with it.
fn head(stream: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let read = stream.read(&mut buffer)?;
        bytes.extend_from_slice(&buffer[..read]);
        if let Some(end) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            let rest = bytes.split_off(end + 4);
            return Ok((String::from_utf8_lossy(&bytes).into_owned(), rest));
        }
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn good(head: &str) -> io::Result<()> {
    match head.split(' ').nth(1) {
        Some(status) if status.starts_with('2') => Ok(()),
        _ => Err(io::Error::other(head.to_owned())),
    }
}

fn send(to: SocketAddr, path: &str, proof: &str, content: &[u8]) -> io::Result<Duration> {
    timed(|| {
        let mut stream = TcpStream::connect(to)?;
        let size = content.len();
        let head_line =
            format!("PUT {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{proof}");
        stream.write_all(format!("{head_line}content-length: {size}\r\n\r\n").as_bytes())?;
        stream.write_all(content)?;
        good(&head(&mut stream)?.0)
    })
}

fn fetch(from: SocketAddr, path: &str, proof: &str, size: usize) -> io::Result<Duration> {
    let mut buffer = vec![0; 1 << 20];
    timed(|| {
        let mut stream = TcpStream::connect(from)?;
        let line =
            format!("GET {path} HTTP/1.1\r\nhost: {from}\r\nconnection: close\r\n{proof}\r\n");
        stream.write_all(line.as_bytes())?;
        let (head, rest) = head(&mut stream)?;
        good(&head)?;
        let mut came = rest.len();
        loop {
            match stream.read(&mut buffer)? {
                0 => break,
                read => came += read,
            }
        }
        match came == size {
            true => Ok(()),
            false => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    })
}

fn ask(to: SocketAddr, method: &str, path: &str, proof: &str, body: &str) -> io::Result<Value> {
    let mut stream = TcpStream::connect(to)?;
    let line = format!("{method} {path} HTTP/1.1\r\nhost: {to}\r\nconnection: close\r\n{proof}");
    let more = format!(
        "content-type: application/json\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(format!("{line}{more}{body}").as_bytes())?;
    let (head, mut rest) = head(&mut stream)?;
    good(&head)?;
    stream.read_to_end(&mut rest)?;
    Ok(serde_json::from_slice(&rest).unwrap_or(Value::Null))
}

fn get(from: SocketAddr, path: &str, proof: &str) -> io::Result<Value> {
    ask(from, "GET", path, proof, "")
}

/// A real daemon with one server.
struct House {
    daemon: Child,
    http: SocketAddr,
    token: String,
    server: u64,
    folder: std::path::PathBuf,
}

const GAME: &str = r#"
title = "A game of benches"
description = "Never runs"
[install]
method = "debian"
packages = []
requires = ["/bin/sh"]
[run]
argv = ["/bin/sh"]
[ready]
line = "ready"
[stop]
signal = "SIGTERM"
"#;

impl House {
    fn open(folder: &Path) -> io::Result<Self> {
        let (state, data) = (folder.join("state"), folder.join("data"));
        fs::create_dir_all(data.join("games"))?;
        fs::write(data.join("games/waits.toml"), GAME)?;
        let notify = folder.join("notify");
        let socket = UnixDatagram::bind(&notify)?;
        socket.set_read_timeout(Some(PATIENCE))?;
        let log = folder.join("daemon.log");
        let out = fs::File::create(&log)?;
        let first = 500_000_000 + std::process::id() % 1_000_000 * 1_000;
        let mut command = Command::new(LONGHOUSE);
        command.arg("--state").arg(&state).arg("serve");
        for set in [
            "http.listen=127.0.0.1:0",
            "admin.listen=127.0.0.1:0",
            "voice.listen=127.0.0.1:0",
            "lobby.listen=127.0.0.1:0",
            "lobby.meta_listen=",
            "lobby.announce=false",
            &format!("hosting.uids={first}-{}", first + 9),
            &format!("data={}", data.display()),
        ] {
            command.args(["--set", set]);
        }
        let daemon = command
            .env("NOTIFY_SOCKET", &notify)
            .stdin(Stdio::null())
            .stdout(out.try_clone()?)
            .stderr(out)
            .spawn()?;
        let mut house = Self {
            daemon,
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: String::new(),
            server: 0,
            folder: state.clone(),
        };
        let mut message = [0; 512];
        loop {
            let read = socket.recv(&mut message)?;
            if message[..read].windows(7).any(|part| part == b"READY=1") {
                break;
            }
        }
        let endpoints: Value = serde_json::from_slice(&fs::read(state.join("endpoints.json"))?)?;
        let http = endpoints["http.listen"].as_str().unwrap_or_default();
        house.http = http.parse().map_err(io::Error::other)?;
        let text = fs::read_to_string(log)?;
        let token = text.rsplit("token=").next().unwrap_or_default();
        let token = token.split_whitespace().next().unwrap_or_default();
        let wish = json!({"token": token, "name": "ada", "password": "correct horse"});
        let set_up = ask(house.http, "POST", "/api/v1/setup", "", &wish.to_string())?;
        house.token = set_up["token"].as_str().unwrap_or_default().into();
        let proof = format!("authorization: Bearer {}\r\n", house.token);
        let wish = json!({"game": "waits"}).to_string();
        let server = ask(house.http, "POST", "/api/v1/servers", &proof, &wish)?;
        house.server = server["id"].as_u64().unwrap_or_default();
        house.folder = state.join(format!("servers/{}/files", house.server));
        Ok(house)
    }
}

impl Drop for House {
    fn drop(&mut self) {
        self.daemon.kill().ok();
        self.daemon.wait().ok();
    }
}

/// Debian's, with its own defaults where they matter.
struct Nginx {
    child: Child,
    address: SocketAddr,
}

impl Nginx {
    /// None where it is not installed.
    fn open(folder: &Path) -> io::Result<Option<Self>> {
        let program = "/usr/sbin/nginx";
        if !Path::new(program).exists() {
            return Ok(None);
        }
        fs::create_dir_all(folder.join("files"))?;
        let address = TcpListener::bind("127.0.0.1:0")?.local_addr()?;
        let here = folder.display();
        let config = format!(
            "daemon off; worker_processes auto; user root; pid {here}/pid; error_log {here}/error.log;\n\
             events {{ worker_connections 768; }}\n\
             http {{ access_log off; sendfile on; tcp_nopush on; client_max_body_size 0;\n\
             client_body_temp_path {here}/body; proxy_temp_path {here}/proxy; fastcgi_temp_path {here}/fastcgi;\n\
             uwsgi_temp_path {here}/uwsgi; scgi_temp_path {here}/scgi;\n\
             server {{ listen {address}; root {here}/files; location / {{ dav_methods PUT; }} }} }}\n"
        );
        let file = folder.join("nginx.conf");
        fs::write(&file, config)?;
        let child = Command::new(program)
            .arg("-c")
            .arg(&file)
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()?;
        let nginx = Self { child, address };
        let until = Instant::now() + PATIENCE;
        while TcpStream::connect(address).is_err() {
            if Instant::now() > until {
                return Err(io::ErrorKind::TimedOut.into());
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(Some(nginx))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // Its workers end with it when it is asked.
        let pid = i32::try_from(self.child.id()).expect("a pid");
        let pid = nix::unistd::Pid::from_raw(pid);
        nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGTERM).ok();
        self.child.wait().ok();
    }
}
