//! [`Credentials`]: the dialling side's part.

use std::{fmt, future::Future, sync::Arc};

use super::{BoxFuture, auth::URI};
use crate::{
    codec::CodecId,
    error::Error,
    plugin::{Hooks, Plugin},
    protocol::{Header, HeaderCodec, Packet, PacketKind},
    session::{Handshake, Session},
    status::{Status, code},
};

/// Bytes of packets that a peer without [`Auth`](super::Auth) may send before it answers, where credentials are optional.
const MOST_AHEAD: usize = 1024 * 1024;

type Give = dyn Fn(Session) -> BoxFuture<Result<String, Status>> + Send + Sync;

/// Says who this side is, on each connection that it dials: the counterpart of [`Auth`](super::Auth), where an example is.
///
/// A dial succeeds when the other side has accepted the credentials. If it refuses, the error of the dial has its status, mostly
/// 401 and why. A peer that knows no `Auth` answers 404, and the dial fails, unless they are [`optional`](Self::optional).
pub struct Credentials {
    give: Box<Give>,
    optional: bool,
}

impl Credentials {
    /// The same token wherever this peer dials.
    pub fn token(token: impl Into<String>) -> Self {
        let token: Arc<str> = token.into().into();
        Self::from_fn(move |_| {
            let token = token.to_string();
            async move { Ok(token) }
        })
    }

    /// Asks `give` for a token at each dial, those that renew a lost connection among them: for tokens that run out, or that
    /// depend on where the session goes. An error is what the dial returns.
    ///
    /// ```
    /// use teleport::{Status, plugins::Credentials};
    ///
    /// # async fn fresh_token() -> Option<String> { None }
    /// let credentials = Credentials::from_fn(|session| async move {
    ///     if !session.peer_addr().ip().is_some_and(|ip| ip.is_loopback()) {
    ///         return Err(Status::new(1001, "the token is for this machine only"));
    ///     }
    ///     fresh_token().await.ok_or_else(|| Status::unavailable("no token now"))
    /// });
    /// # let _ = credentials;
    /// ```
    ///
    /// # Cancel safety
    /// Its future is dropped when the time for dialling is over, or the dial is given up.
    pub fn from_fn<F, Fut>(give: F) -> Self
    where
        F: Fn(Session) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<String, Status>> + Send + 'static,
    {
        Self {
            give: Box::new(move |session| Box::pin(give(session))),
            optional: false,
        }
    }

    /// Goes on without having been identified if the other side answers that it has no such route (404).
    #[must_use]
    pub fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The reply to the credentials. A peer without `Auth` has started its session already, and may send other packets first.
    async fn reply(&self, handshake: &mut Handshake<'_>) -> Result<Packet, Status> {
        let mut ahead = Vec::new();
        let mut size = 0;
        loop {
            let packet = handshake.recv().await.map_err(unanswered)?;
            if packet.header.kind == PacketKind::Reply {
                handshake.put_back(ahead);
                return Ok(packet);
            }
            size += packet.body.len() + packet.header.uri.len() + size_of::<Packet>();
            if !self.optional || size > MOST_AHEAD {
                return Err(unknown());
            }
            ahead.push(packet);
        }
    }
}

// An error about a type that is no plugin need not list those that are.
#[diagnostic::do_not_recommend]
impl Plugin for Credentials {
    fn name(&self) -> &str {
        "credentials"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_DIAL
    }

    async fn post_dial(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let token = (self.give)(handshake.session().clone()).await?;
        let header = Header::new(PacketKind::Pull, 0, URI);
        handshake
            .send(
                &header,
                HeaderCodec::Protobuf,
                Some(CodecId::STRING),
                &token,
            )
            .await?;
        let reply = self.reply(handshake).await?.header;
        match reply.status_code {
            code::OK => Ok(()),
            code::NOT_FOUND if self.optional => Ok(()),
            code::NOT_FOUND => Err(unknown()),
            code => Err(Status::new(code, reply.status)),
        }
    }
}

fn unanswered(error: Error) -> Status {
    let (code, text) = match error.is_closed() {
        true => (
            code::CONNECTION_CLOSED,
            "the other side closed the connection without a word on the credentials",
        ),
        false => (
            code::UNREADABLE_REPLY,
            "the answer to the credentials cannot be read",
        ),
    };
    Status::new(code, text).with_cause(error)
}

fn unknown() -> Status {
    let text =
        "the other side takes no credentials; give it an `Auth` plugin, or make them optional here";
    Status::new(code::NOT_FOUND, text)
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("optional", &self.optional)
            .finish_non_exhaustive()
    }
}
