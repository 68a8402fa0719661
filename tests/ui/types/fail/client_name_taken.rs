//! There is something of the client's name already.

use teleport::pull_controller;

enum HomeClient {}

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) {}
}

fn main() {}
