//! [`SessionTask`]: what a peer spawns for each session.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, Waker, ready},
};

use tokio::io::{AsyncRead, AsyncWrite};

use super::{dial::Entry, shutdown::Guard};
use crate::session::{caught, discard, dispatch::BoxFuture, driver::Driver, poll_caught};

/// Drives the connection of a session, then ends both. Written by hand: an `async` block would add steps to each turn.
pub(super) struct SessionTask<I> {
    drives: Option<Drives<I>>,
    /// What comes after that.
    ending: Option<BoxFuture<'static, ()>>,
}

struct Drives<I> {
    /// In a box, so that the task is small, and what each turn looks at is together.
    driver: Box<Driver<I>>,
    stream: Waker,
    entry: Entry,
    guard: Guard,
}

impl<I> SessionTask<I>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    pub(super) fn new(driver: Driver<I>, entry: Entry, guard: Guard) -> Self {
        let drives = Drives {
            driver: Box::new(driver),
            stream: entry.session.stream_waker(),
            entry,
            guard,
        };
        Self {
            drives: Some(drives),
            ending: None,
        }
    }

    #[cold]
    fn goes_to_its_end(&mut self, ran: Result<(), String>) {
        if let Some(drives) = self.drives.take() {
            self.ending = Some(Box::pin(drives.end(ran)));
        }
    }
}

impl<I> Future for SessionTask<I>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        let this = self.get_mut();
        if let Some(Drives {
            driver,
            stream,
            entry,
            ..
        }) = &mut this.drives
        {
            let ran = ready!(poll_caught(|| driver.poll(&entry.session, stream, cx)));
            this.goes_to_its_end(ran);
        }
        match &mut this.ending {
            Some(ending) => ending.as_mut().poll(cx),
            None => Poll::Ready(()),
        }
    }
}

impl<I> Drives<I>
where
    I: AsyncRead + AsyncWrite + Send + Unpin + 'static,
{
    /// If the driver has panicked, the session ends all the same, and its plugins hear of it.
    async fn end(self, mut ran: Result<(), String>) {
        let Self {
            mut driver,
            entry,
            guard,
            ..
        } = self;
        if ran.is_ok() {
            ran = caught(driver.part(&entry.session)).await;
        }
        if let Err(panic) = ran {
            tracing::error!(peer = %entry.session.peer_addr(), panic, "the task of a session panicked");
            entry.session.shared().end_for_panic();
        }
        discard(driver, "a connection");
        let session = entry.session.clone();
        drop(entry);
        session.shared().env.dispatch.ended(&session).await;
        drop(guard);
    }
}
