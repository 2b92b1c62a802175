//! The scenarios of the demo, as TOML in the binary.
//!
//! Does not know how they are played. Invariant: those in the binary can be read; a test says so.

use seawall_settings::Script;

use crate::cli;

/// Returns a scenario of the binary, played so many times faster.
///
/// # Errors
///
/// Says what is wrong with the scenario's text.
pub(crate) fn built_in(scenario: cli::DemoScenario, speed: f64) -> Result<Script, String> {
    Script::read(text(scenario), speed)
}

const fn text(scenario: cli::DemoScenario) -> &'static str {
    match scenario {
        cli::DemoScenario::Calm => include_str!("../../scenarios/calm.toml"),
        cli::DemoScenario::Storm => include_str!("../../scenarios/storm.toml"),
        cli::DemoScenario::Outage => include_str!("../../scenarios/outage.toml"),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use clap::ValueEnum;
    use seawall_policy::sim::Scenario;

    use super::*;

    #[test]
    fn every_scenario_of_the_binary_can_be_read() {
        for scenario in cli::DemoScenario::value_variants() {
            let script = built_in(*scenario, 1.0).expect("it is sound");
            assert!(!script.scenario.phases.is_empty(), "{scenario:?}");
        }
    }

    #[test]
    fn an_address_and_the_demo_mean_the_same_by_a_scenarios_name() {
        for (named, scenario) in [
            (cli::DemoScenario::Calm, Scenario::calm()),
            (cli::DemoScenario::Storm, Scenario::storm()),
            (cli::DemoScenario::Outage, Scenario::outage()),
        ] {
            let script = built_in(named, 1.0).expect("it is sound");
            assert_eq!(format!("{:?}", script.scenario), format!("{scenario:?}"));
        }
    }

    #[test]
    fn the_storm_is_told_as_it_is_played() {
        let script = built_in(cli::DemoScenario::Storm, 1.0).expect("it is sound");
        assert_eq!(script.story, "in 15 s it gets slow, in 40 s it goes down, in 70 s it is back");
        assert_eq!(script.at_first, "80 ms, fails 5 %");
    }

    #[test]
    fn a_faster_scenario_has_shorter_phases() {
        let script = built_in(cli::DemoScenario::Storm, 5.0).expect("it is sound");
        assert_eq!(script.scenario.phases[0].lasts, Duration::from_secs(3));
        assert!(script.story.starts_with("in 3 s it gets slow"), "{}", script.story);
    }
}
