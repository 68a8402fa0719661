//! A handler without `async`; its client and routes are still there.

use teleport::{PullController, Session, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    fn test(&self, args: [i32; 2]) -> i32 {
        args[0]
    }
}

#[allow(dead_code)]
async fn call(session: &Session) -> Result<i32, teleport::Error> {
    HomeClient::new(session).test([1, 2]).await
}

fn main() {
    let _ = Home.into_router();
}
