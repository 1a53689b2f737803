//! The room as a whole: a real service, real sockets, and people at several addresses.

mod commands;
mod lasting;
mod proofs;
mod talk;

use std::{
    net::{IpAddr, Ipv4Addr},
    ops::RangeInclusive,
    time::{Duration, Instant},
};

use tokio::{
    net::{TcpListener, UdpSocket},
    task::JoinHandle,
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use super::{
    book::readable,
    packet::{self, Datagram, Operation, PACKET, Packet, System},
    records::{BOX, KEYS},
    seal::{self, Signer},
    wire::{Command, Refusal, Reply},
    *,
};
use crate::{
    accounts::{AccountPatch, Accounts, NewAccount, Principal, Role, Via},
    audit::{Actor, Audit, Door},
    clock::UnixMillis,
    store::Store,
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// As long as a busy machine may take; nothing waits for it when all is well.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two words of who talks on.
const GLANCE: Duration = Duration::from_millis(20);

/// A box with voice; restarted by [`House::again`].
struct House {
    voice: Voice,
    store: Store,
    accounts: Accounts,
    audit: Audit,
    settings: Settings,
    stop: CancellationToken,
    run: JoinHandle<()>,
    _state: tempfile::TempDir,
}

fn pool(size: u16) -> RangeInclusive<u16> {
    let free = std::net::UdpSocket::bind((HERE, 0)).unwrap();
    let first = free.local_addr().unwrap().port().min(u16::MAX - size);
    first..=first + size - 1
}

async fn begin(
    settings: &Settings,
    store: &Store,
    accounts: &Accounts,
    audit: &Audit,
) -> (Voice, CancellationToken, JoinHandle<()>) {
    let stop = CancellationToken::new();
    let control = TcpListener::bind((HERE, 0)).await.unwrap();
    let (voice, run) = open(
        settings.clone(),
        control,
        store.clone(),
        accounts.clone(),
        audit.clone(),
        stop.clone(),
    )
    .await
    .unwrap();
    (voice, stop, tokio::spawn(run))
}

impl House {
    async fn new() -> Self {
        Self::with(Legacy::Loopback, pool(50)).await
    }

    async fn with(legacy_admin: Legacy, ports: RangeInclusive<u16>) -> Self {
        let state = tempfile::tempdir().unwrap();
        let store = Store::open(state.path()).unwrap();
        let audit = Audit::open(store.clone()).unwrap();
        let accounts = Accounts::open(store.clone(), audit.clone()).unwrap();
        let settings = Settings {
            address: HERE,
            ports,
            legacy_admin,
            rate: 500,
            shards: Some(1),
        };
        let (voice, stop, run) = begin(&settings, &store, &accounts, &audit).await;
        Self {
            voice,
            store,
            accounts,
            audit,
            settings,
            stop,
            run,
            _state: state,
        }
    }

    /// As after a restart of the daemon.
    async fn again(mut self) -> Self {
        self.stop.cancel();
        self.run.await.unwrap();
        (self.voice, self.stop, self.run) =
            begin(&self.settings, &self.store, &self.accounts, &self.audit).await;
        self
    }

    async fn at(&self, from: [u8; 4], command: Command) -> Result<u64, Refusal> {
        match self.voice.command((from, 9).into(), command).await {
            Reply::Done(value) => Ok(value),
            Reply::Channels(channels) => Ok(channels.len() as u64),
            Reply::Refused(refusal) => Err(refusal),
        }
    }

    async fn here(&self, command: Command) -> Result<u64, Refusal> {
        self.at([127, 0, 0, 1], command).await
    }

    async fn guest(&self) -> Uid {
        Uid(self.here(register(0, 0)).await.unwrap())
    }

    async fn channel(&self) -> ChannelId {
        ChannelId(self.here(Command::Create { uid: Uid(0) }).await.unwrap())
    }

    /// A guest with a seat and a socket, who has been heard.
    async fn member(&self, channel: ChannelId) -> Member {
        let uid = self.guest().await;
        let port = self.here(join(uid, channel)).await.unwrap();
        let member = Member::new(uid, port).await;
        member.appear().await;
        member
    }

    async fn person(&self, name: &str, role: Role) -> Principal {
        let wish = NewAccount {
            name: name.into(),
            role: Some(role),
            password: None,
            mail: None,
        };
        let account = self.accounts.create(&root(), wish).await.unwrap();
        Principal {
            actor: Actor {
                account: Some(account.id.0),
                name: account.name,
                from: Some(HERE),
                door: Door::Web,
            },
            role,
            scopes: None,
            via: Via::Password,
        }
    }

    /// The channel, once it is as wanted.
    async fn until(&self, id: ChannelId, wanted: impl Fn(&ChannelView) -> bool) -> ChannelView {
        let seen = async {
            loop {
                let view = self.voice.channel(&root(), id).await.unwrap();
                if wanted(&view) {
                    return view;
                }
                tokio::task::yield_now().await;
            }
        };
        timeout(PATIENCE, seen).await.expect("it never came so far")
    }

    fn actions(&self) -> Vec<String> {
        let lines = self.audit.list(0, 1000).unwrap().into_iter();
        lines
            .filter(|line| line.of.is_none())
            .map(|line| format!("{} by {}", line.action, line.actor.name))
            .collect()
    }
}

/// Somebody with a UDP socket.
struct Member {
    uid: Uid,
    socket: UdpSocket,
}

impl Member {
    async fn new(uid: Uid, port: u64) -> Self {
        let socket = UdpSocket::bind((HERE, 0)).await.unwrap();
        let port = u16::try_from(port).unwrap();
        socket.connect((HERE, port)).await.unwrap();
        Self { uid, socket }
    }

    async fn send(&self, packet: &Packet) {
        self.socket.send(packet).await.unwrap();
    }

    async fn say(&self, what: u8) {
        let mut packet = [what; PACKET];
        packet[..8].copy_from_slice(&self.uid.0.to_le_bytes());
        self.send(&packet).await;
    }

    /// A keepalive that is acknowledged: from then on they hear.
    async fn appear(&self) {
        self.send(&System::new(Operation::Keepalive, self.uid, 77).encode())
            .await;
        assert_eq!(self.word().await, (Operation::Ack, self.uid));
    }

    async fn packet(&self) -> Packet {
        let mut packet = [0; PACKET];
        let heard = timeout(PATIENCE, self.socket.recv(&mut packet)).await;
        assert_eq!(heard.expect("nothing came").unwrap(), PACKET);
        packet
    }

    async fn word(&self) -> (Operation, Uid) {
        match packet::decode(&self.packet().await) {
            Ok(Datagram::System(system)) => (system.operation, system.uid),
            other => panic!("not a system packet: {other:?}"),
        }
    }

    async fn hears(&self, speaker: Uid, what: u8) {
        let packet = self.packet().await;
        assert_eq!(
            packet::decode(&packet),
            Ok(Datagram::Voice(speaker)),
            "{:?}",
            self.uid
        );
        assert_eq!(packet[8..], [what; PACKET - 8]);
    }

    /// Whatever came before is there by now: what the box answers itself has the same way.
    async fn hears_nothing(&self) {
        self.appear().await;
    }
}

fn root() -> Principal {
    Accounts::local(0, "root".into())
}

fn register(auid: u64, permissions: u64) -> Command {
    let auid = Uid(auid);
    Command::Register { auid, permissions }
}

fn join(uid: Uid, channel: ChannelId) -> Command {
    Command::Join {
        uid,
        juid: uid,
        channel,
    }
}

fn leave(uid: Uid, luid: Uid, channel: ChannelId) -> Command {
    Command::Leave { uid, luid, channel }
}

fn unregister(auid: Uid, uid: Uid) -> Command {
    Command::Unregister { auid, uid }
}
