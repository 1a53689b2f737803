//! A console flooded by a child that writes 80-byte lines in bulk: ours to disk beside s6-log, ours to memory beside a
//! bare reader. All of them read the same 1 MiB pipe from the same producer, which is this program again.

use std::{
    env,
    fs::File,
    io::{self, PipeReader, Read, Write},
    os::fd::AsFd,
    process::{Child, Command, Stdio},
    time::Instant,
};

use longhouse::{
    clock::UnixMillis,
    console::{Kind, Writer},
};
use nix::fcntl::{FcntlArg, fcntl};

use super::table::{Row, median};

const PRODUCE: &str = "--produce-console-lines";
const LINE: usize = 80;
/// What a round takes: files are slow, memory is not.
const LINES_TO_DISK: usize = 2_000_000;
const LINES_TO_MEMORY: usize = 8_000_000;
const ROUNDS: usize = 7;
const PIPE: i32 = 1 << 20;
const READ: usize = 128 * 1024;
const HISTORY: u64 = 16 << 20;
const RING: usize = 1 << 20;

/// Whether this process was the producer, and is done.
pub(crate) fn produced() -> io::Result<bool> {
    let mut arguments = env::args().skip_while(|argument| argument != PRODUCE);
    let Some(lines) = arguments
        .nth(1)
        .and_then(|lines| lines.parse::<usize>().ok())
    else {
        return Ok(false);
    };
    let line = [b"x".repeat(LINE - 1), b"\n".to_vec()].concat();
    let text = line.repeat(64 * 1024); // a whole number of lines and of 64 KiB
    let mut left = lines * LINE;
    // Not `Stdout`, which would look for line ends.
    let mut out = File::from(io::stdout().as_fd().try_clone_to_owned()?);
    for piece in text.chunks(64 * 1024).cycle() {
        let piece = &piece[..piece.len().min(left)];
        out.write_all(piece)?;
        left -= piece.len();
        if left == 0 {
            break;
        }
    }
    Ok(true)
}

/// Lines per second of each consumer.
pub(crate) fn rows() -> io::Result<Vec<Row>> {
    let mut rates = [const { Vec::new() }; 4];
    for _ in 0..ROUNDS {
        rates[0].push(rate(LINES_TO_DISK, to_disk)?);
        rates[1].extend(rate_of_s6_log()?);
        rates[2].push(rate(LINES_TO_MEMORY, to_memory)?);
        rates[3].push(rate(LINES_TO_MEMORY, bare)?);
    }
    let [disk, s6_log, memory, bare] = rates.map(|mut samples| median(&mut samples));
    Ok(vec![
        row("console to disk", disk, "s6-log n8 s2097152", s6_log, 2.0),
        row(
            "console to memory",
            memory,
            "bare reader of a 1 MiB pipe",
            bare,
            0.5,
        ),
    ])
}

fn row(what: &str, ours: f64, peer: &str, theirs: f64, least: f64) -> Row {
    let absent = theirs.is_nan();
    Row {
        what: format!("{what}, {LINE}-byte lines"),
        ours: ours / 1e6,
        unit: "M lines/s",
        peer: if absent {
            format!("{peer} (absent, skipped)")
        } else {
            peer.into()
        },
        theirs: (!absent).then_some(theirs / 1e6),
        ratio: ours / theirs,
        target: format!("at least {least} x"),
        met: Some(ours >= least * theirs),
    }
}

fn producer(lines: usize) -> io::Result<(PipeReader, Child)> {
    let (reader, writer) = io::pipe()?;
    fcntl(&writer, FcntlArg::F_SETPIPE_SZ(PIPE))?;
    let child = Command::new(env::current_exe()?)
        .args([PRODUCE, &lines.to_string()])
        .stdout(writer)
        .spawn()?;
    Ok((reader, child))
}

fn rate(lines: usize, consume: fn(PipeReader) -> io::Result<u64>) -> io::Result<f64> {
    let (pipe, mut child) = producer(lines)?;
    let start = Instant::now();
    let consumed = consume(pipe)?;
    let took = start.elapsed();
    child.wait()?;
    assert_eq!(consumed, lines as u64, "a consumer lost lines");
    Ok(lines as f64 / took.as_secs_f64())
}

/// 8 files of 2 MiB, which is our 16 MiB of history; no time stamps, where ours have one per read.
fn rate_of_s6_log() -> io::Result<Option<f64>> {
    let dir = tempfile::tempdir()?;
    let (pipe, mut child) = producer(LINES_TO_DISK)?;
    let start = Instant::now();
    let log = Command::new("s6-log")
        .args(["n8", "s2097152"])
        .arg(dir.path())
        .stdin(Stdio::from(pipe))
        .status();
    let took = start.elapsed();
    child.wait()?;
    match log {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        status => Ok(status?
            .success()
            .then(|| LINES_TO_DISK as f64 / took.as_secs_f64())),
    }
}

fn to_disk(pipe: PipeReader) -> io::Result<u64> {
    let dir = tempfile::tempdir()?;
    written(pipe, Writer::open(dir.path(), HISTORY)?)
}

fn to_memory(pipe: PipeReader) -> io::Result<u64> {
    written(pipe, Writer::in_memory(RING))
}

fn written(mut pipe: PipeReader, mut writer: Writer) -> io::Result<u64> {
    let mut buffer = vec![0; READ];
    loop {
        match pipe.read(&mut buffer)? {
            0 => return Ok(writer.head()),
            n => writer.output(Kind::Stdout, UnixMillis::now(), &buffer[..n])?,
        }
    }
}

fn bare(mut pipe: PipeReader) -> io::Result<u64> {
    let mut ring = vec![0; RING];
    let (mut at, mut total) = (0, 0);
    loop {
        let end = RING.min(at + READ);
        match pipe.read(&mut ring[at..end])? {
            0 => return Ok((total / LINE) as u64),
            n => {
                at = (at + n) % RING;
                total += n;
            }
        }
    }
}
