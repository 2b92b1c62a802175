//! A set of line numbers that lie close together.
//!
//! Does not know: what the lines are. Invariant: it takes room for the span it covers, which the
//! window bounds.

/// Is a set of numbers from `first` on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bits {
    first: u64,
    words: Vec<u64>,
}

impl Bits {
    pub(crate) const fn from(first: u64) -> Self {
        Self { first, words: Vec::new() }
    }

    /// Adds a number; returns whether it was added.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        if !self.takes(number) {
            return false;
        }
        // Fits: it is below `SPAN_MAX`.
        let at = (number - self.first) as usize;
        if at / 64 >= self.words.len() {
            self.words.resize(at / 64 + 1, 0);
        }
        self.words[at / 64] |= 1 << (at % 64);
        true
    }

    /// Returns whether a number can be added that is not in it.
    pub(crate) fn takes(&self, number: u64) -> bool {
        number.checked_sub(self.first).is_some_and(|at| at < SPAN_MAX) && !self.contains(number)
    }

    pub(crate) fn contains(&self, number: u64) -> bool {
        let at = number.checked_sub(self.first).and_then(|at| usize::try_from(at).ok());
        at.and_then(|at| Some(self.words.get(at / 64)? & 1 << (at % 64) != 0)).unwrap_or(false)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = u64> {
        let span = self.words.len() as u64 * 64;
        (0..span).map(|at| self.first + at).filter(|&number| self.contains(number))
    }

    /// Returns the set as bytes, least bit first.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.words.iter().flat_map(|word| word.to_le_bytes()).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes
    }

    pub(crate) fn from_bytes(first: u64, bytes: &[u8]) -> Self {
        let mut words = vec![0; bytes.len().div_ceil(8)];
        for (at, &byte) in bytes.iter().enumerate() {
            words[at / 8] |= u64::from(byte) << (at % 8 * 8);
        }
        Self { first, words }
    }
}

/// No window is wider; a number further off is not one of ours.
const SPAN_MAX: u64 = 1 << 24;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_set_survives_being_written_down() {
        let mut bits = Bits::from(100);
        for number in [100, 163, 164, 300] {
            assert!(bits.insert(number));
        }
        assert!(!bits.insert(163) && !bits.insert(99) && !bits.insert(u64::MAX));
        let read = Bits::from_bytes(100, &bits.to_bytes());
        assert_eq!(read.iter().collect::<Vec<_>>(), [100, 163, 164, 300]);
        assert!(read.contains(164) && !read.contains(165) && !read.contains(0));
    }
}
