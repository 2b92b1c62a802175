//! The circuit breaker beside `recloser`, whose window is the last so many calls.
//!
//! Ours is a span of time. They are the same where there is one call for each of its ten parts,
//! and for failures in a row. Both begin with a full window of successes: recloser says nothing
//! before its window is full. Half open they differ on purpose: recloser lets everybody through.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use recloser::{Error, Recloser};
use seawall_core::{Chance, Failure, Outcome};
use seawall_policy::breaker::{Admit, Breaker, Params};

const LEASE: Duration = Duration::from_secs(9);
const FAILED: Outcome = Outcome::Failure(Failure::Reset);

/// Returns whether each call of a history was let through, as recloser decides.
fn theirs(breaker: &Recloser, history: &[bool]) -> Vec<bool> {
    let call = |&fails: &bool| {
        let ended = breaker.call(|| if fails { Err(()) } else { Ok(()) });
        !matches!(ended, Err(Error::Rejected))
    };
    history.iter().map(call).collect()
}

/// Returns the same as we decide, with a call every `pace`.
fn ours(params: &Params, pace: Duration, history: &[bool]) -> Vec<bool> {
    let epoch = Instant::now();
    let (breaker, mut chance) = (Breaker::new(epoch), Chance::seeded(1));
    let call = |(index, &fails): (u32, &bool)| {
        let now = epoch + pace * index;
        let Admit::Pass(grant) = breaker.admit(params, now, LEASE, || 0.5) else { return false };
        let outcome = if fails { FAILED } else { Outcome::Success };
        breaker.record(params, grant, outcome, now, &mut chance);
        true
    };
    (0..).zip(history).map(call).collect()
}

/// Never half open within a test.
const LONG: Duration = Duration::from_secs(100_000);

fn history() -> impl Strategy<Value = Vec<bool>> {
    (0.1_f64..0.95)
        .prop_flat_map(|share| prop::collection::vec(prop::bool::weighted(share), 1..200))
}

proptest! {
    #[test]
    fn a_share_of_the_last_ten_opens_both_on_the_same_call(history in history(), tenths in 1_u8..=10) {
        let window = Duration::from_secs(10);
        let history = [vec![false; 10], history].concat();
        let breaker = Recloser::custom()
            .closed_len(10)
            .error_rate_closed(f32::from(tenths) / 10.0)
            .open_wait(LONG)
            .build();
        let params = Params {
            ratio: f64::from(tenths) / 10.0,
            calls_min: 10,
            window,
            consecutive: 0,
            open: LONG,
            open_max: LONG,
            ..Params::default()
        };
        prop_assert_eq!(ours(&params, window / 10, &history), theirs(&breaker, &history));
    }

    #[test]
    fn so_many_failures_in_a_row_open_both_on_the_same_call(history in history(), row in 1_u8..12) {
        let history = [vec![false; usize::from(row)], history].concat();
        let breaker = Recloser::custom()
            .closed_len(usize::from(row))
            .error_rate_closed(1.0)
            .open_wait(LONG)
            .build();
        let params = Params {
            calls_min: u32::MAX,
            consecutive: u32::from(row),
            open: LONG,
            open_max: LONG,
            ..Params::default()
        };
        prop_assert_eq!(ours(&params, Duration::ZERO, &history), theirs(&breaker, &history));
    }
}
