//! The macro on a method.

use teleport::pull_controller;

struct Home;

impl Home {
    #[pull_controller]
    async fn test(&self, args: [i32; 2]) -> i32 {
        args[0]
    }
}

fn main() {
    drop(Home.test([1, 2]));
}
