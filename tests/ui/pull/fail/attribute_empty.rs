//! An attribute that says nothing.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    #[pull]
    async fn test(&self) {}

    #[pull()]
    async fn other(&self) {}
}

fn main() {}
