//! The lobby: rooms, tables, seats, chat and statistics of seed 002, for unmodified GGZ programs.

pub mod definition;
pub mod dmod;
pub mod motd;
pub mod wire;
