//! Longhouse: a game night in one box.

pub mod accounts;
pub mod audit;
pub mod cli;
pub mod clock;
pub mod config;
pub mod console;
pub mod daemon;
pub mod hosting;
pub mod http;
pub mod keeper;
pub mod panel;
pub mod sandbox;
pub mod store;
pub mod telemetry;
pub mod worker;
