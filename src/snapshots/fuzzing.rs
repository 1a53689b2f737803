//! What the fuzz target feeds.

use super::wire::{self, Order};

/// A line between the daemon and a job, either way.
pub(crate) fn line(bytes: &[u8]) {
    if let Ok(said) = wire::decode(bytes) {
        let again = wire::encode(&said);
        assert_eq!(wire::decode(&again).ok(), Some(said));
    }
    serde_json::from_slice::<Order>(bytes).ok();
}
