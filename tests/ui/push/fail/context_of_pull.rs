//! The context of the other kind.

use teleport::{PullCtx, push_controller};

struct Home;

#[push_controller]
impl Home {
    async fn test(&self, ctx: &PullCtx) {
        let _ = ctx;
    }
}

fn main() {}
