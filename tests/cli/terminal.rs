//! What happens on a terminal: a prompt with history, detaching, coming back, and passwords.

use std::{
    fs::File,
    io::{Read as _, Write as _},
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use nix::{
    poll::{PollFd, PollFlags, PollTimeout, poll},
    pty::{Winsize, openpty},
    sys::termios::{LocalFlags, Termios, tcgetattr},
};
use std::os::fd::{AsFd as _, OwnedFd};

use crate::{
    Box,
    fake::{Console, Fake},
    friendly,
    verbs::with_console,
};

const PATIENCE: Duration = Duration::from_secs(30);

/// A program on a terminal of its own, and all that it wrote.
struct Terminal {
    child: Child,
    master: File,
    slave: OwnedFd,
    before: Termios,
    wrote: String,
    read: usize,
}

impl Terminal {
    fn start(mut command: Command) -> Self {
        let size = Winsize {
            ws_row: 24,
            ws_col: 120,
            ws_xpixel: 0,
            ws_ypixel: 0,
        };
        let pty = openpty(&size, None).unwrap();
        let end = || Stdio::from(pty.slave.try_clone().unwrap());
        let before = tcgetattr(&pty.slave).unwrap();
        let child = command.stdin(end()).stdout(end()).stderr(end()).spawn();
        Self {
            child: child.unwrap(),
            before,
            master: pty.master.into(),
            slave: pty.slave,
            wrote: String::new(),
            read: 0,
        }
    }

    fn press(&mut self, keys: &str) {
        self.master.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until `text` is written, after what was waited for before.
    fn see(&mut self, text: &str) {
        let begun = Instant::now();
        loop {
            if let Some(at) = self.wrote[self.read..].find(text) {
                self.read += at + text.len();
                return;
            }
            let mut wait = [PollFd::new(self.master.as_fd(), PollFlags::POLLIN)];
            let ready = poll(&mut wait, PollTimeout::from(1000u16)).unwrap();
            if ready > 0 {
                let mut bytes = [0; 4096];
                let count = self.master.read(&mut bytes).unwrap();
                self.wrote += &String::from_utf8_lossy(&bytes[..count]);
            }
            assert!(
                begun.elapsed() < PATIENCE,
                "`{text}` is not in {:?}",
                &self.wrote[self.read..]
            );
        }
    }

    /// Waits for its end; the terminal must be as it was.
    fn end(mut self) -> (i32, String) {
        let code = self.child.wait().unwrap().code().unwrap();
        assert_eq!(
            tcgetattr(&self.slave).unwrap().local_flags,
            self.before.local_flags
        );
        (code, std::mem::take(&mut self.wrote))
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

#[test]
fn a_console_has_history_survives_its_daemon_and_detaches() {
    let house = Box::new();
    let console = Arc::new(Console::default());
    console.add("stdout", "long ago");
    let fake = Fake::start(&house.state(), with_console(&console));
    let mut terminal = Terminal::start(house.command("server console ada_3"));
    terminal.see("Ctrl-D or Ctrl-C detaches");
    terminal.see("long ago");
    terminal.see("ada_3> ");
    terminal.press("say hello\r");
    terminal.see("did say hello");
    terminal.press("\x1b[A\r"); // arrow up
    terminal.see("did say hello");

    drop(fake);
    terminal.see("the daemon went away; the game goes on");
    console.add("stdout", "said meanwhile");
    terminal.press("save\r");
    terminal.see("kept until the daemon is back");
    let _fake = Fake::start(&house.state(), with_console(&console));
    terminal.see("the daemon is back");
    terminal.see("said meanwhile");
    terminal.see("did save");
    terminal.press("\x04"); // Ctrl-D
    terminal.see("detached; ada_3 goes on");
    let (code, wrote) = terminal.end();
    assert_eq!(code, 0);
    assert_eq!(wrote.matches("said meanwhile").count(), 1, "no repeat");
    assert_eq!(wrote.matches("long ago").count(), 1, "no repeat");

    let mut again = Terminal::start(house.command("server console 3"));
    again.see("ada_3> ");
    // The line before the last one, of the session before; and Ctrl-C, typed ahead.
    again.press("\x1b[A\x1b[A\r\x03");
    again.see("detached; ada_3 goes on");
    assert_eq!(again.end().0, 0);
    let begun = Instant::now();
    while console.count("say hello") < 3 {
        assert!(begun.elapsed() < PATIENCE, "what was typed ahead is sent");
        std::thread::yield_now();
    }
}

#[test]
fn output_and_titles_cannot_command_the_terminal() {
    let house = Box::new();
    let console = Arc::new(Console::default());
    console.add("stdout", "\u{1b}[31mred\u{1b}[0m\u{1b}]0;owned\u{7}");
    let _fake = Fake::start(&house.state(), with_console(&console));
    let mut terminal = Terminal::start(house.command("server console 3"));
    terminal.see("\u{1b}[31mred\u{1b}[0m\\x1b]0;owned\\x07");
    terminal.press("\x04");
    assert_eq!(terminal.end().0, 0);
}

#[test]
fn a_server_that_vanishes_ends_the_console_with_a_sound_terminal() {
    let house = Box::new();
    let console = Arc::new(Console::default());
    let fake = Fake::start(&house.state(), with_console(&console));
    let mut terminal = Terminal::start(house.command("server console 3"));
    terminal.see("ada_3> ");
    drop(fake);
    let _fake = Fake::start(&house.state(), |_| {
        crate::Reply::Say(
            404,
            r#"{"code":"no-such-server","detail":"no server 3"}"#.into(),
        )
    });
    terminal.see("error: no server 3");
    assert_eq!(terminal.end().0, 1);
}

#[test]
fn a_password_is_asked_for_twice_and_never_shown() {
    let house = Box::new();
    let fake = Fake::start(&house.state(), friendly);
    let mut terminal = Terminal::start(house.command("user add eve"));
    terminal.see("password: ");
    terminal.press("horse staple\n");
    terminal.see("the same again: ");
    terminal.press("horse staple\n");
    terminal.see("added");
    let (code, wrote) = terminal.end();
    assert_eq!(code, 0);
    assert!(!wrote.contains("horse"), "{wrote:?}");
    assert!(fake.seen()[0].contains("horse staple"));

    let mut terminal = Terminal::start(house.command("user add eve"));
    terminal.see("password: ");
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(terminal.child.id().cast_signed()),
        nix::sys::signal::Signal::SIGINT,
    )
    .unwrap();
    terminal.see("interrupted");
    let flags = tcgetattr(&terminal.slave).unwrap().local_flags;
    assert!(flags.contains(LocalFlags::ECHO));
    assert_eq!(terminal.end().0, 130);
}
