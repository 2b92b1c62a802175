//! What the server is doing now, for people and for `/status.json`.
//!
//! Does not know how it is shown, nor what is counted. The words are those of metrics and logs; a
//! fate that did not happen stands there with a zero, because absence is information.

use seawall_core::{Fate, TripReason};
use serde::{Serialize, Serializer};

use crate::gauges::BreakerGauge;
use crate::grade::{Attention, Grade};
use crate::jobs::JobsStatus;

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
pub struct FateCounts(pub(crate) [u64; Fate::ALL.len()]);

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
    pub(crate) fn of(breaker: Option<BreakerGauge>) -> Self {
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
