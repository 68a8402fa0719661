//! A plugin for some routes is none for a whole peer.

use teleport::{Peer, PullCtx, RoutePlugin, Status};

struct Guard;

impl RoutePlugin for Guard {
    fn name(&self) -> &str {
        "guard"
    }

    async fn pre_read_pull_body(&self, _: &PullCtx) -> Result<(), Status> {
        Ok(())
    }
}

fn main() {
    let _ = Peer::builder().plugin(Guard);
}
