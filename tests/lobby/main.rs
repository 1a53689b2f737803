//! The lobby as its clients see it: sockets, strings, and a real box with real games.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod computer;
mod definitions;
mod doors;
mod foreign;
mod logins;
mod matches;
mod meta;
mod order;
mod restarts;
mod rooms;
mod tables;

use common::{House, ggz::Client};

/// A seat that is open, in a LAUNCH.
const OPEN: [&str; 2] = ["<SEAT NUM='0' TYPE='open'/>", "<SEAT NUM='1' TYPE='open'/>"];

/// What the room of that name and its game are called on the wire.
fn place(house: &House, room: &str, game: &str) -> (u32, u32) {
    let mut guest = Client::guest(house, "scout");
    let numbers = (guest.number("room", room), guest.number("game", game));
    guest.leave_house();
    numbers
}
