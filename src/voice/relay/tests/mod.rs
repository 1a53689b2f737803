//! The relay with real sockets on loopback.

mod flood;
mod shards;
mod talk;
mod words;

use std::{
    future::Future,
    net::{IpAddr, Ipv6Addr},
};

use tokio::{net::UdpSocket, task, time::timeout};

use super::*;
use crate::voice::{
    Uid,
    packet::{Datagram, Operation, PACKET, decode},
};

const PATIENCE: Duration = Duration::from_secs(20);
const CHANNEL: ChannelId = ChannelId(7);

struct Room {
    relay: Relay,
    shared: Shared,
    petitions: mpsc::Receiver<Petition>,
    bound: mpsc::Receiver<ChannelId>,
}

struct Member {
    seat: Arc<Seat>,
    socket: UdpSocket,
}

fn room(address: &str, rate: u32, shards: usize) -> Room {
    let (petitions_to, petitions) = mpsc::channel(4);
    let (bound_to, bound) = mpsc::channel(64);
    let shared = Shared {
        epoch: Instant::now(),
        petitions: petitions_to,
        bound: bound_to,
        rate,
        shards,
        sources: Arc::new(Sources::new()),
    };
    let address = SocketAddr::new(address.parse().unwrap(), 0);
    Room {
        relay: Relay::open(CHANNEL, address, &shared).unwrap(),
        shared,
        petitions,
        bound,
    }
}

/// A room on 127.0.0.1 with seats for so many, of whom none has an address yet.
async fn party(members: u64, rate: u32) -> (Room, Vec<Member>) {
    let room = room("127.0.0.1", rate, 1);
    let mut all = Vec::new();
    for uid in 1..=members {
        all.push(member(uid, "127.0.0.1").await);
    }
    room.seat(&all);
    (room, all)
}

/// The same, with everybody's address known.
async fn talk(members: u64, rate: u32) -> (Room, Vec<Member>) {
    let (room, all) = party(members, rate).await;
    for member in &all {
        member.say(&room, &keepalive(member.seat.uid())).await;
    }
    until(|| room.relay.tally().words == members).await;
    (room, all)
}

async fn member(uid: u64, ip: &str) -> Member {
    let ip: IpAddr = ip.parse().unwrap();
    let claim = Claim::From(ip);
    Member {
        seat: Arc::new(Seat::new(Uid(uid), uid, claim, None, Duration::ZERO)),
        socket: UdpSocket::bind((ip, 0)).await.unwrap(),
    }
}

impl Room {
    fn seat(&self, members: &[Member]) {
        let seats = members.iter().map(|member| Arc::clone(&member.seat));
        self.relay.publish(Arc::new(Roster::new(seats)));
    }
}

impl Member {
    async fn say(&self, room: &Room, bytes: &[u8]) {
        let to = (self.socket.local_addr().unwrap().ip(), room.relay.port());
        assert_eq!(self.socket.send_to(bytes, to).await.unwrap(), bytes.len());
    }

    async fn speak(&self, room: &Room, number: u64) {
        self.say(room, &voice(self.seat.uid(), number)).await;
    }

    async fn hear(&self) -> Vec<u8> {
        let mut bytes = vec![0; 2048];
        let heard = soon(self.socket.recv_from(&mut bytes)).await.unwrap();
        bytes.truncate(heard.0);
        bytes
    }

    /// Who said which number.
    async fn hear_voice(&self) -> (u64, u64) {
        let heard = self.hear().await;
        assert_eq!(heard.len(), PACKET);
        let field = |at: usize| u64::from_le_bytes(heard[at..at + 8].try_into().unwrap());
        assert!(heard[16..].iter().all(|byte| *byte == heard[8]));
        (field(0), field(8))
    }
}

fn voice(Uid(uid): Uid, number: u64) -> Packet {
    let mut packet = [number as u8; PACKET];
    packet[..8].copy_from_slice(&uid.to_le_bytes());
    packet[8..16].copy_from_slice(&number.to_le_bytes());
    packet
}

fn keepalive(uid: Uid) -> Packet {
    System::new(Operation::Keepalive, uid, 0).encode()
}

async fn soon<T>(event: impl Future<Output = T>) -> T {
    timeout(PATIENCE, event).await.expect("it happens soon")
}

async fn until(mut what: impl FnMut() -> bool) {
    soon(async {
        while !what() {
            task::yield_now().await;
        }
    })
    .await;
}
