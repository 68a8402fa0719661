//! A mistake in a body is reported once.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) -> i32 {
        "text"
    }
}

fn main() {}
