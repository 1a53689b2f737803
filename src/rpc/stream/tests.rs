//! The greeting and its thirty seconds, frames both ways, the end of a right, and places, in paused time.

use std::sync::atomic::{AtomicBool, Ordering};

use tokio::{io::duplex, sync::watch, time::Instant};

use super::*;
use crate::{
    clock::UnixMillis,
    console::{
        Reader, Writer,
        stream::{CLIENT, Frame},
    },
};

const NOW: UnixMillis = UnixMillis(1);

/// Somebody whose lines are refused, and who may read for as long as it is said so.
#[derive(Clone, Default)]
struct Guest {
    barred: Arc<AtomicBool>,
    typed: Arc<Mutex<Vec<String>>>,
}

impl Right for Guest {
    fn may_read(&self) -> bool {
        !self.barred.load(Ordering::Relaxed)
    }

    async fn command(&self, line: &str) -> Result<(), String> {
        self.typed.lock().unwrap().push(line.into());
        match line {
            "no" => Err("refused".into()),
            _ => Ok(()),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn who_does_not_greet_is_given_up_after_thirty_seconds() {
    let (mut ours, mut theirs) = duplex(1024);
    theirs.write_all(&CLIENT[..30]).await.unwrap();
    let begin = Instant::now();
    let fault = greet(&mut ours).await.unwrap_err();
    assert_eq!(fault.code, Code::StreamGreeting);
    assert_eq!(begin.elapsed(), GREETING);
}

#[tokio::test(start_paused = true)]
async fn any_other_byte_ends_it_at_once_and_unanswered() {
    let (mut ours, mut theirs) = duplex(1024);
    theirs
        .write_all(b"MYOTTD_CONSOLE_STREAM_CLIENT_02")
        .await
        .unwrap();
    let begin = Instant::now();
    assert_eq!(
        greet(&mut ours).await.unwrap_err().code,
        Code::StreamGreeting
    );
    assert_eq!(begin.elapsed(), Duration::ZERO);
    drop(ours);
    let mut heard = Vec::new();
    theirs.read_to_end(&mut heard).await.unwrap();
    assert_eq!(heard, b"");
}

#[tokio::test(start_paused = true)]
async fn a_greeting_in_pieces_is_answered_and_what_follows_is_kept() {
    let (mut ours, mut theirs) = duplex(1024);
    let (rest, ()) = tokio::join!(greet(&mut ours), async {
        for byte in CLIENT {
            theirs.write_all(&[*byte]).await.unwrap();
            tokio::time::sleep(Duration::from_millis(900)).await;
        }
    });
    assert_eq!(rest.unwrap(), b"");
    let mut answer = [0; 31];
    theirs.read_exact(&mut answer).await.unwrap();
    assert_eq!(&answer, SERVER);
    let both = [&CLIENT[..], b"\x02\x01x"].concat();
    theirs.write_all(&both).await.unwrap();
    assert_eq!(greet(&mut ours).await.unwrap(), b"\x02\x01x");
}

/// A console with a writer, and a stream of it under way.
struct Stage {
    _folder: tempfile::TempDir,
    writer: Writer,
    head: watch::Sender<u64>,
    guest: Guest,
    peer: tokio::io::DuplexStream,
    framer: Framer,
    carried: tokio::task::JoinHandle<&'static str>,
}

impl Stage {
    fn new(first: &[u8]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let writer = Writer::open(folder.path(), 1 << 24).unwrap();
        let head = watch::Sender::new(writer.head());
        let tail = Tail::new(Reader::new(folder.path().into()), head.subscribe(), 1);
        let (ours, peer) = duplex(1024);
        let guest = Guest::default();
        let carried = tokio::spawn(carry(ours, first.to_vec(), tail, guest.clone()));
        let framer = Framer::default();
        Self {
            _folder: folder,
            writer,
            head,
            guest,
            peer,
            framer,
            carried,
        }
    }

    fn say(&mut self, kind: Kind, text: &[u8]) {
        self.writer.output(kind, NOW, text).unwrap();
        self.head.send_replace(self.writer.head());
    }

    async fn hear(&mut self) -> Frame {
        loop {
            if let Some(frame) = self.framer.next().unwrap() {
                return frame;
            }
            let mut piece = [0; 300];
            let length = self.peer.read(&mut piece).await.unwrap();
            assert!(length > 0, "the stream ended");
            self.framer.push(&piece[..length]);
        }
    }
}

fn frame(source: Source, data: &[u8]) -> Frame {
    let data = data.to_vec();
    Frame { source, data }
}

#[tokio::test]
async fn a_console_goes_out_by_type_and_what_is_typed_comes_in_line_by_line() {
    let mut stage = Stage::new(b"\x02\x05save\n");
    stage.say(Kind::Stdout, b"hello\n");
    stage.say(Kind::Log, b"started\n");
    stage.say(Kind::Stderr, b"oh\n");
    stage.say(Kind::Stdin, b"save\n");
    assert_eq!(stage.hear().await, frame(Source::Stdout, b"hello\n"));
    assert_eq!(stage.hear().await, frame(Source::Stderr, b"oh\n"));
    assert_eq!(stage.hear().await, frame(Source::Stdin, b"save\n"));
    stage
        .peer
        .write_all(b"\x02\x01n\x02\x03o\n\xff\x02\x01\n")
        .await
        .unwrap();
    assert_eq!(
        stage.hear().await,
        frame(Source::Stderr, b"longhouse: refused\n")
    );
    let utf8 = frame(Source::Stderr, b"longhouse: a line must be UTF-8\n");
    assert_eq!(stage.hear().await, utf8);
    assert_eq!(*stage.guest.typed.lock().unwrap(), ["save", "no"]);
    drop(stage.peer);
    assert_eq!(stage.carried.await.unwrap(), "the peer hung up");
}

#[tokio::test]
async fn a_peer_that_plays_the_game_is_hung_up_on() {
    for said in [&b"\x00\x01x"[..], b"\x01\x01x", b"\x03"] {
        let stage = Stage::new(said);
        assert_eq!(stage.carried.await.unwrap(), "the peer broke the protocol");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_with_the_right_to_it() {
    let stage = Stage::new(b"");
    let begin = Instant::now();
    stage.guest.barred.store(true, Ordering::Relaxed);
    let why = stage.carried.await.unwrap();
    assert_eq!(why, "the right to read this console has ended");
    assert!(begin.elapsed() <= RHYTHM);
}

#[tokio::test]
async fn places_are_counted_and_given_back() {
    let streams = Streams::new(Vec::new(), [].into_iter(), CancellationToken::new());
    let mut held: Vec<_> = (0..ALL / EACH)
        .flat_map(|id| (0..EACH).map(move |_| ServerId(id as u64)))
        .map(|id| streams.admit(id).ok().unwrap())
        .collect();
    for id in [0, 999] {
        let fault = streams.admit(ServerId(id)).err().unwrap();
        assert_eq!(fault.code, Code::StreamMany);
    }
    held.pop();
    drop(streams.admit(ServerId(999)).ok().unwrap());
    held.clear();
    assert!(streams.0.open.lock().unwrap().is_empty());
}
