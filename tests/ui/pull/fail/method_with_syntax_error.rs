//! A method that does not parse costs none of the others, and its attribute is not reported as well.

use teleport::{Session, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    #[pull(uri = "x")]
    async fn broken(&self, a: ) {}

    async fn fine(&self) {}
}

fn client(session: &Session) -> HomeClient {
    let client = HomeClient::new(session);
    drop(client.fine());
    client
}

fn main() {}
