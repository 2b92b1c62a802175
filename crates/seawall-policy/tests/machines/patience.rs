//! What is learned from callers that leave.

use std::time::{Duration, Instant};

use seawall_policy::patience::{Patience, worth};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const USUAL: Duration = ms(20);
const MINUTES_5: Duration = Duration::from_secs(300);

/// Lets callers leave at one instant who had waited for so long.
fn left(patience: &mut Patience, ages: impl IntoIterator<Item = u64>, now: Instant) {
    ages.into_iter().for_each(|age| patience.left(ms(age), USUAL, now));
}

#[test]
fn of_whom_nothing_is_known_waits_ten_answers_and_at_least_a_second() {
    let (patience, now) = (Patience::default(), Instant::now());
    assert_eq!(patience.estimate(USUAL, now), ms(1000));
    assert_eq!(patience.estimate(ms(200), now), ms(2000));
}

#[test]
fn four_who_left_say_how_long_callers_wait() {
    let (mut patience, now) = (Patience::default(), Instant::now());
    left(&mut patience, [400, 300, 100], now);
    assert_eq!(patience.estimate(USUAL, now), ms(1000), "three are too few");
    left(&mut patience, [200], now);
    // A quarter of them left sooner.
    assert_eq!(patience.estimate(USUAL, now), ms(200));
}

#[test]
fn the_newest_32_count() {
    let (mut patience, now) = (Patience::default(), Instant::now());
    left(&mut patience, (1..=32).map(|age| 100 * age), now);
    assert_eq!(patience.estimate(USUAL, now), ms(900));
    // The eight who left first, and soonest, are forgotten, and then all.
    left(&mut patience, [9000; 8], now);
    assert_eq!(patience.estimate(USUAL, now), ms(1700));
    left(&mut patience, [5000; 32], now);
    assert_eq!(patience.estimate(USUAL, now), ms(5000));
}

#[test]
fn who_leaves_before_an_answer_could_have_come_teaches_nothing() {
    let (mut patience, now) = (Patience::default(), Instant::now());
    left(&mut patience, [39; 10], now);
    assert_eq!(patience.estimate(USUAL, now), ms(1000));
    left(&mut patience, [40; 4], now);
    assert_eq!(patience.estimate(USUAL, now), ms(40), "two usual answers are enough");
    let mut patience = Patience::default();
    (0..10).for_each(|_| patience.left(Duration::ZERO, Duration::ZERO, now));
    assert_eq!(patience.estimate(USUAL, now), ms(1000), "nobody waits for no time at all");
}

#[test]
fn what_was_learned_is_forgotten_five_minutes_after_the_last_one_left() {
    let (mut patience, now) = (Patience::default(), Instant::now());
    left(&mut patience, [200; 8], now);
    let end = now + MINUTES_5;
    assert_eq!(patience.estimate(USUAL, end), ms(200));
    assert_eq!(patience.estimate(USUAL, end + ms(1)), ms(1000));
    left(&mut patience, [100], end);
    assert_eq!(patience.estimate(USUAL, end + ms(1)), ms(200), "it is the ninth");
    let later = end + MINUTES_5 + ms(1);
    left(&mut patience, [500; 3], later);
    assert_eq!(patience.estimate(USUAL, later), ms(1000), "they are the first three");
    left(&mut patience, [500], later);
    assert_eq!(patience.estimate(USUAL, later), ms(500));
}

#[test]
fn a_wait_is_worth_what_patience_leaves_after_an_answer_and_a_half() {
    assert_eq!(worth(ms(500), ms(100)), ms(350));
    assert_eq!(worth(ms(500), ms(400)), ms(125), "never less than a quarter");
}
