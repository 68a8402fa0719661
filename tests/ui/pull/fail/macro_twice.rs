//! The same attribute twice on one block.

use teleport::pull_controller;

struct Home;

#[pull_controller(group = "/a")]
#[pull_controller(name = "b")]
impl Home {
    async fn test(&self) {}
}

fn main() {}
