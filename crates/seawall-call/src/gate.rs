//! The bulkhead's gate: who has a place, who waits for one, and how a place changes hands.
//!
//! Does not know: calls, breakers, deadlines, events. Invariant: every place that was given out
//! comes back exactly once. A place that is handed to a waiter belongs to it from the moment it
//! leaves the queue, under the lock, and not from the moment the waiter wakes; so a waiter that
//! is dropped in between finds that it is no longer in the queue, and passes the place on.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use seawall_policy::bulkhead::{self, Bulkhead, Entered};
use tokio::sync::oneshot;

/// Guards the places of one upstream.
pub(crate) struct Gate(Mutex<State>);

struct State {
    bulkhead: Bulkhead<Wake>,
    /// Kept under the same lock, so that a place is never judged by numbers of another time.
    limit: bulkhead::Params,
}

/// Wakes one waiter. Sent once, after the lock is released; the waiter holds the other end.
type Wake = oneshot::Sender<()>;

/// Says what the gate answered.
pub(crate) enum Entry<'a> {
    /// A place was taken; it must come back through [`Gate::release`].
    Admitted,
    /// All places are taken; the waiter is in the queue.
    Waits(Waiter<'a>),
    /// All places are taken and the queue is full.
    Full,
}

/// Holds a place in the queue; taken by [`Gate::enter`], given back when dropped.
///
/// As a future it is ready once a place is handed over; [`Waiter::keep`] then keeps that place.
pub(crate) struct Waiter<'a> {
    gate: &'a Gate,
    ticket: Option<bulkhead::Ticket>,
    handed: oneshot::Receiver<()>,
    /// How many waited when it came, itself included.
    pub(crate) waiting: u32,
    /// How long it may wait.
    pub(crate) wait_max: Duration,
}

/// Counts places and waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) in_flight: u32,
    pub(crate) waiting: u32,
}

impl Gate {
    pub(crate) fn new(limit: Option<&bulkhead::Params>) -> Self {
        let limit = limit.cloned().unwrap_or(UNLIMITED);
        Self(Mutex::new(State { bulkhead: Bulkhead::new(), limit }))
    }

    /// Takes a place or a place in the queue.
    pub(crate) fn enter(&self) -> Entry<'_> {
        let mut receiver = None;
        let mut state = self.lock();
        let State { bulkhead, limit } = &mut *state;
        let entered = bulkhead.enter(limit, || {
            let (wake, handed) = oneshot::channel();
            receiver = Some(handed);
            wake
        });
        match (entered, receiver) {
            (Entered::Admitted, _) => Entry::Admitted,
            (Entered::Waits(ticket), Some(handed)) => Entry::Waits(Waiter {
                gate: self,
                ticket: Some(ticket),
                handed,
                waiting: state.bulkhead.waiting(),
                wait_max: state.limit.queue_wait_max,
            }),
            (Entered::Full | Entered::Waits(_), _) => Entry::Full,
        }
    }

    /// Gives a place back: to the first in the queue, if there is one.
    pub(crate) fn release(&self) {
        let next = {
            let mut state = self.lock();
            let State { bulkhead, limit } = &mut *state;
            bulkhead.release(limit)
        };
        if let Some(wake) = next {
            // If the waiter was dropped, its own drop passes the place on.
            let _ = wake.send(());
        }
    }

    /// Puts another limit in force and admits waiters that now fit.
    pub(crate) fn set_limit(&self, limit: Option<&bulkhead::Params>) {
        let admitted: Vec<Wake> = {
            let mut state = self.lock();
            state.limit = limit.cloned().unwrap_or(UNLIMITED);
            let State { bulkhead, limit } = &mut *state;
            bulkhead.resize(limit).collect()
        };
        for wake in admitted {
            let _ = wake.send(());
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts { in_flight: state.bulkhead.in_flight(), waiting: state.bulkhead.waiting() }
    }

    /// Leaves the queue; `false` if a place was handed over before.
    fn leave(&self, ticket: bulkhead::Ticket) -> bool {
        self.lock().bulkhead.leave(ticket)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under this lock is impossible short of memory running out; nothing foreign
        // runs here. Going on beats taking every later call down.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiter<'_> {
    /// Takes the place that was handed over; it must come back through [`Gate::release`].
    pub(crate) fn keep(mut self) {
        self.ticket = None;
    }
}

impl Future for Waiter<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        // The sending end lives in the queue until it is sent: it cannot be lost before.
        Pin::new(&mut self.handed).poll(cx).map(|_| ())
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(ticket) = self.ticket.take()
            && !self.gate.leave(ticket)
        {
            self.gate.release();
        }
    }
}

/// Stands for a policy without a bulkhead: its attempts are counted all the same, so that a limit
/// that comes by reload finds those that are in flight.
const UNLIMITED: bulkhead::Params = bulkhead::Params {
    in_flight_max: u32::MAX,
    queue_max: u32::MAX,
    queue_wait_max: Duration::MAX,
    order: bulkhead::Order::Fifo,
    holds_abandoned: false,
};
