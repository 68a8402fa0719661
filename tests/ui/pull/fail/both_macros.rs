//! Pulls and pushes in one block.

use teleport::{pull_controller, push_controller};

struct Home;

#[pull_controller]
#[push_controller]
impl Home {
    async fn test(&self) {}
}

fn main() {}
