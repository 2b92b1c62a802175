//! Scenario files of `seawall simulate`: read, checked, and handed on as a setup to simulate.
//!
//! Does not know: policies, how a result is shown. Like settings: every key is known, every error
//! is told at once, with its place. What is handed on can be simulated within bounds.

mod fields;

use std::time::Duration;

use seawall_policy::Params;
use seawall_policy::sim::{Behaviour, Capacity, Latency};
use seawall_simulate::{ArrivalProcess, Clients, Except, Setup, SimulatedUpstream, Stage, Work};

use super::doc::{self, Entry};
use super::report::{SettingsProblem, SettingsReport};
use super::source::Text;
use super::units;
use fields::Fields;

/// What a scenario file describes.
#[derive(Clone, Debug)]
pub struct ScenarioSettings {
    /// What happens, in one sentence; empty if it does not say.
    pub about: String,
    /// What to look for.
    pub look: String,
    /// Everything but the policy, of which it knows nothing.
    pub setup: Setup,
    /// The seeds it is run with.
    pub seeds: Vec<u64>,
}

/// What an upstream does and how its work is distributed.
#[derive(Clone)]
struct Conduct {
    behaviour: Behaviour,
    work: Work,
}

impl ScenarioSettings {
    /// Reads a scenario.
    ///
    /// # Errors
    /// Returns everything that is wrong, not only the first thing.
    pub fn read(text: Text) -> Result<Self, SettingsReport> {
        let mut report = SettingsReport::new(text);
        let Some(entries) = doc::parse(&mut report) else {
            report.sort();
            return Err(report);
        };
        let read = read(&mut report, &entries);
        report.sort();
        if report.has_errors() { Err(report) } else { Ok(read) }
    }
}

/// Returns how many calls a setup comes to at most, its clients' retries included.
///
/// # Errors
/// Says what is too much to be simulated in reasonable time and memory, and how much it is.
pub fn bounded(setup: &Setup, runs: usize) -> Result<f64, String> {
    let calls = |stage: &Stage| stage.per_second * stage.phase.lasts.as_secs_f64();
    let tries = f64::from(setup.clients.retries) + 1.0;
    let calls: f64 = setup.stages.iter().map(calls).sum::<f64>() * tries * runs as f64;
    if calls > CALLS_MAX {
        return Err(format!(
            "up to {calls:.0} calls are more than can be simulated: {CALLS_MAX:.0}"
        ));
    }
    let fastest = setup.stages.iter().map(|stage| stage.per_second).fold(0.0, f64::max);
    let at_once = fastest * setup.clients.timeout.as_secs_f64() * tries;
    if at_once > AT_ONCE_MAX {
        return Err(format!(
            "up to {at_once:.0} calls at once are more than can be simulated: {AT_ONCE_MAX:.0}"
        ));
    }
    Ok(calls)
}

/// Reads what `--latency` takes: one time for all, or median and p99.
///
/// # Errors
/// Says what is wrong, to be read after "is".
pub fn latency(text: &str) -> Result<(Duration, Duration), String> {
    if text.contains("..") {
        units::range(text)
    } else {
        units::duration(text).map(|time| (time, time))
    }
}

fn read(report: &mut SettingsReport, entries: &[Entry]) -> ScenarioSettings {
    let mut top = Fields::new(report, entries, "");
    top.known(&["about", "look", "seeds", "gateways", "upstream", "clients", "phase"]);
    let about = top.text("about").unwrap_or_default();
    let look = top.text("look").unwrap_or_default();
    let seeds = top.numbers("seeds", SEEDS_MAX).unwrap_or_else(|| vec![1]);
    let gateways = top.whole("gateways", 1, 1000).unwrap_or(1) as u16;
    let (upstream, usual) = upstream(&mut top);
    let (clients, per_second) = clients(&mut top);
    let stages = phases(&mut top, &usual, per_second, upstream.endpoints);
    let lasts = stages.iter().map(|stage| stage.phase.lasts).sum();
    let setup =
        Setup { gateways, upstream, clients, stages, lasts, ..Setup::new(Params::standard()) };
    if let Err(why) = bounded(&setup, seeds.len()) {
        let whole = top.place("phase").or_else(|| top.place("clients"));
        let problem = SettingsProblem::error(why).help("a lower rate, or shorter phases");
        top.report.add(match whole {
            Some(span) => problem.at(span, ""),
            None => problem,
        });
    }
    ScenarioSettings { about, look, setup, seeds }
}

fn upstream(top: &mut Fields<'_>) -> (SimulatedUpstream, Conduct) {
    let usual = Conduct {
        behaviour: Behaviour {
            errors: 0.0,
            capacity: Some(Capacity { slots: 50, queue: 1000 }),
            ..Behaviour::default()
        },
        work: Work::Usual,
    };
    let Some(entries) = top.table("upstream") else { return (SimulatedUpstream::default(), usual) };
    let mut fields = top.within(entries, "upstream");
    fields.known(&[&["endpoints", "cancels"], CONDUCT].concat());
    let upstream = SimulatedUpstream {
        endpoints: fields.whole("endpoints", 1, 64).unwrap_or(1) as u16,
        cancels: fields.flag("cancels").unwrap_or(true),
    };
    (upstream, conduct(&mut fields, &usual))
}

fn clients(top: &mut Fields<'_>) -> (Clients, f64) {
    let Some(entries) = top.table("clients") else { return (Clients::default(), RATE) };
    let mut fields = top.within(entries, "clients");
    fields.known(&[
        "rate",
        "arrivals",
        "timeout",
        "retries",
        "pause",
        "idempotent",
        "priorities",
        "callers",
    ]);
    let usual = Clients::default();
    let pace = match fields.word("arrivals", &["random", "even"]) {
        Some("even") => ArrivalProcess::Even,
        _ => ArrivalProcess::Random,
    };
    let callers = fields.numbers("callers", CALLERS_MAX).unwrap_or_default();
    let clients = Clients {
        pace,
        timeout: fields.time("timeout", "1ms", "5m").unwrap_or(usual.timeout),
        retries: fields.whole("retries", 0, 20).unwrap_or(0) as u32,
        pause: fields.time("pause", "0s", "1h").unwrap_or(usual.pause),
        idempotent: fields.share("idempotent").unwrap_or(usual.idempotent),
        priorities: priorities(&mut fields).unwrap_or(usual.priorities),
        callers: callers.into_iter().map(|weight| weight as f64).collect(),
    };
    (clients, fields.rate("rate").unwrap_or(RATE))
}

fn priorities(clients: &mut Fields<'_>) -> Option<[f64; 4]> {
    let place = clients.place("priorities");
    let entries = clients.table("priorities")?;
    let mut fields = clients.within(entries, "priorities");
    let names = ["critical", "high", "normal", "low"];
    fields.known(&names);
    let shares = names.map(|name| fields.share(name).unwrap_or(0.0));
    if shares.iter().sum::<f64>() <= 0.0 && !fields.report.has_errors() {
        let problem = SettingsProblem::error("`clients.priorities` has no share above 0%");
        fields.report.add(problem.at(place.unwrap_or(0..0), "").help("normal = \"100%\""));
    }
    Some(shares)
}

fn phases(top: &mut Fields<'_>, usual: &Conduct, per_second: f64, endpoints: u16) -> Vec<Stage> {
    let items = top.tables("phase", PHASES_MAX);
    if items.is_empty() {
        return vec![stage("steady", MINUTE, usual.clone(), per_second)];
    }
    let mut stages = Vec::new();
    for (number, entries) in items.into_iter().enumerate() {
        let mut fields = top.within(entries, "phase");
        fields.known(&[&["name", "for", "rate", "slower", "endpoint"], CONDUCT].concat());
        let name = fields.text("name").unwrap_or_else(|| format!("phase {}", number + 1));
        let lasts = fields.time("for", "1ms", "24h").unwrap_or(MINUTE);
        let per_second = fields.rate("rate").unwrap_or(per_second);
        let mut conduct = conduct(&mut fields, usual);
        if let Some(slower) = fields.number("slower", 0.001, 10_000.0) {
            conduct = conduct.slower(slower);
        }
        let only = fields.whole("endpoint", 1, u64::from(endpoints));
        stages.push(match only {
            None => stage(&name, lasts, conduct, per_second),
            Some(endpoint) => {
                let Conduct { behaviour, work } = conduct;
                let except = Except { endpoint: endpoint as u16 - 1, behaviour, work };
                let stage = stage(&name, lasts, usual.clone(), per_second);
                Stage { except: Some(except), ..stage }
            }
        });
    }
    stages
}

fn stage(name: &str, lasts: Duration, conduct: Conduct, per_second: f64) -> Stage {
    Stage { work: conduct.work, ..Stage::new(name, lasts, conduct.behaviour, per_second) }
}

/// Reads what an upstream does, where it differs from the usual.
fn conduct(fields: &mut Fields<'_>, usual: &Conduct) -> Conduct {
    let mut conduct = usual.clone();
    let behaviour = &mut conduct.behaviour;
    let Capacity { slots, queue } = behaviour.capacity.unwrap_or(Capacity { slots: 0, queue: 0 });
    let slots = fields.whole("capacity", 1, 100_000).map_or(slots, |slots| slots as u32);
    let queue = fields.whole("queue", 0, 1_000_000).map_or(queue, |queue| queue as u32);
    behaviour.capacity = (slots > 0).then_some(Capacity { slots, queue });
    if fields.flag("unlimited") == Some(true) {
        behaviour.capacity = None;
    }
    behaviour.errors = fields.share("errors").unwrap_or(behaviour.errors);
    let status = fields.whole("status", 400, 599);
    behaviour.error_status = status.map_or(behaviour.error_status, |status| status as u16);
    behaviour.hangs = fields.share("hangs").unwrap_or(behaviour.hangs);
    behaviour.resets = fields.share("resets").unwrap_or(behaviour.resets);
    behaviour.is_down = fields.flag("down").unwrap_or(behaviour.is_down);
    if let Some(entries) = fields.table("latency") {
        let mut latency = fields.within(entries, "latency");
        (behaviour.latency, conduct.work) = distribution(&mut latency);
    }
    conduct
}

/// Reads how long the work takes.
fn distribution(fields: &mut Fields<'_>) -> (Latency, Work) {
    fields.known(&["fixed", "p50", "p99", "sigma", "from", "to", "slow"]);
    let mut time = |name| fields.time(name, "0s", "1h");
    let (fixed, median, p99) = (time("fixed"), time("p50"), time("p99"));
    let (from, to) = (time("from"), time("to"));
    let sigma = fields.number("sigma", 0.0, 4.0);
    let latency = match (fixed, median, p99, from) {
        (Some(fixed), None, None, None) => Latency { median: fixed, p99: fixed },
        (None, Some(median), Some(p99), None) if p99 >= median => Latency { median, p99 },
        (None, Some(median), None, None) => {
            let tail = (sigma.unwrap_or(0.0) * Z_99).exp();
            Latency { median, p99: median.mul_f64(tail) }
        }
        (None, None, None, Some(from)) if to.is_some_and(|to| to >= from) => {
            Latency { median: (from + to.unwrap_or(from)) / 2, p99: to.unwrap_or(from) }
        }
        _ => {
            fields.refuse(
                "is not one of the distributions",
                "{ fixed = \"20ms\" }, { p50 = \"20ms\", p99 = \"80ms\" }, { p50 = \"20ms\", sigma \
                 = 0.5 } or { from = \"10ms\", to = \"40ms\" }",
            );
            Latency { median: Duration::ZERO, p99: Duration::ZERO }
        }
    };
    let work = match (from, to, fields.table("slow")) {
        (Some(from), Some(to), None) => Work::Uniform { from, to },
        (None, None, Some(entries)) => {
            let mut slow = fields.within(entries, "slow");
            slow.known(&["share", "p50", "p99"]);
            let median = slow.time("p50", "0s", "1h").unwrap_or_default();
            let p99 = slow.time("p99", "0s", "1h").unwrap_or(median);
            let share = slow.share("share").unwrap_or(0.05);
            Work::Bimodal { share, slow: Latency { median, p99: p99.max(median) } }
        }
        _ => Work::Usual,
    };
    (latency, work)
}

impl Conduct {
    /// Makes everything take so many times as long.
    fn slower(mut self, times: f64) -> Self {
        let scaled = |latency: Latency| Latency {
            median: latency.median.mul_f64(times),
            p99: latency.p99.mul_f64(times),
        };
        self.behaviour.latency = scaled(self.behaviour.latency);
        self.work = match self.work {
            Work::Usual => Work::Usual,
            Work::Uniform { from, to } => {
                Work::Uniform { from: from.mul_f64(times), to: to.mul_f64(times) }
            }
            Work::Bimodal { share, slow } => Work::Bimodal { share, slow: scaled(slow) },
        };
        self
    }
}

/// The keys that say what an upstream does, at first or in a phase.
const CONDUCT: &[&str] =
    &["capacity", "queue", "unlimited", "latency", "errors", "status", "hangs", "resets", "down"];
/// A minute or two of a processor, over all seeds and policies.
const CALLS_MAX: f64 = 200e6;
/// Some 200 bytes each.
const AT_ONCE_MAX: f64 = 5e6;
const SEEDS_MAX: usize = 20;
const CALLERS_MAX: usize = 100;
const PHASES_MAX: usize = 100;
const RATE: f64 = 500.0;
const MINUTE: Duration = Duration::from_secs(60);
/// The standard normal distribution is below this in 99 of 100.
const Z_99: f64 = 2.326_347_874;

#[cfg(test)]
mod tests {
    use super::*;

    fn errors(text: &str) -> String {
        let text = Text { name: "mine.toml".into(), text: text.into() };
        ScenarioSettings::read(text)
            .map_or_else(|report| report.human(false), |_| "fine".to_owned())
    }

    #[test]
    fn everything_that_is_wrong_with_a_scenario_is_told_at_once() {
        insta::assert_snapshot!(errors(
            "seeds = [1, \"two\"]
gateway = 3

[upstream]
capacity = 0
latency = { p50 = \"80ms\", p99 = \"20ms\" }
endpoints = 2
error = \"5%\"

[clients]
rate = \"500\"
timeout = \"1h\"
arrivals = \"evenly\"
priorities = { critical = \"120%\", urgent = \"1%\" }
callers = 3

[[phase]]
name = \"slow\"
for = \"30\"
slower = \"2x\"

[[phase]]
endpoint = 3
down = \"yes\"
"
        ));
    }

    #[test]
    fn more_than_can_be_simulated_is_refused() {
        let long = "[clients]\nrate = \"100000/s\"\n[[phase]]\nfor = \"24h\"\n";
        assert!(errors(long).contains("8640000000 calls are more than can be simulated"));
        let many = "[clients]\nrate = \"1000000/s\"\ntimeout = \"5m\"\n[[phase]]\nfor = \"1s\"\n";
        assert!(errors(many).contains("300000000 calls at once"), "{}", errors(many));
    }

    #[test]
    fn an_empty_scenario_is_one_that_can_be_run() {
        assert_eq!(errors(""), "fine");
    }
}
