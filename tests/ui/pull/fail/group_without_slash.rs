//! A group is the beginning of a uri.

use teleport::pull_controller;

struct Home;

#[pull_controller(group = "v1")]
impl Home {
    async fn test(&self) {}
}

fn main() {}
