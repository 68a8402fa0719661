//! A service and its members: who is there, sessions to all of them, and a choice among them for each call.
//!
//! A [`Pool`] follows a [`Discovery`], which says who is there at the moment. It keeps a session to each [`Member`] and
//! chooses one for each call: in turn, the one with the least in flight, or by a key.
//!
//! ```
//! use teleport::{Error, Peer, PullController, pull_controller};
//! use teleport::registry::{Member, MemberList, Pool};
//!
//! struct Greeter(&'static str);
//!
//! #[pull_controller]
//! impl Greeter {
//!     async fn hello(&self) -> String {
//!         format!("hello from {}", self.0)
//!     }
//! }
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Error> {
//! let mut members = Vec::new();
//! for name in ["red", "blue"] {
//!     let server = Peer::builder().listen_at("127.0.0.1:0").routes(Greeter(name).into_router()).build()?;
//!     members.push(Member::new(server.listen().await?.address()));
//! }
//! // A list that the program itself may change; with the feature `etcd`, etcd can be asked instead.
//! let list = MemberList::new(members);
//!
//! let pool = Pool::new(&Peer::builder().build()?, list.discover());
//! pool.wait_for(|links| links.iter().all(|link| link.session.is_some())).await;
//! let greeter = GreeterClient::new(&pool);
//! assert_ne!(greeter.hello().await?, greeter.hello().await?, "each in turn");
//!
//! let greeter = GreeterClient::new(&pool.by_key("user-7"));
//! assert_eq!(greeter.hello().await?, greeter.hello().await?, "the same for the same user");
//! # Ok(()) }
//! ```

mod balance;
mod discovery;
#[cfg(feature = "etcd")]
mod etcd;
mod keeper;
mod links;
mod list;
mod member;
mod pool;
mod rendezvous;

#[cfg(feature = "etcd")]
pub use etcd_client;

#[cfg(feature = "etcd")]
pub use self::etcd::{Etcd, EtcdDiscovery, Registration};
pub use self::{
    discovery::Discovery,
    links::Link,
    list::{ListDiscovery, MemberList},
    member::{Member, MemberRoute},
    pool::Pool,
};
