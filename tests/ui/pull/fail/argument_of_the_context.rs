//! What only the context knows cannot come in a body.
#![allow(unused_variables)]

use std::sync::Arc;

use teleport::{Context, Peer, PullCtx, Session, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn context(&self, ctx: &Context) {}

    async fn session(&self, session: &Session) {}

    async fn peer(&self, peer: &Peer) {}

    async fn shared(&self, ctx: Arc<PullCtx>) {}

    async fn optional(&self, ctx: Option<&PullCtx>) {}
}

fn main() {}
