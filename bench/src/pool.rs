//! What clients hold: the newest refresh token of each grant, and in which order the grants are taken.
//!
//! Each grant is taken once before any is taken twice, in an order that was shuffled: so no two connections have the same grant,
//! no token is presented twice, and the store is asked all over the place, as it is by real clients.

use sim::process::Dice;

/// The tokens of many grants, or any other texts of one length.
#[derive(Debug)]
pub struct Pool {
    length: usize,
    texts: Vec<u8>,
    order: Vec<u32>,
    taken: usize,
    /// Answers that replaced a text.
    pub replaced: u64,
}

impl Pool {
    /// Of these texts.
    ///
    /// # Panics
    /// If they are not of one length, or none.
    #[must_use]
    pub fn new<'a>(texts: impl IntoIterator<Item = &'a str>) -> Self {
        let (mut all, mut length, mut count) = (Vec::new(), 0, 0_u32);
        for text in texts {
            assert!(length == 0 || length == text.len(), "texts of one length");
            length = text.len();
            all.extend_from_slice(text.as_bytes());
            count += 1;
        }
        assert!(count > 0, "nothing to present");
        let mut order: Vec<u32> = (0..count).collect();
        let mut dice = Dice::new(u64::from(count));
        for last in (1..order.len()).rev() {
            order.swap(last, dice.below(last + 1));
        }
        Self { length, texts: all, order, taken: 0, replaced: 0 }
    }

    /// As many pools, which have the texts in turn.
    ///
    /// # Panics
    /// If there are fewer than parts.
    #[must_use]
    pub fn parts(&self, parts: usize) -> Vec<Self> {
        let part = |first| {
            let numbers = (first..self.len()).step_by(parts).filter_map(|number| u32::try_from(number).ok());
            Self::new(numbers.map(|number| std::str::from_utf8(self.text(number)).expect("a text")))
        };
        (0..parts).map(part).collect()
    }

    /// How many there are.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Never.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// How many were not taken yet in this round.
    #[must_use]
    pub const fn left(&self) -> usize {
        self.order.len() - self.taken
    }

    /// The next one's number; from the beginning again after the last.
    pub fn take(&mut self) -> u32 {
        if self.taken == self.order.len() {
            self.taken = 0;
        }
        self.taken += 1;
        self.order[self.taken - 1]
    }

    /// The text of a number.
    #[must_use]
    pub fn text(&self, number: u32) -> &[u8] {
        let start = number as usize * self.length;
        &self.texts[start..start + self.length]
    }

    /// Puts another text of the same length in its place. `false`: it is not of that length.
    pub fn replace(&mut self, number: u32, text: &[u8]) -> bool {
        let start = number as usize * self.length;
        let fits = text.len() == self.length;
        if fits {
            self.texts[start..start + self.length].copy_from_slice(text);
            self.replaced += 1;
        }
        fits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_grant_is_taken_once_before_any_is_taken_twice() {
        let texts: Vec<String> = (0..1000).map(|number| format!("{number:04}")).collect();
        let mut pool = Pool::new(texts.iter().map(String::as_str));
        for _ in 0..3 {
            let mut round: Vec<u32> = (0..1000).map(|_| pool.take()).collect();
            assert_ne!(round[..10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9], "shuffled");
            round.sort_unstable();
            assert!(round.into_iter().eq(0..1000));
        }
        assert!(pool.replace(7, b"abcd") && !pool.replace(8, b"abc"));
        assert_eq!((pool.text(7), pool.text(8)), (&b"abcd"[..], &b"0008"[..]));
    }
}
