//! The lobby under bad input, bad games, crowds, kills and a full disk: whoever is honest notices nothing.

#![expect(clippy::unwrap_used, reason = "what is unexpected here fails the test")]

#[path = "../common/mod.rs"]
mod common;
mod crashes;
mod crowds;
mod games;
mod people;
mod xml;

use common::{
    House,
    ggz::{Channel, Client},
};
use serde_json::Value;

/// A seat that is open, in a LAUNCH.
const OPEN: [&str; 2] = ["<SEAT NUM='0' TYPE='open'/>", "<SEAT NUM='1' TYPE='open'/>"];

/// What the room of that name and its game are called on the wire.
fn place(house: &House, room: &str, game: &str) -> (u32, u32) {
    let mut guest = Client::guest(house, "scout");
    let numbers = (guest.number("room", room), guest.number("game", game));
    guest.leave_house();
    numbers
}

/// Plays these moves in turn; what both see after the last.
fn play(hers: &mut Channel, his: &mut Channel, moves: &[&str]) -> [Value; 2] {
    let mut seen = [&mut *hers, &mut *his].map(|one| one.until(|state| state["turn"] == 0));
    for (n, next) in moves.iter().enumerate() {
        match n % 2 {
            0 => hers.play(next),
            _ => his.play(next),
        }
        seen = [&mut *hers, &mut *his].map(|one| one.until(|state| state["last"] == *next));
    }
    seen
}
