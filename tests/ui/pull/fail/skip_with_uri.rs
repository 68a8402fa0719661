//! A route for a method without one.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    #[pull(skip, uri = "/x")]
    async fn test(&self) {}

    async fn other(&self) {}
}

fn main() {}
