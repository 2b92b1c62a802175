//! The log of requests: one line for each that is over and is to be logged.
//!
//! Does not know which requests those are; it writes what it is told of. Lines go to the program's
//! log, or to a file or the standard output in a form that other programs read. Invariant: whoever
//! tells of a request never waits for the line to be written.

use std::fmt::Write as _;
use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock};

use seawall_core::{HttpVersion, RequestEnd, RequestRecord};
use tracing::{Level, error};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime as UtcTime};

use crate::Recorder;
use crate::escape::{VALUE_BYTES_MAX, escaped};
use crate::once_per_second::OncePerSecond;
use crate::queue::{Notice, Output, Queue, Written};

/// The form of lines that other programs read.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RequestForm {
    /// One JSON object a line.
    #[default]
    Json,
    /// The combined log format of Apache and nginx.
    Combined,
}

seawall_core::words!(RequestForm { Json => "json", Combined => "combined" });

/// Writes requests that are over.
pub struct RequestLog {
    writing: RwLock<Writing>,
    limits: [OncePerSecond; ENDS],
}

/// Says where requests are written.
#[derive(Default)]
struct Writing {
    /// `None` for the program's log.
    output: Option<RequestOutput>,
    /// Whether all requests are written, and not only so many a second.
    is_whole: bool,
}

/// A file, or the standard output, that lines are written to by a thread of their own.
pub struct RequestOutput {
    queue: Queue,
    form: RequestForm,
    /// Waits for the lines so far.
    _written: FlushGuard,
}

impl Default for RequestLog {
    /// Writes to the program's log.
    fn default() -> Self {
        let limits = std::array::from_fn(|_| OncePerSecond::new(LINES_PER_SECOND_MAX));
        Self { writing: RwLock::default(), limits }
    }
}

impl RequestLog {
    /// Says where later requests are written, `None` for the program's log, and whether all of
    /// them are: without that they are so many a second.
    pub fn write_to(&self, output: Option<RequestOutput>, is_whole: bool) {
        let mut current = self.writing.write().unwrap_or_else(PoisonError::into_inner);
        let old = std::mem::replace(&mut *current, Writing { output, is_whole });
        // Not while it is locked: this waits for lines to be written.
        drop(current);
        drop(old);
    }

    /// Begins a new file of the same name, after the old one was moved.
    pub fn reopen(&self) {
        let writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        if writing.output.as_ref().is_some_and(|output| !output.queue.reopen()) {
            error!(
                event = "requests.not_reopened",
                "could not reopen the log of requests: try again"
            );
        }
    }

    /// Writes a request, unless too many like it were written this second.
    pub(crate) fn take(&self, request: &RequestRecord<'_>, recorder: &Recorder) {
        let writing = self.writing.read().unwrap_or_else(PoisonError::into_inner);
        let write = |left_out| match &writing.output {
            Some(output) => output.put(request, recorder, left_out),
            None => say(request, recorder, left_out),
        };
        if writing.is_whole {
            write(0);
            return;
        }
        // What clients can bring about at will must not hide what went wrong.
        let place = if request.refused.is_empty() { request.end as usize } else { ENDS - 1 };
        let Some(limit) = self.limits.get(place) else { return };
        limit.say(write);
    }
}

impl RequestOutput {
    /// Writes to the standard output.
    ///
    /// # Errors
    ///
    /// If there is no thread for it.
    pub fn stdout(form: RequestForm) -> io::Result<Self> {
        Self::start(io::stdout(), form)
    }

    /// Appends to a file, which is made if it is not there.
    ///
    /// # Errors
    ///
    /// If the file cannot be opened, or there is no thread for it.
    pub fn file(path: &Path, form: RequestForm) -> io::Result<Self> {
        Self::start(LogFile::open(path.to_owned())?, form)
    }

    fn start(output: impl Output, form: RequestForm) -> io::Result<Self> {
        let queue = Queue::start(output, LINES_WAITING_MAX, Notice::InTheLog)?;
        let written = FlushGuard(queue.clone());
        Ok(Self { queue, form, _written: written })
    }

    fn put(&self, request: &RequestRecord<'_>, recorder: &Recorder, left_out: u64) {
        let line = match self.form {
            RequestForm::Json => json(request, recorder, left_out),
            RequestForm::Combined => combined(request, &now()),
        };
        self.queue.put(line.into_bytes());
    }
}

/// A file that is opened anew when it was moved.
struct LogFile {
    path: PathBuf,
    file: File,
}

impl LogFile {
    fn open(path: PathBuf) -> io::Result<Self> {
        // Readable for the group, as logs are: paths of requests are nobody else's business.
        let mut options = OpenOptions::new();
        let file = options.append(true).create(true).mode(0o640).open(&path)?;
        Ok(Self { path, file })
    }
}

impl Write for LogFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Output for LogFile {
    fn reopen(&mut self) -> io::Result<()> {
        *self = Self::open(self.path.clone())?;
        Ok(())
    }
}

/// Says a request in the program's log.
fn say(request: &RequestRecord<'_>, recorder: &Recorder, left_out: u64) {
    macro_rules! line {
        ($level:expr) => {
            tracing::event!(
                $level,
                event = event_of(request.end),
                id = request.id,
                client = %request.client,
                method = some(request.method),
                path = some(request.path),
                route = request.route.map(|route| recorder.route_name(route)),
                status = request.status,
                fate = request.fate.map(|fate| fate.as_str()),
                refused = some(request.refused),
                attempts = request.attempts,
                fault = request.fault.map(|fault| fault.cause.as_str()),
                step = request.fault.map(|fault| fault.step.as_str()),
                side = request.fault.map(|fault| fault.side.as_str()),
                cause = some(request.cause),
                upstream = request.upstream.map(|upstream| recorder.upstream_name(upstream)),
                endpoint = some(request.endpoint),
                head_seconds = request.head_after.as_secs_f64(),
                seconds = request.took.as_secs_f64(),
                left_out,
                "request {}",
                request.end.as_str()
            )
        };
    }
    match request.end {
        RequestEnd::Failed | RequestEnd::Cut => line!(Level::WARN),
        RequestEnd::Answered | RequestEnd::Refused | RequestEnd::Cancelled => line!(Level::INFO),
    }
}

const fn event_of(end: RequestEnd) -> &'static str {
    match end {
        RequestEnd::Answered => "request.answered",
        RequestEnd::Refused => "request.refused",
        RequestEnd::Failed => "request.failed",
        RequestEnd::Cut => "request.cut",
        RequestEnd::Cancelled => "request.cancelled",
    }
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

/// Writes a request as one JSON object; what is not known is left out.
fn json(request: &RequestRecord<'_>, recorder: &Recorder, left_out: u64) -> String {
    let mut line = format!(r#"{{"time":"{}","event":"{}""#, now(), event_of(request.end));
    let fault = request.fault;
    let texts = [
        ("id", request.id),
        ("client", &request.client.to_string()),
        ("transport", request.transport.as_str()),
        ("method", request.method),
        ("path", request.path),
        ("user_agent", request.user_agent),
        ("referer", request.referer),
        ("route", request.route.map_or("", |route| recorder.route_name(route))),
        ("fate", request.fate.map_or("", |fate| fate.as_str())),
        ("refused", request.refused),
        ("fault", fault.map_or("", |fault| fault.cause.as_str())),
        ("step", fault.map_or("", |fault| fault.step.as_str())),
        ("side", fault.map_or("", |fault| fault.side.as_str())),
        ("cause", request.cause),
        ("upstream", request.upstream.map_or("", |upstream| recorder.upstream_name(upstream))),
        ("endpoint", request.endpoint),
    ];
    // Writing to a string cannot fail.
    for (name, value) in texts.into_iter().filter(|(_, value)| !value.is_empty()) {
        let _ = write!(line, r#","{name}":"{}""#, escaped(value, VALUE_BYTES_MAX));
    }
    let RequestRecord { status, attempts, bytes, head_after, took, .. } = request;
    let (head_seconds, seconds) = (head_after.as_secs_f64(), took.as_secs_f64());
    let _ = write!(line, r#","status":{status},"attempts":{attempts},"bytes":{bytes}"#);
    let _ = write!(line, r#","head_seconds":{head_seconds},"seconds":{seconds}"#);
    if left_out > 0 {
        let _ = write!(line, r#","left_out":{left_out}"#);
    }
    line.push_str("}\n");
    line
}

/// Writes a request in the combined log format; the target is the path without its query.
fn combined(request: &RequestRecord<'_>, time: &str) -> String {
    let RequestRecord { client, method, path, status, bytes, .. } = request;
    let version = match request.transport {
        HttpVersion::Http1 => "HTTP/1.1",
        HttpVersion::Http2 => "HTTP/2.0",
    };
    let target = match *method {
        "" => "-".to_owned(),
        method => format!("{} {} {version}", quoted(method), quoted(path)),
    };
    let or_dash = |text: &str| if text.is_empty() { "-".to_owned() } else { quoted(text) };
    format!(
        "{client} - - [{}] \"{target}\" {status} {bytes} \"{}\" \"{}\"\n",
        in_combined(time),
        or_dash(request.referer),
        or_dash(request.user_agent)
    )
}

fn quoted(text: &str) -> String {
    escaped(text, VALUE_BYTES_MAX)
}

/// Returns the time as RFC 3339 has it, in UTC.
fn now() -> String {
    let mut time = String::with_capacity(32);
    // Writing to a string cannot fail.
    let _ = UtcTime.format_time(&mut Writer::new(&mut time));
    time
}

/// Turns `2026-11-29T03:32:46.123456Z` into `29/Nov/2026:03:32:46 +0000`.
fn in_combined(time: &str) -> String {
    let part = |from, to| time.get(from..to).unwrap_or_default();
    let month =
        part(5, 7).parse::<usize>().ok().and_then(|month| MONTHS.get(month.checked_sub(1)?));
    let month = month.copied().unwrap_or_default();
    format!("{}/{month}/{}:{} +0000", part(8, 10), part(0, 4), part(11, 19))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
/// How many ends a request may have, and one more for those that came to no route.
const ENDS: usize = 6;
/// How many lines about one kind of end are written in a second.
const LINES_PER_SECOND_MAX: u64 = 20;
/// How many lines may wait to be written: a second's worth on a busy server.
const LINES_WAITING_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use std::net::IpAddr;
    use std::time::Duration;

    use seawall_core::{Cause, Fate, Fault, Step};

    use super::*;

    fn record<'a>(fault: &'a Fault, path: &'a str) -> RequestRecord<'a> {
        RequestRecord {
            call: None,
            end: RequestEnd::Failed,
            id: "0197",
            client: IpAddr::from([192, 0, 2, 7]),
            transport: HttpVersion::Http1,
            method: "GET",
            path,
            user_agent: "curl/8",
            referer: "",
            route: None,
            refused: "",
            fate: Some(Fate::Failed),
            status: 502,
            attempts: 3,
            fault: Some(fault),
            cause: "attempt 3 failed: reset",
            upstream: None,
            endpoint: "http://10.0.0.7:7001",
            bytes: 181,
            head_after: Duration::from_millis(250),
            took: Duration::from_millis(250),
        }
    }

    #[test]
    fn a_request_is_one_json_object_whatever_its_path_holds() {
        let fault = Fault::upstream(Step::Head, Cause::Reset);
        let line = json(&record(&fault, "/\"\n\u{1b}[2J\u{202e}"), &Recorder::default(), 41);
        assert_eq!(line.matches('\n').count(), 1);
        let line: serde_json::Value = serde_json::from_str(&line).expect("one JSON object");
        assert_eq!(line["path"], "/\"\n\u{1b}[2J\u{202e}");
        assert_eq!((&line["fault"], &line["step"]), (&"reset".into(), &"head".into()));
        assert_eq!((&line["status"], &line["left_out"]), (&502.into(), &41.into()));
        assert_eq!(line.get("referer"), None, "what is not known is left out");
    }

    #[test]
    fn a_combined_line_is_the_one_that_other_programs_read() {
        let fault = Fault::upstream(Step::Head, Cause::Reset);
        assert_eq!(
            combined(&record(&fault, "/a\" b"), "2026-11-29T03:32:46.123456Z"),
            "192.0.2.7 - - [29/Nov/2026:03:32:46 +0000] \"GET /a\\\" b HTTP/1.1\" 502 181 \"-\" \
             \"curl/8\"\n"
        );
    }

    #[test]
    fn every_end_has_a_limit_of_its_own() {
        let ends = [
            RequestEnd::Answered,
            RequestEnd::Refused,
            RequestEnd::Failed,
            RequestEnd::Cut,
            RequestEnd::Cancelled,
        ];
        assert_eq!(ends.map(|end| end as usize), [0, 1, 2, 3, 4]);
        assert_eq!(ends.len() + 1, ENDS);
    }

    #[test]
    fn a_file_that_was_moved_is_begun_anew() {
        let folder = std::env::temp_dir().join(format!("seawall-requests-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("there is a place for files");
        let (path, moved) = (folder.join("access.log"), folder.join("access.log.1"));
        let fault = Fault::upstream(Step::Head, Cause::Reset);
        let (log, recorder) = (RequestLog::default(), Recorder::default());
        let output = RequestOutput::file(&path, RequestForm::Json).expect("it opens");
        log.write_to(Some(output), true);

        log.take(&record(&fault, "/before"), &recorder);
        std::fs::rename(&path, &moved).expect("it was made when it was opened");
        log.reopen();
        log.take(&record(&fault, "/after"), &recorder);
        log.write_to(None, false);

        let read = |path| std::fs::read_to_string(path).expect("it is there");
        let (before, after) = (read(&moved), read(&path));
        std::fs::remove_dir_all(&folder).expect("it was ours");
        assert!(before.contains("/before") && !before.contains("/after"), "{before}");
        assert!(after.contains("/after") && !after.contains("/before"), "{after}");
    }
}
