//! [`Pool`]: sessions to all members of a service.

use std::{fmt, sync::Arc};

use tokio::task::{JoinHandle, JoinSet};

use super::{Discovery, Link, balance::Rule, keeper::keep, links::Links, rendezvous};
use crate::{
    error::Error,
    peer::Peer,
    session::{Connection, Session},
};

/// Sessions to all members of a service, and a choice among them for each call: a [`Connection`], for generated clients and
/// for calls by uri.
///
/// It follows a [`Discovery`]: it dials whoever appears, again and again until it is reached, and closes the session to whoever
/// disappears, in the orderly way that lets calls in flight end. A member that is not reached, or whose session has ended, is
/// not chosen until it is back.
///
/// A call that its member has certainly not taken, because the connection was down or the member says so when it closes,
/// goes to another one. A call that may have been served is not repeated: it fails with code 101, and only its caller
/// knows whether twice is too often. A call fails at once with code 100 if no member is connected; see
/// [`ready`](Self::ready).
///
/// Nothing stops because the registry does. While the source cannot be reached the pool goes on with what it knows; and if
/// there is nobody else to call, it keeps the sessions to members that have disappeared until there is, or they end.
///
/// It is a handle: clones are cheap and share the sessions. Each handle has its own rule for the choice: in turn, or what
/// [`least_in_flight`](Self::least_in_flight) and [`by_key`](Self::by_key) make of it. When the last handle is dropped
/// the sessions are closed, in the orderly way.
#[derive(Clone)]
pub struct Pool {
    shared: Arc<Shared>,
    rule: Rule,
}

struct Shared {
    links: Arc<Links>,
    task: JoinHandle<()>,
}

impl Pool {
    /// Follows `source`, and dials as `peer`, whose routes the members may call.
    ///
    /// Returns at once, with no member yet; see [`ready`](Self::ready).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    pub fn new(peer: &Peer, source: impl Discovery) -> Self {
        let links = Arc::new(Links::default());
        let task = tokio::spawn(follow(peer.clone(), source, Arc::clone(&links)));
        Self {
            shared: Arc::new(Shared { links, task }),
            rule: Rule::InTurn,
        }
    }

    /// A handle that chooses the member with the least pulls of this process in flight, in relation to its weight. Right for
    /// calls of unequal length, or members of unequal speed.
    #[must_use]
    pub fn least_in_flight(&self) -> Self {
        self.with(Rule::LeastInFlight)
    }

    /// A handle that chooses the same member for the same key, in every process, as long as the members are the same. When a
    /// member goes, or cannot be reached, only its keys move, and they spread over the others; when it is back, so are they.
    #[must_use]
    pub fn by_key(&self, key: impl AsRef<[u8]>) -> Self {
        self.with(Rule::Key(rendezvous::hash(key)))
    }

    fn with(&self, rule: Rule) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
            rule,
        }
    }

    /// All members as they were last announced, connected or not, in the order of their addresses.
    #[must_use]
    pub fn links(&self) -> Vec<Link> {
        self.shared.links.all()
    }

    /// Waits until a member is connected. There is no time limit, and if none comes it never ends.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn ready(&self) {
        self.wait_for(|links| links.iter().any(|link| link.session.is_some()))
            .await;
    }

    /// Waits until `condition` holds for the [`links`](Self::links), and gives them. It is asked when the source has told who is
    /// there, and again after each change.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn wait_for(&self, condition: impl FnMut(&[Link]) -> bool) -> Vec<Link> {
        self.shared.links.wait_for(condition).await
    }
}

// An error about a type that is none need not list these.
#[diagnostic::do_not_recommend]
impl Connection for Pool {
    /// A session to the member that is chosen for the next call.
    ///
    /// # Errors
    /// No member is connected (code 100).
    async fn session(&self) -> Result<Session, Error> {
        let session = self.shared.links.choose(self.rule);
        session.ok_or_else(|| {
            let known = self.shared.links.all().len();
            let text = format!("none of the {known} known members is connected");
            Error::write("choose a member", text)
        })
    }
}

impl fmt::Debug for Pool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pool")
            .field("links", &self.links())
            .field("rule", &self.rule)
            .finish()
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps sessions to the members that `source` names.
async fn follow(peer: Peer, mut source: impl Discovery, links: Arc<Links>) {
    // Dropping it, and with it this task, ends them all.
    let mut keepers = JoinSet::new();
    while let Some(members) = source.next().await {
        while keepers.try_join_next().is_some() {}
        for address in links.announce(members) {
            keepers.spawn(keep(peer.clone(), Arc::clone(&links), address));
        }
    }
    // Those who are known stay.
    while keepers.join_next().await.is_some() {}
}
