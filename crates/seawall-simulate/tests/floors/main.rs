//! What the standard policy is held to, as floors: played by the machines themselves in virtual
//! time, over several seeds.
//!
//! Every floor has its counterpart: the same scenario without the strategy misses it. At the end
//! of every run nothing is held any more.

mod adaptive;
mod collapse;
mod endpoints;
mod fair;
mod outage;

use std::time::Duration;

use seawall_core::Fate;
use seawall_policy::sim::{Behaviour, Latency};
use seawall_policy::{Params, bulkhead};
use seawall_simulate::{Setup, SimulationReport, Span, Stage, healthy, simulate};

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);
pub(crate) const SECOND: Duration = Duration::from_secs(1);
pub(crate) const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// The upstream of policy.md: 50 places of 20 ms, lognormal with sigma 0.5, and a long queue.
pub(crate) const USUAL: Behaviour = slower(1);
/// The places over the mean: what it can do in a second.
pub(crate) const CAPACITY: f64 = 50.0 / (0.020 * 1.1331);
pub(crate) const UNLOADED_P99: f64 = 64.0;

/// The same, so many times as slow.
pub(crate) const fn slower(times: u32) -> Behaviour {
    Behaviour {
        is_down: false,
        latency: Latency {
            median: Duration::from_millis(20 * times as u64),
            p99: Duration::from_millis(64 * times as u64),
        },
        errors: 0.0,
        error_status: 503,
        hangs: 0.0,
        resets: 0.0,
        drips: 0.0,
        drip_bytes_per_second: 32,
        capacity: Some(seawall_policy::sim::Capacity { slots: 50, queue: 5_000 }),
    }
}

/// A stage of so many seconds, at a share of what the usual upstream can do.
pub(crate) fn stage(name: &str, seconds: u32, behaviour: &Behaviour, load: f64) -> Stage {
    Stage::new(name, SECOND * seconds, behaviour.clone(), load * CAPACITY)
}

pub(crate) fn setup(params: &Params, stages: Vec<Stage>) -> Setup {
    let lasts = stages.iter().map(|stage| stage.phase.lasts).sum();
    Setup { stages, lasts, ..Setup::new(params.clone()) }
}

pub(crate) fn standard() -> Params {
    Params::standard()
}

/// The standard policy with the limit that it has where nothing is learned.
pub(crate) fn fixed() -> Params {
    let limit = Some(bulkhead::Params::fixed());
    Params { adaptive: None, limit, ..standard() }
}

/// Plays a setup with each seed; nothing may be left behind.
#[track_caller]
pub(crate) fn play(setup: &Setup) -> Vec<SimulationReport> {
    let reports = SEEDS.map(|seed| simulate(&Setup { seed, ..setup.clone() }));
    let reports: Vec<SimulationReport> = reports.collect();
    for report in &reports {
        assert_eq!(report.held, 0, "seed {}: something is still held", report.seed);
    }
    reports
}

/// Returns the least share of what was possible that a stage came to, over all seeds.
#[track_caller]
pub(crate) fn worst(setup: &Setup, stage: &str) -> f64 {
    let shares = play(setup).into_iter().map(|report| span(&report, stage).of_possible());
    shares.fold(f64::INFINITY, f64::min)
}

/// Returns the highest p99 of admitted calls in a stage, over all seeds, in milliseconds.
#[track_caller]
pub(crate) fn worst_p99(setup: &Setup, stage: &str) -> f64 {
    let p99s = play(setup).into_iter().filter_map(|report| span(&report, stage).quantiles[2]);
    p99s.fold(0.0, f64::max)
}

/// Returns how many requests waited at the upstream in a stage on average, the most over all seeds.
#[track_caller]
pub(crate) fn worst_queued(setup: &Setup, stage: &str) -> f64 {
    let of = |report: SimulationReport| {
        let Span { from, to, .. } = *span(&report, stage);
        let steps = report.course.iter().filter(|step| (from..to).contains(&step.at));
        let (sum, count) =
            steps.fold((0.0, 0.0), |(sum, count), step| (sum + step.queued, count + 1.0));
        sum / count
    };
    play(setup).into_iter().map(of).fold(0.0, f64::max)
}

pub(crate) fn span<'a>(report: &'a SimulationReport, stage: &str) -> &'a Span {
    report.stages.iter().find(|span| span.name == stage).expect("the setup has this stage")
}

/// Returns how many seconds after `since` a run of three seconds begins in which 95 of 100
/// clients get what they want; infinity if none does. Steps are to be 500 ms long.
pub(crate) fn recovered_after(report: &SimulationReport, since: Duration) -> f64 {
    let since = since.as_secs_f64();
    let steps: Vec<_> = report.course.iter().filter(|step| step.at >= since).collect();
    let is_good = |step: &&seawall_simulate::TimeStep| {
        // Those that began before the fault's end may still be on their way.
        f64::from(step.good) >= 0.95 * f64::from(step.arrivals)
    };
    let run = steps.windows(6).find(|run| {
        let (good, arrivals) =
            run.iter().fold((0, 0), |sum, step| (sum.0 + step.good, sum.1 + step.arrivals));
        run.iter().filter(|step| is_good(step)).count() >= 5
            && f64::from(good) >= 0.95 * f64::from(arrivals)
    });
    run.map_or(f64::INFINITY, |run| run[0].at - since)
}

pub(crate) fn fates(report: &SimulationReport, fate: Fate) -> u64 {
    report.total.counts.fates[fate.index()]
}

#[test]
fn the_upstream_of_these_tests_can_do_what_they_reckon_with() {
    let over = setup(&standard(), vec![stage("over", 20, &USUAL, 1.5)]);
    for report in play(&over) {
        let reckoned = report.total.possible / report.total.seconds();
        assert!((reckoned / CAPACITY - 1.0).abs() < 0.01, "{reckoned} and not {CAPACITY}");
    }
    let quiet = setup(&standard(), vec![stage("quiet", 20, &USUAL, 0.2)]);
    let p99 = worst_p99(&quiet, "quiet");
    assert!((UNLOADED_P99 - 4.0..UNLOADED_P99 + 6.0).contains(&p99), "{p99}");
    assert_eq!(healthy(50, 5_000, MILLISECOND * 20, MILLISECOND * 64), USUAL);
}
