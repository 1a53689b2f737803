//! The peer: a broadcast server with rooms and nothing else, as one would write it in an afternoon. A line in, the same
//! line to all of the room. A queue without bounds for each connection, and a task that writes it out.

use std::{
    collections::HashMap,
    env,
    io::{self, BufRead as _, BufReader, Write as _},
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use nix::sys::{prctl, signal::Signal};
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    sync::mpsc::{UnboundedSender, unbounded_channel},
};

/// Names the role in which this program starts itself.
const ROLE: &str = "LONGHOUSE_LOBBY_PEER";

/// It runs; killed when dropped.
pub(crate) struct Peer {
    process: Child,
    pub(crate) address: SocketAddr,
}

impl Peer {
    pub(crate) fn start() -> io::Result<Self> {
        let mut process = Command::new(env::current_exe()?)
            .env(ROLE, "1")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()?;
        let output = process.stdout.take().expect("it is piped");
        let mut port = String::new();
        BufReader::new(output).read_line(&mut port)?;
        let port: u16 = port.trim().parse().map_err(io::Error::other)?;
        Ok(Self {
            process,
            address: (Ipv4Addr::LOCALHOST, port).into(),
        })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.id()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// Whether this process was started to be it.
pub(crate) fn is_wanted() -> bool {
    env::var_os(ROLE).is_some()
}

/// Locked for a look or an addition, never across an await.
type Rooms = Arc<Mutex<HashMap<String, Vec<UnboundedSender<Bytes>>>>>;

/// Serves until killed.
pub(crate) fn run() -> io::Result<()> {
    // Whoever measures may be killed; then nobody would end this.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        println!("{}", listener.local_addr()?.port());
        io::stdout().flush()?;
        let rooms = Rooms::default();
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await?;
                tokio::spawn(serve(stream, rooms.clone()));
            }
        });
        accepting.await.map_err(io::Error::other)?
    })
}

async fn serve(stream: TcpStream, rooms: Rooms) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.into_split();
    let mut lines = tokio::io::BufReader::new(reader).lines();
    let Some(room) = lines.next_line().await? else {
        return Ok(());
    };
    let (sender, mut queue) = unbounded_channel::<Bytes>();
    sender
        .send("<RESULT ACTION='enter' CODE='ok'/>\n".into())
        .ok();
    let lock = || rooms.lock().unwrap_or_else(PoisonError::into_inner);
    lock().entry(room.clone()).or_default().push(sender);
    tokio::spawn(async move {
        while let Some(line) = queue.recv().await {
            writer.write_all(&line).await?;
        }
        Ok::<_, io::Error>(())
    });
    while let Some(mut line) = lines.next_line().await? {
        line.push('\n');
        let line = Bytes::from(line);
        for member in lock().get(&room).into_iter().flatten() {
            member.send(line.clone()).ok(); // they have left
        }
    }
    Ok(())
}
