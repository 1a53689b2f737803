//! The control port: one request per connection, then it is over.
//!
//! ```text
//!  accepted ──► asks ─────────► is answered ─────► is told, drained ──► closed
//!               within 5 s      by the service     within 5 s and 1 s
//!               gives way       never cut short    gives way
//! ```
//!
//! - The answer goes out when the last byte that the command needs is there. What the original's programs send beyond it
//!   is read before the connection is closed: closing with bytes unread resets it, and that can eat the reply.
//! - When an address, or the port, has as many connections as it may have, the oldest gives way to the newest: whoever
//!   opens thousands and says nothing crowds out only themselves. One that is being answered does not, and nothing that
//!   happens to it reaches the command: that is carried out to its end.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpListener,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::Instrument;

use super::wire::{BODY, Command, Refusal, Reply, TYPE};
use crate::net::{
    accepted, canonical,
    crowd::{Crowd, Entry, Place, Places},
};

/// What the port grants.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    /// Until a request is complete.
    pub(super) request: Duration,
    /// Until the peer has taken its reply.
    pub(super) reply: Duration,
    /// For what the peer still sends after it was answered.
    pub(super) drain: Duration,
    /// How many connections.
    pub(super) places: Places,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            request: Duration::from_secs(5),
            reply: Duration::from_secs(5),
            drain: Duration::from_secs(1),
            places: Places::default(),
        }
    }
}

/// What the port counts.
#[derive(Debug, Default)]
pub(super) struct Counts {
    /// Connections open.
    pub(super) open: AtomicUsize,
    /// Connections that gave way to newer ones, or to which nobody gave way.
    pub(super) crowded_out: AtomicU64,
    /// Commands answered.
    pub(super) commands: AtomicU64,
}

/// Serves `listener` until `stop`; then waits a moment for commands that are being carried out. `answer` is asked once
/// for each command, with the address that it came from (an IPv4 address as such, also on an IPv6 socket), and its
/// future is never dropped before it is done.
pub(super) async fn serve<A, R>(
    listener: TcpListener,
    answer: A,
    limits: Limits,
    counts: Arc<Counts>,
    stop: CancellationToken,
) where
    A: Fn(SocketAddr, Command) -> R + Send + Sync + 'static,
    R: Future<Output = Reply> + Send + 'static,
{
    let crowd = Crowd::new(limits.places);
    let open = TaskTracker::new();
    let port = Arc::new(Port {
        answer,
        limits,
        counts,
        stop: stop.clone(),
    });
    let what = "voice control connections";
    while let Some((stream, from)) = accepted(what, &stop, || listener.accept()).await {
        let from = canonical(from);
        let entry = crowd.enter(from.ip());
        if !matches!(entry, Entry::Free(_)) {
            port.counts.crowded_out.fetch_add(1, Relaxed);
        }
        if let Entry::Free(place) | Entry::Instead(place) = entry {
            let span = tracing::debug_span!("control", %from);
            open.spawn(
                port.clone()
                    .connection(stream, from, place)
                    .instrument(span),
            );
        }
    }
    open.close();
    if timeout(limits.drain, open.wait()).await.is_err() {
        tracing::warn!(left = open.len(), "voice commands did not end in time");
    }
}

/// What all connections share.
struct Port<A> {
    answer: A,
    limits: Limits,
    counts: Arc<Counts>,
    stop: CancellationToken,
}

impl<A, R> Port<A>
where
    A: Fn(SocketAddr, Command) -> R,
    R: Future<Output = Reply>,
{
    async fn connection<S>(self: Arc<Self>, mut stream: S, from: SocketAddr, mut place: Place)
    where
        S: AsyncRead + AsyncWrite + Unpin,
    {
        let _open = Open::count(&self.counts);
        let mut heard = Heard::default();
        let asked = tokio::select! {
            biased;
            asked = timeout(self.limits.request, heard.command(&mut stream)) => asked,
            () = place.crowded_out() => return crowded_out(stream).await,
            () = self.stop.cancelled() => return,
        };
        let reply = match asked {
            Ok(Ok(Ok(command))) if place.hold() => {
                let reply = (self.answer)(from, command).await;
                self.counts.commands.fetch_add(1, Relaxed);
                place.relent();
                reply
            }
            Ok(Ok(Ok(_))) => return crowded_out(stream).await,
            Ok(Ok(Err(refusal))) => refusal.into(),
            Ok(Err(error)) => return tracing::debug!(%error, "nothing was asked"),
            Err(_late) => Refusal::Inval.into(),
        };
        let farewell = async {
            if let Ok(Ok(())) = timeout(self.limits.reply, tell(&mut stream, &reply)).await {
                let drained = heard.drain(&mut stream);
                timeout(self.limits.drain, drained).await.ok();
            }
        };
        tokio::select! {
            biased;
            () = farewell => {}
            () = place.crowded_out() => {}
            () = self.stop.cancelled() => {}
        }
    }
}

/// What a peer has said so far.
struct Heard {
    /// A little longer than the longest that the original's programs say.
    bytes: [u8; 64],
    length: usize,
}

impl Default for Heard {
    fn default() -> Self {
        Self {
            bytes: [0; 64],
            length: 0,
        }
    }
}

impl Heard {
    /// Until it is a command, or will never be one.
    async fn command(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
    ) -> io::Result<Result<Command, Refusal>> {
        loop {
            match Command::decode(&self.bytes[..self.length]) {
                Ok(Some(command)) => return Ok(Ok(command)),
                Ok(None) if self.more(stream).await? == 0 => return Ok(Err(Refusal::Inval)),
                Ok(None) => {}
                Err(refusal) => return Ok(Err(refusal)),
            }
        }
    }

    /// Until the peer has said all that the original's programs ever say, or hangs up.
    async fn drain(&mut self, stream: &mut (impl AsyncRead + Unpin)) {
        while self.length < TYPE + BODY && matches!(self.more(stream).await, Ok(1..)) {}
    }

    async fn more(&mut self, stream: &mut (impl AsyncRead + Unpin)) -> io::Result<usize> {
        let more = stream.read(&mut self.bytes[self.length..]).await?;
        self.length += more;
        Ok(more)
    }
}

async fn tell(stream: &mut (impl AsyncWrite + Unpin), reply: &Reply) -> io::Result<()> {
    let mut bytes = Vec::new();
    reply.encode(&mut bytes);
    stream.write_all(&bytes).await?;
    stream.shutdown().await
}

/// Says so, if that can be done without waiting: a fresh socket's buffer has room.
async fn crowded_out(mut stream: impl AsyncWrite + Unpin) {
    let reply = Refusal::Serv.into();
    timeout(Duration::ZERO, tell(&mut stream, &reply))
        .await
        .ok();
}

/// One connection, as long as it is counted.
struct Open<'a>(&'a Counts);

impl<'a> Open<'a> {
    fn count(counts: &'a Counts) -> Self {
        counts.open.fetch_add(1, Relaxed);
        Self(counts)
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::super::{ChannelId, Uid};
    use super::*;
    use nix::sys::resource::{Resource, getrlimit, setrlimit};
    use tokio::{
        io::duplex,
        net::TcpStream,
        sync::{Semaphore, mpsc},
        task::JoinHandle,
        time::Instant,
    };

    const UNKNOWN: [u8; 4] = [0xff; 4];
    const GET_CHANNELS: [u8; 4] = [0, 0, 0, 7];
    const INVAL: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3];
    const SERV: [u8; 12] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];

    fn commands() -> [Command; 8] {
        let (uid, channel) = (Uid(7), ChannelId(8));
        let (juid, luid) = (Uid(9), Uid(10));
        [
            Command::Create { uid },
            Command::Delete { uid, channel },
            Command::Join { uid, juid, channel },
            Command::Leave { uid, luid, channel },
            Command::Register {
                auid: uid,
                permissions: 2,
            },
            Command::Unregister { auid: uid, uid },
            Command::GetPort { channel },
            Command::GetChannels,
        ]
    }

    fn encoded(command: Command) -> Vec<u8> {
        let mut bytes = Vec::new();
        command.encode(&mut bytes);
        bytes
    }

    /// What the fake answers: something else to each command.
    fn fake(command: Command) -> Reply {
        match command {
            Command::GetChannels => Reply::Channels((1..=100).map(ChannelId).collect()),
            Command::Delete { .. } => Refusal::Access.into(),
            other => Reply::Done(encoded(other).iter().map(|&byte| u64::from(byte)).sum()),
        }
    }

    fn replied(command: Command) -> Vec<u8> {
        let mut bytes = Vec::new();
        fake(command).encode(&mut bytes);
        bytes
    }

    fn limits(loopback: usize) -> Limits {
        let places = Places {
            per_address: 64,
            loopback,
            total: 4096,
        };
        Limits {
            places,
            ..Limits::default()
        }
    }

    /// With all the time in the world, so that a slow machine changes nothing and waiting would be noticed.
    fn patient(loopback: usize) -> Limits {
        let for_ever = Duration::from_secs(1 << 20);
        Limits {
            request: for_ever,
            reply: for_ever,
            drain: for_ever,
            ..limits(loopback)
        }
    }

    struct Running {
        address: SocketAddr,
        counts: Arc<Counts>,
        stop: CancellationToken,
        task: JoinHandle<()>,
    }

    impl Running {
        async fn new<A, R>(limits: Limits, answer: A) -> Self
        where
            A: Fn(SocketAddr, Command) -> R + Send + Sync + 'static,
            R: Future<Output = Reply> + Send + 'static,
        {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let (counts, stop) = (Arc::<Counts>::default(), CancellationToken::new());
            let task = serve(listener, answer, limits, counts.clone(), stop.clone());
            Self {
                address,
                counts,
                stop,
                task: tokio::spawn(task),
            }
        }

        async fn faking(limits: Limits) -> Self {
            Self::new(limits, |_, command| async move { fake(command) }).await
        }

        /// A connection that has said so much.
        async fn said(&self, bytes: &[u8]) -> TcpStream {
            let mut stream = TcpStream::connect(self.address).await.unwrap();
            stream.set_nodelay(true).unwrap();
            stream.write_all(bytes).await.unwrap();
            stream
        }

        async fn ask(&self, command: Command) -> Vec<u8> {
            told(&mut self.said(&encoded(command)).await).await
        }
    }

    /// All that it is told; a reset is a failure.
    async fn told(stream: &mut (impl AsyncRead + Unpin)) -> Vec<u8> {
        let mut bytes = Vec::new();
        stream.read_to_end(&mut bytes).await.unwrap();
        bytes
    }

    /// One connection apart from any socket.
    async fn alone(stream: impl AsyncRead + AsyncWrite + Unpin) {
        let port = Arc::new(Port {
            answer: |_, command| async move { fake(command) },
            limits: Limits::default(),
            counts: Arc::default(),
            stop: CancellationToken::new(),
        });
        let from = SocketAddr::from(([10, 0, 0, 1], 1));
        match Crowd::new(Places::default()).enter(from.ip()) {
            Entry::Free(place) => port.connection(stream, from, place).await,
            other => panic!("{other:?}"),
        }
    }

    #[tokio::test]
    async fn a_command_is_answered_at_its_last_byte() {
        let port = Running::faking(patient(512)).await;
        for command in commands() {
            // The client does not hang up: it has all of its answer all the same.
            assert_eq!(port.ask(command).await, replied(command));
        }
        assert_eq!(port.counts.commands.load(Relaxed), 8);
    }

    #[tokio::test]
    async fn every_truncation_of_every_command_is_answered_with_inval() {
        let port = Running::faking(patient(512)).await;
        for command in commands() {
            let bytes = encoded(command);
            for n in 0..bytes.len() {
                let mut stream = port.said(&bytes[..n]).await;
                stream.shutdown().await.unwrap();
                assert_eq!(told(&mut stream).await, INVAL, "{command:?} cut at {n}");
            }
        }
        assert_eq!(port.counts.commands.load(Relaxed), 0);
    }

    #[tokio::test]
    async fn a_type_that_does_not_exist_is_answered_before_its_body() {
        let port = Running::faking(patient(512)).await;
        let mut stream = port.said(&UNKNOWN).await;
        assert_eq!(told(&mut stream).await[8..], [0, 0, 0, 2]);
        stream.write_all(&[0; BODY]).await.unwrap();
    }

    #[tokio::test]
    async fn a_request_may_be_split_anywhere() {
        let port = Running::faking(patient(512)).await;
        for command in commands() {
            let bytes = encoded(command);
            for at in 1..bytes.len() {
                let mut stream = port.said(&bytes[..at]).await;
                stream.write_all(&bytes[at..]).await.unwrap();
                assert_eq!(told(&mut stream).await, replied(command));
            }
            // A pipe that holds one byte: each comes alone, without doubt.
            let (mut client, server) = duplex(1);
            let talk = async {
                client.write_all(&bytes).await.unwrap();
                let told = told(&mut client).await;
                drop(client);
                told
            };
            assert_eq!(tokio::join!(talk, alone(server)).0, replied(command));
        }
    }

    #[tokio::test]
    async fn the_32_bytes_of_the_originals_programs_never_cost_the_reply() {
        let port = Running::faking(patient(512)).await;
        for command in commands() {
            let mut body = encoded(command).split_off(TYPE);
            body.resize(BODY, 0xaa);
            for _ in 0..20 {
                let mut stream = port.said(&encoded(command)[..TYPE]).await;
                stream.write_all(&body).await.unwrap();
                assert_eq!(told(&mut stream).await, replied(command));
            }
            // The rest comes after the reply: it is taken, and the connection closed in order.
            let (needed, rest) = (encoded(command), &body[encoded(command).len() - TYPE..]);
            let mut stream = port.said(&needed).await;
            assert_eq!(told(&mut stream).await, replied(command));
            stream.write_all(rest).await.unwrap();
            stream.shutdown().await.unwrap();
            assert_eq!(told(&mut stream).await, b"");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_not_complete_in_time_is_answered_with_inval() {
        let all = encoded(commands()[2]);
        for n in 0..all.len() {
            let (mut client, server) = duplex(64);
            let begun = Instant::now();
            let talk = async {
                client.write_all(&all[..n]).await.unwrap();
                let told = told(&mut client).await;
                (told, begun.elapsed())
            };
            let (told, ()) = tokio::join!(talk, alone(server));
            assert_eq!(told, (INVAL.to_vec(), Limits::default().request));
            let most = Limits::default().request + Limits::default().drain;
            assert_eq!(begun.elapsed(), most);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_byte_now_and_then_buys_no_time() {
        let (mut client, server) = duplex(64);
        let begun = Instant::now();
        let drip = async {
            let mut second = tokio::time::interval(Duration::from_secs(1));
            for byte in encoded(commands()[2]) {
                second.tick().await;
                if client.write_all(&[byte]).await.is_err() {
                    break;
                }
            }
        };
        tokio::select! {
            () = drip => panic!("it was heard to its end"),
            () = alone(server) => {}
        }
        assert!(begun.elapsed() <= Limits::default().request + Limits::default().drain);
    }

    #[tokio::test(start_paused = true)]
    async fn who_does_not_read_its_reply_is_left() {
        let (mut client, server) = duplex(16);
        client.write_all(&GET_CHANNELS).await.unwrap();
        let begun = Instant::now();
        alone(server).await;
        assert_eq!(begun.elapsed(), Limits::default().reply);
    }

    #[tokio::test]
    async fn idle_connections_are_closed_on_real_sockets_too() {
        let port = Running::faking(Limits {
            request: Duration::from_millis(20),
            ..patient(512)
        })
        .await;
        let mut idle = Vec::new();
        for n in 0..12 {
            idle.push(port.said(&encoded(commands()[0])[..n]).await);
        }
        for mut stream in idle {
            assert_eq!(told(&mut stream).await, INVAL);
        }
    }

    #[tokio::test]
    async fn the_oldest_gives_way_and_is_told() {
        let port = Running::faking(patient(1)).await;
        let mut silent = port.said(b"").await;
        assert_eq!(port.ask(commands()[0]).await, replied(commands()[0]));
        assert_eq!(told(&mut silent).await, SERV);
        assert_eq!(port.counts.crowded_out.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn a_command_is_carried_out_whatever_becomes_of_its_connection() {
        let (begun, mut begins) = mpsc::unbounded_channel();
        let (ended, mut ends) = mpsc::unbounded_channel();
        let gate = Arc::new(Semaphore::new(0));
        let waits = gate.clone();
        let port = Running::new(patient(1), move |_, command| {
            let (begun, ended, gate) = (begun.clone(), ended.clone(), waits.clone());
            async move {
                begun.send(()).unwrap();
                gate.acquire().await.unwrap().forget();
                ended.send(command).unwrap();
                fake(command)
            }
        })
        .await;
        let first = port.said(&encoded(commands()[0])).await;
        begins.recv().await.unwrap();
        // Nobody can give way: the newcomer is turned away, and the first is none the worse for it.
        let mut turned_away = TcpStream::connect(port.address).await.unwrap();
        let mut nothing = Vec::new();
        turned_away.read_to_end(&mut nothing).await.ok();
        assert_eq!(nothing, b"");
        drop(first);
        gate.add_permits(1);
        assert_eq!(ends.recv().await, Some(commands()[0]));
        assert_eq!(port.counts.crowded_out.load(Relaxed), 1);
    }

    #[tokio::test]
    async fn it_stops_at_once_whoever_is_connected() {
        let port = Running::faking(patient(512)).await;
        let mut silent = port.said(b"").await;
        let mut lingering = port.said(&GET_CHANNELS).await;
        assert_eq!(told(&mut lingering).await, replied(Command::GetChannels));
        port.stop.cancel();
        port.task.await.unwrap();
        assert_eq!(told(&mut silent).await, b"");
        assert_eq!(port.counts.open.load(Relaxed), 0);
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn thousands_of_half_open_connections_do_not_keep_an_honest_one_out() {
        let (_, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        setrlimit(Resource::RLIMIT_NOFILE, hard, hard).unwrap();
        // Room for the port's own ends, and for the tests beside this one.
        let most = usize::try_from(hard).unwrap_or(usize::MAX);
        let half_open = most.saturating_sub(2_000).min(10_000);
        assert!(
            half_open >= 2_000,
            "this test needs 4,000 descriptors: ulimit -n is {hard}"
        );
        let port = Running::faking(patient(512)).await;
        let mut crowd = Vec::new();
        for n in 0..half_open {
            crowd.push(port.said(&UNKNOWN[..n % 4]).await);
            if n % 500 == 0 {
                let command = commands()[n / 500 % 8];
                assert_eq!(port.ask(command).await, replied(command));
            }
        }
        assert_eq!(
            port.ask(Command::GetChannels).await,
            replied(Command::GetChannels)
        );
        let crowded_out = port.counts.crowded_out.load(Relaxed);
        assert!(crowded_out >= half_open as u64 - 512, "{crowded_out}");
        // The oldest have been told so, the newest wait still.
        assert_eq!(told(&mut crowd[0]).await, SERV);
        while port.counts.open.load(Relaxed) > 512 {
            tokio::task::yield_now().await;
        }
        crowd.last_mut().unwrap().shutdown().await.unwrap();
        assert_eq!(told(crowd.last_mut().unwrap()).await, INVAL);
    }
}
