//! One count for each caller, for as many callers as are remembered.
//!
//! Does not know: who a caller is. Invariant: never more counts than `keys_max`, however many
//! callers come; a caller that keeps coming is not forgotten for one that came once.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::PoisonError;

use super::Cell;
use crate::sync::Mutex;

/// Remembers callers in two generations: whoever comes is in the young one, and when that is half
/// of all it becomes the old one, and the old one is forgotten. So a caller is forgotten only if
/// half as many others as are remembered have come since it came last, and a flood of new callers
/// costs no more than itself.
#[derive(Debug, Default)]
pub(super) struct Keys([Mutex<Generations>; SHARDS]);

#[derive(Debug, Default)]
struct Generations {
    young: Callers,
    old: Callers,
}

// A fixed hasher will do: keys are hashes already, with a seed that callers do not know.
type Callers = HashMap<u64, Cell, BuildHasherDefault<DefaultHasher>>;

const SHARDS: usize = 16;

impl Keys {
    /// Runs something with the count of one caller.
    pub(super) fn with<T>(&self, keys_max: u32, key: u64, run: impl FnOnce(&Cell) -> T) -> T {
        let half = (keys_max as usize / SHARDS / 2).max(1);
        let shard = &self.0[(key % SHARDS as u64) as usize];
        let mut generations = shard.lock().unwrap_or_else(PoisonError::into_inner);
        let Generations { young, old } = &mut *generations;
        if !young.contains_key(&key) {
            let cell = old.remove(&key).unwrap_or_default();
            if young.len() >= half {
                *old = std::mem::take(young);
            }
            young.insert(key, cell);
        }
        run(young.entry(key).or_default())
    }

    /// Returns how many callers are remembered.
    #[cfg(test)]
    fn len(&self) -> usize {
        let lengths = self.0.iter().map(|shard| {
            let generations = shard.lock().unwrap_or_else(PoisonError::into_inner);
            generations.young.len() + generations.old.len()
        });
        lengths.sum()
    }
}

#[cfg(test)]
mod tests {
    use seawall_core::Chance;

    use super::*;
    use crate::rate::Params;

    #[test]
    fn a_flood_of_callers_is_not_remembered() {
        let (keys, mut chance) = (Keys::default(), Chance::seeded(1));
        for _ in 0..100_000 {
            keys.with(1000, chance.bits(), |_| ());
        }
        assert!(keys.len() <= 1000, "{}", keys.len());
    }

    #[test]
    fn a_flood_does_not_give_a_caller_that_keeps_coming_a_new_count() {
        let (keys, mut chance) = (Keys::default(), Chance::seeded(1));
        let params = Params { per_second: 1.0, burst: 10, ..Params::default() };
        let mut taken = 0;
        for _ in 0..10_000 {
            taken += u32::from(keys.with(1000, 7, |cell| cell.take(&params, 0)).is_ok());
            keys.with(1000, chance.bits(), |_| ());
        }
        assert_eq!(taken, 10);
    }
}
