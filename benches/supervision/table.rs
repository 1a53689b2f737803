//! Rows of ours beside a peer's, as a table for people and JSON for scripts.

use std::{fs, io, path::Path};

use serde::Serialize;

/// One comparison within one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was measured: `death to replacement's main, p50`.
    pub(crate) what: String,
    /// Our median.
    pub(crate) ours: f64,
    /// Of both figures.
    pub(crate) unit: &'static str,
    /// The peer or limit: `bare pidfd+epoll loop`.
    pub(crate) peer: String,
    /// Its median; `None` where the target is absolute.
    pub(crate) theirs: Option<f64>,
    /// Our figure over theirs, or over the absolute target.
    pub(crate) ratio: f64,
    /// `at most 1.3 x`.
    pub(crate) target: String,
    /// Whether the target was met.
    pub(crate) met: bool,
}

/// The middle of some samples; they are sorted in place.
pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints the table and writes the JSON.
pub(crate) fn publish(rows: &[Row], json: &Path) -> io::Result<()> {
    println!("| what | ours | peer | theirs | ratio | target | met |");
    println!("|---|---:|---|---:|---:|---|---|");
    for row in rows {
        println!(
            "| {} | {:.4} {} | {} | {} | {:.3} | {} | {} |",
            row.what,
            row.ours,
            row.unit,
            row.peer,
            row.theirs.map_or("-".into(), |n| format!("{n:.4}")),
            row.ratio,
            row.target,
            if row.met { "yes" } else { "NO" }
        );
    }
    if let Some(folder) = json.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(json, serde_json::to_vec_pretty(rows)?)
}
