//! teleport: programs that talk to each other over one long-lived socket, in both directions.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod codec;
mod context;
mod error;
mod peer;
mod plugin;
pub mod protocol;
mod router;
mod session;
mod socket;
pub mod status;
pub mod uri;

#[doc(hidden)]
#[allow(missing_docs)]
pub mod __private;

#[doc(inline)]
pub use crate::{
    codec::{CodecId, Protobuf, Raw},
    context::{Context, PullCtx, PushCtx},
    error::Error,
    peer::{ConnOptions, Listening, Peer, PeerBuilder, PeerConfig},
    plugin::{Hooks, Plugin},
    router::{
        PullController, PushController, RouteConflict, RouteInfo, RouteKind, Router, UnknownPull,
        UnknownPush,
    },
    session::{CallOptions, Handshake, Pull, Push, Session, Values},
    socket::transport::Addr,
    status::Status,
};
#[cfg(feature = "macros")]
pub use teleport_macros::{pull_controller, push_controller};
