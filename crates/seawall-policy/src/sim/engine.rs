//! The engine: answers "what would this upstream do with a request that arrives now?".
//!
//! Does not know: sockets, timers, bodies. It keeps a virtual first-come-first-served queue, so a
//! plan is complete when it is made. Invariants: the same seed and the same arrivals give the same
//! plans; no call allocates; with `n` slots no more than `n` requests are worked on at once.

use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use seawall_core::Chance;

use super::scenario::{Behaviour, Capacity, Latency, Scenario, ScenarioPhase};

/// Plays one simulated upstream.
#[derive(Clone, Debug)]
pub struct Engine {
    scenario: Scenario,
    epoch: Instant,
    chance: Chance,
    /// When each slot is free, in nanoseconds since the epoch.
    slots: Vec<u64>,
    /// When those who wait for a slot begin; in no order.
    starts: Vec<u64>,
}

/// The plan of what happens to one request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestPlan {
    /// After how long something happens, the wait for a slot included.
    pub delay: Duration,
    /// What happens then.
    pub then: Then,
    /// The slot that is kept busy until then, if there is a capacity. Hand it to
    /// [`Engine::leave`] if the request is given up before.
    pub place: Option<BusySlot>,
}

/// Says what a request asks of the upstream, before it is known whether there is room for it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// How long the work on it takes.
    pub work: Duration,
    /// What comes of it.
    pub then: Then,
    /// The slots that it has to share, if it needs one.
    pub capacity: Option<Capacity>,
}

/// Says what a request comes to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It is answered.
    Answer {
        /// With this status.
        status: u16,
    },
    /// Nothing happens, ever.
    Hang,
    /// Its connection is reset.
    Reset,
    /// It is answered with 200, and the body comes very slowly.
    Drip {
        /// So slowly.
        bytes_per_second: u32,
    },
    /// Its connection is refused.
    Refuse,
}

/// The time in which a request keeps a slot busy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BusySlot {
    slot: u32,
    start: u64,
    end: u64,
}

impl Engine {
    /// Starts a scenario at `epoch`.
    pub fn new(mut scenario: Scenario, seed: u64, epoch: Instant) -> Self {
        if scenario.phases.is_empty() {
            scenario = Scenario::calm();
        }
        let capacities = || scenario.phases.iter().filter_map(|phase| phase.behaviour.capacity);
        let slots = capacities().map(|capacity| capacity.slots).max().unwrap_or(0);
        let queue = capacities().map(|capacity| capacity.queue).max().unwrap_or(0);
        Self {
            epoch,
            chance: Chance::seeded(seed),
            slots: vec![0; slots.min(SLOTS_MAX) as usize],
            starts: Vec::with_capacity(queue.min(QUEUE_MAX) as usize),
            scenario,
        }
    }

    /// Draws what a request that arrives at `now` asks of the upstream, for those who keep its
    /// queue themselves. Times must not go back.
    pub fn draw(&mut self, now: Instant) -> Drawn {
        let phase = phase_at(&self.scenario, crate::nanos(self.epoch, now));
        let behaviour = &self.scenario.phases[phase].behaviour;
        // Always three draws, so that one request's fate does not change the luck of the next.
        let which = self.chance.unit();
        let work = draw(behaviour.latency, &mut self.chance);
        let then = fate(behaviour, which);
        let (work, capacity) = match then {
            Then::Refuse => (0, None),
            Then::Hang => (work, None),
            _ => (work, behaviour.capacity),
        };
        Drawn { work: Duration::from_nanos(work), then, capacity }
    }

    /// Decides what happens to a request that arrives at `now`. Times must not go back.
    pub fn arrive(&mut self, now: Instant) -> RequestPlan {
        let Drawn { work, then, capacity } = self.draw(now);
        let Some(capacity) = capacity else {
            return RequestPlan { delay: work, then, place: None };
        };
        let (now, work) = (crate::nanos(self.epoch, now), crate::saturated(work));
        match self.take_slot(capacity.slots, capacity.queue, now, work) {
            Some(place) => {
                let delay = Duration::from_nanos(place.end - now);
                RequestPlan { delay, then, place: Some(place) }
            }
            None => RequestPlan {
                delay: Duration::ZERO,
                then: Then::Answer { status: 503 },
                place: None,
            },
        }
    }

    /// Takes note that a request was given up at `now`: its slot is free for those to come. An
    /// upstream that does not notice is one for which this is not called.
    ///
    /// Those who wait already keep the time that their plans say.
    pub fn leave(&mut self, place: BusySlot, now: Instant) {
        let now = crate::nanos(self.epoch, now);
        let left = place.end.saturating_sub(place.start.max(now));
        if let Some(slot) = self.slots.get_mut(place.slot as usize) {
            *slot = slot.saturating_sub(left).max(now);
        }
        if place.start > now
            && let Some(index) = self.starts.iter().position(|&start| start == place.start)
        {
            self.starts.swap_remove(index);
        }
    }

    /// Returns the phase at `now`.
    pub fn phase(&self, now: Instant) -> &ScenarioPhase {
        &self.scenario.phases[phase_at(&self.scenario, crate::nanos(self.epoch, now))]
    }

    /// Returns how many requests wait for a slot at `now`.
    pub fn waiting(&self, now: Instant) -> usize {
        let now = crate::nanos(self.epoch, now);
        self.starts.iter().filter(|&&start| start > now).count()
    }

    fn take_slot(&mut self, slots: u32, queue: u32, now: u64, work: u64) -> Option<BusySlot> {
        let slots = &mut self.slots[..slots.min(SLOTS_MAX) as usize];
        let (slot, free) = slots.iter_mut().enumerate().min_by_key(|(_, free)| **free)?;
        let start = (*free).max(now);
        if start > now {
            self.starts.retain(|&start| start > now);
            if self.starts.len() >= queue.min(QUEUE_MAX) as usize {
                return None;
            }
            self.starts.push(start);
        }
        let end = start.saturating_add(work);
        *free = end;
        Some(BusySlot { slot: slot as u32, start, end })
    }
}

/// Returns which phase it is; the last one goes on unless the script repeats.
fn phase_at(scenario: &Scenario, now: u64) -> usize {
    let lasts = |phase: &ScenarioPhase| crate::saturated(phase.lasts);
    let mut left = now;
    if scenario.repeat {
        let cycle = scenario.phases.iter().map(lasts).fold(0, u64::saturating_add);
        left = now.checked_rem(cycle).unwrap_or(now);
    }
    for (index, phase) in scenario.phases.iter().enumerate() {
        match left.checked_sub(lasts(phase)) {
            Some(rest) => left = rest,
            None => return index,
        }
    }
    scenario.phases.len() - 1
}

/// Divides the unit into the shares, one after the other.
fn fate(behaviour: &Behaviour, which: f64) -> Then {
    if behaviour.is_down {
        return Then::Refuse;
    }
    let drip = Then::Drip { bytes_per_second: behaviour.drip_bytes_per_second };
    let mut end = 0.0;
    for (share, then) in [
        (behaviour.hangs, Then::Hang),
        (behaviour.resets, Then::Reset),
        (behaviour.drips, drip),
        (behaviour.errors, Then::Answer { status: behaviour.error_status }),
    ] {
        end += share.max(0.0);
        if which < end {
            return then;
        }
    }
    Then::Answer { status: 200 }
}

/// Draws a lognormal time in nanoseconds: two draws of chance.
fn draw(latency: Latency, chance: &mut Chance) -> u64 {
    let median = latency.median.as_nanos() as f64;
    // A median of zero has no tail.
    let sigma = if median > 0.0 {
        (latency.p99.as_nanos() as f64 / median).max(1.0).ln() / Z_99
    } else {
        0.0
    };
    // Box and Muller (1958); `1 - unit` is never zero.
    let radius = (-2.0 * (1.0 - chance.unit()).ln()).sqrt();
    let normal = radius * (TAU * chance.unit()).cos();
    (median * (sigma * normal).exp()) as u64
}

/// More than any simulation needs, and few enough to look through on every arrival.
const SLOTS_MAX: u32 = 4096;
const QUEUE_MAX: u32 = 65_536;
/// The standard normal distribution is below this in 99 of 100.
const Z_99: f64 = 2.326_347_874;
