//! One endpoint of the upstream: places to work in, and a queue before them.
//!
//! Does not know: servers, clients, calls. What a request asks for is drawn by
//! [`seawall_policy::sim::Engine`]; who gets a place when is decided here, event by event, because
//! requests are given up in the middle. Invariant: no more are worked on than there are places.

use std::collections::VecDeque;
use std::time::Instant;

use seawall_policy::sim::{Capacity, Drawn, Engine, Scenario, Then};

/// Plays one endpoint.
#[derive(Debug)]
pub(crate) struct Endpoint {
    engine: Engine,
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
    pub(crate) fn new(scenario: Scenario, cancels: bool, seed: u64, epoch: Instant) -> Self {
        Self {
            engine: Engine::new(scenario, seed, epoch),
            cancels,
            busy: 0,
            present: 0,
            waiting: 0,
            queue: VecDeque::new(),
            slots: 0,
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
        let work = (work.as_nanos() as u64).div_ceil(grid).saturating_mul(grid);
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
