//! What is simulated: the policy, the servers that follow it, the upstream, and the clients.
//!
//! Does not know: files, flags. Every value is legal: what cannot be (no server, a share above
//! one) is taken as the nearest that can.

use std::time::Duration;

use seawall_policy::Params;
use seawall_policy::sim::{Behaviour, Capacity, Latency, Phase, Scenario};

/// Describes a simulation.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The policy that every server follows.
    pub params: Params,
    /// How many servers share the upstream; each has its own state, as in production.
    pub gateways: u16,
    /// What the upstream does.
    pub upstream: Upstream,
    /// Who calls.
    pub clients: Clients,
    /// What happens, one after the other; the last stage goes on to the end.
    pub stages: Vec<Stage>,
    /// How long it is simulated.
    pub lasts: Duration,
    /// How finely the course of things is recorded; zero for a part of the whole.
    pub step: Duration,
    /// What times of arrivals and of work are rounded up to, to compare with a runtime whose timers
    /// are that coarse; zero for not at all.
    pub grid: Duration,
    /// The seed of all chance: the same seed gives the same simulation.
    pub seed: u64,
}

/// Describes the upstream apart from what it goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Upstream {
    /// Over how many endpoints it is spread; 1 to 64.
    pub endpoints: u16,
    /// Whether it stops working on what nobody waits for any more.
    pub cancels: bool,
}

/// Describes those who call.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Clients {
    /// How long each try may take before the client leaves.
    pub timeout: Duration,
    /// How many times a client tries again after a failure.
    pub retries: u32,
    /// How long it waits before that, on average; half to one and a half times as long.
    pub pause: Duration,
    /// The share of calls that may be repeated though they may have been seen.
    pub idempotent: f64,
    /// How calls spread over the priorities, critical first; any numbers, taken as shares.
    pub priorities: [f64; 4],
}

/// Describes one stage: what the upstream does, and how much is asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name, how long it lasts and what the upstream does meanwhile.
    pub phase: Phase,
    /// How many calls begin in a second, on average; they come as they come (Poisson).
    pub per_second: f64,
    /// The endpoint whose behaviour this is, while the others go on as in the first stage; `None`
    /// for all.
    pub only: Option<u16>,
}

impl Setup {
    /// Returns a healthy upstream of 50 places and 20 ms, asked for 100 calls a second by one
    /// server for a minute.
    pub fn new(params: Params) -> Self {
        let behaviour = Behaviour { capacity: Some(CAPACITY), ..Behaviour::default() };
        Self {
            params,
            gateways: 1,
            upstream: Upstream::default(),
            clients: Clients::default(),
            stages: vec![Stage::new("steady", Duration::from_secs(60), behaviour, 100.0)],
            lasts: Duration::from_secs(60),
            step: Duration::ZERO,
            grid: Duration::ZERO,
            seed: 1,
        }
    }

    /// Lets a script happen to the upstream, at one rate.
    #[must_use]
    pub fn with_scenario(mut self, scenario: &Scenario, per_second: f64) -> Self {
        let cycle: Duration = scenario.phases.iter().map(|phase| phase.lasts).sum();
        let rounds = match scenario.repeat {
            true => (self.lasts.as_nanos() / cycle.as_nanos().max(1)).min(ROUNDS_MAX) as usize + 1,
            false => 1,
        };
        let phases = scenario.phases.iter().cycle().take(scenario.phases.len() * rounds);
        self.stages =
            phases.map(|phase| Stage { phase: phase.clone(), per_second, only: None }).collect();
        self
    }

    /// Returns the script of one endpoint.
    pub(crate) fn scenario(&self, endpoint: u16) -> Scenario {
        let first = self.stages.first().map(|stage| stage.phase.behaviour.clone());
        let usual = first.unwrap_or_default();
        let phases = self.stages.iter().map(|stage| {
            let is_meant = stage.only.is_none_or(|only| only == endpoint);
            let behaviour = if is_meant { &stage.phase.behaviour } else { &usual };
            Phase { behaviour: self.share(behaviour.clone()), ..stage.phase.clone() }
        });
        Scenario { phases: phases.collect(), repeat: false }
    }

    /// Divides the capacity among the endpoints; none is left without a place.
    fn share(&self, mut behaviour: Behaviour) -> Behaviour {
        let endpoints = u32::from(self.endpoints());
        if let Some(Capacity { slots, queue }) = &mut behaviour.capacity {
            *slots = slots.div_ceil(endpoints).max(1);
            *queue = queue.div_ceil(endpoints);
        }
        behaviour
    }

    pub(crate) fn endpoints(&self) -> u16 {
        self.upstream.endpoints.clamp(1, 64)
    }

    pub(crate) fn grid(&self) -> u64 {
        (self.grid.as_nanos() as u64).max(1)
    }

    /// Returns the step of the record: what was asked for, or a round part of the whole.
    pub(crate) fn step(&self) -> Duration {
        let finest = self.lasts / STEPS_MAX;
        if !self.step.is_zero() {
            return self.step.max(finest);
        }
        let wanted = (self.lasts / 120).max(Duration::from_millis(100));
        let mut step = Duration::from_millis(100);
        for factor in [5, 2, 5, 2, 3, 2, 5, 2, 3, 2].into_iter() {
            if step >= wanted {
                break;
            }
            step *= factor;
        }
        step.max(finest)
    }
}

impl Stage {
    /// Makes a stage for all endpoints.
    pub fn new(name: &str, lasts: Duration, behaviour: Behaviour, per_second: f64) -> Self {
        let phase = Phase { name: name.to_owned(), lasts, behaviour };
        Self { phase, per_second, only: None }
    }
}

impl Default for Upstream {
    /// One endpoint that stops working for those who have left.
    fn default() -> Self {
        Self { endpoints: 1, cancels: true }
    }
}

impl Default for Clients {
    /// 1 s, no retry of their own, everything idempotent, and of normal priority.
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(1),
            retries: 0,
            pause: Duration::from_millis(100),
            idempotent: 1.0,
            priorities: [0.0, 0.0, 1.0, 0.0],
        }
    }
}

/// Returns what a healthy upstream of so many places does.
pub fn healthy(slots: u32, queue: u32, median: Duration, p99: Duration) -> Behaviour {
    Behaviour {
        latency: Latency { median, p99 },
        errors: 0.0,
        capacity: Some(Capacity { slots, queue }),
        ..Behaviour::default()
    }
}

const CAPACITY: Capacity = Capacity { slots: 50, queue: 1000 };
const STEPS_MAX: u32 = 10_000;
const ROUNDS_MAX: u128 = 1_000;
