//! Strangers who send as much as they can.

use std::{
    io::{self, IoSlice},
    net::{Ipv4Addr, UdpSocket},
};

use crate::{
    arena::Arena,
    packet::{PACKET, Word},
    sys,
};

/// Addresses that the flood comes from.
const SOURCES: u8 = 8;
/// Packets of one call: the kernel makes datagrams of them, so that the flood is as large as one core can make it.
const BURST: usize = 32;

/// Who has not joined, on addresses of their own.
pub(crate) struct Strangers {
    sockets: Vec<UdpSocket>,
    bursts: [Vec<u8>; 2],
    turn: usize,
}

impl Strangers {
    /// Half of what they send has a uid that nobody has, half that of a member.
    pub(crate) fn of(arena: &Arena) -> io::Result<Self> {
        let sockets: io::Result<Vec<_>> = (0..SOURCES)
            .map(|at| {
                let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2 + at), 0))?;
                socket.connect(arena.address)?;
                Ok(socket)
            })
            .collect();
        let burst = |uid| {
            let mut packet = [0; PACKET];
            let word = Word {
                uid,
                run: 0,
                talker: 0,
                sequence: 0,
                sent: 0,
            };
            word.write(&mut packet);
            packet.repeat(BURST)
        };
        Ok(Self {
            sockets: sockets?,
            bursts: [burst(0x5357_414d_5357_414d), burst(arena.uids[0])],
            turn: 0,
        })
    }

    /// The next one sends some; how many.
    pub(crate) fn burst(&mut self) -> io::Result<u64> {
        self.turn += 1;
        let socket = &self.sockets[self.turn % self.sockets.len()];
        let burst = &self.bursts[self.turn / self.sockets.len() % 2];
        sys::send_segments(socket, None, &[IoSlice::new(burst)], PACKET as u16)?;
        Ok(BURST as u64)
    }
}
