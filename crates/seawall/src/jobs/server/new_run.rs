//! What is put in as it is needed: over which file or with which lines, when, and under which key.
//!
//! Does not know: the store, HTTP.

use std::path::PathBuf;

use seawall_admin::NewRun;
use seawall_settings::read_duration;
use serde_json::Value as Json;

use super::payload::AdHoc;

/// Reads what it is over; nothing if it is the job's own input.
pub(super) async fn what(run: &NewRun, payload_bytes_max: usize) -> Result<Option<AdHoc>, String> {
    match (&run.path, &run.payload) {
        (Some(_), Some(_)) => Err("a path or a payload, not both".to_owned()),
        (None, None) => Ok(None),
        (None, Some(payload)) => {
            let lines = lines(payload)?;
            match lines.len() > payload_bytes_max {
                false => Ok(Some(AdHoc::Lines(lines))),
                true => Err(format!(
                    "the payload has {} bytes, and `worker.payload` allows \
                     {payload_bytes_max}: put more than that into a file, and name its path",
                    lines.len()
                )),
            }
        }
        (Some(path), None) => {
            let name = path.display();
            if !path.is_absolute() {
                return Err(format!("a path begins with /, and not like {name}"));
            }
            let found = tokio::fs::metadata(path).await;
            match found.map_err(|error| format!("cannot look at {name}: {error}"))?.is_file() {
                true => Ok(Some(AdHoc::Over(path.clone()))),
                false => Err(format!("{name} is not a regular file")),
            }
        }
    }
}

/// Reads where answers go.
pub(super) fn output(run: &NewRun) -> Result<Option<PathBuf>, String> {
    match &run.output {
        Some(path) if !path.is_absolute() => {
            Err(format!("an output begins with /, and not like {}", path.display()))
        }
        output => Ok(output.clone()),
    }
}

/// Reads how long it waits, in milliseconds.
pub(super) fn delay(run: &NewRun) -> Result<Option<i64>, String> {
    let Some(text) = &run.delay else { return Ok(None) };
    let delay = read_duration(text).map_err(|why| format!("the delay `{text}` is none: {why}"))?;
    Ok(Some(i64::try_from(delay.as_millis()).unwrap_or(i64::MAX)))
}

/// Writes a payload as lines.
fn lines(payload: &Json) -> Result<String, String> {
    let line = |item: &Json| match item {
        Json::String(text) if text.contains('\n') => {
            Err("an item of the payload has a newline: each is one line".to_owned())
        }
        Json::String(text) => Ok(text.clone()),
        other => Ok(other.to_string()),
    };
    let lines = match payload {
        Json::String(text) => text.clone(),
        Json::Array(items) => {
            let lines = items.iter().map(|item| Ok(line(item)? + "\n"));
            lines.collect::<Result<String, String>>()?
        }
        other => line(other)? + "\n",
    };
    match lines.is_empty() {
        true => Err("the payload has no line".to_owned()),
        false => Ok(lines),
    }
}
