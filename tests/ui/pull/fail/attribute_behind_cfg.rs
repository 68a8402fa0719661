//! `#[pull(..)]` that may or may not be there.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    #[cfg_attr(all(), pull(uri = "/x"))]
    async fn test(&self) {}
}

fn main() {}
