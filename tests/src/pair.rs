//! Two peers with an in-memory pipe between them.

use teleport::{Peer, PeerConfig, Router, Session};

/// Two connected peers.
#[derive(Debug)]
pub struct Pair {
    /// One end.
    pub server: Peer,
    /// The server's session to the client.
    pub accepted: Session,
    /// The other end.
    pub client: Peer,
    /// The client's session to the server.
    pub session: Session,
}

/// Bytes that the pipe holds in each direction.
pub const PIPE: usize = 64 * 1024;

/// Connects two peers with these routes.
///
/// # Panics
/// The routes are in conflict.
pub async fn pair(server: Router, client: Router) -> Pair {
    let server = peer(PeerConfig::default(), server);
    let client = peer(PeerConfig::default(), client);
    connect(server, client).await
}

/// A peer.
///
/// # Panics
/// The configuration is wrong, or the routes are in conflict.
#[must_use]
pub fn peer(config: PeerConfig, router: Router) -> Peer {
    let builder = Peer::builder().config(config).routes(router);
    builder.build().expect("a peer")
}

/// Connects two peers.
///
/// # Panics
/// One refuses.
pub async fn connect(server: Peer, client: Peer) -> Pair {
    let (left, right) = tokio::io::duplex(PIPE);
    let accepted = server.serve_conn(left).await.expect("a session");
    let session = client.serve_conn(right).await.expect("a session");
    Pair {
        server,
        accepted,
        client,
        session,
    }
}
