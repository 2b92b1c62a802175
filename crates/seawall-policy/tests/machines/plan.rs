//! What a policy says about itself, and which numbers it refuses.

use std::time::Duration;

use seawall_policy::{ParamKey, ParamProblem, Params, breaker, rate};

fn patient() -> Params {
    let mut params = Params::standard();
    params.timeout.total = Duration::from_secs(2);
    params.timeout.attempt = Duration::from_millis(600);
    params
}

#[test]
fn the_standard_policy_has_no_problem() {
    assert_eq!(Params::standard().check(), []);
    assert_eq!(patient().check(), []);
}

#[test]
fn the_worst_case_is_cut_at_the_deadline() {
    let mut params = patient();
    params.limit.as_mut().unwrap().queue_wait_max = Duration::from_secs(9);
    let worst = params.worst_case();
    // A fifth of 2 s for each of three attempts.
    assert_eq!(worst.queue, Duration::from_millis(1200));
    assert_eq!(worst.answer(), Duration::from_secs(2));
    assert!(worst.to_string().ends_with("cut at the deadline"));
}

#[test]
fn retries_that_do_not_fit_say_how_many_would() {
    let mut params = patient();
    params.timeout.attempt = Duration::from_secs(1);
    let [problem] = &params.check()[..] else { panic!("one problem") };
    let &ParamProblem::RetriesDoNotFit { attempts_max: 3, fitting, sum, .. } = problem else {
        panic!("{problem}")
    };
    // Two would take 2.05 s.
    assert_eq!((fitting, sum), (1, Duration::from_millis(3150)));
    assert_eq!(problem.to_string(), "3 × 1s + up to 150ms of backoff = 3.15s do not fit into 2s");
}

#[test]
fn as_many_attempts_as_are_said_to_fit_do_fit() {
    for millis in 1..2500 {
        let mut params = patient();
        params.timeout.attempt = Duration::from_millis(millis);
        params.breaker = None;
        params.retry.as_mut().unwrap().attempts_max = 20;
        let problem = params.check().pop();
        let Some(ParamProblem::RetriesDoNotFit { fitting, .. }) = problem else { continue };
        params.retry.as_mut().unwrap().attempts_max = fitting;
        assert_eq!(params.check(), [], "{fitting} attempts of {millis} ms");
        params.retry.as_mut().unwrap().attempts_max = fitting + 1;
        assert_eq!(params.check().len(), 1, "{fitting} + 1 attempts of {millis} ms");
    }
}

#[test]
fn every_problem_is_found_at_once() {
    let mut params = Params::standard();
    params.timeout.idle = Duration::ZERO;
    params.timeout.attempt = Duration::from_secs(31);
    params.rate = Some(rate::Params { per_second: f64::NAN, burst: 0, ..Default::default() });
    let retry = params.retry.as_mut().unwrap();
    retry.attempts_max = 0;
    retry.backoff.base = Duration::from_secs(3);
    let budget = params.budget.as_mut().unwrap();
    budget.ratio = 1.5;
    budget.floor_per_second = -1.0;
    params.breaker = Some(breaker::Params {
        ratio: 0.0,
        calls_min: 0,
        window: Duration::from_secs(61),
        open: Duration::from_secs(61),
        open_max: Duration::from_secs(60),
        probes: 0,
        ..breaker::Params::default()
    });
    let limit = params.limit.as_mut().unwrap();
    limit.in_flight_max = 0;
    limit.queue_wait_max = Duration::ZERO;

    let found: Vec<String> = params.check().iter().map(ToString::to_string).collect();

    assert_eq!(
        found,
        [
            "timeout.idle is zero",
            "one attempt may take 31s, everything together only 30s",
            "rate.per_second is NaN, it must be above 0",
            "rate.burst is zero",
            "retry.attempts_max is zero",
            "the first backoff, 3s, is longer than the longest, 2s",
            "budget.ratio is 1.5, it must be from 0 to 1",
            "budget.floor_per_second is -1, it must be at least 0",
            "breaker.ratio is 0, it must be above 0, at most 1",
            "breaker.calls_min is zero",
            "breaker.probes is zero",
            "a breaker's window of 61s is shorter than two attempts of 31s",
            "open for 61s at first, but 60s at most",
            "limit.in_flight_max is zero",
            "limit.queue_wait_max is zero",
        ]
    );
}

#[test]
fn every_zero_is_found() {
    let mut params = Params::standard();
    params.timeout.total = Duration::ZERO;
    params.timeout.attempt = Duration::ZERO;
    params.timeout.connect = Duration::ZERO;
    let backoff = &mut params.retry.as_mut().unwrap().backoff;
    backoff.base = Duration::ZERO;
    backoff.cap = Duration::ZERO;
    let breaker = params.breaker.as_mut().unwrap();
    breaker.window = Duration::ZERO;
    breaker.open = Duration::ZERO;
    breaker.open_max = Duration::ZERO;
    let keys = [
        ParamKey::Total,
        ParamKey::Attempt,
        ParamKey::Connect,
        ParamKey::BackoffBase,
        ParamKey::BackoffCap,
        ParamKey::Window,
        ParamKey::Open,
        ParamKey::OpenMax,
    ];
    assert_eq!(params.check(), keys.map(|key| ParamProblem::Zero { key }));
}

#[test]
fn a_policy_without_parts_is_sound() {
    let params = Params {
        retry: None,
        budget: None,
        breaker: None,
        limit: None,
        adaptive: None,
        rate: None,
        ..Params::standard()
    };
    assert_eq!(params.check(), []);
    assert_eq!(params.worst_case().answer(), params.timeout.attempt);
    assert!(params.describe().contains("breaker   off\n"));
}
