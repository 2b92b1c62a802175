//! What a running server says of its jobs.
//!
//! Does not know: how they are run.

use std::path::PathBuf;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value as Json, json};

use super::Talk;
use super::remote::Remote;
use crate::exit::Exit;
use crate::jobs::Ask;
use crate::settings::write_duration;

/// Lists jobs and their last runs.
pub(super) fn list(remote: &Remote, state: Option<String>, limit: u32, talk: &Talk) -> Exit {
    let said = match ask(remote, &Ask::List { state, limit: Some(limit) }, talk) {
        Ok(said) => said,
        Err(exit) => return exit,
    };
    if talk.json {
        talk.document(&said);
        return Exit::Done;
    }
    let heading = ["JOB", "BEGINS", "NEXT", "INPUT"].map(str::to_owned);
    let rows = items(&said["jobs"]).iter().map(|job| {
        let next =
            job["next_ms"].as_i64().map_or_else(String::new, |ms| format!("in {}", until(ms)));
        [text(job, "job"), text(job, "begins"), next, text(job, "input")]
    });
    talk.table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
    let runs = items(&said["runs"]);
    if runs.is_empty() {
        talk.note("no run");
        return Exit::Done;
    }
    talk.answer("");
    let heading = ["RUN", "JOB", "STATE", "DONE", "OK", "DEAD", "ATTEMPT", "CHANGED", "WHY"]
        .map(str::to_owned);
    let rows = runs.iter().map(|run| {
        let (ok, dead) = (count(run, "ok"), count(run, "dead"));
        let attempt = format!("{}/{}", run["attempts"], run["attempts_max"]);
        let changed = format!("{} ago", since(run["changed_ms"].as_i64().unwrap_or(0)));
        let why = text(run, "error");
        let state = match (text(run, "state"), text(run, "wish").as_str()) {
            (state, wish) if state == "running" && wish != "go" => format!("{state}, to {wish}"),
            (state, _) => state,
        };
        [
            run["id"].to_string(),
            text(run, "job"),
            state,
            share(run),
            ok,
            dead,
            attempt,
            changed,
            why,
        ]
    });
    talk.table(&[heading].into_iter().chain(rows).collect::<Vec<_>>());
    Exit::Done
}

/// Shows one run.
pub(super) fn show(remote: &Remote, id: i64, talk: &Talk) -> Exit {
    let said = match ask(remote, &Ask::Show { id }, talk) {
        Ok(said) => said,
        Err(exit) => return exit,
    };
    if talk.json {
        talk.document(&said);
        return Exit::Done;
    }
    let run = &said["run"];
    let mut rows = vec![["run".to_owned(), run["id"].to_string()]];
    let mut row = |word: &str, text: String| {
        if !text.is_empty() {
            rows.push([word.to_owned(), text]);
        }
    };
    for key in ["job", "state", "worker", "error", "input", "output", "dead_letter"] {
        row(key, text(run, key));
    }
    row("attempt", format!("{} of {}", run["attempts"], run["attempts_max"]));
    row("done", share(run));
    for key in ["ok", "dead", "filtered"] {
        row(key, count(run, key));
    }
    talk.table(&rows);
    let rows = items(&said["history"]).iter().map(|one| {
        let at = format!("{} ago", since(one["at_ms"].as_i64().unwrap_or(0)));
        [at, text(one, "what"), text(one, "detail")]
    });
    talk.answer("");
    talk.table(&rows.collect::<Vec<_>>());
    Exit::Done
}

/// Returns where the lines of a run are that failed.
pub(super) fn dead_letters(remote: &Remote, id: i64, talk: &Talk) -> Result<PathBuf, Exit> {
    let said = ask(remote, &Ask::Show { id }, talk)?;
    Ok(PathBuf::from(text(&said["run"], "dead_letter")))
}

fn ask(remote: &Remote, ask: &Ask, talk: &Talk) -> Result<Json, Exit> {
    let said = remote.ask("POST /jobs", Some(&json!(ask)), talk)?;
    match said.is_done {
        true => Ok(said.document),
        false => {
            talk.error(said.document["error"].as_str().unwrap_or("it was refused"), None);
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
        (_, length) if length > 0.0 => {
            format!("{:.1} %", (number("done_bytes") / length).min(1.0) * 100.0)
        }
        _ => String::new(),
    }
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
