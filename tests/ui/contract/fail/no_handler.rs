//! A contract about nothing.

use teleport::pull_controller;

#[pull_controller]
trait Arith {
    const LIMIT: usize;
}

fn main() {}
