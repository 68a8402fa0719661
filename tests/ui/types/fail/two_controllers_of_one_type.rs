//! A type is one controller of each kind.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn first(&self) {}
}

#[pull_controller(client = Other, name = "other")]
impl Home {
    async fn second(&self) {}
}

fn main() {}
