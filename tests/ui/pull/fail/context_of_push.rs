//! The context of the other kind.

use teleport::{PushCtx, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, ctx: &PushCtx) {
        let _ = ctx;
    }

    async fn owned(&self, ctx: PushCtx) {
        let _ = ctx;
    }
}

fn main() {}
