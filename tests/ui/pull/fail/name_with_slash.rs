//! A name is not.

use teleport::pull_controller;

struct Home;

#[pull_controller(name = "/house")]
impl Home {
    async fn test(&self) {}
}

fn main() {}
