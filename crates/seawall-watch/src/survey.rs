//! The status of a moment, taken from counters, gauges and the history.
//!
//! Does not know: what of it needs attention, how it is shown.

use std::collections::BTreeMap;
use std::time::Instant;

use seawall_core::{Fate, UpstreamId};

use crate::attention::{attention, badness};
use crate::cells::{RouteCells, UpstreamCells, failure_in_words};
use crate::count::{Named, quantile};
use crate::gauges::Gauges;
use crate::history::{EndpointNow, Sums, WINDOW};
use crate::process::Process;
use crate::recorder::Recorder;
use crate::status::{
    About, BreakerTimes, EndpointStatus, FateCounts, GatewayStatus, RouteStatus, RuntimeStatus,
    Status, UpstreamStatus,
};

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
        let mut fates = [0; Fate::ALL.len()];
        for (fate, count) in upstreams.iter().flat_map(|upstream| upstream.fates.iter()) {
            fates[fate.index()] += count;
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
            fates: FateCounts(fates),
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
