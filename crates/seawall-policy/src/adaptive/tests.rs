//! What is learned from one window to the next, number by number.

use super::*;

const PARAMS: Params = Params { min: 1, initial: 100 };
const MAX: u32 = 1000;
const QUICK: Duration = Duration::from_millis(10);

/// Ends so many attempts at an instant, counted from the beginning; returns the changes.
fn end(
    adaptive: &Adaptive,
    count: u32,
    (outcome, took): (Outcome, Duration),
    in_flight: u32,
    at: Duration,
) -> Vec<LimitChange> {
    let now = adaptive.epoch + at;
    (0..count)
        .filter_map(|_| adaptive.record(&PARAMS, MAX, took, outcome, in_flight, now))
        .collect()
}

/// Returns how many quick answers it takes at one instant until something is learned.
fn needed(in_flight: u32, at: Duration) -> Option<u32> {
    let adaptive = Adaptive::new(Instant::now());
    (1..=200).find(|_| {
        end(&adaptive, 1, (Outcome::Success, QUICK), in_flight, at);
        !adaptive.usual().is_zero()
    })
}

/// Returns one that knows how long answers usually take, after its first window.
fn knows() -> Adaptive {
    let adaptive = Adaptive::new(Instant::now());
    end(&adaptive, SAMPLES, (Outcome::Success, QUICK), 1, WINDOW);
    assert!(!adaptive.usual().is_zero());
    adaptive
}

#[test]
fn a_window_is_whole_after_enough_answers_and_its_time() {
    assert_eq!(needed(1, WINDOW), Some(30));
    assert_eq!(needed(1, WINDOW - Duration::from_nanos(1)), None);
    // After eight times as long, a few will do.
    assert_eq!(needed(1, 8 * WINDOW), Some(8));
    assert_eq!(needed(1, 8 * WINDOW - Duration::from_nanos(1)), Some(30));
}

#[test]
fn the_first_answers_of_many_that_began_together_are_not_the_usual() {
    assert_eq!(needed(100, WINDOW), Some(50), "half of them");
    assert_eq!(needed(101, 8 * WINDOW), Some(50));
}

#[test]
fn before_the_first_cut_each_quick_answer_makes_room_for_one_more() {
    let adaptive = Adaptive::new(Instant::now());
    let answer = |took, in_flight| end(&adaptive, 1, (Outcome::Success, took), in_flight, QUICK);
    let room = |from| vec![LimitChange { from, to: from + 1, why: LimitReason::Room }];
    assert_eq!(answer(QUICK, 49), [], "not half of the places are taken");
    assert_eq!(answer(QUICK, 50), room(100));
    assert_eq!(adaptive.limit(&PARAMS, MAX), 101);
    assert_eq!(answer(3 * QUICK, 60), room(101), "three times as long as the quickest");
    assert_eq!(answer(3 * QUICK + Duration::from_nanos(1), 60), []);
    let full = adaptive.record(&PARAMS, 102, QUICK, Outcome::Success, 60, adaptive.epoch);
    assert_eq!(full, None, "there are no more than 102");
}

#[test]
fn once_the_usual_is_known_an_eighth_more_is_quick() {
    let adaptive = knows();
    let usual = adaptive.usual();
    let limit = adaptive.limit(&PARAMS, MAX);
    let answer = |took| end(&adaptive, 1, (Outcome::Success, took), limit, WINDOW);
    let eighth = Duration::from_nanos(usual.as_nanos() as u64 / 8);
    assert_eq!(answer(usual + eighth + Duration::from_nanos(1)), []);
    let why = LimitReason::Room;
    assert_eq!(answer(usual + eighth), [LimitChange { from: limit, to: limit + 1, why }]);
}

#[test]
fn callers_that_leave_count_as_overload_from_half_again_the_usual_time_on() {
    let left = |just| {
        let adaptive = knows();
        let took = adaptive.usual().mul_f64(LEFT_FOR) - just;
        let left = Outcome::Neutral(Neutral::ClientGone);
        end(&adaptive, 10, (left, took), 1, 2 * WINDOW);
        let usual = (Outcome::Success, adaptive.usual());
        let changes = end(&adaptive, SAMPLES, usual, 1, 2 * WINDOW);
        changes.iter().any(|change| change.why == LimitReason::Overload)
    };
    assert!(left(Duration::ZERO));
    assert!(!left(Duration::from_nanos(1)), "they did not wait for an answer");
}

#[test]
fn no_more_is_allowed_than_half_again_what_has_been_in_flight() {
    let adaptive = Adaptive::new(Instant::now());
    for window in 1..=20 {
        end(&adaptive, 200, (Outcome::Success, QUICK), 100, window * WINDOW);
        // What answers make room for is looked at with the next window.
        end(&adaptive, SAMPLES, (Outcome::Success, 9 * QUICK), 100, window * WINDOW);
    }
    let learned = adaptive.learned.lock().expect("no test panics with it");
    assert_eq!(learned.estimate, 150.0);
}

/// A window with enough answers, of this median in seconds.
fn window(median: f64) -> Seen {
    Seen { seconds: 0.25, samples: 200, overloads: 0, busiest: 100, median }
}

/// What is known where 100 places are right and answers usually take 20 ms.
fn learned() -> Learned {
    Learned { estimate: 100.0, base: 0.02, ..Learned::default() }
}

#[test]
fn the_best_median_is_kept_and_forgotten_slowly() {
    let mut learned = Learned { estimate: 100.0, ..Learned::default() };
    learned.weigh(window(0.02));
    assert_eq!(learned.base, 0.02, "the first is the best");
    learned.weigh(window(0.0));
    assert_eq!(learned.base, 0.02, "no answer says nothing");
    learned.weigh(window(0.025));
    assert_eq!(learned.base, 0.02 * (1.0 + FADE));
    learned.weigh(window(0.01));
    assert_eq!(learned.base, 0.01);
}

#[test]
fn few_answers_are_believed_less() {
    let why = |samples| learned().weigh(Seen { samples, ..window(0.03) });
    assert_eq!(why(FEW), Some(LimitReason::Slower));
    assert_eq!(why(FEW - 1), Some(LimitReason::Room));
}

#[test]
fn more_than_two_of_a_hundred_that_fail_for_overload_are_too_many() {
    let why = |overloads| learned().weigh(Seen { samples: 100, overloads, ..window(0.02) });
    assert_eq!(why(2), Some(LimitReason::Room));
    assert_eq!(why(3), Some(LimitReason::Overload));
}

#[test]
fn each_window_with_room_gives_a_little_more_than_the_last() {
    let mut learned = learned();
    assert_eq!(learned.weigh(window(0.02)), Some(LimitReason::Room));
    let first = 100.0 + GROWTH * 10.0 * STREAK;
    assert_eq!(learned.estimate, first);
    learned.weigh(window(0.02));
    let second = first + GROWTH * first.sqrt() * STREAK.powi(2);
    assert!((learned.estimate - second).abs() < 1e-9, "{} is not {second}", learned.estimate);
}

#[test]
fn it_never_grows_by_more_than_half() {
    let mut learned = Learned { estimate: 4.0, streak: 20, ..learned() };
    learned.weigh(window(0.02));
    assert_eq!(learned.estimate, 6.0);
}

#[test]
fn up_to_half_of_what_was_borne_it_grows_by_half() {
    let grown = |estimate| {
        let mut learned = Learned { estimate, borne: 50.0, ..learned() };
        learned.weigh(window(0.02));
        learned.estimate
    };
    assert_eq!(grown(40.0), 60.0);
    assert_eq!(grown(50.0), 50.0 + GROWTH * 50.0_f64.sqrt() * STREAK);
}

#[test]
fn a_limit_that_is_not_half_reached_does_not_grow() {
    let why = |busiest| learned().weigh(Seen { busiest, ..window(0.02) });
    assert_eq!(why(49), None);
    assert_eq!(why(50), Some(LimitReason::Room));
}

#[test]
fn a_cut_goes_on_until_it_is_deep_enough_to_be_looked_at() {
    let mut learned = learned();
    // Twice as long as the best: by a sixth each time or so.
    for _ in 0..2 {
        assert_eq!(learned.weigh(window(0.04)), Some(LimitReason::Slower));
    }
    assert_eq!(learned.borne, 50.0);
    assert!(learned.estimate <= CUT_ENOUGH * 100.0, "{}", learned.estimate);
    // Two medians are over within one window, and answers are no quicker.
    assert_eq!(learned.weigh(window(0.04)), Some(LimitReason::NotOurs));
    assert_eq!((learned.estimate, learned.base), (100.0, 0.04));
}

/// Cuts deep, and then sees this median in a window that is long enough for it to show.
fn after_a_cut(median: f64) -> (Option<LimitReason>, Learned) {
    let cut = Some(Cut { first: 90.0, limit: 40.0, longest: 0.1, since: 0.0 });
    let mut learned = Learned { estimate: 20.0, cut, ..learned() };
    (learned.weigh(window(median)), learned)
}

#[test]
fn a_cut_that_has_helped_goes_on_from_there() {
    let (why, learned) = after_a_cut(HELPED * 0.1);
    assert_eq!(why, Some(LimitReason::Slower));
    let cut = learned.cut.expect("it goes on");
    assert_eq!((cut.first, cut.limit, cut.longest), (90.0, 20.0, HELPED * 0.1));
}

#[test]
fn a_cut_that_has_not_helped_is_taken_back_in_part() {
    let (why, learned) = after_a_cut(HELPED * 0.1 + 1e-6);
    assert_eq!(why, Some(LimitReason::NotOurs));
    // The mean, as ratios go, of where the first cut began and where the last did.
    assert_eq!(learned.estimate, 60.0);
    assert_eq!((learned.held, learned.hold), (HOLD_MIN, HOLD_MIN));
}

#[test]
fn what_a_cut_does_shows_two_medians_later() {
    let mut learned = learned();
    learned.cut = Some(Cut { first: 90.0, limit: 40.0, longest: 0.1, since: 0.0 });
    learned.estimate = 20.0;
    let seen = Seen { seconds: 0.1, ..window(0.1) };
    assert_eq!(learned.weigh(seen), None);
    assert_eq!(learned.weigh(seen), None, "just two");
    assert_eq!(learned.weigh(seen), Some(LimitReason::NotOurs));
}

#[test]
fn each_time_it_is_believed_half_as_often_unless_that_was_long_ago() {
    let hold = |since| {
        let mut learned = Learned { hold: 20, since, ..learned() };
        learned.raise(0.04);
        assert_eq!(learned.held, learned.hold);
        learned.hold
    };
    assert_eq!(hold(80), 40);
    assert_eq!(hold(81), HOLD_MIN);
}
