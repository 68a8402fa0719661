//! Two attributes on one method.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    #[pull(uri = "/x")]
    #[pull(skip)]
    async fn test(&self) {}
}

fn main() {}
