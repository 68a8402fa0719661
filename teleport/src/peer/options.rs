//! [`ConnOptions`].

use std::{sync::Arc, time::Duration};

#[cfg(feature = "tls")]
use tokio_rustls::rustls;

use super::Peer;
use crate::{protocol::Protocol, socket::transport::Addr};

/// How one connection differs from the peer's configuration.
#[derive(Clone, Default)]
#[must_use]
pub struct ConnOptions {
    pub(super) id: Option<String>,
    pub(super) protocol: Option<Arc<dyn Protocol>>,
    pub(super) timeout: Option<Duration>,
    pub(super) peer_addr: Option<Addr>,
    pub(super) announce: bool,
    pub(super) dialling: bool,
    #[cfg(feature = "tls")]
    pub(super) tls_client_config: Option<Arc<rustls::ClientConfig>>,
    #[cfg(feature = "tls")]
    pub(super) tls_server_name: Option<String>,
}

impl ConnOptions {
    /// The peer's configuration, unchanged.
    pub fn new() -> Self {
        Self::default()
    }

    /// The session's id, instead of the other side's address. Needed for several sessions to one address: a
    /// peer keeps one session for each id.
    pub fn id(mut self, id: impl Into<String>) -> Self {
        self.id = Some(id.into());
        self
    }

    /// An id of its own for each connection, unless there is one.
    pub(crate) fn numbered(mut self, peer: &Peer, name: &str) -> Self {
        self.id.get_or_insert_with(|| peer.0.numbered_id(name));
        self
    }

    /// Another protocol for this connection.
    pub fn protocol(mut self, protocol: impl Protocol) -> Self {
        self.protocol = Some(Arc::new(protocol));
        self
    }

    /// How long connecting, with the handshakes of TLS and of plugins, may take.
    pub fn timeout(mut self, limit: Duration) -> Self {
        self.timeout = Some(limit);
        self
    }

    /// As [`PeerConfig::announce`](crate::PeerConfig::announce), for this connection.
    pub fn announce(mut self) -> Self {
        self.announce = true;
        self
    }

    /// Takes the dialling side's part in the plugins' handshakes, on a stream that the application has opened itself. For
    /// [`Peer::serve_conn_with`](crate::Peer::serve_conn_with); a dial does so anyway.
    pub fn dialling(mut self) -> Self {
        self.dialling = true;
        self
    }

    /// What to call the other side of a stream that has no address of its own.
    pub fn peer_addr(mut self, addr: Addr) -> Self {
        self.peer_addr = Some(addr);
        self
    }

    /// Dials with this configuration of rustls, as it is, instead of the peer's. Needs the feature `tls`.
    #[cfg(feature = "tls")]
    pub fn tls_client_config(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.tls_client_config = Some(config);
        self
    }

    /// The name, or the IP address, that the server's certificate must have, instead of the dialled one. Needs the
    /// feature `tls`.
    #[cfg(feature = "tls")]
    pub fn tls_server_name(mut self, name: impl Into<String>) -> Self {
        self.tls_server_name = Some(name.into());
        self
    }
}

impl std::fmt::Debug for ConnOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConnOptions")
            .field("id", &self.id)
            .field("timeout", &self.timeout)
            .field("peer_addr", &self.peer_addr)
            .finish_non_exhaustive()
    }
}
