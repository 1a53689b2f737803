//! Proofs in system packets: the box's signature, and the tag of who holds a ticket. Layouts are in [`packet`].
//!
//! A proof says who made a packet, not when it was sent: whoever takes one in has to see to it that it is fresh
//! ([`Signed::moment`]) or newer than the last ([`Tagged::sequence`]).

use std::fmt;

use data_encoding::HEXLOWER;
use ed25519_dalek::{SIGNATURE_LENGTH, Signature, Signer as _, SigningKey};
use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use super::{
    ChannelId, Uid,
    packet::{self, Datagram, HEAD, Operation, PACKET, Packet, System},
};
use crate::clock::UnixMillis;

const SIGNED: [u8; 8] = *b"LH-SIG1\0";
const TAGGED: [u8; 8] = *b"LH-TAG1\0";
const ASKING: [u8; 8] = *b"LH-SEQ1\0";
/// Where the marker is, then what it says, then the proof.
const MARKER: usize = 24;
const SEQUENCE: usize = 32;
const MOMENT: usize = 32;
const TAG: usize = 40;
const CHANNEL: usize = 40;
const SIGNATURE: usize = 48;

/// 32 secret bytes: the box's signing key, or a ticket's. Never printed.
#[derive(Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Key(pub(super) [u8; 32]);

impl Key {
    /// One that nobody has.
    pub(super) fn fresh() -> Self {
        let mut bytes = [0; 32];
        getrandom::fill(&mut bytes).expect("a running kernel has random bytes");
        Self(bytes)
    }

    /// For whom it is meant.
    pub(super) fn hex(&self) -> String {
        HEXLOWER.encode(&self.0)
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(..)")
    }
}

/// The box itself, in front of members.
#[derive(Clone)]
pub(super) struct Signer(SigningKey);

/// What the box has said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Signed {
    pub(super) system: System,
    /// When.
    pub(super) moment: UnixMillis,
}

/// Why the box has not said it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unproven {
    /// Nobody says that it has.
    #[error("no signature")]
    Absent,
    /// It was about another channel.
    #[error("a word about voice channel {}", .0.0)]
    Elsewhere(ChannelId),
    /// It was somebody else, or it was changed since.
    #[error("a signature that is not the box's")]
    Forged,
}

impl Signer {
    pub(super) fn new(key: &Key) -> Self {
        Self(SigningKey::from_bytes(&key.0))
    }

    /// What members check the box's words with, as hex.
    pub(super) fn public(&self) -> String {
        HEXLOWER.encode(self.0.verifying_key().as_bytes())
    }

    /// A word of the box's to the members of a channel.
    pub(super) fn sign(
        &self,
        operation: Operation,
        uid: Uid,
        ackid: u32,
        moment: UnixMillis,
        channel: ChannelId,
    ) -> Packet {
        let mut packet = System::new(operation, uid, ackid).encode();
        put(&mut packet, MARKER, &SIGNED);
        put(&mut packet, MOMENT, &moment.0.to_le_bytes());
        put(&mut packet, CHANNEL, &channel.0.to_le_bytes());
        let signature = self.0.sign(&packet[..SIGNATURE]);
        put(&mut packet, SIGNATURE, &signature.to_bytes());
        packet
    }

    /// What the box has said about this channel.
    pub(super) fn verify(&self, head: &[u8; HEAD], channel: ChannelId) -> Result<Signed, Unproven> {
        if take(head, MARKER) != SIGNED {
            return Err(Unproven::Absent);
        }
        let about = ChannelId(u64::from_le_bytes(take(head, CHANNEL)));
        if about != channel {
            return Err(Unproven::Elsewhere(about));
        }
        let signature = Signature::from_bytes(&take::<SIGNATURE_LENGTH>(head, SIGNATURE));
        self.0
            .verifying_key()
            .verify_strict(&head[..SIGNATURE], &signature)
            .map_err(|_| Unproven::Forged)?;
        let mut packet = [0; PACKET];
        put(&mut packet, 0, head);
        match packet::decode(&packet) {
            Ok(Datagram::System(system)) => Ok(Signed {
                system,
                moment: UnixMillis(u64::from_le_bytes(take(head, MOMENT))),
            }),
            _ => Err(Unproven::Absent),
        }
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.public())
    }
}

/// What says that it comes from a ticket's holder.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tagged<'a> {
    /// Larger than that of every packet before it, or it is an old one.
    pub(super) sequence: u64,
    head: &'a [u8; HEAD],
}

impl<'a> Tagged<'a> {
    /// None: it does not say so.
    pub(super) fn read(head: &'a [u8; HEAD]) -> Option<Self> {
        let sequence = u64::from_le_bytes(take(head, SEQUENCE));
        (take(head, MARKER) == TAGGED).then_some(Self { sequence, head })
    }

    /// Whether who made it has `key`, and meant this channel. Takes the same time whatever the tag is.
    pub(super) fn is_by(&self, key: &Key, channel: ChannelId) -> bool {
        tag(key, channel, self.head)
            .verify(&take::<32>(self.head, TAG).into())
            .is_ok()
    }
}

/// An acknowledgement that asks for the same SYS_JOIN once more, with this sequence.
pub(super) fn again(uid: Uid, ackid: u32, sequence: u64) -> Packet {
    let mut packet = System::new(Operation::Ack, uid, ackid).encode();
    put(&mut packet, MARKER, &ASKING);
    put(&mut packet, SEQUENCE, &sequence.to_le_bytes());
    packet
}

/// The sequence that [`again`] asks for.
#[cfg(test)]
pub(super) fn asked(packet: &Packet) -> Option<u64> {
    let head: &[u8; HEAD] = packet.first_chunk()?;
    let sequence = u64::from_le_bytes(take(head, SEQUENCE));
    (take(head, MARKER) == ASKING).then_some(sequence)
}

/// The SYS_JOIN of a ticket's holder.
#[cfg(test)]
pub(super) fn join(key: &Key, channel: ChannelId, uid: Uid, ackid: u32, sequence: u64) -> Packet {
    let mut packet = System::new(Operation::Join, uid, ackid).encode();
    put(&mut packet, MARKER, &TAGGED);
    put(&mut packet, SEQUENCE, &sequence.to_le_bytes());
    let tag = tag(key, channel, &packet).finalize().into_bytes();
    put(&mut packet, TAG, &tag);
    packet
}

/// Over the channel's id and all that stands before the tag.
fn tag(key: &Key, channel: ChannelId, packet: &[u8]) -> Hmac<Sha256> {
    let mut tag = Hmac::<Sha256>::new_from_slice(&key.0).expect("HMAC takes a key of any length");
    tag.update(&channel.0.to_le_bytes());
    tag.update(&packet[..TAG]);
    tag
}

fn take<const N: usize>(head: &[u8; HEAD], at: usize) -> [u8; N] {
    let field = head[at..at + N].try_into();
    field.expect("fields end within a head")
}

fn put(packet: &mut Packet, at: usize, bytes: &[u8]) {
    packet[at..at + bytes.len()].copy_from_slice(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// For who writes a client; its examples are these.
    const PAGE: &str = include_str!("../../docs/kv.md");
    const CHANNEL_42: ChannelId = ChannelId(42);
    const MOMENT_OF_ALL: UnixMillis = UnixMillis(1_700_000_000_123);

    fn key() -> Key {
        Key(std::array::from_fn(|at| at as u8))
    }

    fn head(packet: &Packet) -> &[u8; HEAD] {
        packet.first_chunk().unwrap()
    }

    /// The bytes, as they are shown in `docs/kv.md`, and zeros up to the end.
    fn padded(hex: &str) -> Packet {
        assert!(PAGE.replace([' ', '\n'], "").contains(hex));
        let mut packet = [0; PACKET];
        put(&mut packet, 0, &HEXLOWER.decode(hex.as_bytes()).unwrap());
        packet
    }

    #[test]
    fn headers_are_as_they_are_shown() {
        let golden = [
            (
                Operation::Keepalive,
                Uid(1),
                0,
                "ffffffff 80000000 0100000000000000 00000000 00d5cd0a",
            ),
            (
                Operation::Join,
                Uid(1),
                7,
                "ffffffff 80000001 0100000000000000 07000000 07d5cd0a",
            ),
            (
                Operation::Ack,
                Uid(1),
                7,
                "ffffffff 80000003 0100000000000000 07000000 07d5cd0a",
            ),
            (
                Operation::Keepalive,
                Uid(1 << 56),
                0,
                "ffffffff 80000000 0000000000000001 00000000 00d4cd0a",
            ),
            (
                Operation::Join,
                Uid(1 << 56),
                7,
                "ffffffff 80000001 0000000000000001 07000000 07d4cd0a",
            ),
        ];
        for (operation, uid, ackid, shown) in golden {
            let packet = System::new(operation, uid, ackid).encode();
            assert_eq!(packet, padded(&shown.replace(' ', "")));
        }
    }

    #[test]
    fn a_tagged_join_has_these_bytes_for_ever() {
        // Made with Python's hmac.
        let golden = padded(
            "ffffffff8000000101000000000000000700000007d5cd0a4c482d54414731007b68e5cf8b010000\
             eb952058e03a531a5bf19936221c24f9b5dc5eac412b9a4046e726e7d5366b15",
        );
        let join = join(&key(), CHANNEL_42, Uid(1), 7, MOMENT_OF_ALL.0);
        assert_eq!(join, golden);
        let tagged = Tagged::read(head(&golden)).unwrap();
        assert_eq!(tagged.sequence, 1_700_000_000_123);
        assert!(tagged.is_by(&key(), CHANNEL_42));
        assert!(!tagged.is_by(&key(), ChannelId(43)));
        assert!(!tagged.is_by(&Key::fresh(), CHANNEL_42));
    }

    #[test]
    fn a_signed_stop_has_these_bytes_for_ever() {
        // Made with Python's cryptography, that is OpenSSL.
        let golden = padded(
            "ffffffff8000000400000000000000000000000000d4cd0a4c482d53494731007b68e5cf8b010000\
             2a000000000000005b4c12b3fc37151b2220e1fe4fb793d24ddc8a84d7d007ef9b9457454c9a9e2b\
             3b33c63a2d661e680cfa50a53f17f18931ae3afc74e56858d0dccafc57cfde00",
        );
        let signer = Signer::new(&key());
        let public = "03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8";
        assert_eq!(signer.public(), public);
        let stop = signer.sign(Operation::Stop, Uid(0), 0, MOMENT_OF_ALL, CHANNEL_42);
        assert_eq!(stop, golden);
        let signed = Signed {
            system: System::new(Operation::Stop, Uid(0), 0),
            moment: MOMENT_OF_ALL,
        };
        assert_eq!(signer.verify(head(&golden), CHANNEL_42), Ok(signed));
        assert_eq!(
            signer.verify(head(&golden), ChannelId(43)),
            Err(Unproven::Elsewhere(CHANNEL_42))
        );
        let other = Signer::new(&Key::fresh());
        assert_eq!(
            other.verify(head(&golden), CHANNEL_42),
            Err(Unproven::Forged)
        );
    }

    #[test]
    fn one_proof_does_not_pass_for_the_other_and_none_for_neither() {
        let signer = Signer::new(&key());
        let plain = System::new(Operation::Join, Uid(1), 0).encode();
        let tagged = join(&key(), CHANNEL_42, Uid(1), 0, 1);
        let signed = signer.sign(Operation::Join, Uid(1), 0, MOMENT_OF_ALL, CHANNEL_42);
        for packet in [&plain, &tagged] {
            let verified = signer.verify(head(packet), CHANNEL_42);
            assert_eq!(verified, Err(Unproven::Absent));
        }
        for packet in [&plain, &signed] {
            assert!(Tagged::read(head(packet)).is_none());
        }
    }

    #[test]
    fn what_is_signed_as_no_system_packet_is_none() {
        let signer = Signer::new(&key());
        let mut packet = signer.sign(Operation::Stop, Uid(0), 0, MOMENT_OF_ALL, CHANNEL_42);
        packet[0] = 0;
        let signature = signer.0.sign(&packet[..SIGNATURE]).to_bytes();
        put(&mut packet, SIGNATURE, &signature);
        let verified = signer.verify(head(&packet), CHANNEL_42);
        assert_eq!(verified, Err(Unproven::Absent));
    }

    #[test]
    fn keys_are_fresh_stored_as_they_are_and_never_printed() {
        let (one, other) = (Key::fresh(), Key::fresh());
        assert_ne!(one.hex(), other.hex());
        assert_eq!(
            format!("{:?} {:?}", key(), Signer::new(&key())),
            "Key(..) Signer(03a107bff3ce10be1d70dd18e74bc09967e4d6309ba50d5f1ddc8664125531b8)"
        );
        let config = bincode::config::standard();
        let stored = bincode::serde::encode_to_vec(&one, config).unwrap();
        assert_eq!(HEXLOWER.encode(&stored), one.hex());
        let (again, _): (Key, _) = bincode::serde::decode_from_slice(&stored, config).unwrap();
        assert_eq!(again.hex(), one.hex());
    }

    fn operation() -> impl Strategy<Value = Operation> {
        prop::sample::select(vec![
            Operation::Keepalive,
            Operation::Join,
            Operation::Leave,
            Operation::Ack,
            Operation::Stop,
        ])
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn a_signed_packet_holds_and_no_flipped_bit_does(
            operation in operation(), uid: u64, ackid: u32, moment: u64, channel: u64, bit in 0..8 * HEAD,
        ) {
            let (signer, moment, channel) = (Signer::new(&key()), UnixMillis(moment), ChannelId(channel));
            let mut packet = signer.sign(operation, Uid(uid), ackid, moment, channel);
            let system = System::new(operation, Uid(uid), ackid);
            prop_assert_eq!(signer.verify(head(&packet), channel), Ok(Signed { system, moment }));
            packet[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(signer.verify(head(&packet), channel).is_err());
        }

        #[test]
        fn a_tagged_packet_holds_and_no_flipped_bit_does(
            uid: u64, ackid: u32, sequence: u64, channel: u64, bit in 0..8 * (TAG + 32),
        ) {
            let channel = ChannelId(channel);
            let holds = |packet: &Packet| {
                Tagged::read(head(packet)).is_some_and(|tagged| tagged.is_by(&key(), channel))
            };
            let mut packet = join(&key(), channel, Uid(uid), ackid, sequence);
            prop_assert_eq!(Tagged::read(head(&packet)).unwrap().sequence, sequence);
            prop_assert!(holds(&packet));
            packet[bit / 8] ^= 1 << (bit % 8);
            prop_assert!(!holds(&packet));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), HEAD), marker in 0..3, channel: u64) {
            let mut head: [u8; HEAD] = bytes.try_into().unwrap();
            match marker {
                0 => head[MARKER..SEQUENCE].copy_from_slice(&SIGNED),
                1 => head[MARKER..SEQUENCE].copy_from_slice(&TAGGED),
                _ => {}
            }
            head[CHANNEL..SIGNATURE].copy_from_slice(&channel.to_le_bytes());
            prop_assert!(Signer::new(&key()).verify(&head, ChannelId(channel)).is_err());
            if let Some(tagged) = Tagged::read(&head) {
                prop_assert!(!tagged.is_by(&key(), ChannelId(channel)));
            }
        }
    }
}
