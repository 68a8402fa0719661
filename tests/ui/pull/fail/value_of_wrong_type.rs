//! Values that are no strings, or strings where a name is due.

use teleport::pull_controller;

struct Home;

#[pull_controller(group = 1, name = home, client = "Caller", crate = "teleport")]
impl Home {
    #[pull(uri = 1)]
    async fn test(&self) {}

    #[pull(uri)]
    async fn other(&self) {}

    #[pull(skip = true)]
    async fn skipped(&self) {}
}

fn main() {}
