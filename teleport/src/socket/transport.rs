//! Addresses, and the byte streams that are reached through them.

use std::{fmt, io, net::SocketAddr};
#[cfg(unix)]
use std::{fs, os::unix::fs::FileTypeExt, path::PathBuf};

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

/// Where one end of a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Addr {
    /// Anything else, by a name of the application's choice: an in-memory pipe, a serial line.
    Named(String),
    /// A TCP address.
    Tcp(SocketAddr),
    /// A Unix socket; `None` is an end without a path, which is what clients have.
    #[cfg(unix)]
    Unix(Option<PathBuf>),
}

impl Addr {
    /// The IP address, of a TCP end.
    #[must_use]
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip()),
            _ => None,
        }
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Tcp(addr) => addr.fmt(f),
            #[cfg(unix)]
            Self::Unix(Some(path)) => write!(f, "unix://{}", path.display()),
            #[cfg(unix)]
            Self::Unix(None) => f.write_str("unix://"),
        }
    }
}

/// What an address text asks for: `host:port`, `tcp://host:port` or `unix:///path`.
#[derive(Debug)]
enum Target<'a> {
    Tcp(&'a str),
    #[cfg(unix)]
    Unix(&'a str),
}

fn target(address: &str) -> io::Result<Target<'_>> {
    let unknown = |scheme: &str| {
        let text = format!(
            "`{scheme}://` is not a transport; write host:port, tcp://host:port or unix:///path"
        );
        io::Error::new(io::ErrorKind::InvalidInput, text)
    };
    match address.split_once("://") {
        None => Ok(Target::Tcp(address)),
        Some(("tcp", host)) => Ok(Target::Tcp(host)),
        #[cfg(unix)]
        Some(("unix", path)) => Ok(Target::Unix(path)),
        Some((scheme, _)) => Err(unknown(scheme)),
    }
}

/// Whether an address can be listened at, as far as its text tells.
pub(crate) fn check(address: &str) -> io::Result<()> {
    let problem = match target(address)? {
        Target::Tcp(host) => match host.rsplit_once(':') {
            None => "it has no port",
            Some(("", _)) => "it has no host, which is 0.0.0.0 or [::] for all",
            Some((_, port)) if port.parse::<u16>().is_err() => "its port is no number up to 65535",
            Some((host, _)) if host.contains(':') && !host.starts_with('[') => {
                "an IPv6 address needs brackets, as in [::1]:9090"
            }
            Some(_) => return Ok(()),
        },
        #[cfg(unix)]
        Target::Unix("") => "it has no path",
        #[cfg(unix)]
        Target::Unix(_) => return Ok(()),
    };
    let text = format!("{problem}; write host:port, tcp://host:port or unix:///path");
    Err(io::Error::new(io::ErrorKind::InvalidInput, text))
}

/// A connected byte stream with the addresses of its ends.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Connects. No time limit of its own.
pub(crate) async fn connect(address: &str) -> io::Result<(Stream, Addr, Addr)> {
    match target(address)? {
        Target::Tcp(host) => {
            let stream = TcpStream::connect(host).await?;
            stream.set_nodelay(true)?;
            let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
            Ok((Stream::Tcp(stream), Addr::Tcp(local), Addr::Tcp(peer)))
        }
        #[cfg(unix)]
        Target::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            let peer = Addr::Unix(Some(path.into()));
            Ok((Stream::Unix(stream), Addr::Unix(None), peer))
        }
    }
}

/// Accepts connections at one address.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, PathBuf),
}

impl Listener {
    pub(crate) async fn bind(address: &str) -> io::Result<Self> {
        match target(address)? {
            Target::Tcp(host) => Ok(Self::Tcp(TcpListener::bind(host).await?)),
            #[cfg(unix)]
            Target::Unix(path) => {
                remove_stale_socket(path);
                Ok(Self::Unix(UnixListener::bind(path)?, path.into()))
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<Addr> {
        match self {
            Self::Tcp(listener) => Ok(Addr::Tcp(listener.local_addr()?)),
            #[cfg(unix)]
            Self::Unix(_, path) => Ok(Addr::Unix(Some(path.clone()))),
        }
    }

    /// Waits for a connection. Dropping the future loses none.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Addr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Addr::Tcp(peer)))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Addr::Unix(None)))
            }
        }
    }
}

#[cfg(unix)]
impl Drop for Listener {
    fn drop(&mut self) {
        if let Self::Unix(_, path) = self {
            fs::remove_file(path).ok();
        }
    }
}

/// A socket file that a killed process left behind would make `bind` fail. One that still answers is left alone.
#[cfg(unix)]
fn remove_stale_socket(path: &str) {
    let is_socket = fs::metadata(path).is_ok_and(|meta| meta.file_type().is_socket());
    if is_socket && std::os::unix::net::UnixStream::connect(path).is_err() {
        fs::remove_file(path).ok();
    }
}
