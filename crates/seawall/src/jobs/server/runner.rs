//! One claimed job: its run, its progress for others, and how it is given back.
//!
//! Does not know: the store. Invariant: whatever stops a run, another attempt goes on from there;
//! only what another attempt would not change is failed for good.

use std::fs::File;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::pin::pin;
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use seawall_jobs::{Claimed, Ending, JobControl, retry_after};
use seawall_watch::{JobCells, LineNumbers, Recorder, RunEnd};
use seawall_worker::{LineCounts, RunConclusion, RunError, RunSummary};
use serde_json::json;
use tokio::task::spawn_blocking;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::folder;
use super::payload::JobPayload;
use super::plan::Plan;
use crate::jobs::{Grace, Progress, Speed, Work};

/// Runs a job that was claimed; it stops at once when `hurry` is cancelled.
///
/// # Cancel safety
///
/// As [`seawall_worker::run`].
pub(super) async fn carry_out(
    plan: &ArcSwap<Plan>,
    recorder: &Recorder,
    claimed: Claimed,
    control: &JobControl,
    hurry: &CancellationToken,
) -> Ending {
    // Not by chance, and not the same for all.
    let chance = (claimed.held.id % 16) as f64 / 16.0;
    let later = retry_after(claimed.attempt, chance);
    let (work, payload) = match made(plan, &claimed.payload).await {
        Ok(made) => made,
        Err(error) => return Ending::Failed { error, retry_after: None },
    };
    let (job, id) = (&claimed.kind, claimed.held.id);
    if let Some(ending) = before(&payload, &work, later).await {
        if let Ending::Failed { error, .. } = &ending {
            warn!(event = "job.failed", job, id, error, "job failed");
        }
        return ending;
    }
    info!(event = "job.begun", job, id, attempt = claimed.attempt, "job started");
    let cells = recorder.job(job);
    cells.run_started();
    let ended = run(&work, control, (plan, hurry), cells).await;
    let mut ending = ending(&ended, control, later);
    if let Ending::Done { .. } = &ending
        && let Err(error) = put_away(&payload, &work).await
    {
        ending = Ending::Failed { error, retry_after: Some(later) };
    }
    cells.run_ended(match &ending {
        Ending::Done { .. } => RunEnd::Done,
        Ending::Failed { .. } => RunEnd::Failed,
        Ending::Released { .. } => RunEnd::GivenBack,
        Ending::Paused => RunEnd::Paused,
        Ending::Cancelled => RunEnd::Cancelled,
    });
    match &ending {
        Ending::Failed { error, .. } => {
            warn!(event = "job.failed", job, id, error, "job failed");
        }
        Ending::Done { result } => info!(event = "job.done", job, id, result, "job finished"),
        _ => info!(event = "job.given_back", job, id, "job stopped; it can be resumed"),
    }
    ending
}

/// Makes the run that a payload stands for.
async fn made(plan: &ArcSwap<Plan>, text: &str) -> Result<(Work, JobPayload), String> {
    let payload = JobPayload::read(text)
        .ok_or_else(|| "what is to be done cannot be read: another version wrote it".to_owned())?;
    let plan = plan.load_full();
    let planned = plan.job(&payload.job).ok_or_else(|| {
        format!("the settings have no `[job.{}]`: resume it when they do", payload.job)
    })?;
    let settings = payload.settings(&planned.settings);
    for path in [Some(&settings.output), settings.dead.as_ref()].into_iter().flatten() {
        if let Some(folder) = path.parent().filter(|path| !path.as_os_str().is_empty()) {
            let made = tokio::fs::create_dir_all(folder).await;
            made.map_err(|error| format!("cannot make {}: {error}", folder.display()))?;
        }
    }
    if let Some(lines) = &payload.lines {
        let (path, lines) = (payload.input.clone(), lines.clone());
        let written = spawn_blocking(move || write_lines(&path, &lines));
        let written = written.await.map_err(|_| STOPPING.to_owned())?;
        written.map_err(|error| format!("cannot write {}: {error}", payload.input.display()))?;
    }
    Ok((Work::new(&settings, planned.way())?, payload))
}

/// Writes the lines that were put in with a run, unless an earlier attempt has; they are there as a
/// whole or not at all.
fn write_lines(path: &Path, lines: &str) -> std::io::Result<()> {
    if path.exists() {
        return Ok(());
    }
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    let mut file = File::create(&part)?;
    file.write_all(lines.as_bytes())?;
    file.sync_all()?;
    std::fs::rename(&part, path)
}

/// Looks at a file that appeared in a folder before it is read; says how its run ends if it is not
/// to be read any more.
async fn before(payload: &JobPayload, work: &Work, later: Duration) -> Option<Ending> {
    let (stamp, fingerprint) = (payload.stamp.clone()?, payload.fingerprint.clone()?);
    let (path, settings) = (payload.input.clone(), work.settings.clone());
    let looked = spawn_blocking(move || {
        let is_still = folder::is_still(&path, &stamp, &fingerprint);
        let is_gone = is_still.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound);
        // It was put away when the server was stopped, or was about to be.
        let is_done = is_gone || folder::is_half_put_away(&path, &fingerprint);
        let kept = is_done.then(|| seawall_worker::look(&settings).ok().flatten()).flatten();
        (is_still, kept.filter(|kept| kept.is_finished && !kept.is_running))
    });
    let (is_still, finished) = looked.await.ok()?;
    if let Some(kept) = finished {
        return Some(match put_away(payload, work).await {
            Ok(()) => Ending::Done { result: result(kept.counts) },
            Err(error) => Ending::Failed { error, retry_after: Some(later) },
        });
    }
    let name = payload.input.display();
    match is_still {
        Ok(true) => None,
        Ok(false) => {
            let error = format!(
                "{name} has changed since it was queued: its new content has a run of its own"
            );
            Some(Ending::Failed { error, retry_after: None })
        }
        Err(error) => {
            let error = format!("could not open {name}: {error}");
            Some(Ending::Failed { error, retry_after: Some(later) })
        }
    }
}

/// Does with a file that was read what the job does with such files; lines that were put in with
/// the run are needed no more.
async fn put_away(payload: &JobPayload, work: &Work) -> Result<(), String> {
    if payload.lines.is_some() {
        return match tokio::fs::remove_file(&payload.input).await {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                Err(format!("could not remove {}: {error}", payload.input.display()))
            }
            _ => Ok(()),
        };
    }
    let (Some(stamp), Some(fingerprint)) = (payload.stamp.clone(), payload.fingerprint.clone())
    else {
        return Ok(());
    };
    let (path, when_done) = (payload.input.clone(), work.when_done);
    let done = spawn_blocking(move || {
        folder::put_away(&path, &stamp, &fingerprint, when_done)
            .map_err(|error| format!("could not put {} away: {error}", path.display()))
    });
    done.await.unwrap_or_else(|_| Err(STOPPING.to_owned()))
}

fn result(counts: LineCounts) -> String {
    json!({ "ok": counts.output, "dead": counts.dead, "filtered": counts.filtered }).to_string()
}

async fn run(
    work: &Work,
    wished: &JobControl,
    (plan, hurry): (&ArcSwap<Plan>, &CancellationToken),
    cells: &JobCells,
) -> Result<RunSummary, RunError> {
    let (mut counted, mut speed) = (None, Speed::default());
    let control = &work.control;
    let mut running = pin!(work.run());
    let mut ticks = interval(PROGRESS_EVERY);
    let mut grace = Grace::default();
    loop {
        tokio::select! {
            biased;
            ended = &mut running => {
                count(work, cells, &mut counted);
                return ended;
            }
            () = stop_is_wished(wished), if !grace.has_begun() => {
                control.drain.cancel();
                grace.begin(plan.load().grace);
            }
            () = grace.is_over(), if !control.halt.is_cancelled() => control.halt.cancel(),
            () = hurry.cancelled(), if !control.halt.is_cancelled() => {
                control.halt.cancel();
            }
            _ = ticks.tick() => {
                count(work, cells, &mut counted);
                wished.set_progress(progress(work, &mut speed));
            }
        }
    }
}

async fn stop_is_wished(wished: &JobControl) {
    tokio::select! {
        () = wished.stop.cancelled() => {}
        () = wished.pause.cancelled() => {}
        () = wished.cancel.cancelled() => {}
    }
}

/// Counts what became of lines since the last time; what earlier sessions did is not counted again.
fn count(work: &Work, cells: &JobCells, counted: &mut Option<(LineCounts, u64)>) {
    let now = work.control.progress.snapshot(Instant::now());
    // Until the run has begun it does not know what was done before.
    if !now.has_begun {
        return;
    }
    let (before, retries) = counted.unwrap_or((now.begun_with, 0));
    let more = now.counts.since(&before);
    cells.lines(LineNumbers {
        ok: more.output,
        dead: more.dead,
        filtered: more.filtered,
        retries: work.retries().saturating_sub(retries),
        in_flight: work.in_flight().unwrap_or(0) as u64,
        oldest: now.low_for,
    });
    *counted = Some((now.counts, work.retries()));
}

fn progress(work: &Work, speed: &mut Speed) -> String {
    let now = Instant::now();
    let progress = Progress::of(work, now);
    let snapshot = &progress.snapshot;
    speed.take(now, snapshot);
    let mut document = progress.document(now, speed);
    document["done_bytes"] = json!(snapshot.done_bytes);
    document["input_length"] = json!(snapshot.input_length);
    document.to_string()
}

/// Says how a job is given back.
fn ending(
    ended: &Result<RunSummary, RunError>,
    wished: &JobControl,
    retry_after: Duration,
) -> Ending {
    let failed = |error: String, retry_after| Ending::Failed { error, retry_after };
    match ended {
        Ok(RunSummary {
            ended: RunConclusion::Finished | RunConclusion::WasFinished,
            counts,
            ..
        }) => Ending::Done { result: result(*counts) },
        Ok(RunSummary { ended: RunConclusion::TooManyFailures, counts, .. }) => {
            failed(counts.too_many(), None)
        }
        Ok(RunSummary { ended: RunConclusion::Stopped, .. }) if wished.cancel.is_cancelled() => {
            Ending::Cancelled
        }
        Ok(RunSummary { ended: RunConclusion::Stopped, .. }) if wished.pause.is_cancelled() => {
            Ending::Paused
        }
        Ok(RunSummary { ended: RunConclusion::Stopped, .. }) => {
            Ending::Released { wait: Duration::ZERO }
        }
        // Somebody runs it by hand.
        Err(RunError::Locked { .. }) => Ending::Released { wait: LOCKED_WAIT },
        // Another attempt would come to the same.
        Err(error) if error.is_lasting() => failed(format!("could not {error}"), None),
        Err(error) => failed(format!("could not {error}"), Some(retry_after)),
    }
}

const STOPPING: &str = "the runtime is stopping";
/// How often others can see how far it is.
const PROGRESS_EVERY: Duration = Duration::from_secs(1);
/// How long it waits for who has the run by hand.
const LOCKED_WAIT: Duration = Duration::from_secs(10);
