//! The voice relay beside limits and peers: `cargo bench --bench fanout [-- PART... --quick]`.
//!
//! One program that needs nothing else: it starts itself as each relay, each in a process and on a core of its own, and
//! plays all members. The daemon is the real one, through its real sockets. Rounds of all relays follow each other in
//! turn, so that the machine's mood is the same for all.

mod arena;
mod cores;
mod figures;
mod flood;
mod idle;
mod kv;
mod load;
mod packet;
mod parts;
mod peers;
mod relay;
mod sys;
#[path = "../supervision/table.rs"]
mod table;

use std::{env, io, path::Path, process::ExitCode};

use nix::sys::resource::{Resource, getrlimit, setrlimit};
use serde_json::json;

use crate::{
    cores::Cores,
    figures::{Counts, Rounds},
    parts::{Bench, PARTS},
    relay::Contender,
    table::Row,
};

fn main() -> ExitCode {
    match peers::role() {
        Ok(Some(Contender::Daemon)) => longhouse::cli::main(env::args_os()),
        Ok(Some(peer)) => told(peers::run(peer)),
        Ok(None) => told(measure()),
        Err(error) => told(Err(error)),
    }
}

fn told(done: io::Result<()>) -> ExitCode {
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn measure() -> io::Result<()> {
    let (flags, wanted): (Vec<_>, Vec<_>) = env::args().skip(1).partition(|a| a.starts_with('-'));
    if let Some(unknown) = wanted
        .iter()
        .find(|part| PARTS.iter().all(|(name, _)| name != part))
    {
        return Err(io::Error::other(format!("no part `{unknown}`")));
    }
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let mut bench = Bench {
        cores: Cores::find()?,
        quick: flags.iter().any(|flag| flag == "--quick"),
        rounds: Rounds::default(),
    };
    relay::pin(&bench.cores.load)?; // the relay's core is its own
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            eprintln!("measuring: {name}");
            rows.extend(part(&mut bench)?);
        }
    }
    let (checked, wrong) = proof(&bench.rounds);
    rows.push(wrong);
    bench.rounds.print();
    println!();
    table::print(&rows);
    let kernel = nix::sys::utsname::uname()?;
    table::write(
        Path::new("target/bench/fanout.json"),
        &json!({
            "kernel": kernel.release().to_string_lossy(),
            "cores": bench.cores,
            "quick": bench.quick,
            "checked": checked,
            "rows": rows,
            "rounds": bench.rounds.0,
        }),
    )
}

/// Every packet that any member read was checked.
fn proof(rounds: &Rounds) -> (u64, Row) {
    let mut all = Counts::default();
    for round in &rounds.0 {
        all.add(&round.measured.counts);
    }
    let what = format!(
        "reflected, duplicated or altered, of {} deliveries",
        all.packets
    );
    let row = parts::none(&what, all.wrong());
    (all.packets, row)
}
