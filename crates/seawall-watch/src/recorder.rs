//! Counts events in atoms that were made when the settings were loaded.
//!
//! Does not know how the numbers are shown. Invariant: counting an event takes no lock, hashes
//! nothing and allocates nothing, since it stands on the path of every call; and no client can
//! make a new series.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use seawall_core::{
    BreakerState, CacheUse, CallEvent, CallEventKind as Kind, CancelReason, Cause, Chaos, Code,
    EjectReason, Event, Failure, Fate, Left, LimitReason, Observer, Outcome, Phase, Priority,
    RefusedHead, RetryDenied, RetryReason, RouteId, ServerEvent, ShedReason, Transport,
    UpstreamEvent, UpstreamEventKind, UpstreamId,
};

use crate::count::{Count, Counts, Histogram, Table};
use crate::gauges::Gauges;
use crate::history::History;
use crate::jobs::{JOBS_MAX, JobCells};

/// Counts every event; see [`crate::names`] for what there is.
pub struct Recorder {
    pub(crate) started: Instant,
    pub(crate) upstreams: Table<UpstreamCells>,
    pub(crate) routes: Table<RouteCells>,
    pub(crate) jobs: Table<JobCells>,
    pub(crate) host: HostCells,
    pub(crate) history: History,
    probe: OnceLock<Probe>,
}

type Probe = Box<dyn Fn() -> Vec<(UpstreamId, Gauges)> + Send + Sync>;

/// How many upstreams are told apart; the further ones are counted together as `other`.
pub const UPSTREAMS_MAX: u16 = 1024;
/// How many routes are told apart; the further ones are counted together as `other`.
pub const ROUTES_MAX: u16 = 4096;

#[derive(Debug, Default)]
pub(crate) struct UpstreamCells {
    pub(crate) calls_started: Count,
    pub(crate) calls_ended: Counts<{ Fate::ALL.len() }>,
    pub(crate) call_duration: Histogram,
    pub(crate) attempts_started: Count,
    pub(crate) attempts_ended: Counts<{ OUTCOMES.len() }>,
    pub(crate) attempt_duration: Histogram,
    pub(crate) attempts_faulted: Counts<{ Cause::ALL.len() }>,
    pub(crate) queued: Count,
    pub(crate) queue_wait: Histogram,
    pub(crate) queue_left: Count,
    pub(crate) rejected: Counts<{ Fate::ALL.len() }>,
    pub(crate) retries: Counts<{ RetryReason::ALL.len() }>,
    pub(crate) retries_denied: Counts<{ RetryDenied::ALL.len() }>,
    pub(crate) timed_out: Counts<{ Phase::ALL.len() }>,
    pub(crate) abandoned: Counts<{ Phase::ALL.len() * CancelReason::ALL.len() }>,
    pub(crate) breaker_changes: Counts<{ BreakerState::ALL.len() }>,
    pub(crate) breaker_spared: Count,
    pub(crate) shed: Counts<{ Priority::ALL.len() * ShedReason::ALL.len() }>,
    pub(crate) hedges: Counts<{ HEDGE_RESULTS.len() }>,
    pub(crate) limit_changes: Counts<{ LimitReason::ALL.len() }>,
    pub(crate) cache_used: Counts<{ CacheUse::ALL.len() }>,
    pub(crate) coalesced: Count,
    pub(crate) fell_back: Counts<{ Fate::ALL.len() }>,
    pub(crate) ejections: Counts<{ EjectReason::ALL.len() }>,
    pub(crate) chaos: Counts<{ Chaos::ALL.len() }>,
    last_failure: AtomicU64,
    /// In milliseconds. Of two failures at once it may be the other one's time, which is the same.
    last_failure_at: AtomicU64,
}

#[derive(Debug, Default)]
pub(crate) struct RouteCells {
    pub(crate) started: Counts<{ Transport::ALL.len() }>,
    pub(crate) ended: Counts<{ Fate::ALL.len() }>,
    pub(crate) responses: Counts<{ STATUS_CLASSES.len() }>,
    pub(crate) duration: Histogram,
    pub(crate) bodies_cut: Counts<{ Cause::ALL.len() }>,
}

#[derive(Debug, Default)]
pub(crate) struct HostCells {
    pub(crate) connections_opened: Count,
    pub(crate) connections_closed: Counts<{ Left::ALL.len() }>,
    pub(crate) connections_refused: Count,
    pub(crate) accepts_failed: Count,
    pub(crate) requests_refused: Counts<{ RefusedHead::ALL.len() }>,
    pub(crate) panics: Count,
    pub(crate) config_generation: Count,
    pub(crate) config_loaded: Count,
    pub(crate) config_refused: Count,
    pub(crate) config_is_refused: Count,
    pub(crate) store_is_down: Count,
    pub(crate) draining: Count,
    pub(crate) drain_cut: Count,
    /// In millionths.
    pub(crate) load: Count,
}

/// The words of [`Outcome`], each at its place.
pub(crate) const OUTCOMES: [&str; 4] = ["success", "failure", "overload", "neutral"];
/// What becomes of hedged attempts, each at its place.
pub(crate) const HEDGE_RESULTS: [&str; 2] = ["lost", "won"];
/// The classes of a status, each at its place.
pub(crate) const STATUS_CLASSES: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];

/// Says how an upstream failed last, and when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct LastFailure {
    pub(crate) what: String,
    /// Since the recorder was made.
    pub(crate) at: Duration,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            started: Instant::now(),
            upstreams: Table::new(UPSTREAMS_MAX),
            routes: Table::new(ROUTES_MAX),
            jobs: Table::new(JOBS_MAX),
            host: HostCells::default(),
            history: History::default(),
            probe: OnceLock::new(),
        }
    }
}

impl Recorder {
    /// Returns the number of an upstream: the same name has the same number for as long as the
    /// process lives. Past [`UPSTREAMS_MAX`] names it is the number of `other`.
    pub fn name_upstream(&self, name: &str) -> UpstreamId {
        UpstreamId(self.upstreams.number(name))
    }

    /// Returns the number of a route: the same name has the same number for as long as the
    /// process lives. Past [`ROUTES_MAX`] names it is the number of `other`.
    pub fn name_route(&self, name: &str) -> RouteId {
        RouteId(self.routes.number(name))
    }

    /// Notes whether the store of jobs can be used.
    pub fn set_store_is_down(&self, is_down: bool) {
        self.host.store_is_down.set(u64::from(is_down));
    }

    /// Returns where a job is counted: the same name has the same place for as long as the process
    /// lives. Past 1,024 names it is the place of `other`.
    pub fn job(&self, name: &str) -> &JobCells {
        &self.jobs.named(self.jobs.number(name)).cells
    }

    /// Returns the name that a number was given for, or `other`.
    pub fn upstream_name(&self, id: UpstreamId) -> &str {
        &self.upstreams.named(id.0).name
    }

    /// Returns the name that a number was given for, or `other`.
    pub fn route_name(&self, id: RouteId) -> &str {
        &self.routes.named(id.0).name
    }

    /// Says where the state of the policies is read when somebody asks; the first word counts.
    pub fn probe_with(
        &self,
        probe: impl Fn() -> Vec<(UpstreamId, Gauges)> + Send + Sync + 'static,
    ) {
        // A second probe would be a bug of the host; the first keeps working.
        drop(self.probe.set(Box::new(probe)));
    }

    /// Says how much this process has to do, 0 to 1.
    pub fn set_load(&self, load: f64) {
        // The cast saturates.
        self.host.load.set((load * MILLION) as u64);
    }

    pub(crate) fn gauges(&self) -> Vec<(UpstreamId, Gauges)> {
        self.probe.get().map(|probe| probe()).unwrap_or_default()
    }

    fn on_call(&self, event: &CallEvent<'_>) {
        let cells = self.upstreams.cells(event.upstream.0);
        match event.kind {
            Kind::Started => cells.calls_started.add(),
            Kind::Ended { fate, took, .. } => {
                cells.calls_ended.add(fate.index());
                // A refusal is quick and says nothing of how long answers take.
                if !fate.is_refusal() {
                    cells.call_duration.observe(took);
                }
            }
            Kind::AttemptStarted { .. } => cells.attempts_started.add(),
            Kind::AttemptEnded { outcome, took, .. } => {
                cells.attempts_ended.add(outcome_place(outcome));
                cells.attempt_duration.observe(took);
                if outcome.is_against_upstream() {
                    cells.last_failure.store(pack_failure(outcome), Relaxed);
                    let at = u64::try_from(self.started.elapsed().as_millis());
                    cells.last_failure_at.store(at.unwrap_or(u64::MAX), Relaxed);
                }
            }
            Kind::AttemptFaulted { fault, .. } => cells.attempts_faulted.add(fault.cause as usize),
            Kind::Queued { .. } => cells.queued.add(),
            Kind::Dequeued { waited, admitted: true } => cells.queue_wait.observe(waited),
            Kind::Dequeued { admitted: false, .. } => cells.queue_left.add(),
            Kind::Rejected { fate } => cells.rejected.add(fate.index()),
            Kind::RetryScheduled { reason, .. } => cells.retries.add(reason as usize),
            Kind::RetryDenied { why } => cells.retries_denied.add(why as usize),
            Kind::TimedOut { phase } => cells.timed_out.add(phase as usize),
            Kind::Abandoned { phase, reason } => {
                cells.abandoned.add(abandoned_place(phase, reason));
            }
            Kind::BreakerSpared => cells.breaker_spared.add(),
            Kind::Shed { priority, why } => cells.shed.add(shed_place(priority, why)),
            Kind::HedgeEnded { won } => cells.hedges.add(usize::from(won)),
            Kind::CacheUsed { how, .. } => cells.cache_used.add(how as usize),
            Kind::Coalesced { .. } => cells.coalesced.add(),
            Kind::FellBack { fate } => cells.fell_back.add(fate.index()),
            Kind::ChaosInjected { what } => cells.chaos.add(what as usize),
            _ => {}
        }
    }

    fn on_upstream(&self, event: &UpstreamEvent<'_>) {
        let cells = self.upstreams.cells(event.upstream.0);
        match event.kind {
            UpstreamEventKind::BreakerChanged { to, .. } => cells.breaker_changes.add(to as usize),
            UpstreamEventKind::LimitChanged { why, .. } => cells.limit_changes.add(why as usize),
            UpstreamEventKind::EndpointEjected { why, .. } => cells.ejections.add(why as usize),
            _ => {}
        }
    }

    fn on_server(&self, event: &ServerEvent<'_>) {
        let host = &self.host;
        match *event {
            ServerEvent::ConnectionOpened { .. } => host.connections_opened.add(),
            ServerEvent::ConnectionClosed { how, .. } => host.connections_closed.add(how as usize),
            ServerEvent::ConnectionRefused => host.connections_refused.add(),
            ServerEvent::AcceptFailed { .. } => host.accepts_failed.add(),
            ServerEvent::RequestRefused { why, .. } => host.requests_refused.add(why as usize),
            ServerEvent::RequestStarted { route, transport, .. } => {
                self.routes.cells(route.0).started.add(transport as usize);
            }
            ServerEvent::RequestEnded { route, fate, status, took, .. } => {
                let cells = self.routes.cells(route.0);
                cells.ended.add(fate.index());
                cells.responses.add(usize::from(status / 100).wrapping_sub(1));
                if !fate.is_refusal() {
                    cells.duration.observe(took);
                }
            }
            ServerEvent::BodyCut { route, fault } => {
                self.routes.cells(route.0).bodies_cut.add(fault.cause as usize);
            }
            ServerEvent::SettingsLoaded { generation } => {
                host.config_loaded.add();
                host.config_generation.set(generation);
                host.config_is_refused.set(0);
            }
            ServerEvent::SettingsRefused { .. } => {
                host.config_refused.add();
                host.config_is_refused.set(1);
            }
            ServerEvent::DrainStarted { .. } => host.draining.set(1),
            ServerEvent::DrainEnded { cut } => {
                host.draining.set(0);
                host.drain_cut.add_many(cut as u64);
            }
            ServerEvent::Panicked => host.panics.add(),
            _ => {}
        }
    }
}

impl Observer for Recorder {
    fn on(&self, event: &Event<'_>) {
        match event {
            Event::Call(event) => self.on_call(event),
            Event::Upstream(event) => self.on_upstream(event),
            Event::Server(event) => self.on_server(event),
            _ => {}
        }
    }
}

impl UpstreamCells {
    pub(crate) fn calls_in_flight(&self) -> u64 {
        // The two are read at different instants, so the end may be ahead.
        self.calls_started.value().saturating_sub(self.calls_ended.sum())
    }

    pub(crate) fn last_failure(&self) -> Option<LastFailure> {
        let what = unpack_failure(self.last_failure.load(Relaxed))?;
        Some(LastFailure { what, at: Duration::from_millis(self.last_failure_at.load(Relaxed)) })
    }
}

impl RouteCells {
    pub(crate) fn in_flight(&self) -> u64 {
        self.started.sum().saturating_sub(self.ended.sum())
    }
}

impl HostCells {
    pub(crate) fn connections(&self) -> u64 {
        self.connections_opened.value().saturating_sub(self.connections_closed.sum())
    }
}

/// How many parts a load is counted in.
pub(crate) const MILLION: f64 = 1e6;

/// Returns the place of a pair in the list of phases times reasons.
pub(crate) const fn abandoned_place(phase: Phase, reason: CancelReason) -> usize {
    phase as usize * CancelReason::ALL.len() + reason as usize
}

/// Returns the place of a pair in the list of priorities times reasons.
pub(crate) const fn shed_place(priority: Priority, why: ShedReason) -> usize {
    priority.index() * ShedReason::ALL.len() + why as usize
}

const fn outcome_place(outcome: Outcome) -> usize {
    match outcome {
        Outcome::Success => 0,
        Outcome::Failure(_) => 1,
        Outcome::Overload { .. } => 2,
        _ => 3,
    }
}

/// Says how an attempt failed, as people read it: `status 503`, `timed_out`.
pub(crate) fn failure_in_words(outcome: Outcome) -> String {
    unpack_failure(pack_failure(outcome)).unwrap_or_default()
}

/// Packs a failure into one word: a byte for its kind, then its code.
fn pack_failure(outcome: Outcome) -> u64 {
    let (kind, code) = match outcome {
        Outcome::Failure(Failure::Answered(code) | Failure::Transient(code))
        | Outcome::Overload { code: Some(code), .. } => (1, Some(code)),
        Outcome::Failure(Failure::Connect) => (2, None),
        Outcome::Failure(Failure::Reset) => (3, None),
        Outcome::Failure(Failure::TimedOut) => (4, None),
        Outcome::Failure(Failure::Malformed) => (5, None),
        Outcome::Failure(Failure::Body) => (6, None),
        Outcome::Failure(Failure::Slow) => (7, None),
        Outcome::Failure(Failure::Panicked) => (8, None),
        Outcome::Overload { code: None, .. } => (9, None),
        _ => (0, None),
    };
    let mut packed = [0; 8];
    packed[0] = kind;
    packed[1..].copy_from_slice(&code.map_or([0; Code::LEN_MAX], Code::to_bytes));
    u64::from_le_bytes(packed)
}

fn unpack_failure(packed: u64) -> Option<String> {
    let [kind, code @ ..] = packed.to_le_bytes();
    Some(match kind {
        1 => format!("status {}", String::from_utf8_lossy(&code).trim_end_matches('\0')),
        2 => Failure::Connect.as_str().into(),
        3 => Failure::Reset.as_str().into(),
        4 => Failure::TimedOut.as_str().into(),
        5 => Failure::Malformed.as_str().into(),
        6 => Failure::Body.as_str().into(),
        7 => Failure::Slow.as_str().into(),
        8 => Failure::Panicked.as_str().into(),
        9 => Outcome::overload().as_str().into(),
        _ => return None,
    })
}

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "scrape_tests.rs"]
mod scrape_tests;
