//! The summary for people who look at a terminal.

use std::fmt::Write as _;

use seawall_settings::write_duration;
use seawall_simulate::{Setup, fairness};

use super::Outcome;
use super::expect::Judged;
use super::sum::{self, Summary, millis, percent, percent_of, rate};

/// Returns the summary.
pub(super) fn answer(summary: &Summary<'_>, judged: &[Judged]) -> String {
    let mut out = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut out, summary, judged);
    out.trim_end().to_owned()
}

/// Says in one line what is simulated.
pub(super) fn described(summary: &Summary<'_>) -> String {
    let Setup { stages, upstream, gateways, lasts, .. } = &summary.simulation.setup;
    let places = match stages.first().and_then(|stage| stage.phase.behaviour.capacity) {
        Some(capacity) => format!("{} places", capacity.slots),
        None => "any number of places".to_owned(),
    };
    let latency = stages.first().map(|stage| stage.phase.behaviour.latency);
    let latency = latency.map_or(String::new(), |latency| match latency.p99 > latency.median {
        true => {
            format!(" of {} (p99 {})", write_duration(latency.median), write_duration(latency.p99))
        }
        false => format!(" of {}", write_duration(latency.median)),
    });
    let seeds: Vec<String> = summary.simulation.seeds.iter().map(u64::to_string).collect();
    let seeds = match seeds.len() {
        1 => format!("seed {}", seeds[0]),
        _ => format!("the worst of seeds {}", seeds.join(", ")),
    };
    let s = |count: u16| if count == 1 { "" } else { "s" };
    format!(
        "{places}{latency} at {} endpoint{}, {gateways} gateway{}, {} in virtual time, {seeds}",
        upstream.endpoints,
        s(upstream.endpoints),
        s(*gateways),
        write_duration(*lasts),
    )
}

fn write(out: &mut String, summary: &Summary<'_>, judged: &[Judged]) -> std::fmt::Result {
    let simulation = summary.simulation;
    match simulation.about.as_str() {
        "" => writeln!(out, "{}", summary.name)?,
        about => writeln!(out, "{}: {about}", summary.name)?,
    }
    if !simulation.look.is_empty() {
        writeln!(out, "look at {}", simulation.look)?;
    }
    writeln!(out, "{}\n", described(summary))?;
    let names = summary.outcomes.iter().map(|outcome| outcome.policy.chars().count());
    let width = names.max().unwrap_or(0).max("policy".len());
    let stages = summary.outcomes.first().and_then(|outcome| outcome.reports.first());
    let stages = stages.map_or(&[][..], |report| &report.stages);
    for (place, span) in stages.iter().enumerate() {
        let when = format!("{} to {}", seconds(span.from), seconds(span.to));
        stage(out, summary, (Some(place), &span.name, &when), width)?;
    }
    if stages.len() > 1 {
        stage(out, summary, (None, "all together", ""), width)?;
    }
    shares(out, summary, width)?;
    for Outcome { policy, reports } in summary.outcomes {
        if let Some(report) = reports.first() {
            writeln!(out, "{policy:<width$}  goodput over time  {}", spark(report))?;
        }
    }
    if !judged.is_empty() {
        writeln!(out)?;
    }
    for Judged { rule, policy, value, is_met } in judged {
        let mark = if *is_met { "✓ met   " } else { "✗ missed" };
        writeln!(out, "{mark}  {rule}  {policy}: {value}")?;
    }
    Ok(())
}

fn stage(
    out: &mut String,
    summary: &Summary<'_>,
    (place, name, when): (Option<usize>, &str, &str),
    width: usize,
) -> std::fmt::Result {
    let (offered, possible) = sum::offered(summary.outcomes, place);
    let possible = match possible < 0.995 * offered {
        true => format!("{} possible", rate(possible)),
        false => "all of it possible".to_owned(),
    };
    let when = if when.is_empty() { String::new() } else { format!(", {when}") };
    writeln!(out, "{name}{when}: {} asked for, {possible}", rate(offered))?;
    writeln!(
        out,
        "  {:<width$}  {:>8}  {:>11}  {:>7}  {:>7}  {:>8}  fates",
        "policy", "goodput", "of possible", "p50", "p99", "attempts"
    )?;
    for outcome in summary.outcomes {
        let worst = outcome.worst(place);
        let fates = worst.fates.iter().map(|(fate, share)| format!("{fate} {}", percent(*share)));
        writeln!(
            out,
            "  {:<width$}  {:>8}  {:>11}  {:>7}  {:>7}  {:>7.2}x  {}",
            outcome.policy,
            rate(worst.goodput),
            percent_of(worst.of_possible),
            millis(worst.quantiles[0]),
            millis(worst.quantiles[2]),
            worst.amplification,
            fates.collect::<Vec<_>>().join(", "),
        )?;
    }
    writeln!(out)
}

/// Writes who got what, if callers or priorities differ.
fn shares(out: &mut String, summary: &Summary<'_>, width: usize) -> std::fmt::Result {
    let mut is_any = false;
    for outcome in summary.outcomes {
        let priorities = outcome.priorities();
        if priorities.len() > 1 {
            let all = priorities
                .iter()
                .map(|(name, share)| format!("{} {}", name.as_str(), percent(*share)));
            let all: Vec<_> = all.collect();
            writeln!(out, "{:<width$}  served by priority  {}", outcome.policy, all.join(", "))?;
            is_any = true;
        }
        let callers = outcome.callers();
        if !callers.is_empty() {
            let shown = callers.iter().take(CALLERS_SHOWN).map(|caller| {
                let seconds = outcome.seconds().max(f64::MIN_POSITIVE);
                let served = caller.served as f64 / (caller.offered as f64).max(1.0);
                format!("{} of {}", percent(served), rate(caller.offered as f64 / seconds))
            });
            let shown = shown.collect::<Vec<_>>().join(", ");
            let more = if callers.len() > CALLERS_SHOWN { ", …" } else { "" };
            let served: Vec<f64> = callers.iter().map(|caller| caller.served as f64).collect();
            let fair = fairness(&served);
            writeln!(
                out,
                "{:<width$}  served by caller    {shown}{more}; fairness {fair:.2}",
                outcome.policy
            )?;
            is_any = true;
        }
    }
    if is_any { writeln!(out) } else { Ok(()) }
}

/// Draws goodput over time with the height of letters, against the most that was asked for.
fn spark(report: &seawall_simulate::SimulationReport) -> String {
    let steps = &report.course;
    let bins = steps.len().clamp(1, SPARK_MAX);
    let most = steps.iter().map(|step| step.arrivals).max().unwrap_or(0).max(1);
    let bin = |place: usize| {
        let (from, to) = (place * steps.len() / bins, (place + 1) * steps.len() / bins);
        let part = &steps[from..to.max(from + 1).min(steps.len())];
        let good: u32 = part.iter().map(|step| step.good).sum();
        let height = f64::from(good) / (f64::from(most) * part.len().max(1) as f64);
        BLOCKS[((height * 8.0).round() as usize).min(8)]
    };
    if steps.is_empty() { String::new() } else { (0..bins).map(bin).collect() }
}

fn seconds(value: f64) -> String {
    write_duration(std::time::Duration::from_secs_f64(value.max(0.0)))
}

const BLOCKS: [char; 9] = ['_', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
const SPARK_MAX: usize = 60;
const CALLERS_SHOWN: usize = 6;
