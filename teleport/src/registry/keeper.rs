//! Keeping a session to one member.

use std::{sync::Arc, time::Duration};

use tokio::select;

use super::links::Links;
use crate::{
    backoff::Backoff,
    link::{LinkOptions, LinkState},
    peer::Peer,
};

/// The longest pauses after the first failure to reach a member and after many. The latter is how late one that comes back may
/// be noticed.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Keeps a link to a member up until it is not announced any more, or the peer is closed. The link ends with this future, and
/// closes its session in the orderly way.
pub(super) async fn keep(peer: Peer, links: Arc<Links>, address: String) {
    tracing::info!(address, "a member has come");
    let options = LinkOptions::new().backoff(Backoff::new(PAUSE.0, PAUSE.1));
    let link = peer.link_with(&address, options);
    let mut states = link.states();
    loop {
        select! {
            state = states.next() => match state {
                Some(LinkState::Up(session)) => {
                    links.connect(&address, &session);
                    continue;
                }
                // The peer is closed.
                Some(LinkState::Closed { .. }) | None => return links.disconnect(&address),
                Some(_) => links.disconnect(&address),
            },
            () = links.dispensable(&address) => {}
        }
        // It may have been announced anew by now.
        if links.remove(&address) {
            tracing::info!(address, "a member has gone");
            return;
        }
    }
}
