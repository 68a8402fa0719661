//! Restarts without a refused connection: a new process takes over the listening sockets, then the old one leaves. Unix only,
//! with the feature `restart`.
//!
//! ```no_run
//! # use teleport::Peer;
//! # async fn f(peer: Peer) -> Result<(), teleport::Error> {
//! teleport::restart::serve(peer.listen().await?).await;
//! # Ok(()) }
//! ```
//!
//! This line serves until SIGTERM or Ctrl-C, which let calls under way finish, or until SIGUSR2: then the program is started
//! again, with the same arguments and the file that its name means by now. The new process
//!
//! 1. gets the listening sockets, and [`Peer::listen`](crate::Peer::listen) takes those that it is configured to listen at. It
//!    opens what is new itself, and closes what its configuration no longer has;
//! 2. says in its own `serve` (or [`Listening::until`](crate::Listening::until), or [`ready`]) that it is ready. Only then it
//!    accepts connections, and the old one ceases to, lets calls under way finish, and exits.
//!
//! A new process that exits before that, or is not ready within a minute, changes nothing: the old one goes on serving, and
//! logs why. At all times the sockets are open, so no connection is refused. Calls that the old process has
//! begun are answered; what is sent to it later fails as not sent (100), if the caller
//! [announces](crate::PeerConfig::announce) that it would understand, and goes to the new process over the next connection.
//!
//! # What to know
//!
//! - The sockets come through standard input, which is `/dev/null` in the new process. No variable of the environment is set, and
//!   children of either process inherit nothing.
//! - The process has another id afterwards, and a supervisor must follow it. systemd is told (`READY=1`, `MAINPID=`) if the unit
//!   has `Type=notify`; its `ExecReload` is `/bin/kill -USR2 $MAINPID`. Process 1 of a container cannot be replaced so: the
//!   container ends with it.
//! - Sockets of a systemd socket unit are taken in the same way, at the first start and after a restart. A service with such a
//!   unit refuses no connection even in a plain `systemctl restart`.
//! - Two processes run at the same time for a while. What only one may have (a lock, a port of another library) is to be opened
//!   after [`ready`], which may be called before `serve`; by then the old one has ceased to accept, though it may
//!   still have calls under way.
//! - Plugins learn from [`Closing::Restart`](crate::Closing::Restart) that the addresses are still served.

use std::{
    env, fmt, io,
    os::{fd::OwnedFd, unix::net::UnixStream},
    process::{Command, ExitStatus},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    process::Child,
    select,
    task::JoinSet,
    time::timeout,
};

use crate::{
    error::Error,
    inherit::{self, READY},
    peer::{Listening, ShutdownReport},
    signal::{Restart, Stop},
};

/// How long [`serve`] waits for a new process to be ready.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Serves until the process is asked to stop (SIGTERM, Ctrl-C) or has been replaced (SIGUSR2), then shuts the peers down and
/// tells what was cut. See the [module](self). Takes one [`Listening`] or several: `serve([a, b])`.
///
/// Each peer has its own [`shutdown_timeout`](crate::PeerConfig::shutdown_timeout). A second SIGTERM or Ctrl-C cuts at once.
///
/// # Cancel safety
/// Dropping the future leaves the peers as they are. A new process that is not ready yet is ended.
pub async fn serve(listening: impl Into<Vec<Listening>>) -> ShutdownReport {
    let listening = listening.into();
    // Before others know that this process is ready: from then on they send signals.
    let mut stop = Stop::watch();
    let mut restart = Restart::watch();
    ready().await;
    loop {
        select! {
            () = stop.received() => break,
            () = restart.received() => {}
        }
        let attempt = timeout(READY_WITHIN, hand_over(same_program(), &listening));
        let error = select! {
            () = stop.received() => break,
            result = attempt => match result {
                Ok(Ok(_)) => break,
                Ok(Err(error)) => error,
                Err(_) => failed(Failure::Late(READY_WITHIN)),
            },
        };
        tracing::error!(?error, "not restarted; this process goes on serving");
    }
    let mut ending: JoinSet<_> = listening.into_iter().map(Listening::end).collect();
    let mut report = ShutdownReport::default();
    while let Some(ended) = ending.join_next().await {
        report.append(ended.unwrap_or_default());
    }
    report
}

/// Starts a process that takes over from this one, and waits until it is [ready]. Gives its id. From then on that process
/// accepts the connections, and this one should shut its peers down.
///
/// There is no time limit: put a [`timeout`] around it. For programs that have another signal than [`serve`], or none:
///
/// ```no_run
/// # use std::time::Duration;
/// # use teleport::{Listening, restart, signal};
/// # async fn f(listening: Listening) {
/// let replaced = async {
///     loop {
///         signal::restart().await;
///         let attempt = restart::hand_over(restart::same_program(), [&listening]);
///         match tokio::time::timeout(Duration::from_secs(10), attempt).await {
///             Ok(Ok(pid)) => break println!("process {pid} takes over"),
///             Ok(Err(error)) => println!("still here: {error:?}"),
///             Err(_) => println!("still here: the new process takes too long"),
///         }
///     }
/// };
/// listening.clone().until(replaced).await;
/// # }
/// ```
///
/// # Errors
/// The process cannot be started, or ends before it is ready. Nothing has changed then.
///
/// # Cancel safety
/// Dropping the future ends the new process, if it is not ready yet.
pub async fn hand_over<'a>(
    mut command: Command,
    listening: impl IntoIterator<Item = &'a Listening>,
) -> Result<u32, Error> {
    let listening: Vec<_> = listening.into_iter().collect();
    let (channel, theirs) = UnixStream::pair().map_err(failed)?;
    offer(&channel, &listening).map_err(failed)?;
    command.stdin(OwnedFd::from(theirs));
    let mut newcomer = Newcomer::start(command, channel).map_err(failed)?;
    let pid = newcomer.pid;
    tracing::info!(pid, "a new process is started; waiting until it is ready");
    newcomer.until_ready().await.map_err(failed)?;
    // First, so that no two processes think that the files are theirs.
    listening.iter().for_each(|listening| listening.leave(true));
    if let Err(error) = newcomer.release().await {
        listening
            .iter()
            .for_each(|listening| listening.leave(false));
        return Err(failed(error));
    }
    inherit::notify(&format!("MAINPID={pid}"));
    tracing::info!(pid, "the new process takes over");
    Ok(pid)
}

/// The program that runs here, to be started again: the name it was started by, which may mean another file by now, with the
/// same arguments. Its directory and environment are those of this process.
#[must_use]
pub fn same_program() -> Command {
    let mut args = env::args_os();
    let mut command = Command::new(args.next().unwrap_or_default());
    command.args(args);
    command
}

/// Says that this process listens at all that it is going to, and returns when it may take connections: at once, or when the
/// process before it has heard it. [`serve`] and [`Listening::until`] do this by themselves.
///
/// Sockets that were inherited and that no peer listens at are closed. Only the first call does something.
///
/// # Cancel safety
/// Dropping the future stops the waiting, not what it waits for.
pub async fn ready() {
    inherit::ready().await;
}

fn offer(channel: &UnixStream, listening: &[&Listening]) -> io::Result<()> {
    let mut sockets = Vec::new();
    for listening in listening {
        sockets.extend(listening.sockets()?);
    }
    if sockets.is_empty() {
        return Err(io::Error::other("nothing is listened at any more"));
    }
    inherit::give(channel, &sockets)
}

/// A new process. Dropping it ends the process, unless it has been released.
struct Newcomer {
    child: Child,
    pid: u32,
    channel: tokio::net::UnixStream,
    released: bool,
}

impl Newcomer {
    fn start(command: Command, channel: UnixStream) -> io::Result<Self> {
        channel.set_nonblocking(true)?;
        let channel = tokio::net::UnixStream::from_std(channel)?;
        // The command holds the other end of the channel, so it must not live on.
        let child = tokio::process::Command::from(command).spawn()?;
        Ok(Self {
            pid: child.id().unwrap_or_default(),
            child,
            channel,
            released: false,
        })
    }

    async fn until_ready(&mut self) -> Result<(), Failure> {
        let mut said = [0; READY.len()];
        let heard = select! {
            status = self.child.wait() => return Err(Failure::Ended(status?)),
            heard = self.channel.read_exact(&mut said) => heard,
        };
        if heard.is_ok() && said == *READY {
            return Ok(());
        }
        // Most likely it is about to end.
        match timeout(Duration::from_secs(1), self.child.wait()).await {
            Ok(status) => Err(Failure::Ended(status?)),
            Err(_) => Err(Failure::Silent),
        }
    }

    /// Lets it take connections.
    async fn release(&mut self) -> Result<(), Failure> {
        self.channel.write_all(READY).await?;
        self.released = true;
        Ok(())
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        if !self.released {
            self.child.start_kill().ok();
        }
    }
}

/// Why a new process does not take over.
#[derive(Debug)]
enum Failure {
    Ended(ExitStatus),
    Io(io::Error),
    Late(Duration),
    Silent,
}

fn failed(failure: impl Into<Failure>) -> Error {
    Error::write("restart", failure.into())
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended(status) => write!(f, "the new process ended before it was ready: {status}"),
            Self::Io(_) => f.write_str("the new process cannot be started"),
            Self::Late(limit) => write!(f, "the new process was not ready within {limit:?}"),
            Self::Silent => f.write_str(
                "the new process closed its standard input and did not say that it is ready",
            ),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Io(error) => Some(error),
            _ => None,
        }
    }
}
