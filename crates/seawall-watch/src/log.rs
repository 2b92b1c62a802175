//! Says events in a log: one line each, life cycle at `info`, nothing per request above `debug`
//! but the requests that failed.
//!
//! Does not know who reads it. Invariant: a line is at most [`LINE_BYTES_MAX`] long and has no
//! control characters in it, whatever the values hold; bodies, tokens and query values never get
//! here, because no event carries them.

use std::fmt::{self, Write as _};
use std::io;
use std::sync::Arc;

use seawall_core::{
    CallEvent, CallEventKind, Event, Observer, ServerEvent, UpstreamEvent, UpstreamEventKind,
};
use tracing::field::{Field, Visit};
use tracing::{Subscriber, debug, error, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime as UtcTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

use crate::Recorder;
use crate::escape::{VALUE_BYTES_MAX, escaped};
use crate::format::Format;
use crate::once_per_second::OncePerSecond;
use crate::queue::{FlushGuard, Notice, Queue};
use crate::requests::RequestLog;

/// How long a line is at most, its end included.
const LINE_BYTES_MAX: usize = 8 * 1024;
/// How many lines may wait to be written.
const LINES_WAITING_MAX: usize = 1024;

/// Says why there is no log.
#[derive(Debug)]
pub struct BadFilter(String);

impl fmt::Display for BadFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "could not begin the log: {}", self.0)
    }
}

impl std::error::Error for BadFilter {}

/// Sends the log to stderr for the rest of the process, filtered like `RUST_LOG`
/// (`warn,seawall=debug`).
///
/// What hyper says, which carries the admin port, is left out up to `error`, unless the filter names it
/// (`info,hyper=debug`): whoever reaches that port can make it warn, as often as they like.
///
/// A second call in one process changes nothing. Lines are written by a thread of their own: if
/// nobody reads stderr, lines are lost and no call waits.
///
/// # Errors
///
/// If the filter cannot be read.
pub fn init(format: Format, filter: &str) -> Result<FlushGuard, BadFilter> {
    let filter = with_defaults(filter).map_err(|error| BadFilter(error.to_string()))?;
    let queue = Queue::start(io::stderr(), LINES_WAITING_MAX, Notice::Here(format))
        .map_err(|error| BadFilter(error.to_string()))?;
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(queue.clone())
        // It would say with `eprintln!` that stderr cannot be written to, and that panics.
        .log_internal_errors(false)
        .event_format(Line(format))
        .finish();
    // It fails only if there is a log already, which then stays.
    drop(tracing::subscriber::set_global_default(subscriber));
    Ok(FlushGuard(queue))
}

fn with_defaults(filter: &str) -> Result<EnvFilter, ParseError> {
    // What comes later takes the place of what is said before of the same target.
    EnvFilter::try_new(format!("hyper=error,{filter}"))
}

/// Counts events and says those that are worth a line.
pub struct EventLog {
    recorder: Arc<Recorder>,
    accept_failed: OncePerSecond,
    connection_refused: OncePerSecond,
    breaker: OncePerSecond,
    endpoint: OncePerSecond,
    panicked: OncePerSecond,
    requests: RequestLog,
}

impl EventLog {
    /// Makes a log that counts in `recorder`.
    pub fn new(recorder: Arc<Recorder>) -> Self {
        Self {
            recorder,
            accept_failed: OncePerSecond::new(1),
            connection_refused: OncePerSecond::new(1),
            breaker: OncePerSecond::new(10),
            endpoint: OncePerSecond::new(10),
            panicked: OncePerSecond::new(5),
            requests: RequestLog::default(),
        }
    }

    /// Returns the log of requests, to say where it goes.
    pub fn requests(&self) -> &RequestLog {
        &self.requests
    }

    fn say_server(&self, event: &ServerEvent<'_>) {
        match *event {
            ServerEvent::AcceptFailed { errno } => self.accept_failed.say(|left_out| {
                let error = io::Error::from_raw_os_error(errno);
                warn!(event = "accept.failed", errno, left_out, "could not accept: {error}");
            }),
            ServerEvent::ConnectionRefused => self.connection_refused.say(|left_out| {
                warn!(event = "connection.refused", left_out, "too many clients are connected");
            }),
            ServerEvent::SettingsLoaded { generation } => {
                info!(event = "settings.loaded", generation, "settings in force");
            }
            ServerEvent::SettingsRefused { errors } => {
                error!(event = "settings.refused", errors, "settings refused, the old ones stay");
            }
            ServerEvent::DrainStarted { in_flight } => {
                info!(
                    event = "drain.started",
                    in_flight, "stopping: no new clients; a second signal stops at once"
                );
            }
            ServerEvent::DrainEnded { cut: 0 } => {
                info!(event = "drain.ended", cut = 0, "stopped: everything was finished");
            }
            ServerEvent::DrainEnded { cut } => {
                warn!(event = "drain.ended", cut, "stopped: connections had to be cut");
            }
            ServerEvent::Panicked => self.panicked.say(|left_out| {
                error!(event = "panicked", left_out, "a request met a bug of ours: answered 500");
            }),
            _ => self.say_request(event),
        }
    }

    fn say_request(&self, event: &ServerEvent<'_>) {
        match *event {
            ServerEvent::RequestEnded { call, route, fate, status, attempts, took } => debug!(
                event = "request.ended",
                call = call.0,
                route = self.recorder.route_name(route),
                fate = fate.as_str(),
                status,
                attempts,
                took_seconds = took.as_secs_f64(),
                "request ended"
            ),
            ServerEvent::RequestRefused { why, status } => {
                debug!(event = "request.refused", why = why.as_str(), status, "request refused");
            }
            ServerEvent::RequestOver { request } => self.requests.take(request, &self.recorder),
            ServerEvent::BodyCut { route, fault } => debug!(
                event = "body.cut",
                route = self.recorder.route_name(route),
                fault = fault.cause.as_str(),
                side = fault.side.as_str(),
                "an answer's body did not reach its end"
            ),
            _ => {}
        }
    }

    fn say_upstream(&self, event: &UpstreamEvent<'_>) {
        let upstream = self.recorder.upstream_name(event.upstream);
        match event.kind {
            UpstreamEventKind::BreakerChanged { address, from, to, why, .. } => {
                self.breaker.say(|left_out| {
                    let endpoint = (!address.is_empty()).then_some(address);
                    let (from, to, why) = (from.as_str(), to.as_str(), why.as_str());
                    warn!(
                        event = "breaker.changed",
                        upstream, endpoint, from, to, why, left_out, "breaker {to}"
                    );
                })
            }
            UpstreamEventKind::EndpointEjected { address, ejected_for, why, .. } => {
                self.endpoint.say(|left_out| {
                    let (endpoint, seconds) = (address, ejected_for.as_secs_f64());
                    let why = why.as_str();
                    warn!(
                        event = "endpoint.ejected",
                        upstream, endpoint, seconds, why, left_out, "endpoint left out"
                    );
                });
            }
            UpstreamEventKind::EndpointReturned { address, .. } => self.endpoint.say(|left_out| {
                let endpoint = address;
                info!(
                    event = "endpoint.returned",
                    upstream, endpoint, left_out, "endpoint is picked again"
                );
            }),
            UpstreamEventKind::LimitChanged { from, to, why } => debug!(
                event = "limit.changed",
                upstream,
                from,
                to,
                why = why.as_str(),
                "the adaptive limit changed"
            ),
            _ => {}
        }
    }

    fn say_call(&self, event: &CallEvent<'_>) {
        if let CallEventKind::AttemptFaulted { address, fault } = event.kind {
            debug!(
                event = "attempt.faulted",
                call = event.call.0,
                attempt = event.attempt.map(|attempt| attempt.number),
                upstream = self.recorder.upstream_name(event.upstream),
                endpoint = address,
                fault = fault.cause.as_str(),
                step = fault.step.as_str(),
                side = fault.side.as_str(),
                source = fault.source.as_ref().map(tracing::field::display),
                "attempt failed"
            );
        }
    }
}

impl Observer for EventLog {
    fn on(&self, event: &Event<'_>) {
        self.recorder.on(event);
        match event {
            Event::Call(event) => self.say_call(event),
            Event::Upstream(event) => self.say_upstream(event),
            Event::Server(event) => self.say_server(event),
            _ => {}
        }
    }
}

/// Writes an event as one bounded line.
struct Line(Format);

impl<S, N> FormatEvent<S, N> for Line
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &tracing::Event<'_>,
    ) -> fmt::Result {
        let mut fields = Fields { format: self.0, message: String::new(), rest: String::new() };
        event.record(&mut fields);
        let Fields { message, rest, .. } = fields;
        let mut time = String::with_capacity(32);
        UtcTime.format_time(&mut Writer::new(&mut time))?;
        let level = event.metadata().level();
        let target = event.metadata().target();
        match self.0 {
            Format::Text => writeln!(writer, "{time} {level:>5} {message}{rest}"),
            Format::Json => {
                let level = level.as_str().to_ascii_lowercase();
                write!(writer, r#"{{"time":"{time}","level":"{level}","target":"{target}""#)?;
                writeln!(writer, r#"{rest},"message":"{message}"}}"#)
            }
        }
    }
}

/// Gathers the fields of an event, escaped and cut to what a line may hold.
struct Fields {
    format: Format,
    message: String,
    rest: String,
}

impl Fields {
    fn take(&mut self, field: &Field, value: &str, is_text: bool) {
        let value = escaped(value, VALUE_BYTES_MAX);
        let name = field.name();
        if name == "message" {
            self.message = value;
            return;
        }
        // The message and the frame of the line have a value's room each.
        if self.rest.len() + name.len() + value.len() + 8 > LINE_BYTES_MAX - 2 * VALUE_BYTES_MAX {
            return;
        }
        let _ = match (self.format, is_text) {
            (Format::Json, true) => write!(self.rest, r#","{name}":"{value}""#),
            (Format::Json, false) => write!(self.rest, r#","{name}":{value}"#),
            (Format::Text, true) => write!(self.rest, r#" {name}="{value}""#),
            (Format::Text, false) => write!(self.rest, " {name}={value}"),
        };
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.take(field, value, true);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.take(field, &value.to_string(), false);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.take(field, &value.to_string(), false);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.take(field, &value.to_string(), false);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no word for what is not a number.
        self.take(field, &value.to_string(), !value.is_finite());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let mut cut = Cut(String::new());
        // It ends early, with an error, when the value is long enough.
        let _ = write!(cut, "{value:?}");
        self.take(field, &cut.0, true);
    }
}

/// Takes text as long as a value may be, so that a huge value is never written out in memory.
struct Cut(String);

impl fmt::Write for Cut {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let room = VALUE_BYTES_MAX.saturating_sub(self.0.len());
        if text.len() > room {
            let end = (0..=room).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
            self.0.push_str(&text[..end]);
            // One more byte than fits tells `escaped` that something is missing.
            self.0.push('…');
            return Err(fmt::Error);
        }
        self.0.push_str(text);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::sync::Mutex;
    use std::time::Instant;

    use seawall_core::{BreakerState, CallId, Cause, Fate, Fault, Origin, Step, TripReason};
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;
    use crate::escape::is_reordering;

    const CALL: CallId = CallId(NonZeroU64::MIN);

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no test panics in it").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Lines {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Returns what is written while `act` runs.
    fn written(format: Format, filter: &str, act: impl FnOnce()) -> String {
        let lines = Lines::default();
        let subscriber = tracing_subscriber::fmt()
            .with_env_filter(with_defaults(filter).expect("the tests write their filters right"))
            .with_writer(lines.clone())
            .event_format(Line(format))
            .finish();
        tracing::subscriber::with_default(subscriber, act);
        let bytes = lines.0.lock().expect("no test panics in it").clone();
        String::from_utf8(bytes).expect("a log is text")
    }

    #[test]
    fn what_strangers_can_make_hyper_say_is_left_out_unless_asked_for() {
        let said = |filter| {
            written(Format::Text, filter, || {
                warn!(target: "hyper::proto", "too many resets");
                warn!("ours");
            })
        };
        for filter in ["info", "debug", "warn,seawall=debug"] {
            let text = said(filter);
            assert!(!text.contains("resets"), "{filter}: {text}");
            assert!(text.contains("ours"), "{filter}: {text}");
        }
        assert!(said("info,hyper=warn").contains("resets"));
    }

    #[test]
    fn a10_a_hostile_value_stays_one_json_line_of_at_most_8_kib() {
        let hostile = format!("\r\nlevel=error \x1b[2J\u{9b}\u{202e}\"}}{}", "x".repeat(1 << 20));
        let text = written(Format::Json, "debug", || {
            warn!(a = hostile, b = %hostile, c = ?hostile, d = hostile, e = hostile, f = hostile,
                g = hostile, h = hostile, i = hostile, "{hostile}");
        });
        assert!(text.len() <= LINE_BYTES_MAX, "{} bytes", text.len());
        assert_eq!(text.matches('\n').count(), 1);
        let inside = text.trim_end_matches('\n');
        assert!(!inside.chars().any(|c| c.is_control() || is_reordering(c)), "{text}");
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
        assert!(line["a"].as_str().expect("a string").starts_with("\r\nlevel=error \x1b[2J"));
    }

    #[test]
    fn a10_a_hostile_value_stays_one_text_line_without_controls() {
        let hostile = "\r\n\x1b[31mERROR fake\0";
        let text = written(Format::Text, "debug", || warn!(path = hostile, "{hostile}"));
        assert_eq!(text.matches('\n').count(), 1);
        assert!(!text.trim_end_matches('\n').contains(char::is_control), "{text:?}");
    }

    #[test]
    fn a_request_says_nothing_at_info() {
        let recorder = Arc::new(Recorder::default());
        let (route, upstream) = (recorder.name_route("GET /"), recorder.name_upstream("up"));
        let log = EventLog::new(recorder);
        let fault = Fault::upstream(Step::Head, Cause::Reset);
        let text = written(Format::Text, "info", || {
            let (at, took) = (Instant::now(), std::time::Duration::from_millis(1));
            log.on(&Event::Server(&ServerEvent::RequestEnded {
                call: CALL,
                route,
                fate: Fate::Failed,
                status: 502,
                attempts: 1,
                took,
            }));
            log.on(&Event::Call(&CallEvent {
                at,
                call: CALL,
                upstream,
                attempt: None,
                origin: &Origin::UNKNOWN,
                kind: CallEventKind::AttemptFaulted { address: "http://h:1", fault: &fault },
            }));
            log.on(&Event::Server(&ServerEvent::BodyCut { route, fault: &fault }));
        });
        assert_eq!(text, "");
    }

    #[test]
    fn a_breaker_change_is_a_warning_with_its_upstream() {
        let recorder = Arc::new(Recorder::default());
        let upstream = recorder.name_upstream("weather-api");
        let log = EventLog::new(recorder);
        let (from, to) = (BreakerState::Closed, BreakerState::Open);
        let text = written(Format::Text, "info", || {
            log.on(&Event::Upstream(&UpstreamEvent {
                at: Instant::now(),
                upstream,
                call: None,
                kind: UpstreamEventKind::BreakerChanged {
                    from,
                    to,
                    why: TripReason::Ratio,
                    endpoint: seawall_core::EndpointId::ALL,
                    address: "",
                },
            }));
        });
        assert!(text.contains("WARN breaker open"), "{text}");
        assert!(
            text.contains("upstream=\"weather-api\"") && text.contains("why=\"ratio\""),
            "{text}"
        );
    }

    #[test]
    fn a_panic_that_was_caught_is_an_error_that_does_not_flood_the_log() {
        let log = EventLog::new(Arc::new(Recorder::default()));
        let text = written(Format::Text, "error", || {
            (0..100).for_each(|_| log.on(&Event::Server(&ServerEvent::Panicked)));
        });
        assert!(text.contains("ERROR a request met a bug of ours: answered 500"), "{text}");
        assert!(text.contains("event=\"panicked\""), "{text}");
        // A second may end in between.
        assert!(text.lines().count() <= 10, "{text}");
    }
}
