//! Fingerprints of the states that were seen: eight bytes each, and no more, in one table with open addressing.
//!
//! A state whose fingerprint is that of another would not be looked at. Of `n` states the chance that any two share one is below `n²/2^65`:
//! for ten million 3 in a million, for a hundred million 3 in ten thousand.

/// Filled to seven eighths at most: beyond, a look takes long.
const FULL: (u64, u64) = (7, 8);
/// The smallest table: 2^16 places.
const FIRST_BITS: u32 = 16;

/// The table.
pub(super) struct Known {
    /// 0 is a free place.
    places: Vec<u64>,
    bits: u32,
    count: u64,
}

impl Default for Known {
    fn default() -> Self {
        Self { places: vec![0; 1 << FIRST_BITS], bits: FIRST_BITS, count: 0 }
    }
}

impl Known {
    /// Takes one; false if it is there already.
    pub(super) fn insert(&mut self, print: u64) -> bool {
        // No fingerprint is 0: two of 2^64 are taken for one.
        let print = print.max(1);
        let place = self.place_of(print);
        if self.places[place] == print {
            return false;
        }
        self.places[place] = print;
        self.count += 1;
        if self.count * FULL.1 >= self.places.len() as u64 * FULL.0 {
            self.grow();
        }
        true
    }

    /// How many there are.
    pub(super) const fn count(&self) -> u64 {
        self.count
    }

    /// Each of them.
    pub(super) fn all(&self) -> impl Iterator<Item = u64> + '_ {
        self.places.iter().copied().filter(|print| *print != 0)
    }

    /// Where it is, or would be.
    fn place_of(&self, print: u64) -> usize {
        let mask = self.places.len() - 1;
        let mut place = (print >> (u64::BITS - self.bits)) as usize;
        while self.places[place] != 0 && self.places[place] != print {
            place = (place + 1) & mask;
        }
        place
    }

    fn grow(&mut self) {
        self.bits += 1;
        let smaller = std::mem::replace(&mut self.places, vec![0; 1 << self.bits]);
        for print in smaller.into_iter().filter(|print| *print != 0) {
            let place = self.place_of(print);
            self.places[place] = print;
        }
    }
}

/// The chance that any two of so many states share a fingerprint, at most.
pub(super) fn missed(states: u64) -> f64 {
    let states = states as f64;
    states * states / 2_f64.powi(65)
}

#[cfg(test)]
mod tests {
    use super::*;
    use sim::process::Dice;

    #[test]
    fn each_fingerprint_is_new_once_however_large_the_table_grows() {
        let (mut known, mut dice) = (Known::default(), Dice::new(1));
        let prints: Vec<u64> = (0..300_000).map(|_| dice.next()).collect();
        assert!(prints.iter().all(|print| known.insert(*print)));
        assert!(prints.iter().all(|print| !known.insert(*print)));
        assert_eq!((known.count(), known.all().count()), (300_000, 300_000));
    }

    #[test]
    fn fingerprints_of_one_neighbourhood_are_told_apart() {
        let mut known = Known::default();
        let prints = (0..1000).chain(u64::MAX - 1000..=u64::MAX);
        // 0 is taken for 1.
        assert_eq!(prints.clone().filter(|print| known.insert(*print)).count(), 2000);
        assert_eq!(prints.filter(|print| known.insert(*print)).count(), 0);
    }

    #[test]
    fn the_chance_of_a_missed_state_is_small() {
        assert!(missed(100_000_000) < 3e-4 && missed(10_000_000) < 3e-6 && missed(1_000_000) > 2e-8);
    }
}
