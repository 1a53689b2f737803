//! Supervision measured against limits and peers in the same run: `cargo bench --bench supervision [-- PART...]`.

mod console;
mod idle;
mod restart;
mod store;
mod table;

use std::{env, io, path::Path};

use table::Row;

type Part = (&'static str, fn() -> io::Result<Vec<Row>>);

const PARTS: [Part; 4] = [
    ("restart", restart::rows),
    ("idle", idle::rows),
    ("store", store::rows),
    ("console", console::rows),
];

fn main() -> io::Result<()> {
    restart::role();
    if console::produced()? {
        return Ok(());
    }
    let wanted: Vec<String> = env::args()
        .skip(1)
        .filter(|a| !a.starts_with('-'))
        .collect();
    let mut rows = Vec::new();
    for (name, part) in PARTS {
        if wanted.is_empty() || wanted.iter().any(|part| part == name) {
            eprintln!("measuring: {name}");
            rows.extend(part()?);
        }
    }
    table::print(&rows);
    table::write(Path::new("target/bench/supervision.json"), &rows)
}
