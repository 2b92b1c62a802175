//! What outlier detection promises.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_core::{Chance, EjectReason, EndpointId, Failure, Outcome};
use seawall_policy::outlier::{EndpointChange, EndpointPicker, Params, What};

const SECOND: Duration = Duration::from_secs(1);
const FAILED: Outcome = Outcome::Failure(Failure::Reset);

fn pick(endpoints: &EndpointPicker, tried: u64, now: Instant, chance: &mut Chance) -> u16 {
    endpoints.pick(tried, now, chance, |_| true).0
}

#[test]
fn five_failures_in_a_row_take_an_endpoint_out_for_a_while() {
    let now = Instant::now();
    let (endpoints, params) = (EndpointPicker::new(now, 3), Params::default());
    let one = EndpointId(1);
    assert!((0..4).all(|_| endpoints.record(&params, one, FAILED, now).is_none()));
    endpoints.record(&params, one, Outcome::Success, now);
    assert!((0..4).all(|_| endpoints.record(&params, one, FAILED, now).is_none()));
    let what = What::Ejected { ejected_for: 30 * SECOND, why: EjectReason::Consecutive };
    let ejected = Some(EndpointChange { endpoint: one, what });
    assert_eq!(endpoints.record(&params, one, FAILED, now), ejected);
    let mut chance = Chance::seeded(1);
    assert!((0..1000).all(|_| pick(&endpoints, 0, now, &mut chance) != 1));
    let later = now + 30 * SECOND;
    assert!((0..1000).any(|_| pick(&endpoints, 0, later, &mut chance) == 1));
    let returned = Some(EndpointChange { endpoint: one, what: What::Returned });
    assert_eq!(endpoints.record(&params, EndpointId(0), Outcome::Success, later), returned);
}

#[test]
fn an_endpoint_that_succeeds_much_less_often_is_found() {
    let epoch = Instant::now();
    let (endpoints, params) =
        (EndpointPicker::new(epoch, 5), Params { consecutive: 0, ..Params::default() });
    let mut found = None;
    for index in 0..5_000_u32 {
        let now = epoch + Duration::from_millis(5) * index;
        let endpoint = EndpointId((index % 5) as u16);
        let fails = endpoint.0 == 3 && index % 2 == 0;
        let outcome = if fails { FAILED } else { Outcome::Success };
        found = found.or(endpoints.record(&params, endpoint, outcome, now));
    }
    let what = What::Ejected { ejected_for: 30 * SECOND, why: EjectReason::SuccessRate };
    assert_eq!(found, Some(EndpointChange { endpoint: EndpointId(3), what }));
}

#[test]
fn an_endpoint_that_goes_on_failing_is_out_for_longer() {
    let mut now = Instant::now();
    let (endpoints, params) = (EndpointPicker::new(now, 2), Params::default());
    let mut outs = Vec::new();
    while outs.len() < 12 {
        match endpoints.record(&params, EndpointId(0), FAILED, now).map(|change| change.what) {
            Some(What::Ejected { ejected_for, .. }) => {
                outs.push(ejected_for.as_secs());
                now += ejected_for;
            }
            _ => now += Duration::from_millis(1),
        }
    }
    assert_eq!(outs[..3], [30, 60, 90]);
    assert_eq!(outs[11], 300);
}

#[test]
fn a_call_tries_another_endpoint_first() {
    let now = Instant::now();
    let (endpoints, mut chance) = (EndpointPicker::new(now, 3), Chance::seeded(4));
    assert!((0..1000).all(|_| pick(&endpoints, 0b101, now, &mut chance) == 1));
    // All were tried: any will do.
    let again: Vec<_> = (0..1000).map(|_| pick(&endpoints, 0b111, now, &mut chance)).collect();
    assert!((0..3).all(|place| again.contains(&place)));
}

#[test]
fn of_two_the_one_with_less_to_do_is_picked() {
    let now = Instant::now();
    let (endpoints, mut chance) = (EndpointPicker::new(now, 2), Chance::seeded(4));
    (0..10).for_each(|_| endpoints.begin(EndpointId(0)));
    let picks = (0..1000).filter(|_| pick(&endpoints, 0, now, &mut chance) == 1).count();
    assert!((700..800).contains(&picks), "three of four pairs have it: {picks}");
}

#[test]
fn an_open_breaker_is_gone_around() {
    let now = Instant::now();
    let (endpoints, mut chance) = (EndpointPicker::new(now, 3), Chance::seeded(4));
    for _ in 0..100 {
        assert_eq!(endpoints.pick(0, now, &mut chance, |id| id.0 == 2), EndpointId(2));
    }
    // With none to use any is picked, and its breaker answers.
    assert!(endpoints.pick(0, now, &mut chance, |_| false).0 < 3);
}

#[test]
fn a_single_endpoint_is_never_out() {
    let now = Instant::now();
    let (endpoints, params) = (EndpointPicker::new(now, 1), Params::default());
    assert!((0..100).all(|_| endpoints.record(&params, EndpointId(0), FAILED, now).is_none()));
    assert_eq!(pick(&endpoints, 1, now, &mut Chance::seeded(1)), 0);
}

proptest! {
    /// Whatever happens, as many stay in as are to be kept, and none is picked that is out while
    /// another is in.
    #[test]
    fn enough_endpoints_stay_in(
        count in 2_u16..20,
        keep_min in 0.0_f64..1.0,
        steps in prop::collection::vec((0_u64..2_000, any::<u16>(), any::<bool>()), 1..400),
        seed: u64,
    ) {
        let mut now = Instant::now();
        let endpoints = EndpointPicker::new(now, count);
        let params = Params {
            keep_min, consecutive: 2, attempts_min: 1, endpoints_min: 2, ..Params::default()
        };
        let mut chance = Chance::seeded(seed);
        for (millis, place, fails) in steps {
            now += Duration::from_millis(millis);
            let outcome = if fails { FAILED } else { Outcome::Success };
            endpoints.record(&params, EndpointId(place % count), outcome, now);
            let kept = (0..count).filter(|place| !endpoints.is_out(EndpointId(*place), now)).count();
            let kept_min = (keep_min * f64::from(count)).ceil().max(1.0) as usize;
            prop_assert!(kept >= kept_min, "{kept} of {count}, not {kept_min}");
            let picked = pick(&endpoints, 0, now, &mut chance);
            prop_assert!(!endpoints.is_out(EndpointId(picked), now));
        }
    }
}
