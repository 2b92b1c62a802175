//! Many things of one kind, each with a number that is used again when it has gone.
//!
//! Does not know: what they are. Invariant: in a steady state nothing is allocated.

use std::ops::{Index, IndexMut};

/// Holds things by their number.
#[derive(Debug)]
pub(crate) struct Slab<T> {
    all: Vec<T>,
    free: Vec<u32>,
}

impl<T: Default> Slab<T> {
    pub(crate) fn new() -> Self {
        Self { all: Vec::new(), free: Vec::new() }
    }

    /// Takes a number. What was left there by the last who had it is still there.
    pub(crate) fn take(&mut self) -> u32 {
        self.free.pop().unwrap_or_else(|| {
            self.all.push(T::default());
            // Four thousand million calls at once would not fit into memory.
            (self.all.len() - 1) as u32
        })
    }

    /// Gives a number back.
    pub(crate) fn free(&mut self, index: u32) {
        self.free.push(index);
    }

    /// Returns how many are taken.
    pub(crate) fn len(&self) -> usize {
        self.all.len() - self.free.len()
    }
}

impl<T> Index<u32> for Slab<T> {
    type Output = T;

    fn index(&self, index: u32) -> &T {
        &self.all[index as usize]
    }
}

impl<T> IndexMut<u32> for Slab<T> {
    fn index_mut(&mut self, index: u32) -> &mut T {
        &mut self.all[index as usize]
    }
}
