//! Accepting connections.

use std::{
    future::{Future, poll_fn},
    io,
    pin::pin,
    sync::{Arc, Weak, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use super::{
    Peer,
    shutdown::{Guard, ShutdownReport, Stage, enough},
};
use crate::{
    error::Error,
    socket::transport::{Addr, Listener},
};

/// First and longest pause after a failed accept. Such failures (no file descriptor left) do not pass by themselves at
/// once, and asking again without a pause would take all the time there is.
const PAUSE: (Duration, Duration) = (Duration::from_millis(5), Duration::from_secs(1));

impl Peer {
    /// Listens at all configured addresses, and serves whoever connects.
    ///
    /// Returns when all are bound. Serving goes on in the background until the peer is [closed](Peer::close).
    ///
    /// # Errors
    /// No address is configured, or one cannot be bound; then none is.
    ///
    /// # Cancel safety
    /// Dropping the future binds nothing.
    pub async fn listen(&self) -> Result<Listening, Error> {
        let addresses = &self.0.config.listen;
        if addresses.is_empty() {
            let text = "no address is configured; use `listen_at` or `PeerConfig::listen`";
            return Err(Error::listen(text));
        }
        #[cfg(feature = "tls")]
        let secure = self.0.tls.listens();
        #[cfg(not(feature = "tls"))]
        let secure = false;
        let mut listeners = Vec::with_capacity(addresses.len());
        for address in addresses {
            let failed = |error: io::Error| Error::listen(error).at(address, "");
            let listener = Listener::bind(address, secure).await.map_err(failed)?;
            let local = listener.local_addr().map_err(failed)?;
            listeners.push((listener, local));
        }
        let mut listening = Listening {
            peer: self.clone(),
            addrs: Vec::new(),
            listeners: Vec::new(),
        };
        for (listener, local) in listeners {
            tracing::info!(address = %local, "listening");
            let listener = Arc::new(listener);
            listening.listeners.push(Arc::downgrade(&listener));
            listening.addrs.push(local.clone());
            let guard = self.0.stage.subscribe();
            let accepting = self.0.accepting.subscribe();
            let peer = self.clone();
            tokio::spawn(async move {
                accept_all(peer, listener, local, guard).await;
                drop(accepting);
            });
        }
        Ok(listening)
    }
}

/// A peer that listens. Dropping it changes nothing; see [`until`](Self::until).
#[derive(Clone, Debug)]
pub struct Listening {
    peer: Peer,
    addrs: Vec<Addr>,
    /// In the same order. They are gone when the peer closes.
    listeners: Vec<Weak<Listener>>,
}

impl Listening {
    /// The bound addresses in the order of the configuration, with the real port where 0 was asked for.
    #[must_use]
    pub fn addrs(&self) -> &[Addr] {
        &self.addrs
    }

    /// The first bound address, as text that [`Peer::dial`] takes.
    #[must_use]
    pub fn address(&self) -> String {
        self.addrs.first().map(Addr::to_string).unwrap_or_default()
    }

    /// Serves until `signal` is ready, then shuts the peer down within
    /// [`shutdown_timeout`](crate::PeerConfig::shutdown_timeout), as [`Peer::shutdown`] does, and tells what was cut.
    ///
    /// Who presses Ctrl-C again (or sends SIGTERM) while calls are waited for means it: then all is cut at once.
    ///
    /// With the feature `restart`, this process counts as ready from the first poll on, see `teleport::restart::ready`.
    ///
    /// # Cancel safety
    /// Dropping the future before `signal` is ready leaves the peer listening, dropping it later is as with `shutdown`.
    pub async fn until(self, signal: impl Future) -> ShutdownReport {
        let mut signal = pin!(signal);
        #[cfg(all(unix, feature = "restart"))]
        let mut ready = Some(Box::pin(crate::inherit::ready()));
        poll_fn(|cx| {
            let asked = signal.as_mut().poll(cx).map(drop);
            // Behind the signal, which others may send as soon as they know that this process is ready.
            #[cfg(all(unix, feature = "restart"))]
            if asked.is_pending()
                && ready
                    .as_mut()
                    .is_some_and(|ready| ready.as_mut().poll(cx).is_ready())
            {
                ready = None;
            }
            asked
        })
        .await;
        self.end().await
    }

    /// Shuts the peer down.
    pub(crate) async fn end(self) -> ShutdownReport {
        let limit = self.peer.config().shutdown_timeout;
        self.peer.end(enough(limit)).await
    }
}

#[cfg(all(unix, feature = "restart"))]
impl Listening {
    /// The open sockets, for another process.
    pub(crate) fn sockets(&self) -> io::Result<Vec<crate::inherit::Socket>> {
        let asked = self.peer.config().listen.iter();
        let open = self.listeners.iter().zip(asked);
        open.filter_map(|(listener, asked)| Some((listener.upgrade()?, asked)))
            .map(|(listener, asked)| listener.to_socket(asked.clone()))
            .collect()
    }

    /// Whether the sockets are another process's from now on.
    pub(crate) fn leave(&self, replaced: bool) {
        self.peer.0.replaced.store(replaced, Ordering::SeqCst);
        for listener in self.listeners.iter().filter_map(Weak::upgrade) {
            listener.set_owner(!replaced);
        }
    }
}

/// For what takes one or several.
impl From<Listening> for Vec<Listening> {
    fn from(listening: Listening) -> Self {
        vec![listening]
    }
}

async fn accept_all(peer: Peer, listener: Arc<Listener>, local: Addr, mut guard: Guard) {
    #[cfg(all(unix, feature = "restart"))]
    {
        // What this process took before it is ready would be lost if it failed.
        if before(Stage::Closing, &mut guard, crate::inherit::released())
            .await
            .is_none()
        {
            return;
        }
        listener.set_owner(true);
    }
    let mut pause = PAUSE.0;
    loop {
        let accepted = match before(Stage::Closing, &mut guard, listener.accept()).await {
            Some(accepted) => accepted,
            // Another process has the socket too, and takes who waits there.
            None if peer.0.replaced.load(Ordering::SeqCst) => return,
            // Who has connected in time is told that this side closes; with the listener it would be cut off.
            None => match at_once(listener.accept()).await {
                Some(Ok(accepted)) => Ok(accepted),
                _ => return,
            },
        };
        match accepted {
            Ok((stream, remote)) => {
                pause = PAUSE.0;
                let (peer, local, mut guard) = (peer.clone(), local.clone(), guard.clone());
                tokio::spawn(async move {
                    let served = peer.serve_accepted(stream, local, remote.clone(), guard.clone());
                    match before(Stage::Cut, &mut guard, served).await {
                        Some(Ok(_)) => {}
                        Some(Err(error)) => {
                            tracing::info!(peer = %remote, ?error, "connection refused");
                        }
                        None => tracing::warn!(peer = %remote, "cut in its handshake"),
                    }
                });
            }
            Err(error) => {
                tracing::warn!(address = %local, %error, "cannot accept; trying again in {pause:?}");
                before(Stage::Closing, &mut guard, tokio::time::sleep(pause)).await;
                pause = (pause * 2).min(PAUSE.1);
            }
        }
    }
}

/// The outcome of `work`, or nothing if it is not there yet.
async fn at_once<T>(work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(outcome) => Poll::Ready(Some(outcome)),
        Poll::Pending => Poll::Ready(None),
    })
    .await
}

/// The outcome of `work`, or nothing if the end of the peer comes to `stage` first.
async fn before<T>(stage: Stage, guard: &mut Guard, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut closed = pin!(guard.wait_for(|now| *now >= stage));
    poll_fn(|cx| match closed.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(None),
        Poll::Pending => work.as_mut().poll(cx).map(Some),
    })
    .await
}
