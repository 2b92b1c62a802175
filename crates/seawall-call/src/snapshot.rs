//! What a policy's state is at one instant, for people and for metrics.

use std::sync::Arc;
use std::time::Duration;

use seawall_core::{BreakerState, EndpointId};

use crate::clock;
use crate::policy::Policy;

/// Holds what a policy's state is at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the breaker does, the best of the endpoints if each has its own; `None` without a
    /// breaker.
    pub breaker: Option<BreakerState>,
    /// How long the breaker stays open, or as it was set by hand.
    pub breaker_for: Option<Duration>,
    /// How many attempts have a place: in flight, or their answer's body is being read.
    pub in_flight: u32,
    /// How many of them were given up, and have their place until the upstream has ended them.
    pub ghosts: u32,
    /// How many are allowed now; `None` without a bulkhead.
    pub in_flight_max: Option<u32>,
    /// How many attempts wait for a place.
    pub waiting: u32,
    /// How many retries the budget would allow now; `None` without a budget.
    pub budget: Option<f64>,
    /// How much this process has to do, 0 to 1.
    pub load: f64,
    /// Until when faults are injected; `None` if none are.
    pub chaos_for: Option<Duration>,
    /// The endpoints, if there are several.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// Holds what the state of one endpoint is.
#[derive(Clone, Debug)]
pub struct EndpointSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// What its breaker does.
    pub breaker: BreakerState,
    /// Whether it is left out because it does worse than the others.
    pub is_out: bool,
    /// How many attempts are in flight to it.
    pub in_flight: u32,
}

impl Policy {
    /// Returns the state at this instant.
    pub fn snapshot(&self) -> Snapshot {
        let (core, params, now) = (&*self.core, self.params(), clock::now());
        core.gate.expire(now);
        let counts = core.gate.counts();
        let chaos = core.chaos.load();
        let chaos_for = chaos.as_ref().map(|plan| plan.until.saturating_duration_since(now));
        let ends = core.several_ends();
        let per_endpoint = params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
        let breaker_for = match &ends {
            Some(ends) if per_endpoint => {
                ends.breakers.iter().map(|breaker| breaker.opens_in(now)).min().flatten()
            }
            _ => core.breaker.opens_in(now),
        };
        let endpoints = ends.iter().flat_map(|ends| {
            (0..).map(EndpointId).zip(&ends.names).map(|(id, name)| EndpointSnapshot {
                name: name.clone(),
                breaker: ends.breakers[usize::from(id.0)].state(now),
                is_out: ends.picker.is_out(id, now),
                in_flight: ends.picker.in_flight(id),
            })
        });
        Snapshot {
            breaker: params.breaker.as_ref().map(|_| core.breaker_state(per_endpoint, now)),
            breaker_for: params.breaker.as_ref().and(breaker_for),
            in_flight: counts.in_flight,
            ghosts: counts.ghosts,
            in_flight_max: core.base.load().limit.as_ref().map(|_| counts.places),
            waiting: counts.waiting,
            budget: params.budget.as_ref().map(|budget| core.budget.tokens(budget, now)),
            load: core.load(),
            chaos_for: chaos_for.filter(|left| !left.is_zero()),
            endpoints: endpoints.collect(),
        }
    }
}
