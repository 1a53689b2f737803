//! What ours is compared with: relays without any protocol. Who is there is told at the start; what comes from one of
//! them goes to all others.

use std::{
    env,
    io::{self, IoSlice, Write as _},
    net::{Ipv4Addr, SocketAddr, UdpSocket},
};

use nix::sys::{
    epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollFlags, EpollTimeout},
    prctl,
    signal::Signal,
    socket::{setsockopt, sockopt},
};

use crate::{
    packet::PACKET,
    relay::{Contender, MEMBERS, QUEUE, ROLE},
    sys::{self, Inbox},
};

const BATCH: usize = 64;

/// Whether this process was started to be one of the relays, and which.
pub(crate) fn role() -> io::Result<Option<Contender>> {
    let Some(name) = env::var_os(ROLE) else {
        return Ok(None);
    };
    // Whoever measures may be killed; then nobody would end this.
    prctl::set_pdeathsig(Signal::SIGKILL)?;
    let role = Contender::ALL.into_iter().find(|one| name == one.role());
    role.map(Some)
        .ok_or_else(|| io::Error::other("no such role"))
}

/// Relays until killed.
pub(crate) fn run(contender: Contender) -> io::Result<()> {
    let ports = env::var(MEMBERS).map_err(io::Error::other)?;
    let ports: Result<Vec<u16>, _> = ports.split(',').map(str::parse).collect();
    let ports = ports.map_err(io::Error::other)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    setsockopt(&socket, sockopt::RcvBuf, &QUEUE)?;
    println!("{}", socket.local_addr()?.port());
    io::stdout().flush()?;
    match contender {
        Contender::Bare => bare(&socket, &ports),
        Contender::Sendto => sendto(&socket, &ports),
        Contender::Tokio => tokio_send_to(socket, &ports),
        Contender::Daemon => Err(io::Error::other("the daemon has its own main")),
    }
}

/// The limit: a batch in, and for each receiver one message with all that is not its own.
fn bare(socket: &UdpSocket, ports: &[u16]) -> io::Result<()> {
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    epoll.add(socket, EpollEvent::new(EpollFlags::EPOLLIN, 0))?;
    let mut inbox = Inbox::new(BATCH, PACKET, false);
    let receivers: Vec<_> = ports.iter().map(|port| sys::local(*port)).collect();
    let mut places = vec![usize::MAX; 1 << 16];
    for (at, port) in ports.iter().enumerate() {
        places[usize::from(*port)] = at;
    }
    let mut own = vec![0_u64; ports.len()]; // which packets of the batch a receiver has said itself
    loop {
        let count = inbox.receive(socket)?;
        if count == 0 {
            epoll.wait(&mut [EpollEvent::empty()], EpollTimeout::NONE)?;
            continue;
        }
        own.fill(0);
        for at in 0..count {
            if let Some(own) = own.get_mut(places[usize::from(inbox.port(at))]) {
                *own |= 1 << at;
            }
        }
        let all = inbox.all(count);
        for (to, own) in receivers.iter().zip(&own) {
            let mut left = !own & u64::MAX >> (BATCH - count);
            if left.count_ones() == 1 {
                let only = left.trailing_zeros() as usize;
                sys::send_to(socket, to, inbox.datagram(only))?;
                continue;
            }
            // Packets lie in a row, so that those that follow each other are one piece.
            let mut pieces = [IoSlice::new(&[]); BATCH];
            let mut used = 0;
            while left != 0 {
                let from = left.trailing_zeros();
                let many = (left >> from).trailing_ones();
                left &= !(u64::MAX >> (u64::BITS - many) << from);
                let piece = &all[from as usize * PACKET..][..many as usize * PACKET];
                pieces[used] = IoSlice::new(piece);
                used += 1;
            }
            if used > 0 {
                sys::send_segments(socket, Some(to), &pieces[..used], PACKET as u16)?;
            }
        }
    }
}

/// The plainest relay that there is.
fn sendto(socket: &UdpSocket, ports: &[u16]) -> io::Result<()> {
    let receivers = addresses(ports);
    let mut packet = [0; PACKET];
    loop {
        let (length, from) = socket.recv_from(&mut packet)?;
        for to in &receivers {
            if *to != from {
                socket.send_to(&packet[..length], to)?;
            }
        }
    }
}

/// As it is commonly written. It runs as a task, which is quicker than in `block_on`: there each packet would cross
/// from the thread that waits for the kernel to the one that runs the future.
fn tokio_send_to(socket: UdpSocket, ports: &[u16]) -> io::Result<()> {
    socket.set_nonblocking(true)?;
    let receivers = addresses(ports);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let relay = async move {
        let socket = tokio::net::UdpSocket::from_std(socket)?;
        let mut packet = [0; PACKET];
        loop {
            let (length, from) = socket.recv_from(&mut packet).await?;
            for to in &receivers {
                if *to != from {
                    socket.send_to(&packet[..length], to).await?;
                }
            }
        }
    };
    let relay = runtime.spawn(relay);
    runtime.block_on(relay).map_err(io::Error::other)?
}

fn addresses(ports: &[u16]) -> Vec<SocketAddr> {
    let here = |port: &u16| SocketAddr::from((Ipv4Addr::LOCALHOST, *port));
    ports.iter().map(here).collect()
}
