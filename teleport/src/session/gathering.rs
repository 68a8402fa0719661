//! [`Gathering`]: when a write that was put off is due.

/// Waits for the callers whom one read has woken and whom other threads have taken over: what they send goes in one write with
/// the rest, and not alone behind it.
///
/// It takes turns of the scheduler, not time: who waits for no one waits for one turn.
#[derive(Debug)]
pub(super) struct Gathering {
    /// Calls that were under way when it began.
    calls: usize,
    seen: Callers,
    /// Turns in which nothing has changed.
    idle: u8,
    pub(super) order: Order,
}

/// How callers were woken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Order {
    #[default]
    OneByOne,
    /// Together, and the connection's task behind them. From then on the thread may do in each turn what others have left to do.
    TaskLast,
    /// Together behind the task, which has its first turn before they have theirs.
    TaskFirst,
}

/// How far the callers of a session are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Callers {
    /// Calls under way.
    pub(super) calls: usize,
    /// Those of them whose callers have been woken and have not run.
    pub(super) woken: usize,
    /// Bytes that wait to be written.
    pub(super) queued: usize,
}

/// A caller that another thread runs takes a few turns of a thread with nothing else to do. More turns, and who is not coming back
/// would be waited for in vain.
const IDLE: u8 = 8;
/// If they were woken together, a turn of the task lets the thread look for something to do elsewhere first, and takes as long as several. It
/// may also wake another thread for nothing.
const IDLE_TOGETHER: u8 = 1;
/// With so many bytes a write is worth while, and the other side can begin.
const ENOUGH: usize = 4 * 1024;

impl Gathering {
    pub(super) fn new(seen: Callers, order: Order) -> Self {
        Self {
            calls: seen.calls,
            seen,
            idle: 0,
            order,
        }
    }

    /// Whether to wait for another turn.
    pub(super) fn goes_on(&mut self, now: Callers) -> bool {
        self.idle = match now == self.seen {
            true => self.idle + 1,
            false => 0,
        };
        self.seen = now;
        // One who has run and not called again may be about to.
        let all_are_back = now.woken == 0 && now.calls >= self.calls;
        let most = match self.order {
            Order::OneByOne => IDLE,
            Order::TaskLast => IDLE_TOGETHER,
            Order::TaskFirst => 1 + IDLE_TOGETHER,
        };
        !all_are_back && now.queued < ENOUGH && self.idle < most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn callers(calls: usize, woken: usize, queued: usize) -> Callers {
        Callers {
            calls,
            woken,
            queued,
        }
    }

    #[test]
    fn it_ends_when_all_have_called_again() {
        let mut gathering = Gathering::new(callers(3, 2, 0), Order::OneByOne);
        assert!(gathering.goes_on(callers(2, 1, 0)), "one is at work");
        assert!(gathering.goes_on(callers(3, 1, 30)), "and has called");
        assert!(!gathering.goes_on(callers(3, 0, 60)));
    }

    #[test]
    fn nobody_is_waited_for_if_nobody_was_woken() {
        assert!(!Gathering::new(callers(5, 0, 30), Order::OneByOne).goes_on(callers(5, 0, 30)));
    }

    #[test]
    fn who_does_not_come_back_is_not_waited_for_long() {
        for (order, most) in [
            (Order::OneByOne, IDLE),
            (Order::TaskLast, IDLE_TOGETHER),
            (Order::TaskFirst, 1 + IDLE_TOGETHER),
        ] {
            let mut gathering = Gathering::new(callers(3, 3, 0), order);
            let left = callers(2, 1, 30);
            let turns = (0..100).take_while(|_| gathering.goes_on(left)).count();
            assert_eq!(turns, usize::from(most));
        }
    }

    #[test]
    fn enough_is_written_at_once() {
        let mut gathering = Gathering::new(callers(500, 500, 0), Order::TaskLast);
        assert!(!gathering.goes_on(callers(500, 300, ENOUGH)));
    }
}
