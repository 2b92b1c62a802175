//! Every number of every strategy at its edges: nothing panics, and what cannot work is refused in
//! the same words wherever numbers come in.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use seawall_call::{Builder, Cached, CallError, Context, Plain, Policy, Unsound};
use seawall_core::{Failure, Outcome, Silent, UpstreamId};
use seawall_policy::backoff::Jitter;
use seawall_policy::{Params, adaptive, cache, chaos, hedge, outlier, rate, shed};

use crate::scene::{ms, now};

type Change = Box<dyn Fn(&mut Params)>;

/// Turns every part on, so that every number is there.
fn every_part() -> Params {
    Params {
        cache: Some(cache::Params::default()),
        shed: Some(shed::Params::default()),
        rate: Some(rate::Params { per_second: 1e6, burst: 1000, ..Default::default() }),
        hedge: Some(hedge::Params::default()),
        outlier: Some(outlier::Params::default()),
        adaptive: Some(adaptive::Params::default()),
        ..Params::standard()
    }
}

macro_rules! sweep {
    ($list:ident, $values:expr; $($path:ident $(. $rest:ident)*),+ $(,)?) => {
        $(for value in $values {
            let name = concat!(stringify!($path) $(, ".", stringify!($rest))*);
            let change = move |params: &mut Params| part!(params, $path $(. $rest)*) = value;
            $list.push((format!("{name} = {value:?}"), Box::new(change) as Change));
        })+
    };
}

macro_rules! part {
    ($params:ident, timeout . $($rest:ident).+) => { $params.timeout.$($rest).+ };
    ($params:ident, $part:ident . $($rest:ident).+) => {
        $params.$part.as_mut().expect("every part is on").$($rest).+
    };
}

fn durations() -> Vec<(String, Change)> {
    let mut list = Vec::new();
    sweep! { list, [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
        timeout.total, timeout.attempt, timeout.connect, timeout.idle, retry.backoff.base,
        retry.backoff.cap, hedge.min, outlier.interval, outlier.out, outlier.out_max,
        breaker.window, breaker.open, breaker.open_max, breaker.recovery, limit.queue_wait_max,
        cache.fresh_for, cache.stale_while_revalidate, cache.stale_on_error,
    }
    for value in [Duration::ZERO, Duration::from_nanos(1), Duration::MAX] {
        let mut add =
            |name: &str, change: Change| list.push((format!("{name} = {value:?}"), change));
        add(
            "hedge.after",
            Box::new(move |all| {
                all.hedge.as_mut().expect("it is on").after = hedge::After::Fixed(value);
            }),
        );
        add(
            "breaker.slow",
            Box::new(move |all| {
                all.breaker.as_mut().expect("it is on").slow = Some(value);
            }),
        );
        add(
            "rate.fixed",
            Box::new(move |all| {
                all.rate.as_mut().expect("it is on").kind = rate::RateAlgorithm::FixedWindow(value);
            }),
        );
        add(
            "rate.sliding",
            Box::new(move |all| {
                all.rate.as_mut().expect("it is on").kind =
                    rate::RateAlgorithm::SlidingWindow(value);
            }),
        );
    }
    list
}

fn counts() -> Vec<(String, Change)> {
    let mut list = Vec::new();
    sweep! { list, [0, 1, u32::MAX];
        retry.attempts_max, budget.in_flight_min, hedge.extra_max, outlier.consecutive,
        outlier.endpoints_min, outlier.attempts_min, breaker.calls_min, breaker.consecutive,
        breaker.probes, limit.in_flight_max, limit.queue_max, rate.burst, adaptive.min,
        adaptive.initial, cache.entries_max,
    }
    sweep! { list, [0, 1, u64::MAX]; cache.bytes_max, cache.answer_bytes_max }
    for keys_max in [0, 1, u32::MAX] {
        let keyed = Some(rate::Keyed { keys_max });
        let change: Change =
            Box::new(move |all| all.rate.as_mut().expect("it is on").keyed = keyed);
        list.push((format!("rate.keys_max = {keys_max}"), change));
    }
    list
}

/// Returns each fraction at each edge; none of them may be no number.
fn fractions() -> Vec<(String, Change)> {
    let values =
        [0.0, -1.0, f64::NAN, f64::INFINITY, f64::NEG_INFINITY, f64::MAX, f64::MIN_POSITIVE];
    let mut list = Vec::new();
    sweep! { list, values;
        budget.ratio, budget.floor_per_second, budget.in_flight_ratio, hedge.ratio_max,
        outlier.deviations, outlier.failures_max, outlier.keep_min, breaker.ratio, rate.per_second,
    }
    for value in values {
        let mut add =
            |name: &str, change: Change| list.push((format!("{name} = {value:?}"), change));
        add(
            "breaker.multiple",
            Box::new(move |all| {
                let mode = seawall_policy::breaker::Mode::Throttle { multiple: value };
                all.breaker.as_mut().expect("it is on").mode = mode;
            }),
        );
        add(
            "hedge.quantile",
            Box::new(move |all| {
                all.hedge.as_mut().expect("it is on").after = hedge::After::Quantile(value);
            }),
        );
        for place in 0..4 {
            add(
                "shed.load_max",
                Box::new(move |all| {
                    all.shed.as_mut().expect("it is on").load_max[place] = value;
                }),
            );
            add(
                "shed.places",
                Box::new(move |all| {
                    all.shed.as_mut().expect("it is on").places[place] = value;
                }),
            );
        }
    }
    list
}

/// Lets these numbers do all they can: fail, hang, succeed, open, probe, hedge, queue.
async fn live_with(params: &Params) {
    let policy = Policy::seeded(UpstreamId(0), params.clone(), Arc::new(Silent), 1);
    policy.set_endpoints(&["a".into(), "b".into()]).expect("they are few");
    let patience = Duration::from_secs(40);
    let failing = async |_| Err::<u8, _>("no");
    let hang = |_| std::future::pending::<Result<u8, &str>>();
    let slow = async |_| {
        tokio::time::sleep(ms(30)).await;
        Ok::<_, &str>(7)
    };
    let busy = seawall_call::judge_by(|_: Result<&u8, &&str>| Outcome::Overload {
        code: None,
        retry_after: Some(Duration::MAX),
        is_throttled: false,
    });
    for _ in 0..2 {
        for _ in 0..11 {
            let _ = tokio::time::timeout(patience, policy.run(failing)).await;
        }
        let together = (0..3).map(|_| tokio::time::timeout(patience, policy.run(slow)));
        let _ = crate::scene::together(together).await;
        let call = policy.call(Context::default(), &busy, slow);
        let _ = tokio::time::timeout(patience, call).await;
        let _ = tokio::time::timeout(patience, policy.run(hang)).await;
        let _ = (policy.snapshot(), policy.room(Some(7)));
        tokio::time::advance(Duration::from_secs(9)).await;
    }
    let cached: Cached<u8, u8, &str> = Cached::new(policy);
    let make = |_| std::future::ready(Ok(7));
    let _ = tokio::time::timeout(patience, cached.call(Context::default(), 1, Plain, make)).await;
    let _ = tokio::time::timeout(patience, cached.call(Context::default(), 1, Plain, make)).await;
}

/// Asserts that these numbers are refused everywhere or nowhere, always for the same reasons.
async fn assert_same_everywhere(name: &str, params: &Params) {
    // As text: what is no number is not even equal to itself.
    let said = |result: Result<(), Unsound>| format!("{result:?}");
    let expected = said(Unsound::check(params));
    let policy = Builder::from(Params::standard()).build().expect("it is sound");
    // A builder lets what nobody chose follow.
    let mut followed = params.clone();
    followed.follow(params);
    let built = Builder::from(params.clone()).build().map(drop);
    assert_eq!(said(built), said(Unsound::check(&followed)), "{name}: build");
    assert_eq!(said(policy.derive(params.clone()).map(drop)), expected, "{name}: derive");
    let once = async |_| Ok::<_, ()>(());
    let called = policy.call_as(params, Context::default(), &Plain, once).await;
    let called = match called {
        Err(CallError::Unsound(unsound)) => Err(unsound),
        // It was made, whatever became of it.
        _ => Ok(()),
    };
    assert_eq!(said(called), expected, "{name}: call_as");
    let before = policy.params();
    let is_taken = policy.reload(params.clone());
    assert_eq!(said(is_taken.clone()), expected, "{name}: reload");
    assert_eq!(is_taken.is_err(), Arc::ptr_eq(&before, &policy.params()), "{name}: in force");
}

/// Sweeps through changes; none may panic.
async fn sweep(changes: Vec<(String, Change)>) {
    let mut panicked = Vec::new();
    for (name, change) in changes {
        let mut params = every_part();
        change(&mut params);
        let whole = async {
            let _ = (params.describe(), params.worst_case().to_string());
            let mut followed = params.clone();
            followed.follow(&every_part());
            assert_same_everywhere(&name, &params).await;
            live_with(&params).await;
        };
        if AssertUnwindSafe(whole).catch_unwind().await.is_err() {
            panicked.push(name);
        }
    }
    assert!(panicked.is_empty(), "{panicked:#?}");
}

#[tokio::test(start_paused = true)]
async fn no_time_at_its_edge_panics_and_what_cannot_work_is_refused_everywhere() {
    sweep(durations()).await;
}

#[tokio::test(start_paused = true)]
async fn no_count_at_its_edge_panics_and_what_cannot_work_is_refused_everywhere() {
    sweep(counts()).await;
}

#[tokio::test(start_paused = true)]
async fn no_share_at_its_edge_panics_and_what_cannot_work_is_refused_everywhere() {
    sweep(fractions()).await;
}

#[test]
fn what_is_no_number_is_always_refused() {
    for (name, change) in fractions() {
        let mut params = every_part();
        change(&mut params);
        assert!(!name.ends_with("NaN") || !params.check().is_empty(), "{name} is taken");
    }
}

#[tokio::test(start_paused = true)]
async fn every_spread_of_waits_is_lived_with_at_its_edges() {
    let edges = [Duration::ZERO, Duration::from_nanos(1), Duration::MAX];
    for jitter in [
        Jitter::None,
        Jitter::Full,
        Jitter::Equal,
        Jitter::Decorrelated,
        Jitter::Quarter,
        Jitter::Smooth,
    ] {
        for (base, cap) in edges.iter().flat_map(|base| edges.map(|cap| (*base, cap))) {
            let mut params = every_part();
            let retry = params.retry.as_mut().expect("it is on");
            retry.backoff =
                seawall_policy::backoff::Params { base, cap, jitter, ..Default::default() };
            retry.attempts_max = 2_000;
            live_with(&params).await;
        }
    }
}

#[test]
fn a_plan_of_faults_whose_shares_are_none_is_refused() {
    let policy = Builder::from(Params::standard()).build().expect("it is sound");
    let plan = chaos::ChaosPlan {
        until: now() + ms(1_000),
        key: None,
        latency: 0.0,
        latency_by: Duration::MAX,
        errors: 0.0,
        hangs: 0.0,
        resets: 0.0,
    };
    assert_eq!(policy.set_chaos(plan.clone()), Ok(()));
    for share in [f64::NAN, f64::INFINITY, -0.1, 1.1] {
        let refused = policy.set_chaos(chaos::ChaosPlan { hangs: share, ..plan.clone() });
        let said = refused.expect_err("it is no share").to_string();
        assert_eq!(said, format!("chaos.hangs is {share}, it must be from 0 to 1"));
    }
}

#[tokio::test(start_paused = true)]
async fn without_time_limits_a_call_waits_for_as_long_as_its_caller_does() {
    let policy = Builder::from(Params::standard()).no_timeouts().build().expect("it is sound");
    let month = Duration::from_secs(30 * 24 * 3600);
    let slow = async |_| {
        tokio::time::sleep(month).await;
        Ok::<_, Failure>(7)
    };
    assert_eq!(policy.run(slow).await.expect("it answers").value, 7);
    let hang = |_| std::future::pending::<Result<u8, Failure>>();
    let call = policy.call(Context::default().within(ms(40)), &Plain, hang);
    assert!(matches!(call.await, Err(CallError::TimedOut { .. })), "its caller's limit holds");
}
