//! Two contexts.

use teleport::{PullCtx, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, one: &PullCtx, two: &PullCtx) {
        let _ = (one, two);
    }
}

fn main() {}
