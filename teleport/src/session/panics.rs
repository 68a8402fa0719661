//! What is done about panics in the user's code.

use std::{
    any::Any,
    future::{Future, poll_fn},
    mem,
    panic::{AssertUnwindSafe, catch_unwind},
    pin::pin,
    task::Poll,
};

/// Runs a future; a panic in it ends it, and is given as what was said.
pub(crate) async fn caught<T>(work: impl Future<Output = T>) -> Result<T, String> {
    let mut work = pin!(work);
    poll_fn(|cx| poll_caught(|| work.as_mut().poll(cx))).await
}

/// Polls; a panic is the end, and is given as what was said.
#[inline]
pub(crate) fn poll_caught<T>(poll: impl FnOnce() -> Poll<T>) -> Poll<Result<T, String>> {
    match catch_unwind(AssertUnwindSafe(poll)) {
        Ok(polled) => polled.map(Ok),
        Err(panic) => Poll::Ready(Err(panic_text(panic.as_ref()).to_owned())),
    }
}

/// Drops what is the user's, whose destructor may panic. For where something is still to be done after it.
#[inline]
pub(crate) fn discard<T>(value: T, what: &str) {
    if !mem::needs_drop::<T>() {
        return;
    }
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(value))) {
        let panic = panic_text(panic.as_ref());
        tracing::error!(panic, "{what} panicked when it was dropped");
    }
}

/// What was said in a panic.
pub(crate) fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no text)")
}
