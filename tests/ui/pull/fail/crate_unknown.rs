//! The attribute names a crate that is not there.

use teleport::pull_controller;

struct Home;

#[pull_controller(crate = nowhere)]
impl Home {
    async fn test(&self) {}
}

fn main() {}
