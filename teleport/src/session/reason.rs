//! [`Reason`]: why a session came to its end.

use std::{error::Error as StdError, fmt, io, sync::Arc, time::Duration};

use crate::{protocol::ProtocolError, status::Status};

/// Why a session came to its end.
#[derive(Clone, Debug)]
pub(crate) enum Reason {
    /// No answer to a heartbeat came within this time.
    Dead(Duration),
    Idle(Duration),
    Io(Arc<io::Error>),
    /// The peer has closed without taking the pulls that it has not answered.
    Left,
    Local,
    /// The session's own task, in what the user has brought: a stream or a protocol.
    Panicked,
    Peer,
    Protocol(Arc<ProtocolError>),
    /// By a plugin.
    Refused(Status),
    RuntimeGone,
    /// A packet made no progress for so long.
    Slow(Duration),
    Stalled(Duration),
    /// For so long there was no memory for a packet.
    Starved(Duration),
    Unsupported(i32),
}

impl Reason {
    /// One of the sides has closed; nothing has gone wrong.
    pub(crate) fn is_orderly(&self) -> bool {
        matches!(self, Self::Left | Self::Local | Self::Peer)
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dead(limit) => write!(
                f,
                "the peer gave no sign of life within {limit:?} after a heartbeat"
            ),
            Self::Idle(limit) => write!(f, "no packet came within the read timeout of {limit:?}"),
            Self::Io(_) => f.write_str("the connection broke"),
            Self::Left => f.write_str("closed by the peer, which did not take the call"),
            Self::Local => f.write_str("closed on this side"),
            Self::Panicked => f.write_str("the stream or the protocol of this side panicked"),
            Self::Peer => f.write_str("closed by the peer"),
            Self::Protocol(_) => f.write_str("the peer sent a packet that cannot be read"),
            Self::Refused(status) => write!(f, "a plugin ended the session: {status}"),
            Self::RuntimeGone => f.write_str("the runtime of this side was shut down"),
            Self::Slow(limit) => write!(
                f,
                "the peer began a packet and did not go on within the packet timeout of {limit:?}"
            ),
            Self::Stalled(limit) => write!(
                f,
                "the peer took no data, or hardly any, within the write timeout of {limit:?}"
            ),
            Self::Starved(limit) => write!(
                f,
                "this side had no memory left for a large packet within the packet timeout of {limit:?}; `peer_memory` is used up"
            ),
            Self::Unsupported(kind) => {
                write!(f, "the peer sent a packet of the unsupported type {kind}")
            }
        }
    }
}

impl StdError for Reason {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        match self {
            Self::Io(error) => Some(error.as_ref()),
            Self::Protocol(error) => Some(error.as_ref()),
            _ => None,
        }
    }
}

/// The source of errors about a session that is no longer open.
#[derive(Debug)]
pub(crate) struct Closed(pub(super) Option<Reason>);

impl Closed {
    /// The other side is known not to have taken the call.
    pub(super) fn before_call(&self) -> bool {
        matches!(self.0, Some(Reason::Left))
    }
}

impl fmt::Display for Closed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("connection is closed")
    }
}

impl StdError for Closed {
    fn source(&self) -> Option<&(dyn StdError + 'static)> {
        self.0
            .as_ref()
            .map(|reason| reason as &(dyn StdError + 'static))
    }
}
