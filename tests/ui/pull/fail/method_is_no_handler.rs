//! A constructor among the handlers.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    fn new() -> Self {
        Self
    }

    async fn test(&self) {}
}

fn main() {
    let _ = Home::new();
}
