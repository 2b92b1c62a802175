//! What a bulkhead promises, for any history.

use std::collections::VecDeque;
use std::time::Duration;

use proptest::prelude::*;
use seawall_policy::bulkhead::{self, Bulkhead, Entered, Ticket};

const SECOND: Duration = Duration::from_secs(1);

const FIVE: bulkhead::Params = bulkhead::Params {
    in_flight_max: 5,
    queue_max: 2,
    queue_wait_max: SECOND,
    order: bulkhead::Order::Fifo,
    holds_abandoned: false,
};

#[test]
fn the_sixth_waits_its_turn() {
    let mut bulkhead = Bulkhead::new();
    for _ in 0..5 {
        assert_eq!(bulkhead.enter(&FIVE, || unreachable!("it does not wait")), Entered::Admitted);
    }
    assert!(matches!(bulkhead.enter(&FIVE, || "sixth"), Entered::Waits(_)));
    assert!(matches!(bulkhead.enter(&FIVE, || "seventh"), Entered::Waits(_)));
    assert_eq!(bulkhead.enter(&FIVE, || unreachable!("it is not queued")), Entered::Full);
    assert_eq!(bulkhead.release(&FIVE), Some("sixth"));
    assert_eq!(bulkhead.in_flight(), 5);
    assert_eq!(bulkhead.release(&FIVE), Some("seventh"));
    assert_eq!(bulkhead.release(&FIVE), None);
    assert_eq!(bulkhead.in_flight(), 4);
}

#[test]
fn who_gives_up_leaves_the_queue_at_once() {
    let one = bulkhead::Params { in_flight_max: 1, ..FIVE };
    let mut bulkhead = Bulkhead::new();
    assert_eq!(bulkhead.enter(&one, || 0), Entered::Admitted);
    let Entered::Waits(first) = bulkhead.enter(&one, || 1) else { panic!("it waits") };
    let Entered::Waits(second) = bulkhead.enter(&one, || 2) else { panic!("it waits") };
    assert_eq!(bulkhead.waiter(second), Some(&mut 2));
    assert!(bulkhead.leave(first));
    assert_eq!(bulkhead.waiting(), 1);
    assert_eq!(bulkhead.release(&one), Some(2));
    assert_eq!(bulkhead.waiter(second), None);
    assert!(!bulkhead.leave(second), "it holds a place");
}

#[test]
fn more_places_wake_those_who_wait_and_fewer_take_none_away() {
    let mut bulkhead = Bulkhead::new();
    let one = bulkhead::Params { in_flight_max: 1, queue_max: 10, ..FIVE };
    for index in 0..5 {
        let _ = bulkhead.enter(&one, || index);
    }
    let three = bulkhead::Params { in_flight_max: 3, ..one.clone() };
    assert_eq!(bulkhead.resize(&three).collect::<Vec<_>>(), [1, 2]);
    assert_eq!(bulkhead.resize(&one).count(), 0);
    assert_eq!(bulkhead.in_flight(), 3);
    assert_eq!(bulkhead.release(&one), None);
    assert_eq!(bulkhead.release(&one), None);
    assert_eq!(bulkhead.release(&one), Some(3));
}

#[test]
fn nobody_overtakes_those_who_wait() {
    let mut bulkhead = Bulkhead::new();
    let one = bulkhead::Params { in_flight_max: 1, ..FIVE };
    assert_eq!(bulkhead.enter(&one, || "first"), Entered::Admitted);
    assert!(matches!(bulkhead.enter(&one, || "second"), Entered::Waits(_)));
    // More places, and somebody comes before they are handed out.
    assert!(matches!(bulkhead.enter(&FIVE, || "third"), Entered::Waits(_)));
    assert_eq!(bulkhead.resize(&FIVE).collect::<Vec<_>>(), ["second", "third"]);
}

/// A step of any caller.
#[derive(Clone, Debug)]
enum Step {
    Enter,
    Release,
    /// The waiter at this index of the queue gives up.
    Leave(prop::sample::Index),
    /// A caller gives up that was handed a place meanwhile.
    LeaveLate(prop::sample::Index),
    Resize(u32),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Enter),
        3 => Just(Step::Release),
        1 => any::<prop::sample::Index>().prop_map(Step::Leave),
        1 => any::<prop::sample::Index>().prop_map(Step::LeaveLate),
        1 => (0_u32..6).prop_map(Step::Resize),
    ]
}

proptest! {
    /// Against a model that anyone can follow: places are neither lost nor doubled, the queue is
    /// first come first served, and nobody waits while a place is free.
    #[test]
    fn no_place_leaks(steps in prop::collection::vec(step(), 1..400), queue_max in 0_u32..6) {
        let mut params = bulkhead::Params { in_flight_max: 3, queue_max, queue_wait_max: SECOND, ..Default::default() };
        let mut bulkhead: Bulkhead<u32> = Bulkhead::new();
        let mut holders = 0_u32;
        let mut queue: VecDeque<(Ticket, u32)> = VecDeque::new();
        let mut handed: Vec<Ticket> = Vec::new();
        let mut name = 0;
        for step in steps {
            match step {
                Step::Enter => {
                    name += 1;
                    match bulkhead.enter(&params, || name) {
                        Entered::Admitted => holders += 1,
                        Entered::Waits(ticket) => queue.push_back((ticket, name)),
                        Entered::Full => prop_assert!(queue.len() >= queue_max as usize),
                    }
                }
                Step::Release if holders > 0 => {
                    holders -= 1;
                    if let Some(woken) = bulkhead.release(&params) {
                        let (ticket, first) = queue.pop_front().expect("somebody waited");
                        prop_assert_eq!(woken, first);
                        handed.push(ticket);
                        holders += 1;
                    }
                }
                Step::Leave(index) if !queue.is_empty() => {
                    let (ticket, _) = queue.remove(index.index(queue.len())).expect("in range");
                    prop_assert!(bulkhead.leave(ticket));
                }
                Step::LeaveLate(index) if !handed.is_empty() => {
                    prop_assert!(!bulkhead.leave(handed[index.index(handed.len())]));
                }
                Step::Resize(max) => {
                    params.in_flight_max = max;
                    for woken in bulkhead.resize(&params) {
                        let (ticket, first) = queue.pop_front().expect("somebody waited");
                        prop_assert_eq!(woken, first);
                        handed.push(ticket);
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
