//! The status page: what is wrong now, the fates, the upstreams, worst first.
//!
//! Invariant: every name is text. Names come from settings files, and those are pasted from
//! anywhere; nothing in the page is a script or a style of its own, so the browser runs none.

use std::fmt::{Display, Write as _};

use seawall_watch::{Status, UpstreamStatus};

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
    write!(
        page,
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta http-equiv=\"refresh\" content=\"2\"><title>Seawall: {phase}</title>\
         <link rel=\"stylesheet\" href=\"/style.css\"></head><body>\
         <h1>Seawall &middot; {mode} &middot; {phase} &middot; up {up} &middot; \
         settings {generation} {refused}</h1>"
    )?;
    write_attention(page, status)?;
    write_fates(page, status)?;
    write_upstreams(page, status)?;
    write_routes(page, status)?;
    write_jobs(page, status)?;
    let (gateway, runtime) = (&status.gateway, &status.runtime);
    write!(
        page,
        "<p>{} clients &middot; {} requests in flight &middot; {} refused &middot; {} panics \
         &middot; {} threads &middot; {} of {} files &middot; {} MiB &middot; process {}</p>\
         <p><a href=\"/status.json\">status.json</a> <a href=\"/metrics\">metrics</a> \
         &middot; Seawall {} sends nothing home.</p></body></html>",
        gateway.connections,
        gateway.requests_in_flight,
        gateway.requests_refused,
        gateway.panics,
        or_dash(runtime.threads),
        or_dash(runtime.open_files),
        or_dash(runtime.open_files_max),
        or_dash(runtime.resident_bytes.map(|bytes| bytes >> 20)),
        runtime.pid,
        about.version,
    )
}

fn write_attention(page: &mut String, status: &Status) -> std::fmt::Result {
    if status.attention.is_empty() {
        page.push_str("<p class=\"good\">&#9679; nothing needs attention</p>");
    }
    for line in &status.attention {
        write!(page, "<p class=\"bad\">&#9650; {}</p>", Text(line))?;
    }
    if let Some(refused) = &status.about.settings.refused {
        write!(page, "<pre class=\"bad\">{}</pre>", Text(refused))?;
    }
    Ok(())
}

fn write_fates(page: &mut String, status: &Status) -> std::fmt::Result {
    write!(page, "<h2>Fates, last {} s</h2><table><tr>", status.window_seconds)?;
    for (fate, _) in status.fates.iter() {
        write!(page, "<th>{}</th>", fate.as_str().replace('_', " "))?;
    }
    page.push_str("</tr><tr>");
    for (_, count) in status.fates.iter() {
        write!(page, "<td>{count}</td>")?;
    }
    page.push_str("</tr></table>");
    Ok(())
}

fn write_upstreams(page: &mut String, status: &Status) -> std::fmt::Result {
    page.push_str(
        "<h2>Upstreams, worst first</h2><table><tr><th>upstream</th><th>calls/s</th>\
         <th>effective / actual</th><th>p50 / p99</th><th>in flight</th><th>waiting</th>\
         <th>retry budget</th><th>breaker</th><th>last failure</th></tr>",
    );
    for upstream in &status.upstreams {
        let class = match upstream.breaker {
            Some("open") => "bad",
            Some("half_open") => "odd",
            _ => "good",
        };
        write!(
            page,
            "<tr><td>{}</td><td>{:.1}</td><td>{} / {}</td><td>{} / {}</td><td>{} / {}</td>\
             <td>{}</td><td>{}</td><td class=\"{class}\">{}</td><td>{}</td></tr>",
            Text(&upstream.name),
            upstream.calls_per_second,
            percent(upstream.effective),
            percent(upstream.actual),
            millis(upstream.p50_seconds),
            millis(upstream.p99_seconds),
            upstream.in_flight,
            or_dash(upstream.in_flight_max),
            upstream.waiting,
            or_dash(upstream.retry_budget.map(|budget| budget.floor())),
            upstream.breaker.map_or_else(|| "off".to_owned(), |state| state.to_uppercase()),
            Text(&last_failure(upstream)),
        )?;
    }
    page.push_str("</table>");
    Ok(())
}

fn write_routes(page: &mut String, status: &Status) -> std::fmt::Result {
    page.push_str(
        "<h2>Routes</h2><table><tr><th>route</th><th>in flight</th><th>answered</th>\
         <th>p99</th></tr>",
    );
    for route in status.routes.iter().take(ROUTES_SHOWN_MAX) {
        write!(
            page,
            "<tr><td>{}</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            Text(&route.name),
            route.in_flight,
            route.ended,
            millis(route.p99_seconds),
        )?;
    }
    page.push_str("</table>");
    if let Some(more) = status.routes.len().checked_sub(ROUTES_SHOWN_MAX).filter(|more| *more > 0) {
        write!(page, "<p>and {more} more in status.json</p>")?;
    }
    Ok(())
}

fn write_jobs(page: &mut String, status: &Status) -> std::fmt::Result {
    let Some(jobs) = &status.about.jobs else { return Ok(()) };
    page.push_str(
        "<h2>Jobs</h2><table><tr><th>job</th><th>begins</th><th>last run</th><th>done</th>\
         <th>lines ok / failed</th><th>attempt</th><th>state</th></tr>",
    );
    for job in jobs.jobs.iter().take(ROUTES_SHOWN_MAX) {
        let next = job.next_seconds.map(|next| format!(", in {}", clock(next)));
        let begins = format!("{}{}", job.begins, next.unwrap_or_default());
        write!(page, "<tr><td>{}</td><td>{}</td>", Text(&job.name), Text(&begins))?;
        let Some(run) = &job.last else {
            page.push_str("<td colspan=\"5\">none yet</td></tr>");
            continue;
        };
        let class = match run.state {
            "failed" => "bad",
            "paused" | "cancelled" => "odd",
            _ => "good",
        };
        write!(
            page,
            "<td>{}, {} ago</td><td>{}</td><td>{} / {}</td><td>{} of {}</td>\
             <td class=\"{class}\">{}</td></tr>",
            run.id,
            clock(run.changed_seconds_ago),
            percent(run.done),
            or_dash(run.lines_ok),
            or_dash(run.lines_dead),
            run.attempts,
            run.attempts_max,
            run.state,
        )?;
    }
    page.push_str("</table>");
    Ok(())
}

fn last_failure(upstream: &UpstreamStatus) -> String {
    match (&upstream.last_failure, upstream.last_failure_seconds_ago) {
        (Some(what), Some(ago)) => format!("{what}, {} ago", clock(ago)),
        _ => "none".to_owned(),
    }
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

/// How many routes the page shows; the rest is in `/status.json`.
const ROUTES_SHOWN_MAX: usize = 200;

/// The page's style; colour never says what the words do not.
pub(super) const STYLE: &str = "\
:root{color-scheme:light dark}body{font:14px/1.5 ui-monospace,monospace;margin:1rem 2rem}
h1{font-size:1.1rem}h2{font-size:1rem;margin:1rem 0 .25rem}
table{border-collapse:collapse}th,td{border:1px solid #8886;padding:.1rem .6rem;text-align:right}
th:first-child,td:first-child{text-align:left}th{font-weight:normal;opacity:.7}
.bad{color:#d33;font-weight:bold}.odd{color:#b70}.good{color:#292}";

#[cfg(test)]
mod tests {
    use seawall_core::{Event, Observer, Transport};
    use seawall_watch::{About, Recorder, SettingsStatus};

    use super::*;

    #[test]
    fn a3_names_and_errors_are_text() {
        let recorder = Recorder::default();
        let hostile = "<img src=x onerror=alert(1)>\"'&";
        let (upstream, route) = (recorder.name_upstream(hostile), recorder.name_route(hostile));
        recorder.on(&Event::CallStarted { upstream });
        recorder.on(&Event::RequestStarted { route, transport: Transport::Http1 });
        let settings =
            SettingsStatus { refused: Some(hostile.to_owned()), ..SettingsStatus::default() };
        let about = About { settings, ..About::default() };
        let page = page(&recorder.status(about, std::time::Instant::now()));
        assert!(!page.contains("<img"), "{page}");
        assert_eq!(page.matches("&lt;img src=x onerror=alert(1)&gt;&quot;&#39;&amp;").count(), 3);
    }

    #[test]
    fn a3_the_page_has_no_script_or_style_of_its_own() {
        let page = page(&Recorder::default().status(About::default(), std::time::Instant::now()));
        for inline in ["<script", "<style", " style=", " onclick", "javascript:"] {
            assert!(!page.contains(inline), "{inline}");
        }
    }
}
