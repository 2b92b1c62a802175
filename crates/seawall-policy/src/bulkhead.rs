//! How many attempts run at once, and how many wait for a place.
//!
//! Does not know: time, threads, how a waiter is woken. It stands behind its caller's lock.
//! Invariant: a place is held by exactly one attempt from `enter` or `release` until `release`;
//! waiters get places in the order in which they came.

use std::collections::VecDeque;
use std::time::Duration;

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

/// Keeps account of the places and of who waits for one; `W` is what wakes a waiter.
#[derive(Debug)]
pub struct Bulkhead<W> {
    in_flight: u32,
    next: u64,
    /// Ascending by ticket.
    queue: VecDeque<(Ticket, W)>,
}

/// Stands for a waiter in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Ticket(u64);

/// Says what became of an attempt that wanted a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use = "a place that was given must be released"]
pub enum Entered {
    /// It has a place.
    Admitted,
    /// It waits.
    Waits(Ticket),
    /// There is neither a place nor room to wait.
    Full,
}

impl<W> Bulkhead<W> {
    /// Makes a bulkhead whose places are all free.
    pub const fn new() -> Self {
        Self { in_flight: 0, next: 0, queue: VecDeque::new() }
    }

    /// Takes a place, or a place in the queue; `waiter` is only made for the latter.
    pub fn enter(&mut self, params: &Params, waiter: impl FnOnce() -> W) -> Entered {
        if self.has_place(params) && self.queue.is_empty() {
            self.in_flight += 1;
            return Entered::Admitted;
        }
        if self.queue.len() >= params.queue_max as usize {
            return Entered::Full;
        }
        let ticket = Ticket(self.next);
        self.next += 1;
        self.queue.push_back((ticket, waiter()));
        Entered::Waits(ticket)
    }

    /// Leaves the queue.
    ///
    /// `false` means that the waiter has been handed a place in the meantime: it must use it or
    /// [`release`](Self::release) it.
    #[must_use = "on false the waiter holds a place"]
    pub fn leave(&mut self, ticket: Ticket) -> bool {
        match self.position(ticket) {
            Some(index) => self.queue.remove(index).is_some(),
            None => false,
        }
    }

    /// Returns what wakes a waiter, so that it can be renewed; `None` once it was handed a place.
    pub fn waiter(&mut self, ticket: Ticket) -> Option<&mut W> {
        let index = self.position(ticket)?;
        self.queue.get_mut(index).map(|(_, waiter)| waiter)
    }

    /// Gives a place back. The first waiter, if there is one, now holds it and is to be woken.
    #[must_use = "the waiter holds the place and must be woken"]
    pub fn release(&mut self, params: &Params) -> Option<W> {
        debug_assert!(self.in_flight > 0, "a place was released twice");
        self.in_flight = self.in_flight.saturating_sub(1);
        self.hand_over(params)
    }

    /// Applies new numbers: hands free places to waiters, who are to be woken. Call it after
    /// every change of the numbers; a waiter whose room is gone keeps waiting.
    pub fn resize<'a>(&'a mut self, params: &'a Params) -> impl Iterator<Item = W> + 'a {
        std::iter::from_fn(|| self.hand_over(params))
    }

    /// Returns how many attempts hold a place.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns how many attempts wait.
    pub fn waiting(&self) -> u32 {
        // The queue is bounded by a `u32`.
        self.queue.len() as u32
    }

    fn hand_over(&mut self, params: &Params) -> Option<W> {
        if !self.has_place(params) {
            return None;
        }
        let (_, waiter) = self.queue.pop_front()?;
        self.in_flight += 1;
        Some(waiter)
    }

    fn has_place(&self, params: &Params) -> bool {
        // Without a single place the queue could never move.
        self.in_flight < params.in_flight_max.max(1)
    }

    fn position(&self, ticket: Ticket) -> Option<usize> {
        self.queue.binary_search_by_key(&ticket, |(ticket, _)| *ticket).ok()
    }
}

impl<W> Default for Bulkhead<W> {
    fn default() -> Self {
        Self::new()
    }
}
