mod stage;
mod wire;
