//! What the counters were in the last seconds, so that the status can say "now" and not "ever".
//!
//! Invariant: it holds [`WINDOW`] of samples and no more, and no call ever waits for its lock.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_core::{Fate, UpstreamId};

use crate::cells::{MILLION, OUTCOMES, UpstreamCells};
use crate::count::{BUCKETS, Table};
use crate::gauges::{EndpointGauges, Gauges};

/// How far back the status looks.
pub(crate) const WINDOW: Duration = Duration::from_secs(10);

/// Holds samples of the counters.
#[derive(Debug)]
pub(crate) struct History {
    /// When counting began.
    started: Instant,
    /// The oldest first.
    samples: Mutex<VecDeque<Sample>>,
}

#[derive(Debug)]
struct Sample {
    at: Instant,
    /// At the place of the upstream's number.
    upstreams: Vec<Sums>,
    endpoints: HashMap<(UpstreamId, Arc<str>), EndpointSums>,
}

/// Holds an endpoint's counters at one instant, or what was added to them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct EndpointSums {
    /// At the place of the outcome in [`OUTCOMES`].
    pub(crate) ended: [u64; OUTCOMES.len()],
    pub(crate) busy_micros: u64,
}

/// Holds an endpoint's state with its counters.
pub(crate) struct EndpointNow<'a> {
    pub(crate) gauges: &'a EndpointGauges,
    pub(crate) sums: EndpointSums,
}

impl<'a> EndpointNow<'a> {
    /// The only endpoint of an upstream has the upstream's counters.
    pub(crate) fn of(gauges: &'a EndpointGauges, cells: &UpstreamCells) -> Self {
        let sums = match &gauges.tally {
            Some(tally) => EndpointSums {
                ended: tally.ended,
                busy_micros: u64::try_from(tally.busy.as_micros()).unwrap_or(u64::MAX),
            },
            None => EndpointSums {
                ended: cells.attempts_ended.values(),
                busy_micros: (cells.attempt_duration.seconds() * MILLION) as u64,
            },
        };
        Self { gauges, sums }
    }
}

impl EndpointSums {
    fn minus(mut self, before: &Self) -> Self {
        subtract(&mut self.ended, &before.ended);
        self.busy_micros = self.busy_micros.saturating_sub(before.busy_micros);
        self
    }
}

/// Holds an upstream's counters at one instant, or what was added to them.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sums {
    pub(crate) fates: [u64; Fate::ALL.len()],
    pub(crate) outcomes: [u64; OUTCOMES.len()],
    pub(crate) durations: [u64; BUCKETS],
}

impl History {
    pub(crate) fn new(started: Instant) -> Self {
        Self { started, samples: Mutex::default() }
    }

    /// Takes a sample of the counters.
    pub(crate) fn sample(
        &self,
        cells: &Table<UpstreamCells>,
        gauges: &[(UpstreamId, Gauges)],
        now: Instant,
    ) {
        let upstreams = cells.iter(|_| false).map(|(_, named)| Sums::of(&named.cells)).collect();
        let mut endpoints = HashMap::new();
        for (id, gauges) in gauges {
            for endpoint in &gauges.endpoints {
                let sums = EndpointNow::of(endpoint, cells.cells(id.0)).sums;
                endpoints.insert((*id, endpoint.address.clone()), sums);
            }
        }
        let sample = Sample { at: now, upstreams, endpoints };
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        // One sample older than the window stays: the window begins there.
        while samples.get(1).is_some_and(|second| now.duration_since(second.at) >= WINDOW) {
            samples.pop_front();
        }
        samples.push_back(sample);
    }

    /// Returns what was added to an upstream's counters within the window, and the window's
    /// length; all of it if there is no sample yet.
    pub(crate) fn lately(
        &self,
        number: u16,
        cells: &UpstreamCells,
        now: Instant,
    ) -> (Sums, Duration) {
        let sums = Sums::of(cells);
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = samples.front() else { return (sums, now - self.started) };
        // An upstream that is younger than the sample began at zero.
        let before = oldest.upstreams.get(usize::from(number)).copied().unwrap_or_default();
        (sums.minus(&before), now.duration_since(oldest.at))
    }

    /// Returns what was added to an endpoint's counters within the window, and its length.
    pub(crate) fn endpoint_lately(
        &self,
        id: UpstreamId,
        endpoint: &EndpointNow<'_>,
        now: Instant,
    ) -> (EndpointSums, Duration) {
        let samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(oldest) = samples.front() else { return (endpoint.sums, now - self.started) };
        // An endpoint that is younger than the sample began at zero.
        let before = oldest.endpoints.get(&(id, endpoint.gauges.address.clone()));
        let sums = endpoint.sums.minus(&before.copied().unwrap_or_default());
        (sums, now.duration_since(oldest.at))
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
