//! [`ConnectionLimit`].

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::{
    plugin::{Hooks, Plugin},
    protocol::PacketKind,
    session::{Handshake, Session},
    status::Status,
};

/// Who is turned away is told so if its first packet is as small as that, and comes as soon.
const HEARD: (usize, Duration) = (64 * 1024, Duration::from_secs(1));
/// So many of them at a time. The others are just closed.
const TOLD_AT_ONCE: usize = 64;

/// Limits how many connections are accepted, in all and from each IP address.
///
/// ```
/// use teleport::{Peer, plugins::ConnectionLimit};
///
/// let limit = ConnectionLimit::new().total(10_000).per_ip(100);
/// let peer = Peer::builder().plugin(limit).build()?;
/// # let _ = peer;
/// # Ok::<(), teleport::Error>(())
/// ```
///
/// Add it before plugins that talk to the other side, such as [`Auth`](super::Auth): handshakes count too. Connections that this
/// side has dialled do not.
///
/// # Above a limit
/// The connection is closed, which is logged. If the other side begins with a pull within a second, be it an ordinary one or
/// [`Credentials`](super::Credentials), that is answered 503 first, so that its user learns why; this is not done for more than 64
/// connections at once.
#[derive(Debug)]
#[must_use = "it does nothing before it is added to a peer"]
pub struct ConnectionLimit {
    total: Option<(usize, Arc<Semaphore>)>,
    per_ip: Option<Arc<PerIp>>,
    telling: Semaphore,
}

impl ConnectionLimit {
    /// No limit yet.
    pub fn new() -> Self {
        Self {
            total: None,
            per_ip: None,
            telling: Semaphore::new(TOLD_AT_ONCE),
        }
    }

    /// How many there may be, in all.
    pub fn total(mut self, most: usize) -> Self {
        let most = most.min(Semaphore::MAX_PERMITS);
        self.total = Some((most, Arc::new(Semaphore::new(most))));
        self
    }

    /// How many there may be from one IP address. IPv6 addresses that have their first 64 bits in common count as one: whoever
    /// has one of them mostly has them all. Connections without an IP address are not counted.
    pub fn per_ip(mut self, most: usize) -> Self {
        let counts = Mutex::default();
        self.per_ip = Some(Arc::new(PerIp { most, counts }));
        self
    }

    fn enter(&self, session: &Session) -> Result<Place, Status> {
        let of_ip = match (&self.per_ip, session.peer_addr().ip()) {
            (Some(per_ip), Some(ip)) => Some(per_ip.enter(ip)?),
            _ => None,
        };
        let of_all = match &self.total {
            None => None,
            Some((most, free)) => Some(
                Arc::clone(free)
                    .try_acquire_owned()
                    .map_err(|_| refusal(*most, ""))?,
            ),
        };
        Ok(Place {
            _of_ip: of_ip,
            _of_all: of_all,
        })
    }

    /// Tells the other side why it is turned away, if it asks at once.
    async fn tell(&self, handshake: &mut Handshake<'_>, status: &Status) {
        let Ok(_turn) = self.telling.try_acquire() else {
            return;
        };
        let (most, patience) = HEARD;
        let first = tokio::time::timeout(patience, handshake.recv_at_most(most)).await;
        if let Ok(Ok(packet)) = first
            && packet.header.kind == PacketKind::Pull
        {
            // Closed either way.
            let _ = handshake.reply(&packet, Err(status)).await;
        }
    }
}

impl Default for ConnectionLimit {
    fn default() -> Self {
        Self::new()
    }
}

fn refusal(most: usize, which: &str) -> Status {
    Status::unavailable(format!("too many connections{which}: {most} are allowed"))
}

// An error about a type that is no plugin need not list those that are.
#[diagnostic::do_not_recommend]
impl Plugin for ConnectionLimit {
    fn name(&self) -> &str {
        "connection limit"
    }

    fn hooks(&self) -> Hooks {
        Hooks::POST_ACCEPT | Hooks::POST_DISCONNECT
    }

    async fn post_accept(&self, handshake: &mut Handshake<'_>) -> Result<(), Status> {
        match self.enter(handshake.session()) {
            Ok(place) => {
                let values = handshake.session().values();
                values
                    .get_or_insert_with(Places::default)
                    .lock()
                    .push(place);
                Ok(())
            }
            Err(status) => {
                self.tell(handshake, &status).await;
                Err(status)
            }
        }
    }

    async fn post_disconnect(&self, session: &Session) {
        // Not only when the last handle goes.
        session.values().remove::<Places>();
    }
}

#[derive(Debug)]
struct PerIp {
    most: usize,
    /// Only those that have connections.
    counts: Mutex<HashMap<IpAddr, usize>>,
}

impl PerIp {
    fn enter(self: &Arc<Self>, ip: IpAddr) -> Result<PlaceOfIp, Status> {
        let ip = network(ip);
        let mut counts = self.counts();
        let count = counts.get(&ip).copied().unwrap_or_default();
        if count >= self.most {
            return Err(refusal(self.most, " from one address"));
        }
        counts.insert(ip, count + 1);
        let per_ip = Arc::clone(self);
        Ok(PlaceOfIp { per_ip, ip })
    }

    fn counts(&self) -> MutexGuard<'_, HashMap<IpAddr, usize>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What stands for an address.
fn network(ip: IpAddr) -> IpAddr {
    match ip.to_canonical() {
        IpAddr::V6(ip) => Ipv6Addr::from_bits(ip.to_bits() >> 64 << 64).into(),
        ip => ip,
    }
}

/// One of the connections from an address.
#[derive(Debug)]
struct PlaceOfIp {
    per_ip: Arc<PerIp>,
    ip: IpAddr,
}

impl Drop for PlaceOfIp {
    fn drop(&mut self) {
        let mut counts = self.per_ip.counts();
        if let Some(count) = counts.get_mut(&self.ip) {
            *count -= 1;
            if *count == 0 {
                counts.remove(&self.ip);
            }
        }
    }
}

/// One of the connections.
#[derive(Debug)]
struct Place {
    _of_ip: Option<PlaceOfIp>,
    _of_all: Option<OwnedSemaphorePermit>,
}

/// The places that a session has, of whichever limits. A value of the session.
#[derive(Clone, Default)]
struct Places(Arc<Mutex<Vec<Place>>>);

impl Places {
    fn lock(&self) -> MutexGuard<'_, Vec<Place>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_network_count_as_one() {
        for (one, other, same) in [
            ("192.0.2.1", "192.0.2.1", true),
            ("192.0.2.1", "192.0.2.2", false),
            ("192.0.2.1", "::ffff:192.0.2.1", true),
            ("::ffff:192.0.2.1", "::ffff:192.0.2.2", false),
            ("2001:db8::1", "2001:db8::ffff:1:2:3", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let network = |text: &str| network(text.parse().unwrap());
            assert_eq!(network(one) == network(other), same, "{one} {other}");
        }
    }

    #[test]
    fn an_address_without_connections_takes_no_memory() {
        let per_ip = Arc::new(PerIp {
            most: 2,
            counts: Mutex::default(),
        });
        let ip: IpAddr = "192.0.2.1".parse().unwrap();
        let (first, second) = (per_ip.enter(ip).unwrap(), per_ip.enter(ip).unwrap());
        assert!(per_ip.enter(ip).is_err());
        drop(first);
        let third = per_ip.enter(ip).unwrap();
        drop((second, third));
        assert!(per_ip.counts().is_empty());
    }
}
