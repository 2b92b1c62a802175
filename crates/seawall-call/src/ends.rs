//! The endpoints of an upstream: names; where there are several, breakers and who is left out.
//!
//! Does not know: how an endpoint is reached. Invariant: an endpoint keeps its breaker for as long
//! as its name is among the endpoints.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_core::{EndpointId, Outcome};
use seawall_policy::breaker::Breaker;
use seawall_policy::outlier::Endpoints;

/// Holds what is known of the endpoints.
pub(crate) struct Ends {
    pub(crate) names: Vec<Arc<str>>,
    pub(crate) picker: Endpoints,
    pub(crate) breakers: Vec<Arc<Breaker>>,
    pub(crate) tallies: Vec<Arc<Tally>>,
}

/// Counts what became of the attempts of one endpoint.
#[derive(Debug, Default)]
pub(crate) struct Tally {
    /// By [`place_of`].
    ended: [AtomicU64; 4],
    busy_micros: AtomicU64,
    last_failure: Mutex<Option<(Outcome, Instant)>>,
}

impl Tally {
    pub(crate) fn count(&self, outcome: Outcome, took: Duration, now: Instant) {
        self.ended[place_of(outcome)].fetch_add(1, Ordering::Relaxed);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.busy_micros.fetch_add(micros, Ordering::Relaxed);
        if outcome.is_against_upstream()
            // Of two failures at once one is the last.
            && let Ok(mut last) = self.last_failure.try_lock()
        {
            *last = Some((outcome, now));
        }
    }

    pub(crate) fn ended(&self) -> [u64; 4] {
        std::array::from_fn(|place| self.ended[place].load(Ordering::Relaxed))
    }

    pub(crate) fn busy(&self) -> Duration {
        Duration::from_micros(self.busy_micros.load(Ordering::Relaxed))
    }

    pub(crate) fn last_failure(&self) -> Option<(Outcome, Instant)> {
        *self.last_failure.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Returns the place of an outcome: success, failure, overload, neutral.
fn place_of(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::Failure(_) => 1,
        Outcome::Overload { .. } => 2,
        // A kind that is not known here speaks neither for nor against the endpoint.
        _ => 3,
    }
}

impl Ends {
    /// Returns the name of an endpoint; empty if there is none.
    pub(crate) fn name(&self, endpoint: EndpointId) -> &str {
        self.names.get(usize::from(endpoint.0)).map_or("", |name| name)
    }

    /// Makes endpoints with these names; those that were there before keep their breakers and
    /// counts.
    pub(crate) fn new(names: &[Arc<str>], before: Option<&Self>, epoch: Instant) -> Self {
        let kept = |name: &Arc<str>| {
            let before = before?;
            let place = before.names.iter().position(|old| old == name)?;
            Some((before.breakers[place].clone(), before.tallies[place].clone()))
        };
        let new = || (Arc::new(Breaker::new(epoch)), Arc::default());
        let (breakers, tallies) = names.iter().map(|name| kept(name).unwrap_or_else(new)).unzip();
        let picker = Endpoints::new(epoch, names.len() as u16);
        Self { names: names.to_vec(), picker, breakers, tallies }
    }
}
