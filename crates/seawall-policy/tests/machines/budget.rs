//! What a retry budget promises, for any history.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_policy::budget::{self, Budget};

const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_share_of_the_calls_is_exactly_that_share() {
    let epoch = Instant::now();
    for permille in 1..=1000 {
        let budget = Budget::new(epoch);
        let params = budget::Params {
            ratio: f64::from(permille) / 1000.0,
            floor_per_second: 0.0,
            ..Default::default()
        };
        let retries = (0..1000)
            .filter(|_| {
                budget.deposit(&params);
                budget.withdraw(&params, epoch)
            })
            .count();
        assert_eq!(retries, permille as usize);
    }
}

#[test]
fn the_floor_lets_a_quiet_upstream_be_retried() {
    let epoch = Instant::now();
    let budget = Budget::new(epoch);
    let params = budget::Params { ratio: 0.0, floor_per_second: 10.0, ..Default::default() };
    assert_eq!(budget.tokens(&params, epoch), 10.0);
    assert_eq!((0..50).filter(|_| budget.withdraw(&params, epoch)).count(), 10);
    assert_eq!(budget.tokens(&params, epoch + 250 * MILLISECOND), 2.5);
    assert!(budget.withdraw(&params, epoch + 250 * MILLISECOND));
}

#[test]
fn good_times_save_no_more_than_the_reserve() {
    let epoch = Instant::now();
    let budget = Budget::new(epoch);
    // Shares that do not add up to the reserve.
    let params = budget::Params { ratio: 0.3, floor_per_second: 0.0, ..Default::default() };
    for _ in 0..100_000 {
        budget.deposit(&params);
    }
    assert_eq!(budget.tokens(&params, epoch), f64::from(budget::RESERVE));
}

#[test]
fn while_everything_fails_the_upstream_sees_a_fifth_more() {
    let epoch = Instant::now();
    let budget = Budget::new(epoch);
    let params = budget::Params { ratio: 0.2, floor_per_second: 0.0, ..Default::default() };
    let retries = (0..10_000_u32)
        .filter(|index| {
            budget.deposit(&params);
            budget.withdraw(&params, epoch + MILLISECOND * *index)
        })
        .count();
    assert_eq!(retries, 2000);
}

#[test]
fn no_more_retries_are_under_way_than_their_share_of_what_is_in_flight() {
    let budget = Budget::new(Instant::now());
    let params = budget::Params::default();
    assert_eq!((0..1000).filter(|_| budget.begin(&params, 1000)).count(), 200);
    budget.end();
    assert!(budget.begin(&params, 1000), "one that has ended makes room for another");
    assert!(!budget.begin(&params, 1000));
}

#[test]
fn a_few_retries_may_be_under_way_however_little_is_in_flight() {
    let budget = Budget::new(Instant::now());
    let params = budget::Params::default();
    assert_eq!((0..100).filter(|_| budget.begin(&params, 0)).count(), 10);
    assert_eq!(budget.under_way(), 10);
}

#[test]
fn a_budget_is_low_below_half_of_what_there_can_be() {
    let epoch = Instant::now();
    let budget = Budget::new(epoch);
    let params = budget::Params { ratio: 1.0, floor_per_second: 10.0, ..Default::default() };
    assert!(budget.is_low(&params, epoch), "nothing but the floor is there");
    (0..44).for_each(|_| budget.deposit(&params));
    assert!(budget.is_low(&params, epoch), "54 of 110");
    budget.deposit(&params);
    assert!(!budget.is_low(&params, epoch), "55 of 110");
}

proptest! {
    #[test]
    fn no_history_gets_over_the_budget(
        steps in prop::collection::vec((0_u64..500, 0_u32..30, 0_u32..30), 1..200),
        permille in 0_u32..=1000,
        floor in 0_u32..50,
    ) {
        let epoch = Instant::now();
        let budget = Budget::new(epoch);
        let floor = f64::from(floor);
        let params = budget::Params { ratio: f64::from(permille) / 1000.0, floor_per_second: floor, ..Default::default() };
        let mut now = epoch;
        let (mut calls, mut retries) = (0_u32, 0_u32);
        for (millis, deposits, withdrawals) in steps {
            now += Duration::from_millis(millis);
            for _ in 0..deposits {
                budget.deposit(&params);
                calls += 1;
            }
            for _ in 0..withdrawals {
                let tokens = budget.tokens(&params, now);
                let is_paid = budget.withdraw(&params, now);
                retries += u32::from(is_paid);
                // What is shown is what is there: halves of two purses do not make a whole.
                prop_assert!(!is_paid || tokens >= 1.0);
                prop_assert!(is_paid || tokens < 2.0);
            }
            let most = f64::from(calls) * params.ratio
                + floor * ((now - epoch).as_secs_f64() + 1.0);
            prop_assert!(f64::from(retries) <= most + 1e-6, "{retries} of {most}");
        }
    }
}
