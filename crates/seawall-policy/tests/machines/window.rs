//! What a window promises, for any history.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_policy::window::Window;

const SECOND: Duration = Duration::from_secs(1);

proptest! {
    /// What is younger than nine tenths of the window counts, what is older than it does not.
    #[test]
    fn a_window_forgets_in_time_and_not_before(
        history in prop::collection::vec((0_u64..400, any::<bool>()), 1..200),
        start in prop_oneof![Just(0_u64), 0_u64..1 << 40],
    ) {
        let epoch = Instant::now();
        let length = SECOND;
        let window = Window::new(epoch);
        let mut now = epoch + Duration::from_millis(start);
        let mut ends: Vec<Instant> = Vec::new();
        for (millis, failed) in history {
            now += Duration::from_millis(millis);
            window.record(length, now, failed);
            ends.push(now);
            let counts = window.counts(length, now);
            let within = |age: Duration| {
                ends.iter().filter(|&&end| now - end < age).count() as u64
            };
            prop_assert!(counts.total >= within(length * 9 / 10));
            prop_assert!(counts.total <= within(length));
            prop_assert!(counts.failures <= counts.total);
        }
    }
}

/// The turns of its buckets wrap around after 19 days at this length.
#[test]
fn a_window_that_was_empty_for_weeks_counts() {
    let epoch = Instant::now();
    let window = Window::new(epoch);
    let now = epoch + Duration::from_millis(1_028_443_238_400);
    window.record(SECOND, now, true);
    assert_eq!(window.counts(SECOND, now).failures, 1);
}

#[test]
fn a_window_of_another_length_starts_anew() {
    let epoch = Instant::now();
    let window = Window::new(epoch);
    window.record(SECOND, epoch, true);
    assert_eq!(window.counts(SECOND, epoch).failures, 1);
    assert_eq!(window.counts(2 * SECOND, epoch).total, 0);
}

#[test]
fn a_full_bucket_keeps_its_ratio() {
    let epoch = Instant::now();
    let window = Window::new(epoch);
    for index in 0..3_000_000_u32 {
        window.record(SECOND, epoch, index % 4 == 0);
    }
    let counts = window.counts(SECOND, epoch);
    let ratio = counts.failures as f64 / counts.total as f64;
    assert!(counts.total > 500_000 && (ratio - 0.25).abs() < 0.001, "{counts:?}");
}

#[test]
fn a_late_thread_counts_into_the_present() {
    let epoch = Instant::now();
    let window = Window::new(epoch);
    let now = epoch + 2 * SECOND;
    window.record(SECOND, now, false);
    window.record(SECOND, now - SECOND, true);
    assert_eq!(window.counts(SECOND, now).total, 2);
}

#[test]
fn a_silence_of_half_an_hour_is_not_taken_for_lateness() {
    let epoch = Instant::now();
    let window = Window::new(epoch);
    window.record(SECOND, epoch, true);
    // The same bucket, 20,000 turns later.
    let now = epoch + 2000 * SECOND;
    window.record(SECOND, now, false);
    let counts = window.counts(SECOND, now);
    assert_eq!((counts.failures, counts.total), (0, 1));
}

#[test]
fn threads_lose_no_count() {
    let epoch = Instant::now();
    let window = Window::new(epoch);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..50_000).for_each(|_| window.record(SECOND, epoch, true)));
        }
    });
    assert_eq!(window.counts(SECOND, epoch).failures, 200_000);
}
