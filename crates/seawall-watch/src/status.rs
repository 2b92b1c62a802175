//! What the server is doing now, for people and for `/status.json`.
//!
//! Does not know how it is shown. The words are those of metrics and logs; a fate that did not
//! happen stands there with a zero, because absence is information.

use std::collections::BTreeMap;
use std::time::Instant;

use seawall_core::{BreakerState, Fate, UpstreamId};
use serde::{Serialize, Serializer};

use crate::count::{Named, quantile};
use crate::history::{Sums, WINDOW};
use crate::jobs::JobsStatus;
use crate::process::Process;
use crate::recorder::{Gauges, Recorder, RouteCells, UpstreamCells};

/// Says what the server is doing now.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version of this document.
    pub schema: u32,
    /// What is wrong now, in words; empty if nothing is.
    pub attention: Vec<String>,
    /// What the host says about itself.
    #[serde(flatten)]
    pub about: About,
    /// How long the process has been up.
    pub uptime_seconds: u64,
    /// The seconds over which rates, shares and quantiles are taken.
    pub window_seconds: u64,
    /// Calls that ended within the window, by fate, over all upstreams.
    pub fates: FateCounts,
    /// The clients.
    pub gateway: GatewayStatus,
    /// The upstreams, worst first.
    pub upstreams: Vec<UpstreamStatus>,
    /// The routes, in the order in which they were first seen.
    pub routes: Vec<RouteStatus>,
    /// The process.
    pub runtime: RuntimeStatus,
}

/// Counts by fate; written with every fate, in the order in which they are shown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FateCounts([u64; Fate::ALL.len()]);

impl FateCounts {
    /// Lists every fate with its count.
    pub fn iter(&self) -> impl Iterator<Item = (Fate, u64)> {
        Fate::ALL.into_iter().zip(self.0)
    }

    /// Returns the count of one fate.
    pub fn of(&self, fate: Fate) -> u64 {
        self.0[fate.index()]
    }
}

impl Serialize for FateCounts {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter().map(|(fate, count)| (fate.as_str(), count)))
    }
}

/// Holds what only the host knows.
#[derive(Clone, Debug, Default, Serialize)]
pub struct About {
    /// The version of the binary.
    pub version: &'static str,
    /// `run` or `demo`.
    pub mode: &'static str,
    /// Whether it takes new clients: `starting`, `serving`, `lame_duck` (still, but not for long),
    /// `stopping`, or `replaced` (another process does).
    pub phase: &'static str,
    /// Where clients connect.
    pub listen: Option<String>,
    /// The settings.
    pub settings: SettingsStatus,
    /// The jobs; `None` if there was none when the process started.
    pub jobs: Option<JobsStatus>,
}

/// Says which settings are in force.
#[derive(Clone, Debug, Default, Serialize)]
pub struct SettingsStatus {
    /// The file they come from.
    pub file: Option<String>,
    /// The generation in force.
    pub generation: u64,
    /// Whether the file is gone.
    pub is_missing: bool,
    /// Why the file as it is now is not in force.
    pub refused: Option<String>,
    /// What in the file takes effect only after a restart.
    pub restart_needed: Option<String>,
}

/// Says what the clients do.
#[derive(Clone, Debug, Serialize)]
pub struct GatewayStatus {
    /// Clients that are connected.
    pub connections: u64,
    /// Requests within a route.
    pub requests_in_flight: u64,
    /// Requests refused before they were routed, since the start.
    pub requests_refused: u64,
    /// Panics of our own code, since the start.
    pub panics: u64,
}

/// Says how one upstream does.
#[derive(Clone, Debug, Serialize)]
pub struct UpstreamStatus {
    /// Its name.
    pub name: String,
    /// Calls that ended per second.
    pub calls_per_second: f64,
    /// The share of calls that ended well for the caller, 0 to 1; `None` without calls.
    pub effective: Option<f64>,
    /// The share of attempts that the upstream answered well, 0 to 1; `None` without attempts.
    pub actual: Option<f64>,
    /// The median duration of a call.
    pub p50_seconds: Option<f64>,
    /// What 99 of 100 calls stay below.
    pub p99_seconds: Option<f64>,
    /// Calls within the policy, backoff included.
    pub calls_in_flight: u64,
    /// Attempts that have a place in the bulkhead.
    pub in_flight: u32,
    /// How many places there are.
    pub in_flight_max: Option<u32>,
    /// Attempts that wait for a place.
    pub waiting: u32,
    /// Attempts that were given up, and have their place until the upstream has ended them.
    pub ghosts: u32,
    /// How many endpoints it has.
    pub endpoints: u32,
    /// How many of them are left out because they do worse than the others.
    pub endpoints_out: u32,
    /// For how long faults are still injected; `None` if none are.
    pub chaos_seconds: Option<u64>,
    /// How many retries the budget would allow now.
    pub retry_budget: Option<f64>,
    /// What the breaker does.
    pub breaker: Option<&'static str>,
    /// How the upstream failed last.
    pub last_failure: Option<String>,
    /// How long ago that was.
    pub last_failure_seconds_ago: Option<u64>,
    /// Calls that ended within the window, by fate.
    pub fates: FateCounts,
}

/// Says what one route does.
#[derive(Clone, Debug, Serialize)]
pub struct RouteStatus {
    /// The route as written.
    pub name: String,
    /// Requests within it.
    pub in_flight: u64,
    /// Requests that left it since the start.
    pub ended: u64,
    /// What 99 of 100 requests stay below, since the start.
    pub p99_seconds: Option<f64>,
}

/// Says what the process needs.
#[derive(Clone, Debug, Serialize)]
pub struct RuntimeStatus {
    /// Its number.
    pub pid: u32,
    /// Its threads.
    pub threads: Option<u64>,
    /// The memory in use.
    pub resident_bytes: Option<u64>,
    /// The files and sockets that are open.
    pub open_files: Option<u64>,
    /// How many may be open.
    pub open_files_max: Option<u64>,
}

impl Recorder {
    /// Says what the server is doing now.
    pub fn status(&self, about: About, now: Instant) -> Status {
        let gauges: BTreeMap<UpstreamId, Gauges> = self.gauges().into_iter().collect();
        let mut upstreams: Vec<UpstreamStatus> = self
            .upstreams
            .iter(|cells| cells.calls_started.value() > 0)
            // An upstream that was taken out of the settings is not shown any more.
            .filter(|(number, _)| gauges.is_empty() || gauges.contains_key(&UpstreamId(*number)))
            .map(|(number, named)| {
                let gauges = gauges.get(&UpstreamId(number)).copied().unwrap_or_default();
                self.upstream_status(number, named, gauges, now)
            })
            .collect();
        upstreams.sort_by_key(badness);
        let mut fates = FateCounts::default();
        for (fate, count) in upstreams.iter().flat_map(|upstream| upstream.fates.iter()) {
            fates.0[fate.index()] += count;
        }
        let routes = self.routes.iter(|cells| cells.started.sum() > 0);
        let routes: Vec<RouteStatus> = routes.map(|(_, named)| route_status(named)).collect();
        let process = Process::now();
        Status {
            schema: 1,
            attention: attention(&about, &upstreams),
            about,
            uptime_seconds: now.duration_since(self.started).as_secs(),
            window_seconds: WINDOW.as_secs(),
            fates,
            gateway: GatewayStatus {
                connections: self.host.connections(),
                requests_in_flight: routes.iter().map(|route| route.in_flight).sum(),
                requests_refused: self.host.requests_refused.sum(),
                panics: self.host.panics.value(),
            },
            upstreams,
            routes,
            runtime: RuntimeStatus {
                pid: std::process::id(),
                threads: process.threads,
                resident_bytes: process.resident_bytes,
                open_files: process.open_files,
                open_files_max: process.open_files_max,
            },
        }
    }

    fn upstream_status(
        &self,
        number: u16,
        named: &Named<UpstreamCells>,
        gauges: Gauges,
        now: Instant,
    ) -> UpstreamStatus {
        let (sums, window) = self.lately(number, now);
        let ended: u64 = sums.fates.iter().sum();
        let last = named.cells.last_failure();
        let seconds_ago = |at| now.duration_since(self.started).saturating_sub(at).as_secs();
        let seconds = |share| quantile(&sums.durations, share).map(|took| took.as_secs_f64());
        UpstreamStatus {
            name: named.name.to_string(),
            calls_per_second: ended as f64 / window.as_secs_f64().max(1.0),
            effective: effective(&sums),
            actual: actual(&sums),
            p50_seconds: seconds(0.5),
            p99_seconds: seconds(0.99),
            calls_in_flight: named.cells.calls_in_flight(),
            in_flight: gauges.in_flight,
            in_flight_max: gauges.in_flight_max,
            waiting: gauges.waiting,
            ghosts: gauges.ghosts,
            endpoints: gauges.endpoints,
            endpoints_out: gauges.endpoints_out,
            chaos_seconds: gauges.chaos.map(|left| left.as_secs()),
            retry_budget: gauges.budget,
            breaker: gauges.breaker.map(BreakerState::as_str),
            last_failure_seconds_ago: last.as_ref().map(|last| seconds_ago(last.at)),
            last_failure: last.map(|last| last.what),
            fates: FateCounts(sums.fates),
        }
    }
}

fn route_status(named: &Named<RouteCells>) -> RouteStatus {
    let p99 = quantile(&named.cells.duration.buckets(), 0.99);
    RouteStatus {
        name: named.name.to_string(),
        in_flight: named.cells.in_flight(),
        ended: named.cells.ended.sum(),
        p99_seconds: p99.map(|took| took.as_secs_f64()),
    }
}

/// Returns the share of calls that ended well; a caller that left says nothing.
fn effective(sums: &Sums) -> Option<f64> {
    let well = [Fate::Ok, Fate::OkAfterRetry, Fate::OkHedged, Fate::Stale, Fate::Fallback];
    let well: u64 = well.iter().map(|fate| sums.fates[fate.index()]).sum();
    let ended: u64 = sums.fates.iter().sum();
    share(well, ended.saturating_sub(sums.fates[Fate::Cancelled.index()]))
}

/// Returns the share of attempts that the upstream answered well; neutral ones say nothing.
fn actual(sums: &Sums) -> Option<f64> {
    let [success, failure, overload, _neutral] = sums.outcomes;
    share(success, success + failure + overload)
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

/// Orders upstreams: the one an operator must look at first has the lowest key.
fn badness(upstream: &UpstreamStatus) -> (u8, u64, String) {
    let breaker = match upstream.breaker {
        Some("open" | "isolated") => 0,
        Some("half_open" | "recovering") => 1,
        _ => 2,
    };
    let effective = (upstream.effective.unwrap_or(1.0) * 1e6) as u64;
    (breaker, effective, upstream.name.clone())
}

fn attention(about: &About, upstreams: &[UpstreamStatus]) -> Vec<String> {
    let mut lines = Vec::new();
    if about.phase == "stopping" {
        lines.push("stopping: no new clients are taken".to_owned());
    }
    if about.phase == "lame_duck" {
        lines.push("about to stop: not ready, but requests are still taken".to_owned());
    }
    if about.settings.refused.is_some() {
        let generation = about.settings.generation;
        lines.push(format!("settings refused: still serving generation {generation}"));
    }
    if about.settings.is_missing {
        let generation = about.settings.generation;
        lines.push(format!("settings file gone: still serving generation {generation}"));
    }
    if let Some(what) = &about.settings.restart_needed {
        lines.push(format!("restart needed: {what}"));
    }
    lines.extend(about.jobs.iter().flat_map(JobsStatus::attention));
    for upstream in upstreams {
        match upstream.breaker {
            Some("open") => lines.push(format!("{}: breaker open, not called", upstream.name)),
            Some("half_open") => lines.push(format!("{}: breaker probing", upstream.name)),
            Some("isolated") => lines.push(format!("{}: not called, by hand", upstream.name)),
            Some("forced") => lines.push(format!("{}: breaker held closed by hand", upstream.name)),
            _ => {}
        }
        if let Some(seconds) = upstream.chaos_seconds {
            let name = &upstream.name;
            lines.push(format!("{name}: faults are injected on purpose for another {seconds} s"));
        }
        if upstream.endpoints_out > 0 {
            let UpstreamStatus { name, endpoints, endpoints_out, .. } = upstream;
            lines.push(format!("{name}: {endpoints_out} of {endpoints} endpoints are left out"));
        }
        // Bodies on their way are in flight, but take no learned place: who waits tells.
        if upstream.waiting > 0
            && upstream.in_flight_max.is_some_and(|max| upstream.in_flight + upstream.ghosts >= max)
        {
            lines.push(format!("{}: all places of the bulkhead are taken", upstream.name));
        }
    }
    lines
}
