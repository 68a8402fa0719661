//! [`Auth`]: the accepting side's part.

use std::{fmt, future::Future, sync::Arc};

use subtle::ConstantTimeEq;

use super::BoxFuture;
use crate::{
    error::Error,
    plugin::{Hooks, Plugin},
    protocol::{Header, Packet, PacketKind},
    session::{Handshake, Session},
    socket::transport::Addr,
    status::{Status, code},
    uri::Uri,
};

/// Where credentials go: no controller has such a route.
pub(super) const URI: &str = "/~teleport/auth";
/// Bytes that a packet with credentials may have. Who sends it is a stranger.
const MOST: usize = 64 * 1024;

type Verify = dyn Fn(AuthRequest) -> BoxFuture<Result<(), Status>> + Send + Sync;

/// Lets in only who says who it is: the first packet of each accepted connection must be [`Credentials`](super::Credentials).
///
/// Until they have been found good nothing is routed. Then the verifier's answer, the *identity*, is a value of the session:
///
/// ```
/// use teleport::{Peer, PullController, PullCtx, plugins::{Auth, Credentials}, pull_controller};
///
/// #[derive(Clone)]
/// struct User(&'static str);
///
/// struct Home;
///
/// #[pull_controller]
/// impl Home {
///     async fn whoami(&self, ctx: &PullCtx) -> String {
///         let user = ctx.session().values().get::<User>();
///         user.map(|User(name)| name.to_owned()).unwrap_or_default()
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), teleport::Error> {
/// let server = Peer::builder()
///     .listen_at("127.0.0.1:0")
///     .plugin(Auth::tokens([("open sesame", User("ali"))]))
///     .routes(Home.into_router())
///     .build()?;
/// let address = server.listen().await?.address();
///
/// let client = Peer::builder().plugin(Credentials::token("open sesame")).build()?;
/// let session = client.dial(&address).await?;
/// assert_eq!(HomeClient::new(&session).whoami().await?, "ali");
///
/// let stranger = Peer::builder().plugin(Credentials::token("open barley")).build()?;
/// let error = stranger.dial(&address).await.unwrap_err();
/// assert_eq!(error.code(), 401);
/// # Ok(()) }
/// ```
///
/// # On the wire
/// Ordinary packets: a pull to `/~teleport/auth` with the credentials as a text, and its reply: 200 without a body, or the
/// verifier's status, behind which the connection is closed. A peer in another language can do the same.
///
/// # Who does not play along
/// - A client without credentials begins with a pull, which is answered 401, or with a push, to which there is no answer. Either
///   way the connection is closed.
/// - One that says nothing, or not all, is cut after [`PeerConfig::accept_timeout`](crate::PeerConfig::accept_timeout).
/// - Garbage, and packets of more than 64 KiB, close the connection.
///
/// Credentials are never logged. They are sent as they are: use TLS, or a network that you trust.
pub struct Auth {
    verify: Box<Verify>,
}

impl Auth {
    /// Lets in who has one of these tokens, as the identity beside it. How long the comparison takes tells nothing about
    /// them but their lengths.
    ///
    /// What is refused gets 401.
    pub fn tokens<T, I>(tokens: impl IntoIterator<Item = (T, I)>) -> Self
    where
        T: Into<String>,
        I: Clone + Send + Sync + 'static,
    {
        let tokens = tokens.into_iter().map(|(token, who)| (token.into(), who));
        let tokens: Arc<[(String, I)]> = tokens.collect();
        Self::verify(move |request| {
            let who = find(&tokens, request.token()).cloned();
            async move { who.ok_or_else(|| Status::new(code::UNAUTHORIZED, "unknown token")) }
        })
    }

    /// Lets in whom `verifier` accepts, as the identity that it returns. Its error goes to the client and closes the
    /// connection: mostly [`Status::unauthorized`], or [`Status::unavailable`] if it cannot tell now.
    ///
    /// ```
    /// use teleport::{Status, plugins::Auth};
    ///
    /// # #[derive(Clone)] struct Claims;
    /// # async fn check_signature(token: &str) -> Option<Claims> { None }
    /// let auth = Auth::verify(|request| async move {
    ///     let claims = check_signature(request.token()).await;
    ///     claims.ok_or_else(Status::unauthorized)
    /// });
    /// # let _ = auth;
    /// ```
    ///
    /// # Cancel safety
    /// The verifier's future is dropped when the time for accepting is over.
    pub fn verify<F, Fut, I>(verifier: F) -> Self
    where
        F: Fn(AuthRequest) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<I, Status>> + Send + 'static,
        I: Send + Sync + 'static,
    {
        let verify = move |request: AuthRequest| -> BoxFuture<Result<(), Status>> {
            let session = request.session.clone();
            let verdict = verifier(request);
            Box::pin(async move {
                session.values().insert(verdict.await?);
                Ok(())
            })
        };
        Self {
            verify: Box::new(verify),
        }
    }
}

/// Who has this token. Looks at all of them, found or not.
fn find<'a, I>(tokens: &'a [(String, I)], token: &str) -> Option<&'a I> {
    let mut found = None;
    for (known, who) in tokens {
        if known.as_bytes().ct_eq(token.as_bytes()).into() {
            found = Some(who);
        }
    }
    found
}

// An error about a type that is no plugin need not list those that are.
#[diagnostic::do_not_recommend]
impl Plugin for Auth {
    fn name(&self) -> &str {
        "auth"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        let packet = handshake.recv_at_most(MOST).await.map_err(nothing_came)?;
        let verdict = match request(handshake, &packet) {
            Ok(request) => (self.verify)(request).await,
            Err(status) => Err(status),
        };
        if packet.header.kind == PacketKind::Pull {
            let sent = handshake.reply(&packet, verdict.as_ref().copied()).await;
            return verdict.and(sent.map_err(Status::from));
        }
        verdict
    }
}

/// What the first packet says, if it is what it should be.
fn request(handshake: &Handshake<'_>, packet: &Packet) -> Result<AuthRequest, Status> {
    let header = &packet.header;
    let is_credentials = header.kind == PacketKind::Pull
        && Uri::parse(&header.uri).is_ok_and(|uri| uri.path() == URI);
    if !is_credentials {
        let text = "credentials must come first on a connection to this peer";
        return Err(Status::new(code::UNAUTHORIZED, text));
    }
    // Not the decoder's own words: they may quote what it has read.
    let token = handshake
        .decode::<String>(packet)
        .map_err(|_| Status::bad_request("the credentials are not a text"))?;
    Ok(AuthRequest {
        session: handshake.session().clone(),
        header: header.clone(),
        token,
    })
}

/// There is nobody to answer, but the log.
fn nothing_came(error: Error) -> Status {
    let text = match error.is_closed() {
        true => "the connection ended before credentials came",
        false => "what came instead of credentials cannot be read",
    };
    Status::new(code::UNAUTHORIZED, text).with_cause(error)
}

impl fmt::Debug for Auth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Auth")
    }
}

/// What a verifier has to judge by. Shown for debugging it keeps the token to itself.
#[derive(Clone)]
pub struct AuthRequest {
    session: Session,
    header: Header,
    token: String,
}

impl AuthRequest {
    /// The credentials as they came: a bearer token, or whatever text the two sides have agreed on.
    #[must_use]
    pub fn token(&self) -> &str {
        &self.token
    }

    /// The session that is about to start. It can be given values and another id; pulls and pushes wait until it has started.
    #[must_use]
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Where the other side is.
    #[must_use]
    pub fn peer_addr(&self) -> &Addr {
        self.session.peer_addr()
    }

    /// The header of the packet that the credentials came in.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }
}

impl fmt::Debug for AuthRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthRequest")
            .field("peer", self.peer_addr())
            .finish_non_exhaustive()
    }
}
