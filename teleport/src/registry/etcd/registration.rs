//! [`Registration`]: a member that etcd knows as long as it lives.

use std::{fmt, future::pending, sync::Arc, time::Duration};

use etcd_client::{Client, GetOptions, KeyValue, PutOptions};
use tokio::{select, sync::watch, task::JoinHandle, time::sleep};

use super::{Failure, LIMIT, PAUSE, pauses::Pauses};
use crate::{
    error::Error,
    plugin::{Closing, Hooks, Plugin},
    registry::Member,
};

/// A member of a service, registered in etcd and kept there by a task. Made by
/// [`Etcd::registration`](super::Etcd::registration).
///
/// While etcd is away the task tries again, with growing pauses, and when the lease or the entry was lost it registers anew. So a
/// server can start before etcd does; see [`registered`](Self::registered).
///
/// It is a plugin: a peer that has it takes itself out of etcd before it closes, so that clients leave first. When another
/// process takes over (a restart), the entry is left to that one.
///
/// It is a handle: clones are cheap and mean the same entry. When the last is dropped nothing is renewed any more, and
/// the entry expires.
#[derive(Clone)]
pub struct Registration(Arc<Handle>);

struct Handle {
    wanted: watch::Sender<Wanted>,
    present: Arc<watch::Sender<Present>>,
    folder: String,
    task: JoinHandle<()>,
}

/// What etcd should have.
#[derive(Clone, Debug)]
enum Wanted {
    /// This, for as long as we live.
    Entry(Arc<Entry>),
    /// Nothing of ours.
    Nothing,
    /// What it has, without our help.
    Whatever,
}

#[derive(Debug, PartialEq, Eq)]
struct Entry {
    key: String,
    value: String,
}

/// What etcd has, as far as is known.
#[derive(Clone, Debug, Default)]
struct Present {
    lease: Option<Lease>,
    /// It is there, bound to this lease.
    entry: Option<Arc<Entry>>,
    /// Nothing that changes it is under way.
    settled: bool,
}

#[derive(Clone, Copy, Debug)]
struct Lease {
    id: i64,
    /// In seconds, as etcd has granted it.
    ttl: u64,
}

impl Registration {
    pub(super) fn new(client: Client, folder: String, ttl: Duration) -> Self {
        let wanted = watch::Sender::new(Wanted::Whatever);
        let present = Arc::new(watch::Sender::default());
        let whole_seconds = ttl.as_secs() + u64::from(ttl.subsec_nanos() > 0);
        let keeper = Keeper {
            client,
            ttl: i64::try_from(whole_seconds).unwrap_or(i64::MAX).max(1),
            present: Arc::clone(&present),
        };
        let task = tokio::spawn(keeper.keep(wanted.subscribe()));
        Self(Arc::new(Handle {
            wanted,
            present,
            folder,
            task,
        }))
    }

    /// Registers this member, or puts it in the place of the one that was registered before. Returns at once.
    pub fn announce(&self, member: &Member) {
        let entry = Entry {
            key: format!("{}{}", self.0.folder, member.address),
            // Only a map with keys that are no text cannot be written, and there is none.
            value: serde_json::to_string(member).unwrap_or_default(),
        };
        self.0.wanted.send_replace(Wanted::Entry(Arc::new(entry)));
    }

    /// Waits until etcd has what was announced last. There is no time limit: while etcd is away, it is tried again.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub async fn registered(&self) {
        let wanted = &self.0.wanted;
        self.wait_for(|present| match (&*wanted.borrow(), &present.entry) {
            (Wanted::Entry(wanted), Some(entry)) => wanted == entry,
            _ => false,
        })
        .await;
    }

    /// Takes the entry out of etcd: clients that follow it learn so at once, and close their sessions when their calls are done.
    ///
    /// # Errors
    /// Etcd did not confirm it within 3 seconds (code 100). It is tried again as long as there is a handle; then the entry
    /// expires.
    ///
    /// # Cancel safety
    /// Dropping the future stops the waiting only.
    pub async fn revoke(&self) -> Result<(), Error> {
        self.0.wanted.send_replace(Wanted::Nothing);
        let gone = self.wait_for(|present| present.settled && present.lease.is_none());
        tokio::time::timeout(LIMIT, gone).await.map_err(|_| {
            let failure = Failure::TimedOut(LIMIT);
            Error::write("revoke the registration", failure).at(&self.0.folder, "")
        })
    }

    async fn wait_for(&self, condition: impl FnMut(&Present) -> bool) {
        // It fails when the sender is gone, which `self` has.
        self.0.present.subscribe().wait_for(condition).await.ok();
    }
}

impl Plugin for Registration {
    fn name(&self) -> &str {
        "registration in etcd"
    }

    fn hooks(&self) -> Hooks {
        Hooks::PRE_CLOSE
    }

    async fn pre_close(&self, closing: Closing) {
        if closing == Closing::Restart {
            self.0.wanted.send_replace(Wanted::Whatever);
        } else if let Err(error) = self.revoke().await {
            tracing::warn!(?error, "the registration is left to expire");
        }
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registration")
            .field("folder", &self.0.folder)
            .field("wanted", &*self.0.wanted.borrow())
            .field("present", &*self.0.present.borrow())
            .finish_non_exhaustive()
    }
}

/// Makes etcd have what is wanted.
struct Keeper {
    client: Client,
    /// In seconds.
    ttl: i64,
    present: Arc<watch::Sender<Present>>,
}

impl Keeper {
    async fn keep(self, mut wanted: watch::Receiver<Wanted>) {
        let shortest = Lease::new(0, self.ttl).pause();
        let mut pauses = Pauses::new(PAUSE.0, PAUSE.1.min(shortest));
        loop {
            self.present.send_modify(|present| present.settled = false);
            let now = wanted.borrow_and_update().clone();
            let result = match &now {
                Wanted::Entry(entry) => self.renew(entry).await.map(Some),
                Wanted::Nothing => self.revoke().await.map(|()| None),
                Wanted::Whatever => Ok(None),
            };
            self.present.send_modify(|present| present.settled = true);
            let pause = async {
                match result {
                    Ok(Some(pause)) => sleep(pause).await,
                    Ok(None) => pending().await,
                    Err(failure) => {
                        tracing::warn!(wanted = ?now, %failure, "etcd does not know of it yet; trying again");
                        pauses.pause().await;
                    }
                }
            };
            select! {
                () = pause => {}
                changed = wanted.changed() => if changed.is_err() { return },
            }
        }
    }

    /// Does what is missing: a lease, or its renewal, and the entry. Gives the pause until the next renewal.
    ///
    /// If it is not known what became of a request, the next attempt repeats it with the same lease: a request that
    /// arrives late then does no harm, while one with an older lease would bind the entry to what nobody renews.
    async fn renew(&self, entry: &Arc<Entry>) -> Result<Duration, Failure> {
        let known = self.present.borrow().clone();
        if known
            .entry
            .as_ref()
            .is_some_and(|known| known.key != entry.key)
        {
            self.revoke().await?;
        }
        let result = self.try_renew(entry).await;
        if let Err(Failure::LeaseLost) = result {
            self.forget();
        }
        result
    }

    async fn try_renew(&self, entry: &Arc<Entry>) -> Result<Duration, Failure> {
        let mut client = self.client.lease_client();
        let known = self.present.borrow().clone();
        let lease = match known.lease {
            Some(lease) => {
                let renewal = client.keep_alive(lease.id);
                Failure::within(LIMIT.min(lease.pause()), renewal).await?;
                lease
            }
            None => {
                let granted = Failure::within(LIMIT, client.grant(self.ttl, None)).await?;
                let lease = Lease::new(granted.id(), granted.ttl());
                self.present
                    .send_modify(|present| present.lease = Some(lease));
                lease
            }
        };
        if known.entry.as_ref() != Some(entry) || !self.is_ours(entry, lease).await? {
            let mut client = self.client.kv_client();
            let options = PutOptions::new().with_lease(lease.id);
            let put = client.put(&*entry.key, &*entry.value, Some(options));
            Failure::within(LIMIT, put).await?;
            tracing::info!(key = entry.key, "registered in etcd");
            self.present
                .send_modify(|present| present.entry = Some(Arc::clone(entry)));
        }
        Ok(lease.pause())
    }

    /// Nobody has deleted the entry or put another one in its place.
    async fn is_ours(&self, entry: &Entry, lease: Lease) -> Result<bool, Failure> {
        let mut client = self.client.kv_client();
        let options = GetOptions::new().with_keys_only();
        let found = Failure::within(LIMIT, client.get(&*entry.key, Some(options))).await?;
        let ours = |pair: &KeyValue| pair.lease() == lease.id;
        let is_ours = found.kvs().first().is_some_and(ours);
        if !is_ours {
            tracing::warn!(
                key = entry.key,
                "the entry is not ours any more; it is put back"
            );
        }
        Ok(is_ours)
    }

    /// The entry goes with the lease.
    async fn revoke(&self) -> Result<(), Failure> {
        let Some(lease) = self.present.borrow().lease else {
            return Ok(());
        };
        let mut client = self.client.lease_client();
        match Failure::within(LIMIT, client.revoke(lease.id)).await {
            Ok(_) => tracing::info!("taken out of etcd"),
            Err(Failure::LeaseLost) => {}
            Err(failure) => return Err(failure),
        }
        self.forget();
        Ok(())
    }

    fn forget(&self) {
        self.present.send_modify(|present| {
            present.lease = None;
            present.entry = None;
        });
    }
}

impl Lease {
    fn new(id: i64, ttl: i64) -> Self {
        let ttl = ttl.unsigned_abs();
        Self { id, ttl }
    }

    /// Two renewals may fail before it expires.
    fn pause(self) -> Duration {
        Duration::from_secs(self.ttl) / 3
    }
}
