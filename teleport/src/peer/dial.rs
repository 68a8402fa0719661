//! From a byte stream to a running session: dialing, and serving a stream of the application's own.

use std::{future::Future, io, sync::Arc};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{
    ConnOptions, Peer,
    session_task::SessionTask,
    shutdown::{Guard, Stage},
};
use crate::{
    error::Error,
    session::{Handshake, Session, Shared, driver::Driver},
    socket::{
        hang_up::hang_up,
        inbox::Inbox,
        tls::TlsInfo,
        transport::{self, Addr, Stream},
    },
    status::Status,
};

/// Which side of a new connection this one is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Accepting,
    Dialling,
}

impl Peer {
    /// Connects to `host:port`, `tcp://host:port`, `tls://host:port` or `unix:///path`. `host:port` alone means TLS if this
    /// side has authorities to trust, see [`PeerConfig`](crate::PeerConfig#tls).
    ///
    /// The session's id is the address, and a peer keeps one session for each id: a second dial to the same address
    /// closes the first session in its orderly way. Use [`dial_with`](Self::dial_with) and an id of your own to keep several.
    ///
    /// # Errors
    /// Nobody listens there, the handshake of TLS failed (the source says why, and what to do), the time limit passed, a
    /// plugin refused, or the peer is closed. Whether the listener accepts this side's certificate is known only afterwards
    /// (in TLS 1.3): if not, the session ends, and what fails with it has the reason as its source.
    ///
    /// # Cancel safety
    /// Dropping the future gives the attempt up.
    pub async fn dial(&self, address: &str) -> Result<Session, Error> {
        self.dial_with(address, ConnOptions::new()).await
    }

    /// As [`dial`](Self::dial), with options.
    ///
    /// # Errors
    /// As [`dial`](Self::dial).
    ///
    /// # Cancel safety
    /// As [`dial`](Self::dial).
    pub async fn dial_with(&self, address: &str, options: ConnOptions) -> Result<Session, Error> {
        let limit = options.timeout.or(self.0.config.dial_timeout);
        let dial = async {
            #[cfg(feature = "tls")]
            let secure = self.0.tls.dials(&options);
            #[cfg(not(feature = "tls"))]
            let secure = false;
            let connected = transport::connect(address, secure).await;
            let (stream, local, peer) = connected.map_err(Error::dial)?;
            #[cfg(feature = "tls")]
            let stream = match &peer {
                Addr::Tls(_) => self.0.tls.connect(stream, address, &options).await?,
                _ => stream,
            };
            let id = options
                .id
                .clone()
                .unwrap_or_else(|| match peer.socket_addr() {
                    Some(addr) => addr.to_string(),
                    None => peer.to_string(),
                });
            let new = New {
                id,
                local,
                peer,
                tls: None,
                side: Side::Dialling,
                options: &options,
                guard: None,
            };
            self.start_stream(stream, new).await
        };
        within(limit, Side::Dialling, dial)
            .await
            .map_err(|error| error.at(address, ""))
    }

    /// As [`dial_with`](Self::dial_with), over the stream that `connect` gives.
    pub(crate) async fn dial_over<I>(
        &self,
        connect: impl Future<Output = io::Result<I>>,
        options: ConnOptions,
    ) -> Result<Session, Error>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let limit = options.timeout.or(self.0.config.dial_timeout);
        let named = || Addr::Named("stream".to_owned());
        let peer = options.peer_addr.clone().unwrap_or_else(named);
        let name = peer.to_string();
        let options = options.numbered(self, &name);
        let dial = async {
            let io = connect.await.map_err(Error::dial)?;
            let new = New {
                id: options.id.clone().unwrap_or_default(),
                local: named(),
                peer,
                side: Side::Dialling,
                options: &options,
                guard: None,
                tls: None,
            };
            self.start(io, new).await
        };
        within(limit, Side::Dialling, dial)
            .await
            .map_err(|error| error.at(&name, ""))
    }

    /// Starts a session on a byte stream of any kind, as the accepting side. Both sides of an in-memory
    /// pipe can be served so: the roles differ only in which plugin hook runs, see [`ConnOptions::dialling`].
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), teleport::Error> {
    /// use teleport::Peer;
    ///
    /// let (left, right) = tokio::io::duplex(64 * 1024);
    /// let (a, b) = (Peer::builder().build()?, Peer::builder().build()?);
    /// let session = a.serve_conn(left).await?;
    /// b.serve_conn(right).await?;
    /// let answer = session.pull::<_, ()>("/nobody/there", ()).await;
    /// assert_eq!(answer.unwrap_err().code(), 404);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// A plugin refused, or the peer is closed.
    ///
    /// # Cancel safety
    /// Dropping the future drops the stream.
    pub async fn serve_conn<I>(&self, io: I) -> Result<Session, Error>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.serve_conn_with(io, ConnOptions::new()).await
    }

    /// As [`serve_conn`](Self::serve_conn), with options.
    ///
    /// # Errors
    /// As [`serve_conn`](Self::serve_conn).
    ///
    /// # Cancel safety
    /// As [`serve_conn`](Self::serve_conn).
    pub async fn serve_conn_with<I>(&self, io: I, options: ConnOptions) -> Result<Session, Error>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let side = match options.dialling {
            true => Side::Dialling,
            false => Side::Accepting,
        };
        let named = || Addr::Named("stream".to_owned());
        let peer = options.peer_addr.clone().unwrap_or_else(named);
        let id = options
            .id
            .clone()
            .unwrap_or_else(|| self.0.default_id(&peer));
        let new = New {
            id,
            local: named(),
            peer,
            tls: None,
            side,
            options: &options,
            guard: None,
        };
        let limit = options.timeout.or(match side {
            Side::Accepting => self.0.config.accept_timeout,
            Side::Dialling => self.0.config.dial_timeout,
        });
        within(limit, side, self.start(io, new)).await
    }

    /// Serves a stream that a listener has accepted. The end of the peer waits for it: who connects meanwhile is not cut, but
    /// told that this side closes.
    pub(super) async fn serve_accepted(
        &self,
        stream: Stream,
        local: Addr,
        peer: Addr,
        guard: Guard,
    ) -> Result<Session, Error> {
        let new = New {
            id: self.0.default_id(&peer),
            local,
            peer,
            tls: None,
            side: Side::Accepting,
            options: &ConnOptions::new(),
            guard: Some(guard),
        };
        let start = async {
            #[cfg(feature = "tls")]
            let stream = match &new.local {
                Addr::Tls(_) => self.0.tls.accept(stream).await?,
                _ => stream,
            };
            self.start_stream(stream, new).await
        };
        within(self.0.config.accept_timeout, Side::Accepting, start).await
    }

    async fn start_stream(&self, stream: Stream, new: New<'_>) -> Result<Session, Error> {
        match stream {
            Stream::Tcp(stream) => self.start(stream, new).await,
            #[cfg(feature = "tls")]
            Stream::Tls(stream, info) => {
                let tls = Some(info);
                self.start(stream, New { tls, ..new }).await
            }
            #[cfg(unix)]
            Stream::Unix(stream) => self.start(stream, new).await,
        }
    }

    async fn start<I>(&self, mut io: I, new: New<'_>) -> Result<Session, Error>
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let New {
            id,
            local,
            peer,
            tls,
            side,
            options,
            guard,
        } = new;
        let mut env = Arc::clone(&self.0.env);
        if side == Side::Accepting && env.pool.is_overdrawn() {
            let text = "handlers whose sessions are over hold all of `peer_memory`";
            return Err(Error::rejected(side.action(), Status::unavailable(text)));
        }
        if let Some(protocol) = &options.protocol {
            Arc::make_mut(&mut env).protocol = Arc::clone(protocol);
        }
        if options.announce && !env.announce {
            Arc::make_mut(&mut env).announce = true;
        }
        let shared = Arc::new(Shared::new(id.into(), env, local, peer, tls));
        let session = Session::new(shared);
        let entry = Entry {
            peer: self.clone(),
            session: session.clone(),
            started: false,
        };
        let mut inbox = Inbox::new(Arc::clone(&self.0.env.pool));
        let plugins = self.0.dispatch.plugins();
        let mut handshake = Handshake::new(session.clone(), &mut io, &mut inbox);
        let greeted = match side {
            Side::Accepting => plugins.post_accept(&mut handshake).await,
            Side::Dialling => plugins.post_dial(&mut handshake).await,
        };
        if let Err(status) = greeted {
            if side == Side::Accepting && handshake.has_sent() {
                tokio::spawn(hang_up(io));
            }
            return Err(Error::rejected(side.action(), status));
        }
        let connected = guard.is_some();
        let guard = match guard {
            Some(guard) => guard,
            None => self.guard()?,
        };
        entry.adopt(io, inbox, connected, guard);
        Ok(session)
    }
}

impl Peer {
    /// # Errors
    /// The peer is closed.
    fn guard(&self) -> Result<Guard, Error> {
        // In this order: the end of the peer waits for it, or it sees the end.
        let guard = self.0.stage.subscribe();
        match *guard.borrow() {
            Stage::Open => {}
            _ => return Err(Error::write("start a session", "the peer is closed")),
        }
        Ok(guard)
    }
}

/// A session's entry with its peer, from its beginning. Dropping it ends the session and takes the entry out.
pub(super) struct Entry {
    peer: Peer,
    pub(super) session: Session,
    started: bool,
}

impl Entry {
    /// Enters the session and starts its task.
    fn adopt<I>(mut self, io: I, inbox: Inbox, connected: bool, guard: Guard)
    where
        I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        self.started = true;
        let Self { peer, session, .. } = &self;
        if let Some(older) = peer.0.hub.insert(session) {
            tracing::debug!(id = %session.id(), "a new session takes the id; the older one is closed");
            older.start_closing();
        }
        // After the insertion: a concurrent close either sees the session or is seen here.
        match *guard.borrow() {
            Stage::Open => {}
            Stage::Closing => session.start_closing(),
            Stage::Cut => session.abort(),
        }
        let driver = Driver::new(io, session, inbox, connected);
        tokio::spawn(SessionTask::new(driver, self, guard));
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.peer.0.hub.remove(&self.session);
        if !self.started {
            // What plugins count by a value of the session is not counted any longer, whoever still has a handle.
            self.session.values().clear();
        }
        self.session.shared().release();
    }
}

impl Side {
    fn action(self) -> &'static str {
        match self {
            Self::Accepting => "accept",
            Self::Dialling => "dial",
        }
    }
}

/// A connection about to become a session.
struct New<'a> {
    id: String,
    local: Addr,
    peer: Addr,
    tls: Option<Box<TlsInfo>>,
    side: Side,
    options: &'a ConnOptions,
    /// Of one that the peer waits for already.
    guard: Option<Guard>,
}

async fn within<T>(
    limit: Option<std::time::Duration>,
    side: Side,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Some(limit) = limit else {
        return work.await;
    };
    match tokio::time::timeout(limit, work).await {
        Ok(result) => result,
        Err(_) => {
            let text = format!("not connected within {limit:?}");
            let error = io::Error::new(io::ErrorKind::TimedOut, text);
            Err(match side {
                Side::Accepting => Error::accept(error),
                Side::Dialling => Error::dial(error),
            })
        }
    }
}
