//! Scenarios: scripts of a simulated upstream, as TOML in the binary.
//!
//! Does not know how they are played. Invariant: those in the binary can be read; a test says so.

use std::time::Duration;

use seawall_policy::sim::{Behaviour, Capacity, Latency, Phase, Scenario};
use serde::Deserialize;

use crate::cli;

/// Holds one scenario and how it is told to people.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    /// What the simulated upstream does.
    pub(crate) scenario: Scenario,
    /// What happens when, in one line.
    pub(crate) story: String,
    /// What the upstream does at first, in a few words.
    pub(crate) at_first: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
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
    /// Returns a scenario of the binary, played so many times faster.
    ///
    /// # Errors
    ///
    /// Says what is wrong with the scenario's text.
    pub(crate) fn built_in(scenario: cli::Scenario, speed: f64) -> Result<Self, toml::de::Error> {
        Self::read(text(scenario), speed)
    }

    fn read(text: &str, speed: f64) -> Result<Self, toml::de::Error> {
        let written: Written = toml::from_str(text)?;
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
            phases.push(Phase { lasts, name: phase.name.clone(), behaviour: behaviour(&phase) });
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

const fn text(scenario: cli::Scenario) -> &'static str {
    match scenario {
        cli::Scenario::Calm => include_str!("../../scenarios/calm.toml"),
        cli::Scenario::Storm => include_str!("../../scenarios/storm.toml"),
        cli::Scenario::Outage => include_str!("../../scenarios/outage.toml"),
    }
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn every_scenario_of_the_binary_can_be_read() {
        for scenario in cli::Scenario::value_variants() {
            let script = Script::built_in(*scenario, 1.0).expect("it is sound");
            assert!(!script.scenario.phases.is_empty(), "{scenario:?}");
        }
    }

    #[test]
    fn an_address_and_the_demo_mean_the_same_by_a_scenarios_name() {
        for (named, scenario) in [
            (cli::Scenario::Calm, Scenario::calm()),
            (cli::Scenario::Storm, Scenario::storm()),
            (cli::Scenario::Outage, Scenario::outage()),
        ] {
            let script = Script::built_in(named, 1.0).expect("it is sound");
            assert_eq!(format!("{:?}", script.scenario), format!("{scenario:?}"));
        }
    }

    #[test]
    fn the_storm_is_told_as_it_is_played() {
        let script = Script::built_in(cli::Scenario::Storm, 1.0).expect("it is sound");
        assert_eq!(script.story, "in 15 s it gets slow, in 40 s it goes down, in 70 s it is back");
        assert_eq!(script.at_first, "80 ms, fails 5 %");
    }

    #[test]
    fn a_faster_scenario_has_shorter_phases() {
        let script = Script::built_in(cli::Scenario::Storm, 5.0).expect("it is sound");
        assert_eq!(script.scenario.phases[0].lasts, Duration::from_secs(3));
        assert!(script.story.starts_with("in 3 s it gets slow"), "{}", script.story);
    }
}
