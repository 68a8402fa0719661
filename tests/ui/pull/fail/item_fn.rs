//! The macro on a function.

use teleport::pull_controller;

#[pull_controller]
async fn test(args: [i32; 2]) -> i32 {
    args[0]
}

fn main() {
    drop(test([1, 2]));
}
