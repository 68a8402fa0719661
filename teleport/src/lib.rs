//! Programs that talk to each other over one long-lived socket, in both directions.
//!
//! Both ends of a connection are a [`Peer`]. Either may listen, dial, *pull* (ask, and await the reply) and *push* (tell, one
//! way), at any time, over the same [`Session`]. [`#[pull_controller]`](macro@pull_controller) and
//! [`#[push_controller]`](macro@push_controller) turn an impl block or a trait into routes and a typed client.
//!
//! ```
//! use teleport::{Error, Peer, PullController, pull_controller};
//!
//! struct Math;
//!
//! #[pull_controller]
//! impl Math {
//!     async fn add(&self, a: i32, b: i32) -> i32 {
//!         a + b
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let server = Peer::builder().listen_at("127.0.0.1:0").routes(Math.into_router()).build()?;
//! let address = server.listen().await?.address();
//!
//! let session = Peer::builder().build()?.dial(&address).await?;
//! assert_eq!(MathClient::new(&session).add(1, 2).await?, 3);
//! let untyped: i32 = session.pull("/math/add", [3, 4]).await?;
//! assert_eq!(untyped, 7);
//! # Ok(()) }
//! ```
//!
//! # Where to look
//!
//! | | |
//! |---|---|
//! | routes, and handlers for what has none | [`Router`] |
//! | what a handler knows about its call | [`PullCtx`], [`PushCtx`], both [`Context`]s |
//! | a session that is dialled again when it is lost; sessions for one call each | [`Link`], [`Short`] |
//! | errors of a handler, and of a caller | [`Status`], [`Error`] |
//! | configuration, limits, timeouts | [`PeerConfig`] |
//! | hooks around calls and connections | [`Plugin`], and those ready to use: [`plugins`] |
//! | what is logged, counted and traced | [below](#logs), [`plugins`] |
//! | bodies: codecs, and adding one | [`codec`] |
//! | packets: the format, and replacing it | [`protocol`] |
//!
//! # Features
//!
//! | | default | |
//! |---|---|---|
//! | `macros` | yes | the two attribute macros |
//! | `signal` | yes | `signal::shutdown` |
//! | `registry` | no | `registry`: pools of sessions to the members of a service |
//! | `etcd` | no | members that register in etcd; to build it takes `protoc` |
//! | `restart` | no | on Unix: `restart`, which lets a new process take over without refusing a connection; sockets from systemd |
//! | `config` | no | [`PeerConfig`] from TOML and YAML files and from the environment |
//! | `tls` | no | `tls://host:port`, with rustls; see [`PeerConfig`] for the files, [`Session::tls`] for who is there |
//! | `limits` | no | `plugins::CallLimit` |
//! | `metrics` | no | `plugins::Statistics`: calls, bytes, times and sessions, through the `metrics` facade |
//! | `prometheus` | no | `plugins::PrometheusPage`: these for Prometheus |
//! | `otel` | no | OpenTelemetry traces across peers |
//!
//! # Logs
//!
//! The crate logs through `tracing` and prints nothing. A session that ends because the other side broke the format is a
//! warning, and so is a push that was dropped; a handler that panicked or failed with a cause is an error.
//!
//! Each call of either side has one event when it ends, however it ends, with the target `teleport::call` at level debug: with
//! `kind`, `uri`, `route`, `peer`, `seq`, `status` (104 is a call whose future was dropped), `reason`, `request_size`, `reply_size`
//! and `cost`, and with `request` and `reply` if [`PeerConfig::print_bodies`] says so. It is a warning if the call was slow, see
//! [`PeerConfig::slow_threshold`]. As long as nobody listens, calls do nothing for it. Events are written where they happen: a
//! subscriber that waits for a disk or a terminal holds up connections, so give it a writer that does not, as
//! `tracing-appender` has. One that fails, on a full disk say, hurts no call.
//!
//! Values of query parameters with names such as `token` and `password` are masked in all that is logged, and in the texts of
//! errors. Which names these are can be changed, see [`BodyText::hidden`].
//!
//! # Traces
//!
//! Each call has a span of that target and level, with the fields that OpenTelemetry has for remote procedure calls; a handler
//! runs in it. A W3C trace context (`traceparent` and `tracestate`) that came with a call goes on to the calls that its handler
//! makes, as it is.
//!
//! With the feature `otel` the spans take part in the trace. As soon as a layer of `tracing-opentelemetry` listens to the
//! spans, that of a call is sent along as its trace context, and that of the call that is served has it as its parent. Nothing else
//! has to be set, no propagator either.
#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    not(test),
    deny(
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        clippy::unwrap_used
    )
)]

mod backoff;
pub mod codec;
mod context;
mod error;
#[cfg(all(unix, feature = "restart"))]
mod inherit;
mod link;
mod peer;
mod plugin;
pub mod plugins;
pub mod protocol;
#[cfg(feature = "registry")]
pub mod registry;
#[cfg(all(unix, feature = "restart"))]
pub mod restart;
mod route;
mod router;
mod secrets;
mod session;
#[cfg(feature = "signal")]
pub mod signal;
mod socket;
pub mod status;
pub mod uri;

#[doc(hidden)]
#[allow(missing_docs)]
pub mod __private;

/// The version of rustls whose configurations [`PeerBuilder`] and [`ConnOptions`] take. With the feature `tls`.
#[cfg(feature = "tls")]
#[doc(no_inline)]
pub use tokio_rustls::rustls;

#[doc(inline)]
pub use crate::{
    backoff::Backoff,
    codec::{CodecId, Protobuf, Raw},
    context::{Context, PullCtx, PushCtx},
    error::Error,
    link::{Link, LinkOptions, LinkState, LinkStates},
    peer::{
        ConnOptions, CutRoute, CutSession, Listening, Peer, PeerBuilder, PeerConfig, Short,
        ShutdownReport,
    },
    plugin::{Closing, Hooks, Plugin, RoutePlugin},
    route::{RouteInfo, RouteKind},
    router::{PullController, PushController, RouteConflict, Router, UnknownPull, UnknownPush},
    session::{
        BodyText, CallCtx, CallEnd, CallInfo, CallOptions, Connection, Handshake, Pull, Push,
        Session, Values,
    },
    socket::{tls::TlsInfo, transport::Addr},
    status::Status,
};

/// Turns an impl block, or a trait, into pull routes and a typed client.
///
/// Every `async fn` that takes `&self` is a handler. Its route is made of the names in snake case: `Home::test` answers
/// `/home/test`. The client is named after the type, `HomeClient`, and has a method for each handler, which takes the same
/// arguments and gives `Result<T, Error>`.
///
/// ```
/// use teleport::{PullController, PullCtx, Status, pull_controller};
///
/// struct Home;
///
/// #[pull_controller(group = "/v1")]
/// impl Home {
///     /// Doc comments go to the client too. This is `/v1/home/greet`.
///     async fn greet(&self, ctx: &PullCtx, name: String) -> Result<String, Status> {
///         let from = ctx.query("from").ok_or_else(|| Status::bad_request("from whom?"))?;
///         Ok(format!("hello {name}, from {from}"))
///     }
///
///     /// No context, several arguments, no `Result`: all are fine.
///     #[pull(uri = "sum")]
///     async fn add(&self, a: i32, b: i32) -> i32 {
///         a + b
///     }
///
///     /// Not a handler.
///     #[pull(skip)]
///     async fn helper(&self) {}
/// }
///
/// let router = Home.into_router();
/// let uris: Vec<_> = router.routes().map(|route| &*route.uri).collect();
/// assert_eq!(uris, ["/v1/home/greet", "/v1/home/sum"]);
/// ```
///
/// # Handlers
///
/// - The context, `&PullCtx`, comes first and may be left out.
/// - No argument is an empty body, one argument is the body, several (up to 16) are a tuple: in JSON an array, for which
///   each needs serde. Protobuf callers need handlers with one argument.
/// - The return type is `T`, or `Result<T, E>` where `E: Into<Status>`; an alias counts if its name ends in `Result`.
/// - Argument and reply are types that serde can read and write (JSON callers; text callers too if it is a text), or prost
///   messages (protobuf callers), or both, or [`Raw`]. A caller with another codec gets 415. A type that no codec can carry
///   is a compile error. A type parameter needs its bound written out, `T: Serialize + DeserializeOwned`.
/// - Other methods of the block stay as they are with `#[pull(skip)]`; what is not `async` must have it.
/// - A type is one pull controller: all its handlers stand in one block.
///
/// # On the block
///
/// | | |
/// |---|---|
/// | `group = "/v1"` | goes in front of the name |
/// | `name = "home"` | instead of the type's name in snake case |
/// | `client = HomeCaller` | the client's name; `client = false` for none, and then replies need not be readable |
/// | `crate = path::to::teleport` | where this crate is, if it is not `::teleport` |
///
/// # On a method
///
/// | | |
/// |---|---|
/// | `#[pull(uri = "sum")]` | instead of the method's name; with a slash in front, instead of the controller's too |
/// | `#[pull(cancel)]` | stopped when its caller gives up, no longer waits, or ends its side of the connection |
/// | `#[pull(slow_ms = 500)]` | a call that takes longer is logged as a warning |
/// | `#[pull(skip)]` | no handler |
///
/// # On a trait
///
/// A contract, which one crate can define, another implement (without an attribute) and a third call:
///
/// ```
/// use teleport::{PullCtx, Status, pull_controller};
///
/// #[pull_controller]
/// pub trait Arith {
///     async fn mul(&self, ctx: &PullCtx, a: i32, b: i32) -> Result<i32, Status>;
/// }
///
/// struct Abacus;
///
/// impl Arith for Abacus {
///     async fn mul(&self, _: &PullCtx, a: i32, b: i32) -> Result<i32, Status> {
///         a.checked_mul(b).ok_or_else(|| Status::bad_request("too large"))
///     }
/// }
///
/// let router = Abacus.into_router();
/// assert_eq!(router.routes().next().unwrap().uri, "/arith/mul");
/// # fn client(session: &teleport::Session) -> ArithClient { ArithClient::new(session) }
/// ```
///
/// # What it writes
///
/// The item as it was, an implementation of [`PullController`] (on a trait, a method `into_router` instead), and the client:
/// `new(&Session)`, `prefix(&str)` for routes that are nested, `options(CallOptions)`, and the calls.
#[cfg(feature = "macros")]
pub use teleport_macros::pull_controller;

/// Turns an impl block, or a trait, into push routes and a typed client.
///
/// As [`macro@pull_controller`], with these differences: the context is `&PushCtx`; nothing goes back, so a handler returns
/// `()` or `Result<(), E>`, whose error is logged; the attribute of a method is `#[push(..)]`; the client is called
/// `HomePushClient`, and its methods return when the message is on its way.
///
/// ```
/// use teleport::{PushController, PushCtx, push_controller};
///
/// struct News;
///
/// #[push_controller]
/// impl News {
///     /// `/news/headline`
///     async fn headline(&self, ctx: &PushCtx, text: String) {
///         tracing::info!(from = %ctx.peer_addr(), text);
///     }
/// }
///
/// let router = News.into_router();
/// assert_eq!(router.routes().next().unwrap().uri, "/news/headline");
/// # async fn client(session: &teleport::Session) -> Result<(), teleport::Error> {
/// NewsPushClient::new(session).headline("hello".to_owned()).await?;
/// # Ok(()) }
/// ```
#[cfg(feature = "macros")]
pub use teleport_macros::push_controller;

/// The programs of the README are tests.
#[cfg(all(doctest, feature = "macros"))]
#[doc = include_str!("../../README.md")]
struct Readme;
