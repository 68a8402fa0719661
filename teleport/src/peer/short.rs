//! [`Short`]: a session for each call.

use super::{ConnOptions, Peer};
use crate::{
    error::Error,
    session::{Connection, Session},
};

impl Peer {
    /// Calls to an address over sessions that live for one call each.
    ///
    /// ```
    /// # use teleport::{Error, Peer, PullController, pull_controller};
    /// use teleport::Connection;
    ///
    /// # struct Math;
    /// # #[pull_controller]
    /// # impl Math {
    /// #     async fn add(&self, a: i32, b: i32) -> i32 {
    /// #         a + b
    /// #     }
    /// # }
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Error> {
    /// # let server = Peer::builder().listen_at("127.0.0.1:0").routes(Math.into_router()).build()?;
    /// # let address = server.listen().await?.address();
    /// let peer = Peer::builder().build()?;
    /// let sum: i32 = peer.short(&address).pull("/math/add", [1, 2]).await?;
    /// assert_eq!(sum, 3);
    /// # Ok(()) }
    /// ```
    pub fn short(&self, address: impl Into<String>) -> Short {
        self.short_with(address, ConnOptions::new())
    }

    /// As [`short`](Self::short), with options for each dial. The sessions' ids are the address, or the id of the options, with
    /// numbers.
    pub fn short_with(&self, address: impl Into<String>, options: ConnOptions) -> Short {
        Short {
            peer: self.clone(),
            address: address.into(),
            options,
        }
    }
}

/// Dials for each call, and closes the session when the call has ended, however it ends. Made by [`Peer::short`].
///
/// For a call now and then to somebody who should not have to keep a connection: it costs a connection each time, with its
/// handshakes. The call's time limit includes the dial. If its future is dropped, the session is closed too; the other side's
/// handler runs on, unless the call says [`cancel`](crate::Pull::cancel).
///
/// The closing is orderly and goes on in the background: a push is still delivered. The session is down when the other
/// side has closed too, or three seconds later.
#[derive(Clone, Debug)]
pub struct Short {
    peer: Peer,
    address: String,
    options: ConnOptions,
}

// An error about a type that is none need not list these.
#[diagnostic::do_not_recommend]
impl Connection for Short {
    /// Dials. The session is the caller's to close if it is not for a call.
    async fn session(&self) -> Result<Session, Error> {
        let options = self.options.clone();
        let name = options.id.as_deref().unwrap_or(&self.address);
        let id = self.peer.0.numbered_id(name);
        self.peer.dial_with(&self.address, options.id(id)).await
    }

    fn release(&self, session: &Session) {
        session.start_closing();
    }
}
