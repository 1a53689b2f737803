//! The lobby under load: `cargo bench --bench lobby [-- PART...]`, parts `chat`, `tables`, `storm`, `slow`.
//!
//! The daemon is the real one, in a process of its own; this program plays all people, over real connections. Limits
//! and peers are measured in the same run: a bare broadcast server, bare spawns of the same game, bare Argon2id.

mod bare;
mod chat;
mod crowd;
mod figures;
mod house;
mod peer;
mod slow;
mod storm;
#[path = "../supervision/table.rs"]
mod table;
mod tables;
mod words;

use std::{env, io, path::Path, process::ExitCode};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::table::Row;

/// A part's name, and what measures it.
type Part = (&'static str, fn() -> io::Result<Vec<Row>>);

const PARTS: [Part; 4] = [
    ("chat", chat::rows),
    ("tables", tables::rows),
    ("storm", storm::rows),
    ("slow", slow::rows),
];

fn main() -> ExitCode {
    let done = match peer::is_wanted() {
        true => peer::run(),
        false => measure(),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> io::Result<()> {
    let arguments = env::args().skip(1);
    let wanted: Vec<_> = arguments.filter(|word| !word.starts_with('-')).collect();
    if let Some(unknown) = wanted
        .iter()
        .find(|part| PARTS.iter().all(|(name, _)| name != part))
    {
        return Err(io::Error::other(format!("no part `{unknown}`")));
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            eprintln!("measuring: {name}, load average {}", house::busy());
            rows.extend(part()?);
        }
    }
    table::print(&rows);
    let kernel = nix::sys::utsname::uname()?;
    table::write(
        Path::new("target/bench/lobby.json"),
        &json!({
            "kernel": kernel.release().to_string_lossy(),
            "busy": house::busy(),
            "rows": rows,
        }),
    )
}
