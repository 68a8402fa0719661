//! Controller and context are there for one call.
#![allow(unused_variables)]

use teleport::{PullCtx, pull_controller};

struct Home<'a>(&'a str);

#[pull_controller]
impl<'a> Home<'a> {
    async fn forever(&'static self) {}

    async fn outer(&'a self) {}

    async fn context(&self, ctx: &'static PullCtx) {}

    async fn own<'b>(&'b self, ctx: &'b PullCtx) {}
}

fn main() {}
