//! What a running server says of its jobs.
//!
//! Does not know: how they are run.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use seawall_admin::JobRequest;
use seawall_settings::write_duration;
use serde_json::{Value as Json, json};

use super::Console;
use super::remote::Remote;
use crate::exit::Exit;

/// Lists jobs and their last runs.
pub(super) fn list(said: &Json, console: &Console) -> Exit {
    if console.json {
        console.document(said);
        return Exit::Done;
    }
    let heading = ["JOB", "STATE", "DONE", "BEGINS", "NEXT", "INPUT", "WHY"].map(str::to_owned);
    let rows = items(&said["jobs"]).iter().map(|job| {
        let next =
            job["next_ms"].as_i64().map_or_else(String::new, |ms| format!("in {}", until(ms)));
        let done = job["share"].as_f64().map_or_else(String::new, percent);
        let [name, state, begins, input, why] =
            ["job", "state", "begins", "input", "why"].map(|key| text(job, key));
        [name, state, done, begins, next, input, why]
    });
    console.table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
    if said["runs"].is_null() {
        return Exit::Done;
    }
    let runs = items(&said["runs"]);
    if runs.is_empty() {
        console.note("no run");
    } else {
        list_runs(runs, console);
    }
    let untold = items(&said["untold"]);
    if !untold.is_empty() {
        console.answer("");
        let heading = ["NOT TOLD", "OF RUN", "JOB", "STATE", "WHY"].map(str::to_owned);
        let rows = untold.iter().map(|one| {
            let (job, why) = (text(one, "job"), text(one, "error"));
            [one["id"].to_string(), one["of_run"].to_string(), job, state_of(one), why]
        });
        console.table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
    }
    Exit::Done
}

fn list_runs(runs: &[Json], console: &Console) {
    console.answer("");
    let heading = ["RUN", "JOB", "STATE", "DONE", "OK", "DEAD", "ATTEMPT", "CHANGED", "WHY"]
        .map(str::to_owned);
    let rows = runs.iter().map(|run| {
        let (ok, dead) = (count(run, "ok"), count(run, "dead"));
        let attempt = format!("{}/{}", run["attempts"], run["attempts_max"]);
        let changed = format!("{} ago", since(run["changed_ms"].as_i64().unwrap_or(0)));
        let why = text(run, "error");
        [
            run["id"].to_string(),
            text(run, "job"),
            state_of(run),
            share(run),
            ok,
            dead,
            attempt,
            changed,
            why,
        ]
    });
    console.table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
}

/// Shows one run.
pub(super) fn show(remote: &Remote, id: i64, console: &Console) -> Exit {
    let said = match ask(remote, &JobRequest::Show { id }, console) {
        Ok(said) => said,
        Err(exit) => return exit,
    };
    if console.json {
        console.document(&said);
        return Exit::Done;
    }
    let run = &said["run"];
    let mut rows = vec![["run".to_owned(), run["id"].to_string()]];
    let mut row = |word: &str, text: String| {
        if !text.is_empty() {
            rows.push([word.to_owned(), text]);
        }
    };
    row("job", text(run, "job"));
    row("state", state_of(run));
    for key in ["worker", "error", "input", "output", "dead_letter"] {
        row(key, text(run, key));
    }
    row("attempt", format!("{} of {}", run["attempts"], run["attempts_max"]));
    row("done", share(run));
    for key in ["ok", "dead", "filtered"] {
        row(key, count(run, key));
    }
    if run["state"] == "running" {
        for (word, text) in now(&run["progress"]) {
            row(word, text);
        }
    }
    console.table(&rows);
    let rows = items(&said["history"]).iter().map(|one| {
        let at = format!("{} ago", since(one["at_ms"].as_i64().unwrap_or(0)));
        [at, text(one, "what"), text(one, "detail")]
    });
    console.answer("");
    console.table(&rows.collect::<Vec<_>>());
    Exit::Done
}

/// Finds the last run of a job.
pub(super) fn last(remote: &Remote, job: &str, console: &Console) -> Result<i64, Exit> {
    let list = JobRequest::List { job: Some(job.to_owned()), state: None, limit: Some(1) };
    let said = ask(remote, &list, console)?;
    items(&said["runs"]).first().and_then(|run| run["id"].as_i64()).ok_or_else(|| {
        console.error(&format!("job `{job}` has no run yet"), Some("`seawall job ls` lists all"));
        Exit::No
    })
}

/// Says what a run does at the moment.
fn now(progress: &Json) -> Vec<(&'static str, String)> {
    let number = |key: &str| progress[key].as_f64();
    let mut now = Vec::new();
    if let Some(speed) = number("lines_per_second") {
        now.push(("speed", format!("{speed:.0} lines/s")));
    }
    if let Some(in_flight) = progress["in_flight"].as_u64() {
        now.push(("in flight", in_flight.to_string()));
    }
    if let Some(waiting) = progress["waiting"].as_u64().filter(|waiting| *waiting > 0) {
        now.push(("waiting", format!("{waiting} ({})", text(progress, "waiting_for"))));
    }
    match (progress["held_up_by"].is_null(), number("eta_s")) {
        (false, _) => now.push(("held up by", text(progress, "held_up_by"))),
        (true, Some(seconds)) => now.push(("left", shown((seconds * 1000.0) as i64))),
        (true, None) => {}
    }
    now
}

/// Says what a run does, and what is wished of it or comes next.
fn state_of(run: &Json) -> String {
    let (state, wish) = (text(run, "state"), text(run, "wish"));
    let is_over = |key: &str| run[key].as_i64().is_some_and(|ms| ms < now_ms());
    match state.as_str() {
        "running" if is_over("lease_until_ms") => format!("{state}, its worker is silent"),
        "running" if wish != "go" => format!("{state}, to {wish}"),
        // It has failed, and not for good.
        "ready" if run["attempts"].as_u64() > Some(0) => {
            let again = until(run["run_at_ms"].as_i64().unwrap_or(0));
            format!("failed, again in {again}")
        }
        _ => state,
    }
}

/// Returns where the lines of a run are that failed.
pub(super) fn dead_letters(remote: &Remote, id: i64, console: &Console) -> Result<PathBuf, Exit> {
    let said = ask(remote, &JobRequest::Show { id }, console)?;
    Ok(PathBuf::from(text(&said["run"], "dead_letter")))
}

fn ask(remote: &Remote, ask: &JobRequest, console: &Console) -> Result<Json, Exit> {
    let said = remote.ask("POST /jobs", Some(&json!(ask)), console)?;
    match said.is_done {
        true => Ok(said.document),
        false => {
            console.error(said.document["error"].as_str().unwrap_or("it was refused"), None);
            Err(Exit::No)
        }
    }
}

/// Returns how far a run is, as far as it is known.
fn share(run: &Json) -> String {
    let progress = &run["progress"];
    let number = |key: &str| progress[key].as_f64().unwrap_or(0.0);
    match (run["state"].as_str(), number("input_length")) {
        (Some("done"), _) => "100 %".to_owned(),
        (_, length) if length > 0.0 => percent((number("done_bytes") / length).min(1.0)),
        _ => String::new(),
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

fn count(run: &Json, key: &str) -> String {
    let known = [&run["result"][key], &run["progress"][key]];
    known.into_iter().find_map(Json::as_u64).map_or_else(String::new, |number| number.to_string())
}

fn items(list: &Json) -> &[Json] {
    list.as_array().map_or(&[], Vec::as_slice)
}

fn text(of: &Json, key: &str) -> String {
    // What others wrote may hold what moves a terminal's cursor.
    let text = of[key].as_str().unwrap_or_default();
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn since(ms: i64) -> String {
    shown(now_ms().saturating_sub(ms))
}

fn until(ms: i64) -> String {
    shown(ms.saturating_sub(now_ms()))
}

/// Writes a time in seconds, minutes or hours, whichever is short.
fn shown(ms: i64) -> String {
    let seconds = u64::try_from(ms / 1000).unwrap_or(0);
    let rounded = match seconds {
        0..120 => seconds,
        120..7200 => seconds / 60 * 60,
        _ => seconds / 3600 * 3600,
    };
    write_duration(Duration::from_secs(rounded))
}

fn now_ms() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_millis()).unwrap_or(i64::MAX)
}
