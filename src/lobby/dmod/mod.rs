//! ggzdmod: what the lobby and a game server say to each other.

pub mod wire;
