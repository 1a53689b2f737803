//! Consoles on their way elsewhere: connections that the box opens because somebody asked for one.
//!
//! ```text
//!  server_console_stream ─► may they? ─► may it go there? ─► connect ─► greeting within 30 s ─► ok
//!                                                                          └─► a task: Tail ──► stdout, stderr, stdin
//!                                                                                      stdin ──► hosting.command
//! ```
//!
//! A stream ends when the peer hangs up, breaks the protocol or takes nothing for a minute; when who asked may no longer
//! read the console; and when the box stops. It is a viewer like any other: a slow one is moved ahead and told so.

use std::{
    collections::BTreeMap,
    io,
    net::SocketAddr,
    os::fd::AsFd,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use nix::sys::socket::{setsockopt, sockopt};
use serde_json::json;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, lookup_host},
    time::{MissedTickBehavior, interval, timeout},
};
use tokio_util::sync::CancellationToken;

use super::{
    Services,
    fault::{Code, Fault},
    target::{Block, Guard},
};
use crate::{
    accounts::{Principal, ServerId},
    console::{
        Batch, Kind, Tail,
        stream::{Framer, Greeting, Lines, SERVER, Source, encode},
    },
    hosting::Hosting,
    net,
};

/// Until a name is an address, and until somebody answers there.
const CONNECT: Duration = Duration::from_secs(10);
/// Until the peer has said its greeting.
const GREETING: Duration = Duration::from_secs(30);
/// With something to send that the peer does not take.
const STALL: Duration = Duration::from_secs(60);
/// How often the right to be there is looked at when nothing happens.
const RHYTHM: Duration = Duration::from_secs(20);
/// Silence after which the kernel asks whether the peer is still there.
const SILENCE: u32 = 60;
/// Streams of one server, and of all.
const EACH: usize = 4;
const ALL: usize = 64;
/// Bytes of a line that is typed; what hosting takes.
const LINE: usize = 1024;
/// Bytes of a host's name.
const NAME: usize = 253;

/// All streams of the box. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Streams(Arc<Shared>);

struct Shared {
    guard: Guard,
    /// Locked for a look or a count.
    open: Mutex<BTreeMap<ServerId, usize>>,
    stop: CancellationToken,
}

/// One stream's place; given back when dropped.
struct Slot {
    streams: Streams,
    id: ServerId,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let open = &self.streams.0.open;
        let mut open = open.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = open.get_mut(&self.id) {
            *count -= 1;
            if *count == 0 {
                open.remove(&self.id);
            }
        }
    }
}

impl Streams {
    /// None yet. `allowed` is where they may go beside private addresses, `doors` what this box listens at.
    pub(crate) fn new(
        allowed: Vec<Block>,
        doors: impl Iterator<Item = SocketAddr>,
        stop: CancellationToken,
    ) -> Self {
        let doors = doors.map(|door| door.port()).collect();
        let guard = Guard { allowed, doors };
        let open = Mutex::default();
        Self(Arc::new(Shared { guard, open, stop }))
    }

    fn admit(&self, id: ServerId) -> Result<Slot, Fault> {
        let mut open = self.0.open.lock().unwrap_or_else(PoisonError::into_inner);
        let (each, all) = (
            open.get(&id).copied().unwrap_or(0),
            open.values().sum::<usize>(),
        );
        if each >= EACH || all >= ALL {
            let text = match each >= EACH {
                true => format!("server {} has {EACH} streams already: end one first", id.0),
                false => format!("the box has {ALL} streams already: try again later"),
            };
            return Err(Fault::new(Code::StreamMany, text));
        }
        *open.entry(id).or_default() += 1;
        drop(open);
        let streams = self.clone();
        Ok(Slot { streams, id })
    }

    /// Opens a stream; returns when the greetings were exchanged.
    pub(super) async fn open(
        &self,
        services: &Services,
        by: &Principal,
        id: ServerId,
        host: &str,
        port: u16,
    ) -> Result<(), Fault> {
        let (reader, head) = services.hosting.console(by, id).await?;
        let slot = self.admit(id)?;
        let target = self.target(host, port).await?;
        let work = async {
            let mut socket = connect(target).await?;
            let rest = greet(&mut socket).await?;
            Ok::<_, Fault>((socket, rest))
        };
        let (action, subject) = ("console.stream", format!("server {}", id.0));
        let detail = json!({ "to": target.to_string() });
        let audit = &services.audit;
        let greeted = audit.run(&by.actor, action, subject, detail, work);
        let (socket, rest) = greeted.await?;
        let since = *head.borrow() + 1;
        let tail = Tail::new(reader, head, since);
        let desk = Desk {
            hosting: services.hosting.clone(),
            by: by.clone(),
            id,
        };
        let stop = self.0.stop.clone();
        tokio::spawn(async move {
            let carried = carry(socket, rest, tail, desk);
            let why = stop.run_until_cancelled(carried).await;
            let why = why.unwrap_or("the box is stopping");
            tracing::info!(server = id.0, %target, why, "a console's stream ended");
            drop(slot);
        });
        Ok(())
    }

    /// The address of a host, looked up once: the one that is checked is the one that is connected to.
    async fn target(&self, host: &str, port: u16) -> Result<SocketAddr, Fault> {
        let refused = |why: &dyn std::fmt::Display| {
            let shown: String = host.escape_debug().take(64).collect();
            Fault::new(Code::StreamTarget, format!("{shown} port {port}: {why}"))
        };
        if host.is_empty() || host.len() > NAME || host.contains(char::is_control) {
            return Err(refused(&"this is neither an address nor a name"));
        }
        let found = match timeout(CONNECT, lookup_host((host, port))).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) | Err(_) => return Err(refused(&"nobody knows this name")),
        };
        let mut last = refused(&"this name has no address");
        for target in found.map(net::canonical) {
            match self.0.guard.check(target, net::is_own(target.ip())) {
                Ok(()) => return Ok(target),
                Err(why) => last = refused(&why),
            }
        }
        Err(last)
    }
}

async fn connect(target: SocketAddr) -> Result<TcpStream, Fault> {
    let failed = |why: &dyn std::fmt::Display| {
        Fault::new(
            Code::StreamConnect,
            format!("{target} cannot be reached: {why}"),
        )
    };
    let socket = match timeout(CONNECT, TcpStream::connect(target)).await {
        Ok(Ok(socket)) => socket,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(_) => return Err(failed(&format!("nothing answered within {CONNECT:?}"))),
    };
    live(&socket).map_err(|error| failed(&error))?;
    Ok(socket)
}

/// Lets the kernel find out when the peer is gone.
fn live(socket: &TcpStream) -> io::Result<()> {
    socket.set_nodelay(true)?;
    setsockopt(&socket.as_fd(), sockopt::KeepAlive, &true)?;
    setsockopt(&socket.as_fd(), sockopt::TcpKeepIdle, &SILENCE)?;
    Ok(())
}

/// Waits for the peer's greeting, and answers it. Returns what came right after it.
async fn greet(socket: &mut (impl AsyncRead + AsyncWrite + Unpin)) -> Result<Vec<u8>, Fault> {
    let wrong = |why: String| Fault::new(Code::StreamGreeting, why);
    let (mut greeting, mut piece) = (Greeting::default(), [0; 512]);
    let heard = async {
        loop {
            let length = match socket.read(&mut piece).await {
                Ok(0) | Err(_) => return Err(wrong("the peer hung up before its greeting".into())),
                Ok(length) => length,
            };
            match greeting.push(&piece[..length]) {
                Ok(Some(rest)) => return Ok(rest.to_vec()),
                Ok(None) => {}
                Err(broken) => return Err(wrong(format!("no MyOTTD console client: {broken}"))),
            }
        }
    };
    let heard = timeout(GREETING, heard).await;
    let rest = heard.map_err(|_| wrong(format!("no greeting within {GREETING:?}")))??;
    let sent = timeout(STALL, socket.write_all(SERVER)).await;
    match sent {
        Ok(Ok(())) => Ok(rest),
        _ => Err(wrong("the peer hung up after its greeting".into())),
    }
}

/// What a stream may do with its server.
trait Right {
    /// Whether its owner may still read the console.
    fn may_read(&self) -> bool;
    /// Types a line; why not.
    async fn command(&self, line: &str) -> Result<(), String>;
}

struct Desk {
    hosting: Hosting,
    by: Principal,
    id: ServerId,
}

impl Right for Desk {
    fn may_read(&self) -> bool {
        self.hosting.may_read(&self.by, self.id)
    }

    async fn command(&self, line: &str) -> Result<(), String> {
        let typed = self.hosting.command(&self.by, self.id, line).await;
        typed.map_err(|error| Fault::from(error).text)
    }
}

/// Carries a console both ways until something ends it, and says what.
async fn carry(
    socket: impl AsyncRead + AsyncWrite + Unpin,
    first: Vec<u8>,
    mut tail: Tail,
    desk: impl Right,
) -> &'static str {
    let (mut from, mut to) = tokio::io::split(socket);
    let (mut framer, mut lines) = (Framer::default(), Lines::new(LINE));
    let mut beat = interval(RHYTHM);
    beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (mut piece, mut out) = ([0; 4096], Vec::new());
    framer.push(&first);
    loop {
        loop {
            let frame = match framer.next() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(_) => return "the peer broke the protocol",
            };
            if frame.source != Source::Stdin {
                return "the peer broke the protocol";
            }
            for line in lines.push(&frame.data) {
                if let Err(why) = typed(&desk, line.ok()).await {
                    encode(
                        Source::Stderr,
                        format!("longhouse: {why}\n").as_bytes(),
                        &mut out,
                    );
                }
            }
        }
        if !out.is_empty() {
            match timeout(STALL, to.write_all(&out)).await {
                Ok(Ok(())) => out.clear(),
                Ok(Err(_)) => return "the peer hung up",
                Err(_) => return "the peer takes nothing",
            }
        }
        tokio::select! {
            batch = tail.next() => match batch {
                Some(batch) => show(&batch, &mut out),
                None => return "the console has ended",
            },
            read = from.read(&mut piece) => match read {
                Ok(0) | Err(_) => return "the peer hung up",
                Ok(length) => framer.push(&piece[..length]),
            },
            _ = beat.tick() => {}
        }
        if !desk.may_read() {
            return "the right to read this console has ended";
        }
    }
}

async fn typed(desk: &impl Right, line: Option<Vec<u8>>) -> Result<(), String> {
    let line = line.ok_or_else(|| format!("a line has at most {LINE} bytes"))?;
    let line = String::from_utf8(line).map_err(|_| "a line must be UTF-8")?;
    desk.command(&line).await
}

/// What the box did has no type in this protocol, and is left out.
fn show(batch: &Batch, out: &mut Vec<u8>) {
    if batch.dropped > 0 {
        let lost = format!("longhouse: {} lines were passed over\n", batch.dropped);
        encode(Source::Stderr, lost.as_bytes(), out);
    }
    for entry in &batch.entries {
        let source = match entry.kind {
            Kind::Stdout => Source::Stdout,
            Kind::Stderr => Source::Stderr,
            Kind::Stdin => Source::Stdin,
            Kind::Log => continue,
        };
        let mut text = entry.text.clone();
        if !entry.more {
            text.push(b'\n');
        }
        encode(source, &text, out);
    }
}

#[cfg(test)]
mod tests;
