//! Attached to a console: lines go in, entries come out, and a daemon that goes away is waited for.
//!
//! ```text
//!            typed lines                        entries
//! keyboard ─────────────► run ◄──────────────────────────── WebSocket
//!   or pipe               │  lost: wait, then since=next ──► WebSocket
//!                         └──► above the prompt, or standard output
//! ```
//!
//! The console itself confirms each typed line, by showing it. So nothing is typed twice, and what was
//! not confirmed when a connection broke is told.

use std::{collections::VecDeque, io::IsTerminal as _, time::Duration};

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use tokio::{sync::mpsc, time::Instant};
use tokio_tungstenite::tungstenite::Message;

use super::{
    Session,
    control::{Control, Live},
    fault::{Fault, Problem},
    keyboard,
    print::{Out, note},
    screen::{Frame, Screen},
    text,
};
use crate::console::Kind;
use crate::hosting::View;

/// What is shown of the past when somebody attaches.
const PAST: u64 = 50;
/// The first pause before a new connection; it doubles up to the longest.
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// A script waits this long for a daemon that went away.
const AWAY: Duration = Duration::from_secs(30);
/// A console without news for so long has said all, after the end of a script's input.
const QUIET: Duration = Duration::from_millis(500);
/// The same for one that never falls silent, or does not confirm.
const DRAIN: Duration = Duration::from_secs(5);

/// What comes from the keyboard or the pipe.
#[derive(Debug)]
pub(crate) enum Typed {
    Line(String),
    /// Ctrl-D, Ctrl-C, or the end of the pipe.
    End,
}

/// Where entries and notices go.
pub(crate) enum Sink {
    /// Above the prompt.
    Prompt(mpsc::Sender<String>, Screen),
    /// Standard output, and notices on standard error.
    Plain(Out, Screen),
}

impl Sink {
    async fn show(&mut self, raw: &str, frame: &Frame) -> Result<(), Fault> {
        match self {
            Self::Plain(out, _) if out.json => out.line(raw),
            Self::Plain(out, screen) => out.bytes(screen.lines(&frame.entries).as_bytes()),
            Self::Prompt(above, screen) => {
                let lines = screen.lines(&frame.entries);
                if lines.is_empty() {
                    return Ok(());
                }
                above.send(lines).await.map_err(|_| Fault::Closed)
            }
        }
    }

    async fn notice(&self, line: &str) -> Result<(), Fault> {
        match self {
            Self::Plain(..) => {
                note(line);
                Ok(())
            }
            Self::Prompt(above, _) => {
                let line = format!("-- {line}\n");
                above.send(line).await.map_err(|_| Fault::Closed)
            }
        }
    }
}

/// What the end of typing means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum AtEnd {
    Detach,
    Drain,
    Follow,
}

/// `server console`: a prompt on a terminal, otherwise a pipe.
pub(crate) async fn console(
    session: &Session,
    server: &View,
    since: Option<u64>,
    follow: bool,
) -> Result<(), Fault> {
    let terminal = std::io::stdin().is_terminal() && std::io::stdout().is_terminal();
    let past = match since {
        Some(_) => None,
        None => {
            let count = if terminal { PAST } else { 1 };
            let path = format!("/servers/{}/console?count={count}", server.id.0);
            let answer = session.control.get(&path).await?;
            Some((answer.read::<Frame>()?, answer))
        }
    };
    let prompt = match terminal && !session.out.json {
        true => keyboard::prompt(&server.name),
        false => None,
    };
    let interactive = prompt.is_some();
    let (typed, mut sink, habits) = match prompt {
        Some((typed, above, habits)) => {
            let screen = Screen::new(session.out.colour, false, false);
            (typed, Sink::Prompt(above, screen), Some(habits))
        }
        None => {
            let screen = Screen::new(session.out.colour, false, true);
            (keyboard::pipe(), Sink::Plain(session.out, screen), None)
        }
    };
    if interactive {
        let title = text::plain(&server.title);
        let name = &server.name;
        sink.notice(&format!(
            "attached to {name} (`{title}`); Ctrl-D or Ctrl-C detaches, the server goes on"
        ))
        .await?;
    }
    let next = match (&past, since) {
        (Some((frame, answer)), _) => {
            if terminal {
                sink.show(answer.text(), frame).await?;
            }
            frame.next
        }
        (None, since) => since.unwrap_or(1),
    };
    let at_end = match (interactive, follow) {
        (true, _) => AtEnd::Detach,
        (false, true) => AtEnd::Follow,
        (false, false) => AtEnd::Drain,
    };
    let ended = Attached::new(session, server, next, typed, sink, at_end)
        .run()
        .await;
    drop(habits);
    if interactive {
        match &ended {
            Ok(()) => note(&format!("detached; {} goes on", server.name)),
            Err(_) => note(""), // leaves the prompt's line
        }
    }
    ended
}

/// `server log --follow`: nothing is typed.
pub(crate) async fn follow(
    session: &Session,
    server: &View,
    next: u64,
    sink: Sink,
) -> Result<(), Fault> {
    let (_, nothing) = mpsc::channel(1);
    let mut attached = Attached::new(session, server, next, nothing, sink, AtEnd::Follow);
    attached.typing = false;
    attached.run().await
}

/// How a connection ended.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    Detached,
    Lost,
}

/// After the end of a script's input.
#[derive(Debug, Clone, Copy)]
struct Draining {
    begun: Instant,
    news: Instant,
}

struct Attached<'a> {
    control: &'a Control,
    server: &'a View,
    next: u64,
    typed: mpsc::Receiver<Typed>,
    typing: bool,
    sink: Sink,
    at_end: AtEnd,
    /// Typed while there was no connection.
    unsent: VecDeque<String>,
    /// Sent, not seen in the console yet.
    unheard: VecDeque<String>,
    draining: Option<Draining>,
}

impl<'a> Attached<'a> {
    fn new(
        session: &'a Session,
        server: &'a View,
        next: u64,
        typed: mpsc::Receiver<Typed>,
        sink: Sink,
        at_end: AtEnd,
    ) -> Self {
        Self {
            control: &session.control,
            server,
            next,
            typed,
            typing: true,
            sink,
            at_end,
            unsent: VecDeque::new(),
            unheard: VecDeque::new(),
            draining: None,
        }
    }

    async fn run(mut self) -> Result<(), Fault> {
        let mut lost: Option<Instant> = None;
        let mut pause = PAUSE;
        loop {
            let path = format!(
                "/servers/{}/console/live?since={}",
                self.server.id.0, self.next
            );
            match self.control.live(&path).await {
                Ok(live) => {
                    if lost.take().is_some() {
                        self.sink
                            .notice("the daemon is back; the console goes on")
                            .await?;
                    }
                    pause = PAUSE;
                    if self.live(live).await? == Ended::Detached {
                        return Ok(());
                    }
                }
                Err(fault) if !fault.passes() => return Err(fault),
                Err(fault) => {
                    let waited = lost.is_some_and(|lost| lost.elapsed() > AWAY);
                    if waited && self.at_end == AtEnd::Drain {
                        return Err(fault);
                    }
                }
            }
            if lost.is_none() {
                lost = Some(Instant::now());
                self.tell_loss().await?;
            }
            if self.wait(pause).await? == Ended::Detached {
                return Ok(());
            }
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    async fn tell_loss(&mut self) -> Result<(), Fault> {
        let unheard: Vec<_> = self.unheard.drain(..).collect();
        let mut line = String::from("the daemon went away; the game goes on; connecting again");
        if !unheard.is_empty() {
            line += &format!(" (not confirmed: {})", text::plain(&unheard.join(" | ")));
        }
        self.sink.notice(&line).await
    }

    /// A pause without a connection, in which one can still type and detach.
    async fn wait(&mut self, pause: Duration) -> Result<Ended, Fault> {
        let resume = tokio::time::sleep(pause);
        tokio::pin!(resume);
        loop {
            tokio::select! {
                () = &mut resume => return Ok(Ended::Lost),
                typed = self.typed.recv(), if self.typing => match typed {
                    Some(Typed::Line(line)) => {
                        self.unsent.push_back(line);
                        self.sink.notice("kept until the daemon is back").await?;
                    }
                    Some(Typed::End) | None => {
                        if self.end() == Ended::Detached {
                            return Ok(Ended::Detached);
                        }
                    }
                },
            }
        }
    }

    /// One connection, until it ends.
    async fn live(&mut self, mut live: Live) -> Result<Ended, Fault> {
        while let Some(line) = self.unsent.pop_front() {
            if self.say(&mut live, line).await == Ended::Lost {
                return Ok(Ended::Lost);
            }
        }
        loop {
            let silence = self.silence();
            tokio::select! {
                typed = self.typed.recv(), if self.typing => match typed {
                    Some(Typed::Line(line)) => {
                        if self.say(&mut live, line).await == Ended::Lost {
                            return Ok(Ended::Lost);
                        }
                    }
                    Some(Typed::End) | None => {
                        if self.end() == Ended::Detached {
                            live.close(None).await.ok(); // it may be gone already
                            return Ok(Ended::Detached);
                        }
                    }
                },
                message = live.next() => match message {
                    Some(Ok(Message::Text(frame))) => self.hear(&frame).await?,
                    Some(Ok(Message::Close(_)) | Err(_)) | None => return Ok(Ended::Lost),
                    Some(Ok(_)) => {}
                },
                () = until(silence) => {
                    live.close(None).await.ok(); // it may be gone already
                    if let Sink::Plain(out, screen) = &mut self.sink {
                        out.bytes(screen.close().as_bytes())?;
                    }
                    return match self.unheard.is_empty() {
                        true => Ok(Ended::Detached),
                        false => Err(Fault::Unheard(self.unheard.drain(..).collect())),
                    };
                }
            }
        }
    }

    async fn say(&mut self, live: &mut Live, line: String) -> Ended {
        let message = Message::text(json!({ "line": line }).to_string());
        self.unheard.push_back(line);
        match live.send(message).await {
            Ok(()) => Ended::Detached,
            Err(_) => Ended::Lost,
        }
    }

    async fn hear(&mut self, raw: &str) -> Result<(), Fault> {
        let Ok(frame) = serde_json::from_str::<Frame>(raw) else {
            return self.refused(raw).await;
        };
        if frame.dropped > 0 {
            let lost = format!("{} entries were skipped", frame.dropped);
            self.sink.notice(&lost).await?;
        }
        for entry in frame
            .entries
            .iter()
            .filter(|entry| entry.kind == Kind::Stdin)
        {
            let heard = self
                .unheard
                .iter()
                .position(|line| line.trim_end() == entry.text.trim_end());
            if let Some(at) = heard {
                self.unheard.remove(at);
            }
        }
        self.next = frame.next;
        if let Some(draining) = &mut self.draining {
            draining.news = Instant::now();
        }
        self.sink.show(raw, &frame).await
    }

    /// A line that the daemon did not take; a problem stands in for the entries.
    async fn refused(&mut self, raw: &str) -> Result<(), Fault> {
        let value: Value =
            serde_json::from_str(raw).map_err(|error| Fault::Garbage(error.to_string()))?;
        let problem = value.get("problem").unwrap_or(&value);
        let problem: Problem = serde_json::from_value(problem.clone())
            .map_err(|error| Fault::Garbage(error.to_string()))?;
        self.unheard.pop_front();
        match self.at_end {
            AtEnd::Drain => Err(Fault::Refused(problem)),
            _ => self.sink.notice(&Fault::Refused(problem).to_string()).await,
        }
    }

    fn end(&mut self) -> Ended {
        self.typing = false;
        match self.at_end {
            AtEnd::Detach => return Ended::Detached,
            AtEnd::Follow => {}
            AtEnd::Drain => {
                let now = Instant::now();
                self.draining = Some(Draining {
                    begun: now,
                    news: now,
                });
            }
        }
        Ended::Lost
    }

    /// When a drained console counts as silent.
    fn silence(&self) -> Option<Instant> {
        let draining = self.draining?;
        let last = draining.begun + DRAIN;
        match self.unheard.is_empty() {
            true => Some(last.min(draining.news + QUIET)),
            false => Some(last),
        }
    }
}

async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
