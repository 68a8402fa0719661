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
    match either().await {
        Ok(name) => tracing::info!(signal = name, "asked to stop"),
        Err(error) => {
            tracing::error!(%error, "signals cannot be watched; stop this process in another way");
            std::future::pending().await
        }
    }
}

#[cfg(unix)]
async fn either() -> io::Result<&'static str> {
    use std::{future::poll_fn, task::Poll};

    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(poll_fn(|cx| {
        if interrupt.poll_recv(cx).is_ready() {
            Poll::Ready("interrupt")
        } else {
            terminate.poll_recv(cx).map(|_| "terminate")
        }
    })
    .await)
}

#[cfg(not(unix))]
async fn either() -> io::Result<&'static str> {
    tokio::signal::ctrl_c().await.map(|()| "interrupt")
}
