//! Times of many things, and rows of them.

use std::time::Duration;

use crate::table::Row;

/// Times, sorted.
pub(crate) struct Times(Vec<f64>);

impl Times {
    /// In milliseconds.
    pub(crate) fn of(samples: impl IntoIterator<Item = Duration>) -> Self {
        let mut ms: Vec<f64> = samples
            .into_iter()
            .map(|time| time.as_secs_f64() * 1e3)
            .collect();
        ms.sort_by(f64::total_cmp);
        Self(ms)
    }

    /// What so large a part of them does not exceed; not a number of none.
    pub(crate) fn at(&self, part: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        let sample = self.0.get((last * part).round() as usize);
        sample.copied().unwrap_or(f64::NAN)
    }
}

/// At most `most`, absolutely.
pub(crate) fn limit(what: impl Into<String>, ours: f64, unit: &'static str, most: f64) -> Row {
    Row {
        what: what.into(),
        ours,
        unit,
        peer: format!("{most} {unit}"),
        theirs: None,
        ratio: ours / most,
        target: "at most 1 x".into(),
        met: Some(ours <= most),
    }
}

/// Must be zero.
pub(crate) fn none(what: impl Into<String>, count: usize) -> Row {
    Row {
        what: what.into(),
        ours: count as f64,
        unit: "",
        peer: "none".into(),
        theirs: None,
        ratio: f64::NAN,
        target: "0".into(),
        met: Some(count == 0),
    }
}

/// A figure that nothing is asked of.
pub(crate) fn told(what: impl Into<String>, ours: f64, unit: &'static str) -> Row {
    Row {
        what: what.into(),
        ours,
        unit,
        peer: String::new(),
        theirs: None,
        ratio: f64::NAN,
        target: "none".into(),
        met: None,
    }
}

/// Beside a peer, at most `most` times its figure; none: it is only told.
pub(crate) fn beside(
    what: impl Into<String>,
    ours: f64,
    unit: &'static str,
    peer: &str,
    theirs: f64,
    most: Option<f64>,
) -> Row {
    let ratio = ours / theirs;
    Row {
        what: what.into(),
        ours,
        unit,
        peer: peer.into(),
        theirs: Some(theirs),
        ratio,
        target: most.map_or("none".into(), |most| format!("at most {most} x")),
        met: most.map(|most| ratio <= most),
    }
}
