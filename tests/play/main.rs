//! `longhouse play` as people use it: the real binary against the real daemon, played through pipes.
//! Nothing sleeps: every wait is for something that a player is shown.

#![expect(clippy::unwrap_used, reason = "a failed step is a failed test")]

mod comebacks;
#[path = "../common/mod.rs"]
mod common;
mod manners;
mod matches;
mod player;
mod wire;

use serde_json::Value;

use self::{common::House, player::Player};

/// Two people at a new table.
fn two(house: &House, game: &str, more: &str) -> ([Player; 2], String) {
    let mut ada = Player::start(house, &format!("{game} --against person --as ada-l {more}"));
    let table = ada.table();
    let bob = Player::start(house, &format!("{game} --table {table} --as bob {more}"));
    ([ada, bob], table)
}

fn over(state: &Value) -> bool {
    state["status"] == "over"
}

/// Somebody's turn, or the end.
fn settled(state: &Value) -> bool {
    state["status"] == "playing" || over(state)
}

/// Some legal move.
fn some_move(state: &Value, number: usize) -> String {
    let moves = state["moves"].as_array().unwrap();
    moves[number * 7 % moves.len()].as_str().unwrap().into()
}
