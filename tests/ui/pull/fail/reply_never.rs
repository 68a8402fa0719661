//! A handler that does not end.

use teleport::pull_controller;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) -> ! {
        std::future::pending().await
    }
}

fn main() {}
