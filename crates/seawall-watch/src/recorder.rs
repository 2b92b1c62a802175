//! Counts events in atoms that were made when the settings were loaded.
//!
//! Does not know how the numbers are shown. Invariant: counting an event takes no lock, hashes
//! nothing and allocates nothing, since it stands on the path of every call; and no client can
//! make a new series.

use std::sync::OnceLock;
use std::time::Instant;

use seawall_core::{
    CallEvent, CallEventKind as Kind, Event, Observer, RouteId, ServerEvent, UpstreamEvent,
    UpstreamEventKind, UpstreamId,
};

use crate::cells::{
    HostCells, MILLION, RouteCells, UpstreamCells, abandoned_place, outcome_place, shed_place,
};
use crate::count::Table;
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

impl Default for Recorder {
    fn default() -> Self {
        let started = Instant::now();
        Self {
            started,
            upstreams: Table::new(UPSTREAMS_MAX),
            routes: Table::new(ROUTES_MAX),
            jobs: Table::new(JOBS_MAX),
            host: HostCells::default(),
            history: History::new(started),
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

    /// Takes a sample of the counters; to be called once a second.
    pub fn tick(&self, now: Instant) {
        self.history.sample(&self.upstreams, &self.gauges(), now);
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
                    cells.note_failure(outcome, self.started.elapsed());
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

#[cfg(test)]
#[path = "recorder_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "scrape_tests.rs"]
mod scrape_tests;
