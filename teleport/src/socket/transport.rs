//! Addresses, and the byte streams that are reached through them.

use std::{fmt, io, net::SocketAddr};
#[cfg(unix)]
use std::{fs, os::unix::fs::FileTypeExt, path::PathBuf, sync::atomic::AtomicBool};

use tokio::net::{TcpListener, TcpStream};
#[cfg(unix)]
use tokio::net::{UnixListener, UnixStream};

#[cfg(feature = "tls")]
use super::tls::{TlsInfo, TlsStream};
#[cfg(all(unix, feature = "restart"))]
use crate::inherit;

/// Where one end of a connection is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Addr {
    /// Anything else, by a name of the application's choice: an in-memory pipe, a serial line.
    Named(String),
    /// A TCP address.
    Tcp(SocketAddr),
    /// A TCP address where TLS is spoken.
    Tls(SocketAddr),
    /// A Unix socket; `None` is an end without a path, which is what clients have.
    #[cfg(unix)]
    Unix(Option<PathBuf>),
}

impl Addr {
    /// The IP address and the port, of a TCP end with or without TLS.
    #[must_use]
    pub fn socket_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::Tcp(addr) | Self::Tls(addr) => Some(*addr),
            _ => None,
        }
    }

    /// The IP address, of a TCP end with or without TLS.
    #[must_use]
    pub fn ip(&self) -> Option<std::net::IpAddr> {
        self.socket_addr().map(|addr| addr.ip())
    }
}

impl fmt::Display for Addr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Named(name) => f.write_str(name),
            Self::Tcp(addr) => addr.fmt(f),
            Self::Tls(addr) => write!(f, "tls://{addr}"),
            #[cfg(unix)]
            Self::Unix(Some(path)) => write!(f, "unix://{}", path.display()),
            #[cfg(unix)]
            Self::Unix(None) => f.write_str("unix://"),
        }
    }
}

/// What an address text asks for.
#[derive(Debug)]
enum Target<'a> {
    /// `host:port`: TLS if this side has what it needs for it.
    Host(&'a str),
    Tcp(&'a str),
    Tls(&'a str),
    #[cfg(unix)]
    Unix(&'a str),
}

const FORMS: &str = "write host:port, tcp://host:port, tls://host:port or unix:///path";

fn target(address: &str) -> io::Result<Target<'_>> {
    match address.split_once("://") {
        None => Ok(Target::Host(address)),
        Some(("tcp", host)) => Ok(Target::Tcp(host)),
        Some(("tls", host)) => Ok(Target::Tls(host)),
        #[cfg(unix)]
        Some(("unix", path)) => Ok(Target::Unix(path)),
        Some((scheme, _)) => Err(unusable(format!(
            "`{scheme}://` is not a transport; {FORMS}"
        ))),
    }
}

fn unusable(text: impl Into<String>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidInput, text.into())
}

/// What TLS lacks where an address asks for it and `missing` is not there.
fn no_tls(missing: &str) -> io::Error {
    match cfg!(feature = "tls") {
        true => unusable(format!("there is {missing}")),
        false => {
            unusable("this program is built without TLS: enable the feature `tls` of teleport")
        }
    }
}

/// The host of a TCP address, without scheme and port.
#[cfg(feature = "tls")]
pub(crate) fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let host = rest.rsplit_once(':').map_or(rest, |(host, _)| host);
    let bare = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));
    bare.unwrap_or(host)
}

/// A connected byte stream.
/// Whether an address can be listened at, as far as its text tells.
pub(crate) fn check(address: &str) -> io::Result<()> {
    let problem = match target(address)? {
        Target::Tls(_) if cfg!(not(feature = "tls")) => return Err(no_tls(CERTIFICATE)),
        Target::Host(host) | Target::Tcp(host) | Target::Tls(host) => match host.rsplit_once(':') {
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
    Err(unusable(format!("{problem}; {FORMS}")))
}

/// A connected byte stream.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    #[cfg(feature = "tls")]
    Tls(TlsStream, Box<TlsInfo>),
    #[cfg(unix)]
    Unix(UnixStream),
}

/// Connects; gives the addresses of this and of the other end. No time limit of its own. `secure`: this side has what TLS
/// needs. Whether it is to be spoken is told by the addresses; its handshake is the caller's.
pub(crate) async fn connect(address: &str, secure: bool) -> io::Result<(Stream, Addr, Addr)> {
    let (host, addr): (_, fn(SocketAddr) -> Addr) = match target(address)? {
        Target::Host(host) if secure => (host, Addr::Tls),
        Target::Host(host) | Target::Tcp(host) => (host, Addr::Tcp),
        Target::Tls(host) if secure => (host, Addr::Tls),
        Target::Tls(_) => return Err(no_tls(TRUST)),
        #[cfg(unix)]
        Target::Unix(path) => {
            let stream = UnixStream::connect(path).await?;
            let peer = Addr::Unix(Some(path.into()));
            return Ok((Stream::Unix(stream), Addr::Unix(None), peer));
        }
    };
    let stream = TcpStream::connect(host).await?;
    stream.set_nodelay(true)?;
    let (local, peer) = (stream.local_addr()?, stream.peer_addr()?);
    // Where nobody listens, the system may have taken that very port for this end. Who dials often will see it.
    if local == peer {
        return Err(io::ErrorKind::ConnectionRefused.into());
    }
    Ok((Stream::Tcp(stream), addr(local), addr(peer)))
}

const TRUST: &str = "nothing to trust the other side's certificate by: set tls_ca_file, or give a client configuration";
const CERTIFICATE: &str =
    "no certificate to show: set tls_cert_file and tls_key_file, or give a server configuration";

/// Accepts connections at one address.
#[derive(Debug)]
pub(crate) enum Listener {
    Tcp(TcpListener),
    Tls(TcpListener),
    #[cfg(unix)]
    Unix(UnixListener, SocketFile),
}

impl Listener {
    /// `secure`: this side has what TLS needs.
    pub(crate) async fn bind(address: &str, secure: bool) -> io::Result<Self> {
        match target(address)? {
            Target::Host(host) | Target::Tls(host) if secure => {
                Ok(Self::Tls(bind_tcp(address, host).await?))
            }
            Target::Host(host) | Target::Tcp(host) => Ok(Self::Tcp(bind_tcp(address, host).await?)),
            Target::Tls(_) => Err(no_tls(CERTIFICATE)),
            #[cfg(unix)]
            Target::Unix(path) => {
                let (listener, file) = bind_unix(address, path)?;
                Ok(Self::Unix(listener, file))
            }
        }
    }

    pub(crate) fn local_addr(&self) -> io::Result<Addr> {
        match self {
            Self::Tcp(listener) => Ok(Addr::Tcp(listener.local_addr()?)),
            Self::Tls(listener) => Ok(Addr::Tls(listener.local_addr()?)),
            #[cfg(unix)]
            Self::Unix(_, file) => Ok(Addr::Unix(Some(file.path.clone()))),
        }
    }

    /// Waits for a connection; gives it with the address of its other end. Dropping the future loses none. The handshake
    /// of TLS is the caller's: here it would keep others waiting.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, Addr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Addr::Tcp(peer)))
            }
            Self::Tls(listener) => {
                let (stream, peer) = listener.accept().await?;
                stream.set_nodelay(true)?;
                Ok((Stream::Tcp(stream), Addr::Tls(peer)))
            }
            #[cfg(unix)]
            Self::Unix(listener, _) => {
                let (stream, _) = listener.accept().await?;
                Ok((Stream::Unix(stream), Addr::Unix(None)))
            }
        }
    }
}

#[cfg(all(unix, feature = "restart"))]
impl Listener {
    /// The socket for the next process.
    pub(crate) fn to_socket(&self, asked: String) -> io::Result<inherit::Socket> {
        use std::os::fd::AsFd;

        let (fd, removes_file) = match self {
            Self::Tcp(listener) | Self::Tls(listener) => (listener.as_fd(), false),
            Self::Unix(listener, file) => (listener.as_fd(), !file.foreign),
        };
        Ok(inherit::Socket {
            asked,
            fd: fd.try_clone_to_owned()?,
            removes_file,
        })
    }

    /// Whether it is this process that removes the socket's file.
    pub(crate) fn set_owner(&self, this_process: bool) {
        if let Self::Unix(_, file) = self {
            file.ours
                .store(this_process, std::sync::atomic::Ordering::Relaxed);
        }
    }
}

async fn bind_tcp(address: &str, host: &str) -> io::Result<TcpListener> {
    #[cfg(all(unix, feature = "restart"))]
    if let Some(listener) = inherit::tcp(address, host).await? {
        return Ok(listener);
    }
    let _ = address;
    TcpListener::bind(host).await
}

#[cfg(unix)]
fn bind_unix(address: &str, path: &str) -> io::Result<(UnixListener, SocketFile)> {
    let file = |ours, foreign| SocketFile {
        path: path.into(),
        ours: AtomicBool::new(ours),
        foreign,
    };
    #[cfg(feature = "restart")]
    if let Some((listener, removes)) = inherit::unix(address, path.as_ref())? {
        // The process before this one still serves there.
        return Ok((listener, file(false, !removes)));
    }
    let _ = address;
    remove_stale_socket(path);
    Ok((UnixListener::bind(path)?, file(true, false)))
}

/// The file of a Unix socket, which is removed with it by the process that has it last.
#[cfg(unix)]
#[derive(Debug)]
pub(crate) struct SocketFile {
    path: PathBuf,
    ours: AtomicBool,
    /// Of somebody who keeps it.
    foreign: bool,
}

#[cfg(unix)]
impl Drop for SocketFile {
    fn drop(&mut self) {
        if *self.ours.get_mut() && !self.foreign {
            fs::remove_file(&self.path).ok();
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

#[cfg(all(test, feature = "tls"))]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_what_is_left_without_scheme_and_port() {
        for (address, expected) in [
            ("example.org:9090", "example.org"),
            ("tls://example.org:9090", "example.org"),
            ("tls://[::1]:9090", "::1"),
            ("10.0.0.1:1", "10.0.0.1"),
        ] {
            assert_eq!(host(address), expected);
        }
    }
}
