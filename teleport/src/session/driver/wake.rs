//! The waking of many tasks at once.

use std::{
    future::Future as _,
    pin::pin,
    task::{Context, Waker},
};

use super::super::gathering::Order;

/// From so many on, tasks are better woken together.
///
/// A runtime that is woken task by task looks for another thread after the second of them, which takes one or two, finds nothing
/// more, rests, and is woken again. For a few that is still better than to wait until all have come.
pub(super) const TOGETHER: usize = 8;

/// Wakes them all, and the connection's `task` as well, when this thread has done what it has to do already.
///
/// tokio wakes the one that was put off last before the others. It runs the one that it has woken last first, however, and keeps it
/// for this thread: another one that wakes up takes from the others meanwhile, and runs them all if it has the same CPU.
pub(super) fn together(wakers: &mut Vec<Waker>, task: &Waker, order: Order) {
    match wakers.as_slice() {
        [first, rest @ ..] if order == Order::TaskLast => {
            // A caller is kept. In the order in which they are otherwise all would come to the same, a few turns later.
            put_off(first);
            put_off(task);
            rest.iter().rev().for_each(put_off);
        }
        callers => {
            // The task is kept: what the callers send goes in one write when it goes on.
            put_off(task);
            callers.iter().rev().for_each(put_off);
        }
    }
    wakers.clear();
}

/// Wakes a task when this thread has nothing else to do, and has looked on other threads for it. At once outside of a runtime.
pub(super) fn put_off(waker: &Waker) {
    // The runtime keeps the waker. The future has nothing more to tell.
    let turn = pin!(tokio::task::yield_now());
    _ = turn.poll(&mut Context::from_waker(waker));
}

#[cfg(test)]
mod tests {
    use std::{
        future::poll_fn,
        sync::{Arc, Mutex},
        task::Poll,
    };

    use super::*;

    /// What the tasks have in common: who waits to be woken, and who has run since.
    #[derive(Default)]
    struct Seen {
        wakers: Vec<Waker>,
        run: Vec<usize>,
    }

    /// On a runtime of one thread. Gives the order in which they ran; the connection's task is the one with the highest number.
    async fn run_together(count: usize, order: Order) -> Vec<usize> {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let tasks: Vec<_> = (0..=count)
            .map(|number| {
                let seen = Arc::clone(&seen);
                tokio::spawn(async move {
                    let mut waits = true;
                    poll_fn(|cx| {
                        let mut seen = seen.lock().unwrap();
                        if std::mem::take(&mut waits) {
                            seen.wakers.push(cx.waker().clone());
                            return Poll::Pending;
                        }
                        seen.run.push(number);
                        Poll::Ready(())
                    })
                    .await;
                })
            })
            .collect();
        while seen.lock().unwrap().wakers.len() <= count {
            tokio::task::yield_now().await;
        }
        let mut wakers = std::mem::take(&mut seen.lock().unwrap().wakers);
        let task = wakers.pop().unwrap();
        together(&mut wakers, &task, order);
        assert!(wakers.is_empty());
        for task in tasks {
            task.await.unwrap();
        }
        std::mem::take(&mut seen.lock().unwrap().run)
    }

    #[tokio::test]
    async fn all_are_woken_once_and_on_one_thread_the_task_behind_them() {
        const COUNT: usize = 20;
        for order in [Order::TaskLast, Order::TaskFirst] {
            let mut run = run_together(COUNT, order).await;
            let place = run.iter().position(|number| *number == COUNT);
            assert!(
                place.is_some_and(|place| place + 1 >= COUNT),
                "{order:?}: {run:?}"
            );
            run.sort_unstable();
            assert!(run.into_iter().eq(0..=COUNT), "{order:?}");
        }
    }

    #[test]
    fn outside_of_a_runtime_a_task_is_woken_at_once() {
        struct Flag(std::sync::atomic::AtomicBool);
        impl std::task::Wake for Flag {
            fn wake(self: Arc<Self>) {
                self.0.store(true, std::sync::atomic::Ordering::Relaxed);
            }
        }
        let flag = Arc::new(Flag(false.into()));
        put_off(&Waker::from(Arc::clone(&flag)));
        assert!(flag.0.load(std::sync::atomic::Ordering::Relaxed));
    }
}
