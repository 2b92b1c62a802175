//! The endpoints of an upstream: names; where there are several, breakers and who is left out.
//!
//! Does not know: how an endpoint is reached. Invariant: an endpoint keeps its breaker and what was
//! learned of it for as long as its name is among the endpoints.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use seawall_core::{EndpointId, Outcome};
use seawall_policy::breaker::Breaker;
use seawall_policy::outlier::{EndpointPicker, EndpointSlot};

/// Holds what is known of the endpoints.
pub(crate) struct Endpoints {
    /// Each at its own place; a place may be vacant.
    pub(crate) names: Vec<Option<Arc<str>>>,
    pub(crate) picker: EndpointPicker,
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

impl Endpoints {
    /// Makes endpoints with these names; those that were there before keep what is known of them.
    pub(crate) fn new(names: &[Option<Arc<str>>], before: Option<&Self>, epoch: Instant) -> Self {
        let place = |name: &Option<Arc<str>>| match (name, before) {
            (None, _) => EndpointSlot::Vacant,
            (Some(name), Some(before)) => {
                before.find(name).map_or(EndpointSlot::New, EndpointSlot::Kept)
            }
            (Some(_), None) => EndpointSlot::New,
        };
        let places: Vec<_> = names.iter().map(place).collect();
        let kept = |place: &EndpointSlot| match (place, before) {
            (EndpointSlot::Kept(id), Some(before)) => {
                let id = usize::from(id.0);
                (before.breakers[id].clone(), before.tallies[id].clone())
            }
            _ => (Arc::new(Breaker::new(epoch)), Arc::default()),
        };
        let (breakers, tallies) = places.iter().map(kept).unzip();
        let picker = match before {
            Some(before) => before.picker.renewed(&places),
            None => EndpointPicker::new(epoch, 1).renewed(&places),
        };
        Self { names: names.to_vec(), picker, breakers, tallies }
    }

    /// Returns the endpoints that are there, with their names.
    pub(crate) fn there(&self) -> impl Iterator<Item = (EndpointId, &Arc<str>)> {
        let places = (0..).map(EndpointId).zip(&self.names);
        places.filter_map(|(id, name)| Some((id, name.as_ref()?)))
    }

    /// Returns the breakers of the endpoints that are there.
    pub(crate) fn breakers(&self) -> impl Iterator<Item = (EndpointId, &Arc<Breaker>)> {
        self.there().map(|(id, _)| (id, &self.breakers[usize::from(id.0)]))
    }

    /// Returns the breakers of the endpoints that calls go to: those that are not left out, unless
    /// all are.
    pub(crate) fn picked(&self, now: Instant) -> impl Iterator<Item = &Arc<Breaker>> {
        let is_in = move |id: EndpointId| !self.picker.is_out(id, now);
        let is_any_in = self.there().any(|(id, _)| is_in(id));
        let picked = self.breakers().filter(move |(id, _)| !is_any_in || is_in(*id));
        picked.map(|(_, breaker)| breaker)
    }

    /// Returns the name of an endpoint. Where there is only one every call means it, whatever its
    /// place.
    pub(crate) fn name(&self, endpoint: EndpointId) -> Option<&Arc<str>> {
        match self.picker.count() {
            1 => self.names.iter().flatten().next(),
            _ => self.names.get(usize::from(endpoint.0))?.as_ref(),
        }
    }

    fn find(&self, name: &str) -> Option<EndpointId> {
        self.there().find(|(_, one)| &***one == name).map(|(id, _)| id)
    }
}
