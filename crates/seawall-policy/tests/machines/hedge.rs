//! What hedging promises.

use std::time::{Duration, Instant};

use seawall_policy::hedge::{After, Hedge, Params};
use seawall_policy::timeout;

const MILLISECOND: Duration = Duration::from_millis(1);

/// What an attempt may take.
const ATTEMPT: Duration = Duration::from_secs(9);

#[test]
fn a_quantile_is_what_was_measured() {
    let now = Instant::now();
    let hedge = Hedge::new(now);
    let params = Params { after: After::Quantile(0.95), min: MILLISECOND, ..Params::default() };
    for millis in 1..=1000 {
        hedge.record(millis * MILLISECOND, now);
    }
    let after =
        hedge.after(&params, ATTEMPT, now + Duration::from_secs(1)).expect("enough is known");
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
    assert_eq!(hedge.after(&params, ATTEMPT, now), Some(params.min));
    let fixed = Params { after: After::Fixed(MILLISECOND), ..Params::default() };
    assert_eq!(hedge.after(&fixed, ATTEMPT, now), Some(fixed.min));
    let at_once = Params { after: After::AtOnce, ..Params::default() };
    assert_eq!(hedge.after(&at_once, ATTEMPT, now), Some(Duration::ZERO));
}

#[test]
fn no_more_calls_are_hedged_than_the_share() {
    let hedge = Hedge::new(Instant::now());
    let params = Params { ratio_max: 0.05, ..Params::default() };
    let hedged = (0..10_000)
        .filter(|_| {
            hedge.deposit(&params);
            hedge.afford()
        })
        .count();
    // Ten before anything is saved up; what would be more than ten is not saved.
    assert_eq!(hedged, 509);
}

#[test]
fn good_times_save_up_no_more_than_ten_hedges() {
    let hedge = Hedge::new(Instant::now());
    let params = Params::default();
    (0..100_000).for_each(|_| hedge.deposit(&params));
    assert_eq!((0..100).filter(|_| hedge.afford()).count(), 10);
}

#[test]
fn a_hedge_that_was_not_made_is_paid_back_and_no_more_than_that() {
    let hedge = Hedge::new(Instant::now());
    assert_eq!((0..100).filter(|_| hedge.afford()).count(), 10);
    hedge.deposit(&Params { ratio_max: 1.0, ..Params::default() });
    assert!(hedge.afford() && !hedge.afford());
    hedge.refund();
    assert!(hedge.afford() && !hedge.afford());
    (0..100).for_each(|_| hedge.refund());
    assert_eq!((0..100).filter(|_| hedge.afford()).count(), 10);
}

#[test]
fn a_quantile_of_other_numbers_counts_at_once() {
    let now = Instant::now();
    let hedge = Hedge::new(now);
    (1..=1000).for_each(|millis| hedge.record(millis * MILLISECOND, now));
    let after = |share| {
        let params = Params { after: After::Quantile(share), ..Params::default() };
        hedge.after(&params, ATTEMPT, now).expect("enough is known")
    };
    assert!(after(0.5) < 600 * MILLISECOND && after(0.95) > 900 * MILLISECOND);
}

#[test]
fn while_nothing_is_known_an_attempt_is_slow_after_a_tenth_of_its_time() {
    let now = Instant::now();
    let hedge = Hedge::new(now);
    let params = Params::default();
    assert_eq!(hedge.after(&params, ATTEMPT, now), Some(Duration::from_millis(900)));
    let short = 100 * MILLISECOND;
    assert_eq!(hedge.after(&params, short, now), Some(params.min), "never earlier than the least");
    assert_eq!(hedge.after(&params, timeout::NONE, now), None, "there is nothing to go by");
}
