//! What is said of the games as a whole.

mod strength;
mod table;
