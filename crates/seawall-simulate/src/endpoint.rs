//! One endpoint of the upstream: places to work in, and a queue before them.
//!
//! Does not know: servers, clients, calls. What a request asks for is drawn by
//! [`seawall_policy::sim::Engine`]; who gets a place when is decided here, event by event, because
//! requests are given up in the middle. Invariant: no more are worked on than there are places.

use std::collections::VecDeque;
use std::f64::consts::TAU;
use std::time::{Duration, Instant};

use seawall_core::Chance;
use seawall_policy::sim::{Capacity, Drawn, Engine, Latency, Scenario, Then};

use crate::arrivals::nanos;
use crate::setup::{Work, sigma};

/// Plays one endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    engine: Engine,
    /// How work is distributed, and until when, in nanoseconds; the phase that is now.
    works: Vec<(u64, Work)>,
    phase: usize,
    chance: Chance,
    cancels: bool,
    /// How many places are taken.
    pub(crate) busy: u32,
    /// How many requests are there in all, those that hang without a place included.
    pub(crate) present: u32,
    /// How many wait; `queue` may hold some that have left as well.
    pub(crate) waiting: u32,
    queue: VecDeque<Job>,
    slots: u32,
}

/// Is a request, as the endpoint sees it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Job {
    /// The attempt that sent it, and the stamp that the attempt had.
    pub(crate) attempt: u32,
    pub(crate) stamp: u32,
    work: u64,
    pub(crate) then: Then,
}

/// Says where a request stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Service {
    /// It comes to this at this instant.
    Ends { at: u64, then: Then, has_place: bool },
    /// It waits for a place.
    Waits,
}

impl Endpoint {
    pub(crate) fn new(
        (scenario, works): (Scenario, Vec<Work>),
        cancels: bool,
        seed: u64,
        epoch: Instant,
    ) -> Self {
        let ends = scenario.phases.iter().scan(0, |end: &mut u64, phase| {
            *end = end.saturating_add(nanos(phase.lasts));
            Some(*end)
        });
        Self {
            works: ends.zip(works).collect(),
            phase: 0,
            chance: Chance::seeded(Chance::seeded(seed).bits()),
            engine: Engine::new(scenario, seed, epoch),
            cancels,
            busy: 0,
            present: 0,
            waiting: 0,
            queue: VecDeque::new(),
            slots: 0,
        }
    }

    /// Draws how long the work takes where it is not distributed as usual.
    fn work(&mut self, usual: Duration, now: u64) -> u64 {
        while self.phase + 1 < self.works.len() && self.works[self.phase].0 <= now {
            self.phase += 1;
        }
        match self.works.get(self.phase).map_or(Work::Usual, |(_, work)| *work) {
            Work::Uniform { from, to } if usual > Duration::ZERO => {
                let span = nanos(to.saturating_sub(from)) as f64;
                nanos(from) + (span * self.chance.unit()) as u64
            }
            Work::Bimodal { share, slow } if usual > Duration::ZERO => {
                let (is_slow, one, two) =
                    (self.chance.happens(share), self.chance.unit(), self.chance.unit());
                if is_slow { lognormal(slow, one, two) } else { nanos(usual) }
            }
            _ => nanos(usual),
        }
    }

    /// Takes a request in. `grid` is what times of work are rounded up to; 1 for not at all.
    pub(crate) fn arrive(
        &mut self,
        (attempt, stamp): (u32, u32),
        (now, instant): (u64, Instant),
        grid: u64,
    ) -> Service {
        let Drawn { work, then, capacity } = self.engine.draw(instant);
        let work = self.work(work, now).min(WORK_MAX).div_ceil(grid).saturating_mul(grid);
        self.present += 1;
        let Some(Capacity { slots, queue }) = capacity else {
            let at = if then == Then::Hang { u64::MAX } else { now.saturating_add(work) };
            return Service::Ends { at, then, has_place: false };
        };
        self.slots = slots;
        if self.busy < slots && self.waiting == 0 {
            self.busy += 1;
            return Service::Ends { at: now.saturating_add(work), then, has_place: true };
        }
        if self.waiting >= queue {
            return Service::Ends { at: now, then: Then::Answer { status: 503 }, has_place: false };
        }
        self.waiting += 1;
        self.queue.push_back(Job { attempt, stamp, work, then });
        Service::Waits
    }

    /// Ends a request that came to its end.
    pub(crate) fn end(&mut self, has_place: bool) {
        self.present -= 1;
        if has_place {
            self.busy -= 1;
        }
    }

    /// Takes note that nobody waits for a request any more. Returns when work on it ends all the
    /// same, if it does.
    pub(crate) fn leave(&mut self, service: Service) -> Option<u64> {
        match service {
            Service::Waits => {
                // Its job stays in the queue: of one who cancels as a gap, of another as work.
                if self.cancels {
                    self.waiting -= 1;
                    self.present -= 1;
                }
                None
            }
            Service::Ends { at, has_place: true, .. } if !self.cancels => Some(at),
            Service::Ends { has_place, .. } => {
                self.end(has_place);
                None
            }
        }
    }

    /// Begins work on the next request, if there is a place, and returns when it ends. `is_there`
    /// says whether an attempt still waits for it.
    pub(crate) fn start(
        &mut self,
        now: u64,
        is_there: impl Fn(&Job) -> bool,
    ) -> Option<(Job, u64)> {
        while self.busy < self.slots
            && let Some(job) = self.queue.pop_front()
        {
            if !is_there(&job) && self.cancels {
                continue;
            }
            self.waiting -= 1;
            self.busy += 1;
            return Some((job, now.saturating_add(job.work)));
        }
        None
    }
}

/// A day: the tail of a distribution must not outlast the clock.
const WORK_MAX: u64 = 86_400_000_000_000;

/// Turns two draws into a lognormal time in nanoseconds (Box and Muller, 1958).
fn lognormal(latency: Latency, one: f64, two: f64) -> u64 {
    // `1 - unit` is never zero.
    let normal = (-2.0 * (1.0 - one).ln()).sqrt() * (TAU * two).cos();
    (nanos(latency.median) as f64 * (sigma(latency) * normal).exp()) as u64
}
