//! One box's queue against servers that take, refuse, dawdle and hang up.

use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

use longhouse::{
    audit::{Actor, Audit, Door},
    mail::{LetterState, LetterView, Patience, Post, Server, Settings, Tls},
    store::Store,
    tls,
};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::common::{
    PATIENCE,
    smtp::{self, Play, Reply, Sink, TAKE},
};

/// Long enough for a server that answers, short enough to wait for one that does not.
const SHORT: Patience = Patience {
    greeting: Duration::from_secs(3),
    command: Duration::from_secs(3),
    text: Duration::from_secs(3),
};

struct Box {
    post: Post,
    audit: Audit,
    stop: CancellationToken,
    state: TempDir,
}

impl Drop for Box {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn server(sink: &Sink) -> Server {
    Server {
        host: "localhost".into(),
        port: sink.address.port(),
        tls: Tls::None,
        ca: None,
        credentials: None,
        from: "The cellar <box@example.org>".parse().expect("an address"),
        patience: Patience::default(),
    }
}

impl Box {
    fn open(server: Server) -> Self {
        let state = TempDir::new().expect("a folder");
        let store = Store::open(state.path()).expect("a store");
        let audit = Audit::open(store.clone()).expect("a log");
        let stop = CancellationToken::new();
        let settings = Settings {
            server: Some(server),
            ..Settings::silent()
        };
        let (post, run) = Post::open(store, None, settings, stop.clone());
        tokio::spawn(run);
        Self {
            post,
            audit,
            stop,
            state,
        }
    }

    async fn write(&self, to: &str) -> u64 {
        let written = self.post.test(&self.audit, &ada(), to).await;
        written.expect("it is written")
    }

    async fn retry(&self, id: u64) {
        let tried = self.post.retry(&self.audit, &ada(), id).await;
        tried.expect("it can be tried");
    }

    /// Waits until the queue is so.
    async fn until(&self, what: &str, wanted: impl Fn(&[LetterView]) -> bool) -> Vec<LetterView> {
        let begun = Instant::now();
        loop {
            let letters = self.post.queue(true).letters;
            if wanted(&letters) {
                return letters;
            }
            assert!(begun.elapsed() < PATIENCE, "never {what}: {letters:?}");
            tokio::task::yield_now().await;
        }
    }

    async fn until_tried(&self, times: u32) -> LetterView {
        let tried = |letters: &[LetterView]| {
            letters[0].attempts == times && letters[0].state != LetterState::Sending
        };
        self.until("tried", tried).await.remove(0)
    }

    async fn until_empty(&self) {
        self.until("empty", <[_]>::is_empty).await;
    }
}

fn ada() -> Actor {
    Actor {
        account: None,
        name: "ada".into(),
        from: None,
        door: Door::Control,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_arrive_once_in_order_and_are_gone() {
    let mut sink = Sink::open().await;
    let house = Box::open(server(&sink));
    for n in 0..5 {
        house.write(&format!("p{n}@example.org")).await;
    }
    for n in 0..5 {
        let letter = sink.letter().await;
        assert!(
            letter.to.contains(&format!("<p{n}@example.org>")),
            "{letter:?}"
        );
        assert_eq!(letter.header("Auto-Submitted"), "auto-generated");
    }
    house.until_empty().await;
    assert_eq!(sink.rest().len(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_down_costs_nothing_but_time() {
    let sink = Sink::open().await;
    let (address, gone) = (sink.address, server(&sink));
    drop(sink);
    let house = Box::open(gone);
    let id = house.write("ada@example.org").await;
    let letter = house.until_tried(1).await;
    assert_eq!(letter.state, LetterState::Waiting);
    assert!(letter.next > letter.created);
    let begun = Instant::now();
    while house.post.queue(true).trouble.is_none() {
        assert!(begun.elapsed() < PATIENCE, "nobody is told");
        tokio::task::yield_now().await;
    }
    let Ok(listener) = tokio::net::TcpListener::bind(address).await else {
        eprintln!("skipped the second half: the port was taken meanwhile");
        return;
    };
    let mut sink = Sink::at(listener, None, smtp::Tls::None);
    house.retry(id).await;
    sink.letter().await;
    house.until_empty().await;
    while house.post.queue(true).trouble.is_some() {
        assert!(begun.elapsed() < PATIENCE, "it stays");
        tokio::task::yield_now().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refusal_for_good_is_kept_for_administrators_and_holds_up_nobody_else() {
    for play in [
        Play {
            rcpt: Reply::Say("550 no such\x07 user"),
            ..TAKE
        },
        Play {
            data: Reply::Say("554 no such thing"),
            ..TAKE
        },
        Play {
            text: Reply::Say("552 no such size"),
            ..TAKE
        },
    ] {
        let mut sink = Sink::open().await;
        sink.next(play);
        let house = Box::open(server(&sink));
        let id = house.write("nobody@example.org").await;
        house
            .until("given up", |letters| {
                letters[0].state == LetterState::GivenUp
            })
            .await;
        house.write("ada@example.org").await;
        while !sink.letter().await.to.contains("ada") {}
        let left = house
            .until("one is left", |letters| letters.len() == 1)
            .await;
        let error = left[0].error.as_deref().expect("why");
        assert!(
            error.contains("no such") && !error.contains(char::is_control),
            "{error}"
        );
        house.retry(id).await;
        sink.letter().await;
        house.until_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_takes_nothing_now_is_asked_again_later() {
    for play in [
        Play {
            greeting: Reply::Say("554 go away"),
            ..TAKE
        },
        Play {
            greeting: Reply::Say("no smtp at all"),
            ..TAKE
        },
        Play {
            greeting: Reply::Cut,
            ..TAKE
        },
        Play {
            mail: Reply::Say("530 log in"),
            ..TAKE
        },
        Play {
            rcpt: Reply::Say("451 later"),
            ..TAKE
        },
        Play {
            rcpt: Reply::Cut,
            ..TAKE
        },
        Play {
            data: Reply::Say("451 later"),
            ..TAKE
        },
        Play {
            text: Reply::Say("451 later"),
            ..TAKE
        },
    ] {
        let mut sink = Sink::open().await;
        sink.next(play);
        let house = Box::open(server(&sink));
        let id = house.write("ada@example.org").await;
        let letter = house.until_tried(1).await;
        assert_eq!(letter.state, LetterState::Waiting, "{play:?}");
        assert!(
            !letter.error.expect("why").contains("may have arrived"),
            "{play:?}"
        );
        sink.rest();
        house.retry(id).await;
        sink.letter().await;
        house.until_empty().await;
        assert_eq!(sink.rest().len(), 0);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_does_not_answer_is_not_waited_for_for_ever() {
    for play in [
        Play {
            greeting: Reply::Nothing,
            ..TAKE
        },
        Play {
            mail: Reply::Nothing,
            ..TAKE
        },
        Play {
            rcpt: Reply::Nothing,
            ..TAKE
        },
        Play {
            data: Reply::Nothing,
            ..TAKE
        },
    ] {
        let sink = Sink::open().await;
        sink.next(play);
        let house = Box::open(Server {
            patience: SHORT,
            ..server(&sink)
        });
        house.write("ada@example.org").await;
        let error = house.until_tried(1).await.error.expect("why");
        assert!(error.contains("within 3s"), "{error}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn where_the_answer_to_the_text_is_missing_it_is_sent_again_as_the_same_letter() {
    for text in [Reply::Nothing, Reply::Cut, Reply::Say("what?")] {
        let mut sink = Sink::open().await;
        sink.next(Play { text, ..TAKE });
        let house = Box::open(Server {
            patience: SHORT,
            ..server(&sink)
        });
        let id = house.write("ada@example.org").await;
        let first = sink.letter().await;
        let letter = house.until_tried(1).await;
        assert!(letter.error.expect("why").contains("may have arrived"));
        house.retry(id).await;
        let second = sink.letter().await;
        assert_eq!(first.header("Message-ID"), second.header("Message-ID"));
        house.until_empty().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tls_is_demanded_with_a_certificate_that_one_trusts() {
    let home = TempDir::new().expect("a folder");
    let store = Store::open(home.path()).expect("a store");
    let identity = tls::identity(&store).await.expect("a certificate");
    let ca: PathBuf = home.path().join("ca.pem");
    std::fs::write(&ca, &identity.authority_pem).expect("a file");
    for (ours, theirs) in [
        (Tls::Tls, smtp::Tls::AtOnce),
        (Tls::Starttls, smtp::Tls::Starttls),
    ] {
        let tls = Some(identity.acceptor.clone());
        let mut sink = Sink::with_tls(tls, theirs).await;
        let trusting = Server {
            tls: ours,
            ca: Some(ca.clone()),
            credentials: Some(("box".into(), "hunter22".into())),
            ..server(&sink)
        };
        let house = Box::open(trusting.clone());
        house.write("ada@example.org").await;
        assert!(sink.hears("AUTH PLAIN").await.len() > 12);
        sink.letter().await;
        house.until_empty().await;
        // Who is not trusted hears neither letter nor password.
        sink.rest();
        let house = Box::open(Server {
            ca: None,
            ..trusting.clone()
        });
        house.write("ada@example.org").await;
        house.until_tried(1).await;
        assert_eq!(sink.rest().len(), 0);
        // Nor is a name that the certificate does not have.
        let house = Box::open(Server {
            host: "127.0.0.2".into(),
            ..trusting
        });
        house.write("ada@example.org").await;
        house.until_tried(1).await;
        assert_eq!(sink.rest().len(), 0);
    }
    // A server that does not offer it, or somebody in between who took the offer out.
    let mut sink = Sink::open().await;
    let house = Box::open(Server {
        tls: Tls::Starttls,
        ca: Some(ca),
        ..server(&sink)
    });
    house.write("ada@example.org").await;
    let error = house.until_tried(1).await.error.expect("why");
    assert!(error.contains("STARTTLS"), "{error}");
    assert_eq!(sink.rest().len(), 0);
    assert!(house.state.path().exists());
}

/// Debian's own, which has Debian's modules; another may come first in the path.
const PYTHON: &str = "/usr/bin/python3";

/// Debian's aiosmtpd, which knows the protocol better than our sink.
#[tokio::test(flavor = "multi_thread")]
async fn a_real_server_takes_our_letters() {
    let probe = std::process::Command::new(PYTHON)
        .args(["-c", "import aiosmtpd"])
        .output();
    if !probe.is_ok_and(|probe| probe.status.success()) {
        assert!(
            std::env::var_os("CI").is_none(),
            "python3-aiosmtpd is missing"
        );
        eprintln!("SKIPPED: python3-aiosmtpd is not installed");
        return;
    }
    let script = "
import asyncio, sys
from aiosmtpd.controller import Controller
class Take:
    async def handle_DATA(self, server, session, envelope):
        text = envelope.content.decode()
        print(envelope.rcpt_tos, [line for line in text.splitlines() if line.startswith('Subject')], flush=True)
        return '250 taken'
c = Controller(Take(), hostname='127.0.0.1', port=0)
async def main():
    loop = asyncio.get_running_loop()
    server = await loop.create_server(c.factory, '127.0.0.1', 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.Event().wait()
c.loop = asyncio.new_event_loop()
c.loop.run_until_complete(main())
";
    let mut python = tokio::process::Command::new(PYTHON)
        .args(["-c", script])
        .stdout(std::process::Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("python starts");
    let out = python.stdout.take().expect("its output");
    let mut lines = tokio::io::AsyncBufReadExt::lines(tokio::io::BufReader::new(out));
    let mut line = async || {
        let line = tokio::time::timeout(PATIENCE, lines.next_line()).await;
        line.expect("in time").expect("a line").expect("it runs")
    };
    let port = line().await.trim().parse().expect("a port");
    let sink = Sink::open().await; // for the other settings
    let house = Box::open(Server {
        port,
        ..server(&sink)
    });
    house.write("ada@example.org").await;
    let told = line().await;
    assert!(
        told.contains("['ada@example.org']") && told.contains("mail works"),
        "{told}"
    );
    house.until_empty().await;
}
