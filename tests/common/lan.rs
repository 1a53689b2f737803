//! Hosts of one's own, each in a network namespace; all of it is gone with the thread that made it.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

use std::{
    fs::File,
    net::{Ipv4Addr, SocketAddr, SocketAddrV4, UdpSocket},
    os::fd::{AsRawFd, OwnedFd},
    process::Command,
    thread,
};

use nix::{
    sched::{CloneFlags, setns, unshare},
    sys::socket::{
        AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn, sendto, socket,
    },
};

/// Runs a story on a host that has no network but what it makes: of all that it does only on its own thread.
pub(crate) fn on_a_host_apart<F: Future>(story: impl FnOnce() -> F + Send + 'static) {
    let thread = thread::spawn(|| {
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        ip("link set lo up");
        let mut runtime = tokio::runtime::Builder::new_current_thread();
        runtime.enable_all().build().unwrap().block_on(story());
    });
    if let Err(panic) = thread.join() {
        std::panic::resume_unwind(panic);
    }
}

fn ip(words: &str) {
    let out = Command::new("ip").args(words.split(' ')).output();
    let out = out.expect("iproute2 is installed");
    let complaint = String::from_utf8_lossy(&out.stderr);
    assert!(out.status.success(), "ip {words}: {complaint}");
}

fn here() -> File {
    File::open("/proc/thread-self/ns/net").unwrap()
}

/// Another host, with a cable to the box's.
pub(crate) struct Host {
    there: File,
    back: File,
    /// Its own address,
    pub(crate) ip: Ipv4Addr,
    /// and the box's at the other end of the cable.
    pub(crate) gate: Ipv4Addr,
    /// Sees every UDP packet that comes in.
    nose: UdpSocket,
}

impl Host {
    /// The `n`th: 10.n.0.2.
    pub(crate) fn new(n: u8) -> Self {
        let (ip_is, gate) = ([10, n, 0, 2].into(), [10, n, 0, 1].into());
        let back = here();
        unshare(CloneFlags::CLONE_NEWNET).unwrap();
        let there = here();
        let nose = UdpSocket::from(raw(SockProtocol::Udp));
        setns(&back, CloneFlags::CLONE_NEWNET).unwrap();
        let (pid, fd) = (std::process::id(), there.as_raw_fd());
        ip(&format!(
            "link add name cable{n} type veth peer name eth0 netns /proc/{pid}/fd/{fd}"
        ));
        ip(&format!("addr add {gate}/24 dev cable{n}"));
        ip(&format!("link set cable{n} up"));
        // The kernel may know better than to believe a forged address; the box must not depend on it.
        for whose in ["all", &format!("cable{n}")] {
            let check = format!("/proc/sys/net/ipv4/conf/{whose}/rp_filter");
            if std::fs::read(&check).unwrap() != b"0\n" {
                std::fs::write(check, "0").unwrap();
            }
        }
        let host = Self {
            there,
            back,
            ip: ip_is,
            gate,
            nose,
        };
        host.within(|| {
            ip("link set lo up");
            ip(&format!("addr add {ip_is}/24 dev eth0"));
            ip("link set eth0 up");
            ip(&format!("route add default via {gate}"));
        });
        host
    }

    /// What is begun within is begun there: sockets stay there.
    pub(crate) fn within<T>(&self, work: impl FnOnce() -> T) -> T {
        setns(&self.there, CloneFlags::CLONE_NEWNET).unwrap();
        let done = work();
        setns(&self.back, CloneFlags::CLONE_NEWNET).unwrap();
        done
    }

    /// Says that it has another's address, and uses it wherever it has the choice.
    pub(crate) fn usurp(&self, address: Ipv4Addr) {
        self.within(|| {
            ip(&format!("addr add {address}/32 dev eth0"));
            let gate = self.gate;
            ip(&format!(
                "route replace default via {gate} dev eth0 src {address}"
            ));
        });
    }

    /// Sends a UDP packet that says it is from elsewhere.
    pub(crate) fn forge(&self, from: SocketAddrV4, to: SocketAddrV4, payload: &[u8]) {
        let udp = 8 + payload.len() as u16;
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, 17, 0, 0];
        packet.extend(from.ip().octets());
        packet.extend(to.ip().octets());
        packet.extend(from.port().to_be_bytes());
        packet.extend(to.port().to_be_bytes());
        packet.extend(udp.to_be_bytes());
        packet.extend([0, 0]); // no checksum
        packet.extend(payload);
        let socket = self.within(|| raw(SockProtocol::Raw));
        let to = SockaddrIn::from(to);
        let sent = sendto(socket.as_raw_fd(), &packet, &to, MsgFlags::empty()).unwrap();
        assert_eq!(sent, packet.len());
    }

    /// A socket there, at one of its addresses, that talks to `to`.
    pub(crate) fn udp(&self, from: Ipv4Addr, to: impl Into<SocketAddr>) -> UdpSocket {
        let socket = self.within(|| UdpSocket::bind((from, 0))).unwrap();
        socket.connect(to.into()).unwrap();
        socket
    }

    /// All UDP packets that have come to it since it was last asked, to whatever port.
    pub(crate) fn smelled(&self) -> usize {
        super::kv::heard(&self.nose).len()
    }
}

fn raw(protocol: SockProtocol) -> OwnedFd {
    let flags = SockFlag::SOCK_CLOEXEC;
    socket(AddressFamily::Inet, SockType::Raw, flags, protocol).unwrap()
}
