//! `#[pull(..)]` among pushes.

use teleport::push_controller;

struct Home;

#[push_controller]
impl Home {
    #[pull(skip)]
    async fn test(&self) {}
}

fn main() {}
