//! Listening sockets that this process did not open itself: from the process that it replaces, or from systemd.
//!
//! They belong to the whole process, which is why there is a global here: peers take what they are configured to listen at.

mod message;
mod supervisor;

use std::{
    env, fs, io,
    net::{SocketAddr, TcpListener},
    os::unix::net::{UnixListener, UnixStream},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, Once, OnceLock, PoisonError},
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    sync::watch,
};

pub(crate) use self::{
    message::{READY, Socket, give},
    supervisor::notify,
};

/// A socket with what was asked for when it was opened, if that is known.
struct Inherited {
    asked: Option<String>,
    listener: Listener,
}

enum Listener {
    Tcp(TcpListener),
    /// With whether the file goes when the socket does: not if it is systemd's.
    Unix(UnixListener, bool),
}

struct State {
    unclaimed: Mutex<Vec<Inherited>>,
    /// The process that goes on serving until this one is ready.
    predecessor: Mutex<Option<UnixStream>>,
    /// Connections may be taken: there is no predecessor, or it leaves.
    released: watch::Sender<bool>,
}

fn state() -> &'static State {
    static STATE: OnceLock<State> = OnceLock::new();
    STATE.get_or_init(State::new)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    fn new() -> Self {
        let (predecessor, unclaimed) = match message::take() {
            Ok(Some((channel, sockets))) => {
                tracing::info!(sockets = sockets.len(), "this process replaces another one");
                (Some(channel), sockets)
            }
            Ok(None) => (None, from_systemd()),
            Err(error) => {
                tracing::error!(%error, "the sockets of the process to replace cannot be taken over");
                (None, Vec::new())
            }
        };
        Self {
            released: watch::Sender::new(predecessor.is_none()),
            unclaimed: Mutex::new(unclaimed),
            predecessor: Mutex::new(predecessor),
        }
    }

    fn claim(&self, fits: impl Fn(&Inherited) -> bool) -> Option<Listener> {
        let mut unclaimed = lock(&self.unclaimed);
        let index = unclaimed.iter().position(fits)?;
        Some(unclaimed.remove(index).listener)
    }
}

/// An inherited socket for this address: one that was opened for the same text, or has the address that it means.
pub(crate) async fn tcp(asked: &str, host: &str) -> io::Result<Option<tokio::net::TcpListener>> {
    let state = state();
    let same_text = |socket: &Inherited| match &socket.listener {
        Listener::Tcp(_) => socket.asked.as_deref() == Some(asked),
        Listener::Unix(..) => false,
    };
    let mut found = state.claim(same_text);
    if found.is_none() && !lock(&state.unclaimed).is_empty() {
        let means: Vec<SocketAddr> = tokio::net::lookup_host(host).await?.collect();
        found = state.claim(|socket| match &socket.listener {
            Listener::Tcp(listener) => listener
                .local_addr()
                .is_ok_and(|addr| means.contains(&addr)),
            Listener::Unix(..) => false,
        });
    }
    let Some(Listener::Tcp(listener)) = found else {
        return Ok(None);
    };
    listener.set_nonblocking(true)?;
    tokio::net::TcpListener::from_std(listener).map(Some)
}

/// The same for a path; with whether the file goes when the socket does.
pub(crate) fn unix(
    asked: &str,
    path: &Path,
) -> io::Result<Option<(tokio::net::UnixListener, bool)>> {
    let found = state().claim(|socket| match &socket.listener {
        Listener::Tcp(_) => false,
        Listener::Unix(listener, _) => {
            socket.asked.as_deref() == Some(asked) || path_of(listener).as_deref() == Some(path)
        }
    });
    let Some(Listener::Unix(listener, removes)) = found else {
        return Ok(None);
    };
    listener.set_nonblocking(true)?;
    Ok(Some((
        tokio::net::UnixListener::from_std(listener)?,
        removes,
    )))
}

fn path_of(listener: &UnixListener) -> Option<PathBuf> {
    let addr = listener.local_addr().ok()?;
    addr.as_pathname().map(Path::to_owned)
}

/// Waits until connections may be taken.
pub(crate) async fn released() {
    let mut released = state().released.subscribe();
    // The sender lives as long as the process.
    released.wait_for(|released| *released).await.ok();
}

/// All that this process listens at is open: tells whoever waits for it, and returns when connections may be taken.
///
/// Sockets that nobody has claimed are closed. Only the first call does something.
pub(crate) async fn ready() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let state = state();
        lock(&state.unclaimed).drain(..).for_each(close);
        match lock(&state.predecessor).take() {
            None => {
                tracing::info!("ready");
                notify("READY=1");
            }
            // In a task: who calls this may be dropped.
            Some(channel) => drop(tokio::spawn(async {
                match tell(channel).await {
                    Ok(()) => tracing::info!("ready; the process before this one leaves"),
                    // Killed, most likely: it cannot serve any more either.
                    Err(error) => {
                        tracing::warn!(%error, "ready; the process before this one is gone")
                    }
                }
                state.released.send_replace(true);
            })),
        }
    });
    released().await;
}

/// Says that this process is ready, and waits until the other one has heard it. Until then that one may still give it up.
async fn tell(channel: UnixStream) -> io::Result<()> {
    channel.set_nonblocking(true)?;
    let mut channel = tokio::net::UnixStream::from_std(channel)?;
    channel.write_all(READY).await?;
    channel.read_exact(&mut [0; READY.len()]).await?;
    Ok(())
}

fn close(socket: Inherited) {
    let address = match &socket.listener {
        Listener::Tcp(listener) => listener.local_addr().ok().map(|addr| addr.to_string()),
        Listener::Unix(listener, _) => {
            path_of(listener).map(|path| format!("unix://{}", path.display()))
        }
    };
    let address = address.or(socket.asked).unwrap_or_default();
    tracing::info!(
        address,
        "an inherited socket is not in the configuration any more; closed"
    );
    if let Listener::Unix(listener, true) = &socket.listener
        && let Some(path) = path_of(listener)
    {
        fs::remove_file(path).ok();
    }
}

/// What a socket unit hands over. Takes the variables that tell of it out of the environment, so that children do not see them.
fn from_systemd() -> Vec<Inherited> {
    if env::var_os("LISTEN_FDS").is_none() {
        return Vec::new();
    }
    let mut given = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let tcp = given.take_tcp_listener(index).ok().flatten();
        let listener = match tcp {
            Some(listener) => Some(Listener::Tcp(listener)),
            None => {
                let unix = given.take_unix_listener(index).ok().flatten();
                unix.map(|listener| Listener::Unix(listener, false))
            }
        };
        match listener {
            Some(listener) => sockets.push(Inherited {
                asked: None,
                listener,
            }),
            None => tracing::warn!(
                index,
                "a socket from systemd is neither TCP nor a Unix stream; left alone"
            ),
        }
    }
    sockets
}
