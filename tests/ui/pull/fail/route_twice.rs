//! Two handlers at one uri.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) {}

    #[pull(uri = "test")]
    async fn again(&self) {}

    #[pull(uri = "/home/test")]
    async fn and_again(&self) {}
}

fn main() {}
