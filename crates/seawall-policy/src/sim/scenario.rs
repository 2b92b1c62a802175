//! What a simulated upstream does, phase by phase.
//!
//! Does not know: files, sockets. Every value is legal: shares are cut to what is left, a scenario
//! without a phase is a quick and healthy upstream.

use std::time::Duration;

/// Holds the script of a simulated upstream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scenario {
    /// What happens, one after the other.
    pub phases: Vec<ScenarioPhase>,
    /// Begins again after the last phase, which otherwise lasts for ever.
    pub repeat: bool,
}

/// One phase of a script.
#[derive(Clone, Debug, PartialEq)]
pub struct ScenarioPhase {
    /// What people call it.
    pub name: String,
    /// How long it lasts.
    pub lasts: Duration,
    /// What the upstream does meanwhile.
    pub behaviour: Behaviour,
}

/// Holds what an upstream does with requests. The shares are parts of all requests, 0 to 1; what
/// they leave is answered with 200.
#[derive(Clone, Debug, PartialEq)]
pub struct Behaviour {
    /// Refuses every connection; nothing else matters then.
    pub is_down: bool,
    /// How long the work on a request takes, whatever comes of it.
    pub latency: Latency,
    /// The share answered with an error.
    pub errors: f64,
    /// The status of these errors.
    pub error_status: u16,
    /// The share never answered. They hold no slot: they wait for something else.
    pub hangs: f64,
    /// The share whose connection is reset instead of an answer.
    pub resets: f64,
    /// The share whose body drips.
    pub drips: f64,
    /// How fast it drips.
    pub drip_bytes_per_second: u32,
    /// How much it can do at once; `None` for any amount.
    pub capacity: Option<Capacity>,
}

/// Holds a lognormal distribution, as real services have it: a bulk and a long tail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Latency {
    /// Half take less.
    pub median: Duration,
    /// One in a hundred takes longer; not below the median.
    pub p99: Duration,
}

/// Holds how much an upstream can do at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capacity {
    /// How many requests it works on; more than 4096 are 4096.
    pub slots: u32,
    /// How many more wait their turn, 65536 at most; past them it answers 503 at once.
    pub queue: u32,
}

impl Scenario {
    /// A healthy upstream: 20 ms, one error in a thousand.
    pub fn calm() -> Self {
        Self { phases: vec![phase("calm", 60, Behaviour::default())], repeat: true }
    }

    /// An upstream that gets slow, goes down and comes back, in 100 s.
    pub fn storm() -> Self {
        let usual = Behaviour { latency: latency(80, 300), errors: 0.05, ..Behaviour::default() };
        let slow = Behaviour {
            latency: latency(700, 4_000),
            errors: 0.1,
            hangs: 0.02,
            resets: 0.03,
            ..usual.clone()
        };
        let phases = vec![
            phase("normal", 15, usual.clone()),
            phase("slow", 25, slow),
            phase("down", 30, down()),
            phase("back", 30, usual),
        ];
        Self { phases, repeat: true }
    }

    /// An upstream that is down for five minutes.
    pub fn outage() -> Self {
        let usual = Behaviour { latency: latency(80, 300), errors: 0.01, ..Behaviour::default() };
        let phases = vec![
            phase("normal", 10, usual.clone()),
            phase("down", 300, down()),
            phase("back", 60, usual),
        ];
        Self { phases, repeat: true }
    }
}

impl Default for Behaviour {
    /// 20 ms, one in a hundred over 80 ms, one error in a thousand, no limit.
    fn default() -> Self {
        Self {
            is_down: false,
            latency: latency(20, 80),
            errors: 0.001,
            error_status: 503,
            hangs: 0.0,
            resets: 0.0,
            drips: 0.0,
            drip_bytes_per_second: 32,
            capacity: None,
        }
    }
}

fn down() -> Behaviour {
    Behaviour { is_down: true, errors: 0.0, ..Behaviour::default() }
}

fn phase(name: &str, seconds: u64, behaviour: Behaviour) -> ScenarioPhase {
    ScenarioPhase { name: name.to_owned(), lasts: Duration::from_secs(seconds), behaviour }
}

const fn latency(median: u64, p99: u64) -> Latency {
    Latency { median: Duration::from_millis(median), p99: Duration::from_millis(p99) }
}
