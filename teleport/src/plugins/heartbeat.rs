//! [`Heartbeat`].

use std::time::Duration;

use crate::{
    plugin::{Hooks, Plugin},
    session::Handshake,
    status::Status,
};

/// Asks silent peers for a sign of life, and cuts the sessions of those who give none.
///
/// When for an interval nothing has come from the other side, or nothing has gone there, it is asked. Any answer will do, so the
/// other side need not know of heartbeats: what it does not know it answers 404. If within the time limit nothing at all comes,
/// the session is cut: pulls in flight fail with 101, and their error's source says why.
///
/// One that has ended its stream, and for which handlers still run, cannot answer. It is asked all the same: if it has died,
/// the writing fails, and the session ends; without heartbeats it lives as long as those handlers.
///
/// A busy session has no extra traffic. A quiet one stays open in spite of firewalls and of the
/// [`read_timeout`](crate::PeerConfig::read_timeout) of either side, if that is longer than the interval. It is enough that
/// one side has heartbeats; if both have, the more impatient one asks.
///
/// ```
/// use std::time::Duration;
/// use teleport::{Peer, plugins::Heartbeat};
///
/// let heartbeat = Heartbeat::every(Duration::from_secs(30)).timeout(Duration::from_secs(10));
/// let peer = Peer::builder().plugin(heartbeat).build()?;
/// # let _ = peer;
/// # Ok::<(), teleport::Error>(())
/// ```
///
/// # Cost
/// No task, and no timer of its own: a session's task has one. A question and its answer have some 70 bytes in all, and no
/// other plugin sees them.
///
/// # On the wire
/// A pull to `/~teleport/heartbeat` without a body, and its reply.
#[derive(Clone, Copy, Debug)]
#[must_use = "it does nothing before it is added to a peer"]
pub struct Heartbeat {
    interval: Duration,
    timeout: Duration,
}

impl Heartbeat {
    /// Asks after so long a silence in either direction, and waits for an answer as long again.
    pub fn every(interval: Duration) -> Self {
        Self {
            interval,
            timeout: interval,
        }
    }

    /// How long to wait for a sign of life after a question. What counts is that bytes come, of whatever packet.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = limit;
        self
    }
}

// An error about a type that is no plugin need not list those that are.
#[diagnostic::do_not_recommend]
impl Plugin for Heartbeat {
    fn name(&self) -> &str {
        "heartbeat"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DIAL | Hooks::POST_ACCEPT
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        handshake.set_heartbeat(self.interval, self.timeout);
        Ok(())
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        handshake.set_heartbeat(self.interval, self.timeout);
        Ok(())
    }
}
