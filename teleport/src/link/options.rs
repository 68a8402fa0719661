//! [`LinkOptions`].

use std::time::Duration;

use crate::{backoff::Backoff, peer::ConnOptions};

/// How a [`Link`](super::Link) dials, how long it tries, and what calls do meanwhile.
///
/// ```
/// use std::time::Duration;
/// use teleport::{Backoff, LinkOptions};
///
/// let options = LinkOptions::new()
///     .or("10.0.0.8:9090")
///     .backoff(Backoff::new(Duration::from_millis(50), Duration::from_secs(5)))
///     .wait(Duration::from_secs(2));
/// # let _ = options;
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct LinkOptions {
    pub(super) connection: ConnOptions,
    pub(super) others: Vec<String>,
    pub(super) backoff: Backoff,
    pub(super) tries: Option<u32>,
    pub(super) wait: Duration,
    pub(super) fail_fast: bool,
}

impl LinkOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self {
            connection: ConnOptions::new(),
            others: Vec::new(),
            backoff: Backoff::new(Duration::from_millis(100), Duration::from_secs(10)),
            tries: None,
            wait: Duration::from_secs(10),
            fail_fast: false,
        }
    }

    /// How each session is dialled. Default: as the peer's configuration says.
    ///
    /// Without an [`id`](ConnOptions::id) each session gets one of its own, the address with a number. With one they all have
    /// it, one after the other, so that [`Peer::session`](crate::Peer::session) finds the newest; no other link may have it
    /// then, for a peer keeps one session for each id, and they would close each other's. A link announces in any case that it
    /// understands extensions, as with [`ConnOptions::announce`].
    pub fn connection(mut self, options: ConnOptions) -> Self {
        self.connection = options;
        self
    }

    /// Another address, for when those before cannot be reached. They take turns: each dial goes to the one after the last,
    /// and a pause follows when none could be reached.
    pub fn or(mut self, address: impl Into<String>) -> Self {
        self.others.push(address.into());
        self
    }

    /// The pauses between dials. Default: at most 100 milliseconds after the first failure, at most 10 seconds after many.
    pub fn backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// Gives up after so many failures in a row, at least 1; of several addresses all have been tried then. Default: never.
    pub fn tries(mut self, most: u32) -> Self {
        self.tries = Some(most);
        self
    }

    /// How long a call waits for a session; its own time limit holds besides. Then it fails with code 100 and what keeps the
    /// link down. Default: 10 seconds.
    pub fn wait(mut self, most: Duration) -> Self {
        self.wait = most;
        self
    }

    /// Calls do not wait while the link is down: they fail at once with code 100 and the reason, from the first failure until
    /// the link is up again. For the outcome of the first dial, and while one server hands over to the next, they wait
    /// nevertheless, as long as [`wait`](Self::wait) says.
    pub fn fail_fast(mut self) -> Self {
        self.fail_fast = true;
        self
    }
}

impl Default for LinkOptions {
    fn default() -> Self {
        Self::new()
    }
}
