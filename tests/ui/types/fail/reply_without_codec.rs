//! A reply that no codec can write.

use teleport::{Status, pull_controller};

struct Reply;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) -> Result<Reply, Status> {
        Ok(Reply)
    }
}

fn main() {}
