//! Writes the numbers as Prometheus text (format 0.0.4).
//!
//! It is written by hand, not by a metrics crate: what is counted are fixed lists of atoms, which
//! the registries of such crates keep behind a lock and a hash of the labels, and their writers
//! change the names (`_total` is added, units are appended), so that `names.rs` would no longer
//! say what is scraped. Invariant: one family per metric, in the order of `names::ALL`.

use std::fmt::{Display, Write as _};

use seawall_core::{
    BreakerState, CacheUse, CancelReason, Cause, Chaos, EjectReason, Fate, HttpVersion, Left,
    LimitReason, Phase, Priority, RefusedHead, RetryDenied, RetryReason, ShedReason, UpstreamId,
};

use crate::cells::{
    HEDGE_RESULTS, MILLION, OUTCOMES, RouteCells, STATUS_CLASSES, UpstreamCells, abandoned_place,
    shed_place,
};
use crate::count::{BOUNDS_MICROS, Counts, Histogram, Named};
use crate::gauges::Gauges;
use crate::history::EndpointNow;
use crate::jobs::{JobCells, LINE_OUTCOMES, RunEnd};
use crate::names::{self, Metric};
use crate::process::Process;
use crate::recorder::Recorder;

type WriteEndpoint = fn(&mut Page, &Metric, [&str; 2], &EndpointNow<'_>);
type WriteUpstream = fn(&mut Page, &Metric, &str, &UpstreamCells);

/// The media type of what [`Recorder::prometheus`] writes.
pub const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

impl Recorder {
    /// Writes every metric as it stands now.
    pub fn prometheus(&self) -> String {
        let mut page = Page(String::with_capacity(16 * 1024));
        self.write_gateway(&mut page);
        self.write_calls(&mut page);
        self.write_strategies(&mut page);
        self.write_upstreams(&mut page);
        self.write_jobs(&mut page);
        self.write_host(&mut page);
        page.0
    }

    fn write_gateway(&self, page: &mut Page) {
        let host = &self.host;
        page.only(&names::CONNECTIONS, host.connections());
        page.only(&names::CONNECTIONS_OPENED, host.connections_opened.value());
        page.head(&names::CONNECTIONS_CLOSED);
        page.list(&names::CONNECTIONS_CLOSED, None, words!(Left), &host.connections_closed);
        page.only(&names::CONNECTIONS_REFUSED, host.connections_refused.value());
        page.only(&names::ACCEPTS_FAILED, host.accepts_failed.value());
        page.head(&names::REQUESTS_REFUSED);
        page.list(&names::REQUESTS_REFUSED, None, words!(RefusedHead), &host.requests_refused);

        let routes: Vec<_> = self.routes.iter(|cells| cells.started.sum() > 0).collect();
        let each =
            |page: &mut Page, metric: &Metric, write: fn(&mut Page, &Metric, &str, &RouteCells)| {
                page.head(metric);
                for (_, Named { name, cells }) in &routes {
                    write(page, metric, name, cells);
                }
            };
        each(page, &names::REQUESTS_STARTED, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(HttpVersion), &cells.started);
        });
        each(page, &names::REQUESTS_IN_FLIGHT, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.in_flight());
        });
        each(page, &names::REQUESTS_ENDED, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(Fate), &cells.ended);
        });
        each(page, &names::RESPONSES, |page, metric, name, cells| {
            page.list(metric, Some(name), STATUS_CLASSES, &cells.responses);
        });
        each(page, &names::REQUEST_DURATION, |page, metric, name, cells| {
            page.histogram(metric, name, &cells.duration);
        });
        each(page, &names::BODIES_CUT, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(Cause), &cells.bodies_cut);
        });
        page.only(&names::PANICS, host.panics.value());
    }

    fn write_calls(&self, page: &mut Page) {
        let each = |page: &mut Page, metric: &Metric, write: WriteUpstream| {
            self.each_upstream(page, metric, write);
        };
        each(page, &names::CALLS_STARTED, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.calls_started.value());
        });
        each(page, &names::CALLS_IN_FLIGHT, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.calls_in_flight());
        });
        each(page, &names::CALLS_ENDED, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(Fate), &cells.calls_ended);
        });
        each(page, &names::CALL_DURATION, |page, metric, name, cells| {
            page.histogram(metric, name, &cells.call_duration);
        });
        each(page, &names::ATTEMPTS_STARTED, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.attempts_started.value());
        });
        each(page, &names::ATTEMPTS_ENDED, |page, metric, name, cells| {
            page.list(metric, Some(name), OUTCOMES, &cells.attempts_ended);
        });
        each(page, &names::ATTEMPT_DURATION, |page, metric, name, cells| {
            page.histogram(metric, name, &cells.attempt_duration);
        });
        each(page, &names::ATTEMPTS_FAULTED, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(Cause), &cells.attempts_faulted);
        });
        each(page, &names::QUEUED, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.queued.value());
        });
        each(page, &names::QUEUE_WAIT, |page, metric, name, cells| {
            page.histogram(metric, name, &cells.queue_wait);
        });
        each(page, &names::QUEUE_LEFT, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.queue_left.value());
        });
        each(page, &names::REJECTED, |page, metric, name, cells| {
            for fate in Fate::ALL.into_iter().filter(|fate| fate.as_str().starts_with("rejected_"))
            {
                page.sample(metric, &[name, fate.as_str()], cells.rejected.value(fate.index()));
            }
        });
        each(page, &names::RETRIES, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(RetryReason), &cells.retries);
        });
        each(page, &names::RETRIES_DENIED, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(RetryDenied), &cells.retries_denied);
        });
        each(page, &names::TIMED_OUT, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(Phase), &cells.timed_out);
        });
        each(page, &names::ABANDONED, |page, metric, name, cells| {
            for phase in Phase::ALL {
                for reason in CancelReason::ALL {
                    let value = cells.abandoned.value(abandoned_place(*phase, reason));
                    page.sample(metric, &[name, phase.as_str(), reason.as_str()], value);
                }
            }
        });
    }

    fn write_strategies(&self, page: &mut Page) {
        let each = |page: &mut Page, metric: &Metric, write: WriteUpstream| {
            self.each_upstream(page, metric, write);
        };
        each(page, &names::SHED, |page, metric, name, cells| {
            for priority in Priority::ALL {
                for reason in ShedReason::ALL {
                    let value = cells.shed.value(shed_place(priority, *reason));
                    page.sample(metric, &[name, priority.as_str(), reason.as_str()], value);
                }
            }
        });
        each(page, &names::HEDGES, |page, metric, name, cells| {
            page.list(metric, Some(name), HEDGE_RESULTS, &cells.hedges);
        });
        each(page, &names::BREAKER_SPARED, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.breaker_spared.value());
        });
        each(page, &names::CHAOS, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(Chaos), &cells.chaos);
        });
        each(page, &names::CACHE_USED, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(CacheUse), &cells.cache_used);
        });
        each(page, &names::COALESCED, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.coalesced.value());
        });
        each(page, &names::FELL_BACK, |page, metric, name, cells| {
            for fate in Fate::ALL.into_iter().filter(|fate| fate.is_failure()) {
                page.sample(metric, &[name, fate.as_str()], cells.fell_back.value(fate.index()));
            }
        });
        each(page, &names::BREAKER_CHANGES, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(BreakerState), &cells.breaker_changes);
        });
        each(page, &names::LIMIT_CHANGES, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(LimitReason), &cells.limit_changes);
        });
        each(page, &names::EJECTIONS, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(EjectReason), &cells.ejections);
        });
    }

    /// Writes a family with samples for every upstream that was called.
    fn each_upstream(&self, page: &mut Page, metric: &Metric, write: WriteUpstream) {
        page.head(metric);
        for (_, Named { name, cells }) in
            self.upstreams.iter(|cells| cells.calls_started.value() > 0)
        {
            write(page, metric, name, cells);
        }
    }

    fn write_upstreams(&self, page: &mut Page) {
        let gauges = self.gauges();
        page.head(&names::BREAKER_STATE);
        for (id, gauges) in &gauges {
            let Some(now) = gauges.breaker else { continue };
            for state in BreakerState::ALL {
                let labels = [self.upstream_name(*id), state.as_str()];
                page.sample(&names::BREAKER_STATE, &labels, u8::from(now.state == *state));
            }
        }
        let mut each = |metric: &Metric, value: fn(&Gauges) -> Option<f64>| {
            page.head(metric);
            for (id, gauges) in &gauges {
                if let Some(value) = value(gauges) {
                    page.sample(metric, &[self.upstream_name(*id)], value);
                }
            }
        };
        each(&names::IN_FLIGHT, |gauges| Some(gauges.in_flight.into()));
        each(&names::IN_FLIGHT_MAX, |gauges| gauges.in_flight_max.map(Into::into));
        each(&names::GHOSTS, |gauges| Some(gauges.ghosts.into()));
        each(&names::ENDPOINTS_OUT, |gauges| Some(gauges.endpoints_out().into()));
        each(&names::WAITING, |gauges| Some(gauges.waiting.into()));
        each(&names::RETRY_BUDGET, |gauges| gauges.budget);
        self.write_endpoints(page, &gauges);
    }

    fn write_endpoints(&self, page: &mut Page, gauges: &[(UpstreamId, Gauges)]) {
        let mut each = |metric: &Metric, write: WriteEndpoint| {
            page.head(metric);
            for (id, gauges) in gauges {
                let cells = self.upstreams.cells(id.0);
                for endpoint in &gauges.endpoints {
                    let labels = [self.upstream_name(*id), &endpoint.address];
                    write(page, metric, labels, &EndpointNow::of(endpoint, cells));
                }
            }
        };
        each(&names::ENDPOINT_BREAKER_STATE, |page, metric, [upstream, address], now| {
            let Some(breaker) = now.gauges.breaker else { return };
            for state in BreakerState::ALL {
                let labels = [upstream, address, state.as_str()];
                page.sample(metric, &labels, u8::from(breaker.state == *state));
            }
        });
        each(&names::ENDPOINT_OUT, |page, metric, labels, now| {
            page.sample(metric, &labels, u8::from(now.gauges.ejected.is_some()));
        });
        each(&names::ENDPOINT_IN_FLIGHT, |page, metric, labels, now| {
            page.sample(metric, &labels, now.gauges.in_flight);
        });
        each(&names::ENDPOINT_ATTEMPTS_ENDED, |page, metric, [upstream, address], now| {
            for (outcome, ended) in OUTCOMES.into_iter().zip(now.sums.ended) {
                page.sample(metric, &[upstream, address, outcome], ended);
            }
        });
        each(&names::ENDPOINT_BUSY, |page, metric, labels, now| {
            page.sample(metric, &labels, now.sums.busy_micros as f64 / MILLION);
        });
    }

    fn write_jobs(&self, page: &mut Page) {
        let jobs: Vec<_> = self.jobs.iter(|cells| cells.runs_started.value() > 0).collect();
        let each =
            |page: &mut Page, metric: &Metric, write: fn(&mut Page, &Metric, &str, &JobCells)| {
                page.head(metric);
                for (_, Named { name, cells }) in &jobs {
                    write(page, metric, name, cells);
                }
            };
        each(page, &names::RUNS_STARTED, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.runs_started.value());
        });
        each(page, &names::RUNS_ENDED, |page, metric, name, cells| {
            page.list(metric, Some(name), words!(RunEnd), &cells.runs_ended);
        });
        each(page, &names::LINES_ENDED, |page, metric, name, cells| {
            page.list(metric, Some(name), LINE_OUTCOMES, &cells.lines_ended);
        });
        each(page, &names::LINE_RETRIES, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.retries.value());
        });
        each(page, &names::LINES_IN_FLIGHT, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.in_flight.value());
        });
        each(page, &names::LINE_OLDEST, |page, metric, name, cells| {
            page.sample(metric, &[name], cells.oldest_millis.value() as f64 / 1e3);
        });
        page.only(&names::STORE_IS_DOWN, self.host.store_is_down.value());
    }

    fn write_host(&self, page: &mut Page) {
        let host = &self.host;
        page.only(&names::CONFIG_GENERATION, host.config_generation.value());
        page.only(&names::CONFIG_LOADED, host.config_loaded.value());
        page.only(&names::CONFIG_REFUSED, host.config_refused.value());
        page.only(&names::CONFIG_IS_REFUSED, host.config_is_refused.value());
        page.head(&names::BUILD_INFO);
        page.sample(&names::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1);
        page.only(&names::DRAINING, host.draining.value());
        page.only(&names::DRAIN_CUT, host.drain_cut.value());
        let process = Process::now();
        page.only(&names::UPTIME, self.started.elapsed().as_secs_f64());
        page.maybe(&names::CPU, process.cpu_seconds);
        page.only(&names::LOAD, host.load.value() as f64 / MILLION);
        page.maybe(&names::RESIDENT, process.resident_bytes);
        page.maybe(&names::THREADS, process.threads);
        page.maybe(&names::OPEN_FILES, process.open_files);
        page.maybe(&names::OPEN_FILES_MAX, process.open_files_max);
    }
}

/// Lists the words of an enumeration, each at its place.
macro_rules! words {
    ($type:ident) => {
        $type::ALL.iter().map(|value| value.as_str())
    };
}
use words;

/// Holds the text as far as it is written. Writing to a `String` cannot fail, hence the dropped
/// results.
struct Page(String);

impl Page {
    fn head(&mut self, metric: &Metric) {
        let Metric { name, help, kind, .. } = metric;
        let _ = writeln!(self.0, "# HELP {name} {}", help.trim());
        let _ = writeln!(self.0, "# TYPE {name} {}", kind.as_str());
    }

    /// Writes a metric without labels.
    fn only(&mut self, metric: &Metric, value: impl Display) {
        self.head(metric);
        self.sample(metric, &[], value);
    }

    /// Writes a metric without labels whose number may be unknown.
    fn maybe(&mut self, metric: &Metric, value: Option<impl Display>) {
        self.head(metric);
        if let Some(value) = value {
            self.sample(metric, &[], value);
        }
    }

    /// Writes one sample for each word of a closed list.
    fn list<const N: usize>(
        &mut self,
        metric: &Metric,
        name: Option<&str>,
        words: impl IntoIterator<Item = &'static str>,
        counts: &Counts<N>,
    ) {
        for (word, value) in words.into_iter().zip(counts.values()) {
            match name {
                Some(name) => self.sample(metric, &[name, word], value),
                None => self.sample(metric, &[word], value),
            }
        }
    }

    fn sample(&mut self, metric: &Metric, labels: &[&str], value: impl Display) {
        debug_assert_eq!(metric.labels.len(), labels.len(), "{}", metric.name);
        self.0.push_str(metric.name);
        self.labels(metric.labels.iter().copied().zip(labels.iter().copied()));
        let _ = writeln!(self.0, " {value}");
    }

    fn histogram(&mut self, metric: &Metric, name: &str, histogram: &Histogram) {
        let label = metric.labels[0];
        let mut below = 0;
        for (place, count) in histogram.buckets().into_iter().enumerate() {
            below += count;
            let bound = match BOUNDS_MICROS.get(place) {
                Some(micros) => (*micros as f64 / 1e6).to_string(),
                None => "+Inf".to_owned(),
            };
            let _ = write!(self.0, "{}_bucket", metric.name);
            self.labels([(label, name), ("le", &bound)].into_iter());
            let _ = writeln!(self.0, " {below}");
        }
        let _ = write!(self.0, "{}_sum", metric.name);
        self.labels([(label, name)].into_iter());
        let _ = writeln!(self.0, " {}", histogram.seconds());
        let _ = write!(self.0, "{}_count", metric.name);
        self.labels([(label, name)].into_iter());
        let _ = writeln!(self.0, " {below}");
    }

    fn labels<'a>(&mut self, labels: impl Iterator<Item = (&'a str, &'a str)>) {
        let mut open = '{';
        for (label, value) in labels {
            self.0.push(open);
            open = ',';
            self.0.push_str(label);
            self.0.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\\' => self.0.push_str("\\\\"),
                    '"' => self.0.push_str("\\\""),
                    '\n' => self.0.push_str("\\n"),
                    plain => self.0.push(plain),
                }
            }
            self.0.push('"');
        }
        if open == ',' {
            self.0.push('}');
        }
    }
}
