//! [`Connection`]: what calls can go over.

use std::{borrow::Cow, fmt, future::Future, ops::Deref, sync::Arc};

use super::{CallOptions, Pull, Push, Session, dispatch::BoxFuture};
use crate::{
    codec::{Decode, Encode, probe},
    error::Error,
};

/// Something that calls can go over, for generated clients and for calls by uri: a [`Session`], or a handle that finds a
/// session for each call, such as one that dials again when a connection is lost, or a pool.
///
/// Implement it for a rule of your own, by which user or by which shard say. It is a handle: clones mean the same.
///
/// ```
/// use teleport::{Connection, Error, Session};
///
/// /// Reads go to the replica while there is one.
/// #[derive(Clone)]
/// struct Replicated {
///     main: Session,
///     replica: Session,
/// }
///
/// impl Connection for Replicated {
///     async fn session(&self) -> Result<Session, Error> {
///         let replica = self.replica.is_open().then(|| self.replica.clone());
///         Ok(replica.unwrap_or_else(|| self.main.clone()))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "calls cannot go over `{Self}`",
    note = "pass a reference to a `Session`, or to another `Connection`"
)]
pub trait Connection: Clone + Send + Sync + 'static {
    /// The session for the next call. It may wait for one; the call's time limit counts meanwhile.
    ///
    /// If the session that it gives turns out to be closed, or its other side closes and says that it has not taken the call,
    /// it is asked for another one, up to 4 times. A call that may have been served is never repeated.
    ///
    /// # Errors
    /// There is none: this becomes the error of the call.
    fn session(&self) -> impl Future<Output = Result<Session, Error>> + Send;

    /// A call that got `session` from [`session`](Self::session) has ended, however: it was answered, it failed, or its future
    /// was dropped. For connections that count, or that close what they have opened. One that finds its sessions through
    /// another connection tells that one. The default does nothing.
    fn release(&self, session: &Session) {
        let _ = session;
    }

    /// As [`Session::pull`].
    fn pull<'a, A: Encode, R: Decode>(
        &'a self,
        uri: impl Into<Cow<'a, str>>,
        args: A,
    ) -> Pull<'a, A, R> {
        Pull::new(
            self.on(),
            uri.into(),
            args,
            probe::Plain,
            CallOptions::new(),
        )
    }

    /// As [`Session::push`].
    fn push<'a, A: Encode>(&'a self, uri: impl Into<Cow<'a, str>>, args: A) -> Push<'a, A> {
        Push::new(self.on(), uri.into(), args, CallOptions::new())
    }

    /// For generated clients.
    #[doc(hidden)]
    fn keep(&self) -> Kept {
        Kept(Inner::Found(Arc::new(self.clone())))
    }

    /// What one call goes over.
    #[doc(hidden)]
    fn on(&self) -> On<'_> {
        On(Way::Found(self))
    }
}

impl Connection for Session {
    async fn session(&self) -> Result<Session, Error> {
        Ok(self.clone())
    }

    fn on(&self) -> On<'_> {
        On(Way::Session(self))
    }

    fn keep(&self) -> Kept {
        Kept(Inner::Session(self.clone()))
    }
}

/// [`Connection`] with a boxed future, so that generated clients need no type parameter.
pub(crate) trait Finder: Send + Sync {
    fn find(&self) -> BoxFuture<'_, Result<Session, Error>>;

    fn release(&self, session: &Session);
}

impl<C: Connection> Finder for C {
    fn find(&self) -> BoxFuture<'_, Result<Session, Error>> {
        Box::pin(self.session())
    }

    fn release(&self, session: &Session) {
        Connection::release(self, session);
    }
}

/// What a generated client keeps of its connection. A session is known as such: the way over it is the short one.
#[derive(Clone)]
pub struct Kept(Inner);

#[derive(Clone)]
enum Inner {
    Found(Arc<dyn Finder>),
    Session(Session),
}

impl Kept {
    pub(crate) fn on(&self) -> On<'_> {
        match &self.0 {
            Inner::Found(finder) => On(Way::Found(&**finder)),
            Inner::Session(session) => session.on(),
        }
    }
}

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Inner::Found(_) => f.write_str("Connection"),
            Inner::Session(session) => session.fmt(f),
        }
    }
}

/// What one call goes over.
#[derive(Clone, Copy)]
pub struct On<'a>(pub(super) Way<'a>);

#[derive(Clone, Copy)]
pub(super) enum Way<'a> {
    /// A session that is still to be found.
    Found(&'a dyn Finder),
    Session(&'a Session),
}

impl fmt::Debug for On<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Way::Found(_) => f.write_str("Connection"),
            Way::Session(session) => session.fmt(f),
        }
    }
}

/// How often a call asks for a session. The first may have closed, and so may the next.
pub(super) const TRIES: u8 = 5;

/// The session of a call under way.
pub(super) enum Held<'a> {
    Borrowed(&'a Session),
    Found(Session, &'a dyn Finder),
}

impl<'a> Held<'a> {
    /// Where another session can be had.
    #[inline]
    pub(super) fn on(&self) -> On<'a> {
        match *self {
            Self::Borrowed(session) => On(Way::Session(session)),
            Self::Found(_, finder) => On(Way::Found(finder)),
        }
    }
}

impl Deref for Held<'_> {
    type Target = Session;

    #[inline]
    fn deref(&self) -> &Session {
        match self {
            Self::Borrowed(session) => session,
            Self::Found(session, _) => session,
        }
    }
}

impl Drop for Held<'_> {
    #[inline]
    fn drop(&mut self) {
        if let Self::Found(session, finder) = self {
            finder.release(session);
        }
    }
}
