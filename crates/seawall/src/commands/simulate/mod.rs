//! `seawall simulate`: what policies do at a described upstream, in virtual time.
//!
//! Does not know: how a policy decides; that is the machines', the same that serve. Here it is
//! said what is simulated, and shown what came of it.

mod expect;
mod html;
mod json;
mod plot;
mod stock;
mod sum;
mod text;

use std::fs;
use std::sync::Arc;

use seawall_policy::Params;
use seawall_policy::sim::{Behaviour, Capacity, Latency};
use seawall_settings::{self as settings, ScenarioSettings, Source, Text, nearest};
use seawall_simulate::{Setup, SimulationReport, Stage, simulate as play};

use super::Console;
use crate::cli::{Global, Simple, Simulate};
use crate::exit::Exit;
use expect::Rule;
use stock::Stock;
use sum::Summary;

/// What one policy came to.
struct Outcome {
    policy: Arc<str>,
    /// One for each seed.
    reports: Vec<SimulationReport>,
}

/// What a policy is called, and its numbers.
type Named = (Arc<str>, Params);

pub(super) fn simulate(global: &Global, flags: &Simulate, console: &Console) -> Exit {
    if flags.example {
        console.answer(stock::EXAMPLE.trim_end());
        return Exit::Done;
    }
    if flags.list {
        return list(console);
    }
    match prepared(global, flags, console) {
        Ok((name, simulation, policies, rules)) => {
            carry_out(&name, &simulation, &policies, &rules, flags, console)
        }
        Err(exit) => exit,
    }
}

fn list(console: &Console) -> Exit {
    let mut documents = Vec::new();
    for stock in Stock::ALL {
        match ScenarioSettings::read(stock.text()) {
            Ok(simulation) => {
                let ScenarioSettings { about, look, .. } = simulation;
                documents.push(serde_json::json!({
                    "name": stock.name, "about": about, "look": look
                }));
                if !console.json {
                    console
                        .answer(&format!("{:<11} {about}\n            look at {look}", stock.name));
                }
            }
            Err(report) => {
                console.report(&report);
                return Exit::Bug;
            }
        }
    }
    if console.json {
        console.document(&serde_json::json!({ "schema": 1, "scenarios": documents }));
    }
    Exit::Done
}

type Prepared = (String, ScenarioSettings, Vec<Named>, Vec<Rule>);

/// Returns what is to be simulated, under which name, with which policies, and what is expected.
fn prepared(global: &Global, flags: &Simulate, console: &Console) -> Result<Prepared, Exit> {
    let rules = flags.expect.iter().map(|rule| Rule::read(rule)).collect::<Result<Vec<_>, _>>();
    let rules = rules.map_err(|why| {
        console
            .error(&why, Some("goodput>=95%, p99<=200ms, attempts<=1.2, failed<=1%; over:p99<=1s"));
        Exit::Usage
    })?;
    let (name, mut simulation) = scenario(flags, console)?;
    let setup = &mut simulation.setup;
    setup.gateways = flags.gateways.unwrap_or(setup.gateways);
    if !flags.seed.is_empty() {
        simulation.seeds.clone_from(&flags.seed);
    }
    for rule in &rules {
        if let Err(why) = rule.check(&simulation.setup) {
            console.error(&why, None);
            return Err(Exit::Usage);
        }
    }
    let policies = policies(global, flags, console)?;
    let runs = simulation.seeds.len() * policies.len();
    match settings::bounded(&simulation.setup, runs) {
        Ok(calls) if calls > LONG => {
            console.note(&format!("up to {:.0} million calls: this takes a while", calls / 1e6));
        }
        Ok(_) => {}
        Err(why) => {
            console.error(&why, Some("a lower rate, a shorter time, fewer seeds or policies"));
            return Err(Exit::Usage);
        }
    }
    Ok((name, simulation, policies, rules))
}

/// Returns the scenario that the flags name, or that they describe.
fn scenario(flags: &Simulate, console: &Console) -> Result<(String, ScenarioSettings), Exit> {
    let refused = |report| {
        console.report(&report);
        Exit::Settings
    };
    if let Some(file) = &flags.file {
        let text = Source::find(Some(file)).map(|source| source.read());
        let text = text.unwrap_or_else(|| Source::File(file.clone()).read()).map_err(|error| {
            console.error(&error.to_string(), Some("`seawall simulate --example` prints one"));
            Exit::Open
        })?;
        let name = text.name.to_string();
        return Ok((name, ScenarioSettings::read(text).map_err(refused)?));
    }
    if let Some(name) = &flags.scenario {
        let Some(stock) = Stock::ALL.iter().find(|stock| stock.name == name) else {
            let near = nearest(name, Stock::ALL.iter().map(|stock| stock.name));
            let help = near.map(|near| format!("did you mean `{near}`?"));
            let help = help.unwrap_or_else(|| "`seawall simulate --list` lists them".to_owned());
            console.error(&format!("no scenario `{name}`"), Some(&help));
            return Err(Exit::Usage);
        };
        return Ok((name.clone(), ScenarioSettings::read(stock.text()).map_err(refused)?));
    }
    if !is_described(&flags.simple) {
        let help = "--scenario overload, a file, or --rate 3000/s --capacity 50 --latency 20ms";
        console.error("nothing is said of what to simulate", Some(help));
        return Err(Exit::Usage);
    }
    let simulation = described(&flags.simple).map_err(refused)?;
    let rate = flags.simple.rate.unwrap_or(USUAL_RATE);
    Ok((format!("one upstream, called at {}", sum::rate(rate)), simulation))
}

fn is_described(flags: &Simple) -> bool {
    let Simple { capacity, latency, rate, errors, timeout, retries, lasts } = flags;
    capacity.is_some()
        || latency.is_some()
        || rate.is_some()
        || errors.is_some()
        || timeout.is_some()
        || retries.is_some()
        || lasts.is_some()
}

/// Returns what the flags describe without a scenario.
fn described(flags: &Simple) -> Result<ScenarioSettings, settings::SettingsReport> {
    let text = Text { name: "the flags".into(), text: "".into() };
    let mut simulation = ScenarioSettings::read(text)?;
    let setup = &mut simulation.setup;
    let usual = Behaviour { errors: 0.0, ..Behaviour::default() };
    let (median, p99) = flags.latency.unwrap_or((usual.latency.median, usual.latency.p99));
    let behaviour = Behaviour {
        latency: Latency { median, p99 },
        capacity: Some(Capacity { slots: flags.capacity.unwrap_or(50), queue: 1000 }),
        errors: flags.errors.unwrap_or(0.0),
        ..usual
    };
    setup.lasts = flags.lasts.unwrap_or(setup.lasts);
    setup.stages =
        vec![Stage::new("all", setup.lasts, behaviour, flags.rate.unwrap_or(USUAL_RATE))];
    setup.clients.timeout = flags.timeout.unwrap_or(setup.clients.timeout);
    setup.clients.retries = flags.retries.unwrap_or(0);
    Ok(simulation)
}

/// Returns the policies that the flags name.
fn policies(global: &Global, flags: &Simulate, console: &Console) -> Result<Vec<Named>, Exit> {
    let has_settings = Source::find(global.config.as_deref()).is_some();
    let is_built_in = |name: &String| name == NONE || name == STANDARD;
    let needs_settings = flags.upstream.is_some() || !flags.policy.iter().all(is_built_in);
    let loaded = match has_settings || needs_settings {
        true => Some(super::load(global, console)?),
        false => None,
    };
    let settings = loaded.as_ref().map(|loaded| &loaded.settings);
    if let (Some(name), Some(settings)) = (&flags.upstream, settings) {
        let named = settings.upstreams.iter().find(|upstream| *upstream.name == **name);
        let upstream = named.ok_or_else(|| {
            let all: Vec<_> = settings.upstreams.iter().map(|upstream| &*upstream.name).collect();
            console.error(&format!("no upstream `{name}`"), Some(&known(&all)));
            Exit::Usage
        })?;
        return Ok(vec![(upstream.policy.clone(), upstream.params.clone())]);
    }
    let standard = [STANDARD.to_owned()];
    let names = if flags.policy.is_empty() { &standard[..] } else { &flags.policy };
    let mut policies: Vec<Named> = Vec::new();
    for name in names {
        let of_settings = settings
            .and_then(|settings| settings.policies.iter().find(|policy| *policy.name == **name));
        let params = match (of_settings, name.as_str()) {
            (Some(policy), _) => policy.params.clone(),
            (None, STANDARD) => Params::standard(),
            (None, NONE) => Params::bare(),
            (None, _) => {
                let mut all = vec![STANDARD, NONE];
                let own = settings.iter().flat_map(|settings| &settings.policies);
                all.extend(own.map(|policy| &*policy.name).filter(|name| *name != STANDARD));
                console.error(&format!("no policy `{name}`"), Some(&known(&all)));
                return Err(Exit::Usage);
            }
        };
        if policies.iter().all(|(other, _)| **other != **name) {
            policies.push((name.as_str().into(), params));
        }
    }
    Ok(policies)
}

fn known(names: &[&str]) -> String {
    if names.is_empty() { "there is none".to_owned() } else { names.join(", ") }
}

fn carry_out(
    name: &str,
    simulation: &ScenarioSettings,
    policies: &[Named],
    rules: &[Rule],
    flags: &Simulate,
    console: &Console,
) -> Exit {
    let ScenarioSettings { setup, seeds, .. } = simulation;
    for (policy, params) in policies {
        if params.cache.is_some() || params.coalesce {
            console.note(&format!(
                "warning: `{policy}` keeps or shares answers, and that is not simulated"
            ));
        }
    }
    let outcomes: Vec<Outcome> = policies
        .iter()
        .map(|(policy, params)| {
            let run = |&seed| play(&Setup { seed, params: params.clone(), ..setup.clone() });
            Outcome { policy: policy.clone(), reports: seeds.iter().map(run).collect() }
        })
        .collect();
    if outcomes.iter().flat_map(|outcome| &outcome.reports).any(|report| report.held > 0) {
        console.error("something was still held at the end: this is a bug in Seawall", None);
        return Exit::Bug;
    }
    let summary = Summary { name, simulation, outcomes: &outcomes };
    if let Some(path) = &flags.html {
        if let Err(error) = fs::write(path, html::page(&summary)) {
            console.error(&format!("cannot write {}: {error}", path.display()), None);
            return Exit::Open;
        }
        console.note(&format!("written to {}", path.display()));
    }
    let judged = expect::judge(rules, &outcomes);
    if console.json {
        console.document(&json::document(&summary, &judged));
    } else {
        console.answer(&text::answer(&summary, &judged));
    }
    if judged.iter().all(|judged| judged.is_met) { Exit::Done } else { Exit::No }
}

/// The policy that is always there.
const STANDARD: &str = "standard";
/// What `--policy none` means: time limits and nothing else.
const NONE: &str = "none";
const USUAL_RATE: f64 = 500.0;
/// More calls than this take some seconds.
const LONG: f64 = 20e6;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_binary_can_be_run_and_says_what_to_look_for() {
        for stock in Stock::ALL {
            let simulation = ScenarioSettings::read(stock.text())
                .unwrap_or_else(|report| panic!("{}: {}", stock.name, report.human(false)));
            assert!(simulation.about.ends_with('.'), "{}", stock.name);
            assert!(!simulation.look.is_empty(), "{}", stock.name);
        }
        let example = Text { name: "example".into(), text: stock::EXAMPLE.into() };
        ScenarioSettings::read(example).unwrap_or_else(|report| panic!("{}", report.human(false)));
    }
}
