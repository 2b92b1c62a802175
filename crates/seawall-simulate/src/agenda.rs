//! The agenda: what happens next.
//!
//! Does not know: what its entries mean. Invariant: entries come out by time, and those of one
//! instant in the order in which they were noted; so a simulation can be run again.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

/// Holds what is to happen, with its time in nanoseconds.
#[derive(Debug, Default)]
pub(crate) struct Agenda {
    heap: BinaryHeap<Reverse<Entry>>,
    noted: u64,
}

/// Stands for something that happens to one of many of its kind.
///
/// Nothing is ever struck out: whoever no longer wants its entry takes a new stamp.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Entry {
    pub(crate) at: u64,
    order: u64,
    pub(crate) what: What,
    pub(crate) index: u32,
    pub(crate) stamp: u32,
}

/// Says what kind of thing happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum What {
    /// A call's wait is over: in the queue, before a retry, before the client's next try.
    Call,
    /// An attempt ends, one way or the other.
    Attempt,
    /// It is time for another attempt beside the one that has not answered.
    Hedge,
    /// An endpoint is done with work that nobody waits for.
    Orphan,
    /// The place of an attempt that was given up comes back to its server.
    Ghost,
}

impl Agenda {
    /// Notes an entry.
    pub(crate) fn note(&mut self, at: u64, what: What, index: u32, stamp: u32) {
        self.noted += 1;
        self.heap.push(Reverse(Entry { at, order: self.noted, what, index, stamp }));
    }

    /// Returns when the next entry is due.
    pub(crate) fn next_at(&self) -> Option<u64> {
        self.heap.peek().map(|Reverse(entry)| entry.at)
    }

    /// Takes the next entry.
    pub(crate) fn take(&mut self) -> Option<Entry> {
        self.heap.pop().map(|Reverse(entry)| entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_one_instant_come_in_the_order_in_which_they_were_noted() {
        let mut agenda = Agenda::default();
        for (index, at) in [(0, 7), (1, 5), (2, 7), (3, 5)] {
            agenda.note(at, What::Call, index, 0);
        }
        let order: Vec<u32> = std::iter::from_fn(|| agenda.take()).map(|e| e.index).collect();
        assert_eq!(order, [1, 3, 0, 2]);
    }
}
