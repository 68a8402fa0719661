//! A client needs something that calls can go over.

use teleport::{Peer, pull_controller};

struct Home;

#[pull_controller]
impl Home {
    async fn test(&self) {}
}

fn client(peer: &Peer) {
    let _ = HomeClient::new(peer);
}

fn main() {}
