//! The page with charts: one file, no script, nothing from elsewhere.
//!
//! Does not know: how a chart is drawn.

use std::fmt::Write as _;

use seawall_core::Fate;
use seawall_simulate::{SimulationReport, TimeStep};

use super::Outcome;
use super::plot::{self, Layer, Line, Time, escaped};
use super::sum::{self, Summary, millis, percent, percent_of, rate};
use super::text::described;

/// Returns the page.
pub(super) fn page(summary: &Summary<'_>) -> String {
    let mut out = String::new();
    let title = escaped(summary.name);
    out += "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">";
    out += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
    // Writing to a string does not fail.
    let _ = write!(out, "<title>seawall simulate: {title}</title><style>{STYLE}</style></head>");
    let _ = write!(out, "<body>{PATTERNS}<h1>{title}</h1>");
    for text in [&summary.simulation.about, &summary.simulation.look] {
        if !text.is_empty() {
            let lead = if std::ptr::eq(text, &summary.simulation.look) { "Look at " } else { "" };
            let _ = write!(out, "<p>{lead}{}</p>", escaped(text));
        }
    }
    let _ = write!(out, "<p class=\"setup\">{}</p>", escaped(&described(summary)));
    table(&mut out, summary);
    charts(&mut out, summary);
    let _ = write!(
        out,
        "<footer>seawall {}: the policies are the code that serves; the upstream, its latency and \
         the clients are a model. Charts show the first seed.</footer></body></html>",
        env!("CARGO_PKG_VERSION")
    );
    out
}

fn table(out: &mut String, summary: &Summary<'_>) {
    *out += "<table><thead><tr><th>phase</th><th>asked for</th><th>possible</th><th>policy</th>\
             <th>goodput</th><th>of possible</th><th>p50</th><th>p99</th><th>attempts</th>\
             <th class=\"left\">fates</th></tr></thead><tbody>";
    let stages = first(summary).map_or(&[][..], |report| &report.stages);
    let places = (0..stages.len()).map(Some).chain((stages.len() > 1).then_some(None));
    for place in places {
        let name = place.map_or("all together", |place| stages[place].name.as_str());
        let (offered, possible) = sum::offered(summary.outcomes, place);
        for (row, outcome) in summary.outcomes.iter().enumerate() {
            let worst = outcome.worst(place);
            let _ = write!(out, "<tr{}>", if row == 0 { " class=\"first\"" } else { "" });
            let head = if row == 0 {
                [escaped(name), rate(offered), rate(possible)]
            } else {
                Default::default()
            };
            for cell in head {
                let _ = write!(out, "<td>{cell}</td>");
            }
            let fates: Vec<_> =
                worst.fates.iter().map(|(f, share)| format!("{f} {}", percent(*share))).collect();
            let _ = write!(
                out,
                "<td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{}</td><td>{:.2}x</td>\
                 <td class=\"left\">{}</td></tr>",
                escaped(&outcome.policy),
                rate(worst.goodput),
                percent_of(worst.of_possible),
                millis(worst.quantiles[0]),
                millis(worst.quantiles[2]),
                worst.amplification,
                fates.join(", "),
            );
        }
    }
    *out += "</tbody></table>";
}

fn charts(out: &mut String, summary: &Summary<'_>) {
    let Some(report) = first(summary) else { return };
    let phases = report.stages.iter().map(|span| (span.name.as_str(), span.from, span.to));
    let time = Time { end: report.lasts.as_secs_f64(), phases: phases.collect() };
    let seconds = report.step.as_secs_f64().max(1e-9);
    let asked = Line {
        name: "asked for",
        style: ASKED,
        points: points(report, &|step| Some(f64::from(step.arrivals) / seconds)),
    };
    let chart = |title: &str, unit: &str, more: Option<Line<'_>>, of: &Of| {
        let lines = summary.outcomes.iter().enumerate().filter_map(|(style, outcome)| {
            let report = outcome.reports.first()?;
            Some(Line { name: &outcome.policy, style, points: points(report, of) })
        });
        let lines: Vec<_> = more.into_iter().chain(lines).collect();
        plot::lines(title, unit, &time, &lines)
    };
    *out += "<h2>What clients get</h2>";
    *out += &chart("goodput", "/s", Some(asked), &|step| Some(f64::from(step.good) / seconds));
    *out += &chart("p99 of admitted calls", " ms", None, &|step| step.p99);
    *out += "<h2>What the upstream sees</h2>";
    *out += &chart("attempts", "/s", None, &|step| Some(f64::from(step.attempts) / seconds));
    *out += &chart("requests there, waiting and worked on", "", None, &|step| {
        Some(step.working + step.queued)
    });
    *out += "<h2>What the gateways do</h2>";
    *out += &chart("attempts in flight", "", None, &|step| Some(step.in_flight));
    if summary.outcomes.iter().any(has_limit) {
        let of = |step: &TimeStep| (step.limit > 0.0).then_some(step.limit);
        *out += &chart("places", "", None, &of);
    }
    if summary.outcomes.iter().any(|outcome| has(outcome, &|step| step.open > 0.0)) {
        *out += &chart("gateways with an open breaker", "", None, &|step| Some(step.open));
    }
    *out += "<h2>How calls end</h2>";
    for outcome in summary.outcomes {
        if let Some(report) = outcome.reports.first() {
            *out += &fates(&outcome.policy, report, &time, seconds);
        }
    }
}

fn fates(policy: &str, report: &SimulationReport, time: &Time<'_>, seconds: f64) -> String {
    let at: Vec<f64> = report.course.iter().map(|step| step.at + seconds / 2.0).collect();
    let layers: Vec<Layer<'_>> = GROUPS
        .iter()
        .enumerate()
        .map(|(pattern, (name, fates))| {
            let of = |step: &TimeStep| {
                let sum: u32 = fates.iter().map(|fate| step.fates[fate.index()]).sum();
                f64::from(sum) / seconds
            };
            Layer { name, pattern, values: report.course.iter().map(of).collect() }
        })
        .collect();
    plot::stack(&format!("fates with {policy}"), "/s", time, &at, &layers)
}

fn first<'a>(summary: &Summary<'a>) -> Option<&'a SimulationReport> {
    summary.outcomes.first().and_then(|outcome| outcome.reports.first())
}

/// Returns whether the number of places is worth a chart: it changes.
fn has_limit(outcome: &Outcome) -> bool {
    let mut limits = outcome.reports.iter().flat_map(|report| &report.course).map(|it| it.limit);
    let first = limits.next().unwrap_or(0.0);
    limits.any(|limit| (limit - first).abs() > 1.0)
}

fn has(outcome: &Outcome, holds: &dyn Fn(&TimeStep) -> bool) -> bool {
    outcome.reports.iter().flat_map(|report| &report.course).any(holds)
}

type Of<'a> = dyn Fn(&TimeStep) -> Option<f64> + 'a;

fn points(report: &SimulationReport, of: &Of<'_>) -> Vec<(f64, Option<f64>)> {
    let half = report.step.as_secs_f64() / 2.0;
    report.course.iter().map(|step| (step.at + half, of(step))).collect()
}

/// What is shown together, the best at the bottom.
const GROUPS: [(&str, &[Fate]); 6] = [
    ("ok", &[Fate::Ok]),
    ("ok, with more attempts", &[Fate::OkAfterRetry, Fate::OkHedged, Fate::Stale, Fate::Fallback]),
    (
        "rejected",
        &[Fate::RejectedBreaker, Fate::RejectedBulkhead, Fate::RejectedRate, Fate::RejectedShed],
    ),
    ("timed out", &[Fate::TimedOut]),
    ("failed", &[Fate::Failed]),
    ("cancelled: the client left", &[Fate::Cancelled]),
];
/// The style of what is only there to compare with.
const ASKED: usize = 9;

const STYLE: &str = "\
:root{color-scheme:light dark;--ink:#1a1c1f;--soft:#5d646d;--line:#d9dde2;--band:#f1f3f5;\
--paper:#fff;--c0:#0b62c4;--c1:#c2410c;--c2:#15803d;--c3:#7e22ce;--c4:#a16207;--c5:#be185d}\
@media(prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#a0a7b0;--line:#3a3f46;--band:#23272c;\
--paper:#17191c;--c0:#6cb2ff;--c1:#ff9a62;--c2:#5fd38a;--c3:#cf9bff;--c4:#e6c04d;--c5:#ff8dc1}}\
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:960px;\
margin:2rem auto;padding:0 1rem}h1{font-size:1.5rem;margin:0}h2{font-size:1.1rem;margin:2rem 0 0}\
p{margin:.4rem 0}.setup,footer{color:var(--soft)}footer{margin-top:2rem;font-size:13px}\
table{border-collapse:collapse;width:100%;margin:1rem 0;font-size:13px;\
font-variant-numeric:tabular-nums}th,td{padding:.2rem .5rem;text-align:right;white-space:nowrap;\
vertical-align:top}th{color:var(--soft);font-weight:500}td:first-child,th:first-child,\
td:nth-child(4),th:nth-child(4),.left{text-align:left}td.left{white-space:normal}\
tr.first td{border-top:1px solid var(--line)}td:first-child{font-weight:600}\
svg{width:100%;height:auto;margin-top:.6rem;display:block}svg text{font-size:12px;fill:var(--ink)}\
svg .title{font-weight:600;font-size:13px}svg .tick,svg .phase{fill:var(--soft);font-size:11px}\
.band{fill:var(--band)}.plain{fill:none}.grid{stroke:var(--line)}\
path:not(.area),line{fill:none;stroke-width:1.8;stroke-linejoin:round}.area{stroke:var(--paper);stroke-width:.5}\
.l0{stroke:var(--c0)}.l1{stroke:var(--c1);stroke-dasharray:7 3}.l2{stroke:var(--c2);\
stroke-dasharray:2 3}.l3{stroke:var(--c3);stroke-dasharray:10 3 2 3}.l4{stroke:var(--c4);\
stroke-dasharray:4 2}.l5{stroke:var(--c5);stroke-dasharray:1 2}\
.l9{stroke:var(--soft);stroke-width:1;stroke-dasharray:1 3}line.grid{stroke-width:.7}\
.defs{position:absolute;width:0;height:0}";

/// Each layer has a pattern of its own, so that colour is not needed.
const PATTERNS: &str = "<svg class=\"defs\" aria-hidden=\"true\"><defs>\
<pattern id=\"p0\" width=\"8\" height=\"8\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"8\" height=\"8\" style=\"fill:var(--c2)\"/></pattern>\
<pattern id=\"p1\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"6\" height=\"6\" style=\"fill:var(--c2);fill-opacity:.35\"/>\
<circle cx=\"3\" cy=\"3\" r=\"1.3\" style=\"fill:var(--c2)\"/></pattern>\
<pattern id=\"p2\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"6\" height=\"6\" style=\"fill:var(--c0);fill-opacity:.25\"/>\
<path d=\"M0 6L6 0\" style=\"stroke:var(--c0)\"/></pattern>\
<pattern id=\"p3\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"6\" height=\"6\" style=\"fill:var(--c4);fill-opacity:.3\"/>\
<path d=\"M0 3H6\" style=\"stroke:var(--c4)\"/></pattern>\
<pattern id=\"p4\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"6\" height=\"6\" style=\"fill:var(--c1);fill-opacity:.3\"/>\
<path d=\"M0 0L6 6M0 6L6 0\" style=\"stroke:var(--c1)\"/></pattern>\
<pattern id=\"p5\" width=\"6\" height=\"6\" patternUnits=\"userSpaceOnUse\">\
<rect width=\"6\" height=\"6\" style=\"fill:var(--soft);fill-opacity:.25\"/>\
<path d=\"M3 0V6\" style=\"stroke:var(--soft)\"/></pattern></defs></svg>";
