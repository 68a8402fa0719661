//! `into_router` comes from the macro.

use teleport::pull_controller;

#[pull_controller]
trait Arith {
    async fn into_router(&self);
}

fn main() {}
