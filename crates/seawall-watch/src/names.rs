//! Every metric's name, kind, labels and meaning; nothing else in Seawall spells one.
//!
//! Names read `seawall_<area>_<noun>_<unit>[_total]`, in base units. Labels come from closed lists
//! or from configured names, so the number of series is bounded by the settings, never by what
//! clients send. Does not know how the numbers are counted.

/// The kind of a metric: what its numbers mean over time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MetricKind {
    /// Only ever grows.
    Counter,
    /// Holds what is now.
    Gauge,
    /// Counts durations by size, in seconds.
    Histogram,
}

impl MetricKind {
    /// Returns the word of the Prometheus text format.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// Describes one metric.
#[derive(Debug)]
pub struct Metric {
    /// Its full name, as scraped.
    pub name: &'static str,
    /// What its numbers mean over time.
    pub kind: MetricKind,
    /// Its labels, in the order in which they are written.
    pub labels: &'static [&'static str],
    /// What it says.
    pub help: &'static str,
}

macro_rules! metrics {
    ($($(#[doc = $help:literal])+ $constant:ident = $kind:ident $name:literal [$($label:literal),*];)+) => {
        $(
            $(#[doc = $help])+
            pub const $constant: Metric = Metric {
                name: $name,
                kind: MetricKind::$kind,
                labels: &[$($label),*],
                help: concat!($($help),+),
            };
        )+

        /// Lists every metric, in the order in which they are scraped.
        pub const ALL: &[&Metric] = &[$(&$constant),+];
    };
}

metrics! {
    /// Clients that are connected.
    CONNECTIONS = Gauge "seawall_gateway_connections" [];
    /// Connections that were opened.
    CONNECTIONS_OPENED = Counter "seawall_gateway_connections_opened_total" [];
    /// Connections that ended, by how.
    CONNECTIONS_CLOSED = Counter "seawall_gateway_connections_closed_total" ["how"];
    /// Clients turned away because too many were connected.
    CONNECTIONS_REFUSED = Counter "seawall_gateway_connections_refused_total" [];
    /// Connections that the operating system would not give us.
    ACCEPTS_FAILED = Counter "seawall_gateway_accepts_failed_total" [];
    /// Requests refused before they were routed.
    REQUESTS_REFUSED = Counter "seawall_gateway_requests_refused_total" ["why"];
    /// Requests that entered a route.
    REQUESTS_STARTED = Counter "seawall_gateway_requests_started_total" ["route", "transport"];
    /// Requests within a route.
    REQUESTS_IN_FLIGHT = Gauge "seawall_gateway_requests_in_flight" ["route"];
    /// Requests that left their route, by how they ended.
    REQUESTS_ENDED = Counter "seawall_gateway_requests_ended_total" ["route", "fate"];
    /// Answers by the class of their status.
    RESPONSES = Counter "seawall_gateway_responses_total" ["route", "status"];
    /// From a request's head to the head of its answer, without those whose call was refused.
    REQUEST_DURATION = Histogram "seawall_gateway_request_duration_seconds" ["route"];
    /// Bodies of answers that did not reach their end.
    BODIES_CUT = Counter "seawall_gateway_bodies_cut_total" ["route", "fault"];
    /// Panics of our own code.
    PANICS = Counter "seawall_runtime_panics_total" [];

    /// Calls that entered a policy.
    CALLS_STARTED = Counter "seawall_call_started_total" ["upstream"];
    /// Calls within a policy.
    CALLS_IN_FLIGHT = Gauge "seawall_call_in_flight" ["upstream"];
    /// Calls that left their policy, by how they ended.
    CALLS_ENDED = Counter "seawall_call_ended_total" ["upstream", "fate"];
    /// From a call's entry to its end, without those that were refused.
    CALL_DURATION = Histogram "seawall_call_duration_seconds" ["upstream"];
    /// Attempts that began.
    ATTEMPTS_STARTED = Counter "seawall_call_attempts_started_total" ["upstream"];
    /// Attempts that ended, by what they say about the upstream.
    ATTEMPTS_ENDED = Counter "seawall_call_attempts_ended_total" ["upstream", "outcome"];
    /// From an attempt's begin to its end.
    ATTEMPT_DURATION = Histogram "seawall_call_attempt_duration_seconds" ["upstream"];
    /// Attempts that failed with a fault, by its cause.
    ATTEMPTS_FAULTED = Counter "seawall_call_attempts_faulted_total" ["upstream", "fault"];
    /// Attempts that had to wait for a place in the bulkhead.
    QUEUED = Counter "seawall_call_queued_total" ["upstream"];
    /// How long attempts waited that got their place.
    QUEUE_WAIT = Histogram "seawall_call_queue_wait_seconds" ["upstream"];
    /// Attempts that left the queue without a place.
    QUEUE_LEFT = Counter "seawall_call_queue_left_total" ["upstream"];
    /// Refusals by a strategy.
    REJECTED = Counter "seawall_call_rejected_total" ["upstream", "fate"];
    /// Retries that were decided, by what called for them.
    RETRIES = Counter "seawall_call_retries_total" ["upstream", "reason"];
    /// Retries that were not made, by what stood against them.
    RETRIES_DENIED = Counter "seawall_call_retries_denied_total" ["upstream", "reason"];
    /// Time limits that passed.
    TIMED_OUT = Counter "seawall_call_timed_out_total" ["upstream", "phase"];
    /// Calls given up before they had an outcome, by where they stood and why.
    ABANDONED = Counter "seawall_call_abandoned_total" ["upstream", "phase", "reason"];

    /// Calls that were shed, by their priority and by what there was too much of.
    SHED = Counter "seawall_call_shed_total" ["upstream", "priority", "reason"];
    /// Calls that had hedged attempts, by whether one of those answered first.
    HEDGES = Counter "seawall_call_hedges_total" ["upstream", "result"];
    /// Attempts that a breaker in a dry run would have refused.
    BREAKER_SPARED = Counter "seawall_call_breaker_spared_total" ["upstream"];
    /// Faults that were put into attempts on purpose.
    CHAOS = Counter "seawall_call_chaos_total" ["upstream", "fault"];

    /// Answers that came from the cache, by how they were used.
    CACHE_USED = Counter "seawall_call_cache_used_total" ["upstream", "how"];
    /// Calls that took part in another one's answer.
    COALESCED = Counter "seawall_call_coalesced_total" ["upstream"];
    /// Failed calls that were answered with something prepared or by another upstream, by what
    /// they had ended with.
    FELL_BACK = Counter "seawall_call_fell_back_total" ["upstream", "fate"];

    /// Changes of the circuit breaker, by its new state.
    BREAKER_CHANGES = Counter "seawall_upstream_breaker_changes_total" ["upstream", "state"];
    /// Changes of the adaptive limit, by why.
    LIMIT_CHANGES = Counter "seawall_upstream_limit_changes_total" ["upstream", "reason"];
    /// Endpoints that were left out because they did worse than the others, by how.
    EJECTIONS = Counter "seawall_upstream_ejections_total" ["upstream", "reason"];
    /// 1 for the state that the circuit breaker is in.
    BREAKER_STATE = Gauge "seawall_upstream_breaker_state" ["upstream", "state"];
    /// Attempts that have a place in the bulkhead.
    IN_FLIGHT = Gauge "seawall_upstream_in_flight" ["upstream"];
    /// How many places the bulkhead has.
    IN_FLIGHT_MAX = Gauge "seawall_upstream_in_flight_max" ["upstream"];
    /// Attempts that were given up, and have their place until the upstream has ended them.
    GHOSTS = Gauge "seawall_upstream_ghosts" ["upstream"];
    /// Endpoints that are left out now.
    ENDPOINTS_OUT = Gauge "seawall_upstream_endpoints_out" ["upstream"];
    /// Attempts that wait for a place.
    WAITING = Gauge "seawall_upstream_waiting" ["upstream"];
    /// How many retries the budget would allow now.
    RETRY_BUDGET = Gauge "seawall_upstream_retry_budget" ["upstream"];
    /// 1 for the state of the breaker that guards an endpoint.
    ENDPOINT_BREAKER_STATE = Gauge "seawall_upstream_endpoint_breaker_state" ["upstream", "endpoint", "state"];
    /// 1 for an endpoint that is left out now, 0 for one that is not.
    ENDPOINT_OUT = Gauge "seawall_upstream_endpoint_out" ["upstream", "endpoint"];
    /// Attempts in flight to an endpoint.
    ENDPOINT_IN_FLIGHT = Gauge "seawall_upstream_endpoint_in_flight" ["upstream", "endpoint"];
    /// Attempts to an endpoint that ended, by what they say about it.
    ENDPOINT_ATTEMPTS_ENDED = Counter "seawall_upstream_endpoint_attempts_ended_total" ["upstream", "endpoint", "outcome"];
    /// How long the attempts to an endpoint took together.
    ENDPOINT_BUSY = Counter "seawall_upstream_endpoint_busy_seconds_total" ["upstream", "endpoint"];

    /// Runs of jobs that began, or went on.
    RUNS_STARTED = Counter "seawall_worker_runs_started_total" ["job"];
    /// Runs of jobs that ended, for now or for good, by how.
    RUNS_ENDED = Counter "seawall_worker_runs_ended_total" ["job", "how"];
    /// Lines that ended, by their outcome.
    LINES_ENDED = Counter "seawall_worker_lines_ended_total" ["job", "outcome"];
    /// Attempts that were not the first of their line.
    LINE_RETRIES = Counter "seawall_worker_line_retries_total" ["job"];
    /// Lines whose call is under way.
    LINES_IN_FLIGHT = Gauge "seawall_worker_lines_in_flight" ["job"];
    /// For how long the first line without an outcome has been that: one that hangs is seen here.
    LINE_OLDEST = Gauge "seawall_worker_line_oldest_seconds" ["job"];
    /// 1 while the store of jobs cannot be used, and so no job is run.
    STORE_IS_DOWN = Gauge "seawall_worker_store_is_down" [];
    /// Generation of the settings in force.
    CONFIG_GENERATION = Gauge "seawall_config_generation" [];
    /// Settings that took effect.
    CONFIG_LOADED = Counter "seawall_config_loaded_total" [];
    /// Settings that were refused.
    CONFIG_REFUSED = Counter "seawall_config_refused_total" [];
    /// 1 while the file is not what is in force, because it was refused.
    CONFIG_IS_REFUSED = Gauge "seawall_config_is_refused" [];

    /// 1, with the version.
    BUILD_INFO = Gauge "seawall_runtime_build_info" ["version"];
    /// 1 while the server is stopping.
    DRAINING = Gauge "seawall_runtime_draining" [];
    /// Connections that had to be cut at the end of a drain.
    DRAIN_CUT = Counter "seawall_runtime_drain_cut_total" [];
    /// Since the process started.
    UPTIME = Gauge "seawall_runtime_uptime_seconds" [];
    /// Processor time used by all threads.
    CPU = Counter "seawall_runtime_cpu_seconds_total" [];
    /// How much this process has to do, 0 to 1: what load shedding goes by.
    LOAD = Gauge "seawall_runtime_load_ratio" [];
    /// Memory in use.
    RESIDENT = Gauge "seawall_runtime_resident_bytes" [];
    /// Threads of the process.
    THREADS = Gauge "seawall_runtime_threads" [];
    /// Files and sockets that are open.
    OPEN_FILES = Gauge "seawall_runtime_open_files" [];
    /// How many may be open.
    OPEN_FILES_MAX = Gauge "seawall_runtime_open_files_max" [];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_follows_the_grammar() {
        for metric in ALL {
            let name = metric.name;
            let area = name.split('_').nth(1).expect("a name has an area");
            assert!(name.starts_with("seawall_"), "{name}");
            assert!(
                ["gateway", "call", "upstream", "worker", "config", "runtime"].contains(&area),
                "{name}: unknown area"
            );
            assert_eq!(metric.kind == MetricKind::Counter, name.ends_with("_total"), "{name}");
            assert_eq!(
                metric.kind == MetricKind::Histogram,
                name.ends_with("_seconds") && metric.kind != MetricKind::Gauge,
                "{name}"
            );
            assert!(metric.help.trim().ends_with('.'), "{name}: help is a sentence");
        }
    }

    #[test]
    fn a_name_stands_once() {
        let mut names: Vec<_> = ALL.iter().map(|metric| metric.name).collect();
        names.sort_unstable();
        let all = names.len();
        names.dedup();
        assert_eq!(names.len(), all);
    }
}
