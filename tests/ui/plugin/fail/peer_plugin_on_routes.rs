//! A plugin for a whole peer has hooks that make no sense around some routes.

use teleport::{Handshake, Plugin, Router, Status};

struct Auth;

impl Plugin for Auth {
    fn name(&self) -> &str {
        "auth"
    }

    async fn post_accept(&self, _: &mut Handshake<'_>) -> Result<(), Status> {
        Ok(())
    }
}

fn main() {
    let _ = Router::new().plugin(Auth);
}
