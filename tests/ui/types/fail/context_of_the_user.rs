//! Something else that is called `PullCtx`.

use teleport::pull_controller;

struct PullCtx;

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, ctx: &PullCtx) {
        let _ = ctx;
    }
}

fn main() {}
