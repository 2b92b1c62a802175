//! What a run would do: the first requests as they would be sent, and how long it would take.
//!
//! Does not know: the network. Nothing is sent, written or locked.

use std::fmt::Write as _;
use std::path::Path;

use seawall_http::is_set_here;
use seawall_lines::{LineReader, OnLong};
use seawall_settings::{JobSettings, SendSettings};
use seawall_worker::{Job, Selected, Would, would};

use super::show::{clock, grouped};
use crate::jobs::Work;

/// Reads the first lines of the input and says what would be sent for them.
///
/// # Errors
///
/// Says what cannot be read.
///
/// # Cancel safety
///
/// Dropping it loses nothing.
pub(crate) async fn dry_run(
    job: &JobSettings,
    work: &Work,
    upstream: Option<&str>,
    requests: u32,
) -> Result<String, String> {
    let mut reader = LineReader::open(&job.input)
        .line_bytes_max(job.line_bytes_max)
        .on_long(OnLong::Cut)
        .await
        .map_err(|error| format!("cannot {error}"))?;
    let length = reader.length();
    let (coded, batch) = (reader.is_coded(), reader.next().await);
    let batch = batch.map_err(|error| format!("cannot {error}"))?;
    let mut text = format!("input     {}", job.input.display());
    if let Some(length) = length {
        let _ =
            write!(text, ", {} bytes{}", grouped(length), if coded { ", compressed" } else { "" });
    }
    let (mut lines, mut bytes, mut longest) = (0_u64, 0_u64, 0);
    let (mut shown, mut samples) = (0, String::new());
    for line in batch.into_iter().flat_map(|batch| batch.into_owned_lines()) {
        lines += 1;
        bytes += line.next_offset - line.offset;
        longest = longest.max(line.length);
        if shown < requests && line.is_whole() {
            shown += 1;
            sample(&mut samples, job.send.as_ref(), work, &Job::sample(line));
        }
    }
    if lines == 0 {
        text += "\n          it has no line: the run would finish at once";
        return Ok(text);
    }
    let all = length.filter(|_| !coded).map(|length| length as f64 * lines as f64 / bytes as f64);
    let _ = write!(text, "\nlines     ");
    match all {
        Some(all) if length == Some(bytes) => {
            let _ = write!(text, "{}", grouped(all.round() as u64));
        }
        Some(all) => {
            let _ = write!(text, "some {}", grouped(all.round() as u64));
        }
        None => text += "unknown",
    }
    let _ = write!(text, ", the longest of the first {} has {longest} bytes", grouped(lines));
    let _ = write!(text, "\noutput    {}", job.output.display());
    text += &match (work.stdout.is_some(), would(&work.settings)) {
        (true, _) | (_, Ok(Would::Begin)) => String::new(),
        (_, Ok(Would::GoOn { sequence })) => {
            format!(
                ", of a run that has started: it would resume at line {}",
                grouped(sequence + 1)
            )
        }
        (_, Ok(_)) => ", of a run that has finished: nothing would be done".to_owned(),
        (_, Err(error)) => format!("\nrefused   could not {error}"),
    };
    if let Some(free) = free_bytes(&job.output) {
        let _ = write!(text, "\nfree      {} MiB", grouped(free >> 20));
    }
    if let Some(upstream) = upstream {
        let _ = write!(text, "\nupstream  {upstream}, {} calls at once", job.in_flight_max);
    }
    if let (Some(per_second), Some(all)) = (job.per_second, all) {
        let _ = write!(text, "\ntime      at least {} at {per_second}/s", clock(all / per_second));
    }
    text += &samples;
    text += "\n\nnothing was sent";
    Ok(text)
}

fn sample(text: &mut String, send: Option<&SendSettings>, work: &Work, job: &Job) {
    let _ = write!(text, "\n\nline {}", job.sequence + 1);
    let letter = match work.letter(job).transpose() {
        Ok(letter) => letter,
        Err(why) => {
            let _ = write!(text, ": dead: {why}");
            return;
        }
    };
    let job = letter.as_ref().unwrap_or(job);
    let kept = match work.select(&job.line) {
        Selected::Keep(line) => line,
        Selected::Drop => return text.push_str(": filtered"),
        Selected::Bad(why) => {
            let _ = write!(text, ": dead: {why}");
            return;
        }
    };
    let (Some(send), Some(forward)) = (send, work.forward()) else {
        let _ = write!(text, "\n  {}", cut(&kept));
        return;
    };
    match forward.fill(job, &kept) {
        Err(why) => {
            let _ = write!(text, ": dead: {why}");
        }
        Ok(filled) => {
            let _ = write!(text, "\n  {} {}", send.method, filled.target);
            let (not_sent, sent): (Vec<_>, Vec<_>) =
                forward.headers().iter().partition(|(name, _)| is_set_here(name));
            for (name, value) in sent {
                let value = match is_secret(name.as_str()) {
                    true => "***".into(),
                    false => String::from_utf8_lossy(value.as_bytes()),
                };
                let _ = write!(text, "\n  {name}: {value}");
                if value.contains("{") && value.contains("}") {
                    *text += "  (as it stands: headers have no places)";
                }
            }
            let _ = write!(text, "\n  idempotency-key: (one for each line)");
            if !filled.body.is_empty() {
                let _ = write!(text, "\n  content-length: {}", filled.body.len());
            }
            for (name, _) in not_sent {
                let _ =
                    write!(text, "\n  ({name} is not sent as given: it follows from the request)");
            }
            if !filled.body.is_empty() {
                let _ = write!(text, "\n\n  {}", cut(&filled.body));
            }
        }
    }
}

fn is_secret(name: &str) -> bool {
    ["auth", "cookie", "token", "key", "secret"].iter().any(|word| name.contains(word))
        && name != "idempotency-key"
}

fn cut(bytes: &[u8]) -> String {
    match bytes.get(..SHOWN_BYTES) {
        Some(begin) => format!("{}… ({} bytes)", String::from_utf8_lossy(begin), bytes.len()),
        None => String::from_utf8_lossy(bytes).into_owned(),
    }
}

fn free_bytes(output: &Path) -> Option<u64> {
    let folder = output.parent().filter(|folder| !folder.as_os_str().is_empty());
    let stat = rustix::fs::statvfs(folder.unwrap_or(Path::new("."))).ok()?;
    Some(stat.f_bavail * stat.f_frsize)
}

/// How much of a body is shown.
const SHOWN_BYTES: usize = 400;
