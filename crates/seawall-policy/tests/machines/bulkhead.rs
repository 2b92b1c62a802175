//! What a bulkhead promises, for any history.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use seawall_core::{Priority, ShedReason};
use seawall_policy::bulkhead::{
    self, Bulkhead, BulkheadCapacity, ClientId, Entered, QueueOrder, QueuePosition,
};
use seawall_policy::shed;

const SECOND: Duration = Duration::from_secs(1);

const FIVE: bulkhead::Params = bulkhead::Params {
    in_flight_max: 5,
    queue_max: 2,
    queue_wait_max: SECOND,
    order: QueueOrder::Fifo,
    holds_abandoned: false,
};

fn room(params: &bulkhead::Params) -> BulkheadCapacity<'_> {
    BulkheadCapacity { params, learned: None, shed: None, newest_after: params.newest_after(None) }
}

/// Enters with the usual priority at any time.
fn enter<W>(bulkhead: &mut Bulkhead<W>, params: &bulkhead::Params, waiter: W) -> Entered<W> {
    bulkhead.enter(ClientId::NOBODY, &room(params), Priority::Normal, Instant::now(), || waiter)
}

fn release<W>(bulkhead: &mut Bulkhead<W>, params: &bulkhead::Params) -> Option<W> {
    bulkhead.release(ClientId::NOBODY, &room(params), Instant::now())
}

fn enter_as<W>(bulkhead: &mut Bulkhead<W>, client: u64, waiter: W) -> Entered<W> {
    let now = Instant::now();
    bulkhead.enter(ClientId::of(client), &room(&FIVE), Priority::Normal, now, || waiter)
}

fn release_as<W>(bulkhead: &mut Bulkhead<W>, client: u64) -> Option<W> {
    bulkhead.release(ClientId::of(client), &room(&FIVE), Instant::now())
}

/// Returns a bulkhead of which client 1 has all places, and the queue's two as well.
fn taken_by_one() -> Bulkhead<&'static str> {
    let mut bulkhead = Bulkhead::new();
    for _ in 0..5 {
        assert_eq!(enter_as(&mut bulkhead, 1, "in"), Entered::Admitted);
    }
    for name in ["first", "second"] {
        assert!(matches!(enter_as(&mut bulkhead, 1, name), Entered::Waits { .. }));
    }
    bulkhead
}

#[test]
fn the_client_with_the_fewest_places_is_next_and_one_alone_is_served_in_order() {
    let mut bulkhead = taken_by_one();
    assert_eq!(release_as(&mut bulkhead, 1), Some("first"));
    assert!(matches!(enter_as(&mut bulkhead, 2, "other"), Entered::Waits { .. }));
    assert_eq!(release_as(&mut bulkhead, 1), Some("other"));
    assert_eq!(release_as(&mut bulkhead, 1), Some("second"));
    assert_eq!((bulkhead.held_by(ClientId::of(1)), bulkhead.held_by(ClientId::of(2))), (4, 1));
}

#[test]
fn a_full_queue_has_room_for_a_client_with_less_than_the_one_with_most() {
    let mut bulkhead = taken_by_one();
    assert_eq!(enter_as(&mut bulkhead, 1, "third"), Entered::Full);
    match enter_as(&mut bulkhead, 2, "other") {
        Entered::Waits { displaced, .. } => assert_eq!(displaced, Some("second")),
        entered => panic!("{entered:?}"),
    }
    assert_eq!(bulkhead.waiting(), 2);
}

#[test]
fn a_full_queue_has_no_room_for_a_client_that_would_then_have_as_much_as_the_one_with_most() {
    let mut bulkhead = Bulkhead::new();
    for client in [1, 1, 2, 2, 3] {
        assert_eq!(enter_as(&mut bulkhead, client, "in"), Entered::Admitted);
    }
    for client in [1, 3] {
        assert!(matches!(enter_as(&mut bulkhead, client, "waits"), Entered::Waits { .. }));
    }
    // Client 1 has three, and with this one client 2 would too.
    assert_eq!(enter_as(&mut bulkhead, 2, "other"), Entered::Full);
}

#[test]
fn a_place_that_is_kept_for_what_was_given_up_stays_its_clients() {
    let (now, mut bulkhead) = (Instant::now(), taken_by_one());
    bulkhead.abandon(ClientId::of(1), now, now + SECOND);
    assert_eq!(bulkhead.held_by(ClientId::of(1)), 5);
    assert!(bulkhead.expire(now + SECOND));
    assert_eq!(bulkhead.held_by(ClientId::of(1)), 4);
}

#[test]
fn the_sixth_waits_its_turn() {
    let mut bulkhead = Bulkhead::new();
    for _ in 0..5 {
        assert_eq!(enter(&mut bulkhead, &FIVE, ""), Entered::Admitted);
    }
    assert!(matches!(enter(&mut bulkhead, &FIVE, "sixth"), Entered::Waits { .. }));
    assert!(matches!(enter(&mut bulkhead, &FIVE, "seventh"), Entered::Waits { .. }));
    assert_eq!(enter(&mut bulkhead, &FIVE, "eighth"), Entered::Full);
    assert_eq!(release(&mut bulkhead, &FIVE), Some("sixth"));
    assert_eq!(bulkhead.in_flight(), 5);
    assert_eq!(release(&mut bulkhead, &FIVE), Some("seventh"));
    assert_eq!(release(&mut bulkhead, &FIVE), None);
    assert_eq!(bulkhead.in_flight(), 4);
}

#[test]
fn who_gives_up_leaves_the_queue_at_once() {
    let one = bulkhead::Params { in_flight_max: 1, ..FIVE };
    let mut bulkhead = Bulkhead::new();
    assert_eq!(enter(&mut bulkhead, &one, 0), Entered::Admitted);
    let Entered::Waits { position: first, .. } = enter(&mut bulkhead, &one, 1) else { panic!() };
    let Entered::Waits { position: second, .. } = enter(&mut bulkhead, &one, 2) else { panic!() };
    assert!(bulkhead.leave(first));
    assert_eq!(bulkhead.waiting(), 1);
    assert_eq!(release(&mut bulkhead, &one), Some(2));
    assert!(!bulkhead.leave(second), "it holds a place");
}

#[test]
fn more_places_wake_those_who_wait_and_fewer_take_none_away() {
    let mut bulkhead = Bulkhead::new();
    let one = bulkhead::Params { in_flight_max: 1, queue_max: 10, ..FIVE };
    for index in 0..5 {
        let _ = enter(&mut bulkhead, &one, index);
    }
    let three = bulkhead::Params { in_flight_max: 3, ..one.clone() };
    assert_eq!(bulkhead.resize(room(&three), Instant::now()).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(bulkhead.resize(room(&one), Instant::now()).count(), 0);
    assert_eq!(bulkhead.in_flight(), 3);
    assert_eq!(release(&mut bulkhead, &one), None);
    assert_eq!(release(&mut bulkhead, &one), None);
    assert_eq!(release(&mut bulkhead, &one), Some(3));
}

#[test]
fn nobody_of_the_same_priority_overtakes_those_who_wait() {
    let mut bulkhead = Bulkhead::new();
    let one = bulkhead::Params { in_flight_max: 1, ..FIVE };
    assert_eq!(enter(&mut bulkhead, &one, "first"), Entered::Admitted);
    assert!(matches!(enter(&mut bulkhead, &one, "second"), Entered::Waits { .. }));
    // More places, and somebody comes before they are handed out.
    assert!(matches!(enter(&mut bulkhead, &FIVE, "third"), Entered::Waits { .. }));
    let woken: Vec<_> = bulkhead.resize(room(&FIVE), Instant::now()).collect();
    assert_eq!(woken, ["second", "third"]);
}

#[test]
fn high_priority_is_served_first_and_takes_the_place_of_low_in_a_full_queue() {
    let one = bulkhead::Params { in_flight_max: 1, ..FIVE };
    let (mut bulkhead, now) = (Bulkhead::new(), Instant::now());
    let mut enter =
        |priority, name| bulkhead.enter(ClientId::NOBODY, &room(&one), priority, now, || name);
    assert_eq!(enter(Priority::Low, "worked on"), Entered::Admitted);
    assert!(matches!(enter(Priority::Low, "low"), Entered::Waits { displaced: None, .. }));
    assert!(matches!(enter(Priority::Normal, "normal"), Entered::Waits { displaced: None, .. }));
    assert!(matches!(enter(Priority::High, "high"), Entered::Waits { displaced: Some("low"), .. }));
    assert_eq!(enter(Priority::Normal, "another"), Entered::Full);
    assert_eq!(bulkhead.release(ClientId::NOBODY, &room(&one), now), Some("high"));
    assert_eq!(bulkhead.release(ClientId::NOBODY, &room(&one), now), Some("normal"));
}

#[test]
fn low_priority_leaves_some_places_to_the_others() {
    let ten = bulkhead::Params { in_flight_max: 10, queue_max: 0, ..FIVE };
    let shed = shed::Params::default();
    let room = BulkheadCapacity { shed: Some(&shed), ..room(&ten) };
    let (mut bulkhead, now) = (Bulkhead::new(), Instant::now());
    let mut enter = |priority| bulkhead.enter(ClientId::NOBODY, &room, priority, now, || ());
    assert!((0..8).all(|_| enter(Priority::Low) == Entered::Admitted));
    assert_eq!(enter(Priority::Low), Entered::Shed(ShedReason::Places));
    assert!((0..2).all(|_| enter(Priority::Normal) == Entered::Admitted));
    assert_eq!(enter(Priority::Normal), Entered::Full);
}

#[test]
fn low_priority_that_waits_for_its_share_is_in_nobodys_way() {
    let ten = bulkhead::Params { in_flight_max: 10, ..FIVE };
    let shed = shed::Params::default();
    let room = BulkheadCapacity { shed: Some(&shed), ..room(&ten) };
    let (mut bulkhead, now) = (Bulkhead::new(), Instant::now());
    let mut enter = |priority| bulkhead.enter(ClientId::NOBODY, &room, priority, now, || ());
    assert!((0..8).all(|_| enter(Priority::Low) == Entered::Admitted));
    assert!(matches!(enter(Priority::Low), Entered::Waits { .. }));
    assert_eq!(enter(Priority::Normal), Entered::Admitted);
}

#[test]
fn the_only_one_who_waits_is_next_however_long_it_has_waited() {
    let params = bulkhead::Params { in_flight_max: 1, order: QueueOrder::Adaptive, ..FIVE };
    let mut bulkhead = Bulkhead::new();
    assert_eq!(enter(&mut bulkhead, &params, "in"), Entered::Admitted);
    assert!(matches!(enter(&mut bulkhead, &params, "waits"), Entered::Waits { .. }));
    let late = Instant::now() + SECOND * 60;
    assert_eq!(bulkhead.release(ClientId::NOBODY, &room(&params), late), Some("waits"));
}

#[test]
fn the_last_who_came_is_next_while_the_first_has_waited_for_too_long() {
    let params =
        bulkhead::Params { in_flight_max: 1, queue_max: 10, order: QueueOrder::Adaptive, ..FIVE };
    let (mut bulkhead, now) = (Bulkhead::new(), Instant::now());
    let room = room(&params);
    let mut enter =
        |name, now| bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || name);
    for name in 0..5 {
        let _ = enter(name, now + SECOND / 10 * name);
    }
    let soon = now + SECOND / 10 + SECOND / 2;
    assert_eq!(
        bulkhead.release(ClientId::NOBODY, &room, soon),
        Some(1),
        "half of its wait is not over"
    );
    let late = now + SECOND / 5 + SECOND / 2 + Duration::from_millis(1);
    assert_eq!(bulkhead.release(ClientId::NOBODY, &room, late), Some(4));
    assert_eq!(bulkhead.release(ClientId::NOBODY, &room, late), Some(3));
    assert_eq!(bulkhead.release(ClientId::NOBODY, &room, late), Some(2));
    // It was empty for a moment: first come, first served again.
    let mut enter =
        |name, now| bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || name);
    let _ = (enter(5, late), enter(6, late));
    assert_eq!(bulkhead.release(ClientId::NOBODY, &room, late), Some(5));
}

#[test]
fn a_place_that_was_given_up_comes_back_when_a_later_attempt_is_answered() {
    let two = bulkhead::Params { in_flight_max: 2, queue_max: 9, ..FIVE };
    let (mut bulkhead, now) = (Bulkhead::new(), Instant::now());
    let room = room(&two);
    assert_eq!(
        bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || 0),
        Entered::Admitted
    );
    bulkhead.abandon(ClientId::NOBODY, now, now + SECOND * 9);
    let later = now + SECOND / 10;
    assert_eq!(
        bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, later, || 1),
        Entered::Admitted
    );
    let waits = bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, later, || 2);
    assert!(matches!(waits, Entered::Waits { .. }), "{waits:?}");
    assert!(!bulkhead.answered(now - SECOND), "it began before what was given up");
    assert!(bulkhead.answered(later));
    assert_eq!(bulkhead.resize(room, later).collect::<Vec<_>>(), [2]);
    assert_eq!((bulkhead.in_flight(), bulkhead.abandoned()), (2, 0));
}

#[test]
fn a_place_that_was_given_up_comes_back_when_its_time_is_over() {
    let one = bulkhead::Params { in_flight_max: 1, queue_max: 9, ..FIVE };
    let (mut bulkhead, now) = (Bulkhead::<u32>::new(), Instant::now());
    assert_eq!(enter(&mut bulkhead, &one, 0), Entered::Admitted);
    bulkhead.abandon(ClientId::NOBODY, now, now + SECOND);
    assert_eq!(bulkhead.next_expiry(), Some(now + SECOND));
    assert!(!bulkhead.expire(now + SECOND / 2));
    assert!(bulkhead.expire(now + SECOND));
    assert_eq!((bulkhead.in_flight(), bulkhead.next_expiry()), (0, None));
}

#[test]
fn what_was_given_up_never_takes_every_learned_place() {
    let params = bulkhead::Params { in_flight_max: 100, queue_max: 9, ..FIVE };
    let (mut bulkhead, now) = (Bulkhead::new(), Instant::now());
    let room = BulkheadCapacity { learned: Some(16), ..room(&params) };
    let mut enter = |name| bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || name);
    assert!((0..16).all(|name| enter(name) == Entered::Admitted));
    (0..16).for_each(|_| bulkhead.abandon(ClientId::NOBODY, now, now + SECOND));
    // An eighth of the places is for those whose answers will tell that the rest is done with.
    let mut enter = |name| bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || name);
    assert_eq!((enter(16), enter(17)), (Entered::Admitted, Entered::Admitted));
    assert!(matches!(enter(18), Entered::Waits { .. }));
}

#[test]
fn a_body_on_its_way_takes_no_learned_place_but_one_of_all() {
    let params = bulkhead::Params { in_flight_max: 3, queue_max: 0, ..FIVE };
    let (mut bulkhead, now) = (Bulkhead::new(), Instant::now());
    let room = BulkheadCapacity { learned: Some(1), ..room(&params) };
    for _ in 0..3 {
        let entered = bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || ());
        assert_eq!(entered, Entered::Admitted);
        assert_eq!(
            bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || ()),
            Entered::Full
        );
        bulkhead.body_begins();
    }
    assert_eq!((bulkhead.in_flight(), bulkhead.working()), (3, 0));
    assert_eq!(
        bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || ()),
        Entered::Full
    );
    bulkhead.body_ended();
    assert!(bulkhead.release_unwanted(ClientId::NOBODY));
    assert_eq!(
        bulkhead.enter(ClientId::NOBODY, &room, Priority::Normal, now, || ()),
        Entered::Admitted
    );
    assert_eq!((bulkhead.in_flight(), bulkhead.working()), (3, 1));
}

#[test]
fn where_nothing_is_learned_the_queue_is_short_and_no_place_is_kept() {
    let fixed = bulkhead::Params::fixed();
    assert_eq!((fixed.in_flight_max, fixed.queue_max), (256, 256));
    assert_eq!(fixed.queue_wait_max, SECOND / 10);
    assert!(!fixed.holds_abandoned);
}

#[test]
fn a_wait_is_as_long_as_patience_leaves_after_an_answer() {
    let ms = Duration::from_millis;
    let learned = bulkhead::Learned { patience: ms(500), usual: ms(100) };
    let adaptive = bulkhead::Params { order: QueueOrder::Adaptive, ..FIVE };
    assert_eq!(adaptive.wait(Some(learned), SECOND * 30), ms(350));
    assert_eq!(adaptive.wait(Some(learned), ms(300)), ms(150), "less is left of the deadline");
    let slow = bulkhead::Learned { usual: ms(400), ..learned };
    assert_eq!(adaptive.wait(Some(slow), SECOND * 30), ms(125), "never less than a quarter");
    let patient = bulkhead::Learned { patience: SECOND * 60, ..learned };
    assert_eq!(adaptive.wait(Some(patient), SECOND * 90), SECOND, "never more than was chosen");
    assert_eq!(adaptive.newest_after(Some(learned)), ms(175));
    let quick = bulkhead::Learned { usual: ms(10), ..learned };
    assert_eq!(adaptive.newest_after(Some(quick)), ms(50));
    let quicker = bulkhead::Learned { usual: ms(1), ..learned };
    assert_eq!(adaptive.newest_after(Some(quicker)), ms(25), "a few milliseconds are no queue");
    let hasty = bulkhead::Learned { patience: ms(40), ..quicker };
    assert_eq!(adaptive.newest_after(Some(hasty)), ms(77) / 4, "half of 38.5 ms");
    assert_eq!(adaptive.newest_after(None), SECOND / 2);
    assert_eq!(FIVE.wait(Some(learned), SECOND * 30), SECOND);
    assert_eq!(adaptive.wait(None, SECOND), SECOND / 5);
}

#[test]
fn a_place_that_nobody_waits_for_comes_back_without_a_look_at_the_clock() {
    let one = bulkhead::Params { in_flight_max: 1, ..FIVE };
    let mut bulkhead = Bulkhead::new();
    assert_eq!(enter(&mut bulkhead, &one, "first"), Entered::Admitted);
    assert!(bulkhead.release_unwanted(ClientId::NOBODY));
    assert_eq!(bulkhead.in_flight(), 0);
    assert_eq!(enter(&mut bulkhead, &one, "second"), Entered::Admitted);
    assert!(matches!(enter(&mut bulkhead, &one, "third"), Entered::Waits { .. }));
    assert!(!bulkhead.release_unwanted(ClientId::NOBODY), "somebody waits");
    assert_eq!(bulkhead.in_flight(), 1);
    assert_eq!(release(&mut bulkhead, &one), Some("third"));
}

#[test]
fn first_come_first_served_stays_so_however_long_the_queue_stands() {
    let fifo = bulkhead::Params { in_flight_max: 1, queue_max: 10, ..FIVE };
    let (mut bulkhead, now) = (Bulkhead::new(), Instant::now());
    let room = room(&fifo);
    for (name, seconds) in [(0, 0), (1, 0), (2, 30), (3, 60)] {
        let _ = bulkhead.enter(
            ClientId::NOBODY,
            &room,
            Priority::Normal,
            now + SECOND * seconds,
            || name,
        );
    }
    let late = now + SECOND * 90;
    assert_eq!(
        [(); 4].map(|()| bulkhead.release(ClientId::NOBODY, &room, late)),
        [Some(1), Some(2), Some(3), None]
    );
}

/// A step of any caller.
#[derive(Clone, Debug)]
enum Step {
    Enter(Priority),
    Release,
    /// The waiter at this index of the queue gives up.
    Leave(prop::sample::Index),
    /// A caller gives up that was handed a place meanwhile.
    LeaveLate(prop::sample::Index),
    Resize(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => prop::sample::select(&Priority::ALL[..]).prop_map(Step::Enter),
        3 => Just(Step::Release),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => any::<prop::sample::Index>().prop_map(Step::LeaveLate),
        1 => (0_u32..6).prop_map(Step::Resize),
    ]
}

/// Who waits: their priority, their number, their position.
type Queue = Vec<(Priority, u32, QueuePosition)>;

/// Takes out who is next by the model: the highest priority, and who came first.
fn next(queue: &mut Queue) -> (Priority, u32, QueuePosition) {
    let first = *queue.iter().min_by_key(|(priority, name, _)| (*priority, *name)).expect("waits");
    queue.retain(|waiter| waiter.1 != first.1);
    first
}

proptest! {
    /// Against a model that anyone can follow: places are neither lost nor doubled, the queue is
    /// served by priority and then in order, nobody waits while a place is free, and whoever is
    /// turned away would have had to wait behind a full queue of at least its own priority.
    #[test]
    fn no_place_leaks(steps in prop::collection::vec(step(), 1..400), queue_max in 0_u32..6) {
        let mut params = bulkhead::Params { in_flight_max: 3, queue_max, ..FIVE };
        let (mut bulkhead, now) = (Bulkhead::<u32>::new(), Instant::now());
        let mut holders = 0_u32;
        let mut queue = Queue::new();
        let mut handed: Vec<QueuePosition> = Vec::new();
        for (name, step) in (0..).zip(steps) {
            match step {
                Step::Enter(priority) => {
                    match bulkhead.enter(ClientId::NOBODY, &room(&params), priority, now, || name) {
                        Entered::Admitted => {
                            prop_assert!(queue.iter().all(|waiter| waiter.0 > priority));
                            holders += 1;
                        }
                        Entered::Waits { position, displaced, .. } => {
                            if let Some(gone) = displaced {
                                let lowest = queue.iter().max_by_key(|waiter| (waiter.0, waiter.1));
                                let (lowest, last, _) = *lowest.expect("somebody waited");
                                prop_assert!(last == gone && lowest > priority);
                                queue.retain(|waiter| waiter.1 != gone);
                            }
                            queue.push((priority, name, position));
                        }
                        Entered::Full => {
                            prop_assert!(queue.len() >= queue_max as usize);
                            prop_assert!(queue.iter().all(|waiter| waiter.0 <= priority));
                        }
                        Entered::Shed(_) => prop_assert!(false, "nothing is shed here"),
                    }
                }
                Step::Release if holders > 0 => {
                    holders -= 1;
                    if let Some(woken) = bulkhead.release(ClientId::NOBODY, &room(&params), now) {
                        let (_, first, position) = next(&mut queue);
                        prop_assert_eq!(woken, first);
                        handed.push(position);
                        holders += 1;
                    }
                }
                Step::Leave(index) if !queue.is_empty() => {
                    let (_, _, position) = queue.remove(index.index(queue.len()));
                    prop_assert!(bulkhead.leave(position));
                }
                Step::LeaveLate(index) if !handed.is_empty() => {
                    prop_assert!(!bulkhead.leave(handed[index.index(handed.len())]));
                }
                Step::Resize(max) => {
                    params.in_flight_max = max;
                    for woken in bulkhead.resize(room(&params), now) {
                        let (_, first, position) = next(&mut queue);
                        prop_assert_eq!(woken, first);
                        handed.push(position);
                        holders += 1;
                    }
                }
                Step::Release | Step::Leave(_) | Step::LeaveLate(_) => {}
            }
            prop_assert_eq!(bulkhead.in_flight(), holders);
            prop_assert_eq!(bulkhead.waiting() as usize, queue.len());
            let is_free = holders < params.in_flight_max.max(1);
            prop_assert!(queue.is_empty() || !is_free, "somebody waits beside a free place");
        }
    }
}
