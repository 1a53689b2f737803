//! What the kernel is asked for, and nothing else: batches in, messages out, and how its queues are.
#![expect(
    unsafe_code,
    reason = "nix allocates where a batch is received, and does not know socket filters"
)]

use std::{
    io,
    mem::{self, MaybeUninit},
    net::SocketAddr,
    os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd},
    ptr,
};

use libc::{c_int, c_void, sock_filter};
use nix::sys::socket::{
    AddressFamily, SockFlag, SockType, SockaddrStorage, bind, setsockopt, socket, sockopt,
};

use super::{
    name,
    route::{BATCH, Mask, runs},
};
use crate::voice::packet::{PACKET, Packet};

/// What the kernel is asked to queue per socket, in bytes, in each direction.
const QUEUE: usize = 4 << 20;
/// A mask has as many runs when every second bit is set.
const RUNS: usize = BATCH / 2;
/// Bytes of a control message with one u16 in it.
// SAFETY: computes a size from a size.
const CONTROL: usize = unsafe { libc::CMSG_SPACE(size_of::<u16>() as u32) } as usize;

/// A UDP socket that does not block, bound to `address`. `shared`: it is one of several on its port.
pub(super) fn open(address: SocketAddr, shared: bool) -> io::Result<OwnedFd> {
    let family = match address {
        SocketAddr::V4(_) => AddressFamily::Inet,
        SocketAddr::V6(_) => AddressFamily::Inet6,
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    let fd = socket(family, SockType::Datagram, flags, None)?;
    if address.is_ipv6() {
        setsockopt(&fd, sockopt::Ipv6V6Only, &false)?;
    }
    // Beyond the system's limit where we may; else as much as it lets us have.
    if setsockopt(&fd, sockopt::RcvBufForce, &QUEUE).is_err() {
        setsockopt(&fd, sockopt::RcvBuf, &QUEUE)?;
    }
    if setsockopt(&fd, sockopt::SndBufForce, &QUEUE).is_err() {
        setsockopt(&fd, sockopt::SndBuf, &QUEUE)?;
    }
    if shared {
        share(fd.as_fd(), true)?;
    }
    bind(fd.as_raw_fd(), &SockaddrStorage::from(address))?;
    Ok(fd)
}

/// Whether others of ours may have the port too.
pub(super) fn share(fd: BorrowedFd<'_>, on: bool) -> io::Result<()> {
    Ok(setsockopt(&fd, sockopt::ReusePort, &on)?)
}

/// Lets `program` say which of the sockets that share this one's port a packet goes to.
pub(super) fn steer(fd: BorrowedFd<'_>, program: &[sock_filter]) -> io::Result<()> {
    attach(fd, libc::SO_ATTACH_REUSEPORT_CBPF, program)
}

/// Lets `program` say which packets are queued at all.
pub(super) fn filter(fd: BorrowedFd<'_>, program: &[sock_filter]) -> io::Result<()> {
    attach(fd, libc::SO_ATTACH_FILTER, program)
}

/// Queues all packets again.
pub(super) fn unfilter(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::SO_DETACH_FILTER, &0i32)
}

/// Sends without checksums, with which no message can be cut into packets.
#[cfg(test)]
pub(super) fn without_checksums(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::SO_NO_CHECK, &1i32)
}

/// Lets nobody change what [`filter`] has set, or has not.
#[cfg(test)]
pub(super) fn lock_filter(fd: BorrowedFd<'_>) -> io::Result<()> {
    set(fd, libc::SO_LOCK_FILTER, &1i32)
}

fn attach(fd: BorrowedFd<'_>, option: c_int, program: &[sock_filter]) -> io::Result<()> {
    let program = libc::sock_fprog {
        len: u16::try_from(program.len()).map_err(|_| io::ErrorKind::InvalidInput)?,
        // The kernel only reads it.
        filter: program.as_ptr().cast_mut(),
    };
    set(fd, option, &program)
}

fn set<T>(fd: BorrowedFd<'_>, option: c_int, value: &T) -> io::Result<()> {
    // SAFETY: the kernel reads as many bytes as `value` has; what a program points to outlives the call.
    let done = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            ptr::from_ref(value).cast(),
            size_of::<T>() as libc::socklen_t,
        )
    };
    done_or_error(done as isize).map(drop)
}

/// How a socket's queues are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Queues {
    /// Bytes that may be queued, inwards,
    pub(super) receive: usize,
    /// and outwards.
    pub(super) send: usize,
    /// Packets that the kernel dropped because the queue was full or a filter said so; begins again after 2^32.
    pub(super) drops: u32,
}

/// How the socket's queues are; nothing, where the kernel does not say.
pub(super) fn queues(fd: BorrowedFd<'_>) -> Queues {
    // As in linux/sock_diag.h.
    let (receive, send, drops) = (1, 3, 8);
    let mut figures = [0u32; 9];
    let mut len = size_of_val(&figures) as libc::socklen_t;
    // SAFETY: the kernel writes at most `len` bytes to `figures`.
    unsafe {
        libc::getsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_MEMINFO,
            figures.as_mut_ptr().cast(),
            &mut len,
        )
    };
    Queues {
        receive: figures[receive] as usize,
        send: figures[send] as usize,
        drops: figures[drops],
    }
}

/// Room for what one call receives. One per thread: no channel has its own.
pub(super) struct Batch {
    packets: [Packet; BATCH],
    names: [[u8; name::V6]; BATCH],
    /// Of each packet: how long it was, and how long its name.
    lengths: [(usize, usize); BATCH],
}

impl Batch {
    pub(super) fn new() -> Box<Self> {
        Box::new(Self {
            packets: [[0; PACKET]; BATCH],
            names: [[0; name::V6]; BATCH],
            lengths: [(0, 0); BATCH],
        })
    }

    /// Receives what there is, without waiting; how many packets. Fewer than fit: there were no more.
    pub(super) fn receive(&mut self, fd: BorrowedFd<'_>) -> io::Result<usize> {
        let mut places: [MaybeUninit<libc::iovec>; BATCH] = [MaybeUninit::uninit(); BATCH];
        let mut headers: [MaybeUninit<libc::mmsghdr>; BATCH] = [MaybeUninit::uninit(); BATCH];
        let rooms = self.packets.iter_mut().zip(&mut self.names);
        for ((place, header), (packet, name)) in places.iter_mut().zip(&mut headers).zip(rooms) {
            let place = place.write(libc::iovec {
                iov_base: packet.as_mut_ptr().cast(),
                iov_len: PACKET,
            });
            // SAFETY: zeroes are a valid header, and what it points to outlives it.
            let header = header.write(unsafe { mem::zeroed() });
            header.msg_hdr.msg_name = name.as_mut_ptr().cast();
            header.msg_hdr.msg_namelen = name::V6 as libc::socklen_t;
            header.msg_hdr.msg_iov = place;
            header.msg_hdr.msg_iovlen = 1;
        }
        // SAFETY: all headers are written; each names room for one packet and one name, and the lengths of both.
        let received = unsafe {
            libc::recvmmsg(
                fd.as_raw_fd(),
                headers.as_mut_ptr().cast(),
                BATCH as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        let received = done_or_error(received as isize)?;
        for (header, lengths) in headers[..received].iter().zip(&mut self.lengths) {
            // SAFETY: written above, and then by the kernel.
            let header = unsafe { header.assume_init_ref() };
            let len = match header.msg_hdr.msg_flags & libc::MSG_TRUNC {
                0 => header.msg_len as usize,
                _ => 0,
            };
            *lengths = (len, header.msg_hdr.msg_namelen as usize);
        }
        Ok(received)
    }

    /// One packet of the last batch, and where it came from. One that was longer than a packet may be is empty.
    pub(super) fn packet(&self, slot: usize) -> (Option<SocketAddr>, &[u8]) {
        let (len, name) = self.lengths[slot];
        let name = &self.names[slot][..name.min(name::V6)];
        (name::read(name), &self.packets[slot][..len.min(PACKET)])
    }

    /// These packets of the last batch as one message, in order.
    pub(super) fn gather(&self, mask: Mask) -> Message<'_> {
        let mut parts = [libc::iovec {
            iov_base: ptr::null_mut(),
            iov_len: 0,
        }; RUNS];
        let mut used = 0;
        for (part, (first, len)) in parts.iter_mut().zip(runs(mask)) {
            let packets = self.packets[first..first + len].as_flattened();
            // The kernel only reads it.
            part.iov_base = packets.as_ptr().cast_mut().cast();
            part.iov_len = packets.len();
            used += 1;
        }
        Message {
            batch: self,
            mask,
            parts,
            used,
        }
    }
}

/// Packets of a batch, ready to be sent to many.
pub(super) struct Message<'a> {
    batch: &'a Batch,
    mask: Mask,
    /// What `mask` names, in `batch`.
    parts: [libc::iovec; RUNS],
    used: usize,
}

impl Message<'_> {
    pub(super) fn mask(&self) -> Mask {
        self.mask
    }

    /// The packets, one by one.
    pub(super) fn packets(&self) -> impl Iterator<Item = &Packet> {
        runs(self.mask).flat_map(|(first, len)| &self.batch.packets[first..first + len])
    }

    /// Sends all in one message, which the kernel cuts into packets.
    pub(super) fn send(&self, fd: BorrowedFd<'_>, name: &[u8]) -> io::Result<()> {
        // Aligned as a control message's header is.
        let mut control = [0usize; CONTROL.div_ceil(size_of::<usize>())];
        let mut parts = self.parts;
        // SAFETY: zeroes are a valid header.
        let mut header: libc::msghdr = unsafe { mem::zeroed() };
        header.msg_name = name.as_ptr().cast_mut().cast();
        header.msg_namelen = name.len() as libc::socklen_t;
        header.msg_iov = parts.as_mut_ptr();
        header.msg_iovlen = self.used;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = CONTROL;
        // SAFETY: the control room is aligned and has CONTROL bytes, enough for one header and one u16.
        unsafe {
            let segment = libc::CMSG_FIRSTHDR(&header);
            (*segment).cmsg_level = libc::SOL_UDP;
            (*segment).cmsg_type = libc::UDP_SEGMENT;
            (*segment).cmsg_len = libc::CMSG_LEN(size_of::<u16>() as u32) as usize;
            libc::CMSG_DATA(segment)
                .cast::<u16>()
                .write_unaligned(PACKET as u16);
        }
        // SAFETY: the parts are packets of the batch that `self` borrows; name and control outlive the call.
        let sent = unsafe { libc::sendmsg(fd.as_raw_fd(), &header, libc::MSG_DONTWAIT) };
        done_or_error(sent).map(drop)
    }
}

/// Sends one packet.
pub(super) fn send(fd: BorrowedFd<'_>, packet: &Packet, name: &[u8]) -> io::Result<()> {
    // SAFETY: the kernel reads PACKET bytes of the packet, and the name to its length.
    let sent = unsafe {
        libc::sendto(
            fd.as_raw_fd(),
            packet.as_ptr().cast::<c_void>(),
            PACKET,
            libc::MSG_DONTWAIT,
            name.as_ptr().cast(),
            name.len() as libc::socklen_t,
        )
    };
    done_or_error(sent).map(drop)
}

fn done_or_error(done: isize) -> io::Result<usize> {
    usize::try_from(done).map_err(|_| io::Error::last_os_error())
}
