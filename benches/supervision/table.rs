//! Rows of ours beside a peer's, as a table for people and JSON for scripts.

use std::{fs, io, path::Path};

use serde::Serialize;

/// One comparison within one run.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was measured: `death to replacement's main, p50`.
    pub(crate) what: String,
    /// Our median; not a number where it could not be measured here.
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
    /// Whether the target was met; `None` where there is none, or where it could not be measured here.
    pub(crate) met: Option<bool>,
}

/// The middle of some samples; they are sorted in place.
pub(crate) fn median(samples: &mut [f64]) -> f64 {
    samples.sort_by(f64::total_cmp);
    samples.get(samples.len() / 2).copied().unwrap_or(f64::NAN)
}

/// Prints the table.
pub(crate) fn print(rows: &[Row]) {
    println!("| what | ours | peer | theirs | ratio | target | met |");
    println!("|---|---:|---|---:|---:|---|---|");
    for row in rows {
        let number = |n: f64, text: String| if n.is_nan() { "-".into() } else { text };
        println!(
            "| {} | {} | {} | {} | {} | {} | {} |",
            row.what,
            number(row.ours, format!("{:.4} {}", row.ours, row.unit)),
            row.peer,
            row.theirs.map_or("-".into(), |n| format!("{n:.4}")),
            number(row.ratio, format!("{:.3}", row.ratio)),
            row.target,
            match row.met {
                Some(true) => "yes",
                Some(false) => "NO",
                None => "-",
            }
        );
    }
}

/// Writes the JSON; its folder is made.
pub(crate) fn write(json: &Path, what: &impl Serialize) -> io::Result<()> {
    if let Some(folder) = json.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(json, serde_json::to_vec_pretty(what)?)
}
