//! A policy, said part by part.
//!
//! Does not know: what a call is. Invariants: the order in which parts are named changes nothing,
//! since the order of the strategies is fixed; nothing is built whose numbers cannot work.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use seawall_core::{Observer, Observers, UpstreamId};
use seawall_policy::shed::Load;
use seawall_policy::{
    Params, adaptive, breaker, budget, bulkhead, hedge, outlier, rate, retry, shed, timeout,
};

use crate::{Policy, Unsound};

/// Collects the numbers of a policy; made by [`Policy::builder`] or from a preset.
///
/// A part is switched on by changing its numbers, which begin as its defaults, and switched off
/// with [`without`](Self::without). Numbers that nobody chose follow those that somebody did:
///
/// ```
/// use std::time::Duration;
///
/// use seawall_call::{Part, Policy};
///
/// let policy = Policy::builder()
///     .total_timeout(Duration::from_secs(2))
///     .breaker(|breaker| breaker.consecutive = 5)
///     .hedge(|_| ())
///     .without(Part::Outlier)
///     .build()?;
/// // Three attempts and the waits between them fit into two seconds.
/// assert_eq!(policy.params().timeout.attempt, Duration::from_millis(600));
/// println!("{}", policy.params().describe());
/// # Ok::<(), seawall_call::Unsound>(())
/// ```
#[must_use = "a policy is not there before it is built"]
pub struct Builder {
    before: Params,
    params: Params,
    upstream: UpstreamId,
    observers: Observers,
    seed: Option<u64>,
    endpoints: Vec<Arc<str>>,
    load: Option<Arc<Load>>,
}

/// Names a part of a policy that can be switched off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Part {
    /// Load shedding.
    Shed,
    /// The rate limit.
    Rate,
    /// Retries; their budget stays for hedged attempts.
    Retry,
    /// Hedging.
    Hedge,
    /// The budget of retries and hedged attempts.
    Budget,
    /// Outlier detection.
    Outlier,
    /// The circuit breaker.
    Breaker,
    /// The bulkhead and its queue, and with them the learned limit.
    Limit,
    /// The learned limit; the bulkhead stays.
    Adaptive,
}

impl Policy {
    /// Begins a policy with the [standard](Params::standard) numbers.
    pub fn builder() -> Builder {
        Builder::from(Params::standard())
    }
}

impl From<Params> for Builder {
    /// Begins a policy with these numbers: a preset, or [`Params::bare`].
    fn from(params: Params) -> Self {
        Self {
            before: params.clone(),
            params,
            upstream: UpstreamId(0),
            observers: Observers::default(),
            seed: None,
            endpoints: Vec::new(),
            load: None,
        }
    }
}

impl Builder {
    /// Limits everything until the answer's head. Attempts and waits share it, unless they are
    /// chosen too.
    pub fn total_timeout(mut self, total: Duration) -> Self {
        self.params.timeout.total = total;
        self
    }

    /// Limits one attempt, until its answer's head.
    pub fn attempt_timeout(mut self, attempt: Duration) -> Self {
        self.params.timeout.attempt = attempt;
        self
    }

    /// Sets no time limit at all, for callers who end what hangs themselves: by dropping the call,
    /// or with a deadline of its own. A breaker then learns nothing of what hangs.
    pub fn no_timeouts(mut self) -> Self {
        self.params.timeout.total = timeout::NONE;
        self.params.timeout.attempt = timeout::NONE;
        self
    }

    /// Changes when calls are shed, and switches it on.
    pub fn shed(mut self, change: impl FnOnce(&mut shed::Params)) -> Self {
        change(self.params.shed.get_or_insert_default());
        self
    }

    /// Changes how many calls start in a second, and switches the limit on.
    pub fn rate(mut self, change: impl FnOnce(&mut rate::Params)) -> Self {
        change(self.params.rate.get_or_insert_default());
        self
    }

    /// Changes whether and when an attempt is repeated, and switches it on.
    pub fn retry(mut self, change: impl FnOnce(&mut retry::Params)) -> Self {
        change(self.params.retry.get_or_insert_default());
        self
    }

    /// Changes when a second attempt is sent beside the first, and switches it on.
    pub fn hedge(mut self, change: impl FnOnce(&mut hedge::Params)) -> Self {
        change(self.params.hedge.get_or_insert_default());
        self
    }

    /// Changes how many retries and hedged attempts the upstream may see, and switches it on.
    pub fn budget(mut self, change: impl FnOnce(&mut budget::Params)) -> Self {
        change(self.params.budget.get_or_insert_default());
        self
    }

    /// Changes which endpoints are left out, and switches it on; it needs
    /// [`endpoints`](Self::endpoints).
    pub fn outlier(mut self, change: impl FnOnce(&mut outlier::Params)) -> Self {
        change(self.params.outlier.get_or_insert_default());
        self
    }

    /// Changes when the upstream is no longer called, and switches it on.
    pub fn breaker(mut self, change: impl FnOnce(&mut breaker::Params)) -> Self {
        change(self.params.breaker.get_or_insert_default());
        self
    }

    /// Changes how many attempts run at once, and switches it on.
    pub fn limit(mut self, change: impl FnOnce(&mut bulkhead::Params)) -> Self {
        change(self.params.limit.get_or_insert_default());
        self
    }

    /// Changes how the number of attempts in flight is learned, and switches it on; its maximum is
    /// the limit's.
    pub fn adaptive(mut self, change: impl FnOnce(&mut adaptive::Params)) -> Self {
        change(self.params.adaptive.get_or_insert_default());
        self
    }

    /// Changes any number.
    pub fn change(mut self, change: impl FnOnce(&mut Params)) -> Self {
        change(&mut self.params);
        self
    }

    /// Switches a part off.
    pub fn without(mut self, part: Part) -> Self {
        let params = &mut self.params;
        match part {
            Part::Shed => params.shed = None,
            Part::Rate => params.rate = None,
            Part::Retry => params.retry = None,
            Part::Hedge => params.hedge = None,
            Part::Budget => params.budget = None,
            Part::Outlier => params.outlier = None,
            Part::Breaker => params.breaker = None,
            Part::Limit => (params.limit, params.adaptive) = (None, None),
            Part::Adaptive => params.adaptive = None,
        }
        self
    }

    /// Names the upstream in events (default: number 0).
    pub const fn upstream(mut self, upstream: UpstreamId) -> Self {
        self.upstream = upstream;
        self
    }

    /// Tells one more observer of every event.
    pub fn observer(self, observer: impl Observer) -> Self {
        self.shared_observers(Arc::new(observer))
    }

    /// Tells more observers of every event: one or a list, who may be told of others' events too.
    pub fn shared_observers(mut self, observers: impl Into<Observers>) -> Self {
        self.observers = self.observers.and(observers);
        self
    }

    /// Draws every wait from a seed, so that a test can be run again.
    pub const fn seed(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// Names the upstream's endpoints, see [`Policy::set_endpoints`].
    pub fn endpoints<N: Into<Arc<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        self.endpoints = names.into_iter().map(Into::into).collect();
        self
    }

    /// Says where to read how much this process has to do, for [`shed`](Self::shed).
    pub fn load(mut self, load: Arc<Load>) -> Self {
        self.load = Some(load);
        self
    }

    /// Returns the numbers without making a policy.
    ///
    /// # Errors
    ///
    /// Returns everything that cannot work, at once.
    pub fn params(self) -> Result<Params, Unsound> {
        self.checked().map(|builder| builder.params)
    }

    /// Makes the policy.
    ///
    /// # Errors
    ///
    /// Returns everything that cannot work, at once.
    pub fn build(self) -> Result<Policy, Unsound> {
        let Self { params, upstream, observers, seed, endpoints, load, .. } = self.checked()?;
        let policy = match seed {
            Some(seed) => Policy::seeded(upstream, params, observers, seed),
            None => Policy::new(upstream, params, observers),
        };
        policy.set_endpoints(&endpoints)?;
        if let Some(load) = load {
            policy.set_load(load);
        }
        Ok(policy)
    }

    fn checked(mut self) -> Result<Self, Unsound> {
        self.params.follow(&self.before);
        Unsound::check(&self.params).map(|()| self)
    }
}

impl fmt::Debug for Builder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder").field("params", &self.params).finish_non_exhaustive()
    }
}
