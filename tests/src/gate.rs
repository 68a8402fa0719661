//! Handlers that end when the test says so.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use teleport::{PushController, pull_controller, push_controller};
use tokio::sync::{Notify, oneshot};

/// Pulls of `/gate/pass` wait here, each with a number, until the test opens the gate for that number.
#[derive(Clone, Debug, Default)]
pub struct Gate(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    waiting: Mutex<HashMap<u64, oneshot::Sender<()>>>,
    arrived: Notify,
}

#[pull_controller]
impl Gate {
    /// Answers with its number.
    pub async fn pass(&self, number: u64) -> u64 {
        let (open, opened) = oneshot::channel();
        self.waiting().insert(number, open);
        self.0.arrived.notify_waiters();
        opened.await.ok();
        number
    }

    /// Answers at once.
    pub async fn open_road(&self, number: u64) -> u64 {
        number
    }
}

#[push_controller]
impl Gate {
    /// Takes as long.
    pub async fn push(&self, number: u64) {
        self.pass(number).await;
    }
}

impl Gate {
    fn waiting(&self) -> MutexGuard<'_, HashMap<u64, oneshot::Sender<()>>> {
        self.0
            .waiting
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until the handler with this number has started.
    pub async fn arrived(&self, number: u64) {
        loop {
            let arrived = self.0.arrived.notified();
            tokio::pin!(arrived);
            arrived.as_mut().enable();
            if self.waiting().contains_key(&number) {
                return;
            }
            arrived.await;
        }
    }

    /// The handler with this number has started and waits.
    #[must_use]
    pub fn has_arrived(&self, number: u64) -> bool {
        self.waiting().contains_key(&number)
    }

    /// Lets the handler with this number end. It must have arrived.
    ///
    /// # Panics
    /// It has not.
    pub fn open(&self, number: u64) {
        let waiting = self.waiting().remove(&number).expect("a handler waits");
        waiting.send(()).ok();
    }

    /// Both kinds of routes.
    pub fn routes(&self) -> teleport::Router {
        teleport::PullController::into_router(self.clone())
            .merge(PushController::into_router(self.clone()))
    }
}
