//! The summary as a document for programs.

use seawall_core::{Fate, Priority};
use seawall_simulate::{SimulationReport, Span, TimeStep};
use serde_json::{Map, Value as Json, json};

use super::expect::Judged;
use super::sum::Summary;

/// Returns the document.
pub(super) fn document(summary: &Summary<'_>, judged: &[Judged]) -> Json {
    let setup = &summary.simulation.setup;
    let runs = summary
        .outcomes
        .iter()
        .flat_map(|outcome| outcome.reports.iter().map(|report| run(&outcome.policy, report)));
    let expectations = judged.iter().map(|judged| {
        let Judged { rule, policy, value, is_met } = judged;
        json!({ "rule": rule, "policy": &**policy, "value": value, "met": is_met })
    });
    json!({
        "schema": 1,
        "scenario": summary.name,
        "about": summary.simulation.about,
        "gateways": setup.gateways,
        "endpoints": setup.upstream.endpoints,
        "lasts_s": setup.lasts.as_secs_f64(),
        "seeds": summary.simulation.seeds,
        "runs": runs.collect::<Vec<_>>(),
        "expectations": expectations.collect::<Vec<_>>(),
    })
}

fn run(policy: &str, report: &SimulationReport) -> Json {
    json!({
        "policy": policy,
        "seed": report.seed,
        "stages": report.stages.iter().map(span).collect::<Vec<_>>(),
        "total": span(&report.total),
        "step_s": report.step.as_secs_f64(),
        "course": report.course.iter().map(step).collect::<Vec<_>>(),
    })
}

fn span(span: &Span) -> Json {
    let counts = &span.counts;
    let [p50, p90, p99, p999] = span.quantiles;
    let priorities: Map<String, Json> = Priority::ALL
        .into_iter()
        .filter(|priority| counts.offered[priority.index()] > 0)
        .map(|priority| {
            let (offered, served) =
                (counts.offered[priority.index()], counts.served[priority.index()]);
            (priority.as_str().to_owned(), json!({ "offered": offered, "served": served }))
        })
        .collect();
    let callers = counts
        .callers
        .iter()
        .map(|caller| json!({ "offered": caller.offered, "served": caller.served }));
    json!({
        "name": span.name,
        "from_s": span.from,
        "to_s": span.to,
        "arrivals": counts.arrivals,
        "calls": counts.calls,
        "attempts": counts.attempts,
        "good": counts.good,
        "lost": counts.lost,
        "possible": span.possible.round(),
        "goodput_per_s": rounded(span.goodput()),
        "of_possible": rounded(span.of_possible()),
        "attempts_per_arrival": rounded(span.amplification()),
        "p50_ms": p50.map(rounded),
        "p90_ms": p90.map(rounded),
        "p99_ms": p99.map(rounded),
        "p999_ms": p999.map(rounded),
        "fates": fates(|fate| counts.fates[fate.index()]),
        "priorities": priorities,
        "callers": callers.collect::<Vec<_>>(),
    })
}

fn step(step: &TimeStep) -> Json {
    json!({
        "at_s": rounded(step.at),
        "arrivals": step.arrivals,
        "good": step.good,
        "attempts": step.attempts,
        "fates": fates(|fate| u64::from(step.fates[fate.index()])),
        "upstream_working": rounded(step.working),
        "upstream_queued": rounded(step.queued),
        "limit": rounded(step.limit),
        "in_flight": rounded(step.in_flight),
        "waiting": rounded(step.waiting),
        "breakers_open": rounded(step.open),
        "p50_ms": step.p50.map(rounded),
        "p99_ms": step.p99.map(rounded),
    })
}

/// Writes those fates that happened.
fn fates(count: impl Fn(Fate) -> u64) -> Map<String, Json> {
    let all = Fate::ALL.into_iter().map(|fate| (fate, count(fate)));
    all.filter(|(_, count)| *count > 0)
        .map(|(fate, count)| (fate.as_str().to_owned(), json!(count)))
        .collect()
}

/// Rounds to a thousandth: more digits would be noise.
fn rounded(value: f64) -> f64 {
    (value * 1000.0).round() / 1000.0
}
