//! ggzdmod from both sides: its bytes, and games that run on a stage.

mod stage;
mod wire;
