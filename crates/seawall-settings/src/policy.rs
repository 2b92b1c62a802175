//! Policies as they are meant: each with the one it extends, its numbers, and what cannot work.
//!
//! Does not know: how a policy decides. What the numbers may be together is asked of the policy
//! crate; here it is only pointed at in the file.

use std::ops::Range;
use std::time::Duration;

use seawall_policy::timeout;
use seawall_policy::{ParamProblem as Flaw, Params, backoff, bulkhead};

use super::keys;
use super::nearest::nearest;
use super::params;
use super::raw::Section;
use super::report::{SettingsProblem, SettingsReport};
use super::resolved::Resolved;
use super::units::write_duration;

/// One policy with everything it takes from others.
#[derive(Debug)]
pub(super) struct Policy {
    pub(super) name: String,
    pub(super) resolved: Resolved,
    pub(super) params: Params,
}

/// Settles every policy, `standard` first.
pub(super) fn settle(written: &[Section], report: &mut SettingsReport) -> Vec<Policy> {
    let mut policies = Vec::new();
    if written.iter().all(|section| section.name != STANDARD) {
        policies.push(Policy::new(STANDARD, &[]));
    }
    for section in written {
        let Some(links) = chain(section, written, report) else { continue };
        let policy = Policy::new(&section.name, &links);
        if links.iter().all(|link| !link.is_flawed) {
            policy.check(section, report);
        }
        policies.push(policy);
    }
    policies.sort_by_key(|policy| policy.name != STANDARD);
    policies
}

/// Says that a policy does not exist.
pub(super) fn unknown(name: &str, span: Range<usize>, of: &str, names: &[&str]) -> SettingsProblem {
    let near = nearest(name, names.iter().copied());
    SettingsProblem::error(format!("{of} names a policy that does not exist"))
        .at(span, "no `[policy.…]` with this name")
        .help(match near {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("there are: {}", names.join(", ")),
        })
}

/// Returns a policy and those it extends, itself first; nothing after reporting a broken chain.
fn chain<'a>(
    section: &'a Section,
    written: &'a [Section],
    report: &mut SettingsReport,
) -> Option<Vec<&'a Section>> {
    let mut links = vec![section];
    let mut last = section;
    loop {
        let (name, span) = match last.text(keys::POLICY_EXTENDS) {
            Some(named) => named,
            // Everything extends `standard` in the end, and that extends what is built in.
            None if last.name == STANDARD => return Some(links),
            None => (STANDARD, last.span.clone()),
        };
        let Some(next) = written.iter().find(|other| other.name == name) else {
            if name == STANDARD {
                return Some(links);
            }
            // Said once, at the policy that names it.
            if last.name == section.name {
                let mut names: Vec<_> = written.iter().map(|other| &*other.name).collect();
                names.push(STANDARD);
                report.add(unknown(name, span, &format!("policy `{}`", section.name), &names));
            }
            return None;
        };
        if links.iter().any(|link| link.name == next.name) {
            // Said once, at the first policy of the circle.
            if next.name != section.name || !is_first(&links, written) {
                return None;
            }
            let way: Vec<_> = links.iter().map(|link| &*link.name).chain([name]).collect();
            let title = format!("policy `{}` extends itself: {}", section.name, way.join(" → "));
            let span = section.text(keys::POLICY_EXTENDS).map_or(span, |(_, span)| span);
            report.add(SettingsProblem::error(title).at(span, "").help("take one `extends` out"));
            return None;
        }
        links.push(next);
        last = next;
    }
}

/// Returns whether the first link stands before the others in the file.
fn is_first(links: &[&Section], written: &[Section]) -> bool {
    let first = written.iter().find(|section| links.iter().any(|link| link.name == section.name));
    first.map(|section| &section.name) == links.first().map(|link| &link.name)
}

impl Policy {
    fn new(name: &str, links: &[&Section]) -> Self {
        let mut resolved = Resolved::new(keys::POLICY, links);
        if name == STANDARD {
            resolved.remove(keys::POLICY_EXTENDS);
        }
        follow(&mut resolved);
        let params = params::of(&resolved);
        Self { name: name.to_owned(), resolved, params }
    }

    /// Reports what cannot work together.
    fn check(&self, section: &Section, report: &mut SettingsReport) {
        let name = &self.name;
        for flaw in self.params.check() {
            report.add(self.problem(&flaw, section));
        }
        let timeout::Params { total, attempt, connect, .. } = self.params.timeout;
        if connect > attempt {
            let title = format!("policy `{name}` gives a connection longer than its attempt");
            let problem = SettingsProblem::error(title)
                .help(format!("connect_timeout = \"{}\"", write_duration(attempt)));
            let labels = [
                (keys::POLICY_CONNECT_TIMEOUT.path(), format!("{} to connect", said(connect))),
                (keys::POLICY_ATTEMPT_TIMEOUT.path(), format!("{} for the attempt", said(attempt))),
            ];
            report.add(self.marked(problem, section, &labels));
        }
        let limit = self.params.limit.as_ref().filter(|limit| limit.queue_max > 0);
        if let Some(wait) = limit.map(|limit| limit.queue_wait_max).filter(|wait| *wait > total) {
            let title = format!("policy `{name}` lets calls wait longer than their callers do");
            let problem = SettingsProblem::error(title)
                .help(format!("queue_wait = \"{}\"", write_duration(rounded(total / 5))));
            let labels = [
                (keys::POLICY_LIMIT_QUEUE_WAIT.path(), format!("{} in the queue", said(wait))),
                (keys::POLICY_TOTAL_TIMEOUT.path(), format!("{} for everything", said(total))),
            ];
            report.add(self.marked(problem, section, &labels));
        }
    }

    /// Says in the words of the file what the policy crate found.
    fn problem(&self, flaw: &Flaw, section: &Section) -> SettingsProblem {
        let name = &self.name;
        match flaw {
            Flaw::AttemptOverTotal { attempt, total } => {
                let title = format!("policy `{name}` gives one attempt longer than everything");
                let problem = SettingsProblem::error(title).help(format!(
                    "total_timeout = \"{}\", or attempt_timeout = \"{}\"",
                    write_duration(*attempt),
                    write_duration(*total)
                ));
                let labels = [
                    (
                        keys::POLICY_ATTEMPT_TIMEOUT.path(),
                        format!("{} for one attempt", said(*attempt)),
                    ),
                    (keys::POLICY_TOTAL_TIMEOUT.path(), format!("{} for everything", said(*total))),
                ];
                self.marked(problem, section, &labels)
            }
            Flaw::RetriesDoNotFit { attempts_max, fitting, attempt, backoff, sum, total } => {
                let title = format!(
                    "policy `{name}` cannot run its {attempts_max} attempts inside \
                     `total_timeout = \"{}\"`",
                    write_duration(*total)
                );
                let left = total.saturating_sub(*backoff) / *attempts_max;
                let mut help = format!("total_timeout = \"{}\"", write_duration(rounded_up(*sum)));
                if left >= Duration::from_millis(1) {
                    help +=
                        &format!(", or attempt_timeout = \"{}\"", write_duration(two_digits(left)));
                }
                help += &format!(", or attempts = {fitting}");
                let why = format!(
                    "{attempts_max} × {} + up to {} of backoff = {}",
                    said(*attempt),
                    said(*backoff),
                    said(*sum)
                );
                let labels = [
                    (keys::POLICY_ATTEMPT_TIMEOUT.path(), why.clone()),
                    (keys::POLICY_RETRY_ATTEMPTS.path(), why.clone()),
                    (keys::POLICY_RETRY_BACKOFF.path(), why),
                    (keys::POLICY_TOTAL_TIMEOUT.path(), format!("{} for everything", said(*total))),
                ];
                // The sum is said once, at the first of its parts that stands in the file.
                let first =
                    labels[..3].iter().position(|(path, _)| self.resolved.span_of(path).is_some());
                let labels = [labels[first.unwrap_or(0)].clone(), labels[3].clone()];
                self.marked(SettingsProblem::error(title).help(help), section, &labels)
            }
            Flaw::WindowTooShort { window, attempt } => {
                let title = format!("policy `{name}` forgets hung attempts before they count");
                let problem = SettingsProblem::warning(title)
                    .help(format!("window = \"{}\"", write_duration(*attempt * 2)));
                let labels = [
                    (
                        keys::POLICY_BREAKER_WINDOW.path(),
                        format!("{} are remembered", said(*window)),
                    ),
                    (
                        keys::POLICY_ATTEMPT_TIMEOUT.path(),
                        format!("{} until it is given up", said(*attempt)),
                    ),
                ];
                self.marked(problem, section, &labels)
            }
            Flaw::OpenOverMax { open, open_max } => {
                let title =
                    format!("policy `{name}` opens its breaker for longer than the longest");
                let problem = SettingsProblem::error(title)
                    .help(format!("open_max = \"{}\"", write_duration(*open)));
                let labels = [
                    (keys::POLICY_BREAKER_OPEN_FOR.path(), format!("{} at first", said(*open))),
                    (keys::POLICY_BREAKER_OPEN_MAX.path(), format!("{} at most", said(*open_max))),
                ];
                self.marked(problem, section, &labels)
            }
            // The table of keys has bounds for single numbers; this is for those it lacks.
            other => self.marked(
                SettingsProblem::error(format!("policy `{name}`: {other}")),
                section,
                &[],
            ),
        }
    }

    /// Marks the settings that stand in the file; the policy's name if none of them does.
    fn marked(
        &self,
        problem: SettingsProblem,
        section: &Section,
        labels: &[(&str, String)],
    ) -> SettingsProblem {
        let marked = labels.iter().fold(problem, |problem, (path, label)| {
            match self.resolved.span_of(path) {
                Some(span) => problem.at(span, label.as_str()),
                None => problem.note(format!("{label}, by default")),
            }
        });
        if marked.marks.is_empty() { marked.at(section.span.clone(), "") } else { marked }
    }
}

/// Lets defaults give way to what is written: whoever says only `total_timeout = "2s"` gets
/// attempts, waits and a breaker that fit into it.
fn follow(resolved: &mut Resolved) {
    let total = resolved.get(keys::POLICY_TOTAL_TIMEOUT);
    let is_retried = resolved.get(keys::POLICY_RETRY);
    let attempts =
        if is_retried { resolved.get(keys::POLICY_RETRY_ATTEMPTS).max(1) as u32 } else { 1 };
    if attempts > 1 {
        let share = total / 10 / (attempts - 1);
        let params = params::backoff(resolved);
        let backoff::Params { base, cap, .. } = params;
        let sum: Duration = (1..attempts).map(|retry| backoff::upper(&params, retry)).sum();
        if sum > total / 10 {
            let cap = rounded(share.min(cap)).max(Duration::from_micros(1));
            resolved.follow(keys::POLICY_RETRY_BACKOFF, (base.min(cap), cap));
        }
    }
    let attempt = if attempts == 1 { total } else { rounded(total * 9 / 10 / attempts) };
    resolved.follow(keys::POLICY_ATTEMPT_TIMEOUT, attempt);
    let attempt = resolved.get(keys::POLICY_ATTEMPT_TIMEOUT);
    let connect = resolved.get(keys::POLICY_CONNECT_TIMEOUT).min(attempt);
    resolved.follow(keys::POLICY_CONNECT_TIMEOUT, connect);
    let window = resolved.get(keys::POLICY_BREAKER_WINDOW).max(attempt * 2);
    resolved.follow(keys::POLICY_BREAKER_WINDOW, window);
    let open_for = resolved.get(keys::POLICY_BREAKER_OPEN_FOR);
    let open_max = resolved.get(keys::POLICY_BREAKER_OPEN_MAX).max(open_for);
    resolved.follow(keys::POLICY_BREAKER_OPEN_MAX, open_max);
    if resolved.is_written(keys::POLICY_LIMIT_QUEUE_WAIT) {
        // Whoever says how long to wait means everyone.
        resolved.follow(keys::POLICY_LIMIT_ORDER, bulkhead::QueueOrder::Fifo);
    }
    if resolved.is_written(keys::POLICY_LIMIT_IN_FLIGHT) {
        // Whoever says how many at once has no need to learn it.
        resolved.follow(keys::POLICY_ADAPTIVE, false);
    }
    if !resolved.get(keys::POLICY_ADAPTIVE) {
        let fixed = bulkhead::Params::fixed();
        resolved.follow(keys::POLICY_LIMIT_IN_FLIGHT, fixed.in_flight_max.into());
        resolved.follow(keys::POLICY_LIMIT_QUEUE, fixed.queue_max.into());
        resolved.follow(keys::POLICY_LIMIT_QUEUE_WAIT, fixed.queue_wait_max);
        resolved.follow(keys::POLICY_LIMIT_HOLDS_ABANDONED, fixed.holds_abandoned);
    }
    let wait = resolved.get(keys::POLICY_LIMIT_QUEUE_WAIT).min(total);
    resolved.follow(keys::POLICY_LIMIT_QUEUE_WAIT, wait);
    let out_for = resolved.get(keys::POLICY_OUTLIER_OUT_FOR);
    let out_max = resolved.get(keys::POLICY_OUTLIER_OUT_MAX).max(out_for);
    resolved.follow(keys::POLICY_OUTLIER_OUT_MAX, out_max);
    let places = resolved.get(keys::POLICY_LIMIT_IN_FLIGHT);
    let initial = resolved.get(keys::POLICY_ADAPTIVE_INITIAL).min(places);
    resolved.follow(keys::POLICY_ADAPTIVE_INITIAL, initial);
    let min = resolved.get(keys::POLICY_ADAPTIVE_MIN).min(initial);
    resolved.follow(keys::POLICY_ADAPTIVE_MIN, min);
    if resolved.get(keys::POLICY_RATE) {
        let burst =
            resolved.get(keys::POLICY_RATE_LIMIT).unwrap_or_default().clamp(1.0, 1e6) as u64;
        resolved.follow(keys::POLICY_RATE_BURST, Some(burst));
    }
}

/// Returns a duration as people say it: `4.5 s`, `600 ms`.
fn said(duration: Duration) -> String {
    match duration.as_millis() {
        0 => format!("{} µs", duration.as_micros()),
        millis if millis < 1000 => format!("{millis} ms"),
        millis => format!("{} s", millis as f64 / 1000.0),
    }
}

/// Cuts a duration to whole milliseconds, or to whole microseconds below 10 ms.
fn rounded(duration: Duration) -> Duration {
    match duration.as_micros() as u64 {
        micros if micros < 10_000 => Duration::from_micros(micros),
        micros => Duration::from_millis(micros / 1000),
    }
}

/// Cuts a duration to two digits, for a suggestion.
fn two_digits(duration: Duration) -> Duration {
    let millis = duration.as_millis().max(1) as u64;
    let step = 10_u64.pow(millis.ilog10().saturating_sub(1));
    Duration::from_millis(millis / step * step)
}

/// Rounds a duration up to two digits, for a suggestion.
fn rounded_up(duration: Duration) -> Duration {
    let millis = duration.as_millis() as u64 + 1;
    let step = 10_u64.pow(millis.ilog10().saturating_sub(1));
    Duration::from_millis((millis - 1).div_ceil(step) * step)
}

/// The policy of every upstream that names no other.
pub(super) const STANDARD: &str = "standard";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_standard_policy_is_the_one_of_the_policy_crate() {
        assert_eq!(Policy::new(STANDARD, &[]).params, Params::standard());
    }

    #[test]
    fn the_standard_policy_follows_nothing() {
        let resolved = Policy::new(STANDARD, &[]).resolved;
        let mut plain = Resolved::new(keys::POLICY, &[]);
        plain.remove(keys::POLICY_EXTENDS);
        for key in keys::KEYS {
            assert_eq!(resolved.at(key.path), plain.at(key.path), "{}", key.path);
        }
    }
}
