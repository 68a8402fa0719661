//! A body is the compiler's affair, and costs no client.

use teleport::{Session, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) -> i32 {
        let x = ;
        1
    }

    async fn other(&self) {}
}

#[allow(dead_code)]
async fn call(session: &Session) -> Result<(), teleport::Error> {
    HomeClient::new(session).other().await
}

fn main() {}
