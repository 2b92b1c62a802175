//! A policy: numbers that can be swapped, and state that stays.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use arc_swap::ArcSwap;
use seawall_core::{BreakerState, Chance, EndpointId, Event, Observer, Outcome, UpstreamId};
use seawall_policy::Params;
use seawall_policy::breaker::{self, Breaker, Change, Grant};
use seawall_policy::budget::Budget;
use seawall_policy::rate::Rate;

use crate::clock;
use crate::gate::Gate;

/// Decides how calls may use one upstream; clones share the state.
#[derive(Clone)]
pub struct Policy(pub(crate) Arc<Core>);

/// Holds what every call to one upstream shares.
pub(crate) struct Core {
    pub(crate) upstream: UpstreamId,
    pub(crate) params: ArcSwap<Params>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) gate: Gate,
    pub(crate) breaker: Breaker,
    pub(crate) budget: Budget,
    pub(crate) rate: Rate,
    pub(crate) dice: Dice,
}

/// Draws from one seeded sequence on many threads, without a lock.
pub(crate) struct Dice(AtomicU64);

/// Holds what a policy's state is at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the breaker does; `None` without a breaker.
    pub breaker: Option<BreakerState>,
    /// How many attempts have a place: in flight, or their answer's body is being read.
    pub in_flight: u32,
    /// How many are allowed; `None` without a bulkhead.
    pub in_flight_max: Option<u32>,
    /// How many attempts wait for a place.
    pub waiting: u32,
    /// How many retries the budget would allow now; `None` without a budget.
    pub budget: Option<f64>,
}

impl Policy {
    /// Makes a policy for one upstream.
    pub fn new(upstream: UpstreamId, params: Params, observer: Arc<dyn Observer>) -> Self {
        // A seed of the machine's: servers that restart together must not retry together.
        Self::seeded(upstream, params, observer, RandomState::new().hash_one(upstream))
    }

    /// Makes a policy whose waits can be foretold from `seed`.
    pub fn seeded(
        upstream: UpstreamId,
        params: Params,
        observer: Arc<dyn Observer>,
        seed: u64,
    ) -> Self {
        let epoch = clock::now();
        Self(Arc::new(Core {
            upstream,
            gate: Gate::new(params.limit.as_ref()),
            breaker: Breaker::new(epoch),
            budget: Budget::new(epoch),
            rate: Rate::new(epoch),
            dice: Dice(AtomicU64::new(seed)),
            params: ArcSwap::from_pointee(params),
            observer,
        }))
    }

    /// Returns the numbers in force.
    pub fn params(&self) -> Arc<Params> {
        self.0.params.load_full()
    }

    /// Returns the upstream it is for.
    pub fn upstream(&self) -> UpstreamId {
        self.0.upstream
    }

    /// Returns who is told of its events.
    pub fn observer(&self) -> &Arc<dyn Observer> {
        &self.0.observer
    }

    /// Puts new numbers in force; breaker, budget, rate limit and queue keep their state.
    ///
    /// Calls in flight finish on the numbers they began with, except for the bulkhead's, which
    /// hold at once: waiters that now fit are admitted, and a smaller limit is reached as places
    /// come back. A breaker that was off or is turned off starts anew, since what it knew is old.
    pub fn reload(&self, params: Params) {
        let core = &*self.0;
        core.gate.set_limit(params.limit.as_ref());
        let before = core.params.swap(Arc::new(params));
        if before.breaker.is_some() != core.params.load().breaker.is_some() {
            core.breaker_changed(core.breaker.reset());
        }
    }

    /// Returns the state at this instant.
    pub fn snapshot(&self) -> Snapshot {
        let core = &*self.0;
        let (params, counts, now) = (core.params.load(), core.gate.counts(), clock::now());
        Snapshot {
            breaker: params.breaker.as_ref().map(|_| core.breaker.state(now)),
            in_flight: counts.in_flight,
            in_flight_max: params.limit.as_ref().map(|limit| limit.in_flight_max),
            waiting: counts.waiting,
            budget: params.budget.as_ref().map(|budget| core.budget.tokens(budget, now)),
        }
    }
}

impl Core {
    /// Tells the observer what happened.
    pub(crate) fn tell(&self, event: &Event<'_>) {
        self.observer.on(event);
    }

    /// Reports to the breaker what became of a grant.
    #[inline]
    pub(crate) fn record(
        &self,
        params: &breaker::Params,
        grant: Grant,
        outcome: Outcome,
        now: Instant,
    ) {
        // Only a failure can open the breaker, and only opening it draws.
        let is_against = outcome.is_against_upstream();
        let mut chance = if is_against { self.dice.fork() } else { Chance::seeded(0) };
        self.breaker_changed(self.breaker.record(params, grant, outcome, now, &mut chance));
    }

    /// Tells of a change of the breaker's state, if there was one.
    #[inline]
    pub(crate) fn breaker_changed(&self, change: Option<Change>) {
        if let Some(Change { from, to, why }) = change {
            self.tell(&Event::BreakerChanged {
                upstream: self.upstream,
                endpoint: EndpointId::ALL,
                from,
                to,
                why,
            });
        }
    }
}

impl Dice {
    /// Starts a sequence that no other caller has.
    pub(crate) fn fork(&self) -> Chance {
        // The sum visits every state once; one draw in between spreads neighbouring states.
        let state = self.0.fetch_add(STEP, Ordering::Relaxed);
        Chance::seeded(Chance::seeded(state).bits())
    }
}

/// Any odd number will do; this one is from Knuth's MMIX generator.
const STEP: u64 = 6_364_136_223_846_793_005;
