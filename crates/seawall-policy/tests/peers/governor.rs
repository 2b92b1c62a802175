//! The token bucket beside that of `governor`, which counts by the same algorithm.

use std::num::NonZeroU32;
use std::time::{Duration, Instant};

use governor::clock::{Clock, FakeRelativeClock};
use governor::{Quota, RateLimiter};
use proptest::prelude::*;
use seawall_policy::rate::{self, Rate};

/// Rates whose interval is a whole number of nanoseconds, so that nobody rounds.
const PER_SECOND: [u32; 8] = [1, 2, 5, 8, 50, 1_000, 40_000, 1_000_000];

proptest! {
    #[test]
    fn the_same_calls_are_admitted_and_the_same_waits_are_told(
        per_second in prop::sample::select(&PER_SECOND[..]),
        burst in 1_u32..50,
        gaps in prop::collection::vec(
            prop_oneof![2 => Just(0_u64), 2 => 0_u64..3_000_000, 1 => 0_u64..3_000_000_000],
            1..300,
        ),
    ) {
        let interval = Duration::from_secs(1) / per_second;
        let burst = NonZeroU32::new(burst).expect("it is at least one");
        let quota = Quota::with_period(interval).expect("it is not zero").allow_burst(burst);
        let clock = FakeRelativeClock::default();
        let theirs = RateLimiter::direct_with_clock(quota, clock.clone());

        let epoch = Instant::now();
        let ours = Rate::new(epoch);
        let params = rate::Params {
            per_second: f64::from(per_second),
            burst: burst.get(),
            ..rate::Params::default()
        };
        let mut now = epoch;
        for gap in gaps {
            let gap = Duration::from_nanos(gap);
            clock.advance(gap);
            now += gap;
            let theirs = theirs.check().map_err(|until| until.wait_time_from(clock.now()));
            prop_assert_eq!(ours.take(&params, None, now), theirs);
        }
    }
}
