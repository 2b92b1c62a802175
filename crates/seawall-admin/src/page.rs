//! The status page: what is wrong now, the fates, the upstreams, worst first.
//!
//! Invariant: every name is text. Names come from settings files, and those are pasted from
//! anywhere; nothing in the page is a script or a style of its own, so the browser runs none.

use std::fmt::{Display, Write as _};

use seawall_watch::{Attention, Grade, Status};

/// Writes the page.
pub(super) fn page(status: &Status) -> String {
    let mut page = String::with_capacity(8 * 1024);
    // Writing to a string cannot fail.
    let _ = write_page(&mut page, status);
    page
}

fn write_page(page: &mut String, status: &Status) -> std::fmt::Result {
    let about = &status.about;
    let (mode, phase, generation) = (about.mode, about.phase, about.settings.generation);
    let up = clock(status.uptime_seconds);
    let refused = if about.settings.refused.is_some() { "&#10007; refused" } else { "&#10003;" };
    let (grade, title) = (status.grade(), title(status));
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta http-equiv=\"refresh\" content=\"2\"><title>{title}</title>\
         <link rel=\"icon\" href=\"/{}.svg\">\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body>\
         <h1>Seawall &middot; {mode} &middot; {phase} &middot; up {up} &middot; \
         settings {generation} {refused}</h1>",
        grade.as_str()
    )?;
    write_attention(page, status)?;
    write_fates(page, status)?;
    write_upstreams(page, status)?;
    write_endpoints(page, status)?;
    write_routes(page, status)?;
    write_jobs(page, status)?;
    let (gateway, runtime) = (&status.gateway, &status.runtime);
    write!(
        page,
        "<p>Now: {} clients &middot; {} requests in flight &middot; {} threads &middot; \
         {} of {} files &middot; {} MiB &middot; process {}. \
         Since the start: {} requests refused before any route &middot; {} panics.</p>\
         <p><a href=\"/status.json\">status.json</a> <a href=\"/metrics\">metrics</a> \
         &middot; Seawall {} sends nothing home.</p></body></html>",
        gateway.connections,
        gateway.requests_in_flight,
        or_dash(runtime.threads),
        or_dash(runtime.open_files),
        or_dash(runtime.open_files_max),
        or_dash(runtime.resident_bytes.map(|bytes| bytes >> 20)),
        runtime.pid,
        gateway.requests_refused,
        gateway.panics,
        about.version,
    )
}

/// Says in a tab what is the matter, for whoever looks at another one.
fn title(status: &Status) -> String {
    match (status.attention.len(), status.grade()) {
        (0, _) => format!("Seawall: {}", status.about.phase),
        (count, Grade::Bad) => format!("({count}) \u{25b2} Seawall"),
        (count, _) => format!("({count}) Seawall"),
    }
}

fn write_attention(page: &mut String, status: &Status) -> std::fmt::Result {
    if status.attention.is_empty() {
        page.push_str("<p class=\"good\">&#9679; nothing needs attention</p>");
    }
    for Attention { grade, what } in &status.attention {
        write!(page, "<p class=\"{}\">&#9650; {}</p>", grade.as_str(), Text(what))?;
    }
    if let Some(refused) = &status.about.settings.refused {
        write!(page, "<pre class=\"bad\">{}</pre>", Text(refused))?;
    }
    Ok(())
}

fn write_fates(page: &mut String, status: &Status) -> std::fmt::Result {
    write!(page, "<h2>How calls ended, last {} s</h2>", status.window_seconds)?;
    let names: Vec<_> = status.fates.iter().map(|(fate, _)| spaced(fate.as_str())).collect();
    let heads: Vec<&str> = names.iter().map(|name| &**name).collect();
    let counts = status.fates.iter().map(|(_, count)| Cell::plain(count));
    write_table(page, &heads, [counts.collect()])
}

fn write_upstreams(page: &mut String, status: &Status) -> std::fmt::Result {
    write!(
        page,
        "<h2>Upstreams, worst first; rates, shares and durations of the last {} s</h2>",
        status.window_seconds
    )?;
    let heads = [
        "upstream",
        "calls/s",
        "effective / actual",
        "p50 / p99 of calls not refused",
        "in flight now",
        "waiting now",
        "retry budget now",
        "breaker",
        "last failure",
    ];
    let rows = status.upstreams.iter().map(|upstream| {
        let state = upstream.breaker.unwrap_or("off");
        vec![
            Cell::plain(&upstream.name),
            Cell::plain(format_args!("{:.1}", upstream.calls_per_second)),
            pair(percent(upstream.effective), percent(upstream.actual)),
            pair(millis(upstream.p50_seconds), millis(upstream.p99_seconds)),
            pair(upstream.in_flight, or_dash(upstream.in_flight_max)),
            Cell::plain(upstream.waiting),
            Cell::plain(or_dash(upstream.retry_budget.map(f64::floor))),
            in_state(state, &upstream.breaker_times.in_words(state)),
            Cell::plain(ago(upstream.last_failure.as_deref(), upstream.last_failure_seconds_ago)),
        ]
    });
    write_table(page, &heads, rows)
}

fn write_endpoints(page: &mut String, status: &Status) -> std::fmt::Result {
    write!(
        page,
        "<h2>Endpoints; rates, shares and durations of the last {} s</h2>",
        status.window_seconds
    )?;
    let heads = [
        "endpoint",
        "upstream",
        "state",
        "attempts/s",
        "answered well",
        "mean time",
        "in flight now",
        "last failure",
    ];
    let all = status.upstreams.iter().flat_map(|upstream| {
        upstream.endpoints.iter().map(move |endpoint| (&upstream.name, endpoint))
    });
    let rows = all.clone().take(ENDPOINTS_SHOWN_MAX).map(|(upstream, endpoint)| {
        vec![
            Cell::plain(&endpoint.address),
            Cell::plain(upstream),
            in_state(endpoint.state, &endpoint.state_in_words()),
            Cell::plain(format_args!("{:.1}", endpoint.attempts_per_second)),
            Cell::plain(percent(endpoint.actual)),
            Cell::plain(millis(endpoint.mean_seconds)),
            Cell::plain(endpoint.in_flight),
            Cell::plain(ago(endpoint.last_failure.as_deref(), endpoint.last_failure_seconds_ago)),
        ]
    });
    write_table(page, &heads, rows)?;
    write_more(page, all.count(), ENDPOINTS_SHOWN_MAX)
}

fn write_routes(page: &mut String, status: &Status) -> std::fmt::Result {
    page.push_str("<h2>Routes, since the start</h2>");
    let heads = ["route", "in flight now", "answered", "p99 of requests not refused"];
    let rows = status.routes.iter().take(ROUTES_SHOWN_MAX).map(|route| {
        vec![
            Cell::plain(&route.name),
            Cell::plain(route.in_flight),
            Cell::plain(route.ended),
            Cell::plain(millis(route.p99_seconds)),
        ]
    });
    write_table(page, &heads, rows)?;
    write_more(page, status.routes.len(), ROUTES_SHOWN_MAX)
}

/// One cell of a table.
struct Cell {
    text: String,
    grade: Option<Grade>,
}

impl Cell {
    fn plain(value: impl Display) -> Self {
        Self { text: value.to_string(), grade: None }
    }
}

fn pair(one: impl Display, other: impl Display) -> Cell {
    Cell::plain(format_args!("{one} / {other}"))
}

/// Shows a state in the colour that it has everywhere.
fn in_state(state: &str, more: &str) -> Cell {
    let text = format!("{}{more}", spaced(state).to_uppercase());
    Cell { text, grade: (state != "off").then(|| Grade::of_state(state)) }
}

/// Writes a table whose cells know their column, so that a narrow screen can show them in a list.
fn write_table(
    page: &mut String,
    heads: &[&str],
    rows: impl IntoIterator<Item = Vec<Cell>>,
) -> std::fmt::Result {
    page.push_str("<table><thead><tr>");
    for head in heads {
        write!(page, "<th>{head}</th>")?;
    }
    page.push_str("</tr></thead><tbody>");
    for row in rows {
        page.push_str("<tr>");
        for (head, Cell { text, grade }) in heads.iter().zip(row) {
            let class = grade.map_or("", Grade::as_str);
            write!(page, "<td data-name=\"{head}\" class=\"{class}\">{}</td>", Text(&text))?;
        }
        page.push_str("</tr>");
    }
    page.push_str("</tbody></table>");
    Ok(())
}

fn write_jobs(page: &mut String, status: &Status) -> std::fmt::Result {
    let Some(jobs) = &status.about.jobs else { return Ok(()) };
    page.push_str("<h2>Jobs</h2>");
    let heads = ["job", "begins", "last run", "done", "lines ok / failed", "attempt", "state"];
    let rows = jobs.jobs.iter().take(ROUTES_SHOWN_MAX).map(|job| {
        let next = job.next_seconds.map(|next| format!(", in {}", clock(next)));
        let begins = format!("{}{}", job.begins, next.unwrap_or_default());
        let mut row = vec![Cell::plain(&job.name), Cell::plain(begins)];
        match &job.last {
            None => {
                row.push(Cell::plain("none yet"));
                row.resize_with(heads.len(), || Cell::plain("–"));
            }
            Some(run) => row.extend([
                Cell::plain(format_args!("{}, {} ago", run.id, clock(run.changed_seconds_ago))),
                Cell::plain(percent(run.done)),
                pair(or_dash(run.lines_ok), or_dash(run.lines_dead)),
                Cell::plain(format_args!("{} of {}", run.attempts, run.attempts_max)),
                Cell { text: run.state.to_owned(), grade: Some(grade_of_run(run.state)) },
            ]),
        }
        row
    });
    write_table(page, &heads, rows)
}

fn grade_of_run(state: &str) -> Grade {
    match state {
        "failed" => Grade::Bad,
        "paused" | "cancelled" => Grade::Odd,
        _ => Grade::Good,
    }
}

fn write_more(page: &mut String, all: usize, shown_max: usize) -> std::fmt::Result {
    match all.checked_sub(shown_max).filter(|more| *more > 0) {
        Some(more) => write!(page, "<p>and {more} more in status.json</p>"),
        None => Ok(()),
    }
}

fn ago(what: Option<&str>, seconds: Option<u64>) -> String {
    match (what, seconds) {
        (Some(what), Some(seconds)) => format!("{}, {} ago", spaced(what), clock(seconds)),
        _ => "none".to_owned(),
    }
}

fn spaced(word: &str) -> String {
    word.replace('_', " ")
}

fn clock(seconds: u64) -> String {
    format!("{:02}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.1} %", share * 100.0))
}

fn millis(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| "–".to_owned(), |seconds| format!("{:.1} ms", seconds * 1e3))
}

fn or_dash(value: Option<impl Display>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| value.to_string())
}

/// Shows a value as text, whatever is in it.
struct Text<'a>(&'a str);

impl Display for Text<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for character in self.0.chars() {
            match character {
                '&' => f.write_str("&amp;")?,
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                plain => f.write_char(plain)?,
            }
        }
        Ok(())
    }
}

/// Returns the icon of a tab for a grade.
pub(super) fn icon(grade: Grade) -> String {
    // Not by colour alone.
    let (colour, shape) = match grade {
        Grade::Good => ("#292", "<circle cx=\"8\" cy=\"8\" r=\"7\"/>"),
        Grade::Odd => ("#b70", "<rect x=\"2\" y=\"2\" width=\"12\" height=\"12\"/>"),
        Grade::Bad => ("#d33", "<path d=\"M8 1 15 15H1z\"/>"),
    };
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 16 16\" fill=\"{colour}\">{shape}</svg>"
    )
}

/// How many routes the page shows; the rest is in `/status.json`.
const ROUTES_SHOWN_MAX: usize = 200;
/// How many endpoints the page shows; the rest is in `/status.json`.
const ENDPOINTS_SHOWN_MAX: usize = 200;

/// The page's style; colour never says what the words do not.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark}body{font:14px/1.5 ui-monospace,monospace;margin:1rem 2rem}
h1{font-size:1.1rem}h2{font-size:1rem;margin:1rem 0 .25rem}pre{overflow-x:auto}
table{border-collapse:collapse}th,td{border:1px solid #8886;padding:.1rem .6rem;text-align:right}
th:first-child,td:first-child{text-align:left}th{font-weight:normal;opacity:.7}
.bad{color:#d33;font-weight:bold}.odd{color:#b70}.good{color:#292}
@media(max-width:50rem){body{margin:.5rem}table,tbody,tr,td{display:block}thead{display:none}
tr{border:1px solid #8886;margin:0 0 .5rem;padding:.2rem .4rem}
td,td:first-child{border:0;padding:0;text-align:right;overflow-wrap:anywhere;overflow:hidden}
td::before{content:attr(data-name);float:left;opacity:.7;margin-right:1rem;color:CanvasText;\
font-weight:normal}}";

#[cfg(test)]
mod tests {
    use std::num::NonZeroU64;
    use std::time::Instant;

    use seawall_core::{
        CallEvent, CallEventKind, CallId, Event, HttpVersion, Observer, Origin, ServerEvent,
    };
    use seawall_watch::{About, Recorder, SettingsStatus};

    use super::*;

    #[test]
    fn a3_names_and_errors_are_text() {
        let recorder = Recorder::default();
        let hostile = "<img src=x onerror=alert(1)>\"'&";
        let (upstream, route) = (recorder.name_upstream(hostile), recorder.name_route(hostile));
        let (at, call) = (Instant::now(), CallId(NonZeroU64::MIN));
        let kind = CallEventKind::Started;
        let started =
            CallEvent { at, call, upstream, attempt: None, origin: &Origin::UNKNOWN, kind };
        recorder.on(&Event::Call(&started));
        let transport = HttpVersion::Http1;
        let started = ServerEvent::RequestStarted { at, call, route, transport };
        recorder.on(&Event::Server(&started));
        let settings =
            SettingsStatus { refused: Some(hostile.to_owned()), ..SettingsStatus::default() };
        let about = About { settings, ..About::default() };
        let page = page(&recorder.status(about, Instant::now()));
        assert!(!page.contains("<img"), "{page}");
        assert_eq!(page.matches("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;").count(), 3);
    }

    #[test]
    fn a3_the_page_has_no_script_or_style_of_its_own() {
        let page = page(&Recorder::default().status(About::default(), Instant::now()));
        for inline in ["<script", "<style", " style=", " onclick", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
    }
}
