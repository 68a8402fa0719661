//! The reading of a connection: from bytes to handlers, and to those who wait for replies.

use std::{
    cell::Cell,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{
    super::{
        Answer, Phase, Runner, Session, Shared,
        dispatch::BoxFuture,
        farewell::{self, Farewell},
        gathering::Order,
        reason::Reason,
        runner::{Pinned, aside},
        turn::{self, Gathers},
    },
    Driver, fail,
    wake::{self, TOGETHER},
};
use crate::{
    protocol::{Packet, PacketKind, ProtocolError},
    status::Status,
};

/// Packets may take this long in place before what they have answered is written and other tasks get their turn.
const TURN: Duration = Duration::from_micros(500);
/// So many bytes of replies are written before more is read: what they share with their pulls is soon free to be used again, and
/// still in the caches.
const BATCH: usize = 256 * 1024;
/// Reads in one turn. More would only delay other connections: the data is not lost, the socket keeps it.
pub(super) const READS: usize = 8;
/// Packets between two looks at the clock. Those that start no handler take time too.
const GLANCE: u32 = 64;
/// To read the body of a larger packet takes milliseconds, in which the thread's other connections shall go on; so does a
/// compressed one far smaller.
const LONG_READ: usize = 2 * 1024 * 1024;
const LONG_INFLATE: usize = 16 * 1024;
/// The replies that a turn takes in, of those to all calls under way, before what their callers send is written: so many that
/// the write is worth its while, and so few that the other side has something to do meanwhile. Of a few it would have too little.
#[inline]
fn share(calls: usize) -> usize {
    const FEW: usize = 64;
    match calls {
        ..=FEW => FEW,
        _ => (calls / 2).min(128).max((calls / 8).min(1024)),
    }
}

/// Stands before the header of each packet.
pub(super) enum Gate {
    /// No plugin wants one.
    Absent,
    /// Not asked yet.
    Closed,
    Open,
    Opening(BoxFuture<'static, Result<(), Status>>),
}

/// What is known in one turn of the task only.
pub(super) struct Turn<'a> {
    session: &'a Session,
    /// Wakes the task of the connection.
    task: &'a Waker,
    pub(super) runner: Runner<'a>,
    /// Gathers what packets are answered with, from the first that may be.
    gathers: Option<Gathers>,
    /// Callers that were woken.
    pub(super) woken: usize,
    /// So many replies are taken in.
    most: usize,
    /// Calls that were under way when it began.
    calls: usize,
    /// How they were.
    pub(super) order: Order,
    /// It has done enough: it has gone on for long, though not in handlers, or taken in as many replies as it may.
    over: bool,
    /// Plugins or logs want to see replies whole.
    whole_answers: bool,
    /// Replies that were read and not yet handed on.
    answers: Option<Box<Answers>>,
    /// Replies that were read.
    read: usize,
}

/// Replies, by the number of their pulls, and room for the wakers of those who wait for them.
#[derive(Default)]
struct Answers {
    replies: Vec<(u64, Answer)>,
    wakers: Vec<Waker>,
}

thread_local! {
    /// For the next answers: of all connections, so that one which is seldom used need not fetch its own from memory.
    static SPARE: Cell<Option<Box<Answers>>> = const { Cell::new(None) };
    /// Where packets are read, each where the last one was: the next one has the same texts as often as not.
    static PACKET: Cell<Option<Box<Packet>>> = const { Cell::new(None) };
}

impl<I: AsyncRead + AsyncWrite + Unpin> Driver<I> {
    /// Reads and dispatches what is there. `true` if there may be more.
    pub(super) fn read(&mut self, turn: &mut Turn<'_>, cx: &mut Context<'_>) -> bool {
        let shared = turn.session.shared();
        self.unread = true;
        for _ in 0..READS {
            self.choked = shared.is_choked();
            if self.choked {
                return false;
            }
            if !self.dispatch(turn, cx) || !self.reading {
                return false;
            }
            if let Gate::Opening(_) = self.gate {
                self.unread = false;
                return false;
            }
            if turn.over || turn.runner.spent() > TURN || turn.replied() > BATCH {
                return true;
            }
            match self.inbox.poll_read(cx, &mut self.io) {
                Poll::Pending => {
                    self.unread = false;
                    return false;
                }
                Poll::Ready(Ok(0)) => {
                    self.end_of_stream(shared);
                    return false;
                }
                Poll::Ready(Ok(_)) => {
                    self.heard = true;
                    turn.runner.resume();
                    if let Some(size) = self.inbox.renewed() {
                        turn.runner.reads_into(size);
                    }
                }
                Poll::Ready(Err(error)) => {
                    self.reading = false;
                    fail(shared, error);
                    return false;
                }
            }
        }
        self.dispatch(turn, cx)
    }

    #[cold]
    fn end_of_stream(&mut self, shared: &Shared) {
        let foreign = self.inbox.foreign();
        let reason = foreign.map_or(Reason::Peer, |error| Reason::Protocol(error.into()));
        self.stop_reading(shared, reason);
    }

    /// Dispatches the packets that are whole. `false` if the session is at its end.
    fn dispatch(&mut self, turn: &mut Turn<'_>, cx: &mut Context<'_>) -> bool {
        if let Gate::Absent = self.gate
            && !self.inbox.is_ready()
        {
            return true;
        }
        let shared = turn.session.shared();
        turn.whole_answers = shared.env.is_watched();
        turn.runner.begin();
        let mut packet = PACKET.take().unwrap_or_else(fresh);
        let goes_on = self.dispatch_packets(turn, &mut packet, cx);
        packet.let_go();
        PACKET.replace(Some(packet));
        turn.runner.look();
        turn.hand_on_answers();
        goes_on
    }

    fn dispatch_packets(
        &mut self,
        turn: &mut Turn<'_>,
        packet: &mut Packet,
        cx: &mut Context<'_>,
    ) -> bool {
        let shared = turn.session.shared();
        let env = &shared.env;
        let mut packets = 0_u32;
        while turn.runner.spent() <= TURN {
            packets = packets.wrapping_add(1);
            let long = packets.is_multiple_of(GLANCE) && turn.runner.elapsed() > TURN;
            if long || turn.read >= turn.most {
                turn.over = true;
                return true;
            }
            if !matches!(self.gate, Gate::Absent) {
                match self.pass_gate(turn.session, cx) {
                    Poll::Ready(true) => {}
                    Poll::Ready(false) => return false,
                    Poll::Pending => return true,
                }
            }
            if !self.inbox.is_ready() {
                return true;
            }
            let protocol = env.protocol.as_ref();
            match self.inbox.decode(protocol, &env.limits, packet) {
                Ok(0) => {}
                Ok(bytes) => {
                    self.inbox.lacks(bytes);
                    return true;
                }
                Err(error) => {
                    self.give_up(shared, error);
                    return false;
                }
            }
            self.received = true;
            self.awaited = None;
            if let Gate::Open = self.gate {
                self.gate = Gate::Closed;
            }
            if !self.packet(turn, packet) {
                return false;
            }
        }
        true
    }

    /// What came is no packet.
    #[cold]
    fn give_up(&mut self, shared: &Shared, error: ProtocolError) {
        let error = self.inbox.foreign().unwrap_or(error);
        self.stop_reading(shared, Reason::Protocol(Arc::new(error)));
    }

    /// Lets plugins do what they do before a header is read. `false` if they end the session.
    #[inline(never)]
    fn pass_gate(&mut self, session: &Session, cx: &mut Context<'_>) -> Poll<bool> {
        if let Gate::Closed = self.gate {
            let gate = session.shared().env.dispatch.before_header(session);
            self.gate = gate.map_or(Gate::Absent, Gate::Opening);
        }
        if let Gate::Opening(opening) = &mut self.gate {
            let passed = ready!(opening.as_mut().poll(cx));
            self.gate = Gate::Open;
            if let Some(pulse) = &mut self.pulse {
                pulse.heard(Instant::now());
            }
            if let Err(status) = passed {
                self.reading = false;
                session.shared().end(Phase::Ended, Reason::Refused(status));
                return Poll::Ready(false);
            }
        }
        Poll::Ready(true)
    }

    /// The other side takes its leave. `true` if it has said all that it had to say.
    #[cold]
    fn ends_with(&mut self, turn: &mut Turn<'_>, farewell: Farewell) -> bool {
        let shared = turn.session.shared();
        match farewell {
            Farewell::One => {
                shared.drain(Reason::Peer);
                false
            }
            Farewell::All => {
                // What came before it still counts.
                turn.hand_on_answers();
                self.stop_reading(shared, Reason::Left);
                true
            }
        }
    }

    fn packet(&mut self, turn: &mut Turn<'_>, packet: &mut Packet) -> bool {
        let shared = turn.session.shared();
        match packet.header.kind {
            PacketKind::Reply => {
                if let Some(farewell) = farewell::find(&packet.header)
                    && self.ends_with(turn, farewell)
                {
                    return false;
                }
                let seq = packet.header.seq;
                if self
                    .pulse
                    .as_ref()
                    .is_some_and(|pulse| pulse.is_answer(seq))
                {
                    return true;
                }
                let whole = turn.whole_answers;
                turn.read += 1;
                match &mut turn.answers {
                    None if !self.inbox.is_ready() => {
                        turn.hand_on(seq, Answer::new(packet, whole));
                    }
                    answers => {
                        let replies = &mut answers.get_or_insert_with(Answers::take).replies;
                        // Made where it waits, and not copied there just after it was written.
                        replies.push((seq, Answer::default()));
                        if let Some((_, answer)) = replies.last_mut() {
                            answer.fill(packet, whole);
                        }
                    }
                }
            }
            PacketKind::Pull | PacketKind::Push => {
                turn.gathers.get_or_insert_with(|| turn::gather(shared));
                turn.runner.takes(match shared.memory.is_tight() {
                    true => packet.detach(),
                    false => 0,
                });
                let long = packet.size() > LONG_READ;
                let dispatch = &shared.env.dispatch;
                let (session, runner) = (turn.session, &mut turn.runner);
                match long || packet.header.gzip != 0 && packet.size() > LONG_INFLATE {
                    true => aside(|| dispatch.inbound(session, packet, runner)),
                    false => dispatch.inbound(session, packet, runner),
                }
            }
            PacketKind::Unsupported(kind) => {
                self.stop_reading(shared, Reason::Unsupported(kind));
                return false;
            }
        }
        true
    }
}

#[cold]
fn fresh() -> Box<Packet> {
    Box::new(Packet::empty())
}

impl Answers {
    fn take() -> Box<Self> {
        SPARE.take().unwrap_or_default()
    }
}

impl<'a> Turn<'a> {
    #[inline]
    pub(super) fn new(session: &'a Session, task: &'a Waker, pinned: Pinned) -> Self {
        let shared = session.shared();
        let calls = shared.calls();
        Self {
            session,
            task,
            runner: Runner::new(session, pinned),
            gathers: None,
            woken: 0,
            calls,
            most: share(calls),
            order: Order::OneByOne,
            over: false,
            whole_answers: false,
            answers: None,
            read: 0,
        }
    }

    /// Bytes that packets were answered with.
    #[inline]
    fn replied(&self) -> usize {
        self.gathers.as_ref().map_or(0, Gathers::len)
    }

    /// The replies that were not handed over. There will be no more.
    #[inline]
    pub(super) fn take_replies(&mut self) -> Vec<u8> {
        let gathers = self.gathers.take();
        gathers.map_or_else(Vec::new, Gathers::take)
    }

    /// The only one that has come.
    #[inline]
    fn hand_on(&mut self, seq: u64, answer: Answer) {
        match self.session.shared().answer(seq, answer) {
            Some(waker) => {
                self.woken += 1;
                waker.wake();
            }
            None => self.tell_late(1),
        }
    }

    /// All at once: one locking, and callers on other threads start only when all are there.
    #[inline]
    fn hand_on_answers(&mut self) {
        if let Some(answers) = self.answers.take() {
            self.hand_on_all(answers);
        }
    }

    #[inline(never)]
    fn hand_on_all(&mut self, mut answers: Box<Answers>) {
        let Answers { replies, wakers } = &mut *answers;
        let late = self.session.shared().answer_all(replies, wakers);
        self.woken += wakers.len();
        if wakers.len() < TOGETHER {
            wakers.drain(..).for_each(Waker::wake);
        } else {
            // If these are all, there is nothing to read until they call again.
            self.order = match wakers.len() < self.calls {
                true => Order::TaskLast,
                false => Order::TaskFirst,
            };
            wake::together(wakers, self.task, self.order);
        }
        SPARE.set(Some(answers));
        if late > 0 {
            self.tell_late(late);
        }
    }

    #[cold]
    fn tell_late(&self, late: usize) {
        tracing::debug!(late, peer = %self.session.peer_addr(), "nobody waits for these replies");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_takes_in_few_replies_at_once_of_more_half_and_of_many_an_eighth() {
        let table = [
            (1, 64),
            (64, 64),
            (100, 50),
            (256, 128),
            (1_000, 128),
            (4_000, 500),
            (100_000, 1_024),
        ];
        for (calls, replies) in table {
            assert_eq!(share(calls), replies, "{calls} calls");
        }
    }
}
