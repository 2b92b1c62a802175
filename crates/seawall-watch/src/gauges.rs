//! What the state of policies is at one instant, as whoever runs them says.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{BreakerState, EjectReason, Outcome, TripReason};

/// The state of one upstream's policy at one instant.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Gauges {
    /// Its breaker; `None` without one.
    pub breaker: Option<BreakerGauge>,
    /// How many attempts have a place in its bulkhead.
    pub in_flight: u32,
    /// How many places there are; `None` without a bulkhead.
    pub in_flight_max: Option<u32>,
    /// How many attempts wait for a place.
    pub waiting: u32,
    /// How many retries its budget would allow; `None` without one.
    pub budget: Option<f64>,
    /// How many attempts were given up whose places are still held.
    pub ghosts: u32,
    /// For how long faults are still injected; `None` if none are.
    pub chaos: Option<Duration>,
    /// Its endpoints; one has a place here for as long as it is among them.
    pub endpoints: Vec<EndpointGauges>,
}

/// The state of a breaker at one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BreakerGauge {
    /// What it does.
    pub state: BreakerState,
    /// How long it has not let everything through; `None` if it does, or was set by hand.
    pub since: Option<Duration>,
    /// Why it does not; `None` if it does.
    pub why: Option<TripReason>,
    /// How long it stays as it is: until the next probe, or as it was set by hand.
    pub left: Option<Duration>,
}

/// The state of one endpoint at one instant.
#[derive(Clone, Debug, PartialEq)]
pub struct EndpointGauges {
    /// Its address.
    pub address: Arc<str>,
    /// The breaker that guards it; `None` without one.
    pub breaker: Option<BreakerGauge>,
    /// Since when and why it is left out, if it is.
    pub ejected: Option<EjectedGauge>,
    /// How many attempts are in flight to it.
    pub in_flight: u32,
    /// What became of its attempts; `None` if its upstream has no other, whose numbers are its own.
    pub tally: Option<TallyGauge>,
}

/// Since when and why an endpoint is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EjectedGauge {
    /// How long it has been.
    pub since: Duration,
    /// How long it will be.
    pub left: Duration,
    /// Why.
    pub why: EjectReason,
}

/// What became of the attempts of one endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TallyGauge {
    /// How many ended: in success, in failure, because of overload, and without a lesson.
    pub ended: [u64; 4],
    /// How long they took together.
    pub busy: Duration,
    /// How the last one failed, and how long ago.
    pub last_failure: Option<(Outcome, Duration)>,
}

impl Gauges {
    /// Returns how many of the endpoints are left out.
    pub fn endpoints_out(&self) -> u32 {
        self.endpoints.iter().filter(|endpoint| endpoint.ejected.is_some()).count() as u32
    }
}
