//! Hands a descriptor to another process, riding on one byte of a unix socket.
//!
//! The kernel ties the descriptor to the byte that it was sent with, and drops it when that byte is read in any other
//! way. So it travels on a byte of its own, and both sides know when that comes.
#![expect(
    unsafe_code,
    reason = "what a message brings is a bare number, and so is what a program is started with; nix has no SIOCOUTQ"
)]

use std::{
    io::{self, IoSlice, IoSliceMut},
    os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd},
};

use nix::{
    cmsg_space,
    errno::Errno,
    sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, UnixAddr, recvmsg, sendmsg},
};

/// Descriptors that one message can bring: there is room for all, so that none is cut off and forgotten.
const MOST: usize = 253;

/// Sends one byte, and with it a descriptor. The sender keeps its own copy.
///
/// # Errors
/// The kernel's; `WouldBlock` from a non-blocking socket that has no room: nothing was sent.
pub fn send(socket: BorrowedFd<'_>, byte: u8, passed: BorrowedFd<'_>) -> io::Result<()> {
    let passed = [passed.as_raw_fd()];
    loop {
        match sendmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &[IoSlice::new(&[byte])],
            &[ControlMessage::ScmRights(&passed)],
            MsgFlags::MSG_NOSIGNAL,
            None,
        ) {
            Ok(_) => return Ok(()),
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives one byte, and the one descriptor that rides on it, close-on-exec.
///
/// # Errors
/// The kernel's, such as `WouldBlock`; `UnexpectedEof` where the stream has ended; `InvalidData` where the byte brought
/// no descriptor or more than one, all of which are closed then.
pub fn receive(socket: BorrowedFd<'_>) -> io::Result<(u8, OwnedFd)> {
    let mut byte = [0];
    let (count, truncated, mut passed) = loop {
        let mut space = cmsg_space!([RawFd; MOST]);
        let mut into = [IoSliceMut::new(&mut byte)];
        let got = match recvmsg::<UnixAddr>(
            socket.as_raw_fd(),
            &mut into,
            Some(&mut space),
            MsgFlags::MSG_CMSG_CLOEXEC,
        ) {
            Ok(got) => got,
            Err(Errno::EINTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let mut passed = Vec::new();
        for message in got.cmsgs().into_iter().flatten() {
            if let ControlMessageOwned::ScmRights(numbers) = message {
                // SAFETY: the kernel has just made these descriptors for us, and nobody else knows their numbers.
                let own = |number| unsafe { OwnedFd::from_raw_fd(number) };
                passed.extend(numbers.into_iter().map(own));
            }
        }
        break (got.bytes, got.flags.contains(MsgFlags::MSG_CTRUNC), passed);
    };
    let [byte] = byte;
    match (count, passed.pop()) {
        (0, _) => Err(io::ErrorKind::UnexpectedEof.into()),
        (_, Some(one)) if passed.is_empty() && !truncated => Ok((byte, one)),
        _ => Err(io::Error::new(
            io::ErrorKind::InvalidData,
            "the byte does not bring exactly one descriptor",
        )),
    }
}

/// How much of what was sent over a unix stream the other side has not read yet: 0 when it has read all of it. Otherwise
/// the kernel's count, which includes its own bookkeeping and falls whenever a message has been read.
pub fn unread(socket: BorrowedFd<'_>) -> io::Result<usize> {
    let mut count: libc::c_int = 0;
    // SAFETY: the call writes one int, which is ours and outlives it. TIOCOUTQ is SIOCOUTQ under its older name.
    match unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) } {
        0 => Ok(usize::try_from(count).unwrap_or(0)),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A copy, close-on-exec, of a descriptor that this program was started with, by its number. The original stays open,
/// but no program that this one starts gets it.
pub fn inherited(number: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: plain numbers in; the descriptor is not closed or read, only copied.
    let copy = unsafe { libc::fcntl(number, libc::F_DUPFD_CLOEXEC, 3) };
    if copy < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: plain numbers in.
    unsafe { libc::fcntl(number, libc::F_SETFD, libc::FD_CLOEXEC) };
    // SAFETY: the kernel has just made this descriptor for us, and nobody else knows its number.
    Ok(unsafe { OwnedFd::from_raw_fd(copy) })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{
        fs::File,
        io::{Read, Write},
        os::{fd::AsFd, unix::net::UnixStream},
    };

    use nix::fcntl::{FcntlArg, FdFlag, fcntl};

    fn pair() -> (UnixStream, UnixStream) {
        UnixStream::pair().unwrap()
    }

    #[test]
    fn what_is_passed_works_on_the_other_side_and_is_close_on_exec() {
        let (here, there) = pair();
        let (end, mut far_end) = pair();
        send(here.as_fd(), 7, end.as_fd()).unwrap();
        drop(end);
        let (byte, passed) = receive(there.as_fd()).unwrap();
        assert_eq!(byte, 7);
        let flags = fcntl(&passed, FcntlArg::F_GETFD).unwrap();
        assert_eq!(flags, FdFlag::FD_CLOEXEC.bits());
        let mut passed = UnixStream::from(passed);
        passed.write_all(b"hello").unwrap();
        drop(passed);
        let mut text = String::new();
        far_end.read_to_string(&mut text).unwrap();
        assert_eq!(text, "hello");
    }

    #[test]
    fn it_rides_between_bytes_that_are_read_as_usual() {
        let (mut here, mut there) = pair();
        let null = File::open("/dev/null").unwrap();
        here.write_all(b"before").unwrap();
        send(here.as_fd(), 0, null.as_fd()).unwrap();
        here.write_all(b"after").unwrap();
        let mut six = [0; 6];
        there.read_exact(&mut six).unwrap();
        receive(there.as_fd()).unwrap();
        let mut five = [0; 5];
        there.read_exact(&mut five).unwrap();
        assert_eq!((&six, &five), (b"before", b"after"));
    }

    #[test]
    fn a_byte_alone_the_end_and_too_many_are_told_apart_and_nothing_stays_open() {
        let (mut here, there) = pair();
        here.write_all(b"x").unwrap();
        let kind = |there: &UnixStream| receive(there.as_fd()).unwrap_err().kind();
        assert_eq!(kind(&there), io::ErrorKind::InvalidData);
        for count in [2, 3, MOST] {
            let (end, mut far_end) = pair();
            sendmsg::<UnixAddr>(
                here.as_raw_fd(),
                &[IoSlice::new(b"x")],
                &[ControlMessage::ScmRights(&vec![end.as_raw_fd(); count])],
                MsgFlags::empty(),
                None,
            )
            .unwrap();
            drop(end);
            assert_eq!(kind(&there), io::ErrorKind::InvalidData);
            assert_eq!(far_end.read(&mut [0]).unwrap(), 0, "all copies are closed");
        }
        drop(here);
        assert_eq!(kind(&there), io::ErrorKind::UnexpectedEof);
    }

    #[test]
    fn what_was_not_read_is_known_and_nothing_is_left_of_what_was() {
        let (mut here, mut there) = pair();
        let left = |here: &UnixStream| unread(here.as_fd()).unwrap();
        assert_eq!(left(&here), 0);
        here.write_all(b"one").unwrap();
        let one = left(&here);
        send(here.as_fd(), 0, File::open("/dev/null").unwrap().as_fd()).unwrap();
        let both = left(&here);
        assert!(0 < one && one < both);
        there.read_exact(&mut [0; 3]).unwrap();
        assert!((1..both).contains(&left(&here)));
        receive(there.as_fd()).unwrap();
        assert_eq!(left(&here), 0);
    }

    #[test]
    fn a_socket_that_does_not_block_says_so_and_sends_nothing() {
        let (here, there) = pair();
        let null = File::open("/dev/null").unwrap();
        for end in [&here, &there] {
            end.set_nonblocking(true).unwrap();
        }
        let would_block = io::ErrorKind::WouldBlock;
        assert_eq!(receive(there.as_fd()).unwrap_err().kind(), would_block);
        let mut sent = 0;
        let error = loop {
            match send(here.as_fd(), 0, null.as_fd()) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        // The kernel may say that too many are on their way before it says that there is no room.
        let too_many = error.raw_os_error() == Some(libc::ETOOMANYREFS);
        assert!(error.kind() == would_block || too_many, "{error}");
        let received = std::iter::from_fn(|| receive(there.as_fd()).ok()).count();
        assert_eq!(received, sent);
    }
}
