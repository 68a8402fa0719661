//! Handlers that the macro cannot see.

use teleport::pull_controller;

macro_rules! more {
    ($($tokens:tt)*) => { $($tokens)* };
}

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) {}

    more! {
        async fn hidden(&self) {}
    }
}

fn main() {}
