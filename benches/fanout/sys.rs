//! recvmmsg and sendmsg as the kernel has them: what is prepared once is used for every call.

#![expect(
    unsafe_code,
    reason = "the safe wrappers allocate per call; the bare loop is the limit that others are measured by"
)]

use std::{
    io::{self, IoSlice},
    mem,
    os::fd::{AsFd, AsRawFd},
    ptr,
};

/// Control bytes for one time stamp, with room to spare; in words, for they must be aligned.
type Control = [u64; 8];

/// Buffers for several datagrams at once.
pub(crate) struct Inbox {
    size: usize,
    stamps: bool,
    bytes: Vec<u8>,
    names: Vec<libc::sockaddr_in>,
    _pieces: Vec<libc::iovec>,
    _controls: Vec<Control>,
    headers: Vec<libc::mmsghdr>,
}

impl Inbox {
    /// For `count` datagrams of up to `size` bytes, contiguous; `stamps`: with the time at which they came.
    pub(crate) fn new(count: usize, size: usize, stamps: bool) -> Self {
        let mut bytes = vec![0_u8; count * size];
        // SAFETY: plain C structures, of which all zeroes is a value.
        let (mut names, mut headers): (Vec<libc::sockaddr_in>, Vec<libc::mmsghdr>) =
            unsafe { (vec![mem::zeroed(); count], vec![mem::zeroed(); count]) };
        let mut controls = vec![Control::default(); count];
        let mut pieces: Vec<_> = bytes
            .chunks_mut(size)
            .map(|piece| libc::iovec {
                iov_base: piece.as_mut_ptr().cast(),
                iov_len: size,
            })
            .collect();
        for (at, header) in headers.iter_mut().enumerate() {
            header.msg_hdr.msg_name = ptr::from_mut(&mut names[at]).cast();
            header.msg_hdr.msg_namelen = mem::size_of::<libc::sockaddr_in>() as u32;
            header.msg_hdr.msg_iov = &raw mut pieces[at];
            header.msg_hdr.msg_iovlen = 1;
            if stamps {
                header.msg_hdr.msg_control = controls[at].as_mut_ptr().cast();
            }
        }
        Self {
            size,
            stamps,
            bytes,
            names,
            _pieces: pieces,
            _controls: controls,
            headers,
        }
    }

    /// How many datagrams there were; it does not wait for any.
    pub(crate) fn receive(&mut self, socket: &impl AsFd) -> io::Result<usize> {
        if self.stamps {
            for header in &mut self.headers {
                header.msg_hdr.msg_controllen = mem::size_of::<Control>();
            }
        }
        // SAFETY: all that the headers point to belongs to `self` and stays where it is, for no `Vec` of it ever grows.
        let count = unsafe {
            libc::recvmmsg(
                socket.as_fd().as_raw_fd(),
                self.headers.as_mut_ptr(),
                self.headers.len() as u32,
                libc::MSG_DONTWAIT,
                ptr::null_mut(),
            )
        };
        match usize::try_from(count) {
            Ok(count) => Ok(count),
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
                error => Err(error),
            },
        }
    }

    /// One of the datagrams; with `UDP_GRO`, several of the same sender in a row.
    pub(crate) fn datagram(&self, at: usize) -> &[u8] {
        let length = self.headers[at].msg_len as usize;
        &self.bytes[at * self.size..][..length.min(self.size)]
    }

    /// The first `count` datagrams, which are all as long as may be.
    pub(crate) fn all(&self, count: usize) -> &[u8] {
        &self.bytes[..count * self.size]
    }

    /// Its sender's port.
    pub(crate) fn port(&self, at: usize) -> u16 {
        u16::from_be(self.names[at].sin_port)
    }

    /// When it came, in nanoseconds of Unix time.
    pub(crate) fn stamp(&self, at: usize) -> Option<u64> {
        let header = &raw const self.headers[at].msg_hdr;
        // SAFETY: the header is one that recvmmsg filled in, and so are the control messages that it points to.
        unsafe {
            let mut control = libc::CMSG_FIRSTHDR(header);
            while let Some(found) = control.as_ref() {
                if (found.cmsg_level, found.cmsg_type) == (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS)
                {
                    let time: libc::timespec = libc::CMSG_DATA(control)
                        .cast::<libc::timespec>()
                        .read_unaligned();
                    return Some(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64);
                }
                control = libc::CMSG_NXTHDR(header, control);
            }
        }
        None
    }
}

/// The IPv4 address of this machine with that port.
pub(crate) fn local(port: u16) -> libc::sockaddr_in {
    libc::sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: port.to_be(),
        sin_addr: libc::in_addr {
            s_addr: u32::from_ne_bytes([127, 0, 0, 1]),
        },
        sin_zero: [0; 8],
    }
}

/// Sends one message, of which the kernel makes datagrams of that size. To nobody in particular: a connected socket.
pub(crate) fn send_segments(
    socket: &impl AsFd,
    to: Option<&libc::sockaddr_in>,
    pieces: &[IoSlice<'_>],
    size: u16,
) -> io::Result<()> {
    #[repr(C)]
    struct Segment {
        header: libc::cmsghdr,
        size: u16,
    }
    let control = Segment {
        header: libc::cmsghdr {
            cmsg_len: mem::size_of::<libc::cmsghdr>() + mem::size_of::<u16>(),
            cmsg_level: libc::SOL_UDP,
            cmsg_type: libc::UDP_SEGMENT,
        },
        size,
    };
    // SAFETY: a plain C structure, of which all zeroes is a value.
    let mut header: libc::msghdr = unsafe { mem::zeroed() };
    if let Some(to) = to {
        header.msg_name = ptr::from_ref(to).cast_mut().cast();
        header.msg_namelen = mem::size_of::<libc::sockaddr_in>() as u32;
    }
    header.msg_iov = pieces.as_ptr().cast_mut().cast(); // `IoSlice` is an iovec, as its documentation says
    header.msg_iovlen = pieces.len();
    header.msg_control = (&raw const control).cast_mut().cast();
    header.msg_controllen = mem::size_of::<Segment>();
    // SAFETY: all that the header points to outlives the call, which only reads it.
    let sent = unsafe { libc::sendmsg(socket.as_fd().as_raw_fd(), &raw const header, 0) };
    match sent {
        ..0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

/// Sends one datagram.
pub(crate) fn send_to(socket: &impl AsFd, to: &libc::sockaddr_in, packet: &[u8]) -> io::Result<()> {
    // SAFETY: both pointers are good for the lengths beside them, and the call only reads.
    let sent = unsafe {
        libc::sendto(
            socket.as_fd().as_raw_fd(),
            packet.as_ptr().cast(),
            packet.len(),
            0,
            ptr::from_ref(to).cast(),
            mem::size_of::<libc::sockaddr_in>() as u32,
        )
    };
    match sent {
        ..0 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}
