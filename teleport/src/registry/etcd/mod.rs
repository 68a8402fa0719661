//! [`Etcd`]: a registry that is kept in etcd.

mod discovery;
mod failure;
mod pauses;
mod registration;

use std::{fmt, time::Duration};

use etcd_client::{Client, ConnectOptions};

use self::failure::Failure;
pub use self::{discovery::EtcdDiscovery, registration::Registration};
use crate::error::Error;

/// The longest that one request to etcd may take.
const LIMIT: Duration = Duration::from_secs(3);

/// Shortest and longest pause between attempts while etcd cannot be reached.
const PAUSE: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Members of services, kept in etcd.
///
/// A member is a key, `/teleport/SERVICE/ADDRESS`, with the [`Member`](super::Member) as JSON. The key is bound to a lease that
/// the member renews, so it goes away by itself soon after the member has died or lost etcd.
///
/// ```no_run
/// use teleport::{Connection, Error, Peer, Router, registry::{Etcd, Member, Pool}};
///
/// # async fn f(routes: Router) -> Result<(), Error> {
/// let etcd = Etcd::connect(["http://10.0.0.1:2379", "http://10.0.0.2:2379"]).await?;
///
/// // The server's side.
/// let registration = etcd.registration("math");
/// let server = Peer::builder()
///     .listen_at("0.0.0.0:9090")
///     .routes(routes)
///     .plugin(registration.clone()) // so that it is taken out of etcd before the server closes
///     .build()?;
/// let listening = server.listen().await?;
/// registration.announce(&Member::new("10.0.0.7:9090").routes_of(&server));
///
/// // The client's side.
/// let pool = Pool::new(&Peer::builder().build()?, etcd.discover("math"));
/// pool.ready().await;
/// let sum: i32 = pool.pull("/math/add", [1, 2]).await?;
/// # let _ = (listening, sum);
/// # Ok(()) }
/// ```
///
/// It is a handle: clones are cheap and share the connections to etcd.
#[derive(Clone)]
pub struct Etcd {
    client: Client,
    prefix: String,
    ttl: Duration,
}

impl Etcd {
    /// Talks to etcd at these endpoints, each a member of one cluster, such as `http://10.0.0.1:2379`.
    ///
    /// The connections are made when they are needed, and made anew when they break: etcd may still be away. For a
    /// password, TLS or limits of your own, make an [`etcd_client::Client`] and use `Etcd::from`.
    ///
    /// # Errors
    /// An endpoint is not an address, or there is none.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn connect<E: AsRef<str>>(endpoints: impl AsRef<[E]>) -> Result<Self, Error> {
        let options = ConnectOptions::new()
            .with_connect_timeout(LIMIT)
            // So that a silent end is noticed. More often than every 5 seconds etcd takes for an attack.
            .with_keep_alive(Duration::from_secs(10), LIMIT)
            // A member of the cluster that is cut off from the others must not keep us.
            .with_require_leader(true);
        match Client::connect(endpoints.as_ref(), Some(options)).await {
            Ok(client) => Ok(Self::from(client)),
            Err(error) => Err(Error::dial(error).at("etcd", "")),
        }
    }

    /// Another prefix of all keys. Default: `/teleport`.
    #[must_use]
    pub fn prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// How long a member that is not heard of stays; it is renewed three times as often. In whole seconds, rounded up;
    /// etcd itself makes it 2 at least. Default: 10 seconds.
    ///
    /// Clients notice the end of a connection at once whatever this is. It matters when a machine vanishes without a word.
    #[must_use]
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// An entry for a member of this service; nothing is registered until it is [announced](Registration::announce).
    ///
    /// # Panics
    /// Outside of a tokio runtime.
    #[must_use]
    pub fn registration(&self, service: &str) -> Registration {
        Registration::new(self.client.clone(), self.folder(service), self.ttl)
    }

    /// The members of a service, for a [`Pool`](super::Pool) to follow.
    #[must_use]
    pub fn discover(&self, service: &str) -> EtcdDiscovery {
        EtcdDiscovery::new(self.client.clone(), self.folder(service))
    }

    /// What the keys of a service begin with. A slash in its name would make it a part of another one.
    fn folder(&self, service: &str) -> String {
        let service = service.replace('%', "%25").replace('/', "%2F");
        format!("{}/{service}/", self.prefix)
    }
}

/// With a client of your own, for a password, TLS, or limits. Set its keep-alive: without it, an etcd that vanishes
/// without a word may not be noticed.
impl From<Client> for Etcd {
    fn from(client: Client) -> Self {
        Self {
            client,
            prefix: "/teleport".to_owned(),
            ttl: Duration::from_secs(10),
        }
    }
}

impl fmt::Debug for Etcd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Etcd")
            .field("prefix", &self.prefix)
            .field("ttl", &self.ttl)
            .finish_non_exhaustive()
    }
}
