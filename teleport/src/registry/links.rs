//! [`Links`]: the members that a pool knows, and its sessions to them.

use std::{
    collections::BTreeMap,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::sync::Notify;

use super::{
    Member,
    balance::{Rule, Seat},
};
use crate::session::Session;

/// A member that a [`Pool`](super::Pool) knows, and the session to it.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Link {
    /// The member as it was last announced.
    pub member: Arc<Member>,
    /// None while it cannot be reached.
    pub session: Option<Session>,
}

/// The members by address. Each has a task that keeps the session to it, from [`announce`](Self::announce) until that task
/// takes it [out](Self::remove).
#[derive(Debug, Default)]
pub(super) struct Links {
    known: Mutex<BTreeMap<String, Known>>,
    /// Members were announced, if only that there are none.
    told: AtomicBool,
    changed: Notify,
}

#[derive(Debug)]
struct Known {
    member: Arc<Member>,
    /// It was in the last list. What is not stays for as long as there is nobody else to call.
    announced: bool,
    seat: Option<Seat<Session>>,
}

impl Known {
    /// It can be called, and should.
    fn is_good(&self) -> bool {
        let open = |seat: &Seat<Session>| seat.session.is_open();
        self.announced && self.member.weight > 0 && self.seat.as_ref().is_some_and(open)
    }
}

impl Links {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These are the members from now on. Gives the addresses of those that nobody takes care of yet.
    pub(super) fn announce(&self, members: Vec<Member>) -> Vec<String> {
        let mut new = Vec::new();
        let mut known = self.lock();
        for known in known.values_mut() {
            known.announced = false;
        }
        for member in members {
            let address = member.address.clone();
            let member = Arc::new(member);
            match known.get_mut(&address) {
                Some(known) => {
                    if let Some(seat) = &mut known.seat {
                        seat.set_weight(member.weight);
                    }
                    known.member = member;
                    known.announced = true;
                }
                None => {
                    let fresh = Known {
                        member,
                        announced: true,
                        seat: None,
                    };
                    known.insert(address.clone(), fresh);
                    new.push(address);
                }
            }
        }
        drop(known);
        self.told.store(true, Ordering::Release);
        self.changed.notify_waiters();
        new
    }

    /// There is a session to this member.
    pub(super) fn connect(&self, address: &str, session: &Session) {
        if let Some(known) = self.lock().get_mut(address) {
            let weight = known.member.weight;
            known.seat = Some(Seat::new(address, weight, session.clone()));
        }
        self.changed.notify_waiters();
    }

    /// There is none any more.
    pub(super) fn disconnect(&self, address: &str) {
        if let Some(known) = self.lock().get_mut(address) {
            known.seat = None;
        }
        self.changed.notify_waiters();
    }

    /// Takes a member out, unless it is announced.
    pub(super) fn remove(&self, address: &str) -> bool {
        let mut known = self.lock();
        let unwanted = known.get(address).is_none_or(|known| !known.announced);
        if unwanted {
            known.remove(address);
        }
        unwanted
    }

    /// Waits until a member is not announced any more, and there is another one to call.
    pub(super) async fn dispensable(&self, address: &str) {
        self.wait(|| {
            let known = self.lock();
            let announced = known.get(address).is_some_and(|known| known.announced);
            (!announced && known.values().any(Known::is_good)).then_some(())
        })
        .await;
    }

    /// One of the sessions that are open.
    pub(super) fn choose(&self, rule: Rule) -> Option<Session> {
        let mut known = self.lock();
        // When all have disappeared, those that were there are better than nobody.
        [true, false].into_iter().find_map(|announced| {
            let known = known.values_mut();
            let seats = known
                .filter(|known| known.announced == announced)
                .filter_map(|known| known.seat.as_mut());
            let open = seats.filter(|seat| seat.session.is_open());
            rule.choose(open).cloned()
        })
    }

    /// All that are announced, in the order of their addresses.
    pub(super) fn all(&self) -> Vec<Link> {
        let known = self.lock();
        let announced = known.values().filter(|known| known.announced);
        announced
            .map(|known| Link {
                member: Arc::clone(&known.member),
                session: known.seat.as_ref().map(|seat| seat.session.clone()),
            })
            .collect()
    }

    /// Waits until members are announced and `condition` holds for them, and gives them.
    pub(super) async fn wait_for(&self, mut condition: impl FnMut(&[Link]) -> bool) -> Vec<Link> {
        self.wait(|| {
            let told = self.told.load(Ordering::Acquire);
            told.then(|| self.all()).filter(|links| condition(links))
        })
        .await
    }

    /// Looks at once and after each change, until there is something to give.
    async fn wait<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = pin!(self.changed.notified());
            // Before the look, so that no change is missed after it.
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }
}
