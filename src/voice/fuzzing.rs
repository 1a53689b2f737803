//! What the fuzz targets feed to this room.

use super::{
    ChannelId,
    packet::{self, Datagram},
    seal::{Key, Signer, Tagged},
    wire::Command,
};

/// A control connection's bytes: what is a command has no other bytes than these.
pub(crate) fn control(bytes: &[u8]) {
    if let Ok(Some(command)) = Command::decode(bytes) {
        let mut again = Vec::new();
        command.encode(&mut again);
        assert!(bytes.starts_with(&again));
    }
}

/// A datagram, and its proofs: nobody can guess one.
pub(crate) fn datagram(bytes: &[u8]) {
    if let Ok(Datagram::System(system)) = packet::decode(bytes) {
        assert_eq!(bytes[..24], system.encode()[..24]);
        system.is_sound();
    }
    if let Some(head) = bytes.first_chunk() {
        let (key, channel) = (Key([7; 32]), ChannelId(1));
        assert!(Signer::new(&key).verify(head, channel).is_err());
        assert!(!Tagged::read(head).is_some_and(|tagged| tagged.is_by(&key, channel)));
    }
}
