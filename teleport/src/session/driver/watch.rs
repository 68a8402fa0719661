//! The time limits of a connection.

use std::{future::Future as _, mem, pin::pin, task::Context};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    task::unconstrained,
    time::Instant,
};

use super::{
    super::{
        Phase, Shared,
        heartbeat::{self, Due},
        reason::Reason,
    },
    Driver, Gate, PROGRESS, TRIM,
};

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    /// Watches the time limits with a single timer. It is not moved for each packet: it fires at the earliest time at
    /// which something could be due, and is then set anew. `looked`: what time it was when this turn last looked.
    /// `grown`: there is more than an idle session would keep.
    pub(super) fn tick(
        &mut self,
        shared: &Shared,
        looked: Option<Instant>,
        grown: bool,
        cx: &mut Context<'_>,
    ) {
        let received = mem::take(&mut self.received);
        let heard = mem::take(&mut self.heard);
        let sent = mem::take(&mut self.sent);
        let grown = grown || self.inbox.is_grown() || self.flush.is_grown();
        // What happens moves the times at which something is due, but only to later ones.
        let fired = self.timer.as_ref().is_some_and(|timer| timer.is_elapsed());
        let due = fired || mem::take(&mut self.fresh) || self.pulse.is_some() || !shared.is_open();
        if !(due || heard || received || sent && grown) {
            return;
        }
        let now = looked.unwrap_or_else(Instant::now);
        if received {
            self.begun = None;
            self.last_received = now;
        }
        if heard && (self.begun.is_some() || self.inbox.begun() > 0) {
            self.look_at_packet(now);
        }
        if grown && (received || sent) {
            self.fresh |= self.last_busy.is_none();
            self.last_busy = Some(now);
        }
        if self.pulse.is_some() {
            self.note_signs(now, heard, sent);
        }
        let fresh = mem::take(&mut self.fresh);
        if due || fresh {
            self.watch(shared, now, cx);
        }
    }

    /// Both sides have shown that they live, or one of them.
    #[inline(never)]
    fn note_signs(&mut self, now: Instant, heard: bool, sent: bool) {
        if let Some(pulse) = &mut self.pulse {
            if heard {
                pulse.heard(now);
            }
            if sent {
                pulse.spoke(now);
            }
        }
    }

    /// Looks at all limits, and sets the timer.
    #[inline(never)]
    fn watch(&mut self, shared: &Shared, now: Instant, cx: &mut Context<'_>) {
        let awaited = self.awaited.is_some();
        self.set_timer(shared, now, cx);
        if awaited && self.awaited.is_none() {
            // This turn has ended as one that still waits for the first packet.
            cx.waker().wake_by_ref();
        }
    }

    fn set_timer(&mut self, shared: &Shared, mut now: Instant, cx: &mut Context<'_>) {
        while let Some(due) = self.check_limits(shared, now) {
            match &mut self.timer {
                Some(timer) if timer.deadline() <= due && now < timer.deadline() => return,
                Some(timer) => timer.as_mut().reset(due),
                None => self.timer = Some(Box::pin(tokio::time::sleep_until(due))),
            }
            // Once is enough to note the waker: it is the same for the whole life of the task. What handlers have used up of the
            // task's budget must not keep the timer from noting it.
            if let Some(timer) = &mut self.timer
                && pin!(unconstrained(timer.as_mut())).poll(cx).is_pending()
            {
                return;
            }
            now = Instant::now();
        }
        self.timer = None;
    }

    /// Bytes have come: of a packet that is not whole, or of another one by now.
    #[inline(never)]
    fn look_at_packet(&mut self, now: Instant) {
        let here = self.inbox.begun();
        if self
            .begun
            .is_none_or(|(_, before)| here == 0 || here >= before + PROGRESS)
        {
            self.fresh |= here > 0 && self.begun.is_none();
            self.begun = (here > 0).then_some((now, here));
        }
    }

    /// Acts on what is due, and tells when to look again.
    fn check_limits(&mut self, shared: &Shared, now: Instant) -> Option<Instant> {
        let mut next = None;
        if let Some(due) = self.awaited.filter(|_| !shared.is_open()) {
            if now < due {
                next = earlier(next, due);
            } else {
                self.awaited = None;
            }
        }
        if let Some(limit) = shared.env.read_timeout.filter(|_| self.reading) {
            let due = self.last_received + limit;
            if now < due {
                next = earlier(next, due);
            } else {
                self.stop_reading(shared, Reason::Idle(limit));
            }
        }
        if let (Some(limit), Some((since, _))) = (shared.env.packet_timeout, self.begun)
            && self.reading
            && !self.choked
        {
            let due = since + limit;
            if now < due {
                next = earlier(next, due);
            } else {
                self.begun = None;
                self.stop_reading(
                    shared,
                    match self.inbox.is_starving() {
                        true => Reason::Starved(limit),
                        false => Reason::Slow(limit),
                    },
                );
            }
        }
        if let (Some(limit), Some((since, _))) = (shared.env.write_timeout, self.stalled) {
            let due = since + limit;
            if now < due {
                next = earlier(next, due);
            } else {
                self.stalled = None;
                shared.end(Phase::Ended, Reason::Stalled(limit));
            }
        }
        if let Some(due) = self.check_pulse(shared, now) {
            next = earlier(next, due);
        }
        if let Some(since) = self.last_busy {
            let due = since + TRIM;
            if now < due {
                next = earlier(next, due);
            } else {
                self.last_busy = None;
                self.trim(shared);
            }
        }
        next
    }

    /// Asks for a sign of life, or draws the conclusion, if that is due. Gives when to look again.
    fn check_pulse(&mut self, shared: &Shared, now: Instant) -> Option<Instant> {
        if self.choked || self.inbox.is_starving() || matches!(self.gate, Gate::Opening(_)) {
            // The reading is held up: what the other side says is not heard.
            return None;
        }
        let pulse = self.pulse.as_mut()?;
        if !self.reading {
            // Handlers still run for one that has ended its stream, which is all that can be seen of one that has died.
            if shared.phase() != Phase::Finishing {
                return None;
            }
            if pulse.due_without_answer(now) == Due::Ask {
                heartbeat::ask(shared);
                pulse.spoke(now);
            }
            return match pulse.due_without_answer(now) {
                Due::At(due) => Some(due),
                _ => None,
            };
        }
        if pulse.due(now) == Due::Ask {
            pulse.asked(heartbeat::ask(shared), now);
        }
        match pulse.due(now) {
            Due::At(due) => Some(due),
            Due::Ask => None,
            Due::Dead(limit) => {
                self.reading = false;
                shared.end(Phase::Ended, Reason::Dead(limit));
                None
            }
        }
    }
}

fn earlier(known: Option<Instant>, due: Instant) -> Option<Instant> {
    Some(known.map_or(due, |known| known.min(due)))
}
