//! The signals that ask a process to stop.

use std::io;

/// Waits for Ctrl-C, or on Unix for SIGTERM, whichever comes first: for [`Listening::until`](crate::Listening::until).
///
/// From the first poll on these signals no longer end the process by themselves. If they cannot be watched (a
/// process may have been started without the means), that is logged and the future never ends.
///
/// ```no_run
/// # async fn f(peer: teleport::Peer) -> Result<(), teleport::Error> {
/// peer.listen().await?.until(teleport::signal::shutdown()).await;
/// # Ok(()) }
/// ```
///
/// # Cancel safety
/// Dropping the future forgets signals that came after its last poll.
pub async fn shutdown() {
    Stop::watch().received().await;
}

/// Waits for SIGUSR2, which asks for a restart; see [`restart`](crate::restart).
///
/// From the first poll on the signal no longer ends the process by itself. If it cannot be watched, that is logged and the
/// future never ends.
///
/// # Cancel safety
/// Dropping the future forgets signals that came after its last poll.
#[cfg(all(unix, feature = "restart"))]
pub async fn restart() {
    Restart::watch().received().await;
}

/// The signal that asks for a restart, watched from its creation on.
#[cfg(all(unix, feature = "restart"))]
pub(crate) struct Restart(io::Result<tokio::signal::unix::Signal>);

#[cfg(all(unix, feature = "restart"))]
impl Restart {
    pub(crate) fn watch() -> Self {
        use tokio::signal::unix::{SignalKind, signal};

        Self(signal(SignalKind::user_defined2()))
    }

    /// The next one.
    pub(crate) async fn received(&mut self) {
        match &mut self.0 {
            Ok(signal) => {
                signal.recv().await;
                tracing::info!("asked to restart");
            }
            Err(error) => unwatched(error).await,
        }
    }
}

/// The signals that ask for the end, watched from its creation on.
pub(crate) struct Stop(io::Result<imp::Stop>);

impl Stop {
    pub(crate) fn watch() -> Self {
        Self(imp::Stop::watch())
    }

    /// The next of them.
    pub(crate) async fn received(&mut self) {
        match &mut self.0 {
            Ok(stop) => match stop.received().await {
                Ok(signal) => tracing::info!(signal, "asked to stop"),
                Err(error) => unwatched(&error).await,
            },
            Err(error) => unwatched(error).await,
        }
    }
}

async fn unwatched(error: &io::Error) {
    tracing::error!(%error, "signals cannot be watched; stop this process in another way");
    std::future::pending().await
}

#[cfg(unix)]
mod imp {
    use std::{future::poll_fn, io, task::Poll};

    use tokio::signal::unix::{Signal, SignalKind, signal};

    pub(super) struct Stop {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Stop {
        pub(super) fn watch() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        pub(super) async fn received(&mut self) -> io::Result<&'static str> {
            poll_fn(|cx| {
                if self.interrupt.poll_recv(cx).is_ready() {
                    Poll::Ready(Ok("interrupt"))
                } else {
                    self.terminate.poll_recv(cx).map(|_| Ok("terminate"))
                }
            })
            .await
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io;

    pub(super) struct Stop;

    impl Stop {
        pub(super) fn watch() -> io::Result<Self> {
            Ok(Self)
        }

        pub(super) async fn received(&mut self) -> io::Result<&'static str> {
            tokio::signal::ctrl_c().await.map(|()| "interrupt")
        }
    }
}
