//! [`Error`]: why a call, a dial or a listen did not succeed.

use std::{error::Error as StdError, fmt, io};

use crate::{
    secrets,
    status::{Status, code},
};

type Source = Box<dyn StdError + Send + Sync>;

/// Why something failed, seen from this side.
///
/// It is either a local failure (nothing could be sent, the connection ended, the time limit passed, a body could
/// not be encoded or decoded) or a [`Status`] that the remote handler returned: [`is_remote`](Self::is_remote) tells
/// them apart. The message names the uri and the peer; [`source`](StdError::source) leads to the cause. Values of query
/// parameters with names such as `token` or `password` are masked in it.
pub struct Error(Box<Inner>);

struct Inner {
    kind: Kind,
    /// What was attempted, e.g. `pull /home/test` or `dial`.
    action: &'static str,
    target: String,
    peer: String,
    source: Option<Source>,
}

enum Kind {
    /// The connection ended before the reply.
    Closed,
    Config,
    Decode,
    Dial,
    Encode,
    /// A session or a link that was up.
    Ended,
    Listen,
    /// A plugin on this side refused.
    Rejected(Status),
    Remote(Status),
    Timeout,
    /// The connection had ended before the other side took the call.
    Unsent,
    /// Nothing was sent.
    Write,
}

impl Error {
    /// The code: the remote handler's own, or one of the local ones in [`code`] (100 to 103).
    ///
    /// Failures before there is a connection (dial, listen, configuration) count as 100, not sent.
    #[must_use]
    pub fn code(&self) -> i32 {
        match &self.0.kind {
            Kind::Closed => code::CONNECTION_CLOSED,
            Kind::Decode => code::UNREADABLE_REPLY,
            Kind::Timeout => code::TIMED_OUT,
            Kind::Remote(status) | Kind::Rejected(status) => status.code(),
            Kind::Config
            | Kind::Dial
            | Kind::Encode
            | Kind::Ended
            | Kind::Listen
            | Kind::Unsent
            | Kind::Write => code::WRITE_FAILED,
        }
    }

    /// The status that the remote handler, or a plugin on this side, returned.
    #[must_use]
    pub fn status(&self) -> Option<&Status> {
        match &self.0.kind {
            Kind::Remote(status) | Kind::Rejected(status) => Some(status),
            _ => None,
        }
    }

    /// The other side received the call and answered it with a status other than 200.
    #[must_use]
    pub fn is_remote(&self) -> bool {
        matches!(self.0.kind, Kind::Remote(_))
    }

    /// The connection was closed: before the call (100: it was not sent, or the other side, which was closing, has said that it
    /// did not take it), or before its reply came (101: whether it was served is not known).
    #[must_use]
    pub fn is_closed(&self) -> bool {
        matches!(self.0.kind, Kind::Closed | Kind::Ended | Kind::Unsent)
    }

    /// Another session may take the call: this one has not.
    pub(crate) fn is_unsent(&self) -> bool {
        matches!(self.0.kind, Kind::Unsent)
    }

    /// A time limit on this side passed: of the call, or of the dial.
    #[must_use]
    pub fn is_timeout(&self) -> bool {
        match &self.0.kind {
            Kind::Timeout => true,
            _ => self
                .0
                .source
                .as_ref()
                .and_then(|source| source.downcast_ref::<io::Error>())
                .is_some_and(|source| source.kind() == io::ErrorKind::TimedOut),
        }
    }

    /// The arguments could not be encoded; nothing was sent.
    #[must_use]
    pub fn is_encode(&self) -> bool {
        matches!(self.0.kind, Kind::Encode)
    }

    /// A reply with status 200 came, but its body does not fit the type that the caller asked for.
    #[must_use]
    pub fn is_decode(&self) -> bool {
        matches!(self.0.kind, Kind::Decode)
    }

    /// A plugin on this side refused the call or its reply; [`status`](Self::status) has its reason.
    #[must_use]
    pub fn is_rejected(&self) -> bool {
        matches!(self.0.kind, Kind::Rejected(_))
    }

    fn new(kind: Kind, action: &'static str, source: Option<Source>) -> Self {
        Self(Box::new(Inner {
            kind,
            action,
            target: String::new(),
            peer: String::new(),
            source,
        }))
    }

    /// Names the uri (or address) and the peer, unless that was done where more was known.
    pub(crate) fn at(mut self, target: &str, peer: &str) -> Self {
        if self.0.target.is_empty() {
            // This text ends up in logs.
            self.0.target = secrets::hide(target, &secrets::NAMES).into_owned();
            peer.clone_into(&mut self.0.peer);
        }
        self
    }

    pub(crate) fn write(action: &'static str, source: impl Into<Source>) -> Self {
        Self::new(Kind::Write, action, Some(source.into()))
    }

    pub(crate) fn unsent(action: &'static str, source: impl Into<Source>) -> Self {
        Self::new(Kind::Unsent, action, Some(source.into()))
    }

    pub(crate) fn closed(action: &'static str, source: Option<Source>) -> Self {
        Self::new(Kind::Closed, action, source)
    }

    pub(crate) fn ended(action: &'static str, source: impl Into<Source>) -> Self {
        Self::new(Kind::Ended, action, Some(source.into()))
    }

    pub(crate) fn encode(action: &'static str, source: impl Into<Source>) -> Self {
        Self::new(Kind::Encode, action, Some(source.into()))
    }

    pub(crate) fn decode(action: &'static str, source: impl Into<Source>) -> Self {
        Self::new(Kind::Decode, action, Some(source.into()))
    }

    pub(crate) fn timeout(action: &'static str) -> Self {
        Self::new(Kind::Timeout, action, None)
    }

    pub(crate) fn remote(action: &'static str, status: Status) -> Self {
        Self::new(Kind::Remote(status), action, None)
    }

    pub(crate) fn rejected(action: &'static str, status: Status) -> Self {
        Self::new(Kind::Rejected(status), action, None)
    }

    pub(crate) fn dial(source: impl Into<Source>) -> Self {
        Self::new(Kind::Dial, "dial", Some(source.into()))
    }

    pub(crate) fn accept(source: impl Into<Source>) -> Self {
        Self::new(Kind::Dial, "accept", Some(source.into()))
    }

    pub(crate) fn listen(source: impl Into<Source>) -> Self {
        Self::new(Kind::Listen, "listen on", Some(source.into()))
    }

    pub(crate) fn config(source: impl Into<Source>) -> Self {
        Self::new(Kind::Config, "build the peer", Some(source.into()))
    }

    #[cfg(feature = "config")]
    pub(crate) fn read_config(source: impl Into<Source>, target: &str) -> Self {
        Self::new(Kind::Config, "read", Some(source.into())).at(target, "")
    }

    #[cfg(feature = "tls")]
    pub(crate) fn reload(source: impl Into<Source>) -> Self {
        Self::new(Kind::Config, "reload the certificates", Some(source.into()))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let inner = &self.0;
        f.write_str(inner.action)?;
        if !inner.target.is_empty() {
            write!(f, " {}", inner.target)?;
        }
        if !inner.peer.is_empty() {
            write!(f, " at {}", inner.peer)?;
        }
        match &inner.kind {
            Kind::Closed => f.write_str(": the connection closed before the reply"),
            Kind::Config => f.write_str(": the configuration is not usable"),
            Kind::Decode => f.write_str(": the reply cannot be read"),
            Kind::Dial => f.write_str(": no connection"),
            Kind::Encode => f.write_str(": the arguments cannot be encoded"),
            Kind::Ended => f.write_str(": ended"),
            Kind::Listen => f.write_str(": cannot listen"),
            Kind::Rejected(status) => write!(f, ": refused by a plugin: {status}"),
            Kind::Remote(status) => {
                // It may repeat the uri.
                let status = status.to_string();
                write!(f, ": answered {}", secrets::hide(&status, &secrets::NAMES))
            }
            Kind::Timeout => f.write_str(": no answer within the time limit"),
            Kind::Unsent => f.write_str(": the connection is closed, the call was not made"),
            Kind::Write => f.write_str(": not done"),
        }
    }
}

impl fmt::Debug for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Error({self}")?;
        let mut source = self.source();
        while let Some(cause) = source {
            write!(f, ": {cause}")?;
            source = cause.source();
        }
        f.write_str(")")
    }
}

impl StdError for Error {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match &self.0.kind {
            Kind::Rejected(status) => status.cause().map(|cause| cause as _),
            _ => self.0.source.as_deref().map(|source| source as _),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_pointer_wide() {
        assert_eq!(size_of::<Result<(), Error>>(), size_of::<usize>());
    }

    #[test]
    fn the_message_names_uri_and_peer_and_does_not_repeat_its_source() {
        let error = Error::unsent("pull", "closed by the peer").at("/home/test", "127.0.0.1:9");
        assert_eq!(
            error.to_string(),
            "pull /home/test at 127.0.0.1:9: the connection is closed, the call was not made"
        );
        assert_eq!(
            error.source().map(ToString::to_string).as_deref(),
            Some("closed by the peer")
        );
        assert_eq!(error.code(), 100);
        assert!(error.is_closed() && !error.is_remote());
    }
}
