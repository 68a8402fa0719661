//! [`Peer`]: one end of any number of sessions.

mod builder;
mod config;
mod dial;
mod hub;
mod listen;
mod options;
mod session_task;
#[cfg(feature = "config")]
mod settings;
mod short;
mod shutdown;
#[cfg(feature = "tls")]
mod tls;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
};

use tokio::sync::watch;

pub use self::{
    builder::PeerBuilder,
    config::PeerConfig,
    listen::Listening,
    options::ConnOptions,
    short::Short,
    shutdown::{CutRoute, CutSession, ShutdownReport},
};
use self::{hub::Hub, shutdown::Stage};
use crate::{
    context::Context,
    error::Error,
    protocol::PacketKind,
    route::RouteInfo,
    router::RouterDispatch,
    session::{Env, Session},
    socket::transport::Addr,
};

/// One end of any number of sessions, for both roles: it listens, dials, answers and asks.
///
/// It is a handle: clones are cheap and all mean the same peer. Connections and listeners go on when all handles are
/// dropped; [`close`](Self::close) ends them.
///
/// A peer works inside a tokio runtime with I/O and time enabled.
#[derive(Clone)]
pub struct Peer(Arc<Inner>);

struct Inner {
    config: PeerConfig,
    env: Arc<Env>,
    dispatch: Arc<RouterDispatch>,
    hub: Hub,
    /// Numbers the connections whose address is not enough of a name.
    numbered: AtomicU64,
    /// Somebody has called for the end.
    asked_to_close: AtomicBool,
    /// Another process listens at the addresses of this one.
    replaced: AtomicBool,
    stage: watch::Sender<Stage>,
    /// Each task that accepts connections holds a receiver.
    accepting: watch::Sender<()>,
    #[cfg(feature = "tls")]
    tls: tls::Tls,
}

impl Inner {
    /// An id nobody has: the address, which is only a type's name for what has none, with a number then.
    fn default_id(&self, addr: &Addr) -> String {
        match addr.socket_addr() {
            Some(addr) => addr.to_string(),
            None => self.numbered_id(&addr.to_string()),
        }
    }

    fn numbered_id(&self, name: &str) -> String {
        let number = self.numbered.fetch_add(1, Ordering::Relaxed);
        format!("{name}#{number}")
    }
}

impl Peer {
    /// Starts putting a peer together.
    ///
    /// ```
    /// let peer = teleport::Peer::builder().listen_at("127.0.0.1:0").build()?;
    /// # let _ = peer;
    /// # Ok::<(), teleport::Error>(())
    /// ```
    pub fn builder() -> PeerBuilder {
        PeerBuilder::new()
    }

    /// The session with this id; see [`Session::id`].
    #[must_use]
    pub fn session(&self, id: &str) -> Option<Session> {
        self.0.hub.get(id)
    }

    /// All sessions at this moment, in no particular order.
    pub fn sessions(&self) -> impl Iterator<Item = Session> + use<> {
        self.0.hub.all().into_iter()
    }

    /// Number of sessions at this moment.
    #[must_use]
    pub fn session_count(&self) -> usize {
        self.0.hub.len()
    }

    /// The routes of this peer, pulls before pushes.
    #[must_use]
    pub fn routes(&self) -> &[RouteInfo] {
        self.0.dispatch.table().infos()
    }

    /// The configuration.
    #[must_use]
    pub fn config(&self) -> &PeerConfig {
        &self.0.config
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("listen", &self.0.config.listen)
            .field("sessions", &self.session_count())
            .finish_non_exhaustive()
    }
}

impl Session {
    /// The peer that this session belongs to; `None` once that peer is gone.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        let host = self.shared().env.host.upgrade()?;
        host.downcast::<Inner>().ok().map(Peer)
    }

    /// Keeps this session under another id.
    ///
    /// # Errors
    /// Another session of the peer has that id.
    pub fn rename(&self, id: &str) -> Result<(), Error> {
        match self.peer() {
            Some(peer) => peer.0.hub.rename(self, id).map_err(|error| {
                Error::write("rename session", error).at(id, &self.peer_addr().to_string())
            }),
            None => {
                self.set_id(id.into());
                Ok(())
            }
        }
    }
}

impl Context {
    /// The peer that handles this packet; `None` if it is already gone.
    #[must_use]
    pub fn peer(&self) -> Option<Peer> {
        self.session().peer()
    }

    /// The route that takes this packet; `None` if an unknown handler does, or none.
    #[must_use]
    pub fn route(&self) -> Option<Arc<RouteInfo>> {
        let peer = self.peer()?;
        let table = peer.0.dispatch.table();
        let uri = self.uri();
        if self.header().kind == PacketKind::Push {
            table.push(uri).ok()??.info.clone()
        } else {
            table.pull(uri).ok()??.info.clone()
        }
    }
}
