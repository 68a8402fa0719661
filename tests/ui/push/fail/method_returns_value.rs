//! A push has no reply.

use teleport::{Session, Status, push_controller};

struct Home;

#[push_controller]
impl Home {
    async fn plain(&self) -> i32 {
        1
    }

    async fn fallible(&self) -> Result<i32, Status> {
        Ok(1)
    }
}

#[allow(dead_code)]
async fn call(session: &Session) -> Result<(), teleport::Error> {
    HomePushClient::new(session).plain().await
}

fn main() {}
