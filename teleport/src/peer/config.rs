//! [`PeerConfig`].

use std::{path::PathBuf, time::Duration};

use crate::{
    codec::CodecId,
    protocol::{HeaderCodec, Limits},
    session::BodyText,
    socket::transport,
};

/// The longest time limit. Who waits for longer wants none.
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How a peer behaves. Plain fields with defaults; take what you need and leave the rest to `..Default::default()`.
///
/// ```
/// use std::time::Duration;
/// use teleport::{Peer, PeerConfig};
///
/// let config = PeerConfig {
///     listen: vec!["127.0.0.1:0".into()],
///     read_timeout: Some(Duration::from_secs(180)),
///     ..PeerConfig::default()
/// };
/// let peer = Peer::builder().config(config).build()?;
/// # let _ = peer;
/// # Ok::<(), teleport::Error>(())
/// ```
///
/// # TLS
///
/// With the feature `tls`. The files are PEM; they are read by [`PeerBuilder::build`](crate::PeerBuilder::build) and by
/// `Peer::reload_tls`.
///
/// | | to listen | to dial |
/// |---|---|---|
/// | `tls_cert_file`, `tls_key_file` | who this side is | who this side is, if it is asked |
/// | `tls_client_ca_file` | whose clients are let in (mutual TLS) | |
/// | `tls_ca_file` | | which servers are trusted |
///
/// An address `tls://host:port` always means TLS, `tcp://host:port` never. `host:port` alone means TLS where this side has
/// what it needs for it: for listening a certificate with its key, for dialling authorities to trust. So what is configured for
/// TLS speaks nothing else by accident. `unix://` is never under TLS.
///
/// ```no_run
/// # use teleport::PeerConfig;
/// let config = PeerConfig {
///     listen: vec!["0.0.0.0:9090".into(), "tcp://127.0.0.1:9091".into()], // TLS for all, plain for this machine
///     tls_cert_file: Some("/etc/shop/cert.pem".into()),
///     tls_key_file: Some("/etc/shop/key.pem".into()),
///     ..PeerConfig::default()
/// };
/// # let _ = config;
/// ```
#[cfg_attr(feature = "config", doc = include_str!("settings/keys.md"))]
#[derive(Clone, Debug)]
pub struct PeerConfig {
    /// Where [`Peer::listen`](crate::Peer::listen) listens: `host:port`, `tcp://host:port`, `tls://host:port` or
    /// `unix:///path`. Default: nowhere.
    pub listen: Vec<String>,
    /// A session on which no packet comes for so long is closed. Replies count as packets, silence while a handler
    /// works does not. Default: none, a silent session stays.
    pub read_timeout: Option<Duration>,
    /// A session on which a packet has begun and less than 32 KiB of it, or of its rest, has come within this time is closed: a
    /// slow link may take its time, who sends byte by byte may not. Default: 30 seconds.
    pub packet_timeout: Option<Duration>,
    /// A session whose other side has taken less than 32 KiB, and not all that there was, of what is to be written within this
    /// time is cut. Without it a peer that does not read holds its callers for ever. Default: 3 minutes.
    pub write_timeout: Option<Duration>,
    /// How long a dial may take, the handshakes of TLS and of plugins included. Default: 10 seconds.
    pub dial_timeout: Option<Duration>,
    /// How long the handshakes of TLS and of plugins may take on an accepted connection. Default: 10 seconds.
    pub accept_timeout: Option<Duration>,
    /// How long [`Listening::until`](crate::Listening::until) waits for calls in flight when it shuts down. Default: 20 seconds.
    pub shutdown_timeout: Duration,
    /// The header codec of the pulls and pushes that this side starts. Default: protobuf, the shortest.
    pub header_codec: HeaderCodec,
    /// The body codec of the pulls and pushes that this side starts, where the value can be written in it and the
    /// call names no other. Default: JSON.
    pub body_codec: CodecId,
    /// The gzip level of the bodies that this side starts, -2 to 9. Default: 0, not compressed.
    pub gzip: i32,
    /// Bytes that one packet, and one inflated body, may have. What is larger closes the connection (a packet) or
    /// is answered 400 (a body). Memory is taken as bytes arrive: an announced length is
    /// believed for at most 1 MiB of it. Default: 64 MiB each.
    pub limits: Limits,
    /// Bytes per session that may wait to be written; callers and handlers wait while there are more. Memory for a peer
    /// that does not read is this, one packet over it, and what waits. Default: 1 MiB.
    pub write_buffer: usize,
    /// Handlers of one session that may run at the same time; a pull over it is answered 503, a push is dropped.
    /// Each holds its arguments: see `session_memory`. Default: 65,536.
    pub max_handlers: usize,
    /// Bytes that the calls of one session may hold: what was read of them while their handlers wait for something, bodies that
    /// were inflated, and replies that wait for room. While it is that much, a pull is answered 503, a push is dropped, and a
    /// reply that would have to wait becomes 500. One call may go over it. What a handler allocates itself is not counted.
    /// Default: 256 MiB.
    pub session_memory: usize,
    /// Bytes that all sessions may hold together in buffers of large packets, and as calls (see `session_memory`), beyond the
    /// first MiB of each. While it is used up, large packets are read no further (for as long as `packet_timeout`), calls of sessions
    /// that hold much are refused as above, and small calls of the others go on. Default: 1 GiB.
    pub peer_memory: usize,
    /// Says in the first pull or push of each session, in a header field that old peers skip, that this side understands
    /// extensions. The other side then tells when it closes which pulls it has not taken: those fail as not sent (100) and
    /// may be repeated, where they would fail as unanswered (101). Default: not, so that packets are those of the seed to
    /// the byte.
    pub announce: bool,
    /// A call that takes longer, on either side, is logged as a warning. A [router](crate::Router::slow_threshold) or a
    /// route can set its own. Costs a clock reading and an allocation per call. Default: none.
    pub slow_threshold: Option<Duration>,
    /// Shows bodies in the events about calls, which are at level debug with the target `teleport::call`. Mind what is in
    /// them. Default: not.
    pub print_bodies: Option<BodyText>,
    /// This side's certificate, behind it those of the authorities between it and the root. Needs `tls_key_file`. It is shown
    /// to who dials this side, and to servers that demand one. Default: none; an empty path is none.
    pub tls_cert_file: Option<PathBuf>,
    /// The private key of `tls_cert_file`, not encrypted. Default: none; an empty path is none.
    pub tls_key_file: Option<PathBuf>,
    /// Certificates of authorities: those who dial this side must show a certificate that one of them has issued. Default: none,
    /// which lets everybody in; an empty path is none.
    pub tls_client_ca_file: Option<PathBuf>,
    /// Certificates of authorities: a server that this side dials must show one that one of them has issued for the name that
    /// was dialled. There are no others: what the operating system trusts is not looked at. Default: none; an empty path is none.
    pub tls_ca_file: Option<PathBuf>,
}

impl Default for PeerConfig {
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            read_timeout: None,
            packet_timeout: Some(Duration::from_secs(30)),
            write_timeout: Some(Duration::from_secs(180)),
            dial_timeout: Some(Duration::from_secs(10)),
            accept_timeout: Some(Duration::from_secs(10)),
            shutdown_timeout: Duration::from_secs(20),
            header_codec: HeaderCodec::Protobuf,
            body_codec: CodecId::JSON,
            gzip: 0,
            limits: Limits::default(),
            write_buffer: 1024 * 1024,
            max_handlers: 65_536,
            session_memory: 256 * 1024 * 1024,
            peer_memory: 1024 * 1024 * 1024,
            announce: false,
            slow_threshold: None,
            print_bodies: None,
            tls_cert_file: None,
            tls_key_file: None,
            tls_client_ca_file: None,
            tls_ca_file: None,
        }
    }
}

impl PeerConfig {
    /// The fields with which a peer cannot work, by their names, and why.
    pub(super) fn mistakes(&self) -> Vec<(&'static str, String)> {
        let mut found = Vec::new();
        let mut rule = |field, broken: Option<String>| {
            found.extend(broken.map(|text| (field, text)));
        };
        for address in &self.listen {
            let broken = transport::check(address).err();
            rule(
                "listen",
                broken.map(|error| format!("has {address:?}; {error}")),
            );
        }
        rule("read_timeout", unusable_limit(self.read_timeout));
        rule("packet_timeout", unusable_limit(self.packet_timeout));
        rule("write_timeout", unusable_limit(self.write_timeout));
        rule("dial_timeout", unusable_limit(self.dial_timeout));
        rule("accept_timeout", unusable_limit(self.accept_timeout));
        rule("shutdown_timeout", too_long(self.shutdown_timeout));
        rule("gzip", no_level(self.gzip));
        rule("limits.packet", zero(self.limits.packet));
        rule("limits.inflated", zero(self.limits.inflated));
        rule("limits.sent", zero(self.limits.sent));
        rule("write_buffer", zero(self.write_buffer));
        rule("max_handlers", zero(self.max_handlers));
        rule("session_memory", zero(self.session_memory));
        rule("peer_memory", zero(self.peer_memory));
        rule("slow_threshold", self.slow_threshold.and_then(too_long));
        rule("tls_cert_file", without_tls(&self.tls_cert_file));
        rule("tls_key_file", without_tls(&self.tls_key_file));
        rule("tls_client_ca_file", without_tls(&self.tls_client_ca_file));
        rule("tls_ca_file", without_tls(&self.tls_ca_file));
        found
    }
}

fn unusable_limit(limit: Option<Duration>) -> Option<String> {
    match limit {
        Some(Duration::ZERO) => {
            Some("is zero, which leaves no time; `None` is no limit".to_owned())
        }
        limit => limit.and_then(too_long),
    }
}

fn too_long(limit: Duration) -> Option<String> {
    (limit > LONGEST).then(|| format!("is {limit:?}; it must be at most 30 days"))
}

fn no_level(gzip: i32) -> Option<String> {
    (!(-2..=9).contains(&gzip)).then(|| format!("is {gzip}; it must be from -2 to 9"))
}

fn zero(size: usize) -> Option<String> {
    (size == 0).then(|| "is 0; it must be at least 1".to_owned())
}

/// A configuration that asks for TLS must not be taken for one that has it. What else a file must be is seen by reading it.
fn without_tls(file: &Option<PathBuf>) -> Option<String> {
    let set = file
        .as_ref()
        .is_some_and(|path| !path.as_os_str().is_empty());
    (set && cfg!(not(feature = "tls"))).then(|| {
        "is set, but this program is built without TLS: enable the feature `tls` of teleport"
            .to_owned()
    })
}

#[cfg(all(test, not(feature = "tls")))]
mod tests {
    use super::*;

    #[test]
    fn without_tls_a_configuration_that_asks_for_it_is_refused() {
        let mut config = PeerConfig {
            tls_cert_file: Some("".into()),
            ..PeerConfig::default()
        };
        assert_eq!(config.mistakes(), [], "an empty path is none");
        config.tls_client_ca_file = Some("ca.pem".into());
        config.listen.push("tls://127.0.0.1:0".into());
        let mistakes = config.mistakes();
        let [("listen", first), ("tls_client_ca_file", second)] = &mistakes[..] else {
            panic!("both are told: {mistakes:?}")
        };
        for text in [first, second] {
            assert!(text.contains("enable the feature `tls`"), "{text}");
        }
    }
}
