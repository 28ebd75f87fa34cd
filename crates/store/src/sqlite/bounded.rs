//! A map of bounded size, with a hash that costs little.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hash, Hasher};
use std::mem;

/// A map that forgets: when the young half is full, it becomes the old one, and what nobody asked for since is dropped.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    young: HashMap<K, V, BuildHasherDefault<Mixed>>,
    old: HashMap<K, V, BuildHasherDefault<Mixed>>,
    half: usize,
}

impl<K: Hash + Eq, V> Bounded<K, V> {
    pub(super) fn new(most: usize) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), half: most / 2 }
    }

    /// What is asked for becomes young again.
    pub(super) fn find<Q: Hash + Eq + ?Sized>(&mut self, key: &Q) -> Option<&mut V>
    where
        K: Borrow<Q>,
    {
        if !self.young.contains_key(key) {
            let (key, value) = self.old.remove_entry(key)?;
            self.remember(key, value);
        }
        self.young.get_mut(key)
    }

    /// Without making it young.
    pub(super) fn look<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    pub(super) fn remember(&mut self, key: K, value: V) {
        if self.young.len() >= self.half {
            // The old half's room is kept.
            mem::swap(&mut self.old, &mut self.young);
            self.young.clear();
        }
        self.young.insert(key, value);
    }

    pub(super) fn forget<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.young.remove(key);
        self.old.remove(key);
    }
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
    use super::*;

    #[test]
    fn what_is_asked_for_stays_and_the_rest_is_dropped() {
        let mut bounded = Bounded::new(8);
        for key in 0..1000 {
            bounded.remember(key, key * 2);
            assert_eq!(bounded.find(&0), Some(&mut 0));
            assert!(bounded.young.len() + bounded.old.len() <= 8);
        }
        assert_eq!(bounded.look(&999), Some(&1998));
        assert_eq!(bounded.find(&500), None);
        bounded.forget(&999);
        assert_eq!(bounded.find(&999), None);
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
