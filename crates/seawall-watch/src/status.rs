//! What the server is doing now, for people and for `/status.json`.
//!
//! Does not know how it is shown. The words are those of metrics and logs; a fate that did not
//! happen stands there with a zero, because absence is information.

use std::collections::BTreeMap;
use std::time::Instant;

use seawall_core::{Fate, TripReason, UpstreamId};
use serde::{Serialize, Serializer};

use crate::attention::{Attention, Grade, attention, badness};
use crate::cells::{RouteCells, UpstreamCells, failure_in_words};
use crate::count::{Named, quantile};
use crate::gauges::{BreakerGauge, Gauges};
use crate::history::{EndpointNow, Sums, WINDOW};
use crate::jobs::JobsStatus;
use crate::process::Process;
use crate::recorder::Recorder;

/// Says what the server is doing now.
#[derive(Clone, Debug, Serialize)]
pub struct Status {
    /// The version of this document.
    pub schema: u32,
    /// What is wrong now, in words; empty if nothing is.
    pub attention: Vec<Attention>,
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
    /// The median duration of a call that no strategy refused.
    pub p50_seconds: Option<f64>,
    /// What 99 of 100 calls stay below that no strategy refused.
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
    /// Its endpoints, in the order of the settings.
    pub endpoints: Vec<EndpointStatus>,
    /// How many of them are left out because they do worse than the others.
    pub endpoints_out: u32,
    /// For how long faults are still injected; `None` if none are.
    pub chaos_seconds: Option<u64>,
    /// How many retries the budget would allow now.
    pub retry_budget: Option<f64>,
    /// What the breaker does.
    pub breaker: Option<&'static str>,
    /// Since when, until when and why.
    #[serde(flatten)]
    pub breaker_times: BreakerTimes,
    /// How the upstream failed last.
    pub last_failure: Option<String>,
    /// How long ago that was.
    pub last_failure_seconds_ago: Option<u64>,
    /// Calls that ended within the window, by fate.
    pub fates: FateCounts,
}

/// Since when, until when and why a breaker does not let everything through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize)]
pub struct BreakerTimes {
    /// How long it has not; `None` if it does, or was set by hand.
    pub breaker_since_seconds: Option<f64>,
    /// Why it does not.
    pub breaker_why: Option<&'static str>,
    /// How long it stays as it is: until the next probe, or as it was set by hand.
    pub breaker_left_seconds: Option<f64>,
}

/// Says how one endpoint does.
#[derive(Clone, Debug, Serialize)]
pub struct EndpointStatus {
    /// Its address.
    pub address: String,
    /// `up`, `ejected`, or what its breaker does if that does not let everything through.
    pub state: &'static str,
    /// What the breaker does that guards it.
    pub breaker: Option<&'static str>,
    /// Since when, until when and why.
    #[serde(flatten)]
    pub breaker_times: BreakerTimes,
    /// How long ago it was left out; `None` if it is not.
    pub ejected_seconds_ago: Option<f64>,
    /// How long it will be left out.
    pub ejected_seconds_left: Option<f64>,
    /// Why it was left out.
    pub ejected_why: Option<&'static str>,
    /// Attempts in flight to it.
    pub in_flight: u32,
    /// Attempts that ended per second.
    pub attempts_per_second: f64,
    /// The share of attempts that it answered well, 0 to 1; `None` without attempts.
    pub actual: Option<f64>,
    /// How long an attempt takes on average; `None` without attempts.
    pub mean_seconds: Option<f64>,
    /// How it failed last.
    pub last_failure: Option<String>,
    /// How long ago that was.
    pub last_failure_seconds_ago: Option<u64>,
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
    /// What 99 of 100 requests stay below whose call was not refused, since the start.
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
                let none = Gauges::default();
                let gauges = gauges.get(&UpstreamId(number)).unwrap_or(&none);
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
        gauges: &Gauges,
        now: Instant,
    ) -> UpstreamStatus {
        let (sums, window) = self.history.lately(number, &named.cells, now);
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
            endpoints: gauges
                .endpoints
                .iter()
                .map(|endpoint| {
                    let last = last.as_ref().map(|last| (last.what.clone(), seconds_ago(last.at)));
                    let endpoint = EndpointNow::of(endpoint, &named.cells);
                    self.endpoint_status(UpstreamId(number), &endpoint, last, now)
                })
                .collect(),
            endpoints_out: gauges.endpoints_out(),
            chaos_seconds: gauges.chaos.map(|left| left.as_secs()),
            retry_budget: gauges.budget,
            breaker: gauges.breaker.map(|breaker| breaker.state.as_str()),
            breaker_times: BreakerTimes::of(gauges.breaker),
            last_failure_seconds_ago: last.as_ref().map(|last| seconds_ago(last.at)),
            last_failure: last.map(|last| last.what),
            fates: FateCounts(sums.fates),
        }
    }
}

impl Recorder {
    /// Says how one endpoint does; `last` is the last failure of its upstream.
    fn endpoint_status(
        &self,
        id: UpstreamId,
        endpoint: &EndpointNow<'_>,
        last: Option<(String, u64)>,
        now: Instant,
    ) -> EndpointStatus {
        let (lately, window) = self.history.endpoint_lately(id, endpoint, now);
        let gauges = endpoint.gauges;
        let ended: u64 = lately.ended.iter().sum();
        let last = match &gauges.tally {
            None => last,
            Some(tally) => {
                tally.last_failure.map(|(outcome, ago)| (failure_in_words(outcome), ago.as_secs()))
            }
        };
        let breaker = gauges.breaker.map(|breaker| breaker.state.as_str());
        EndpointStatus {
            address: gauges.address.to_string(),
            state: match (gauges.ejected, breaker) {
                (Some(_), _) => "ejected",
                (None, None | Some("closed")) => "up",
                (None, Some(other)) => other,
            },
            breaker,
            breaker_times: BreakerTimes::of(gauges.breaker),
            ejected_seconds_ago: gauges.ejected.map(|ejected| ejected.since.as_secs_f64()),
            ejected_seconds_left: gauges.ejected.map(|ejected| ejected.left.as_secs_f64()),
            ejected_why: gauges.ejected.map(|ejected| ejected.why.as_str()),
            in_flight: gauges.in_flight,
            attempts_per_second: ended as f64 / window.as_secs_f64().max(1.0),
            actual: share_of(lately.ended),
            mean_seconds: (ended > 0).then(|| lately.busy_micros as f64 / 1e6 / ended as f64),
            last_failure_seconds_ago: last.as_ref().map(|(_, ago)| *ago),
            last_failure: last.map(|(what, _)| what),
        }
    }
}

impl Status {
    /// Returns how bad the worst is that needs attention.
    pub fn grade(&self) -> Grade {
        self.attention.iter().map(|one| one.grade).max().unwrap_or_default()
    }
}

impl EndpointStatus {
    /// Says since when, until when and why it is in its state.
    pub fn state_in_words(&self) -> String {
        match (self.ejected_seconds_ago, self.ejected_seconds_left, self.ejected_why) {
            (Some(ago), Some(left), Some(why)) => {
                let why = why.replace('_', " ");
                format!(" for {ago:.0} s ({why}), picked again in {left:.0} s")
            }
            _ => self.breaker_times.in_words(self.state),
        }
    }
}

impl BreakerTimes {
    fn of(breaker: Option<BreakerGauge>) -> Self {
        let Some(breaker) = breaker else { return Self::default() };
        Self {
            breaker_since_seconds: breaker.since.map(|since| since.as_secs_f64()),
            breaker_why: breaker.why.map(TripReason::as_str),
            breaker_left_seconds: breaker.left.map(|left| left.as_secs_f64()),
        }
    }

    /// Says it after the state: ` for 12 s (consecutive), next probe in 3 s`.
    pub fn in_words(&self, state: &str) -> String {
        let mut words = String::new();
        if let Some(since) = self.breaker_since_seconds {
            words += &format!(" for {since:.0} s");
        }
        if let Some(why) = self.breaker_why {
            words += &format!(" ({})", why.replace('_', " "));
        }
        match (state, self.breaker_left_seconds) {
            ("open", Some(left)) => words += &format!(", next probe in {left:.0} s"),
            ("isolated" | "forced", Some(left)) => words += &format!(", for another {left:.0} s"),
            _ => {}
        }
        words
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
    share_of(sums.outcomes)
}

fn share_of([success, failure, overload, _neutral]: [u64; 4]) -> Option<f64> {
    share(success, success + failure + overload)
}

fn share(part: u64, all: u64) -> Option<f64> {
    (all > 0).then(|| part as f64 / all as f64)
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::{Duration, Instant};

    use seawall_core::{
        CallEvent, CallEventKind as Kind, CallId, EndpointId, Event, Failure, Observer, Origin,
        Outcome, UpstreamId,
    };

    use super::*;

    fn tell(recorder: &Recorder, upstream: UpstreamId, kind: Kind<'_>) {
        let (at, call) = (Instant::now(), CallId(NonZeroU64::MIN));
        let (attempt, origin) = (None, &Origin::UNKNOWN);
        let event = CallEvent { at, call, upstream, attempt, origin, kind };
        recorder.on(&Event::Call(&event));
    }

    #[test]
    fn the_status_shows_the_worst_upstream_first_and_every_fate() {
        let recorder = Recorder::default();
        let (good, bad) = (recorder.name_upstream("good"), recorder.name_upstream("bad"));
        let took = Duration::from_millis(3);
        let now = recorder.started;
        recorder.tick(now);
        for (upstream, fate) in [(good, Fate::Ok), (bad, Fate::Failed)] {
            tell(&recorder, upstream, Kind::Started);
            tell(&recorder, upstream, Kind::Ended { fate, attempts: 1, took });
        }
        let outcome = Outcome::Failure(Failure::Answered(503.into()));
        tell(&recorder, bad, Kind::AttemptEnded { outcome, took, endpoint: EndpointId(0) });
        let status = recorder.status(Default::default(), now + Duration::from_secs(5));
        let names: Vec<_> =
            status.upstreams.iter().map(|upstream| upstream.name.as_str()).collect();
        assert_eq!(names, ["bad", "good"]);
        assert_eq!(status.upstreams[0].last_failure.as_deref(), Some("status 503"));
        assert_eq!(status.upstreams[0].effective, Some(0.0));
        assert_eq!(status.upstreams[1].calls_per_second, 0.2);
        let shown = serde_json::to_string(&status.fates).expect("counts are plain");
        assert!(shown.starts_with(r#"{"ok":1,"ok_after_retry":0,"#), "{shown}");
        assert!(shown.ends_with(r#""failed":1,"cancelled":0}"#), "{shown}");
    }

    #[test]
    fn the_status_forgets_what_is_older_than_its_window() {
        let recorder = Recorder::default();
        let upstream = recorder.name_upstream("u");
        let took = Duration::from_millis(3);
        recorder.tick(recorder.started);
        tell(&recorder, upstream, Kind::Ended { fate: Fate::Failed, attempts: 1, took });
        for second in 1..=11 {
            recorder.tick(recorder.started + Duration::from_secs(second));
        }
        let status =
            recorder.status(Default::default(), recorder.started + Duration::from_secs(11));
        assert_eq!(status.fates.of(Fate::Failed), 0);
        assert_eq!(status.upstreams[0].effective, None);
    }

    #[test]
    fn refusals_are_not_among_the_durations() {
        let recorder = Recorder::default();
        let upstream = recorder.name_upstream("u");
        recorder.tick(recorder.started);
        tell(&recorder, upstream, Kind::Started);
        let slow = Duration::from_millis(60);
        tell(&recorder, upstream, Kind::Ended { fate: Fate::Ok, attempts: 1, took: slow });
        for fate in Fate::ALL.into_iter().filter(|fate| fate.is_refusal()) {
            let took = Duration::from_micros(7);
            (0..99).for_each(|_| {
                tell(&recorder, upstream, Kind::Ended { fate, attempts: 0, took });
            });
        }
        let status = recorder.status(Default::default(), recorder.started);
        assert!(status.upstreams[0].p50_seconds.is_some_and(|median| median > 0.05));
    }
}
