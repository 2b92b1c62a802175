//! What a policy's state is at one instant, for people and for metrics.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::{Duration, Instant};

use seawall_core::{BreakerState, Outcome};
use seawall_policy::breaker::{Breaker, Trip};
use seawall_policy::outlier::Ejection;

use crate::clock;
use crate::policy::{Core, Policy};

/// Holds what a policy's state is at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the breaker does; if each endpoint has its own, the best of those that calls go to.
    /// `None` without a breaker.
    pub breaker: Option<BreakerState>,
    /// How long the breaker stays open, or as it was set by hand.
    pub breaker_for: Option<Duration>,
    /// Since when and why the breaker does not let everything through; `None` if it does.
    pub trip: Option<Trip>,
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
    /// The endpoints that have a name.
    pub endpoints: Vec<EndpointSnapshot>,
}

/// Holds what the state of one endpoint is.
#[derive(Clone, Debug)]
pub struct EndpointSnapshot {
    /// Its name.
    pub name: Arc<str>,
    /// What the breaker does that guards it: its own, or the one that guards them all.
    pub breaker: BreakerState,
    /// How long that breaker stays open, or as it was set by hand.
    pub breaker_for: Option<Duration>,
    /// Since when and why that breaker does not let everything through; `None` if it does.
    pub trip: Option<Trip>,
    /// Whether it is left out because it does worse than the others.
    pub is_out: bool,
    /// Since when, until when and why it is left out.
    pub ejection: Option<Ejection>,
    /// How many attempts are in flight to it.
    pub in_flight: u32,
    /// What became of its attempts; `None` for the only endpoint, whose attempts are all there are.
    pub tally: Option<EndpointTally>,
}

/// Counts what became of the attempts of one endpoint since it was named.
#[derive(Clone, Copy, Debug)]
pub struct EndpointTally {
    /// How many ended: in success, in failure, because of overload, and without a lesson.
    pub ended: [u64; 4],
    /// How long they took together.
    pub busy: Duration,
    /// How the last one failed, and how long ago.
    pub last_failure: Option<(Outcome, Duration)>,
}

impl Policy {
    /// Returns the state at this instant.
    pub fn snapshot(&self) -> Snapshot {
        let (core, params, now) = (&*self.core, self.params(), clock::now());
        core.gate.expire(now);
        let counts = core.gate.counts();
        let chaos = core.chaos.load();
        let chaos_for = chaos.as_ref().map(|plan| plan.until.saturating_duration_since(now));
        let endpoints = core.several_endpoints();
        let per_endpoint = params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
        let (breaker_for, trip) = match &endpoints {
            Some(endpoints) if per_endpoint => (
                endpoints.picked(now).map(|breaker| breaker.opens_in(now)).min().flatten(),
                // It refuses calls since the last of them does.
                endpoints
                    .picked(now)
                    .map(|breaker| breaker.last_trip(now))
                    .min_by_key(|trip| trip.map(|trip| Reverse(trip.since)))
                    .flatten(),
            ),
            _ => (core.breaker.opens_in(now), core.breaker.last_trip(now)),
        };
        Snapshot {
            breaker: params.breaker.as_ref().map(|_| core.breaker_state(per_endpoint, now)),
            breaker_for: params.breaker.as_ref().and(breaker_for),
            trip: params.breaker.as_ref().and(trip),
            in_flight: counts.in_flight,
            ghosts: counts.ghosts,
            in_flight_max: core.base.load().limit.as_ref().map(|_| counts.places),
            waiting: counts.waiting,
            budget: params.budget.as_ref().map(|budget| core.budget.tokens(budget, now)),
            load: core.load(),
            chaos_for: chaos_for.filter(|left| !left.is_zero()),
            endpoints: core.endpoint_snapshots(per_endpoint, counts.in_flight, now),
        }
    }
}

impl Core {
    fn endpoint_snapshots(
        &self,
        per_endpoint: bool,
        in_flight: u32,
        now: Instant,
    ) -> Vec<EndpointSnapshot> {
        let endpoints = self.endpoints();
        let Some(endpoints) = &endpoints else { return Vec::new() };
        let is_only = endpoints.picker.count() == 1;
        let each = endpoints.there().map(|(id, name)| {
            let place = usize::from(id.0);
            let (own, tally) = (&endpoints.breakers[place], &endpoints.tallies[place]);
            let breaker: &Breaker = if per_endpoint && !is_only { own } else { &self.breaker };
            let ejection = endpoints.picker.ejection(id, now);
            EndpointSnapshot {
                name: name.clone(),
                breaker: breaker.state(now),
                breaker_for: breaker.opens_in(now),
                trip: breaker.last_trip(now),
                is_out: ejection.is_some(),
                ejection,
                in_flight: if is_only { in_flight } else { endpoints.picker.in_flight(id) },
                tally: (!is_only).then(|| EndpointTally {
                    ended: tally.ended(),
                    busy: tally.busy(),
                    last_failure: tally
                        .last_failure()
                        .map(|(outcome, at)| (outcome, now.saturating_duration_since(at))),
                }),
            }
        });
        each.collect()
    }
}
