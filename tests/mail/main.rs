//! Letters on their way to a mail server, and what their readers do with the links in them.

#[path = "../common/mod.rs"]
mod common;

mod crashes;
mod delivery;
mod people;
