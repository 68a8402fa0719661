//! Methods that the macro cannot see.

use teleport::pull_controller;

macro_rules! more {
    ($($tokens:tt)*) => { $($tokens)* };
}

#[pull_controller]
trait Arith {
    async fn mul(&self, a: i32, b: i32) -> i32;

    more!(
        async fn add(&self, a: i32, b: i32) -> i32;
    );
}

fn main() {}
