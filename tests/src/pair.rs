//! Two peers with an in-memory pipe between them.

use teleport::{ConnOptions, Error, Peer, PeerConfig, Router, Session};

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

/// Connects two peers, of which the client dials: the hooks of both sides meet. Gives the server's session and the client's.
pub async fn dial(
    server: &Peer,
    client: &Peer,
) -> (Result<Session, Error>, Result<Session, Error>) {
    let (left, right) = tokio::io::duplex(PIPE);
    let dialling = ConnOptions::new().dialling();
    tokio::join!(
        server.serve_conn(left),
        client.serve_conn_with(right, dialling)
    )
}
