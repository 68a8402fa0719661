//! Keys that come twice.

use teleport::pull_controller;

struct Home;

#[pull_controller(group = "/v1", group = "/v2")]
impl Home {
    #[pull(uri = "/x", uri = "/y")]
    async fn test(&self) {}
}

fn main() {}
