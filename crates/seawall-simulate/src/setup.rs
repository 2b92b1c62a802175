//! What is simulated: the policy, the servers that follow it, the upstream, and the clients.
//!
//! Does not know: files, flags. Every value is legal: what cannot be (no server, a share above
//! one) is taken as the nearest that can.

use std::time::Duration;

use seawall_policy::Params;
use seawall_policy::sim::{Behaviour, Capacity, Latency, Scenario, ScenarioPhase};

/// Describes a simulation.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The policy that every server follows.
    pub params: Params,
    /// How many servers share the upstream; each has its own state, as in production.
    pub gateways: u16,
    /// What the upstream does.
    pub upstream: SimulatedUpstream,
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

/// The simulated upstream, apart from what it goes through.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SimulatedUpstream {
    /// Over how many endpoints it is spread; 1 to 64.
    pub endpoints: u16,
    /// Whether it stops working on what nobody waits for any more.
    pub cancels: bool,
}

/// Describes those who call.
#[derive(Clone, Debug, PartialEq)]
pub struct Clients {
    /// How calls follow one another.
    pub pace: ArrivalProcess,
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
    /// How calls spread over callers whom the servers tell apart; any numbers, taken as shares.
    /// Empty if they cannot tell.
    pub callers: Vec<f64>,
}

/// The process by which calls arrive.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ArrivalProcess {
    /// As they come, whatever happened before (Poisson).
    #[default]
    Random,
    /// At equal distances.
    Even,
}

/// Describes one stage: what the upstream does, and how much is asked of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Stage {
    /// Its name, how long it lasts and what the upstream does meanwhile.
    pub phase: ScenarioPhase,
    /// How the work on a request is distributed.
    pub work: Work,
    /// How many calls begin in a second, on average.
    pub per_second: f64,
    /// The one endpoint that does something else meanwhile.
    pub except: Option<Except>,
}

/// Says how long the work on a request takes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Work {
    /// Lognormal, by the median and p99 of the behaviour.
    #[default]
    Usual,
    /// Anything between, all equally likely.
    Uniform {
        /// The least.
        from: Duration,
        /// The most.
        to: Duration,
    },
    /// As the behaviour says, but for a share that is of another kind.
    Bimodal {
        /// The share, 0 to 1.
        share: f64,
        /// What takes so long.
        slow: Latency,
    },
}

/// Describes the one endpoint that does something else.
#[derive(Clone, Debug, PartialEq)]
pub struct Except {
    /// Which, from 0.
    pub endpoint: u16,
    /// What it does.
    pub behaviour: Behaviour,
    /// How its work is distributed.
    pub work: Work,
}

impl Setup {
    /// Returns a healthy upstream of 50 places and 20 ms, asked for 100 calls a second by one
    /// server for a minute.
    pub fn new(params: Params) -> Self {
        let behaviour = Behaviour { capacity: Some(CAPACITY), ..Behaviour::default() };
        Self {
            params,
            gateways: 1,
            upstream: SimulatedUpstream::default(),
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
        self.stages = phases
            .map(|phase| Stage::new(&phase.name, phase.lasts, phase.behaviour.clone(), per_second))
            .collect();
        self
    }

    /// Returns the script of one endpoint, and with each phase how its work is distributed.
    pub(crate) fn scenario(&self, endpoint: u16) -> (Scenario, Vec<Work>) {
        let phases = self.stages.iter().map(|stage| {
            let (behaviour, work) = stage.at(endpoint);
            (
                ScenarioPhase { behaviour: self.share(behaviour.clone()), ..stage.phase.clone() },
                work,
            )
        });
        let (phases, works) = phases.unzip();
        (Scenario { phases, repeat: false }, works)
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
        let phase = ScenarioPhase { name: name.to_owned(), lasts, behaviour };
        Self { phase, work: Work::Usual, per_second, except: None }
    }

    /// Returns what an endpoint does.
    pub(crate) fn at(&self, endpoint: u16) -> (&Behaviour, Work) {
        match &self.except {
            Some(except) if except.endpoint == endpoint => (&except.behaviour, except.work),
            _ => (&self.phase.behaviour, self.work),
        }
    }

    /// Returns how many calls a second the upstream can answer well at most; infinite if it can do
    /// any amount.
    pub(crate) fn capacity(&self, endpoints: u16) -> f64 {
        let of = |endpoint| {
            let (behaviour, work) = self.at(endpoint);
            let hangs = behaviour.hangs.clamp(0.0, 1.0);
            let good = (1.0 - behaviour.errors - behaviour.resets - hangs).clamp(0.0, 1.0);
            if behaviour.is_down || good == 0.0 {
                return 0.0;
            }
            // What hangs takes no place; what fails takes one as long as what does not.
            behaviour.capacity.map_or(f64::INFINITY, |capacity| {
                let slots = f64::from(capacity.slots) / f64::from(endpoints);
                slots / mean(behaviour.latency, work).max(1e-9) * good / (1.0 - hangs)
            })
        };
        (0..endpoints).map(of).sum()
    }
}

impl Default for SimulatedUpstream {
    /// One endpoint that stops working for those who have left.
    fn default() -> Self {
        Self { endpoints: 1, cancels: true }
    }
}

impl Default for Clients {
    /// 1 s, no retry of their own, everything idempotent, and of normal priority.
    fn default() -> Self {
        Self {
            pace: ArrivalProcess::Random,
            timeout: Duration::from_secs(1),
            retries: 0,
            pause: Duration::from_millis(100),
            idempotent: 1.0,
            priorities: [0.0, 0.0, 1.0, 0.0],
            callers: Vec::new(),
        }
    }
}

/// Returns the mean time of the work on a request, in seconds.
fn mean(latency: Latency, work: Work) -> f64 {
    let lognormal =
        |latency: Latency| latency.median.as_secs_f64() * (sigma(latency).powi(2) / 2.0).exp();
    match work {
        Work::Usual => lognormal(latency),
        Work::Uniform { from, to } => (from + to).as_secs_f64() / 2.0,
        Work::Bimodal { share, slow } => {
            let share = share.clamp(0.0, 1.0);
            (1.0 - share) * lognormal(latency) + share * lognormal(slow)
        }
    }
}

/// Returns the sigma of a lognormal distribution with this median and p99.
pub(crate) fn sigma(latency: Latency) -> f64 {
    let median = latency.median.as_secs_f64();
    // A median of zero has no tail.
    if median > 0.0 { (latency.p99.as_secs_f64() / median).max(1.0).ln() / Z_99 } else { 0.0 }
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
/// The standard normal distribution is below this in 99 of 100.
const Z_99: f64 = 2.326_347_874;
const STEPS_MAX: u32 = 10_000;
const ROUNDS_MAX: u128 = 1_000;
