//! A context under another name is taken for an argument.

use teleport::{PullCtx as Ctx, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, ctx: &Ctx) {
        let _ = ctx;
    }
}

fn main() {}
