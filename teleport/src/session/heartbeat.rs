//! Signs of life: when nothing has come or gone for a while, one side asks, and any answer will do.
//!
//! The question is a pull to a uri that no controller has. A teleport peer answers it by itself, before plugins and limits; a peer
//! that does not know it answers 404, which is as good. The session's task asks, with the timer that it has anyway.

use std::time::Duration;

use tokio::time::Instant;

use super::{
    Session, Shared,
    reply::{self, ReplyHead},
};
use crate::{
    protocol::{HeaderRef, Meta, Packet, PacketKind},
    socket::scratch::with_scratch,
    status::{Status, code},
};

const URI: &str = "/~teleport/heartbeat";

/// Bounds of what can be asked for: less would be a flood, more is never.
const SHORTEST: Duration = Duration::from_millis(1);
const LONGEST: Duration = Duration::from_secs(30 * 24 * 60 * 60);

/// How often to ask, and how long to wait.
#[derive(Clone, Copy, Debug)]
pub(super) struct Heartbeat {
    interval: Duration,
    timeout: Duration,
}

impl Heartbeat {
    pub(super) fn new(interval: Duration, timeout: Duration) -> Self {
        Self {
            interval: interval.clamp(SHORTEST, LONGEST),
            timeout: timeout.clamp(SHORTEST, LONGEST),
        }
    }
}

/// What a session knows about the life of its connection.
#[derive(Debug)]
pub(super) struct Pulse {
    beat: Heartbeat,
    /// When bytes last came.
    heard: Instant,
    /// When bytes last went.
    spoke: Instant,
    /// When the other side was asked, if nothing has come since.
    asked: Option<Instant>,
    /// The number of the last question.
    seq: Option<u64>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// Nothing before then.
    At(Instant),
    /// A question; say that it was [asked](Pulse::asked).
    Ask,
    /// The end: no answer came within this time.
    Dead(Duration),
}

impl Pulse {
    pub(super) fn new(beat: Heartbeat, now: Instant) -> Self {
        Self {
            beat,
            heard: now,
            spoke: now,
            asked: None,
            seq: None,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.heard = now;
        self.asked = None;
    }

    pub(super) fn spoke(&mut self, now: Instant) {
        self.spoke = now;
    }

    pub(super) fn asked(&mut self, seq: u64, now: Instant) {
        self.asked = Some(now);
        self.seq = Some(seq);
    }

    /// Whether a reply is the answer to the last question, which nobody else waits for.
    pub(super) fn is_answer(&self, seq: u64) -> bool {
        self.seq == Some(seq)
    }

    pub(super) fn due(&self, now: Instant) -> Due {
        let Heartbeat { interval, timeout } = self.beat;
        let (at, due) = match self.asked {
            // One direction alone is not enough: the other side may have a read timeout.
            None => (self.heard.min(self.spoke) + interval, Due::Ask),
            Some(asked) => (asked + timeout, Due::Dead(timeout)),
        };
        if now < at { Due::At(at) } else { due }
    }

    /// As [`due`](Self::due), of one that sends nothing any more. It cannot answer, but to write to one that has gone fails.
    pub(super) fn due_without_answer(&self, now: Instant) -> Due {
        let at = self.spoke + self.beat.interval;
        if now < at { Due::At(at) } else { Due::Ask }
    }
}

/// Asks for a sign of life. Gives the number of the question.
pub(super) fn ask(shared: &Shared) -> u64 {
    let seq = shared.next_pull();
    let header = HeaderRef {
        seq,
        kind: PacketKind::Pull,
        uri: URI,
        gzip: 0,
        status_code: 0,
        status: "",
        timeout_ms: 0,
        meta: Meta::EMPTY,
    };
    with_scratch(|frame| {
        let env = &shared.env;
        let encoded = env
            .protocol
            .encode_parts(header, env.header_codec, &mut |_| Ok(()), frame);
        match encoded {
            Ok(()) => shared.enqueue_at_any_rate(frame),
            Err(error) => tracing::warn!(%error, "a heartbeat cannot be written"),
        }
    });
    seq
}

/// Answers a pull that is a heartbeat. `false` if it is any other.
#[inline]
pub(crate) fn answer(session: &Session, packet: &Packet) -> bool {
    let asks = packet.header.uri == URI;
    if asks {
        answer_now(session, packet);
    }
    asks
}

#[cold]
fn answer_now(session: &Session, packet: &Packet) {
    let header = &packet.header;
    let head = ReplyHead {
        seq: header.seq,
        uri: URI,
        gzip: header.gzip,
        header_codec: packet.header_codec,
    };
    reply::send_status_now(session, head, &Status::new(code::OK, "OK"));
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn traffic_in_both_directions_puts_the_question_off() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Heartbeat::new(SECOND * 10, SECOND * 5), start);
        assert_eq!(pulse.due(start), Due::At(start + SECOND * 10));
        pulse.heard(start + SECOND * 4);
        assert_eq!(pulse.due(start), Due::At(start + SECOND * 10));
        pulse.spoke(start + SECOND * 6);
        assert_eq!(pulse.due(start), Due::At(start + SECOND * 14));
        assert_eq!(pulse.due(start + SECOND * 14), Due::Ask);
    }

    #[test]
    fn no_sign_after_a_question_is_death_and_any_is_life() {
        let start = Instant::now();
        let mut pulse = Pulse::new(Heartbeat::new(SECOND * 10, SECOND * 5), start);
        pulse.asked(7, start);
        assert!(pulse.is_answer(7) && !pulse.is_answer(8));
        assert_eq!(pulse.due(start), Due::At(start + SECOND * 5));
        assert_eq!(pulse.due(start + SECOND * 5), Due::Dead(SECOND * 5));
        pulse.heard(start + SECOND * 3);
        pulse.spoke(start);
        assert_eq!(pulse.due(start + SECOND * 5), Due::At(start + SECOND * 10));
    }

    #[test]
    fn senseless_times_are_brought_into_bounds() {
        let now = Instant::now();
        let pulse = Pulse::new(Heartbeat::new(Duration::ZERO, Duration::MAX), now);
        assert_eq!(pulse.due(now), Due::At(now + SHORTEST));
        let pulse = Pulse::new(Heartbeat::new(Duration::MAX, Duration::ZERO), now);
        assert_eq!(pulse.due(now), Due::At(now + LONGEST));
    }
}
