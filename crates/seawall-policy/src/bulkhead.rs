//! How many attempts run at once, and how many wait for a place.
//!
//! Does not know: threads, how a waiter is woken. It stands behind its caller's lock. Invariant: a
//! place is held by exactly one attempt from `enter` or `release` until `release`; nobody gets one
//! while somebody of higher priority waits who may have it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use seawall_core::{Priority, ShedReason};

use crate::shed;

/// Holds the numbers of a bulkhead.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// How many attempts run at once; at least 1.
    pub in_flight_max: u32,
    /// How many more may wait.
    pub queue_max: u32,
    /// How long each may wait; never longer than a fifth of what is left of its deadline.
    pub queue_wait_max: Duration,
    /// Who is next when the queue does not empty any more.
    pub order: Order,
    /// Whether the place of an attempt that was given up stays taken until its time limit: for
    /// upstreams that go on working on what nobody waits for.
    pub holds_abandoned: bool,
}

/// Says who is next in a queue, among those of the same priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Who came first, always.
    Fifo,
    /// Who came first; but while the queue has not been empty for a whole interval, who came last,
    /// and nobody waits longer than the target (CoDel; "Fail at Scale", ACM Queue 2015).
    #[default]
    Adaptive,
}

/// How long the queue may stand before it turns.
pub const INTERVAL: Duration = Duration::from_millis(100);
/// How long an attempt waits in a queue that has turned.
pub const TARGET: Duration = Duration::from_millis(5);

impl Default for Params {
    /// 256 at once, 256 waiting, 100 ms each.
    fn default() -> Self {
        Self {
            in_flight_max: 256,
            queue_max: 256,
            queue_wait_max: Duration::from_millis(100),
            order: Order::default(),
            holds_abandoned: false,
        }
    }
}

/// Says how many places there are now, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// The numbers.
    pub params: &'a Params,
    /// How many attempts may run at once now: `in_flight_max`, or what was learned.
    pub places: u32,
    /// Which share of them each priority may take.
    pub shed: Option<&'a shed::Params>,
}

/// Keeps account of the places and of who waits for one; `W` is what wakes a waiter.
#[derive(Debug)]
pub struct Bulkhead<W> {
    in_flight: u32,
    next: u64,
    /// Those who wait, by priority; ascending by the order in which they came.
    queues: [BTreeMap<u64, W>; Priority::ALL.len()],
    waiting: u32,
    /// Since when each queue has not been empty. Apart: those who let others past stand for long,
    /// and those who are let past must not be cut short for it.
    stands_since: [Option<Instant>; Priority::ALL.len()],
}

/// Stands for a waiter in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Ticket {
    number: u64,
    priority: Priority,
}

/// Says what became of an attempt that wanted a place.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a place that was given must be released"]
pub enum Entered<W> {
    /// It has a place.
    Admitted,
    /// It waits.
    Waits {
        /// Stands for it in the queue.
        ticket: Ticket,
        /// How long it may wait.
        wait_max: Duration,
        /// Who had to go for it, of a lower priority; to be told.
        displaced: Option<W>,
    },
    /// There is neither a place nor room to wait.
    Full,
    /// There are places, but not for this priority, and no room to wait.
    Shed(ShedReason),
}

impl<W> Bulkhead<W> {
    /// Makes a bulkhead whose places are all free.
    pub const fn new() -> Self {
        Self {
            in_flight: 0,
            next: 0,
            queues: [const { BTreeMap::new() }; Priority::ALL.len()],
            waiting: 0,
            stands_since: [None; Priority::ALL.len()],
        }
    }

    /// Takes a place, or a place in the queue; `waiter` is only made for the latter.
    pub fn enter(
        &mut self,
        room: &Room<'_>,
        priority: Priority,
        now: Instant,
        waiter: impl FnOnce() -> W,
    ) -> Entered<W> {
        if self.has_place(room, priority) && !self.is_behind(priority) {
            self.in_flight += 1;
            return Entered::Admitted;
        }
        let mut displaced = None;
        if self.waiting >= room.params.queue_max {
            displaced = self.displace(priority);
            if displaced.is_none() {
                let is_shed = self.in_flight < room.places;
                return if is_shed { Entered::Shed(ShedReason::Places) } else { Entered::Full };
            }
        }
        let wait_max = match self.stands(room.params, priority, now) {
            true => room.params.queue_wait_max.min(TARGET),
            false => room.params.queue_wait_max,
        };
        let number = self.next;
        self.next += 1;
        self.queues[priority.index()].insert(number, waiter());
        self.waiting += 1;
        self.stands_since[priority.index()].get_or_insert(now);
        Entered::Waits { ticket: Ticket { number, priority }, wait_max, displaced }
    }

    /// Leaves the queue.
    ///
    /// `false` means that the waiter has been handed a place in the meantime, or was displaced: a
    /// place must be used or [released](Self::release).
    #[must_use = "on false the waiter may hold a place"]
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let left = self.queues[ticket.priority.index()].remove(&ticket.number).is_some();
        if left {
            self.went(ticket.priority);
        }
        left
    }

    /// Gives a place back. The waiter who is next, if there is one, now holds it and is to be
    /// woken.
    #[must_use = "the waiter holds the place and must be woken"]
    pub fn release(&mut self, room: &Room<'_>, now: Instant) -> Option<W> {
        debug_assert!(self.in_flight > 0, "a place was released twice");
        self.in_flight = self.in_flight.saturating_sub(1);
        self.hand_over(room, now)
    }

    /// Gives a place back if nobody waits for one. If somebody does, nothing has happened, and it
    /// is to be [released](Self::release): who is next depends on the time.
    #[must_use = "on false the place is still held"]
    pub fn release_unwanted(&mut self) -> bool {
        if self.waiting > 0 {
            return false;
        }
        debug_assert!(self.in_flight > 0, "a place was released twice");
        self.in_flight = self.in_flight.saturating_sub(1);
        true
    }

    /// Hands free places to waiters, who are to be woken. Call it after every change of the
    /// numbers; a waiter whose room is gone keeps waiting.
    pub fn resize<'a>(&'a mut self, room: Room<'a>, now: Instant) -> impl Iterator<Item = W> + 'a {
        std::iter::from_fn(move || self.hand_over(&room, now))
    }

    /// Returns how many attempts hold a place.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns how many attempts wait.
    pub const fn waiting(&self) -> u32 {
        self.waiting
    }

    fn hand_over(&mut self, room: &Room<'_>, now: Instant) -> Option<W> {
        let next = Priority::ALL.into_iter().find(|&priority| {
            !self.queues[priority.index()].is_empty() && self.has_place(room, priority)
        })?;
        let is_lifo = self.stands(room.params, next, now);
        let queue = &mut self.queues[next.index()];
        let (_, waiter) = if is_lifo { queue.pop_last() } else { queue.pop_first() }?;
        self.went(next);
        self.in_flight += 1;
        Some(waiter)
    }

    /// Takes the last who came of the lowest priority below this one out of the queue.
    fn displace(&mut self, priority: Priority) -> Option<W> {
        let lower = Priority::ALL[priority.index() + 1..].iter().rev();
        let lowest = lower.copied().find(|lower| !self.queues[lower.index()].is_empty())?;
        let (_, waiter) = self.queues[lowest.index()].pop_last()?;
        self.went(lowest);
        Some(waiter)
    }

    fn went(&mut self, priority: Priority) {
        self.waiting -= 1;
        if self.queues[priority.index()].is_empty() {
            self.stands_since[priority.index()] = None;
        }
    }

    fn has_place(&self, room: &Room<'_>, priority: Priority) -> bool {
        // Without a single place the queue could never move.
        self.in_flight < shed::places(room.shed, room.places.max(1), priority)
    }

    /// Returns whether somebody of the same or a higher priority waits.
    fn is_behind(&self, priority: Priority) -> bool {
        self.waiting > 0 && self.queues[..=priority.index()].iter().any(|queue| !queue.is_empty())
    }

    /// Returns whether the queue of a priority has not been empty for so long that it only keeps
    /// callers waiting.
    fn stands(&self, params: &Params, priority: Priority, now: Instant) -> bool {
        params.order == Order::Adaptive
            && self.stands_since[priority.index()]
                .is_some_and(|since| now.saturating_duration_since(since) >= INTERVAL)
    }
}

impl<W> Default for Bulkhead<W> {
    fn default() -> Self {
        Self::new()
    }
}
