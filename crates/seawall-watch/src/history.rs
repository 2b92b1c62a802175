//! What the counters were in the last seconds, so that the status can say "now" and not "ever".
//!
//! Invariant: it holds [`WINDOW`] of samples and no more, and no call ever waits for its lock.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_core::Fate;

use crate::count::BUCKETS;
use crate::recorder::{OUTCOMES, Recorder, UpstreamCells};

/// How far back the status looks.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Holds samples of the counters, oldest first.
#[derive(Debug, Default)]
pub(crate) struct History(Mutex<VecDeque<Sample>>);

#[derive(Debug)]
struct Sample {
    at: Instant,
    /// At the place of the upstream's number.
    upstreams: Vec<Sums>,
}

/// Holds an upstream's counters at one instant, or what was added to them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) fates: [u64; Fate::ALL.len()],
    pub(crate) outcomes: [u64; OUTCOMES.len()],
    pub(crate) durations: [u64; BUCKETS],
}

impl Recorder {
    /// Takes a sample of the counters; to be called once a second.
    pub fn tick(&self, now: Instant) {
        let upstreams = self.upstreams.iter(|_| false).map(|(_, named)| Sums::of(&named.cells));
        let sample = Sample { at: now, upstreams: upstreams.collect() };
        let mut samples = self.history.0.lock().unwrap_or_else(PoisonError::into_inner);
        // One sample older than the window stays: the window begins there.
        while samples.get(1).is_some_and(|second| now.duration_since(second.at) >= WINDOW) {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Returns what was added to an upstream's counters within the window, and the window's
    /// length; all of it if there is no sample yet.
    pub(crate) fn lately(&self, number: u16, now: Instant) -> (Sums, Duration) {
        let sums = Sums::of(self.upstreams.cells(number));
        let samples = self.history.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = samples.front() else { return (sums, now - self.started) };
        // An upstream that is younger than the sample began at zero.
        let before = oldest.upstreams.get(usize::from(number)).copied().unwrap_or_default();
        (sums.minus(&before), now.duration_since(oldest.at))
    }
}

impl Sums {
    fn of(cells: &UpstreamCells) -> Self {
        Self {
            fates: cells.calls_ended.values(),
            outcomes: cells.attempts_ended.values(),
            durations: cells.call_duration.buckets(),
        }
    }

    fn minus(mut self, before: &Self) -> Self {
        subtract(&mut self.fates, &before.fates);
        subtract(&mut self.outcomes, &before.outcomes);
        subtract(&mut self.durations, &before.durations);
        self
    }
}

fn subtract(from: &mut [u64], what: &[u64]) {
    for (from, what) in from.iter_mut().zip(what) {
        *from = from.saturating_sub(*what);
    }
}
