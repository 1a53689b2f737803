//! A relay and those who talk and listen through it.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use nix::sys::socket::{setsockopt, sockopt};

use crate::{
    kv,
    packet::PACKET,
    relay::{Contender, QUEUE, Relay},
};

/// Members of one channel. The first of them talk; all of them listen.
pub(crate) struct Arena {
    pub(crate) relay: Relay,
    /// Where they talk to.
    pub(crate) address: SocketAddr,
    pub(crate) sockets: Vec<UdpSocket>,
    pub(crate) uids: Vec<u64>,
    pub(crate) talkers: usize,
}

impl Arena {
    /// Starts the relay on those cores and has everybody join.
    pub(crate) fn open(
        contender: Contender,
        talkers: usize,
        listeners: usize,
        cores: &[usize],
        shards: usize,
    ) -> io::Result<Self> {
        let sockets: io::Result<Vec<_>> = (0..talkers + listeners).map(|_| member()).collect();
        let sockets = sockets?;
        let (relay, address, uids) = if contender == Contender::Daemon {
            let relay = Relay::daemon(shards, cores)?;
            let channel = kv::create(relay.address)?;
            let mut address = relay.address;
            let mut uids = Vec::new();
            for _ in &sockets {
                let uid = kv::register(relay.address)?;
                address.set_port(kv::join(relay.address, uid, channel)?);
                uids.push(uid);
            }
            (relay, address, uids)
        } else {
            let ports: io::Result<Vec<_>> = sockets
                .iter()
                .map(|socket| Ok(socket.local_addr()?.port()))
                .collect();
            let relay = Relay::peer(contender, &ports?, cores)?;
            let address = relay.address;
            (relay, address, (1..=sockets.len() as u64).collect())
        };
        for socket in &sockets {
            socket.connect(address)?;
        }
        Ok(Self {
            relay,
            address,
            sockets,
            uids,
            talkers,
        })
    }

    /// Before each round: who only listens says that it is there, and the channel says that it has heard.
    pub(crate) fn refresh(&mut self) -> io::Result<()> {
        self.relay.must_live()?;
        if self.relay.contender != Contender::Daemon {
            return Ok(());
        }
        for (at, (socket, uid)) in self.sockets.iter().zip(&self.uids).enumerate() {
            let ackid = at as u32 + 1;
            socket.set_nonblocking(false)?;
            socket.set_read_timeout(Some(Duration::from_millis(200)))?;
            let started = Instant::now();
            let mut asked = None::<Instant>;
            let mut packet = [0; 64 * PACKET];
            loop {
                if asked.is_none_or(|at| at.elapsed() > Duration::from_millis(200)) {
                    socket.send(&kv::keepalive(*uid, ackid))?;
                    asked = Some(Instant::now());
                }
                // Late packets of the last round may come first.
                match socket.recv(&mut packet) {
                    Ok(length) if kv::acknowledges(&packet[..length], ackid) => break,
                    Ok(_) => {}
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Err(error),
                }
                if started.elapsed() > Duration::from_secs(5) {
                    self.relay.must_live()?;
                    let error =
                        format!("longhouse does not acknowledge the keepalive of uid {uid}");
                    return Err(io::Error::other(error));
                }
            }
            socket.set_nonblocking(true)?;
        }
        Ok(())
    }

    /// From now on members read packet by packet.
    pub(crate) fn read_apart(&self) -> io::Result<()> {
        for socket in &self.sockets {
            setsockopt(socket, sockopt::UdpGroSegment, &false)?;
        }
        Ok(())
    }

    /// From now on the kernel says when it got what a member reads.
    pub(crate) fn stamp(&self) -> io::Result<()> {
        for socket in &self.sockets {
            setsockopt(socket, sockopt::ReceiveTimestampns, &true)?;
        }
        Ok(())
    }

    /// Who hears one packet.
    pub(crate) fn receivers(&self) -> u64 {
        self.sockets.len() as u64 - 1
    }
}

/// Reads cheaply, so that the relay is what is measured.
fn member() -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    setsockopt(&socket, sockopt::RcvBuf, &QUEUE)?;
    setsockopt(&socket, sockopt::UdpGroSegment, &true)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}
