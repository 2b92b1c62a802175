//! The call: the one future that carries a plan out.

use std::sync::Arc;

use arc_swap::ArcSwap;
use seawall_core::{BreakerState, Deadline, Fate, Observer, UpstreamId};
use seawall_policy::Params;
use tokio::time::Instant;

use crate::{Answer, Attempt, CallError, Context, Judge, Ticket};

/// Decides how calls may use one upstream; clones share the state.
#[derive(Clone)]
pub struct Policy(Arc<Core>);

struct Core {
    upstream: UpstreamId,
    params: ArcSwap<Params>,
    observer: Arc<dyn Observer>,
}

/// Holds what a policy's state is at one instant.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What the breaker does; `None` without a breaker.
    pub breaker: Option<BreakerState>,
    /// How many attempts are in flight.
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
        Self(Arc::new(Core { upstream, params: ArcSwap::from_pointee(params), observer }))
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

    /// Puts new numbers in force; breaker, budget, limiter and queue keep their state.
    pub fn reload(&self, params: Params) {
        self.0.params.store(Arc::new(params));
    }

    /// Returns the state at this instant.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { breaker: None, in_flight: 0, in_flight_max: None, waiting: 0, budget: None }
    }

    /// Calls the upstream as the policy allows: `make` begins one attempt.
    pub async fn call<T, E, J, M, F>(
        &self,
        context: Context<'_>,
        judge: &J,
        mut make: M,
    ) -> Result<Answer<T>, CallError<E>>
    where
        J: Judge<T, E>,
        M: FnMut(Attempt) -> F,
        F: Future<Output = Result<T, E>>,
    {
        let params = self.0.params.load();
        let now = Instant::now().into_std();
        let deadline = Deadline::after(now, params.timeout.total);
        let attempt = Attempt {
            number: 1,
            deadline: Deadline::after(now, params.timeout.attempt).earlier(deadline),
            call_deadline: context.deadline.map_or(deadline, |own| own.earlier(deadline)),
            connect: params.timeout.connect,
            idle: params.timeout.idle,
        };
        drop(params);
        let result = make(attempt).await;
        let _outcome = judge.outcome(result.as_ref());
        match result {
            Ok(value) => Ok(Answer { value, fate: Fate::Ok, attempts: 1, ticket: Ticket }),
            Err(error) => Err(CallError::Failed { error, attempts: 1 }),
        }
    }
}
