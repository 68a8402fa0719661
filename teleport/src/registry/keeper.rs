//! Keeping a session to one member.

use std::{sync::Arc, time::Duration};

use tokio::select;

use super::{links::Links, pauses::Pauses};
use crate::{
    peer::{ConnOptions, Peer},
    session::Session,
};

/// Shortest and longest pause between attempts to reach a member. The longest is how late one that comes back may be noticed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Dials a member, and again whenever the session has ended, until it is not announced any more or the peer is closed.
/// Dropping the future closes the session in its orderly way.
pub(super) async fn keep(peer: Peer, links: Arc<Links>, address: String, id: String) {
    tracing::info!(address, "a member has come");
    let mut pauses = Pauses::new(PAUSE.0, PAUSE.1);
    loop {
        // Announced, so that a member that closes can tell which calls another one may have.
        let options = ConnOptions::new().id(&id).announce();
        match peer.dial_with(&address, options).await {
            Ok(session) => {
                tracing::info!(address, "connected to a member");
                let seated = Seated::new(&links, &address, session);
                select! {
                    () = seated.session.closed() => {}
                    () = links.dispensable(&address) => {}
                }
            }
            Err(error) => tracing::warn!(?error, "cannot reach a member; trying again"),
        }
        if links.remove(&address) {
            tracing::info!(address, "a member has gone");
            return;
        }
        if peer.is_closed() {
            return;
        }
        pauses.pause().await;
    }
}

/// A session that the pool may choose.
struct Seated<'a> {
    links: &'a Links,
    address: &'a str,
    session: Session,
}

impl<'a> Seated<'a> {
    fn new(links: &'a Links, address: &'a str, session: Session) -> Self {
        links.connect(address, &session);
        Self {
            links,
            address,
            session,
        }
    }
}

impl Drop for Seated<'_> {
    fn drop(&mut self) {
        self.links.disconnect(self.address);
        self.session.start_closing();
    }
}
