//! A value without its key.

use teleport::pull_controller;

struct Home;

#[pull_controller("/v1")]
impl Home {
    #[pull("/x")]
    async fn test(&self) {}

    #[pull = "/y"]
    async fn other(&self) {}
}

fn main() {}
