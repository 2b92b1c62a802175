//! A policy: numbers that can be swapped, and state that stays.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use arc_swap::{ArcSwap, ArcSwapOption};
use seawall_core::{
    BreakerState, CallId, Chance, EndpointId, Event, Observers, Outcome, UpstreamEvent,
    UpstreamEventKind, UpstreamId,
};
use seawall_policy::breaker::{self, Breaker, BreakerTransition, Grant};
use seawall_policy::budget::Budget;
use seawall_policy::hedge::Hedge;
use seawall_policy::outlier::ENDPOINTS_MAX;
use seawall_policy::rate::{self, Rate};
use seawall_policy::shed::Load;
use seawall_policy::{ParamKey, ParamProblem, Params, chaos};

use crate::endpoints::Endpoints;
use crate::gate::Gate;
use crate::{Unsound, clock};

/// How calls may use one upstream: deadline, retries, breaker, places; clones share the state.
///
/// ```
/// use std::time::Duration;
///
/// use seawall_call::Policy;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # async fn fetch(city: &str) -> std::io::Result<String> { Ok(format!("{city}: sunny")) }
/// let policy = Policy::builder().total_timeout(Duration::from_secs(2)).build()?;
/// let answer = policy.run(async |_attempt| fetch("oslo").await).await?;
/// assert_eq!(answer.value, "oslo: sunny");
/// # Ok(())
/// # }
/// ```
///
/// [`run`](Self::run) is for most work, [`call`](Self::call) where you bring a judge, a deadline, or
/// keep the place while a body is read. Make one for each upstream and keep it: one that is made
/// anew for each call protects nothing.
#[derive(Clone)]
pub struct Policy {
    pub(crate) core: Arc<Core>,
    params: Arc<ArcSwap<Params>>,
}

/// Holds what every call to one upstream shares.
pub(crate) struct Core {
    pub(crate) upstream: UpstreamId,
    epoch: Instant,
    /// The numbers of the policy that the state was made for; what is derived has its own.
    pub(crate) base: Arc<ArcSwap<Params>>,
    pub(crate) observers: Observers,
    pub(crate) gate: Gate,
    /// Guards the upstream as a whole: where there is one endpoint, or one breaker for all.
    pub(crate) breaker: Breaker,
    pub(crate) budget: Budget,
    pub(crate) rate: Rate,
    pub(crate) hedge: Hedge,
    pub(crate) dice: Dice,
    /// Whether there are several endpoints; looked at before `endpoints`, which costs more.
    has_several: AtomicBool,
    endpoints: ArcSwapOption<Endpoints>,
    has_chaos: AtomicBool,
    pub(crate) chaos: ArcSwapOption<chaos::ChaosPlan>,
    load: OnceLock<Arc<Load>>,
}

/// Draws from one seeded sequence on many threads, without a lock.
pub(crate) struct Dice(AtomicU64);

impl std::fmt::Debug for Policy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Policy").field("upstream", &self.core.upstream).finish_non_exhaustive()
    }
}

impl Policy {
    /// Makes a policy for one upstream. The numbers are taken as they are: those that cannot work
    /// harm nobody else, but [`builder`](Self::builder) says so.
    pub fn new(upstream: UpstreamId, params: Params, observers: impl Into<Observers>) -> Self {
        // A seed of the machine's: servers that restart together must not retry together.
        Self::seeded(upstream, params, observers, RandomState::new().hash_one(upstream))
    }

    /// Makes a policy whose waits can be foretold from `seed`.
    pub fn seeded(
        upstream: UpstreamId,
        params: Params,
        observers: impl Into<Observers>,
        seed: u64,
    ) -> Self {
        let epoch = clock::now();
        let gate = Gate::new(&params, epoch);
        let params = Arc::new(ArcSwap::from_pointee(params));
        let core = Core {
            upstream,
            epoch,
            gate,
            breaker: Breaker::new(epoch),
            budget: Budget::new(epoch),
            rate: Rate::new(epoch),
            hedge: Hedge::new(epoch),
            dice: Dice(AtomicU64::new(seed)),
            has_several: AtomicBool::new(false),
            endpoints: ArcSwapOption::empty(),
            has_chaos: AtomicBool::new(false),
            chaos: ArcSwapOption::empty(),
            load: OnceLock::new(),
            base: params.clone(),
            observers: observers.into(),
        };
        Self { core: Arc::new(core), params }
    }

    /// Makes a policy with other numbers for the same upstream: for one route, or one call.
    ///
    /// They share all state: breaker, budget, rate, places. The places and their queue, with the
    /// shares of the priorities, and the length of the breaker's window stay those of the policy
    /// that was made first, since there is one queue and one count; rates in windows of different
    /// lengths are counted apart. Everything else is decided by the numbers given here.
    ///
    /// # Errors
    ///
    /// Returns everything that cannot work, at once.
    pub fn derive(&self, params: Params) -> Result<Self, Unsound> {
        Unsound::check(&params).map(|()| self.derive_as_is(params))
    }

    /// Makes a policy as [`derive`](Self::derive) does, and takes the numbers as they are, like
    /// [`new`](Self::new): for whoever has told of what is wrong with them.
    pub fn derive_as_is(&self, params: Params) -> Self {
        // Fitted here; the first call after a reload of the first policy does it once more.
        let params = self.core.fitted(&params).unwrap_or_else(|| Arc::new(params));
        Self { core: self.core.clone(), params: Arc::new(ArcSwap::new(params)) }
    }

    /// Returns the numbers in force.
    pub fn params(&self) -> Arc<Params> {
        self.params.load_full()
    }

    /// Returns whether it is the policy that the state was made for, and not derived from it.
    #[inline]
    pub(crate) fn is_first(&self) -> bool {
        Arc::ptr_eq(&self.params, &self.core.base)
    }

    /// Puts fitted numbers in the place of those they were made from, unless those are gone.
    pub(crate) fn refit(&self, own: &Arc<Params>, fitted: &Arc<Params>) {
        self.params.compare_and_swap(own, fitted.clone());
    }

    /// Returns the upstream it is for.
    pub fn upstream(&self) -> UpstreamId {
        self.core.upstream
    }

    /// Returns who is told of its events.
    pub fn observers(&self) -> &Observers {
        &self.core.observers
    }

    /// Puts new numbers in force; breaker, budget, rate limit and queue keep their state.
    ///
    /// Calls in flight finish on the numbers they began with, except for the bulkhead's, which
    /// hold at once: waiters that now fit are admitted, and a smaller limit is reached as places
    /// come back. A breaker that was off or is turned off starts anew, since what it knew is old.
    ///
    /// # Errors
    ///
    /// Returns everything that cannot work, at once; then the old numbers stay in force.
    pub fn reload(&self, params: Params) -> Result<(), Unsound> {
        Unsound::check(&params).map(|()| self.reload_as_is(params))
    }

    /// Puts new numbers in force as [`reload`](Self::reload) does, and takes them as they are, like
    /// [`new`](Self::new): for whoever has told of what is wrong with them.
    pub fn reload_as_is(&self, params: Params) {
        let core = &*self.core;
        let is_base = self.is_first();
        if is_base {
            core.gate.set_limits(&params, clock::now());
        }
        let has_breaker = params.breaker.is_some();
        let before = self.params.swap(Arc::new(params));
        if is_base && before.breaker.is_some() != has_breaker {
            core.each_breaker(Breaker::reset);
        }
    }

    /// Names the endpoints of the upstream, in the order of [`EndpointId`]. Those that were there
    /// before keep their breakers. With none or one there is nothing to pick.
    ///
    /// # Errors
    ///
    /// Refuses more than [`ENDPOINTS_MAX`]; then those that were there stay.
    pub fn set_endpoints(&self, names: &[Arc<str>]) -> Result<(), Unsound> {
        let places: Vec<_> = names.iter().cloned().map(Some).collect();
        self.place_endpoints(&places)
    }

    /// Names the endpoints as [`set_endpoints`](Self::set_endpoints) does, each at the place that is
    /// its [`EndpointId`]: where endpoints come and go, those that stay keep their places, and the
    /// places of those that went are vacant.
    ///
    /// # Errors
    ///
    /// Refuses more places than [`ENDPOINTS_MAX`]; then those that were there stay.
    pub fn place_endpoints(&self, names: &[Option<Arc<str>>]) -> Result<(), Unsound> {
        if names.len() > usize::from(ENDPOINTS_MAX) {
            let (key, value) = (ParamKey::Endpoints, names.len() as f64);
            return Err(Unsound::from(ParamProblem::OutOfRange {
                key,
                value,
                range: "at most 65535",
            }));
        }
        let core = &*self.core;
        let before = core.endpoints.load_full();
        let count = names.iter().flatten().count();
        if count < 2 {
            core.has_several.store(false, Ordering::Relaxed);
        }
        if count == 0 {
            core.endpoints.store(None);
        } else if before.as_ref().is_none_or(|before| before.names != names) {
            core.endpoints.store(Some(Arc::new(Endpoints::new(
                names,
                before.as_deref(),
                core.epoch,
            ))));
        }
        if count > 1 {
            core.has_several.store(true, Ordering::Release);
        }
        Ok(())
    }

    /// Returns the name of an endpoint; `None` if it has none, or is gone.
    pub fn endpoint_name(&self, endpoint: EndpointId) -> Option<Arc<str>> {
        self.core.endpoint_name(endpoint)
    }

    /// Injects faults until the plan's end.
    ///
    /// # Errors
    ///
    /// Refuses shares that are none; then the plan before stays in force.
    pub fn set_chaos(&self, plan: chaos::ChaosPlan) -> Result<(), Unsound> {
        Unsound::of(plan.check())?;
        self.core.chaos.store(Some(Arc::new(plan)));
        self.core.has_chaos.store(true, Ordering::Release);
        Ok(())
    }

    /// Injects no faults any more.
    pub fn end_chaos(&self) {
        self.core.has_chaos.store(false, Ordering::Release);
        self.core.chaos.store(None);
    }

    /// Says where to read how much this process has to do; the first word counts. Without one
    /// nothing is shed because of load.
    pub fn set_load(&self, load: Arc<Load>) {
        // A second one would be a bug of the host; the first keeps working.
        drop(self.core.load.set(load));
    }

    /// Refuses every call until the given instant, by the clock of [`now`](crate::now).
    pub fn isolate(&self, until: Instant) {
        self.core.each_breaker(|breaker| Some(breaker.isolate(until)));
    }

    /// Keeps the breaker closed until the given instant, by the clock of [`now`](crate::now),
    /// whatever fails.
    pub fn force_closed(&self, until: Instant) {
        self.core.each_breaker(|breaker| Some(breaker.force(until)));
    }

    /// Takes back what was said with [`isolate`](Self::isolate) or
    /// [`force_closed`](Self::force_closed); returns whether anything was.
    pub fn release(&self) -> bool {
        self.core.each_breaker(Breaker::release)
    }

    /// Returns how much of the rate limit is left, for a caller with this key; `None` without a
    /// rate limit.
    pub fn room(&self, key: Option<u64>) -> Option<rate::RemainingQuota> {
        let params = self.params.load();
        let rate = params.rate.as_ref()?;
        Some(self.core.rate.room(rate, key, clock::now()))
    }
}

impl Core {
    /// Returns other numbers with the breaker's window of the policy that was made first: the counts
    /// are shared, and have one length. `None` if they have it already.
    pub(crate) fn fitted(&self, params: &Params) -> Option<Arc<Params>> {
        let own = params.breaker.as_ref()?.window;
        let base = self.base.load();
        let window = base.breaker.as_ref()?.window;
        if own == window {
            return None;
        }
        let mut fitted = params.clone();
        if let Some(breaker) = &mut fitted.breaker {
            breaker.window = window;
        }
        Some(Arc::new(fitted))
    }

    /// Tells the observers what changed for all calls, and which call brought it about, if one did.
    pub(crate) fn tell_change(
        &self,
        at: Instant,
        call: Option<CallId>,
        kind: UpstreamEventKind<'_>,
    ) {
        let upstream = self.upstream;
        let event = UpstreamEvent { at, upstream, call, kind };
        self.observers.tell(&Event::Upstream(&event));
    }

    /// Returns the endpoints if there are several.
    #[inline]
    pub(crate) fn several_endpoints(&self) -> Option<Arc<Endpoints>> {
        if self.has_several.load(Ordering::Acquire) { self.endpoints.load_full() } else { None }
    }

    /// Returns the endpoints that have a name.
    pub(crate) fn endpoints(&self) -> Option<Arc<Endpoints>> {
        self.endpoints.load_full()
    }

    /// Returns the name of an endpoint; `None` if it has none, or is gone.
    pub(crate) fn endpoint_name(&self, endpoint: EndpointId) -> Option<Arc<str>> {
        self.endpoints.load().as_ref()?.name(endpoint).cloned()
    }

    /// Returns the breakers of the endpoints, if there are several.
    pub(crate) fn breakers(&self) -> Vec<(EndpointId, Arc<Breaker>)> {
        let endpoints = self.several_endpoints();
        let each = endpoints.iter().flat_map(|endpoints| endpoints.breakers());
        each.map(|(id, breaker)| (id, breaker.clone())).collect()
    }

    /// Does something to every breaker and tells of the changes; returns whether there was one.
    fn each_breaker(&self, change: impl Fn(&Breaker) -> Option<BreakerTransition>) -> bool {
        let now = clock::now();
        let all = change(&self.breaker);
        self.breaker_changed(EndpointId::ALL, all, now, None);
        let mut is_any = all.is_some();
        for (id, breaker) in self.breakers() {
            let change = change(&breaker);
            self.breaker_changed(id, change, now, None);
            is_any |= change.is_some();
        }
        is_any
    }

    /// Returns the breaker's state; if each endpoint has its own, the best of those that calls go
    /// to.
    pub(crate) fn breaker_state(&self, per_endpoint: bool, now: Instant) -> BreakerState {
        match self.several_endpoints() {
            Some(endpoints) if per_endpoint => {
                let states = endpoints.picked(now).map(|breaker| breaker.state(now));
                states.min_by_key(|state| rank(*state)).unwrap_or(BreakerState::Closed)
            }
            _ => self.breaker.state(now),
        }
    }

    #[inline]
    pub(crate) fn has_chaos(&self) -> bool {
        self.has_chaos.load(Ordering::Acquire)
    }

    /// Returns how much this process has to do, 0 to 1.
    pub(crate) fn load(&self) -> f64 {
        self.load.get().map_or(0.0, |load| load.get())
    }

    /// Reports to a breaker what became of a grant.
    #[inline]
    pub(crate) fn record(
        &self,
        breaker: &Breaker,
        params: &breaker::Params,
        grant: Grant,
        outcome: Outcome,
        now: Instant,
    ) -> Option<BreakerTransition> {
        // Only a failure can open the breaker, and only opening it draws.
        let is_against = outcome.is_against_upstream();
        let mut chance = if is_against { self.dice.fork() } else { Chance::seeded(0) };
        breaker.record(params, grant, outcome, now, &mut chance)
    }

    /// Tells of a change of a breaker's state, if there was one, and of the call that brought it
    /// about.
    #[inline]
    pub(crate) fn breaker_changed(
        &self,
        endpoint: EndpointId,
        change: Option<BreakerTransition>,
        at: Instant,
        call: Option<CallId>,
    ) {
        if let Some(BreakerTransition { from, to, why }) = change {
            let name = self.endpoint_name(endpoint);
            let address = name.as_deref().unwrap_or_default();
            let kind = UpstreamEventKind::BreakerChanged { endpoint, address, from, to, why };
            self.tell_change(at, call, kind);
        }
    }
}

/// Orders states by how much they let through.
pub(crate) fn rank(state: BreakerState) -> u8 {
    match state {
        BreakerState::Closed | BreakerState::Forced => 0,
        BreakerState::Recovering => 1,
        BreakerState::HalfOpen => 2,
        BreakerState::Open => 3,
        BreakerState::Isolated => 4,
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
