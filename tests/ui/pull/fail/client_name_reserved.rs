//! Methods that the client or the controller has itself.

use teleport::{Session, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn new(&self) {}

    async fn prefix(&self) {}

    async fn options(&self) {}

    async fn into_router(&self) {}
}

#[allow(dead_code)]
fn client(session: &Session) -> HomeClient {
    HomeClient::new(session).prefix("/v1")
}

fn main() {}
