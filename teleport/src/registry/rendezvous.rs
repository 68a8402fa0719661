//! Rendezvous hashing: which of several members a key belongs to.
//!
//! Each member has a score for each key, and the key belongs to the highest. When a member goes, its keys go to the others,
//! each to the next highest; no other key moves. All processes choose alike, whatever order they learned the members in, so
//! the hashes are fixed: FNV-1a over the bytes of address and key, mixed by the finalizer of splitmix64.

/// The hash of an address or of a key.
pub(super) fn hash(text: impl AsRef<[u8]>) -> u64 {
    let bytes = text.as_ref().iter();
    bytes.fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// The one with the highest score; `of` gives the hash of a member's address and its weight.
pub(super) fn choose<T>(
    key: u64,
    members: impl Iterator<Item = T>,
    of: impl Fn(&T) -> (u64, u32),
) -> Option<T> {
    let score = |member: &T| {
        let (hash, weight) = of(member);
        score(key, hash, weight)
    };
    members
        .map(|member| (score(&member), member))
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, member)| member)
}

/// Of two members one has the higher score for as many keys as its part of the sum of both weights.
fn score(key: u64, member: u64, weight: u32) -> f64 {
    let bits = mix(mix(key) ^ member);
    // 53 bits are what an `f64` holds; never 0 and never 1.
    let unit = ((bits >> 11) as f64 + 0.5) / (1_u64 << 53) as f64;
    -f64::from(weight) / unit.ln()
}

/// Spreads every bit over all: FNV leaves similar texts similar.
fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEYS: usize = 20_000;

    fn members(weights: &[u32]) -> Vec<(u64, u32)> {
        let ports = 9000..;
        let hash = |port: i32| hash(format!("10.0.0.7:{port}"));
        ports.map(hash).zip(weights.iter().copied()).collect()
    }

    /// The member of each key.
    fn owners(members: &[(u64, u32)]) -> Vec<u64> {
        let owner = |key: usize| {
            let key = hash(format!("user-{key}"));
            choose(key, members.iter(), |member| **member).unwrap().0
        };
        (0..KEYS).map(owner).collect()
    }

    fn share(owners: &[u64], member: u64) -> f64 {
        let own = owners.iter().filter(|owner| **owner == member).count();
        own as f64 / owners.len() as f64
    }

    #[test]
    fn keys_are_spread_evenly() {
        let members = members(&[1; 10]);
        let owners = owners(&members);
        for (member, _) in members {
            let share = share(&owners, member);
            assert!((0.09..0.11).contains(&share), "{share}");
        }
    }

    #[test]
    fn keys_are_spread_by_weight() {
        let members = members(&[1, 2, 5]);
        let owners = owners(&members);
        for (member, weight) in members {
            let share = share(&owners, member) * 8.0 / f64::from(weight);
            assert!((0.95..1.05).contains(&share), "{share}");
        }
    }

    #[test]
    fn only_the_keys_of_a_member_that_goes_move_and_they_spread_over_the_others() {
        let all = members(&[1; 5]);
        let (gone, rest) = all.split_first().unwrap();
        let (before, after) = (owners(&all), owners(rest));
        let mut moved = Vec::new();
        for (before, after) in before.iter().zip(&after) {
            match *before == gone.0 {
                true => moved.push(*after),
                false => assert_eq!(before, after),
            }
        }
        for (member, _) in rest {
            let share = share(&moved, *member);
            assert!((0.22..0.28).contains(&share), "{share}");
        }
    }

    #[test]
    fn a_new_member_takes_its_part_and_no_key_moves_between_the_others() {
        let all = members(&[1; 5]);
        let (new, old) = all.split_last().unwrap();
        let (before, after) = (owners(old), owners(&all));
        let moved = before.iter().zip(&after).filter(|(a, b)| a != b);
        let moved: Vec<_> = moved.map(|(_, after)| *after).collect();
        assert!(moved.iter().all(|owner| *owner == new.0));
        let share = moved.len() as f64 / KEYS as f64;
        assert!((0.19..0.21).contains(&share), "{share}");
    }

    #[test]
    fn the_order_of_the_members_does_not_matter() {
        let mut members = members(&[1, 2, 3]);
        let before = owners(&members);
        members.reverse();
        assert_eq!(before, owners(&members));
    }

    /// Other versions of this crate, and other programs, have to agree.
    #[test]
    fn the_hashes_stay_as_they_are() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("foobar"), 0x8594_4171_f739_67e8);
        let members = ["10.0.0.7:9090", "10.0.0.8:9090", "10.0.0.9:9090"];
        let owners = [1, 2, 3, 4, 5, 6].map(|user| {
            let key = hash(format!("user-{user}"));
            let owner = choose(key, members.iter(), |member| (hash(member), 1));
            &owner.unwrap()[7..8]
        });
        assert_eq!(owners, ["8", "8", "9", "8", "8", "9"]);
    }
}
