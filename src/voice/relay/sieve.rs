//! Keeps a flood of strangers out in the kernel, where a packet costs least. Pure: a roster in, a program out.
//!
//! The program (classic BPF) lets in what comes from the address of a member who is not muzzled, what speaks as the uid of a free seat from
//! where that may be taken, and of the rest a sample, so that the flood can still be counted; a larger one of what looks
//! like a word with a proof, so that joins come through in time. It is a sieve: the judge decides afterwards. Addresses
//! are 32-bit keys, sorted and in blocks, so that a stranger is told by a few dozen comparisons at most.

use std::{net::IpAddr, time::Duration};

use libc::{
    BPF_A, BPF_ABS, BPF_ALU, BPF_B, BPF_H, BPF_JA, BPF_JEQ, BPF_JGT, BPF_JMP, BPF_JSET, BPF_K,
    BPF_LD, BPF_LDX, BPF_MEM, BPF_MISC, BPF_MOD, BPF_MUL, BPF_RET, BPF_RSH, BPF_STX, BPF_TAX,
    BPF_W, BPF_X, BPF_XOR, SKF_AD_OFF, SKF_AD_RANDOM, SKF_NET_OFF, sock_filter,
};

use super::{
    judge::{MARKER, SIGNED, TICKET},
    roster::Roster,
};
use crate::voice::Uid;

/// What the kernel takes at most.
const LONGEST: usize = 4096;
/// Keys of a block: jumps reach 255 instructions far.
const BLOCK: usize = 64;
/// One in so many strangers' packets is let in,
const SAMPLE: u32 = 64;
/// and of those that look as if they had a proof, which the judge limits for each source. Powers of two.
const PROVEN: u32 = 4;
/// Spread addresses and uids over all 32 bits, so that what is mixed in does not make one into another.
const SPREAD: [u32; 2] = [0x9e37_79b1, 0x85eb_ca6b];

/// Where things are, as the program sees a packet: from the UDP header on.
const PORT: u32 = 0;
const PAYLOAD: u32 = 8;
const VOICE_UID: u32 = PAYLOAD;
const OPERATION: u32 = PAYLOAD + 4;
const SYSTEM_UID: u32 = PAYLOAD + 8;
const MARK: u32 = PAYLOAD + MARKER.start as u32;
/// The IP header,
const IP: u32 = SKF_NET_OFF as u32;
/// and a number of the kernel's choosing.
const RANDOM: u32 = (SKF_AD_OFF + SKF_AD_RANDOM) as u32;

/// The program for this roster `now` (time since the epoch); none, when it would be longer than the kernel takes.
pub(super) fn program(roster: &Roster, now: Duration) -> Option<Vec<sock_filter>> {
    let seats = roster.seats();
    let heard = seats.iter().filter(|seat| !seat.is_muzzled(now));
    let bound = heard.filter_map(|seat| seat.address());
    let bound = sorted(bound.map(|from| spread(from.ip()) ^ u32::from(from.port())));
    let free = seats
        .iter()
        .filter_map(|seat| Some((seat.vacancy()?, seat.uid())));
    let free = sorted(free.flat_map(|(ip, Uid(uid))| {
        [uid.to_le_bytes(), uid.to_be_bytes()].map(|uid| spread(ip) ^ blend(uid))
    }));

    // X: the address.
    let mut program = source();
    program.extend([load(BPF_H, PORT), op(BPF_ALU | BPF_XOR | BPF_X, 0)]);
    accept_any(&bound, &mut program);
    if !free.is_empty() {
        let (voice, system) = (uid(VOICE_UID), uid(SYSTEM_UID));
        program.extend([op(BPF_STX, 0), load(BPF_W, VOICE_UID)]);
        program.push(jump(BPF_JEQ, u32::MAX, voice.len() as u8 + 1, 0));
        program.extend(voice);
        program.push(op(BPF_JMP | BPF_JA, system.len() as u32));
        program.extend(system);
        program.extend([op(BPF_LDX | BPF_MEM, 0), op(BPF_ALU | BPF_XOR | BPF_X, 0)]);
        accept_any(&free, &mut program);
    }
    program.extend(rest());
    (program.len() <= LONGEST).then_some(program)
}

/// Accepts a sample of what nobody is known to have sent.
fn rest() -> [sock_filter; 13] {
    [
        load(BPF_W, PAYLOAD),
        jump(BPF_JEQ, u32::MAX, 0, 7),
        load(BPF_W, OPERATION),
        jump(BPF_JSET, 1 << 31, 0, 5),
        load(BPF_W, MARK),
        jump(BPF_JEQ, beginning(TICKET), 1, 0),
        jump(BPF_JEQ, beginning(SIGNED), 0, 2),
        load(BPF_W, RANDOM),
        jump(BPF_JSET, PROVEN - 1, 2, 3),
        load(BPF_W, RANDOM),
        jump(BPF_JSET, SAMPLE - 1, 0, 1),
        op(BPF_RET | BPF_K, 0),
        op(BPF_RET | BPF_K, u32::MAX),
    ]
}

fn beginning(&[a, b, c, d, ..]: &[u8; 8]) -> u32 {
    u32::from_be_bytes([a, b, c, d])
}

/// An address as a number.
fn spread(ip: IpAddr) -> u32 {
    let folded = match ip {
        IpAddr::V4(ip) => ip.to_bits(),
        IpAddr::V6(ip) => {
            let bits = ip.to_bits();
            [0, 32, 64, 96]
                .iter()
                .fold(0, |sum, at| sum ^ (bits >> at) as u32)
        }
    };
    folded.wrapping_mul(SPREAD[0])
}

/// Puts into X what [`spread`] makes of the address that the packet comes from.
fn source() -> Vec<sock_filter> {
    let xor = [op(BPF_MISC | BPF_TAX, 0), op(BPF_ALU | BPF_XOR | BPF_X, 0)];
    let [a, b, c, d] = [8, 12, 16, 20].map(|at| load(BPF_W, IP.wrapping_add(at)));
    let v6 = [a, xor[0], b, xor[1], xor[0], c, xor[1], xor[0], d, xor[1]];
    let mut program = vec![
        load(BPF_B, IP),
        op(BPF_ALU | BPF_RSH | BPF_K, 4),
        jump(BPF_JEQ, 4, 0, 2),
        load(BPF_W, IP.wrapping_add(12)),
        op(BPF_JMP | BPF_JA, v6.len() as u32),
    ];
    program.extend(v6);
    program.extend([
        op(BPF_ALU | BPF_MUL | BPF_K, SPREAD[0]),
        op(BPF_MISC | BPF_TAX, 0),
    ]);
    program
}

/// A uid's bytes, in the order in which a packet has them, as a number.
fn blend([a, b, c, d, e, f, g, h]: [u8; 8]) -> u32 {
    let [first, second] = [[a, b, c, d], [e, f, g, h]].map(u32::from_be_bytes);
    first.wrapping_mul(SPREAD[1]) ^ second
}

/// Puts into A what [`blend`] makes of the uid at `at`.
fn uid(at: u32) -> [sock_filter; 5] {
    [
        load(BPF_W, at),
        op(BPF_ALU | BPF_MUL | BPF_K, SPREAD[1]),
        op(BPF_MISC | BPF_TAX, 0),
        load(BPF_W, at + 4),
        op(BPF_ALU | BPF_XOR | BPF_X, 0),
    ]
}

/// Accepts the packet if A is one of these, and leaves A and X alone.
fn accept_any(keys: &[u32], program: &mut Vec<sock_filter>) {
    let end = program.len() + keys.len() + 3 * keys.len().div_ceil(BLOCK);
    for block in keys.chunks(BLOCK) {
        let len = block.len() as u8;
        program.push(jump(BPF_JGT, block[block.len() - 1], len + 2, 0));
        let keys = block.iter().zip((1..=len).rev());
        program.extend(keys.map(|(&key, accept)| jump(BPF_JEQ, key, accept, 0)));
        let rest = end - program.len() - 1;
        program.push(op(BPF_JMP | BPF_JA, rest as u32));
        program.push(op(BPF_RET | BPF_K, u32::MAX));
    }
}

fn sorted(keys: impl Iterator<Item = u32>) -> Vec<u32> {
    let mut keys: Vec<_> = keys.collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

fn load(size: u32, at: u32) -> sock_filter {
    op(BPF_LD | size | BPF_ABS, at)
}

fn op(code: u32, k: u32) -> sock_filter {
    instruction(code, k, 0, 0)
}

fn jump(test: u32, k: u32, yes: u8, no: u8) -> sock_filter {
    instruction(BPF_JMP | test | BPF_K, k, yes, no)
}

fn instruction(code: u32, k: u32, jt: u8, jf: u8) -> sock_filter {
    sock_filter {
        code: code as u16,
        jt,
        jf,
        k,
    }
}

/// The program that spreads talkers evenly over so many sockets: by the lowest byte of their uid.
pub(super) fn steering(sockets: usize) -> [sock_filter; 3] {
    [
        load(BPF_B, 0),
        op(BPF_ALU | BPF_MOD | BPF_K, sockets as u32),
        op(BPF_RET | BPF_A, 0),
    ]
}

#[cfg(test)]
mod tests {
    use std::{
        io::ErrorKind,
        net::{SocketAddr, UdpSocket},
        os::fd::AsFd,
        sync::Arc,
    };

    use super::*;
    use crate::voice::{
        packet::{Operation, PACKET, Packet, System},
        relay::{
            roster::{Claim, Seat},
            socket,
        },
    };

    fn seat(uid: u64, claim: Claim, address: Option<SocketAddr>) -> Arc<Seat> {
        Arc::new(Seat::new(Uid(uid), 0, claim, address, Duration::ZERO))
    }

    fn voice(uid: u64) -> Packet {
        let mut packet = [0; PACKET];
        packet[..8].copy_from_slice(&uid.to_le_bytes());
        packet
    }

    fn keepalive(uid: u64) -> Packet {
        System::new(Operation::Keepalive, Uid(uid), 0).encode()
    }

    /// How many of 640 packets from `from` are let in at `to`.
    fn let_in(to: &UdpSocket, from: &UdpSocket, bytes: &[u8]) -> usize {
        let port = to.local_addr().unwrap().port();
        let address = (from.local_addr().unwrap().ip(), port);
        let mut heard = [0; PACKET + 1];
        let mut count = 0;
        for _ in 0..64 {
            for _ in 0..10 {
                from.send_to(bytes, address).unwrap();
            }
            // On loopback a packet is queued, or is not, before `send_to` returns.
            loop {
                match to.recv(&mut heard) {
                    Ok(_) => count += 1,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                    Err(error) => panic!("{error}"),
                }
            }
        }
        count
    }

    #[test]
    fn members_and_who_may_become_one_are_let_in_and_of_others_a_sample() {
        for (any, local) in [
            ("0.0.0.0:0", "127.0.0.1:0"),
            ("[::]:0", "127.0.0.1:0"),
            ("[::]:0", "[::1]:0"),
        ] {
            let to = UdpSocket::from(socket::open(any.parse().unwrap(), false).unwrap());
            let [member, guest, other] = [(); 3].map(|()| UdpSocket::bind(local).unwrap());
            let address = member.local_addr().unwrap();
            // Many others, so that there are several blocks.
            let crowd = (0..500u32).map(|n| {
                let from = SocketAddr::from((n.wrapping_mul(77_777).to_be_bytes(), 9));
                seat(u64::from(n) + 100, Claim::Taken, Some(from))
            });
            let guests = (0..200).map(|n| seat(n + 1000, Claim::From(address.ip()), None));
            let abroad = seat(7, Claim::From([192, 0, 2, 1].into()), None);
            let mine = seat(1, Claim::Taken, Some(address));
            let roster = Roster::new(crowd.chain(guests).chain([mine, abroad]));
            socket::filter(to.as_fd(), &program(&roster, Duration::ZERO).unwrap()).unwrap();

            assert_eq!(let_in(&to, &member, &voice(5)), 640);
            assert_eq!(let_in(&to, &member, b"x"), 640);
            assert_eq!(let_in(&to, &guest, &voice(1000)), 640);
            assert_eq!(let_in(&to, &guest, &voice(1199)), 640);
            assert_eq!(let_in(&to, &guest, &keepalive(1100)), 640);
            assert_eq!(let_in(&to, &guest, &keepalive(1100u64.swap_bytes())), 640);
            let mut refused = 0;
            for bytes in [voice(1), voice(7), voice(1200), keepalive(1), keepalive(7)] {
                let sample = let_in(&to, &other, &bytes);
                assert!(sample < 60, "{sample}");
                refused += 640 - sample;
            }
            assert_eq!(socket::queues(to.as_fd()).drops as usize, refused);
            socket::unfilter(to.as_fd()).unwrap();
            assert_eq!(let_in(&to, &other, &voice(1)), 640);
        }
    }

    #[test]
    fn of_words_that_may_have_a_proof_more_are_let_in() {
        let to = UdpSocket::from(socket::open("127.0.0.1:0".parse().unwrap(), false).unwrap());
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let free = seat(7, Claim::From([192, 0, 2, 1].into()), None);
        let marked = |mut packet: Packet, marker: &[u8; 8]| {
            packet[MARKER].copy_from_slice(marker);
            packet
        };
        let word = |operation| System::new(operation, Uid(1), 0).encode();
        for roster in [Roster::default(), Roster::new([free])] {
            socket::filter(to.as_fd(), &program(&roster, Duration::ZERO).unwrap()).unwrap();
            for bytes in [
                marked(word(Operation::Join), TICKET),
                marked(word(Operation::Leave), SIGNED),
                marked(word(Operation::Stop), SIGNED),
            ] {
                let sample = let_in(&to, &from, &bytes);
                assert!((90..250).contains(&sample), "{sample}");
            }
            let mut positive = marked(word(Operation::Join), TICKET);
            positive[4] = 0;
            for bytes in [
                word(Operation::Join),
                marked(word(Operation::Join), b"LH-OTHER"),
                marked(voice(7), TICKET),
                positive,
            ] {
                let sample = let_in(&to, &from, &bytes);
                assert!(sample < 60, "{sample}");
            }
            for short in [0, 3, 4, 8, 27] {
                let word = &marked(word(Operation::Join), TICKET)[..short];
                assert!(let_in(&to, &from, word) < 60);
            }
        }
    }

    #[test]
    fn a_program_is_as_long_as_the_kernel_takes_or_there_is_none() {
        let roster = |members: u32| {
            Roster::new((0..members).map(|n| {
                let from = SocketAddr::from((n.to_be_bytes(), 9));
                seat(n.into(), Claim::Taken, Some(from))
            }))
        };
        let to = UdpSocket::from(socket::open("127.0.0.1:0".parse().unwrap(), false).unwrap());
        for members in [0, 1, 63, 64, 65, 128, 3_800] {
            let program = program(&roster(members), Duration::ZERO).unwrap();
            socket::filter(to.as_fd(), &program).unwrap();
        }
        assert!(program(&roster(4_096), Duration::ZERO).is_none());
    }

    #[test]
    fn packets_are_spread_by_uid() {
        let first = socket::open("127.0.0.1:0".parse().unwrap(), false).unwrap();
        let first = UdpSocket::from(first);
        let address = first.local_addr().unwrap();
        socket::share(first.as_fd(), true).unwrap();
        let others = [(); 2].map(|()| UdpSocket::from(socket::open(address, true).unwrap()));
        let from = UdpSocket::bind("127.0.0.1:0").unwrap();
        let heard = |by: &UdpSocket| {
            let mut bytes = [0; PACKET];
            let mut uids = Vec::new();
            while by.recv(&mut bytes).is_ok() {
                uids.push(bytes[0]);
            }
            uids
        };
        for (sockets, expected) in [
            (3, [vec![3, 6], vec![1, 4], vec![2, 5]]),
            (2, [vec![2, 4, 6], vec![1, 3, 5], vec![]]),
        ] {
            socket::steer(first.as_fd(), &steering(sockets)).unwrap();
            for uid in 1..=6 {
                from.send_to(&voice(uid), address).unwrap();
            }
            let [second, third] = &others;
            assert_eq!([&first, second, third].map(heard), expected);
        }
    }
}
