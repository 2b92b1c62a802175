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
    pub order: QueueOrder,
    /// Whether the place of an attempt that was given up stays taken, since its upstream may still
    /// work on it: until an attempt that began later is answered, or its time limit is over.
    pub holds_abandoned: bool,
}

/// The order of a queue, among those of the same priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum QueueOrder {
    /// Who came first, always.
    Fifo,
    /// Who came first; but while the first has waited for more than half of the longest wait, or
    /// than a few answers take, who came last ("Fail at Scale", ACM Queue 2015). Where the limit is
    /// learned, nobody waits for longer than callers would.
    #[default]
    Adaptive,
}

seawall_core::words!(QueueOrder { Adaptive => "adaptive", Fifo => "fifo" });

impl Params {
    /// Returns how long an attempt may wait for its place, whose caller gives up after `left`.
    ///
    /// With the first-come order, and where nothing is learned, it is `queue_wait_max`, or a fifth of
    /// `left`. With the adaptive one it is as long as the caller's patience leaves after the usual
    /// time of an answer.
    pub fn wait(&self, learned: Option<Learned>, left: Duration) -> Duration {
        let wait = match learned {
            Some(Learned { patience, usual }) if self.order == QueueOrder::Adaptive => {
                patience::worth(patience.min(left), usual)
            }
            _ => left / LEFT_SHARE,
        };
        wait.min(self.queue_wait_max)
    }

    /// Returns how long the oldest waits before the newest is served first: half of the longest wait,
    /// or as long as a few answers usually take. Where they are quicker than anybody notices, that is
    /// no sign that the queue does not empty any more: the oldest would wait in vain behind callers
    /// who come back as soon as they are answered.
    pub fn newest_after(&self, learned: Option<Learned>) -> Duration {
        if self.order == QueueOrder::Fifo {
            return Duration::MAX;
        }
        let half = self.wait(learned, Duration::MAX) / 2;
        let few = |learned: Learned| learned.usual.saturating_mul(NEWEST_AFTER);
        learned.map_or(half, |learned| half.min(few(learned).max(NEWEST_AFTER_MIN)))
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
            order: QueueOrder::default(),
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
            order: QueueOrder::default(),
            holds_abandoned: false,
        }
    }
}

/// The places that there are now, and for whom.
#[derive(Clone, Copy, Debug)]
pub struct BulkheadCapacity<'a> {
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

impl BulkheadCapacity<'_> {
    /// Returns how many attempts may be worked on at once now.
    pub fn places(&self) -> u32 {
        self.learned.unwrap_or(u32::MAX).min(self.params.in_flight_max).max(1)
    }
}

/// Whose attempt it is, as far as places are shared out. There are few of them, so that they can be
/// counted: clients whose hashes meet share what each would have alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ClientId(u16);

impl ClientId {
    /// Stands for whoever did not say who it is.
    pub const NOBODY: Self = Self(0);

    /// Returns who a hash stands for; whoever hashes takes a seed that clients cannot know.
    pub const fn of(hash: u64) -> Self {
        Self((hash % CLIENTS as u64) as u16)
    }

    const fn index(self) -> usize {
        self.0 as usize
    }
}

/// Keeps account of the places and of who waits for one; `W` is what wakes a waiter.
#[derive(Debug)]
pub struct Bulkhead<W> {
    in_flight: u32,
    /// How many places each client has; made for the first one that says who it is.
    held: Option<Box<[u32; CLIENTS]>>,
    /// How many of those are answered, and only their bodies are on their way.
    bodies: u32,
    next: u64,
    /// Those who wait, by priority.
    queues: [Queue<W>; Priority::ALL.len()],
    waiting: u32,
    /// The places of attempts that were given up, by when those began: whose they are, and until
    /// when at most they are taken.
    abandoned: BTreeMap<(Instant, u64), (ClientId, Instant)>,
}

/// Those who wait, by client; ascending by the order in which they came.
type Queue<W> = BTreeMap<ClientId, BTreeMap<u64, (Instant, W)>>;

/// Stands for a waiter in the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct QueuePosition {
    number: u64,
    priority: Priority,
    client: ClientId,
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
        position: QueuePosition,
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
            held: None,
            bodies: 0,
            next: 0,
            queues: [const { BTreeMap::new() }; Priority::ALL.len()],
            waiting: 0,
            abandoned: BTreeMap::new(),
        }
    }

    /// Takes a place if one is free and nobody waits who is to have it first.
    #[must_use = "a place that was given must be released"]
    #[inline]
    pub fn enter_at_once(
        &mut self,
        client: ClientId,
        room: &BulkheadCapacity<'_>,
        priority: Priority,
    ) -> bool {
        let enters = self.has_place(room, priority) && !self.is_behind(priority);
        if enters {
            self.take_place(client);
        }
        enters
    }

    /// Takes a place, or a place in the queue; `waiter` is only made for the latter.
    ///
    /// Of those who wait with the same priority the one whose client has the fewest places is
    /// next, and the last of the client with most goes first when the queue is full. A client that
    /// is alone notices nothing.
    pub fn enter(
        &mut self,
        client: ClientId,
        room: &BulkheadCapacity<'_>,
        priority: Priority,
        now: Instant,
        waiter: impl FnOnce() -> W,
    ) -> Entered<W> {
        if self.enter_at_once(client, room, priority) {
            return Entered::Admitted;
        }
        let mut displaced = None;
        if self.waiting >= room.params.queue_max {
            displaced = self.displace(priority).or_else(|| self.displace_for(client, priority));
            if displaced.is_none() {
                let is_shed =
                    self.in_flight < room.params.in_flight_max && self.working() < room.places();
                return if is_shed { Entered::Shed(ShedReason::Places) } else { Entered::Full };
            }
        }
        let number = self.next;
        self.next += 1;
        let queue = &mut self.queues[priority.index()];
        queue.entry(client).or_default().insert(number, (now, waiter()));
        self.waiting += 1;
        let position = QueuePosition { number, priority, client };
        Entered::Waits { position, displaced }
    }

    /// Leaves the queue.
    ///
    /// `false` means that the waiter has been handed a place in the meantime, or was displaced: a
    /// place must be used or [released](Self::release).
    #[must_use = "on false the waiter may hold a place"]
    pub fn leave(&mut self, position: QueuePosition) -> bool {
        self.take_out(position).is_some()
    }

    /// Gives a place back. The waiter who is next, if there is one, now holds it and is to be
    /// woken.
    #[must_use = "the waiter holds the place and must be woken"]
    pub fn release(
        &mut self,
        client: ClientId,
        room: &BulkheadCapacity<'_>,
        now: Instant,
    ) -> Option<W> {
        self.vacate(client);
        self.hand_over(room, now)
    }

    /// Gives a place back if nobody waits for one. If somebody does, nothing has happened, and it
    /// is to be [released](Self::release): who is next depends on the time.
    #[must_use = "on false the place is still held"]
    pub fn release_unwanted(&mut self, client: ClientId) -> bool {
        if self.waiting == 0 {
            self.vacate(client);
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

    #[inline]
    fn take_place(&mut self, client: ClientId) {
        self.in_flight += 1;
        if client != ClientId::NOBODY || self.held.is_some() {
            self.held.get_or_insert_with(|| Box::new([0; CLIENTS]))[client.index()] += 1;
        }
    }

    /// Gives a place back. Others may fit now, see [`resize`](Self::resize).
    #[inline]
    pub fn vacate(&mut self, client: ClientId) {
        debug_assert!(self.in_flight > 0, "a place was released twice");
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(held) = &mut self.held {
            // Nobody's places were not counted before there was somebody.
            held[client.index()] = held[client.index()].saturating_sub(1);
        }
    }

    /// Hands free places to waiters, who are to be woken. Call it after every change of the
    /// numbers; a waiter whose room is gone keeps waiting.
    pub fn resize<'a>(
        &'a mut self,
        room: BulkheadCapacity<'a>,
        now: Instant,
    ) -> impl Iterator<Item = W> + 'a {
        std::iter::from_fn(move || self.hand_over(&room, now))
    }

    /// Keeps the place of an attempt that was given up: its upstream may still work on it.
    ///
    /// It comes back when an attempt that began later is [answered](Self::answered), or at `until`.
    /// Others may fit now, see [`resize`](Self::resize).
    pub fn abandon(&mut self, client: ClientId, began: Instant, until: Instant) {
        let number = self.next;
        self.next += 1;
        self.abandoned.insert((began, number), (client, until));
    }

    /// Takes note that an attempt which began at `began` was answered: what was given up and began
    /// before is done with too. Returns whether places came back, see [`resize`](Self::resize).
    pub fn answered(&mut self, began: Instant) -> bool {
        if self.abandoned.is_empty() {
            return false;
        }
        let later = self.abandoned.split_off(&(began, u64::MAX));
        let over = std::mem::replace(&mut self.abandoned, later);
        for (client, _) in over.values() {
            self.vacate(*client);
        }
        !over.is_empty()
    }

    /// Gives back the places that were kept until `now`; returns whether there were any, see
    /// [`resize`](Self::resize).
    pub fn expire(&mut self, now: Instant) -> bool {
        let before = self.in_flight;
        while let Some(first) = self.abandoned.first_entry()
            && first.get().1 <= now
        {
            let (client, _) = first.remove();
            self.vacate(client);
        }
        self.in_flight < before
    }

    /// Returns when the next place comes back that is kept, if nothing is answered before.
    pub fn next_expiry(&self) -> Option<Instant> {
        self.abandoned.first_key_value().map(|(_, (_, until))| *until)
    }

    /// Returns how many places are kept for attempts that were given up.
    pub fn abandoned(&self) -> u32 {
        self.abandoned.len() as u32
    }

    /// Returns how many attempts hold a place, those included that were given up or answered.
    pub const fn in_flight(&self) -> u32 {
        self.in_flight
    }

    /// Returns how many places a client has; zero for [`ClientId::NOBODY`] while all are nobody.
    pub fn held_by(&self, client: ClientId) -> u32 {
        self.held.as_ref().map_or(0, |held| held[client.index()])
    }

    /// Returns how many attempts wait.
    pub const fn waiting(&self) -> u32 {
        self.waiting
    }

    fn hand_over(&mut self, room: &BulkheadCapacity<'_>, now: Instant) -> Option<W> {
        let priority = Priority::ALL.into_iter().find(|&priority| {
            !self.queues[priority.index()].is_empty() && self.has_place(room, priority)
        })?;
        let queue = &self.queues[priority.index()];
        let oldest = queue
            .values()
            .filter_map(|own| own.first_key_value())
            .min_by_key(|(number, _)| **number);
        // Who has waited for so long may not be in time any more; who has just come is.
        let is_lifo = oldest.is_some_and(|(_, (since, _))| {
            now.saturating_duration_since(*since) > room.newest_after
        });
        let next = queue.iter().filter_map(|(client, own)| {
            let number = if is_lifo { own.last_key_value() } else { own.first_key_value() }?.0;
            let turn = if is_lifo { u64::MAX - number } else { *number };
            Some((
                self.held_by(*client),
                turn,
                QueuePosition { number: *number, priority, client: *client },
            ))
        });
        let (_, _, position) = next.min_by_key(|(held, turn, _)| (*held, *turn))?;
        let waiter = self.take_out(position)?;
        self.take_place(position.client);
        Some(waiter)
    }

    /// Takes the last who came of the lowest priority below this one out of the queue.
    fn displace(&mut self, priority: Priority) -> Option<W> {
        let lower = Priority::ALL[priority.index() + 1..].iter().rev();
        let lowest = lower.copied().find(|lower| !self.queues[lower.index()].is_empty())?;
        let lasts = self.queues[lowest.index()].iter().filter_map(|(client, own)| {
            Some(QueuePosition {
                number: *own.last_key_value()?.0,
                priority: lowest,
                client: *client,
            })
        });
        let last = lasts.max_by_key(|position| position.number)?;
        self.take_out(last)
    }

    /// Takes the last who came of the client with most, places and waiters together, out of the
    /// queue, if this client then still has fewer.
    #[cold]
    fn displace_for(&mut self, client: ClientId, priority: Priority) -> Option<W> {
        let queue = &self.queues[priority.index()];
        let has = |client: ClientId| {
            self.held_by(client) + queue.get(&client).map_or(0, |own| own.len() as u32)
        };
        let most = queue.keys().copied().max_by_key(|client| has(*client))?;
        if has(most) <= has(client) + 1 {
            return None;
        }
        let number = *queue.get(&most)?.last_key_value()?.0;
        self.take_out(QueuePosition { number, priority, client: most })
    }

    fn take_out(&mut self, QueuePosition { number, priority, client }: QueuePosition) -> Option<W> {
        let queue = &mut self.queues[priority.index()];
        let own = queue.get_mut(&client)?;
        let (_, waiter) = own.remove(&number)?;
        if own.is_empty() {
            queue.remove(&client);
        }
        self.waiting -= 1;
        Some(waiter)
    }

    #[inline]
    fn has_place(&self, room: &BulkheadCapacity<'_>, priority: Priority) -> bool {
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
    #[inline]
    pub const fn working(&self) -> u32 {
        self.in_flight.saturating_sub(self.bodies)
    }

    /// Returns whether somebody of the same or a higher priority waits.
    #[inline]
    fn is_behind(&self, priority: Priority) -> bool {
        self.waiting > 0 && self.queues[..=priority.index()].iter().any(|queue| !queue.is_empty())
    }
}

impl<W> Default for Bulkhead<W> {
    fn default() -> Self {
        Self::new()
    }
}

/// How many clients are told apart.
const CLIENTS: usize = 1024;
/// How many usual answers the oldest waits before the newest is served first.
const NEWEST_AFTER: u32 = 5;
/// How long at least, if that is in time.
const NEWEST_AFTER_MIN: Duration = Duration::from_millis(25);
/// The part of the learned places that attempts under way may always have.
const LIVE_PART: u32 = 8;
/// The part of the time a caller has left that it waits at most, where nothing is known.
const LEFT_SHARE: u32 = 5;
