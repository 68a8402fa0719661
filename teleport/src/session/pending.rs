//! The pulls of one session that wait for their replies. Pure: no I/O, no clock, no tasks.

use std::{collections::HashMap, mem, task::Waker};

use super::Answer;

/// Pulls in flight, found by sequence number without hashing.
///
/// The wire wants sequence numbers that count up from 0, and replies come back in nearly the order of the pulls. So
/// the table is a ring: number `n` lives in slot `n % len`, and the slot remembers the whole number, which makes a late
/// reply of a forgotten pull (same slot, another number) find nothing. A pull so slow that the ring comes around
/// to its slot moves to a map on the side, so one slow call does not make the ring grow for ever.
#[derive(Debug, Default)]
#[repr(C)]
pub(crate) struct Pending {
    /// Power of two long, or empty until the first pull.
    ring: Box<[Slot]>,
    /// Entries in the ring and beside it.
    live: u32,
    /// Those of them that have no reply yet.
    waiting: u32,
    /// Pulls that the ring has overtaken, once there has been one.
    #[expect(clippy::box_collection)] // Six words in each session, for what nearly none has.
    overtaken: Option<Box<HashMap<u64, Entry>>>,
}

/// One cache line, and not parts of two.
#[derive(Debug, Default)]
#[repr(align(64))]
struct Slot {
    seq: u64,
    entry: Option<Entry>,
}

#[derive(Debug)]
enum Entry {
    Waiting(Waker),
    Answered(Answer),
}

/// A reply as it lay in the table: it is not unpacked on its way to its caller.
#[derive(Debug, Default)]
pub(crate) struct Taken(Option<Entry>);

impl Taken {
    #[inline]
    pub(crate) fn answer(&self) -> Option<&Answer> {
        match &self.0 {
            Some(Entry::Answered(answer)) => Some(answer),
            _ => None,
        }
    }
}

/// What became of a pull so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The reply is here; the entry is gone.
    Answered,
    /// No such entry: it was never made, or taken already.
    Unknown,
    /// Still waiting; the waker is noted.
    Waiting,
}

/// The ring's first size. Small: most sessions never have more calls in flight.
const FIRST_LEN: usize = 4;
/// The largest that an idle session keeps: half a KiB.
const IDLE_LEN: usize = 8;

impl Pending {
    /// Number of pulls that have no reply yet.
    pub(crate) fn waiting(&self) -> usize {
        self.waiting as usize
    }

    /// Number of pulls whose callers have not taken their replies yet, or have none.
    pub(crate) fn live(&self) -> usize {
        self.live as usize
    }

    /// Enters a pull. `seq` must be fresh: the session counts it up for each pull.
    #[inline]
    pub(crate) fn insert(&mut self, seq: u64, waker: Waker) {
        // Not full, so that replies slightly out of order do not overtake each other.
        if (self.live() + 1) * 4 > self.ring.len() * 3 {
            self.resize((self.ring.len() * 2).max(FIRST_LEN));
        }
        self.live += 1;
        self.waiting += 1;
        match self.slot(seq) {
            Some(slot) if slot.entry.is_none() => {
                slot.seq = seq;
                slot.entry = Some(Entry::Waiting(waker));
            }
            _ => self.place(seq, Entry::Waiting(waker)),
        }
    }

    /// Stores a reply. Gives the waker of the task that waits for it, if any does.
    #[inline]
    pub(crate) fn answer(&mut self, seq: u64, answer: Answer) -> Option<Waker> {
        let Some(entry @ Entry::Waiting(_)) = self.find(seq) else {
            return None;
        };
        match mem::replace(entry, Entry::Answered(answer)) {
            Entry::Waiting(waker) => {
                self.waiting -= 1;
                Some(waker)
            }
            Entry::Answered(_) => None,
        }
    }

    /// Moves the reply of `seq` to `taken` if it is there, else notes who waits for it.
    #[inline]
    pub(crate) fn poll(&mut self, seq: u64, waker: &Waker, taken: &mut Taken) -> Progress {
        let Some(slot) = self.slot(seq).filter(|slot| slot.seq == seq) else {
            return self.poll_overtaken(seq, waker, taken);
        };
        match &mut slot.entry {
            None => self.poll_overtaken(seq, waker, taken),
            Some(Entry::Waiting(known)) => {
                note(known, waker);
                Progress::Waiting
            }
            Some(Entry::Answered(_)) => {
                taken.0 = slot.entry.take();
                self.live -= 1;
                Progress::Answered
            }
        }
    }

    #[cold]
    fn poll_overtaken(&mut self, seq: u64, waker: &Waker, taken: &mut Taken) -> Progress {
        let overtaken = self.overtaken.as_mut();
        match overtaken.and_then(|overtaken| overtaken.remove(&seq)) {
            None => Progress::Unknown,
            Some(Entry::Waiting(_)) => {
                self.overtake(seq, Entry::Waiting(waker.clone()));
                Progress::Waiting
            }
            answered @ Some(Entry::Answered(_)) => {
                taken.0 = answered;
                self.live -= 1;
                Progress::Answered
            }
        }
    }

    /// Forgets a pull: its caller has gone away.
    pub(crate) fn forget(&mut self, seq: u64) {
        drop(self.remove(seq));
    }

    /// The wakers of all that still wait; they stay entered, and replies that are here stay fetchable.
    pub(crate) fn wakers(&mut self) -> Vec<Waker> {
        let ring = self.ring.iter().filter_map(|slot| slot.entry.as_ref());
        let side = self.overtaken.iter().flat_map(|side| side.values());
        ring.chain(side)
            .filter_map(|entry| match entry {
                Entry::Waiting(waker) => Some(waker.clone()),
                Entry::Answered(_) => None,
            })
            .collect()
    }

    /// Gives memory back that a burst has taken, if nothing is in flight.
    pub(crate) fn trim(&mut self) {
        if self.live == 0 && self.is_grown() {
            *self = Self::default();
        }
    }

    /// An idle session would not keep so large a table.
    pub(crate) fn is_grown(&self) -> bool {
        self.ring.len() > IDLE_LEN || self.overtaken.is_some()
    }

    #[inline]
    fn index(&self, seq: u64) -> Option<usize> {
        let mask = self.ring.len().checked_sub(1)? as u64;
        Some((seq & mask) as usize)
    }

    #[inline]
    fn slot(&mut self, seq: u64) -> Option<&mut Slot> {
        let index = self.index(seq)?;
        self.ring.get_mut(index)
    }

    /// Enters it in its slot. An older one has to leave that.
    #[cold]
    fn place(&mut self, seq: u64, entry: Entry) {
        let Some(slot) = self.slot(seq) else {
            self.overtake(seq, entry);
            return;
        };
        let older = mem::replace(&mut slot.seq, seq);
        if let Some(entry) = slot.entry.replace(entry) {
            self.overtake(older, entry);
        }
    }

    #[cold]
    fn overtake(&mut self, seq: u64, entry: Entry) {
        self.overtaken.get_or_insert_default().insert(seq, entry);
    }

    #[inline]
    fn find(&mut self, seq: u64) -> Option<&mut Entry> {
        let index = self.index(seq)?;
        match self.ring.get_mut(index) {
            Some(slot) if slot.seq == seq && slot.entry.is_some() => slot.entry.as_mut(),
            _ => self.overtaken.as_mut()?.get_mut(&seq),
        }
    }

    #[inline]
    fn remove(&mut self, seq: u64) -> Option<Entry> {
        let slot = self.slot(seq)?;
        let removed = if slot.seq == seq && slot.entry.is_some() {
            slot.entry.take()
        } else {
            self.overtaken.as_mut().and_then(|side| side.remove(&seq))
        };
        match &removed {
            Some(Entry::Waiting(_)) => {
                self.live -= 1;
                self.waiting -= 1;
            }
            Some(Entry::Answered(_)) => self.live -= 1,
            None => {}
        }
        removed
    }

    #[cold]
    fn resize(&mut self, len: usize) {
        let old = mem::take(&mut self.ring);
        self.ring = (0..len).map(|_| Slot::default()).collect();
        // Those on the side may have room now; the slower pull must not displace the younger one.
        let side = mem::take(&mut self.overtaken);
        let ring = old
            .into_iter()
            .filter_map(|slot| slot.entry.map(|entry| (slot.seq, entry)));
        for (seq, entry) in side.into_iter().flat_map(|side| *side).chain(ring) {
            self.place(seq, entry);
        }
    }
}

/// Somebody else waits now.
#[inline(never)]
fn note(known: &mut Waker, waker: &Waker) {
    known.clone_from(waker);
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::protocol::{Header, HeaderCodec, Packet, PacketKind};

    /// A reply that can be told from others.
    fn reply(seq: u64) -> Answer {
        let header = Header::new(PacketKind::Reply, seq, "");
        let mut packet = Packet::new(header, HeaderCodec::Protobuf, bytes::Bytes::new());
        Answer::new(&mut packet, true)
    }

    fn answered(pending: &mut Pending, seq: u64) -> bool {
        let mut taken = Taken::default();
        let progress = pending.poll(seq, Waker::noop(), &mut taken);
        let seqs = taken.answer().map(|answer| answer.header(0).seq);
        progress == Progress::Answered && seqs == Some(seq)
    }

    /// What became of a pull that has no answer.
    fn progress(pending: &mut Pending, seq: u64) -> Progress {
        let mut taken = Taken::default();
        let progress = pending.poll(seq, Waker::noop(), &mut taken);
        assert!(taken.answer().is_none());
        progress
    }

    #[test]
    fn a_reply_finds_its_pull_once() {
        let mut pending = Pending::default();
        pending.insert(0, Waker::noop().clone());
        assert_eq!(progress(&mut pending, 0), Progress::Waiting);
        assert!(pending.answer(0, reply(0)).is_some());
        assert!(
            pending.answer(0, reply(0)).is_none(),
            "a second reply is nobody's"
        );
        assert!(answered(&mut pending, 0));
        assert_eq!(progress(&mut pending, 0), Progress::Unknown);
        assert_eq!(pending.waiting(), 0);
    }

    #[test]
    fn a_late_reply_of_a_forgotten_pull_reaches_nobody() {
        let mut pending = Pending::default();
        pending.insert(0, Waker::noop().clone());
        pending.forget(0);
        for seq in 1..=4 {
            pending.insert(seq, Waker::noop().clone());
        }
        assert!(
            pending.answer(0, reply(0)).is_none(),
            "slot 0 belongs to a younger pull"
        );
        assert_eq!(progress(&mut pending, 4), Progress::Waiting);
    }

    #[test]
    fn a_reply_with_a_number_never_given_out_is_nobodys() {
        let mut pending = Pending::default();
        assert!(pending.answer(0, reply(0)).is_none());
        pending.insert(0, Waker::noop().clone());
        assert!(pending.answer(u64::MAX, reply(u64::MAX)).is_none());
    }

    #[test]
    fn a_pull_that_the_ring_overtakes_still_gets_its_reply() {
        let mut pending = Pending::default();
        pending.insert(0, Waker::noop().clone());
        for seq in 1..1000 {
            pending.insert(seq, Waker::noop().clone());
            assert!(pending.answer(seq, reply(seq)).is_some());
            assert!(answered(&mut pending, seq));
        }
        assert_eq!(
            pending.ring.len(),
            FIRST_LEN,
            "one slow call does not grow the ring"
        );
        assert!(pending.answer(0, reply(0)).is_some());
        assert!(answered(&mut pending, 0));
        assert_eq!(pending.waiting(), 0);
    }

    #[test]
    fn ten_thousand_in_flight_are_answered_in_reverse() {
        let mut pending = Pending::default();
        for seq in 0..10_000 {
            pending.insert(seq, Waker::noop().clone());
        }
        for seq in (0..10_000).rev() {
            assert!(pending.answer(seq, reply(seq)).is_some());
        }
        for seq in 0..10_000 {
            assert!(answered(&mut pending, seq));
        }
        pending.trim();
        assert_eq!((pending.waiting(), pending.ring.len()), (0, 0));
    }

    #[test]
    fn numbers_at_the_end_of_their_range_work() {
        let mut pending = Pending::default();
        for seq in [u64::MAX - 1, u64::MAX, 0, 1] {
            pending.insert(seq, Waker::noop().clone());
            assert!(pending.answer(seq, reply(seq)).is_some());
            assert!(answered(&mut pending, seq));
        }
    }

    #[test]
    fn all_that_wait_are_woken_at_the_end() {
        let mut pending = Pending::default();
        for seq in 0..5 {
            pending.insert(seq, Waker::noop().clone());
        }
        assert!(pending.answer(2, reply(2)).is_some());
        assert_eq!(pending.wakers().len(), 4);
        assert!(
            answered(&mut pending, 2),
            "what has arrived is still delivered"
        );
    }
}
