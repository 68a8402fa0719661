//! A proxy between peers that does what networks do.

use std::{
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use teleport::Addr;
use teleport_tests::dice::Dice;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, split},
    net::{TcpListener, TcpStream, UnixListener, UnixStream},
    time::{sleep, timeout},
};

/// How often connections came to which end.
#[derive(Debug, Default)]
struct Ends {
    cut: AtomicU64,
    reset: AtomicU64,
    forgotten: AtomicU64,
    stalled: AtomicU64,
}

/// Listens, and passes connections on. It does so for ever.
pub(crate) struct Proxy {
    address: String,
    ends: Arc<Ends>,
}

/// What becomes of one connection.
#[derive(Clone, Copy, Debug)]
enum Fate {
    /// It lives as long as its peers want.
    Lives,
    /// Both sides end, after a while.
    Cut,
    /// Nothing passes any more, and nobody is told.
    Forgotten,
    Reset,
}

/// How long a forgotten connection is kept: longer than the peers need to notice.
const FORGOTTEN: Duration = Duration::from_secs(8);

impl Proxy {
    /// In front of a server. A Unix socket is made at `path`.
    pub(crate) async fn start(server: &Addr, path: &Path, dice: Dice) -> Self {
        let ends = Arc::new(Ends::default());
        let counted = Arc::clone(&ends);
        let address = match server {
            Addr::Unix(Some(server)) => {
                let listener = UnixListener::bind(path).expect("a new path");
                let server = server.clone();
                tokio::spawn(unix(listener, server, dice, counted));
                format!("unix://{}", path.display())
            }
            server => {
                let to = server.socket_addr().expect("TCP or TLS");
                let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
                let port = listener.local_addr().expect("bound").port();
                tokio::spawn(tcp(listener, to, dice, counted));
                match server {
                    Addr::Tls(_) => format!("tls://localhost:{port}"),
                    _ => format!("tcp://127.0.0.1:{port}"),
                }
            }
        };
        Self { address, ends }
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// What was done to connections, by all of these.
    pub(crate) fn told(proxies: &[Self]) -> String {
        let sum = |which: fn(&Ends) -> &AtomicU64| -> u64 {
            proxies
                .iter()
                .map(|proxy| which(&proxy.ends).load(Ordering::Relaxed))
                .sum()
        };
        format!(
            "{} cut, {} reset, {} forgotten, {} stalls",
            sum(|ends| &ends.cut),
            sum(|ends| &ends.reset),
            sum(|ends| &ends.forgotten),
            sum(|ends| &ends.stalled)
        )
    }
}

async fn tcp(listener: TcpListener, to: std::net::SocketAddr, mut dice: Dice, ends: Arc<Ends>) {
    loop {
        let Ok((near, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (mut dice, ends) = (dice.split(), Arc::clone(&ends));
        tokio::spawn(async move {
            let Ok(mut far) = TcpStream::connect(to).await else {
                return;
            };
            let mut near = near;
            if let Fate::Reset = pass(&mut near, &mut far, &mut dice, &ends).await {
                // It is closed with a reset then.
                let _ = (near.set_zero_linger(), far.set_zero_linger());
            }
        });
    }
}

async fn unix(listener: UnixListener, to: PathBuf, mut dice: Dice, ends: Arc<Ends>) {
    loop {
        let Ok((mut near, _)) = listener.accept().await else {
            sleep(Duration::from_millis(10)).await;
            continue;
        };
        let (mut dice, ends, to) = (dice.split(), Arc::clone(&ends), to.clone());
        tokio::spawn(async move {
            if let Ok(mut far) = UnixStream::connect(to).await {
                pass(&mut near, &mut far, &mut dice, &ends).await;
            }
        });
    }
}

/// Passes bytes on until the connection meets its fate.
async fn pass<S>(near: &mut S, far: &mut S, dice: &mut Dice, ends: &Ends) -> Fate
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let fate = match dice.within(0..10) {
        0..=3 => Fate::Lives,
        4..=6 => Fate::Cut,
        7 | 8 => Fate::Reset,
        _ => Fate::Forgotten,
    };
    // Some break in the handshake, others after many calls.
    let life = match dice.percent(30) {
        true => dice.millis(0..20),
        false => dice.millis(0..8000),
    };
    let (near_read, near_write) = split(near);
    let (far_read, far_write) = split(far);
    let there = carry(near_read, far_write, dice.split(), ends);
    let back = carry(far_read, near_write, dice.split(), ends);
    let both = async { tokio::join!(there, back) };
    match fate {
        Fate::Lives => {
            // Whichever way the peers have ended it.
            let _ = both.await;
            return fate;
        }
        _ if timeout(life, both).await.is_ok() => return Fate::Lives,
        Fate::Cut => &ends.cut,
        Fate::Reset => &ends.reset,
        Fate::Forgotten => {
            sleep(FORGOTTEN).await;
            &ends.forgotten
        }
    }
    .fetch_add(1, Ordering::Relaxed);
    fate
}

/// Passes on what comes, in pieces, some of them late.
async fn carry(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut dice: Dice,
    ends: &Ends,
) -> io::Result<()> {
    let slow = dice.percent(30);
    let mut buffer = vec![0; dice.pick(&[1500, 16 * 1024, 64 * 1024])];
    loop {
        let count = from.read(&mut buffer).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        if slow {
            sleep(dice.millis(0..5)).await;
        }
        if dice.within(0..5000) == 0 {
            ends.stalled.fetch_add(1, Ordering::Relaxed);
            // Short enough to live through, or just not.
            sleep(dice.millis(0..2500)).await;
        }
        to.write_all(&buffer[..count]).await?;
    }
}
