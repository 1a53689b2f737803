//! Questions to who sits at the terminal, and passwords, which are never shown and never an argument.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Read as _, Write as _},
    os::fd::{AsFd as _, BorrowedFd},
};

use nix::sys::termios::{self, LocalFlags, SetArg, Termios};

use super::fault::Fault;

/// More than any password that accounts take.
const LONGEST: u64 = 4096;

/// The terminal of standard input without some of its habits, until this is dropped, however the verb ends.
pub(crate) struct Without(Option<Termios>);

impl Without {
    pub(crate) fn habits(habits: LocalFlags) -> Self {
        let before = termios::tcgetattr(stdin()).ok();
        if let Some(mut now) = before.clone() {
            now.local_flags.remove(habits);
            termios::tcsetattr(stdin(), SetArg::TCSADRAIN, &now).ok(); // then it shows what is typed
        }
        Self(before)
    }
}

impl Drop for Without {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            termios::tcsetattr(stdin(), SetArg::TCSANOW, before).ok();
        }
    }
}

fn stdin() -> BorrowedFd<'static> {
    static STDIN: std::sync::LazyLock<io::Stdin> = std::sync::LazyLock::new(io::stdin);
    STDIN.as_fd()
}

/// Asks for one line.
pub(crate) async fn line(question: &str) -> Result<String, Fault> {
    write!(io::stderr(), "{question}").ok();
    let read = || {
        let mut line = String::new();
        io::stdin().lock().take(LONGEST).read_line(&mut line)?;
        Ok(line)
    };
    let line = aside(read).await?;
    if line.is_empty() {
        return Err(Fault::Interrupted); // Ctrl-D
    }
    Ok(line.trim_end_matches(['\n', '\r']).to_owned())
}

/// A new password: the first line of standard input, or typed twice without echo.
pub(crate) async fn new_password(from_stdin: bool) -> Result<String, Fault> {
    if from_stdin {
        let password = aside(|| first_line(io::stdin().lock())).await?;
        return password
            .filter(|password| !password.is_empty())
            .ok_or(Fault::NoPassword);
    }
    if !io::stdin().is_terminal() {
        return Err(Fault::NoTerminal("the password"));
    }
    let first = unseen("password: ").await?;
    if first != unseen("the same again: ").await? {
        return Err(Fault::Mismatch);
    }
    Ok(first)
}

/// A password that somebody has: the first line of standard input, without echo where that is a terminal.
pub(crate) async fn password() -> Result<String, Fault> {
    match io::stdin().is_terminal() {
        true => unseen("password: ").await,
        false => new_password(true).await,
    }
}

async fn unseen(question: &str) -> Result<String, Fault> {
    let unseen = Without::habits(LocalFlags::ECHO);
    let typed = line(question).await;
    drop(unseen);
    super::print::note("");
    typed
}

fn first_line(input: impl io::BufRead) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    input.take(LONGEST).read_until(b'\n', &mut bytes)?;
    while bytes.last().is_some_and(|byte| b"\r\n".contains(byte)) {
        bytes.pop();
    }
    Ok(String::from_utf8(bytes).ok())
}

/// Reads on a thread of its own, so that a signal can end the wait.
async fn aside<T: Send + 'static>(
    read: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, Fault> {
    tokio::task::spawn_blocking(read)
        .await
        .expect("reading does not panic")
        .map_err(Fault::Input)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_is_the_first_line_without_its_end() {
        let read = |bytes: &[u8]| first_line(bytes).unwrap();
        assert_eq!(
            read(b" horse staple \r\nmore"),
            Some(" horse staple ".into())
        );
        assert_eq!(read(b""), Some(String::new()));
        assert_eq!(read(b"\xff\n"), None);
        assert_eq!(read(&[b'x'; 9999]).unwrap().len(), 4096);
    }
}
