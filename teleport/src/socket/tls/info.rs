//! [`TlsInfo`].

use std::fmt;

/// What the TLS handshake of a session has found out. Given by [`Session::tls`](crate::Session::tls), in handlers as
/// `ctx.session().tls()`, and in plugins' handshakes as well.
///
/// The identity of the other side is its certificate, in DER: the verifier of this side's configuration has accepted it, and
/// the other side has proved that it holds the key. Compare it with those that are known, keep a hash of it, or read the names
/// in it with a parser of X.509.
///
/// ```
/// use teleport::{PullController, PullCtx, Status, pull_controller};
///
/// struct Admin { certificate: Vec<u8> }
///
/// #[pull_controller]
/// impl Admin {
///     async fn stop(&self, ctx: &PullCtx) -> Result<(), Status> {
///         let shown = ctx.session().tls().and_then(|tls| tls.peer_certificate());
///         match shown == Some(&self.certificate) {
///             true => Ok(()),
///             false => Err(Status::unauthorized()),
///         }
///     }
/// }
/// # let _ = Admin { certificate: Vec::new() }.into_router();
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct TlsInfo {
    pub(super) peer_chain: Vec<Vec<u8>>,
    pub(super) server_name: Option<String>,
    pub(super) alpn: Option<Vec<u8>>,
}

impl TlsInfo {
    /// The certificate of the other side, in DER. `None` on a listener that demands no certificate of its clients.
    #[must_use]
    pub fn peer_certificate(&self) -> Option<&[u8]> {
        self.peer_chain().next()
    }

    /// The chain that the other side has shown, each in DER: its own certificate first, then what it sent of the issuers.
    pub fn peer_chain(&self) -> impl ExactSizeIterator<Item = &[u8]> {
        self.peer_chain.iter().map(Vec::as_slice)
    }

    /// The name of the server. On the dialling side the one (or the IP address) that its certificate was checked for; on
    /// the listening side the one that the client asked for (SNI), if any: clients that dial an IP address ask for none.
    #[must_use]
    pub fn server_name(&self) -> Option<&str> {
        self.server_name.as_deref()
    }

    /// The protocol that was agreed on (ALPN). None is offered unless a ready configuration does.
    #[must_use]
    pub fn alpn(&self) -> Option<&[u8]> {
        self.alpn.as_deref()
    }
}

impl fmt::Debug for TlsInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsInfo")
            .field("peer_chain", &self.peer_chain.len())
            .field("server_name", &self.server_name)
            .field("alpn", &self.alpn)
            .finish()
    }
}
