//! An argument that no codec can read.

use teleport::pull_controller;

struct Args;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, args: Args) {
        let _ = args;
    }
}

fn main() {}
