//! What the tasks of a session share data with: that of `std` and tokio, and in the models (`models.rs`)
//! that of a scheduler which tries out in which order they come.

#[cfg(not(all(test, shuttle)))]
pub(super) use {
    std::{
        sync::{
            Mutex, MutexGuard,
            atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize},
        },
        thread_local,
    },
    tokio::sync::Notify,
};

#[cfg(all(test, shuttle))]
pub(super) use {
    self::notify::Notify,
    shuttle::{
        sync::{
            Mutex, MutexGuard,
            atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize},
        },
        thread_local,
    },
};

#[cfg(all(test, shuttle))]
mod notify {
    use shuttle::sync::atomic::{AtomicBool, Ordering};
    use tokio::sync::futures::Notified;

    /// Tokio's. Before each of its steps another task may take its turn.
    pub(crate) struct Notify {
        inner: tokio::sync::Notify,
        step: AtomicBool,
    }

    impl Notify {
        pub(crate) fn new() -> Self {
            Self {
                inner: tokio::sync::Notify::new(),
                step: AtomicBool::new(false),
            }
        }

        pub(crate) fn notified(&self) -> Notified<'_> {
            self.step.load(Ordering::SeqCst);
            self.inner.notified()
        }

        pub(crate) fn notify_waiters(&self) {
            self.step.load(Ordering::SeqCst);
            self.inner.notify_waiters();
        }
    }
}
