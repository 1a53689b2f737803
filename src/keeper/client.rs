//! The daemon's end: one task per connection, and the launching and clearing away of keepers.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, ErrorKind},
    os::{
        fd::AsRawFd,
        unix::fs::{OpenOptionsExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::UnixStream,
    process::Command,
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use super::{
    KeeperError, Request, Spec, Status,
    files::{self, Lock},
    wire::{Answer, Ask, Framer, Id, LIMIT},
};

/// How long a keeper may take to say hello, or to come up.
const PATIENCE: Duration = Duration::from_secs(20);
/// How long a sweep may take.
const SWEEP: Duration = Duration::from_secs(10);
/// What is kept of `keeper.log` when a keeper starts.
const LOG: u64 = 64 << 10;

type Question = (Request, oneshot::Sender<Result<(), String>>);

/// The daemon's end of one keeper's socket. Cheap to clone.
#[derive(Clone)]
pub struct Client {
    run: PathBuf,
    questions: mpsc::Sender<Question>,
    status: watch::Receiver<Status>,
    head: watch::Receiver<u64>,
}

impl Client {
    /// Connects to the keeper in `run` and agrees on a version.
    pub async fn connect(run: &Path) -> Result<Self, KeeperError> {
        let failed = |source: io::Error| match source.kind() {
            ErrorKind::NotFound | ErrorKind::ConnectionRefused => KeeperError::Absent(run.into()),
            _ => KeeperError::Io {
                path: run.into(),
                source,
            },
        };
        timeout(PATIENCE, Self::greet(run))
            .await
            .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
            .map_err(failed)
    }

    async fn greet(run: &Path) -> io::Result<Self> {
        // By the folder's descriptor, because a socket's path may have 107 bytes and a folder's many more.
        let folder = File::open(run)?;
        let path = format!("/proc/self/fd/{}/keeper.sock", folder.as_raw_fd());
        let stream = UnixStream::connect(path).await?;
        let mut connection = Connection {
            stream,
            framer: Framer::default(),
        };
        let mut hello = Vec::new();
        Ask::Hello.encode(&mut hello);
        connection.stream.write_all(&hello).await?;
        let (mut status, mut head) = (None, None);
        let (status, head) = loop {
            match connection.answer().await? {
                Answer::Status(now) => status = Some(*now),
                Answer::Head(now) => head = Some(now),
                _ => {}
            }
            if let (Some(status), Some(head)) = (&status, head) {
                break (status.clone(), head);
            }
        };
        let (questions, inbox) = mpsc::channel(64);
        let (tell_status, status) = watch::channel(status);
        let (tell_head, head) = watch::channel(head);
        tokio::spawn(connection.serve(inbox, tell_status, tell_head));
        Ok(Self {
            run: run.into(),
            questions,
            status,
            head,
        })
    }

    /// Asks, and waits until the keeper has accepted (not until it is done).
    pub async fn ask(&self, request: Request) -> Result<(), KeeperError> {
        let failed = |kind: ErrorKind| KeeperError::Io {
            path: self.run.clone(),
            source: kind.into(),
        };
        let exchange = async {
            let (reply, answer) = oneshot::channel();
            self.questions.send((request, reply)).await.ok()?;
            answer.await.ok()
        };
        match timeout(PATIENCE, exchange).await {
            Err(_) => Err(failed(ErrorKind::TimedOut)),
            Ok(None) => Err(failed(ErrorKind::ConnectionReset)),
            Ok(Some(verdict)) => verdict.map_err(KeeperError::Refused),
        }
    }

    /// The status as it changes; the sender goes when the connection does (the keeper ended or died).
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.clone()
    }

    /// The console's newest sequence number as it grows.
    pub fn head(&self) -> watch::Receiver<u64> {
        self.head.clone()
    }
}

struct Connection {
    stream: UnixStream,
    framer: Framer,
}

impl Connection {
    /// Cancel-safe: what was read stays in the framer.
    async fn answer(&mut self) -> io::Result<Answer> {
        let invalid = |error| io::Error::new(ErrorKind::InvalidData, error);
        loop {
            if let Some(frame) = self.framer.next().map_err(invalid)? {
                return Answer::decode(frame).map_err(invalid);
            }
            let mut piece = [0; 1024];
            match self.stream.read(&mut piece).await? {
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                n => self.framer.push(&piece[..n]),
            }
        }
    }

    /// Until either end is gone; then every open question is dropped, and with it its asker told.
    async fn serve(
        mut self,
        mut inbox: mpsc::Receiver<Question>,
        status: watch::Sender<Status>,
        head: watch::Sender<u64>,
    ) {
        let mut open = BTreeMap::new();
        let mut last = Id(0);
        loop {
            tokio::select! {
                question = inbox.recv() => {
                    let Some((request, reply)) = question else { return };
                    last = Id(last.0.wrapping_add(1));
                    let mut bytes = Vec::new();
                    Ask::Request(last, request).encode(&mut bytes);
                    if bytes.len() > LIMIT {
                        let why = format!("a request of {} bytes is too long", bytes.len());
                        reply.send(Err(why)).ok(); // the asker may not wait any more
                        continue;
                    }
                    open.insert(last, reply);
                    if self.stream.write_all(&bytes).await.is_err() {
                        return;
                    }
                }
                answer = self.answer() => match answer {
                    Ok(Answer::Done(id)) => settle(&mut open, id, Ok(())),
                    Ok(Answer::Refused(id, why)) => settle(&mut open, id, Err(why)),
                    Ok(Answer::Status(now)) => drop(status.send_replace(*now)),
                    Ok(Answer::Head(now)) => drop(head.send_replace(now)),
                    Ok(Answer::Hello | Answer::Unknown(_)) => {}
                    Err(_) => return,
                },
            }
        }
    }
}

fn settle(
    open: &mut BTreeMap<Id, oneshot::Sender<Result<(), String>>>,
    id: Id,
    verdict: Result<(), String>,
) {
    if let Some(reply) = open.remove(&id) {
        reply.send(verdict).ok(); // the asker may not wait any more
    }
}

/// Starts a keeper for the spec in `run`, detached from the daemon (own session, no inherited descriptors), and waits
/// until it holds its lock and listens. `program keeper RUN` must come to [`super::main`]; its reason when it cannot
/// start is the `Refused` of the result. `Absent` is a keeper that has given its game up already: see
/// [`super::last_status`].
pub async fn launch(program: &Path, run: &Path) -> Result<Client, KeeperError> {
    let failed = |source| KeeperError::Io {
        path: run.into(),
        source,
    };
    // It does not stand where we stand.
    let (program, folder) = match (program.canonicalize(), run.canonicalize()) {
        (Ok(program), Ok(folder)) => (program, folder),
        (Err(error), _) | (_, Err(error)) => return Err(failed(error)),
    };
    // By it a keeper is found whose folder, and so its lock, somebody has removed.
    let spec = files::read_spec(&folder).ok();
    let mark = spec.map(|spec| (super::MARK, super::mark(&folder, spec.server)));
    let mut child = Command::new(program)
        .arg("keeper")
        .arg(&folder)
        .current_dir(&folder)
        .env_clear()
        .envs(mark)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(log(run).map_err(failed)?)
        .spawn()
        .map_err(failed)?;
    let stdout = child.stdout.take().expect("it was piped");
    // It may outlive us; as long as it does not, it is ours to collect.
    tokio::spawn(async move { child.wait().await });
    let mut word = String::new();
    let mut first = BufReader::new(stdout);
    match timeout(PATIENCE, first.read_line(&mut word)).await {
        Err(_) => return Err(failed(ErrorKind::TimedOut.into())),
        Ok(Err(error)) => return Err(failed(error)),
        Ok(Ok(_)) => {}
    }
    match word.trim_end() {
        "ready" => Client::connect(run).await,
        "" => Err(KeeperError::Wordless(run.into())),
        why => Err(KeeperError::Refused(why.into())),
    }
}

/// `RUN/keeper.log`, which is emptied when it has grown.
fn log(run: &Path) -> io::Result<File> {
    let file = OpenOptions::new()
        .create(true)
        .append(true)
        .mode(0o600)
        .open(run.join("keeper.log"))?;
    if file.metadata()?.len() > LOG {
        file.set_len(0)?;
    }
    file.set_permissions(fs::Permissions::from_mode(0o600))?;
    Ok(file)
}

/// Ends whatever a dead keeper left of server `spec.server`: by cgroup, by user, by the mark in its environment.
/// Blocking; returns how many processes it killed. Refuses while a keeper lives.
pub fn sweep(run: &Path, spec: &Spec) -> io::Result<u32> {
    let user = spec.user.map(|(uid, _)| uid);
    clear(run, spec.server, user, spec.cgroup.clone())
}

/// As [`sweep`], when there may be no spec that can be read.
pub(crate) fn clear(
    run: &Path,
    server: u64,
    user: Option<u32>,
    cgroup: Option<PathBuf>,
) -> io::Result<u32> {
    if Lock::held(run)? {
        let alive = format!("a keeper runs in {}", run.display());
        return Err(io::Error::new(ErrorKind::ResourceBusy, alive));
    }
    // A folder that somebody removed may still have its keeper.
    super::ties(&whole(run), server, user, cgroup, None).kill(SWEEP)
}

fn whole(run: &Path) -> PathBuf {
    run.canonicalize().unwrap_or_else(|_| run.into())
}

/// Kills the keeper of `run` itself, which does not answer, and with it its game; what they leave is for [`sweep`].
/// Blocking; whether there was one.
pub(crate) fn fell(run: &Path) -> io::Result<bool> {
    let Some(keeper) = files::keeper(run)? else {
        return Ok(false);
    };
    keeper.signal(libc::SIGKILL)?;
    Ok(true)
}
