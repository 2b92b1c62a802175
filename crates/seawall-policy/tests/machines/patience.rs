//! What is learned from callers that leave.

use std::time::{Duration, Instant};

use seawall_policy::patience::{Patience, worth};

const fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

const USUAL: Duration = ms(20);
const MINUTES_5: Duration = Duration::from_secs(300);

/// Longer than those are apart who leave together.
const APART: Duration = ms(50);

/// What is known of callers, some of whom leave.
struct Scene {
    patience: Patience,
    ended: u64,
    now: Instant,
}

impl Scene {
    fn new() -> Self {
        Self { patience: Patience::default(), ended: 0, now: Instant::now() }
    }

    /// Lets callers leave one after the other who had waited for so long, while nobody is answered.
    fn left(&mut self, ages: impl IntoIterator<Item = u64>) {
        for age in ages {
            self.patience.left(ms(age), USUAL, self.ended, self.now);
            self.now += APART;
        }
        // Of the last it is known with the next, who is one of many.
        self.patience.left(ms(1), Duration::ZERO, self.ended, self.now);
        (self.ended, self.now) = (self.ended + 21, self.now + APART);
    }

    fn estimate(&self) -> Duration {
        self.patience.estimate(USUAL, self.now)
    }
}

#[test]
fn of_whom_nothing_is_known_waits_ten_answers_and_at_least_a_second() {
    let (patience, now) = (Patience::default(), Instant::now());
    assert_eq!(patience.estimate(USUAL, now), ms(1000));
    assert_eq!(patience.estimate(ms(200), now), ms(2000));
}

#[test]
fn four_who_left_say_how_long_callers_wait() {
    let mut scene = Scene::new();
    scene.left([400, 300, 100]);
    assert_eq!(scene.estimate(), ms(1000), "three are too few");
    scene.left([200]);
    // A quarter of them left sooner.
    assert_eq!(scene.estimate(), ms(200));
}

#[test]
fn a_program_that_ends_with_all_its_calls_says_nothing_of_others() {
    let mut scene = Scene::new();
    for _ in 0..10 {
        for _ in 0..64 {
            scene.patience.left(ms(40), USUAL, scene.ended, scene.now);
            scene.now += Duration::from_micros(100);
        }
        // So many are answered before the next one ends.
        (scene.ended, scene.now) = (scene.ended + 64 * 20 + 1, scene.now + ms(2000));
    }
    assert_eq!(scene.estimate(), ms(1000));
}

#[test]
fn who_leaves_while_most_stay_says_nothing_of_them() {
    let check = |ended_between: u64, want: Duration| {
        let mut scene = Scene::new();
        for _ in 0..10 {
            scene.patience.left(ms(40), USUAL, scene.ended, scene.now);
            (scene.ended, scene.now) = (scene.ended + ended_between, scene.now + APART);
        }
        assert_eq!(scene.estimate(), want, "{ended_between}");
    };
    check(21, ms(1000));
    check(20, ms(40));
}

#[test]
fn the_newest_32_count() {
    let mut scene = Scene::new();
    scene.left((1..=32).map(|age| 100 * age));
    assert_eq!(scene.estimate(), ms(900));
    // The eight who left first, and soonest, are forgotten, and then all.
    scene.left([9000; 8]);
    assert_eq!(scene.estimate(), ms(1700));
    scene.left([5000; 32]);
    assert_eq!(scene.estimate(), ms(5000));
}

#[test]
fn who_leaves_before_an_answer_could_have_come_teaches_nothing() {
    let mut scene = Scene::new();
    scene.left([39; 10]);
    assert_eq!(scene.estimate(), ms(1000));
    scene.left([40; 4]);
    assert_eq!(scene.estimate(), ms(40), "two usual answers are enough");
    let mut scene = Scene::new();
    for _ in 0..10 {
        scene.patience.left(Duration::ZERO, Duration::ZERO, 0, scene.now);
        scene.now += APART;
    }
    assert_eq!(scene.estimate(), ms(1000), "nobody waits for no time at all");
}

#[test]
fn less_than_a_millisecond_is_not_nothing() {
    let (mut patience, mut now) = (Patience::default(), Instant::now());
    for _ in 0..5 {
        patience.left(Duration::from_micros(700), Duration::from_micros(200), 0, now);
        now += APART;
    }
    assert_eq!(patience.estimate(USUAL, now), Duration::from_micros(700));
}

#[test]
fn what_was_learned_is_forgotten_five_minutes_after_the_last_one_left() {
    let mut scene = Scene::new();
    scene.left([200; 8]);
    // The last one of them left so long ago.
    let end = scene.now - 2 * APART + MINUTES_5;
    assert_eq!(scene.patience.estimate(USUAL, end), ms(200));
    assert_eq!(scene.patience.estimate(USUAL, end + ms(1)), ms(1000));
    scene.now = end;
    scene.left([100]);
    assert_eq!(scene.patience.estimate(USUAL, end + ms(1)), ms(200), "it is the ninth");
    scene.now = end + MINUTES_5 + ms(1);
    scene.left([500; 3]);
    assert_eq!(scene.estimate(), ms(1000), "they are the first three");
    scene.left([500]);
    assert_eq!(scene.estimate(), ms(500));
}

#[test]
fn a_wait_is_worth_what_patience_leaves_after_an_answer_and_a_half() {
    assert_eq!(worth(ms(500), ms(100)), ms(350));
    assert_eq!(worth(ms(500), ms(400)), ms(125), "never less than a quarter");
}
