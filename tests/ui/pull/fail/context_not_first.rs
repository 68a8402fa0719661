//! A context behind an argument.

use teleport::{PullCtx, Session, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self, args: i32, ctx: &PullCtx) -> i32 {
        let _ = ctx;
        args
    }
}

#[allow(dead_code)]
async fn call(session: &Session) -> Result<i32, teleport::Error> {
    HomeClient::new(session).test(1).await
}

fn main() {}
