//! Which combinations are refused, and that no number makes the check itself fail.

use std::time::Duration;

use proptest::prelude::*;
use seawall_core::{Code, Priority};
use seawall_policy::{
    ParamKey, ParamProblem, Params, adaptive, backoff, breaker, budget, bulkhead, cache, hedge,
    outlier, rate, retry, shed, timeout,
};

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

#[track_caller]
fn check(params: Params, expected: &[&str]) {
    let found: Vec<String> = params.check().iter().map(ToString::to_string).collect();
    assert_eq!(found, expected);
}

#[test]
fn the_ready_made_policies_have_no_problem() {
    for params in
        [Params::standard(), Params::bare(), Params::polly_standard(), Params::envoy_like()]
    {
        assert_eq!(params.check(), [], "{}", params.describe());
    }
}

#[test]
fn a_learned_limit_needs_a_limit_and_lies_within_it() {
    let adaptive = |min, initial| Some(adaptive::Params { min, initial });
    let standard = Params::standard;
    check(Params { adaptive: adaptive(4, 256), ..standard() }, &[]);
    check(
        Params { adaptive: adaptive(4, 50), limit: None, ..standard() },
        &["adaptive does nothing without limit"],
    );
    check(
        Params { adaptive: adaptive(10_002, 10_001), ..standard() },
        &[
            "adaptive.min is 10002, more than adaptive.initial, 10001",
            "adaptive.initial is 10001, more than limit.in_flight_max, 10000",
        ],
    );
    check(
        Params { adaptive: adaptive(0, 0), ..standard() },
        &["adaptive.min is zero", "adaptive.initial is zero"],
    );
}

#[test]
fn a_hedged_attempt_that_comes_too_late_is_found() {
    let with = |hedge| Params { hedge: Some(hedge), ..Params::standard() };
    let fixed = |after, extra_max| hedge::Params {
        after: hedge::After::Fixed(after),
        extra_max,
        ..Default::default()
    };
    check(with(fixed(ms(8_999), 3)), &[]);
    check(
        with(fixed(ms(9_000), 1)),
        &[
            "1 × 9s until the last hedged attempt is too late: an attempt ends after 9s, everything \
         after 30s",
        ],
    );
    let mut short = with(fixed(ms(500), 2));
    short.timeout = timeout::Params { total: ms(1_000), attempt: ms(1_000), ..short.timeout };
    short.retry = None;
    assert_eq!(
        short.check(),
        [ParamProblem::HedgeTooLate {
            after: ms(500),
            extra_max: 2,
            attempt: ms(1_000),
            total: ms(1_000)
        }]
    );
    check(
        with(hedge::Params {
            after: hedge::After::Quantile(1.0),
            min: ms(9_000),
            extra_max: 4,
            ratio_max: 0.0,
        }),
        &[
            "hedge.extra_max is 4, it must be from 1 to 3",
            "hedge.ratio_max is 0, it must be above 0, at most 1",
            "hedge.after is 1, it must be above 0, below 1",
            "4 × 9s until the last hedged attempt is too late: an attempt ends after 9s, \
             everything after 30s",
        ],
    );
    let at_once = hedge::Params { after: hedge::After::AtOnce, ..Default::default() };
    check(with(at_once), &[]);
}

#[test]
fn a_window_in_which_no_call_fits_is_found() {
    let with = |per_second, kind, keyed| Params {
        rate: Some(rate::Params { per_second, kind, keyed, ..Default::default() }),
        ..Params::standard()
    };
    use rate::RateAlgorithm::{FixedWindow, SlidingWindow};
    check(with(1.0, FixedWindow(ms(1_000)), None), &[]);
    check(
        with(0.5, SlidingWindow(ms(1_000)), Some(rate::Keyed { keys_max: 0 })),
        &[
            "rate.kind.window is 1, it must be long enough for one call",
            "rate.keyed.keys_max is zero",
        ],
    );
    check(with(1.0, FixedWindow(ms(0)), None), &["rate.kind.window is zero"]);
}

#[test]
fn calls_that_matter_more_are_never_to_be_shed_first() {
    let with = |shed| Params { shed: Some(shed), ..Params::standard() };
    let upside_down = shed::Params { load_max: [2.0, 0.8, 0.9, 0.7], ..Default::default() };
    assert_eq!(
        with(upside_down).check(),
        [ParamProblem::ShedUpsideDown { more: Priority::High, less: Priority::Normal }]
    );
    let places = shed::Params { places: [0.5, 0.0, 1.5, 0.5], ..Default::default() };
    check(
        with(places),
        &[
            "shed.places is 0, it must be above 0, at most 1",
            "shed.places is 1.5, it must be above 0, at most 1",
            "calls of high priority would be shed before those of normal priority",
        ],
    );
}

#[test]
fn impossible_shares_of_outlier_detection_are_found() {
    let outlier = outlier::Params {
        interval: ms(0),
        deviations: f64::NAN,
        failures_max: 0.0,
        out: ms(9),
        out_max: ms(3),
        keep_min: 1.5,
        ..Default::default()
    };
    check(
        Params { outlier: Some(outlier), ..Params::standard() },
        &[
            "outlier.interval is zero",
            "outlier.deviations is NaN, it must be at least 0",
            "outlier.failures_max is 0, it must be above 0",
            "outlier.keep_min is 1.5, it must be from 0 to 1",
            "outlier.out is 9ms, longer than outlier.out_max, 3ms",
        ],
    );
}

#[test]
fn a_cache_that_can_keep_nothing_is_found() {
    let cache = cache::Params { entries_max: 0, bytes_max: 10, ..Default::default() };
    check(
        Params { cache: Some(cache), ..Params::standard() },
        &[
            "cache.entries_max is zero",
            "cache.answer_bytes_max is 1048576, more than cache.bytes_max, 10",
        ],
    );
}

#[test]
fn a_breaker_that_lets_less_through_than_succeeds_is_found() {
    let mode = breaker::Mode::Throttle { multiple: 0.5 };
    let breaker = breaker::Params { mode, ..Default::default() };
    check(
        Params { breaker: Some(breaker), ..Params::standard() },
        &["breaker.mode.multiple is 0.5, it must be at least 1"],
    );
}

#[test]
fn a_budget_of_nothing_is_found() {
    let mut params = Params::standard();
    params.budget.as_mut().unwrap().in_flight_ratio = 0.0;
    check(params, &["budget.in_flight_ratio is 0, it must be above 0, at most 1"]);
}

#[test]
fn every_key_has_a_path_of_its_own() {
    let mut paths: Vec<&str> = ParamKey::ALL.iter().map(|key| key.as_str()).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), ParamKey::ALL.len());
}

/// Returns a number that somebody might write, or that breaks arithmetic.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        -2.0..2.0,
        0.0..1e6,
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(f64::NEG_INFINITY),
        Just(f64::MAX),
    ]
}

fn duration() -> impl Strategy<Value = Duration> {
    prop_oneof![
        Just(Duration::ZERO),
        (0_u64..60_000).prop_map(ms),
        any::<u64>().prop_map(Duration::from_nanos),
        Just(Duration::MAX),
    ]
}

fn count() -> impl Strategy<Value = u32> {
    prop_oneof![0_u32..5, any::<u32>(), Just(u32::MAX)]
}

fn inner() -> impl Strategy<Value = Params> {
    let numbers = proptest::collection::vec(number(), 24);
    let durations = proptest::collection::vec(duration(), 20);
    let counts = proptest::collection::vec(count(), 20);
    (numbers, durations, counts, any::<u32>()).prop_map(|(n, d, c, bits)| {
        let is = |bit: u32| bits >> bit & 1 == 1;
        let kinds = [
            rate::RateAlgorithm::TokenBucket,
            rate::RateAlgorithm::FixedWindow(d[4]),
            rate::RateAlgorithm::SlidingWindow(d[5]),
        ];
        Params {
            cache: is(0).then(|| cache::Params {
                fresh_for: d[6],
                entries_max: c[0],
                bytes_max: c[1].into(),
                ..Default::default()
            }),
            coalesce: is(1),
            counts_throttled: is(19),
            timeout: timeout::Params {
                total: d[0],
                attempt: d[1],
                connect: d[2],
                idle: d[3],
                stream_idle: d[3],
            },
            shed: is(2).then(|| shed::Params {
                load_max: [n[0], n[1], n[2], n[3]],
                places: [n[4], n[5], n[6], n[7]],
            }),
            rate: is(3).then(|| rate::Params {
                per_second: n[8],
                burst: c[2],
                kind: kinds[(bits >> 20) as usize % 3],
                keyed: is(4).then_some(rate::Keyed { keys_max: c[3] }),
            }),
            retry: is(5).then(|| retry::Params {
                attempts_max: c[4],
                on: retry::On {
                    codes: [u16::MAX, 0, 1, 2].map(Code::from).to_vec(),
                    ..Default::default()
                },
                backoff: backoff::Params { base: d[7], cap: d[8], ..Default::default() },
                any_method: is(6),
                ..Default::default()
            }),
            budget: is(7).then(|| budget::Params {
                ratio: n[9],
                floor_per_second: n[10],
                in_flight_ratio: n[11],
                in_flight_min: c[5],
            }),
            hedge: is(8).then(|| hedge::Params {
                after: if is(9) {
                    hedge::After::Fixed(d[9])
                } else {
                    hedge::After::Quantile(n[12])
                },
                min: d[10],
                extra_max: c[6],
                ratio_max: n[13],
            }),
            outlier: is(10).then(|| outlier::Params {
                interval: d[11],
                deviations: n[14],
                failures_max: n[15],
                out: d[12],
                out_max: d[13],
                keep_min: n[16],
                ..Default::default()
            }),
            breaker: is(11).then(|| breaker::Params {
                ratio: n[17],
                calls_min: c[7],
                window: d[14],
                open: d[15],
                open_max: d[16],
                probes: c[8],
                mode: match is(12) {
                    true => breaker::Mode::Throttle { multiple: n[18] },
                    false => breaker::Mode::Break,
                },
                recovery: d[17],
                slow: is(11).then_some(d[3]),
                ..Default::default()
            }),
            limit: is(13).then(|| bulkhead::Params {
                in_flight_max: c[9],
                queue_max: c[10],
                queue_wait_max: d[18],
                ..Default::default()
            }),
            adaptive: is(14).then(|| adaptive::Params { min: c[11], initial: c[12] }),
        }
    })
}

proptest! {
    #[test]
    fn no_number_makes_the_check_or_the_description_fail(params in inner()) {
        for problem in params.check() {
            prop_assert!(!problem.to_string().is_empty());
        }
        let text = params.describe();
        prop_assert!(text.ends_with('\n') && text.contains("at worst"));
        prop_assert_eq!(text.lines().count(), 14);
        prop_assert!(params.worst_case().answer() <= params.timeout.total);
    }
}
