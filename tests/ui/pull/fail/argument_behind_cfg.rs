//! An argument that one side may not have.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn add(&self, a: i32, #[cfg(all())] b: i32) -> i32 {
        a + b
    }
}

fn main() {}
