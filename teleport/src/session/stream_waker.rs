//! [`StreamWaker`]: how a stream wakes the driver of its session.

use std::{
    sync::{Arc, OnceLock, atomic::Ordering},
    task::{Wake, Waker},
};

use super::sync::AtomicBool;

/// Wakes the driver and leaves a note, so that it knows that there may be something to read. Callers wake it far more often, and then
/// there is nothing.
///
/// All that a reading may wait for is polled with it: the stream, plugins that hold a packet up, and memory. It is not part of what
/// a session's tasks share, for a stream may keep its waker for longer than the session lasts.
pub(super) struct StreamWaker {
    /// It has woken the driver since that was last asked.
    woken: AtomicBool,
    /// The driver's task, once it runs: the same for its whole life.
    driver: OnceLock<Waker>,
}

impl StreamWaker {
    pub(super) fn new() -> Self {
        Self {
            woken: AtomicBool::new(false),
            driver: OnceLock::new(),
        }
    }

    /// The driver runs in the task that this wakes.
    #[inline]
    pub(super) fn is_for(&self, driver: &Waker) {
        self.driver.get_or_init(|| driver.clone());
    }

    /// Wakes the driver without a note.
    #[inline]
    pub(super) fn wake_driver(&self) {
        if let Some(driver) = self.driver.get() {
            driver.wake_by_ref();
        }
    }

    /// Whether there is a note. It is taken away before the reading, which sees what it was left for.
    #[inline]
    pub(super) fn take_note(&self) -> bool {
        let woken = self.woken.load(Ordering::Acquire);
        if woken {
            self.woken.store(false, Ordering::Relaxed);
        }
        woken
    }
}

impl Wake for StreamWaker {
    #[inline]
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    #[inline]
    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.wake_driver();
    }
}
