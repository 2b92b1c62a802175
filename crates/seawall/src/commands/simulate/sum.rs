//! What came of the runs of one policy, over all seeds: the worst of each number.
//!
//! Does not know: how it is shown.

use seawall_core::{Fate, Priority};
use seawall_settings::ScenarioSettings;
use seawall_simulate::{Caller, SimulationReport, Span};

use super::Outcome;

/// Everything that is to be shown.
pub(super) struct Summary<'a> {
    pub(super) name: &'a str,
    pub(super) simulation: &'a ScenarioSettings,
    pub(super) outcomes: &'a [Outcome],
}

/// The worst of one stage over all seeds, and of what is shared out the mean.
pub(super) struct Worst {
    /// Clients a second that got what they wanted.
    pub(super) goodput: f64,
    /// Nothing where nothing was possible.
    pub(super) of_possible: Option<f64>,
    /// In milliseconds: median, p90, p99, p99.9.
    pub(super) quantiles: [Option<f64>; 4],
    pub(super) amplification: f64,
    /// The share of each fate, the largest first; those below a thousandth are left out.
    pub(super) fates: Vec<(Fate, f64)>,
}

/// Returns a stage of a report, or all of them together.
pub(super) fn span(report: &SimulationReport, stage: Option<usize>) -> &Span {
    stage.and_then(|stage| report.stages.get(stage)).unwrap_or(&report.total)
}

impl Outcome {
    pub(super) fn worst(&self, stage: Option<usize>) -> Worst {
        let spans: Vec<&Span> = self.reports.iter().map(|report| span(report, stage)).collect();
        let least = |of: &dyn Fn(&Span) -> f64| {
            spans.iter().map(|span| of(span)).fold(f64::INFINITY, f64::min)
        };
        let longest =
            |place: usize| spans.iter().filter_map(|span| span.quantiles[place]).reduce(f64::max);
        let mean = |fate: Fate| {
            spans.iter().map(|span| span.share(fate)).sum::<f64>() / spans.len().max(1) as f64
        };
        let mut fates: Vec<(Fate, f64)> =
            Fate::ALL.into_iter().map(|fate| (fate, mean(fate))).collect();
        fates.retain(|(_, share)| *share >= SHOWN_MIN);
        fates.sort_by(|one, other| other.1.total_cmp(&one.1));
        Worst {
            goodput: least(&Span::goodput),
            of_possible: spans
                .iter()
                .any(|span| span.possible > 0.0)
                .then(|| least(&Span::of_possible)),
            quantiles: [0, 1, 2, 3].map(longest),
            amplification: spans.iter().map(|span| span.amplification()).fold(0.0, f64::max),
            fates,
        }
    }

    /// Returns for each priority that was asked for the least share that was served.
    pub(super) fn priorities(&self) -> Vec<(Priority, f64)> {
        let share = |report: &SimulationReport, index: usize| {
            let counts = &report.total.counts;
            counts.served[index] as f64 / (counts.offered[index] as f64).max(1.0)
        };
        let asked = |priority: &Priority| {
            self.reports.iter().any(|report| report.total.counts.offered[priority.index()] > 0)
        };
        let all = Priority::ALL.into_iter().filter(asked).map(|priority| {
            let shares = self.reports.iter().map(|report| share(report, priority.index()));
            (priority, shares.fold(f64::INFINITY, f64::min))
        });
        all.collect()
    }

    /// Returns for each caller what it asked for and what it got, over all seeds.
    pub(super) fn callers(&self) -> Vec<Caller> {
        let mut sums: Vec<Caller> = Vec::new();
        for report in &self.reports {
            let callers = &report.total.counts.callers;
            sums.resize(callers.len(), Caller::default());
            for (sum, one) in sums.iter_mut().zip(callers) {
                sum.offered += one.offered;
                sum.served += one.served;
            }
        }
        sums
    }

    /// Returns how long all of its runs together were, in seconds.
    pub(super) fn seconds(&self) -> f64 {
        self.reports.iter().map(|report| report.lasts.as_secs_f64()).sum()
    }
}

/// Says what is offered and what is possible in a stage, in calls a second, on average.
pub(super) fn offered(outcomes: &[Outcome], stage: Option<usize>) -> (f64, f64) {
    let reports: Vec<&SimulationReport> =
        outcomes.iter().flat_map(|outcome| &outcome.reports).collect();
    let mean = |of: &dyn Fn(&Span) -> f64| {
        let sum: f64 = reports.iter().map(|report| of(span(report, stage))).sum();
        sum / reports.len().max(1) as f64
    };
    (
        mean(&|span| span.counts.arrivals as f64 / span.seconds()),
        mean(&|span| span.possible / span.seconds()),
    )
}

/// Writes a number of milliseconds.
pub(super) fn millis(value: Option<f64>) -> String {
    match value {
        None => "-".to_owned(),
        Some(value) if value < 10.0 => format!("{value:.1}ms"),
        Some(value) if value < 10_000.0 => format!("{value:.0}ms"),
        Some(value) => format!("{:.1}s", value / 1000.0),
    }
}

/// Writes a number of things a second.
pub(super) fn rate(value: f64) -> String {
    if value < 10.0 { format!("{value:.1}/s") } else { format!("{value:.0}/s") }
}

/// Writes a share that there may not be.
pub(super) fn percent_of(share: Option<f64>) -> String {
    share.map_or("-".to_owned(), percent)
}

/// Writes a share.
pub(super) fn percent(share: f64) -> String {
    format!("{:.1}%", share * 100.0)
}

/// A thousandth: what is rarer is in the JSON.
const SHOWN_MIN: f64 = 0.001;
