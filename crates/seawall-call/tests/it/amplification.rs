//! How many attempts an upstream sees, whatever it does to how many callers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Instant;

use proptest::collection::vec;
use proptest::prelude::*;
use seawall_call::{Attempt, Context, Policy};
use seawall_core::{CancelCell, Failure, Silent, UpstreamId};
use seawall_policy::hedge::{After, Params as Hedge};
use seawall_policy::{Params, budget, bulkhead, retry};

use crate::scene::{Does, Http, ms, now, perform};

/// Counts what the upstream sees, and knows how much that may be.
struct Count {
    params: Params,
    epoch: Instant,
    calls: AtomicU32,
    attempts: AtomicU32,
    hedges: AtomicU32,
}

impl Count {
    /// Counts an attempt that begins, and asserts that it was paid for.
    fn begin(&self, attempt: &Attempt) {
        let calls = f64::from(self.calls.load(Relaxed));
        let attempts = f64::from(self.attempts.fetch_add(1, Relaxed) + 1);
        let hedges = self.hedges.fetch_add(u32::from(attempt.is_hedge), Relaxed);
        let hedges = f64::from(hedges + u32::from(attempt.is_hedge));
        // A new policy may hedge ten calls; a call that pays sends all it may, for each try.
        let most = self.params.hedge.as_ref().map_or(0.0, |hedge| {
            let tries = self.params.retry.as_ref().map_or(1, |retry| retry.attempts_max);
            (hedge.ratio_max * calls + 10.0) * f64::from(hedge.extra_max * tries)
        });
        assert!(hedges <= most + 1e-6, "{hedges} hedges of {calls} calls");
        if let Some(budget) = &self.params.budget {
            let seconds = (now() - self.epoch).as_secs_f64();
            let paid = budget.ratio * calls + budget.floor_per_second * (seconds + 1.0);
            assert!(attempts <= calls + paid + 1e-6, "{attempts} attempts of {calls} calls");
        } else {
            let each = self.params.retry.as_ref().map_or(1, |retry| retry.attempts_max);
            assert!(attempts - hedges <= f64::from(each) * calls);
        }
    }
}

async fn play(params: Params, calls: Vec<(u64, Vec<Does>)>) {
    let policy = Policy::seeded(UpstreamId(1), params.clone(), Arc::new(Silent), 3);
    let (zero, epoch) = (AtomicU32::default, now());
    let count = Count { params, epoch, calls: zero(), attempts: zero(), hedges: zero() };
    let count = Arc::new(count);
    let mut tasks = tokio::task::JoinSet::new();
    for (wait, script) in calls {
        tokio::time::sleep(ms(wait)).await;
        let (policy, count) = (policy.clone(), count.clone());
        tasks.spawn(async move {
            count.calls.fetch_add(1, Relaxed);
            let cancel = CancelCell::default();
            let make = |attempt: Attempt| {
                count.begin(&attempt);
                perform(script[(attempt.number as usize - 1).min(script.len() - 1)])
            };
            let _ = policy.call(Context::new(&cancel), &Http, make).await;
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.expect("no attempt was one too many");
    }
}

fn does() -> impl Strategy<Value = Does> {
    prop_oneof![
        1 => Just(Does::Say(200)),
        4 => Just(Does::Say(503)),
        4 => Just(Does::Fail(Failure::Reset)),
        2 => (1..200_u64).prop_map(|wait| Does::SayLater(503, ms(wait))),
        1 => (1..200_u64).prop_map(|wait| Does::SayLater(200, ms(wait))),
        1 => (1..400_u64).prop_map(|wait| Does::AskToWait(429, ms(wait))),
        1 => Just(Does::Hang),
    ]
}

fn params() -> impl Strategy<Value = Params> {
    let budget = (0..=100_u32, 0..5_u32).prop_map(|(percent, floor)| budget::Params {
        ratio: f64::from(percent) / 100.0,
        floor_per_second: f64::from(floor),
        in_flight_ratio: 1.0,
        in_flight_min: 100,
    });
    let hedge = (1..4_u32, 0..=100_u32).prop_map(|(extra_max, percent)| Hedge {
        after: After::Fixed(ms(20)),
        min: ms(0),
        extra_max,
        ratio_max: f64::from(percent) / 100.0,
    });
    let parts = (prop::option::weighted(0.9, budget), prop::option::of(hedge), 1..6_u32);
    parts.prop_map(|(budget, hedge, attempts_max)| {
        let mut params = Params::standard();
        params.timeout.total = ms(1_000);
        params.timeout.attempt = ms(300);
        let retry = retry::Params { attempts_max, ..retry::Params::default() };
        let limit = bulkhead::Params { in_flight_max: 20, ..Default::default() };
        Params { retry: Some(retry), budget, hedge, breaker: None, limit: Some(limit), ..params }
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, failure_persistence: None, ..Default::default() })]

    #[test]
    fn an_upstream_never_sees_more_than_its_calls_the_budget_and_the_hedges_together(
        params in params(),
        calls in vec((0..20_u64, vec(does(), 1..6)), 1..100),
    ) {
        tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .expect("a runtime without I/O needs nothing of the system")
            .block_on(play(params, calls));
    }
}
