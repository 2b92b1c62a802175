//! What a rate limit promises, for any history.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_policy::rate::{self, Keyed, Rate, RateAlgorithm, RemainingQuota};

const SECOND: Duration = Duration::from_secs(1);
const MILLISECOND: Duration = Duration::from_millis(1);

#[test]
fn a_quiet_second_does_not_save_up_more_than_the_burst() {
    let epoch = Instant::now();
    let rate = Rate::new(epoch);
    let params = rate::Params { per_second: 10.0, burst: 3, ..Default::default() };
    let now = epoch + 100 * SECOND;
    assert_eq!((0..10).filter(|_| rate.take(&params, None, now).is_ok()).count(), 3);
    assert_eq!(rate.take(&params, None, now), Err(100 * MILLISECOND));
    assert_eq!(rate.take(&params, None, now + 99 * MILLISECOND), Err(MILLISECOND));
    assert_eq!(rate.take(&params, None, now + 100 * MILLISECOND), Ok(()));
}

#[test]
fn a_faster_rate_counts_at_once() {
    let epoch = Instant::now();
    let rate = Rate::new(epoch);
    let slow = rate::Params { per_second: 0.01, burst: 10, ..Default::default() };
    while rate.take(&slow, None, epoch).is_ok() {}
    let fast = rate::Params { per_second: 100.0, burst: 10, ..Default::default() };
    assert_eq!(rate.take(&fast, None, epoch), Err(10 * MILLISECOND));
    assert_eq!(rate.take(&fast, None, epoch + 10 * MILLISECOND), Ok(()));
}

#[test]
fn a_rate_of_nothing_admits_nothing() {
    let epoch = Instant::now();
    for per_second in [0.0, -1.0, f64::NAN] {
        let params = rate::Params { per_second, burst: 1, ..Default::default() };
        assert_eq!(Rate::new(epoch).take(&params, None, epoch), Err(Duration::MAX));
    }
}

#[test]
fn rounding_never_gives_more() {
    let epoch = Instant::now();
    let rate = Rate::new(epoch);
    let params = rate::Params { per_second: 3e8, burst: 1, ..Default::default() };
    let admitted = (0..1000)
        .filter(|nanos| rate.take(&params, None, epoch + Duration::from_nanos(*nanos)).is_ok())
        .count();
    assert!((200..=301).contains(&admitted), "{admitted} in a microsecond");
}

#[test]
fn each_caller_has_a_limit_of_its_own() {
    let epoch = Instant::now();
    let rate = Rate::new(epoch);
    let keyed = Some(Keyed { keys_max: 1000 });
    let params = rate::Params { per_second: 10.0, burst: 3, keyed, ..Default::default() };
    let taken = |key| (0..10).filter(|_| rate.take(&params, Some(key), epoch).is_ok()).count();
    assert_eq!((taken(1), taken(2), taken(1)), (3, 3, 0));
}

#[test]
fn callers_without_a_key_are_one_caller() {
    let epoch = Instant::now();
    let rate = Rate::new(epoch);
    let keyed = Some(Keyed { keys_max: 1000 });
    let params = rate::Params { per_second: 10.0, burst: 3, keyed, ..Default::default() };
    assert_eq!((0..10).filter(|_| rate.take(&params, None, epoch).is_ok()).count(), 3);
}

#[test]
fn a_fixed_window_begins_anew() {
    let epoch = Instant::now();
    let rate = Rate::new(epoch);
    let kind = RateAlgorithm::FixedWindow(SECOND);
    let params = rate::Params { per_second: 5.0, kind, ..Default::default() };
    let late = epoch + 900 * MILLISECOND;
    assert_eq!((0..10).filter(|_| rate.take(&params, None, late).is_ok()).count(), 5);
    assert_eq!(rate.take(&params, None, late), Err(100 * MILLISECOND));
    let room = RemainingQuota { limit: 5, remaining: 0, reset: 100 * MILLISECOND };
    assert_eq!(rate.room(&params, None, late), room);
    let next = epoch + SECOND;
    assert_eq!((0..10).filter(|_| rate.take(&params, None, next).is_ok()).count(), 5);
}

#[test]
fn however_many_threads_ask_no_more_than_the_burst_is_given() {
    let epoch = Instant::now();
    for kind in [
        RateAlgorithm::TokenBucket,
        RateAlgorithm::FixedWindow(SECOND),
        RateAlgorithm::SlidingWindow(SECOND),
    ] {
        let rate = Rate::new(epoch);
        let params = rate::Params { per_second: 100.0, burst: 100, kind, ..Default::default() };
        let taken: usize = std::thread::scope(|scope| {
            let ask = || (0..200).filter(|_| rate.take(&params, None, epoch).is_ok()).count();
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(ask)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no thread panics")).sum()
        });
        assert_eq!(taken, 100, "{kind:?}");
    }
}

#[test]
fn what_is_left_of_a_bucket_is_told() {
    let epoch = Instant::now();
    let rate = Rate::new(epoch);
    let params = rate::Params { per_second: 10.0, burst: 5, ..Default::default() };
    for left in (0..5).rev() {
        assert_eq!(rate.take(&params, None, epoch), Ok(()));
        let reset = (5 - left) * 100 * MILLISECOND;
        let room = RemainingQuota { limit: 5, remaining: u64::from(left), reset };
        assert_eq!(rate.room(&params, None, epoch), room);
    }
}

proptest! {
    /// The wait that a refusal names is long enough, and no span of the window's length ever holds
    /// more than its number.
    #[test]
    fn a_sliding_window_never_holds_more_than_its_number(
        gaps in prop::collection::vec(0_u64..400, 1..300),
        limit in 1_u32..20,
    ) {
        let epoch = Instant::now();
        let rate = Rate::new(epoch);
        let kind = RateAlgorithm::SlidingWindow(SECOND);
        let params = rate::Params { per_second: f64::from(limit), kind, ..Default::default() };
        let (mut now, mut admitted) = (epoch, Vec::new());
        for millis in gaps {
            now += Duration::from_millis(millis);
            match rate.take(&params, None, now) {
                Ok(()) => admitted.push(now),
                Err(wait) => {
                    prop_assert!(wait <= SECOND + SECOND / 10);
                    let room = rate.room(&params, None, now);
                    prop_assert_eq!(room.remaining, 0);
                    now += wait;
                    prop_assert!(rate.take(&params, None, now).is_ok(), "too short a wait");
                    admitted.push(now);
                }
            }
            let held = admitted.iter().filter(|&&at| now - at < SECOND).count();
            prop_assert!(held <= limit as usize, "{held} in a second");
        }
    }
}

proptest! {
    /// Every window of any history is looked at, and the wait that a refusal names is exact.
    #[test]
    fn a_rate_never_admits_more_than_burst_and_rate_in_any_window(
        gaps in prop::collection::vec(prop_oneof![Just(0_u64), 0..2_000_000_u64, 0..2_000_000_000_u64], 1..150),
        per_second in 0.5_f64..5000.0,
        burst in 1_u32..20,
    ) {
        let epoch = Instant::now();
        let (rate, params) = (Rate::new(epoch), rate::Params { per_second, burst, ..Default::default() });
        let mut now = epoch;
        let mut admitted: Vec<Instant> = Vec::new();
        for gap in gaps {
            now += Duration::from_nanos(gap);
            match rate.take(&params, None, now) {
                Ok(()) => admitted.push(now),
                Err(wait) => {
                    prop_assert!(rate.take(&params, None, now + wait - Duration::from_nanos(1)).is_err());
                }
            }
        }
        for (first, &from) in admitted.iter().enumerate() {
            for (last, &to) in admitted.iter().enumerate().skip(first) {
                let most = f64::from(burst) + (to - from).as_secs_f64() * per_second;
                prop_assert!((last - first + 1) as f64 <= most + 1e-6);
            }
        }
    }

    /// Who waits as long as he is told gets in.
    #[test]
    fn the_wait_that_a_refusal_names_is_enough(
        takes in 1_u32..200,
        per_second in 0.5_f64..5000.0,
        burst in 1_u32..20,
    ) {
        let epoch = Instant::now();
        let (rate, params) = (Rate::new(epoch), rate::Params { per_second, burst, ..Default::default() });
        let mut now = epoch;
        for _ in 0..takes {
            if let Err(wait) = rate.take(&params, None, now) {
                now += wait;
                prop_assert_eq!(rate.take(&params, None, now), Ok(()));
            }
        }
    }
}

#[test]
fn windows_of_different_lengths_do_not_empty_each_other() {
    let epoch = Instant::now();
    let rate = Rate::new(epoch);
    let window = |kind| rate::Params { per_second: 1.0, kind, ..Default::default() };
    let ten = Duration::from_secs(10);
    for (one, other) in [
        (RateAlgorithm::SlidingWindow(ten), RateAlgorithm::SlidingWindow(2 * ten)),
        (RateAlgorithm::FixedWindow(ten), RateAlgorithm::FixedWindow(2 * ten)),
        (RateAlgorithm::FixedWindow(3 * ten), RateAlgorithm::SlidingWindow(3 * ten)),
    ] {
        let (one, other) = (window(one), window(other));
        let mut admitted = [0, 0];
        for _ in 0..1000 {
            for (count, params) in admitted.iter_mut().zip([&one, &other]) {
                *count += u32::from(rate.take(params, None, epoch).is_ok());
            }
        }
        let limits = [&one, &other].map(|params| rate.room(params, None, epoch).limit as u32);
        assert_eq!(admitted, limits, "{one:?} {other:?}");
    }
}
