//! The reverse proxy: unknown handlers that pass on what they get.

use bytes::Bytes;

use super::{Router, UnknownPull, UnknownPush};
use crate::{
    codec::{Body, CodecError, Codecs, Decode, Raw, probe::Plain},
    protocol::Header,
    session::{CallOptions, Connection, Pull, Push},
    status::Status,
};

impl Router {
    /// Passes on to `backend` what no route takes: pulls with their replies, and pushes. Below a prefix, if the router is
    /// [nested](Self::nest) there.
    ///
    /// Bodies are neither decoded nor inflated. Uri, codec, gzip level, time limit, [values](crate::Context::meta) and statuses stay as
    /// they are; a backend that cannot be reached is 502, one that is too slow 504. A pull that its caller cancels is cancelled
    /// at the backend. For a uri of your own, or a condition, see [`UnknownPull::forward`].
    ///
    /// ```no_run
    /// # async fn f() -> Result<(), teleport::Error> {
    /// use teleport::{Peer, Router};
    ///
    /// let backend = Peer::builder().build()?.dial("10.0.0.7:9090").await?;
    /// let gate = Peer::builder()
    ///     .listen_at("0.0.0.0:9090")
    ///     .routes(Router::new().proxy_to(&backend))
    ///     .build()?;
    /// # let _ = gate; Ok(()) }
    /// ```
    #[track_caller]
    pub fn proxy_to(self, backend: &impl Connection) -> Self {
        let (pulls, pushes) = (backend.clone(), backend.clone());
        let mut this = self
            .unknown_pull(move |pull: UnknownPull| {
                let backend = pulls.clone();
                async move { pull.forward(&backend, pull.uri()).await }
            })
            .unknown_push(move |push: UnknownPush| {
                let backend = pushes.clone();
                async move { push.forward(&backend, push.uri()).await }
            });
        if let Some(unknown) = this.unknown_pulls.last_mut() {
            unknown.cancel = true;
        }
        this
    }
}

impl UnknownPull {
    /// Passes the pull on to `backend`, at `uri`, and gives what the handler has to return.
    ///
    /// ```
    /// use teleport::{Connection, Router, UnknownPull};
    ///
    /// /// `/legacy/x` here is `/x` there.
    /// fn without_prefix(backend: impl Connection) -> Router {
    ///     Router::new().unknown_pull(move |pull: UnknownPull| {
    ///         let backend = backend.clone();
    ///         async move {
    ///             let uri = pull.uri();
    ///             pull.forward(&backend, uri.strip_prefix("/legacy").unwrap_or(uri)).await
    ///         }
    ///     })
    /// }
    /// # let _ = |backend: teleport::Session| without_prefix(backend);
    /// ```
    ///
    /// # Errors
    /// The backend's own status, with its body; 502 if it cannot be reached, 504 if it is too slow.
    ///
    /// # Cancel safety
    /// Dropping the future cancels the pull at the backend.
    pub async fn forward(&self, backend: &impl Connection, uri: &str) -> Result<Raw, Status> {
        let options = options(self.header()).cancel();
        let body = Raw(self.body().clone());
        let mut pull = Pull::new(backend.on(), uri.into(), body, Plain, options);
        pull.set_meta(self.header());
        let reply: Reply = pull.await?;
        self.set_reply_gzip(reply.gzip);
        Ok(Raw(reply.body))
    }
}

impl UnknownPush {
    /// Passes the push on to `backend`, at `uri`, and gives what the handler has to return.
    ///
    /// # Errors
    /// The backend cannot be reached: 502.
    ///
    /// # Cancel safety
    /// As [`Push`].
    pub async fn forward(&self, backend: &impl Connection, uri: &str) -> Result<(), Status> {
        let body = Raw(self.body().clone());
        let mut push = Push::new(backend.on(), uri.into(), body, options(self.header()));
        push.set_meta(self.header());
        Ok(push.await?)
    }
}

/// The gzip level goes on even if nobody has such a level: the body is not ours to compress.
fn options(header: &Header) -> CallOptions {
    CallOptions::new().gzip(header.gzip)
}

/// A reply's body as it came.
struct Reply {
    body: Bytes,
    gzip: i32,
}

impl Decode for Reply {
    fn decode(body: &Body<'_>, _: &Codecs, _: usize) -> Result<Self, CodecError> {
        Ok(Self {
            body: body.to_bytes(),
            gzip: body.gzip(),
        })
    }

    fn zero() -> Result<Self, CodecError> {
        Ok(Self {
            body: Bytes::new(),
            gzip: 0,
        })
    }
}
