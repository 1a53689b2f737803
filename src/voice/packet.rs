//! Datagrams: 512 bytes, always. Pure: bytes in, values out.
//!
//! ```text
//!  voice    | uid: u64 LE | 504 bytes of the speaker's own                                     |
//!  system   | ff ff ff ff | operation: i32 BE, < 0 | uid: u64 LE (BE is accepted) | ackid: u32 LE | checksum: u32 LE |
//!  offset     0             4                        8                              16              20
//!           | 24: marker "LH-TAG1\0" | 32: sequence: u64 LE | 40: HMAC-SHA256, 32 bytes         |  a ticket's holder
//!           | 24: marker "LH-SEQ1\0" | 32: sequence: u64 LE |  the box's ACK that asks for another JOIN
//!           | 24: marker "LH-SIG1\0" | 32: moment: u64 LE   | 40: channel: u64 LE | 48: Ed25519, 64 bytes |  the box
//! ```

use super::Uid;

/// Bytes of every datagram.
pub(crate) const PACKET: usize = 512;
/// Bytes of a system packet that mean something.
pub(crate) const HEAD: usize = 112;
/// A whole datagram.
pub(crate) type Packet = [u8; PACKET];

const MAGIC: [u8; 4] = [0xff; 4];
/// What the operation's bits leave of the original's checksum: 177013 << 10.
const SALT: u32 = 177_013 << 10;

/// What a system packet asks for or tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// The member is still there.
    Keepalive,
    /// The member takes its seat at the address that this comes from.
    Join,
    /// The member leaves.
    Leave,
    /// What was asked to be acknowledged has arrived.
    Ack,
    /// The channel ends.
    Stop,
}

impl Operation {
    fn of(number: u32) -> Option<Self> {
        Some(match number {
            0x8000_0000 => Self::Keepalive,
            0x8000_0001 => Self::Join,
            0x8000_0002 => Self::Leave,
            0x8000_0003 => Self::Ack,
            0x8000_0004 => Self::Stop,
            _ => return None,
        })
    }

    fn number(self) -> u32 {
        0x8000_0000
            + match self {
                Self::Keepalive => 0,
                Self::Join => 1,
                Self::Leave => 2,
                Self::Ack => 3,
                Self::Stop => 4,
            }
    }
}

/// A system packet's header.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct System {
    /// What it is about.
    pub(crate) operation: Operation,
    /// Whom it is about, in the order of bytes that is canonical; see [`uids`](Self::uids).
    pub(crate) uid: Uid,
    /// Not zero: whoever sent it wants an [`Operation::Ack`] with the same number.
    pub(crate) ackid: u32,
    /// As it came.
    pub(crate) checksum: u32,
}

impl System {
    /// A header with its checksum.
    pub(crate) fn new(operation: Operation, uid: Uid, ackid: u32) -> Self {
        Self {
            operation,
            uid,
            ackid,
            checksum: checksum(uid, ackid),
        }
    }

    /// Whom it may be about, likelier first: the original's own programs disagree about the order of bytes.
    pub(crate) fn uids(&self) -> [Uid; 2] {
        [self.uid, Uid(self.uid.0.swap_bytes())]
    }

    /// Whether the checksum is the one that its bytes have.
    pub(crate) fn is_sound(&self) -> bool {
        self.checksum == checksum(self.uid, self.ackid)
    }

    /// The header and no more.
    pub(crate) fn encode(&self) -> Packet {
        let mut packet = [0; PACKET];
        packet[..4].copy_from_slice(&MAGIC);
        packet[4..8].copy_from_slice(&self.operation.number().to_be_bytes());
        packet[8..16].copy_from_slice(&self.uid.0.to_le_bytes());
        packet[16..20].copy_from_slice(&self.ackid.to_le_bytes());
        packet[20..24].copy_from_slice(&self.checksum.to_le_bytes());
        packet
    }
}

/// As the original computes it: the operation does not count, and of the uid its first three bytes.
fn checksum(uid: Uid, ackid: u32) -> u32 {
    let [low, ..] = [(uid.0 << 8) as u32];
    low ^ SALT ^ ackid
}

/// What a datagram is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Datagram {
    /// Somebody speaks.
    Voice(Uid),
    /// A word to the channel itself.
    System(System),
}

/// Why a datagram is none of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DecodeError {
    /// Too short or too long.
    #[error("a datagram of {0} bytes, not {PACKET}")]
    Size(usize),
    /// An operation that does not exist.
    #[error("no operation {0:#x}")]
    Operation(u32),
}

/// Reads a datagram.
pub(crate) fn decode(bytes: &[u8]) -> Result<Datagram, DecodeError> {
    let packet: &Packet = bytes
        .try_into()
        .map_err(|_| DecodeError::Size(bytes.len()))?;
    let [a, b, c, d, e, f, g, h, ..] = *packet;
    let operation = u32::from_be_bytes([e, f, g, h]);
    if [a, b, c, d] != MAGIC || operation >> 31 == 0 {
        return Ok(Datagram::Voice(Uid(u64::from_le_bytes([
            a, b, c, d, e, f, g, h,
        ]))));
    }
    Ok(Datagram::System(System {
        operation: Operation::of(operation).ok_or(DecodeError::Operation(operation))?,
        uid: Uid(u64::from_le_bytes(field(packet, 8))),
        ackid: u32::from_le_bytes(field(packet, 16)),
        checksum: u32::from_le_bytes(field(packet, 20)),
    }))
}

fn field<const N: usize>(packet: &Packet, at: usize) -> [u8; N] {
    let field = packet[at..at + N].try_into();
    field.expect("fields end within a packet")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn head(hex: &str) -> Packet {
        let bytes = data_encoding::HEXLOWER.decode(hex.replace(' ', "").as_bytes());
        let bytes = bytes.unwrap();
        let mut packet = [0; PACKET];
        packet[..bytes.len()].copy_from_slice(&bytes);
        packet
    }

    #[test]
    fn the_worked_examples_read_and_write_as_they_are_written() {
        let examples = [
            (
                "ffffffff 80000000 0100000000000000 00000000 00d5cd0a",
                System::new(Operation::Keepalive, Uid(1), 0),
            ),
            (
                "ffffffff 80000000 0000000000000001 00000000 00d4cd0a",
                System::new(Operation::Keepalive, Uid(1 << 56), 0),
            ),
            (
                "ffffffff 80000001 0000000000000001 07000000 07d4cd0a",
                System::new(Operation::Join, Uid(1 << 56), 7),
            ),
        ];
        for (hex, system) in examples {
            assert_eq!(decode(&head(hex)), Ok(Datagram::System(system)));
            assert_eq!(system.encode(), head(hex));
            assert!(system.is_sound() && system.uids().contains(&Uid(1)));
        }
        assert_eq!(examples[0].1.checksum, 0x0acd_d500);
        assert_eq!(examples[1].1.checksum, 0x0acd_d400);
    }

    #[test]
    fn voice_is_all_that_is_not_marked_as_the_boxs() {
        let mut packet = head("0200000000000000");
        assert_eq!(decode(&packet), Ok(Datagram::Voice(Uid(2))));
        // The magic alone is not enough: the operation must be negative.
        packet[..8].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x7f, 0, 0, 0]);
        assert_eq!(
            decode(&packet),
            Ok(Datagram::Voice(Uid(0x0000_007f_ffff_ffff)))
        );
        packet[4..8].copy_from_slice(&0x8000_0005u32.to_be_bytes());
        assert_eq!(decode(&packet), Err(DecodeError::Operation(0x8000_0005)));
    }

    #[test]
    fn every_truncation_and_one_byte_more_are_refused() {
        let packet = System::new(Operation::Keepalive, Uid(1), 0).encode();
        for len in 0..PACKET {
            assert_eq!(decode(&packet[..len]), Err(DecodeError::Size(len)));
        }
        let long = [&packet[..], b"x"].concat();
        assert_eq!(decode(&long), Err(DecodeError::Size(PACKET + 1)));
    }

    fn operations() -> impl Strategy<Value = Operation> {
        prop::sample::select(vec![
            Operation::Keepalive,
            Operation::Join,
            Operation::Leave,
            Operation::Ack,
            Operation::Stop,
        ])
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(operation in operations(), uid: u64, ackid: u32) {
            let system = System::new(operation, Uid(uid), ackid);
            prop_assert!(system.is_sound());
            prop_assert_eq!(decode(&system.encode()), Ok(Datagram::System(system)));
        }

        #[test]
        fn a_changed_checksum_or_ackid_is_noticed(uid: u64, ackid: u32, bit in 16usize * 8..24 * 8) {
            let mut packet = System::new(Operation::Keepalive, Uid(uid), ackid).encode();
            packet[bit / 8] ^= 1 << (bit % 8);
            let Ok(Datagram::System(system)) = decode(&packet) else {
                panic!("it is still a system packet");
            };
            prop_assert!(!system.is_sound());
        }

        #[test]
        fn no_sound_uid_speaks_as_the_box(uid: u64, payload: u8) {
            let mut packet = [payload; PACKET];
            packet[..8].copy_from_slice(&uid.to_le_bytes());
            if Uid(uid).is_sound() {
                prop_assert_eq!(decode(&packet), Ok(Datagram::Voice(Uid(uid))));
            }
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(
            mut bytes in prop::collection::vec(any::<u8>(), 0..600),
            magic: bool,
            whole: bool,
        ) {
            if whole {
                bytes.resize(PACKET, 0);
            }
            if magic && bytes.len() >= 5 {
                bytes[..5].copy_from_slice(&[0xff, 0xff, 0xff, 0xff, 0x80]);
            }
            let _ = decode(&bytes);
        }
    }
}
