//! What the fuzz targets and the property tests feed to this wire.

use std::fmt::Debug;

use super::{
    framer::Message,
    wire::{Framer, FromGame, ToGame},
};

/// What a game says: whatever is understood is understood again when it is said as we would say it.
pub(crate) fn link(bytes: &[u8]) {
    stream::<FromGame>(bytes, FromGame::encode);
}

/// What a game is told, read as a game reads it.
pub(crate) fn orders(bytes: &[u8]) {
    stream::<ToGame>(bytes, ToGame::encode);
    let (mut framer, mut rest) = (Framer::<ToGame>::default(), bytes);
    loop {
        match framer.next() {
            Ok(Some(_)) => assert!(!framer.is_midway(), "no byte was read too early"),
            Ok(None) => {
                assert!(framer.wants() > 0);
                let Some(exactly) = rest.split_off(..framer.wants()) else {
                    return;
                };
                framer.push(exactly);
            }
            Err(_) => return,
        }
    }
}

fn stream<M: Message + Debug + PartialEq>(bytes: &[u8], encode: fn(&M, &mut Vec<u8>)) {
    let mut framer = Framer::<M>::default();
    framer.push(bytes);
    while let Ok(Some(message)) = framer.next() {
        let (mut again, mut out) = (Framer::<M>::default(), Vec::new());
        encode(&message, &mut out);
        again.push(&out);
        assert_eq!(again.next(), Ok(Some(message)));
        assert!(!again.is_midway());
    }
}
