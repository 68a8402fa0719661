//! The macro on a module.

use teleport::pull_controller;

#[pull_controller]
mod home {
    pub fn test() {}
}

fn main() {
    home::test();
}
