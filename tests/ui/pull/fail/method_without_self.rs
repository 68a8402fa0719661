//! An async function without `self`.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn test(args: [i32; 2]) -> i32 {
        args[0]
    }
}

fn main() {}
