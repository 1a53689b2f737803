//! The running game as its keeper holds it: the main process, its three pipes, and how it says that it is ready.

use std::{
    io,
    os::fd::{AsFd, BorrowedFd, OwnedFd},
    time::Instant,
};

use crate::console::Kind;
use crate::sandbox::spawn::Child;
use memchr::memmem;
use nix::{
    errno::Errno,
    fcntl::{FcntlArg, OFlag, fcntl},
    poll::{PollFd, PollFlags, PollTimeout, poll},
    unistd,
};

/// One read at most, and what a pipe holds unless it is grown.
pub(crate) const CHUNK: usize = 64 << 10;
/// A game that floods gets a pipe of this size, so that it waits less for us.
const GROWN: i32 = 1 << 20;
/// The least that a pipe can hold; the kernel rounds it up to a page where pages are larger.
const PAGE: i32 = 4096;
/// Read of one stream before anything else is looked at again.
const BUDGET: usize = 1 << 20;
/// Typed and not yet read by the game.
const TYPED_AHEAD: usize = 64 << 10;

/// From the start of its process until nothing of it is left.
pub(crate) struct Game {
    /// The main process: a child of ours, so that its number stays its own until it is reaped.
    pub(crate) pid: u32,
    pub(crate) launched: Instant,
    stdin: Option<OwnedFd>,
    typed: Vec<u8>,
    outputs: [Output; 2],
    ready: Option<Needle>,
}

struct Output {
    kind: Kind,
    pipe: Option<OwnedFd>,
    grown: bool,
}

impl Game {
    /// Holds a freshly started process; `ready` is the text that says it is ready.
    pub(crate) fn new(child: Child, ready: Option<&str>, now: Instant) -> io::Result<Self> {
        for fd in [&child.stdin, &child.stdout, &child.stderr] {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let output = |kind, fd| Output {
            kind,
            pipe: Some(fd),
            grown: false,
        };
        // One page counts as full from the first byte to the last: see `feed`.
        fcntl(&child.stdin, FcntlArg::F_SETPIPE_SZ(PAGE))?;
        Ok(Self {
            pid: child.pid,
            launched: now,
            stdin: Some(child.stdin),
            typed: Vec::new(),
            outputs: [
                output(Kind::Stdout, child.stdout),
                output(Kind::Stderr, child.stderr),
            ],
            ready: ready.map(Needle::new),
        })
    }

    /// Adds the pipes that there is something to wait for.
    pub(crate) fn watch<'a>(&'a self, fds: &mut Vec<PollFd<'a>>) {
        for pipe in self.outputs.iter().filter_map(|o| o.pipe.as_ref()) {
            fds.push(PollFd::new(pipe.as_fd(), PollFlags::POLLIN));
        }
        if let (Some(pipe), false) = (&self.stdin, self.typed.is_empty()) {
            fds.push(PollFd::new(pipe.as_fd(), PollFlags::POLLOUT));
        }
    }

    /// Reads what there is, within reason, and passes it on. Whether the ready text was in it.
    pub(crate) fn pump(&mut self, buffer: &mut Vec<u8>, mut to: impl FnMut(Kind, &[u8])) -> bool {
        let mut ready = false;
        for (stream, output) in self.outputs.iter_mut().enumerate() {
            let mut got = 0;
            while let Some(pipe) = &output.pipe
                && got < BUDGET
            {
                buffer.resize(CHUNK, 0);
                match unistd::read(pipe.as_fd(), buffer) {
                    Err(Errno::EAGAIN) => break,
                    Err(Errno::EINTR) => {}
                    Ok(0) | Err(_) => output.pipe = None,
                    Ok(n) => {
                        got += n;
                        if let Some(needle) = &mut self.ready {
                            ready |= needle.seen(stream, &buffer[..n]);
                        }
                        to(output.kind, &buffer[..n]);
                        if n < CHUNK {
                            break;
                        }
                        if !output.grown {
                            // Not permitted beyond the user's share of pipes: then it stays as it is.
                            fcntl(pipe, FcntlArg::F_SETPIPE_SZ(GROWN)).ok();
                            output.grown = true;
                        }
                    }
                }
            }
        }
        if ready {
            self.ready = None;
        }
        ready
    }

    /// Queues a line for the game to read, or says why it cannot be.
    pub(crate) fn type_line(&mut self, line: &[u8]) -> Result<(), String> {
        if self.stdin.is_none() {
            return Err("the game has closed its input".into());
        }
        if self.typed.len() + line.len() >= TYPED_AHEAD {
            let waiting = self.typed.len();
            return Err(format!(
                "the game does not read its input: {waiting} bytes wait already"
            ));
        }
        self.typed.extend_from_slice(line);
        self.typed.push(b'\n');
        self.feed();
        match self.stdin {
            Some(_) => Ok(()),
            None => Err("the game has closed its input".into()),
        }
    }

    /// Writes what was typed, a line at a time and none before the game has read the one before: many games look for
    /// input with `select` and read it with `fgets`, and never see a second line that came along with the first.
    pub(crate) fn feed(&mut self) {
        while let (Some(pipe), false) = (&self.stdin, self.typed.is_empty()) {
            if !taken(pipe.as_fd()) {
                return;
            }
            let end = memchr::memchr(b'\n', &self.typed).map_or(self.typed.len(), |at| at + 1);
            match unistd::write(pipe.as_fd(), &self.typed[..end]) {
                Ok(n) => drop(self.typed.drain(..n)),
                Err(Errno::EAGAIN) => return,
                Err(Errno::EINTR) => {}
                Err(_) => {
                    self.stdin = None;
                    self.typed.clear();
                }
            }
        }
        if self.typed.is_empty() {
            self.typed = Vec::new();
        }
    }
}

/// Whether a pipe of one page is empty (or broken): only then can it be written.
fn taken(pipe: BorrowedFd<'_>) -> bool {
    let mut look = [PollFd::new(pipe, PollFlags::POLLOUT)];
    poll(&mut look, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// A text looked for in two streams that come in pieces.
struct Needle {
    text: Vec<u8>,
    /// The end of what each stream said so far: one byte less than the text.
    seams: [Vec<u8>; 2],
}

impl Needle {
    fn new(text: &str) -> Self {
        Self {
            text: text.as_bytes().to_vec(),
            seams: Default::default(),
        }
    }

    fn seen(&mut self, stream: usize, chunk: &[u8]) -> bool {
        let keep = self.text.len().saturating_sub(1);
        let seam = &mut self.seams[stream];
        seam.extend_from_slice(&chunk[..chunk.len().min(keep)]);
        let seen = memmem::find(seam, &self.text).or_else(|| memmem::find(chunk, &self.text));
        if chunk.len() > keep {
            seam.clear();
            seam.extend_from_slice(&chunk[chunk.len() - keep..]);
        } else {
            seam.drain(..seam.len().saturating_sub(keep));
        }
        seen.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_ready_text_is_found_however_it_is_cut(before in "[ab]{0,30}", text in "[ab]{1,6}", after in "[ab]{0,9}", cut in 1usize..12) {
            let all = format!("{before}{text}{after}");
            let mut needle = Needle::new(&text);
            let found = all.as_bytes().chunks(cut).fold(false, |found, chunk| needle.seen(0, chunk) | found);
            prop_assert!(found);
        }

        #[test]
        fn nothing_is_found_that_is_not_there(all in "[ab]{0,40}", text in "[ab]{1,6}", cut in 1usize..12) {
            let mut needle = Needle::new(&text);
            let found = all.as_bytes().chunks(cut).fold(false, |found, chunk| needle.seen(1, chunk) | found);
            prop_assert_eq!(found, all.contains(&text));
        }
    }

    #[test]
    fn the_two_streams_do_not_make_one_line() {
        let mut needle = Needle::new("ready");
        assert!(!needle.seen(0, b"rea"));
        assert!(!needle.seen(1, b"dy"));
        assert!(needle.seen(0, b"dy"));
    }
}
