//! What is expected of a simulation: `goodput>=95%`, `over:p99<=200ms`, `failed<=1%`.
//!
//! Does not know: how it is shown. A rule holds if it holds for every seed.

use std::sync::Arc;

use seawall_core::Fate;
use seawall_settings::{nearest, read_duration, read_percent};
use seawall_simulate::{Setup, SimulationReport, Span};

use super::Outcome;
use super::sum::{millis, percent, span};

/// One thing that is expected.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Rule {
    text: String,
    /// The phase that it is about; all of them without one.
    phase: Option<String>,
    what: What,
    at_least: bool,
    limit: f64,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum What {
    /// The share of what was possible.
    Goodput,
    /// How long admitted calls took, by the place in [`Span::quantiles`].
    Quantile(usize),
    /// How many attempts reached the upstream for each arrival.
    Attempts,
    /// The share of calls that ended so.
    Share(Fate),
}

/// Whether a rule was met, and by what.
pub(super) struct Judged {
    pub(super) rule: String,
    pub(super) policy: Arc<str>,
    /// The worst value over all seeds.
    pub(super) value: String,
    pub(super) is_met: bool,
}

impl Rule {
    /// Reads a rule.
    ///
    /// # Errors
    /// Says what is wrong.
    pub(super) fn read(text: &str) -> Result<Self, String> {
        let wrong = |why: String| format!("`{text}` {why}");
        let (left, at_least, right) = match (text.split_once(">="), text.split_once("<=")) {
            (Some((left, right)), _) => (left, true, right),
            (None, Some((left, right))) => (left, false, right),
            (None, None) => return Err(wrong("has neither >= nor <=".to_owned())),
        };
        let (phase, name) = match left.rsplit_once(':') {
            Some((phase, name)) => (Some(phase.trim().to_owned()), name.trim()),
            None => (None, left.trim()),
        };
        let what = What::read(name).map_err(wrong)?;
        let limit = what.limit(right.trim()).map_err(wrong)?;
        Ok(Self { text: text.to_owned(), phase, what, at_least, limit })
    }

    /// Says whether a setup has the phase.
    ///
    /// # Errors
    /// Says which phases it has, if it has not.
    pub(super) fn check(&self, setup: &Setup) -> Result<(), String> {
        let Some(phase) = &self.phase else { return Ok(()) };
        let names: Vec<&str> = setup.stages.iter().map(|stage| stage.phase.name.as_str()).collect();
        match names.contains(&phase.as_str()) {
            true => Ok(()),
            false => Err(format!(
                "`{}` is about a phase that is not there: there are {}",
                self.text,
                names.join(", ")
            )),
        }
    }

    /// Returns the worst value of a run; nothing if nothing was measured.
    fn worst(&self, report: &SimulationReport) -> Option<f64> {
        let spans: Vec<&Span> = match &self.phase {
            None => vec![span(report, None)],
            Some(phase) => report.stages.iter().filter(|span| span.name == *phase).collect(),
        };
        let values = spans.into_iter().filter_map(|span| self.what.of(span));
        if self.at_least { values.reduce(f64::min) } else { values.reduce(f64::max) }
    }
}

impl What {
    fn read(name: &str) -> Result<Self, String> {
        let quantiles = ["p50", "p90", "p99", "p99.9"];
        if let Some(place) = quantiles.iter().position(|one| *one == name) {
            return Ok(Self::Quantile(place));
        }
        let fate = Fate::ALL.into_iter().find(|fate| fate.as_str() == name);
        match (name, fate) {
            ("goodput", _) => Ok(Self::Goodput),
            ("attempts", _) => Ok(Self::Attempts),
            (_, Some(fate)) => Ok(Self::Share(fate)),
            (_, None) => {
                let fates = Fate::ALL.map(Fate::as_str);
                let known: Vec<&str> =
                    ["goodput", "attempts"].into_iter().chain(quantiles).chain(fates).collect();
                Err(match nearest(name, known.iter().copied()) {
                    Some(near) => format!("does not know `{name}`: did you mean `{near}`?"),
                    None => format!("does not know `{name}`: it is one of {}", known.join(", ")),
                })
            }
        }
    }

    fn limit(self, text: &str) -> Result<f64, String> {
        let is = |why: String| format!("wants another limit: `{text}` is {why}");
        match self {
            Self::Goodput | Self::Share(_) => read_percent(text).map_err(is),
            Self::Quantile(_) => {
                read_duration(text).map(|time| time.as_secs_f64() * 1000.0).map_err(is)
            }
            Self::Attempts => match text.trim_end_matches('x').parse::<f64>() {
                Ok(number) if number.is_finite() && number >= 0.0 => Ok(number),
                _ => Err(is("not a number such as 1.2".to_owned())),
            },
        }
    }

    fn of(self, span: &Span) -> Option<f64> {
        match self {
            Self::Goodput => Some(span.of_possible()),
            Self::Quantile(place) => span.quantiles[place],
            Self::Attempts => Some(span.amplification()),
            Self::Share(fate) => Some(span.share(fate)),
        }
    }

    fn shown(self, value: f64) -> String {
        match self {
            Self::Goodput | Self::Share(_) => percent(value),
            Self::Quantile(_) => millis(Some(value)),
            Self::Attempts => format!("{value:.2}"),
        }
    }
}

/// Judges every rule for every policy.
pub(super) fn judge(rules: &[Rule], outcomes: &[Outcome]) -> Vec<Judged> {
    let pairs = rules.iter().flat_map(|rule| outcomes.iter().map(move |outcome| (rule, outcome)));
    let judged = pairs.map(|(rule, Outcome { policy, reports })| {
        let values = reports.iter().filter_map(|report| rule.worst(report));
        let worst = if rule.at_least { values.reduce(f64::min) } else { values.reduce(f64::max) };
        let is_met = worst.is_some_and(|worst| match rule.at_least {
            true => worst >= rule.limit,
            false => worst <= rule.limit,
        });
        let value = worst.map_or("nothing was measured".to_owned(), |it| rule.what.shown(it));
        Judged { rule: rule.text.clone(), policy: policy.clone(), value, is_met }
    });
    judged.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_read_or_refused_with_their_reason() {
        let read = |text| Rule::read(text).map(|rule| (rule.what, rule.at_least, rule.limit));
        assert_eq!(read("goodput>=95%"), Ok((What::Goodput, true, 0.95)));
        assert_eq!(read("over:p99 <= 200ms"), Ok((What::Quantile(2), false, 200.0)));
        assert_eq!(read("attempts<=1.2x"), Ok((What::Attempts, false, 1.2)));
        assert_eq!(read("timed_out<=1%"), Ok((What::Share(Fate::TimedOut), false, 0.01)));
        let refusals = ["goodput=95%", "godput>=95%", "p99<=200", "goodput>=0.95", "zebra<=1%"]
            .map(|text| Rule::read(text).unwrap_err());
        insta::assert_snapshot!(refusals.join("\n"));
    }
}
