//! The address of a simulated upstream: `calm?latency=80ms&errors=5%&capacity=50`.
//!
//! Does not know: what the numbers do. What is written holds for every phase of the scenario.

use std::time::Duration;

use seawall_policy::sim::{Behaviour, Capacity, Latency, Scenario, ScenarioPhase};

use crate::BadAddress;

/// Reads what stands after `sim:`; returns the scenario and its seed.
pub(crate) fn parse(text: &str) -> Result<(Scenario, u64), BadAddress> {
    let (name, query) = text.split_once('?').unwrap_or((text, ""));
    let mut scenario = match name {
        "calm" => Scenario::calm(),
        "slow" => slow(),
        "storm" => Scenario::storm(),
        "outage" => Scenario::outage(),
        _ => {
            return Err(BadAddress(format!(
                "`sim:{name}`: there are sim:calm, sim:slow, sim:storm and sim:outage"
            )));
        }
    };
    let mut seed = SEED;
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let bad = |why: &str| BadAddress(format!("`sim:{text}`: `{pair}`: {why}"));
        if key == "seed" {
            seed = value.parse().map_err(|_| bad("write a whole number"))?;
            continue;
        }
        for phase in &mut scenario.phases {
            set(&mut phase.behaviour, key, value).map_err(bad)?;
        }
    }
    Ok((scenario, seed))
}

/// An upstream that answers everything, late.
fn slow() -> Scenario {
    let latency = Latency { median: Duration::from_millis(800), p99: Duration::from_millis(3_000) };
    let behaviour = Behaviour { latency, ..Behaviour::default() };
    let phase =
        ScenarioPhase { name: "slow".to_owned(), lasts: Duration::from_secs(60), behaviour };
    Scenario { phases: vec![phase], repeat: true }
}

fn set(behaviour: &mut Behaviour, key: &str, value: &str) -> Result<(), &'static str> {
    let number = || value.parse::<u32>().map_err(|_| "write a whole number");
    match key {
        // One in a hundred takes four times as long, unless it is said.
        "latency" => {
            let median = duration(value)?;
            behaviour.latency = Latency { median, p99: median * 4 };
        }
        "p99" => behaviour.latency.p99 = duration(value)?,
        "errors" => behaviour.errors = share(value)?,
        "status" => {
            let status = value.parse().ok().filter(|status| (400..=599).contains(status));
            behaviour.error_status = status.ok_or("write a status from 400 to 599")?;
        }
        "hangs" => behaviour.hangs = share(value)?,
        "resets" => behaviour.resets = share(value)?,
        "drips" => behaviour.drips = share(value)?,
        "capacity" => {
            let queue = behaviour.capacity.map_or(QUEUE, |capacity| capacity.queue);
            behaviour.capacity = Some(Capacity { slots: number()?.max(1), queue });
        }
        "queue" => {
            let slots = behaviour.capacity.map_or(SLOTS, |capacity| capacity.slots);
            behaviour.capacity = Some(Capacity { slots, queue: number()? });
        }
        _ => {
            return Err("write latency, p99, errors, status, hangs, resets, drips, capacity, \
                        queue or seed");
        }
    }
    Ok(())
}

/// Reads `80ms`, `2s` or `1.5s`.
fn duration(text: &str) -> Result<Duration, &'static str> {
    const BAD: &str = "write a time up to an hour, like 80ms or 2s";
    let (number, unit) = match text.strip_suffix("ms") {
        Some(number) => (number, 1e-3),
        None => (text.strip_suffix('s').ok_or(BAD)?, 1.0),
    };
    let seconds = number.parse::<f64>().map_err(|_| BAD)? * unit;
    if !(0.0..=3600.0).contains(&seconds) {
        return Err(BAD);
    }
    Ok(Duration::from_secs_f64(seconds))
}

/// Reads `5%` or `0.05`.
fn share(text: &str) -> Result<f64, &'static str> {
    const BAD: &str = "write a share, like 5% or 0.05";
    let (number, unit) = match text.strip_suffix('%') {
        Some(number) => (number, 0.01),
        None => (text, 1.0),
    };
    let share = number.parse::<f64>().map_err(|_| BAD)? * unit;
    if (0.0..=1.0).contains(&share) { Ok(share) } else { Err(BAD) }
}

/// The seed of every simulation that names no other.
const SEED: u64 = 1;
/// What one worker of a small service does.
const SLOTS: u32 = 16;
const QUEUE: u32 = 100;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_holds_for_every_phase() {
        let text = "storm?latency=80ms&errors=5%&resets=0.01&capacity=50&status=502&seed=9";
        let (scenario, seed) = parse(text).unwrap();
        assert_eq!(seed, 9);
        for phase in &scenario.phases {
            let behaviour = &phase.behaviour;
            assert_eq!(behaviour.latency.median, Duration::from_millis(80));
            assert_eq!(behaviour.latency.p99, Duration::from_millis(320));
            assert!((behaviour.errors - 0.05).abs() < 1e-9 && behaviour.error_status == 502);
            assert_eq!(behaviour.capacity.map(|capacity| capacity.slots), Some(50));
        }
    }

    #[test]
    fn what_means_nothing_is_refused_by_name() {
        for text in [
            "",
            "clam",
            "calm?",
            "calm?x=1",
            "calm?latency",
            "calm?latency=80",
            "calm?errors=500%",
            "calm?errors=-1",
            "calm?latency=NaNs",
            "calm?latency=1e99s",
            "calm?capacity=many",
            "calm?status=200",
        ] {
            let is_fine = text == "calm?";
            assert_eq!(parse(text).is_ok(), is_fine, "sim:{text}");
        }
    }
}
