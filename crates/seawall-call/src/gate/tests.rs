//! How places change hands, with any clock.

use std::sync::{Arc, Weak};

use seawall_core::Failure;

use super::*;
use crate::Revocable;

const MILLISECOND: Duration = Duration::from_millis(1);
const MINUTE: Duration = Duration::from_secs(60);
const OVERLOAD: Outcome = Outcome::overload();

/// Holds a gate and its clock.
struct Scene {
    gate: Gate,
    epoch: Instant,
}

impl Scene {
    fn new(params: &Params) -> Self {
        let epoch = Instant::now();
        Self { gate: Gate::new(params, epoch), epoch }
    }

    fn at(&self, milliseconds: u32) -> Instant {
        self.epoch + MILLISECOND * milliseconds
    }

    fn enter_as(&self, priority: Priority, may_wait: bool, now: Instant) -> Entry<'_> {
        let deadline = Deadline::after(now, MINUTE);
        self.gate.enter(ClientId::NOBODY, priority, may_wait, deadline, now)
    }

    fn take_place(&self, now: Instant) {
        let entry = self.enter_as(Priority::Normal, true, now);
        assert!(matches!(entry, Entry::Admitted), "there is a place");
    }

    fn wait(&self, now: Instant) -> Waiter<'_> {
        match self.enter_as(Priority::Normal, true, now) {
            Entry::Waits(waiter) => waiter,
            _ => panic!("all places are taken, and there is room to wait"),
        }
    }

    /// Tells how attempts ended that took so long.
    fn ended(&self, outcome: Outcome, took: Duration, now: Instant, is_over: bool) {
        self.gate.ended(ClientId::NOBODY, took, outcome, now, is_over);
    }

    /// Lets it learn that answers usually take 20 ms; returns what they are believed to.
    fn learn(&self) -> Duration {
        for _ in 0..30 {
            self.take_place(self.at(0));
        }
        for _ in 0..30 {
            self.ended(Outcome::Success, 20 * MILLISECOND, self.at(250), true);
        }
        let usual = self.gate.learned.usual();
        assert!(!usual.is_zero());
        usual
    }
}

/// Returns numbers with so many places, and as many more that wait for up to a minute.
fn limited(places: u32, adaptive: bool) -> Params {
    let limit = bulkhead::Params {
        in_flight_max: places,
        queue_max: places,
        queue_wait_max: MINUTE,
        ..Default::default()
    };
    let adaptive = adaptive.then(adaptive::Params::default);
    Params { limit: Some(limit), adaptive, ..Params::bare() }
}

fn has_place(mut waiter: Waiter<'_>) -> bool {
    let mut cx = Context::from_waker(std::task::Waker::noop());
    Pin::new(&mut waiter).poll(&mut cx) == Poll::Ready(Word::Place)
}

#[test]
fn one_that_may_not_wait_is_refused_while_no_place_is_free_or_anybody_waits() {
    let shed = Some(shed::Params::default());
    let scene = Scene::new(&Params { shed, ..limited(10, false) });
    let now = scene.at(0);
    let is_full = |priority| matches!(scene.enter_as(priority, false, now), Entry::Full);
    (0..9).for_each(|_| scene.take_place(now));
    let waits = scene.enter_as(Priority::Low, true, now);
    assert!(matches!(waits, Entry::Waits(_)), "low priority has eight of ten");
    assert!(is_full(Priority::Normal), "somebody waits");
    drop(waits);
    assert!(!is_full(Priority::Normal));
    assert!(is_full(Priority::Normal), "that was the last");
    assert_eq!(scene.gate.counts().waiting, 0);
}

#[test]
fn a_failure_gives_its_place_to_who_waits() {
    let scene = Scene::new(&limited(1, true));
    scene.take_place(scene.at(0));
    let waiter = scene.wait(scene.at(0));
    scene.ended(Outcome::Failure(Failure::Connect), MILLISECOND, scene.at(1), true);
    assert!(has_place(waiter));
}

#[test]
fn an_answer_makes_room_for_who_waits_when_its_body_begins() {
    let adaptive = Some(adaptive::Params { min: 1, initial: 1 });
    let scene = Scene::new(&Params { adaptive, ..limited(4, true) });
    // The first answer makes room for a second place, one that takes ten times as long for none.
    scene.take_place(scene.at(0));
    scene.ended(Outcome::Success, MILLISECOND, scene.at(1), true);
    (0..2).for_each(|_| scene.take_place(scene.at(1)));
    let waiter = scene.wait(scene.at(1));
    scene.ended(Outcome::Success, 10 * MILLISECOND, scene.at(11), false);
    assert_eq!(scene.gate.counts().places, 2);
    assert!(has_place(waiter));
}

#[test]
fn who_waits_is_let_in_when_the_limit_grows() {
    let scene = Scene::new(&limited(1000, true));
    scene.take_place(scene.at(0));
    scene.ended(Outcome::Success, MILLISECOND, scene.at(1), true);
    let places = scene.gate.counts().places;
    (0..places).for_each(|_| scene.take_place(scene.at(1)));
    // Too slow to make room one by one.
    let took = 90 * MILLISECOND;
    for _ in 0..60 {
        scene.ended(Outcome::Success, took, scene.at(100), true);
        scene.take_place(scene.at(100));
    }
    let waiter = scene.wait(scene.at(100));
    // The window ends with an attempt that gives no place back.
    scene.ended(OVERLOAD, took, scene.at(250), false);
    assert!(scene.gate.counts().places > places, "{:?}", scene.gate.counts());
    assert!(has_place(waiter));
}

#[test]
fn an_answer_ends_what_was_given_up_a_whole_answer_before_it_began() {
    let scene = Scene::new(&limited(9, false));
    for now in [0, 100, 200] {
        scene.take_place(scene.at(now));
    }
    let until = scene.at(60_000);
    for began in [0, 100] {
        scene.gate.abandon(ClientId::NOBODY, scene.at(began), until, scene.at(200));
    }
    let ghosts = || scene.gate.counts().ghosts;
    assert_eq!(ghosts(), 2);
    scene.ended(Outcome::Failure(Failure::Connect), MILLISECOND, scene.at(201), true);
    assert_eq!(ghosts(), 2, "a failure says nothing of what is worked on");
    scene.take_place(scene.at(220));
    // Began at 220, so what began at 190 or before is done with.
    scene.ended(Outcome::Success, 30 * MILLISECOND, scene.at(250), true);
    assert_eq!(ghosts(), 0);
}

#[test]
fn an_answer_says_nothing_of_what_was_given_up_later() {
    let scene = Scene::new(&limited(9, false));
    scene.take_place(scene.at(0));
    scene.take_place(scene.at(100));
    scene.gate.abandon(ClientId::NOBODY, scene.at(100), scene.at(60_000), scene.at(110));
    scene.ended(Outcome::Success, 120 * MILLISECOND, scene.at(120), true);
    assert_eq!(scene.gate.counts().ghosts, 1);
}

#[test]
fn a_wait_is_as_long_as_callers_who_left_say() {
    let scene = Scene::new(&limited(40, true));
    let wait_max = |scene: &Scene| {
        let waiter = scene.wait(scene.at(300));
        waiter.wait_max
    };
    let usual = scene.learn();
    (0..40).for_each(|_| scene.take_place(scene.at(300)));
    let patient = Duration::from_secs(1) - usual * 3 / 2;
    assert_eq!(wait_max(&scene), patient, "a second where nobody has left");
    // Of each it is known with the next that nobody was answered in between.
    (0..5).for_each(|at| scene.gate.left(100 * MILLISECOND, scene.at(300 + 50 * at)));
    assert_eq!(wait_max(&scene), 100 * MILLISECOND - usual * 3 / 2);
}

/// An answer that waits for its caller for as long as it is asked.
struct Unread(Instant);

impl Revocable for Unread {
    fn waits_since(&self) -> Option<Instant> {
        Some(self.0)
    }

    fn waiting_beside(&self) -> u32 {
        1
    }

    fn revoke(&self) -> bool {
        true
    }
}

#[test]
fn no_answer_is_looked_for_while_there_is_a_place() {
    let scene = Scene::new(&limited(2, false));
    let late = scene.at(5000);
    let answer: Arc<dyn Revocable> = Arc::new(Unread(scene.at(0)));
    scene.take_place(scene.at(0));
    assert_eq!(scene.gate.next_look(late), None);
    scene.gate.readers.add(ClientId::NOBODY, Arc::downgrade(&answer) as Weak<dyn Revocable>);
    assert!(!scene.gate.make_room(ClientId::of(1), late), "there is one place left");
    assert_eq!(scene.gate.next_look(late), None);
    scene.take_place(scene.at(0));
    assert_eq!(scene.gate.next_look(late), Some(late + readers::PATIENCE));
    assert!(scene.gate.make_room(ClientId::of(1), late));
    drop(answer);
    assert!(!scene.gate.make_room(ClientId::of(1), late), "it has gone");
}

#[test]
fn where_no_answer_can_give_its_place_back_nobody_looks() {
    let scene = Scene::new(&limited(1, false));
    scene.take_place(scene.at(0));
    assert_eq!(scene.gate.next_look(scene.at(0)), None);
}
