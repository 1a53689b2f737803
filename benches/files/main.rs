//! A server's files against nginx on the same file in the same run, and the first page of a folder of 100,000.
//!
//! Both have their files on the same disk, in memory where there is one: Longhouse syncs what it takes, nginx does not,
//! and this is about the programs, not about the disk.

#[expect(dead_code, reason = "other benches measure its process, too")]
#[path = "../common/daemon.rs"]
mod daemon;
mod http;
mod nginx;
#[path = "../common/table.rs"]
mod table;

use std::{
    fs, io,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use serde_json::json;
use tempfile::TempDir;

use crate::{
    daemon::{Daemon, users},
    http::{ask, fetch, get, send, timed},
    nginx::Nginx,
    table::{Row, median},
};

const SIZE: usize = 512 << 20;
const ROUNDS: usize = 5;
const ENTRIES: usize = 100_000;
/// Of nginx's rate.
const RATE: f64 = 0.7;
/// In milliseconds.
const PAGE: f64 = 50.0;

fn main() -> io::Result<()> {
    let folder = match Path::new("/dev/shm").is_dir() {
        true => TempDir::new_in("/dev/shm")?,
        false => TempDir::new()?,
    };
    let house = House::open(&folder.path().join("box"))?;
    let nginx = Nginx::open(&folder.path().join("nginx"))?;
    let mut rows = transfers(&house, nginx.as_ref())?;
    rows.extend(first_page(&house)?);
    table::print(&rows);
    let kernel = nix::sys::utsname::uname()?;
    table::write(
        Path::new("target/bench/files.json"),
        &json!({
            "kernel": kernel.release().to_string_lossy(),
            "busy": daemon::busy(),
            "rows": rows,
        }),
    )
}

fn transfers(house: &House, nginx: Option<&Nginx>) -> io::Result<Vec<Row>> {
    let content = vec![0x5a; SIZE];
    let put = format!("{}/content?path=big", house.files);
    let (mut up, mut down) = (Vec::new(), Vec::new());
    let (mut nginx_up, mut nginx_down) = (Vec::new(), Vec::new());
    for _ in 0..ROUNDS {
        up.push(send(house.http, &put, &house.proof, &content)?);
        down.push(fetch(house.http, &put, &house.proof, SIZE)?);
        if let Some(nginx) = nginx {
            nginx_up.push(send(nginx.address, "/big", "", &content)?);
            nginx_down.push(fetch(nginx.address, "/big", "", SIZE)?);
        }
    }
    let rate = |times: &mut [f64]| SIZE as f64 / median(times) / 1e6;
    let row = |what: &str, mut ours: Vec<f64>, mut theirs: Vec<f64>| {
        let ours = rate(&mut ours);
        let theirs = nginx.map(|_| rate(&mut theirs));
        let ratio = theirs.map_or(f64::NAN, |theirs| ours / theirs);
        Row {
            what: format!("{what} of {} MiB", SIZE >> 20),
            ours,
            unit: "MB/s",
            peer: "nginx".into(),
            theirs,
            ratio,
            target: format!("at least {RATE} x"),
            met: theirs.map(|_| ratio >= RATE),
        }
    };
    Ok(vec![
        row("upload", up, nginx_up),
        row("download", down, nginx_down),
    ])
}

/// Each of a folder that nobody has asked for yet; beside a bare reading of all its names, which is what the kernel
/// takes for itself.
fn first_page(house: &House) -> io::Result<[Row; 2]> {
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let name = format!("many{round}");
        let many = house.folder.join(&name);
        fs::create_dir_all(&many)?;
        for n in 0..ENTRIES {
            fs::File::create(many.join(format!("entry-{n:06}")))?;
        }
        let page = format!("{}?path={name}&count=100", house.files);
        ours.push(1e3 * timed(|| get(house.http, &page, &house.proof))?);
        bare.push(1e3 * timed(|| Ok(fs::read_dir(&many)?.count()))?);
        fs::remove_dir_all(many)?;
    }
    let (ours, bare) = (median(&mut ours), median(&mut bare));
    let row = |peer: &str, theirs: f64, target: String, met| Row {
        what: format!("first page of {ENTRIES} entries"),
        ours,
        unit: "ms",
        peer: peer.into(),
        theirs: Some(theirs),
        ratio: ours / theirs,
        target,
        met,
    };
    let limit = format!("under {PAGE} ms");
    Ok([
        row("the limit", PAGE, limit, Some(ours < PAGE)),
        row("bare reading of the names", bare, "none".into(), None),
    ])
}

/// A real daemon with one server.
struct House {
    http: SocketAddr,
    /// A request's line that proves who asks.
    proof: String,
    /// Where the server's files are in the API.
    files: String,
    /// Where they are on the disk.
    folder: PathBuf,
    _daemon: Daemon,
}

const GAME: &str = r#"
title = "A game of benches"
description = "Never runs"
[install]
method = "debian"
packages = ["dash"]
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
        let games = folder.join("data/games");
        fs::create_dir_all(&games)?;
        fs::write(games.join("waits.toml"), GAME)?;
        let settings = [format!("hosting.uids={}", users(500_000_000, 10))];
        let daemon = Daemon::open(folder, &settings)?;
        let http = daemon.address("http.listen")?;
        let log = daemon.log();
        let token = log.rsplit("token=").next().unwrap_or_default();
        let token = token.split_whitespace().next();
        let wish = json!({"token": token, "name": "ada", "password": "correct horse"});
        let set_up = ask(http, "POST", "/api/v1/setup", "", &wish.to_string())?;
        let token = set_up["token"].as_str().unwrap_or_default();
        let proof = format!("authorization: Bearer {token}\r\n");
        let wish = json!({"game": "waits"}).to_string();
        let server = ask(http, "POST", "/api/v1/servers", &proof, &wish)?;
        let id = server["id"].as_u64().unwrap_or_default();
        Ok(Self {
            http,
            proof,
            files: format!("/api/v1/servers/{id}/files"),
            folder: daemon.state().join(format!("servers/{id}/files")),
            _daemon: daemon,
        })
    }
}
