//! A context that is not lent.

use teleport::{PullCtx, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn owned(&self, ctx: PullCtx) {
        let _ = ctx;
    }

    async fn exclusive(&self, ctx: &mut PullCtx) {
        let _ = ctx;
    }
}

fn main() {}
