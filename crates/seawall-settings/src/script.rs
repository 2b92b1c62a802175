//! Scripts of a simulated upstream, as the demo plays them, read from TOML.
//!
//! Does not know: which there are, how they are played.

use std::time::Duration;

use seawall_policy::sim::{Behaviour, Capacity, Latency, Scenario, ScenarioPhase};
use serde::Deserialize;

/// One scenario, and how it is told to people.
#[derive(Clone, Debug)]
pub struct Script {
    /// What the simulated upstream does.
    pub scenario: Scenario,
    /// What happens when, in one line.
    pub story: String,
    /// What the upstream does at first, in a few words.
    pub at_first: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawScript {
    #[serde(default)]
    repeat: bool,
    phase: Vec<WrittenPhase>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct WrittenPhase {
    name: String,
    /// What it does when the phase begins, after its name: "goes down".
    says: String,
    seconds: u32,
    median_ms: u32,
    p99_ms: u32,
    errors: f64,
    error_status: u16,
    hangs: f64,
    resets: f64,
    drips: f64,
    down: bool,
    slots: Option<u32>,
    queue: u32,
}

impl Default for WrittenPhase {
    fn default() -> Self {
        Self {
            name: String::new(),
            says: String::new(),
            seconds: 60,
            median_ms: 20,
            p99_ms: 80,
            errors: 0.0,
            error_status: 503,
            hangs: 0.0,
            resets: 0.0,
            drips: 0.0,
            down: false,
            slots: None,
            queue: 0,
        }
    }
}

impl Script {
    /// Reads a scenario, played so many times faster.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the text.
    pub fn read(text: &str, speed: f64) -> Result<Self, String> {
        let written: RawScript = toml::from_str(text).map_err(|error| error.to_string())?;
        // A speed of nothing would never get anywhere.
        let speed = if speed.is_finite() && speed > 0.0 { speed } else { 1.0 };
        let at_first = written.phase.first().map(at_first).unwrap_or_default();
        let mut begins = Duration::ZERO;
        let mut moments = Vec::new();
        let mut phases = Vec::new();
        for phase in written.phase {
            if !begins.is_zero() {
                moments.push(format!("in {} s it {}", begins.as_secs(), phase.says));
            }
            let lasts = Duration::from_secs(phase.seconds.into()).div_f64(speed);
            begins += lasts;
            phases.push(ScenarioPhase {
                lasts,
                name: phase.name.clone(),
                behaviour: behaviour(&phase),
            });
        }
        let scenario = Scenario { phases, repeat: written.repeat };
        Ok(Self { scenario, story: moments.join(", "), at_first })
    }
}

fn at_first(phase: &WrittenPhase) -> String {
    format!("{} ms, fails {} %", phase.median_ms, phase.errors * 100.0)
}

fn behaviour(phase: &WrittenPhase) -> Behaviour {
    let millis = |millis: u32| Duration::from_millis(millis.into());
    Behaviour {
        is_down: phase.down,
        latency: Latency { median: millis(phase.median_ms), p99: millis(phase.p99_ms) },
        errors: phase.errors,
        error_status: phase.error_status,
        hangs: phase.hangs,
        resets: phase.resets,
        drips: phase.drips,
        capacity: phase.slots.map(|slots| Capacity { slots, queue: phase.queue }),
        ..Behaviour::default()
    }
}
