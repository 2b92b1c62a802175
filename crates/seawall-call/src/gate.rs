//! The bulkhead's gate: who has a place, who waits for one, and how a place changes hands.
//!
//! Does not know: calls, breakers, deadlines, events. Invariant: every place that was given out
//! comes back exactly once. A place that is handed to a waiter belongs to it once the word has
//! reached it; if the waiter has gone by then, whoever gave the word passes the place on.

use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use seawall_core::{Deadline, Outcome, Priority, ShedReason};
use seawall_policy::adaptive::{self, Adaptive};
use seawall_policy::bulkhead::{self, Bulkhead, BulkheadCapacity, ClientId, Entered, Learned};
use seawall_policy::patience::Patience;
use seawall_policy::{Params, shed};
use tokio::sync::futures::Notified;
use tokio::sync::{Notify, oneshot};

use crate::readers::{self, Readers};

/// Guards the places of one upstream.
pub(crate) struct Gate {
    state: Mutex<State>,
    learned: Adaptive,
    /// Tells those who wait that a place is held until an instant, and comes back then.
    ghosts_came: Notify,
    /// The answers whose places can be taken back.
    pub(crate) readers: Readers,
}

struct State {
    bulkhead: Bulkhead<Wake>,
    /// Kept under the same lock, so that a place is never judged by numbers of another time.
    limits: Limits,
    patience: Patience,
}

struct Limits {
    bulkhead: bulkhead::Params,
    adaptive: Option<adaptive::Params>,
    shed: Option<shed::Params>,
}

/// Wakes one waiter. Sent once, after the lock is released; the waiter holds the other end.
struct Wake {
    client: ClientId,
    word: oneshot::Sender<Word>,
}

/// Says what has become of a waiter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Word {
    /// It holds a place.
    Place,
    /// It had to go for somebody of higher priority.
    Displaced,
}

/// Says what the gate answered.
pub(crate) enum Entry<'a> {
    /// A place was taken; it must come back through [`Gate::end_place`].
    Admitted,
    /// All places are taken; the waiter is in the queue.
    Waits(Waiter<'a>),
    /// All places are taken and the queue is full.
    Full,
    /// There is no place for this priority.
    Shed(ShedReason),
}

/// Holds a place in the queue; taken by [`Gate::enter`], given back when dropped.
///
/// As a future it is ready once there is a word; after [`Word::Place`] [`Waiter::keep`] keeps the
/// place.
pub(crate) struct Waiter<'a> {
    gate: &'a Gate,
    client: ClientId,
    /// Until there is a word.
    position: Option<bulkhead::QueuePosition>,
    has_place: bool,
    word: oneshot::Receiver<Word>,
    /// How many waited when it came, itself included.
    pub(crate) waiting: u32,
    /// How long it may wait.
    pub(crate) wait_max: Duration,
}

/// Counts places and waiters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) in_flight: u32,
    /// How many more places are held for attempts that were given up.
    pub(crate) ghosts: u32,
    pub(crate) waiting: u32,
    pub(crate) places: u32,
}

impl Gate {
    pub(crate) fn new(params: &Params, epoch: Instant) -> Self {
        let state = State {
            bulkhead: Bulkhead::new(),
            limits: Limits::new(params),
            patience: Patience::default(),
        };
        Self {
            state: Mutex::new(state),
            learned: Adaptive::new(epoch),
            ghosts_came: Notify::new(),
            readers: Readers::default(),
        }
    }

    /// Takes a place or, if `may_wait`, a place in the queue; the call is given up at `deadline`.
    #[inline]
    pub(crate) fn enter(
        &self,
        client: ClientId,
        priority: Priority,
        may_wait: bool,
        deadline: Deadline,
        now: Instant,
    ) -> Entry<'_> {
        let mut state = self.lock();
        if state.bulkhead.next_expiry().is_some_and(|until| until <= now) {
            drop(state);
            self.expire(now);
            state = self.lock();
        }
        let State { bulkhead, limits, .. } = &mut *state;
        // Nobody's turn comes here, so when the newest would be next does not matter.
        let room = limits.places(&self.learned, Duration::MAX);
        if !may_wait && (bulkhead.waiting() > 0 || bulkhead.in_flight() >= room.places()) {
            return Entry::Full;
        }
        if bulkhead.enter_at_once(client, &room, priority) {
            return Entry::Admitted;
        }
        self.queue(state, client, priority, deadline, now)
    }

    /// Takes a place in the queue, if there is room.
    #[cold]
    fn queue(
        &self,
        mut state: MutexGuard<'_, State>,
        client: ClientId,
        priority: Priority,
        deadline: Deadline,
        now: Instant,
    ) -> Entry<'_> {
        let mut receiver = None;
        let State { bulkhead, limits, patience } = &mut *state;
        let room = limits.places(&self.learned, Duration::MAX);
        let entered = bulkhead.enter(client, &room, priority, now, || {
            let (word, other_end) = oneshot::channel();
            receiver = Some(other_end);
            Wake { client, word }
        });
        match (entered, receiver) {
            (Entered::Admitted, _) => Entry::Admitted,
            (Entered::Waits { position, displaced }, Some(word)) => {
                let learned = limits.learned(&self.learned, patience, now);
                let wait_max = limits.bulkhead.wait(learned, deadline.remaining(now));
                let waiting = state.bulkhead.waiting();
                drop(state);
                if let Some(displaced) = displaced {
                    // One that has gone needs no word.
                    let _ = displaced.word.send(Word::Displaced);
                }
                Entry::Waits(Waiter {
                    gate: self,
                    client,
                    position: Some(position),
                    has_place: false,
                    word,
                    waiting,
                    wait_max,
                })
            }
            (Entered::Shed(why), _) => Entry::Shed(why),
            (Entered::Full | Entered::Waits { .. }, _) => Entry::Full,
        }
    }

    /// Gives a place back: to whoever is next in the queue, if there is one.
    fn release(&self, mut client: ClientId, now: Instant) {
        loop {
            let next = {
                let mut state = self.lock();
                let State { bulkhead, limits, patience } = &mut *state;
                let learned = limits.learned(&self.learned, patience, now);
                bulkhead.release(client, &limits.room(&self.learned, learned), now)
            };
            let Some(next) = next else { return };
            client = next.client;
            // Whoever has gone since it was taken out of the queue needs none: the next one, then.
            if next.word.send(Word::Place).is_ok() {
                return;
            }
        }
    }

    /// Takes a place back from an answer whose caller does not take it, for a client that waits or
    /// was refused; whoever is next has it then. Returns whether there was one.
    pub(crate) fn make_room(&self, client: ClientId, now: Instant) -> bool {
        let mut there = match self.is_full() {
            true => self.readers.there(now),
            false => Vec::new(),
        };
        if there.is_empty() {
            return false;
        }
        let places = {
            let state = self.lock();
            for reader in &mut there {
                reader.held = state.bulkhead.held_by(reader.client);
            }
            state.limits.bulkhead.in_flight_max
        };
        let Some(slow) = readers::pick(&there, client, places, now) else {
            self.readers.be_quiet(now);
            return false;
        };
        // Without any lock: its place comes back through this gate.
        slow.revoke()
    }

    /// Returns when it is worth it to ask [`make_room`](Self::make_room) again.
    pub(crate) fn next_look(&self, now: Instant) -> Option<Instant> {
        (self.is_full() && !self.readers.is_empty()).then(|| now + readers::PATIENCE)
    }

    /// Returns whether answers whose bodies are on their way keep others out. Where only the limit
    /// is reached that is learned they do not: they do not count against it.
    fn is_full(&self) -> bool {
        let state = self.lock();
        state.bulkhead.in_flight() >= state.limits.bulkhead.in_flight_max
    }

    /// Gives a place back, and reads the clock only if somebody waits for it: that costs more than
    /// all the rest. `is_body` says whether it is that of a body, see [`ended`](Self::ended).
    pub(crate) fn end_place(&self, client: ClientId, is_body: bool) {
        let is_unwanted = {
            let bulkhead = &mut self.lock().bulkhead;
            if is_body {
                bulkhead.body_ended();
            }
            bulkhead.release_unwanted(client)
        };
        if !is_unwanted {
            self.release(client, crate::clock::now());
        }
    }

    /// Keeps the place taken of an attempt that was given up and began at `began`, for an upstream
    /// that works on what nobody waits for; at most until an instant.
    pub(crate) fn abandon(&self, client: ClientId, began: Instant, until: Instant, now: Instant) {
        // No more than there are places.
        self.lock().bulkhead.abandon(client, began, until);
        self.ghosts_came.notify_waiters();
        self.admit_waiters(now);
    }

    /// Takes note that a caller has left who had waited for so long.
    pub(crate) fn left(&self, age: Duration, now: Instant) {
        let (usual, ended) = (self.learned.usual(), self.learned.ended());
        self.lock().patience.left(age, usual, ended, now);
    }

    /// Is ready once another place is held, from the moment it is made.
    pub(crate) fn next_ghost(&self) -> Notified<'_> {
        self.ghosts_came.notified()
    }

    /// Gives back the places that were held until now.
    pub(crate) fn expire(&self, now: Instant) {
        let came_back = self.lock().bulkhead.expire(now);
        if came_back {
            self.admit_waiters(now);
        }
    }

    /// Returns when the next place that is held comes back.
    pub(crate) fn next_expiry(&self) -> Option<Instant> {
        self.lock().bulkhead.next_expiry()
    }

    /// Takes note of how an attempt ended that began `took` ago. If it `is_over` its place comes
    /// back; if not, an answer is a body from now on, whose place comes back with
    /// [`end_place`](Self::end_place).
    #[inline]
    pub(crate) fn ended(
        &self,
        client: ClientId,
        took: Duration,
        outcome: Outcome,
        now: Instant,
        is_over: bool,
    ) -> Option<adaptive::LimitChange> {
        let (change, has_room) = {
            let mut state = self.lock();
            let State { bulkhead, limits, .. } = &mut *state;
            let is_answer = outcome == Outcome::Success;
            let in_flight = bulkhead.working();
            let mut has_room = false;
            if is_over {
                bulkhead.vacate(client);
            } else if is_answer {
                bulkhead.body_begins();
            }
            // What began a whole answer's time before this one did is done with.
            if is_answer
                && bulkhead.abandoned() > 0
                && let Some(before) = now.checked_sub(took.saturating_mul(2))
            {
                has_room = bulkhead.answered(before);
            }
            has_room |= (is_over || is_answer) && bulkhead.waiting() > 0;
            let max = limits.bulkhead.in_flight_max;
            let change = limits
                .adaptive
                .as_ref()
                .and_then(|params| self.learned.record(params, max, took, outcome, in_flight, now));
            (change, has_room)
        };
        if has_room || change.is_some_and(|change| change.to > change.from) {
            self.admit_waiters(now);
        }
        change
    }

    /// Puts other limits in force and admits waiters that now fit.
    pub(crate) fn set_limits(&self, params: &Params, now: Instant) {
        self.lock().limits = Limits::new(params);
        self.admit_waiters(now);
    }

    #[cold]
    fn admit_waiters(&self, now: Instant) {
        let admitted: Vec<Wake> = {
            let mut state = self.lock();
            let State { bulkhead, limits, patience } = &mut *state;
            let learned = limits.learned(&self.learned, patience, now);
            bulkhead.resize(limits.room(&self.learned, learned), now).collect()
        };
        for wake in admitted {
            if wake.word.send(Word::Place).is_err() {
                self.release(wake.client, now);
            }
        }
    }

    pub(crate) fn counts(&self) -> Counts {
        let state = self.lock();
        Counts {
            in_flight: state.bulkhead.in_flight() - state.bulkhead.abandoned(),
            ghosts: state.bulkhead.abandoned(),
            waiting: state.bulkhead.waiting(),
            places: state.limits.places(&self.learned, Duration::MAX).places(),
        }
    }

    #[inline]
    fn lock(&self) -> MutexGuard<'_, State> {
        // A panic under this lock is impossible short of memory running out; nothing foreign
        // runs here. Going on beats taking every later call down.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Limits {
    fn new(params: &Params) -> Self {
        Self {
            bulkhead: params.limit.clone().unwrap_or(UNLIMITED),
            adaptive: params.limit.as_ref().and(params.adaptive.clone()),
            shed: params.shed.clone(),
        }
    }

    fn room(&self, adaptive: &Adaptive, learned: Option<Learned>) -> BulkheadCapacity<'_> {
        self.places(adaptive, self.bulkhead.newest_after(learned))
    }

    fn places(&self, adaptive: &Adaptive, newest_after: Duration) -> BulkheadCapacity<'_> {
        let max = self.bulkhead.in_flight_max;
        let learned = self.adaptive.as_ref().map(|params| adaptive.limit(params, max));
        BulkheadCapacity { params: &self.bulkhead, learned, shed: self.shed.as_ref(), newest_after }
    }

    /// Returns what is known that makes a wait worth it.
    fn learned(&self, adaptive: &Adaptive, patience: &Patience, now: Instant) -> Option<Learned> {
        let usual = adaptive.usual();
        let is_known = self.adaptive.is_some() && !usual.is_zero();
        is_known.then(|| Learned { patience: patience.estimate(usual, now), usual })
    }
}

impl Waiter<'_> {
    /// Takes the place that was handed over; it must come back through [`Gate::end_place`].
    pub(crate) fn keep(mut self) {
        self.has_place = false;
    }
}

impl Future for Waiter<'_> {
    type Output = Word;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Word> {
        // The sending end lives in the queue until it is sent: it cannot be lost before.
        let word = ready!(Pin::new(&mut self.word).poll(cx)).unwrap_or(Word::Displaced);
        self.position = None;
        self.has_place = word == Word::Place;
        Poll::Ready(word)
    }
}

impl Drop for Waiter<'_> {
    fn drop(&mut self) {
        if let Some(position) = self.position.take()
            && !self.gate.leave(position)
        {
            // It was taken out of the queue. Closed first: a word that comes later fails, and
            // whoever sends it passes the place on.
            self.word.close();
            self.has_place = self.word.try_recv() == Ok(Word::Place);
        }
        if self.has_place {
            self.gate.end_place(self.client, false);
        }
    }
}

impl Gate {
    fn leave(&self, position: bulkhead::QueuePosition) -> bool {
        self.lock().bulkhead.leave(position)
    }
}

/// Stands for a policy without a bulkhead: its attempts are counted all the same, so that a limit
/// that comes by reload finds those that are in flight.
const UNLIMITED: bulkhead::Params = bulkhead::Params {
    in_flight_max: u32::MAX,
    queue_max: u32::MAX,
    queue_wait_max: Duration::MAX,
    order: bulkhead::QueueOrder::Fifo,
    holds_abandoned: false,
};

#[cfg(test)]
mod tests;
