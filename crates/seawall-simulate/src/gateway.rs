//! One server: the machines of its policy, the very ones that production runs, and its dice.
//!
//! Does not know: when anything happens, or what it tells. Invariant: every server has its own
//! state, and nothing but the upstream is shared.

use std::time::{Duration, Instant};

use seawall_core::{BreakerState, Chance, EndpointId, Fate, Outcome, Priority};
use seawall_policy::adaptive::Adaptive;
use seawall_policy::breaker::{Admit, Breaker, Grant};
use seawall_policy::budget::Budget;
use seawall_policy::bulkhead::{
    self, Bulkhead, BulkheadCapacity, ClientId, Entered, Learned, QueueOrder,
};
use seawall_policy::hedge::Hedge;
use seawall_policy::outlier::EndpointPicker;
use seawall_policy::patience::Patience;
use seawall_policy::rate::Rate;
use seawall_policy::retry::{self, AttemptEnd, Decision};
use seawall_policy::{Params, backoff::Backoff, shed};

/// Holds the state of one server's policy.
pub(crate) struct Gateway {
    pub(crate) budget: Budget,
    pub(crate) hedge: Hedge,
    pub(crate) endpoints: EndpointPicker,
    rate: Rate,
    adaptive: Adaptive,
    patience: Patience,
    /// One, or one for each endpoint.
    breakers: Vec<Breaker>,
    /// Those who wait are calls, by their index.
    bulkhead: Bulkhead<u32>,
    dice: u64,
}

/// Holds what an attempt has of its server until it ends.
#[derive(Debug, Default)]
pub(crate) struct Leave {
    pub(crate) endpoint: EndpointId,
    pub(crate) grant: Option<Grant>,
}

impl Gateway {
    pub(crate) fn new(params: &Params, endpoints: u16, seed: u64, epoch: Instant) -> Self {
        let is_per_endpoint = params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
        let breakers = if is_per_endpoint { endpoints } else { 1 };
        Self {
            budget: Budget::new(epoch),
            hedge: Hedge::new(epoch),
            endpoints: EndpointPicker::new(epoch, endpoints),
            rate: Rate::new(epoch),
            adaptive: Adaptive::new(epoch),
            patience: Patience::default(),
            breakers: (0..breakers).map(|_| Breaker::new(epoch)).collect(),
            bulkhead: Bulkhead::new(),
            dice: seed,
        }
    }

    /// Takes what a call takes once, however many attempts it makes.
    pub(crate) fn enter(
        &mut self,
        params: &Params,
        (priority, key): (Priority, Option<u64>),
        now: Instant,
    ) -> Result<(), Fate> {
        if let Some(shed) = &params.shed
            && shed::admit(shed, LOAD, priority).is_err()
        {
            return Err(Fate::RejectedShed);
        }
        if let Some(rate) = &params.rate
            && self.rate.take(rate, key, now).is_err()
        {
            return Err(Fate::RejectedRate);
        }
        if let Some(budget) = &params.budget {
            self.budget.deposit(budget);
        }
        if let Some(hedge) = &params.hedge {
            self.hedge.deposit(hedge);
        }
        Ok(())
    }

    /// Picks an endpoint and asks its breaker; `None` if it refuses.
    pub(crate) fn ask(&mut self, params: &Params, tried: u64, now: Instant) -> Option<Leave> {
        let endpoint = self.pick(params, tried, now);
        let Some(breaker) = &params.breaker else { return Some(Leave { endpoint, grant: None }) };
        let lease = params.timeout.attempt.saturating_add(LEASE_SLACK);
        let dice = &mut self.dice;
        let admit =
            self.breakers[breaker_of(&self.breakers, endpoint)]
                .admit(breaker, now, lease, || fork(dice).unit());
        let grant = match admit {
            Admit::Pass(grant) | Admit::Probe(grant) | Admit::Spared(grant) => grant,
            Admit::Refused { .. } => return None,
        };
        Some(Leave { endpoint, grant: Some(grant) })
    }

    fn pick(&mut self, params: &Params, tried: u64, now: Instant) -> EndpointId {
        if self.endpoints.count() == 1 {
            return EndpointId(0);
        }
        let breakers = &self.breakers;
        let per_endpoint = params.breaker.as_ref().is_some_and(|breaker| breaker.per_endpoint);
        self.endpoints.pick(tried, now, &mut fork(&mut self.dice), |endpoint| {
            let breaker = &breakers[breaker_of(breakers, endpoint)];
            !per_endpoint || breaker.state(now) != BreakerState::Open
        })
    }

    /// Reports what became of an attempt, or that it was never made.
    pub(crate) fn report(&mut self, params: &Params, leave: Leave, outcome: Outcome, now: Instant) {
        let Leave { endpoint, grant } = leave;
        if let (Some(params), Some(grant)) = (&params.breaker, grant) {
            let is_against = outcome.is_against_upstream();
            let mut chance = if is_against { fork(&mut self.dice) } else { Chance::seeded(0) };
            let breaker = &self.breakers[breaker_of(&self.breakers, endpoint)];
            let _ = breaker.record(params, grant, outcome, now, &mut chance);
        }
    }

    /// Teaches the other machines how an attempt ended that was made.
    ///
    /// Returns whether there may be more places now.
    pub(crate) fn learn(
        &mut self,
        params: &Params,
        endpoint: EndpointId,
        outcome: Outcome,
        took: Duration,
        now: Instant,
    ) -> bool {
        if outcome == Outcome::Success && params.hedge.is_some() {
            self.hedge.record(took, now);
        }
        if let Some(outlier) = &params.outlier {
            let _ = self.endpoints.record(outlier, endpoint, outcome, now);
        }
        let (Some(limit), Some(adaptive)) = (&params.limit, &params.adaptive) else { return false };
        let (max, in_flight) = (limit.in_flight_max, self.bulkhead.in_flight());
        let change = self.adaptive.record(adaptive, max, took, outcome, in_flight, now);
        change.is_some_and(|change| change.to > change.from)
    }

    /// Decides whether another attempt is made, and after how long.
    pub(crate) fn decide(
        &mut self,
        params: &Params,
        ended: &AttemptEnd,
        backoff: &mut Backoff,
        now: Instant,
    ) -> Option<Duration> {
        let retry = params.retry.as_ref()?;
        let budget = params.budget.as_ref().map(|params| (&self.budget, params));
        let breaker = params.breaker.as_ref();
        let is_open = breaker.is_some_and(|breaker| !breaker.is_dry_run && self.is_every_open(now));
        let may_repeat =
            if is_open { Err(seawall_core::RetryDenied::Breaker) } else { ended.may_repeat };
        let ended = AttemptEnd { may_repeat, in_flight: self.bulkhead.in_flight(), ..*ended };
        let chance = &mut fork(&mut self.dice);
        match retry::decide(retry, budget, &ended, backoff, now, chance) {
            Decision::After { delay, .. } => Some(delay),
            Decision::Stop(_) => None,
        }
    }

    /// Returns whether there is nobody left to ask: the attempt may have opened the breaker.
    fn is_every_open(&self, now: Instant) -> bool {
        self.breakers.iter().all(|breaker| breaker.state(now) == BreakerState::Open)
    }

    /// Takes a place for a call, or a place in the queue.
    pub(crate) fn enter_place(
        &mut self,
        params: &Params,
        priority: Priority,
        call: u32,
        now: Instant,
    ) -> Entered<u32> {
        let room = self.room(params, now);
        self.bulkhead.enter(ClientId::NOBODY, &room, priority, now, || call)
    }

    /// Takes a place for a hedged attempt if there is one at once: a hedge never waits.
    pub(crate) fn enter_at_once(
        &mut self,
        params: &Params,
        priority: Priority,
        call: u32,
        now: Instant,
    ) -> bool {
        let room = self.room(params, now);
        if self.bulkhead.waiting() > 0 || self.bulkhead.in_flight() >= room.places() {
            return false;
        }
        match self.bulkhead.enter(ClientId::NOBODY, &room, priority, now, || call) {
            Entered::Admitted => true,
            // There are places, but not for this priority. Nobody waits, so nobody had to go.
            Entered::Waits { position, .. } => {
                let left = self.bulkhead.leave(position);
                debug_assert!(left, "it has only just come");
                false
            }
            Entered::Full | Entered::Shed(_) => false,
        }
    }

    /// Pays for one hedged attempt: out of the budget, and a call's first out of the share of calls
    /// that are hedged.
    pub(crate) fn pay_hedge(&self, params: &Params, is_first: bool, now: Instant) -> bool {
        if is_first && !self.hedge.afford() {
            return false;
        }
        let budget = params.budget.as_ref();
        let is_paid = budget.is_none_or(|budget| self.budget.withdraw(budget, now));
        if is_first && !is_paid {
            self.hedge.refund();
        }
        is_paid
    }

    /// Gives a place back; the call that now has it is returned.
    pub(crate) fn release(&mut self, params: &Params, now: Instant) -> Option<u32> {
        let room = self.room(params, now);
        self.bulkhead.release(ClientId::NOBODY, &room, now)
    }

    /// Hands places that are free now to those who wait.
    pub(crate) fn resize(&mut self, params: &Params, now: Instant, woken: &mut Vec<u32>) {
        let room = self.room(params, now);
        woken.extend(self.bulkhead.resize(room, now));
    }

    fn room<'a>(&self, params: &'a Params, now: Instant) -> BulkheadCapacity<'a> {
        let limit = params.limit.as_ref().unwrap_or(&UNLIMITED);
        let newest_after = limit.newest_after(self.learned(params, now));
        let (learned, shed) = (self.limit(params), params.shed.as_ref());
        BulkheadCapacity { params: limit, learned, shed, newest_after }
    }

    fn learned(&self, params: &Params, now: Instant) -> Option<Learned> {
        let usual = self.adaptive.usual();
        let is_known = params.adaptive.is_some() && !usual.is_zero();
        is_known.then(|| Learned { patience: self.patience.estimate(usual, now), usual })
    }

    /// Returns how long a call may wait for its place that is given up after `left`.
    pub(crate) fn wait(&self, params: &Params, left: Duration, now: Instant) -> Duration {
        let limit = params.limit.as_ref().unwrap_or(&UNLIMITED);
        limit.wait(self.learned(params, now), left)
    }

    /// Takes note that a caller has left who had waited for so long.
    pub(crate) fn left(&mut self, age: Duration, now: Instant) {
        self.patience.left(age, self.adaptive.usual(), self.adaptive.ended(), now);
    }

    /// Keeps the place of an attempt that was given up.
    pub(crate) fn keep(
        &mut self,
        params: &Params,
        began: Instant,
        until: Instant,
        now: Instant,
        woken: &mut Vec<u32>,
    ) {
        self.bulkhead.abandon(ClientId::NOBODY, began, until);
        self.resize(params, now, woken);
    }

    /// Gives back the places of what was given up and began before an attempt that was answered.
    pub(crate) fn answered(
        &mut self,
        params: &Params,
        began: Instant,
        now: Instant,
        woken: &mut Vec<u32>,
    ) {
        if self.bulkhead.answered(began) {
            self.resize(params, now, woken);
        }
    }

    pub(crate) fn expire(&mut self, params: &Params, now: Instant, woken: &mut Vec<u32>) {
        if self.bulkhead.expire(now) {
            self.resize(params, now, woken);
        }
    }

    pub(crate) fn leave_queue(&mut self, position: bulkhead::QueuePosition) -> bool {
        self.bulkhead.leave(position)
    }

    pub(crate) fn in_flight(&self) -> u32 {
        self.bulkhead.in_flight()
    }

    pub(crate) fn waiting(&self) -> u32 {
        self.bulkhead.waiting()
    }

    /// Returns how many places there are now by what was learned; `None` if nothing is.
    pub(crate) fn limit(&self, params: &Params) -> Option<u32> {
        let (limit, adaptive) = (params.limit.as_ref()?, params.adaptive.as_ref()?);
        Some(self.adaptive.limit(adaptive, limit.in_flight_max))
    }

    /// Returns whether any breaker refuses calls.
    pub(crate) fn is_any_open(&self, now: Instant) -> bool {
        self.breakers.iter().any(|breaker| {
            matches!(breaker.state(now), BreakerState::Open | BreakerState::HalfOpen)
        })
    }
}

fn breaker_of(breakers: &[Breaker], endpoint: EndpointId) -> usize {
    if breakers.len() == 1 { 0 } else { usize::from(endpoint.0) }
}

/// Draws as `seawall-call` does, so that one seed means the same in both.
fn fork(dice: &mut u64) -> Chance {
    let state = *dice;
    *dice = dice.wrapping_add(STEP);
    Chance::seeded(Chance::seeded(state).bits())
}

/// How busy a server is with anything but waiting is not simulated.
const LOAD: f64 = 0.0;
const STEP: u64 = 6_364_136_223_846_793_005;
/// How much longer than its time limit a probe may take to report.
const LEASE_SLACK: Duration = Duration::from_secs(1);

/// Stands for a policy without a limit.
static UNLIMITED: bulkhead::Params = bulkhead::Params {
    in_flight_max: u32::MAX,
    queue_max: u32::MAX,
    queue_wait_max: Duration::MAX,
    order: QueueOrder::Fifo,
    holds_abandoned: false,
};
