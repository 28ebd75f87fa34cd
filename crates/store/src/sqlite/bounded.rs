//! A map of bounded size, with a hash that costs little.

use std::borrow::Borrow;
use std::hash::{BuildHasher as _, BuildHasherDefault, Hash, Hasher};

use hashbrown::HashTable;

/// A map that forgets: a hand goes round over its slots; what was asked for since it came by last stays, the first that was not makes room. A value
/// lies where it was put, and only as much room is taken as there are values: the table holds their numbers.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    table: HashTable<u32>,
    slots: Vec<Slot<K, V>>,
    hand: usize,
    most: usize,
}

#[derive(Debug)]
struct Slot<K, V> {
    key: K,
    value: V,
    was_asked_for: bool,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { table: HashTable::new(), slots: Vec::new(), hand: 0, most }
    }

    /// What is asked for stays.
    pub(super) fn find<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        let slot = self.at(key).and_then(|at| self.slots.get_mut(at))?;
        slot.was_asked_for = true;
        Some(&mut slot.value)
    }

    /// Without a reason to stay.
    pub(super) fn look<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.at(key).and_then(|at| self.slots.get(at)).map(|slot| &slot.value)
    }

    pub(super) fn remember(&mut self, key: K, value: V) {
        let at = match self.at(&key) {
            Some(at) => at,
            None if self.slots.len() < self.most => {
                if self.slots.len() == self.slots.capacity() {
                    // By a quarter, not twice as much.
                    let more = (self.slots.len() / 4).max(8).min(self.most - self.slots.len());
                    self.slots.reserve_exact(more);
                }
                self.slots.len()
            }
            None => self.free(),
        };
        let hash = hash(&key);
        let slot = Slot { key, value, was_asked_for: false };
        match self.slots.get_mut(at) {
            Some(known) if known.key == slot.key => *known = slot,
            Some(other) => {
                *other = slot;
                self.note(hash, at);
            }
            None => {
                self.slots.push(slot);
                self.note(hash, at);
            }
        }
    }

    pub(super) fn forget<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        let Some(at) = self.at(key) else { return };
        self.lose(at);
        // The last one takes its slot.
        let last = self.slots.len() - 1;
        self.slots.swap_remove(at);
        if let Some(moved) = self.slots.get(at) {
            let hash = hash(&moved.key);
            if let Some(number) = self.table.find_mut(hash, |number| *number as usize == last) {
                *number = at as u32;
            }
        }
    }

    fn at<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<usize>
    where
        K: Borrow<Q>,
    {
        let is_it = |number: &u32| self.slots.get(*number as usize).is_some_and(|slot| slot.key.borrow() == key);
        self.table.find(hash(key), is_it).map(|number| *number as usize)
    }

    /// A slot whose value nobody asked for since the hand came by; the table no longer knows it.
    fn free(&mut self) -> usize {
        loop {
            let at = self.hand % self.slots.len().max(1);
            self.hand = at + 1;
            match self.slots.get_mut(at) {
                Some(slot) if slot.was_asked_for => slot.was_asked_for = false,
                _ => {
                    self.lose(at);
                    return at;
                }
            }
        }
    }

    fn note(&mut self, hash: u64, at: usize) {
        let slots = &self.slots;
        self.table.insert_unique(hash, at as u32, |number| {
            slots.get(*number as usize).map_or(0, |slot| self::hash(&slot.key))
        });
    }

    fn lose(&mut self, at: usize) {
        let Some(slot) = self.slots.get(at) else { return };
        if let Ok(entry) = self.table.find_entry(hash(&slot.key), |number| *number as usize == at) {
            entry.remove();
        }
    }
}

fn hash<Q: Hash + ?Sized>(key: &Q) -> u64 {
    BuildHasherDefault::<Mixed>::default().hash_one(key)
}

/// Multiplies and folds. The keys are numbers and names that we made ourselves: nobody chooses them so that they collide.
#[derive(Default)]
pub(super) struct Mixed(u64);

impl Hasher for Mixed {
    fn write(&mut self, bytes: &[u8]) {
        for part in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..part.len()].copy_from_slice(part);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.0 ^ word ^ 0x2d35_8dcc_aa6c_78a5) * 0x9e37_79b9_7f4a_7c15;
        self.0 = (product as u64) ^ (product >> 64) as u64;
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(u64::from(byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_dropped() {
        let mut bounded = Bounded::new(8);
        for key in 0..1000 {
            bounded.remember(key, key * 2);
            assert_eq!(bounded.find(&0), Some(&mut 0));
            assert!(bounded.slots.len() <= 8 && bounded.table.len() == bounded.slots.len());
        }
        assert_eq!(bounded.look(&999), Some(&1998));
        assert_eq!(bounded.find(&500), None);
        bounded.forget(&999);
        assert_eq!(bounded.find(&999), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

        /// It never says what is not so, and takes no more room than it may.
        #[test]
        fn what_it_knows_is_what_was_last_said(acts in prop::collection::vec((0..4_u8, 0..24_u64, any::<u16>()), 0..300)) {
            let (mut bounded, mut truth) = (Bounded::new(8), BTreeMap::new());
            for (act, key, value) in acts {
                match act {
                    0 => {
                        bounded.forget(&key);
                        truth.remove(&key);
                    }
                    1 => prop_assert!(bounded.find(&key).is_none_or(|found| truth.get(&key) == Some(found))),
                    _ => {
                        bounded.remember(key, value);
                        truth.insert(key, value);
                        prop_assert_eq!(bounded.look(&key), Some(&value));
                    }
                }
                prop_assert!(bounded.slots.len() <= 8 && bounded.table.len() == bounded.slots.len());
                for key in 0..24 {
                    prop_assert!(bounded.look(&key).is_none_or(|found| truth.get(&key) == Some(found)));
                }
            }
        }
    }

    /// Neighbours, and names that differ at their ends, go to different places.
    #[test]
    fn hashes_are_spread() {
        let hash = |value: &dyn Fn(&mut Mixed)| {
            let mut hasher = Mixed::default();
            value(&mut hasher);
            hasher.finish()
        };
        let mut low = std::collections::BTreeSet::new();
        let mut high = std::collections::BTreeSet::new();
        for number in 0..1000_u64 {
            let numbers = hash(&|hasher| number.hash(hasher));
            let names = hash(&|hasher| format!("usr_{number:022}").as_str().hash(hasher));
            for hash in [numbers, names] {
                low.insert(hash & 0xffff);
                high.insert(hash >> 57);
            }
        }
        assert!(low.len() > 1900 && high.len() == 128, "{} {}", low.len(), high.len());
    }
}
