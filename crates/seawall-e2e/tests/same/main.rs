//! The simulator and `seawall-call` are the same: the same arrivals at the same upstream come to
//! the same fates, call by call.
//!
//! The one runs in virtual time with an agenda of its own, the other on tokio with its clock
//! paused. What happens in the same millisecond may happen in another order, so a few calls may
//! differ; a decision that is taken otherwise shows in far more.

mod runtime;

use std::time::Duration;

use seawall_core::Fate;
use seawall_policy::backoff::Jitter;
use seawall_policy::hedge::{self, After};
use seawall_policy::sim::{Behaviour, Latency};
use seawall_policy::{Params, budget, bulkhead, outlier, rate, retry, shed};
use seawall_simulate::{Clients, Except, Setup, Stage, trace};

const MILLISECOND: Duration = Duration::from_millis(1);

/// An upstream that takes this long for everything.
fn takes(millis: u32) -> Behaviour {
    let time = MILLISECOND * millis;
    Behaviour { latency: Latency { median: time, p99: time }, errors: 0.0, ..Behaviour::default() }
}

fn stage(name: &str, behaviour: Behaviour, per_second: f64) -> Stage {
    Stage::new(name, Duration::from_secs(12), behaviour, per_second)
}

/// Healthy, too slow, failing, down, hanging, healthy again.
fn course(per_second: f64) -> Vec<Stage> {
    vec![
        stage("healthy", takes(17), per_second),
        stage("slow", takes(171), per_second),
        stage("failing", Behaviour { errors: 1.0, ..takes(13) }, per_second),
        stage("healthy", takes(17), per_second),
        stage("down", Behaviour { is_down: true, ..takes(1) }, per_second),
        stage("hanging", Behaviour { hangs: 1.0, ..takes(1) }, per_second),
        stage("healthy", takes(17), per_second),
    ]
}

fn setup(params: Params, stages: Vec<Stage>) -> Setup {
    let lasts = stages.iter().map(|stage| stage.phase.lasts).sum();
    let clients =
        Clients { timeout: MILLISECOND * 1203, priorities: [1.0; 4], ..Clients::default() };
    Setup { stages, lasts, clients, grid: MILLISECOND, seed: 7, ..Setup::new(params) }
}

/// A budget that nobody competes for: who gets the last retry hangs on the order of what happens in
/// the same millisecond, and everything after it on who did.
fn ample() -> Option<budget::Params> {
    Some(budget::Params {
        ratio: 1.0,
        floor_per_second: 1000.0,
        in_flight_ratio: 1.0,
        in_flight_min: 1000,
    })
}

fn params() -> Params {
    let mut params = Params::standard();
    params.timeout.attempt = MILLISECOND * 401;
    params.limit = Some(bulkhead::Params {
        in_flight_max: 12,
        queue_max: 6,
        queue_wait_max: MILLISECOND * 53,
        // What is set is first come, first served; else one late millisecond turns the queue.
        order: bulkhead::QueueOrder::Fifo,
        ..bulkhead::Params::fixed()
    });
    // A learned limit depends on which of two answers of the same millisecond is told first.
    params.adaptive = None;
    params
}

/// Runs both, and asserts that nearly every call came to the same; returns how many calls came to
/// each fate.
#[track_caller]
fn check(name: &str, setup: &Setup) -> [usize; Fate::ALL.len()] {
    let simulated = trace(setup).1;
    let real = runtime::play(setup);
    assert_eq!(simulated.len(), real.len(), "{name}: not the same arrivals");
    let same = simulated.iter().zip(&real).filter(|(one, other)| one == other).count();
    let count = |fates: &[(Fate, u32)]| {
        Fate::ALL.map(|fate| fates.iter().filter(|(one, _)| *one == fate).count())
    };
    let (one, other) = (count(&simulated), count(&real));
    let share = same as f64 / real.len() as f64;
    let first = simulated.iter().zip(&real).position(|(one, other)| one != other);
    println!("{name}: {:.2} % of {} the same; {one:?} {other:?}", share * 100.0, real.len());
    assert!(
        share > SAME_MIN,
        "{name}: {same} of {}, first {first:?}\n{one:?}\n{other:?}",
        real.len()
    );
    one
}

/// So many calls come to the same fate after the same number of attempts.
const SAME_MIN: f64 = 0.95;

#[test]
fn retries_budget_breaker_and_queue_decide_the_same() {
    let mut stages = course(60.0);
    let flaky = Behaviour { errors: 0.2, resets: 0.1, ..takes(23) };
    stages.insert(2, stage("flaky", flaky, 60.0));
    let fates = check("standard", &setup(params(), stages));
    for fate in [Fate::Ok, Fate::OkAfterRetry, Fate::RejectedBreaker, Fate::Failed] {
        assert!(fates[fate.index()] > 0, "{fate} never happened: {fates:?}");
    }
}

#[test]
fn priorities_are_queued_and_shed_the_same() {
    let mut params = params();
    params.shed = Some(shed::Params { places: [1.0, 0.9, 0.7, 0.4], ..shed::Params::default() });
    (params.breaker, params.budget) = (None, ample());
    let fates = check("priorities", &setup(params, course(90.0)));
    for fate in [Fate::RejectedShed, Fate::RejectedBulkhead, Fate::TimedOut] {
        assert!(fates[fate.index()] > 0, "{fate} never happened: {fates:?}");
    }
}

#[test]
fn hedges_are_sent_and_their_losers_dropped_the_same() {
    let mut params = params();
    params.hedge = Some(hedge::Params {
        after: After::Fixed(MILLISECOND * 103),
        ratio_max: 1.0,
        ..hedge::Params::default()
    });
    // A hedge never waits, and nothing else does here: a queue would turn one late millisecond into
    // other fates for all behind it.
    params.limit.as_mut().unwrap().queue_max = 0;
    (params.breaker, params.budget) = (None, ample());
    // Nor over who draws which wait.
    if let Some(retry) = &mut params.retry {
        retry.backoff.jitter = Jitter::None;
    }
    // Every second request of the slow phase is answered by the quick endpoint.
    let mut stages = course(20.0);
    let quick = Except { endpoint: 1, behaviour: takes(11), work: Default::default() };
    stages[1].except = Some(quick);
    // What fails so late fails with its hedge, and is one try of three.
    stages[2].phase.behaviour = Behaviour { errors: 1.0, ..takes(151) };
    let mut setup = setup(params, stages);
    setup.upstream.endpoints = 2;
    let fates = check("hedges", &setup);
    assert!(fates[Fate::OkHedged.index()] > 100, "{fates:?}");
}

#[test]
fn endpoints_are_picked_and_left_out_the_same() {
    let mut params = params();
    params.outlier = Some(outlier::Params { consecutive: 3, ..outlier::Params::default() });
    let mut stages = course(60.0);
    stages[0].except = Some(Except {
        endpoint: 2,
        behaviour: Behaviour { is_down: true, ..takes(1) },
        work: Default::default(),
    });
    let mut setup = setup(params, stages);
    setup.upstream.endpoints = 4;
    check("endpoints", &setup);
}

#[test]
fn places_of_calls_that_were_left_are_held_the_same() {
    let mut params = params();
    params.limit.as_mut().unwrap().holds_abandoned = true;
    params.breaker = None;
    params.retry = None;
    let mut setup = setup(params, course(60.0));
    // Before the attempt's time is over.
    setup.clients.timeout = MILLISECOND * 113;
    let fates = check("ghosts", &setup);
    assert!(fates[Fate::Cancelled.index()] > 100, "{fates:?}");
}

#[test]
fn the_limit_is_learned_the_same() {
    let mut params = params();
    params.limit.as_mut().unwrap().in_flight_max = 100;
    params.adaptive = Some(seawall_policy::adaptive::Params { min: 2, initial: 8 });
    params.retry = Some(retry::Params { attempts_max: 2, ..retry::Params::default() });
    check("adaptive", &setup(params, course(60.0)));
}

#[test]
fn callers_are_counted_apart_the_same() {
    let mut params = params();
    params.rate = Some(rate::Params {
        per_second: 20.0,
        burst: 5,
        keyed: Some(rate::Keyed { keys_max: 100 }),
        ..rate::Params::default()
    });
    let mut setup = setup(params, course(60.0));
    setup.clients.callers = vec![10.0, 1.0, 1.0, 1.0];
    let fates = check("callers", &setup);
    assert!(fates[Fate::RejectedRate.index()] > 100, "{fates:?}");
}
