//! Where typed lines come from: a prompt with history, or a pipe. Each on a thread of its own, because
//! reading blocks; the process does not wait for either when it ends.

use std::{
    io::{self, BufRead as _},
    path::PathBuf,
    thread,
};

use nix::sys::termios::LocalFlags;
use rustyline::{DefaultEditor, ExternalPrinter as _};
use tokio::sync::mpsc;

use super::{attach::Typed, home, prompt::Without};

/// Lines or blocks of output that wait to be read or printed; more than these block whoever makes them.
const WAITING: usize = 64;
/// Typed lines that are remembered per server.
const REMEMBERED: usize = 1000;

/// A prompt, what prints above it, and the terminal's habits for as long. None on a terminal that cannot
/// move its cursor.
pub(crate) fn prompt(name: &str) -> Option<(mpsc::Receiver<Typed>, mpsc::Sender<String>, Without)> {
    let config = rustyline::Config::builder()
        .history_ignore_space(true)
        .max_history_size(REMEMBERED)
        .ok()?
        // A pasted block is as many lines as it has.
        .bracketed_paste(false)
        .build();
    let mut editor = DefaultEditor::with_config(config).ok()?;
    let mut printer = editor.create_external_printer().ok()?;
    let remembered = history(name);
    if let Some(file) = &remembered {
        editor.load_history(file).ok(); // there is none the first time
    }
    let (typed, lines) = mpsc::channel(WAITING);
    let (above, mut blocks) = mpsc::channel::<String>(WAITING);
    thread::spawn(move || {
        while let Some(block) = blocks.blocking_recv() {
            if printer.print(block).is_err() {
                return;
            }
        }
    });
    // Between two lines, too, keys are the prompt's: Ctrl-C detaches, and nothing is shown twice.
    let habits = Without::habits(LocalFlags::ICANON | LocalFlags::ECHO | LocalFlags::ISIG);
    let prompt = format!("{name}> ");
    thread::spawn(move || {
        while let Ok(line) = editor.readline(&prompt) {
            let known = editor.add_history_entry(line.as_str()).unwrap_or(false);
            if let Some(file) = remembered.as_ref().filter(|_| known) {
                editor.append_history(file).ok(); // typing matters more than remembering
            }
            if typed.blocking_send(Typed::Line(line)).is_err() {
                return;
            }
        }
        typed.blocking_send(Typed::End).ok(); // the other end may have ended first
    });
    Some((lines, above, habits))
}

/// Standard input, line by line.
pub(crate) fn pipe() -> mpsc::Receiver<Typed> {
    let (typed, lines) = mpsc::channel(WAITING);
    thread::spawn(move || {
        let mut input = io::stdin().lock();
        let mut bytes = Vec::new();
        while input
            .read_until(b'\n', &mut bytes)
            .is_ok_and(|read| read > 0)
        {
            let line = String::from_utf8_lossy(&bytes);
            let line = line.trim_end_matches(['\n', '\r']).to_owned();
            bytes.clear();
            if typed.blocking_send(Typed::Line(line)).is_err() {
                return;
            }
        }
        typed.blocking_send(Typed::End).ok(); // the other end may have ended first
    });
    lines
}

/// Where the lines typed to that server are remembered; nowhere without a home.
fn history(name: &str) -> Option<PathBuf> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    let folder = home::folder("console")?;
    name.chars().all(plain).then(|| folder.join(name))
}
