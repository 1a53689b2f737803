//! Somebody who plays, with eyes on what they are shown.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read, Write as _},
    os::fd::OwnedFd,
    process::{Child, Command, Stdio},
    sync::mpsc,
    thread,
};

use nix::pty::openpty;
use serde_json::Value;

use crate::common::{House, LONGHOUSE, PATIENCE};

/// One `longhouse play`, with its two outputs as one.
pub(crate) struct Player {
    pub(crate) child: Child,
    pub(crate) typed: Option<File>,
    lines: mpsc::Receiver<String>,
    pub(crate) shown: String,
}

impl Player {
    pub(crate) fn start(house: &House, line: &str) -> Self {
        let mut child = Self::command(house, line)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let (told, lines) = mpsc::channel();
        let stdout = child.stdout.take().unwrap();
        let stderr = child.stderr.take().unwrap();
        forward(stdout, told.clone());
        forward(stderr, told);
        let typed = OwnedFd::from(child.stdin.take().unwrap());
        Self {
            typed: Some(typed.into()),
            child,
            lines,
            shown: String::new(),
        }
    }

    /// The same at a terminal.
    pub(crate) fn at_terminal(house: &House, line: &str) -> Self {
        let pty = openpty(None, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let mut command = Self::command(house, line);
        command.stdin(end()).stdout(end()).stderr(end());
        let child = command.env("TERM", "xterm").spawn().unwrap();
        let typed = File::from(pty.master);
        let (told, lines) = mpsc::channel();
        forward(typed.try_clone().unwrap(), told);
        Self {
            child,
            typed: Some(typed),
            lines,
            shown: String::new(),
        }
    }

    fn command(house: &House, line: &str) -> Command {
        let mut command = Command::new(LONGHOUSE);
        command
            .arg("--state")
            .arg(house.state())
            .arg("play")
            .args(line.split_whitespace())
            .env("USER", "eve")
            .env("XDG_STATE_HOME", house.state().join("of-players"));
        command
    }

    pub(crate) fn types(&mut self, line: &str) {
        let typed = self.typed.as_mut().unwrap();
        writeln!(typed, "{line}").unwrap();
    }

    /// The next line; none at the end.
    pub(crate) fn line(&mut self) -> Option<String> {
        match self.lines.recv_timeout(PATIENCE) {
            Ok(line) => {
                self.shown += &format!("{line}\n");
                Some(line)
            }
            Err(mpsc::RecvTimeoutError::Disconnected) => None,
            Err(mpsc::RecvTimeoutError::Timeout) => panic!("nothing more after\n{}", self.shown),
        }
    }

    /// Waits for a line that has this in it.
    pub(crate) fn sees(&mut self, part: &str) -> String {
        loop {
            let Some(line) = self.line() else {
                panic!("it ended without {part:?}:\n{}", self.shown);
            };
            if line.contains(part) {
                return line;
            }
        }
    }

    /// The next state for which this holds, with `--json`.
    pub(crate) fn state(&mut self, holds: impl Fn(&Value) -> bool) -> Value {
        loop {
            let Some(line) = self.line() else {
                panic!("it ended:\n{}", self.shown);
            };
            match serde_json::from_str::<Value>(&line) {
                Ok(state) if state.get("position").is_some() && holds(&state) => return state,
                _ => {}
            }
        }
    }

    /// Which table they sit at.
    pub(crate) fn table(&mut self) -> String {
        let line = self.sees("at table ");
        let number = line.split("at table ").nth(1).unwrap();
        number.split(';').next().unwrap().into()
    }

    /// The end of input, and what it ends with.
    pub(crate) fn ends(&mut self) -> i32 {
        drop(self.typed.take());
        while self.line().is_some() {}
        self.child.wait().unwrap().code().unwrap()
    }
}

impl Drop for Player {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

fn forward(from: impl Read + Send + 'static, to: mpsc::Sender<String>) {
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if to.send(line).is_err() {
                return;
            }
        }
    });
}
