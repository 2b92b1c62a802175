//! What hedging promises.

use std::time::{Duration, Instant};

use seawall_policy::hedge::{After, Hedge, Params};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_quantile_is_what_was_measured() {
    let now = Instant::now();
    let hedge = Hedge::new(now);
    let params = Params { after: After::Quantile(0.95), min: MILLISECOND, ..Params::default() };
    assert_eq!(hedge.after(&params, now), None, "nothing is known yet");
    for millis in 1..=1000 {
        hedge.record(millis * MILLISECOND, now);
    }
    let after = hedge.after(&params, now + Duration::from_secs(1)).expect("enough is known");
    assert!((920 * MILLISECOND..980 * MILLISECOND).contains(&after), "{after:?}");
}

#[test]
fn a_hedge_is_never_earlier_than_its_least_delay() {
    let now = Instant::now();
    let hedge = Hedge::new(now);
    for _ in 0..100 {
        hedge.record(MILLISECOND, now);
    }
    let params = Params::default();
    assert_eq!(hedge.after(&params, now), Some(params.min));
    let fixed = Params { after: After::Fixed(MILLISECOND), ..Params::default() };
    assert_eq!(hedge.after(&fixed, now), Some(fixed.min));
    let at_once = Params { after: After::AtOnce, ..Params::default() };
    assert_eq!(hedge.after(&at_once, now), Some(Duration::ZERO));
}

#[test]
fn no_more_calls_are_hedged_than_the_share() {
    let hedge = Hedge::new(Instant::now());
    let params = Params { ratio_max: 0.05, ..Params::default() };
    let hedged = (0..10_000)
        .filter(|_| {
            hedge.deposit(&params);
            hedge.afford(&params)
        })
        .count();
    assert_eq!(hedged, 500);
}

#[test]
fn good_times_save_up_no_more_than_ten_hedges() {
    let hedge = Hedge::new(Instant::now());
    let params = Params::default();
    (0..100_000).for_each(|_| hedge.deposit(&params));
    assert_eq!((0..100).filter(|_| hedge.afford(&params)).count(), 10);
}

#[test]
fn a_hedge_that_was_not_made_is_paid_back_and_no_more_than_that() {
    let hedge = Hedge::new(Instant::now());
    let params = Params { ratio_max: 1.0, ..Params::default() };
    hedge.deposit(&params);
    assert!(hedge.afford(&params) && !hedge.afford(&params));
    hedge.refund();
    assert!(hedge.afford(&params) && !hedge.afford(&params));
    (0..100).for_each(|_| hedge.refund());
    assert_eq!((0..100).filter(|_| hedge.afford(&params)).count(), 10);
}

#[test]
fn a_quantile_of_other_numbers_counts_at_once() {
    let now = Instant::now();
    let hedge = Hedge::new(now);
    (1..=1000).for_each(|millis| hedge.record(millis * MILLISECOND, now));
    let after = |share| {
        let params = Params { after: After::Quantile(share), ..Params::default() };
        hedge.after(&params, now).expect("enough is known")
    };
    assert!(after(0.5) < 600 * MILLISECOND && after(0.95) > 900 * MILLISECOND);
}
