//! The rules by which a pool chooses one of its members for a call.

use super::rendezvous;
use crate::session::Session;

/// How to choose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// One after the other, each as often as its weight says.
    InTurn,
    /// The one with the least in flight, beside its weight.
    LeastInFlight,
    /// The one that the hash of a key belongs to.
    Key(u64),
}

/// One that can be chosen, with what the rules remember of it.
#[derive(Debug)]
pub(super) struct Seat<S> {
    pub(super) session: S,
    weight: u32,
    /// Of its address.
    hash: u64,
    /// What it is owed, for [`Rule::InTurn`].
    credit: i64,
    /// When it was chosen last, as a number, for [`Rule::LeastInFlight`].
    last: u64,
}

/// Calls without an answer.
pub(super) trait Load {
    fn in_flight(&self) -> usize;
}

impl Load for Session {
    fn in_flight(&self) -> usize {
        self.pulls_in_flight()
    }
}

impl<S: Load> Seat<S> {
    pub(super) fn new(address: &str, weight: u32, session: S) -> Self {
        Self {
            session,
            weight,
            hash: rendezvous::hash(address),
            credit: 0,
            last: 0,
        }
    }

    pub(super) fn set_weight(&mut self, weight: u32) {
        if self.weight != weight {
            self.weight = weight;
            self.credit = 0;
        }
    }
}

impl Rule {
    /// Chooses one; `None` if none has a weight.
    pub(super) fn choose<'a, S: Load + 'a>(
        self,
        seats: impl Iterator<Item = &'a mut Seat<S>>,
    ) -> Option<&'a S> {
        let seats = seats.filter(|seat| seat.weight > 0);
        let seat = match self {
            Self::InTurn => in_turn(seats),
            Self::LeastInFlight => least_in_flight(seats),
            Self::Key(key) => rendezvous::choose(key, seats, |seat| (seat.hash, seat.weight)),
        };
        seat.map(|seat| &seat.session)
    }
}

/// Each is credited its weight, and the richest pays for all: each comes as often as its weight says, and the turns of a heavy
/// one are spread out.
fn in_turn<'a, S: 'a>(seats: impl Iterator<Item = &'a mut Seat<S>>) -> Option<&'a mut Seat<S>> {
    let mut sum = 0;
    let mut richest: Option<&mut Seat<S>> = None;
    for seat in seats {
        sum += i64::from(seat.weight);
        seat.credit += i64::from(seat.weight);
        if richest
            .as_ref()
            .is_none_or(|best| best.credit < seat.credit)
        {
            richest = Some(seat);
        }
    }
    let seat = richest?;
    seat.credit -= sum;
    Some(seat)
}

/// Among equals it is the one that has waited longest.
fn least_in_flight<'a, S: Load + 'a>(
    seats: impl Iterator<Item = &'a mut Seat<S>>,
) -> Option<&'a mut Seat<S>> {
    let mut now = 0;
    let mut best: Option<(u128, &mut Seat<S>)> = None;
    for seat in seats {
        now = now.max(seat.last + 1);
        // With the call to come; by the weight it is divided, which is here multiplied to the other side.
        let load = seat.session.in_flight() as u128 + 1;
        let better = best.as_ref().is_none_or(|(least, best)| {
            let (own, other) = (
                load * u128::from(best.weight),
                least * u128::from(seat.weight),
            );
            (own, seat.last) < (other, best.last)
        });
        if better {
            best = Some((load, seat));
        }
    }
    let (_, seat) = best?;
    seat.last = now;
    Some(seat)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A name and the calls in flight.
    type Fake = (char, usize);

    impl Load for Fake {
        fn in_flight(&self) -> usize {
            self.1
        }
    }

    fn seats<const N: usize>(weights: [u32; N]) -> Vec<Seat<Fake>> {
        let names = 'a'..;
        let seats = names.zip(weights);
        seats
            .map(|(name, weight)| Seat::new(&name.to_string(), weight, (name, 0)))
            .collect()
    }

    fn choices(rule: Rule, seats: &mut [Seat<Fake>], count: usize) -> String {
        (0..count)
            .map(|_| rule.choose(seats.iter_mut()).map_or('-', |chosen| chosen.0))
            .collect()
    }

    #[test]
    fn in_turn_all_come_in_order() {
        assert_eq!(choices(Rule::InTurn, &mut seats([1, 1, 1]), 7), "abcabca");
    }

    #[test]
    fn in_turn_a_heavy_one_comes_more_often_and_not_in_a_row() {
        assert_eq!(choices(Rule::InTurn, &mut seats([5, 1, 1]), 7), "aabacaa");
    }

    #[test]
    fn in_turn_goes_on_without_one_that_is_left_out() {
        let mut seats = seats([1, 1, 1]);
        assert_eq!(choices(Rule::InTurn, &mut seats, 4), "abca");
        let mut counts = [0; 3];
        for _ in 0..20 {
            let others = seats.iter_mut().filter(|seat| seat.session.0 != 'b');
            let chosen = Rule::InTurn.choose(others).unwrap().0;
            counts[usize::from(chosen as u8 - b'a')] += 1;
        }
        // It was the turn of `c`, which got what it was still owed.
        assert_eq!(counts, [9, 0, 11]);
    }

    #[test]
    fn the_least_in_flight_is_chosen_and_equals_in_turn() {
        let mut seats = seats([1, 1, 1]);
        assert_eq!(choices(Rule::LeastInFlight, &mut seats, 4), "abca");
        seats[0].session.1 = 2;
        seats[2].session.1 = 1;
        assert_eq!(choices(Rule::LeastInFlight, &mut seats, 2), "bb");
        seats[1].session.1 = 1;
        assert_eq!(choices(Rule::LeastInFlight, &mut seats, 4), "cbcb");
    }

    #[test]
    fn twice_the_weight_carries_twice_the_calls() {
        let mut seats = seats([1, 2]);
        for _ in 0..30 {
            let chosen = choices(Rule::LeastInFlight, &mut seats, 1);
            let at = usize::from(chosen == "b");
            seats[at].session.1 += 1;
        }
        let loads: Vec<_> = seats.iter().map(|seat| seat.session.1).collect();
        assert_eq!(loads, [10, 20]);
    }

    #[test]
    fn weight_zero_gets_nothing() {
        for rule in [Rule::InTurn, Rule::LeastInFlight, Rule::Key(7)] {
            assert_eq!(choices(rule, &mut seats([0, 1]), 3), "bbb");
            assert_eq!(choices(rule, &mut seats([0]), 1), "-");
            assert_eq!(choices(rule, &mut seats([]), 1), "-");
        }
    }
}
