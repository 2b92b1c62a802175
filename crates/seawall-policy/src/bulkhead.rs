//! How many attempts run at once, and how many wait for a place.
//!
//! Does not know: threads, how a waiter is woken. It stands behind its caller's lock. Invariant: a
//! place is held by exactly one attempt from `enter` or `release` until `release`; nobody gets one
//! while somebody of higher priority waits who may have it.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use seawall_core::{Priority, ShedReason};

use crate::{patience, shed};

/// Holds the numbers of a bulkhead.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// How many attempts run at once; at least 1.
    pub in_flight_max: u32,
    /// How many more may wait.
    pub queue_max: u32,
    /// The longest wait in the queue; see [`wait`](Self::wait).
    pub queue_wait_max: Duration,
    /// Who is next when the queue does not empty any more.
    pub order: Order,
    /// Whether the place of an attempt that was given up stays taken, since its upstream may still
    /// work on it: until an attempt that began later is answered, or its time limit is over.
    pub holds_abandoned: bool,
}

/// Says who is next in a queue, among those of the same priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Who came first, always.
    Fifo,
    /// Who came first; but while the first has waited for more than half of the longest wait, or
    /// than a few answers take, who came last ("Fail at Scale", ACM Queue 2015). Where the limit is
    /// learned, nobody waits for longer than callers would.
    #[default]
    Adaptive,
}

impl Params {
    /// Returns how long an attempt may wait for its place, whose caller gives up after `left`.
    ///
    /// With the first-come order, and where nothing is learned, it is `queue_wait_max`, or a fifth of
    /// `left`. With the adaptive one it is as long as the caller's patience leaves after the usual
    /// time of an answer.
    pub fn wait(&self, learned: Option<Learned>, left: Duration) -> Duration {
        let wait = match learned {
            Some(Learned { patience, usual }) if self.order == Order::Adaptive => {
                patience::worth(patience.min(left), usual)
            }
            _ => left / LEFT_SHARE,
        };
        wait.min(self.queue_wait_max)
    }

    /// Returns how long the oldest waits before the newest is served first: half of the longest wait,
    /// or as long as a few answers usually take.
    pub fn newest_after(&self, learned: Option<Learned>) -> Duration {
        if self.order == Order::Fifo {
            return Duration::MAX;
        }
        let half = self.wait(learned, Duration::MAX) / 2;
        learned.map_or(half, |learned| half.min(learned.usual.saturating_mul(NEWEST_AFTER)))
    }
}

/// What is known of an upstream whose limit is learned.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Learned {
    /// How long callers wait for an answer.
    pub patience: Duration,
    /// How long answers take while nothing waits at the upstream.
    pub usual: Duration,
}

impl Default for Params {
    /// 10,000 at once, as many waiting for up to 5 s; places of what was given up stay taken.
    fn default() -> Self {
        Self {
            in_flight_max: 10_000,
            queue_max: 10_000,
            queue_wait_max: Duration::from_secs(5),
            order: Order::default(),
            holds_abandoned: true,
        }
    }
}

impl Params {
    /// Returns the numbers for where nothing is learned: 256 at once, 256 waiting for up to 100 ms.
    pub fn fixed() -> Self {
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
    /// How many attempts may be worked on at once, if that was learned. Unlike `in_flight_max` it
    /// does not count those that are answered and whose body is on its way.
    pub learned: Option<u32>,
    /// Which share of the places each priority may take.
    pub shed: Option<&'a shed::Params>,
    /// How long the oldest waits before the newest is served first; see
    /// [`newest_after`](Params::newest_after).
    pub newest_after: Duration,
}

impl Room<'_> {
    /// Returns how many attempts may be worked on at once now.
    pub fn places(&self) -> u32 {
        self.learned.unwrap_or(u32::MAX).min(self.params.in_flight_max).max(1)
    }
}

/// Keeps account of the places and of who waits for one; `W` is what wakes a waiter.
#[derive(Debug)]
pub struct Bulkhead<W> {
    in_flight: u32,
    /// How many of those are answered, and only their bodies are on their way.
    bodies: u32,
    next: u64,
    /// Those who wait, by priority; ascending by the order in which they came.
    queues: [BTreeMap<u64, (Instant, W)>; Priority::ALL.len()],
    waiting: u32,
    /// The places of attempts that were given up, by when those began: until when at most they are
    /// taken.
    abandoned: BTreeMap<(Instant, u64), Instant>,
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
            bodies: 0,
            next: 0,
            queues: [const { BTreeMap::new() }; Priority::ALL.len()],
            waiting: 0,
            abandoned: BTreeMap::new(),
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
                let is_shed =
                    self.in_flight < room.params.in_flight_max && self.working() < room.places();
                return if is_shed { Entered::Shed(ShedReason::Places) } else { Entered::Full };
            }
        }
        let number = self.next;
        self.next += 1;
        self.queues[priority.index()].insert(number, (now, waiter()));
        self.waiting += 1;
        let ticket = Ticket { number, priority };
        Entered::Waits { ticket, displaced }
    }

    /// Leaves the queue.
    ///
    /// `false` means that the waiter has been handed a place in the meantime, or was displaced: a
    /// place must be used or [released](Self::release).
    #[must_use = "on false the waiter may hold a place"]
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        let left = self.queues[ticket.priority.index()].remove(&ticket.number).is_some();
        self.waiting -= u32::from(left);
        left
    }

    /// Gives a place back. The waiter who is next, if there is one, now holds it and is to be
    /// woken.
    #[must_use = "the waiter holds the place and must be woken"]
    pub fn release(&mut self, room: &Room<'_>, now: Instant) -> Option<W> {
        self.vacate();
        self.hand_over(room, now)
    }

    /// Gives a place back if nobody waits for one. If somebody does, nothing has happened, and it
    /// is to be [released](Self::release): who is next depends on the time.
    #[must_use = "on false the place is still held"]
    pub fn release_unwanted(&mut self) -> bool {
        if self.waiting == 0 {
            self.vacate();
        }
        self.waiting == 0
    }

    /// Takes note that the upstream has answered, and only the body is on its way: it no longer
    /// counts among those that are worked on, until its place [ends](Self::body_ended). Others may
    /// fit now, see [`resize`](Self::resize).
    pub fn body_begins(&mut self) {
        self.bodies += 1;
    }

    /// Takes note that a body has ended whose place is about to be released.
    pub fn body_ended(&mut self) {
        debug_assert!(self.bodies > 0, "a body ended twice");
        self.bodies = self.bodies.saturating_sub(1);
    }

    /// Gives a place back. Others may fit now, see [`resize`](Self::resize).
    pub fn vacate(&mut self) {
        debug_assert!(self.in_flight > 0, "a place was released twice");
        self.in_flight = self.in_flight.saturating_sub(1);
    }

    /// Hands free places to waiters, who are to be woken. Call it after every change of the
    /// numbers; a waiter whose room is gone keeps waiting.
    pub fn resize<'a>(&'a mut self, room: Room<'a>, now: Instant) -> impl Iterator<Item = W> + 'a {
        std::iter::from_fn(move || self.hand_over(&room, now))
    }

    /// Keeps the place of an attempt that was given up: its upstream may still work on it.
    ///
    /// It comes back when an attempt that began later is [answered](Self::answered), or at `until`.
    /// Others may fit now, see [`resize`](Self::resize).
    pub fn abandon(&mut self, began: Instant, until: Instant) {
        let number = self.next;
        self.next += 1;
        self.abandoned.insert((began, number), until);
    }

    /// Takes note that an attempt which began at `began` was answered: what was given up and began
    /// before is done with too. Returns whether places came back, see [`resize`](Self::resize).
    pub fn answered(&mut self, began: Instant) -> bool {
        if self.abandoned.is_empty() {
            return false;
        }
        let later = self.abandoned.split_off(&(began, u64::MAX));
        let over = std::mem::replace(&mut self.abandoned, later).len() as u32;
        self.in_flight -= over;
        over > 0
    }

    /// Gives back the places that were kept until `now`; returns whether there were any, see
    /// [`resize`](Self::resize).
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.in_flight;
        while let Some(first) = self.abandoned.first_entry()
            && *first.get() <= now
        {
            first.remove();
            self.in_flight -= 1;
        }
        self.in_flight < before
    }

    /// Returns when the next place comes back that is kept, if nothing is answered before.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.abandoned.first_key_value().map(|(_, until)| *until)
    }

    /// Returns how many places are kept for attempts that were given up.
    pub fn abandoned(&self) -> u32 {
        self.abandoned.len() as u32
    }

    /// Returns how many attempts hold a place, those included that were given up or answered.
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
        let queue = &mut self.queues[next.index()];
        // Who has waited for so long may not be in time any more; who has just come is.
        let is_lifo = queue.first_key_value().is_some_and(|(_, (since, _))| {
            now.saturating_duration_since(*since) > room.newest_after
        });
        let (_, (_, waiter)) = if is_lifo { queue.pop_last() } else { queue.pop_first() }?;
        self.waiting -= 1;
        self.in_flight += 1;
        Some(waiter)
    }

    /// Takes the last who came of the lowest priority below this one out of the queue.
    fn displace(&mut self, priority: Priority) -> Option<W> {
        let lower = Priority::ALL[priority.index() + 1..].iter().rev();
        let lowest = lower.copied().find(|lower| !self.queues[lower.index()].is_empty())?;
        let (_, (_, waiter)) = self.queues[lowest.index()].pop_last()?;
        self.waiting -= 1;
        Some(waiter)
    }

    fn has_place(&self, room: &Room<'_>, priority: Priority) -> bool {
        let (working, places, kept) = (self.working(), room.places(), self.abandoned());
        // Without an attempt under way nothing would be answered, and no place that is kept for
        // what was given up would come back before its time.
        if room.learned.is_some()
            && kept > 0
            && working.saturating_sub(kept) < places.div_ceil(LIVE_PART)
        {
            return true;
        }
        self.in_flight < room.params.in_flight_max.max(1)
            && working < shed::places(room.shed, places, priority)
    }

    /// Returns how many attempts the upstream may be working on: all but those that are answered.
    pub const fn working(&self) -> u32 {
        self.in_flight.saturating_sub(self.bodies)
    }

    /// Returns whether somebody of the same or a higher priority waits.
    fn is_behind(&self, priority: Priority) -> bool {
        self.waiting > 0 && self.queues[..=priority.index()].iter().any(|queue| !queue.is_empty())
    }
}

impl<W> Default for Bulkhead<W> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many usual answers the oldest waits before the newest is served first.
const NEWEST_AFTER: u32 = 5;
/// The part of the learned places that attempts under way may always have.
const LIVE_PART: u32 = 8;
/// The part of the time a caller has left that it waits at most, where nothing is known.
const LEFT_SHARE: u32 = 5;
