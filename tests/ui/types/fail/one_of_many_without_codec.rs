//! One argument of several that no codec can read.

use teleport::pull_controller;

struct Args;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, a: i32, args: Args) {
        let _ = (a, args);
    }
}

fn main() {}
