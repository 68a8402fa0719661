//! Any number of arguments.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async unsafe extern "C" fn all(&self, first: i32, args: ...) {}
}

fn main() {}
