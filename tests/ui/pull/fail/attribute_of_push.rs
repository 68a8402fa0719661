//! `#[push(..)]` among pulls.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    #[push(uri = "/x")]
    async fn test(&self) {}
}

fn main() {}
