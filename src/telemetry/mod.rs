//! What operators see: the log and the metrics.
//!
//! The log goes to standard error: for people on a terminal (colours unless `NO_COLOR`), as JSON lines otherwise.
//! `LONGHOUSE_LOG` sets what is logged: `info` (the default), `debug`, `warn,longhouse::http=debug`.

use std::{env, io, io::IsTerminal};

use tracing_subscriber::{
    Layer, Registry, filter::Targets, fmt, layer::SubscriberExt, util::SubscriberInitExt,
};

pub mod http;
mod lobby;
mod metrics;

pub(crate) use metrics::word as state_word;
pub use metrics::{Metrics, Open};

/// What `LONGHOUSE_LOG` says is not understood.
#[derive(Debug, thiserror::Error)]
#[error(
    "LONGHOUSE_LOG `{text}` is not understood: {why}; hint: `info`, or `warn,longhouse::http=debug`"
)]
pub struct BadLevel {
    text: String,
    why: String,
}

/// Starts the log, once per process.
pub fn init() -> Result<(), BadLevel> {
    let text = env::var("LONGHOUSE_LOG").unwrap_or_default();
    let levels = levels(&text)?;
    let terminal = io::stderr().is_terminal();
    let colours = terminal && env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
    // What cannot be written, to a full disk or to nobody, is lost: telling of it there would panic.
    let lines = fmt::layer()
        .with_writer(io::stderr)
        .with_ansi(colours)
        .log_internal_errors(false);
    let lines: Box<dyn Layer<Registry> + Send + Sync> = match terminal {
        true => lines.with_target(false).boxed(),
        false => lines.json().boxed(),
    };
    // A second call keeps the first log: only tests do that.
    tracing_subscriber::registry()
        .with(lines.with_filter(levels))
        .try_init()
        .ok();
    Ok(())
}

fn levels(text: &str) -> Result<Targets, BadLevel> {
    let wanted = if text.trim().is_empty() { "info" } else { text };
    wanted.parse().map_err(|error| BadLevel {
        text: text.into(),
        why: format!("{error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[test]
    fn the_level_is_info_unless_said_and_nonsense_is_named() {
        let plain = levels("").unwrap();
        assert!(plain.would_enable("longhouse", &Level::INFO));
        assert!(!plain.would_enable("longhouse", &Level::DEBUG));
        let narrow = levels("warn,longhouse::http=debug").unwrap();
        assert!(narrow.would_enable("longhouse::http::serve", &Level::DEBUG));
        assert!(!narrow.would_enable("longhouse::store", &Level::INFO));
        let fault = levels("http=loud").unwrap_err().to_string();
        assert!(
            fault.contains("http=loud") && fault.contains("hint:"),
            "{fault}"
        );
    }
}
