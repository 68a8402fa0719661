//! Keys that nobody knows.

use teleport::pull_controller;

struct Home;

#[pull_controller(prefix = "/v1", names = "home")]
impl Home {
    #[pull(url = "/x")]
    async fn test(&self) {}
}

fn main() {}
